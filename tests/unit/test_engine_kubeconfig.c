/* How to reach the API server: kubeconfig files in a folder of the test's own, and a pod's account folder. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "engine/kubeconfig.h"
#include "tests/unit/unit.h"

static char folder[] = "/tmp/kvsync-kubeconfig-XXXXXX";
static struct secret_arena *arena;

static const char *path_of(const char *name) {
	static char paths[4][256];
	static unsigned at;
	char *path = paths[at++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, struct str content) {
	int file = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(write(file, content.ptr, content.len), content.len);
	close(file);
}

/* A kubeconfig with one context, whose cluster and user have these lines. */
static void write_config(const char *cluster, const char *user) {
	char text[8192];
	int len = snprintf(text, sizeof text,
		"apiVersion: v1\nkind: Config\ncurrent-context: one\n"
		"contexts:\n- name: other\n  context: {cluster: none, user: none}\n"
		"- name: one\n  context: {cluster: c, user: u, namespace: apps}\n"
		"clusters:\n- name: c\n  cluster:\n%s"
		"users:\n- name: u\n  user:\n%s",
		cluster, user);
	assert_in_range(len, 1, sizeof text - 1);
	write_file("config", (struct str){ text, (size_t)len });
}

#define SERVER "    server: https://10.0.0.1:6443\n"

static void expect_refusal(const char *cluster, const char *user, const char *part) {
	struct kube_access access = { .server = (char *)(uintptr_t) "untouched" };
	struct fault fault = { 0 };
	write_config(cluster, user);
	enum err err = kubeconfig_read(path_of("config"), NULL, arena, &access, &fault);
	if (err == OK || !strstr(fault.text, part)) fail_msg("%s: %s", err_name(err), fault.text);
	assert_string_equal(access.server, "untouched");
	/* Nothing of a secret, and where it is. */
	assert_null(strstr(fault.text, "c2VjcmV0"));
	assert_null(strstr(fault.text, "s3cret"));
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

static void read_good(const char *context, struct kube_access *out_access) {
	struct fault fault = { 0 };
	if (kubeconfig_read(path_of("config"), context, arena, out_access, &fault) != OK)
		fail_msg("%s", fault.text);
}

static void a_token_and_an_authority_in_the_file(void **state) {
	struct kube_access access;
	(void)state;
	/* "CA PEM" and a padded, folded "key" */
	write_config(
		SERVER "    certificate-authority-data: Q0EgUEVN\n", "    token: s3cret.token\n");
	read_good(NULL, &access);
	assert_string_equal(access.server, "https://10.0.0.1:6443");
	assert_str(buf_str(&access.ca_pem), "CA PEM");
	assert_str(secret_expose(&access.token), "s3cret.token");
	assert_string_equal(access.ns, "apps");
	assert_null(access.token_file);
	assert_int_equal(
		buf_str(&access.client_cert_pem).len + secret_len(&access.client_key_pem), 0);
	char expected[512];
	snprintf(expected, sizeof expected, "context one of %s", path_of("config"));
	assert_string_equal(access.description, expected);
	kube_access_deinit(&access);
	kube_access_deinit(&access);
}

static void files_are_found_beside_the_kubeconfig(void **state) {
	struct kube_access access;
	char user[512];
	(void)state;
	write_file("ca.crt", STR("authority"));
	write_file("client.crt", STR("certificate"));
	write_file("client.key", STR("k\0y"));
	snprintf(user, sizeof user,
		"    client-certificate: client.crt\n    client-key: %s\n    tokenFile: token\n",
		path_of("client.key"));
	write_config(SERVER "    certificate-authority: ./ca.crt\n", user);
	read_good("one", &access);
	assert_str(buf_str(&access.ca_pem), "authority");
	assert_str(buf_str(&access.client_cert_pem), "certificate");
	assert_true(str_eq(secret_expose(&access.client_key_pem), STR("k\0y")));
	assert_string_equal(access.token_file, path_of("token"));
	kube_access_deinit(&access);
}

static void data_goes_before_files(void **state) {
	struct kube_access access;
	(void)state;
	write_config(SERVER "    certificate-authority: /nowhere\n    certificate-authority-data: "
			    "|\n      Q0Eg\n      UEVN\n",
		"    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n    client-key: "
		"/nowhere\n");
	read_good(NULL, &access);
	assert_str(buf_str(&access.ca_pem), "CA PEM");
	assert_str(buf_str(&access.client_cert_pem), "CERT");
	assert_str(secret_expose(&access.client_key_pem), "KEY");
	kube_access_deinit(&access);
}

static void json_is_a_kubeconfig_too(void **state) {
	struct kube_access access;
	(void)state;
	write_file("config",
		STR("{\"current-context\":\"x\",\"contexts\":[{\"name\":\"x\",\"context\":{"
		    "\"cluster\":\"c\",\"user\":\"u\"}}],"
		    "\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://h\"}}],"
		    "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"t\"}}]}"));
	read_good(NULL, &access);
	assert_string_equal(access.ns, "default");
	assert_int_equal(buf_str(&access.ca_pem).len, 0);
	kube_access_deinit(&access);
}

static void what_is_not_supported_is_refused_with_a_remedy(void **state) {
	(void)state;
	const char *token = "    token: s3cret\n";
	expect_refusal(SERVER "    insecure-skip-tls-verify: true\n", token,
		"give certificate-authority instead");
	expect_refusal(
		SERVER "    tls-server-name: other\n", token, "not supported: use a server URL");
	expect_refusal(SERVER "    proxy-url: http://p\n", token, "HTTPS_PROXY");
	expect_refusal("    server: http://10.0.0.1\n", token, "must be an https URL");
	expect_refusal("    server: 10.0.0.1\n", token, "must be an https URL");
	expect_refusal("    other: x\n", token, "must be an https URL");
	expect_refusal(
		SERVER, "    exec: {command: aws}\n", "exec and auth-provider are not supported");
	expect_refusal(SERVER, "    auth-provider: {name: gcp}\n", "kubectl create token");
	expect_refusal(SERVER, "    username: me\n    password: s3cret\n",
		"username and password are not supported");
	expect_refusal(SERVER, "    client-certificate-data: Q0VSVA==\n", "one of them is missing");
	expect_refusal(SERVER, "    client-key-data: c2VjcmV0\n", "one of them is missing");
	expect_refusal(SERVER, "    client-key: absent.key\n",
		"absent.key cannot be opened: No such file");
}

static void bad_base64_is_refused_where_it_stands(void **state) {
	static const char *const bad[] = { "c2VjcmV0!", "c2VjcmV", "c2Vj====", "c2V=cmV0", "=AAA",
		"c=Vj" };
	char user[128];
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(user, sizeof user, "    client-key-data: \"%s\"\n", bad[i]);
		expect_refusal(SERVER, user, "client-key-data is not valid base64");
		assert_int_equal(secret_arena_used_bytes(arena), 0);
	}
	char large[400000] = "    client-key-data: ";
	memset(large + strlen(large), 'A', sizeof large - 64);
	struct kube_access access;
	struct fault fault = { 0 };
	struct str start = STR("current-context: x\ncontexts: [{name: x, context: {cluster: c, "
			       "user: u}}]\nclusters: [{name: c, cluster: "
			       "{server: \"https://h\"}}]\nusers:\n- name: u\n  user:\n");
	write_file("config", start);
	int file = open(path_of("config"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(write(file, large, strlen(large)) > 0);
	close(file);
	assert_int_equal(
		kubeconfig_read(path_of("config"), NULL, arena, &access, &fault), ERR_INVALID);
	assert_non_null(strstr(fault.text, "config:7:22: client-key-data is too large"));
	expect_refusal(SERVER "    certificate-authority-data: \"?\"\n", "    token: s3cret\n",
		"config:13:33: certificate-authority-data is not");
}

static void broken_files_are_named_with_their_place(void **state) {
	static const struct {
		const char *text, *part;
	} cases[] = {
		{ "", "not a kubeconfig" },
		{ "- a\n", "not a kubeconfig: a mapping is expected" },
		{ "clusters: [\n", "config:2:1" },
		{ "a: 1\na: 2\n", "config:2:1" },
		{ "contexts: []\n", "no current-context: name one by --context" },
		{ "current-context: x\ncontexts: []\n", "there is no context \"x\" (--context, or current-context)" },
		{ "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n",
			"cluster is not in clusters" },
		{ "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: "
		  "u}}]\nclusters: [{name: c, cluster: {server: "
		  "\"https://h\"}}]\n",
			"config:2:31: the context's user is not in users" },
		{ "current-context: x\ncontexts: [{name: x, context: [1]}]\n",
			"there is no context \"x\"" },
		{ "current-context: x\ncontexts: [{name: a}, 1, {name: b}]\n",
			"there is no context \"x\" (--context, or current-context); there are: a, b" },
		{ "a: &a [*a]\n", "config:1:4" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct kube_access access;
		struct fault fault = { 0 };
		write_file("config", str_of(cases[i].text));
		enum err err = kubeconfig_read(path_of("config"), NULL, arena, &access, &fault);
		if (err == OK || !strstr(fault.text, cases[i].part))
			fail_msg("%s -> %s %s", cases[i].text, err_name(err), fault.text);
		assert_int_equal(secret_arena_used_bytes(arena), 0);
	}
}

static void a_file_that_is_too_large_is_refused(void **state) {
	struct kube_access access;
	struct fault fault = { 0 };
	(void)state;
	char *text = calloc(1, (1 << 20) + 2);
	memset(text, '#', (1 << 20) + 1);
	write_file("config", (struct str){ text, (1 << 20) + 1 });
	free(text);
	assert_int_equal(
		kubeconfig_read(path_of("config"), NULL, arena, &access, &fault), ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "config is too large"));
	assert_int_equal(kubeconfig_read(path_of("absent"), NULL, arena, &access, &fault), ERR_IO);
	assert_non_null(strstr(fault.text, "absent cannot be opened: No such file or directory"));
}

/* --- in a pod --- */

static void a_pod_finds_its_account(void **state) {
	struct kube_access access;
	struct fault fault = { 0 };
	(void)state;
	write_file("ca.crt", STR("authority"));
	write_file("namespace", STR("kvsync\n"));
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(kube_access_in_cluster(folder, arena, &access, &fault), OK);
	assert_string_equal(access.server, "https://10.0.0.1:443");
	assert_string_equal(access.ns, "kvsync");
	assert_str(buf_str(&access.ca_pem), "authority");
	assert_string_equal(access.token_file, path_of("token"));
	kube_access_deinit(&access);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	assert_int_equal(kube_access_in_cluster(folder, arena, &access, &fault), OK);
	assert_string_equal(access.server, "https://[fd00::1]:443");
	kube_access_deinit(&access);
	unlink(path_of("ca.crt"));
	assert_int_equal(kube_access_in_cluster(folder, arena, &access, &fault), ERR_IO);
	assert_non_null(strstr(fault.text, "ca.crt cannot be opened"));
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(kube_access_in_cluster(folder, arena, &access, &fault), ERR_INVALID);
	assert_non_null(strstr(fault.text, "give --kubeconfig"));
}

static void a_token_file_is_one_word(void **state) {
	static const struct str bad[] = { STR(""), STR("\n"), STR("two words"), STR("two\nlines\n"),
		STR("nul\0byte") };
	struct secret token;
	struct fault fault = { 0 };
	(void)state;
	write_file("token", STR("s3cret.token\n"));
	assert_int_equal(kube_token_file_read(path_of("token"), arena, &token, &fault), OK);
	assert_str(secret_expose(&token), "s3cret.token");
	secret_deinit(&token);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		write_file("token", bad[i]);
		assert_int_equal(
			kube_token_file_read(path_of("token"), arena, &token, &fault), ERR_INVALID);
		assert_non_null(strstr(fault.text, "holds no token"));
	}
	unlink(path_of("token"));
	assert_int_equal(kube_token_file_read(path_of("token"), arena, &token, &fault), ERR_IO);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

/* --- which of them --- */

static void the_first_file_of_the_list_that_exists_counts(void **state) {
	struct kube_access access;
	struct fault fault = { 0 };
	char list[512];
	(void)state;
	unsetenv("KUBERNETES_SERVICE_HOST");
	write_config(SERVER, "    token: s3cret\n");
	snprintf(list, sizeof list, "%s::%s", path_of("absent"), path_of("config"));
	setenv("KUBECONFIG", list, 1);
	assert_int_equal(kube_access_find(NULL, NULL, arena, &access, &fault), OK);
	kube_access_deinit(&access);
	setenv("KUBECONFIG", path_of("absent"), 1);
	assert_int_equal(kube_access_find(NULL, NULL, arena, &access, &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, "--kubeconfig FILE"));
	/* A file that was named is read, whatever the environment says. */
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	assert_int_equal(kube_access_find(path_of("config"), NULL, arena, &access, &fault), OK);
	kube_access_deinit(&access);
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBECONFIG");
	setenv("HOME", folder, 1);
	assert_int_equal(mkdir(path_of(".kube"), 0700), 0);
	write_file(".kube/config", STR("contexts: []\n"));
	assert_int_equal(kube_access_find(NULL, NULL, arena, &access, &fault), ERR_INVALID);
	assert_non_null(strstr(fault.text, "/.kube/config:1:1: there is no current-context"));
	unlink(path_of(".kube/config"));
	rmdir(path_of(".kube"));
}

static void clean(void) {
	static const char *const names[] = { "config", "ca.crt", "client.crt", "client.key",
		"namespace", "token" };
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unlink(path_of(names[i]));
	rmdir(folder);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_and_an_authority_in_the_file),
		cmocka_unit_test(files_are_found_beside_the_kubeconfig),
		cmocka_unit_test(data_goes_before_files),
		cmocka_unit_test(json_is_a_kubeconfig_too),
		cmocka_unit_test(what_is_not_supported_is_refused_with_a_remedy),
		cmocka_unit_test(bad_base64_is_refused_where_it_stands),
		cmocka_unit_test(broken_files_are_named_with_their_place),
		cmocka_unit_test(a_file_that_is_too_large_is_refused),
		cmocka_unit_test(a_pod_finds_its_account),
		cmocka_unit_test(a_token_file_is_one_word),
		cmocka_unit_test(the_first_file_of_the_list_that_exists_counts),
	};
	assert_non_null(mkdtemp(folder));
	arena = secret_arena_create(16 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_arena_destroy(arena);
	clean();
	return failed;
}
