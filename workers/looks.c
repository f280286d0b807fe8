#include "workers/looks.h"

#include <assert.h>

#include "workers/secret_seen.h"
#include "workers/worker.h"

/* Of objects that are passed over because they need no look, or can have none. */
enum { VISITS_PER_TURN = 1024 };
static const double LARGE_PART = 1.1;
/* Where that ends a turn that has found somebody, it goes on so much later. */
static const int64_t GO_ON_NS = 50 * NS_PER_MS;

/* --- the pace --- */

/* Its objects, of those of all. What others have may be as old as their last turn. */
static double part_of(const struct worker *worker) {
	const struct pool *pool = worker->pool;
	unsigned own = worker->object_count ? worker->object_count : 1, all = 0;
	for (unsigned i = 0; i < pool->count; i++) {
		const struct worker *other = &pool->workers[i];
		all += other == worker ? own
				       : atomic_load_explicit(
						 &other->published.objects, memory_order_relaxed);
	}
	return (double)own / all;
}

/* Whose part is larger than a turn of several has room for comes oftener. */
static unsigned turns_of(const struct worker *worker) {
	unsigned turns = schedule_turns(worker);
	return part_of(worker) * turns > LARGE_PART ? 1 : turns;
}

static int64_t turn_ns(const struct worker *worker) {
	return schedule_slot_ns(worker->looks.least_interval_ns, turns_of(worker));
}

bool looks_take(struct worker *worker) {
	int64_t slot_ns = turn_ns(worker) > NS_PER_S ? turn_ns(worker) : NS_PER_S;
	double most_per_s = worker->settings.drift_probes_per_s;
	double per_s = most_per_s * part_of(worker), per_turn = per_s * (double)slot_ns / NS_PER_S;
	if (per_turn > most_per_s) per_turn = most_per_s;
	/* What is left over by a turn is the next one's. Turns that are as far apart as probes are not to miss each other by a rounded
	 * nanosecond. */
	bool whole = per_turn >= 1 && per_turn - (double)(uint64_t)per_turn <= 0;
	double burst = per_turn + (whole ? 0.01 : 1);
	int64_t now_ns = worker->now.mono_ns;
	ratelimit_set_ceiling(&worker->looks.limit, per_s, burst, now_ns);
	return ratelimit_take(&worker->looks.limit, now_ns) == 0;
}

/* --- whose turn it is --- */

/* Where the object's own polls look, the poll that comes within the interval does. */
static bool is_due(struct worker *worker, struct object *object, bool covered) {
	if (worker->secret_list) return secret_is_unsettled(object);
	if (!list_is_linked(&object->seen_order)) return false;
	if (object->unlooked) return true;
	int64_t unseen_ns = worker->now.mono_ns - object->secret_seen_ns;
	if (unseen_ns < worker->looks.least_interval_ns / 2) return false;
	struct spec *spec = spec_borrow(object);
	if (!spec) return false;
	int64_t interval_ns = schedule_interval_ns(worker, spec);
	spec_unref(spec);
	return unseen_ns >= (covered ? interval_ns : interval_ns / 2);
}

/* Nothing but the look is to be done. A safety re-read that is about to come is not put off by it. */
static bool may_begin(struct worker *worker, const struct object *object, bool covered) {
	int64_t at_ns = timer_at_ns(&worker->timers, &object->timer);
	bool rests = object->due == CLASS_SAFETY || object->due == CLASS_PERIODIC;
	return covered && rests && timer_is_set(&object->timer) && !object->away &&
	       !scan_is_blind(object) && scan_state(object) == SCAN_READY &&
	       at_ns > worker->now.mono_ns + turn_ns(worker);
}

/* False: no more probes may be made. */
static bool visit(struct worker *worker, struct object *object, bool *io_found) {
	bool covered = scan_covers(object);
	if (!object->shard || object->sync || scan_is_undecided(object)) return true;
	if (!is_due(worker, object, covered)) return true;
	bool begins = may_begin(worker, object, covered);
	if (!object->may_look) {
		if (!looks_take(worker)) return false;
		*io_found = true;
	}
	object->may_look = true;
	/* Its timer goes on, so that a safety re-read keeps its moment. */
	if (begins) shard_enqueue(object->shard, object, CLASS_PERIODIC);
	return true;
}

/* When somebody may be due; the objects stand in the order in which they were seen, but for those of before the start. */
static int64_t next_due_ns(const struct worker *worker) {
	int64_t now_ns = worker->now.mono_ns;
	int64_t least_ns = worker->looks.least_interval_ns / 2;
	if (worker->secret_list) return now_ns;
	if (list_is_empty(&worker->seen_order)) return now_ns + least_ns;
	const struct object *oldest =
		container_of(list_first(&worker->seen_order), struct object, seen_order);
	return oldest->unlooked ? now_ns : oldest->secret_seen_ns + least_ns;
}

/* True: somebody was found, and there may be more. */
static bool take_turns(struct worker *worker) {
	bool found = false, all = worker->object_count <= VISITS_PER_TURN;
	unsigned most = all ? worker->object_count : VISITS_PER_TURN;
	for (unsigned i = 0; i < most; i++) {
		struct list *first = list_first(&worker->objects);
		if (!visit(worker, container_of(first, struct object, all), &found)) return false;
		list_remove(first);
		list_push_back(&worker->objects, first);
	}
	return !all && found;
}

/* Room for this timer is always reserved. */
static void set_timer(struct worker *worker, int64_t at_ns) {
	enum err err = timer_set(&worker->timers, &worker->looks.timer, at_ns);
	assert(!err);
}

static void set_turn(struct worker *worker, int64_t at_ns) {
	set_timer(worker, schedule_slot_at_ns(worker, at_ns, worker->looks.least_interval_ns,
				  turns_of(worker)));
}

static void turn(struct timer *timer) {
	struct worker *worker = container_of(timer, struct worker, looks.timer);
	int64_t now_ns = worker->now.mono_ns, due_ns = next_due_ns(worker);
	/* Who walks over the same list counts on its order. */
	bool may = !worker->stopping && !worker->paused && !worker->replan;
	if (may && due_ns <= now_ns && take_turns(worker))
		set_timer(worker, now_ns + GO_ON_NS);
	else
		set_turn(worker, due_ns > now_ns ? due_ns : now_ns + 1);
}

/* --- life --- */

static void hurry(struct worker *worker) {
	int64_t soon_ns = worker->now.mono_ns + turn_ns(worker);
	struct timer *timer = &worker->looks.timer;
	if (timer_at_ns(&worker->timers, timer) > soon_ns) set_turn(worker, soon_ns);
}

void looks_replan(struct worker *worker) {
	const struct settings *settings = &worker->settings;
	struct looks *looks = &worker->looks;
	if (settings->poll_interval_ns < looks->least_interval_ns)
		looks->least_interval_ns = settings->poll_interval_ns;
	if (settings->drift == DRIFT_OFF)
		timer_stop(&worker->timers, &looks->timer);
	else
		hurry(worker);
}

void looks_arrived(struct worker *worker, const struct spec *spec, bool unlooked) {
	int64_t interval_ns = schedule_interval_ns(worker, spec);
	bool shorter = interval_ns < worker->looks.least_interval_ns;
	if (shorter) worker->looks.least_interval_ns = interval_ns;
	if ((shorter || unlooked) && worker->settings.drift != DRIFT_OFF) hurry(worker);
}

void looks_init(struct worker *worker) {
	struct looks *looks = &worker->looks;
	timer_init(&looks->timer, turn);
	ratelimit_init(&looks->limit, worker->settings.drift_probes_per_s, 1, worker->now.mono_ns);
	looks->least_interval_ns = worker->settings.poll_interval_ns;
	looks_replan(worker);
}

void looks_deinit(struct worker *worker) {
	timer_stop(&worker->timers, &worker->looks.timer);
}
