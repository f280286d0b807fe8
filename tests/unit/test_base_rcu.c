#include "unit.h"

#include <stdatomic.h>
#include <time.h>

#include "base/rcu.h"
#include "base/thread.h"

static int *cell;
static _Atomic int step; /* atomic: seq_cst, a test may be slow */

static void await(int wanted) {
	while (atomic_load(&step) < wanted)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void read_slowly(void *arg) {
	(void)arg;
	rcu_read_scope();
	int *seen = rcu_load(cell);
	atomic_store(&step, 1);
	await(2);
	nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
	assert_int_equal(*seen, 1); /* what we found is there until our section ends */
	atomic_store(&step, 3);
}

static void test_sync_waits_for_readers(void **state) {
	(void)state;
	static struct thread reader;
	static int old, new;
	old = 1;
	new = 2;
	rcu_thread_register();
	assert_null(rcu_swap(cell, &old));
	assert_int_equal(thread_start(&reader, "reader", read_slowly, NULL), OK);
	await(1);
	assert_ptr_equal(rcu_swap(cell, &new), &old);
	atomic_store(&step, 2);
	rcu_sync();
	assert_int_equal(atomic_load(&step), 3);
	old = 0;
	{
		rcu_read_scope();
		assert_int_equal(*rcu_load(cell), 2);
	}
	rcu_sync(); /* our own section is over, so this returns */
	thread_join(&reader);
	rcu_thread_unregister();
}

static void sync_inside(void *arg) {
	(void)arg;
	rcu_thread_register();
	rcu_read_begin();
	rcu_sync();
}

static void test_sync_inside_a_section_is_a_mistake(void **state) {
	(void)state;
	assert_true(aborts(sync_inside, NULL));
}

static void test_inbox_order_and_emptiness(void **state) {
	(void)state;
	static struct inbox inbox;
	static struct inbox_node nodes[3];
	bool busy = true;
	inbox_init(&inbox);
	assert_null(inbox_pop(&inbox, &busy));
	assert_false(busy);
	for (int round = 0; round < 3;
		round++) { /* nodes serve again as soon as they were popped */
		assert_true(inbox_push(&inbox, &nodes[0]));
		assert_false(inbox_push(&inbox, &nodes[1]));
		assert_false(inbox_push(&inbox, &nodes[2]));
		assert_ptr_equal(inbox_pop(&inbox, &busy), &nodes[0]);
		assert_false(inbox_push(&inbox, &nodes[0]));
		assert_ptr_equal(inbox_pop(&inbox, &busy), &nodes[1]);
		assert_ptr_equal(inbox_pop(&inbox, &busy), &nodes[2]);
		assert_ptr_equal(inbox_pop(&inbox, &busy), &nodes[0]);
		assert_null(inbox_pop(&inbox, &busy));
		assert_false(busy);
	}
	inbox_deinit(&inbox);
}

static void deinit_full(void *arg) {
	(void)arg;
	static struct inbox inbox;
	static struct inbox_node node;
	inbox_init(&inbox);
	(void)inbox_push(&inbox, &node);
	inbox_deinit(&inbox);
}

static void test_deinit_of_a_full_inbox_is_a_mistake(void **state) {
	(void)state;
	assert_true(aborts(deinit_full, NULL));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sync_waits_for_readers),
		cmocka_unit_test(test_sync_inside_a_section_is_a_mistake),
		cmocka_unit_test(test_inbox_order_and_emptiness),
		cmocka_unit_test(test_deinit_of_a_full_inbox_is_a_mistake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
