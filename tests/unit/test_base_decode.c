/* base64 as Go's decoder takes it, which is what users of the provider rely on, and hexadecimal. */
#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/decode.h"
#include "base/rng.h"

static struct buf out;

static void collect(void *arg, struct str piece) {
	buf_append(arg, piece);
}

static struct sink fresh(void) {
	buf_deinit(&out);
	buf_init(&out, 1 << 20);
	return (struct sink){ collect, &out };
}

static int teardown(void **state) {
	(void)state;
	buf_deinit(&out);
	return 0;
}

struct row {
	const char *text, *bytes; /* bytes NULL: refused */
	size_t at;
};

static void check(const struct row *row, enum err err, size_t at) {
	if (!row->bytes) {
		if (err != ERR_INVALID || at != row->at)
			fail_msg("\"%s\": %d at %zu", row->text, (int)err, at);
		return;
	}
	if (err) fail_msg("\"%s\" refused at %zu", row->text, at);
	assert_str(buf_str(&out), row->bytes);
}

static void padded_base64(void **state) {
	static const struct row rows[] = {
		{ "", "", 0 },
		{ "YQ==", "a", 0 },
		{ "YWI=", "ab", 0 },
		{ "YWJj", "abc", 0 },
		{ "+/+/", "\xfb\xff\xbf", 0 },
		{ "\r\nY\nW\r\nI\n=\r\n", "ab", 0 },
		{ "YWJ=", "ab", 0 }, /* two bits are left over */
		{ "YR==", "a", 0 },
		{ "Y", NULL, 1 },
		{ "YQ", NULL, 2 },
		{ "YQ=", NULL, 3 },
		{ "YQ=\n", NULL, 4 },
		{ "YWI", NULL, 3 },
		{ "=", NULL, 0 },
		{ "====", NULL, 0 },
		{ "Y===", NULL, 1 },
		{ "YWI==", NULL, 4 },
		{ "YWJj=", NULL, 4 },
		{ "YQ==YQ==", NULL, 4 },
		{ "YQ= =", NULL, 3 },
		{ " YQ==", NULL, 0 },
		{ "YQ==\t", NULL, 4 },
		{ "YQ== ", NULL, 4 },
		{ "-_-_", NULL, 0 },
		{ "YW-j", NULL, 2 },
		{ "YW\xc3\xa4", NULL, 2 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t at = 0;
		enum err err = decode_base64(BASE64_PADDED, str_of(rows[i].text), fresh(), &at);
		check(&rows[i], err, at);
	}
	assert_int_equal(decode_base64(BASE64_PADDED, STR("YQ==\0"), fresh(), NULL), ERR_INVALID);
}

static void base64_with_blanks(void **state) {
	static const struct row rows[] = {
		{ "", "", 0 },
		{ " Y W\nJ\tj\r\n", "abc", 0 },
		{ "YQ= =\t", "a", 0 },
		{ "+/+/", "\xfb\xff\xbf", 0 },
		{ "Y Q", NULL, 3 },
		{ "Y Q=a", NULL, 4 },
		{ "YQ== YQ==", NULL, 5 },
		{ "Y\x0bQ==", NULL, 1 },
		{ "YW-_", NULL, 2 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t at = 0;
		enum err err = decode_base64(BASE64_BLANKS, str_of(rows[i].text), fresh(), &at);
		check(&rows[i], err, at);
	}
}

static void url_base64(void **state) {
	static const struct row rows[] = {
		{ "", "", 0 },
		{ "YQ", "a", 0 },
		{ "YWI", "ab", 0 },
		{ "YWJj", "abc", 0 },
		{ "-_-_", "\xfb\xff\xbf", 0 },
		{ "Y\nQ\r\n", "a", 0 },
		{ "Y", NULL, 1 },
		{ "YWJjY", NULL, 5 },
		{ "YQ==", NULL, 2 },
		{ "+/+/", NULL, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t at = 0;
		enum err err = decode_base64(BASE64_URL, str_of(rows[i].text), fresh(), &at);
		check(&rows[i], err, at);
	}
}

static void hexadecimal(void **state) {
	static const struct row rows[] = {
		{ "", "", 0 },
		{ "6a6B", "jk", 0 },
		{ "fFFf", "\xff\xff", 0 },
		{ "6", NULL, 1 },
		{ "6a6", NULL, 3 },
		{ "0x6a", NULL, 1 },
		{ "6g", NULL, 1 },
		{ "g6", NULL, 0 },
		{ "6a 6b", NULL, 2 },
		{ "6a\n", NULL, 2 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t at = 0;
		enum err err = decode_hex(str_of(rows[i].text), fresh(), &at);
		check(&rows[i], err, at);
	}
}

static void any_bytes_come_back(void **state) {
	struct rng rng;
	struct buf text, bytes;
	(void)state;
	rng_seed(&rng, 7);
	buf_init(&text, 1 << 12);
	buf_init(&bytes, 1 << 12);
	for (size_t len = 0; len < 200; len++) {
		char hex[401];
		buf_reset(&bytes);
		buf_reset(&text);
		for (size_t i = 0; i < len; i++) buf_append_char(&bytes, (char)rng_next(&rng));
		buf_append_base64(&text, buf_str(&bytes));
		assert_int_equal(decode_base64(BASE64_PADDED, buf_str(&text), fresh(), NULL), OK);
		assert_true(str_eq(buf_str(&out), buf_str(&bytes)));
		for (size_t i = 0; i < len; i++)
			snprintf(hex + 2 * i, 3, "%02x", (unsigned char)buf_str(&bytes).ptr[i]);
		assert_int_equal(decode_hex((struct str){ hex, 2 * len }, fresh(), NULL), OK);
		assert_true(str_eq(buf_str(&out), buf_str(&bytes)));
	}
	buf_deinit(&text);
	buf_deinit(&bytes);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(padded_base64),
		cmocka_unit_test(base64_with_blanks),
		cmocka_unit_test(url_base64),
		cmocka_unit_test(hexadecimal),
		cmocka_unit_test(any_bytes_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, teardown);
}
