/* Who owns a field: ours, a predecessor's, somebody else's, nobody's. */
#include "clients/json.h"
#include "clients/kube_fields.h"
#include "tests/unit/unit.h"

#define ENTRY(manager, operation, more, fields) \
	"{\"manager\":\"" manager "\",\"operation\":\"" operation "\"" more ",\"fieldsV1\":{" fields "}}"
#define OURS "secrets-store-sync-controller"

static cJSON *list;

static void parse(const char *text) {
	struct fault fault = { 0 };
	cJSON_Delete(list);
	list = NULL;
	assert_int_equal(json_parse(str_of(text), &list, &fault), OK);
}

static int teardown(void **state) {
	(void)state;
	cJSON_Delete(list);
	list = NULL;
	return 0;
}

static void each_set_has_its_place(void **state) {
	(void)state;
	parse("[" ENTRY(OURS, "Apply", "",
		"\"f:data\":{\".\":{},\"f:k\":{}},\"f:metadata\":{\"f:labels\":{\"f:a.b/c\":{}},\"f:annotations\":{\"f:n\":{}}}") "]");
	assert_true(kube_fields_owned(list, KUBE_FIELD_DATA, STR("k")));
	assert_false(kube_fields_owned(list, KUBE_FIELD_DATA, STR("n")));
	assert_false(kube_fields_owned(list, KUBE_FIELD_DATA, STR("")));
	assert_true(kube_fields_owned(list, KUBE_FIELD_LABEL, STR("a.b/c")));
	assert_false(kube_fields_owned(list, KUBE_FIELD_LABEL, STR("n")));
	assert_true(kube_fields_owned(list, KUBE_FIELD_ANNOTATION, STR("n")));
	assert_false(kube_fields_owned(list, KUBE_FIELD_ANNOTATION, STR("a.b/c")));
}

static bool must_settle_as_written(const cJSON *entry) {
	char *text = cJSON_PrintUnformatted(entry);
	assert_non_null(text);
	bool settles = kube_raw_entry_must_settle(str_of(text));
	cJSON_free(text);
	return settles;
}

static void ours_are_all_that_become_ours(void **state) {
	(void)state;
	static const char *const lists[] = {
		"[" ENTRY(OURS, "Update", "", "\"f:data\":{\"f:k\":{}}") "]",
		"[" ENTRY("v1-secrets-store-sync-controller", "Apply", "", "\"f:data\":{\"f:k\":{}}") "]",
		"[" ENTRY("v1-secret-sync-controller", "Update", "", "\"f:data\":{\"f:k\":{}}") "]",
	};
	for (int i = 0; i < 3; i++) {
		parse(lists[i]);
		assert_true(kube_fields_owned(list, KUBE_FIELD_DATA, STR("k")));
		assert_true(kube_entry_must_settle(list->child));
		assert_true(must_settle_as_written(list->child));
		assert_false(kube_entry_is_apply(list->child));
	}
	parse("[" ENTRY(OURS, "Apply", "", "") "," ENTRY(OURS, "Update", ",\"subresource\":\"status\"",
		"\"f:data\":{\"f:k\":{}}") "," ENTRY("kubectl", "Update", "", "") "]");
	assert_true(kube_entry_is_apply(list->child));
	assert_false(kube_fields_owned(list, KUBE_FIELD_DATA, STR("k")));
	for (const cJSON *entry = list->child; entry; entry = entry->next) {
		assert_false(kube_entry_must_settle(entry));
		assert_false(must_settle_as_written(entry));
	}
	assert_true(kube_raw_entry_must_settle(
		STR("{\"manager\":\"secrets\\u002dstore-sync-controller\",\"subresource\":\"\",\"operation\":\"Update\"}")));
	assert_false(kube_raw_entry_must_settle(STR("{\"manager\":\"" OURS "\"}")));
	assert_false(kube_raw_entry_must_settle(STR("{\"manager\":7,\"operation\":\"Update\"}")));
	assert_false(kube_raw_entry_must_settle(STR("[")));
}

static void the_rival_is_the_owner_or_who_wrote_last(void **state) {
	(void)state;
	parse("[" ENTRY("early", "Update", ",\"time\":\"2027-01-15T08:00:00Z\"", "\"f:data\":{\"f:k\":{}}") "," ENTRY(
		"late", "Update", ",\"time\":\"2027-01-15T09:00:00Z\"", "") "," ENTRY(
		OURS, "Apply", ",\"time\":\"2027-01-15T10:00:00Z\"", "") "]");
	assert_true(str_eq(kube_fields_rival(list, KUBE_FIELD_DATA, STR("k")), STR("early")));
	assert_true(str_eq(kube_fields_rival(list, KUBE_FIELD_DATA, STR("gone")), STR("late")));
	parse("[" ENTRY(OURS, "Apply", "", "") "]");
	assert_int_equal(kube_fields_rival(list, KUBE_FIELD_DATA, STR("k")).len, 0);
}

static void only_what_is_ours_alone_is_pruned(void **state) {
	(void)state;
	parse("[" ENTRY(OURS, "Apply", "", "\"f:data\":{\"f:k\":{},\"f:both\":{}}") "," ENTRY(
		"v1-secret-sync-controller", "Apply", "", "\"f:data\":{\"f:older\":{}}") "," ENTRY(
		"kubectl", "Update", "", "\"f:data\":{\"f:both\":{},\"f:theirs\":{}}") "]");
	assert_true(kube_fields_prunable(list, KUBE_FIELD_DATA, STR("k")));
	assert_true(kube_fields_prunable(list, KUBE_FIELD_DATA, STR("older")));
	assert_false(kube_fields_prunable(list, KUBE_FIELD_DATA, STR("both")));
	assert_false(kube_fields_prunable(list, KUBE_FIELD_DATA, STR("theirs")));
	assert_false(kube_fields_prunable(list, KUBE_FIELD_DATA, STR("nobody's")));
	assert_false(kube_fields_prunable(NULL, KUBE_FIELD_DATA, STR("k")));
}

static void nonsense_owns_nothing(void **state) {
	(void)state;
	static const char *const lists[] = { "[]", "[1,null,\"x\"]", "[{\"manager\":7}]",
		"[{\"manager\":\"" OURS "\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:data\":[1],\"f:metadata\":7}}]" };
	for (int i = 0; i < 4; i++) {
		parse(lists[i]);
		for (enum kube_field_set set = KUBE_FIELD_DATA; set <= KUBE_FIELD_ANNOTATION; set++) {
			assert_false(kube_fields_owned(list, set, STR("k")));
			(void)kube_fields_rival(list, set, STR("k"));
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_set_has_its_place, teardown),
		cmocka_unit_test_teardown(ours_are_all_that_become_ours, teardown),
		cmocka_unit_test_teardown(the_rival_is_the_owner_or_who_wrote_last, teardown),
		cmocka_unit_test_teardown(only_what_is_ours_alone_is_pruned, teardown),
		cmocka_unit_test_teardown(nonsense_owns_nothing, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
