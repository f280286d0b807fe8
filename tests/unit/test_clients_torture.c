/* clients/: every request and every answer with the k-th allocation failing, for k = 1, 2, ...: the failure is told, nothing
 * leaks, and secret memory is empty afterwards. (http_curl has its own: libcurl's allocations are not ours.) */
#include "clients/entra.h"
#include "clients/json.h"
#include "clients/kube.h"
#include "clients/vault.h"
#include "base/rcu.h"
#include "tests/unit/call.h"

enum { MOST_ALLOCATIONS = 1000 };

static struct secret_arena *arena;
static struct kube kube;
static const struct http_site site = { .name = "x" };

/* run() ends with OK or ERR_NOMEM; `may_cope`: OK although an allocation failed. */
static void torture(enum err (*run)(void), bool may_cope) {
	for (uint64_t nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		mem_fail_at(nth);
		enum err err = run();
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		assert_int_equal(secret_arena_used_bytes(arena), 0);
		if (!reached) {
			assert_int_equal(err, OK);
			return;
		}
		if (err != ERR_NOMEM && !(may_cope && err == OK)) fail_msg("allocation %d: %s", (int)nth, err_name(err));
	}
	fail_msg("does not end");
}

/* Puts an answer in, whatever becomes of the test's own allocations. */
static void give(struct http_req *req, int status, const char *body) {
	answer(req, status, body);
	if (!req->response_arena && buf_err(&req->response)) answer(req, status, body);
}

static enum err run_list(void) {
	struct kube_call call;
	enum err err = kube_list(&call, &kube, KUBE_SYNCS, 500, STR("abc"));
	kube_call_deinit(&call);
	return err;
}

static enum err run_token_publish(void) {
	struct secret token;
	secret_init(&token, arena, 64);
	secret_append(&token, STR("t0k"));
	enum err err = kube_token_publish(&kube, &token);
	secret_deinit(&token);
	return err;
}

#define ENTRY(operation, fields)                                                                         \
	"{\"manager\":\"secrets-store-sync-controller\",\"operation\":\"" operation "\",\"apiVersion\":\"v1\"," \
	"\"fieldsType\":\"FieldsV1\",\"fieldsV1\":" fields "}"

static enum err settle(const char *body) {
	struct kube_call call, settle = { 0 };
	struct kube_meta meta = { 0 };
	struct fault fault = { 0 };
	enum err err = kube_secret_probe(&call, &kube, arena, STR("ns"), STR("name"));
	if (err) goto out;
	give(&call.http, 200, body);
	err = kube_result(&call, &fault, "probe");
	if (!err) err = kube_read_meta(&call, &meta, &fault);
	if (!err) err = kube_secret_settle(&settle, &kube, arena, STR("ns"), STR("name"), &meta);
out:
	kube_call_deinit(&settle);
	kube_call_deinit(&call);
	kube_meta_deinit(&meta);
	return err;
}

#define META(entries) "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"1\",\"managedFields\":[" entries "]}}"

static enum err run_settle(void) {
	return settle(META(ENTRY("Update", "{\"f:data\":{\"f:a\":{}}}") "," ENTRY("Apply", "{\"f:data\":{\"f:b\":{}}}")));
}

static enum err run_settle_alone(void) {
	return settle(META(ENTRY("Update", "{\"f:data\":{\"f:a\":{}}}")));
}

static enum err run_status(void) {
	struct kube_call call;
	enum err err = kube_status_patch(&call, &kube, STR("ns"), STR("name"), STR("uid"), STR("{}"));
	kube_call_deinit(&call);
	return err;
}

static enum err run_vault_page(void) {
	struct vault_call call;
	struct vault_rows rows = { 0 };
	struct secret bearer = { 0 };
	struct fault fault = { 0 };
	struct buf next;
	buf_init(&next, 8192);
	enum err err = vault_list_versions(
		&call, &site, STR("https://v.vault.azure.net"), VAULT_SECRET, STR("a"), STR_NULL, &bearer);
	if (err) goto out;
	give(&call.http, 200,
		"{\"value\":[{\"id\":\"https://v/secrets/a/1\",\"attributes\":{\"created\":1}},{\"id\":\"https:\\/\\/v/secrets/a/2\",\"attributes\":{}}],\"nextLink\":\"https:\\/\\/v.vault.azure.net/x\"}");
	err = vault_read_page(&call, &rows, &next, &fault);
	if (!err) assert_int_equal(rows.count, 2);
	if (!err) err = vault_rows_select(&rows, STR_NULL, STR_NULL, 10);
out:
	vault_rows_deinit(&rows);
	buf_deinit(&next);
	vault_call_deinit(&call);
	return err;
}

static enum err run_vault_get(void) {
	struct vault_call call;
	struct vault_object object = { 0 };
	struct fault fault = { 0 };
	struct secret bearer = { 0 };
	enum err err = vault_get(&call, &site, STR("https://v.vault.azure.net"), VAULT_SECRET, STR("a"), STR_NULL, &bearer, arena);
	if (!err) {
		answer(&call.http, 200, "{\"value\":\"s3cret\",\"id\":\"https://v/secrets/a/1\",\"attributes\":{\"enabled\":true}}");
		err = vault_read_secret(&call, arena, &object, &fault);
		assert_null(strstr(fault.text, "s3cret"));
	}
	vault_object_deinit(&object);
	vault_call_deinit(&call);
	return err;
}

static enum err run_entra(void) {
	struct entra_call call;
	struct entra_token token = { 0 };
	struct fault fault = { 0 };
	struct secret assertion;
	secret_init(&assertion, arena, 64);
	secret_append(&assertion, STR("sa"));
	enum err err = entra_exchange(
		&call, &site, STR("https://login"), STR("t"), STR("c"), STR("s"), &assertion, arena);
	if (!err) {
		answer(&call.http, 200, "{\"access_token\":\"t0k\",\"expires_in\":3600}");
		err = entra_read_token(&call, arena, &token, &fault);
	}
	secret_deinit(&token.value);
	secret_deinit(&assertion);
	entra_call_deinit(&call);
	return err;
}

/* An error whose body cannot be read for want of memory is still that error, by its status. */
static enum err run_errors(void) {
	struct entra_call entra = { 0 };
	struct vault_call vault = { 0 };
	struct kube_call call = { 0 };
	struct fault fault = { 0 };
	entra.http.status = 401;
	vault.http.status = 403;
	call.http.status = 404;
	assert_int_equal(kube_result(&call, &fault, "x"), ERR_NOT_FOUND);
	assert_int_equal(vault_result(&vault, &fault, STR("https://v"), VAULT_SECRET, STR("a")), ERR_DENIED);
	enum err err = entra_result(&entra, &fault, STR("t"), STR("c"));
	assert_true(err == ERR_DENIED || err == ERR_UNAVAILABLE);
	return OK;
}

static void requests(void **state) {
	(void)state;
	torture(run_list, false);
	torture(run_status, false);
	torture(run_token_publish, false);
}

static void answers(void **state) {
	(void)state;
	torture(run_settle, false);
	torture(run_settle_alone, false);
	torture(run_vault_page, true);
	torture(run_vault_get, false);
	torture(run_entra, false);
	torture(run_errors, true);
}

static int setup(void **state) {
	(void)state;
	rcu_thread_register();
	arena = secret_arena_create(16 << 20);
	/* As in the product, so that cJSON's allocations count. */
	cJSON_InitHooks(&(cJSON_Hooks){ mem_wiped_alloc, mem_wiped_free });
	return arena && kube_init(&kube, "https://k", &site) == OK ? 0 : -1;
}

static int teardown(void **state) {
	(void)state;
	kube_deinit(&kube);
	secret_arena_destroy(arena);
	rcu_thread_unregister();
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = { cmocka_unit_test(requests), cmocka_unit_test(answers) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
