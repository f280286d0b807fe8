#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"

static void test_grows(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, 100000);
	assert_string_equal(buf_cstr(&buf), "");
	for (int i = 0; i < 100000; i++) buf_append_char(&buf, (char)('a' + i % 26));
	assert_int_equal(buf_err(&buf), OK);
	assert_int_equal(buf_str(&buf).len, 100000);
	assert_int_equal(strlen(buf_cstr(&buf)), 100000);
	for (int i = 0; i < 100000; i += 997) assert_int_equal(buf_str(&buf).ptr[i], 'a' + i % 26);
	buf_deinit(&buf);
	buf_deinit(&buf);
}

static void test_maximum_is_sticky(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, 4);
	buf_append(&buf, STR("abcd"));
	assert_int_equal(buf_err(&buf), OK);
	assert_string_equal(buf_cstr(&buf), "abcd");
	buf_append_char(&buf, 'e');
	assert_int_equal(buf_err(&buf), ERR_TOO_LARGE);
	buf_consume(&buf, 4);
	buf_append_char(&buf, 'f');
	buf_printf(&buf, "%d", 1);
	assert_int_equal(buf_err(&buf), ERR_TOO_LARGE);
	assert_int_equal(buf_str(&buf).len, 0);
	assert_string_equal(buf_cstr(&buf), "");
	assert_null(buf_take(&buf));
	assert_int_equal(buf_err(&buf), ERR_TOO_LARGE);
	buf_reset(&buf);
	buf_append(&buf, STR("wxyz"));
	assert_int_equal(buf_err(&buf), OK);
	buf_append(&buf, STR_NULL);
	assert_int_equal(buf_err(&buf), OK);
	assert_str(buf_str(&buf), "wxyz");
	buf_deinit(&buf);
}

static void test_zeroed_refuses(void **state) {
	(void)state;
	struct buf buf = { 0 };
	buf_append_char(&buf, 'a');
	assert_int_equal(buf_err(&buf), ERR_TOO_LARGE);
	buf_deinit(&buf);
	struct buf other = { 0 };
	buf_printf(&other, "%s", "a");
	assert_int_equal(buf_err(&other), ERR_TOO_LARGE);
	buf_deinit(&other);
}

static void test_no_overflow_at_the_top(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, SIZE_MAX);
	buf_append(&buf, STR("a"));
	buf_append(&buf, (struct str){ "", SIZE_MAX - 1 });
	assert_int_equal(buf_err(&buf), ERR_TOO_LARGE);
	buf_deinit(&buf);
}

static void test_printf(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, 1000);
	buf_printf(&buf, "%s", "");
	assert_int_equal(buf_str(&buf).len, 0);
	for (int i = 0; i < 100; i++) buf_printf(&buf, "%05d", i); /* crosses every growth */
	assert_int_equal(buf_str(&buf).len, 500);
	for (int i = 0; i < 100; i++) {
		char expected[16];
		snprintf(expected, sizeof(expected), "%05d", i);
		assert_str(str_slice(buf_str(&buf), (size_t)i * 5, 5), expected);
	}
	buf_printf(&buf, "%500s", "x");
	assert_int_equal(buf_err(&buf), OK);
	buf_printf(&buf, "x");
	assert_int_equal(buf_err(&buf), ERR_TOO_LARGE);
	buf_deinit(&buf);
}

/* A text that fills the room to the last byte but one: the NUL of vsnprintf must not count as content. */
static void test_printf_fills_exactly(void **state) {
	(void)state;
	for (int width = 60; width < 70; width++) {
		struct buf buf;
		buf_init(&buf, 200);
		buf_append_char(&buf, '|');
		buf_printf(&buf, "%*d", width, 7);
		buf_append_char(&buf, '|');
		assert_int_equal(buf_str(&buf).len, width + 2);
		assert_int_equal(buf_cstr(&buf)[width], '7');
		buf_deinit(&buf);
	}
}

static void test_consume(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, 100);
	buf_consume(&buf, 5);
	buf_append(&buf, STR("hello"));
	buf_consume(&buf, 0);
	buf_consume(&buf, 2);
	assert_str(buf_str(&buf), "llo");
	buf_append(&buf, STR("!"));
	assert_string_equal(buf_cstr(&buf), "llo!");
	buf_consume(&buf, 99);
	assert_int_equal(buf_str(&buf).len, 0);
	buf_deinit(&buf);
}

static void test_take(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, 3);
	buf_append(&buf, STR("abc"));
	char *text = buf_take(&buf);
	assert_string_equal(text, "abc");
	mem_free(text);
	assert_int_equal(buf_str(&buf).len, 0);
	text = buf_take(&buf);
	assert_string_equal(text, "");
	mem_free(text);
	buf_append(&buf, STR("xyz"));
	assert_string_equal(buf_cstr(&buf), "xyz");
	buf_deinit(&buf);
}

static void test_encoders(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, 100);
	buf_append_json(&buf, STR("a\n"));
	buf_append_url(&buf, STR("a/b"));
	buf_append_base64(&buf, STR("foob"));
	assert_str(buf_str(&buf), "\"a\\n\"a%2FbZm9vYg==");
	buf_deinit(&buf);
}

static void test_no_memory_is_sticky(void **state) {
	(void)state;
	struct buf buf;
	buf_init(&buf, 1000);
	buf_append(&buf, STR("kept"));
	mem_fail_at(1);
	for (int i = 0; i < 100; i++) buf_append_char(&buf, 'x');
	assert_true(mem_fail_reached());
	mem_fail_at(0);
	assert_int_equal(buf_err(&buf), ERR_NOMEM);
	size_t len = buf_str(&buf).len;
	buf_append_char(&buf, 'x');
	assert_int_equal(buf_str(&buf).len, len);
	assert_true(str_starts(buf_str(&buf), STR("keptx")));
	buf_deinit(&buf);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_maximum_is_sticky),
		cmocka_unit_test(test_zeroed_refuses),
		cmocka_unit_test(test_no_overflow_at_the_top),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_printf_fills_exactly),
		cmocka_unit_test(test_consume),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_encoders),
		cmocka_unit_test(test_no_memory_is_sticky),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
