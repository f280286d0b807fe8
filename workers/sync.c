#include "workers/sync.h"

#include <assert.h>

#include "base/log.h"
#include "base/metric.h"
#include "workers/secret_seen.h"

static const struct step *end_run(struct sync *sync) {
	(void)sync;
	return NULL;
}

const struct step STEP_PARKED = { "parked", NULL };
const struct step STEP_END = { "end", end_run };

static void token_answered(struct identity_waiter *waiter) {
	sync_resume(container_of(waiter, struct sync, waiter));
}

static void sync_free(struct sync *sync) {
	gate_cancel(&sync->kube_gate);
	identity_leave(&sync->waiter);
	sync_outputs_free(sync);
	sync_reads_free(sync);
	kube_call_deinit(&sync->kube);
	kube_meta_deinit(&sync->meta);
	identity_put(sync->identity);
	spec_unref(sync->spec);
	spc_unref(sync->spc);
	status_deinit(&sync->status);
	list_remove(&sync->link);
	sync->worker->sync_count--;
	sync->object->sync = NULL;
	mem_free(sync);
}

/* What a watch has told, and this reconcile has taken note of, was not dealt with. */
static bool must_look_again(const struct sync *sync) {
	return sync->looking || sync->repairing || sync->told || sync->took_word;
}

/* It failed for want of a way that is to be waited for. */
static bool is_shut_out(const struct sync *sync) {
	const struct gate *gate = sync->fault_gate;
	const struct fault *fault = sync->fault.err ? &sync->fault : &sync->item_fault;
	return gate && (gate->open || (gate_is_shut(gate) && fault->err == ERR_THROTTLED));
}

/* It failed because vault or token endpoint is away, and nobody has told of anything else: no change, and no row that differs. */
static bool was_cut_off(const struct sync *sync) {
	const struct gate *gate = sync->fault_gate;
	bool cut = sync->fault.err && is_shut_out(sync) && gate != &sync->worker->kube_gate;
	bool polled = sync->class == CLASS_PERIODIC || sync->class == CLASS_SAFETY;
	return cut && polled && sync->well && !sync->listed;
}

/* When the object is looked at next; a gone or deleted one is not. */
static void plan_next(struct sync *sync) {
	struct worker *worker = sync->worker;
	struct object *object = sync->object;
	const struct spec *spec = sync->spec;
	object->attempted = true;
	if (!spec || spec->deleting) return;
	const struct fault *fault = sync->fault.err ? &sync->fault : &sync->item_fault;
	/* Asked for last, and found to be good. */
	bool seen = sync->created || sync->updated || sync->looking;
	if (seen && !sync->fault.err) worker_saw_secret(worker, object);
	if (!sync->fault.err) sync_remember_force(sync);
	sync_note_repair(sync);
	if (sync->fault.err && must_look_again(sync)) secret_look_failed(object);
	bool cut_off = was_cut_off(sync);
	schedule_away(object, cut_off);
	/* Nobody waits for a safety re-read: what an outage has cost comes at its next moment, not all at the outage's end. */
	if (cut_off && sync->class == CLASS_SAFETY) object->reads = false;
	if (!fault->err) {
		object->failures = 0;
		sync_plan_check(sync);
	} else if (is_shut_out(sync)) {
		if (object->failures == 0) object->failures = 1;
		timer_stop(&worker->timers, &object->timer);
		gate_wait(sync->fault_gate, &object->ready);
	} else {
		schedule_retry(worker, object, fault, schedule_interval_ns(worker, spec));
	}
}

/* It is decided anew from what vault and Secret are by then. */
static void plan_anew(struct sync *sync) {
	struct object *object = sync->object;
	object->reads = true;
	object->may_look = sync->may_look;
	if (must_look_again(sync)) secret_look_failed(object);
}

void sync_count_requests(struct sync *sync, unsigned requests) {
	struct object *object = sync->object;
	int now = (int)requests;
	shard_recount(object, sync->class, (int)sync->counted, now);
	if (object->paced)
		class_pace_charge(object->shard, sync->spec, sync->spc, now - (int)sync->paid);
	sync->counted = sync->paid = requests;
}

static void count_running(const struct sync *sync, int by) {
	struct shard *shard = sync->object->shard;
	shard->running += (unsigned)by;
	if (sync->class == CLASS_NEW || sync->class == CLASS_RETRY)
		shard->running_first += (unsigned)by;
}

static void finish(struct sync *sync) {
	struct worker *worker = sync->worker;
	struct object *object = sync->object;
	metric_add(METRIC_RECONCILES, 1);
	sync_count_requests(sync, sync->asked);
	if (sync->fault.err || sync->item_fault.err) metric_add(METRIC_RECONCILE_FAILURES, 1);
	if (sync->put_back)
		plan_anew(sync);
	else
		plan_next(sync);
	assert(object->shard && object->shard->running > 0);
	count_running(sync, -1);
	worker->again = true;
	bool changed = object->changed_meanwhile && sync->spec && !sync->spec->deleting;
	bool due = changed || sync->put_back;
	enum object_class class = sync->put_back ? sync->class : CLASS_SEEN;
	object->changed_meanwhile = false;
	sync_free(sync);
	if (due) schedule_ready(object, class);
	queue_done(&object->item);
}

/* Runs steps until one parks; true when the reconcile has ended. */
static bool run(struct sync *sync) {
	struct pool *pool = sync->worker->pool;
	for (;;) {
		const struct step *step = sync->step;
		const struct step *next = step->run(sync);
		if (pool->trace)
			pool->trace(pool->trace_arg, sync->object, step->name, sync->fault.err);
		if (!next) return true;
		if (next != &STEP_PARKED) {
			sync->step = next;
			continue;
		}
		/* A call may have been answered by a refusal before the step returned. */
		if (!sync->woken) return false;
		sync->woken = false;
	}
}

void sync_resume(struct sync *sync) {
	if (sync->running) {
		sync->woken = true;
		return;
	}
	sync->running = true;
	sync->woken = false;
	bool ended = run(sync);
	sync->running = false;
	if (ended) finish(sync);
}

enum err sync_start(struct worker *worker, struct object *object) {
	assert_home(worker);
	assert(!object->sync && object->shard);
	struct sync *sync = mem_zalloc(sizeof *sync);
	if (!sync) return ERR_NOMEM;
	sync->worker = worker;
	sync->object = object;
	sync->class = object->wait_class;
	sync->counted = 1;
	sync->paid = object->granted;
	sync->may_look = object->may_look;
	object->granted = object->may_look = false;
	sync->step = &STEP_BORROW;
	list_init(&sync->link);
	sync->waiter.answer = token_answered;
	list_init(&sync->waiter.link);
	object->sync = sync;
	count_running(sync, 1);
	worker->sync_count++;
	list_push_back(&worker->syncs, &sync->link);
	sync_resume(sync);
	return OK;
}

static const struct step *put_back(struct sync *sync) {
	kube_call_deinit(&sync->kube);
	sync->put_back = true;
	return &STEP_END;
}

void sync_put_back_writes(struct worker *worker) {
	list_for_each_safe (link, &worker->syncs) {
		struct sync *sync = container_of(link, struct sync, link);
		struct gate_call *call = &sync->kube_gate;
		if (!call->gate || call->lane != LANE_WRITE || gate_has_sent(call)) continue;
		gate_cancel(call);
		sync->step = put_back(sync);
		sync_resume(sync);
	}
}

void sync_cancel(struct sync *sync) {
	struct object *object = sync->object;
	assert(!sync->running);
	sync_audit_cancelled(sync);
	count_running(sync, -1);
	sync_free(sync);
	queue_done(&object->item);
}

/* --- BORROW: take the snapshots, and see whether there is anything to do --- */

static const struct step *fail_text(
	struct sync *sync, enum blame blame, enum err err, struct str text) {
	struct fault fault = { 0 };
	fault = fault_make(err, "%.*s", STR_ARG(text));
	return sync_fail(sync, blame, NULL, &fault);
}

static const struct step *borrow_run(struct sync *sync) {
	struct fault fault = { 0 };
	sync->spec = spec_borrow(sync->object);
	const struct spec *spec = sync->spec;
	if (!spec || spec->deleting) return &STEP_END;
	if (spec->cell) sync->spc = spc_borrow(spec->cell);
	enum err err = status_copy(&sync->object->status, &sync->status);
	if (err) {
		fault = fault_make(err, "out of memory; the next attempt follows by itself");
		return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
	}
	if (spec->common->fault.len)
		return fail_text(sync, BLAME_INPUT, ERR_INVALID, spec->common->fault);
	if (!sync->spc) {
		fault = fault_make(ERR_NOT_FOUND,
			"SecretProviderClass \"%.*s\" does not exist in namespace \"%.*s\": create "
			"it there, or correct "
			"spec.secretProviderClassName",
			STR_ARG(spec_class_name(spec)), STR_ARG(spec->common->ns));
		return sync_fail(sync, BLAME_CLASS, NULL, &fault);
	}
	if (sync->spc->access->fault.len)
		return fail_text(sync, BLAME_CLASS, ERR_INVALID, sync->spc->access->fault);
	err = sync_plan_reads(sync);
	if (err) {
		fault = fault_make(err, "out of memory; the next attempt follows by itself");
		return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
	}
	/* Items that name nothing cost neither token nor request when nothing else is to be had. */
	if (!sync->read_count && spec->item_count) return sync_judge_items(sync);
	const struct step *next = sync_look(sync);
	/* Before the token is there: meanwhile others of the same identity would go ahead as if each needed one. */
	sync_count_requests(sync, next == &STEP_TOKEN ? sync->read_count : 0);
	return next;
}

const struct step STEP_BORROW = { "borrow", borrow_run };

/* --- TOKEN --- */

static void add_account_remedy(struct fault *fault) {
	struct fault told = fault_make(
		fault->err, "%s; create it, or correct spec.serviceAccountName", fault->text);
	memcpy(fault->text, told.text, sizeof fault->text);
}

static const struct step *token_failed(struct sync *sync) {
	const struct identity *identity = sync->identity;
	struct fault fault = identity->fault;
	enum blame blame = BLAME_PROVIDER;
	bool principal = identity->kind == IDENTITY_PRINCIPAL;
	if (identity->fault_is_local && principal && err_retry(fault.err) == RETRY_SLOW) {
		blame = BLAME_CLASS;
	} else if (identity->fault_is_local) {
		blame = fault.err == ERR_NOT_FOUND ? BLAME_INPUT
			: fault.err == ERR_POLICY  ? BLAME_POLICY
						   : BLAME_INTERNAL;
	}
	if (blame == BLAME_INPUT) add_account_remedy(&fault);
	/* The identity knows when it may ask again: no object of it comes earlier. */
	int64_t wait_ns = identity->retry_ns - sync->worker->now.mono_ns;
	if (wait_ns > fault.retry_after_ns) fault.retry_after_ns = wait_ns;
	return sync_fail(sync, blame, identity->fault_gate, &fault);
}

static const struct step *token_run(struct sync *sync) {
	struct fault fault = { 0 };
	if (!sync->identity) {
		enum err err = identity_get(sync->worker, sync->spec, sync->spc, &sync->identity);
		if (err) {
			fault = fault_make(err, "no identity could be made: %s", err_text(err));
			return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
		}
	}
	switch (identity_ask(sync->identity, &sync->waiter)) {
	case IDENTITY_WAIT:
		return &STEP_PARKED;
	case IDENTITY_FAILED:
		return token_failed(sync);
	case IDENTITY_READY:
		break;
	}
	sync->token_serial = sync->identity->serial;
	return sync->fetching_values ? &STEP_VALUES : &STEP_FETCH;
}

const struct step STEP_TOKEN = { "token", token_run };

/* --- the API server --- */

static void kube_done(struct gate_call *call) {
	struct sync *sync = container_of(call, struct sync, kube_gate);
	sync->step = sync->kube_next;
	sync_resume(sync);
}

static const struct step *ask_kube(
	struct sync *sync, enum gate_lane_name lane, const struct step *next) {
	struct fault fault = { 0 };
	struct gate *gate = &sync->worker->kube_gate;
	if (!gate_admits(gate, &fault)) {
		kube_call_deinit(&sync->kube);
		return sync_fail(sync, BLAME_INTERNAL, gate, &fault);
	}
	sync->kube_next = next;
	sync->kube.http.timeout_ns = sync->worker->settings.kube_timeout_ns;
	sync->kube_gate.req = &sync->kube.http;
	sync->kube_gate.on_done = kube_done;
	sync->kube_gate.lane = lane;
	gate_start(gate, &sync->kube_gate);
	return &STEP_PARKED;
}

const struct step *sync_ask_kube(struct sync *sync, const struct step *next) {
	return ask_kube(sync, LANE_USUAL, next);
}

const struct step *sync_write_kube(struct sync *sync, const struct step *next) {
	if (sync->worker->paused) return put_back(sync);
	return ask_kube(sync, LANE_WRITE, next);
}
