#include "workers/report.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "workers/event.h"
#include "workers/worker.h"

enum {
	IN_FLIGHT = 16, /* of a worker */
	ENDS_PER_TURN = 256, /* of pauses, in each batch */
	STATUS_BYTES = 512 << 10,
	WHAT_BYTES = 640,
	BACKLOG =
		64, /* of objects that were never attempted: an import, not somebody's new SecretSync */
};

static const int64_t CALM_NS =
	120 * NS_PER_S; /* how long a backlog holds up those that have no news */

/* After a rest. */
static const double BURST_S = 0.1;

/* What may yet change by itself, and what takes somebody to change it. */
static const int64_t PATIENCE_NS[REPORT_BATCHES] = {
	[REPORT_SOON] = 5 * NS_PER_S, [REPORT_SLOW] = 60 * NS_PER_S
};

/* One write. */
struct report {
	struct list link; /* in reports.under_way */
	struct worker *worker;
	struct object *object;
	struct condition ready; /* as it is being written, without its message */
	bool changed; /* the status is not what is being written any more */
	struct kube_call kube;
	struct gate_call call;
};

void reports_init(struct reports *reports) {
	list_init(&reports->waiting);
	list_init(&reports->calm);
	list_init(&reports->under_way);
	for (int i = 0; i < REPORT_BATCHES; i++) {
		list_init(&reports->later[i].objects);
		list_init(&reports->later[i].next);
	}
}

/* --- lines --- */

static bool is_calm(const struct object *object) {
	const struct condition *ready = &object->status.conditions[CONDITION_READY];
	return object->told_value == CONDITION_TRUE && ready->value == CONDITION_TRUE &&
	       ready->reason == REASON_UPDATE_NO_CHANGE;
}

static void enqueue(struct worker *worker, struct object *object) {
	struct reports *reports = &worker->reports;
	assert(!list_is_linked(&object->report));
	object->in_report_line = true;
	object->in_calm_line = is_calm(object);
	list_push_back(object->in_calm_line ? &reports->calm : &reports->waiting, &object->report);
	reports->waiting_count++;
	worker->again = true;
}

static void dequeue(struct worker *worker, struct object *object) {
	list_remove(&object->report);
	if (object->in_report_line) worker->reports.waiting_count--;
	object->in_report_line = object->in_calm_line = false;
}

static bool is_anybody_in(const struct report_batch *batch) {
	return !list_is_empty(&batch->objects) || !list_is_empty(&batch->next);
}

static void postpone(struct worker *worker, struct object *object, enum report_patience patience) {
	struct report_batch *batch = &worker->reports.later[patience];
	int64_t at_ns = worker->now.mono_ns + PATIENCE_NS[patience];
	if (!is_anybody_in(batch)) batch->at_ns = at_ns;
	list_push_back(batch->at_ns >= at_ns ? &batch->objects : &batch->next, &object->report);
}

static struct report *find(const struct worker *worker, const struct object *object) {
	list_for_each (link, &worker->reports.under_way) {
		struct report *report = container_of(link, struct report, link);
		if (report->object == object) return report;
	}
	return NULL;
}

void report_due(struct worker *worker, struct object *object) {
	struct report *report = find(worker, object);
	if (object->unreported) metric_add(METRIC_STATUS_REPLACED, 1);
	object->unreported = true;
	if (report) {
		report->changed = true;
		return;
	}
	/* One that stood among the calm has news now. */
	if (object->in_calm_line && !is_calm(object)) dequeue(worker, object);
	if (!list_is_linked(&object->report)) enqueue(worker, object);
}

void report_arrived(struct worker *worker, struct object *object) {
	if (object->unreported && !list_is_linked(&object->report))
		postpone(worker, object, REPORT_SOON);
}

static void report_free(struct report *report) {
	gate_cancel(&report->call);
	kube_call_deinit(&report->kube);
	list_remove(&report->link);
	report->worker->reports.under_way_count--;
	mem_free(report);
}

void report_leave(struct worker *worker, struct object *object) {
	struct report *report = find(worker, object);
	if (report) report_free(report);
	dequeue(worker, object);
}

static void note_sent(const struct worker *worker, struct object *object) {
	object->reported_at = object_report_clock(worker->now.mono_ns);
}

/* --- one write --- */

static void tell_event(struct worker *worker, struct object *object, const struct condition *was) {
	struct condition *ready = &object->status.conditions[CONDITION_READY];
	if (!event_is_due(was, ready)) return;
	struct spec *spec = spec_borrow(object);
	if (spec) event_send(worker, spec, ready);
	spec_unref(spec);
}

static void written(struct report *report) {
	struct object *object = report->object;
	struct condition was = { .value = object->told_value, .reason = object->told_reason };
	metric_add(METRIC_STATUS_WRITES, 1);
	object->report_failed = false;
	if (report->changed) {
		/* What has come since decides what is told by an Event. */
		enqueue(report->worker, object);
		return;
	}
	object->unreported = false;
	object->told_value = (uint8_t)report->ready.value;
	object->told_reason = (uint8_t)report->ready.reason;
	tell_event(report->worker, object, &was);
}

static void refused(struct report *report, const struct fault *fault) {
	struct worker *worker = report->worker;
	struct object *object = report->object;
	metric_add(METRIC_STATUS_FAILURES, 1);
	/* The gate waits for as long as the server asks, or until it can be reached. */
	if (fault->err == ERR_THROTTLED || worker->kube_gate.open) {
		enqueue(worker, object);
		return;
	}
	if (!object->report_failed)
		log_warn("status could not be written, it is tried again",
			kv("secretsync", object->key), kv("cause", fault->text));
	object->report_failed = true;
	postpone(worker, object, err_retry(fault->err) == RETRY_SLOW ? REPORT_SLOW : REPORT_SOON);
}

static enum err read_answer(const struct report *report, struct fault *fault) {
	char what[WHAT_BYTES];
	if (kube_succeeded(&report->kube)) return OK;
	snprintf(what, sizeof what, "write the status of SecretSync %s", report->object->key);
	return kube_result(&report->kube, fault, what);
}

static void answered(struct gate_call *call) {
	struct report *report = container_of(call, struct report, call);
	struct worker *worker = report->worker;
	struct fault fault = { 0 };
	note_sent(worker, report->object);
	if (read_answer(report, &fault))
		refused(report, &fault);
	else
		written(report);
	report_free(report);
	worker->again = true;
}

static enum err build(struct report *report, const struct spec *spec) {
	struct worker *worker = report->worker;
	const struct status *status = &report->object->status;
	struct buf json;
	buf_init(&json, STATUS_BYTES);
	status_write(status, worker->settings.names, spec_uid(spec), &json);
	enum err err = buf_err(&json);
	if (!err) {
		err = kube_status_patch(&report->kube, worker->pool->options.kube, spec->common->ns,
			spec->name, spec_uid(spec), buf_str(&json));
	}
	buf_deinit(&json);
	report->ready = status->conditions[CONDITION_READY];
	report->ready.message = NULL;
	return err;
}

static enum err start(struct worker *worker, struct object *object, const struct spec *spec) {
	struct report *report = mem_zalloc(sizeof *report);
	if (!report) return ERR_NOMEM;
	report->worker = worker;
	report->object = object;
	list_push_back(&worker->reports.under_way, &report->link);
	worker->reports.under_way_count++;
	enum err err = build(report, spec);
	if (err) {
		report_free(report);
		return err;
	}
	note_sent(worker, object);
	report->kube.http.timeout_ns = worker->settings.kube_timeout_ns;
	report->call.req = &report->kube.http;
	report->call.on_done = answered;
	report->call.lane = LANE_BEHIND;
	gate_start(&worker->kube_gate, &report->call);
	return OK;
}

static void see_backlog(struct worker *worker) {
	struct reports *reports = &worker->reports;
	if (worker->waiting[CLASS_NEW] < BACKLOG)
		reports->backlog_ns = 0;
	else if (!reports->backlog_ns)
		reports->backlog_ns = worker->now.mono_ns;
}

/* Until when those that have no news wait. */
static int64_t calm_from_ns(const struct worker *worker) {
	int64_t since_ns = worker->reports.backlog_ns;
	return since_ns && !worker->stopping ? since_ns + CALM_NS : 0;
}

/* NULL: nobody is to be sent now. */
static struct object *next_in_line(const struct worker *worker) {
	const struct reports *reports = &worker->reports;
	bool calm = calm_from_ns(worker) <= worker->now.mono_ns;
	struct list *first = list_first(&reports->waiting);
	if (!first && calm) first = list_first(&reports->calm);
	return first ? container_of(first, struct object, report) : NULL;
}

static void send(struct worker *worker, struct object *object) {
	struct spec *spec = spec_borrow(object);
	dequeue(worker, object);
	/* Nobody is left to tell. */
	if (!spec || spec->deleting)
		object->unreported = false;
	else if (start(worker, object, spec))
		postpone(worker, object, REPORT_SOON);
	spec_unref(spec);
}

void report_put_back(struct worker *worker) {
	list_for_each_safe (link, &worker->reports.under_way) {
		struct report *report = container_of(link, struct report, link);
		struct object *object = report->object;
		if (gate_has_sent(&report->call)) continue;
		report_free(report);
		enqueue(worker, object);
	}
}

/* --- the turn --- */

static int64_t earlier(int64_t a, int64_t b) {
	return a < b ? a : b;
}

static int64_t begin_next(struct worker *worker, struct report_batch *batch, int64_t patience_ns) {
	if (list_is_empty(&batch->next)) return NEVER_NS;
	list_splice(&batch->objects, &batch->next);
	batch->at_ns = worker->now.mono_ns + patience_ns;
	return batch->at_ns;
}

/* True: there are more of them. */
static bool end_some(struct worker *worker, struct report_batch *batch) {
	struct list *link;
	for (int i = 0; i < ENDS_PER_TURN && (link = list_pop(&batch->objects)); i++)
		enqueue(worker, container_of(link, struct object, report));
	return !list_is_empty(&batch->objects);
}

/* Puts those in line again whose pause is over; returns when the next one is. */
static int64_t end_pauses(struct worker *worker) {
	int64_t next_ns = NEVER_NS;
	for (int i = 0; i < REPORT_BATCHES; i++) {
		struct report_batch *batch = &worker->reports.later[i];
		if (!is_anybody_in(batch)) continue;
		if (batch->at_ns > worker->now.mono_ns) {
			next_ns = earlier(next_ns, batch->at_ns);
			continue;
		}
		bool more = end_some(worker, batch);
		next_ns = earlier(next_ns,
			more ? worker->now.mono_ns : begin_next(worker, batch, PATIENCE_NS[i]));
	}
	return next_ns;
}

static int64_t pace_ns(struct worker *worker) {
	double rate_per_s = worker->settings.status_writes_per_s, burst = rate_per_s * BURST_S;
	if (rate_per_s <= 0) return 0;
	return pace_wait_ns(&worker->pool->status_pace, &worker->reports.slot, rate_per_s,
		burst > 1 ? burst : 1, worker->now.mono_ns);
}

void report_repace(struct worker *worker) {
	worker->reports.slot = (struct pace_slot){ 0 };
	pace_renew(&worker->pool->status_pace, worker->now.mono_ns);
}

int64_t report_turn(struct worker *worker) {
	struct reports *reports = &worker->reports;
	const struct gate *gate = &worker->kube_gate;
	int64_t next_ns = end_pauses(worker);
	struct fault fault;
	if (worker->paused) return NEVER_NS;
	see_backlog(worker);
	/* One that is paced and waits in the gate, for its server or a place, is enough: more would go all at once afterwards. */
	struct object *object;
	while ((object = next_in_line(worker)) && reports->under_way_count < IN_FLIGHT &&
		!gate->lanes[LANE_BEHIND].waiting) {
		if (!gate_admits(gate, &fault)) {
			int64_t again_ns = gate_ask_again_ns(gate);
			return again_ns < next_ns ? again_ns : next_ns;
		}
		int64_t wait_ns = pace_ns(worker);
		if (wait_ns) {
			int64_t at_ns = worker->now.mono_ns + wait_ns;
			return at_ns < next_ns ? at_ns : next_ns;
		}
		send(worker, object);
	}
	int64_t calm_ns = list_is_empty(&reports->calm) ? NEVER_NS : calm_from_ns(worker);
	return calm_ns > worker->now.mono_ns && calm_ns < next_ns ? calm_ns : next_ns;
}

/* --- the end --- */

bool report_is_done(const struct worker *worker) {
	const struct reports *reports = &worker->reports;
	bool stuck = worker->kube_gate.open || worker->paused;
	return !reports->under_way_count && (!reports->waiting_count || stuck);
}

void report_cancel_all(struct worker *worker) {
	struct reports *reports = &worker->reports;
	list_for_each_safe (link, &reports->under_way)
		report_free(container_of(link, struct report, link));
	struct list *link;
	while ((link = list_first(&reports->waiting)) || (link = list_first(&reports->calm)))
		dequeue(worker, container_of(link, struct object, report));
	for (int i = 0; i < REPORT_BATCHES; i++) {
		while (list_pop(&reports->later[i].objects)) {
		}
		while (list_pop(&reports->later[i].next)) {
		}
	}
}
