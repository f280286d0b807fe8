/* engine/cloud_file, engine/cloud: what describes a cloud, and that no file outside of the one folder is ever read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/cloud_file.h"

#define GOOD                                                                    \
	"{\"name\":\"AzureStackCloud\",\"activeDirectoryEndpoint\":"            \
	"\"https://Login.Example:8443/\",\"keyVaultEndpoint\":"                 \
	"\"https://vault.stack.example/\",\"keyVaultDNSSuffix\":\"Vault.stack.example\"}"

static char root[] = "/tmp/kvsync-cloud-XXXXXX";
static char folder[64];

static void put(const char *name, const char *text) {
	char path[256];
	snprintf(path, sizeof path, "%s/%s", root, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void make_link(const char *target, const char *name) {
	char path[256];
	snprintf(path, sizeof path, "%s/%s", root, name);
	assert_int_equal(symlink(target, path), 0);
}

static int make_tree(void **state) {
	char path[256];
	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(folder, sizeof folder, "%s/clouds", root);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(path, sizeof path, "%s/..data", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	put("clouds/good.json", GOOD);
	put("clouds/..data/inner.json", GOOD);
	put("outside.json", GOOD);
	put("clouds-too.json", GOOD);
	make_link("..data/inner.json", "clouds/mounted.json");
	make_link("../outside.json", "clouds/out.json");
	make_link("/etc", "clouds/etc");
	make_link("nothing", "clouds/dangling.json");
	snprintf(path, sizeof path, "%s/pipe", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	return 0;
}

static int remove_tree(void **state) {
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command);
}

static void assert_str(struct str s, const char *text) {
	if (!str_eq(s, str_of(text))) fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), text);
}

static void test_read(void **state) {
	char absolute[128];
	(void)state;
	snprintf(absolute, sizeof absolute, "%s/good.json", folder);
	const char *paths[] = { "good.json", "./good.json", "mounted.json", "..data/inner.json", absolute };
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct cloud_file file;
		struct fault fault = { 0 };
		enum err err = cloud_file_read(folder, str_of(paths[i]), &file, &fault);
		if (err) fail_msg("%s: %s", paths[i], fault.text);
		assert_str(file.cloud.authority, "https://login.example:8443");
		assert_str(file.cloud.scope, "https://vault.stack.example/.default");
		assert_str(file.cloud.vault_suffix, "vault.stack.example");
		assert_str(file.cloud.audience, "api://AzureADTokenExchange");
		cloud_file_deinit(&file);
		cloud_file_deinit(&file);
	}
}

static void assert_refused(struct str path, const char *says) {
	struct cloud_file file;
	struct fault fault = { 0 };
	enum err err = cloud_file_read(folder, path, &file, &fault);
	if (err != ERR_INVALID) fail_msg("%.*s: %s", STR_ARG(path), err_name(err));
	if (!strstr(fault.text, says))
		fail_msg("%.*s: wanted \"%s\", got \"%s\"", STR_ARG(path), says, fault.text);
}

static void test_paths(void **state) {
	char outside[128];
	(void)state;
	assert_refused(STR("../outside.json"), "does not stand below");
	assert_refused(STR("..data/../../outside.json"), "does not stand below");
	assert_refused(STR("a/.."), "does not stand below");
	assert_refused(STR("/etc/passwd"), "does not stand below");
	snprintf(outside, sizeof outside, "%s-too.json", folder);
	assert_refused(str_of(outside), "does not stand below");
	snprintf(outside, sizeof outside, "%s/../outside.json", folder);
	assert_refused(str_of(outside), "does not stand below");
	assert_refused(STR("good.json\0x"), "does not stand below");
	assert_refused(STR("out.json"), "is a link out of");
	assert_refused(STR("etc/passwd"), "is a link out of");
	assert_refused(STR("etc"), "is a link out of");
	assert_refused(STR("dangling.json"), "No such file or directory");
	assert_refused(STR("none.json"), "No such file or directory");
	assert_refused(STR("pipe"), "is no file of at most 65536 bytes");
	assert_refused(STR("..data"), "is no file of at most 65536 bytes");
	struct cloud_file file;
	struct fault fault = { 0 };
	assert_int_equal(cloud_file_read(NULL, STR("good.json"), &file, &fault), ERR_INVALID);
	assert_non_null(strstr(fault.text, "cloudEnvironmentFolder"));
}

static const struct {
	const char *json, *says;
} REFUSED[] = {
	{ "", "is no JSON" },
	{ "{", "is no JSON" },
	{ "[]", "is no JSON object" },
	{ "{}", "activeDirectoryEndpoint has to be an https address" },
	{ "{\"activeDirectoryEndpoint\":7}", "activeDirectoryEndpoint has to be" },
	{ "{\"activeDirectoryEndpoint\":\"http://login.example\"}", "not \"http://login.example\"" },
	{ "{\"activeDirectoryEndpoint\":\"https://u:p@login.example\"}", "activeDirectoryEndpoint" },
	{ "{\"activeDirectoryEndpoint\":\"https://login.example/adfs\"}", "without a path" },
	{ "{\"activeDirectoryEndpoint\":\"https://login.example?x\"}", "without a path" },
	{ "{\"activeDirectoryEndpoint\":\"https://lo gin\"}", "activeDirectoryEndpoint" },
	{ "{\"activeDirectoryEndpoint\":\"https://l.e\"}", "keyVaultEndpoint has to be" },
	{ "{\"activeDirectoryEndpoint\":\"https://l.e\",\"keyVaultEndpoint\":\"https://v.e\"}",
		"keyVaultDNSSuffix has to be" },
	{ "{\"activeDirectoryEndpoint\":\"https://l.e\",\"keyVaultEndpoint\":\"https://v.e\","
	  "\"keyVaultDNSSuffix\":\".v.e\"}",
		"keyVaultDNSSuffix has to be" },
	{ "{\"activeDirectoryEndpoint\":\"https://l.e\",\"keyVaultEndpoint\":\"https://v.e\","
	  "\"keyVaultDNSSuffix\":\"v.e/x\"}",
		"keyVaultDNSSuffix has to be" },
	{ "{\"activeDirectoryEndpoint\":\"https://l.e\",\"keyVaultEndpoint\":\"https://v.e\","
	  "\"keyVaultDNSSuffix\":\"evil.example\"}",
		"does not stand below the host of keyVaultEndpoint" },
	{ "{\"activeDirectoryEndpoint\":\"https://l.e\",\"keyVaultEndpoint\":\"https://v.e\","
	  "\"keyVaultDNSSuffix\":\"xv.e\"}",
		"does not stand below the host of keyVaultEndpoint" },
};

static void test_content(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
		put("clouds/x.json", REFUSED[i].json);
		assert_refused(STR("x.json"), REFUSED[i].says);
	}
	/* Names of members have no case; a national cloud brings its own audience. */
	put("clouds/x.json", "{\"ActiveDirectoryEndpoint\":\"https://LOGIN.microsoftonline.us\","
			     "\"KEYVAULTENDPOINT\":\"https://v.e\",\"keyvaultdnssuffix\":\"a.v.e\","
			     "\"other\":[1]}");
	struct cloud_file file;
	struct fault fault = { 0 };
	assert_int_equal(cloud_file_read(folder, STR("x.json"), &file, &fault), OK);
	assert_str(file.cloud.vault_suffix, "a.v.e");
	assert_str(file.cloud.audience, "api://AzureADTokenExchangeUSGov");
	cloud_file_deinit(&file);
}

/* A file at the limit is read, one byte more is not. */
static void test_size(void **state) {
	(void)state;
	static char text[64 * 1024 + 2];
	memset(text, ' ', sizeof text - 1);
	memcpy(text, GOOD, strlen(GOOD));
	put("clouds/big.json", text);
	assert_refused(STR("big.json"), "is no file of at most 65536 bytes");
	text[64 * 1024] = '\0';
	put("clouds/big.json", text);
	struct cloud_file file;
	struct fault fault = { 0 };
	assert_int_equal(cloud_file_read(folder, STR("big.json"), &file, &fault), OK);
	cloud_file_deinit(&file);
}

static void test_no_memory(void **state) {
	(void)state;
	for (uint64_t nth = 1;; nth++) {
		struct cloud_file file = { 0 };
		struct fault fault = { 0 };
		mem_fail_at(nth);
		enum err err = cloud_file_read(folder, STR("good.json"), &file, &fault);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		cloud_file_deinit(&file);
		if (!reached) {
			assert_int_equal(err, OK);
			break;
		}
		assert_int_equal(err, ERR_NOMEM);
	}
}

static void test_names(void **state) {
	(void)state;
	assert_str(cloud_find(STR("azurepublicCLOUD"))->audience, "api://AzureADTokenExchange");
	assert_str(cloud_find(STR("AzureUSGovernment"))->audience, "api://AzureADTokenExchangeUSGov");
	assert_str(cloud_find(STR("AzureChinaCloud"))->audience, "api://AzureADTokenExchangeChina");
	assert_null(cloud_find(STR("")));
	assert_null(cloud_find(STR("AzureGermanCloud")));
	assert_null(cloud_find(STR("AzureStackCloud")));
	assert_true(cloud_is_closed(STR("azuregermancloud")));
	assert_false(cloud_is_closed(STR("AzureCloud")));
	assert_true(cloud_is_custom(STR("AZURESTACKCLOUD")));
	assert_false(cloud_is_custom(STR("AzureCloud")));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
