/* engine/plan*: the whole of `kvsync plan`, over an HTTP client that answers as a cluster and a vault do, with the k-th allocation
 * failing for k = 1, 2, ... until none does: it says that it failed, or what it says undisturbed; nothing is left behind, and no
 * value is shown. */
#include <fcntl.h>
#include <stdio.h>

#include "base/loop.h"
#include "clients/http_curl.h"
#include "engine/plan_command.h"
#include "tests/unit/call.h"

enum { MOST_ALLOCATIONS = 20000, OUTPUT_BYTES = 64 << 10 };

/* test_engine_plan_libraries_torture.c: with those of cJSON and OpenSSL, which are many; one in STRIDE of all. */
#ifndef WITH_LIBRARIES
#define WITH_LIBRARIES 0
#define STRIDE 1
#endif

/* --- the client, in the place of libcurl's --- */

struct fake {
	struct http http;
	struct list active; /* of http_req._link */
};

#define ROW(name, version)                                                                 \
	"\"id\":\"https://vvv.vault.azure.net/secrets/" name "/" version                      \
	"\",\"attributes\":{\"enabled\":true,\"created\":1700000000,\"updated\":1700000000}}"
#define SYNC(name, status)                                                               \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"" name "\",\"uid\":\"u-" name        \
	"\",\"generation\":1,\"resourceVersion\":\"7\"},\"spec\":{\"serviceAccountName\":\"sa\","  \
	"\"secretProviderClassName\":\"c\",\"secretObject\":{\"type\":\"Opaque\",\"data\":["     \
	"{\"sourcePath\":\"one\",\"targetKey\":\"a\"}]}}" status "}"

static const struct {
	enum http_method method;
	const char *part;
	int status;
	const char *body;
} ANSWERS[] = {
	{ HTTP_GET, "/secretsyncs/db", 200, SYNC("db", ",\"status\":{\"syncHash\":\"kv1:u-db:00\"}") },
	{ HTTP_GET, "/secretsyncs?", 200,
		"{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" SYNC("user", "") "]}" },
	{ HTTP_POST, "/serviceaccounts/sa/token", 201, "{\"status\":{\"token\":\"sa-token\"}}" },
	{ HTTP_POST, "/oauth2/v2.0/token", 200, "{\"access_token\":\"vault-token\",\"expires_in\":3600}" },
	{ HTTP_GET, "vault.azure.net/secrets/one/", 200, "{\"value\":\"s3cret-value\"," ROW("one", "v2") },
	{ HTTP_GET, "/namespaces/shop/secrets/db", 200,
		"{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\",\"uid\":\"s-1\",\"resourceVersion\":\"5\","
		"\"labels\":{\"secrets-store.sync.x-k8s.io\":\"\"},\"annotations\":{\"secrets-store.sync.x-k8s.io\":\"\"},"
		"\"ownerReferences\":[{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\","
		"\"name\":\"db\",\"uid\":\"u-db\"}],\"managedFields\":[{\"manager\":\"secrets-store-sync-controller\","
		"\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:data\":{\"f:a\":{},"
		"\"f:old\":{}}}}]},\"type\":\"Opaque\",\"data\":{\"a\":\"b2xkZXItdmFsdWU=\",\"old\":\"b2xkZXItdmFsdWU=\"}}" },
	{ HTTP_GET, "/namespaces/shop/secrets/user", 403, "{\"reason\":\"Forbidden\",\"message\":\"no\"}" },
};

static void fill(struct http_req *req) {
	int status = 404;
	/* Without words: those that cannot be read for want of memory are left out. */
	const char *body = "{}";
	for (size_t i = 0; i < sizeof ANSWERS / sizeof *ANSWERS; i++) {
		bool is = req->method == ANSWERS[i].method &&
			  str_find(buf_str(&req->url), str_of(ANSWERS[i].part)) != SIZE_MAX;
		if (!is) continue;
		status = ANSWERS[i].status;
		body = ANSWERS[i].body;
		break;
	}
	answer(req, status, body);
	req->retry_after_ns = -1;
	enum err err = req->response_arena ? secret_err(&req->response_secret) : buf_err(&req->response);
	if (!err) return;
	req->status = 0;
	req->err = fault_set(&req->fault, err, "out of memory while an answer was received");
}

static void fake_start(struct http *http, struct http_req *req) {
	struct fake *fake = container_of(http, struct fake, http);
	if (req->site->name[0] == 'k' && req->method != HTTP_GET && req->method != HTTP_POST)
		fail_msg("a plan writes: %.*s", STR_ARG(buf_str(&req->url)));
	req->_active = true;
	list_push_back(&fake->active, &req->_link);
}

static void fake_cancel(struct http *http, struct http_req *req) {
	(void)http;
	list_remove(&req->_link);
	req->_active = false;
}

static int64_t fake_turn(struct http *http, struct now now) {
	struct fake *fake = container_of(http, struct fake, http);
	(void)now;
	for (struct list *link; (link = list_pop(&fake->active));) {
		struct http_req *req = container_of(link, struct http_req, _link);
		fill(req);
		req->_active = false;
		req->on_done(req);
	}
	return NEVER_NS;
}

static void fake_destroy(struct http *http) {
	struct fake *fake = container_of(http, struct fake, http);
	assert_true(list_is_empty(&fake->active));
	mem_free(fake);
}

struct http *http_curl_create(struct loop *loop) {
	static const struct http_ops ops = { fake_start, fake_cancel, fake_turn, fake_destroy };
	struct fake *fake = mem_zalloc(sizeof *fake);
	(void)loop;
	if (!fake) return NULL;
	fake->http.ops = &ops;
	list_init(&fake->active);
	return &fake->http;
}

enum err http_curl_global_init(void) {
	return OK;
}

void http_curl_global_deinit(void) {
}

/* --- the command --- */

static char kubeconfig[] = "/tmp/kvsync-plan-access-XXXXXX";
static char manifest[] = "/tmp/kvsync-plan-files-XXXXXX";
static char told[] = "/tmp/kvsync-plan-told-XXXXXX";

static void write_file(char *path, const char *text) {
	int file = mkstemp(path);
	assert_true(file >= 0);
	assert_int_equal(write(file, text, strlen(text)), strlen(text));
	close(file);
}

static int setup(void **state) {
	(void)state;
	write_file(kubeconfig,
		"current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
		"clusters: [{name: k, cluster: {server: \"https://kube.test\"}}]\nusers: [{name: u, user: {token: s3cret-token}}]\n");
	write_file(manifest,
		"apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: c, namespace: shop}\n"
		"spec:\n  provider: azure\n  parameters:\n    clientID: 11111111-2222-3333-4444-555555555555\n    keyvaultName: vvv\n"
		"    tenantID: 11111111-2222-3333-4444-555555555555\n"
		"    objects: |\n      array:\n        - |\n          objectName: one\n          objectType: secret\n"
		"        - |\n          objectName: two\n          objectType: secret\n---\n"
		"apiVersion: secret-sync.x-k8s.io/v1alpha1\nkind: SecretSync\nmetadata: {name: db, namespace: shop}\n"
		"spec:\n  serviceAccountName: sa\n  secretProviderClassName: c\n  secretObject:\n    type: Opaque\n"
		"    labels: {team: blue}\n    data: [{sourcePath: one, targetKey: a}, {sourcePath: two, targetKey: b}]\n---\n"
		"apiVersion: secret-sync.x-k8s.io/v1alpha1\nkind: SecretSync\nmetadata: {name: new, namespace: shop}\n"
		"spec:\n  serviceAccountName: sa\n  secretProviderClassName: c\n  secretObject:\n    type: Opaque\n"
		"    data: [{sourcePath: one, targetKey: a}]\n");
	write_file(told, "");
	return 0;
}

static int teardown(void **state) {
	(void)state;
	return unlink(kubeconfig) | unlink(manifest) | unlink(told);
}

/* What the command tells, on both its outputs. */
static void read_told(char *out_text) {
	int file = open(told, O_RDONLY);
	ssize_t bytes = read(file, out_text, OUTPUT_BYTES - 1);
	close(file);
	assert_in_range(bytes, 0, OUTPUT_BYTES - 1);
	out_text[bytes] = 0;
	assert_null(strstr(out_text, "s3cret"));
	assert_null(strstr(out_text, "older-value"));
	assert_null(strstr(out_text, "-token"));
}

/* Twelve hexadecimal digits are a digest, under another key in each plan. */
static void hide_digests(char *text) {
	for (char *at = text; (at += strcspn(at, "0123456789abcdef"), *at);) {
		size_t len = strspn(at, "0123456789abcdef");
		if (len == 12) memset(at, '#', len);
		at += len;
	}
}

/* Of a Secret that may not be seen it is not known whether it would be created or written; a create whose answer could not be
 * read is followed by a write. */
static void hide_reason(char *text) {
	static const char updated[] = "UpdateValueChangeOrForceUpdateSucceeded", created[] = "CreateSucceeded";
	char *user = strstr(text, "\"name\":\t\"user\""), *at = user ? strstr(user, updated) : NULL;
	if (!at) return;
	memmove(at + strlen(created), at + strlen(updated), strlen(at + strlen(updated)) + 1);
	memcpy(at, created, strlen(created));
}

static int run(bool json, uint64_t nth, bool *out_reached, char *out_text) {
	char *files[] = { manifest };
	struct plan_command command = { .kubeconfig = kubeconfig, .json = json, .files = files, .file_count = 1 };
	fflush(stdout);
	int out = dup(1), errors = dup(2), file = open(told, O_WRONLY | O_TRUNC);
	assert_true(dup2(file, 1) == 1 && dup2(file, 2) == 2);
	mem_fail_at(nth);
	int code = plan_command(&command);
	*out_reached = mem_fail_reached();
	mem_fail_at(0);
	fflush(stdout);
	dup2(out, 1);
	dup2(errors, 2);
	close(out);
	close(errors);
	close(file);
	read_told(out_text);
	hide_digests(out_text);
	hide_reason(out_text);
	return code;
}

/* The way to the text is the same for both. */
static void torture(bool json, unsigned stride) {
	static char wanted[OUTPUT_BYTES], got[OUTPUT_BYTES];
	bool reached;
	int code = run(json, 0, &reached, wanted);
	/* The item that cannot be read counts as a failure. */
	if (code != PLAN_EXIT_FAILED || !strstr(wanted, "the vault answered 404"))
		fail_msg("exit %d: %s", code, wanted);
	for (uint64_t nth = 1; nth < MOST_ALLOCATIONS; nth += stride) {
		assert_int_equal(run(json, nth, &reached, got), PLAN_EXIT_FAILED);
		if (!reached) {
			print_message("%d allocations\n", (int)nth - 1);
			assert_true(nth > 300);
			return;
		}
		if (!strstr(got, "memory") && strcmp(got, wanted) != 0)
			fail_msg("allocation %d: %s", (int)nth, got);
	}
	fail_msg("does not end");
}

static void as_a_table(void **state) {
	(void)state;
	torture(false, STRIDE);
}

static void as_json(void **state) {
	(void)state;
	torture(true, 5 * STRIDE);
}

int main(void) {
	if (WITH_LIBRARIES) mem_wipe_libraries();
	const struct CMUnitTest tests[] = { cmocka_unit_test(as_a_table), cmocka_unit_test(as_json) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
