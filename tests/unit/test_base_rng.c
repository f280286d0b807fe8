#include "unit.h"

#include "base/rng.h"

/* The first values of xoshiro256** seeded with splitmix64(1): simulations are replayed by seed, so they must never change. */
static void test_sequence(void **state) {
	(void)state;
	struct rng rng;
	rng_seed(&rng, 1);
	assert_true(rng._state[0] == UINT64_C(0x910a2dec89025cc1));
	assert_true(rng_next(&rng) == UINT64_C(0xb3f2af6d0fc710c5));
	assert_true(rng_next(&rng) == UINT64_C(0x853b559647364cea));
}

static void test_same_seed_same_sequence(void **state) {
	(void)state;
	struct rng a, b, c;
	rng_seed(&a, 7);
	rng_seed(&b, 7);
	rng_seed(&c, 8);
	int same = 0;
	for (int i = 0; i < 1000; i++) {
		uint64_t value = rng_next(&a);
		assert_true(value == rng_next(&b));
		same += value == rng_next(&c);
	}
	assert_int_equal(same, 0);
}

static void test_below_is_uniform(void **state) {
	(void)state;
	struct rng rng;
	rng_seed(&rng, 1);
	int counts[7] = { 0 };
	for (int i = 0; i < 70000; i++) {
		uint64_t value = rng_below(&rng, 7);
		assert_true(value < 7);
		counts[value]++;
	}
	for (int i = 0; i < 7; i++) assert_in_range(counts[i], 9600, 10400);
	for (int i = 0; i < 100; i++) assert_int_equal(rng_below(&rng, 1), 0);
	/* Over half of the range: without drawing again, the lower half would come twice as often. */
	uint64_t bound = UINT64_C(3) << 62;
	int low = 0;
	for (int i = 0; i < 30000; i++) low += rng_below(&rng, bound) < bound / 3;
	assert_in_range(low, 9600, 10400);
}

static void test_between(void **state) {
	(void)state;
	struct rng rng;
	rng_seed(&rng, 1);
	bool low = false, high = false;
	for (int i = 0; i < 1000; i++) {
		int64_t value = rng_between(&rng, -2, 2);
		assert_true(value >= -2 && value <= 2);
		low |= value == -2;
		high |= value == 2;
	}
	assert_true(low && high);
	assert_true(rng_between(&rng, 5, 5) == 5);
	bool negative = false, positive = false;
	for (int i = 0; i < 100; i++) {
		int64_t value = rng_between(&rng, INT64_MIN, INT64_MAX);
		negative |= value < 0;
		positive |= value > 0;
	}
	assert_true(negative && positive);
}

static void test_system_seeds_differ(void **state) {
	(void)state;
	struct rng a, b;
	rng_seed_system(&a);
	rng_seed_system(&b);
	assert_true(rng_next(&a) != rng_next(&b));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_same_seed_same_sequence),
		cmocka_unit_test(test_below_is_uniform),
		cmocka_unit_test(test_between),
		cmocka_unit_test(test_system_seeds_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
