/* workers/sync: the frame of a reconcile. One at a time, nothing for who is gone, an end that leaves nothing. */
#include "tests/unit/bench.h"

static void write_and_report(void) {
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
}

static void an_object_that_is_being_deleted_rests(void **state) {
	(void)state;
	b.spec.deleting = true;
	bench_begin();
	assert_int_equal(bench_started(), 0);
	/* Nor when its timer or a change comes later. */
	bench_again();
	bench_advance(7200 * NS_PER_S);
	assert_int_equal(bench_started(), 0);
}

/* The deletion came while the object waited in a ready list or for its timer. */
static void a_deletion_ends_the_checks(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	write_and_report();
	struct spec deleting;
	memcpy(&deleting, &b.spec, sizeof deleting);
	deleting.deleting = true;
	rcu_swap(b.object->spec, &deleting);
	unsigned before = bench_started();
	bench_advance(3601 * NS_PER_S);
	bench_advance(3601 * NS_PER_S);
	assert_int_equal(bench_started(), before);
	rcu_swap(b.object->spec, &b.spec);
}

static void an_object_without_a_spec_costs_nothing(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	write_and_report();
	rcu_swap(b.object->spec, NULL);
	unsigned before = bench_started();
	bench_advance(3601 * NS_PER_S);
	assert_int_equal(bench_started(), before);
	rcu_swap(b.object->spec, &b.spec);
}

static void an_add_meanwhile_is_one_more_turn_afterwards(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	for (int i = 0; i < 5; i++) bench_again();
	/* One run at a time. */
	assert_int_equal(bench_active(), 1);
	assert_int_equal(worker_running_count(pool_worker(b.pool, 0)), 1);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	write_and_report();
	/* And all five together are one. */
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	assert_int_equal(worker_running_count(pool_worker(b.pool, 0)), 0);
}

/* The class changes under a running reconcile: it goes on with the one that it borrowed. */
static void a_reconcile_keeps_what_it_borrowed(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	unsigned before = b.spc.ref;
	spc_publish(b.cell, NULL);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	assert_sends(request(HTTP_POST, SECRETS_URL), "czNjcmV0LXZhbHVl");
	assert_int_equal(b.spc.ref, before);
	write_and_report();
	assert_int_equal(b.spc.ref, before - 1);
	spc_publish(b.cell, &b.spc);
}

static void an_unreachable_vault_costs_no_token(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	lose(HTTP_GET, "/secrets/a/", ERR_NETWORK, false);
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_CREATE_FAILED_PROVIDER);
	unsigned before = bench_started();
	/* Changes meanwhile are answered by what is known, and cost no token either. */
	struct list *identities = &pool_worker(b.pool, 0)->identity_list;
	struct identity *identity = container_of(list_first(identities), struct identity, all);
	identity_refused(identity, identity->serial);
	bench_again();
	bench_advance(5 * NS_PER_S);
	bench_again();
	assert_int_equal(bench_started(), before);
	/* One trial per interval. */
	for (unsigned trial = 1; trial <= 3; trial++) {
		bench_advance(10 * NS_PER_S);
		if (trial == 1) {
			bench_give_token();
			before = bench_started() - trial;
		}
		assert_int_equal(bench_started(), before + trial);
		lose(HTTP_GET, "/secrets/a/", ERR_NETWORK, false);
		assert_int_equal(bench_active(), 0);
	}
	bench_advance(10 * NS_PER_S);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	write_and_report();
	assert_int_equal(bench_reason(), REASON_CREATE_SUCCEEDED);
}

static void every_step_can_be_cancelled(void **state) {
	(void)state;
	/* How far the reconcile has come when the worker has to stop: 0 nothing, 5 the status is under way. */
	for (int depth = 0; depth < 6; depth++) {
		bench_begin();
		if (depth >= 2) reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
		if (depth >= 3) reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":3600}");
		if (depth >= 4) reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
		if (depth >= 5) reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
		assert_int_equal(bench_active(), 1);
		/* The destruction of arena, lists and tables asserts that nothing is left. */
		bench_teardown(NULL);
		bench_setup(NULL);
	}
	bench_begin();
}

static void work_in_flight_is_finished_within_the_grace(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	struct worker *worker = pool_worker(b.pool, 0);
	pool_stop(b.pool, 5 * NS_PER_S);
	bench_turn();
	assert_false(worker_is_drained(worker));
	/* Nothing new begins. */
	bench_again();
	write_and_report();
	assert_int_equal(bench_reason(), REASON_CREATE_SUCCEEDED);
	assert_true(worker_is_drained(worker));
	assert_int_equal(bench_active(), 0);
}

static void work_that_takes_longer_is_cancelled(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	pool_stop(b.pool, 5 * NS_PER_S);
	bench_turn();
	bench_advance(4 * NS_PER_S);
	assert_int_equal(bench_active(), 1);
	bench_advance(2 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
	assert_true(worker_is_drained(pool_worker(b.pool, 0)));
	assert_null(b.object->sync);
}

static unsigned traced;

static void count_trace(void *arg, const struct object *object, const char *step, enum err err) {
	(void)arg, (void)step, (void)err;
	assert_ptr_equal(object, b.object);
	traced++;
}

static void every_step_is_traced(void **state) {
	(void)state;
	traced = 0;
	pool_trace(b.pool, count_trace, NULL);
	bench_begin();
	bench_fetch();
	write_and_report();
	/* borrow, token, token, fetch, fetch, compare, values, create, created, status, reported, end */
	assert_in_range(traced, 12, 16);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(an_object_that_is_being_deleted_rests),
		BENCH_TEST(a_deletion_ends_the_checks),
		BENCH_TEST(an_object_without_a_spec_costs_nothing),
		BENCH_TEST(an_add_meanwhile_is_one_more_turn_afterwards),
		BENCH_TEST(a_reconcile_keeps_what_it_borrowed),
		BENCH_TEST(an_unreachable_vault_costs_no_token),
		BENCH_TEST(every_step_can_be_cancelled),
		BENCH_TEST(work_in_flight_is_finished_within_the_grace),
		BENCH_TEST(work_that_takes_longer_is_cancelled),
		BENCH_TEST(every_step_is_traced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
