/* workers/endpoint: one gate per token endpoint, whatever number of identities. */
#include "tests/unit/bench.h"

static void an_authority_has_one_endpoint(void **state) {
	struct endpoint *first = NULL, *again = NULL, *other = NULL;
	struct worker *worker = pool_worker(b.pool, 0);
	char text[] = "https://login.microsoftonline.com";
	(void)state;
	assert_int_equal(endpoint_get(worker, str_of(text), &first), OK);
	text[8] = 'x'; /* its name is its own */
	assert_int_equal(endpoint_get(worker, STR("https://login.microsoftonline.com"), &again), OK);
	assert_ptr_equal(first, again);
	assert_int_equal(endpoint_get(worker, STR("https://login.chinacloudapi.cn"), &other), OK);
	assert_ptr_not_equal(first, other);
	assert_string_equal(other->gate.name, "https://login.chinacloudapi.cn");
	assert_false(first->gate.open || first->gate.limited);
}

static void without_memory_there_is_none(void **state) {
	struct endpoint *endpoint = NULL;
	struct worker *worker = pool_worker(b.pool, 0);
	(void)state;
	for (uint64_t nth = 1; nth <= 2; nth++) {
		mem_fail_at(nth);
		assert_int_equal(endpoint_get(worker, STR("https://a"), &endpoint), ERR_NOMEM);
		mem_fail_at(0);
		assert_null(endpoint);
		assert_true(list_is_empty(&worker->endpoints));
	}
}

static int setup_two(void **state) {
	(void)state;
	return bench_setup_workers(2);
}

static void workers_share_the_trials_of_an_authority(void **state) {
	struct endpoint *endpoints[2], *other = NULL;
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(endpoint_get(pool_worker(b.pool, i), STR("https://a"), &endpoints[i]), OK);
	assert_int_equal(endpoint_get(pool_worker(b.pool, 0), STR("https://c"), &other), OK);
	assert_non_null(endpoints[0]->gate.trials);
	assert_ptr_equal(endpoints[0]->gate.trials, endpoints[1]->gate.trials);
	assert_ptr_not_equal(endpoints[0]->gate.trials, other->gate.trials);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(an_authority_has_one_endpoint),
		BENCH_TEST(without_memory_there_is_none),
		cmocka_unit_test_setup_teardown(
			workers_share_the_trials_of_an_authority, setup_two, bench_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
