/* engine/store: publishing, retiring, re-creation under another uid, marks of a relist, slices. The test plays worker 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/thread.h"
#include "engine/store.h"

static struct queue queue;
static struct store *store;

static void ignore_wake(struct queue *q) {
	(void)q;
}

static int setup(void **state) {
	(void)state;
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	queue_init(&queue, NULL);
	queue.wake = ignore_wake;
	struct spc_defaults defaults = { .cloud = cloud_find(STR("AzurePublicCloud")) };
	store = store_create(&queue, (struct hash_key){ 1, 2 }, &defaults, REASON_NAMES_PREVIEW);
	return store ? 0 : -1;
}

/* Runs what is queued as a worker would; closed objects go back to the store. Returns the names, joined by blanks. */
static const char *run_queue(void) {
	static char names[4096];
	size_t at = 0;
	names[0] = '\0';
	bool busy;
	for (struct queue_item *item; (item = queue_take(&queue, &busy));) {
		struct object *object = container_of(item, struct object, item);
		if (queue_is_closed(item)) {
			assert_null(object->spec);
			if (at < 4000)
				at += (size_t)snprintf(
					names + at, sizeof names - at, "-%s ", object->key);
			store_take_retired(store, &object);
			continue;
		}
		if (at < 4000)
			at += (size_t)snprintf(names + at, sizeof names - at, "%s ", object->key);
		queue_done(item);
	}
	return names;
}

static int teardown(void **state) {
	(void)state;
	run_queue();
	store_destroy(store);
	queue_deinit(&queue);
	rcu_thread_unregister();
	return 0;
}

static cJSON *sync_json(const char *name, const char *uid, int generation, const char *class_name) {
	char text[1024];
	snprintf(text, sizeof text,
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"%s\",\"uid\":\"%s\",\"generation\":%"
		"d},"
		"\"spec\":{\"secretProviderClassName\":\"%s\",\"serviceAccountName\":\"sa\","
		"\"secretObject\":{\"data\":[{"
		"\"sourcePath\":\"a\",\"targetKey\":\"k\"}]}},\"status\":{\"syncHash\":\"kv1:%s:"
		"00\"}}",
		name, uid, generation, class_name, uid);
	return cJSON_Parse(text);
}

static cJSON *class_json(const char *name, const char *uid, int generation) {
	char text[1024];
	snprintf(text, sizeof text,
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"%s\",\"uid\":\"%s\",\"generation\":%"
		"d},"
		"\"spec\":{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\","
		"\"keyvaultName\":\"vvv\",\"tenantID\":\"t\","
		"\"objects\":\"array:\\n- {objectName: a, objectType: secret}\\n\"}}}",
		name, uid, generation);
	return cJSON_Parse(text);
}

static void upsert_sync(const char *name, const char *uid, int generation, const char *class_name) {
	cJSON *json = sync_json(name, uid, generation, class_name);
	assert_int_equal(store_upsert(store, STORE_SYNCS, json), OK);
	cJSON_Delete(json);
}

static void delete_sync(const char *name, const char *uid) {
	cJSON *json = sync_json(name, uid, 1, "c");
	assert_int_equal(store_delete(store, STORE_SYNCS, json), OK);
	cJSON_Delete(json);
}

static void upsert_class(const char *name, const char *uid, int generation) {
	cJSON *json = class_json(name, uid, generation);
	assert_int_equal(store_upsert(store, STORE_CLASSES, json), OK);
	cJSON_Delete(json);
}

static void delete_class(const char *name) {
	cJSON *json = class_json(name, "u", 1);
	assert_int_equal(store_delete(store, STORE_CLASSES, json), OK);
	cJSON_Delete(json);
}

static struct object *find(const char *key) {
	return store_find_sync(store, str_of(key));
}

static void turn_out(void) {
	while (store_turn(store)) {
	}
}

static void test_publish(void **state) {
	(void)state;
	upsert_class("c", "cu", 1);
	upsert_sync("a", "u1", 1, "c");
	assert_string_equal(run_queue(), "n/a ");
	struct object *object = find("n/a");
	assert_non_null(object);
	assert_string_equal(object->status.other_hash, "kv1:u1:00");
	struct spec *spec = spec_borrow(object);
	struct spc *spc = spc_borrow(spec->cell);
	assert_true(str_eq(spc->access->vault_url, STR("https://vvv.vault.azure.net")));
	upsert_sync("a", "u1", 2, "c");
	upsert_class("c", "cu", 2);
	turn_out();
	/* What a reconcile has borrowed lives on; the next one sees the new. */
	assert_int_equal(spec->generation, 1);
	assert_int_equal(spc->generation, 1);
	assert_int_equal(object->spec->generation, 2);
	assert_int_equal(object->spec->cell->now->generation, 2);
	assert_string_equal(run_queue(), "n/a ");
	spec_unref(spec);
	spc_unref(spc);
}

/* Our own status write comes back as an update: nothing may follow from it. */
static void test_own_status_write_is_silent(void **state) {
	(void)state;
	upsert_class("c", "cu", 1);
	upsert_sync("a", "u1", 1, "c");
	run_queue();
	turn_out();
	run_queue();
	struct spec *before = find("n/a")->spec;
	upsert_sync("a", "u1", 1, "c");
	upsert_class("c", "cu", 1);
	turn_out();
	assert_ptr_equal(find("n/a")->spec, before);
	assert_string_equal(run_queue(), "");
}

static void test_deletion_mark_is_a_change(void **state) {
	(void)state;
	upsert_sync("a", "u1", 1, "c");
	run_queue();
	cJSON *json = sync_json("a", "u1", 1, "c");
	cJSON_AddStringToObject(
		cJSON_GetObjectItem(json, "metadata"), "deletionTimestamp", "2026-01-01T00:00:00Z");
	assert_int_equal(store_upsert(store, STORE_SYNCS, json), OK);
	cJSON_Delete(json);
	assert_string_equal(run_queue(), "n/a ");
	assert_true(find("n/a")->spec->deleting);
}

static void test_another_uid_is_another_object(void **state) {
	(void)state;
	upsert_sync("a", "u1", 1, "c");
	run_queue();
	struct object *old = find("n/a");
	upsert_sync("a", "u2", 1, "c");
	struct object *new = find("n/a");
	assert_ptr_not_equal(old, new);
	assert_true(str_eq(object_uid(new), STR("u2")));
	assert_string_equal(new->status.other_hash, "kv1:u2:00");
	assert_int_equal(store_sync_count(store), 1);
	assert_int_equal(store_closing_count(store), 1);
	assert_string_equal(run_queue(), "-n/a n/a ");
	assert_int_equal(store_closing_count(store), 0);
	/* The late news of the first one's end does not hit the second. */
	delete_sync("a", "u1");
	assert_ptr_equal(find("n/a"), new);
	delete_sync("a", "u2");
	assert_null(find("n/a"));
}

/* A backup that was restored gives a new uid the status of the old one. */
static void test_another_uids_status_is_not_trusted(void **state) {
	(void)state;
	cJSON *json = sync_json("mine", "u-1", 1, "c"), *restored = sync_json("restored", "u-2", 1, "c");
	cJSON *status = cJSON_GetObjectItemCaseSensitive(restored, "status");
	cJSON_ReplaceItemInObject(status, "syncHash", cJSON_CreateString("kv1:u-1:00"));
	cJSON_AddStringToObject(status, "lastSuccessfulSyncTime", "2026-11-24T03:14:15Z");
	assert_int_equal(store_upsert(store, STORE_SYNCS, json), OK);
	assert_int_equal(store_upsert(store, STORE_SYNCS, restored), OK);
	assert_true(status_has_synced(&store_find_sync(store, STR("n/mine"))->status));
	assert_false(status_has_synced(&store_find_sync(store, STR("n/restored"))->status));
	assert_int_equal(store_find_sync(store, STR("n/restored"))->status.last_successful_s, 0);
	run_queue();
	const char *const gone[] = { "mine", "restored" };
	for (int i = 0; i < 2; i++) {
		cJSON *again = i ? restored : json;
		assert_int_equal(store_delete(store, STORE_SYNCS, again), OK);
		assert_non_null(strstr(run_queue(), gone[i]));
		cJSON_Delete(again);
	}
}

/* A backup was restored: uid and generation look alike, and are not what they were. */
static void test_a_distrusted_list_begins_anew(void **state) {
	(void)state;
	upsert_class("c", "cu", 1);
	upsert_sync("a", "u1", 1, "c");
	assert_string_equal(run_queue(), "n/a ");
	struct object *object = find("n/a");
	/* What a worker has learned since, of a state that is not there any more. */
	object->attempted = object->reads = object->unreported = true;
	object->force_hash = 7;
	mem_free(object->status.other_hash);
	object->status.other_hash = mem_strdup(STR("kv1:u1:later"));
	object->status.hash = HASH_OTHER;
	upsert_sync("a", "u1", 1, "c");
	assert_string_equal(run_queue(), "");
	store_distrust(store, STORE_SYNCS, 100 * NS_PER_S);
	store_list_begin(store, STORE_SYNCS);
	upsert_sync("a", "u1", 1, "c");
	upsert_sync("a", "u1", 1, "c"); /* the list began again */
	assert_string_equal(run_queue(), "n/a ");
	assert_ptr_equal(find("n/a"), object);
	assert_string_equal(object->status.other_hash, "kv1:u1:later"); /* the home takes it, not main */
	assert_true(object_hear(object, 1000 * NS_PER_S));
	assert_string_equal(object->status.other_hash, "kv1:u1:00");
	assert_false(object->attempted || object->reads || object->unreported || object->force_hash);
	store_list_end(store, STORE_SYNCS);
	upsert_sync("a", "u1", 1, "c");
	assert_string_equal(run_queue(), "");
	assert_false(object_hear(object, 1000 * NS_PER_S));
	/* A status that was reported since then may be our own, in a state that it does not speak of. */
	object->reported_at = object_report_clock(100 * NS_PER_S);
	upsert_sync("a", "u1", 1, "c");
	assert_string_equal(run_queue(), "");
	store_distrust(store, STORE_SYNCS, 120 * NS_PER_S);
	upsert_sync("a", "u1", 1, "c");
	assert_false(object_hear(object, 1000 * NS_PER_S));
	store_distrust(store, STORE_SYNCS, 100 * NS_PER_S);
	upsert_sync("a", "u1", 1, "c");
	assert_true(object_hear(object, 1000 * NS_PER_S));
	assert_int_equal(object->status.hash, HASH_NONE);
	assert_string_equal(run_queue(), "n/a ");
	/* Told, and never heard. */
	store_distrust(store, STORE_SYNCS, 100 * NS_PER_S);
	upsert_sync("a", "u1", 1, "c");
}

/* A list after a gap: what has another resourceVersion is heard anew, what has not is not looked at. */
static void test_a_list_after_a_gap(void **state) {
	(void)state;
	static const char *const versions[] = { "5", "5", "6" };
	upsert_class("c", "cu", 1);
	for (unsigned i = 0; i < 3; i++) {
		cJSON *json = sync_json("a", "u1", 1, "c");
		cJSON_AddStringToObject(cJSON_GetObjectItem(json, "metadata"), "resourceVersion", versions[i]);
		if (i) store_list_begin(store, STORE_SYNCS);
		struct object_meta meta = { 0 };
		assert_int_equal(object_meta_read(json, &meta), OK);
		assert_int_equal(store_knows(store, STORE_SYNCS, &meta), i == 1);
		assert_int_equal(store_upsert(store, STORE_SYNCS, json), OK);
		assert_string_equal(run_queue(), i == 1 ? "" : "n/a ");
		struct object *object = find("n/a");
		object->attempted = true;
		assert_false(object_hear(object, 1000 * NS_PER_S));
		assert_true(object->attempted); /* it is what we wrote: nothing begins anew */
		if (i) store_list_end(store, STORE_SYNCS);
		/* The same by a watch is our own status write. */
		cJSON_ReplaceItemInObject(cJSON_GetObjectItem(json, "metadata"), "resourceVersion", cJSON_CreateString("7"));
		if (i == 2) assert_int_equal(store_upsert(store, STORE_SYNCS, json), OK);
		assert_string_equal(run_queue(), "");
		cJSON_Delete(json);
	}
}

static void test_a_distrusted_class_is_another(void **state) {
	(void)state;
	upsert_class("c", "cu", 1);
	upsert_sync("a", "u1", 1, "c");
	run_queue();
	store_distrust(store, STORE_CLASSES, 100 * NS_PER_S);
	struct object_meta meta = { .ns = STR("n"), .name = STR("c"), .uid = STR("cu"), .generation = 1 };
	assert_false(store_knows(store, STORE_CLASSES, &meta));
	upsert_class("c", "cu", 1);
	turn_out();
	assert_string_equal(run_queue(), "n/a ");
}

static void test_class_tells_its_objects(void **state) {
	(void)state;
	upsert_sync("a", "u1", 1, "c");
	upsert_sync("b", "u2", 1, "other");
	run_queue();
	assert_null(find("n/a")->spec->cell->now);
	upsert_class("c", "cu", 1);
	turn_out();
	assert_string_equal(run_queue(), "n/a ");
	assert_int_equal(store_class_count(store), 1);
	delete_class("c");
	turn_out();
	assert_string_equal(run_queue(), "n/a ");
	assert_null(find("n/a")->spec->cell->now);
	assert_int_equal(store_class_count(store), 0);
	/* A change of class moves the object. */
	upsert_sync("a", "u1", 2, "other");
	run_queue();
	upsert_class("c", "cu", 2);
	turn_out();
	assert_string_equal(run_queue(), "");
	upsert_class("other", "ou", 1);
	turn_out();
	assert_string_equal(run_queue(), "n/b n/a ");
}

/* Behind a list of many a turn looks at a slice of them, though none is gone. */
static void test_a_sweep_looks_in_slices(void **state) {
	(void)state;
	enum { COUNT = 5000, LEAST_BUCKETS = 2048, SLICE = 1000 };
	char name[32], uid[32];
	store_list_begin(store, STORE_SYNCS);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "s%d", i);
		snprintf(uid, sizeof uid, "u%d", i);
		upsert_sync(name, uid, 1, "c");
	}
	store_list_end(store, STORE_SYNCS);
	int turns = 1;
	while (store_turn(store)) turns++;
	assert_true(turns > LEAST_BUCKETS / SLICE);
	assert_int_equal(store_sync_count(store), COUNT);
	run_queue();
}

/* What is on its way to be told may be deleted, moved, or changed once more meanwhile. */
static void test_fanout_in_slices(void **state) {
	(void)state;
	enum { COUNT = 5000 };
	char name[32], uid[32];
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "s%d", i);
		snprintf(uid, sizeof uid, "u%d", i);
		upsert_sync(name, uid, 1, "c");
	}
	run_queue();
	upsert_class("c", "cu", 1);
	assert_true(store_turn(store));
	assert_true(queue_item_state(&find("n/s0")->item) & QUEUE_QUEUED);
	assert_false(queue_item_state(&find("n/s4999")->item) & QUEUE_QUEUED);
	delete_sync("s4998", "u4998");
	upsert_sync("s4997", "u4997", 2, "other");
	run_queue();
	upsert_class("c", "cu", 2);
	turn_out();
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "n/s%d", i);
		if (i == 4998) continue;
		bool queued = queue_item_state(&find(name)->item) & QUEUE_QUEUED;
		if (queued != (i != 4997)) fail_msg("%s: queued %d", name, queued);
	}
}

/* Two classes are to be told at once; the one whose turn it is loses class and objects meanwhile. */
static void test_fanout_of_what_goes(void **state) {
	(void)state;
	enum { COUNT = 2500 };
	char name[32], uid[32];
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "s%d", i);
		snprintf(uid, sizeof uid, "u%d", i);
		upsert_sync(name, uid, 1, "c");
	}
	upsert_sync("last", "ul", 1, "d");
	run_queue();
	upsert_class("c", "cu", 1);
	upsert_class("d", "du", 1);
	assert_true(store_turn(store));
	assert_false(queue_item_state(&find("n/last")->item) & QUEUE_QUEUED);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "s%d", i);
		snprintf(uid, sizeof uid, "u%d", i);
		delete_sync(name, uid);
	}
	delete_class("c");
	assert_int_equal(store_class_count(store), 1);
	turn_out();
	assert_true(queue_item_state(&find("n/last")->item) & QUEUE_QUEUED);
	upsert_class("c", "cu", 1);
	upsert_sync("new", "un", 1, "c");
	run_queue();
	upsert_class("c", "cu", 2);
	turn_out();
	assert_string_equal(run_queue(), "n/new ");
}

/* Of what repeats in a fleet there is one, until nobody has it any more. */
static void test_what_repeats_is_shared(void **state) {
	(void)state;
	upsert_class("c", "cu", 1);
	upsert_class("d", "du", 1);
	upsert_sync("a", "u1", 1, "c");
	upsert_sync("b", "u2", 1, "d");
	const struct spec *a = find("n/a")->spec, *b = find("n/b")->spec;
	assert_ptr_equal(a->common, b->common);
	assert_ptr_equal(a->cell->now->access, b->cell->now->access);
	assert_ptr_not_equal(a->cell->now, b->cell->now);
	cJSON *json = sync_json("b", "u2", 2, "d");
	cJSON_SetValuestring(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "spec"), "serviceAccountName"), "other");
	assert_int_equal(store_upsert(store, STORE_SYNCS, json), OK);
	cJSON_Delete(json);
	turn_out();
	b = find("n/b")->spec;
	assert_ptr_not_equal(find("n/a")->spec->common, b->common);
	assert_true(str_eq(b->common->service_account, STR("other")));
	assert_true(str_eq(find("n/a")->spec->common->service_account, STR("sa")));
}

static void test_relist(void **state) {
	(void)state;
	store_list_begin(store, STORE_SYNCS);
	upsert_sync("a", "u1", 1, "c");
	upsert_sync("b", "u2", 1, "c");
	store_list_end(store, STORE_SYNCS);
	upsert_class("c", "cu", 1);
	upsert_class("d", "du", 1);
	turn_out();
	run_queue();
	assert_int_equal(store_sync_count(store), 2);
	/* A list that breaks off deletes nothing. */
	store_list_begin(store, STORE_SYNCS);
	upsert_sync("b", "u2", 1, "c");
	turn_out();
	assert_int_equal(store_sync_count(store), 2);
	store_list_begin(store, STORE_SYNCS);
	upsert_sync("a", "u1", 1, "c");
	upsert_sync("x", "u3", 1, "c");
	store_list_end(store, STORE_SYNCS);
	turn_out();
	assert_null(find("n/b"));
	assert_non_null(find("n/a"));
	assert_non_null(find("n/x"));
	assert_string_equal(run_queue(), "n/x -n/b ");
	store_list_begin(store, STORE_CLASSES);
	upsert_class("d", "du", 1);
	store_list_end(store, STORE_CLASSES);
	turn_out();
	assert_int_equal(store_class_count(store), 1);
	assert_string_equal(run_queue(), "n/a n/x ");
	assert_null(find("n/a")->spec->cell->now);
}

/* An object that the watch brings between the end of a list and its sweep stays. */
static void test_sweep_in_slices(void **state) {
	(void)state;
	char name[32], uid[32];
	for (int i = 0; i < 1200; i++) {
		snprintf(name, sizeof name, "s%d", i);
		snprintf(uid, sizeof uid, "u%d", i);
		upsert_sync(name, uid, 1, "c");
	}
	run_queue();
	store_list_begin(store, STORE_SYNCS);
	store_list_end(store, STORE_SYNCS);
	assert_true(store_turn(store));
	assert_in_range(store_sync_count(store), 1, 1199);
	upsert_sync("s1199", "u1199", 1, "c");
	turn_out();
	assert_int_equal(store_sync_count(store), 1);
	assert_non_null(find("n/s1199"));
	assert_int_equal(store_closing_count(store), 1199);
}

static bool knows(enum store_kind kind, const char *name, const char *uid, int64_t generation, bool deleting) {
	struct object_meta meta = { .ns = STR("n"), .name = str_of(name), .uid = str_of(uid),
		.generation = generation, .deleting = deleting };
	return store_knows(store, kind, &meta);
}

/* What an upsert would do nothing about; and it counts as seen. */
static void test_what_is_known(void **state) {
	(void)state;
	upsert_sync("a", "u1", 1, "c");
	upsert_class("c", "cu", 2);
	assert_true(knows(STORE_SYNCS, "a", "u1", 1, false));
	assert_false(knows(STORE_SYNCS, "a", "u1", 2, false));
	assert_false(knows(STORE_SYNCS, "a", "u2", 1, false));
	assert_false(knows(STORE_SYNCS, "a", "u1", 1, true));
	assert_false(knows(STORE_SYNCS, "b", "u1", 1, false));
	assert_true(knows(STORE_CLASSES, "c", "cu", 2, false));
	assert_false(knows(STORE_CLASSES, "c", "cu", 3, false));
	assert_false(knows(STORE_CLASSES, "c", "cx", 2, false));
	assert_false(knows(STORE_CLASSES, "a", "u1", 1, false));
	char long_name[600];
	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	assert_false(knows(STORE_SYNCS, long_name, "u1", 1, false));
	upsert_sync("gone", "u2", 1, "c");
	store_list_begin(store, STORE_SYNCS);
	store_list_begin(store, STORE_CLASSES);
	assert_true(knows(STORE_SYNCS, "a", "u1", 1, false));
	assert_true(knows(STORE_CLASSES, "c", "cu", 2, false));
	store_list_end(store, STORE_SYNCS);
	store_list_end(store, STORE_CLASSES);
	turn_out();
	assert_non_null(find("n/a"));
	assert_null(find("n/gone"));
	assert_int_equal(store_class_count(store), 1);
	run_queue();
}

static void test_bad_objects(void **state) {
	(void)state;
	cJSON *json = cJSON_Parse("{\"metadata\":{\"name\":\"a\"}}");
	assert_int_equal(store_upsert(store, STORE_SYNCS, json), ERR_INVALID);
	assert_int_equal(store_upsert(store, STORE_CLASSES, json), ERR_INVALID);
	assert_int_equal(store_delete(store, STORE_SYNCS, json), ERR_INVALID);
	cJSON_Delete(json);
	delete_sync("unknown", "u");
	delete_class("unknown");
	assert_int_equal(store_sync_count(store), 0);
}

static void test_no_memory(void **state) {
	(void)state;
	cJSON *sync = sync_json("a", "u1", 1, "c"), *class = class_json("c", "cu", 1);
	cJSON *newer = sync_json("a", "u1", 2, "d");
	const struct {
		enum store_kind kind;
		const cJSON *json;
	} cases[] = { { STORE_SYNCS, sync }, { STORE_CLASSES, class }, { STORE_SYNCS, newer } };
	for (int i = 0; i < 3; i++) {
		enum err err = ERR_NOMEM;
		for (uint64_t nth = 1; err == ERR_NOMEM; nth++) {
			mem_fail_at(nth);
			err = store_upsert(store, cases[i].kind, cases[i].json);
			bool reached = mem_fail_reached();
			mem_fail_at(0);
			if (!reached) assert_int_equal(err, OK);
		}
		assert_int_equal(err, OK);
	}
	turn_out();
	assert_int_equal(find("n/a")->spec->generation, 2);
	assert_string_equal(run_queue(), "n/a ");
	cJSON_Delete(sync);
	cJSON_Delete(class);
	cJSON_Delete(newer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_publish),
		TEST(test_own_status_write_is_silent),
		TEST(test_deletion_mark_is_a_change),
		TEST(test_another_uid_is_another_object),
		TEST(test_another_uids_status_is_not_trusted),
		TEST(test_a_distrusted_list_begins_anew),
		TEST(test_a_list_after_a_gap),
		TEST(test_a_distrusted_class_is_another),
		TEST(test_class_tells_its_objects),
		TEST(test_a_sweep_looks_in_slices),
		TEST(test_fanout_in_slices),
		TEST(test_fanout_of_what_goes),
		TEST(test_what_repeats_is_shared),
		TEST(test_relist),
		TEST(test_sweep_in_slices),
		TEST(test_bad_objects),
		TEST(test_what_is_known),
		TEST(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
