/* base/rng.h - door 2 of 5: chance. One seeded generator per thread; not for keys.
 *
 * The simulation seeds it; production seeds from the kernel. One owner, no locking.
 */
#pragma once

#include <stdint.h>

struct rng {
	uint64_t _state[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
void rng_seed_system(struct rng *rng); /* getrandom(2); aborts when the kernel has none */
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* uniform in [0, bound); bound > 0 */
int64_t rng_between(struct rng *rng, int64_t low, int64_t high); /* uniform in [low, high] */
