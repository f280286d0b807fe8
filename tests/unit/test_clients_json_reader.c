/* A document read in place has to be what cJSON makes of it. */
#include "base/rng.h"
#include "clients/json_reader.h"
#include "tests/unit/unit.h"

static enum err read_whole(struct str text, struct str *out_raw) {
	struct json_reader reader;
	json_reader_init(&reader, text);
	bool good = json_read(&reader, out_raw);
	enum err err = json_reader_end(&reader, NULL);
	assert_true(good || err == ERR_PARSE);
	return err;
}

/* Both or neither. */
static void expect_same(struct str text) {
	cJSON *json = NULL;
	enum err theirs = json_parse(text, &json, NULL), ours = read_whole(text, NULL);
	if (ours != theirs) fail_msg("%d, not %d: %.*s", ours, theirs, STR_ARG(text));
	cJSON_Delete(json);
}

static const char *const documents[] = {
	"{}",
	"[]",
	" {\"a\":[1,-2.5e+3,\"b\",{\"c\":null}],\"d\":true,\"e\":false}\r\n",
	"[[],{},[[]],{\"\":{}}]",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
	"{\"\\u0061\":\"\\\\u0000\"}",
	"0",
	"-0.0",
	"1e-7",
	"\xEF\xBB\xBF[1]",
	"{\"value\":[{\"id\":\"https://v/secrets/n\",\"attributes\":{\"enabled\":true,"
	"\"created\":1700000000,\"updated\":1700000001}}],\"nextLink\":null}",
};

static void what_cjson_takes_is_taken(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
		assert_int_equal(read_whole(str_of(documents[i]), NULL), OK);
		expect_same(str_of(documents[i]));
	}
}

static void what_cjson_tolerates_or_refuses_is_no_other(void **state) {
	static const struct str texts[] = { STR(""), STR(" "), STR("{"), STR("["), STR("{\"a\""),
		STR("{\"a\":"), STR("{\"a\":1"), STR("{\"a\":1,}"), STR("{,\"a\":1}"), STR("[1,]"),
		STR("[,1]"), STR("[1 2]"), STR("{\"a\" 1}"), STR("{a:1}"), STR("{\"a\":1 \"b\":2}"),
		STR("[1}"), STR("{\"a\":1]"), STR("]"), STR("}"), STR("[]]"), STR("[] []"),
		STR("[]x"), STR("[]\0"), STR("[\0]"), STR("[1\0]"), STR("\"a\0\""), STR("\"a"),
		STR("\"a\\"), STR("\"a\\\""), STR("\"\\x\""), STR("\"\\u00e\""), STR("\"\\u00zz\""),
		STR("\"\\u0000\""), STR("\"\\ud83d\""), STR("\"\\ude00\""),
		STR("\"\\ud83d\\u0041\""), STR("\"\\ud83dxx\""), STR("\"\\ud83d\\n\""),
		STR("\"\\u"), STR("\"\\ud83d\\u"), STR("\"a\nb\""), STR("\"\xFF\""), STR("\x01[\x02]"),
		STR("[]\x01"), STR("01"), STR("-"), STR("+1"), STR(".5"), STR("-.5"), STR("1."),
		STR("1.e1"), STR("-.e1"), STR("1e"), STR("1e+"), STR("1e+5"), STR("1E5"), STR("1-1"),
		STR("--1"), STR("0x10"), STR("Infinity"), STR("-inf"), STR("nan"), STR("tru"),
		STR("true"), STR("truex"), STR("True"), STR("nul"), STR("null "), STR("falsefalse"),
		STR("[truefalse]"), STR("'a'"), STR("<html>"), STR("[1,/**/2]"),
		STR("\xEF\xBB\xBF"), STR("\xEF\xBB\xBF {}"), STR(" \xEF\xBB\xBF{}") };
	char digits[70];
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) expect_same(texts[i]);
	memset(digits, '1', sizeof digits);
	for (size_t len = 60; len < 68; len++) expect_same((struct str){ digits, len });
}

/* Strings are read eight bytes at once: what ends or breaks one does so at each place, and behind the text nothing is read. */
static void what_ends_a_string_is_seen_at_every_place(void **state) {
	static const char special[] = { '"', '\\', 0, '\x21', '\x23', '\x5b', '\x5d', '\x01', '\xA2', '\xDC', '\x80' };
	(void)state;
	for (size_t len = 2; len < 40; len++) {
		for (size_t at = 1; at < len; at++) {
			for (size_t i = 0; i < sizeof special; i++) {
				char *text = malloc(len);
				memset(text, 'a', len);
				text[0] = text[len - 1] = '"';
				text[at] = special[i];
				expect_same((struct str){ text, len });
				struct str raw = STR_NULL;
				bool ends = special[i] == '"' || at == len - 1;
				if (!ends && read_whole((struct str){ text, len }, &raw) == OK)
					assert_int_equal(raw.len, len);
				free(text);
			}
		}
	}
}

static void nesting_is_bounded_alike(void **state) {
	char text[2 * JSON_MAX_DEPTH + 4];
	(void)state;
	for (size_t depth = JSON_MAX_DEPTH - 1; depth <= JSON_MAX_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		expect_same((struct str){ text, 2 * depth });
	}
}

/* Cut, and with bytes that mean something put anywhere. */
static void mangled_documents_are_judged_alike(void **state) {
	static const char bytes[] = "{}[]\",:\\u0e1-.tn \n\x01\xFF\0";
	char text[256];
	struct rng rng;
	(void)state;
	rng_seed(&rng, 7);
	for (int round = 0; round < 200000; round++) {
		size_t which = (size_t)round % (sizeof documents / sizeof documents[0]);
		size_t len = strlen(documents[which]);
		assert_true(len < sizeof text);
		memcpy(text, documents[which], len);
		for (int64_t left = rng_between(&rng, 1, 3); left > 0; left--) {
			char byte = bytes[rng_between(&rng, 0, sizeof bytes - 2)];
			text[rng_between(&rng, 0, (int64_t)len - 1)] = byte;
		}
		if (round % 3 == 0) len = (size_t)rng_between(&rng, 0, (int64_t)len);
		/* cJSON wants two bytes behind a byte order mark. */
		if (len == 4 && (unsigned char)text[0] == 0xEF) continue;
		expect_same((struct str){ text, len });
	}
}

static void members_are_entered_or_skipped(void **state) {
	struct json_reader reader;
	struct json_key key;
	struct str raw;
	unsigned items = 0;
	(void)state;
	json_reader_init(&reader,
		STR("{\"skip\":{\"list\":[9]},\"li\\u0073t\":[ 1 ,[2],{}], \"n\":3}"));
	assert_false(json_enter(&reader, '['));
	assert_true(json_enter(&reader, '{'));
	assert_true(json_next_key(&reader, &key));
	assert_true(json_key_is(&key, STR("skip")) && !json_key_is(&key, STR("ski")));
	assert_true(json_read(&reader, &raw));
	assert_str(raw, "{\"list\":[9]}");
	assert_true(json_next_key(&reader, &key));
	assert_true(json_key_is(&key, STR("list")) && !json_key_is(&key, STR("lisp")));
	assert_true(json_enter(&reader, '['));
	while (json_next(&reader)) {
		static const char *const expected[] = { "1", "[2]", "{}" };
		assert_true(json_read(&reader, &raw));
		assert_str(raw, expected[items++]);
	}
	assert_int_equal(items, 3);
	assert_true(json_next_key(&reader, &key) && json_key_is(&key, STR("n")));
	assert_true(json_read(&reader, &raw));
	assert_int_equal(json_raw_i64(raw, 0), 3);
	assert_false(json_next_key(&reader, &key));
	assert_int_equal(json_reader_end(&reader, NULL), OK);
}

static void an_error_stays_and_says_where(void **state) {
	struct json_reader reader;
	struct json_key key;
	struct fault fault = { 0 };
	(void)state;
	json_reader_init(&reader, STR("{\"a\":[1,x]}"));
	assert_true(json_enter(&reader, '{') && json_next_key(&reader, &key));
	assert_true(json_enter(&reader, '['));
	assert_true(json_next(&reader) && json_read(&reader, NULL) && json_next(&reader));
	assert_false(json_read(&reader, NULL));
	assert_false(json_next(&reader) || json_next_key(&reader, &key));
	assert_false(json_enter(&reader, '{') || json_read(&reader, NULL));
	assert_int_equal(json_reader_end(&reader, &fault), ERR_PARSE);
	assert_string_equal(fault.text, "not valid JSON (byte 8 of 11)");
	json_reader_init(&reader, STR("[] 1"));
	assert_true(json_read(&reader, NULL));
	assert_int_equal(json_reader_end(&reader, &fault), ERR_PARSE);
	assert_string_equal(fault.text, "something follows a JSON document");
}

static void values_are_what_cjson_makes_of_them(void **state) {
	static const char *const texts[] = { "0", "-0", "7", "-7", "007", "999999999999999",
		"-99999999999999", "1000000000000000", "9007199254740992", "9007199254740993",
		"9007199254740994", "1.0", "1.5", "-1.", "1e3", "1e999", "-1e999", "1e-999", "true",
		"false", "null", "[1]", "{\"a\":1}", "\"\"", "\"3599\"", "\"-3599\"", "\"3599 \"",
		"\"\\u0033599\"", "\"9223372036854775807\"", "\"9223372036854775808\"", "\"1.0\"",
		"\"a\\/b\\u00e9\"", "\"\xC3\xA9\"", "\"\\ud83d\\ude00\"" };
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		cJSON *json = NULL;
		struct str raw;
		struct buf scratch;
		buf_init(&scratch, 64);
		buf_append(&scratch, STR("what was there"));
		assert_int_equal(read_whole(str_of(texts[i]), &raw), OK);
		assert_int_equal(json_parse(str_of(texts[i]), &json, NULL), OK);
		assert_int_equal(json_raw_i64(raw, 11), json_i64(json, "", 11));
		assert_int_equal(json_raw_bool(raw, true), json_bool(json, "", true));
		assert_int_equal(json_raw_bool(raw, false), json_bool(json, "", false));
		struct str text = json_raw_str(raw, &scratch), expected = json_str(json, "");
		assert_true(str_eq(text, expected) && !text.ptr == !expected.ptr);
		assert_int_equal(buf_err(&scratch), OK);
		cJSON_Delete(json);
		buf_deinit(&scratch);
	}
}

static void a_text_with_escapes_needs_memory(void **state) {
	struct buf scratch;
	(void)state;
	buf_init(&scratch, 2);
	assert_str(json_raw_str(STR("\"plain text\""), &scratch), "plain text");
	assert_null(json_raw_str(STR("\"a\\/b\""), &scratch).ptr);
	assert_int_equal(buf_err(&scratch), ERR_TOO_LARGE);
	assert_str(json_raw_str(STR("\"\\/b\""), &scratch), "/b");
	buf_deinit(&scratch);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cjson_takes_is_taken),
		cmocka_unit_test(what_cjson_tolerates_or_refuses_is_no_other),
		cmocka_unit_test(what_ends_a_string_is_seen_at_every_place),
		cmocka_unit_test(nesting_is_bounded_alike),
		cmocka_unit_test(mangled_documents_are_judged_alike),
		cmocka_unit_test(members_are_entered_or_skipped),
		cmocka_unit_test(an_error_stays_and_says_where),
		cmocka_unit_test(values_are_what_cjson_makes_of_them),
		cmocka_unit_test(a_text_with_escapes_needs_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
