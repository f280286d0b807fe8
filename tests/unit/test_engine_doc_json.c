/* engine/doc_json: YAML as the JSON that kubectl would send for it. The expectations are kubectl's own answers (--local). */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "engine/doc_json.h"

static const struct doc_limits LIMITS = { 1 << 20, 100000, 32, 256, .allow_alias = true };

static unsigned refused_line;

static enum err convert(const char *yaml, char **out_text, struct fault *fault) {
	struct doc doc;
	struct doc_place place;
	cJSON *json = NULL;
	assert_int_equal(doc_parse(str_of(yaml), &LIMITS, &doc, &place, fault), OK);
	enum err err = doc_to_json(&doc, doc_at(&doc, DOC_ROOT), &json, &place, fault);
	*out_text = err ? NULL : cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	doc_deinit(&doc);
	if (err) refused_line = place.line;
	return err;
}

static void test_values(void **state) {
	(void)state;
	static const char *const cases[][2] = {
		{ "y", "true" }, { "yes", "true" }, { "On", "true" }, { "NO", "false" }, { "n", "false" },
		{ "tRue", "\"tRue\"" }, { "yES", "\"yES\"" }, { "true", "true" }, { "\"yes\"", "\"yes\"" },
		{ "0x10", "16" }, { "1_000", "1000" }, { "1e3", "1000" }, { "010", "8" }, { "0o10", "8" },
		{ "-0b11", "-3" }, { "09", "9" }, { "+5", "5" }, { ".5", "0.5" }, { "-.5", "-0.5" }, { "1.", "1" },
		{ "1e", "\"1e\"" }, { "0x", "\"0x\"" }, { "_1", "\"_1\"" }, { "1__0", "10" }, { "1_0.5", "10.5" },
		{ "~", "null" }, { "NULL", "null" }, { "nUll", "\"nUll\"" }, { "", "null" },
		{ "2001-01-01", "\"2001-01-01\"" }, { "190:20:30", "\"190:20:30\"" }, { "=", "\"=\"" },
		{ "!!str 5", "\"5\"" }, { "!!int \"5\"", "5" }, { "!!binary YWJj", "\"abc\"" }, { "!foo bar", "\"bar\"" },
		{ "[1, a]", "[1,\"a\"]" }, { "-", "[null]" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[128], expected[128], *text;
		snprintf(yaml, sizeof yaml, cases[i][0][0] == '-' && !cases[i][0][1] ? "a:\n- " : "a: %s", cases[i][0]);
		snprintf(expected, sizeof expected, "{\"a\":%s}", cases[i][1]);
		assert_int_equal(convert(yaml, &text, NULL), OK);
		assert_string_equal(text, expected);
		cJSON_free(text);
	}
}

static void test_keys_and_merges(void **state) {
	(void)state;
	static const char *const cases[][2] = {
		{ "1: a\nyes: b\n1.5: c\n\"n\": d", "{\"1\":\"a\",\"true\":\"b\",\"1.5\":\"c\",\"n\":\"d\"}" },
		{ "a: &m {x: 1, z: 2}\nb: {<<: *m, x: 3}", "{\"a\":{\"x\":1,\"z\":2},\"b\":{\"x\":3,\"z\":2}}" },
		{ "b: {<<: [{x: 1}, {x: 2, z: 3}]}", "{\"b\":{\"x\":1,\"z\":3}}" },
		{ "b: {\"<<\": 1}", "{\"b\":{\"<<\":1}}" },
		{ "a: &x [1]\nb: *x", "{\"a\":[1],\"b\":[1]}" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text;
		assert_int_equal(convert(cases[i][0], &text, NULL), OK);
		assert_string_equal(text, cases[i][1]);
		cJSON_free(text);
	}
}

static void test_refused(void **state) {
	(void)state;
	struct fault fault;
	char *text;
	assert_int_equal(convert("a: 1\nb: \"x\\0y\"", &text, &fault), ERR_INVALID);
	assert_string_equal(fault.text, "a text with a NUL byte");
	assert_int_equal(refused_line, 2);
	assert_int_equal(convert("a: -.INF", &text, &fault), ERR_INVALID);
	assert_non_null(strstr(fault.text, "-.INF is no number that JSON has; put it in quotes"));
	/* Nine levels of ten aliases each would be a thousand million values. */
	assert_int_equal(convert("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
				 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
				 "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
				 &text, &fault),
		ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "more than 1000000 values"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_keys_and_merges),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
