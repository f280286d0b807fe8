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

/* Sixteen threads ask at their own times; what any window of a second holds, and who goes how often. */
static void slots_keep_the_pace_and_starve_nobody(void **state) {
	enum { SLOTS = 16, RATE = 100, BURST = 10, SECONDS = 20, MOST = SECONDS * RATE + BURST };
	static int64_t went_ns[MOST + 1];
	struct pace pace = { 0 };
	struct pace_slot slots[SLOTS] = { 0 };
	unsigned went[SLOTS] = { 0 }, count = 0;
	const int64_t start_ns = 7 * NS_PER_S;
	(void)state;
	for (int64_t ms = 0; ms < SECONDS * 1000; ms++) {
		for (unsigned i = 0; i < SLOTS; i++) {
			/* Some look often, some late: one in 17 ms. */
			if (ms % (i + 2)) continue;
			if (pace_wait_ns(&pace, &slots[i], RATE, BURST, start_ns + ms * NS_PER_MS)) continue;
			assert_true(count < MOST);
			went_ns[count++] = ms * NS_PER_MS;
			went[i]++;
		}
	}
	assert_true(count > MOST - RATE / 2);
	for (unsigned i = RATE + BURST + SLOTS; i < count; i++)
		assert_true(went_ns[i] - went_ns[i - RATE - BURST - SLOTS] >= NS_PER_S);
	for (unsigned i = 0; i < SLOTS; i++) assert_in_range(went[i], count / SLOTS / 2, count);
}

static void who_waits_is_not_overtaken(void **state) {
	struct pace pace = { 0 };
	struct pace_slot first = { 0 }, second = { 0 };
	int64_t now_ns = 5 * NS_PER_S;
	(void)state;
	assert_int_equal(pace_wait_ns(&pace, &first, 1, 1, now_ns), 0);
	int64_t wait_ns = pace_wait_ns(&pace, &first, 1, 1, now_ns);
	assert_in_range(wait_ns, NS_PER_S, NS_PER_S + 1);
	/* The other one asks all the time; the moment is the first one's. */
	int64_t later_ns = now_ns + wait_ns;
	assert_true(pace_wait_ns(&pace, &second, 1, 1, now_ns + 1) > NS_PER_S);
	assert_true(pace_wait_ns(&pace, &second, 1, 1, later_ns) > 0);
	assert_int_equal(pace_wait_ns(&pace, &first, 1, 1, later_ns), 0);
	assert_int_equal(pace_wait_ns(&pace, &second, 1, 1, later_ns + NS_PER_S + 1), 0);
	/* Waiting costs nothing more: what was counted once is not counted again. */
	assert_in_range(pace_wait_ns(&pace, &first, 1, 1, later_ns + NS_PER_S + 1), 1, NS_PER_S + 1);
}

static void a_new_rate_does_not_wait_for_the_old_one(void **state) {
	struct pace pace = { 0 };
	struct pace_slot slot = { 0 };
	int64_t now_ns = 5 * NS_PER_S;
	(void)state;
	assert_int_equal(pace_wait_ns(&pace, &slot, 0.05, 1, now_ns), 0);
	assert_true(pace_wait_ns(&pace, &slot, 0.05, 1, now_ns) > 19 * NS_PER_S);
	slot = (struct pace_slot){ 0 };
	pace_renew(&pace, now_ns + NS_PER_S);
	assert_int_equal(pace_wait_ns(&pace, &slot, 10, 1, now_ns + NS_PER_S), 0);
	assert_in_range(pace_wait_ns(&pace, &slot, 10, 1, now_ns + NS_PER_S), 1, NS_PER_S / 10 + 1);
	/* What lies behind is not brought back: a rest saves nothing up. */
	pace = (struct pace){ 0 };
	pace_renew(&pace, now_ns);
	assert_int_equal(pace._tat_ns, 0);
}

static void a_pause_only_grows(void **state) {
	struct pause pause = { 0 };
	(void)state;
	assert_int_equal(pause_until_ns(&pause), 0);
	pause_extend(&pause, 30);
	pause_extend(&pause, 20);
	assert_int_equal(pause_until_ns(&pause), 30);
	pause_extend(&pause, 40);
	assert_int_equal(pause_until_ns(&pause), 40);
}

static void a_right_is_one_threads(void **state) {
	struct pause right = { 0 };
	(void)state;
	assert_true(pause_claim(&right, 100, 110));
	assert_false(pause_claim(&right, 109, 119));
	assert_true(pause_claim(&right, 110, 120));
	pause_end(&right);
	assert_true(pause_claim(&right, 111, 121));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_is_had_at_once_then_the_rate),
		cmocka_unit_test(less_than_one_a_second_is_a_pace_too),
		cmocka_unit_test(slots_keep_the_pace_and_starve_nobody),
		cmocka_unit_test(who_waits_is_not_overtaken),
		cmocka_unit_test(a_new_rate_does_not_wait_for_the_old_one),
		cmocka_unit_test(a_pause_only_grows),
		cmocka_unit_test(a_right_is_one_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
