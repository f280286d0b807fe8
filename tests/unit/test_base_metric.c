#include "unit.h"

#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"

static int teardown(void **state) {
	(void)state;
	metric_destroy_all();
	return 0;
}

static void test_names(void **state) {
	(void)state;
	assert_string_equal(metric_name(METRIC_VAULT_GETS), "vault_gets");
	for (int a = 0; a < METRIC_COUNT; a++) {
		assert_true(strlen(metric_help((enum metric)a)) > 0);
		for (int b = 0; b < a; b++) {
			assert_string_not_equal(
				metric_name((enum metric)a), metric_name((enum metric)b));
		}
	}
}

static void count(void *arg) {
	for (int i = 0; i < 1000; i++) metric_add(METRIC_RECONCILES, 2);
	metric_add(METRIC_VAULT_GETS, (uint64_t)(uintptr_t)arg);
}

static void test_sum_over_threads(void **state) {
	(void)state;
	struct thread threads[3];
	for (uintptr_t i = 0; i < 3; i++) {
		assert_int_equal(thread_start(&threads[i], "counter", count, (void *)(i + 1)), OK);
	}
	count((void *)10);
	for (int i = 0; i < 3; i++) thread_join(&threads[i]);
	assert_int_equal(metric_read(METRIC_RECONCILES), 8000); /* those of ended threads stay */
	assert_int_equal(metric_read(METRIC_VAULT_GETS), 16);
	assert_int_equal(metric_read(METRIC_RELISTS), 0);
	metric_destroy_all();
	assert_int_equal(metric_read(METRIC_RECONCILES), 0);
	metric_add(METRIC_RECONCILES, 1);
	assert_int_equal(metric_read(METRIC_RECONCILES), 1);
}

static void test_no_memory_loses_no_count(void **state) {
	(void)state;
	mem_fail_at(1);
	metric_add(METRIC_RELISTS, 5);
	assert_true(mem_fail_reached());
	metric_add(METRIC_RELISTS, 6);
	assert_int_equal(metric_read(METRIC_RELISTS), 11);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_teardown(test_sum_over_threads, teardown),
		cmocka_unit_test_teardown(test_no_memory_loses_no_count, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
