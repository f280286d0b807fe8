/* What a worker does when settings change under it, or a list of Secrets is complete. */
#include "workers/secret_seen.h"
#include "workers/worker.h"

enum { REPLANS_PER_TURN = 256 };

/* Of the writes of a second, what may go at once after a rest. */
static const double WRITE_BURST_S = 0.1;

double write_burst(const struct settings *settings) {
	double burst = settings->kube_writes_per_s * WRITE_BURST_S;
	return burst > 1 ? burst : 1;
}

void worker_pace_writes(struct worker *worker) {
	gate_set_pace(&worker->kube_gate, LANE_WRITE, &worker->pool->write_pace,
		worker->settings.kube_writes_per_s, write_burst(&worker->settings));
}

static void set_breakers(struct worker *worker, int64_t interval_ns) {
	gate_set_breaker(&worker->kube_gate, interval_ns);
	list_for_each (link, &worker->endpoints)
		gate_set_breaker(&container_of(link, struct endpoint, all)->gate, interval_ns);
	list_for_each (link, &worker->shard_list)
		gate_set_breaker(&container_of(link, struct shard, all)->gate, interval_ns);
}

/* What may have changed since the vault was met first. `now`: the snapshot, in a read section. */
static void apply_settings(
	struct worker *worker, const struct settings *old, const struct settings *now) {
	bool interval = now->poll_interval_ns != old->poll_interval_ns ||
			now->jitter_ns != old->jitter_ns ||
			now->change_detection != old->change_detection ||
			now->safety_polls != old->safety_polls || now->drift != old->drift;
	worker_pace_writes(worker);
	if (now->breaker_interval_ns != old->breaker_interval_ns)
		set_breakers(worker, now->breaker_interval_ns);
	if (now->status_writes_per_s != old->status_writes_per_s) report_repace(worker);
	if (interval) worker->replan = worker->object_count;
	looks_replan(worker);
	list_for_each (link, &worker->shard_list) {
		struct shard *shard = container_of(link, struct shard, all);
		shard_pace(shard, now);
		if (interval) scan_replan(shard);
	}
}

static void read_snapshot(struct worker *worker) {
	struct settings old = worker->settings;
	rcu_read_scope();
	const struct settings *now = rcu_load(worker->pool->settings);
	if (now->serial == old.serial) return;
	worker->settings = *now;
	worker->settings.vault_groups = NULL;
	apply_settings(worker, &old, now);
}

void worker_read_settings(struct worker *worker) {
	read_snapshot(worker);
	bool watch = worker->settings.drift == DRIFT_WATCH;
	uint32_t list = atomic_load_explicit(&worker->pool->secret_list, memory_order_acquire);
	worker->secret_list = watch ? list : 0;
	if (worker->secret_list == worker->walked_list) return;
	worker->walked_list = worker->secret_list;
	if (worker->secret_list) worker->replan = worker->object_count;
}

/* A Secret that the last list did not show is looked at, by an object that has none of its own trouble. */
static void miss_secret(struct worker *worker, struct object *object) {
	uint32_t list = worker->secret_list;
	if (!list || object->failures || !status_has_synced(&object->status)) return;
	if (!object->shard || !secret_is_lost(object, list)) return;
	if (object->sync)
		object->changed_meanwhile = true;
	else
		schedule_ready(object, CLASS_CHANGED);
}

/* Another interval or jitter gives it another moment; a change, which waits for the jitter alone, is never put off. */
static void replan(struct worker *worker, struct object *object) {
	if (object->sync || object->failures || !timer_is_set(&object->timer)) return;
	if (object->due == CLASS_NEW || object->due == CLASS_CHANGED)
		schedule_with_jitter(worker, object, object->due);
	if (object->due != CLASS_PERIODIC && object->due != CLASS_SAFETY) return;
	struct spec *spec = spec_borrow(object);
	if (spec) schedule_check(worker, object, spec);
	spec_unref(spec);
}

/* Other settings concern every object, and a list of Secrets may show that one is gone; a slice per turn. */
void worker_replan_slice(struct worker *worker) {
	for (int i = 0; i < REPLANS_PER_TURN && worker->replan; i++, worker->replan--) {
		struct list *node = list_pop(&worker->objects);
		if (!node) {
			worker->replan = 0;
			return;
		}
		list_push_back(&worker->objects, node);
		struct object *object = container_of(node, struct object, all);
		replan(worker, object);
		miss_secret(worker, object);
	}
	if (worker->replan) worker->again = true;
}
