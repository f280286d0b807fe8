/* Good and failed items: who is which, what types demand, and a message that stays whole however long it gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "clients/json.h"
#include "workers/sync.h"

enum { MANY = 700 };

/* A reconcile of `count` items, each with an object and a read of its own. */
struct bench {
	struct sync sync;
	struct spec_common common;
	struct spec spec;
	struct spc_access access;
	struct spc spc;
	struct object object;
	struct worker worker;
	struct spec_item items[MANY];
	struct spc_object objects[MANY];
	struct sync_read reads[MANY];
	struct sync_value values[MANY];
	char names[MANY][256];
};

static struct bench *bench_create(unsigned count, const char *type) {
	struct bench *b = mem_zalloc(sizeof *b);
	assert_non_null(b);
	for (unsigned i = 0; i < count; i++) {
		snprintf(b->names[i], sizeof b->names[i], "object-%u", i);
		b->items[i] = (struct spec_item){ str_of(b->names[i]), str_of(b->names[i]) };
		b->objects[i] = (struct spc_object){ .name = str_of(b->names[i]), .path = str_of(b->names[i]) };
		b->reads[i] = (struct sync_read){ .sync = &b->sync,
			.object = &b->objects[i],
			.values = &b->values[i],
			.value_count = 1,
			.done = true };
		b->values[i] = (struct sync_value){ .needed = true, .known = true, .fetched = true };
	}
	b->common = (struct spec_common){ .type = str_of(type) };
	b->spec = (struct spec){ .common = &b->common,
		.uid = "uid",
		.items = b->items,
		.item_count = count };
	b->spc = (struct spc){ .access = &b->access, .objects = b->objects, .object_count = count };
	b->worker.settings.partial = true;
	b->sync = (struct sync){ .spec = &b->spec,
		.spc = &b->spc,
		.object = &b->object,
		.worker = &b->worker,
		.step = &STEP_FETCH,
		.reads = b->reads,
		.read_count = count };
	return b;
}

static void item_fails(struct bench *b, unsigned item, enum err err, const char *code) {
	b->values[item].known = b->values[item].fetched = false;
	b->reads[item].fault = fault_make(err, "object-%u could not be read: %0300d", item, 7);
	snprintf(b->reads[item].fault.code, FAULT_CODE_BYTES, "%s", code);
}

static void item_named(struct bench *b, unsigned item, const char *key) {
	b->items[item].target_key = str_of(key);
}

static void good_items_go_on(void **state) {
	(void)state;
	struct bench *b = bench_create(2, "Opaque");
	assert_null(sync_judge_items(&b->sync));
	assert_false(b->sync.partial);
	item_fails(b, 1, ERR_NOT_FOUND, "SecretNotFound");
	assert_null(sync_judge_items(&b->sync));
	assert_true(b->sync.partial);
	assert_string_equal(b->sync.item_fault.code, "SecretNotFound");
	assert_int_equal(b->sync.fault.err, OK);
	assert_int_equal(sync_item_fault(&b->sync, 0, NULL), OK);
	assert_int_equal(sync_item_fault(&b->sync, 1, NULL), ERR_NOT_FOUND);
	mem_free(b);
}

static void without_partial_sync_one_failure_is_all(void **state) {
	(void)state;
	struct bench *b = bench_create(2, "Opaque");
	b->worker.settings.partial = false;
	item_fails(b, 1, ERR_NOT_FOUND, "SecretNotFound");
	assert_ptr_equal(sync_judge_items(&b->sync), &STEP_STATUS);
	assert_false(b->sync.partial);
	assert_int_equal(b->sync.blame, BLAME_PROVIDER);
	mem_free(b);
}

static void when_all_fail_nothing_is_partial(void **state) {
	(void)state;
	struct bench *b = bench_create(2, "Opaque");
	item_fails(b, 0, ERR_DENIED, "ForbiddenByRbac");
	b->items[1].source_path = STR("nowhere");
	assert_ptr_equal(sync_judge_items(&b->sync), &STEP_STATUS);
	assert_string_equal(b->sync.fault.code, "ForbiddenByRbac");
	assert_int_equal(b->sync.blame, BLAME_PROVIDER);
	b->items[0].source_path = STR("nowhere");
	assert_ptr_equal(sync_judge_items(&b->sync), &STEP_STATUS);
	assert_int_equal(b->sync.blame, BLAME_INPUT);
	assert_true(str_find(str_of(b->sync.fault.text), STR("data[0].sourcePath \"nowhere\"")) != SIZE_MAX);
	mem_free(b);
}

static void what_may_pass_soonest_decides_about_the_retry(void **state) {
	(void)state;
	struct bench *b = bench_create(3, "Opaque");
	item_fails(b, 0, ERR_NOT_FOUND, "SecretNotFound");
	item_fails(b, 1, ERR_UNAVAILABLE, "503");
	assert_null(sync_judge_items(&b->sync));
	assert_int_equal(b->sync.item_fault.err, ERR_UNAVAILABLE);
	mem_free(b);
}

static void a_certificate_and_its_key_change_together(void **state) {
	(void)state;
	struct bench *b = bench_create(3, "kubernetes.io/tls");
	item_named(b, 0, "tls.crt");
	item_named(b, 1, "tls.key");
	item_fails(b, 2, ERR_NOT_FOUND, "SecretNotFound");
	assert_null(sync_judge_items(&b->sync));
	assert_true(b->sync.partial);
	item_fails(b, 1, ERR_THROTTLED, "");
	assert_ptr_equal(sync_judge_items(&b->sync), &STEP_STATUS);
	assert_int_equal(b->sync.fault.err, ERR_THROTTLED);
	mem_free(b);
}

static void a_new_secret_needs_what_its_type_demands(void **state) {
	(void)state;
	struct fault fault = { 0 };
	struct bench *b = bench_create(3, "kubernetes.io/basic-auth");
	item_named(b, 0, "username");
	item_named(b, 1, "password");
	item_fails(b, 0, ERR_NOT_FOUND, "SecretNotFound");
	assert_null(sync_judge_items(&b->sync));
	assert_true(sync_can_create(&b->sync, &fault));
	item_fails(b, 1, ERR_NOT_FOUND, "SecretNotFound");
	assert_null(sync_judge_items(&b->sync));
	assert_false(sync_can_create(&b->sync, &fault));
	b->common.type = STR("kubernetes.io/dockerconfigjson");
	item_named(b, 1, ".dockerconfigjson");
	assert_false(sync_can_create(&b->sync, &fault));
	assert_true(str_find(str_of(fault.text), STR("\".dockerconfigjson\", which type")) != SIZE_MAX);
	b->common.type = STR("Opaque");
	assert_true(sync_can_create(&b->sync, &fault));
	mem_free(b);
}

static cJSON *message_of(struct bench *b) {
	struct buf text;
	struct fault fault = { 0 };
	cJSON *json = NULL;
	buf_init(&text, STATUS_MESSAGE_BYTES);
	sync_write_items(&b->sync, &text);
	assert_int_equal(buf_err(&text), OK);
	assert_int_equal(json_parse(buf_str(&text), &json, &fault), OK);
	buf_deinit(&text);
	return json;
}

static void assert_member(const cJSON *json, int index, const char *key, const char *value) {
	assert_true(str_eq(json_str(cJSON_GetArrayItem(json, index), key), str_of(value)));
}

static void the_message_has_one_entry_per_item(void **state) {
	(void)state;
	struct bench *b = bench_create(3, "Opaque");
	struct status_object there = { .name = b->names[1] };
	item_fails(b, 1, ERR_NOT_FOUND, "SecretNotFound");
	item_fails(b, 2, ERR_TIMEOUT, "");
	b->sync.status = (struct status){ .objects = &there, .object_count = 1 };
	cJSON *json = message_of(b);
	assert_int_equal(cJSON_GetArraySize(json), 3);
	assert_member(json, 0, "result", "synced");
	assert_member(json, 0, "targetKey", "object-0");
	assert_null(json_str(cJSON_GetArrayItem(json, 0), "message").ptr);
	assert_member(json, 1, "result", "kept");
	assert_member(json, 1, "sourcePath", "object-1");
	assert_member(json, 1, "code", "SecretNotFound");
	assert_member(json, 2, "result", "missing");
	assert_member(json, 2, "code", "no answer in time");
	assert_true(str_starts(json_str(cJSON_GetArrayItem(json, 2), "message"), STR("object-2 could")));
	cJSON_Delete(json);
	b->sync.status = (struct status){ 0 };
	json = message_of(b);
	assert_member(json, 1, "result", "failed");
	cJSON_Delete(json);
	mem_free(b);
}

static void a_long_message_stays_whole_and_within_the_limit(void **state) {
	(void)state;
	/* The texts are cut first, then the good ones are counted, then the failed ones. */
	struct bench *b = bench_create(MANY, "Opaque");
	for (unsigned i = 0; i < 60; i++) item_fails(b, i, ERR_NOT_FOUND, "SecretNotFound");
	cJSON *json = message_of(b);
	int count = cJSON_GetArraySize(json);
	assert_member(json, 59, "sourcePath", "object-59");
	assert_int_equal(json_i64(cJSON_GetArrayItem(json, count - 1), "items", 0), MANY - 60);
	cJSON_Delete(json);
	for (unsigned i = 0; i < MANY - 1; i++) item_fails(b, i, ERR_NOT_FOUND, "SecretNotFound");
	json = message_of(b);
	count = cJSON_GetArraySize(json);
	assert_int_equal(json_i64(cJSON_GetArrayItem(json, count - 1), "items", 0), MANY - count + 1);
	assert_true(count > 20);
	cJSON_Delete(json);
	mem_free(b);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_items_go_on),
		cmocka_unit_test(without_partial_sync_one_failure_is_all),
		cmocka_unit_test(when_all_fail_nothing_is_partial),
		cmocka_unit_test(what_may_pass_soonest_decides_about_the_retry),
		cmocka_unit_test(a_certificate_and_its_key_change_together),
		cmocka_unit_test(a_new_secret_needs_what_its_type_demands),
		cmocka_unit_test(the_message_has_one_entry_per_item),
		cmocka_unit_test(a_long_message_stays_whole_and_within_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
