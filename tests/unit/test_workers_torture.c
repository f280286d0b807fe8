/* workers/: a whole life of a SecretSync with the k-th allocation failing, for k = 1, 2, ... until none does. Whatever fails, the
 * Secret is in the end what the vault says, it is written on the word of a probe only, and nothing is left behind. */
#include "tests/unit/bench.h"

enum { MOST_ALLOCATIONS = 2000, MOST_STEPS = 60 };

static bool secret_exists, is_said;

/* A small API server, vault and Entra: answers whatever is asked first. False: nothing is under way. */
static bool serve_one(void) {
	struct http_req *req;
	if ((req = bench_find(HTTP_POST, TOKEN_URL))) {
		answer(req, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	} else if ((req = bench_find(HTTP_POST, ENTRA_URL))) {
		answer(req, 200, "{\"access_token\":\"vault-token\",\"expires_in\":3600}");
	} else if ((req = bench_find(HTTP_GET, "/versions?"))) {
		answer(req, 200, "{\"value\":[{" ROW("v1", "1700000000") "},{" ROW("v2", "1700000100") "}],\"nextLink\":null}");
	} else if ((req = bench_find(HTTP_GET, "/secrets/a/v2"))) {
		answer(req, 200, VALUE("s3cret-value", "v2", "1700000100"));
	} else if ((req = bench_find(HTTP_GET, "/secrets/"))) {
		answer(req, 200, VALUE("s3cret-value", "v1", "1700000000"));
	} else if ((req = bench_find(HTTP_POST, SECRETS_URL))) {
		assert_sends(req, "czNjcmV0LXZhbHVl");
		answer(req, secret_exists ? 409 : 201,
			secret_exists ? "{\"reason\":\"AlreadyExists\"}" : OURS("s-1", "5", ""));
		secret_exists = true;
	} else if ((req = bench_find(HTTP_PATCH, STATUS_URL))) {
		is_said = strstr(body_of(req), "\"status\":\"True\",\"reason\":\"CreateSucceeded\"") ||
			  strstr(body_of(req), "UpdateValueChangeOrForceUpdateSucceeded");
		answer(req, 200, "{}");
	} else if ((req = bench_find(HTTP_PATCH, "&force=true"))) {
		assert_sends(req, "\"uid\":\"s-1\",\"resourceVersion\":");
		answer(req, 200, OURS("s-1", "7", ""));
	} else if ((req = bench_find(HTTP_PATCH, SECRETS_URL))) {
		bool settles = strstr(body_of(req), "managedFields") != NULL;
		answer(req, 200, settles ? OURS("s-1", "6", "") : OURS("s-1", "5", UPDATE_ENTRY));
	} else {
		return false;
	}
	bench_end(req);
	return true;
}

static void run(uint64_t nth, bool *out_reached) {
	secret_exists = is_said = false;
	b.objects[1] = (struct spc_object){ .name = STR("a"), .path = STR("h"), .kind = VAULT_SECRET, .history = 2 };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("h/0"), STR("k2") };
	b.spec.item_count = 2;
	spc_publish(b.cell, &b.spc);
	b.spec.cell = b.cell;
	assert_int_equal(object_create(STR("apps/db"), STR("o-1"), &b.status, pool_first_queue(b.pool), &b.object), OK);
	rcu_swap(b.object->spec, &b.spec);
	queue_add(&b.object->item);
	mem_fail_at(nth);
	bench_turn();
	for (int step = 0; step < MOST_STEPS && !is_said; step++) {
		if (!serve_one()) bench_advance(5 * NS_PER_S);
	}
	/* And a change, so that probe, settling and apply have their part. */
	is_said = false;
	b.spec.generation++;
	bench_again();
	for (int step = 0; step < MOST_STEPS && !is_said; step++) {
		if (!serve_one()) bench_advance(5 * NS_PER_S);
	}
	*out_reached = mem_fail_reached();
	mem_fail_at(0);
	if (!secret_exists || !is_said) fail_msg("allocation %d failed, and the Secret never came", (int)nth);
	while (serve_one()) {
	}
}

static void each_allocation_may_fail(void **state) {
	(void)state;
	for (uint64_t nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		bool reached;
		assert_int_equal(bench_setup(NULL), 0);
		run(nth, &reached);
		bench_teardown(NULL);
		if (!reached) {
			assert_true(nth > 60);
			return;
		}
	}
	fail_msg("does not end");
}

static void a_pool_that_cannot_be_made_leaves_nothing(void **state) {
	(void)state;
	for (uint64_t nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		assert_int_equal(bench_setup(NULL), 0);
		bench_teardown(NULL);
		rcu_thread_register();
		thread_set_role(ROLE_MAIN);
		assert_int_equal(kube_init(&b.kube, "https://api", &b.kube_site), OK);
		b.pool = NULL;
		mem_fail_at(nth);
		enum err err = bench_make_pool(2);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		assert_int_equal(err, reached ? ERR_NOMEM : OK);
		pool_destroy(b.pool);
		kube_deinit(&b.kube);
		rcu_thread_unregister();
		if (!reached) return;
	}
	fail_msg("does not end");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(a_pool_that_cannot_be_made_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
