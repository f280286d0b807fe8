/* engine/manifest, engine/check, engine/check_report: what is read from files and folders, and what is said of it. What the rules
 * themselves say stands in tests/conformance. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>

#include "engine/check.h"

static char folder[64];

static void write_file(const char *name, const char *text) {
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void make_folder(const char *name) {
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static int set_up(void **state) {
	(void)state;
	strcpy(folder, "/tmp/kvsync-check-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command);
}

#define CLASS(name)                                                                                  \
	"apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: " name \
	"}\nspec:\n  provider: azure\n  parameters:\n    clientID: c\n    keyvaultName: vault\n"     \
	"    tenantID: t\n    objects: |\n      array:\n      - |\n        objectName: one\n"           \
	"        objectType: secret\n"
#define SYNC(name, class)                                                                            \
	"apiVersion: secret-sync.x-k8s.io/v1alpha1\nkind: SecretSync\nmetadata: {name: " name           \
	"}\nspec:\n  serviceAccountName: sa\n  secretProviderClassName: " class                         \
	"\n  secretObject:\n    data: [{sourcePath: one, targetKey: k}]\n"

#define AKVSYNC(entry)                                                                          \
	"apiVersion: secret-sync.x-k8s.io/v1alpha1\nkind: AKVSync\nmetadata: {name: akv}\nspec:\n" \
	"  keyvaultName: vault\n  tenantID: t\n  clientID: c\n  serviceAccountName: sa\n  objects:\n  - " entry "\n"

static enum err judge(struct manifests *manifests, struct check_result *result, const char *path) {
	struct check_options options = {
		.ns = STR("default"),
		.defaults = { .cloud = cloud_find(STR("AzurePublicCloud")) },
	};
	manifests_init(manifests, check_wants);
	enum err err = manifests_read(manifests, path);
	return err ? err : check_manifests(manifests, &options, result);
}

static char *table_of(const struct check_result *result) {
	struct buf text;
	buf_init(&text, 1 << 20);
	check_write_table(result, &text);
	return buf_take(&text);
}

/* Folders below, endings, hidden files, documents, lists, JSON, kinds that are counted only. */
static void test_reading(void **state) {
	(void)state;
	make_folder("b");
	make_folder(".hidden");
	write_file("a.yaml", "# nothing but a comment\n---\n" CLASS("cls") "--- # text\n---\nkind: Service\n---\n{{ template }}\n");
	write_file("b/list.yml", "apiVersion: v1\nkind: List\nitems:\n- " "apiVersion: v1\n  kind: ServiceAccount\n"
				 "  metadata: {name: sa}\n- {kind: Role, apiVersion: v1}\n");
	write_file("b/one.json", "{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\n\t\"kind\":\"SecretSync\","
				 "\"metadata\":{\"name\":\"one\"},\n\"spec\":{\"serviceAccountName\":\"sa\","
				 "\"secretProviderClassName\":\"cls\",\"secretObject\":{\"data\":["
				 "{\"sourcePath\":\"one\",\"targetKey\":\"k\"}]}}}");
	write_file("b/notes.txt", SYNC("ignored", "x"));
	write_file(".hidden/x.yaml", SYNC("ignored", "x"));
	write_file("b/.x.yaml", SYNC("ignored", "x"));
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, folder), OK);
	char *table = table_of(&result);
	assert_int_equal(result.fault_count, 0);
	assert_int_equal(result.kinds[CHECK_SYNC], 1);
	assert_int_equal(result.kinds[CHECK_CLASS], 1);
	assert_int_equal(result.kinds[CHECK_ACCOUNT], 1);
	assert_non_null(strstr(table, "\nSecretSync default/one (Opaque)\n  vault     https://vault.vault.azure.net\n"));
	assert_non_null(strstr(table, "  k    one          secret one  newest\n"));
	assert_non_null(strstr(table, "Other kinds, not checked: 1 Service, 1 (without kind), 1 Role\n"));
	assert_true(check_is_sound(&result.objects[result.count - 1]));
	mem_free(table);
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* What cannot be read is told with its place, and stops nothing else. */
static void test_unreadable(void **state) {
	(void)state;
	static const struct {
		const char *text, *says;
		unsigned line;
	} cases[] = {
		{ "kind: x\n---\nkind: SecretSync\nspec: [\n---\n", "not YAML: ", 5 },
		{ "kind: SecretSync\nkind: SecretSync\n", "for the second time", 2 },
		{ "a: 1\n---\n- SecretSync\n", "is no object", 3 },
		{ "kind: SecretSync\napiVersion: secret-sync.x-k8s.io/v1alpha1\nmetadata: {name: \"a\\0b\"}\n", "NUL byte", 3 },
		{ "\xFF\xFEk", "is UTF-16", 0 },
		{ "kind: a\n---\nkind: SecretSync\nb: 1\nspec: 1\nspec: 2\n", "the first is in line 5", 6 },
		{ "kind: secretsync\napiVersion: secret-sync.x-k8s.io/v1alpha1\n", "did you mean SecretSync", 1 },
		{ "a: 1\n---\nkind: SecretSyncs\napiVersion: v1\n", "did you mean SecretSync", 3 },
		{ "kind: SecretSync\n", "apiVersion is missing", 1 },
		{ "kind: SecretSync\n\tspec: 1\n", "this line begins with a tab", 2 },
		{ "kind: SecretSync\n  spec: 1\n", "indent this line as those beside it", 2 },
		{ "kind: SecretSync\napiVersion: secretsync.x-k8s.io/v1alpha1\n", "did you mean secret-sync.x-k8s.io/v1alpha1?", 1 },
		{ "kind: AKVSync\napiVersion: v1\n", "did you mean secret-sync.x-k8s.io/v1alpha1?", 1 },
		{ "apiVersion: secret-sync.x-k8s.io/v1alpha1\n", "kind is missing beside", 1 },
		{ "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: Strange\n", "\"Strange\" is none of apiVersion", 1 },
		{ "metadata: {}\nspec: {secretProviderClassName: x}\n", "kind is missing, and this looks like", 1 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char path[128];
		struct manifests manifests;
		struct check_result result;
		write_file("bad.yaml", cases[i].text);
		snprintf(path, sizeof path, "%s/bad.yaml", folder);
		assert_int_equal(judge(&manifests, &result, path), OK);
		if (result.note_count != 1) fail_msg("case %zu: %u notes", i, result.note_count);
		assert_int_equal(result.notes[0].object, CHECK_NO_OBJECT);
		assert_int_equal(result.fault_count, 1);
		assert_string_equal(result.notes[0].file, path);
		if (!strstr(result.notes[0].text, cases[i].says) || result.notes[0].line != cases[i].line)
			fail_msg("case %zu: line %u: %s", i, result.notes[0].line, result.notes[0].text);
		check_result_deinit(&result);
		manifests_deinit(&manifests);
	}
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, "/nonexistent"), OK);
	assert_int_equal(result.notes[0].line, 0);
	assert_string_equal(result.notes[0].text, "cannot be read: No such file or directory");
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* Kinds of others, whatever they are called and hold, are no fault, and need not be good YAML. */
static void test_others(void **state) {
	(void)state;
	write_file("o.yaml",
		"kind: SecretProviderClassPodStatus\napiVersion: secrets-store.csi.x-k8s.io/v1\n---\n"
		"kind: secretsync\napiVersion: example.com/v1\n---\nkind: Secret\napiVersion: v1\n---\n"
		"kind: SecretStore\napiVersion: external-secrets.io/v1\n---\nkind: Service\napiVersion: v1\n---\n"
		"kind: Deployment\nspec: {secretProviderClassName: {{ .x }}\n---\nspec: {keyvault: 1}\n---\n"
		"kind: ServiceAccount\napiVersion: example.com/v1\n");
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, folder), OK);
	if (result.note_count) fail_msg("line %u: %s", result.notes[0].line, result.notes[0].text);
	assert_int_equal(result.count, 0);
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

static void judge_paths(bool for_plan, char *const *paths, int count, const char *says) {
	struct manifests manifests;
	struct check_result result;
	struct check_options options = {
		.ns = STR("default"),
		.defaults = { .cloud = cloud_find(STR("AzurePublicCloud")) },
		.for_plan = for_plan,
		.paths = paths,
		.path_count = count,
	};
	manifests_init(&manifests, check_wants);
	assert_int_equal(manifests_read_all(&manifests, paths, count), OK);
	assert_int_equal(check_manifests(&manifests, &options, &result), OK);
	assert_int_equal(result.fault_count, says != NULL);
	if (says) {
		assert_string_equal(result.notes[0].file, paths[0]);
		if (!strstr(result.notes[0].text, says)) fail_msg("%s", result.notes[0].text);
	}
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* Nothing of ours in what was named: one fault, and none where another file has some. */
static void test_nothing_found(void **state) {
	(void)state;
	char words[96], account[96];
	snprintf(words, sizeof words, "%s/words.txt", folder);
	snprintf(account, sizeof account, "%s/account.yaml", folder);
	write_file("words.txt", "hello\n");
	judge_paths(false, (char *[]){ folder }, 1, "nothing to check is in it:");
	judge_paths(false, (char *[]){ words, folder }, 2, "in it, nor in the 1 other that was named: ");
	write_file("account.yaml", "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: a}\n");
	judge_paths(false, (char *[]){ words, account }, 2, NULL);
	judge_paths(true, (char *[]){ account }, 1, "nothing to plan is in it");
}

/* A template as it is: one fault for each object, and no other. */
static void test_placeholders(void **state) {
	(void)state;
	write_file("t.yaml", SYNC("'${NAME}'", "${CLASS}") "---\n" CLASS("'${CLASS}'") "---\n" AKVSYNC("secretInAKV: ${ONE}"));
	write_file("u.yaml", "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: a, annotations: {b: '${C}'}}\n");
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, folder), OK);
	for (unsigned i = 0; i < result.note_count; i++) {
		if (!strstr(result.notes[i].text, "placeholders are not filled in: ${"))
			fail_msg("line %u: %s", result.notes[i].line, result.notes[i].text);
	}
	assert_int_equal(result.fault_count, 3);
	assert_non_null(strstr(result.notes[0].text, ": ${NAME}, ${CLASS}. This file is a template"));
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* YAML's own words for texts: told, and not taken for a namespace that was left out. */
static void test_names_that_are_no_texts(void **state) {
	(void)state;
	write_file("n.yaml", "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: 12, namespace: n}\n");
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, folder), OK);
	assert_int_equal(result.fault_count, 2);
	assert_non_null(strstr(result.notes[0].text, "metadata.name has to be a string: put it into quotes"));
	assert_non_null(strstr(result.notes[1].text, "metadata.namespace has to be a string: put it into quotes"));
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* A class in a document that is no YAML is not said to be missing, too. */
static void test_class_that_is_no_yaml(void **state) {
	(void)state;
	write_file("s.yaml", SYNC("one", "broken") "---\n" SYNC("two", "absent") "---\nkind: SecretProviderClass\nmetadata: {name: broken\n");
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, folder), OK);
	assert_int_equal(result.fault_count, 2);
	assert_non_null(strstr(result.notes[0].text, "\"absent\" is not among these files"));
	assert_non_null(strstr(result.notes[1].text, "not YAML"));
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* Objects against each other; kinds of another API group are nobody's. */
static void test_together(void **state) {
	(void)state;
	static const char *const says[] = {
		"is not among the ServiceAccounts of these files",
		"spec.secretProviderClassName \"other\" is not in namespace \"default\", but in \"ns\"",
		"spec.secretProviderClassName \"none\" is not among these files",
		"metadata.name \"cls\" is there twice in namespace \"default\"; the other SecretProviderClass is in ",
		"AKVSync default/x: spec is not set",
	};
	write_file("all.yaml", CLASS("cls") "---\n" SYNC("a", "cls") "---\n" SYNC("b", "other") "---\n" SYNC("c", "none")
		"---\n" CLASS("{{name}}") "---\n" CLASS("cls") "---\nkind: AKVSync\napiVersion: secret-sync.x-k8s.io/v1alpha1\n"
		"metadata: {name: x}\n---\nkind: SecretSync\napiVersion: other/v1\n---\nkind: ServiceAccount\napiVersion: v1\n"
		"metadata: {name: nobody}\n");
	write_file("ns.json", "{\"kind\":\"SecretProviderClass\",\"apiVersion\":\"secrets-store.csi.x-k8s.io/v1\","
			      "\"metadata\":{\"name\":\"other\",\"namespace\":\"ns\"}}");
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, folder), OK);
	char *table = table_of(&result);
	for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
		if (!strstr(table, says[i])) fail_msg("no \"%s\" in: %s", says[i], table);
	}
	assert_int_equal(result.foreign_count, 1);
	assert_true(check_is_sound(&result.objects[1]));
	assert_false(check_is_sound(&result.objects[2]));
	mem_free(table);
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* What an AKVSync stands for is judged and listed, too; its faults stand at the AKVSync. */
static void test_akvsync(void **state) {
	(void)state;
	write_file("akv.yaml", AKVSYNC("secretInAKV: one") "---\n" SYNC("one", "cls") "---\n" CLASS("cls"));
	struct manifests manifests;
	struct check_result result;
	assert_int_equal(judge(&manifests, &result, folder), OK);
	char *table = table_of(&result);
	assert_int_equal(result.fault_count, 1);
	assert_int_equal(result.notes[0].line, 1);
	assert_non_null(strstr(table, "akv.yaml:1: SecretSync default/one (of the AKVSync): metadata.name \"one\" is there twice"));
	assert_non_null(strstr(table, "1 SecretSync, 1 SecretProviderClass, 1 AKVSync (for 1 SecretSync): 1 fault\n"));
	mem_free(table);
	check_result_deinit(&result);
	manifests_deinit(&manifests);
	write_file("akv.yaml", AKVSYNC("{secretInAKV: two, versionHistory: 2}"));
	assert_int_equal(judge(&manifests, &result, folder), OK);
	table = table_of(&result);
	assert_int_equal(result.fault_count, 0);
	assert_non_null(strstr(table, "\nSecretSync default/two (Opaque) of an AKVSync\n"));
	assert_non_null(strstr(table, "  v1   two/1        secret two  1 before the newest\n"));
	mem_free(table);
	check_result_deinit(&result);
	manifests_deinit(&manifests);
	write_file("akv.yaml", AKVSYNC("{secretInAKV: two, versionHistory: none}"));
	assert_int_equal(judge(&manifests, &result, folder), OK);
	assert_int_equal(result.fault_count, 1);
	assert_string_equal(result.notes[0].field, "spec.objects[0].versionHistory");
	assert_int_equal(result.notes[0].line, 10);
	check_result_deinit(&result);
	manifests_deinit(&manifests);
}

/* Each allocation fails in turn: the answer is ERR_NOMEM, and nothing is lost. */
static void test_no_memory(void **state) {
	(void)state;
	write_file("all.yaml", CLASS("cls") "---\n" SYNC("a", "cls") "---\n" SYNC("b", "none") "---\nkind: Service\n---\n" AKVSYNC("secretInAKV: two"));
	for (uint64_t nth = 1;; nth++) {
		struct manifests manifests;
		struct check_result result = { 0 };
		mem_fail_at(nth);
		enum err err = judge(&manifests, &result, folder);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		if (!reached) assert_int_equal(result.fault_count, 1);
		if (reached && err == OK && result.fault_count != 1) fail_msg("allocation %d", (int)nth);
		check_result_deinit(&result);
		manifests_deinit(&manifests);
		if (!reached) break;
		assert_true(nth < 10000);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_placeholders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_are_no_texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_class_that_is_no_yaml, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_akvsync, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
