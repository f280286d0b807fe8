/* workers/sync_fetch: which objects and versions are read, in what order, and what every trouble on the way means. */
#include <stdio.h>

#include "tests/unit/bench.h"

#define LIST_URL "/secrets/a/versions?"
#define PAGE(rows, next) "{\"value\":[" rows "],\"nextLink\":" next "}"
#define ROW_OF(version, second) "{" ROW(version, second) "}"
#define OFF(version, second)                                             \
	"{\"id\":\"https://v.vault.azure.net/secrets/a/" version         \
	"\",\"attributes\":{\"enabled\":false,\"created\":" second ",\"updated\":" second "}}"

/* The class keeps three versions of a, the Secret has the two newest. */
static void ask_for_history(void) {
	b.objects[0].history = 3;
	b.items[0] = (struct spec_item){ STR("a/0"), STR("new") };
	b.items[1] = (struct spec_item){ STR("a/1"), STR("old") };
	b.spec.item_count = 2;
}

static void write_secret(void) {
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

static void expect_failure(enum reason reason, const char *message) {
	assert_null(bench_find(HTTP_POST, SECRETS_URL));
	bench_take_status();
	if (bench_reason() != reason)
		fail_msg("%s: %s", reason_name(REASON_NAMES_PREVIEW, bench_reason()), bench_message());
	assert_text(bench_message(), message);
}

static void one_get_feeds_every_key_of_an_object(void **state) {
	(void)state;
	b.items[1] = (struct spec_item){ STR("a"), STR("k2") };
	b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	struct http_req *req = request(HTTP_GET, "/secrets/a/?api-version=7.4");
	assert_str(secret_expose(req->bearer), "vault-token");
	assert_int_equal(bench_active(), 1);
	answer(req, 200, VALUE("s3cret-value", "v1", "1700000000"));
	bench_end(req);
	req = request(HTTP_POST, SECRETS_URL "?");
	assert_sends(req, "\"k\":\"czNjcmV0LXZhbHVl\",\"k2\":\"czNjcmV0LXZhbHVl\"");
	write_secret();
}

static void objects_that_no_key_names_are_not_read(void **state) {
	(void)state;
	b.objects[1] = (struct spc_object){ .name = STR("b"), .path = STR("b") };
	b.objects[2] = (struct spc_object){ .name = STR("c"), .path = STR("alias"), .version = STR("77") };
	b.spc.object_count = 3;
	b.items[1] = (struct spec_item){ STR("alias"), STR("k2") };
	b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	assert_int_equal(bench_active(), 2);
	reply(HTTP_GET, "/secrets/c/77?", 200, VALUE("two", "77", "1700000000"));
	reply(HTTP_GET, "/secrets/a/?", 200, VALUE("one", "v1", "1700000000"));
	assert_sends(request(HTTP_POST, SECRETS_URL), "\"k\":\"b25l\",\"k2\":\"dHdv\"");
	write_secret();
}

static void a_history_is_one_list_and_a_get_per_version(void **state) {
	(void)state;
	ask_for_history();
	bench_begin();
	bench_give_token();
	/* Two pages, one of them empty, in no order. */
	reply(HTTP_GET, LIST_URL, 200,
		PAGE(ROW_OF("v2", "1700000200") "," OFF("v4", "1700000400"),
			"\"https://v.vault.azure.net:443/secrets/a/versions?api-version=7.4&$skiptoken=x\""));
	reply(HTTP_GET, "skiptoken=x", 200, "{\"value\":null,\"nextLink\":\"https://V.vault.azure.net/secrets/a/versions?y\"}");
	reply(HTTP_GET, "versions?y", 200, PAGE(ROW_OF("v3", "1700000300") "," ROW_OF("v1", "1700000100"), "null"));
	reply(HTTP_GET, "/secrets/a/v3?", 200, VALUE("three", "v3", "1700000300"));
	reply(HTTP_GET, "/secrets/a/v2?", 200, VALUE("two", "v2", "1700000200"));
	assert_sends(request(HTTP_POST, SECRETS_URL), "\"new\":\"dGhyZWU=\",\"old\":\"dHdv\"");
	write_secret();
	assert_int_equal(b.object->status.object_count, 2);
	assert_string_equal(b.object->status.objects[0].name, "a/0");
	assert_string_equal(b.object->status.objects[0].version, "v3");
}

/* The next check asks for the list alone. */
static void an_unchanged_history_is_not_read_again(void **state) {
	(void)state;
	a_history_is_one_list_and_a_get_per_version(state);
	bench_again();
	reply(HTTP_GET, LIST_URL, 200,
		PAGE(ROW_OF("v3", "1700000300") "," ROW_OF("v2", "1700000200") "," ROW_OF("v1", "1700000100"), "null"));
	assert_null(bench_find(HTTP_GET, "/secrets/a/"));
	bench_take_status(); /* the one that says that nothing has changed */
	assert_int_equal(bench_reason(), REASON_UPDATE_NO_CHANGE);
	assert_int_equal(bench_active(), 0);
}

static void a_page_elsewhere_gets_no_token(void **state) {
	static const char *const links[] = { "\"https://v.vault.azure.net.evil.example/secrets/a/versions?x\"",
		"\"https://evil.example/secrets/a/versions?x\"", "\"http://v.vault.azure.net/secrets/a/versions?x\"",
		"\"https://v.vault.azure.net:8443/secrets/a/versions?x\"",
		"\"https://v.vault.azure.net@evil.example/versions?x\"", "\"/secrets/a/versions?x\"" };
	(void)state;
	ask_for_history();
	bench_begin();
	bench_give_token();
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		static char body[512];
		snprintf(body, sizeof body, PAGE(ROW_OF("v2", "1700000200"), "%s"), links[i]);
		unsigned before = bench_started();
		reply(HTTP_GET, LIST_URL, 200, body);
		struct http_req *status = bench_find(HTTP_PATCH, STATUS_URL);
		/* The status at most, and that goes to the API server. */
		assert_int_equal(bench_started() - before, status ? 1 : 0);
		if (!status) assert_int_equal(bench_active(), 0);
		if (status) expect_failure(REASON_CREATE_FAILED_PROVIDER, "goes on at another server");
		bench_again();
	}
}

static void a_redirect_is_not_followed(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 302, "{}");
	expect_failure(REASON_CREATE_FAILED_PROVIDER, "does not document");
	assert_int_equal(bench_active(), 0);
}

static void versions_of_one_second_are_told_apart_by_a_get(void **state) {
	(void)state;
	ask_for_history();
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, LIST_URL, 200,
		PAGE(ROW_OF("va", "1700000300") "," ROW_OF("vz", "1700000300") "," ROW_OF("v1", "1700000100"), "null"));
	reply(HTTP_GET, "/secrets/a/?api-version", 200, VALUE("now", "va", "1700000300"));
	reply(HTTP_GET, "/secrets/a/va?", 200, VALUE("now", "va", "1700000300"));
	reply(HTTP_GET, "/secrets/a/vz?", 200, VALUE("before", "vz", "1700000300"));
	assert_sends(request(HTTP_POST, SECRETS_URL), "\"new\":\"bm93\",\"old\":\"YmVmb3Jl\"");
	write_secret();
}

static void too_few_versions_are_said(void **state) {
	(void)state;
	ask_for_history();
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, LIST_URL, 200, PAGE(ROW_OF("v1", "1700000100"), "null"));
	/* The version that is there does not wait for the other. */
	reply(HTTP_GET, "/secrets/a/v1?", 200, VALUE("s3cret-value", "v1", "1700000100"));
	assert_sends(request(HTTP_POST, SECRETS_URL), "\"data\":{\"new\":");
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	expect_failure(REASON_PARTIAL, "has 1 enabled version, but \\\"a/1\\\" is asked for");
}

static void a_path_that_the_class_does_not_yield_costs_nothing(void **state) {
	static const char *const paths[] = { "b", "a/0", "A", "a/", "" };
	(void)state;
	b.items[0].source_path = str_of(paths[0]);
	bench_begin();
	expect_failure(REASON_USER_INPUT, "it yields: a.");
	assert_int_equal(bench_started(), 1);
	for (size_t i = 1; i < sizeof paths / sizeof paths[0]; i++) {
		b.items[0].source_path = str_of(paths[i]);
		bench_again();
		expect_failure(REASON_USER_INPUT, "names nothing");
	}
	b.objects[0].history = 2;
	static const char *const indexes[] = { "a", "a/2", "a/00", "a/-1", "a/1/0" };
	for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
		b.items[0].source_path = str_of(indexes[i]);
		bench_again();
		expect_failure(REASON_USER_INPUT, "a/0 to /1");
	}
}

static void a_refused_token_is_renewed_once(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 401, "{\"error\":{\"code\":\"Unauthorized\"}}");
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 401, "{\"error\":{\"code\":\"Unauthorized\"}}");
	assert_null(bench_find(HTTP_POST, TOKEN_URL));
	expect_failure(REASON_CREATE_FAILED_PROVIDER, "401");
}

static void a_refused_token_is_asked_for_anew(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 401, "{\"error\":{\"code\":\"Unauthorized\"}}");
	assert_non_null(bench_find(HTTP_POST, TOKEN_URL));
	bench_give_token();
	reply(HTTP_GET, "https://v.vault.azure.net/secrets/a/", 200, VALUE("x", "v1", "1700000000"));
	write_secret();
}

static void a_throttled_read_goes_out_again_when_it_may(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply_after(HTTP_GET, "/secrets/a/", 429, 7, "{\"error\":{\"code\":\"Throttled\"}}");
	assert_int_equal(bench_active(), 0);
	bench_advance(6900 * NS_PER_MS);
	assert_int_equal(bench_active(), 0);
	bench_advance(200 * NS_PER_MS);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v1", "1700000000"));
	write_secret();
}

/* Nobody waits for minutes without a word; and when they are over the next attempt follows at once. */
static void a_vault_that_wants_a_long_rest_is_told_of(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply_after(HTTP_GET, "/secrets/a/", 429, 600, "{\"error\":{\"code\":\"Throttled\"}}");
	expect_failure(REASON_CREATE_FAILED_PROVIDER,
		"https://v.vault.azure.net asks by Retry-After to be left alone, until 2027-01-15T08:15:00Z at the latest");
	assert_int_equal(bench_active(), 0);
	/* A change does not make it ask before, nor say anything else. */
	bench_again();
	bench_advance(599 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
	bench_advance(NS_PER_S);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v1", "1700000000"));
	write_secret();
}

static void the_first_failure_in_the_classs_order_is_told(void **state) {
	(void)state;
	b.objects[1] = (struct spc_object){ .name = STR("b"), .path = STR("b") };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("b"), STR("k2") };
	b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/b/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
	assert_null(bench_find(HTTP_PATCH, STATUS_URL));
	reply(HTTP_GET, "/secrets/a/", 403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}");
	expect_failure(REASON_CREATE_FAILED_PROVIDER, "secret \"a\" of https://v.vault.azure.net");
}

static void answers_that_are_no_answers_fail_that_object(void **state) {
	static const char *const bodies[] = { "", "{\"value\":\"x", "[]", "<html>", "{\"value\":7," ROW("v1", "1") "}",
		"{\"value\":\"x\",\"attributes\":{}}", "{\"value\":null," ROW("v1", "1") "}",
		"{\"value\":\"\\ud\"," ROW("v1", "1") "}" };
	(void)state;
	bench_begin();
	bench_give_token();
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		reply(HTTP_GET, "/secrets/a/", 200, bodies[i]);
		assert_null(bench_find(HTTP_POST, SECRETS_URL));
		if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
		assert_int_equal(bench_active(), 0);
		assert_int_equal(bench_reason(), REASON_CREATE_FAILED_PROVIDER);
		assert_text(bench_message(), "the vault's");
		bench_again();
	}
}

static void every_byte_of_a_value_arrives(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200,
		"{\"value\":\"a\\u0000b\\u0000\"," ROW("v1", "1700000000") "}");
	assert_sends(request(HTTP_POST, SECRETS_URL), "\"k\":\"YQBiAA==\"");
	write_secret();
}

/* What lists do not show must not be in the digest: a scan that sees nothing new would rewrite the Secret. */
static void the_digest_knows_rows_not_versions(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	write_secret();
	struct status first;
	assert_int_equal(status_copy(&b.object->status, &first), OK);
	assert_int_equal(first.hash, HASH_OURS);
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("other", "v2", "1700000000"));
	/* The status names the version, so the Secret is written; the hash is the same. */
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, OURS("s-1", "6", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", ""));
	bench_take_status();
	assert_memory_equal(b.object->status.digest, first.digest, sizeof first.digest);
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("other", "v2", "1700000001"));
	/* An attribute has changed, the version has not: nothing to write but the new hash. */
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_UPDATE_NO_CHANGE);
	assert_memory_not_equal(b.object->status.digest, first.digest, sizeof first.digest);
	status_deinit(&first);
}

/* Whatever a list row shows, each by itself. */
static void every_attribute_of_a_row_is_in_the_digest(void **state) {
	static const char *const rows[] = { "\"created\":5,\"updated\":5", "\"created\":5,\"updated\":6",
		"\"created\":6,\"updated\":6", "\"created\":6,\"updated\":6,\"nbf\":7",
		"\"created\":6,\"updated\":6,\"nbf\":7,\"exp\":8",
		"\"created\":6,\"updated\":6,\"nbf\":7,\"exp\":8,\"enabled\":false" };
	char body[512];
	unsigned char digest[SHA256_BYTES] = { 0 };
	(void)state;
	bench_begin();
	bench_give_token();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		snprintf(body, sizeof body,
			"{\"value\":\"x\",\"id\":\"https://v.vault.azure.net/secrets/a/v1\",\"attributes\":{%s}}", rows[i]);
		if (i) bench_again();
		reply(HTTP_GET, "/secrets/a/", 200, body);
		if (i) bench_take_status();
		if (!i) write_secret();
		/* The version is the same: the hash changes, the Secret does not. */
		assert_memory_not_equal(b.object->status.digest, digest, sizeof digest);
		memcpy(digest, b.object->status.digest, sizeof digest);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(one_get_feeds_every_key_of_an_object),
		BENCH_TEST(objects_that_no_key_names_are_not_read),
		BENCH_TEST(a_history_is_one_list_and_a_get_per_version),
		BENCH_TEST(an_unchanged_history_is_not_read_again),
		BENCH_TEST(a_page_elsewhere_gets_no_token),
		BENCH_TEST(a_redirect_is_not_followed),
		BENCH_TEST(versions_of_one_second_are_told_apart_by_a_get),
		BENCH_TEST(too_few_versions_are_said),
		BENCH_TEST(a_path_that_the_class_does_not_yield_costs_nothing),
		BENCH_TEST(a_refused_token_is_renewed_once),
		BENCH_TEST(a_refused_token_is_asked_for_anew),
		BENCH_TEST(a_throttled_read_goes_out_again_when_it_may),
		BENCH_TEST(a_vault_that_wants_a_long_rest_is_told_of),
		BENCH_TEST(the_first_failure_in_the_classs_order_is_told),
		BENCH_TEST(answers_that_are_no_answers_fail_that_object),
		BENCH_TEST(every_byte_of_a_value_arrives),
		BENCH_TEST(the_digest_knows_rows_not_versions),
		BENCH_TEST(every_attribute_of_a_row_is_in_the_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
