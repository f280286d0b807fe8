/* engine/schema, engine/crd: what the API server would say of an object by its CRD. */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "engine/crd.h"
#include "engine/schema.h"

struct seen {
	struct fault_sink sink;
	char text[8192];
};

static void see(struct fault_sink *sink, const struct fault *fault) {
	struct seen *seen = (struct seen *)sink;
	size_t used = strlen(seen->text);
	assert_int_equal(fault->err, ERR_INVALID);
	snprintf(seen->text + used, sizeof seen->text - used, "%s\n", fault->text);
}

static const char SCHEMA[] =
	"{'type':'object','required':['need'],'properties':{"
	"'need':{'type':'string','minLength':2,'maxLength':3},'word':{'type':'string','pattern':'^[a-z]+(/x)?$'},"
	"'one':{'type':'string','enum':['a','b']},'n':{'type':'integer','minimum':1,'maximum':9},'f':{'type':'number'},"
	"'yes':{'type':'boolean'},'open':{'type':'object'},'keep':{'type':'object','x-kubernetes-preserve-unknown-fields':true,"
	"'properties':{}},'map':{'type':'object','additionalProperties':{'type':'string'}},"
	"'list':{'type':'array','minItems':1,'maxItems':3,'x-kubernetes-list-map-keys':['k'],"
	"'items':{'type':'object','required':['k'],'properties':{'k':{'type':'string'}}}},'metadata':{'type':'object'}}}";

static cJSON *json_of(const char *text) {
	char copy[4096];
	snprintf(copy, sizeof copy, "%s", text);
	for (char *c = copy; *c; c++) *c = *c == '\'' ? '"' : *c;
	cJSON *json = cJSON_Parse(copy);
	if (!json) fail_msg("bad JSON: %s", copy);
	return json;
}

static void assert_says(const char *object, const char *expected) {
	struct seen seen = { .sink = { see } };
	cJSON *schema = json_of(SCHEMA), *json = json_of(object);
	assert_int_equal(schema_check(schema, json, &seen.sink), OK);
	if (strcmp(seen.text, expected) != 0) fail_msg("%s:\n%sinstead of:\n%s", object, seen.text, expected);
	cJSON_Delete(schema);
	cJSON_Delete(json);
}

static void test_rules(void **state) {
	(void)state;
	assert_says("{'need':'ab','word':'abc/x','one':'b','n':9,'f':1.5,'yes':true,'open':{'x':1},'keep':{'x':[1]},"
		    "'map':{'a/b':'c'},'list':[{'k':'1'},{'k':'2'}],'metadata':{'x':1},'status':7}",
		"");
	assert_says("{}", "need is not set\n");
	assert_says("{'need':null}", "need is not set\n");
	assert_says("{'need':'ab','one':null}", "");
	assert_says("{'need':'a'}", "need has to have at least 2 characters\n");
	assert_says("{'need':'\xc3\xa4\xc3\xb6\xc3\xbc'}", "");
	assert_says("{'need':'abcd'}", "need is longer than 3 characters\n");
	assert_says("{'need':5}", "need has to be a string, not a whole number; put it in quotes\n");
	assert_says("{'need':{}}", "need has to be a string, not a mapping\n");
	assert_says("{'need':'ab','word':'A'}", "word \"A\" does not match the pattern ^[a-z]+(/x)?$\n");
	assert_says("{'need':'ab','one':'c'}", "one has to be one of a, b, not \"c\"\n");
	assert_says("{'need':'ab','n':0}", "n has to be at least 1\n");
	assert_says("{'need':'ab','n':10}", "n has to be at most 9\n");
	assert_says("{'need':'ab','n':1.5}", "n has to be a whole number, not a number\n");
	assert_says("{'need':'ab','f':2}", "");
	assert_says("{'need':'ab','yes':'true'}", "yes has to be true or false, not a string\n");
	assert_says("{'need':'ab','map':{'a/b':1}}", "map[\"a/b\"] has to be a string, not a whole number; put it in quotes\n");
	assert_says("{'need':'ab','list':[]}", "list has to have at least 1 entry\n");
	assert_says("{'need':'ab','list':[{'k':'1'},{'k':'2'},{'k':'3'},{'k':'2'}]}",
		"list has more than 3 entries\nlist[3].k stands here twice; each once\n");
	assert_says("{'need':'ab','list':[{'k':'1'},null,{'kk':'x'}]}",
		"list[1] has to be a mapping, not nothing\n"
		"list[2].kk is no field of this kind: kubectl refuses it, other clients lose it. Take it out\n"
		"list[2].k is not set\n");
	assert_says("{'need':'ab','mapp':{}}",
		"mapp is no field of this kind: kubectl refuses it, other clients lose it. Did you mean map?\n");
}

static void test_crds(void **state) {
	(void)state;
	cJSON *schema;
	assert_int_equal(crd_schema(STR("secret-sync.x-k8s.io"), STR("v1alpha1"), STR("SecretSync"), &schema), OK);
	assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(schema, "properties"), "spec"));
	cJSON_Delete(schema);
	/* Its second version is an alias of the first in the file. */
	for (unsigned i = 0; i < 2; i++) {
		struct str version = i ? STR("v1alpha1") : STR("v1");
		assert_int_equal(crd_schema(STR("secrets-store.csi.x-k8s.io"), version,
					 STR("SecretProviderClass"), &schema),
			OK);
		assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(schema, "properties"), "spec"));
		cJSON_Delete(schema);
	}
	assert_int_equal(crd_schema(STR("secret-sync.x-k8s.io"), STR("v9"), STR("SecretSync"), &schema), OK);
	assert_null(schema);
	assert_int_equal(crd_schema(STR("other"), STR("v1"), STR("SecretSync"), &schema), ERR_NOT_FOUND);
}

/* What the API server does before it stores an object, so that a manifest can be compared with what is stored. */
static void test_defaults(void **state) {
	(void)state;
	cJSON *schema = json_of("{'type':'object','properties':{'a':{'type':'string','default':'x'},"
				"'o':{'type':'object','properties':{'t':{'type':'string','default':'Opaque'},'u':{'type':'string'}}},"
				"'absent':{'type':'object','properties':{'t':{'type':'string','default':'no'}}},"
				"'l':{'type':'array','items':{'type':'object','properties':{'d':{'type':'integer','default':7}}}}}}");
	cJSON *json = json_of("{'o':{'u':null},'l':[{},{'d':1}],'other':null}");
	cJSON *expected = json_of("{'a':'x','o':{'t':'Opaque'},'l':[{'d':7},{'d':1}]}");
	assert_int_equal(schema_fill(schema, json), OK);
	assert_true(cJSON_Compare(json, expected, true));
	assert_int_equal(schema_fill(NULL, json), OK);
	cJSON_Delete(schema);
	cJSON_Delete(json);
	cJSON_Delete(expected);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_crds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
