/* engine/config: every way to be wrong is refused with line and column; text and documentation name every key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "clients/json.h"
#include "engine/config_options.h"

static enum err parse(const char *text, struct config *config, struct fault *fault) {
	return config_parse(str_of(text), "f.yaml", config, fault);
}

static void test_defaults(void **state) {
	(void)state;
	struct config config;
	struct fault fault;
	assert_int_equal(parse("", &config, &fault), OK);
	assert_int_equal(config.poll_interval_s, 3600);
	assert_int_equal(config.vault_requests_per_10s, 2800);
	assert_int_equal(config.vault_connections, 16);
	assert_int_equal(config.kube_writes_per_s, 100);
	assert_int_equal(config.request_timeout_s, 30);
	assert_int_equal(config.breaker_interval_s, 10);
	assert_int_equal(config.shutdown_grace_s, 20);
	assert_int_equal(config.log_level, LOG_INFO);
	assert_int_equal(config.log_format, LOG_LOGFMT);
	assert_in_range(config.workers, 1, 4);
	assert_string_equal(config.cloud_name, "AzurePublicCloud");
	assert_null(config.ca_file);
	assert_int_equal(config.status_port, 8081);
	assert_null(config.status_address);
	assert_null(config.cloud_folder);
	assert_null(config.machine_namespaces);
	config_deinit(&config);
}

static void test_all_keys(void **state) {
	(void)state;
	struct config config;
	struct fault fault;
	assert_int_equal(parse("# comment\nrotationPollIntervalInSeconds: 60\nworkers: "
			       "2\nlogLevel: debug\nlogFormat: json\n"
			       "vaultRequestsPer10Seconds: 100\nvaultConnections: "
			       "3\nrequestTimeoutInSeconds: 5\n"
			       "breakerIntervalInSeconds: 7\nshutdownGraceInSeconds: 0\ncloudName: "
			       "azureusgovernment\n"
			       "kubeWritesPerSecond: 0\njitterSeconds: 7\n"
			       "caFile: \"/etc/ca.pem\"\nstatusPort: 0\nstatusAddress: \"::1\"\n"
			       "cloudEnvironmentFolder: /etc/clouds\n"
			       "managedIdentityNamespaces:\n- one\n- two.x\n",
				 &config, &fault),
		OK);
	struct settings settings = config_settings(&config);
	assert_int_equal(settings.poll_interval_ns, 60 * NS_PER_S);
	assert_int_equal(settings.jitter_ns, 7 * NS_PER_S);
	assert_int_equal(settings.request_timeout_ns, 5 * NS_PER_S);
	assert_true(settings.kube_writes_per_s < 0.5);
	assert_int_equal(settings.breaker_interval_ns, 7 * NS_PER_S);
	assert_int_equal(settings.vault_connections, 3);
	assert_int_equal(config.workers, 2);
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config.log_format, LOG_JSON);
	assert_int_equal(config.shutdown_grace_s, 0);
	assert_string_equal(config.ca_file, "/etc/ca.pem");
	assert_int_equal(config.status_port, 0);
	assert_string_equal(config.status_address, "::1");
	assert_string_equal(config.cloud_folder, "/etc/clouds");
	assert_string_equal(config.machine_namespaces, "one,two.x");
	config_deinit(&config);
	assert_int_equal(parse("managedIdentityNamespaces: []\n", &config, &fault), OK);
	assert_null(config.machine_namespaces);
	config_deinit(&config);
	assert_int_equal(parse("managedIdentityNamespaces: one\n", &config, &fault), OK);
	assert_string_equal(config.machine_namespaces, "one");
	config_deinit(&config);
}

/* Any ten seconds hold rate x 10 + burst requests, and that is what the key promises. */
static void test_rate_keeps_its_promise(void **state) {
	(void)state;
	static const char *const texts[] = { "vaultRequestsPer10Seconds: 2800",
		"vaultRequestsPer10Seconds: 10", "clustersPerVault: 100", "clustersPerVault: 1000" };
	static const int64_t promised[] = { 2800, 10, 28, 3 };
	for (int i = 0; i < 4; i++) {
		struct config config;
		struct fault fault;
		assert_int_equal(parse(texts[i], &config, &fault), OK);
		struct settings settings = config_settings(&config);
		assert_true(settings.vault_burst >= 1);
		assert_true(settings.vault_rate_per_s > 0);
		assert_true(settings.vault_rate_per_s * 10 + settings.vault_burst <=
			    (double)promised[i] + 1e-6);
		assert_true(i == 3 || settings.vault_rate_per_s * 10 + settings.vault_burst >=
			    (double)promised[i] - 1);
		/* Less than one: still a pace, and not more than asked for in the long run. */
		assert_true(settings.vault_rate_per_s * 10 <= (double)promised[i]);
		config_deinit(&config);
	}
}

static const struct {
	const char *text, *place, *says;
} REFUSED[] = {
	{ "rotationPollInterval: 5\n",
		"f.yaml:1:1: ", "did you mean \"rotationPollIntervalInSeconds\"" },
	{ "\n  rotationpollIntervalinSeconds: 5\n",
		"f.yaml:2:3: ", "did you mean \"rotationPollIntervalInSeconds\"" },
	{ "loglevel: info\n", "f.yaml:1:1: ", "did you mean \"logLevel\"" },
	{ "zzz: 1\n", "f.yaml:1:1: ", "the keys are rotationPollIntervalInSeconds, " },
	{ "workers: 2\nrotationPollIntervalInSeconds: 0\n",
		"f.yaml:2:32: ", "a whole number from 1 to 604800, not \"0\"" },
	{ "rotationPollIntervalInSeconds: 604801\n", "f.yaml:1:32: ", "1 to 604800" },
	{ "rotationPollIntervalInSeconds: 1h\n", "f.yaml:1:32: ", "not \"1h\"" },
	{ "rotationPollIntervalInSeconds: 99999999999999999999\n", "f.yaml:1:32: ", "1 to 604800" },
	{ "rotationPollIntervalInSeconds: \"60\"\n", "f.yaml:1:32: ", "take the quotes away" },
	{ "rotationPollIntervalInSeconds:\n", "f.yaml:1:31: ", "has no value" },
	{ "workers: [1]\n", "f.yaml:1:10: ", "takes one value, not a list" },
	{ "workers: {a: 1}\n", "f.yaml:1:10: ", "takes one value, not a mapping" },
	{ "vaultGroups: [kv-a]\n", "f.yaml:1:14: ", "a list of groups, each a list of vaults' names" },
	{ "vaultGroups: kv-a\n", "f.yaml:1:14: ", "a list of groups" },
	{ "vaultGroups: [[kv-a, [x]]]\n", "f.yaml:1:14: ", "a list of groups" },
	{ "vaultGroups: [[kv-a, ~]]\n", "f.yaml:1:14: ", "a list of groups" },
	{ "vaultGroups: [[kv-a, kv-b], [KV-A]]\n", "f.yaml:1:14: ", "names the vault \"kv-a\" twice" },
	{ "vaultGroups: [[kv-a.vault.azure.net]]\n", "f.yaml:1:14: ", "a list of at most 64 lists" },
	{ "jitterSeconds: -1\n", "f.yaml:1:16: ", "0 to 604800" },
	{ "clustersPerVault: 0\n", "f.yaml:1:19: ", "1 to 100000" },
	{ "kubeWritesPerSecond: -1\n", "f.yaml:1:22: ", "0 to 1000000, not \"-1\"" },
	{ "kubeWritesPerSec: 1\n", "f.yaml:1:1: ", "did you mean \"kubeWritesPerSecond\"" },
	{ "logLevel: loud\n", "f.yaml:1:11: ", "error, warn, info or debug, not \"loud\"" },
	{ "logFormat: xml\n", "f.yaml:1:12: ", "logfmt or json" },
	{ "cloudName: Moon\n", "f.yaml:1:12: ", "AzurePublicCloud, AzureUSGovernmentCloud" },
	{ "statusPort: 65536\n", "f.yaml:1:13: ", "0 to 65535" },
	{ "statusAddress: localhost\n", "f.yaml:1:16: ", "an IP address, not \"localhost\"" },
	{ "caFile: \"\"\n", "f.yaml:1:9: ", "the path of a file" },
	{ "cloudEnvironmentFolder: \"\"\n", "f.yaml:1:25: ", "the path of a folder" },
	{ "managedIdentityNamespaces: [one, \"a,b\"]\n",
		"f.yaml:1:28: ", "a list of namespaces, not \"a,b\"" },
	{ "managedIdentityNamespaces: [One]\n", "f.yaml:1:28: ", "a list of namespaces" },
	{ "managedIdentityNamespaces: [[a]]\n", "f.yaml:1:28: ", "a list of plain names" },
	{ "managedIdentityNamespaces: [~]\n", "f.yaml:1:28: ", "a list of plain names" },
	{ "managedIdentityNamespaces: \"*\"\n", "f.yaml:1:28: ", "a list of namespaces" },
	{ "managedIdentityNamespaces: {a: b}\n", "f.yaml:1:28: ", "takes one value" },
	{ "workers: 1\nworkers: 2\n",
		"f.yaml:2:1: ", "for the second time; the first is in line 1" },
	{ "workers: &a 1\n", "f.yaml:1:10: ", "anchors" },
	{ "workers: *a\n", "f.yaml:1:10: ", "aliases" },
	{ "workers: 1\n---\nworkers: 2\n", "f.yaml:2:1: ", "second document" },
	{ "- a\n", "f.yaml:1:1: ", "is a mapping" },
	{ "just text\n", "f.yaml:1:1: ", "is a mapping" },
	{ "workers: 1\n\tlogLevel: info\n", "f.yaml:2:1: ", "not YAML" },
	{ "workers: [[[[[1]]]]]\n", "f.yaml:1:13: ", "nested deeper than 4" },
	{ "workers: \xff\n", "f.yaml:1:", "not YAML" },
	{ "{a: 1}: 2\n", "f.yaml:1:1: ", "a key has to be" },
};

static void test_refused(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
		struct config config;
		struct fault fault = { 0 };
		enum err err = parse(REFUSED[i].text, &config, &fault);
		if (err != ERR_INVALID && err != ERR_TOO_LARGE)
			fail_msg("accepted: %s", REFUSED[i].text);
		bool place = str_starts(str_of(fault.text), str_of(REFUSED[i].place));
		if (!place || !strstr(fault.text, REFUSED[i].says)) {
			fail_msg("%s: wanted \"%s...%s\", got \"%s\"", REFUSED[i].text,
				REFUSED[i].place, REFUSED[i].says, fault.text);
		}
	}
}

static void test_too_large(void **state) {
	(void)state;
	size_t len = 100 * 1024;
	char *text = malloc(len);
	memset(text, '#', len);
	struct config config;
	struct fault fault;
	assert_int_equal(
		config_parse((struct str){ text, len }, "f.yaml", &config, &fault), ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "larger than"));
	free(text);
}

static void test_load(void **state) {
	(void)state;
	struct config config;
	struct fault fault;
	assert_int_equal(config_load("/nonexistent/k.yaml", &config, &fault), ERR_IO);
	assert_non_null(strstr(fault.text, "/nonexistent/k.yaml: cannot be read: No such file"));
	assert_int_equal(config_load("/", &config, &fault), ERR_IO);
	char path[] = "/tmp/kvsync-config-XXXXXX";
	int fd = mkstemp(path);
	assert_int_equal(write(fd, "workers: 3\n", 11), 11);
	close(fd);
	assert_int_equal(config_load(path, &config, &fault), OK);
	assert_int_equal(config.workers, 3);
	config_deinit(&config);
	unlink(path);
}

/* What `kvsync config` prints is a file that says the same. */
static void test_written_config_reads_back(void **state) {
	(void)state;
	struct config config, again;
	struct fault fault;
	struct buf text, text_again;
	buf_init(&text, 1 << 16);
	buf_init(&text_again, 1 << 16);
	assert_int_equal(
		parse("workers: 3\nlogFormat: json\ncaFile: \"/a b\\\"c\"\n"
		      "managedIdentityNamespaces: [a, b]\n"
		      "vaultGroups: [[kv-a, KV-B], [], [kv-c]]\n",
			 &config, &fault),
		OK);
	config_write(&config, &text);
	assert_int_equal(buf_err(&text), OK);
	assert_int_equal(config_parse(buf_str(&text), "again", &again, &fault), OK);
	assert_string_equal(again.ca_file, "/a b\"c");
	assert_string_equal(again.machine_namespaces, "a,b");
	assert_string_equal(again.vault_groups, "kv-a,kv-b;kv-c");
	config_write(&again, &text_again);
	assert_string_equal(buf_cstr(&text), buf_cstr(&text_again));
	for (unsigned i = 0; config_key(i); i++)
		assert_non_null(strstr(buf_cstr(&text), config_key(i)));
	buf_deinit(&text);
	buf_deinit(&text_again);
	config_deinit(&config);
	config_deinit(&again);
}

static void test_set(void **state) {
	(void)state;
	struct config config;
	struct fault fault;
	assert_int_equal(config_init(&config), OK);
	assert_int_equal(config_set(&config, "logLevel", STR("debug"), &fault), OK);
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config_set(&config, "logLevel", STR("x"), &fault), ERR_INVALID);
	assert_int_equal(config.log_level, LOG_DEBUG);
	config_deinit(&config);
}

/* docs/configuration.md holds the table as the program prints it. */
static void test_documentation(void **state) {
	(void)state;
	static char docs[1 << 16];
	FILE *file = fopen("../../docs/configuration.md", "r");
	assert_non_null(file);
	docs[fread(docs, 1, sizeof docs - 1, file)] = '\0';
	fclose(file);
	struct buf table;
	buf_init(&table, 1 << 16);
	config_write_table(&table);
	struct str rest = buf_str(&table);
	while (rest.len) {
		struct str row = str_next(&rest, '\n');
		if (str_find(str_of(docs), row) == SIZE_MAX)
			fail_msg("docs/configuration.md lacks: %.*s", STR_ARG(row));
	}
	buf_deinit(&table);
}

static cJSON *text_of_some(void) {
	cJSON *text = cJSON_CreateObject();
	cJSON_AddStringToObject(text, "type", "string");
	cJSON_AddNumberToObject(text, "minLength", 1);
	return text;
}

static cJSON *list_of(cJSON *entries) {
	cJSON *list = cJSON_CreateObject();
	cJSON_AddStringToObject(list, "type", "array");
	cJSON_AddItemToObject(list, "items", entries);
	return list;
}

/* What a chart may take for an option, in the words of JSON Schema. */
static cJSON *schema_of(const struct option_row *option) {
	cJSON *schema;
	switch (option->type) {
	case OPTION_NUMBER:
		schema = cJSON_CreateObject();
		cJSON_AddStringToObject(schema, "type", "integer");
		cJSON_AddNumberToObject(schema, "minimum", (double)option->low);
		cJSON_AddNumberToObject(schema, "maximum", (double)option->high);
		return schema;
	case OPTION_CHOICE:
		schema = cJSON_CreateObject();
		if (strcmp(option->choices[0], "false") == 0) {
			cJSON_AddStringToObject(schema, "type", "boolean");
			return schema;
		}
		cJSON *choices = cJSON_AddArrayToObject(schema, "enum");
		for (unsigned i = 0; option->choices[i]; i++)
			cJSON_AddItemToArray(choices, cJSON_CreateString(option->choices[i]));
		return schema;
	case OPTION_NAMES:
		return list_of(text_of_some());
	case OPTION_GROUPS:
		return list_of(list_of(text_of_some()));
	default:
		return text_of_some();
	}
}

/* deploy/chart/values.schema.json takes the keys and ranges that the program takes, no more and no fewer. */
static void test_schema_of_the_chart(void **state) {
	(void)state;
	static char text[1 << 16];
	FILE *file = fopen("../../deploy/chart/values.schema.json", "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	struct fault fault = { 0 };
	cJSON *schema = NULL, *wanted = cJSON_CreateObject();
	assert_int_equal(json_parse(str_of(text), &schema, &fault), OK);
	const cJSON *config = json_get(json_get(schema, "properties"), "config");
	assert_true(cJSON_IsFalse(json_get(config, "additionalProperties")));
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++)
		cJSON_AddItemToObject(wanted, CONFIG_OPTIONS[i].key, schema_of(&CONFIG_OPTIONS[i]));
	if (!cJSON_Compare(json_get(config, "properties"), wanted, true)) {
		fprintf(stderr, "%s\n", cJSON_PrintUnformatted(wanted));
		fail_msg("properties.config.properties has to be what stands above");
	}
	cJSON_Delete(wanted);
	cJSON_Delete(schema);
}

static void check_files(const char *text, const char *says) {
	struct config config = { 0 };
	struct fault fault = { 0 };
	assert_int_equal(parse(text, &config, &fault), OK);
	enum err err = config_check_files(&config, "f.yaml", &fault);
	assert_int_equal(err, says ? ERR_INVALID : OK);
	if (says && !strstr(fault.text, says)) fail_msg("%s", fault.text);
	config_deinit(&config);
}

/* What a configuration names has to be there where kvsync runs; told with its line. */
static void test_files(void **state) {
	(void)state;
	check_files("workers: 1\n", NULL);
	check_files("workers: 1\ncaFile: /nonexistent\n", "f.yaml:2:9: caFile /nonexistent: cannot be read: No such file");
	check_files("caFile: /dev/null\n", "f.yaml:1:9: caFile /dev/null: has no certificate in PEM form");
	check_files("cloudEnvironmentFolder: /\n", NULL);
	check_files("logLevel: info\n\ncloudEnvironmentFolder: /nonexistent\n", "f.yaml:3:25: cloudEnvironmentFolder /nonexistent: ");
	check_files("cloudEnvironmentFolder: /dev/null\n", "f.yaml:1:25: cloudEnvironmentFolder /dev/null: is no folder");
}

static void test_no_memory(void **state) {
	(void)state;
	static const char *const texts[] = { "workers: 2\ncaFile: /x\ncloudName: AzureCloud\n"
						"managedIdentityNamespaces: [a, b]\nvaultGroups: [[kv-a, kv-b]]\n",
		"zzz: 1\n", "workers: 99\n" };
	for (int i = 0; i < 3; i++) {
		for (uint64_t nth = 1;; nth++) {
			struct config config = { 0 };
			struct fault fault;
			mem_fail_at(nth);
			enum err err = parse(texts[i], &config, &fault);
			bool reached = mem_fail_reached();
			mem_fail_at(0);
			if (!reached) {
				assert_int_equal(err, i == 0 ? OK : ERR_INVALID);
				config_deinit(&config);
				break;
			}
			assert_int_equal(err, ERR_NOMEM);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_rate_keeps_its_promise),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_written_config_reads_back),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_documentation),
		cmocka_unit_test(test_schema_of_the_chart),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
