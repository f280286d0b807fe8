/* Azure's limits by kind and by subscription, as the world's model has them, and the paces that workers keep: at full pressure
 * nothing is answered 429. Without any one of them it is, so that the model would show it.
 *
 * The shards and gates are the product's; the vaults are the model's; answers come 5 to 60 ms late, out of order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "clients/json.h"
#include "clients/jwk.h"
#include "tests/world/azure.h"
#include "workers/worker.h"

#define TENANT "11111111-1111-1111-1111-111111111111"
#define CLIENT "22222222-2222-2222-2222-222222222222"

enum { VAULTS_MOST = 10, ASKS = 40, SECONDS = 25, STEPS_PER_S = 500 };

/* One caller who asks again as soon as he has been answered. */
struct ask {
	struct gate_call gate;
	struct http_req req;
	struct fixture *f;
	unsigned vault;
	bool key;
	int64_t arrives_ns, answers_ns; /* 0: not on its way */
};

struct fixture {
	struct azure *azure;
	struct buf bearer;
	struct world_response out;
	struct rng rng;
	struct worker worker;
	struct pool *pool;
	struct settings settings;
	struct http http;
	struct shard *shards[VAULTS_MOST];
	struct ask asks[VAULTS_MOST][ASKS];
	unsigned vaults;
	bool without_weights; /* what a key's kind costs is not paid for */
	bool without_kinds; /* keys go the way of secrets */
};

/* --- the way to the model --- */

static void start(struct http *http, struct http_req *req) {
	struct ask *ask = container_of(req, struct ask, req);
	(void)http;
	ask->arrives_ns = ask->f->worker.now.mono_ns + rng_between(&ask->f->rng, 2, 30) * NS_PER_MS;
	ask->answers_ns = 0;
}

static void cancel(struct http *http, struct http_req *req) {
	(void)http;
	container_of(req, struct ask, req)->arrives_ns = 0;
}

static void arrive(struct fixture *f, struct ask *ask) {
	struct world_request req = { .method = STR("GET"),
		.host = str_of(f->shards[ask->vault]->url + strlen("https://")),
		.port = 443,
		.path = ask->key ? STR("/keys/k") : STR("/secrets/s"),
		.query = STR("api-version=7.4"),
		.headers = { { STR("Authorization"), buf_str(&f->bearer) } },
		.header_count = 1 };
	world_response_reset(&f->out);
	azure_handle(f->azure, f->worker.now, &req, &f->out);
	assert_true(f->out.status == 200 || f->out.status == 429);
	ask->req.status = f->out.status;
	buf_reset(&ask->req.url);
	buf_append(&ask->req.url, buf_str(&f->out.body));
	ask->arrives_ns = 0;
	ask->answers_ns = f->worker.now.mono_ns + rng_between(&f->rng, 3, 30) * NS_PER_MS;
}

/* --- who asks --- */

static void again(struct ask *ask);

/* As flight.c does: what the kind of a key costs is known by its answer. */
static void answered(struct gate_call *gate) {
	struct ask *ask = container_of(gate, struct ask, gate);
	cJSON *json = NULL;
	if (ask->key && ask->req.status == 200 && !ask->f->without_weights) {
		assert_int_equal(json_parse(buf_str(&ask->req.url), &json, NULL), OK);
		gate_charge(&ask->f->shards[ask->vault]->gate, gate->lane, jwk_cost(json_get(json, "key")) - 1);
		cJSON_Delete(json);
	}
	again(ask);
}

static void again(struct ask *ask) {
	ask->gate.req = &ask->req;
	ask->gate.on_done = answered;
	ask->gate.lane = ask->key && !ask->f->without_kinds ? LANE_KEYS : LANE_USUAL;
	gate_start(&ask->f->shards[ask->vault]->gate, &ask->gate);
}

static void step(struct fixture *f) {
	f->worker.now.mono_ns += NS_PER_S / STEPS_PER_S;
	f->worker.now.wall_ns += NS_PER_S / STEPS_PER_S;
	int64_t now_ns = f->worker.now.mono_ns;
	for (unsigned v = 0; v < f->vaults; v++) {
		for (int i = 0; i < ASKS; i++) {
			struct ask *ask = &f->asks[v][i];
			if (ask->arrives_ns && ask->arrives_ns <= now_ns) arrive(f, ask);
			if (!ask->answers_ns || ask->answers_ns > now_ns) continue;
			ask->answers_ns = 0;
			ask->req.on_done(&ask->req);
		}
		gate_pump(&f->shards[v]->gate);
	}
}

/* Everybody asks for so long; how often was it too much? */
static uint64_t over_limit_after(struct fixture *f, int seconds) {
	uint64_t over = 0;
	for (unsigned v = 0; v < f->vaults; v++) {
		for (int i = 0; i < ASKS; i++) again(&f->asks[v][i]);
	}
	for (int i = 0; i < seconds * STEPS_PER_S; i++) step(f);
	list_for_each (node, &f->azure->vaults)
		over += container_of(node, struct azure_vault, link)->over_limit;
	return over;
}

/* --- life --- */

static struct str shard_key(const struct map_node *node) {
	return str_of(container_of(node, struct shard, node)->url);
}

static const struct http_ops OPS = { start, cancel, NULL, NULL };

static void begin_world(struct fixture *f) {
	static const unsigned all[AZURE_KINDS] = { AZURE_GET, AZURE_GET, AZURE_GET };
	struct azure_claims claims = { .not_before_s = 1795000000, .expires_s = 1795003600 };
	snprintf(claims.audience, sizeof claims.audience, "https://vault.azure.net");
	snprintf(claims.tenant, sizeof claims.tenant, TENANT);
	snprintf(claims.client_id, sizeof claims.client_id, CLIENT);
	f->azure = azure_create(7);
	azure_identity_add(f->azure, STR(TENANT), STR(CLIENT));
	struct buf token;
	buf_init(&token, 1 << 16);
	azure_token_make(f->azure, &claims, f->worker.now, 0, &token);
	buf_init(&f->bearer, 1 << 16);
	buf_printf(&f->bearer, "Bearer %s", buf_cstr(&token));
	buf_deinit(&token);
	for (int v = 0; v < VAULTS_MOST; v++) {
		char name[16];
		snprintf(name, sizeof name, "kv-%d", v);
		struct azure_vault *vault = azure_vault_add(f->azure, str_of(name), STR(TENANT));
		azure_grant_add(vault, STR(CLIENT), all, STR_NULL, false, 0);
		azure_version_set_value(azure_version_add(f->azure, vault, AZURE_SECRET, STR("s"), STR_NULL, 1794000000), STR("x"));
		azure_key_set_type(azure_version_add(f->azure, vault, AZURE_KEY, STR("k"), STR_NULL, 1794000000), STR("RSA-4096-HSM"));
	}
	world_response_init(&f->out);
}

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	struct worker *worker = &f->worker;
	worker->now = (struct now){ .mono_ns = 5000 * NS_PER_S, .wall_ns = INT64_C(1795000000) * NS_PER_S };
	rng_seed(&f->rng, 5);
	begin_world(f);
	f->http.ops = &OPS;
	f->settings = settings_default();
	f->pool = mem_zalloc(sizeof *f->pool);
	f->pool->settings = &f->settings;
	worker->pool = f->pool;
	worker->http = &f->http;
	worker->settings = f->settings;
	timers_init(&worker->timers);
	map_init(&worker->shards, (struct hash_key){ 1, 2 }, shard_key);
	list_init(&worker->shard_list);
	*state = f;
	return 0;
}

/* So many vaults, with the settings as they are now; of ten callers this many ask for keys. */
static void begin_shards(struct fixture *f, unsigned vaults, int keys) {
	f->vaults = vaults;
	f->worker.settings = f->settings;
	for (unsigned v = 0; v < vaults; v++) {
		char url[64];
		snprintf(url, sizeof url, "https://kv-%u.vault.azure.net", v);
		assert_int_equal(shard_get(&f->worker, str_of(url), &f->shards[v]), OK);
		for (int i = 0; i < ASKS; i++) {
			struct ask *ask = &f->asks[v][i];
			ask->f = f;
			ask->vault = v;
			ask->key = i % 10 < keys;
			buf_init(&ask->req.url, 1 << 16);
		}
	}
}

static int teardown(void **state) {
	struct fixture *f = *state;
	for (unsigned v = 0; v < f->vaults; v++) {
		for (int i = 0; i < ASKS; i++) {
			gate_cancel(&f->asks[v][i].gate);
			buf_deinit(&f->asks[v][i].req.url);
		}
	}
	/* Past any Retry-After: nothing is remembered of a vault then. */
	f->worker.now.mono_ns += 3600 * NS_PER_S;
	shard_sweep(&f->worker);
	assert_true(list_is_empty(&f->worker.shard_list));
	map_deinit(&f->worker.shards);
	timers_deinit(&f->worker.timers);
	azure_destroy(f->azure);
	world_response_deinit(&f->out);
	buf_deinit(&f->bearer);
	mem_free(f->pool);
	mem_free(f);
	return 0;
}

/* --- one vault --- */

static void secrets_and_keys_stay_below_their_limits(void **state) {
	struct fixture *f = *state;
	begin_shards(f, 1, 5);
	assert_int_equal(over_limit_after(f, SECONDS), 0);
	/* And each at its own pace: 280 requests a second, of which one about such a key is sixteen. */
	uint64_t most = azure_vault_find(f->azure, STR("kv-0"))->windows[LIMIT_CALLS].most;
	uint64_t most_keys = azure_vault_find(f->azure, STR("kv-0"))->windows[LIMIT_KEYS].most;
	assert_in_range(most, 2600, 2820);
	assert_in_range(most_keys, 2600, 2820 + 16 * 16);
}

static void without_the_weights_of_keys_they_do_not(void **state) {
	struct fixture *f = *state;
	f->without_weights = true;
	begin_shards(f, 1, 5);
	assert_true(over_limit_after(f, SECONDS) > 0);
}

/* Keys at the pace of secrets, as if they were some. */
static void without_a_pace_of_their_own_they_do_not(void **state) {
	struct fixture *f = *state;
	f->without_kinds = f->without_weights = true;
	begin_shards(f, 1, 10);
	assert_true(over_limit_after(f, SECONDS) > 0);
}

static void without_a_pace_nothing_does(void **state) {
	struct fixture *f = *state;
	f->settings.vault_rate_per_s = 10000;
	begin_shards(f, 1, 0);
	assert_true(over_limit_after(f, SECONDS) > 0);
}

/* --- ten vaults of one subscription --- */

static void a_group_stays_below_the_limit_of_its_subscription(void **state) {
	struct fixture *f = *state;
	f->settings.vault_groups = "kv-0,kv-1,kv-2,kv-3,kv-4,kv-5,kv-6,kv-7,kv-8,kv-9";
	begin_shards(f, VAULTS_MOST, 0);
	assert_int_equal(over_limit_after(f, SECONDS), 0);
	uint64_t most = azure_subscription_get(f->azure, STR(""))->windows[LIMIT_CALLS].most;
	assert_in_range(most, 13500, 14000 + VAULTS_MOST);
}

static void without_a_group_it_does_not(void **state) {
	struct fixture *f = *state;
	begin_shards(f, VAULTS_MOST, 0);
	assert_true(over_limit_after(f, SECONDS) > 0);
	assert_true(azure_subscription_get(f->azure, STR(""))->refused > 0);
}

int main(void) {
#define LIMITS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		LIMITS_TEST(secrets_and_keys_stay_below_their_limits),
		LIMITS_TEST(without_the_weights_of_keys_they_do_not),
		LIMITS_TEST(without_a_pace_of_their_own_they_do_not),
		LIMITS_TEST(without_a_pace_nothing_does),
		LIMITS_TEST(a_group_stays_below_the_limit_of_its_subscription),
		LIMITS_TEST(without_a_group_it_does_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
