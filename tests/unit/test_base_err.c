#include "unit.h"

#include "base/encode.h"
#include "base/err.h"

static void test_every_error_has_name_text_and_policy(void **state) {
	(void)state;
	for (int err = OK; err < ERR_COUNT; err++) {
		assert_true(strlen(err_text((enum err)err)) > 0);
		assert_true(strlen(err_name((enum err)err)) > 0);
		for (int other = OK; other < err; other++) {
			assert_string_not_equal(err_name((enum err)err), err_name((enum err)other));
		}
	}
	assert_string_equal(err_name(ERR_DENIED), "ERR_DENIED");
	assert_string_equal(err_text(ERR_DENIED), "access denied");
	assert_int_equal(err_retry(OK), RETRY_SOON);
	assert_int_equal(err_retry(ERR_THROTTLED), RETRY_AFTER);
	assert_int_equal(err_retry(ERR_DENIED), RETRY_SLOW);
	assert_int_equal(err_retry(ERR_NETWORK), RETRY_BACKOFF);
}

static void test_set_replaces_everything(void **state) {
	(void)state;
	struct fault fault = {
		.err = ERR_IO, .http_status = 503, .retry_after_ns = 7, .code = "x", .text = "y"
	};
	assert_int_equal(fault_set(&fault, ERR_DENIED, "%s of %d", "secret", 7), ERR_DENIED);
	assert_int_equal(fault.err, ERR_DENIED);
	assert_int_equal(fault.http_status, 0);
	assert_int_equal(fault.retry_after_ns, 0);
	assert_string_equal(fault.code, "");
	assert_string_equal(fault.text, "secret of 7");
	assert_int_equal(fault_set(NULL, ERR_GONE, "%s", "nobody listens"), ERR_GONE);
}

static void test_set_may_quote_itself(void **state) {
	(void)state;
	struct fault fault = { 0 };
	(void)fault_set(&fault, ERR_IO, "inner");
	(void)fault_set(&fault, ERR_IO, "outer (%s)", fault.text);
	assert_string_equal(fault.text, "outer (inner)");
}

static void test_text_is_one_line(void **state) {
	(void)state;
	struct fault fault;
	(void)fault_set(&fault, ERR_IO,
		"a\nb\tc\x7f%c"
		"d\x1b[0m",
		1);
	assert_string_equal(fault.text, "a b c  d [0m");
}

/* A text of `pad` letters and then `character` over and over is cut between characters, and as late as possible. */
static void check_cut(size_t pad, const char *character) {
	static char text[2 * FAULT_TEXT_BYTES];
	size_t width = strlen(character);
	memset(text, 'x', pad);
	size_t len = pad;
	while (len + width < sizeof(text)) {
		memcpy(text + len, character, width);
		len += width;
	}
	text[len] = 0;
	struct fault fault;
	(void)fault_set(&fault, ERR_IO, "%s", text);
	size_t kept = strlen(fault.text);
	assert_true(kept > FAULT_TEXT_BYTES - 1 - width && kept < FAULT_TEXT_BYTES);
	assert_int_equal((kept - pad) % width, 0);
	assert_memory_equal(fault.text, text, kept);
}

static void test_cut_at_characters(void **state) {
	(void)state;
	for (size_t pad = 0; pad < 5; pad++) {
		check_cut(pad, "z");
		check_cut(pad, "\xc3\xa4");
		check_cut(pad, "\xe2\x82\xac");
		check_cut(pad, "\xf0\x9f\x94\x91");
	}
}

static void test_text_that_just_fits(void **state) {
	(void)state;
	char text[FAULT_TEXT_BYTES];
	memset(text, 'x', sizeof(text) - 3);
	strcpy(text + sizeof(text) - 3, "\xc3\xa4");
	struct fault fault;
	(void)fault_set(&fault, ERR_IO, "%s", text);
	assert_string_equal(fault.text, text);
}

static void test_prefix(void **state) {
	(void)state;
	struct fault fault = { 0 };
	(void)fault_set(&fault, ERR_DENIED, "no");
	fault.http_status = 403;
	strcpy(fault.code, "Forbidden");
	assert_int_equal(fault_prefix(&fault, ERR_IO, "vault %s", "a"), ERR_DENIED);
	assert_string_equal(fault.text, "vault a: no");
	assert_int_equal(fault.http_status, 403);
	assert_string_equal(fault.code, "Forbidden");
	assert_int_equal(fault_prefix(NULL, ERR_IO, "x"), ERR_IO);
}

static void test_prefix_of_nothing(void **state) {
	(void)state;
	struct fault fault = { 0 };
	assert_int_equal(fault_prefix(&fault, ERR_IO, "file\n"), ERR_IO);
	assert_int_equal(fault.err, ERR_IO);
	assert_string_equal(fault.text, "file ");
}

static void test_prefix_cuts_at_characters(void **state) {
	(void)state;
	struct fault fault = { 0 };
	char text[FAULT_TEXT_BYTES];
	for (size_t i = 0; i + 2 < sizeof(text); i += 2) memcpy(text + i, "\xc3\xa4", 3);
	for (int pad = 0; pad < 4; pad++) {
		(void)fault_set(&fault, ERR_IO, "%s", text);
		(void)fault_prefix(&fault, ERR_IO, "%.*s", pad, "xxxx");
		size_t len = strlen(fault.text);
		assert_true(len >= FAULT_TEXT_BYTES - 2 && len < FAULT_TEXT_BYTES);
		struct str rest = str_of(fault.text);
		while (rest.len) {
			size_t width = utf8_len(rest);
			assert_true(width > 0);
			rest = str_slice(rest, width, rest.len);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_error_has_name_text_and_policy),
		cmocka_unit_test(test_set_replaces_everything),
		cmocka_unit_test(test_set_may_quote_itself),
		cmocka_unit_test(test_text_is_one_line),
		cmocka_unit_test(test_cut_at_characters),
		cmocka_unit_test(test_text_that_just_fits),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_prefix_of_nothing),
		cmocka_unit_test(test_prefix_cuts_at_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
