/* engine/: what main does at the start and with every object, with the k-th allocation failing for k = 1, 2, ...: told as such,
 * nothing leaks, and what was known stays. */
#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"
#include "base/thread.h"
#include "engine/config.h"
#include "engine/kubeconfig.h"
#include "engine/store.h"
#include "tests/unit/unit.h"

enum { MOST_ALLOCATIONS = 2000 };

static struct secret_arena *arena;
static char path[] = "/tmp/kvsync-torture-XXXXXX";

static void torture(enum err (*run)(void)) {
	for (uint64_t nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		mem_fail_at(nth);
		enum err err = run();
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		assert_int_equal(secret_arena_used_bytes(arena), 0);
		if (!reached) {
			assert_int_equal(err, OK);
			assert_true(nth > 2);
			return;
		}
		if (err != ERR_NOMEM) fail_msg("allocation %d: %s", (int)nth, err_name(err));
	}
	fail_msg("does not end");
}

static void write_file(const char *text) {
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static enum err run_kubeconfig(void) {
	struct kube_access access = { 0 };
	struct fault fault = { 0 };
	enum err err = kubeconfig_read(path, NULL, arena, &access, &fault);
	assert_null(strstr(fault.text, "s3cret"));
	kube_access_deinit(&access);
	return err;
}

static void a_kubeconfig(void **state) {
	(void)state;
	write_file("current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
		   "clusters: [{name: k, cluster: {server: \"https://h\", certificate-authority-data: YWJj}}]\n"
		   "users: [{name: u, user: {token: s3cret, client-certificate-data: YWJj, client-key-data: YWJj}}]\n");
	torture(run_kubeconfig);
}

static enum err run_config(void) {
	struct config config = { 0 };
	struct fault fault = { 0 };
	enum err err = config_load(path, &config, &fault);
	config_deinit(&config);
	return err;
}

static void a_configuration(void **state) {
	(void)state;
	write_file("cloudName: AzureChinaCloud\ncaFile: /x\nworkers: 2\n");
	torture(run_config);
}

static void ignore_wake(struct queue *queue) {
	(void)queue;
}

static cJSON *class_json, *sync_json, *other_json;

/* One class, one SecretSync, then the same name under another uid; the test plays the worker. */
static enum err run_store(void) {
	struct queue queue;
	bool busy;
	queue_init(&queue, NULL);
	queue.wake = ignore_wake;
	struct spc_defaults defaults = { .cloud = cloud_find(STR("AzurePublicCloud")) };
	struct store *store = store_create(&queue, (struct hash_key){ 1, 2 }, &defaults, REASON_NAMES_PREVIEW);
	enum err err = store ? OK : ERR_NOMEM;
	if (!err) err = store_upsert(store, STORE_CLASSES, class_json);
	if (!err) err = store_upsert(store, STORE_SYNCS, sync_json);
	if (!err) {
		err = store_upsert(store, STORE_SYNCS, other_json);
		/* The old one is gone in any case; the new one is there when it was said to be. */
		assert_int_equal(store_sync_count(store), err ? 0 : 1);
	}
	for (struct queue_item *item; (item = queue_take(&queue, &busy));) {
		struct object *object = container_of(item, struct object, item);
		if (queue_is_closed(item))
			store_take_retired(store, &object);
		else
			queue_done(item);
	}
	if (store) store_turn(store);
	store_destroy(store);
	queue_deinit(&queue);
	return err;
}

static void the_tables(void **state) {
	(void)state;
	class_json = cJSON_Parse(
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"c\",\"uid\":\"cu\",\"generation\":1},"
		"\"spec\":{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":\"vvv\",\"tenantID\":\"t\","
		"\"objects\":\"array:\\n- |\\n  objectName: a\\n  objectType: secret\\n\"}}}");
	sync_json = cJSON_Parse(
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"s\",\"uid\":\"su\",\"generation\":1},"
		"\"spec\":{\"secretProviderClassName\":\"c\",\"serviceAccountName\":\"sa\",\"secretObject\":{"
		"\"labels\":{\"l\":\"v\"},\"annotations\":{\"x\":\"y\"},"
		"\"data\":[{\"sourcePath\":\"a\",\"targetKey\":\"k\"}]}},"
		"\"status\":{\"syncHash\":\"kv1:su:00\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
		"\"reason\":\"CreateSucceeded\",\"message\":\"m\"}],\"objects\":[{\"name\":\"a\",\"version\":\"v\"}]}}");
	other_json = cJSON_Duplicate(sync_json, true);
	cJSON_SetValuestring(cJSON_GetObjectItem(cJSON_GetObjectItem(other_json, "metadata"), "uid"), "tu");
	torture(run_store);
	cJSON_Delete(class_json);
	cJSON_Delete(sync_json);
	cJSON_Delete(other_json);
}

static int setup(void **state) {
	(void)state;
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	arena = secret_arena_create(16 << 20);
	int file = mkstemp(path);
	return file < 0 || !arena || close(file);
}

static int teardown(void **state) {
	(void)state;
	secret_arena_destroy(arena);
	rcu_thread_unregister();
	return unlink(path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kubeconfig),
		cmocka_unit_test(a_configuration),
		cmocka_unit_test(the_tables),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
