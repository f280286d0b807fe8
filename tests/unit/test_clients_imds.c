/* The metadata service of a node: the request, its answer, its errors. */
#include "clients/imds.h"

#include "tests/unit/call.h"

static const struct http_site site = { .name = "imds", .allow_http = true };
static struct secret_arena *arena;

static void ask(struct imds_call *call, struct str client) {
	assert_int_equal(
		imds_token(call, &site, STR("https://vault.azure.net/.default"), client, arena), OK);
}

static void the_request_is_the_services(void **state) {
	struct imds_call call;
	(void)state;
	ask(&call, STR(""));
	assert_str(buf_str(&call.http.url),
		"http://169.254.169.254/metadata/identity/oauth2/"
		"token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net");
	assert_int_equal(call.http.method, HTTP_GET);
	assert_true(has_header(&call.http, "Metadata", "true"));
	assert_null(call.http.bearer);
	assert_ptr_equal(call.http.response_arena, arena);
	imds_call_deinit(&call);
	ask(&call, STR("a&b"));
	assert_true(str_ends(buf_str(&call.http.url), STR("&client_id=a%26b")));
	imds_call_deinit(&call);
	imds_call_deinit(&call);
}

static void read_token(const char *body, enum err err, int64_t expires_in_s) {
	struct imds_call call;
	struct entra_token token = { 0 };
	struct fault fault = { 0 };
	ask(&call, STR(""));
	answer(&call.http, 200, body);
	if (imds_read_token(&call, arena, 1000, &token, &fault) != err) fail_msg("%s", body);
	if (err) {
		assert_text(fault.text, "169.254.169.254");
		assert_null(strstr(fault.text, "t0k"));
	} else {
		assert_str(secret_expose(&token.value), "t0k");
		assert_int_equal(token.expires_in_s, expires_in_s);
	}
	secret_deinit(&token.value);
	imds_call_deinit(&call);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

static void numbers_are_texts(void **state) {
	(void)state;
	read_token("{\"access_token\":\"t0k\",\"client_id\":\"c\",\"expires_in\":\"84473\","
		   "\"expires_on\":\"9\",\"ext_expires_in\":\"86399\",\"token_type\":\"Bearer\"}",
		OK, 84473);
	read_token("{\"access_token\":\"t0k\",\"expires_in\":3600}", OK, 3600);
	read_token("{\"access_token\":\"t0k\",\"expires_on\":\"1600\"}", OK, 600);
	read_token("{\"access_token\":\"t0k\",\"expires_on\":\"1000\"}", ERR_PARSE, 0);
	read_token("{\"access_token\":\"t0k\"}", ERR_PARSE, 0);
	read_token("{\"access_token\":\"t0k\",\"expires_in\":\"-3\"}", ERR_PARSE, 0);
	read_token("{\"expires_in\":\"3600\"}", ERR_PARSE, 0);
	read_token("<html>t0k</html>", ERR_PARSE, 0);
}

#define NOT_FOUND "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}"

static void errors_say_what_to_do(void **state) {
	static const struct {
		int status;
		const char *body, *client;
		enum err err;
		const char *part;
		int64_t retry_after_s;
	} cases[] = {
		{ 400, NOT_FOUND, "", ERR_DENIED, "has no managed identity of its own", 0 },
		{ 400, NOT_FOUND, "cid", ERR_DENIED, "identity cid is not assigned to the node", 0 },
		{ 400,
			"{\"error\":\"invalid_request\",\"error_description\":\"Multiple user "
			"assigned identities exist, please specify the clientId / resourceId of "
			"the identity in the token request\"}",
			"", ERR_DENIED, "userAssignedIdentityID", 0 },
		{ 400, "<html>", "", ERR_DENIED, "does something else answer", 0 },
		/* The same `error` as a permanent 400. */
		{ 429,
			"{\"error\":\"invalid_request\",\"error_description\":\"Temporarily "
			"throttled, too many requests\"}",
			"", ERR_THROTTLED, "too many requests", 10 },
		{ 404, "", "", ERR_UNAVAILABLE, "being updated", 0 },
		{ 408, "", "", ERR_UNAVAILABLE, "being updated", 0 },
		{ 410, "", "", ERR_UNAVAILABLE, "being updated", 10 },
		{ 500, NOT_FOUND, "", ERR_UNAVAILABLE, "has trouble", 0 },
		{ 511, "", "", ERR_UNAVAILABLE, "has trouble", 0 },
		{ 403, "", "", ERR_DENIED, "is not Azure's metadata service", 0 },
		{ 302, "", "", ERR_DENIED, "is not Azure's metadata service", 0 },
	};
	struct imds_call call;
	(void)state;
	ask(&call, STR(""));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fault fault = { 0 };
		answer(&call.http, cases[i].status, cases[i].body);
		if (imds_result(&call, &fault, str_of(cases[i].client)) != cases[i].err)
			fail_msg("%d %s", cases[i].status, cases[i].body);
		assert_text(fault.text, cases[i].part);
		assert_int_equal(fault.http_status, cases[i].status);
		assert_int_equal(fault.retry_after_ns, cases[i].retry_after_s * NS_PER_S);
		assert_int_equal(imds_result(&call, NULL, STR("")), cases[i].err);
	}
	struct fault fault = { 0 };
	answer(&call.http, 200, "{}");
	assert_int_equal(imds_result(&call, &fault, STR("")), OK);
	no_answer(&call.http, ERR_NETWORK);
	assert_int_equal(imds_result(&call, &fault, STR("")), ERR_NETWORK);
	assert_text(fault.text, "exists on machines of Azure alone");
	imds_call_deinit(&call);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_is_the_services),
		cmocka_unit_test(numbers_are_texts),
		cmocka_unit_test(errors_say_what_to_do),
	};
	arena = secret_arena_create(8 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_arena_destroy(arena);
	return failed;
}
