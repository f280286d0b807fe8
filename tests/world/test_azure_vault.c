/* tests/world/test_azure_vault.c - the order of checks, and the traps of single objects. */
#include "tests/world/test_azure.h"

static void challenges_before_everything(void **state) {
	struct fixture *f = *state;
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets/no_such_name", "", "", false);
	assert_int_equal(f->out.status, 401);
	assert_int_equal(buf_str(&f->out.body).len, 97);
	assert_str(header_said(f, "WWW-Authenticate"),
		"Bearer authorization=\"https://login.microsoftonline.com/" TENANT
		"\", resource=\"https://vault.azure.net\"");
}

static void has_the_headers_of_the_service(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	f->header = "x-ms-client-request-id";
	f->header_value = "mine";
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_str(header_said(f, "x-ms-client-request-id"), "mine");
	assert_int_equal(header_said(f, "x-ms-request-id").len, 36);
	assert_int_equal(header_said(f, "x-ms-keyvault-rbac-assignment-id").len, 32);
	assert_str(header_said(f, "Date"), "Wed, 18 Nov 2026 11:06:40 GMT");
	assert_null(header_said(f, "Server").ptr);
	assert_null(header_said(f, "ETag").ptr);
	f->header = NULL;
	vault_get(f, "/secrets/a");
	assert_null(header_said(f, "x-ms-client-request-id").ptr);
}

static void refuses_tokens_for_somebody_else(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	struct azure_claims claims = good_claims(f);
	snprintf(claims.audience, sizeof(claims.audience), "https://vault.azure.net/");
	use_claims(f, claims);
	assert_int_equal(vault_get(f, "/secrets/a"), 401);
	assert_true(str_starts(said(f, "error.message"), STR("AKV10022: ")));
	claims = good_claims(f);
	snprintf(claims.tenant, sizeof(claims.tenant), "33333333-3333-3333-3333-333333333333");
	use_claims(f, claims);
	assert_int_equal(vault_get(f, "/secrets/a"), 401);
	assert_true(str_starts(said(f, "error.message"), STR("AKV10032: ")));
	buf_reset(&f->token);
	buf_append(&f->token, STR("a.b.c"));
	assert_int_equal(vault_get(f, "/secrets/a"), 401);
	assert_true(header_said(f, "WWW-Authenticate").len > 0);
}

static void refuses_expired_tokens(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	pass_seconds(f, 3598);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	pass_seconds(f, 1);
	assert_int_equal(vault_get(f, "/secrets/a"), 401);
	assert_true(str_starts(said(f, "error.message"), STR("[TokenExpired]")));
}

static void hides_existence_from_strangers(void **state) {
	struct fixture *f = *state;
	struct azure_claims claims = good_claims(f);
	snprintf(
		claims.client_id, sizeof(claims.client_id), "44444444-4444-4444-4444-444444444444");
	use_claims(f, claims);
	assert_int_equal(vault_get(f, "/secrets/none"), 403);
	assert_str(said(f, "error.innererror.code"), "ForbiddenByRbac");
	assert_true(contains(said(f, "error.message"), "Assignment: (not found)\r\n"));
	assert_null(header_said(f, "x-ms-keyvault-rbac-assignment-id").ptr);
	use_claims(f, good_claims(f));
	assert_int_equal(vault_get(f, "/secrets/none"), 404);
	assert_str(said(f, "error.code"), "SecretNotFound");
	assert_null(world_json_at(f->json, "error.innererror"));
}

static void ignores_roles_in_policy_mode(void **state) {
	struct fixture *f = *state;
	static const unsigned get[AZURE_KINDS] = { AZURE_GET };
	put(f, "a", "1");
	f->vault->policy_mode = true;
	assert_int_equal(vault_get(f, "/secrets/a"), 403);
	assert_str(said(f, "error.innererror.code"), "ForbiddenByPolicy");
	azure_grant_add(f->vault, STR(CLIENT), get, STR_NULL, true, 0);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_int_equal(vault_get(f, "/secrets"), 403);
}

static void lags_with_grants_and_revocations(void **state) {
	struct fixture *f = *state;
	static const unsigned get[AZURE_KINDS] = { AZURE_GET };
	put(f, "a", "1");
	put(f, "b", "1");
	assert_int_equal(
		azure_grant_end(f->vault, STR(CLIENT), STR_NULL, f->now.mono_ns + 300 * NS_PER_S),
		1);
	pass_seconds(f, 299);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	pass_seconds(f, 1);
	assert_int_equal(vault_get(f, "/secrets/a"), 403);
	azure_grant_add(
		f->vault, STR(CLIENT), get, STR("A"), false, f->now.mono_ns + 300 * NS_PER_S);
	pass_seconds(f, 299);
	assert_int_equal(vault_get(f, "/secrets/a"), 403);
	pass_seconds(f, 1);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_int_equal(vault_get(f, "/secrets/b"), 403);
}

static void disables_secrets_but_not_keys(void **state) {
	struct fixture *f = *state;
	struct azure_version *old = put(f, "a", "1");
	put(f, "a", "2")->enabled = false;
	azure_certificate_add(f->azure, f->vault, STR("c"), AZURE_EC, true, f->now);
	azure_object_find(f->vault, AZURE_KEY, STR("c"))->current->enabled = false;
	azure_object_find(f->vault, AZURE_CERTIFICATE, STR("c"))->current->enabled = false;
	assert_int_equal(vault_get(f, "/secrets/a"), 403);
	assert_str(said(f, "error.innererror.code"), "SecretDisabled");
	char path[128];
	snprintf(path, sizeof(path), "/secrets/a/%s", old->id);
	assert_int_equal(vault_get(f, path), 200);
	assert_str(said(f, "value"), "1");
	assert_int_equal(vault_get(f, "/keys/c"), 200);
	assert_false(world_json_bool(f->json, "attributes.enabled", true));
	assert_int_equal(vault_get(f, "/certificates/c"), 200);
	assert_false(world_json_bool(f->json, "attributes.enabled", true));
}

static void shows_expired_secrets(void **state) {
	struct fixture *f = *state;
	struct azure_version *version = put(f, "a", "1");
	version->exp_s = azure_seconds(f->now) - 5;
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	version->nbf_s = azure_seconds(f->now) + 500;
	version->exp_s = INT64_C(32503680000);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_true(contains(buf_str(&f->out.body), "\"exp\":32503680000,\"created\""));
}

static void leaves_out_what_is_not_set(void **state) {
	struct fixture *f = *state;
	put(f, "A", "");
	assert_int_equal(vault_get(f, "/secrets/a/"), 200);
	char want[512];
	snprintf(want, sizeof(want),
		"{\"value\":\"\",\"id\":\"https://kv1.vault.azure.net/secrets/A/"
		"%s\",\"attributes\":{\"enabled\":true,"
		"\"created\":1795000000,\"updated\":1795000000,\"recoveryLevel\":\"Recoverable+"
		"Purgeable\","
		"\"recoverableDays\":90}}",
		azure_object_find(f->vault, AZURE_SECRET, STR("a"))->current->id);
	assert_str(buf_str(&f->out.body), want);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "//secrets/a", "api-version=7.0", "", true);
	assert_int_equal(f->out.status, 200);
	assert_null(world_json_at(f->json, "attributes.recoverableDays"));
}

static void rounds_to_the_nearest_second(void **state) {
	struct fixture *f = *state;
	f->now.wall_ns += NS_PER_S / 2;
	assert_int_equal(vault_ask(f, "PUT", "/secrets/a", "{\"value\":\"1\"}"), 200);
	assert_int_equal(world_json_i64(f->json, "attributes.created", 0), 1795000001);
	assert_str(header_said(f, "Date"), "Wed, 18 Nov 2026 11:06:40 GMT");
	f->now.wall_ns += NS_PER_S / 2 - 1;
	vault_ask(f, "PATCH", "/secrets/a", "{\"attributes\":{\"exp\":5}}");
	assert_int_equal(world_json_i64(f->json, "attributes.updated", 0), 1795000001);
	f->now.wall_ns += NS_PER_S / 2 + 1;
	vault_ask(f, "PATCH", "/secrets/a", "{\"attributes\":{\"exp\":6}}");
	assert_int_equal(world_json_i64(f->json, "attributes.updated", 0), 1795000002);
	assert_null(world_json_at(f->json, "value"));
}

static void checks_version_and_name(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets/a", "", "", true);
	assert_int_equal(f->out.status, 400);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets/a", "api-version=9.9", "", true);
	assert_int_equal(f->out.status, 400);
	assert_true(str_starts(
		said(f, "error.message"), STR("The specified version (9.9) is not recognized.")));
	assert_int_equal(vault_get(f, "/secrets/a_b"), 400);
	assert_str(said(f, "error.message"), "The request URI contains an invalid name: a_b");
	assert_int_equal(vault_get(f, "/secrets/a%2Fb"), 400);
	assert_int_equal(vault_get(f, "/secrets/a/versions/x"), 400);
	assert_str(said(f, "error.message"), "Method GET does not allow operation 'x'");
	assert_int_equal(vault_ask(f, "PUT", "/secrets/", "{}"), 405);
	assert_str(said(f, "error.message"), "HTTP PUT not allowed");
	assert_int_equal(vault_get(f, "/nothing"), 404);
	assert_null(f->json);
}

static void limits_calls_in_a_sliding_window(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	f->vault->rate_calls = 4;
	for (int i = 0; i < 3; i++) assert_int_equal(vault_get(f, "/secrets/a"), 200);
	pass_seconds(f, 5);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets/a", "api-version=7.4", "", false);
	assert_int_equal(f->out.status, 401);
	f->now.mono_ns += 5 * NS_PER_S - 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 429);
	assert_true(f->out.no_reason);
	assert_int_equal(buf_str(&f->out.body).len, 146);
	assert_null(header_said(f, "Retry-After").ptr);
	f->now.mono_ns += 1;
	for (int i = 0; i < 3; i++) assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_int_equal(vault_get(f, "/secrets/a"), 429);
	assert_int_equal(f->vault->refused, 2);
	assert_int_equal(f->vault->seen.most, 6);
}

static void deletes_softly(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	assert_int_equal(vault_ask(f, "DELETE", "/secrets/a", ""), 200);
	assert_int_equal(world_json_i64(f->json, "scheduledPurgeDate", 0), 1795000000 + 90 * 86400);
	assert_null(world_json_at(f->json, "value"));
	assert_int_equal(vault_get(f, "/secrets/a"), 404);
	assert_int_equal(vault_get(f, "/deletedsecrets/a"), 404);
	assert_int_equal(vault_ask(f, "PUT", "/secrets/a", "{\"value\":\"2\"}"), 409);
	assert_str(said(f, "error.innererror.code"), "ObjectIsBeingDeleted");
	pass_seconds(f, 20);
	assert_int_equal(vault_get(f, "/deletedsecrets/a"), 200);
	assert_int_equal(vault_ask(f, "PUT", "/secrets/a", "{\"value\":\"2\"}"), 409);
	assert_str(said(f, "error.innererror.code"), "ObjectIsDeletedButRecoverable");
	assert_int_equal(vault_ask(f, "POST", "/deletedsecrets/a/recover", ""), 200);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_str(said(f, "value"), "1");
	vault_ask(f, "DELETE", "/secrets/a", "");
	pass_seconds(f, 20);
	assert_int_equal(vault_ask(f, "DELETE", "/deletedsecrets/a", ""), 204);
	assert_int_equal(vault_ask(f, "PUT", "/secrets/a", "{\"value\":\"2\"}"), 200);
}

static void keeps_values_whole(void **state) {
	struct fixture *f = *state;
	assert_int_equal(
		vault_ask(f, "PUT", "/secrets/a", "{\"value\":\"\\u0000x\\\\u0000\\u0000\"}"), 200);
	const struct azure_version *version =
		azure_object_find(f->vault, AZURE_SECRET, STR("a"))->current;
	assert_int_equal(version->value.len, 9);
	assert_memory_equal(version->value.ptr, "\0x\\u0000\0", 9);
	assert_true(contains(buf_str(&f->out.body), "\"value\":\"\\u0000x\\\\u0000\\u0000\""));
	char *body = mem_alloc(AZURE_VALUE_BYTES + 64);
	int len = snprintf(body, 64, "{\"value\":\"");
	memset(body + len, 'v', AZURE_VALUE_BYTES + 1);
	strcpy(body + len + AZURE_VALUE_BYTES, "\"}");
	assert_int_equal(vault_ask(f, "PUT", "/secrets/a", body), 200);
	strcpy(body + len + AZURE_VALUE_BYTES, "v\"}");
	assert_int_equal(vault_ask(f, "PUT", "/secrets/a", body), 400);
	mem_free(body);
}

static void ties_certificate_key_and_secret(void **state) {
	struct fixture *f = *state;
	const char *id =
		azure_certificate_add(f->azure, f->vault, STR("c"), AZURE_RSA, true, f->now)->id;
	char url[128];
	assert_int_equal(vault_get(f, "/secrets/c"), 200);
	snprintf(url, sizeof(url), "https://kv1.vault.azure.net/keys/c/%s", id);
	assert_str(said(f, "kid"), url);
	assert_true(world_json_bool(f->json, "managed", false));
	assert_true(str_starts(said(f, "value"), STR("-----BEGIN PRIVATE KEY-----\n")));
	assert_true(str_ends(said(f, "value"), STR("-----END CERTIFICATE-----\n")));
	assert_int_equal(world_json_i64(f->json, "attributes.nbf", 0), 1795000000 - 600);
	assert_int_equal(vault_get(f, "/certificates/c"), 200);
	assert_str(said(f, "kid"), url);
	assert_int_equal(said(f, "x5t").len, 27);
	assert_int_equal(said(f, "cer").len % 4, 0);
	assert_int_equal(vault_get(f, "/keys/c"), 200);
	assert_str(said(f, "key.e"), "AQAB");
	assert_int_equal(said(f, "key.n").len, 342);
	azure_certificate_add(f->azure, f->vault, STR("p"), AZURE_RSA, false, f->now);
	assert_int_equal(vault_get(f, "/secrets/p"), 200);
	assert_str(said(f, "contentType"), "application/x-pkcs12");
	assert_int_equal(said(f, "value").len % 4, 0);
}

static void answers_health_without_a_token(void **state) {
	struct fixture *f = *state;
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/healthstatus", "", "", false);
	assert_int_equal(f->out.status, 200);
	assert_int_equal(buf_str(&f->out.body).len, 4);
	assert_int_equal(f->vault->calls, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(challenges_before_everything),
		TEST(has_the_headers_of_the_service),
		TEST(refuses_tokens_for_somebody_else),
		TEST(refuses_expired_tokens),
		TEST(hides_existence_from_strangers),
		TEST(ignores_roles_in_policy_mode),
		TEST(lags_with_grants_and_revocations),
		TEST(disables_secrets_but_not_keys),
		TEST(shows_expired_secrets),
		TEST(leaves_out_what_is_not_set),
		TEST(rounds_to_the_nearest_second),
		TEST(checks_version_and_name),
		TEST(limits_calls_in_a_sliding_window),
		TEST(deletes_softly),
		TEST(keeps_values_whole),
		TEST(ties_certificate_key_and_secret),
		TEST(answers_health_without_a_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
