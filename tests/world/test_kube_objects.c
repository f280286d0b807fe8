/* Objects: create, guards of writes, what a Secret and a custom resource may be, deletion, owners, namespaces. */
#include "tests/world/test_kube.h"

#define POST_S "{'metadata':{'name':'s'},'data':{'a':'MQ=='}}"
#define POST_T "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'t'},'spec':{'size':1}}"

static void test_create_and_read(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", SECRETS, NULL, POST_S), 201);
	assert_answer(f, "type", "Opaque");
	assert_answer(f, "metadata.creationTimestamp", "2023-11-14T22:13:20Z");
	assert_int_equal(ask(f, "POST", SECRETS, NULL, POST_S), 409);
	assert_answer(f, "reason", "AlreadyExists");
	assert_answer(f, "message", "secrets \"s\" already exists");
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 200);
	assert_answer(f, "data.a", "MQ==");
	assert_int_equal(ask(f, "GET", SECRETS "/none", NULL, ""), 404);
	assert_int_equal(ask(f, "POST", "/api/v1/namespaces/none/secrets", NULL, POST_S), 404);
	assert_answer(f, "details.kind", "namespaces");
	assert_int_equal(ask(f, "GET", "/apis/none.example.com/v1/things", NULL, ""), 404);
	assert_null(f->json);
}

/* A body with uid and resourceVersion of the last answer. */
static char *guarded(const struct fixture *f, const char *uid, const char *rv, const char *kind) {
	return kj_format("{'apiVersion':'v1','kind':'%s','metadata':{'uid':'%s','resourceVersion':'%s'},'data':{'a':'OQ=='}}",
			 kind, uid ? uid : answer_text(f, "metadata.uid"), rv ? rv : answer_text(f, "metadata.resourceVersion"));
}

static int guarded_apply(struct fixture *f, const char *uid, const char *rv) {
	char *body = guarded(f, uid, rv, "Secret");
	int status = ask(f, "PATCH", SECRETS "/s?force=true&" US, APPLY, body);
	mem_free(body);
	return status;
}

static void test_guards_of_an_apply(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS, NULL, POST_S);
	char *uid = kj_strdup(str_of(answer_text(f, "metadata.uid")));
	char *rv = kj_strdup(str_of(answer_text(f, "metadata.resourceVersion")));
	assert_int_equal(guarded_apply(f, uid, rv), 200);
	assert_int_equal(guarded_apply(f, uid, rv), 409);
	assert_answer(f, "reason", "Conflict");
	assert_int_equal(guarded_apply(f, "another", ""), 422);
	assert_string_equal(kj_text(world_json_at(f->json, "details.causes")->child, "field"), "metadata.uid");
	assert_int_equal(ask(f, "DELETE", SECRETS "/s", NULL, ""), 200);
	assert_int_equal(guarded_apply(f, uid, rv), 409);
	assert_non_null(strstr(answer_text(f, "message"), "no existing object was found"));
	assert_int_equal(guarded_apply(f, "", rv), 201);
	mem_free(uid);
	mem_free(rv);
}

static void test_empty_patch_changes_nothing(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{}"), 404);
	ask(f, "POST", SECRETS, NULL, POST_S);
	int64_t rv = kube_resource_version(f->world);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{}"), 200);
	assert_int_equal(kube_resource_version(f->world), rv);
	assert_int_equal(kube_count_writes(f->world, "secrets"), 1);
}

static void test_merge_patch(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS, NULL, POST_S);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{'data':{'a':null,'b':'Mg=='},'metadata':{'labels':{'x':null}}}"),
			 200);
	assert_null(world_json_at(f->json, "data.a"));
	assert_answer(f, "data.b", "Mg==");
	assert_null(world_json_at(f->json, "metadata.labels"));
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "[]"), 400);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{"), 400);
}

static void test_json_patch(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS, NULL, POST_S);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", JSON_PATCH,
			     "[{'op':'test','path':'/metadata/name','value':'s'},{'op':'add','path':'/data/b','value':'Mg=='},"
			     "{'op':'add','path':'/metadata/annotations','value':{'x.y/z':'1'}},"
			     "{'op':'replace','path':'/metadata/annotations/x.y~1z','value':'2'},"
			     "{'op':'remove','path':'/data/a'}]"),
			 200);
	assert_null(world_json_at(f->json, "data.a"));
	assert_answer(f, "data.b", "Mg==");
	assert_string_equal(kj_text(world_json_at(f->json, "metadata.annotations"), "x.y/z"), "2");
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", JSON_PATCH, "[{'op':'test','path':'/metadata/uid','value':'x'}]"), 422);
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "details")), 0);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", JSON_PATCH, "[{'op':'remove','path':'/data/none'}]"), 422);
}

static void test_secret_rules(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'s'},'data':{'a/b':'MQ=='}}"), 422);
	assert_string_equal(kj_text(world_json_at(f->json, "details.causes")->child, "field"), "data[a/b]");
	assert_int_equal(ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'s'},'data':{'a':'MQ='}}"), 400);
	assert_int_equal(ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'s'},'type':'kubernetes.io/tls'}"), 422);
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "details.causes")), 2);
	assert_int_equal(ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'A B'}}"), 422);
	ask(f, "POST", SECRETS, NULL, POST_S);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{'type':'x/y'}"), 422);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{'immutable':true}"), 200);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{'data':{'a':'OQ=='}}"), 422);
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{'immutable':null}"), 422);
}

static int post_size(struct fixture *f, const char *name, size_t bytes) {
	char *value = kj_alloc(bytes + 1);
	memset(value, 'x', bytes);
	char *body = kj_format("{'metadata':{'name':'%s'},'stringData':{'a':'%s'}}", name, value);
	int status = ask(f, "POST", SECRETS, NULL, body);
	mem_free(body);
	mem_free(value);
	return status;
}

static void test_secret_size(void **state) {
	struct fixture *f = *state;
	assert_int_equal(post_size(f, "s", (1 << 20) + 1), 422);
	assert_string_equal(kj_text(world_json_at(f->json, "details.causes")->child, "reason"), "FieldValueTooLong");
	assert_int_equal(post_size(f, "s", 1 << 20), 201);
}

static void test_custom_resource_rules(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", THINGS, NULL, POST_T), 201);
	assert_answer(f, "spec.color", "blue");
	assert_int_equal((int)world_json_i64(f->json, "metadata.generation", 0), 1);
	assert_int_equal(ask(f, "PATCH", THINGS "/t", MERGE, "{'spec':{'none':1},'metadata':{'labels':{'a':'b'}}}"), 200);
	assert_null(world_json_at(f->json, "spec.none"));
	assert_int_equal((int)world_json_i64(f->json, "metadata.generation", 0), 1);
	assert_int_equal(ask(f, "PATCH", THINGS "/t", MERGE, "{'spec':{'size':2},'status':{'phase':'Good'}}"), 200);
	assert_int_equal((int)world_json_i64(f->json, "metadata.generation", 0), 2);
	assert_null(world_json_at(f->json, "status"));
	assert_int_equal(ask(f, "PATCH", THINGS "/t/status", MERGE, "{'status':{'phase':'Good'}}"), 200);
	assert_int_equal((int)world_json_i64(f->json, "metadata.generation", 0), 2);
	assert_int_equal(ask(f, "PATCH", THINGS "/t/status", MERGE, "{'status':{'phase':'Odd'}}"), 422);
	assert_int_equal(ask(f, "PATCH", THINGS "/t", MERGE, "{'spec':{'size':0,'color':'Green!'}}"), 422);
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "details.causes")), 3);
	assert_int_equal(ask(f, "PATCH", THINGS "/t", MERGE, "{'spec':{'parts':[{'name':'a'},{'name':'a'}]}}"), 422);
	assert_string_equal(kj_text(world_json_at(f->json, "details.causes")->child, "field"), "spec.parts[1]");
	assert_int_equal(ask(f, "PATCH", THINGS "/t", MERGE, "{'spec':{'size':null}}"), 422);
}

static void make_owned_secret(struct fixture *f, const char *finalizers) {
	assert_int_equal(ask(f, "POST", THINGS, NULL, POST_T), 201);
	char *body = kj_format("{'metadata':{'name':'s','finalizers':[%s],'ownerReferences':[{'apiVersion':'example.com/v1',"
			       "'kind':'Thing','name':'t','uid':'%s'}]}}",
			       finalizers, answer_text(f, "metadata.uid"));
	assert_int_equal(ask(f, "POST", SECRETS, NULL, body), 201);
	mem_free(body);
}

static void test_collected_with_owner(void **state) {
	struct fixture *f = *state;
	make_owned_secret(f, "");
	pass_ms(f, 5000);
	assert_int_equal(ask(f, "DELETE", THINGS "/t", NULL, ""), 200);
	assert_answer(f, "status", "Success");
	pass_ms(f, 999);
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 200);
	pass_ms(f, 2);
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 404);
}

static void test_collected_without_any_owner(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", SECRETS, NULL,
			     "{'metadata':{'name':'s','ownerReferences':[{'apiVersion':'example.com/v1','kind':'Thing','name':'t',"
			     "'uid':'never-was'}]}}"),
			 201);
	pass_ms(f, 1001);
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 404);
}

static void test_second_owner_keeps(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST_T);
	char *body = kj_format("{'metadata':{'name':'s','ownerReferences':[{'apiVersion':'example.com/v1','kind':'Thing',"
			       "'name':'t','uid':'%s'},{'apiVersion':'v1','kind':'X','name':'x','uid':'never-was'}]}}",
			       answer_text(f, "metadata.uid"));
	assert_int_equal(ask(f, "POST", SECRETS, NULL, body), 201);
	mem_free(body);
	pass_ms(f, 1001);
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 200);
	assert_int_equal(cJSON_GetArraySize(world_json_at(f->json, "metadata.ownerReferences")), 1);
}

static void test_orphaned(void **state) {
	struct fixture *f = *state;
	make_owned_secret(f, "");
	assert_int_equal(ask(f, "DELETE", THINGS "/t?propagationPolicy=Orphan", NULL, ""), 200);
	assert_non_null(world_json_at(f->json, "metadata.deletionTimestamp"));
	pass_ms(f, 2000);
	assert_int_equal(ask(f, "GET", THINGS "/t", NULL, ""), 404);
	pass_ms(f, 5000);
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 200);
	assert_null(world_json_at(f->json, "metadata.ownerReferences"));
}

static void test_finalizer_holds(void **state) {
	struct fixture *f = *state;
	make_owned_secret(f, "'example.com/hold'");
	ask(f, "DELETE", THINGS "/t", NULL, "");
	pass_ms(f, 2000);
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 200);
	assert_non_null(world_json_at(f->json, "metadata.deletionTimestamp"));
	assert_int_equal(ask(f, "POST", SECRETS, NULL, POST_S), 409);
	assert_answer(f, "message", "object is being deleted: secrets \"s\" already exists");
	assert_int_equal(ask(f, "PATCH", SECRETS "/s", MERGE, "{'metadata':{'finalizers':null}}"), 200);
	assert_int_equal(ask(f, "GET", SECRETS "/s", NULL, ""), 404);
}

static void test_namespace_ends(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", "/api/v1/namespaces", NULL, "{'metadata':{'name':'n'}}");
	pass_ms(f, 2000);
	assert_int_equal(ask(f, "GET", "/api/v1/namespaces/n/serviceaccounts/default", NULL, ""), 200);
	ask(f, "POST", "/api/v1/namespaces/n/secrets", NULL, POST_S);
	assert_int_equal(ask(f, "DELETE", "/api/v1/namespaces/n", NULL, ""), 200);
	assert_int_equal(ask(f, "POST", "/api/v1/namespaces/n/secrets", NULL, "{'metadata':{'name':'x'}}"), 403);
	assert_string_equal(kj_text(world_json_at(f->json, "details.causes")->child, "reason"), "NamespaceTerminating");
	pass_ms(f, 2000);
	assert_int_equal(ask(f, "GET", "/api/v1/namespaces/n", NULL, ""), 404);
	assert_null(kube_get(f->world, "secrets", "n", "s"));
}

static void test_delete_preconditions(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS, NULL, POST_S);
	assert_int_equal(ask(f, "DELETE", SECRETS "/s", NULL, "{'preconditions':{'uid':'x'}}"), 409);
	assert_int_equal(ask(f, "DELETE", SECRETS "/s", NULL, "{'preconditions':{'resourceVersion':'1'}}"), 409);
	assert_int_equal(ask(f, "DELETE", SECRETS "/s", NULL, ""), 200);
	assert_int_equal(ask(f, "DELETE", SECRETS "/s", NULL, ""), 404);
}

static void test_put(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", SECRETS, NULL, POST_S);
	assert_int_equal(ask(f, "PUT", SECRETS "/s", NULL, "{'metadata':{'name':'s','resourceVersion':'1'}}"), 409);
	assert_int_equal(ask(f, "PUT", SECRETS "/s", NULL, "{'metadata':{'name':'s','uid':'x'}}"), 409);
	assert_int_equal(ask(f, "PUT", SECRETS "/s", NULL, "{'metadata':{'name':'other'}}"), 400);
	assert_int_equal(ask(f, "PUT", SECRETS "/s", NULL, "{'metadata':{'name':'s'},'data':{'b':'MQ=='}}"), 200);
	assert_null(world_json_at(f->json, "data.a"));
	ask(f, "POST", THINGS, NULL, POST_T);
	assert_int_equal(ask(f, "PUT", THINGS "/t", NULL, POST_T), 422);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create_and_read),
		TEST(test_guards_of_an_apply),
		TEST(test_empty_patch_changes_nothing),
		TEST(test_merge_patch),
		TEST(test_json_patch),
		TEST(test_secret_rules),
		TEST(test_secret_size),
		TEST(test_custom_resource_rules),
		TEST(test_collected_with_owner),
		TEST(test_collected_without_any_owner),
		TEST(test_second_owner_keeps),
		TEST(test_orphaned),
		TEST(test_finalizer_holds),
		TEST(test_namespace_ends),
		TEST(test_delete_preconditions),
		TEST(test_put),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
