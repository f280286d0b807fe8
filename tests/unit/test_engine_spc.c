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

static const char *machine_namespaces;

static struct spc *build_class(const char *spec) {
	char text[4096];
	snprintf(text, sizeof text,
		"{\"metadata\":{\"namespace\":\"team\",\"name\":\"cls\",\"uid\":\"u-1\","
		"\"generation\":7},\"spec\":%s}",
		spec);
	cJSON *json = cJSON_Parse(text);
	assert_non_null(json);
	struct spc_defaults defaults = { .cloud = cloud_find(STR("AzurePublicCloud")),
		.machine_namespaces = machine_namespaces,
		.cloud_folder = "." };
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
	assert_str(spc->access->fault, "");
	assert_str(spc->uid, "u-1");
	assert_int_equal(spc->generation, 7);
	assert_str(spc->access->vault_url, "https://my-vault.vault.azure.net");
	assert_str(spc->access->tenant, "tid");
	assert_str(spc->access->client_id, "cid");
	assert_str(spc->access->authority, "https://login.microsoftonline.com");
	assert_str(spc->access->scope, "https://vault.azure.net/.default");
	assert_str(spc->access->audience, "api://AzureADTokenExchange");
	assert_int_equal(spc->access->home_hash, hash64_stable(STR("https://my-vault.vault.azure.net")));
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
	assert_str(spc->access->fault, "");
	assert_str(spc->access->tenant, "old.example");
	assert_str(spc->access->vault_url, "https://vvv.vault.usgovcloudapi.net");
	assert_str(spc->access->scope, "https://vault.usgovcloudapi.net/.default");
	assert_str(spc->access->authority, "https://login.microsoftonline.us");
	assert_str(spc->access->audience, "api://AzureADTokenExchangeUSGov");
	spc_unref(spc);
	spc = build_class("{\"provider\":\"azure\",\"parameters\":{" GOOD
			  ",\"cloudName\":\"AzureChinaCloud\"}}");
	assert_str(spc->access->vault_url, "https://my-vault.vault.azure.cn");
	assert_str(spc->access->authority, "https://login.chinacloudapi.cn");
	spc_unref(spc);
}

/* The other kinds of identity, and what of the workload's they leave aside. */
static void test_identities(void **state) {
	(void)state;
	machine_namespaces = "other,team,third";
	struct spc *spc =
		build_class("{\"provider\":\"azure\",\"parameters\":{" GOOD
			    ",\"useVMManagedIdentity\":\"True\",\"userAssignedIdentityID\":\" uami\\u2003\"}}");
	machine_namespaces = NULL;
	assert_str(spc->access->fault, "");
	assert_int_equal(spc->access->identity, IDENTITY_MACHINE);
	assert_str(spc->access->client_id, "uami");
	spc_unref(spc);
	spc = build_class("{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"vvv\","
			  "\"tenantID\":\"t\",\"servicePrincipalSecretName\":\" sp.x \",\"objects\":" OBJECTS
			  "}}");
	assert_str(spc->access->fault, "");
	assert_int_equal(spc->access->identity, IDENTITY_PRINCIPAL);
	assert_str(spc->access->client_id, "");
	assert_str(spc->access->secret_name, "sp.x");
	spc_unref(spc);
	spc = build_class("{\"provider\":\"azure\",\"parameters\":{" GOOD
			  ",\"userAssignedIdentityID\":\"ignored\",\"CLIENTID\":\"ignored\"}}");
	assert_int_equal(spc->access->identity, IDENTITY_WORKLOAD);
	assert_str(spc->access->client_id, "cid");
	assert_str(spc->access->audience, "api://AzureADTokenExchange");
	spc_unref(spc);
}

static void test_pace(void **state) {
	(void)state;
	static const struct {
		const char *value;
		unsigned pace;
	} rows[] = { { "\"1\"", 1 }, { "\" 4000\"", 4000 }, { "\"\"", 0 }, { "null", 0 }, { "\"0\"", 0 }, { "\"4001\"", 0 },
		{ "\"65546\"", 0 }, { "\"18446744073709551617\"", 0 }, { "\"-1\"", 0 }, { "\"1e2\"", 0 }, { "7", 0 } };
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[512];
		snprintf(text, sizeof text, "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"vaultRequestsPer10Seconds\":%s}}",
			rows[i].value);
		struct spc *spc = build_class(text);
		assert_int_equal(spc->requests_per_10s, rows[i].pace);
		bool faulty = str_find(spc->access->fault, STR("vaultRequestsPer10Seconds")) != SIZE_MAX;
		assert_int_equal(faulty, i >= 4);
		spc_unref(spc);
	}
	/* Behind what the provider checks. */
	struct spc *spc = build_class("{\"provider\":\"azure\",\"parameters\":{\"vaultRequestsPer10Seconds\":\"x\"}}");
	assert_true(str_find(spc->access->fault, STR("keyvaultName")) != SIZE_MAX);
	spc_unref(spc);
}

/* A namespace is listed as a whole, not as a part of another's name. */
static void test_machine_namespaces(void **state) {
	(void)state;
	static const char *const lists[] = { "", "teams", "eam,tea,team.x", "xteam" };
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		machine_namespaces = lists[i];
		struct spc *spc = build_class("{\"provider\":\"azure\",\"parameters\":{" GOOD
					      ",\"useVMManagedIdentity\":\"1\"}}");
		assert_true(str_find(spc->access->fault, STR("may not use")) != SIZE_MAX);
		spc_unref(spc);
	}
	machine_namespaces = NULL;
}

/* Nothing to read: no vault's name is looked at, and no address is made of it. */
static void test_no_objects(void **state) {
	(void)state;
	struct spc *spc = build_class(
		"{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"tenantID\":\"t\","
		"\"keyvaultName\":\"evil.example/?\",\"objects\":\"array:\"}}");
	assert_str(spc->access->fault, "");
	assert_int_equal(spc->object_count, 0);
	assert_str(spc->access->vault_url, "");
	spc_unref(spc);
}

static void test_booleans(void **state) {
	(void)state;
	static const char *const good[] = { "0", "f", "F", "FALSE", "false", "False", "", " \\t",
		"\\u00a0false\\u3000" };
	static const char *const bad[] = { "tRUE", "yes", "on", "no", "off", "tru", "2", "00", "fALSE" };
	char spec[1024];
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(spec, sizeof spec,
			"{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"usePodIdentity\":\"%s\"}}",
			good[i]);
		struct spc *spc = build_class(spec);
		assert_str(spc->access->fault, "");
		spc_unref(spc);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(spec, sizeof spec,
			"{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"usePodIdentity\":\"%s\"}}",
			bad[i]);
		struct spc *spc = build_class(spec);
		assert_true(str_find(spc->access->fault, STR("has to be true or false")) != SIZE_MAX);
		spc_unref(spc);
	}
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
		"useVMManagedIdentity: namespace \"team\" may not use the managed identity" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"usePodIdentity\":\"1\"}}",
		"usePodIdentity is not supported: Microsoft has retired" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"useAzureTokenProxy\":\"1\"}}",
		"useAzureTokenProxy is not supported" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD
	  ",\"servicePrincipalSecretName\":\"sp\"}}",
		"clientID (workload identity) and servicePrincipalSecretName exclude each other" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"vvv\",\"tenantID\":\"t\","
	  "\"servicePrincipalSecretName\":\"../x\",\"objects\":" OBJECTS "}}",
		"servicePrincipalSecretName \"../x\" is no name of a Secret" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"useVMManagedIdentity\":\"1\","
	  "\"servicePrincipalSecretName\":\"sp\"}}",
		"useVMManagedIdentity and servicePrincipalSecretName exclude each other" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"cloudName\":\"azuregermancloud\"}}",
		"cloudName azuregermancloud is not valid: Microsoft closed this cloud in 2021" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD ",\"cloudName\":\"AzureStackCloud\"}}",
		"spec.parameters.cloudEnvFileName is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{" GOOD
	  ",\"cloudName\":\"AzureStackCloud\",\"cloudEnvFileName\":\"nothing.json\"}}",
		"cloudName AzureStackCloud is not valid: cloudEnvFileName: open ./nothing.json: No "
		"such file" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"a b\",\"keyvaultName\":\"vvv\","
	  "\"tenantID\":\"t\",\"objects\":" OBJECTS "}}",
		"clientID \"a b\" is no client id" },
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
	/* each line is wrong in everything that the lines before it name first */
	{ "{\"provider\":\"azure\",\"parameters\":{\"useVMManagedIdentity\":\"x\","
	  "\"usePodIdentity\":\"x\",\"useAzureTokenProxy\":\"x\"}}",
		"usePodIdentity has to be" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"useVMManagedIdentity\":\"x\","
	  "\"useAzureTokenProxy\":\"x\"}}",
		"useVMManagedIdentity has to be" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"useVMManagedIdentity\":\"1\","
	  "\"usePodIdentity\":\"1\"}}",
		"only one identity mode" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"usePodIdentity\":\"1\"}}",
		"keyvaultName is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"usePodIdentity\":\"1\",\"keyvaultName\":\"_\","
	  "\"cloudName\":\"x\"}}",
		"tenantID is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"usePodIdentity\":\"1\",\"keyvaultName\":\"_\","
	  "\"cloudName\":\"x\",\"tenantID\":\"/\"}}",
		"cloudName x is not valid" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"usePodIdentity\":\"1\",\"keyvaultName\":\"_\","
	  "\"tenantID\":\"/\"}}",
		"usePodIdentity is not supported" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"_\",\"tenantID\":\"/\"}}",
		"clientID is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"_\",\"tenantID\":\"/\","
	  "\"clientID\":\"/\"}}",
		"objects is not set" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"_\",\"tenantID\":\"/\","
	  "\"clientID\":\"/\",\"objects\":" OBJECTS "}}",
		"keyvaultName \"_\" has fewer" },
	{ "{\"provider\":\"azure\",\"parameters\":{\"keyvaultName\":\"vvv\",\"tenantID\":\"/\","
	  "\"clientID\":\"/\",\"objects\":" OBJECTS "}}",
		"tenantID \"/\" is no tenant" },
};

static void test_faults(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
		struct spc *spc = build_class(FAULTS[i].spec);
		if (str_find(spc->access->fault, str_of(FAULTS[i].says)) == SIZE_MAX) {
			fail_msg("%s: wanted \"%s\", got \"%.*s\"", FAULTS[i].spec, FAULTS[i].says,
				STR_ARG(spc->access->fault));
		}
		assert_true(str_starts(spc->access->fault, STR("SecretProviderClass cls: spec.")));
		assert_str(spc->uid, "u-1");
		assert_int_equal(spc->object_count, 0);
		assert_int_equal(spc->access->vault_url.len, 0);
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
			assert_int_equal(spc->access->fault.len, 0);
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
	assert_true(spc->access->fault.len > 0);
	spc_unref(spc);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_clouds_and_spellings),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_machine_namespaces),
		cmocka_unit_test(test_no_objects),
		cmocka_unit_test(test_booleans),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_every_fault),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
