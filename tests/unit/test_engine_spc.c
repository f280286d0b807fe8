/* engine/spc: from JSON to a snapshot; whatever is wrong becomes a fault that names the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "engine/spc.h"

#define OBJECTS                                                                                    \
	"\"array:\\n- |\\n  objectName: key-one\\n  objectType: secret\\n  objectVersionHistory: " \
	"2\\n\""
#define GOOD                   \
	"\"clientID\":\" cid " \
	"\",\"keyvaultName\":\"My-Vault\",\"tenantID\":\"tid\",\"objects\":" OBJECTS

static struct spc *build_class(const char *spec) {
	char text[4096];
	snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"cls\",\"uid\":\"u-1\",\"generation\":7},\"spec\":%s}",
		spec);
	cJSON *json = cJSON_Parse(text);
	assert_non_null(json);
	struct spc_defaults defaults = { .cloud = cloud_find(STR("AzurePublicCloud")) };
	struct spc *spc = NULL;
	assert_int_equal(spc_build(json, &defaults, &spc), OK);
	cJSON_Delete(json);
	return spc;
}

static void assert_str(struct str s, const char *text) {
	if (!str_eq(s, str_of(text))) fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), text);
}

/* The JSON is gone by now: nothing of the snapshot may point into it (AddressSanitizer sees that). */
static void test_usable(void **state) {
	(void)state;
	struct spc *spc = build_class(
		"{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"resourceGroup\":\"ignored\"}}");
	assert_str(spc->fault, "");
	assert_str(spc->uid, "u-1");
	assert_int_equal(spc->generation, 7);
	assert_str(spc->vault_url, "https://my-vault.vault.azure.net");
	assert_str(spc->tenant, "tid");
	assert_str(spc->client_id, "cid");
	assert_str(spc->authority, "https://login.microsoftonline.com");
	assert_str(spc->scope, "https://vault.azure.net/.default");
	assert_str(spc->audience, "api://AzureADTokenExchange");
	assert_int_equal(spc->home_hash, hash64_stable(STR("https://my-vault.vault.azure.net")));
	assert_int_equal(spc->object_count, 1);
	assert_str(spc->objects[0].name, "key-one");
	assert_str(spc->objects[0].path, "key-one");
	assert_int_equal(spc->objects[0].history, 2);
	spc_unref(spc);
}

static void test_clouds_and_spellings(void **state) {
	(void)state;
	struct spc *spc =
		build_class("{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\","
			    "\"keyvaultName\":\"vvv\","
			    "\"tenantID\":\" "
			    "\",\"tenantId\":\"old.example\",\"cloudName\":\"azureusgovernment\","
			    "\"usePodIdentity\":\"F\",\"objects\":" OBJECTS "}}");
	assert_str(spc->fault, "");
	assert_str(spc->tenant, "old.example");
	assert_str(spc->vault_url, "https://vvv.vault.usgovcloudapi.net");
	assert_str(spc->scope, "https://vault.usgovcloudapi.net/.default");
	assert_str(spc->authority, "https://login.microsoftonline.us");
	spc_unref(spc);
	spc = build_class("{\"provider\":\"azure\",\"parameters\":{" GOOD
			  ",\"cloudName\":\"AzureChinaCloud\"}}");
	assert_str(spc->vault_url, "https://my-vault.vault.azure.cn");
	assert_str(spc->authority, "https://login.chinacloudapi.cn");
	spc_unref(spc);
}

static const struct {
	const char *spec, *says;
} FAULTS[] = {
	{ "null", "spec.provider has to be azure, not \"\"" },
	{ "[]", "spec.provider" },
	{ "{\"provider\":\"vault\",\"parameters\":{" GOOD "}}",
		"spec.provider has to be azure, not \"vault\"" },
	{ "{\"provider\":\"azure\"}", "spec.parameters is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":\"x\"}", "spec.parameters is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"usePodIdentity\":\"yes\"}}",
		"usePodIdentity has to be true or false" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"useAzureTokenProxy\":\"tRUE\"}}",
		"useAzureTokenProxy has to be" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD
	  ",\"usePodIdentity\":\"true\",\"useVMManagedIdentity\":\"1\"}}",
		"only one identity mode" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"useVMManagedIdentity\":\"T\"}}",
		"spec.parameters.useVMManagedIdentity is not supported by this version" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"tenantID\":\"t\","
	  "\"objects\":" OBJECTS "}}",
		"spec.parameters.keyvaultName is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":\"vvv\","
	  "\"objects\":" OBJECTS "}}",
		"spec.parameters.tenantID is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":\"vvv\","
	  "\"tenantID\":\"a/b\",\"objects\":" OBJECTS "}}",
		"spec.parameters.tenantID \"a/b\" is no tenant" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"cloudName\":\"Moon\"}}",
		"cloudName Moon is not valid" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"vvv\",\"tenantID\":\"t\","
	  "\"objects\":" OBJECTS "}}",
		"spec.parameters.clientID is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":7,\"keyvaultName\":\"vvv\","
	  "\"tenantID\":\"t\",\"objects\":" OBJECTS "}}",
		"spec.parameters.clientID has to be a string" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":\"vvv\","
	  "\"tenantID\":\"t\"}}",
		"spec.parameters.objects is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":\"vvv\","
	  "\"tenantID\":\"t\",\"objects\":\"array: 5\"}}",
		"spec.parameters.objects: line 1, column 8: array is no list" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":\"vv\","
	  "\"tenantID\":\"t\",\"objects\":" OBJECTS "}}",
		"keyvaultName \"vv\" has fewer than 3" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":\"evil."
	  "example/x\",\"tenantID\":\"t\",\"objects\":" OBJECTS "}}",
		"keyvaultName \"evil.example/x\" is no vault name" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":"
	  "\"a123456789012345678901234\",\"tenantID\":\"t\",\"objects\":" OBJECTS "}}",
		"is no vault name" },
	/* the order of the checks: the identity mode hides a bad vault, a missing vault hides a bad tenant */
	{ "{\"provider\":\"azure\",\"parameters\":{\"usePodIdentity\":\"x\"}}", "usePodIdentity" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"cloudName\":\"Moon\"}}",
		"keyvaultName is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"_\",\"tenantID\":\"t\","
	  "\"clientID\":\"c\",\"objects\":\"- x\"}}",
		"spec.parameters.objects: " },
};

static void test_faults(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
		struct spc *spc = build_class(FAULTS[i].spec);
		if (str_find(spc->fault, str_of(FAULTS[i].says)) == SIZE_MAX) {
			fail_msg("%s: wanted \"%s\", got \"%.*s\"", FAULTS[i].spec, FAULTS[i].says,
				STR_ARG(spc->fault));
		}
		assert_true(str_starts(spc->fault, STR("SecretProviderClass cls: spec.")));
		assert_str(spc->uid, "u-1");
		assert_int_equal(spc->object_count, 0);
		assert_int_equal(spc->vault_url.len, 0);
		spc_unref(spc);
	}
}

static void test_no_memory(void **state) {
	(void)state;
	cJSON *json = cJSON_Parse("{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"provider\":\"azure\","
				  "\"parameters\":{" GOOD "}}}");
	struct spc_defaults defaults = { .cloud = cloud_find(STR("AzureCloud")) };
	for (uint64_t nth = 1;; nth++) {
		struct spc *spc = NULL;
		mem_fail_at(nth);
		enum err err = spc_build(json, &defaults, &spc);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		if (!reached) {
			assert_int_equal(err, OK);
			assert_int_equal(spc->fault.len, 0);
			spc_unref(spc);
			break;
		}
		assert_int_equal(err, ERR_NOMEM);
		assert_null(spc);
	}
	cJSON_Delete(json);
}

struct seen {
	struct fault_sink sink;
	char text[4096];
};

static void see(struct fault_sink *sink, const struct fault *fault) {
	struct seen *seen = (struct seen *)sink;
	size_t used = strlen(seen->text);
	snprintf(seen->text + used, sizeof seen->text - used, "%s\n", fault->text);
}

/* For a person every fault is named, each with its path in front, those of items too. */
static void test_every_fault(void **state) {
	(void)state;
	cJSON *json = cJSON_Parse(
		"{\"metadata\":{\"name\":\"cls\"},\"spec\":{\"provider\":\"gcp\",\"parameters\":{"
		"\"usePodIdentity\":\"maybe\",\"keyvaultName\":\"x\",\"cloudName\":\"Mars\","
		"\"objects\":\"array:\\n- |\\n  objectName: a_b\\n  objectType: secret\\n"
		"- |\\n  objectName: good\\n  objectType: secret\\n- |\\n  objectType: secret\\n\"}}}");
	assert_non_null(json);
	struct spc_defaults defaults = { .cloud = cloud_find(STR("AzurePublicCloud")) };
	struct seen seen = { .sink = { see } };
	struct spc *spc = NULL;
	assert_int_equal(spc_build_all(json, &defaults, &seen.sink, &spc), OK);
	cJSON_Delete(json);
	static const char *const wanted[] = { "spec.provider has to be azure",
		"spec.parameters.usePodIdentity has to be", "spec.parameters.tenantID is not set",
		"spec.parameters.cloudName Mars", "spec.parameters.clientID is not set",
		"spec.parameters.objects: array[0]: objectName \"a_b\"",
		"spec.parameters.objects: array[2]: ",
		"spec.parameters.keyvaultName \"x\" has fewer" };
	const char *line = seen.text;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		if (strncmp(line, wanted[i], strlen(wanted[i])) != 0)
			fail_msg("wanted \"%s\", got: %s", wanted[i], line);
		line = strchr(line, '\n') + 1;
	}
	assert_string_equal(line, "");
	assert_true(spc->fault.len > 0);
	spc_unref(spc);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_clouds_and_spellings),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_every_fault),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
