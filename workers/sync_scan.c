/* What a reconcile may know without a request: the rows of the last walk (scan.h). */
#include <assert.h>

#include "base/metric.h"
#include "workers/scan.h"
#include "workers/secret_seen.h"
#include "workers/sync.h"

static bool is_latest(const struct spc_object *object) {
	return !object->version.len || str_eq(object->version, STR("latest"));
}

bool sync_is_pinned(const struct spc_object *object) {
	return object->history < 2 && !is_latest(object);
}

/* --- which names the object needs --- */

/* Versions of a history are not in the list of a vault, and a shorter interval than the vault's is the object's own. */
static bool may_be_listed(const struct sync *sync) {
	const struct settings *settings = &sync->worker->settings;
	int64_t own_ns = sync->spec->common->interval_ns;
	if (settings->change_detection == CHANGE_BY_GET) return false;
	if (own_ns && own_ns < settings->poll_interval_ns) return false;
	for (unsigned i = 0; i < sync->read_count; i++) {
		if (sync->reads[i].object->history >= 2) return false;
	}
	return sync->read_count > 0;
}

/* An object that cannot be listed for want of memory is checked by GET. */
static void link_names(struct sync *sync) {
	struct object *object = sync->object;
	unsigned count = 0;
	if (!may_be_listed(sync)) {
		scan_unlink_object(object);
		return;
	}
	struct str *names = mem_array(sync->read_count, sizeof *names);
	enum vault_kind *kinds = mem_array(sync->read_count, sizeof *kinds);
	for (unsigned i = 0; names && kinds && i < sync->read_count; i++) {
		const struct spc_object *read = sync->reads[i].object;
		if (sync_is_pinned(read)) continue;
		names[count] = read->name;
		kinds[count++] = read->kind;
	}
	bool linked = names && kinds && scan_link_object(object, names, kinds, count) == OK;
	if (!linked) scan_unlink_object(object);
	mem_free(names);
	mem_free(kinds);
}

/* --- may the vault be left alone? --- */

/* Nothing is wrong but that the way was closed, and the last write was for what is asked now. */
static bool is_well(struct sync *sync) {
	const struct object *object = sync->object;
	const struct status *status = &object->status;
	const struct condition *ready = &status->conditions[CONDITION_READY];
	bool good = !object->failures && ready->value == CONDITION_TRUE;
	return (good || object->away) && status->observed_generation == sync->spec->generation &&
	       sync_digest_asked(sync) == OK && status_asked_is(status, sync->digest) &&
	       !status_is_partial(status);
}

/* A value that was read within a few seconds of its `updated` may have had a successor in the same second. Only when it was
 * read later than that, by the vault's clock, is a row's word enough. */
static bool is_settled(const struct sync *sync, const struct vault_row *row) {
	return row->updated_s + SCAN_SETTLE_S <= sync->object->status.last_successful_s;
}

/* The rows of the last walk as if they had been read; false: not all of them say enough. */
static bool take_rows(struct sync *sync) {
	unsigned link = 0;
	for (unsigned i = 0; i < sync->read_count; i++) {
		struct vault_row row;
		if (sync_is_pinned(sync->reads[i].object)) continue;
		bool known = scan_row(sync->object, link++, &row);
		if (!known || !row.enabled || !is_settled(sync, &row)) return false;
	}
	link = 0;
	for (unsigned i = 0; i < sync->read_count; i++) {
		struct sync_read *read = &sync->reads[i];
		struct sync_value *value = &read->values[0];
		if (!sync_is_pinned(read->object)) scan_row(sync->object, link++, &value->row);
		value->known = read->done = true;
	}
	return true;
}

/* --- the decision --- */

const struct step *sync_look(struct sync *sync) {
	struct object *object = sync->object;
	struct gate *gate = &object->shard->gate;
	struct fault fault = { 0 };
	link_names(sync);
	uint32_t list = sync->worker->secret_list;
	bool well = is_well(sync), lost = list && secret_is_lost(object, list);
	bool may_rest = well && !object->reads;
	sync->well = well && !lost;
	/* What the rows told before the way was closed says nothing about what happened meanwhile. */
	if (object->away && !scan_is_fresh(object)) may_rest = false;
	enum scan_state state = scan_state(object);
	if (may_rest && state == SCAN_READY && take_rows(sync)) {
		sync->listed = true;
		return &STEP_COMPARE;
	}
	/* All is well, and a walk will tell more. At first sight after a start so does the object's own phase. A Secret that is
	 * known to be lost waits for neither. */
	if (lost) may_rest = false;
	bool waits = state == SCAN_PENDING && sync->class == CLASS_PERIODIC;
	if (may_rest && state != SCAN_READY && (waits || !object->attempted)) {
		scan_hurry(object);
		sync->resting = true;
		return &STEP_END;
	}
	/* A vault that cannot be reached costs no token either. */
	if (!gate_admits(gate, &fault)) return sync_fail(sync, BLAME_PROVIDER, gate, &fault);
	return &STEP_TOKEN;
}

void sync_forget_rows(struct sync *sync) {
	for (unsigned i = 0; sync->listed && i < sync->read_count; i++) sync->reads[i].done = false;
}

/* --- what a GET tells about the walks --- */

void sync_note_read(struct sync *sync, const struct vault_row *row, int64_t server_date_s) {
	struct shard *shard = sync->object->shard;
	shard_saw_date(shard, server_date_s);
	int64_t date_s = server_date_s ? server_date_s
				       : sync->worker->now.wall_ns / NS_PER_S + shard->skew_s;
	if (row->updated_s + SCAN_SETTLE_S > date_s) sync->unsettled = true;
	if (row->updated_s > sync->newest_s) sync->newest_s = row->updated_s;
	if (!sync->has_read || date_s < sync->read_s) sync->read_s = date_s;
	sync->has_read = true;
}

/* The value was read again, late enough: the status says so, that no later start has to do it once more. */
bool sync_has_settled(const struct sync *sync) {
	int64_t known_s = sync->object->status.last_successful_s;
	return sync->object->listed && sync->has_read && !sync->unsettled &&
	       sync->newest_s + SCAN_SETTLE_S > known_s;
}

/* By the vault's clock, which `updated` is compared with: ours may be set. A value that may have had a successor in its own
 * second does not count as read later than that. */
int64_t sync_success_s(const struct sync *sync) {
	int64_t now_s = sync->worker->now.wall_ns / NS_PER_S + sync->object->shard->skew_s;
	int64_t most_s = sync->newest_s + SCAN_SETTLE_S - 1;
	return sync->unsettled && now_s > most_s ? most_s : now_s;
}

/* Has a walk that began after the change told of something else? One that tells of a younger version than a GET: the GET was
 * answered by a replica that lags. */
static void check_announced(struct sync *sync) {
	struct object *object = sync->object;
	unsigned link = 0;
	for (unsigned i = 0; i < sync->read_count && link < object->link_count; i++) {
		const struct vault_row *read = &sync->reads[i].values[0].row;
		struct vault_row listed;
		if (sync_is_pinned(sync->reads[i].object)) continue;
		struct scan *scan = scan_at(object, link);
		bool known = scan_row(object, link++, &listed);
		if (!sync->reads[i].values[0].known) continue; /* it failed, and tells nothing */
		if (known && listed.updated_s > read->updated_s) {
			sync->lags = sync->unsettled = true;
			continue;
		}
		bool same =
			listed.updated_s == read->updated_s && listed.created_s == read->created_s;
		/* A reconcile that took long has read before that walk. */
		if (sync->read_s < scan->complete_s) continue;
		if (!known || same || read->updated_s + SCAN_SETTLE_S > scan->complete_s) continue;
		scan_distrust(scan, sync->reads[i].object->name);
		return;
	}
}

/* The object has been reconciled without a failure: when is it looked at again? */
void sync_plan_check(struct sync *sync) {
	struct worker *worker = sync->worker;
	struct object *object = sync->object;
	if (sync->has_read && scan_covers(object)) check_announced(sync);
	if (!sync->resting && !sync->listed) object->reads = false;
	scan_note_news(object);
	if (sync->unsettled && object->listed && object->settles < SETTLE_TRIES) {
		object->settles++;
		object->reads = true;
		schedule_settle(worker, object);
		return;
	}
	object->settles = 0;
	/* What a walk has told, and no read has shown yet, is not told again. */
	if (sync->lags) object->reads = true;
	/* A look has left it as it was. */
	if (sync->listed && !object->reads && timer_is_set(&object->timer)) return;
	schedule_check(worker, object, sync->spec);
}
