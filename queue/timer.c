#include "queue/timer.h"

#include <assert.h>

#include "base/mem.h"

void timers_init(struct timers *timers) {
	*timers = (struct timers){ ._firing_ns = INT64_MIN };
	heap_init(&timers->_heap);
}

void timers_deinit(struct timers *timers) {
	heap_deinit(&timers->_heap);
	timers->_firing_ns = INT64_MIN;
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
	/* From within a fire function the past is now: behind everything that is due already, so that timers_fire() need not
	 * look at it again. */
	return heap_set(&timers->_heap, &timer->_node,
		at_ns > timers->_firing_ns ? at_ns : timers->_firing_ns);
}

void timer_stop(struct timers *timers, struct timer *timer) {
	heap_remove(&timers->_heap, &timer->_node);
}

bool timer_is_set(const struct timer *timer) {
	return heap_contains(&timer->_node);
}

int64_t timer_at_ns(const struct timers *timers, const struct timer *timer) {
	return heap_contains(&timer->_node) ? heap_node_ns(&timers->_heap, &timer->_node)
					    : INT64_MAX;
}

int64_t timers_next_ns(const struct timers *timers) {
	return heap_first_ns(&timers->_heap);
}

int64_t timers_fire(struct timers *timers, int64_t now_ns, unsigned limit) {
	assert(timers->_firing_ns == INT64_MIN); /* a fire function must not fire timers */
	uint64_t end = heap_next_seq(&timers->_heap);
	unsigned fired = 0;
	timers->_firing_ns = now_ns;
	while (timers_next_ns(timers) <= now_ns && (limit == 0 || fired < limit)) {
		struct heap_node *node = heap_first(&timers->_heap);
		if (!node || heap_node_seq(&timers->_heap, node) >= end)
			break; /* set during this call, like all behind it */
		struct timer *timer = container_of(node, struct timer, _node);
		heap_remove(&timers->_heap, node);
		fired++;
		timer->_fire(timer);
	}
	timers->_firing_ns = INT64_MIN;
	return timers_next_ns(timers);
}
