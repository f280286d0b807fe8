/* JSON from outside: documents by cJSON, secrets by the scanner. */
#include "clients/json.h"
#include "tests/unit/unit.h"

/* --- documents --- */

static void a_document_is_read_by_paths(void **state) {
	cJSON *json = NULL;
	(void)state;
	assert_int_equal(
		json_parse(
			STR(" {\"metadata\":{\"uid\":\"u-1\",\"n\":7,\"on\":true},\"list\":[1]}\n"),
			&json, NULL),
		OK);
	assert_str(json_str(json, "metadata.uid"), "u-1");
	assert_true(cJSON_IsArray(json_get(json, "list")));
	assert_null(json_get(json, "metadata.uid.deeper"));
	assert_null(json_get(json, "list.0"));
	assert_null(json_get(json, "METADATA"));
	assert_null(json_get(NULL, "metadata"));
	assert_ptr_equal(json_get(json, ""), json);
	assert_null(json_str(json, "metadata.n").ptr);
	assert_str(json_str(json_get(json, "metadata.uid"), ""), "u-1");
	assert_true(json_bool(json, "metadata.on", false));
	assert_true(json_bool(json, "metadata.uid", true));
	assert_false(json_bool(json, "nothing", false));
	cJSON_Delete(json);
}

static void numbers_are_exact_or_not_at_all(void **state) {
	static const struct {
		const char *text;
		int64_t number;
	} cases[] = {
		{ "0", 0 },
		{ "-7", -7 },
		{ "1700000000", 1700000000 },
		{ "9007199254740992", INT64_C(9007199254740992) },
		{ "9007199254740994", -1 },
		{ "1.5", -1 },
		{ "1e3", 1000 },
		{ "1e999", -1 },
		{ "\"3599\"", 3599 },
		{ "\"9223372036854775807\"", INT64_MAX },
		{ "\"9223372036854775808\"", -1 },
		{ "\"3599 \"", -1 },
		{ "\"\"", -1 },
		{ "true", -1 },
		{ "null", -1 },
		{ "[1]", -1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		cJSON *json = NULL;
		assert_int_equal(json_parse(str_of(cases[i].text), &json, NULL), OK);
		assert_int_equal(json_i64(json, "", -1), cases[i].number);
		cJSON_Delete(json);
	}
}

static void what_is_no_document_is_refused(void **state) {
	static const struct {
		struct str text;
		const char *why;
	} cases[] = {
		{ STR(""), "not valid JSON" },
		{ STR("{"), "not valid JSON" },
		{ STR("{\"a\":1"), "not valid JSON" },
		{ STR("{} {}"), "something follows" },
		{ STR("{}x"), "something follows" },
		{ STR("{\"a\":\"b\0c\"}"), "a NUL byte" },
		{ STR("{}\0"), "a NUL byte" },
		{ STR("{\"a\":\"b\\u0000c\"}"), "\\u0000" },
		{ STR("{\"a\":\"b\\u00zzc\"}"), "a malformed \\u" },
		{ STR("{\"a\":\"b\\u0"), "a malformed \\u" },
		{ STR("<html>"), "not valid JSON" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fault fault = { 0 };
		cJSON *json = NULL;
		assert_int_equal(json_parse(cases[i].text, &json, &fault), ERR_PARSE);
		assert_null(json);
		assert_non_null(strstr(fault.text, cases[i].why));
	}
	/* A backslash that is itself escaped makes no NUL. */
	cJSON *json = NULL;
	assert_int_equal(json_parse(STR("\"b\\\\u0000\""), &json, NULL), OK);
	assert_str(json_str(json, ""), "b\\u0000");
	cJSON_Delete(json);
}

static void nesting_is_bounded(void **state) {
	char text[2 * JSON_MAX_DEPTH + 4];
	(void)state;
	for (int depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
		cJSON *json = NULL;
		struct str raw = { text, 2 * (size_t)depth };
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		assert_int_equal(
			json_parse(raw, &json, NULL), depth > JSON_MAX_DEPTH ? ERR_PARSE : OK);
		cJSON_Delete(json);
		struct json_items items = json_items((struct str){ text, raw.len });
		assert_int_equal(json_next_item(&items, &raw), true);
	}
}

/* --- the scanner --- */

static void expect_member(const char *object, const char *key, enum err err, const char *raw) {
	struct str found = STR("untouched");
	if (json_scan_member(str_of(object), key, &found) != err) fail_msg("%s", object);
	assert_str(found, err ? "untouched" : raw);
	struct str first = STR("untouched"), second = STR("untouched"), none = STR("untouched");
	const struct json_wanted wanted[] = { { STR("none of its names"), &none },
		{ str_of(key), &first }, { str_of(key), &second } };
	json_scan_members(str_of(object), wanted, 3);
	assert_null(none.ptr);
	assert_str(first, err ? "" : raw);
	assert_str(second, err ? "" : raw);
}

static void several_members_are_found_at_once(void **state) {
	struct str a, b, c;
	const struct json_wanted wanted[] = { { STR("c"), &c }, { STR("a"), &a }, { STR("b"), &b } };
	(void)state;
	json_scan_members(STR("{\"a\":1,\"x\":{\"b\":0},\"b\":[2],\"a\":3,\"\\u0063\":4,,,"), wanted, 3);
	assert_str(a, "1");
	assert_str(b, "[2]");
	assert_str(c, "4");
	json_scan_members(STR("{\"b\":2,,\"a\":1}"), wanted, 3);
	assert_null(a.ptr);
	assert_str(b, "2");
	json_scan_members(STR("{\"a\":1}"), wanted, 0);
}

static void a_member_is_found_as_it_is_written(void **state) {
	(void)state;
	expect_member("{\"value\":\"a\"}", "value", OK, "\"a\"");
	expect_member(" { \"x\" : 1 , \"value\" :\t[1, {\"value\":2}] }", "value", OK,
		"[1, {\"value\":2}]");
	/* Nested members of the same name do not count, nor do braces and quotes inside strings. */
	expect_member("{\"a\":{\"value\":1},\"b\":[{\"value\":2}],\"c\":\"}\\\"value\\\":3\","
		      "\"value\":4}",
		"value", OK, "4");
	expect_member("{\"value\":1,\"value\":2}", "value", OK, "1");
	expect_member("{\"v\\u0061lue\":true}", "value", OK, "true");
	expect_member("{\"valu\":1,\"values\":2,\"value\\u0000\":3}", "value", ERR_NOT_FOUND, NULL);
	expect_member("{\"\":5}", "", OK, "5");
	expect_member("{}", "value", ERR_NOT_FOUND, NULL);
	expect_member("", "value", ERR_NOT_FOUND, NULL);
}

static void malformed_objects_are_an_error_up_to_the_place(void **state) {
	static const char *const broken[] = { "{", "[]", "\"value\"", "{\"value\"",
		"{\"value\":", "{\"value\":\"a", "{\"a\":1 \"value\":2}", "{\"a\":1,,\"value\":2}",
		"{a:1}", "{\"a\":[}],\"value\":1}", "{\"a\":{]},\"value\":1}", "{\"a\":1",
		"{\"a\":1,}", "{,\"value\":1}", "{\"a\" \"value\":1}", "{\"value\":[1,2}",
		"{\"value\":\"a\\\"}" };
	(void)state;
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
		expect_member(broken[i], "value", ERR_PARSE, NULL);
	/* What stands behind it is not looked at. */
	expect_member("{\"value\":1,,,", "value", OK, "1");
}

static void a_string_is_compared_by_what_it_stands_for(void **state) {
	(void)state;
	assert_true(json_string_is(STR("\"kvsync\""), STR("kvsync")));
	assert_true(json_string_is(STR("\"\""), STR("")));
	assert_true(json_string_is(STR("\"k\\u0076\\u0073ync\""), STR("kvsync")));
	assert_true(json_string_is(STR("\"a\\\\b\""), STR("a\\b")));
	assert_false(json_string_is(STR("\"a\\b\""), STR("a\\b"))); /* an escape, not a backslash */
	assert_false(json_string_is(STR("\"kvsyn\""), STR("kvsync")));
	assert_false(json_string_is(STR("\"kvsync2\""), STR("kvsync")));
	assert_false(json_string_is(STR("\"k\\u0076sync2\""), STR("kvsync")));
	assert_false(json_string_is(STR("12345678"), STR("234567")));
	assert_false(json_string_is(STR("\""), STR("")));
	assert_false(json_string_is(STR_NULL, STR("")));
}

static void arrays_are_walked(void **state) {
	static const char *const good[] = { "1", "\"a,]\"", "{\"b\":[2]}", "[]", "null" };
	struct json_items items = json_items(STR("[1, \"a,]\" ,{\"b\":[2]},[], null ] "));
	struct str raw;
	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_true(json_next_item(&items, &raw));
		assert_str(raw, good[i]);
	}
	assert_false(json_next_item(&items, &raw));
	assert_false(json_next_item(&items, &raw));
	assert_int_equal(items.err, OK);
	static const struct {
		const char *text;
		enum err err;
	} ends[] = { { "", OK }, { "[]", OK }, { "[ ]", OK }, { "[", ERR_PARSE },
		{ "[1", ERR_PARSE }, { "[1,", ERR_PARSE }, { "[1,]", ERR_PARSE },
		{ "[1 2]", ERR_PARSE }, { "{}", ERR_PARSE }, { "[1}", ERR_PARSE } };
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		items = json_items(str_of(ends[i].text));
		while (json_next_item(&items, &raw)) assert_str(raw, "1");
		if (items.err != ends[i].err) fail_msg("%s", ends[i].text);
	}
}

static void members_are_walked_with_their_raw_names(void **state) {
	struct json_items items = json_members(STR("{\"a\\n\":1,\"b\":{}}"));
	struct str key, raw;
	(void)state;
	assert_true(json_next_member(&items, &key, &raw));
	assert_str(key, "\"a\\n\"");
	assert_str(raw, "1");
	assert_true(json_next_member(&items, &key, &raw));
	assert_str(key, "\"b\"");
	assert_str(raw, "{}");
	assert_false(json_next_member(&items, &key, &raw));
	assert_int_equal(items.err, OK);
}

/* --- strings into secret memory --- */

static struct secret_arena *arena;

static void expect_text(struct str raw, enum err err, struct str expected) {
	struct secret secret;
	secret_init(&secret, arena, 1 << 16);
	if (json_unescape_secret(raw, &secret) != err) fail_msg("%.*s", STR_ARG(raw));
	if (!err && !str_eq(secret_expose(&secret), expected)) fail_msg("%.*s", STR_ARG(raw));
	secret_deinit(&secret);
}

static void strings_are_decoded_exactly(void **state) {
	(void)state;
	expect_text(STR("\"\""), OK, STR(""));
	expect_text(STR("\"plain\""), OK, STR("plain"));
	expect_text(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), OK, STR("\"\\/\b\f\n\r\t"));
	expect_text(STR("\"a\\u0000b\\u0000\""), OK, STR("a\0b\0"));
	expect_text(STR("\"\\u0041\\u00e9\\u20AC\""), OK, STR("A\xC3\xA9\xE2\x82\xAC"));
	expect_text(STR("\"\\uD83D\\uDE00\""), OK, STR("\xF0\x9F\x98\x80"));
	expect_text(STR("\"\\uDBFF\\uDFFF\""), OK, STR("\xF4\x8F\xBF\xBF"));
	/* Lone surrogates: high, low, high before something else, two highs before a low. */
	expect_text(STR("\"\\uD83D\""), OK, STR("\xEF\xBF\xBD"));
	expect_text(STR("\"\\uDE00x\""), OK, STR("\xEF\xBF\xBDx"));
	expect_text(STR("\"\\uD83D\\n\""), OK, STR("\xEF\xBF\xBD\n"));
	expect_text(STR("\"\\uD83D\\uD83D\\uDE00\""), OK, STR("\xEF\xBF\xBD\xF0\x9F\x98\x80"));
	/* Bytes that are not UTF-8 pass as they are. */
	expect_text(STR("\"\xFF\xC3\""), OK, STR("\xFF\xC3"));
	expect_text(STR("\"\x7F\""), OK, STR("\x7F"));
}

static void bad_strings_are_refused(void **state) {
	static const struct str bad[] = { STR(""), STR("\""), STR("x"), STR("\"a"), STR("a\""),
		STR("\"a\"b\""), STR("\"a\\\""), STR("\"a\nb\""), STR("\"a\0b\""), STR("\"\x1F\""),
		STR("\"\\x\""), STR("\"\\u12\""), STR("\"\\u123g\""), STR("\"\\U0041\""), STR("5"),
		STR("null") };
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		expect_text(bad[i], ERR_PARSE, STR_NULL);
}

static void a_string_over_the_limit_is_refused(void **state) {
	struct secret secret;
	(void)state;
	for (size_t max = 3; max <= 4; max++) {
		secret_init(&secret, arena, max);
		assert_int_equal(json_unescape_secret(STR("\"ab\\u00e9\""), &secret),
			max == 4 ? OK : ERR_TOO_LARGE);
		secret_deinit(&secret);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_is_read_by_paths),
		cmocka_unit_test(numbers_are_exact_or_not_at_all),
		cmocka_unit_test(what_is_no_document_is_refused),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_member_is_found_as_it_is_written),
		cmocka_unit_test(several_members_are_found_at_once),
		cmocka_unit_test(malformed_objects_are_an_error_up_to_the_place),
		cmocka_unit_test(a_string_is_compared_by_what_it_stands_for),
		cmocka_unit_test(arrays_are_walked),
		cmocka_unit_test(members_are_walked_with_their_raw_names),
		cmocka_unit_test(strings_are_decoded_exactly),
		cmocka_unit_test(bad_strings_are_refused),
		cmocka_unit_test(a_string_over_the_limit_is_refused),
	};
	arena = secret_arena_create(1 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_arena_destroy(arena);
	return failed;
}
