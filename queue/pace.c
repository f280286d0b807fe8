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
