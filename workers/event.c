#include "workers/event.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "workers/worker.h"

enum {
	IN_FLIGHT =
		4, /* of a worker: an API server that does not answer is not kept busy by Events */
	NAME_BYTES = 253, /* of an object in Kubernetes */
	SUFFIX_BYTES = 17,
};

static const int64_t TIMEOUT_NS = 10 * NS_PER_S;

struct event {
	struct list link; /* in worker->events */
	struct worker *worker;
	struct kube_call kube;
	struct gate_call call;
};

bool event_is_due(const struct condition *before, const struct condition *after) {
	if (before->value == after->value && before->reason == after->reason) return false;
	return before->value != CONDITION_TRUE || after->reason != REASON_UPDATE_NO_CHANGE;
}

static void event_free(struct event *event) {
	gate_cancel(&event->call);
	kube_call_deinit(&event->kube);
	list_remove(&event->link);
	event->worker->event_count--;
	mem_free(event);
}

static void answered(struct gate_call *call) {
	struct event *event = container_of(call, struct event, call);
	struct fault fault = { 0 };
	if (kube_result(&event->kube, &fault, "create an Event")) {
		metric_add(METRIC_EVENTS_FAILED, 1);
		log_debug("an Event was not taken", kv("cause", fault.text));
	} else {
		metric_add(METRIC_EVENTS_WRITTEN, 1);
	}
	event_free(event);
}

/* Room for one, of this worker's share. All Events of a moment may come from one worker, so that the burst is the whole. */
static bool within_budget(struct worker *worker) {
	double rate_per_s = worker->settings.events_per_s / worker->pool->count;
	int64_t now_ns = worker->now.mono_ns;
	struct fault fault = { 0 };
	if (worker->event_limit.ceiling_per_s != rate_per_s) {
		double burst =
			worker->settings.events_per_s > 1 ? worker->settings.events_per_s : 1;
		ratelimit_init(&worker->event_limit, rate_per_s, burst, now_ns);
	}
	if (worker->event_count >= IN_FLIGHT) return false;
	if (!gate_admits(&worker->kube_gate, &fault) || worker->kube_gate.open) return false;
	return ratelimit_take(&worker->event_limit, now_ns) == 0;
}

static bool is_alphanumeric(char c) {
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* The SecretSync's name, cut where it is too long, and a number that no other turn of a condition has. */
static void write_name(const struct worker *worker, const struct spec *spec, const char *reason,
	char out_name[static NAME_BYTES + 1]) {
	char turn[256];
	int len = snprintf(turn, sizeof turn, "%.*s %s %" PRId64, STR_ARG(spec_uid(spec)), reason,
		worker->now.wall_ns);
	uint64_t number = hash64_stable((struct str){ turn, (size_t)len });
	struct str name = str_slice(spec->name, 0, NAME_BYTES - SUFFIX_BYTES);
	while (name.len && !is_alphanumeric(name.ptr[name.len - 1])) name.len--;
	snprintf(out_name, NAME_BYTES + 1, "%.*s.%016" PRIx64, STR_ARG(name), number);
}

static enum err event_build(
	struct event *event, const struct spec *spec, const struct condition *ready) {
	struct worker *worker = event->worker;
	const char *reason = reason_name(worker->settings.names, ready->reason);
	char name[NAME_BYTES + 1];
	write_name(worker, spec, reason, name);
	return kube_event_create(&event->kube, worker->pool->options.kube,
		&(struct kube_event){ .name = str_of(name),
			.ns = spec->common->ns,
			.sync_name = spec->name,
			.sync_uid = spec_uid(spec),
			.reason = str_of(reason),
			.message = str_of(ready->message),
			.warning = ready->value != CONDITION_TRUE,
			.at_s = worker->now.wall_ns / NS_PER_S });
}

void event_send(struct worker *worker, const struct spec *spec, const struct condition *ready) {
	if (worker->settings.events_per_s <= 0) return;
	struct event *event = within_budget(worker) ? mem_zalloc(sizeof *event) : NULL;
	if (!event) goto dropped;
	event->worker = worker;
	list_push_back(&worker->events, &event->link);
	worker->event_count++;
	if (event_build(event, spec, ready)) {
		event_free(event);
		goto dropped;
	}
	event->kube.http.timeout_ns = TIMEOUT_NS;
	event->call.req = &event->kube.http;
	event->call.on_done = answered;
	event->call.lane = LANE_BEHIND;
	gate_start(&worker->kube_gate, &event->call);
	return;
dropped:
	metric_add(METRIC_EVENTS_DROPPED, 1);
}

void event_cancel_all(struct worker *worker) {
	list_for_each_safe (link, &worker->events)
		event_free(container_of(link, struct event, link));
}
