#include "base/rng.h"

#include <assert.h>
#include <sys/random.h>

/* xoshiro256** seeded by splitmix64, as its authors advise. */
static uint64_t splitmix(uint64_t *state) {
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed) {
	for (int i = 0; i < 4; i++) rng->_state[i] = splitmix(&seed);
}

void rng_seed_system(struct rng *rng) {
	uint64_t seed;
	ssize_t got = getrandom(&seed, sizeof seed, 0);
	assert(got == (ssize_t)sizeof seed);
	rng_seed(rng, seed);
}

static uint64_t rotate(uint64_t x, int bits) {
	return (x << bits) | (x >> (64 - bits));
}

uint64_t rng_next(struct rng *rng) {
	uint64_t *s = rng->_state;
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound) {
	assert(bound > 0);
	/* Values under the threshold would make small results more frequent. */
	uint64_t threshold = (0 - bound) % bound, value;
	do {
		value = rng_next(rng);
	} while (value < threshold);
	return value % bound;
}

int64_t rng_between(struct rng *rng, int64_t low, int64_t high) {
	assert(low <= high);
	uint64_t span = (uint64_t)high - (uint64_t)low;
	if (span == UINT64_MAX) return (int64_t)rng_next(rng);
	return (int64_t)((uint64_t)low + rng_below(rng, span + 1));
}
