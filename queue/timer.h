/* queue/timer.h - timers of one thread: an indexed heap with exact deadlines and deterministic ties.
 *
 * One owner. A timer is embedded in what it wakes; setting it again moves it. Deadlines are mono_ns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/heap.h"

struct timer {
	struct heap_node _node;
	void (*_fire)(struct timer *timer);
};

struct timers {
	struct heap _heap;
	int64_t _firing_ns; /* what timers_fire() is at; INT64_MIN outside of it */
};

void timers_init(struct timers *timers);
void timers_deinit(struct timers *timers); /* every timer must be stopped or is forgotten */
enum err timers_reserve(struct timers *timers,
	size_t count); /* so that as many timers can be set without failing */

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/* Sets or moves. From within a fire function a deadline before that call's now_ns counts as now_ns. */
enum err timer_set(struct timers *timers, struct timer *timer, int64_t at_ns);
void timer_stop(struct timers *timers, struct timer *timer); /* harmless when not set */
bool timer_is_set(const struct timer *timer);
int64_t timer_at_ns(
	const struct timers *timers, const struct timer *timer); /* NEVER_NS when not set */

/* Fires, earliest first, every timer that was due at `now_ns` when the call began; one that is set to a due time by a
 * fire function waits for the next call. At most `limit` timers (0: no limit). Returns the next deadline. */
int64_t timers_fire(struct timers *timers, int64_t now_ns, unsigned limit);
int64_t timers_next_ns(const struct timers *timers);
