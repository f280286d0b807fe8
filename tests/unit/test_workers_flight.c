/* workers/flight: who shares one answer of a vault, who does not, and how long it lives. */
#include <stdio.h>

#include "base/metric.h"
#include "tests/unit/bench.h"

enum { OTHERS = 20 };

static struct object *others[OTHERS];
static unsigned other_count;

/* One more SecretSync of the same class; `spec` is borrowed for the rest of the test. */
static void add_other(struct spec *spec) {
	char key[32], uid[32];
	struct status none = { 0 };
	unsigned i = other_count++;
	snprintf(key, sizeof key, "apps/o%u", i);
	snprintf(uid, sizeof uid, "u-%u", i);
	assert_int_equal(
		object_create(str_of(key), str_of(uid), &none, pool_first_queue(b.pool), &others[i]), OK);
	rcu_swap(others[i]->spec, spec);
	queue_add(&others[i]->item);
}

static int setup(void **state) {
	other_count = 0;
	if (bench_setup(state)) return -1;
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.change_detection = CHANGE_BY_GET;
	settings.drift = DRIFT_OFF;
	settings.kube_writes_per_s = 0;
	return pool_set_settings(b.pool, &settings) == OK ? 0 : -1;
}

static int teardown(void **state) {
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	for (unsigned i = 0; i < other_count; i++) object_destroy(others[i]);
	return bench_teardown(state);
}

#define FLIGHT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static unsigned count_active(enum http_method method, const char *part) {
	unsigned count = 0;
	for (int i = 0; i < BENCH_REQUESTS; i++) {
		const struct http_req *req = b.https[0]->active[i];
		count += req && req->method == method &&
			 str_find(buf_str(&req->url), str_of(part)) != SIZE_MAX;
	}
	return count;
}

#define GET "/secrets/a/"
#define VALUE_NOW VALUE("s3cret-value", "v1", "1700000000")

/* Each SecretSync's Secret and status are written; all carry the value. Returns how many. */
static unsigned finish_all(void) {
	unsigned done = 0;
	struct http_req *req;
	while ((req = bench_find(HTTP_POST, SECRETS_URL "?")) || bench_find(HTTP_PATCH, STATUS_URL)) {
		if (!req) {
			bench_take_status();
			continue;
		}
		assert_sends(req, "\"k\":\"czNjcmV0LXZhbHVl\"");
		reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "1", ""));
		done++;
	}
	return done;
}

static size_t secret_bytes(void) {
	return secret_arena_used_bytes(pool_worker(b.pool, 0)->arena);
}

static void many_readers_cost_one_get(void **state) {
	(void)state;
	uint64_t gets = metric_read(METRIC_VAULT_GETS);
	bench_begin();
	for (int i = 0; i < OTHERS; i++) add_other(&b.spec);
	bench_turn();
	bench_give_token();
	assert_int_equal(count_active(HTTP_GET, GET), 1);
	size_t before = secret_bytes();
	reply(HTTP_GET, GET, 200, VALUE_NOW);
	assert_true(secret_bytes() > before);
	assert_int_equal(finish_all(), 1 + OTHERS);
	assert_int_equal(metric_read(METRIC_VAULT_GETS), gets + 1);
	/* With the last reconcile the value is gone. */
	assert_int_equal(worker_running_count(pool_worker(b.pool, 0)), 0);
	assert_int_equal(secret_bytes(), before);
}

/* Somebody who comes while another still works with the answer has it at once, if his reason is not younger. */
static void an_answer_is_for_those_who_were_due_before_it_was_asked_for(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	add_other(&b.spec);
	bench_turn();
	assert_int_equal(count_active(HTTP_GET, GET), 0);
	assert_int_equal(count_active(HTTP_POST, SECRETS_URL "?"), 2);
	bench_advance(NS_PER_MS);
	add_other(&b.spec);
	bench_turn();
	assert_int_equal(count_active(HTTP_GET, GET), 1);
	reply(HTTP_GET, GET, 200, VALUE_NOW);
	assert_int_equal(finish_all(), 3);
}

/* What waits for the vault's pace has not been asked yet: whoever comes meanwhile is not late. */
static void what_waits_in_line_is_joined(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.change_detection = CHANGE_BY_GET;
	settings.drift = DRIFT_OFF;
	settings.vault_rate_per_s = 0.1;
	settings.vault_burst = 1;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_begin();
	bench_fetch();
	assert_int_equal(finish_all(), 1);
	bench_advance(NS_PER_S);
	for (int i = 0; i < 3; i++) {
		add_other(&b.spec);
		bench_advance(NS_PER_S);
	}
	assert_int_equal(count_active(HTTP_GET, GET), 0);
	bench_advance(10 * NS_PER_S);
	reply(HTTP_GET, GET, 200, VALUE_NOW);
	assert_int_equal(finish_all(), 3);
}

/* What a key's kind costs is known by its answer, and paid for then: the next key waits as long as for two requests. */
static void a_dear_key_is_paid_for(void **state) {
	static const struct {
		const char *kind;
		int64_t wait_ns;
	} rows[] = { { "EC", NS_PER_S }, { "EC-HSM", 2 * NS_PER_S }, { "EC", NS_PER_S } };
	(void)state;
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.change_detection = CHANGE_BY_GET;
	settings.drift = DRIFT_OFF;
	settings.kube_writes_per_s = settings.status_writes_per_s = 0;
	settings.vault_key_rate_per_s = settings.vault_key_burst = 1;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	b.objects[0].kind = VAULT_KEY;
	bench_begin();
	bench_give_token();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char key[600];
		snprintf(key, sizeof key,
			"{\"key\":{\"kid\":\"https://v.vault.azure.net/keys/a/v1\",\"kty\":\"%s\",\"crv\":\"P-256\","
			"\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\",\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"},"
			"\"attributes\":{\"enabled\":true,\"created\":1700000000,\"updated\":1700000000}}",
			rows[i].kind);
		reply(HTTP_GET, "/keys/a/", 200, key);
		bench_advance(NS_PER_MS);
		add_other(&b.spec);
		bench_advance(rows[i].wait_ns - 10 * NS_PER_MS);
		assert_int_equal(count_active(HTTP_GET, "/keys/a/"), 0);
		bench_advance(10 * NS_PER_MS);
		assert_int_equal(count_active(HTTP_GET, "/keys/a/"), 1);
	}
}

static void two_identities_never_share(void **state) {
	(void)state;
	static struct spec other;
	static struct spec_common other_common;
	memcpy(&other, &b.spec, sizeof other);
	memcpy(&other_common, &b.common, sizeof other_common);
	other_common.service_account = STR("another");
	other.common = &other_common;
	bench_begin();
	bench_give_token();
	other.cell = b.cell;
	add_other(&other);
	bench_turn();
	reply(HTTP_POST, "/serviceaccounts/another/token", 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token-2\",\"expires_in\":3600}");
	assert_int_equal(count_active(HTTP_GET, GET), 2);
	struct http_req *first = request(HTTP_GET, GET);
	bool firsts = str_eq(secret_expose(first->bearer), STR("vault-token"));
	/* One is denied, the other is not. */
	answer(first, 403, "{\"error\":{\"code\":\"Forbidden\"}}");
	bench_end(first);
	const struct http_req *second = request(HTTP_GET, GET);
	assert_true(str_eq(secret_expose(second->bearer), firsts ? STR("vault-token-2") : STR("vault-token")));
	reply(HTTP_GET, GET, 200, VALUE_NOW);
	assert_int_equal(finish_all(), 1);
}

/* A failure is everybody's who waited, and nobody's who comes later. */
static void a_failure_is_not_kept(void **state) {
	(void)state;
	bench_begin();
	add_other(&b.spec);
	bench_turn();
	bench_give_token();
	reply(HTTP_GET, GET, 404, "{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"\"}}");
	assert_sends(request(HTTP_PATCH, STATUS_URL), "CreateFailedProviderError");
	assert_int_equal(count_active(HTTP_PATCH, STATUS_URL), 2);
	add_other(&b.spec);
	bench_turn();
	assert_int_equal(count_active(HTTP_GET, GET), 1);
}

static void a_throttled_read_goes_out_again_once(void **state) {
	(void)state;
	bench_begin();
	for (int i = 0; i < 3; i++) add_other(&b.spec);
	bench_turn();
	bench_give_token();
	reply_after(HTTP_GET, GET, 429, 2, "{\"error\":{\"code\":\"Throttled\",\"message\":\"\"}}");
	assert_int_equal(count_active(HTTP_GET, GET), 0);
	bench_advance(3 * NS_PER_S);
	assert_int_equal(count_active(HTTP_GET, GET), 1);
	reply(HTTP_GET, GET, 200, VALUE_NOW);
	assert_int_equal(finish_all(), 4);
}

static void a_refused_token_is_renewed_once_for_all(void **state) {
	(void)state;
	bench_begin();
	for (int i = 0; i < 3; i++) add_other(&b.spec);
	bench_turn();
	bench_give_token();
	reply(HTTP_GET, GET, 401, "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"\"}}");
	assert_int_equal(count_active(HTTP_POST, TOKEN_URL), 1);
	bench_give_token();
	assert_int_equal(count_active(HTTP_GET, GET), 1);
	reply(HTTP_GET, GET, 200, VALUE_NOW);
	assert_int_equal(finish_all(), 4);
}

/* Its reconciles are cancelled one by one: the others' flight goes on until the last has left. */
static void the_last_one_who_leaves_ends_it(void **state) {
	(void)state;
	bench_begin();
	for (int i = 0; i < 3; i++) add_other(&b.spec);
	bench_turn();
	bench_give_token();
	assert_int_equal(count_active(HTTP_GET, GET), 1);
	pool_stop(b.pool, 0);
	bench_turn();
	assert_int_equal(bench_active(), 0);
	assert_int_equal(map_count(&b.object->shard->flights), 0);
}

/* The second stands in line when the breaker opens. */
static void what_is_refused_is_not_counted(void **state) {
	(void)state;
	uint64_t gets = metric_read(METRIC_VAULT_GETS);
	b.objects[1] = (struct spc_object){ .name = STR("b"), .path = STR("b"), .kind = VAULT_SECRET };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("b"), STR("k2") };
	b.spec.item_count = 2;
	bench_begin();
	b.object->shard->gate.max_in_flight = 1;
	bench_give_token();
	assert_int_equal(count_active(HTTP_GET, "/secrets/"), 1);
	assert_int_equal(metric_read(METRIC_VAULT_GETS), gets + 1);
	lose(HTTP_GET, "/secrets/", ERR_NETWORK, false);
	assert_int_equal(count_active(HTTP_GET, "/secrets/"), 0);
	bench_take_status();
	assert_int_equal(metric_read(METRIC_VAULT_GETS), gets + 1);
}

#define VERSION_ROW(version, second)                                              \
	"{\"id\":\"https://v.vault.azure.net/secrets/a/" version                  \
	"\",\"attributes\":{\"enabled\":true,\"created\":" second ",\"updated\":" second "}}"

/* One list for all, page by page, and each version that is needed once. */
static void a_history_is_read_once_for_all(void **state) {
	(void)state;
	uint64_t gets = metric_read(METRIC_VAULT_GETS), lists = metric_read(METRIC_VAULT_LISTS);
	b.objects[0].history = 2;
	b.items[0].source_path = STR("a/0");
	b.items[1] = (struct spec_item){ STR("a/1"), STR("l") };
	b.spec.item_count = 2;
	bench_begin();
	for (int i = 0; i < 5; i++) add_other(&b.spec);
	bench_turn();
	bench_give_token();
	assert_int_equal(count_active(HTTP_GET, "/secrets/a/versions"), 1);
	reply(HTTP_GET, "/secrets/a/versions", 200,
		"{\"value\":[" VERSION_ROW("v1", "1700000001") "],\"nextLink\":\"https://v.vault.azure.net/two\"}");
	assert_int_equal(count_active(HTTP_GET, "/two"), 1);
	reply(HTTP_GET, "/two", 200, "{\"value\":[" VERSION_ROW("v2", "1700000002") "],\"nextLink\":null}");
	assert_int_equal(count_active(HTTP_GET, "/secrets/a/v"), 1);
	reply(HTTP_GET, "/secrets/a/v2", 200, VALUE("s3cret-value", "v2", "1700000002"));
	reply(HTTP_GET, "/secrets/a/v1", 200, VALUE("older", "v1", "1700000001"));
	assert_sends(request(HTTP_POST, SECRETS_URL "?"), "\"l\":\"b2xkZXI=\"");
	assert_int_equal(finish_all(), 6);
	assert_int_equal(metric_read(METRIC_VAULT_GETS), gets + 2);
	assert_int_equal(metric_read(METRIC_VAULT_LISTS), lists + 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		FLIGHT_TEST(many_readers_cost_one_get),
		FLIGHT_TEST(what_is_refused_is_not_counted),
		FLIGHT_TEST(an_answer_is_for_those_who_were_due_before_it_was_asked_for),
		FLIGHT_TEST(what_waits_in_line_is_joined),
		FLIGHT_TEST(a_dear_key_is_paid_for),
		FLIGHT_TEST(two_identities_never_share),
		FLIGHT_TEST(a_failure_is_not_kept),
		FLIGHT_TEST(a_throttled_read_goes_out_again_once),
		FLIGHT_TEST(a_refused_token_is_renewed_once_for_all),
		FLIGHT_TEST(the_last_one_who_leaves_ends_it),
		FLIGHT_TEST(a_history_is_read_once_for_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
