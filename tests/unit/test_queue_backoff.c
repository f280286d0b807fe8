#include "unit.h"

#include "queue/backoff.h"

static int64_t least(const struct backoff *backoff, unsigned failures, int64_t *out_most) {
	struct rng rng;
	rng_seed(&rng, 1);
	int64_t low = INT64_MAX, high = 0;
	for (int i = 0; i < 5000; i++) {
		int64_t delay_ns = backoff_delay_ns(backoff, failures, &rng);
		if (delay_ns < low) low = delay_ns;
		if (delay_ns > high) high = delay_ns;
	}
	*out_most = high;
	return low;
}

static void test_bounds(void **state) {
	(void)state;
	struct backoff backoff = { .base_ns = 1000, .max_ns = 10000 };
	static const int64_t most[] = { 1000, 2000, 4000, 8000, 10000, 10000 };
	for (unsigned n = 0; n < 6; n++) {
		int64_t high, low = least(&backoff, n, &high);
		assert_true(low >= 500 && low <= 520);
		assert_true(high <= most[n] && high >= most[n] - 30);
	}
}

static void test_never_overflows(void **state) {
	(void)state;
	static const unsigned counts[] = { 61, 62, 63, 64, 1000, UINT32_MAX };
	struct backoff wide = { .base_ns = 1, .max_ns = INT64_MAX };
	struct backoff odd = { .base_ns = INT64_MAX / 2 + 1, .max_ns = INT64_MAX - 1 };
	struct rng rng;
	rng_seed(&rng, 1);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		for (int turn = 0; turn < 100; turn++) {
			assert_true(backoff_delay_ns(&wide, counts[i], &rng) >= 0);
			int64_t delay_ns = backoff_delay_ns(&odd, counts[i], &rng);
			assert_true(delay_ns >= odd.base_ns / 2 && delay_ns <= odd.max_ns);
		}
	}
}

static void test_base_over_maximum(void **state) {
	(void)state;
	struct backoff backoff = { .base_ns = 1000, .max_ns = 10 };
	int64_t high, low = least(&backoff, 3, &high);
	assert_true(low == 10 && high == 10);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_never_overflows),
		cmocka_unit_test(test_base_over_maximum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
