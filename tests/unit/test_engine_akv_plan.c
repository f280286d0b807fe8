/* engine/akv_plan: which objects an AKVSync stands for. */
#include "engine/akv_plan.h"

#include <stdio.h>

#include "base/mem.h"
#include "clients/json.h"
#include "engine/spec_rules.h"
#include "engine/spc_objects.h"
#include "tests/unit/call.h"

#define HEAD                                                                            \
	"\"keyvaultName\":\"my-vault\",\"clientID\":\"client\",\"tenantID\":\"tenant\"," \
	"\"serviceAccountName\":\"account\""

static struct akv_plan plan;
static struct fault fault;

static enum err build_named(const char *name, const char *spec) {
	static char text[1 << 19];
	cJSON *json = NULL;
	snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"%s\"},\"spec\":%s}", name, spec);
	akv_plan_deinit(&plan);
	fault = (struct fault){ 0 };
	assert_int_equal(json_parse(str_of(text), &json, NULL), OK);
	enum err err = akv_plan_build(json, &plan, &fault);
	cJSON_Delete(json);
	return err;
}

static enum err build(const char *objects) {
	static char spec[1 << 18];
	snprintf(spec, sizeof spec, "{" HEAD ",\"objects\":[%s]}", objects);
	return build_named("app", spec);
}

static int teardown(void **state) {
	(void)state;
	akv_plan_deinit(&plan);
	return 0;
}

static const char *spec_of(const char *name) {
	for (unsigned i = 1; i < plan.count; i++) {
		assert_int_equal(plan.children[i].resource, KUBE_SYNCS);
		if (strcmp(plan.children[i].name, name) == 0) return plan.children[i].spec;
	}
	fail_msg("no SecretSync %s", name);
	return NULL;
}

/* "type key=path key=path", and every path and key is one that the schema of SecretSync takes. */
static const char *shape_of(const char *name) {
	static char text[4096];
	cJSON *json = NULL;
	assert_int_equal(json_parse(str_of(spec_of(name)), &json, NULL), OK);
	const cJSON *secret = json_get(json, "secretObject");
	int len = snprintf(text, sizeof text, "%s", json_str(secret, "type").ptr);
	for (const cJSON *item = json_get(secret, "data")->child; item; item = item->next) {
		struct str path = json_str(item, "sourcePath"), key = json_str(item, "targetKey");
		assert_true(rule_source_path(path));
		assert_true(rule_target_key(key));
		len += snprintf(text + len, sizeof text - (size_t)len, " %s=%s", key.ptr, path.ptr);
	}
	cJSON_Delete(json);
	return text;
}

static const char *objects_of_class(void) {
	static char text[1 << 16];
	cJSON *json = NULL;
	assert_int_equal(plan.children[0].resource, KUBE_CLASSES);
	assert_int_equal(json_parse(str_of(plan.children[0].spec), &json, NULL), OK);
	snprintf(text, sizeof text, "%s", json_str(json, "parameters.objects").ptr);
	cJSON_Delete(json);
	return text;
}

#define OBJECT(name) "  - |\n    objectName: \"" name "\"\n    objectType: secret\n"
#define HISTORY(n) "    objectVersionHistory: " n "\n"

/* The product's reference shows six: a secret; one renamed, with label, annotation and a history; a certificate for TLS; a
 * certificate with a history; three mappings, one of an older version; a key for ssh. */
static void the_six_of_the_reference(void **state) {
	(void)state;
	assert_int_equal(build("{\"secretInAKV\":\"db-password\"},"
			       "{\"secretInAKV\":\"api-key\",\"kubernetesSecretName\":\"renamed\","
			       "\"labels\":{\"team\":\"blue\"},\"annotations\":{\"note\":\"n\"},"
			       "\"versionHistory\":3},"
			       "{\"certInAKV\":\"web\",\"kubernetesSecretType\":\"kubernetes.io/tls\"},"
			       "{\"certInAKV\":\"signing\",\"kubernetesSecretType\":\"Opaque\","
			       "\"versionHistory\":3},"
			       "{\"kubernetesSecretName\":\"compound\",\"mapping\":["
			       "{\"dataKey\":\"password\",\"secretInAKV\":\"db-password\"},"
			       "{\"dataKey\":\"old\",\"secretInAKV\":\"db-password\",\"version\":1},"
			       "{\"dataKey\":\"pem\",\"certInAKV\":\"web\"}]},"
			       "{\"secretInAKV\":\"ssh\",\"kubernetesSecretType\":"
			       "\"kubernetes.io/ssh-auth\"}"),
		OK);
	assert_int_equal(plan.count, 7);
	assert_string_equal(plan.children[0].name, "akvsync-app");
	assert_string_equal(objects_of_class(),
		"array:\n" OBJECT("db-password") HISTORY("2") OBJECT("api-key") HISTORY("3")
			OBJECT("web") OBJECT("signing") HISTORY("3") OBJECT("ssh"));
	assert_string_equal(shape_of("db-password"), "Opaque v0=db-password/0");
	assert_string_equal(shape_of("renamed"), "Opaque v0=api-key/0 v1=api-key/1 v2=api-key/2");
	assert_text(spec_of("renamed"),
		"\"labels\":{\"team\":\"blue\"},\"annotations\":{\"note\":\"n\"}");
	assert_string_equal(
		shape_of("web"), "kubernetes.io/tls tls.crt=web/tls.crt tls.key=web/tls.key");
	assert_string_equal(shape_of("signing"), "Opaque v0=signing/0 v1=signing/1 v2=signing/2");
	assert_string_equal(
		shape_of("compound"), "Opaque password=db-password/0 old=db-password/1 pem=web");
	assert_string_equal(shape_of("ssh"), "kubernetes.io/ssh-auth v0=ssh ssh-privatekey=ssh");
}

static void the_whole_of_a_derived_pair(void **state) {
	(void)state;
	assert_int_equal(build("{\"secretInAKV\":\"one\"}"), OK);
	assert_string_equal(plan.children[0].spec,
		"{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"client\",\"keyvaultName\":"
		"\"my-vault\",\"objects\":\"array:\\n  - |\\n    objectName: \\\"one\\\"\\n    objectType: "
		"secret\\n\",\"tenantID\":\"tenant\"}}");
	assert_string_equal(plan.children[1].spec,
		"{\"secretProviderClassName\":\"akvsync-app\",\"serviceAccountName\":\"account\","
		"\"secretSyncControllerName\":\"\",\"secretObject\":{\"type\":\"Opaque\",\"data\":["
		"{\"sourcePath\":\"one\",\"targetKey\":\"v0\"}]}}");
	assert_int_equal(build_named("app",
				 "{" HEAD ",\"forceSynchronization\":\"f1\","
				 "\"rotationPollIntervalInSeconds\":60,\"objects\":[{\"secretInAKV\":\"one\"}]}"),
		OK);
	assert_text(plan.children[1].spec,
		"\"forceSynchronization\":\"f1\",\"rotationPollIntervalInSeconds\":60,");
}

/* What is derived is what kvsync itself reads, names that look like other YAML included. */
static void the_class_can_be_read(void **state) {
	struct object_list list = { 0 };
	(void)state;
	assert_int_equal(build("{\"secretInAKV\":\"null\"},{\"secretInAKV\":\"007\",\"versionHistory\":4}"), OK);
	assert_int_equal(object_list_parse(str_of(objects_of_class()), &list, &fault), OK);
	assert_int_equal(list.count, 2);
	assert_str(list.objects[0].name, "null");
	assert_str(list.objects[1].name, "007");
	object_list_deinit(&list);
}

static void versions_of_tls_have_a_secret_each(void **state) {
	(void)state;
	assert_int_equal(build("{\"certInAKV\":\"web\",\"kubernetesSecretType\":\"kubernetes.io/tls\","
			       "\"versionHistory\":2}"),
		OK);
	assert_int_equal(plan.count, 3);
	assert_string_equal(
		shape_of("web-v0"), "kubernetes.io/tls tls.crt=web/0/tls.crt tls.key=web/0/tls.key");
	assert_string_equal(
		shape_of("web-v1"), "kubernetes.io/tls tls.crt=web/1/tls.crt tls.key=web/1/tls.key");
	assert_int_equal(build("{\"certInAKV\":\"web\",\"kubernetesSecretType\":\"kubernetes.io/tls\","
			       "\"versionHistory\":1,\"kubernetesSecretName\":\"tls.site\"}"),
		OK);
	assert_int_equal(plan.count, 2);
	assert_string_equal(
		shape_of("tls.site"), "kubernetes.io/tls tls.crt=web/tls.crt tls.key=web/tls.key");
}

static void types_get_the_key_they_need(void **state) {
	static const char *const rows[][2] = {
		{ "kubernetes.io/ssh-auth", "kubernetes.io/ssh-auth v0=s/0 v1=s/1 ssh-privatekey=s/0" },
		{ "kubernetes.io/basic-auth", "kubernetes.io/basic-auth v0=s/0 v1=s/1 password=s/0" },
		{ "kubernetes.io/dockercfg", "kubernetes.io/dockercfg v0=s/0 v1=s/1 .dockercfg=s/0" },
		{ "kubernetes.io/dockerconfigjson",
			"kubernetes.io/dockerconfigjson v0=s/0 v1=s/1 .dockerconfigjson=s/0" },
		{ "Opaque", "Opaque v0=s/0 v1=s/1" },
		{ "example.com/own", "example.com/own v0=s/0 v1=s/1" },
	};
	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		char objects[256];
		snprintf(objects, sizeof objects,
			"{\"secretInAKV\":\"s\",\"versionHistory\":2,\"kubernetesSecretType\":\"%s\"}",
			rows[i][0]);
		assert_int_equal(build(objects), OK);
		assert_string_equal(shape_of("s"), rows[i][1]);
	}
}

/* The private key must not stand in tls.crt. */
static void a_tls_mapping_takes_halves(void **state) {
	(void)state;
	assert_int_equal(build("{\"kubernetesSecretName\":\"t\",\"kubernetesSecretType\":"
			       "\"kubernetes.io/tls\",\"mapping\":["
			       "{\"dataKey\":\"tls.crt\",\"certInAKV\":\"c\"},"
			       "{\"dataKey\":\"tls.key\",\"certInAKV\":\"c\"},"
			       "{\"dataKey\":\"both\",\"certInAKV\":\"c\"}]}"),
		OK);
	assert_string_equal(
		shape_of("t"), "kubernetes.io/tls tls.crt=c/tls.crt tls.key=c/tls.key both=c");
	assert_int_equal(build("{\"kubernetesSecretName\":\"t\",\"kubernetesSecretType\":"
			       "\"kubernetes.io/tls\",\"mapping\":["
			       "{\"dataKey\":\"tls.crt\",\"secretInAKV\":\"a\"},"
			       "{\"dataKey\":\"tls.key\",\"secretInAKV\":\"b\"}]}"),
		OK);
	assert_string_equal(shape_of("t"), "kubernetes.io/tls tls.crt=a tls.key=b");
}

/* Names in a vault have no case; in Kubernetes they have. */
static void one_object_in_several_spellings(void **state) {
	(void)state;
	assert_int_equal(build("{\"secretInAKV\":\"My-Key\",\"kubernetesSecretName\":\"a\"},"
			       "{\"secretInAKV\":\"my-key\",\"versionHistory\":2}"),
		OK);
	assert_string_equal(objects_of_class(), "array:\n" OBJECT("My-Key") HISTORY("2"));
	assert_string_equal(shape_of("a"), "Opaque v0=My-Key/0");
	assert_string_equal(shape_of("my-key"), "Opaque v0=My-Key/0 v1=My-Key/1");
}

static void long_names_stay_apart(void **state) {
	char name[254], first[254];
	(void)state;
	memset(name, 'a', 253);
	name[253] = 0;
	assert_int_equal(build_named(name, "{" HEAD ",\"objects\":[{\"secretInAKV\":\"s\"}]}"), OK);
	assert_true(strlen(plan.children[0].name) <= 253);
	snprintf(first, sizeof first, "%s", plan.children[0].name);
	name[252] = 'b';
	assert_int_equal(build_named(name, "{" HEAD ",\"objects\":[{\"secretInAKV\":\"s\"}]}"), OK);
	assert_string_not_equal(plan.children[0].name, first);
	name[245] = 0;
	assert_int_equal(build_named(name, "{" HEAD ",\"objects\":[{\"secretInAKV\":\"s\"}]}"), OK);
	assert_int_equal(strlen(plan.children[0].name), 253);
}

static const struct refusal {
	const char *objects, *text;
} REFUSALS[] = {
	{ "", "spec.objects has to be a list of 1 to 200 entries" },
	{ "1", "spec.objects[0] has to be a mapping" },
	{ "{}", "spec.objects[0]: exactly one of secretInAKV and certInAKV" },
	{ "{\"secretInAKV\":\"a\",\"certInAKV\":\"b\"}", "exactly one of secretInAKV and certInAKV" },
	{ "{\"secretInAKV\":\"a\",\"kubernetesSecretName\":\"x\",\"mapping\":[]}",
		"exactly one of secretInAKV, certInAKV and mapping" },
	{ "{\"secretInAKV\":7}", "spec.objects[0].secretInAKV has to be a string" },
	{ "{\"secretInAKV\":\"a_b\"}", "secretInAKV \"a_b\" is no name in a vault" },
	{ "{\"secretInAKV\":\"-a\"}", "is no name in a vault" },
	{ "{\"certInAKV\":\"a/b\"}", "certInAKV \"a/b\" is no name in a vault" },
	{ "{\"secretInAKV\":\"Upper\"}", "\"Upper\" is no name of a Kubernetes Secret" },
	{ "{\"secretInAKV\":\"a\",\"kubernetesSecretName\":\"A\"}",
		"kubernetesSecretName \"A\" is no name" },
	{ "{\"secretInAKV\":\"a\",\"versionHistory\":0}",
		"versionHistory has to be a whole number from 1 to 100" },
	{ "{\"secretInAKV\":\"a\",\"versionHistory\":101}", "versionHistory has to be" },
	{ "{\"secretInAKV\":\"a\",\"versionHistory\":1.5}", "versionHistory has to be" },
	{ "{\"secretInAKV\":\"a\",\"kubernetesSecretType\":\"kubernetes.io/service-account-token\"}",
		"must not be kubernetes.io/service-account-token" },
	{ "{\"secretInAKV\":\"a\",\"labels\":{\"secrets-store.sync.x-k8s.io\":\"\"}}",
		"that key is kvsync's own" },
	{ "{\"secretInAKV\":\"a\",\"labels\":{\"k\":\"not a word\"}}", "spec.objects[0].labels: the value of \"k\"" },
	{ "{\"secretInAKV\":\"a\",\"annotations\":{\"k\":1}}", "has to be a text" },
	{ "{\"secretInAKV\":\"a\",\"labels\":[]}", "labels has to be a mapping" },
	{ "{\"mapping\":[{\"dataKey\":\"k\",\"secretInAKV\":\"a\"}]}",
		"kubernetesSecretName is not set; an entry with mapping needs it" },
	{ "{\"kubernetesSecretName\":\"x\",\"mapping\":[]}", "mapping has to be a list of 1 to 100" },
	{ "{\"kubernetesSecretName\":\"x\",\"versionHistory\":2,\"mapping\":[{\"dataKey\":\"k\","
	  "\"secretInAKV\":\"a\"}]}",
		"versionHistory is not for an entry with mapping" },
	{ "{\"kubernetesSecretName\":\"x\",\"mapping\":[{\"secretInAKV\":\"a\"}]}",
		"spec.objects[0].mapping[0].dataKey \"\" is no key" },
	{ "{\"kubernetesSecretName\":\"x\",\"mapping\":[{\"dataKey\":\"k/0\",\"secretInAKV\":\"a\"}]}",
		"dataKey \"k/0\" is no key" },
	{ "{\"kubernetesSecretName\":\"x\",\"mapping\":[{\"dataKey\":\"k\"}]}",
		"mapping[0]: exactly one of secretInAKV and certInAKV" },
	{ "{\"kubernetesSecretName\":\"x\",\"mapping\":[{\"dataKey\":\"k\",\"secretInAKV\":\"a\"},"
	  "{\"dataKey\":\"k\",\"secretInAKV\":\"b\"}]}",
		"mapping[1].dataKey \"k\" is there twice" },
	{ "{\"kubernetesSecretName\":\"x\",\"mapping\":[{\"dataKey\":\"k\",\"secretInAKV\":\"a\","
	  "\"version\":100}]}",
		"mapping[0].version has to be a whole number from 0 to 99" },
	{ "{\"kubernetesSecretName\":\"x\",\"kubernetesSecretType\":\"kubernetes.io/tls\",\"mapping\":["
	  "{\"dataKey\":\"tls.crt\",\"certInAKV\":\"a\"}]}",
		"mapping has no dataKey tls.key, which" },
	{ "{\"kubernetesSecretName\":\"x\",\"kubernetesSecretType\":\"kubernetes.io/basic-auth\","
	  "\"mapping\":[{\"dataKey\":\"k\",\"secretInAKV\":\"a\"}]}",
		"mapping has no dataKey username or password, which" },
	{ "{\"secretInAKV\":\"a\"},{\"secretInAKV\":\"b\",\"kubernetesSecretName\":\"a\"}",
		"two entries that make the Secret \"a\"" },
	{ "{\"certInAKV\":\"a\",\"kubernetesSecretType\":\"kubernetes.io/tls\",\"versionHistory\":2},"
	  "{\"secretInAKV\":\"a-v1\"}",
		"two entries that make the Secret \"a-v1\"" },
};

static void refusals_say_where_and_why(void **state) {
	(void)state;
	for (unsigned i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
		assert_int_equal(build(REFUSALS[i].objects), ERR_INVALID);
		assert_int_equal(plan.count, 0);
		assert_text(fault.text, REFUSALS[i].text);
	}
}

static void heads_are_checked(void **state) {
	static const struct refusal rows[] = {
		{ "null", "spec is not set" },
		{ "{}", "spec.keyvaultName is not set" },
		{ "{\"keyvaultName\":\"ab\"}", "spec.keyvaultName \"ab\" has to be 3 to 24" },
		{ "{\"keyvaultName\":\"abc\"}", "spec.clientID is not set" },
		{ "{\"keyvaultName\":\"abc\",\"clientID\":\"a b\"}", "spec.clientID \"a b\" has to be" },
		{ "{\"keyvaultName\":\"abc\",\"clientID\":\"c\"}", "spec.tenantID is not set" },
		{ "{\"keyvaultName\":\"abc\",\"clientID\":\"c\",\"tenantID\":\"t\"}",
			"spec.serviceAccountName is not set" },
		{ "{" HEAD ",\"forceSynchronization\":\"a b\"}", "spec.forceSynchronization \"a b\"" },
		{ "{" HEAD ",\"rotationPollIntervalInSeconds\":0}",
			"spec.rotationPollIntervalInSeconds has to be a whole number from 1 to 604800" },
		{ "{" HEAD "}", "spec.objects has to be a list" },
	};
	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(build_named("app", rows[i].objects), ERR_INVALID);
		assert_text(fault.text, rows[i].text);
	}
}

static void too_much_is_refused(void **state) {
	static char objects[1 << 17];
	int len = 0;
	(void)state;
	for (int i = 0; i < 6; i++)
		len += snprintf(objects + len, sizeof objects - (size_t)len,
			"%s{\"certInAKV\":\"c%d\",\"kubernetesSecretType\":\"kubernetes.io/tls\","
			"\"versionHistory\":100}",
			i ? "," : "", i);
	assert_int_equal(build(objects), ERR_INVALID);
	assert_text(fault.text, "makes more than 500 Secrets");
	len = 0;
	for (int i = 0; i < 11; i++) {
		len += snprintf(objects + len, sizeof objects - (size_t)len,
			"%s{\"kubernetesSecretName\":\"s%d\",\"mapping\":[", i ? "," : "", i);
		for (int k = 0; k < 100; k++)
			len += snprintf(objects + len, sizeof objects - (size_t)len,
				"%s{\"dataKey\":\"k%d\",\"secretInAKV\":\"o-%d-%d\"}", k ? "," : "", k, i,
				k);
		len += snprintf(objects + len, sizeof objects - (size_t)len, "]}");
	}
	assert_int_equal(build(objects), ERR_INVALID);
	assert_text(fault.text, "names more than 1000 objects of the vault");
}

static uint64_t digest(const char *text, const char *skip) {
	cJSON *json = NULL;
	assert_int_equal(json_parse(str_of(text), &json, NULL), OK);
	uint64_t found = akv_digest(json, skip);
	cJSON_Delete(json);
	return found;
}

static void digests_tell_values_apart(void **state) {
	static const char *const all[] = { "{}", "[]", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":\"\"}",
		"{\"a\":null}", "{\"a\":true}", "{\"a\":false}", "{\"a\":1}", "{\"a\":\"1\"}",
		"{\"b\":1}", "{\"a\":[1,2]}", "{\"a\":[2,1]}", "{\"a\":[[1],2]}", "{\"a\":{\"b\":1}}",
		"{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", "{\"a\":[{\"x\":1},{\"y\":1}]}",
		"{\"a\":[{\"x\":1,\"y\":1}]}" };
	(void)state;
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(digest(all[i], NULL), digest(all[k], NULL));
	}
	assert_int_equal(digest("{\"a\":1,\"b\":{\"c\":2,\"d\":3}}", NULL),
		digest("{\"b\":{\"d\":3,\"c\":2},\"a\":1}", NULL));
	assert_int_equal(digest("{\"a\":1,\"t\":2}", "t"), digest("{\"a\":1}", "t"));
}

/* Whatever allocation fails, nothing is lost and the next try is whole. */
static void memory_may_run_out(void **state) {
	unsigned failed = 0;
	(void)state;
	for (unsigned k = 1;; k++) {
		cJSON *json = NULL;
		struct akv_plan torn = { 0 };
		assert_int_equal(json_parse(STR("{\"metadata\":{\"name\":\"n\"},\"spec\":{" HEAD
						",\"objects\":[{\"secretInAKV\":\"s\"}]}}"),
					 &json, NULL),
			OK);
		mem_fail_at(k);
		enum err err = akv_plan_build(json, &torn, &fault);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		cJSON_Delete(json);
		if (err) assert_int_equal(err, ERR_NOMEM);
		failed += err != OK;
		akv_plan_deinit(&torn);
		if (!reached) break;
	}
	assert_true(failed > 5);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(the_six_of_the_reference),
		TEST(the_whole_of_a_derived_pair),
		TEST(the_class_can_be_read),
		TEST(versions_of_tls_have_a_secret_each),
		TEST(types_get_the_key_they_need),
		TEST(a_tls_mapping_takes_halves),
		TEST(one_object_in_several_spellings),
		TEST(long_names_stay_apart),
		TEST(refusals_say_where_and_why),
		TEST(heads_are_checked),
		TEST(too_much_is_refused),
		TEST(digests_tell_values_apart),
		TEST(memory_may_run_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
