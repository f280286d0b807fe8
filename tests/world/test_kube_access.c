/* Who asks and what they may: tokens, rights, admission; and faults that are planned. */
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "tests/world/test_kube.h"

#define TOKEN "/api/v1/namespaces/default/serviceaccounts/default/token"

/* Asks as the server in front of the model does. */
static struct world_response *send_request(struct fixture *f, const char *method, const char *path,
					   const char *authorization, const char *accept, const char *body) {
	struct str query = str_of(path), only = str_next(&query, '?');
	struct world_request req = {
		.method = str_of(method),
		.path = only,
		.query = query.ptr ? query : STR(""),
		.headers = { { STR("content-type"), STR(MERGE) },
			     { STR("AUTHORIZATION"), str_of(authorization) },
			     { STR("Accept"), str_of(accept) } },
		.header_count = 3,
		.body = str_of(body),
	};
	if (strcmp(method, "POST") == 0) req.headers[0].value = STR("application/json");
	struct world_response *out = kj_alloc(sizeof(*out));
	world_response_init(out);
	kube_handle(f->world, f->now, &req, out);
	fixture_forget(f);
	f->json = kj_parse(buf_str(&out->body));
	return out;
}

static void response_free(struct world_response *out) {
	world_response_deinit(out);
	mem_free(out);
}

static int send_status(struct fixture *f, const char *method, const char *path, const char *authorization) {
	struct world_response *out = send_request(f, method, path, authorization, "application/json", "{}");
	int status = out->status;
	response_free(out);
	return status;
}

static void test_who_asks(void **state) {
	struct fixture *f = *state;
	assert_int_equal(send_status(f, "GET", SECRETS, "Bearer nobody"), 401);
	assert_int_equal(send_status(f, "GET", SECRETS, ""), 403);
	assert_answer(f, "message",
		      "secrets is forbidden: User \"system:anonymous\" cannot list resource \"secrets\" in API group \"\" in "
		      "the namespace \"default\"");
	assert_int_equal(send_status(f, "GET", "/readyz", ""), 200);
	kube_user_token(f->world, "jane", "secret-word");
	assert_int_equal(send_status(f, "GET", SECRETS "/s", "Bearer secret-word"), 403);
	kube_allow(f->world, "jane", "get,patch", "", "secrets", "default", NULL);
	assert_int_equal(send_status(f, "GET", SECRETS "/s", "Bearer secret-word"), 404);
	assert_int_equal(send_status(f, "GET", "/api/v1/namespaces/other/secrets/s", "Bearer secret-word"), 403);
	assert_int_equal(send_status(f, "GET", SECRETS, "Bearer secret-word"), 403);
	assert_int_equal(send_status(f, "GET", "/apis/example.com/v1/things", "Bearer secret-word"), 403);
	assert_non_null(strstr(answer_text(f, "message"), "at the cluster scope"));
	kube_disallow_all(f->world, "jane");
	assert_int_equal(send_status(f, "GET", SECRETS "/s", "Bearer secret-word"), 403);
}

static void test_apply_that_creates_needs_both_rights(void **state) {
	struct fixture *f = *state;
	kube_allow(f->world, "jane", "patch", "", "secrets", NULL, NULL);
	const char *body = "{'apiVersion':'v1','kind':'Secret'}";
	assert_int_equal(ask_as(f, "jane", "PATCH", SECRETS "/s?" US, APPLY, body), 403);
	assert_non_null(strstr(answer_text(f, "message"), "cannot create resource"));
	kube_allow(f->world, "jane", "create", "", "secrets", NULL, NULL);
	assert_int_equal(ask_as(f, "jane", "PATCH", SECRETS "/s?" US, APPLY, body), 201);
}

static void test_metadata_alone(void **state) {
	struct fixture *f = *state;
	kube_user_token(f->world, "jane", "w");
	kube_allow(f->world, "jane", "*", "*", "*", NULL, NULL);
	struct world_response *out = send_request(
		f, "POST", SECRETS, "Bearer w", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
		"{\"metadata\":{\"name\":\"s\"},\"data\":{\"a\":\"Y2FuYXJ5\"}}");
	assert_int_equal(out->status, 201);
	assert_answer(f, "kind", "PartialObjectMetadata");
	assert_null(world_json_at(f->json, "data"));
	assert_int_equal(str_find(buf_str(&out->body), STR("Y2FuYXJ5")), SIZE_MAX);
	response_free(out);
}

static void test_owners_are_changed_by_who_may_delete(void **state) {
	struct fixture *f = *state;
	kube_allow(f->world, "jane", "patch,create", "", "secrets", NULL, NULL);
	const char *owned = "{'metadata':{'name':'s','ownerReferences':[{'apiVersion':'v1','kind':'X','name':'x','uid':'u'}]}}";
	assert_int_equal(ask_as(f, "jane", "POST", SECRETS, NULL, owned), 201);
	assert_int_equal(ask_as(f, "jane", "PATCH", SECRETS "/s", MERGE, owned), 200);
	assert_int_equal(ask_as(f, "jane", "PATCH", SECRETS "/s", MERGE, "{'metadata':{'ownerReferences':null}}"), 403);
	kube_allow(f->world, "jane", "delete", "", "secrets", NULL, NULL);
	assert_int_equal(ask_as(f, "jane", "PATCH", SECRETS "/s", MERGE, "{'metadata':{'ownerReferences':null}}"), 200);
}

static int setup_enforcing(void **state) {
	return setup_with(state, &(struct kube_config){ .seed = 1, .gc_delay_ns = NS_PER_S, .owner_permission_enforcement = true });
}

static void test_policy(void **state) {
	struct fixture *f = *state;
	kube_policy_set(f->world, &(struct kube_policy){ .policy = "p", .binding = "b", .message = "no", .resource = "secrets" });
	assert_int_equal(ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'s'}}"), 422);
	assert_answer(f, "message",
		      "secrets \"s\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no");
	kube_policy_set(f->world, &(struct kube_policy){ .policy = "p", .binding = "b", .message = "no", .resource = "secrets",
							  .reason = "Forbidden" });
	assert_int_equal(ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'s'}}"), 403);
	kube_policy_set(f->world, NULL);
	assert_int_equal(ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'s'}}"), 201);
}

static void test_issued_token_works_until_it_expires(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", TOKEN, NULL, "{'kind':'TokenRequest','spec':{'expirationSeconds':599}}"), 422);
	assert_int_equal(ask(f, "POST", TOKEN, NULL, "{'kind':'TokenRequest','spec':{'expirationSeconds':600}}"), 201);
	assert_answer(f, "status.expirationTimestamp", "2023-11-14T22:23:20Z");
	char *bearer = kj_format("Bearer %s", answer_text(f, "status.token"));
	assert_int_equal(send_status(f, "GET", SECRETS, bearer), 403);
	assert_non_null(strstr(answer_text(f, "message"), "system:serviceaccount:default:default"));
	size_t last = strlen(bearer) - 2;
	bearer[last] = bearer[last] == 'A' ? 'B' : 'A';
	assert_int_equal(send_status(f, "GET", SECRETS, bearer), 401);
	mem_free(bearer);
	ask(f, "POST", TOKEN, NULL, "{'kind':'TokenRequest','spec':{'expirationSeconds':600}}");
	bearer = kj_format("Bearer %s", answer_text(f, "status.token"));
	pass_ms(f, 601000);
	assert_int_equal(send_status(f, "GET", SECRETS, bearer), 401);
	mem_free(bearer);
	ask(f, "POST", TOKEN, NULL, "{'kind':'TokenRequest','spec':{'audiences':['elsewhere']}}");
	bearer = kj_format("Bearer %s", answer_text(f, "status.token"));
	assert_int_equal(send_status(f, "GET", SECRETS, bearer), 401);
	mem_free(bearer);
}

static EVP_PKEY *key;

static int setup_signing(void **state) {
	key = EVP_RSA_gen(2048);
	assert_non_null(key);
	return setup_with(state, &(struct kube_config){ .seed = 1, .signing_key = key });
}

static int teardown_signing(void **state) {
	teardown(state);
	EVP_PKEY_free(key);
	return 0;
}

static void test_rsa_tokens(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, "POST", TOKEN, NULL, "{'kind':'TokenRequest'}"), 201);
	char *bearer = kj_format("Bearer %s", answer_text(f, "status.token"));
	assert_int_equal(send_status(f, "GET", SECRETS, bearer), 403);
	bearer[strlen(bearer) - 10] ^= 1;
	assert_int_equal(send_status(f, "GET", SECRETS, bearer), 401);
	mem_free(bearer);
	assert_int_equal(ask(f, "GET", "/openid/v1/jwks", NULL, ""), 200);
	const cJSON *jwk = world_json_at(f->json, "keys")->child;
	assert_string_equal(kj_text(jwk, "alg"), "RS256");
	assert_string_equal(kj_text(jwk, "e"), "AQAB");
	assert_int_equal(strlen(kj_text(jwk, "n")), 342);
}

static int fault_status(struct fixture *f, enum world_fault *out_fault) {
	struct world_response *out = send_request(f, "POST", SECRETS, "Bearer w", "", "{\"metadata\":{\"name\":\"s\"}}");
	int status = out->status;
	*out_fault = out->fault;
	response_free(out);
	return status;
}

static void test_planned_faults(void **state) {
	struct fixture *f = *state;
	enum world_fault how;
	kube_user_token(f->world, "jane", "w");
	kube_allow(f->world, "jane", "*", "*", "*", NULL, NULL);
	kube_fault_add(f->world, &(struct kube_fault){ .kind = KUBE_FAULT_STATUS, .verb = "create", .resource = "secrets",
							.count = 1, .status = 503 });
	kube_fault_add(f->world, &(struct kube_fault){ .kind = KUBE_FAULT_RESET_BEFORE, .verb = "create", .count = 1 });
	kube_fault_add(f->world, &(struct kube_fault){ .kind = KUBE_FAULT_RESET_AFTER, .verb = "create", .count = 1 });
	assert_int_equal(send_status(f, "GET", SECRETS "/s", "Bearer w"), 404);
	assert_int_equal(fault_status(f, &how), 503);
	assert_int_equal(how, WORLD_NONE);
	fault_status(f, &how);
	assert_int_equal(how, WORLD_RESET_BEFORE);
	assert_null(kube_get(f->world, "secrets", "default", "s"));
	assert_int_equal(kube_faults_left(f->world), 1);
	fault_status(f, &how);
	assert_int_equal(how, WORLD_RESET_AFTER);
	cJSON *made = kube_get(f->world, "secrets", "default", "s");
	assert_non_null(made);
	cJSON_Delete(made);
	assert_int_equal(kube_faults_left(f->world), 0);
	assert_int_equal(fault_status(f, &how), 409);
	assert_int_equal(kube_count(f->world, "create", "secrets"), 4);
	assert_int_equal(kube_count_writes(f->world, "secrets"), 1);
}

static void test_retry_after(void **state) {
	struct fixture *f = *state;
	kube_fault_add(f->world, &(struct kube_fault){ .kind = KUBE_FAULT_STATUS, .skip = 1, .count = 2, .status = 429,
							.retry_after_s = 7 });
	assert_int_equal(send_status(f, "GET", "/readyz", ""), 200);
	struct world_response *out = send_request(f, "GET", SECRETS, "", "", "");
	assert_int_equal(out->status, 429);
	assert_true(str_find(buf_str(&out->head), STR("Retry-After: 7\r\n")) != SIZE_MAX);
	response_free(out);
	assert_int_equal(send_status(f, "GET", "/readyz", ""), 429);
	assert_int_equal(send_status(f, "GET", "/readyz", ""), 200);
}

struct seen {
	int writes;
	char last[128];
};

static void note(const struct kube_write *write, void *arg) {
	struct seen *seen = arg;
	seen->writes++;
	snprintf(seen->last, sizeof(seen->last), "%s %s/%s by %s %c%c", write->verb, write->resource, write->name, write->user,
		 write->before ? 'b' : '-', write->after ? 'a' : '-');
}

static void test_writes_are_told(void **state) {
	struct fixture *f = *state;
	struct seen seen = { 0 };
	kube_on_write(f->world, note, &seen);
	ask(f, "PATCH", SECRETS "/s?" US, APPLY, "{'apiVersion':'v1','kind':'Secret'}");
	assert_string_equal(seen.last, "apply secrets/s by admin -a");
	ask(f, "PATCH", SECRETS "/s", MERGE, "{}");
	assert_int_equal(seen.writes, 1);
	ask(f, "PATCH", SECRETS "/s", MERGE, "{'data':{'a':'MQ=='}}");
	assert_string_equal(seen.last, "patch secrets/s by admin ba");
	ask(f, "DELETE", SECRETS "/s", NULL, "");
	assert_string_equal(seen.last, "delete secrets/s by admin b-");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_who_asks),
		TEST(test_apply_that_creates_needs_both_rights),
		TEST(test_metadata_alone),
		cmocka_unit_test_setup_teardown(test_owners_are_changed_by_who_may_delete, setup_enforcing, teardown),
		TEST(test_policy),
		TEST(test_issued_token_works_until_it_expires),
		cmocka_unit_test_setup_teardown(test_rsa_tokens, setup_signing, teardown_signing),
		TEST(test_planned_faults),
		TEST(test_retry_after),
		TEST(test_writes_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
