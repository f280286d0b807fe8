#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* xoshiro256** 1.0 and splitmix64 by David Blackman and Sebastiano Vigna (public domain): prng.di.unimi.it */

static uint64_t rotate(uint64_t x, int bits) {
	return (x << bits) | (x >> (64 - bits));
}

static uint64_t splitmix(uint64_t *state) {
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed) {
	for (int i = 0; i < 4; i++) rng->_state[i] = splitmix(&seed);
}

void rng_seed_system(struct rng *rng) {
	uint64_t seed;
	ssize_t got;
	do {
		got = getrandom(&seed, sizeof(seed), 0);
	} while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(seed)) {
		perror("kvsync: getrandom: the kernel gives no random numbers");
		abort();
	}
	rng_seed(rng, seed);
}

uint64_t rng_next(struct rng *rng) {
	uint64_t *s = rng->_state;
	uint64_t result = rotate(s[1] * 5, 7) * 9;
	uint64_t shifted = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound) {
	assert(bound > 0);
	/* The first 2^64 mod bound values are one too many of some remainders: drawn again. */
	uint64_t surplus = (0 - bound) % bound;
	uint64_t value;
	do {
		value = rng_next(rng);
	} while (value < surplus);
	return value % bound;
}

int64_t rng_between(struct rng *rng, int64_t low, int64_t high) {
	assert(low <= high);
	uint64_t span = (uint64_t)high - (uint64_t)low;
	uint64_t offset = span == UINT64_MAX ? rng_next(rng) : rng_below(rng, span + 1);
	return (int64_t)((uint64_t)low + offset);
}
