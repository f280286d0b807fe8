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

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(an_authority_has_one_endpoint),
		BENCH_TEST(without_memory_there_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
