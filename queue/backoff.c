#include "queue/backoff.h"

#include <assert.h>

int64_t backoff_delay_ns(const struct backoff *backoff, unsigned failures, struct rng *rng) {
	assert(backoff->base_ns > 0 && backoff->max_ns > 0);
	int64_t high = backoff->base_ns;
	for (unsigned i = 0; i < failures && high < backoff->max_ns; i++) {
		high = high > backoff->max_ns / 2 ? backoff->max_ns : high * 2;
	}
	if (high > backoff->max_ns) high = backoff->max_ns;
	int64_t low = backoff->base_ns / 2;
	return rng_between(rng, low < high ? low : high, high);
}
