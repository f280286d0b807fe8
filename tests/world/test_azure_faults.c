/* tests/world/test_azure_faults.c - each fault does what its row in README.md says, where and as long as it was asked to. */
#include "tests/world/test_azure.h"

static void stays_in_its_scope(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	put(f, "b", "1");
	struct azure_fault *fault = fault_on(f, FAULT_AKV10046);
	fault->object = mem_strdup(STR("A"));
	fault->from_ns += 10 * NS_PER_S;
	fault->until_ns = fault->from_ns + 20 * NS_PER_S;
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	pass_seconds(f, 10);
	assert_int_equal(vault_get(f, "/secrets/b"), 200);
	assert_int_equal(vault_get(f, "/secrets/a"), 401);
	assert_true(str_starts(said(f, "error.message"), STR("AKV10046: ")));
	assert_true(header_said(f, "WWW-Authenticate").len > 0);
	pass_seconds(f, 20);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	fault_on(f, FAULT_AKV10046)->host = mem_strdup(STR("kv2.vault.azure.net"));
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	fault_on(f, FAULT_AKV10046)->count = 2;
	for (int i = 0; i < 2; i++) assert_int_equal(vault_get(f, "/secrets/a"), 401);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	fault_on(f, FAULT_AKV10046)->share_permille = 500;
	int hit = 0;
	for (int i = 0; i < 200; i++) hit += vault_get(f, "/secrets/a") == 401;
	assert_in_range(hit, 60, 140);
	azure_fault_end(f->azure, 0);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
}

static void varies_the_challenge(void **state) {
	struct fixture *f = *state;
	static const char *const wanted[][2] = {
		{ "a", "Bearer authorization=\"https://login.windows.net/" TENANT
		       "\", resource=\"https://vault.azure.net\"" },
		{ "d", "Bearer authorization_uri=\"https://login.microsoftonline.com/" TENANT
		       "\", scope=\"https://vault.azure.net/.default\"" },
		{ "e", "Bearer resource=\"https://vault.azure.net\" "
		       "authorization=\"https://login.microsoftonline.com/" TENANT "\"" },
	};
	for (size_t i = 0; i < 3; i++) {
		struct azure_fault *fault = fault_on(f, FAULT_CHALLENGE);
		fault->text = mem_strdup(str_of(wanted[i][0]));
		fault->count = 1;
		fixture_ask(
			f, "kv1.vault.azure.net", "GET", "/secrets", "api-version=7.4", "", false);
		assert_str(header_said(f, "WWW-Authenticate"), wanted[i][1]);
	}
	fault_on(f, FAULT_CHALLENGE)->text = mem_strdup(STR("h"));
	fault_on(f, FAULT_EMPTY_401);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets", "api-version=7.4", "", false);
	assert_true(contains(header_said(f, "WWW-Authenticate"), ", PoP realm=\"\""));
	assert_int_equal(buf_str(&f->out.body).len, 0);
	azure_fault_end(f->azure, 0);
	fault_on(f, FAULT_CHALLENGE)->text = mem_strdup(STR("f"));
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets", "api-version=7.4", "", false);
	assert_true(contains(header_said(f, "WWW-Authenticate"), "error=\"insufficient_claims\""));
	assert_false(contains(header_said(f, "WWW-Authenticate"), "resource="));
}

static void bends_the_shape_of_answers(void **state) {
	struct fixture *f = *state;
	fault_on(f, FAULT_NULL_LIST);
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_true(cJSON_IsNull(world_json_at(f->json, "value")));
	put(f, "a", "1");
	fault_on(f, FAULT_UNKNOWN);
	fault_on(f, FAULT_TAGS_NULL);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_non_null(world_json_at(f->json, "futureMember"));
	assert_non_null(world_json_at(f->json, "attributes.futureAttribute"));
	assert_true(cJSON_IsNull(world_json_at(f->json, "tags")));
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_non_null(world_json_at(
		cJSON_GetArrayItem(world_json_at(f->json, "value"), 0), "futureMember"));
	azure_fault_end(f->azure, 0);
	fault_on(f, FAULT_TAGS_EMPTY);
	vault_get(f, "/secrets/a");
	assert_true(cJSON_IsObject(world_json_at(f->json, "tags")));
	fault_on(f, FAULT_AHEAD);
	vault_ask(f, "PUT", "/secrets/b", "{\"value\":\"1\"}");
	assert_int_equal(world_json_i64(f->json, "attributes.updated", 0), 1795000001);
}

static void makes_pages_of_twenty_four(void **state) {
	struct fixture *f = *state;
	char name[16];
	for (int i = 0; i < 25; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		put(f, name, "v");
	}
	fault_on(f, FAULT_SHORT_PAGES);
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "value")), 24);
	assert_true(said(f, "nextLink").len > 0);
}

static void bends_the_shape_of_errors(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1")->enabled = false;
	fault_on(f, FAULT_NESTED)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 403);
	assert_str(said(f, "error.innererror.innererror.code"), "SecretDisabled");
	fault_on(f, FAULT_NO_INNER)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 403);
	assert_null(world_json_at(f->json, "error.innererror"));
	fault_on(f, FAULT_ERROR_NULL)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 403);
	assert_true(cJSON_IsNull(world_json_at(f->json, "error")));
}

static void shuts_the_network_out(void **state) {
	struct fixture *f = *state;
	fault_on(f, FAULT_FIREWALL)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/none"), 403);
	assert_str(said(f, "error.innererror.code"), "ForbiddenByFirewall");
	assert_true(contains(said(f, "error.message"), "\r\nClient address: "));
	fault_on(f, FAULT_CONNECTION)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/none"), 403);
	assert_str(said(f, "error.innererror.code"), "ForbiddenByConnection");
	fault_on(f, FAULT_FIREWALL);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets/a", "api-version=7.4", "", false);
	assert_int_equal(f->out.status, 401);
}

static void answers_in_the_place_of_the_service(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	fault_on(f, FAULT_HTML)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 502);
	assert_null(f->json);
	struct azure_fault *fault = fault_on(f, FAULT_HTML);
	fault->number = 400;
	fault->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 400);
	assert_str(header_said(f, "Content-Type"), "text/html; charset=us-ascii");
	assert_int_equal(f->out.fault, WORLD_CLOSE);
	fault = fault_on(f, FAULT_STATUS);
	fault->number = 503;
	fault->retry_after_s = 7;
	fault->text = mem_strdup(STR("json"));
	fault->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 503);
	assert_str(header_said(f, "Retry-After"), "7");
	assert_str(said(f, "error.code"), "ServiceUnavailable");
	fault_on(f, FAULT_THROTTLE)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 429);
	assert_null(header_said(f, "Retry-After").ptr);
	assert_true(f->out.no_reason);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
}

static void spoils_bodies(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	fault_on(f, FAULT_NOT_JSON)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_null(f->json);
	fault_on(f, FAULT_WRONG_TYPE)->count = 1;
	vault_get(f, "/secrets/a");
	assert_true(cJSON_IsObject(world_json_at(f->json, "value")));
	struct azure_fault *fault = fault_on(f, FAULT_OVERSIZED);
	fault->number = 3 << 20;
	fault->count = 1;
	vault_get(f, "/secrets/a");
	assert_true(buf_str(&f->out.body).len > 3 << 20);
	fault_on(f, FAULT_CHUNKED)->count = 1;
	fault_on(f, FAULT_GZIP);
	vault_get(f, "/secrets/a");
	assert_true(f->out.chunked);
	assert_false(f->out.gzip);
	f->header = "Accept-Encoding";
	f->header_value = "deflate, gzip";
	vault_get(f, "/secrets/a");
	assert_true(f->out.gzip);
	assert_false(f->out.chunked);
}

static void breaks_connections(void **state) {
	struct fixture *f = *state;
	static const struct {
		enum azure_fault_kind kind;
		enum world_fault fault;
		bool done;
	} kinds[] = {
		{ FAULT_RESET, WORLD_RESET_BEFORE, false },
		{ FAULT_RESET_AFTER, WORLD_RESET_AFTER, true },
		{ FAULT_STALL, WORLD_STALL, false },
		{ FAULT_STALL_HEADERS, WORLD_STALL_HEADERS, true },
		{ FAULT_TRUNCATE, WORLD_TRUNCATE, true },
		{ FAULT_CLOSE, WORLD_CLOSE, true },
		{ FAULT_GOAWAY, WORLD_GOAWAY, true },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct azure_object *object =
			azure_object_find(f->vault, AZURE_SECRET, STR("a"));
		size_t before = object ? object->count : 0;
		fault_on(f, kinds[i].kind)->count = 1;
		vault_ask(f, "PUT", "/secrets/a", "{\"value\":\"1\"}");
		assert_int_equal(f->out.fault, kinds[i].fault);
		object = azure_object_find(f->vault, AZURE_SECRET, STR("a"));
		assert_int_equal(object ? object->count : 0, before + kinds[i].done);
	}
	fault_on(f, FAULT_RESET_REUSED);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_int_equal(f->out.fault, WORLD_NONE);
	f->reused = true;
	vault_get(f, "/secrets/a");
	assert_int_equal(f->out.fault, WORLD_RESET_BEFORE);
	azure_fault_end(f->azure, 0);
	fault_on(f, FAULT_DELAY)->number = 250;
	vault_get(f, "/secrets/a");
	assert_int_equal(f->out.delay_ns, 250 * NS_PER_MS);
}

static void knows_each_name(void **state) {
	(void)state;
	for (int kind = FAULT_NONE + 1; kind < FAULT_KINDS; kind++) {
		assert_int_equal(
			azure_fault_kind_of(str_of(azure_fault_name((enum azure_fault_kind)kind))),
			kind);
	}
	assert_int_equal(azure_fault_kind_of(STR("no-such-fault")), FAULT_NONE);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(stays_in_its_scope),
		TEST(varies_the_challenge),
		TEST(bends_the_shape_of_answers),
		TEST(makes_pages_of_twenty_four),
		TEST(bends_the_shape_of_errors),
		TEST(shuts_the_network_out),
		TEST(answers_in_the_place_of_the_service),
		TEST(spoils_bodies),
		TEST(breaks_connections),
		TEST(knows_each_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
