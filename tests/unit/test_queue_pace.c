/* A shared pace: a second's worth at once, then the rate, whoever asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "queue/pace.h"

static unsigned take_all(struct pace *pace, double rate, int64_t now_ns) {
	unsigned taken = 0;
	while (taken < 1000 && pace_take(pace, rate, now_ns)) taken++;
	return taken;
}

static void a_second_is_had_at_once_then_the_rate(void **state) {
	(void)state;
	struct pace pace = { 0 };
	int64_t now_ns = 5 * NS_PER_S;
	assert_int_equal(take_all(&pace, 30, now_ns), 30);
	assert_int_equal(take_all(&pace, 30, now_ns + 30 * NS_PER_MS), 0);
	assert_int_equal(take_all(&pace, 30, now_ns + 34 * NS_PER_MS), 1);
	assert_in_range(take_all(&pace, 30, now_ns + NS_PER_S), 29, 30);
	/* What was not used is not saved up. */
	assert_int_equal(take_all(&pace, 30, now_ns + 3600 * NS_PER_S), 30);
}

static void less_than_one_a_second_is_a_pace_too(void **state) {
	(void)state;
	struct pace pace = { 0 };
	assert_int_equal(take_all(&pace, 0.5, NS_PER_S), 1);
	assert_int_equal(take_all(&pace, 0.5, 2 * NS_PER_S), 0);
	assert_int_equal(take_all(&pace, 0.5, 3 * NS_PER_S), 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_is_had_at_once_then_the_rate),
		cmocka_unit_test(less_than_one_a_second_is_a_pace_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
