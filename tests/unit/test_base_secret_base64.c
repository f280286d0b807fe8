/* base/secret_base64: the standard alphabet and nothing else, into secret memory. */
#include "base/secret_base64.h"

#include "tests/unit/unit.h"

static struct secret_arena *arena;

static void check(const char *text, enum err err, const char *plain) {
	struct secret secret;
	secret_init(&secret, arena, 64);
	enum err got = secret_append_unbase64(&secret, str_of(text));
	if (got != err) fail_msg("\"%s\": %s", text, err_name(got));
	if (!err && !str_eq(secret_expose(&secret), str_of(plain))) fail_msg("\"%s\"", text);
	secret_deinit(&secret);
}

static void groups_and_padding(void **state) {
	(void)state;
	check("", OK, "");
	check("YQ==", OK, "a");
	check("YWI=", OK, "ab");
	check("YWJj", OK, "abc");
	check("YWJjZA==", OK, "abcd");
	check(" Y W\nJ\tj\r\n", OK, "abc");
	check("+/+/", OK, "\xfb\xff\xbf");
	static const char *const bad[] = { "Y", "YQ", "YQ=", "=", "====", "Y===", "YQ=a", "YQ==YQ==", "YWJj=",
		"YW-_", "YW\x01j", "YQ==x", "\xc3\xa4QQ" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(bad[i], ERR_INVALID, "");
}

static void nul_bytes_and_the_maximum(void **state) {
	struct secret secret;
	(void)state;
	secret_init(&secret, arena, 3);
	assert_int_equal(secret_append_unbase64(&secret, STR("AAAA")), OK);
	assert_int_equal(secret_len(&secret), 3);
	assert_int_equal(secret_append_unbase64(&secret, STR("AAAA")), ERR_TOO_LARGE);
	secret_deinit(&secret);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_and_padding),
		cmocka_unit_test(nul_bytes_and_the_maximum),
	};
	arena = secret_arena_create(1 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_arena_destroy(arena);
	return failed;
}
