/* engine/field: from the head of a fault's text to the line of its field, down into YAML in texts. */
#include "unit.h"

#include "engine/field.h"

static const struct doc_limits LIMITS = { 1 << 20, 100000, 32, 256, .allow_alias = true };

static const char YAML[] = "kind: SecretProviderClass\n" /* 1 */
			   "metadata:\n"
			   "  labels: &l\n"
			   "    a/b: x\n"
			   "  <<: {merged: 1}\n" /* 5 */
			   "spec:\n"
			   "  parameters:\n"
			   "    keyvaultName:\n"
			   "      kv\n"
			   "    objects: |\n" /* 10 */
			   "\n"
			   "      array:\n"
			   "      - |\n"
			   "        objectName: one\n"
			   "        objectType: secret\n" /* 15 */
			   "      - objectName: two\n"
			   "        objectType: x\n"
			   "    quoted: \"array:\\n- objectName: y\\n\"\n"
			   "  data:\n"
			   "  - sourcePath: a\n" /* 20 */
			   "    targetKey: b\n"
			   "  -\n"
			   "    sourcePath: c\n";

static void test_find(void **state) {
	(void)state;
	static const struct {
		const char *text;
		unsigned line;
		const char *path;
	} cases[] = {
		{ "spec is wrong", 6, "spec" },
		{ "spec.parameters.keyvaultName \"k\" has", 9, "spec.parameters.keyvaultName" },
		{ "spec.parameters.tenantID is not set; give it", 7, "spec.parameters.tenantID" },
		{ "spec.parameters: only one", 7, "spec.parameters" },
		{ "spec.parameters.objects is not", 10, "spec.parameters.objects" },
		{ "spec.parameters.objects: array has two", 12, "spec.parameters.objects.array" },
		{ "spec.parameters.objects: array[0]: is no mapping", 13, "spec.parameters.objects.array[0]" },
		{ "spec.parameters.objects: array[0]: objectName \"one\": objectType has to be", 15,
			"spec.parameters.objects.array[0].objectType" },
		{ "spec.parameters.objects: array[0]: objectName \"one\": objectAlias must", 13,
			"spec.parameters.objects.array[0].objectAlias" },
		{ "spec.parameters.objects: array[0]: line 2, column 3: x", 15, "spec.parameters.objects.array[0]" },
		{ "spec.parameters.objects: array[1]: objectName \"two\": objectType has to be", 17,
			"spec.parameters.objects.array[1].objectType" },
		{ "spec.parameters.objects: array[0]: line 2, column 3: objectType takes", 15,
			"spec.parameters.objects.array[0].objectType" },
		{ "spec.parameters.objects: line 3, column 3: not YAML", 14, "spec.parameters.objects" },
		{ "spec.parameters.objects: array[9]: objectName \"\": objectName is not set", 12,
			"spec.parameters.objects.array[9].objectName" },
		{ "spec.parameters.quoted: array[0]: objectName \"y\": objectName is wrong", 18,
			"spec.parameters.quoted.array[0].objectName" },
		{ "spec.data[0].targetKey \"b\"", 21, "spec.data[0].targetKey" },
		{ "spec.data[1].sourcePath \"c\"", 23, "spec.data[1].sourcePath" },
		{ "spec.data[1].targetKey is", 23, "spec.data[1].targetKey" },
		{ "metadata.labels: \"a/b\" is no key", 4, "metadata.labels[\"a/b\"]" },
		{ "metadata.labels: the value of \"a/b\" has", 4, "metadata.labels[\"a/b\"]" },
		{ "metadata.labels[\"a/b\"] has to", 4, "metadata.labels[\"a/b\"]" },
		{ "metadata.merged has to", 5, "metadata.merged" },
		{ "metadata.labels[ has to", 3, "metadata.labels" },
		{ "metadata.labels[] has to", 3, "metadata.labels" },
		{ "[", 1, "" },
		{ "", 1, "" },
	};
	struct doc doc;
	struct doc_place place;
	assert_int_equal(doc_parse(str_of(YAML), &LIMITS, &doc, &place, NULL), OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct field_place found;
		field_find(&doc, DOC_ROOT, str_of(YAML), str_of(cases[i].text), &found);
		if (found.line == cases[i].line && strcmp(found.path, cases[i].path) == 0) continue;
		fail_msg("%s: line %u, %s", cases[i].text, found.line, found.path);
	}
	doc_deinit(&doc);
}

static void test_append(void **state) {
	(void)state;
	struct buf path;
	buf_init(&path, 100);
	field_append_key(&path, STR("spec"));
	field_append_key(&path, STR("a-b_C"));
	field_append_index(&path, 3);
	field_append_key(&path, STR("a.b\""));
	field_append_key(&path, STR(""));
	assert_str(buf_str(&path), "spec.a-b_C[3][\"a.b\\\"\"][\"\"]");
	buf_deinit(&path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_append),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
