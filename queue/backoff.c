#include "queue/backoff.h"

#include <assert.h>

int64_t backoff_delay_ns(const struct backoff *backoff, unsigned failures, struct rng *rng) {
	assert(backoff->base_ns > 0 && backoff->max_ns >= backoff->base_ns);
	int64_t ceiling_ns = backoff->base_ns;
	for (unsigned i = 0; i < failures && ceiling_ns < backoff->max_ns; i++) {
		if (ceiling_ns > backoff->max_ns / 2) {
			ceiling_ns = backoff->max_ns;
		} else {
			ceiling_ns *= 2;
		}
	}
	return rng_between(rng, backoff->base_ns / 2, ceiling_ns);
}
