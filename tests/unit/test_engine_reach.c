/* engine/reach: from a kubeconfig to a published token, and the token's file read again. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rcu.h"
#include "base/thread.h"
#include "engine/reach.h"
#include "tests/unit/unit.h"

static char folder[] = "/tmp/kvsync-reach-XXXXXX";
static struct secret_arena *arena;
static char config[128], token[128];

static void write_file(const char *path, const char *text) {
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(write(file, text, strlen(text)), strlen(text));
	close(file);
}

static void write_config(const char *user) {
	char text[1024];
	snprintf(text, sizeof text,
		"apiVersion: v1\nkind: Config\ncurrent-context: one\ncontexts:\n- name: one\n"
		"  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster:\n"
		"    server: https://10.0.0.1:6443\nusers:\n- name: u\n  user:\n    %s\n",
		user);
	write_file(config, text);
}

static void open_reach(struct reach *reach) {
	struct fault fault = { 0 };
	if (reach_init(reach, config, NULL, 7, arena, &fault)) fail_msg("%s", fault.text);
}

static void a_token_of_the_kubeconfig_is_published(void **state) {
	struct reach reach;
	struct fault fault = { 0 };
	bool changed = true;
	(void)state;
	write_config("token: from-the-file");
	open_reach(&reach);
	assert_int_equal(reach.site.max_connections, 7);
	assert_int_equal(http_obeyed_ns(&reach.site, 86400), 300 * NS_PER_S);
	assert_str(secret_expose(&reach.kube.token->value), "from-the-file");
	/* It has no file that could change. */
	assert_int_equal(reach_refresh(&reach, arena, &changed, &fault), OK);
	assert_false(changed);
	reach_deinit(&reach);
	reach_deinit(&reach);
}

static void a_token_file_is_read_again(void **state) {
	char user[200];
	struct reach reach;
	struct fault fault = { 0 };
	bool changed = true;
	(void)state;
	snprintf(user, sizeof user, "tokenFile: %s", token);
	write_config(user);
	write_file(token, "first");
	open_reach(&reach);
	assert_str(secret_expose(&reach.kube.token->value), "first");
	const struct kube_token *before = reach.kube.token;
	assert_int_equal(reach_refresh(&reach, arena, &changed, &fault), OK);
	assert_false(changed);
	assert_ptr_equal(reach.kube.token, before);
	write_file(token, "second");
	assert_int_equal(reach_refresh(&reach, arena, &changed, &fault), OK);
	assert_true(changed);
	assert_str(secret_expose(&reach.kube.token->value), "second");
	/* A file that is gone for a moment takes nothing away. */
	unlink(token);
	assert_int_not_equal(reach_refresh(&reach, arena, &changed, &fault), OK);
	assert_false(changed);
	assert_non_null(strstr(fault.text, token));
	assert_str(secret_expose(&reach.kube.token->value), "second");
	reach_deinit(&reach);
}

static void what_cannot_be_read_leaves_nothing_behind(void **state) {
	char user[200];
	struct reach reach;
	struct fault fault = { 0 };
	(void)state;
	snprintf(user, sizeof user, "tokenFile: %s", token);
	write_config(user);
	unlink(token);
	assert_int_not_equal(reach_init(&reach, config, NULL, 1, arena, &fault), OK);
	assert_non_null(strstr(fault.text, token));
	assert_int_equal(secret_arena_used_bytes(arena), 0);
	reach_deinit(&reach);
}

static int setup(void **state) {
	(void)state;
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	arena = secret_arena_create(64 << 10);
	if (!arena || !mkdtemp(folder)) return 1;
	snprintf(config, sizeof config, "%s/config", folder);
	snprintf(token, sizeof token, "%s/token", folder);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	unlink(config);
	unlink(token);
	rmdir(folder);
	secret_arena_destroy(arena);
	rcu_thread_unregister();
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_of_the_kubeconfig_is_published),
		cmocka_unit_test(a_token_file_is_read_again),
		cmocka_unit_test(what_cannot_be_read_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
