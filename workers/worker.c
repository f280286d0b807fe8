#include "workers/worker.h"

#include <assert.h>

#include "workers/event.h"
#include "workers/sync.h"

enum {
	FIRES_PER_TURN = 512,
	STARTS_PER_TURN = 256,
};

/* Requests to the API server at once. Whatever arrives on an HTTP/2 connection makes libcurl look at every request on it, so
 * that many at once cost more than they gain: with 64 a sync takes half as much CPU again. */
enum { KUBE_IN_FLIGHT = 16 };

/* While writes of Secrets stand in line: so many reconciles under way, and no further one begins. Each holds values in memory. */
enum { SYNCS_BEHIND_WRITES = 128 };

static const int64_t SWEEP_NS = 60 * NS_PER_S;

/* --- dispatch --- */

static void start_object(struct worker *worker, struct object *object) {
	/* Queued meanwhile: then it is in the inbox, and comes back with what is new. */
	if (!queue_begin(&object->item)) return;
	if (sync_start(worker, object) == OK) return;
	shard_enqueue(object->shard, object, CLASS_RETRY);
	queue_done(&object->item);
}

static bool writes_wait(const struct worker *worker) {
	return worker->kube_gate.lanes[LANE_WRITE].waiting > 0;
}

static bool has_room(const struct worker *worker) {
	return !writes_wait(worker) || worker->sync_count < SYNCS_BEHIND_WRITES;
}

/* Where writes are what all wait for, a vault's share of a class is one of few places: so classes share the places, too. */
static void share_room(struct worker *worker, enum object_class class) {
	bool behind = false;
	for (int i = 0; i < CLASS_COUNT; i++) {
		int64_t *owed = &worker->room_owed[i];
		bool waits = worker->waiting[i] > 0;
		*owed = behind && waits ? *owed + 1 : 0;
		if (behind && waits && i == (int)class) *owed -= SHARE_TURNS;
		behind |= waits;
	}
}

static void begin_object(struct worker *worker, struct object *object) {
	if (!class_pace_admits(object)) return;
	if (writes_wait(worker)) share_room(worker, object->wait_class);
	start_object(worker, object);
}

/* One of a class that is owed a place, wherever it is; its vault goes behind the others. */
static struct object *next_owed(struct worker *worker) {
	int class = 1;
	while (class < CLASS_COUNT && worker->room_owed[class] < SHARE_TURNS - 1) class ++;
	if (class == CLASS_COUNT || !writes_wait(worker) || !has_room(worker)) return NULL;
	list_for_each (link, &worker->shard_list) {
		struct shard *shard = container_of(link, struct shard, all);
		if (!shard->waiting[class] || !shard_has_room(shard)) continue;
		list_remove(link);
		list_push_back(&worker->shard_list, link);
		return shard_next_of(shard, (enum object_class) class);
	}
	return NULL;
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
		begin_object(worker, object);
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
		struct object *owed = next_owed(worker);
		if (owed) begin_object(worker, owed);
		unsigned started = owed ? 1 : dispatch_round(worker, budget);
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

/* One reading for the whole turn: nothing that was put back goes out later in it. */
static void see_pause(struct worker *worker) {
	bool was = worker->paused;
	worker->paused = atomic_load_explicit(&worker->pool->paused, memory_order_relaxed);
	if (was || !worker->paused) return;
	sync_put_back_writes(worker);
	report_put_back(worker);
}

static int64_t secret_unseen_ns(const struct worker *worker) {
	if (worker->secret_list || list_is_empty(&worker->seen_order)) return 0;
	const struct object *oldest =
		container_of(list_first(&worker->seen_order), struct object, seen_order);
	return worker->now.mono_ns - oldest->secret_seen_ns;
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
	worker_read_settings(worker);
	see_pause(worker);
	see_stop(worker);
	http_turn(worker->http, now);
	bool more = worker_take_inbox(worker);
	timers_fire(&worker->timers, now.mono_ns, FIRES_PER_TURN);
	worker->again = false;
	worker_replan_slice(worker);
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
	worker->count = pool->count;
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
			.trials = &pool->kube_trials,
			.wake = schedule_waiter_woken,
		});
	worker_pace_writes(worker);
	enum err err = timers_reserve(&worker->timers, WORKER_TIMERS);
	if (!err) err = timer_set(&worker->timers, &worker->sweep, worker->now.mono_ns + SWEEP_NS);
	if (!err) looks_init(worker);
	return err;
}

void worker_release(struct worker *worker) {
	bool busy;
	struct queue_item *item;
	assert(worker->sync_count == 0);
	do {
		while ((item = queue_take(&worker->queue, &busy))) {
			worker_let_go(worker, container_of(item, struct object, item));
		}
	} while (busy);
	list_for_each_safe (link, &worker->objects)
		worker_let_go(worker, container_of(link, struct object, all));
}

void worker_deinit(struct worker *worker) {
	if (!worker->pool) return;
	timer_stop(&worker->timers, &worker->sweep);
	looks_deinit(worker);
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
