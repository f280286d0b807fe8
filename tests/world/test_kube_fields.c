/* Who owns which field: POST, merge patch, apply, foreign edits, and managedFields that are edited themselves. */
#include "tests/world/test_kube.h"

#define POST_AB "{'metadata':{'name':'s'},'data':{'a':'MQ==','b':'Mg=='}}"
#define BOTH "{'apiVersion':'v1','kind':'Secret','data':{'a':'MQ==','b':'Mg=='}}"
#define ONLY_A "{'apiVersion':'v1','kind':'Secret','data':{'a':'MQ=='}}"
#define FORCE SECRETS "/s?" US "&force=true"

static bool has_key(const struct fixture *f, const char *key) {
	return kj_get2(f->json, "data", key) != NULL;
}

static void test_post_owns_by_update(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", SECRETS "?" US, NULL, POST_AB), 201);
	assert_string_equal(fields_text(f, "us", "Update"), "{'f:data':{'.':{},'f:a':{},'f:b':{}},'f:type':{}}");
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "metadata.managedFields")), 1);
}

static void test_apply_leaves_what_post_owns(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS "?" US, NULL, POST_AB);
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, ONLY_A), 200);
	assert_true(has_key(f, "b"));
	assert_string_equal(fields_text(f, "us", "Apply"), "{'f:data':{'f:a':{}}}");
	assert_string_equal(fields_text(f, "us", "Update"), "{'f:data':{'.':{},'f:a':{},'f:b':{}},'f:type':{}}");
	/* An apply that changed no field leaves no time behind. */
	const cJSON *entry = world_json_at(f->json, "metadata.managedFields")->child;
	assert_string_equal(kj_text(entry, "operation"), "Apply");
	assert_null(kj_get(entry, "time"));
}

static void fold(struct fixture *f) {
	assert_int_equal(ask(f, "PATCH", SECRETS "/s?" US, JSON_PATCH,
			     "[{'op':'replace','path':'/metadata/managedFields','value':[{'manager':'us','operation':'Apply',"
			     "'apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{'f:data':{'.':{},'f:a':{},'f:b':{}},"
			     "'f:type':{}}}]}]"),
			 200);
}

static void test_folded_entry_is_pruned_by_the_next_apply(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS "?" US, NULL, POST_AB);
	fold(f);
	assert_string_equal(fields_text(f, "us", "Update"), "");
	assert_string_equal(fields_text(f, "us", "Apply"), "{'f:data':{'.':{},'f:a':{},'f:b':{}},'f:type':{}}");
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, ONLY_A), 200);
	assert_false(has_key(f, "b"));
	assert_true(has_key(f, "a"));
}

static void test_apply_prunes_its_own(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, BOTH), 201);
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, ONLY_A), 200);
	assert_false(has_key(f, "b"));
}

static void test_same_apply_writes_nothing(void **state) {
	struct fixture *f = *state;
	ask(f, "PATCH", FORCE, APPLY, BOTH);
	int64_t rv = kube_resource_version(f->world);
	pass_ms(f, 5000);
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, BOTH), 200);
	assert_int_equal(kube_resource_version(f->world), rv);
}

/* What the server drops on the way to storage must not count as a change. */
static void test_empty_labels_write_nothing(void **state) {
	struct fixture *f = *state;
	const char *body = "{'apiVersion':'v1','kind':'Secret','metadata':{'labels':{}},'data':{'a':'MQ=='}}";
	ask(f, "PATCH", FORCE, APPLY, body);
	int64_t rv = kube_resource_version(f->world);
	pass_ms(f, 5000);
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, body), 200);
	assert_int_equal(kube_resource_version(f->world), rv);
}

static void test_foreign_edit_takes_and_force_wins_back(void **state) {
	struct fixture *f = *state;
	ask(f, "PATCH", FORCE, APPLY, BOTH);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s?fieldManager=them", MERGE, "{'data':{'a':'OQ==','z':'OQ=='}}"), 200);
	assert_string_equal(fields_text(f, "them", "Update"), "{'f:data':{'f:a':{},'f:z':{}}}");
	assert_string_equal(fields_text(f, "us", "Apply"), "{'f:data':{'f:b':{}}}");
	assert_int_equal(ask(f, "PATCH", SECRETS "/s?" US, APPLY, BOTH), 409);
	assert_answer(f, "message", "Apply failed with 1 conflict: conflict with \"them\" using v1: .data.a");
	assert_string_equal(kj_text(world_json_at(f->json, "details.causes")->child, "field"), ".data.a");
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, BOTH), 200);
	assert_string_equal(fields_text(f, "them", "Update"), "{'f:data':{'f:z':{}}}");
	assert_string_equal(fields_text(f, "us", "Apply"), "{'f:data':{'f:a':{},'f:b':{}}}");
	assert_true(has_key(f, "z"));
}

static void test_equal_value_does_not_move(void **state) {
	struct fixture *f = *state;
	ask(f, "PATCH", FORCE, APPLY, BOTH);
	int64_t rv = kube_resource_version(f->world);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s?fieldManager=them", MERGE, "{'data':{'a':'MQ=='}}"), 200);
	assert_string_equal(fields_text(f, "them", "Update"), "");
	assert_int_equal(kube_resource_version(f->world), rv);
}

static void test_lists_by_key_are_shared(void **state) {
	struct fixture *f = *state;
	ask(f, "PATCH", THINGS "/t?" US, APPLY,
	    "{'apiVersion':'example.com/v1','kind':'Thing','spec':{'size':1,'parts':[{'name':'x','n':1}]}}");
	assert_int_equal(ask(f, "PATCH", THINGS "/t?fieldManager=them", APPLY,
			     "{'apiVersion':'example.com/v1','kind':'Thing','spec':{'parts':[{'name':'y','n':2}]}}"),
			 200);
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "spec.parts")), 2);
	assert_string_equal(fields_text(f, "them", "Apply"),
			    "{'f:spec':{'f:parts':{'k:{\\'name\\':\\'y\\'}':{'.':{},'f:n':{},'f:name':{}}}}}");
	ask(f, "PATCH", THINGS "/t?fieldManager=them", APPLY, "{'apiVersion':'example.com/v1','kind':'Thing'}");
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "spec.parts")), 1);
}

static void test_status_is_owned_apart(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS "?" US, NULL,
	    "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'t'},'spec':{'size':1}}");
	assert_int_equal(ask(f, "PATCH", THINGS "/t/status?" US, MERGE, "{'status':{'phase':'Good'},'spec':{'size':2}}"), 200);
	const cJSON *entries = world_json_at(f->json, "metadata.managedFields");
	assert_int_equal(cJSON_GetArraySize(entries), 2);
	const cJSON *entry, *found = NULL;
	cJSON_ArrayForEach(entry, entries) {
		if (kj_text(entry, "subresource")[0]) found = entry;
	}
	char *fields = kj_print_text(kj_get(found, "fieldsV1"));
	assert_string_equal(fields, "{\"f:status\":{\".\":{},\"f:phase\":{}}}");
	mem_free(fields);
	assert_int_equal((int)world_json_i64(f->json, "spec.size", 0), 1);
}

static void test_malformed_entries_are_dropped(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS "?" US, NULL, POST_AB);
	int64_t rv = kube_resource_version(f->world);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s?" US, JSON_PATCH,
			     "[{'op':'replace','path':'/metadata/managedFields','value':[{'manager':'us','operation':'Bogus',"
			     "'apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{}}]}]"),
			 200);
	assert_int_equal(kube_resource_version(f->world), rv);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s?" US, JSON_PATCH,
			     "[{'op':'replace','path':'/metadata/managedFields','value':[{}]}]"),
			 200);
	assert_null(world_json_at(f->json, "metadata.managedFields"));
	/* What was there before the first apply belongs to nobody in particular. */
	assert_int_equal(ask(f, "PATCH", FORCE, APPLY, ONLY_A), 200);
	assert_string_equal(fields_text(f, "before-first-apply", "Update"),
			    "{'f:data':{'.':{},'f:a':{},'f:b':{}},'f:type':{}}");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_post_owns_by_update),
		TEST(test_apply_leaves_what_post_owns),
		TEST(test_folded_entry_is_pruned_by_the_next_apply),
		TEST(test_apply_prunes_its_own),
		TEST(test_same_apply_writes_nothing),
		TEST(test_empty_labels_write_nothing),
		TEST(test_foreign_edit_takes_and_force_wins_back),
		TEST(test_equal_value_does_not_move),
		TEST(test_lists_by_key_are_shared),
		TEST(test_status_is_owned_apart),
		TEST(test_malformed_entries_are_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
