#include <assert.h>

#include "base/hash.h"
#include "workers/worker.h"

enum { SOON_TRIES = 3 };

void schedule_ready(struct object *object, enum object_class class) {
	assert(object->shard);
	timer_stop(&object->shard->worker->timers, &object->timer);
	if (object->sync) return;
	shard_enqueue(object->shard, object, class);
}

/* A deadline that cannot be kept for want of memory becomes "now": late work is better than lost work. */
static void set_timer(struct worker *worker, struct object *object, int64_t at_ns) {
	if (timer_set(&worker->timers, &object->timer, at_ns) != OK)
		shard_enqueue(object->shard, object, CLASS_PERIODIC);
}

/* The next moment of the object's own phase in the grid of its interval. The phase is a function of the uid, so that checks
 * are spread evenly and every process finds the same one; it is laid on the wall clock, which survives a restart. */
static int64_t next_phase_ns(const struct object *object, struct now now, int64_t interval_ns) {
	int64_t phase_ns = (int64_t)(hash64_stable(str_of(object->uid)) % (uint64_t)interval_ns);
	int64_t since_ns = (now.wall_ns - phase_ns) % interval_ns;
	if (since_ns < 0) since_ns += interval_ns;
	return now.mono_ns + interval_ns - since_ns;
}

void schedule_check(struct worker *worker, struct object *object, const struct spec *spec) {
	int64_t interval_ns =
		spec->interval_ns ? spec->interval_ns : worker->settings.poll_interval_ns;
	set_timer(worker, object, next_phase_ns(object, worker->now, interval_ns));
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
	/* A failure never makes an object wait longer than its poll would. */
	if (delay_ns > interval_ns) delay_ns = interval_ns;
	if (retry != RETRY_AFTER && object->failures < 64) object->failures++;
	set_timer(worker, object, worker->now.mono_ns + delay_ns);
}

void schedule_timer_fired(struct timer *timer) {
	struct object *object = container_of(timer, struct object, timer);
	schedule_ready(object, object->failures ? CLASS_RETRY : CLASS_PERIODIC);
}

void schedule_waiter_woken(struct gate *gate, struct list *waiter) {
	(void)gate;
	schedule_ready(container_of(waiter, struct object, ready), CLASS_RETRY);
}
