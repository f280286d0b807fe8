/* queue/backoff.h - exponential backoff with full jitter: a delay in [base/2, min(base * 2^n, max)].
 *
 * The count lives in the object; success resets it; a throttled vault does not grow it. Pure.
 */
#pragma once

#include <stdint.h>

#include "base/rng.h"

struct backoff {
	int64_t base_ns;
	int64_t max_ns;
};

/* The delay after failure number `failures` (0 for the first). Never overflows. */
int64_t backoff_delay_ns(const struct backoff *backoff, unsigned failures, struct rng *rng);
