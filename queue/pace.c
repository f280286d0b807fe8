#include "queue/pace.h"

#include <assert.h>

#include "base/clock.h"

bool pace_take(struct pace *pace, double rate_per_s, int64_t now_ns) {
	assert(rate_per_s > 0);
	int64_t each_ns = (int64_t)((double)NS_PER_S / rate_per_s);
	int64_t seen_ns = atomic_load_explicit(&pace->_tat_ns, memory_order_relaxed);
	for (;;) {
		int64_t from_ns = seen_ns > now_ns ? seen_ns : now_ns;
		if (from_ns + each_ns > now_ns + NS_PER_S && from_ns > now_ns) return false;
		if (atomic_compare_exchange_weak_explicit(&pace->_tat_ns, &seen_ns,
			    from_ns + each_ns, memory_order_relaxed, memory_order_relaxed))
			return true;
	}
}

/* Counts one, and returns the moment when it may go. */
static int64_t reserve(struct pace *pace, double rate_per_s, double burst, int64_t now_ns) {
	/* Rounded up, so that rounding never makes us faster. */
	int64_t each_ns = (int64_t)((double)NS_PER_S / rate_per_s) + 1;
	int64_t tolerance_ns = (int64_t)((burst - 1) * (double)each_ns);
	int64_t from_ns, seen_ns = atomic_load_explicit(&pace->_tat_ns, memory_order_relaxed);
	do {
		from_ns = seen_ns > now_ns ? seen_ns : now_ns;
	} while (!atomic_compare_exchange_weak_explicit(&pace->_tat_ns, &seen_ns, from_ns + each_ns,
		memory_order_relaxed, memory_order_relaxed));
	return from_ns - tolerance_ns;
}

int64_t pace_wait_ns(struct pace *pace, struct pace_slot *slot, double rate_per_s, double burst,
	int64_t now_ns) {
	assert(rate_per_s > 0 && burst >= 1 && now_ns > 0);
	if (!slot->_at_ns) {
		int64_t at_ns = reserve(pace, rate_per_s, burst, now_ns);
		slot->_at_ns = at_ns > now_ns ? at_ns : now_ns;
	}
	if (slot->_at_ns > now_ns) return slot->_at_ns - now_ns;
	slot->_at_ns = 0;
	return 0;
}

void pace_renew(struct pace *pace, int64_t now_ns) {
	int64_t seen_ns = atomic_load_explicit(&pace->_tat_ns, memory_order_relaxed);
	while (seen_ns > now_ns && !atomic_compare_exchange_weak_explicit(&pace->_tat_ns, &seen_ns,
					   now_ns, memory_order_relaxed, memory_order_relaxed)) {
	}
}

void pause_extend(struct pause *pause, int64_t until_ns) {
	int64_t seen_ns = pause_until_ns(pause);
	while (until_ns > seen_ns &&
		!atomic_compare_exchange_weak_explicit(&pause->_until_ns, &seen_ns, until_ns,
			memory_order_relaxed, memory_order_relaxed)) {
	}
}

int64_t pause_until_ns(const struct pause *pause) {
	return atomic_load_explicit(&pause->_until_ns, memory_order_relaxed);
}

bool pause_claim(struct pause *pause, int64_t now_ns, int64_t until_ns) {
	int64_t seen_ns = pause_until_ns(pause);
	return seen_ns <= now_ns &&
	       atomic_compare_exchange_strong_explicit(&pause->_until_ns, &seen_ns, until_ns,
		       memory_order_relaxed, memory_order_relaxed);
}

void pause_end(struct pause *pause) {
	atomic_store_explicit(&pause->_until_ns, 0, memory_order_relaxed);
}
