/* workers/identity: one flight per identity, early renewal, failures that are remembered, nothing left behind. */
#include <stdio.h>

#include "tests/unit/bench.h"

enum { WAITERS = 3 };

/* Somebody who asks; what a reconcile does, without the reconcile. */
struct asker {
	struct identity_waiter waiter;
	struct identity *identity;
	unsigned answers;
};

static struct asker askers[WAITERS];

static void answered(struct identity_waiter *waiter) {
	container_of(waiter, struct asker, waiter)->answers++;
}

static enum identity_state ask(unsigned i) {
	struct asker *asker = &askers[i];
	thread_set_role(ROLE_WORKER);
	pool_worker(b.pool, 0)->now = b.now;
	if (!asker->identity) {
		assert_int_equal(identity_get(pool_worker(b.pool, 0), &b.spec, &b.spc, &asker->identity), OK);
		asker->waiter.answer = answered;
		list_init(&asker->waiter.link);
	}
	enum identity_state state = identity_ask(asker->identity, &asker->waiter);
	thread_set_role(ROLE_MAIN);
	return state;
}

static void let_go(void) {
	for (int i = 0; i < WAITERS; i++) {
		if (!askers[i].identity) continue;
		identity_leave(&askers[i].waiter);
		identity_put(askers[i].identity);
		askers[i] = (struct asker){ 0 };
	}
}

static int teardown(void **state) {
	let_go();
	return bench_teardown(state);
}

static size_t secret_bytes(void) {
	return secret_arena_used_bytes(pool_worker(b.pool, 0)->arena);
}

static void one_flight_serves_all_who_ask(void **state) {
	(void)state;
	for (unsigned i = 0; i < WAITERS; i++) assert_int_equal(ask(i), IDENTITY_WAIT);
	assert_ptr_equal(askers[0].identity, askers[2].identity);
	assert_int_equal(bench_active(), 1);
	struct http_req *req = request(HTTP_POST, "/namespaces/apps" TOKEN_URL);
	assert_sends(req, "\"expirationSeconds\":600,\"audiences\":[\"api://AzureADTokenExchange\"]");
	assert_non_null(req->response_arena);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	req = request(HTTP_POST, "https://login.microsoftonline.com/t/oauth2/v2.0/token");
	assert_sends(req, "client_id=c&scope=https%3A%2F%2Fvault.azure.net%2F.default");
	assert_sends(req, "client_assertion=sa-token");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":3600}");
	for (unsigned i = 0; i < WAITERS; i++) {
		assert_int_equal(askers[i].answers, 1);
		assert_int_equal(ask(i), IDENTITY_READY);
	}
	assert_str(secret_expose(&askers[0].identity->token), "vault-token");
	/* The service account's token was needed once. */
	assert_int_equal(secret_len(&askers[0].identity->assertion), 0);
	assert_int_equal(bench_started(), 2);
}

static void identities_differ_by_everything_that_names_them(void **state) {
	(void)state;
	struct identity *first = NULL, *other = NULL;
	struct worker *worker = pool_worker(b.pool, 0);
	assert_int_equal(identity_get(worker, &b.spec, &b.spc, &first), OK);
	struct spc spcs[7];
	struct spc_access accesses[7];
	for (int i = 0; i < 7; i++) {
		memcpy(&accesses[i], &b.access, sizeof b.access);
		memcpy(&spcs[i], &b.spc, sizeof b.spc);
		spcs[i].access = &accesses[i];
	}
	accesses[0].tenant = STR("t2");
	accesses[1].client_id = STR("c2");
	accesses[2].authority = STR("https://login.chinacloudapi.cn");
	accesses[3].scope = STR("https://vault.azure.cn/.default");
	accesses[4].audience = STR("api://AzureADTokenExchangeChina");
	accesses[5].identity = IDENTITY_MACHINE;
	accesses[6].identity = IDENTITY_PRINCIPAL;
	accesses[6].secret_name = b.common.service_account;
	for (int i = 0; i < 7; i++) {
		assert_int_equal(identity_get(worker, &b.spec, &spcs[i], &other), OK);
		assert_ptr_not_equal(first, other);
		identity_put(other);
	}
	b.common.ns = STR("apps2");
	assert_int_equal(identity_get(worker, &b.spec, &b.spc, &other), OK);
	assert_ptr_not_equal(first, other);
	identity_put(other);
	b.common.ns = STR("apps");
	b.common.service_account = STR("sa2");
	assert_int_equal(identity_get(worker, &b.spec, &b.spc, &other), OK);
	assert_ptr_not_equal(first, other);
	identity_put(other);
	identity_put(first);
}

static void a_token_is_renewed_early_and_served_meanwhile(void **state) {
	(void)state;
	ask(0);
	bench_give_token();
	bench_advance(1799 * NS_PER_S);
	assert_int_equal(ask(0), IDENTITY_READY);
	assert_int_equal(bench_active(), 0);
	/* At 80 % of its life at the latest. */
	bench_advance(1082 * NS_PER_S);
	assert_int_equal(ask(0), IDENTITY_READY);
	assert_int_equal(ask(0), IDENTITY_READY);
	assert_int_equal(bench_active(), 1);
	/* Even while renewing fails, until a minute before its end. */
	lose(HTTP_POST, TOKEN_URL, ERR_TIMEOUT, true);
	bench_advance(600 * NS_PER_S);
	assert_int_equal(ask(0), IDENTITY_READY);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 503, "");
	bench_advance(60 * NS_PER_S);
	assert_int_equal(ask(0), IDENTITY_WAIT);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"second\",\"expires_in\":3600}");
	assert_str(secret_expose(&askers[0].identity->token), "second");
}

static void refresh_in_is_obeyed_when_it_is_earlier(void **state) {
	(void)state;
	ask(0);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"x\",\"expires_in\":3600,\"refresh_in\":600}");
	bench_advance(599 * NS_PER_S);
	ask(0);
	assert_int_equal(bench_active(), 0);
	bench_advance(2 * NS_PER_S);
	ask(0);
	assert_int_equal(bench_active(), 1);
}

static void a_failure_is_remembered(void **state) {
	(void)state;
	ask(0);
	ask(1);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 401, "{\"error\":\"invalid_client\",\"error_codes\":[700211]}");
	assert_int_equal(askers[0].answers, 1);
	assert_int_equal(askers[1].answers, 1);
	assert_int_equal(ask(0), IDENTITY_FAILED);
	assert_int_equal(ask(2), IDENTITY_FAILED);
	assert_text(askers[0].identity->fault.text, "AADSTS700211");
	assert_false(askers[0].identity->fault_is_local);
	assert_int_equal(bench_started(), 2);
	assert_int_equal(secret_bytes(), 0);
	/* A configuration fault is asked about again within a minute the first time. */
	bench_advance(60 * NS_PER_S);
	assert_int_equal(ask(0), IDENTITY_WAIT);
}

/* A poll each second asks the vault each second, but nobody who has refused. */
static void short_polls_do_not_storm_entra(void **state) {
	struct settings settings = settings_default();
	static const struct {
		int status;
		const char *body;
		int least, most;
	} refusals[] = {
		{ 401, "{\"error\":\"invalid_client\",\"error_codes\":[700211]}", 2, 5 },
		{ 500, "{}", 20, 60 },
	};
	(void)state;
	settings.poll_interval_ns = NS_PER_S;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	for (int k = 0; k < 2; k++) {
		int flights = 0;
		for (int second = 0; second < 60; second++) {
			if (ask(0) == IDENTITY_WAIT) {
				flights++;
				reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
				reply(HTTP_POST, ENTRA_URL, refusals[k].status, refusals[k].body);
			}
			bench_advance(NS_PER_S);
		}
		assert_in_range(flights, refusals[k].least, refusals[k].most);
		bench_advance(600 * NS_PER_S);
	}
}

static void entras_own_pace_is_kept(void **state) {
	(void)state;
	ask(0);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply_after(HTTP_POST, ENTRA_URL, 429, 90, "slow down");
	for (int i = 0; i < 9; i++) {
		assert_int_equal(ask(0), IDENTITY_FAILED);
		bench_advance(9900 * NS_PER_MS);
	}
	assert_int_equal(bench_started(), 2);
	bench_advance(NS_PER_S);
	assert_int_equal(ask(0), IDENTITY_WAIT);
	assert_int_equal(askers[0].identity->failures, 0);
}

static void the_api_servers_refusals_are_local(void **state) {
	static const struct {
		int code;
		const char *body;
		enum err err;
	} cases[] = {
		{ 404, "{\"reason\":\"NotFound\",\"message\":\"serviceaccounts \\\"sa\\\" not found\"}", ERR_NOT_FOUND },
		{ 403, "{\"reason\":\"Forbidden\",\"message\":\"ValidatingAdmissionPolicy 'tokens' with binding 'b' denied request: no\"}",
			ERR_POLICY },
		{ 201, "{\"status\":{}}", ERR_PARSE },
	};
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(0), IDENTITY_WAIT);
		reply(HTTP_POST, TOKEN_URL, cases[i].code, cases[i].body);
		assert_int_equal(ask(0), IDENTITY_FAILED);
		assert_int_equal(askers[0].identity->fault.err, cases[i].err);
		assert_true(askers[0].identity->fault_is_local);
		assert_null(bench_find(HTTP_POST, ENTRA_URL));
		bench_advance(600 * NS_PER_S);
	}
}

/* Nobody watches ServiceAccounts: one that comes later is found by asking. */
static void a_missing_service_account_is_found_within_a_minute(void **state) {
	(void)state;
	bench_begin();
	for (int i = 0; i < 12; i++) {
		int seconds = 0;
		reply(HTTP_POST, TOKEN_URL, 404, "{\"reason\":\"NotFound\",\"message\":\"serviceaccounts \\\"sa\\\" not found\"}");
		if (!i) bench_take_status();
		assert_int_equal(bench_reason(), REASON_USER_INPUT);
		assert_text(bench_message(), "ServiceAccount apps/sa");
		assert_text(bench_message(), "create it, or correct spec.serviceAccountName");
		for (; seconds < 60 && !bench_find(HTTP_POST, TOKEN_URL); seconds++) bench_advance(NS_PER_S);
		assert_in_range(seconds, 30, 60);
	}
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_CREATE_SUCCEEDED);
}

/* Its issuer is what a person compares. */
static void a_refused_assertion_is_shown_but_for_itself(void **state) {
	(void)state;
	bench_begin();
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"aGVhZA.eyJpc3MiOiJodHRwczovL2kvIn0.c2ln\"}}");
	reply(HTTP_POST, ENTRA_URL, 401, "{\"error\":\"invalid_client\",\"error_codes\":[700211]}");
	bench_take_status();
	assert_text(bench_message(), "issuer \"https://i/\" (with a slash at its end)");
	assert_null(strstr(bench_message(), "eyJ"));
	assert_int_equal(secret_bytes(), 0);
}

static void a_refused_token_is_dropped_once(void **state) {
	(void)state;
	ask(0);
	bench_give_token();
	struct identity *identity = askers[0].identity;
	uint64_t serial = identity->serial;
	identity_refused(identity, serial);
	assert_int_equal(ask(0), IDENTITY_WAIT);
	bench_give_token();
	/* Late news about the old token does not hurt the new one. */
	identity_refused(identity, serial);
	assert_int_equal(ask(0), IDENTITY_READY);
}

static void whoever_leaves_is_not_answered(void **state) {
	(void)state;
	ask(0);
	ask(1);
	identity_leave(&askers[0].waiter);
	bench_give_token();
	assert_int_equal(askers[0].answers, 0);
	assert_int_equal(askers[1].answers, 1);
}

static void an_unreachable_entra_costs_one_trial_per_interval(void **state) {
	(void)state;
	ask(0);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	lose(HTTP_POST, ENTRA_URL, ERR_NETWORK, false);
	unsigned before = bench_started();
	for (int i = 0; i < 9; i++) {
		assert_int_equal(ask(0), IDENTITY_FAILED);
		assert_non_null(askers[0].identity->fault_gate);
		bench_advance(NS_PER_S);
	}
	assert_int_equal(bench_started(), before);
	bench_advance(2 * NS_PER_S);
	assert_int_equal(ask(0), IDENTITY_WAIT);
}

static void what_nobody_uses_goes_with_its_token(void **state) {
	(void)state;
	struct worker *worker = pool_worker(b.pool, 0);
	ask(0);
	bench_give_token();
	assert_true(secret_bytes() > 0);
	let_go();
	bench_advance(3000 * NS_PER_S);
	assert_int_equal(map_count(&worker->identities), 1);
	/* Its end, and a while after. */
	for (int i = 0; i < 30; i++) bench_advance(61 * NS_PER_S);
	assert_int_equal(map_count(&worker->identities), 0);
	assert_int_equal(secret_bytes(), 0);
}

/* What a metadata service that cannot renew tells of its last token: it serves for as long as it can, and is not asked for without end. */
static void a_token_that_ends_soon_is_used_all_the_same(void **state) {
	(void)state;
	bench_begin();
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":30}");
	assert_null(bench_find(HTTP_POST, TOKEN_URL));
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	bench_advance(16 * NS_PER_S);
	bench_again();
	request(HTTP_POST, TOKEN_URL);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_flight_serves_all_who_ask),
		TEST(identities_differ_by_everything_that_names_them),
		TEST(a_token_is_renewed_early_and_served_meanwhile),
		TEST(refresh_in_is_obeyed_when_it_is_earlier),
		TEST(a_failure_is_remembered),
		TEST(short_polls_do_not_storm_entra),
		TEST(entras_own_pace_is_kept),
		TEST(the_api_servers_refusals_are_local),
		TEST(a_missing_service_account_is_found_within_a_minute),
		TEST(a_refused_assertion_is_shown_but_for_itself),
		TEST(a_refused_token_is_dropped_once),
		TEST(whoever_leaves_is_not_answered),
		TEST(an_unreachable_entra_costs_one_trial_per_interval),
		TEST(what_nobody_uses_goes_with_its_token),
		BENCH_TEST(a_token_that_ends_soon_is_used_all_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
