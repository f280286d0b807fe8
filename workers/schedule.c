#include <assert.h>

#include "base/hash.h"
#include "workers/worker.h"

enum { SOON_TRIES = 3 };

/* What is due within as much goes together, so that a large fleet wakes its worker seldom: a wake costs more than most of what is
 * done in it. */
static const int64_t SLACK_NS = 50 * NS_PER_MS;
/* Where nobody waits for a check, that is this part of its interval, and so long at most, for each of the workers. These have theirs by
 * turns: each is seldom woken, and what they ask for is as even as if it came at once from one. */
enum { SLOTS_PER_INTERVAL = 60, SLOT_WORKERS = 4 };
static const int64_t SLOT_MOST_NS = NS_PER_S;

void schedule_ready(struct object *object, enum object_class class) {
	assert(object->shard);
	timer_stop(&object->shard->worker->timers, &object->timer);
	if (object->sync) return;
	shard_enqueue(object->shard, object, class);
}

/* The first of the moments, the same for all, that is not before. */
static int64_t together_ns(int64_t at_ns, int64_t slot_ns) {
	int64_t over_ns = at_ns % slot_ns;
	return over_ns ? at_ns + slot_ns - over_ns : at_ns;
}

enum err schedule_timer(struct worker *worker, struct timer *timer, int64_t at_ns) {
	return timer_set(&worker->timers, timer, together_ns(at_ns, SLACK_NS));
}

/* A deadline that cannot be kept for want of memory becomes "now": late work is better than lost work. */
static void set_timer(struct worker *worker, struct object *object, int64_t at_ns) {
	if (schedule_timer(worker, &object->timer, at_ns) != OK)
		shard_enqueue(object->shard, object, CLASS_PERIODIC);
}

int64_t schedule_jitter_ns(struct worker *worker) {
	int64_t most_ns = worker->settings.jitter_ns;
	return most_ns > 0 ? rng_between(&worker->rng, 0, most_ns) : 0;
}

void schedule_with_jitter(struct worker *worker, struct object *object, enum object_class class) {
	int64_t wait_ns = schedule_jitter_ns(worker);
	/* What is looked at for the first time after a start, and is well, costs nobody a request. */
	if (!wait_ns || class == CLASS_PERIODIC) {
		schedule_ready(object, class);
		return;
	}
	/* One change after another does not put it off for ever. */
	int64_t at_ns = worker->now.mono_ns + wait_ns;
	bool waits = timer_is_set(&object->timer) && object->due == class;
	if (waits && timer_at_ns(&worker->timers, &object->timer) < at_ns) return;
	object->due = class;
	set_timer(worker, object, at_ns);
}

/* A phase is a function of a hash, so that checks are spread evenly and every process finds the same one; it is laid on the
 * wall clock, which survives a restart. */
int64_t schedule_phase_ns(uint64_t hash, struct now now, int64_t interval_ns) {
	int64_t phase_ns = (int64_t)(hash % (uint64_t)interval_ns);
	int64_t since_ns = (now.wall_ns - phase_ns) % interval_ns;
	if (since_ns < 0) since_ns += interval_ns;
	return now.mono_ns + interval_ns - since_ns;
}

uint64_t schedule_walk_hash(struct str vault_url, unsigned kind, uint64_t least_uid_hash) {
	struct str least = { (const char *)&least_uid_hash, sizeof least_uid_hash };
	return hash64_stable(vault_url) + hash64_stable(least) + kind;
}

static int64_t turn_ns(int64_t interval_ns) {
	int64_t turn_ns = interval_ns / SLOTS_PER_INTERVAL;
	if (turn_ns > SLOT_MOST_NS) return SLOT_MOST_NS;
	return turn_ns > SLACK_NS ? turn_ns : SLACK_NS;
}

unsigned schedule_turns(const struct worker *worker) {
	return worker->count < SLOT_WORKERS ? worker->count : SLOT_WORKERS;
}

int64_t schedule_slot_ns(int64_t interval_ns, unsigned turns) {
	return turns * turn_ns(interval_ns);
}

int64_t schedule_slot_at_ns(
	const struct worker *worker, int64_t at_ns, int64_t interval_ns, unsigned turns) {
	int64_t slot_ns = schedule_slot_ns(interval_ns, turns);
	int64_t before_ns = slot_ns - worker->index % turns * turn_ns(interval_ns);
	return together_ns(at_ns + before_ns, slot_ns) - before_ns;
}

int64_t schedule_interval_ns(const struct worker *worker, const struct spec *spec) {
	int64_t own_ns = spec->common->interval_ns;
	return own_ns ? own_ns : worker->settings.poll_interval_ns;
}

/* Where walks tell of its changes what is left to it are safety re-reads, and to tell when walks cannot. */
static bool polls(const struct object *object, bool covered) {
	return !covered || object->away || scan_is_blind(object);
}

void schedule_check(struct worker *worker, struct object *object, const struct spec *spec) {
	int64_t interval_ns = schedule_interval_ns(worker, spec);
	const struct settings *settings = &worker->settings;
	uint64_t hash = hash64_stable(object_uid(object));
	int64_t poll_ns = schedule_phase_ns(hash, worker->now, interval_ns);
	int64_t safety_ns =
		schedule_phase_ns(hash, worker->now, interval_ns * settings->safety_polls);
	bool covered = scan_covers(object);
	/* A safety re-read is one of the polls' moments. */
	bool safety =
		covered && (safety_ns <= poll_ns || !(object->reads || polls(object, covered)));
	object->due = safety ? CLASS_SAFETY : CLASS_PERIODIC;
	int64_t at_ns = (safety ? safety_ns : poll_ns) + schedule_jitter_ns(worker);
	if (covered)
		at_ns = schedule_slot_at_ns(worker, at_ns, interval_ns, schedule_turns(worker));
	set_timer(worker, object, at_ns);
}

/* At the next moment of its first name after that, of which each second has one: all who have read the same share the answer. */
void schedule_settle(struct worker *worker, struct object *object) {
	int64_t least_ns = worker->now.mono_ns + (SCAN_SETTLE_S + 1) * NS_PER_S;
	int64_t phase_ns = (int64_t)(hash64_stable(scan_first_name(object)) % NS_PER_S);
	int64_t since_ns = (least_ns - phase_ns) % NS_PER_S;
	object->due = CLASS_SEEN;
	set_timer(worker, object, least_ns + (since_ns ? NS_PER_S - since_ns : 0));
}

static struct backoff backoff_for(const struct settings *settings, enum err err) {
	if (err_retry(err) == RETRY_SLOW)
		return (struct backoff){ settings->slow_base_ns, settings->slow_max_ns };
	return (struct backoff){ settings->retry_base_ns, settings->retry_max_ns };
}

void schedule_retry(struct worker *worker, struct object *object, const struct fault *fault,
	int64_t interval_ns) {
	struct backoff backoff = backoff_for(&worker->settings, fault->err);
	int64_t delay_ns = backoff_delay_ns(&backoff, object->failures, &worker->rng);
	enum retry retry = err_retry(fault->err);
	/* A cause that is said to be gone, and comes again and again, is not. */
	bool soon = retry == RETRY_SOON && object->failures < SOON_TRIES;
	if (soon) delay_ns = backoff_delay_ns(&backoff, 0, &worker->rng);
	if (fault->retry_after_ns > 0) {
		/* The server's (or the writer's) own word on when; a little later, so that not all come at once. */
		delay_ns = fault->retry_after_ns +
			   rng_between(&worker->rng, 0, fault->retry_after_ns / 4 + 1);
	}
	object->due = CLASS_RETRY;
	/* A failure never makes an object wait longer than its poll would. */
	if (delay_ns > interval_ns) delay_ns = interval_ns;
	if (retry != RETRY_AFTER && object->failures < 64) object->failures++;
	set_timer(worker, object, worker->now.mono_ns + delay_ns);
}

/* A poll of an object whose changes are told by walks, or are about to be. */
static bool is_listed_poll(struct worker *worker, struct object *object) {
	if (scan_is_blind(object)) return false;
	if (scan_is_undecided(object)) {
		/* A large fleet's import may last for long. */
		int64_t slot_ns = worker->settings.poll_interval_ns / SLOTS_PER_INTERVAL;
		set_timer(worker, object,
			worker->now.mono_ns + (slot_ns > NS_PER_S ? slot_ns : NS_PER_S));
		return true;
	}
	if (!scan_covers(object)) return false;
	/* A read is still to show what a walk has told. */
	if (object->away ? scan_is_fresh(object) : object->reads) {
		schedule_ready(object, CLASS_PERIODIC);
		return true;
	}
	struct spec *spec = spec_borrow(object);
	if (spec) schedule_check(worker, object, spec);
	spec_unref(spec);
	return spec != NULL;
}

void schedule_away(struct object *object, bool away) {
	if (away && !object->away) scan_doubt(object);
	object->away = away;
}

void schedule_timer_fired(struct timer *timer) {
	struct object *object = container_of(timer, struct object, timer);
	struct worker *worker = object->shard->worker;
	bool well = !object->failures || object->away;
	/* A change decides by itself whether the vault is asked. */
	bool reads = !well || (object->due != CLASS_NEW && object->due != CLASS_CHANGED);
	if (well && object->due == CLASS_PERIODIC) {
		if (is_listed_poll(worker, object)) return;
		/* Nobody else will tell that the way is closed; once it is open the next walk is enough. */
		schedule_away(object, scan_covers(object));
		reads = !object->away;
	}
	object->reads |= reads;
	schedule_ready(object, well ? object->due : CLASS_RETRY);
}

/* The way is open again. What a walk will tell is left to the walk; until it has come there is the object's own moment. */
static bool is_left_to_walk(struct object *object) {
	if (object->reads || gate_is_shut(&object->shard->gate)) return false;
	if (!scan_covers(object) || scan_is_fresh(object)) return false;
	struct spec *spec = spec_borrow(object);
	if (!spec) return false;
	schedule_check(object->shard->worker, object, spec);
	spec_unref(spec);
	scan_resume(object);
	return true;
}

/* Nobody is made to wait by those who have their Secret, and of whom nothing else is asked. */
void schedule_waiter_woken(struct gate *gate, struct list *waiter) {
	struct object *object = container_of(waiter, struct object, ready);
	if (object->away && !gate->open && is_left_to_walk(object)) return;
	schedule_ready(object, object->away ? CLASS_PERIODIC : CLASS_RETRY);
}
