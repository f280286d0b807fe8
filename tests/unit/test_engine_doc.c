/* engine/doc, engine/doc_read: YAML as a tree within bounds, and the place of what is refused. */
#include "engine/doc.h"

#include <stdio.h>

#include "base/mem.h"
#include "tests/unit/unit.h"

static const struct doc_limits LIMITS = { .bytes = 4096, .nodes = 100, .depth = 8, .keys = 10, .allow_alias = true };

static struct doc parse(const char *text) {
	struct doc doc = { 0 };
	struct doc_place place = { 0 };
	struct fault fault = { 0 };
	enum err err = doc_parse(str_of(text), &LIMITS, &doc, &place, &fault);
	if (err) fail_msg("%u:%u: %s in: %s", place.line, place.column, fault.text, text);
	return doc;
}

static void refuse_with(const struct doc_limits *limits, const char *text, enum err expected, unsigned line,
	unsigned column, const char *part) {
	struct doc doc = { 0 };
	struct doc_place place = { 0 };
	struct fault fault = { 0 };
	enum err err = doc_parse(str_of(text), limits, &doc, &place, &fault);
	if (err != expected || !strstr(fault.text, part) || place.line != line || place.column != column)
		fail_msg("%s at %u:%u: %s in: %s", err_name(err), place.line, place.column, fault.text, text);
	doc_deinit(&doc);
}

static const char *text_at(const struct doc *doc, const char *key) {
	const struct doc_node *node = doc_find(doc, doc_at(doc, DOC_ROOT), str_of(key));
	return node ? node->text.ptr : "(none)";
}

static void scalars_keep_their_text_and_place(void **state) {
	struct doc doc = parse("a: 0123\nb: 'null'\nc: ~\nd:\n  - x\n  - !!binary aGk=\ne: |\n  two\n  lines\n");
	(void)state;
	assert_string_equal(text_at(&doc, "a"), "0123");
	const struct doc_node *root = doc_at(&doc, DOC_ROOT);
	const struct doc_node *b = doc_find(&doc, root, STR("b")), *c = doc_find(&doc, root, STR("c"));
	assert_true(b->is_string && !doc_is_null(b));
	assert_true(doc_is_null(c));
	assert_int_equal(b->line, 2);
	assert_int_equal(b->column, 4);
	const struct doc_node *d = doc_find(&doc, root, STR("d"));
	assert_int_equal(d->count, 2);
	const struct doc_node *x = doc_at(&doc, d->first), *binary = doc_at(&doc, x->next);
	assert_str(x->text, "x");
	assert_str(binary->text, "hi");
	assert_string_equal(text_at(&doc, "e"), "two\nlines\n");
	assert_null(doc_find(&doc, root, STR("f")));
	assert_null(doc_at(&doc, DOC_NONE));
	doc_deinit(&doc);
	doc_deinit(&doc);
}

static void aliases_and_merge_keys_are_followed(void **state) {
	struct doc doc = parse("base: &b {x: 1, y: 2}\nuse: *b\nmore: {<<: *b, y: 3}\n");
	(void)state;
	const struct doc_node *root = doc_at(&doc, DOC_ROOT);
	const struct doc_node *use = doc_find(&doc, root, STR("use")), *more = doc_find(&doc, root, STR("more"));
	assert_int_equal(use->kind, DOC_MAPPING);
	assert_str(doc_find(&doc, use, STR("x"))->text, "1");
	assert_str(doc_find(&doc, more, STR("x"))->text, "1");
	assert_str(doc_find(&doc, more, STR("y"))->text, "3");
	doc_deinit(&doc);
}

static void nothing_is_an_empty_document(void **state) {
	static const char *const texts[] = { "", "\n", "# only a comment\n" };
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct doc doc = parse(texts[i]);
		assert_in_range(doc.count, 0, 2);
		if (doc.count == 2) assert_true(doc_is_null(doc_at(&doc, DOC_ROOT)));
		doc_deinit(&doc);
	}
}

static void bad_documents_are_refused_where_they_are(void **state) {
	(void)state;
	refuse_with(&LIMITS, "a: 1\nb: [1, 2\n", ERR_INVALID, 3, 1, "");
	refuse_with(&LIMITS, "a: 1\na: 2\n", ERR_INVALID, 2, 1, "");
	refuse_with(&LIMITS, "a: *nobody\n", ERR_INVALID, 1, 4, "nobody");
	refuse_with(&LIMITS, "a: \"x\ty\xff\"\n", ERR_INVALID, 1, 1, "");
	struct doc_limits strict = LIMITS;
	strict.allow_alias = false;
	refuse_with(&strict, "a: &x 1\n", ERR_INVALID, 1, 4, "anchors");
	strict.only_document = true;
	refuse_with(&strict, "a: 1\n---\nb: 2\n", ERR_INVALID, 2, 1, "document");
}

/* An alias bomb costs nothing: nothing is expanded. */
static void bombs_do_not_grow(void **state) {
	char text[4096];
	size_t len = (size_t)snprintf(text, sizeof text, "a0: &a0 [x]\n");
	(void)state;
	for (int i = 1; i < 9; i++) {
		len += (size_t)snprintf(text + len, sizeof text - len, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
	}
	struct doc doc = parse(text);
	assert_in_range(doc.count, 30, 50);
	doc_deinit(&doc);
}

static void every_bound_holds(void **state) {
	struct doc_limits limits = LIMITS;
	(void)state;
	limits.bytes = 3;
	refuse_with(&limits, "a: 1\n", ERR_TOO_LARGE, 1, 1, "");
	limits = LIMITS;
	limits.nodes = 4;
	refuse_with(&limits, "- a\n- b\n- c\n- d\n", ERR_TOO_LARGE, 4, 3, "more than 4 entries");
	limits = LIMITS;
	limits.depth = 2;
	refuse_with(&limits, "[[[x]]]", ERR_TOO_LARGE, 1, 3, "");
	limits = LIMITS;
	limits.keys = 2;
	refuse_with(&limits, "{a: 1, b: 2, c: 3}", ERR_TOO_LARGE, 1, 1, "more than 2 keys");
}

static void without_memory_there_is_no_document(void **state) {
	(void)state;
	for (uint64_t nth = 1; nth < 100; nth++) {
		struct doc doc = { 0 };
		struct doc_place place = { 0 };
		mem_fail_at(nth);
		enum err err = doc_parse(STR("a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]\n"), &LIMITS,
			&doc, &place, NULL);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		assert_int_equal(err, reached ? ERR_NOMEM : OK);
		doc_deinit(&doc);
		if (!reached) return;
	}
	fail_msg("does not end");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_keep_their_text_and_place),
		cmocka_unit_test(aliases_and_merge_keys_are_followed),
		cmocka_unit_test(nothing_is_an_empty_document),
		cmocka_unit_test(bad_documents_are_refused_where_they_are),
		cmocka_unit_test(bombs_do_not_grow),
		cmocka_unit_test(every_bound_holds),
		cmocka_unit_test(without_memory_there_is_no_document),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
