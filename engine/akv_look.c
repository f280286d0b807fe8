#include <assert.h>

#include "base/mem.h"
#include "engine/akv_impl.h"

enum { STATUS_BYTES = 1 << 20 };

static const int64_t COLLECT_NS = 60 * NS_PER_S;

/* --- derived objects --- */

static struct akv_live *find_live(
	const struct akv *akv, const struct akv_owner *owner, const struct akv_child *child) {
	return akv_table_find(
		&akv->table, child->resource, akv_owner_ns(owner), str_of(child->name));
}

static void child_is_well(struct akv_child *child) {
	mem_free(take(child->fault));
	child->failures = 0;
}

/* What a look at an AKVSync has found. */
struct akv_job {
	enum akv_op op;
	enum kube_resource resource;
	struct str name;
	bool found;
	int64_t due_ns; /* when nothing is found: when something has to be tried again */
};

static void note_due(struct akv_job *job, int64_t due_ns) {
	if (due_ns < job->due_ns) job->due_ns = due_ns;
}

static void propose(struct akv_job *job, enum akv_op op, enum kube_resource resource,
	struct str name, int64_t retry_ns, struct now now) {
	if (retry_ns > now.mono_ns) {
		note_due(job, retry_ns);
		return;
	}
	if (job->found) return;
	job->found = true;
	job->op = op;
	job->resource = resource;
	job->name = name;
}

/* What an older AKVSync of the name has left is the garbage collector's, and the watch tells when it is gone; should it not
 * have come to that, it is read. */
static void wait_for_collection(struct akv_live *live, struct akv_job *job, struct now now) {
	assert(live);
	if (!live->retry_ns) live->retry_ns = now.mono_ns + COLLECT_NS;
	bool due = live->retry_ns <= now.mono_ns && !job->found;
	propose(job, AKV_GET, live->resource, akv_live_name(live), live->retry_ns, now);
	if (due) live->retry_ns = now.mono_ns + COLLECT_NS;
}

/* SecretSyncs are written only behind a class that is the AKVSync's own: they would read by a stranger's. */
static void look_at_children(
	struct akv *akv, struct akv_owner *owner, struct akv_job *job, struct now now) {
	bool class_is_well = true, blocked = false;
	owner->mark++;
	for (unsigned i = 0; i < owner->plan.count; i++) {
		struct akv_child *child = &owner->plan.children[i];
		struct akv_live *live = find_live(akv, owner, child);
		enum akv_state state = akv_state_of(owner, child, live);
		if (live) live->mark = owner->mark;
		if (i == 0) class_is_well = state == STATE_EQUAL;
		blocked |= state == STATE_STRANGER;
		if (state == STATE_EQUAL) child_is_well(child);
		if (state == STATE_LEAVING) wait_for_collection(live, job, now);
		if (i > 0 && !class_is_well) continue;
		if (state == STATE_ABSENT || state == STATE_DIFFERENT)
			propose(job, state == STATE_ABSENT ? AKV_CREATE : AKV_APPLY,
				child->resource, str_of(child->name), child->retry_ns, now);
	}
	list_remove(&owner->blocked_link);
	if (blocked) list_push_back(&akv->table.blocked, &owner->blocked_link);
}

/* SecretSyncs that follow from it no longer. A plan that could not be made deletes nothing; the one class always follows. */
static void look_for_rest(struct akv_owner *owner, struct akv_job *job, struct now now) {
	if (!owner->plan.count) return;
	list_for_each (node, &owner->children) {
		const struct akv_live *live = container_of(node, struct akv_live, home_link);
		bool ours = strcmp(live->owner_uid, owner->uid) == 0;
		if (live->resource != KUBE_SYNCS || !ours || live->deleting) continue;
		if (live->mark == owner->mark) continue;
		propose(job, AKV_DELETE, live->resource, akv_live_name(live), live->retry_ns, now);
	}
}

/* --- the status --- */

static enum err write_status(struct akv *akv, struct akv_owner *owner, struct now now,
	struct buf *out_json, struct akv_summary *out_summary) {
	unsigned count = owner->plan.count;
	struct akv_verdict *verdicts = mem_array(count + 1, sizeof *verdicts);
	char(*texts)[AKV_TEXT_BYTES] = mem_array(count + 1, AKV_TEXT_BYTES);
	enum err err = verdicts && texts ? OK : ERR_NOMEM;
	for (unsigned i = 0; i < count && !err; i++) {
		const struct akv_child *child = &owner->plan.children[i];
		verdicts[i] = akv_judge(owner, child, find_live(akv, owner, child), texts[i]);
	}
	if (!err)
		err = akv_status_write(
			owner, verdicts, now.wall_ns / NS_PER_S, out_json, out_summary);
	mem_free(verdicts);
	mem_free(texts);
	return err;
}

/* True: a request is on its way, or has to wait (then in job). */
static enum err tell_status(
	struct akv *akv, struct akv_owner *owner, struct akv_job *job, struct now now) {
	struct akv_summary summary;
	struct buf json;
	buf_init(&json, STATUS_BYTES);
	enum err err = write_status(akv, owner, now, &json, &summary);
	bool same = !err && summary.digest == owner->status_digest;
	if (!err && !same && owner->status_retry_ns > now.mono_ns) {
		note_due(job, owner->status_retry_ns);
	} else if (!err && !same && !akv_may_write(akv, now)) {
		note_due(job, akv->paced_ns);
	} else if (!err && !same) {
		struct akv_call *call = akv_call_make(akv, owner, AKV_STATUS);
		err = call ? kube_akv_status_patch(&call->http, akv->kube, akv_owner_ns(owner),
				     akv_owner_name(owner), str_of(owner->uid), buf_str(&json))
			   : ERR_NOMEM;
		if (call) call->summary = summary;
		if (!err) akv_call_launch(akv, call);
		if (call && err) akv_call_free(akv, call);
	}
	buf_deinit(&json);
	return err;
}

/* --- all of it --- */

static void again_at(struct akv *akv, struct akv_owner *owner, int64_t at_ns) {
	enum err err = at_ns == NEVER_NS ? OK : timer_set(&akv->table.timers, &owner->timer, at_ns);
	assert(!err); /* the room was reserved when the owner was made */
}

void akv_look(struct akv *akv, struct akv_owner *owner, struct now now) {
	struct akv_job job = { .due_ns = NEVER_NS };
	timer_stop(&akv->table.timers, &owner->timer);
	if (!owner->uid[0] || owner->deleting) return;
	look_at_children(akv, owner, &job, now);
	look_for_rest(owner, &job, now);
	enum err err = OK;
	if (!job.found)
		err = tell_status(akv, owner, &job, now);
	else if (akv_may_write(akv, now))
		err = akv_call_start(akv, owner, job.op, job.resource, job.name);
	else
		note_due(&job, akv->paced_ns);
	if (err) note_due(&job, now.mono_ns + AKV_PACE_NS);
	if (!owner->call) again_at(akv, owner, job.due_ns);
}
