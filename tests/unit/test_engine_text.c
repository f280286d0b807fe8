/* engine/text: trimming as the provider does, words, names. */
#include "engine/text.h"

#include "tests/unit/unit.h"

static void blanks_of_every_kind_are_trimmed(void **state) {
	(void)state;
	assert_str(text_trim(STR(" \t\r\n\v\fa b\n")), "a b");
	assert_str(text_trim(STR("\xc2\xa0\xe3\x80\x80 x\xe2\x80\xa8\xc2\x85")), "x");
	assert_str(text_trim(STR("\xc2\xa0")), "");
	assert_str(text_trim(STR("")), "");
	/* A zero width space is none, and half a character is left alone. */
	assert_str(text_trim(STR("\xe2\x80\x8bx")), "\xe2\x80\x8bx");
	assert_str(text_trim(STR("\xe2\x80")), "\xe2\x80");
}

static void words_have_a_length_and_an_alphabet(void **state) {
	(void)state;
	assert_true(text_is_word(STR("aZ9-"), 4, "-"));
	assert_false(text_is_word(STR("aZ9-"), 3, "-"));
	assert_false(text_is_word(STR(""), 3, "-"));
	assert_false(text_is_word(STR("a.b"), 9, "-"));
	assert_false(text_is_word(STR("a\0b"), 9, "-"));
	assert_false(text_is_word(STR("\xc3\xa4"), 9, "-"));
}

static void names_are_those_of_kubernetes(void **state) {
	static const char *const good[] = { "a", "a-b", "a.b", "0", "a--b", "x1.y2-z" };
	static const char *const bad[] = { "", "-a", "a-", ".a", "a.", "a..b", "a.-b", "a-.b", "A", "a_b", "a/b", "..", "a b" };
	char longest[255];
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!text_is_dns_name(str_of(good[i]))) fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (text_is_dns_name(str_of(bad[i]))) fail_msg("%s", bad[i]);
	memset(longest, 'a', 254);
	assert_true(text_is_dns_name((struct str){ longest, 253 }));
	assert_false(text_is_dns_name((struct str){ longest, 254 }));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blanks_of_every_kind_are_trimmed),
		cmocka_unit_test(words_have_a_length_and_an_alphabet),
		cmocka_unit_test(names_are_those_of_kubernetes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
