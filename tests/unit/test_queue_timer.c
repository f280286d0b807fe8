#include "unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "queue/timer.h"

enum { TIMERS = 100 };

struct alarm_clock {
	struct timer timer;
	int fired;
	void (*then)(struct alarm_clock *self);
};

static struct timers timers;
static struct alarm_clock clocks[TIMERS];
static char order[TIMERS + 1];

static void fire(struct timer *timer) {
	struct alarm_clock *self = container_of(timer, struct alarm_clock, timer);
	assert_false(timer_is_set(timer));
	order[strlen(order)] = (char)('a' + (self - clocks));
	self->fired++;
	if (self->then) self->then(self);
}

static int setup(void **state) {
	(void)state;
	timers_init(&timers);
	memset(order, 0, sizeof(order));
	for (int i = 0; i < TIMERS; i++) {
		clocks[i] = (struct alarm_clock){ 0 };
		timer_init(&clocks[i].timer, fire);
	}
	return 0;
}

static int teardown(void **state) {
	(void)state;
	timers_deinit(&timers);
	timers_deinit(&timers);
	return 0;
}

static void set(int i, int64_t at_ns) {
	assert_int_equal(timer_set(&timers, &clocks[i].timer, at_ns), OK);
}

static void test_order_and_ties(void **state) {
	(void)state;
	assert_true(timers_next_ns(&timers) == NEVER_NS);
	assert_true(timers_fire(&timers, 100, 0) == NEVER_NS);
	set(0, 30);
	set(1, 10);
	set(2, 20);
	set(3, 10);
	set(4, 31);
	set(1, 10); /* set again: behind its ties */
	assert_true(timer_at_ns(&timers, &clocks[2].timer) == 20);
	assert_true(timers_next_ns(&timers) == 10);
	assert_true(timers_fire(&timers, 9, 0) == 10);
	assert_string_equal(order, "");
	assert_true(timers_fire(&timers, 30, 0) == 31);
	assert_string_equal(order, "dbca");
	assert_true(timer_at_ns(&timers, &clocks[2].timer) == NEVER_NS);
}

static void test_limit(void **state) {
	(void)state;
	for (int i = 0; i < 5; i++) set(i, i);
	assert_true(timers_fire(&timers, 100, 2) == 2);
	assert_string_equal(order, "ab");
	assert_true(timers_fire(&timers, 100, 2) == 4);
	assert_true(timers_fire(&timers, 100, 2) == NEVER_NS);
	assert_string_equal(order, "abcde");
}

static void test_stop_and_move(void **state) {
	(void)state;
	timer_stop(&timers, &clocks[0].timer);
	set(0, 10);
	set(1, 20);
	set(2, 30);
	timer_stop(&timers, &clocks[0].timer);
	timer_stop(&timers, &clocks[0].timer);
	assert_false(timer_is_set(&clocks[0].timer));
	set(2, 5);
	set(1, 50);
	assert_true(timers_fire(&timers, 40, 0) == 50);
	assert_string_equal(order, "c");
}

static void set_itself_to_the_past(struct alarm_clock *self) {
	if (self->fired < 3) set((int)(self - clocks), 1);
}

/* A timer that sets itself to the past fires once a call, and keeps nobody who was due from firing. */
static void test_set_to_the_past_by_itself(void **state) {
	(void)state;
	clocks[0].then = set_itself_to_the_past;
	set(0, 5);
	set(1, 7);
	set(2, 9);
	assert_true(timers_fire(&timers, 10, 0) == 10);
	assert_string_equal(order, "abc");
	assert_true(timers_fire(&timers, 10, 0) == 10);
	assert_string_equal(order, "abca");
	assert_true(timers_fire(&timers, 10, 0) == NEVER_NS);
	assert_string_equal(order, "abcaa");
	set(3, 1); /* outside of a fire function the past stays the past */
	assert_true(timers_next_ns(&timers) == 1);
}

static void stop_and_set_others(struct alarm_clock *self) {
	(void)self;
	timer_stop(&timers, &clocks[1].timer);
	set(2, 3); /* was due, is due again: next call */
	set(3, 99); /* was due, is not any more */
	set(4, 2); /* was not set */
}

static void test_fire_function_may_change_others(void **state) {
	(void)state;
	clocks[0].then = stop_and_set_others;
	for (int i = 0; i < 4; i++) set(i, i);
	set(5, 10);
	assert_true(timers_fire(&timers, 10, 0) == 10);
	assert_string_equal(order, "af");
	assert_true(timers_fire(&timers, 10, 0) == 99);
	assert_string_equal(order, "afce");
}

static void fire_inside(struct alarm_clock *self) {
	(void)self;
	timers_fire(&timers, 10, 0);
}

static void nest(void *arg) {
	(void)arg;
	clocks[0].then = fire_inside;
	set(0, 1);
	timers_fire(&timers, 10, 0);
}

static void test_nested_fire_is_a_mistake(void **state) {
	(void)state;
	assert_true(aborts(nest, NULL));
}

static void test_reserve(void **state) {
	(void)state;
	assert_int_equal(timers_reserve(&timers, TIMERS), OK);
	mem_fail_at(1);
	for (int i = 0; i < TIMERS; i++) set(i, i);
	assert_false(mem_fail_reached());
	mem_fail_at(0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_and_ties, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_and_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_to_the_past_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_fire_function_may_change_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nested_fire_is_a_mistake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reserve, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
