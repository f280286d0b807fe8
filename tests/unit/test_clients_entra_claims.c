/* clients/entra_claims: what a token presents, and nothing else of it. */
#include "clients/entra.h"

#include "base/buf.h"
#include "tests/unit/call.h"

static struct secret_arena *arena;

/* "header.payload.signature"; base64url without padding. */
static void make_token(struct secret *out_token, const char *payload) {
	struct buf text;
	buf_init(&text, 64 << 10);
	buf_append_base64(&text, str_of(payload));
	char *encoded = buf_take(&text);
	for (char *c = encoded; *c; c++) *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	encoded[strcspn(encoded, "=")] = 0;
	secret_init(out_token, arena, 64 << 10);
	secret_append(out_token, STR("aGVhZGVy."));
	secret_append(out_token, str_of(encoded));
	secret_append(out_token, STR(".c2lnbmF0dXJl"));
	mem_free(encoded);
}

static struct fault explain_as(const char *code, const char *payload) {
	struct fault fault = fault_make(ERR_DENIED, "no credential");
	struct secret token;
	fault.http_status = 401;
	fault.retry_after_ns = 7;
	memcpy(fault.code, code, strlen(code) + 1);
	make_token(&token, payload);
	entra_show_claims(&fault, &token, arena);
	secret_deinit(&token);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
	assert_int_equal(fault.err, ERR_DENIED);
	assert_int_equal(fault.http_status, 401);
	assert_int_equal(fault.retry_after_ns, 7);
	assert_string_equal(fault.code, code);
	return fault;
}

#define PRESENTED(payload) explain_as("AADSTS700211", payload).text

static void the_three_claims_are_shown(void **state) {
	(void)state;
	assert_string_equal(PRESENTED("{\"aud\":[\"api://AzureADTokenExchange\"],\"exp\":1700000000,\"iat\":1,"
				      "\"iss\":\"https://oidc.example/k8s\",\"jti\":\"s3cret\",\"kubernetes.io\":{\"namespace\":\"n\"},"
				      "\"sub\":\"system:serviceaccount:n:sa\"}"),
			    "no credential. Presented: issuer \"https://oidc.example/k8s\" (without a slash at its end), "
			    "subject \"system:serviceaccount:n:sa\", audience \"api://AzureADTokenExchange\"");
	assert_text(PRESENTED("{\"iss\":\"https://oidc.example/\",\"sub\":\"s\",\"aud\":\"one\"}"),
		    "issuer \"https://oidc.example/\" (with a slash at its end), subject \"s\", audience \"one\"");
}

/* Every length of the last group, and both characters that base64url has for itself. */
static void payloads_of_any_length_are_read(void **state) {
	static const char *const issuers[] = { "a", "ab", "abc", "abcd", "\xc3\xbf\xc3\xbe?~>>>", "i\\u002fx" };
	static const char *const shown[] = { "a", "ab", "abc", "abcd", "\xc3\xbf\xc3\xbe?~>>>", "i/x" };
	(void)state;
	for (size_t i = 0; i < sizeof issuers / sizeof issuers[0]; i++) {
		char payload[128] = "{\"iss\":\"", part[128] = "issuer \"";
		strcat(strcat(payload, issuers[i]), "\"}");
		strcat(strcat(part, shown[i]), "\" (");
		assert_text(PRESENTED(payload), part);
	}
}

static void long_claims_are_cut(void **state) {
	static char payload[8192], name[2001];
	(void)state;
	memset(name, 'x', 2000);
	strcat(strcat(strcat(payload, "{\"iss\":\"https://"), name), "\",\"sub\":\"");
	strcat(strcat(strcat(payload, name), "\",\"aud\":\""), name);
	strcat(payload, "\"}");
	struct fault fault = explain_as("AADSTS70021", payload);
	assert_text(fault.text, "audience \"xxx");
	assert_in_range(strlen(fault.text), 500, 700);
}

static void only_errors_about_the_assertion_show_it(void **state) {
	(void)state;
	assert_string_equal(explain_as("AADSTS700016", "{\"iss\":\"i\"}").text, "no credential");
	assert_string_equal(explain_as("", "{\"iss\":\"i\"}").text, "no credential");
	assert_text(explain_as("AADSTS700024", "{\"iss\":\"i\"}").text, "Presented");
}

static void what_is_no_token_adds_nothing(void **state) {
	static const char *const payloads[] = { "", "{}", "[]", "x", "{\"iss\":7,\"sub\":{},\"aud\":[]}", "{\"iss\":\"\\q\"}" };
	static const char *const tokens[] = { "", "s3cret", "a.", "a.!!!!.b", "a.b.c" };
	(void)state;
	for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++)
		assert_string_equal(PRESENTED(payloads[i]), "no credential");
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		struct fault fault = fault_make(ERR_DENIED, "no credential");
		struct secret token;
		memcpy(fault.code, "AADSTS70021", sizeof "AADSTS70021");
		secret_init(&token, arena, 64);
		secret_append(&token, str_of(tokens[i]));
		entra_show_claims(&fault, &token, arena);
		secret_deinit(&token);
		assert_string_equal(fault.text, "no credential");
	}
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_three_claims_are_shown),
		cmocka_unit_test(payloads_of_any_length_are_read),
		cmocka_unit_test(long_claims_are_cut),
		cmocka_unit_test(only_errors_about_the_assertion_show_it),
		cmocka_unit_test(what_is_no_token_adds_nothing),
	};
	arena = secret_arena_create(8 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_arena_destroy(arena);
	return failed;
}
