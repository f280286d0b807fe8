/* engine/akv: what is asked for an AKVSync, in which order, what an answer brings about, and when nothing is asked. */
#include "engine/akv.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "clients/json.h"
#include "tests/unit/call.h"

enum { MOST = 16 };

static struct {
	struct http http;
	struct http_req *active[MOST];
	struct kube kube;
	struct rng rng;
	struct now now;
	struct akv *akv;
	unsigned unauthenticated, started;
} t;

static void fake_start(struct http *http, struct http_req *req) {
	(void)http;
	t.started++;
	for (int i = 0; i < MOST; i++) {
		if (t.active[i]) continue;
		t.active[i] = req;
		return;
	}
	fail_msg("too many requests");
}

static void fake_cancel(struct http *http, struct http_req *req) {
	(void)http;
	for (int i = 0; i < MOST; i++) {
		if (t.active[i] == req) t.active[i] = NULL;
	}
}

static const struct http_ops OPS = { .start = fake_start, .cancel = fake_cancel };

static void unauthenticated(void *arg) {
	(void)arg;
	t.unauthenticated++;
}

static void no_log(struct str line, void *arg) {
	(void)line;
	(void)arg;
}

static int setup(void **state) {
	static const struct http_site site = { .name = "kubernetes" };
	(void)state;
	memset(&t, 0, sizeof t);
	t.http.ops = &OPS;
	t.now = (struct now){ 1000 * NS_PER_S, 1800000000 * NS_PER_S };
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	log_redirect(no_log, NULL);
	rng_seed(&t.rng, 7);
	if (kube_init(&t.kube, "https://k", &site)) return -1;
	t.akv = akv_create(&t.kube, &t.http, &t.rng, (struct hash_key){ 1, 2 }, unauthenticated, NULL);
	return t.akv ? 0 : -1;
}

static int teardown(void **state) {
	(void)state;
	akv_destroy(t.akv);
	for (int i = 0; i < MOST; i++) assert_null(t.active[i]);
	kube_deinit(&t.kube);
	log_redirect(NULL, NULL);
	rcu_thread_unregister();
	return 0;
}

static void turn(void) {
	for (int i = 0; i < 50 && (i == 0 || akv_deadline_ns(t.akv, t.now) <= t.now.mono_ns); i++)
		akv_turn(t.akv, t.now);
	assert_true(akv_deadline_ns(t.akv, t.now) > t.now.mono_ns);
}

static void later(int64_t seconds) {
	t.now.mono_ns += seconds * NS_PER_S;
	t.now.wall_ns += seconds * NS_PER_S;
	turn();
}

static void tell(enum kube_resource resource, const char *object) {
	cJSON *json = NULL;
	assert_int_equal(json_parse(str_of(object), &json, NULL), OK);
	assert_int_equal(akv_upsert(t.akv, resource, json), OK);
	cJSON_Delete(json);
}

static void tell_gone(enum kube_resource resource, const char *object) {
	cJSON *json = NULL;
	assert_int_equal(json_parse(str_of(object), &json, NULL), OK);
	assert_int_equal(akv_remove(t.akv, resource, json), OK);
	cJSON_Delete(json);
}

static void lists_are_complete(void) {
	for (enum kube_resource r = KUBE_CLASSES; r <= KUBE_AKVS; r++) {
		akv_list_begin(t.akv, r);
		akv_list_end(t.akv, r);
	}
}

/* The one request that is in flight. */
static struct http_req *asked(enum http_method method, const char *url_part) {
	struct http_req *found = NULL;
	for (int i = 0; i < MOST; i++) {
		if (!t.active[i]) continue;
		if (found) fail_msg("more than one request");
		found = t.active[i];
	}
	if (!found) fail_msg("nothing is asked; wanted %s", url_part);
	char url[512];
	snprintf(url, sizeof url, "%.*s", STR_ARG(buf_str(&found->url)));
	assert_text(url, url_part);
	assert_int_equal(found->method, method);
	return found;
}

static void nothing_is_asked(void) {
	for (int i = 0; i < MOST; i++) {
		if (t.active[i])
			fail_msg("asked without need: %.*s", STR_ARG(buf_str(&t.active[i]->url)));
	}
}

static const char *body_of(const struct http_req *req) {
	static char text[1 << 16];
	snprintf(text, sizeof text, "%.*s", STR_ARG(req->body));
	return text;
}

static void give(struct http_req *req, int status, const char *body) {
	answer(req, status, body);
	fake_cancel(&t.http, req);
	req->on_done(req);
	turn();
}

#define META(name, uid, generation, more)                                            \
	"\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"uid\":\"" uid "\"," \
	"\"resourceVersion\":\"1\",\"generation\":" generation more "}"
#define AKV_BY(uid, generation, account, objects)                                                     \
	"{" META("app", uid, generation,                                                              \
		"") ",\"spec\":{\"keyvaultName\":\"vault\",\"clientID\":\"c\",\"tenantID\":\"t\"," \
		    "\"serviceAccountName\":\"" account "\",\"objects\":[" objects "]}}"
#define AKV_OF(uid, generation, objects) AKV_BY(uid, generation, "account", objects)
#define ONE "{\"secretInAKV\":\"one\"}"
#define TWO ONE ",{\"secretInAKV\":\"two\"}"
#define OWNED                                                                            \
	",\"ownerReferences\":[{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":" \
	"\"AKVSync\",\"name\":\"app\",\"uid\":\"u1\",\"controller\":true}]"
#define ITEM(name) "  - |\\n    objectName: \\\"" name "\\\"\\n    objectType: secret\\n"
#define CLASS_SPEC(items)                                                              \
	"\"spec\":{\"provider\":\"azure\",\"parameters\":{\"tenantID\":\"t\",\"clientID\":\"c\"," \
	"\"keyvaultName\":\"vault\",\"objects\":\"array:\\n" items "\"}}"
#define CLASS(items) "{" META("akvsync-app", "c1", "1", OWNED) "," CLASS_SPEC(items) "}"
#define SYNC_SPEC(name, account)                                                            \
	"\"spec\":{\"secretProviderClassName\":\"akvsync-app\",\"serviceAccountName\":\"" account \
	"\",\"secretSyncControllerName\":\"\",\"secretObject\":{\"type\":\"Opaque\",\"data\":[{"   \
	"\"sourcePath\":\"" name "\",\"targetKey\":\"v0\"}]}}"
#define READY(status, reason)                                                          \
	",\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"" status "\",\"reason\":\"" \
	reason "\",\"message\":\"words\"}]}"
#define SYNC(name, more) "{" META(name, "s-" name, "1", OWNED) "," SYNC_SPEC(name, "account") more "}"

#define CLASSES "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/n/secretproviderclasses"
#define SYNCS "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/n/secretsyncs"
#define STATUS "/namespaces/n/akvsyncs/app/status"

/* Everything is there and as it has to be, the status included. */
static void settle(void) {
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	tell(KUBE_CLASSES, CLASS(ITEM("one")));
	tell(KUBE_SYNCS, SYNC("one", READY("True", "CreateSucceeded")));
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	tell(KUBE_CLASSES, CLASS(ITEM("one")));
	tell(KUBE_SYNCS, SYNC("one", READY("True", "CreateSucceeded")));
	turn();
	give(asked(HTTP_PATCH, STATUS), 200, "{}");
	nothing_is_asked();
	later(600);
	nothing_is_asked();
}

/* One each ten seconds, as pace_wait_ns() gives them. */
static int64_t one_in_ten_seconds(void *arg, int64_t now_ns) {
	int64_t *next_ns = arg;
	if (*next_ns > now_ns) return *next_ns - now_ns;
	*next_ns = now_ns + 10 * NS_PER_S;
	return 0;
}

/* Class, SecretSync and status are a write each; what waits is asked for when its moment has come, without anything new. */
static void writes_keep_the_pace_of_all(void **state) {
	int64_t next_ns = 0;
	(void)state;
	akv_pace_writes(t.akv, one_in_ten_seconds, &next_ns);
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	turn();
	give(asked(HTTP_POST, CLASSES "?"), 201, CLASS(ITEM("one")));
	nothing_is_asked();
	assert_int_equal(akv_deadline_ns(t.akv, t.now), next_ns);
	later(9);
	nothing_is_asked();
	later(1);
	give(asked(HTTP_POST, SYNCS "?"), 201, SYNC("one", ""));
	nothing_is_asked();
	later(10);
	give(asked(HTTP_PATCH, STATUS), 200, "{}");
	later(600);
	nothing_is_asked();
	assert_int_equal(t.started, 3);
}

static void first_the_class_then_the_syncs_then_the_status(void **state) {
	(void)state;
	tell(KUBE_AKVS, AKV_OF("u1", "1", TWO));
	turn();
	nothing_is_asked(); /* the lists are not complete */
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", TWO));
	turn();
	struct http_req *req = asked(HTTP_POST, CLASSES "?fieldManager=kvsync-akvsync");
	assert_text(body_of(req), "\"kind\":\"AKVSync\",\"controller\":true,\"name\":\"app\",\"uid\":\"u1\"");
	give(req, 201, CLASS(ITEM("one") ITEM("two")));
	give(asked(HTTP_POST, SYNCS "?"), 201, SYNC("one", ""));
	give(asked(HTTP_POST, SYNCS "?"), 201, SYNC("two", ""));
	req = asked(HTTP_PATCH, STATUS);
	assert_text(body_of(req), "{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u1\"}");
	assert_text(body_of(req), "\"status\":\"Unknown\",\"reason\":\"SyncStarting\"");
	assert_text(body_of(req), "\"readySecrets\":\"0/2\"");
	give(req, 200, "{}");
	nothing_is_asked();
	tell(KUBE_SYNCS, SYNC("one", READY("True", "CreateSucceeded")));
	tell(KUBE_SYNCS, SYNC("two", READY("False", "ProviderError")));
	later(1);
	req = asked(HTTP_PATCH, STATUS);
	assert_text(body_of(req), "\"status\":\"False\",\"reason\":\"ProviderError\"");
	assert_text(body_of(req), "1 of 2 Secrets are ready. SecretSync two: words");
	give(req, 200, "{}");
}

static void nothing_is_asked_after_a_restart(void **state) {
	(void)state;
	settle();
}

/* Our own status comes back by the watch. */
static void a_status_that_is_there_is_not_written(void **state) {
	(void)state;
	settle();
	unsigned before = t.started;
	lists_are_complete();
	turn();
	tell(KUBE_CLASSES, CLASS(ITEM("one")));
	tell(KUBE_SYNCS, SYNC("one", READY("True", "CreateSucceeded")));
	tell(KUBE_AKVS,
		"{" META("app", "u1", "1", "") ",\"spec\":{\"keyvaultName\":\"vault\",\"clientID\":\"c\","
					       "\"tenantID\":\"t\",\"serviceAccountName\":\"account\","
					       "\"objects\":[" ONE "]},\"status\":{\"observedGeneration\":1,"
					       "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":"
					       "\"AllSecretsReady\",\"message\":\"All Secrets (1) hold what the "
					       "vault held at the last check.\",\"lastTransitionTime\":"
					       "\"2001-01-01T00:00:00Z\",\"observedGeneration\":1}],"
					       "\"readySecrets\":\"1/1\",\"secretProviderClassName\":"
					       "\"akvsync-app\",\"secretSyncs\":[{\"name\":\"one\",\"ready\":"
					       "\"True\",\"reason\":\"CreateSucceeded\"}]}}");
	later(600);
	assert_int_equal(t.started, before);
}

static void an_edit_is_taken_back_by_apply_and_replacement(void **state) {
	(void)state;
	settle();
	tell(KUBE_SYNCS, "{" META("one", "s-one", "2", OWNED) "," SYNC_SPEC("one", "edited") "}");
	turn();
	struct http_req *req = asked(HTTP_PATCH, SYNCS "/one?fieldManager=kvsync-akvsync&force=true");
	assert_text(body_of(req), "\"uid\":\"s-one\",\"resourceVersion\":\"1\"");
	/* The server has left something of it. */
	give(req, 200, "{" META("one", "s-one", "3", OWNED) "," SYNC_SPEC("one", "still-edited") "}");
	req = asked(HTTP_PATCH, SYNCS "/one?fieldManager=kvsync-akvsync");
	assert_text(body_of(req), "\"path\":\"/metadata/resourceVersion\"");
	/* And it goes on: what the server does not take is let be. */
	give(req, 200, "{" META("one", "s-one", "4", OWNED) "," SYNC_SPEC("one", "still-edited") "}");
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < MOST; k++) {
			if (t.active[k]) give(asked(HTTP_PATCH, STATUS), 200, "{}");
		}
		later(2);
	}
	nothing_is_asked();
	/* Until somebody edits it again. */
	tell(KUBE_SYNCS, "{" META("one", "s-one", "5", OWNED) "," SYNC_SPEC("one", "edited") "}");
	turn();
	asked(HTTP_PATCH, SYNCS "/one?fieldManager=kvsync-akvsync&force=true");
}

/* What is written is what followed from it when the request went out. */
static void an_edit_during_a_write_is_written_too(void **state) {
	(void)state;
	settle();
	tell_gone(KUBE_SYNCS, SYNC("one", ""));
	turn();
	struct http_req *req = asked(HTTP_POST, SYNCS "?");
	tell(KUBE_AKVS, AKV_BY("u1", "2", "another", ONE));
	give(req, 201, SYNC("one", ""));
	give(asked(HTTP_PATCH, STATUS), 200, "{}");
	later(1);
	req = asked(HTTP_PATCH, SYNCS "/one?fieldManager=kvsync-akvsync&force=true");
	assert_text(body_of(req), "\"serviceAccountName\":\"another\"");
}

static void a_strangers_object_is_read_and_left(void **state) {
	(void)state;
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	tell(KUBE_CLASSES, CLASS(ITEM("one")));
	turn();
	give(asked(HTTP_POST, SYNCS), 409, "{\"reason\":\"AlreadyExists\"}");
	give(asked(HTTP_GET, SYNCS "/one"), 200,
		"{" META("one", "foreign", "1",
			",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"name\":"
			"\"other\",\"uid\":\"x\",\"controller\":true}]") "," SYNC_SPEC("one", "account") "}");
	struct http_req *req = asked(HTTP_PATCH, STATUS);
	assert_text(body_of(req), "OwnershipConflict");
	assert_text(body_of(req), "belongs to Thing other");
	assert_text(body_of(req), "give this entry another kubernetesSecretName");
	give(req, 200, "{}");
	later(600);
	nothing_is_asked();
	tell_gone(KUBE_SYNCS, "{" META("one", "foreign", "1", "") "}");
	later(300);
	asked(HTTP_POST, SYNCS);
}

/* SecretSyncs would read by somebody else's class. */
static void nothing_is_written_behind_a_strangers_class(void **state) {
	(void)state;
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	turn();
	give(asked(HTTP_POST, CLASSES), 409, "{\"reason\":\"AlreadyExists\"}");
	give(asked(HTTP_GET, CLASSES "/akvsync-app"), 200,
		"{" META("akvsync-app", "foreign", "1", "") "," CLASS_SPEC(ITEM("one")) "}");
	assert_text(body_of(asked(HTTP_PATCH, STATUS)), "rename this AKVSync");
}

/* Same name, another uid: the older one's objects are the garbage collector's. */
static void an_older_one_of_the_name_is_not_confused(void **state) {
	(void)state;
	settle();
	tell(KUBE_AKVS, AKV_OF("u2", "1", ONE));
	turn();
	assert_text(body_of(asked(HTTP_PATCH, STATUS)), "an older object of this name is being deleted");
	give(asked(HTTP_PATCH, STATUS), 200, "{}");
	nothing_is_asked();
	tell_gone(KUBE_CLASSES, CLASS(ITEM("one")));
	turn();
	assert_text(body_of(asked(HTTP_POST, CLASSES)), "\"uid\":\"u2\"");
}

/* The status that the watch told of is newer than the one in the answer. */
static void an_answer_that_an_event_overtook_is_read_again(void **state) {
	(void)state;
	settle();
	tell(KUBE_AKVS, AKV_OF("u1", "2", TWO));
	tell(KUBE_CLASSES, CLASS(ITEM("one") ITEM("two")));
	turn();
	struct http_req *req = asked(HTTP_POST, SYNCS "?");
	tell(KUBE_SYNCS, SYNC("two", READY("True", "CreateSucceeded")));
	give(req, 201, SYNC("two", READY("False", "ProviderError")));
	give(asked(HTTP_GET, SYNCS "/two"), 200, SYNC("two", READY("True", "CreateSucceeded")));
	later(1);
	assert_text(body_of(asked(HTTP_PATCH, STATUS)), "\"readySecrets\":\"2/2\"");
	give(asked(HTTP_PATCH, STATUS), 200, "{}");
}

/* Its deletion may have been missed: it is read now and then. */
static void an_older_one_that_stays_is_read(void **state) {
	(void)state;
	settle();
	tell(KUBE_AKVS, AKV_OF("u2", "1", ONE));
	turn();
	give(asked(HTTP_PATCH, STATUS), 200, "{}");
	later(59);
	nothing_is_asked();
	later(2);
	give(asked(HTTP_GET, CLASSES "/akvsync-app"), 200, CLASS(ITEM("one")));
	give(asked(HTTP_GET, SYNCS "/one"), 200, SYNC("one", ""));
	if (t.active[0]) give(asked(HTTP_PATCH, STATUS), 200, "{}");
	later(59);
	nothing_is_asked();
	later(2);
	give(asked(HTTP_GET, CLASSES "/akvsync-app"), 404, "{\"reason\":\"NotFound\"}");
	asked(HTTP_POST, CLASSES);
}

/* Created for an AKVSync that was gone already, and collected: the answer comes last, and is not believed. */
static void an_answer_that_its_deletion_overtook_is_read_again(void **state) {
	(void)state;
	settle();
	tell_gone(KUBE_SYNCS, SYNC("one", ""));
	turn();
	struct http_req *req = asked(HTTP_POST, SYNCS "?");
	tell(KUBE_SYNCS, SYNC("one", ""));
	tell_gone(KUBE_SYNCS, SYNC("one", ""));
	give(req, 201, SYNC("one", ""));
	give(asked(HTTP_GET, SYNCS "/one"), 404, "{\"reason\":\"NotFound\"}");
	later(60);
	asked(HTTP_POST, SYNCS "?");
}

static void what_no_longer_follows_is_deleted_by_uid(void **state) {
	(void)state;
	settle();
	tell(KUBE_SYNCS, SYNC("two", ""));
	turn();
	struct http_req *req = asked(HTTP_DELETE, SYNCS "/two");
	assert_text(body_of(req), "\"preconditions\":{\"uid\":\"s-two\"}");
	give(req, 200, "{}");
	later(600);
	nothing_is_asked();
}

/* Whoever answers that it is not there (a proxy, a server that starts) may be wrong: it is gone once the watch says so. */
static void what_is_said_to_be_gone_is_deleted_until_it_is(void **state) {
	(void)state;
	settle();
	tell(KUBE_SYNCS, SYNC("two", ""));
	turn();
	give(asked(HTTP_DELETE, SYNCS "/two"), 404, "{\"reason\":\"NotFound\"}");
	nothing_is_asked();
	later(60);
	give(asked(HTTP_DELETE, SYNCS "/two"), 404, "{\"reason\":\"NotFound\"}");
	tell_gone(KUBE_SYNCS, SYNC("two", ""));
	later(600);
	nothing_is_asked();
}

static void a_bad_spec_deletes_nothing(void **state) {
	(void)state;
	settle();
	tell(KUBE_AKVS, AKV_OF("u1", "2", ONE "," ONE));
	later(1);
	struct http_req *req = asked(HTTP_PATCH, STATUS);
	assert_text(body_of(req), "UserInputValidationFailed");
	assert_text(body_of(req), "two entries that make the Secret");
	give(req, 200, "{}");
	later(600);
	nothing_is_asked();
}

static void a_refusal_is_told_and_tried_again(void **state) {
	(void)state;
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	tell(KUBE_CLASSES, CLASS(ITEM("one")));
	turn();
	give(asked(HTTP_POST, SYNCS), 403, "{\"reason\":\"Forbidden\",\"message\":\"not you\"}");
	struct http_req *req = asked(HTTP_PATCH, STATUS);
	assert_text(body_of(req), "DerivedObjectNotWritten");
	assert_text(body_of(req), "not you");
	give(req, 200, "{}");
	nothing_is_asked();
	later(1);
	give(asked(HTTP_POST, SYNCS), 201, SYNC("one", READY("True", "CreateSucceeded")));
	assert_text(body_of(asked(HTTP_PATCH, STATUS)), "AllSecretsReady");
}

/* Retry-After is the server's: nothing at all is asked before it. */
static void retry_after_holds_for_all(void **state) {
	(void)state;
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	turn();
	struct http_req *req = asked(HTTP_POST, CLASSES);
	req->retry_after_ns = 60 * NS_PER_S;
	give(req, 429, "{}");
	tell(KUBE_AKVS, AKV_OF("u1", "2", TWO));
	turn();
	later(59);
	nothing_is_asked();
	later(1);
	asked(HTTP_POST, CLASSES);
}

static void an_unreachable_server_is_tried_by_one(void **state) {
	(void)state;
	lists_are_complete();
	for (int i = 0; i < 4; i++) {
		char text[1024];
		snprintf(text, sizeof text,
			"{\"metadata\":{\"namespace\":\"n\",\"name\":\"app-%d\",\"uid\":\"u%d\",\"generation\":1,"
			"\"resourceVersion\":\"1\"},\"spec\":{}}",
			i, i);
		tell(KUBE_AKVS, text);
	}
	turn();
	for (int i = 0; i < MOST; i++) {
		struct http_req *req = t.active[i];
		if (!req) continue;
		no_answer(req, ERR_NETWORK);
		fake_cancel(&t.http, req);
		req->on_done(req);
	}
	turn();
	nothing_is_asked();
	later(60);
	asked(HTTP_PATCH, "/status"); /* exactly one */
}

static void a_rejected_token_is_told(void **state) {
	(void)state;
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	turn();
	give(asked(HTTP_POST, CLASSES), 401, "{}");
	assert_int_equal(t.unauthenticated, 1);
}

/* Gone while a request for it is in flight: nothing comes of the answer. */
static void a_deleted_one_is_forgotten(void **state) {
	(void)state;
	lists_are_complete();
	tell(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	turn();
	asked(HTTP_POST, CLASSES);
	tell_gone(KUBE_AKVS, AKV_OF("u1", "1", ONE));
	nothing_is_asked();
	assert_int_equal(akv_count(t.akv), 0);
	tell(KUBE_CLASSES, CLASS(ITEM("one")));
	later(600);
	nothing_is_asked();
}

static void while_it_is_deleted_nothing_is_done(void **state) {
	(void)state;
	lists_are_complete();
	tell(KUBE_AKVS, "{" META("app", "u1", "1", ",\"deletionTimestamp\":\"2001-01-01T00:00:00Z\"") ",\"spec\":{}}");
	later(600);
	nothing_is_asked();
}

/* Of SecretSyncs that no AKVSync has to do with nothing is kept. */
static void others_are_passed_over(void **state) {
	(void)state;
	lists_are_complete();
	for (int i = 0; i < 100; i++) {
		char text[512];
		snprintf(text, sizeof text,
			"{\"metadata\":{\"namespace\":\"n\",\"name\":\"other-%d\",\"uid\":\"o\","
			"\"resourceVersion\":\"1\",\"generation\":1},\"spec\":{}}",
			i);
		cJSON *json = NULL;
		assert_int_equal(json_parse(str_of(text), &json, NULL), OK);
		mem_fail_at(1);
		assert_int_equal(akv_upsert(t.akv, KUBE_SYNCS, json), OK);
		assert_int_equal(mem_fail_reached(), 0);
		mem_fail_at(0);
		cJSON_Delete(json);
	}
	later(10);
	nothing_is_asked();
}

/* Whatever allocation fails, the next try is whole, and nothing is written twice. */
static void memory_may_run_out(void **state) {
	(void)state;
	lists_are_complete();
	for (unsigned k = 1; k < 200; k++) {
		cJSON *json = NULL;
		assert_int_equal(json_parse(STR(AKV_OF("u1", "1", TWO)), &json, NULL), OK);
		mem_fail_at(k);
		enum err err = akv_upsert(t.akv, KUBE_AKVS, json);
		if (!err) akv_turn(t.akv, t.now);
		mem_fail_at(0);
		assert_true(err == OK || err == ERR_NOMEM);
		later(2);
		if (!err) asked(HTTP_POST, CLASSES);
		tell_gone(KUBE_AKVS, AKV_OF("u1", "1", TWO));
		cJSON_Delete(json);
	}
}

/* However many are gone from a list: a turn lets go of a slice of them, and nothing is asked for before all of them are gone. */
static void test_what_is_gone_goes_a_slice_per_turn(void **state) {
	(void)state;
	enum { MANY = 1000, SLICE = 250 };
	char text[512];
	settle();
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof text, "{\"metadata\":{\"namespace\":\"n\",\"name\":\"gone-%d\",\"uid\":\"g-%d\","
			 "\"resourceVersion\":\"1\",\"generation\":1},\"spec\":{}}", i, i);
		tell(KUBE_AKVS, text);
	}
	assert_int_equal(akv_count(t.akv), MANY + 1);
	akv_list_begin(t.akv, KUBE_AKVS);
	tell(KUBE_AKVS, AKV_OF("u1", "2", TWO));
	akv_list_end(t.akv, KUBE_AKVS);
	assert_int_equal(akv_count(t.akv), MANY + 1);
	for (int left = MANY - SLICE; left > 0; left -= SLICE) {
		assert_int_equal(akv_deadline_ns(t.akv, t.now), t.now.mono_ns);
		akv_turn(t.akv, t.now);
		assert_int_equal(akv_count(t.akv), left + 1);
		nothing_is_asked();
	}
	/* A list that begins before the last slice: what it shows stays. */
	akv_list_begin(t.akv, KUBE_AKVS);
	akv_turn(t.akv, t.now);
	assert_int_equal(akv_count(t.akv), SLICE + 1);
	tell(KUBE_AKVS, text);
	tell(KUBE_AKVS, AKV_OF("u1", "2", TWO));
	akv_list_end(t.akv, KUBE_AKVS);
	akv_turn(t.akv, t.now);
	akv_turn(t.akv, t.now);
	assert_int_equal(akv_count(t.akv), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_gone_goes_a_slice_per_turn),
		TEST(writes_keep_the_pace_of_all),
		TEST(first_the_class_then_the_syncs_then_the_status),
		TEST(nothing_is_asked_after_a_restart),
		TEST(a_status_that_is_there_is_not_written),
		TEST(an_edit_is_taken_back_by_apply_and_replacement),
		TEST(an_edit_during_a_write_is_written_too),
		TEST(a_strangers_object_is_read_and_left),
		TEST(nothing_is_written_behind_a_strangers_class),
		TEST(an_older_one_of_the_name_is_not_confused),
		TEST(an_answer_that_its_deletion_overtook_is_read_again),
		TEST(an_older_one_that_stays_is_read),
		TEST(an_answer_that_an_event_overtook_is_read_again),
		TEST(what_no_longer_follows_is_deleted_by_uid),
		TEST(what_is_said_to_be_gone_is_deleted_until_it_is),
		TEST(a_bad_spec_deletes_nothing),
		TEST(a_refusal_is_told_and_tried_again),
		TEST(retry_after_holds_for_all),
		TEST(an_unreachable_server_is_tried_by_one),
		TEST(a_rejected_token_is_told),
		TEST(a_deleted_one_is_forgotten),
		TEST(while_it_is_deleted_nothing_is_done),
		TEST(others_are_passed_over),
		TEST(memory_may_run_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
