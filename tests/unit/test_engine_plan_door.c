/* engine/plan_door: what goes out, what is answered here, and that nothing that writes ever goes out. */
#include "tests/unit/call.h"

#include "clients/json.h"
#include "engine/plan_door.h"

/* The client below: keeps what was started, until the test answers it. */
struct below {
	struct http http;
	struct http_req *started[8];
	unsigned count, cancelled;
	bool destroyed;
};

static struct below below;
static struct http_site kube_site = { .name = "kubernetes" }, azure_site = { .name = "azure" };
static struct kube kube;
static struct secret_arena *arena;
static struct plan_record record;
static struct http *door;
static unsigned done;

static void below_start(struct http *http, struct http_req *req) {
	(void)http;
	below.started[below.count++] = req;
}

static void below_cancel(struct http *http, struct http_req *req) {
	(void)http;
	(void)req;
	below.cancelled++;
}

static int64_t below_turn(struct http *http, struct now now) {
	(void)http;
	(void)now;
	return NEVER_NS;
}

static void below_destroy(struct http *http) {
	(void)http;
	below.destroyed = true;
}

static struct plan_record *find(void *arg, struct str ns, struct str name) {
	assert_ptr_equal(arg, &record);
	return str_eq(ns, STR("shop")) && str_eq(name, STR("db")) ? &record : NULL;
}

static int set_up(void **state) {
	static const struct http_ops ops = { below_start, below_cancel, below_turn, below_destroy };
	(void)state;
	below = (struct below){ .http.ops = &ops };
	arena = secret_arena_create(8 << 20);
	record = (struct plan_record){ .uid = "ours" };
	done = 0;
	assert_int_equal(kube_init(&kube, "https://kube", &kube_site), OK);
	door = plan_door_create(&(struct plan_door_options){
		.below = &below.http, .kube = &kube, .arena = arena, .find = find, .arg = &record });
	assert_non_null(door);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	http_destroy(door);
	assert_true(below.destroyed);
	plan_record_deinit(&record);
	kube_deinit(&kube);
	secret_arena_destroy(arena);
	return 0;
}

static void note_done(struct http_req *req) {
	assert_false(http_req_is_active(req));
	done++;
}

/* Starts it; answered by the door alone, or parked below. */
static void start(struct kube_call *call) {
	call->http.on_done = note_done;
	http_start(door, &call->http);
	http_turn(door, (struct now){ 0 });
}

/* The GET that stands below, answered. */
static void answer_get(int status, const char *body) {
	assert_int_equal(below.count, 1);
	struct http_req *get = below.started[0];
	assert_int_equal(get->method, HTTP_GET);
	assert_str(buf_str(&get->url), "https://kube/api/v1/namespaces/shop/secrets/db");
	answer(get, status, body);
	get->on_done(get);
	http_turn(door, (struct now){ 0 });
}

#define OWNED(more, data)                                                                              \
	"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"db\",\"uid\":\"u\",\"resourceVersion\":\"7\","  \
	"\"labels\":{\"" KUBE_MANAGED_KEY "\":\"\"},\"managedFields\":[{\"manager\":\""                \
	KUBE_FIELD_MANAGER "\",\"operation\":\"Update\",\"fieldsV1\":{\"f:data\":{\"f:k\":{},"         \
	"\"f:old\":{}}}}],\"annotations\":{\"a\":\"in an annotation\"},\"ownerReferences\":["          \
	"{\"apiVersion\":\"" KUBE_SYNC_API "\",\"kind\":\"SecretSync\",\"uid\":\"ours\"}]},"           \
	"\"type\":\"Opaque\"" more ",\"data\":" data "}"

static struct secret value;
static struct kube_data pair = { STR("k"), &value };

static struct kube_secret secret_of(const char *type, const char *text) {
	secret_deinit(&value);
	secret_init(&value, arena, 100);
	secret_append(&value, str_of(text));
	return (struct kube_secret){ .ns = STR("shop"),
		.name = STR("db"),
		.type = str_of(type),
		.owner_name = STR("db"),
		.owner_uid = STR("ours"),
		.data = &pair,
		.data_count = 1 };
}

static void create(struct kube_call *call, const char *text) {
	struct kube_secret secret = secret_of("Opaque", text);
	assert_int_equal(kube_secret_create(call, &kube, arena, &secret), OK);
	start(call);
}

static const struct kube_meta META = { .uid = "u", .resource_version = "7" };

static void apply(struct kube_call *call, const char *type, const char *text) {
	struct kube_secret secret = secret_of(type, text);
	assert_int_equal(kube_secret_apply(call, &kube, arena, &secret, &META), OK);
	start(call);
}

static void probe(struct kube_call *call) {
	assert_int_equal(kube_secret_probe(call, &kube, arena, STR("shop"), STR("db")), OK);
	start(call);
}

static void finish(struct kube_call *call) {
	kube_call_deinit(call);
	secret_deinit(&value);
}

static void see_secret(const char *text) {
	struct kube_call call;
	probe(&call);
	answer_get(200, text);
	assert_int_equal(call.http.status, 200);
	assert_int_equal(record.sight, SIGHT_THERE);
	finish(&call);
	below.count = 0;
	done = 0;
}

/* --- what goes where --- */

static void test_reads_go_out(void **state) {
	struct kube_call calls[4];
	struct http_req vault;
	(void)state;
	assert_int_equal(kube_token_request(&calls[0], &kube, arena, STR("shop"), STR("sa"), STR("aud")), OK);
	assert_int_equal(kube_secret_get(&calls[1], &kube, arena, STR("shop"), STR("principal")), OK);
	assert_int_equal(kube_custom_get(&calls[2], &kube, KUBE_SYNCS, STR("shop"), STR("db")), OK);
	assert_int_equal(kube_list_in(&calls[3], &kube, KUBE_SYNCS, STR("shop"), 5, STR("next")), OK);
	assert_str(buf_str(&calls[3].http.url),
		"https://kube/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/shop/secretsyncs?limit=5&continue=next");
	http_req_init(&vault, &azure_site, HTTP_POST);
	http_start(door, &vault);
	for (int i = 0; i < 4; i++) start(&calls[i]);
	assert_int_equal(below.count, 5);
	assert_ptr_equal(below.started[0], &vault);
	assert_ptr_equal(below.started[1], &calls[0].http);
	assert_int_equal(done, 0);
	for (int i = 0; i < 4; i++) kube_call_deinit(&calls[i]);
	http_req_deinit(&vault);
}

static void test_no_write_goes_out(void **state) {
	struct kube_custom custom = { .resource = KUBE_SYNCS, .ns = STR("shop"), .name = STR("db"),
		.owner_name = STR("o"), .owner_uid = STR("u"), .spec_json = STR("{}") };
	struct kube_event event = { .name = STR("e"), .ns = STR("shop"), .sync_name = STR("db"), .reason = STR("R") };
	struct str ns = STR("shop"), name = STR("db"), one = STR("1");
	struct kube_call calls[7];
	(void)state;
	assert_int_equal(kube_status_patch(&calls[0], &kube, ns, name, one, STR("{}")), OK);
	assert_int_equal(kube_event_create(&calls[1], &kube, &event), OK);
	assert_int_equal(kube_custom_create(&calls[2], &kube, &custom), OK);
	assert_int_equal(kube_custom_apply(&calls[3], &kube, &custom, one, one), OK);
	assert_int_equal(kube_custom_replace(&calls[4], &kube, &custom, one, one), OK);
	assert_int_equal(kube_custom_delete(&calls[5], &kube, KUBE_SYNCS, ns, name, one), OK);
	/* A DELETE of a Secret, which kvsync never sends. */
	assert_int_equal(kube_secret_probe(&calls[6], &kube, arena, ns, name), OK);
	calls[6].http.method = HTTP_DELETE;
	for (unsigned i = 0; i < 7; i++) {
		start(&calls[i]);
		assert_int_equal(done, i + 1);
		assert_int_equal(calls[i].http.status, i < 2 ? 200 : 403);
		kube_call_deinit(&calls[i]);
	}
	assert_int_equal(below.count, 0);
}

/* --- the Secret --- */

static void test_no_write_goes_out_by_any_connection(void **state) {
	const struct http_site *sites[] = { &kube.site, &kube.watch_site, &kube.secret_site };
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct kube_call call;
		assert_int_equal(kube_custom_delete(&call, &kube, KUBE_SYNCS, STR("shop"), STR("db"), STR("1")), OK);
		call.http.site = sites[i];
		start(&call);
		assert_int_equal(call.http.status, 403);
		kube_call_deinit(&call);
	}
	assert_int_equal(below.count, 0);
}

static void test_create(void **state) {
	struct kube_call call;
	(void)state;
	create(&call, "value");
	assert_int_equal(done, 0);
	answer_get(404, "{}");
	assert_int_equal(done, 1);
	assert_int_equal(call.http.status, 201);
	assert_int_equal(record.sight, SIGHT_ABSENT);
	assert_int_equal(record.write, WRITE_CREATE);
	assert_str(plan_entry(plan_map(secret_expose(&record.after), KUBE_FIELD_DATA), STR("k")), "\"dmFsdWU=\"");
	finish(&call);
	/* It is looked at once. */
	probe(&call);
	assert_int_equal(call.http.status, 404);
	assert_int_equal(below.count, 1);
	finish(&call);
}

static void test_taken_name(void **state) {
	struct fault fault = { 0 };
	struct kube_call call;
	(void)state;
	create(&call, "value");
	answer_get(200, OWNED("", "{\"k\":\"b2xk\"}"));
	assert_int_equal(kube_result(&call, &fault, "create"), ERR_EXISTS);
	assert_int_equal(record.write, WRITE_NONE);
	finish(&call);
}

static void test_probe_shows_no_data(void **state) {
	struct kube_meta meta;
	struct fault fault = { 0 };
	struct kube_call call;
	(void)state;
	see_secret(OWNED("", "{\"k\":\"b2xk\"}"));
	probe(&call);
	assert_int_equal(kube_read_meta(&call, &meta, &fault), OK);
	assert_true(meta.has_label && !meta.has_annotation && meta.must_settle && meta.owner_is_sync);
	assert_string_equal(meta.uid, "u");
	assert_int_equal(str_find(http_response_body(&call.http), STR("b2xk")), SIZE_MAX);
	finish(&call);
	assert_int_equal(kube_secret_settle(&call, &kube, arena, STR("shop"), STR("db"), &meta), OK);
	kube_meta_deinit(&meta);
	start(&call);
	assert_int_equal(kube_read_meta(&call, &meta, &fault), OK);
	assert_false(meta.must_settle);
	assert_int_equal(str_find(buf_str(&meta.managed_fields), STR("Update")), SIZE_MAX);
	kube_meta_deinit(&meta);
	finish(&call);
	assert_int_equal(below.count, 0);
}

static void test_apply(void **state) {
	struct fault fault = { 0 };
	struct kube_call call;
	(void)state;
	see_secret(OWNED("", "{\"k\":\"b2xk\"}"));
	apply(&call, "Opaque", "new");
	assert_int_equal(kube_result(&call, &fault, "apply"), OK);
	assert_int_equal(record.write, WRITE_APPLY);
	assert_false(record.refused);
	finish(&call);
	apply(&call, "kubernetes.io/tls", "new");
	assert_int_equal(kube_result(&call, &fault, "apply"), ERR_INVALID);
	assert_non_null(strstr(fault.text, "type: Invalid value"));
	assert_non_null(strstr(fault.text, "field is immutable"));
	assert_true(record.refused);
	finish(&call);
}

static void test_patch(void **state) {
	struct kube_secret secret = secret_of("Opaque", "new");
	struct kube_call call;
	(void)state;
	see_secret(OWNED(",\"immutable\":true", "{\"k\":\"bmV3\"}"));
	secret = secret_of("Opaque", "new");
	assert_int_equal(kube_secret_patch(&call, &kube, arena, &secret, &META), OK);
	start(&call);
	assert_int_equal(call.http.status, 200);
	assert_int_equal(record.write, WRITE_PATCH);
	finish(&call);
}

static void test_immutable(void **state) {
	struct kube_call call;
	(void)state;
	see_secret(OWNED(",\"immutable\":true", "{\"k\":\"b2xk\"}"));
	apply(&call, "Opaque", "old");
	assert_int_equal(call.http.status, 200);
	finish(&call);
	apply(&call, "Opaque", "new");
	assert_int_equal(call.http.status, 422);
	assert_true(record.refused);
	finish(&call);
}

/* A key that the apply would take away changes an immutable Secret, too. */
static void test_immutable_loses_a_key(void **state) {
	struct kube_call call;
	(void)state;
	see_secret(OWNED(",\"immutable\":true", "{\"k\":\"b2xk\",\"old\":\"eA==\",\"theirs\":\"eA==\"}"));
	apply(&call, "Opaque", "old");
	assert_int_equal(call.http.status, 422);
	finish(&call);
}

static void test_hidden(void **state) {
	struct kube_meta meta;
	struct fault fault = { 0 };
	struct kube_call call;
	(void)state;
	probe(&call);
	answer_get(403, "{\"reason\":\"Forbidden\"}");
	assert_int_equal(record.sight, SIGHT_HIDDEN);
	assert_int_equal(call.http.status, 503);
	finish(&call);
	record.has_values = true;
	probe(&call);
	assert_int_equal(kube_read_meta(&call, &meta, &fault), OK);
	assert_true(meta.has_label && meta.has_annotation && meta.owner_count == 1 && !meta.must_settle);
	assert_string_equal(meta.owner_uid, "ours");
	kube_meta_deinit(&meta);
	finish(&call);
	apply(&call, "Opaque", "new");
	assert_int_equal(call.http.status, 200);
	assert_int_equal(record.write, WRITE_APPLY);
	finish(&call);
}

/* What the GET met is the answer, and the next request asks again. */
static void test_failures_pass(void **state) {
	struct kube_call call;
	(void)state;
	probe(&call);
	answer_get(500, "{}");
	assert_int_equal(call.http.status, 500);
	assert_int_equal(record.sight, SIGHT_NONE);
	finish(&call);
	below.count = 0;
	probe(&call);
	struct http_req *get = below.started[0];
	no_answer(get, ERR_NETWORK);
	get->on_done(get);
	http_turn(door, (struct now){ 0 });
	assert_int_equal(call.http.err, ERR_NETWORK);
	assert_non_null(strstr(call.http.fault.text, "no connection"));
	finish(&call);
}

static void test_cancel(void **state) {
	struct kube_call call;
	(void)state;
	probe(&call);
	http_cancel(door, &call.http);
	assert_int_equal(below.cancelled, 1);
	finish(&call);
	record.sight = SIGHT_ABSENT;
	assert_int_equal(kube_secret_probe(&call, &kube, arena, STR("shop"), STR("db")), OK);
	call.http.on_done = note_done;
	http_start(door, &call.http);
	http_cancel(door, &call.http);
	http_turn(door, (struct now){ 0 });
	assert_int_equal(done, 0);
	finish(&call);
}

static void test_strange_secret(void **state) {
	struct kube_call call;
	(void)state;
	assert_int_equal(kube_secret_probe(&call, &kube, arena, STR("other"), STR("db")), OK);
	start(&call);
	assert_int_equal(call.http.err, ERR_INTERNAL);
	assert_int_equal(below.count, 0);
	finish(&call);
}

#define case_of(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		case_of(test_reads_go_out),
		case_of(test_no_write_goes_out),
		case_of(test_no_write_goes_out_by_any_connection),
		case_of(test_create),
		case_of(test_taken_name),
		case_of(test_probe_shows_no_data),
		case_of(test_apply),
		case_of(test_patch),
		case_of(test_immutable),
		case_of(test_immutable_loses_a_key),
		case_of(test_hidden),
		case_of(test_failures_pass),
		case_of(test_cancel),
		case_of(test_strange_secret),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
