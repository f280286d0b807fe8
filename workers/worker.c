#include "workers/worker.h"

#include <assert.h>

#include "base/log.h"
#include "workers/event.h"
#include "workers/secret_seen.h"
#include "workers/sync.h"

enum {
	TAKES_PER_TURN = 512,
	FIRES_PER_TURN = 512,
	STARTS_PER_TURN = 256,
	REPLANS_PER_TURN = 256,
};

/* Requests to the API server at once. Whatever arrives on an HTTP/2 connection makes libcurl look at every request on it, so
 * that many at once cost more than they gain: with 64 a sync takes half as much CPU again. */
enum { KUBE_IN_FLIGHT = 16 };

/* While writes of Secrets stand in line: so many reconciles under way, and no further one begins. Each holds values in memory. */
enum { SYNCS_BEHIND_WRITES = 128 };

/* Of the writes of a second, what may go at once after a rest. */
static const double WRITE_BURST_S = 0.1;

static const int64_t SWEEP_NS = 60 * NS_PER_S;

/* --- the inbox --- */

/* What the worker keeps about an object that goes elsewhere, or for good. */
static void let_go(struct worker *worker, struct object *object) {
	timer_stop(&worker->timers, &object->timer);
	report_leave(worker, object);
	shard_dequeue(object);
	shard_leave(object);
	if (list_is_linked(&object->all)) worker->object_count--;
	list_remove(&object->all);
	list_remove(&object->seen_order);
}

static void retire(struct worker *worker, struct object *object) {
	struct pool *pool = worker->pool;
	let_go(worker, object);
	/* The item stays held: nobody adds any more, and main frees it. */
	bool was_empty = inbox_push(&pool->retired, queue_item_node(&object->item));
	if (was_empty && pool->options.doors.wake_main)
		pool->options.doors.wake_main(pool->options.doors.arg);
}

static struct worker *home_of(struct pool *pool, const struct spc *spc) {
	bool placed = spc && spc->access->fault.len == 0;
	return &pool->workers[placed ? spc->access->home_hash % pool->count : 0];
}

/* Equal for objects of one identity, which a namespace is part of. */
static uint32_t identity_hash(const struct spec *spec, const struct spc *spc) {
	const struct spc_access *access = spc ? spc->access : NULL;
	uint64_t hash =
		hash64_stable(spec->common->ns) * 31 + hash64_stable(spec->common->service_account);
	if (access) {
		hash = (hash * 31 + hash64_stable(access->client_id)) * 31 +
		       hash64_stable(access->tenant);
		hash = (hash * 31 + hash64_stable(access->secret_name)) * 31 +
		       (uint64_t)access->identity;
	}
	return (uint32_t)(hash ^ hash >> 32);
}

static enum err enter_shard(struct worker *worker, struct object *object, const struct spec *spec,
	const struct spc *spc) {
	struct shard *shard = NULL;
	struct str url = spc && spc->access->fault.len == 0 ? spc->access->vault_url : STR("");
	enum err err = shard_get(worker, url, &shard);
	if (err) return err;
	object->identity_hash = identity_hash(spec, spc);
	object->paced = spc && spc->requests_per_10s;
	/* The pace may be another one by now. */
	if (object->held) shard_dequeue(object);
	if (object->shard == shard) return OK;
	shard_leave(object);
	object->shard = shard;
	shard->objects++;
	return OK;
}

static enum object_class class_of(const struct object *object) {
	if (object->attempted) return CLASS_CHANGED;
	return status_has_synced(&object->status) ? CLASS_PERIODIC : CLASS_NEW;
}

void worker_saw_secret(struct worker *worker, struct object *object) {
	list_remove(&object->seen_order);
	list_push_back(&worker->seen_order, &object->seen_order);
	object->secret_seen_ns = worker->now.mono_ns;
}

static int64_t secret_unseen_ns(const struct worker *worker) {
	if (worker->secret_list || list_is_empty(&worker->seen_order)) return 0;
	const struct object *oldest =
		container_of(list_first(&worker->seen_order), struct object, seen_order);
	return worker->now.mono_ns - oldest->secret_seen_ns;
}

static enum err arrive(struct worker *worker, struct object *object) {
	if (list_is_linked(&object->all)) return OK;
	enum err err =
		timers_reserve(&worker->timers, worker->object_count + worker->scan_count + 2);
	if (err) return err;
	timer_init(&object->timer, schedule_timer_fired);
	list_push_back(&worker->objects, &object->all);
	if (status_has_synced(&object->status)) worker_saw_secret(worker, object);
	worker->object_count++;
	report_arrived(worker, object);
	return OK;
}

static void take_object(struct worker *worker, struct object *object) {
	struct spc *spc = NULL;
	struct spec *spec = spec_borrow(object);
	if (queue_is_closed(&object->item)) {
		assert(!spec);
		retire(worker, object);
		return;
	}
	if (spec && spec->cell) spc = spc_borrow(spec->cell);
	struct worker *home = home_of(worker->pool, spc);
	if (home != worker) {
		let_go(worker, object);
		queue_move(&object->item, &home->queue);
	} else if (spec && !spec->deleting) {
		if (object_hear(object, worker->now.mono_ns)) report_leave(worker, object);
		enum err err = arrive(worker, object);
		if (!err) err = enter_shard(worker, object, spec, spc);
		object->failures = 0;
		object->away = false;
		if (!err) schedule_with_jitter(worker, object, class_of(object));
		/* Out of memory: it stays in the inbox and is tried again next turn. */
		if (err) queue_add(&object->item);
	} else {
		timer_stop(&worker->timers, &object->timer);
		shard_dequeue(object);
	}
	spec_unref(spec);
	spc_unref(spc);
	queue_done(&object->item);
}

/* True when there may be more. */
static bool take_inbox(struct worker *worker) {
	bool busy = false;
	for (int i = 0; i < TAKES_PER_TURN; i++) {
		struct queue_item *item = queue_take(&worker->queue, &busy);
		if (!item) return busy;
		take_object(worker, container_of(item, struct object, item));
	}
	return true;
}

/* --- dispatch --- */

static void start_object(struct worker *worker, struct object *object) {
	/* Queued meanwhile: then it is in the inbox, and comes back with what is new. */
	if (!queue_begin(&object->item)) return;
	if (sync_start(worker, object) == OK) return;
	shard_enqueue(object->shard, object, CLASS_RETRY);
	queue_done(&object->item);
}

static bool has_room(const struct worker *worker) {
	return !worker->kube_gate.lanes[LANE_WRITE].waiting ||
	       worker->sync_count < SYNCS_BEHIND_WRITES;
}

/* Who was not reached comes first the next time. */
static void begin_with(struct worker *worker, struct list *shard) {
	list_remove(&worker->shard_list);
	list_push_back(shard, &worker->shard_list);
}

/* Round robin over the vaults, one object each, so that no vault waits for another. */
static unsigned dispatch_round(struct worker *worker, unsigned budget) {
	unsigned started = 0;
	list_for_each_safe (link, &worker->shard_list) {
		struct shard *shard = container_of(link, struct shard, all);
		if (started == budget || !has_room(worker)) {
			begin_with(worker, link);
			break;
		}
		if (!shard->ready_count || !shard_has_room(shard)) continue;
		struct object *object = shard_next(shard);
		if (!object) continue;
		if (class_pace_admits(object)) start_object(worker, object);
		started++;
	}
	return started;
}

/* True when the budget ended it. */
static bool dispatch(struct worker *worker) {
	unsigned budget = STARTS_PER_TURN;
	if (worker->stopping) return false;
	if (worker->paused) return false;
	while (budget) {
		unsigned started = dispatch_round(worker, budget);
		if (!started) return false;
		budget -= started;
	}
	return true;
}

static int64_t earlier(int64_t a, int64_t b) {
	return a < b ? a : b;
}

static int64_t pump_gates(struct worker *worker) {
	const struct gate_lane *behind = &worker->kube_gate.lanes[LANE_BEHIND];
	bool was_full = !has_room(worker), was_behind = behind->waiting > 0;
	int64_t next_ns = gate_pump(&worker->kube_gate);
	/* A line is gone: what was not begun for want of room is begun now. */
	if ((was_full && has_room(worker)) || (was_behind && !behind->waiting))
		worker->again = true;
	list_for_each (link, &worker->endpoints) {
		next_ns = earlier(
			next_ns, gate_pump(&container_of(link, struct endpoint, all)->gate));
	}
	worker->reads_waiting = 0;
	list_for_each (link, &worker->shard_list) {
		struct shard *shard = container_of(link, struct shard, all);
		scan_turn(shard);
		next_ns = earlier(next_ns, class_paces_turn(shard));
		next_ns = earlier(next_ns, gate_pump(&shard->gate));
		worker->reads_waiting += gate_waiting(&shard->gate);
	}
	return next_ns;
}

/* --- stop --- */

static void see_stop(struct worker *worker) {
	struct pool *pool = worker->pool;
	if (worker->stopping || !atomic_load_explicit(&pool->stop, memory_order_acquire)) return;
	worker->stopping = true;
	scan_stop_all(worker);
	worker->drain_until_ns =
		worker->now.mono_ns + atomic_load_explicit(&pool->drain_ns, memory_order_relaxed);
}

static int64_t drain(struct worker *worker) {
	if (!worker->stopping) return NEVER_NS;
	if (worker->now.mono_ns < worker->drain_until_ns) return worker->drain_until_ns;
	list_for_each_safe (link, &worker->syncs)
		sync_cancel(container_of(link, struct sync, link));
	event_cancel_all(worker);
	report_cancel_all(worker);
	return NEVER_NS;
}

bool worker_is_drained(const struct worker *worker) {
	return worker->stopping && worker->sync_count == 0 && worker->event_count == 0 &&
	       report_is_done(worker);
}

/* --- the turn --- */

double write_burst(const struct settings *settings) {
	double burst = settings->kube_writes_per_s * WRITE_BURST_S;
	return burst > 1 ? burst : 1;
}

static void pace_writes(struct worker *worker) {
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
	pace_writes(worker);
	if (now->breaker_interval_ns != old->breaker_interval_ns)
		set_breakers(worker, now->breaker_interval_ns);
	if (now->status_writes_per_s != old->status_writes_per_s) report_repace(worker);
	if (interval) worker->replan = worker->object_count;
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

static void read_settings(struct worker *worker) {
	read_snapshot(worker);
	bool watch = worker->settings.drift == DRIFT_WATCH;
	uint32_t list = atomic_load_explicit(&worker->pool->secret_list, memory_order_acquire);
	worker->secret_list = watch ? list : 0;
	if (worker->secret_list == worker->walked_list) return;
	worker->walked_list = worker->secret_list;
	if (worker->secret_list) worker->replan = worker->object_count;
}

/* One reading for the whole turn: nothing that was put back goes out later in it. */
static void see_pause(struct worker *worker) {
	bool was = worker->paused;
	worker->paused = atomic_load_explicit(&worker->pool->paused, memory_order_relaxed);
	if (was || !worker->paused) return;
	sync_put_back_writes(worker);
	report_put_back(worker);
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
static void replan_slice(struct worker *worker) {
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

static void publish(struct worker *worker) {
	const memory_order relaxed = memory_order_relaxed;
	atomic_store_explicit(&worker->published.objects, worker->object_count, relaxed);
	atomic_store_explicit(&worker->published.running, worker->sync_count, relaxed);
	atomic_store_explicit(&worker->published.writes_waiting,
		worker->kube_gate.lanes[LANE_WRITE].waiting, relaxed);
	atomic_store_explicit(&worker->published.reads_waiting, worker->reads_waiting, relaxed);
	atomic_store_explicit(&worker->published.statuses_waiting,
		worker->reports.waiting_count + worker->reports.under_way_count, relaxed);
	atomic_store_explicit(
		&worker->published.secret_unseen_ns, secret_unseen_ns(worker), relaxed);
	for (int i = 0; i < CLASS_COUNT; i++)
		atomic_store_explicit(&worker->published.waiting[i], worker->waiting[i], relaxed);
}

int64_t worker_turn(struct worker *worker, struct now now) {
	assert_home(worker);
	worker->now = now;
	read_settings(worker);
	see_pause(worker);
	see_stop(worker);
	http_turn(worker->http, now);
	bool more = take_inbox(worker);
	timers_fire(&worker->timers, now.mono_ns, FIRES_PER_TURN);
	worker->again = false;
	replan_slice(worker);
	more |= dispatch(worker);
	int64_t next_ns = report_turn(worker);
	next_ns = earlier(next_ns, pump_gates(worker));
	next_ns = earlier(next_ns, drain(worker));
	next_ns = earlier(next_ns, http_turn(worker->http, now));
	next_ns = earlier(next_ns, timers_next_ns(&worker->timers));
	publish(worker);
	return more || worker->again ? 0 : next_ns;
}

/* --- life --- */

static void sweep(struct timer *timer) {
	struct worker *worker = container_of(timer, struct worker, sweep);
	identity_sweep(worker);
	shard_sweep(worker);
	/* Room for this timer is always reserved. */
	enum err err = timer_set(&worker->timers, &worker->sweep, worker->now.mono_ns + SWEEP_NS);
	assert(!err);
}

static void wake_by_door(struct queue *queue) {
	struct worker *worker = container_of(queue, struct worker, queue);
	const struct pool_doors *doors = &worker->pool->options.doors;
	if (doors->wake) doors->wake(doors->arg, worker->index);
}

static struct str shard_key(const struct map_node *node) {
	return str_of(container_of(node, struct shard, node)->url);
}

static struct str identity_map_key(const struct map_node *node) {
	return str_of(container_of(node, struct identity, node)->key);
}

static void init_lists(struct worker *worker) {
	timers_init(&worker->timers);
	map_init(&worker->shards, worker->pool->hash_key, shard_key);
	map_init(&worker->identities, worker->pool->hash_key, identity_map_key);
	list_init(&worker->shard_list);
	list_init(&worker->identity_list);
	list_init(&worker->endpoints);
	list_init(&worker->objects);
	list_init(&worker->seen_order);
	list_init(&worker->syncs);
	list_init(&worker->events);
	reports_init(&worker->reports);
	timer_init(&worker->sweep, sweep);
}

enum err worker_init(struct worker *worker, struct pool *pool, unsigned index) {
	const struct pool_doors *doors = &pool->options.doors;
	worker->pool = pool;
	worker->index = index;
	worker->settings = pool->options.settings;
	worker->settings.vault_groups = NULL;
	worker->now = clock_now(doors->clock);
	init_lists(worker);
	if (doors->seed) rng_seed(&worker->rng, doors->seed + index);
	if (!doors->seed) rng_seed_system(&worker->rng);
	if (doors->make_loop) worker->loop = doors->make_loop(doors->arg, index);
	queue_init(&worker->queue, worker->loop);
	if (doors->make_loop && !worker->loop) return ERR_NOMEM;
	if (!worker->loop) worker->queue.wake = wake_by_door;
	worker->arena = secret_arena_create(WORKER_ARENA_BYTES);
	worker->http = doors->make_http(doors->arg, index, worker->loop);
	if (!worker->arena || !worker->http) return ERR_NOMEM;
	gate_init(&worker->kube_gate,
		&(struct gate_options){
			.name = pool->options.kube->server,
			.http = worker->http,
			.now = &worker->now,
			.max_in_flight = KUBE_IN_FLIGHT,
			.breaker_interval_ns = worker->settings.breaker_interval_ns,
			.pause = &pool->kube_pause,
			.wake = schedule_waiter_woken,
		});
	pace_writes(worker);
	enum err err = timers_reserve(&worker->timers, 1);
	return err ? err
		   : timer_set(&worker->timers, &worker->sweep, worker->now.mono_ns + SWEEP_NS);
}

void worker_release(struct worker *worker) {
	bool busy;
	struct queue_item *item;
	assert(worker->sync_count == 0);
	do {
		while ((item = queue_take(&worker->queue, &busy))) {
			let_go(worker, container_of(item, struct object, item));
		}
	} while (busy);
	list_for_each_safe (link, &worker->objects)
		let_go(worker, container_of(link, struct object, all));
}

void worker_deinit(struct worker *worker) {
	if (!worker->pool) return;
	timer_stop(&worker->timers, &worker->sweep);
	scan_stop_all(worker);
	identity_destroy_all(worker);
	shard_destroy_all(worker);
	endpoint_destroy_all(worker);
	if (worker->kube_gate.http) gate_deinit(&worker->kube_gate);
	http_destroy(worker->http);
	map_deinit(&worker->shards);
	map_deinit(&worker->identities);
	timers_deinit(&worker->timers);
	secret_arena_destroy(worker->arena);
	queue_deinit(&worker->queue);
	loop_destroy(worker->loop);
}

unsigned worker_object_count(const struct worker *worker) {
	return worker->object_count;
}

unsigned worker_running_count(const struct worker *worker) {
	return worker->sync_count;
}

void worker_read_numbers(const struct worker *worker, struct worker_numbers *out_numbers) {
	const memory_order relaxed = memory_order_relaxed;
	*out_numbers = (struct worker_numbers){
		.objects = atomic_load_explicit(&worker->published.objects, relaxed),
		.running = atomic_load_explicit(&worker->published.running, relaxed),
		.writes_waiting = atomic_load_explicit(&worker->published.writes_waiting, relaxed),
		.reads_waiting = atomic_load_explicit(&worker->published.reads_waiting, relaxed),
		.statuses_waiting =
			atomic_load_explicit(&worker->published.statuses_waiting, relaxed),
		.secret_unseen_ns =
			atomic_load_explicit(&worker->published.secret_unseen_ns, relaxed),
	};
	for (int i = 0; i < CLASS_COUNT; i++) {
		out_numbers->waiting[i] =
			atomic_load_explicit(&worker->published.waiting[i], relaxed);
	}
	if (worker->loop) loop_read_turns(worker->loop, &out_numbers->turns);
}
