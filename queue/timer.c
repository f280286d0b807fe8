#include "queue/timer.h"

#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"

void timers_init(struct timers *timers) {
	heap_init(&timers->_heap);
}

void timers_deinit(struct timers *timers) {
	heap_deinit(&timers->_heap);
}

enum err timers_reserve(struct timers *timers, size_t count) {
	return heap_reserve(&timers->_heap, count);
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer)) {
	assert(fire);
	*timer = (struct timer){ ._fire = fire };
}

enum err timer_set(struct timers *timers, struct timer *timer, int64_t at_ns) {
	assert(timer->_fire);
	return heap_set(&timers->_heap, &timer->_node, at_ns);
}

void timer_stop(struct timers *timers, struct timer *timer) {
	heap_remove(&timers->_heap, &timer->_node);
}

bool timer_is_set(const struct timer *timer) {
	return heap_contains(&timer->_node);
}

int64_t timer_at_ns(const struct timer *timer) {
	return timer_is_set(timer) ? timer->_node._at_ns : NEVER_NS;
}

int64_t timers_next_ns(const struct timers *timers) {
	return heap_first_ns(&timers->_heap);
}

int64_t timers_fire(struct timers *timers, int64_t now_ns, unsigned limit) {
	/* Timers that fire functions set are newer than this and wait. They cannot hide an older one: ties go by age, and an
	 * earlier deadline than an older due one only postpones that one to the next call. */
	uint64_t newest = timers->_heap._next_seq;
	for (unsigned fired = 0; limit == 0 || fired < limit; fired++) {
		struct heap_node *node = heap_first(&timers->_heap);
		if (!node || node->_at_ns > now_ns || node->_seq >= newest) break;
		heap_remove(&timers->_heap, node);
		struct timer *timer = container_of(node, struct timer, _node);
		timer->_fire(timer);
	}
	return timers_next_ns(timers);
}
