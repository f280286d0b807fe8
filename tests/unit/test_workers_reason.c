#include "unit.h"

#include <stdio.h>

#include "workers/reason.h"

static void the_first_column_tells_all_apart(void **state) {
	(void)state;
	for (enum reason r = REASON_NONE + 1; r < REASON_COUNT; r++) {
		struct str name = str_of(reason_name(REASON_NAMES_PREVIEW, r));
		assert_true(name.len > 0);
		assert_int_equal(reason_find(REASON_NAMES_PREVIEW, name, false), r);
		assert_int_equal(reason_find(REASON_NAMES_PREVIEW, name, true), r);
	}
}

static void every_column_finds_a_reason_with_the_same_name(void **state) {
	(void)state;
	for (int names = 0; names < REASON_NAMES_COUNT; names++) {
		for (enum reason r = REASON_NONE + 1; r < REASON_COUNT; r++) {
			const char *name = reason_name((enum reason_names)names, r);
			enum reason found = reason_find((enum reason_names)names, str_of(name), true);
			assert_string_equal(reason_name((enum reason_names)names, found), name);
		}
	}
}

static void a_shared_name_is_told_apart_by_whether_there_is_a_secret(void **state) {
	(void)state;
	struct str label = STR("InvalidClusterSecretLabelError");
	assert_int_equal(reason_find(REASON_NAMES_CURRENT, label, false), REASON_CREATE_FAILED_LABEL);
	assert_int_equal(reason_find(REASON_NAMES_CURRENT, label, true), REASON_UPDATE_FAILED_LABEL);
	assert_int_equal(reason_find(REASON_NAMES_UPSTREAM, STR("SecretUpToDate"), true), REASON_UPDATE_NO_CHANGE);
	assert_int_equal(reason_find(REASON_NAMES_UPSTREAM, STR("CreateSuccessful"), true), REASON_CREATE_SUCCEEDED);
}

static void a_name_of_another_column_is_none(void **state) {
	(void)state;
	assert_int_equal(reason_find(REASON_NAMES_PREVIEW, STR("CreateSuccessful"), true), REASON_NONE);
	assert_int_equal(reason_find(REASON_NAMES_UPSTREAM, STR("CreateSucceeded"), true), REASON_NONE);
	assert_int_equal(reason_find(REASON_NAMES_CURRENT, STR(""), true), REASON_NONE);
}

static void the_documentation_has_the_same_table(void **state) {
	static char text[1 << 17];
	(void)state;
	FILE *file = fopen("../../docs/configuration.md", "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	fclose(file);
	for (enum reason r = REASON_NONE + 1; r < REASON_COUNT; r++) {
		char row[256];
		snprintf(row, sizeof row, "\n| `%s` | `%s` | `%s` |\n", reason_name(REASON_NAMES_PREVIEW, r),
			reason_name(REASON_NAMES_CURRENT, r), reason_name(REASON_NAMES_UPSTREAM, r));
		if (!strstr(text, row)) fail_msg("docs/configuration.md lacks the row%s", row);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_column_tells_all_apart),
		cmocka_unit_test(every_column_finds_a_reason_with_the_same_name),
		cmocka_unit_test(a_shared_name_is_told_apart_by_whether_there_is_a_secret),
		cmocka_unit_test(a_name_of_another_column_is_none),
		cmocka_unit_test(the_documentation_has_the_same_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
