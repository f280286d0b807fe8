/* The Kubernetes client: requests as they are written, answers about Secrets, errors. */
#include "clients/kube.h"

#include <stdio.h>

#include "base/rcu.h"
#include "clients/json.h"
#include "tests/unit/call.h"

static struct secret_arena *arena;
static struct kube kube;

static const char *body_of(const struct kube_call *call) {
	static char text[8192];
	struct str body =
		call->http.secret_body ? secret_expose(call->http.secret_body) : call->http.body;
	assert_in_range(body.len, 0, sizeof text - 1);
	if (body.len) memcpy(text, body.ptr, body.len);
	text[body.len] = 0;
	return text;
}

static void expect_request(const struct kube_call *call, enum http_method method, const char *url,
	const char *content_type, const char *body) {
	assert_str(buf_str(&call->http.url), url);
	assert_int_equal(call->http.method, method);
	assert_string_equal(body_of(call), body);
	if (content_type) assert_true(has_header(&call->http, "Content-Type", content_type));
}

/* --- requests --- */

static void the_token_is_borrowed_as_it_is_now(void **state) {
	struct kube_call first, second;
	struct secret token;
	(void)state;
	assert_int_equal(kube_list(&first, &kube, KUBE_SYNCS, 1, STR("")), OK);
	assert_null(first.http.bearer);
	kube_call_deinit(&first);
	secret_init(&token, arena, 64);
	secret_append(&token, STR("one"));
	assert_int_equal(kube_token_publish(&kube, &token), OK);
	assert_int_equal(kube_list(&first, &kube, KUBE_SYNCS, 1, STR("")), OK);
	secret_reset(&token);
	secret_append(&token, STR("two"));
	assert_int_equal(kube_token_publish(&kube, &token), OK);
	assert_int_equal(kube_list(&second, &kube, KUBE_SYNCS, 1, STR("")), OK);
	assert_str(secret_expose(first.http.bearer), "one");
	assert_str(secret_expose(second.http.bearer), "two");
	secret_deinit(&token);
	kube_call_deinit(&first);
	kube_call_deinit(&second);
}

static void lists_and_watches_name_their_place(void **state) {
	struct kube_call call;
	(void)state;
	assert_int_equal(kube_list(&call, &kube, KUBE_CLASSES, 500, STR("")), OK);
	expect_request(&call, HTTP_GET,
		"https://k:6443/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses?limit=500",
		NULL, "");
	kube_call_deinit(&call);
	assert_int_equal(kube_list(&call, &kube, KUBE_SYNCS, 2, STR("a+b=/&")), OK);
	expect_request(&call, HTTP_GET,
		"https://k:6443/apis/secret-sync.x-k8s.io/v1alpha1/"
		"secretsyncs?limit=2&continue=a%2Bb%3D%2F%26",
		NULL, "");
	kube_call_deinit(&call);
	assert_int_equal(kube_watch(&call, &kube, KUBE_SYNCS, STR("7"), 300), OK);
	expect_request(&call, HTTP_GET,
		"https://k:6443/apis/secret-sync.x-k8s.io/v1alpha1/"
		"secretsyncs?watch=true&allowWatchBookmarks=true&timeoutSeconds=300&"
		"resourceVersion=7",
		NULL, "");
	assert_true(call.http.site->own_connection);
	kube_call_deinit(&call);
}

static void read_data(const char *body, const char *key, enum err err, const char *value) {
	struct kube_call call;
	struct secret out;
	assert_int_equal(kube_secret_get(&call, &kube, arena, STR("apps"), STR("sp")), OK);
	expect_request(&call, HTTP_GET, "https://k:6443/api/v1/namespaces/apps/secrets/sp", NULL, "");
	assert_ptr_equal(call.http.response_arena, arena);
	answer(&call.http, 200, body);
	secret_init(&out, arena, 16);
	enum err got = kube_read_data(&call, str_of(key), &out);
	if (got != err) fail_msg("%s: %s", body, err_name(got));
	if (!err) assert_str(secret_expose(&out), value);
	secret_deinit(&out);
	kube_call_deinit(&call);
}

static void data_of_a_secret_is_read_by_key_of_any_case(void **state) {
	(void)state;
	read_data("{\"data\":{\"a\":\"eA==\",\"ClientID\":\"aWQ=\"}}", "clientid", OK, "id");
	read_data("{\"data\":{\"clientid\":\"aWQ=\",\"clientidx\":\"eA==\"}}", "clientid", OK, "id");
	read_data("{\"data\":{\"k\":\"IGEK\"}}", "k", OK, " a\n"); /* as it is: not trimmed */
	read_data("{\"data\":{\"clientid\":\"aWQ=\",\"CLIENTID\":\"aWQ=\"}}", "clientid", ERR_INVALID, "");
	read_data("{\"data\":{}}", "k", ERR_NOT_FOUND, "");
	read_data("{\"data\":{\"k\":\"\"}}", "k", ERR_NOT_FOUND, "");
	read_data("{\"data\":null}", "k", ERR_NOT_FOUND, "");
	read_data("{}", "k", ERR_NOT_FOUND, "");
	read_data("{\"data\":{\"k\":\"%%%%\"}}", "k", ERR_PARSE, "");
	read_data("{\"data\":{\"k\":[1,2]}}", "k", ERR_PARSE, "");
	read_data("{\"data\":[\"k\",\"eA==\"]}", "k", ERR_PARSE, "");
	read_data("{\"data\":{\"k\":\"MDEyMzQ1Njc4OWFiY2RlZmc=\"}}", "k", ERR_TOO_LARGE, "");
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

#define SECRETS "https://k:6443/api/v1/namespaces/apps/secrets"
#define MANAGER "?fieldManager=secrets-store-sync-controller"
#define META "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define SHAPE                                                                             \
	"\"labels\":{\"secrets-store.sync.x-k8s.io\":\"\"},\"annotations\":{},"           \
	"\"ownerReferences\":[{\"apiVersion\":"                                           \
	"\"secret-sync.x-k8s.io/"                                                         \
	"v1alpha1\",\"kind\":\"SecretSync\",\"name\":\"db\",\"uid\":\"o-1\"}]},\"type\":" \
	"\"Opaque\",\"data\":{"                                                           \
	"\"a\\\"b\":\"AP8=\",\"empty\":\"\"}}"

static void secrets_are_written_with_probe_and_shape(void **state) {
	struct secret value, empty;
	struct kube_call call;
	(void)state;
	secret_init(&value, arena, 16);
	secret_init(&empty, arena, 16);
	secret_append(&value, STR("\0\xFF"));
	const struct kube_pair label = { STR(KUBE_MANAGED_KEY), STR("") };
	const struct kube_data data[] = { { STR("a\"b"), &value }, { STR("empty"), &empty } };
	const struct kube_secret secret = { .ns = STR("apps"),
		.name = STR("db"),
		.type = STR("Opaque"),
		.owner_name = STR("db"),
		.owner_uid = STR("o-1"),
		.labels = &label,
		.label_count = 1,
		.data = data,
		.data_count = 2 };
	const struct kube_meta meta = { .uid = "u-1", .resource_version = "77" };
	assert_int_equal(kube_secret_create(&call, &kube, arena, &secret), OK);
	expect_request(&call, HTTP_POST, SECRETS MANAGER, "application/json",
		"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"db\","
		"\"namespace\":\"apps\"," SHAPE);
	assert_true(has_header(&call.http, "Accept", META));
	assert_ptr_equal(call.http.response_arena, arena);
	assert_non_null(call.http.secret_body);
	kube_call_deinit(&call);
	assert_int_equal(kube_secret_apply(&call, &kube, arena, &secret, &meta), OK);
	expect_request(&call, HTTP_PATCH, SECRETS "/db" MANAGER "&force=true",
		"application/apply-patch+yaml",
		"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"db\","
		"\"namespace\":\"apps\",\"uid\":\"u-1\","
		"\"resourceVersion\":\"77\"," SHAPE);
	assert_true(has_header(&call.http, "Accept", META));
	kube_call_deinit(&call);
	assert_int_equal(kube_secret_probe(&call, &kube, arena, STR("apps"), STR("db")), OK);
	expect_request(
		&call, HTTP_PATCH, SECRETS "/db" MANAGER, "application/merge-patch+json", "{}");
	assert_true(has_header(&call.http, "Accept", META));
	assert_ptr_equal(call.http.response_arena, arena);
	kube_call_deinit(&call);
	secret_deinit(&value);
	secret_deinit(&empty);
}

static void values_over_the_servers_limit_are_not_sent(void **state) {
	struct secret value;
	struct kube_call call;
	(void)state;
	secret_init(&value, arena, 1 << 20);
	char piece[4096] = { 0 };
	for (int i = 0; i < 256; i++) secret_append(&value, (struct str){ piece, sizeof piece });
	struct secret one;
	secret_init(&one, arena, 1);
	secret_append_char(&one, 'x');
	const struct kube_data data[] = { { STR("a"), &value }, { STR("b"), &one } };
	struct kube_secret secret = { .ns = STR("apps"),
		.name = STR("db"),
		.type = STR("Opaque"),
		.data = data,
		.data_count = 1 };
	assert_int_equal(kube_secret_create(&call, &kube, arena, &secret), OK);
	kube_call_deinit(&call);
	secret.data_count = 2;
	assert_int_equal(kube_secret_create(&call, &kube, arena, &secret), ERR_TOO_LARGE);
	kube_call_deinit(&call);
	secret_deinit(&value);
	secret_deinit(&one);
}

#define SYNCS "https://k:6443/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/apps/secretsyncs"
#define AKV_MANAGER "?fieldManager=kvsync-akvsync"
#define DERIVED(held)                                                                      \
	"{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\",\"metadata\":{"   \
	"\"name\":\"db\",\"namespace\":\"apps\"" held ",\"ownerReferences\":[{\"apiVersion\":"        \
	"\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"AKVSync\",\"controller\":true,\"name\":\"app\"," \
	"\"uid\":\"u-9\"}]},\"spec\":{\"x\":1}}"

/* A write of an object that is there carries whose state it was decided on. */
static void derived_objects_are_written_held(void **state) {
	const struct kube_custom custom = { KUBE_SYNCS, STR("apps"), STR("db"), STR("app"),
		STR("u-9"), STR("{\"x\":1}") };
	struct kube_call call;
	(void)state;
	assert_int_equal(kube_custom_create(&call, &kube, &custom), OK);
	expect_request(&call, HTTP_POST, SYNCS AKV_MANAGER, "application/json", DERIVED(""));
	kube_call_deinit(&call);
	assert_int_equal(kube_custom_apply(&call, &kube, &custom, STR("u-1"), STR("7")), OK);
	expect_request(&call, HTTP_PATCH, SYNCS "/db" AKV_MANAGER "&force=true",
		"application/apply-patch+yaml",
		DERIVED(",\"uid\":\"u-1\",\"resourceVersion\":\"7\""));
	kube_call_deinit(&call);
	assert_int_equal(kube_custom_replace(&call, &kube, &custom, STR("u-1"), STR("7")), OK);
	expect_request(&call, HTTP_PATCH, SYNCS "/db" AKV_MANAGER, "application/json-patch+json",
		"[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u-1\"},{\"op\":\"test\","
		"\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},{\"op\":\"add\",\"path\":"
		"\"/spec\",\"value\":{\"x\":1}}]");
	kube_call_deinit(&call);
	assert_int_equal(kube_custom_get(&call, &kube, KUBE_CLASSES, STR("apps"), STR("c")), OK);
	expect_request(&call, HTTP_GET,
		"https://k:6443/apis/secrets-store.csi.x-k8s.io/v1/namespaces/apps/"
		"secretproviderclasses/c",
		NULL, "");
	kube_call_deinit(&call);
	assert_int_equal(kube_custom_delete(&call, &kube, KUBE_SYNCS, STR("apps"), STR("db"),
				 STR("u-1")),
		OK);
	expect_request(&call, HTTP_DELETE, SYNCS "/db", "application/json",
		"{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":"
		"\"Background\",\"preconditions\":{\"uid\":\"u-1\"}}");
	kube_call_deinit(&call);
	assert_int_equal(kube_akv_status_patch(&call, &kube, STR("apps"), STR("app"), STR("u-9"),
				 STR("{\"x\":1}")),
		OK);
	expect_request(&call, HTTP_PATCH,
		"https://k:6443/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/apps/akvsyncs/app/"
		"status" MANAGER,
		"application/json-patch+json",
		"[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u-9\"},{\"op\":\"add\","
		"\"path\":\"/status\",\"value\":{\"x\":1}}]");
	kube_call_deinit(&call);
}

static void status_and_tokens_are_asked_for(void **state) {
	struct kube_call call;
	(void)state;
	assert_int_equal(kube_status_patch(&call, &kube, STR("apps"), STR("db"), STR("u-1"),
				 STR("{\"x\":1}")),
		OK);
	expect_request(&call, HTTP_PATCH,
		"https://k:6443/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/apps/secretsyncs/db/"
		"status" MANAGER,
		"application/json-patch+json",
		"[{\"op\":\"test\",\"path\":\"/metadata/"
		"uid\",\"value\":\"u-1\"},{\"op\":\"add\",\"path\":\"/"
		"status\",\"value\":{\"x\":1}}]");
	kube_call_deinit(&call);
	assert_int_equal(kube_token_request(&call, &kube, arena, STR("apps"), STR("sa"),
				 STR("api://AzureADTokenExchange")),
		OK);
	expect_request(&call, HTTP_POST,
		"https://k:6443/api/v1/namespaces/apps/serviceaccounts/sa/token",
		"application/json",
		"{\"apiVersion\":\"authentication.k8s.io/"
		"v1\",\"kind\":\"TokenRequest\",\"spec\":{\"expirationSeconds\":600,\"audiences\":["
		"\"api://AzureADTokenExchange\"]}}");
	assert_ptr_equal(call.http.response_arena, arena);
	struct secret token;
	struct fault fault = { 0 };
	secret_init(&token, arena, 64);
	answer(&call.http, 201,
		"{\"kind\":\"TokenRequest\",\"token\":\"no\",\"status\":{\"token\":\"t0k\"}}");
	assert_int_equal(kube_read_token(&call, &token, &fault), OK);
	assert_str(secret_expose(&token), "t0k");
	static const char *const bad[] = { "", "{}", "{\"status\":{}}",
		"{\"status\":{\"token\":\"\"}}", "{\"status\":{\"token\":5}}",
		"{\"token\":\"t0k\"}" };
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		secret_reset(&token);
		answer(&call.http, 201, bad[i]);
		if (kube_read_token(&call, &token, &fault) != ERR_PARSE) fail_msg("%s", bad[i]);
	}
	secret_deinit(&token);
	kube_call_deinit(&call);
}

/* --- answers about Secrets --- */

#define OWNER                                     \
	"{\"apiVersion\":\"secret-sync.x-k8s.io/" \
	"v1alpha1\",\"kind\":\"SecretSync\",\"name\":\"db\",\"uid\":\"o-1\"}"
#define ENTRY(manager, operation, fields)                         \
	"{\"manager\":\"" manager "\",\"operation\":\"" operation \
	"\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":" fields "}"
#define OURS "secrets-store-sync-controller"

static enum err read_meta(const char *metadata, struct kube_meta *out_meta) {
	struct kube_call call;
	struct fault fault = { 0 };
	char body[4096];
	assert_int_equal(kube_secret_probe(&call, &kube, arena, STR("apps"), STR("db")), OK);
	snprintf(body, sizeof body, "{\"kind\":\"PartialObjectMetadata\",\"metadata\":%s}",
		metadata);
	answer(&call.http, 200, body);
	enum err err = kube_read_meta(&call, out_meta, &fault);
	assert_null(strstr(fault.text, "s3cret"));
	kube_call_deinit(&call);
	return err;
}

static void metadata_is_kept_as_far_as_it_decides(void **state) {
	struct kube_meta meta;
	(void)state;
	assert_int_equal(read_meta("{\"name\":\"db\",\"uid\":\"u-1\",\"resourceVersion\":\"12\","
				   "\"creationTimestamp\":\"2026-11-24T03:14:15Z\","
				   "\"labels\":{\"secrets-store.sync.x-k8s.io\":\"\"},"
				   "\"annotations\":{\"kubectl.kubernetes.io/"
				   "last-applied-configuration\":\"s3cret\",\"secrets-store.sync.x-"
				   "k8s.io\":\"\"},\"ownerReferences\":[" OWNER "],"
				   "\"managedFields\":[" ENTRY(OURS, "Apply", "{}") "," ENTRY(
					   "kubectl", "Update", "{}") "]}",
				 &meta),
		OK);
	assert_string_equal(meta.uid, "u-1");
	assert_string_equal(meta.resource_version, "12");
	assert_string_equal(meta.created, "2026-11-24T03:14:15Z");
	assert_true(meta.has_label && meta.has_annotation && meta.owner_is_sync);
	assert_false(meta.annotation_changed || meta.deleting || meta.must_settle);
	assert_int_equal(meta.owner_count, 1);
	assert_string_equal(meta.owner_uid, "o-1");
	assert_non_null(strstr(buf_cstr(&meta.managed_fields), "kubectl"));
	kube_meta_deinit(&meta);
}

static void a_foreign_secret_is_seen_as_one(void **state) {
	struct kube_meta meta;
	(void)state;
	assert_int_equal(read_meta("{\"uid\":\"u\",\"resourceVersion\":\"1\"}", &meta), OK);
	assert_false(meta.has_label || meta.has_annotation || meta.annotation_changed ||
		     meta.owner_is_sync || meta.owner_count || meta.deleting || meta.must_settle);
	kube_meta_deinit(&meta);
	assert_int_equal(read_meta("{\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{\"secrets-"
				   "store.sync.x-k8s.io\":\"x\"},"
				   "\"annotations\":{\"secrets-store.sync.x-k8s.io\":\"x\"},"
				   "\"deletionTimestamp\":\"2026-11-24T03:14:15Z\","
				   "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":"
				   "\"SecretSync\",\"uid\":\"o-2\"}," OWNER
				   "],\"managedFields\":[" ENTRY(OURS, "Update", "{}") "]}",
				 &meta),
		OK);
	assert_false(meta.has_label || meta.has_annotation || meta.owner_is_sync);
	assert_true(meta.annotation_changed && meta.deleting && meta.must_settle);
	assert_int_equal(meta.owner_count, 2);
	assert_string_equal(meta.owner_uid, "o-2");
	kube_meta_deinit(&meta);
}

static void metadata_that_cannot_be_read_is_an_error(void **state) {
	static const char *const bad[] = { "null", "{}", "{\"uid\":\"u\"}",
		"{\"resourceVersion\":\"1\"}", "{\"uid\":5,\"resourceVersion\":\"1\"}",
		"{\"uid\":\"u\\u0041\",\"resourceVersion\":\"1\"}",
		"{\"uid\":\"u\",\"resourceVersion\":\"1\",\"ownerReferences\":[{}]}",
		"{\"uid\":\"u\",\"resourceVersion\":\"1\",\"ownerReferences\":{\"a\":\"s3cret\"}}",
		"{\"uid\":\"u\",\"resourceVersion\":\"1\",\"ownerReferences\":[" OWNER ",]}",
		("{\"uid\":\"0123456789012345678901234567890123456789012345678901234567890123\","
		 "\"resourceVersion\":\"1\"}") };
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct kube_meta meta;
		if (read_meta(bad[i], &meta) != ERR_PARSE) fail_msg("%s", bad[i]);
	}
}

static void settle(const char *entries, const char *expected) {
	struct kube_call call;
	struct kube_meta meta = { .uid = "u-1", .resource_version = "12" };
	char body[4096];
	buf_init(&meta.managed_fields, 4096);
	buf_append(&meta.managed_fields, str_of(entries));
	assert_int_equal(
		kube_secret_settle(&call, &kube, arena, STR("apps"), STR("db"), &meta), OK);
	snprintf(body, sizeof body,
		"[{\"op\":\"test\",\"path\":\"/metadata/"
		"uid\",\"value\":\"u-1\"},{\"op\":\"test\",\"path\":\"/metadata/"
		"resourceVersion\",\"value\":"
		"\"12\"},{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":%s}]",
		expected);
	expect_request(
		&call, HTTP_PATCH, SECRETS "/db" MANAGER, "application/json-patch+json", body);
	kube_call_deinit(&call);
	kube_meta_deinit(&meta);
}

static void our_update_entries_become_our_apply_entry(void **state) {
	(void)state;
	settle("[" ENTRY(OURS, "Update", "{\"f:data\":{\"f:a\":{}}}") "," ENTRY(
		       "kubectl", "Update", "{\"f:x\":{}}") "]",
		"[" ENTRY(OURS, "Apply", "{\"f:data\":{\"f:a\":{}}}") "," ENTRY(
			"kubectl", "Update", "{\"f:x\":{}}") "]");
	settle("[" ENTRY(OURS, "Apply", "{\"f:data\":{\"f:a\":{}},\"f:type\":{}}") "," ENTRY(OURS,
		       "Update",
		       "{\"f:data\":{\".\":{},\"f:b\":{}},\"f:metadata\":{\"f:labels\":{}}}") "]",
		"[" ENTRY(OURS, "Apply",
			"{\"f:data\":{\"f:a\":{},\".\":{},\"f:b\":{}},\"f:type\":{},\"f:metadata\":"
			"{\"f:labels\":{}}}") "]");
	/* Those of the controllers before kvsync become ours, whichever they are. */
	settle("[" ENTRY("v1-secrets-store-sync-controller", "Apply", "{\"f:data\":{\"f:a\":{}}}") "," ENTRY(
		       "v1-secret-sync-controller", "Update", "{\"f:data\":{\"f:b\":{}}}") "]",
		"[" ENTRY(OURS, "Apply", "{\"f:data\":{\"f:a\":{},\"f:b\":{}}}") "]");
	/* An entry of a subresource and one of another manager are not ours to touch. */
	settle("[{\"manager\":\"" OURS "\",\"operation\":\"Update\",\"subresource\":\"status\"}]",
		"[{\"manager\":\"" OURS "\",\"operation\":\"Update\",\"subresource\":\"status\"}]");
}

/* --- errors --- */

#define STATUS(reason, message, details)                                   \
	"{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"" reason \
	"\",\"message\":\"" message "\",\"details\":" details "}"

static void errors_are_told_apart(void **state) {
	static const struct {
		int status;
		const char *body;
		enum err err;
		const char *code, *part;
	} cases[] = {
		{ 400, STATUS("BadRequest", "Secret in version v1 cannot be handled: s3cret", "{}"),
			ERR_INTERNAL, "BadRequest", "did not understand" },
		{ 401, STATUS("Unauthorized", "Unauthorized", "{}"), ERR_UNAUTHENTICATED,
			"Unauthorized", "is not accepted by the API server" },
		{ 403, STATUS("Forbidden", "secrets is forbidden: User \\\"x\\\" cannot create", "{}"),
			ERR_DENIED, "Forbidden", "grant kvsync that right" },
		{ 403,
			STATUS("Forbidden",
				"ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
				"{}"),
			ERR_POLICY, "Forbidden", "change the policy" },
		{ 422,
			STATUS("Invalid",
				"ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
				"{}"),
			ERR_POLICY, "Invalid", "policy 'p'" },
		{ 404, STATUS("NotFound", "secrets db not found", "{}"), ERR_NOT_FOUND, "NotFound",
			"answered 404 secrets db not found" },
		{ 409, STATUS("AlreadyExists", "secrets db already exists", "{}"), ERR_EXISTS,
			"AlreadyExists", "exists" },
		{ 409, STATUS("Conflict", "the object has been modified", "{}"), ERR_CONFLICT,
			"Conflict", "modified" },
		{ 410, STATUS("Expired", "too old resource version", "{}"), ERR_GONE, "Expired",
			"too old" },
		{ 413, "", ERR_TOO_LARGE, "", "answered 413" },
		{ 422, STATUS("Invalid", "the server rejected our request", "{}"), ERR_CONFLICT,
			"Invalid", "rejected" },
		{ 422,
			STATUS("Invalid", "uid mismatch",
				"{\"causes\":[{\"field\":\"metadata.uid\"}]}"),
			ERR_CONFLICT, "Invalid", "uid" },
		{ 422, STATUS("Invalid", "bad key", "{\"causes\":[{\"field\":\"data[x y]\"}]}"),
			ERR_INVALID, "Invalid", "correct the SecretSync" },
		{ 429, STATUS("TooManyRequests", "wait", "{\"retryAfterSeconds\":1}"),
			ERR_THROTTLED, "TooManyRequests", "wait" },
		{ 500, "not json", ERR_UNAVAILABLE, "", "answered 500" },
		{ 503, "", ERR_UNAVAILABLE, "", "answered 503" },
		{ 302, "", ERR_INTERNAL, "", "answered 302" },
	};
	struct kube_call call;
	(void)state;
	assert_int_equal(kube_secret_probe(&call, &kube, arena, STR("apps"), STR("db")), OK);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fault fault = { 0 };
		answer(&call.http, cases[i].status, cases[i].body);
		call.http.retry_after_ns = cases[i].status == 429 ? NS_PER_S : -1;
		enum err err = kube_result(&call, &fault, "probe Secret apps/db");
		if (err != cases[i].err) fail_msg("%s: %s", cases[i].body, err_name(err));
		assert_text(fault.text, "cannot probe Secret apps/db: the API server answered ");
		assert_non_null(strcasestr(fault.text, cases[i].part));
		assert_null(strstr(fault.text, "s3cret"));
		assert_string_equal(fault.code, cases[i].code);
		assert_int_equal(fault.http_status, cases[i].status);
		assert_int_equal(fault.retry_after_ns, cases[i].status == 429 ? NS_PER_S : 0);
	}
	struct fault fault = { 0 };
	no_answer(&call.http, ERR_NETWORK);
	assert_int_equal(kube_result(&call, &fault, "probe"), ERR_NETWORK);
	assert_string_equal(fault.text, "cannot probe: host: no connection");
	answer(&call.http, 201, "");
	assert_int_equal(kube_result(&call, &fault, "probe"), OK);
	kube_call_deinit(&call);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_is_borrowed_as_it_is_now),
		cmocka_unit_test(lists_and_watches_name_their_place),
		cmocka_unit_test(data_of_a_secret_is_read_by_key_of_any_case),
		cmocka_unit_test(secrets_are_written_with_probe_and_shape),
		cmocka_unit_test(values_over_the_servers_limit_are_not_sent),
		cmocka_unit_test(derived_objects_are_written_held),
		cmocka_unit_test(status_and_tokens_are_asked_for),
		cmocka_unit_test(metadata_is_kept_as_far_as_it_decides),
		cmocka_unit_test(a_foreign_secret_is_seen_as_one),
		cmocka_unit_test(metadata_that_cannot_be_read_is_an_error),
		cmocka_unit_test(our_update_entries_become_our_apply_entry),
		cmocka_unit_test(errors_are_told_apart),
	};
	const struct http_site site = { .name = "kubernetes", .version = HTTP_VERSION_2 };
	arena = secret_arena_create(32 << 20);
	rcu_thread_register();
	assert_int_equal(kube_init(&kube, "https://k:6443/", &site), OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	kube_deinit(&kube);
	rcu_thread_unregister();
	secret_arena_destroy(arena);
	return failed;
}
