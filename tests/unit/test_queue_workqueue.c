#include "unit.h"

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "queue/workqueue.h"

static struct queue here, there;
static struct queue_item items[3];
static int wakes;

static void count_wake(struct queue *queue) {
	(void)queue;
	wakes++;
}

static int setup(void **state) {
	(void)state;
	queue_init(&here, NULL);
	queue_init(&there, NULL);
	here.wake = count_wake;
	wakes = 0;
	for (int i = 0; i < 3; i++) queue_item_init(&items[i], &here);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	queue_deinit(&here); /* asserts that nothing is left */
	queue_deinit(&there);
	return 0;
}

static struct queue_item *take_from(struct queue *queue) {
	bool busy = true;
	struct queue_item *item = queue_take(queue, &busy);
	assert_false(busy);
	return item;
}

static void test_add_take_done(void **state) {
	(void)state;
	assert_null(take_from(&here));
	assert_ptr_equal(queue_item_home(&items[0]), &here);
	queue_add(&items[0]);
	queue_add(&items[0]);
	queue_add(&items[1]);
	assert_int_equal(queue_item_state(&items[0]), QUEUE_QUEUED);
	assert_int_equal(wakes, 1); /* only the one that found the inbox empty */
	assert_ptr_equal(take_from(&here), &items[0]);
	assert_int_equal(queue_item_state(&items[0]), QUEUE_RUNNING);
	assert_ptr_equal(take_from(&here), &items[1]);
	assert_null(take_from(&here));
	queue_done(&items[0]);
	queue_done(&items[1]);
	assert_int_equal(queue_item_state(&items[0]), 0);
	assert_null(take_from(&here));
	assert_int_equal(wakes, 1);
}

static void test_add_during_run_means_one_more(void **state) {
	(void)state;
	queue_add(&items[0]);
	assert_ptr_equal(take_from(&here), &items[0]);
	queue_add(&items[0]);
	queue_add(&items[0]);
	assert_int_equal(queue_item_state(&items[0]), QUEUE_QUEUED | QUEUE_RUNNING);
	assert_null(take_from(&here)); /* not while it runs */
	assert_int_equal(wakes, 1);
	queue_done(&items[0]);
	assert_int_equal(wakes, 2);
	assert_ptr_equal(take_from(&here), &items[0]);
	queue_done(&items[0]);
	assert_null(take_from(&here));
	assert_int_equal(queue_item_state(&items[0]), 0);
}

static void test_begin(void **state) {
	(void)state;
	assert_true(queue_begin(&items[0]));
	assert_int_equal(queue_item_state(&items[0]), QUEUE_RUNNING);
	queue_add(&items[0]);
	queue_done(&items[0]);
	assert_false(queue_begin(&items[0])); /* it is in the inbox */
	assert_int_equal(queue_item_state(&items[0]), QUEUE_QUEUED);
	assert_ptr_equal(take_from(&here), &items[0]);
	queue_done(&items[0]);
}

static void test_move(void **state) {
	(void)state;
	assert_true(queue_begin(&items[0]));
	queue_move(&items[0], &there);
	assert_ptr_equal(queue_item_home(&items[0]), &there);
	assert_null(take_from(&there)); /* still held */
	queue_add(&items[0]);
	queue_done(&items[0]);
	assert_null(take_from(&here));
	assert_int_equal(wakes, 0); /* here has nothing to do with it any more */
	assert_ptr_equal(take_from(&there), &items[0]);
	queue_done(&items[0]);
	queue_add(&items[0]);
	assert_ptr_equal(take_from(&there), &items[0]);
	queue_move(&items[0], &here);
	queue_done(&items[0]);
	assert_int_equal(wakes, 1);
	assert_ptr_equal(take_from(&here), &items[0]);
	queue_done(&items[0]);
}

static void test_close_of_idle_and_queued(void **state) {
	(void)state;
	assert_false(queue_is_closed(&items[0]));
	queue_close(&items[0]);
	queue_add(&items[1]);
	queue_close(&items[1]);
	assert_true(queue_is_closed(&items[0]) && queue_is_closed(&items[1]));
	assert_ptr_equal(take_from(&here), &items[0]);
	assert_true(queue_is_closed(&items[0]));
	assert_ptr_equal(take_from(&here), &items[1]);
	assert_null(take_from(&here));
}

/* The holder that does not see the end in time lets go, and gets the item once more to take leave of it. */
static void test_close_of_running(void **state) {
	(void)state;
	assert_true(queue_begin(&items[0]));
	queue_close(&items[0]);
	queue_done(&items[0]);
	assert_ptr_equal(take_from(&here), &items[0]);
	assert_int_equal(queue_item_state(&items[0]), QUEUE_RUNNING | QUEUE_CLOSED);
	queue_done(&items[0]);
	assert_int_equal(queue_item_state(&items[0]), QUEUE_CLOSED);
	assert_null(take_from(&here));
}

static void test_wakes_the_loop(void **state) {
	(void)state;
	struct loop *loop = loop_create(clock_system());
	struct queue queue;
	struct queue_item item;
	queue_init(&queue, loop);
	queue_item_init(&item, &queue);
	queue_add(&item);
	loop_wait(loop, NEVER_NS); /* would sleep for ever */
	assert_ptr_equal(take_from(&queue), &item);
	queue_done(&item);
	queue_deinit(&queue);
	loop_destroy(loop);
}

static void done_without_hold(void *arg) {
	queue_done(arg);
}

static void move_without_hold(void *arg) {
	queue_move(arg, &there);
}

static void begin_twice(void *arg) {
	(void)queue_begin(arg);
	(void)queue_begin(arg);
}

static void add_after_close(void *arg) {
	queue_close(arg);
	queue_add(arg);
}

static void close_twice(void *arg) {
	queue_close(arg);
	queue_close(arg);
}

static void test_mistakes(void **state) {
	(void)state;
	static void (*const mistakes[])(void *arg) = { done_without_hold, move_without_hold,
		begin_twice, add_after_close, close_twice };
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		assert_true(aborts(mistakes[i], &items[0]));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add_take_done, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_add_during_run_means_one_more, setup, teardown),
		cmocka_unit_test_setup_teardown(test_begin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_of_idle_and_queued, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_of_running, setup, teardown),
		cmocka_unit_test(test_wakes_the_loop),
		cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
