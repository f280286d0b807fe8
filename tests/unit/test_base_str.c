#include "unit.h"

static void test_equality(void **state) {
	(void)state;
	assert_true(str_eq(STR_NULL, STR("")));
	assert_true(str_eq(STR("a\0b"), STR("a\0b")));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_false(str_eq(STR("a"), STR("ab")));
	assert_true(str_eq_nocase(STR("aZ-9"), STR("Az-9")));
	assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_false(str_eq_nocase(STR("["), STR("{")));
}

static void test_order(void **state) {
	(void)state;
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("b"), STR("a")) > 0);
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("ab"), STR("a")) > 0);
	assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
	assert_true(str_cmp(STR_NULL, STR("a")) < 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
}

static void test_ends(void **state) {
	(void)state;
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR_NULL));
	assert_true(str_starts(STR_NULL, STR_NULL));
	assert_false(str_starts(STR("ab"), STR("abc")));
	assert_true(str_ends(STR("abc"), STR("bc")));
	assert_true(str_ends(STR_NULL, STR_NULL));
	assert_false(str_ends(STR("bc"), STR("abc")));
	assert_false(str_ends(STR("aBC"), STR("bc")));
	assert_true(str_ends_nocase(STR("aBC"), STR("bc")));
	assert_false(str_ends_nocase(STR("C"), STR("bc")));
}

static void test_find(void **state) {
	(void)state;
	assert_int_equal(str_find(STR("abcabc"), STR("ca")), 2);
	assert_int_equal(str_find(STR("abc"), STR("abc")), 0);
	assert_int_equal(str_find(STR("abc"), STR_NULL), 0);
	assert_int_equal(str_find(STR_NULL, STR_NULL), 0);
	assert_true(str_find(STR("abc"), STR("abcd")) == SIZE_MAX);
	assert_true(str_find(STR_NULL, STR("a")) == SIZE_MAX);
	assert_int_equal(str_find(STR("a\0b"), STR("\0b")), 1);
	assert_int_equal(str_find_char(STR("abca"), 'a'), 0);
	assert_int_equal(str_find_char(STR("abc"), 'c'), 2);
	assert_true(str_find_char(STR("abc"), 'd') == SIZE_MAX);
	assert_true(str_find_char(STR_NULL, 'd') == SIZE_MAX);
}

static void test_slice(void **state) {
	(void)state;
	assert_str(str_slice(STR("hello"), 1, 3), "ell");
	assert_str(str_slice(STR("hello"), 1, SIZE_MAX), "ello");
	assert_str(str_slice(STR("hello"), 9, 3), "");
	assert_str(str_slice(STR("hello"), SIZE_MAX, SIZE_MAX), "");
	assert_null(str_slice(STR_NULL, 3, 3).ptr);
}

static void test_trim(void **state) {
	(void)state;
	assert_str(str_trim(STR(" \t\r\n\v\fa b \n")), "a b");
	assert_str(str_trim(STR(" \n ")), "");
	assert_str(str_trim(STR_NULL), "");
	assert_str(str_trim(STR("a")), "a");
	assert_str(str_trim(STR("\x08"
				"a\x0e")),
		"\x08"
		"a\x0e");
}

static void check_split(const char *text, const char *const *expected, size_t count) {
	struct str rest = str_of(text);
	size_t at = 0;
	while (rest.ptr) {
		struct str part = str_next(&rest, ',');
		assert_true(at < count);
		assert_str(part, expected[at]);
		at++;
	}
	assert_int_equal(at, count);
}

static void test_next(void **state) {
	(void)state;
	check_split("a,,b", (const char *[]){ "a", "", "b" }, 3);
	check_split("a,", (const char *[]){ "a", "" }, 2);
	check_split(",", (const char *[]){ "", "" }, 2);
	check_split("", (const char *[]){ "" }, 1);
	check_split("abc", (const char *[]){ "abc" }, 1);
	struct str none = STR_NULL;
	assert_str(str_next(&none, ','), "");
	assert_null(none.ptr);
}

static void check_i64(const char *text, bool good, int64_t expected) {
	int64_t value = 4711;
	assert_int_equal(str_to_i64(str_of(text), &value), good ? OK : ERR_INVALID);
	assert_true(value == (good ? expected : 4711));
}

static void check_u64(const char *text, bool good, uint64_t expected) {
	uint64_t value = 4711;
	assert_int_equal(str_to_u64(str_of(text), &value), good ? OK : ERR_INVALID);
	assert_true(value == (good ? expected : 4711));
}

static void test_integers(void **state) {
	(void)state;
	check_i64("0", true, 0);
	check_i64("-0", true, 0);
	check_i64("007", true, 7);
	check_i64("9223372036854775807", true, INT64_MAX);
	check_i64("-9223372036854775808", true, INT64_MIN);
	check_u64("18446744073709551615", true, UINT64_MAX);
	check_u64("0", true, 0);
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1a", "--1", "0x1", "1.0",
		"9223372036854775808", "-9223372036854775809", "18446744073709551616",
		"99999999999999999999999" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) check_i64(bad[i], false, 0);
	check_u64("18446744073709551616", false, 0);
	check_u64("28446744073709551615", false, 0);
	check_u64("-1", false, 0);
	check_u64("", false, 0);
	int64_t value;
	assert_int_equal(str_to_i64(STR("1\0"), &value), ERR_INVALID);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equality),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_integers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
