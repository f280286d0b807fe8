#include "unit.h"

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/rng.h"

static struct buf out;

static void collect(void *arg, struct str piece) {
	buf_append(arg, piece);
}

static struct str encoded(void (*encode)(struct sink sink, struct str s), struct str s) {
	buf_deinit(&out);
	buf_init(&out, 1 << 20);
	encode((struct sink){ collect, &out }, s);
	assert_int_equal(buf_err(&out), OK);
	return buf_str(&out);
}

static int teardown(void **state) {
	(void)state;
	buf_deinit(&out);
	return 0;
}

static void test_json_escapes(void **state) {
	(void)state;
	assert_str(encoded(encode_json, STR("a\"b\\c/")), "\"a\\\"b\\\\c/\"");
	assert_str(encoded(encode_json, STR("\b\f\n\r\t")), "\"\\b\\f\\n\\r\\t\"");
	assert_str(encoded(encode_json, STR("\0\x1f\x7f")), "\"\\u0000\\u001f\x7f\"");
	assert_str(encoded(encode_json, STR_NULL), "\"\"");
	assert_str(encoded(encode_json_body, STR("a\n")), "a\\n");
	assert_str(encoded(encode_json_body, STR_NULL), "");
}

#define BAD "\xef\xbf\xbd"

static void test_json_repairs_utf8(void **state) {
	(void)state;
	assert_str(encoded(encode_json, STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91")),
		"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91\"");
	assert_str(encoded(encode_json, STR("a\xff"
					    "b")),
		"\"a" BAD "b\"");
	assert_str(encoded(encode_json, STR("\xc3")), "\"" BAD "\"");
	assert_str(encoded(encode_json, STR("\xe2\x82"
					    "a")),
		"\"" BAD BAD "a\"");
	assert_str(encoded(encode_json, STR("\xc0\xaf")), "\"" BAD BAD "\"");
	assert_str(encoded(encode_json, STR("\xed\xa0\x80")), "\"" BAD BAD BAD "\"");
	assert_str(encoded(encode_json, STR("\xf4\x90\x80\x80\"")), "\"" BAD BAD BAD BAD "\\\"\"");
}

static void test_utf8_len(void **state) {
	(void)state;
	assert_int_equal(utf8_len(STR("a")), 1);
	assert_int_equal(utf8_len(STR("\0")), 1);
	assert_int_equal(utf8_len(STR("\xc2\x80")), 2);
	assert_int_equal(utf8_len(STR("\xdf\xbf")), 2);
	assert_int_equal(utf8_len(STR("\xe0\xa0\x80")), 3);
	assert_int_equal(utf8_len(STR("\xed\x9f\xbf")), 3);
	assert_int_equal(utf8_len(STR("\xef\xbf\xbf")), 3);
	assert_int_equal(utf8_len(STR("\xf0\x90\x80\x80")), 4);
	assert_int_equal(utf8_len(STR("\xf4\x8f\xbf\xbf")), 4);
	static const char *const bad[] = { "", "\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc2", "\xc2\xc2",
		"\xe0\xa0", "\xf0\x90\x80", "\xff" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(utf8_len(str_of(bad[i])), 0);
}

static void test_utf8_cut(void **state) {
	(void)state;
	const char *text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91";
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10 };
	for (size_t len = 0; len < 11; len++) assert_int_equal(utf8_cut(text, len), expected[len]);
}

static void test_url(void **state) {
	(void)state;
	assert_str(encoded(encode_url, STR("azAZ09-._~")), "azAZ09-._~");
	assert_str(encoded(encode_url, STR("a/b c+\xc3\xa4\0")), "a%2Fb%20c%2B%C3%A4%00");
	assert_str(encoded(encode_url, STR("%")), "%25");
	assert_str(encoded(encode_url, STR_NULL), "");
	assert_str(encoded(encode_url, STR("@[`{:/")), "%40%5B%60%7B%3A%2F");
}

static void test_base64_known(void **state) {
	(void)state;
	assert_str(encoded(encode_base64, STR_NULL), "");
	assert_str(encoded(encode_base64, STR("f")), "Zg==");
	assert_str(encoded(encode_base64, STR("fo")), "Zm8=");
	assert_str(encoded(encode_base64, STR("foo")), "Zm9v");
	assert_str(encoded(encode_base64, STR("\xfb\xff\xfe")), "+//+");
}

/* Every length around the block size, against OpenSSL's encoder. */
static void test_base64_lengths(void **state) {
	(void)state;
	struct rng rng;
	rng_seed(&rng, 1);
	unsigned char bytes[200];
	char expected[300];
	for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (unsigned char)rng_next(&rng);
	for (size_t len = 1; len <= sizeof(bytes); len++) {
		EVP_EncodeBlock((unsigned char *)expected, bytes, (int)len);
		assert_str(encoded(encode_base64, (struct str){ (char *)bytes, len }), expected);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_json_repairs_utf8),
		cmocka_unit_test(test_utf8_len),
		cmocka_unit_test(test_utf8_cut),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_base64_known),
		cmocka_unit_test(test_base64_lengths),
	};
	return cmocka_run_group_tests(tests, NULL, teardown);
}
