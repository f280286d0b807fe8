/* engine/page: items one by one, members in any order, everything that is cut is bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/page.h"

/* Items in brackets, then the metadata, or "BAD". */
static const char *shown(struct str body) {
	static char text[512];
	struct page page;
	size_t at = 0;
	page_init(&page, body);
	for (;;) {
		struct str item;
		enum page_step step = page_next(&page, &item);
		if (step == PAGE_BAD) return "BAD";
		if (step == PAGE_END) break;
		at += (size_t)snprintf(text + at, sizeof text - at, "<%.*s>", STR_ARG(item));
	}
	snprintf(text + at, sizeof text - at, "%.*s", STR_ARG(page.metadata));
	return text;
}

static void test_pages(void **state) {
	(void)state;
	static const char *const cases[][2] = {
		{ "{\"kind\":\"L\",\"items\":[{\"a\":[1,{}]},{\"b\":\"}]\\\"\\\\\"}],\"metadata\":{"
		  "\"r\":\"1\"}}",
			"<{\"a\":[1,{}]}><{\"b\":\"}]\\\"\\\\\"}>{\"r\":\"1\"}" },
		{ " { \"metadata\" : {} , \"items\" : [ {} , 5 ] } \n", "<{}><5>{}" },
		{ "{\"items\":[],\"metadata\":{\"x\":1}}", "{\"x\":1}" },
		{ "{\"items\":null,\"metadata\":{\"x\":1}}", "{\"x\":1}" },
		{ "{}", "" },
		{ "", "BAD" },
		{ "[]", "BAD" },
		{ "null", "BAD" },
		{ "{\"items\":[{}", "BAD" },
		{ "{\"items\":[{\"a\":\"", "BAD" },
		{ "{\"items\":[{}]", "BAD" },
		{ "{\"items\" 5}", "BAD" },
		{ "{\"items\":}", "BAD" },
		{ "{} trailing", "BAD" },
		{ "<html></html>", "BAD" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *is = shown(str_of(cases[i][0]));
		if (strcmp(is, cases[i][1]) != 0) fail_msg("%s is %s", cases[i][0], is);
	}
}

/* Cut at every byte: never good, never beyond the end (AddressSanitizer sees that). */
static void test_cut_anywhere(void **state) {
	(void)state;
	static const char whole[] =
		"{\"items\":[{\"a\":\"x\\\"y\"},{}],\"metadata\":{\"resourceVersion\":\"1\"}}";
	for (size_t len = 0; len < sizeof whole - 1; len++) {
		char *copy = malloc(len + 1);
		memcpy(copy, whole, len);
		if (strcmp(shown((struct str){ copy, len }), "BAD") != 0)
			fail_msg("good at %zu", len);
		free(copy);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pages),
		cmocka_unit_test(test_cut_anywhere) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
