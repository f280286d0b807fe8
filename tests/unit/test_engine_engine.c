/* engine/engine: order of the lists, readiness, the token's refresh, an object's whole life, and an end without leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/engine.h"
#include "workers/secret_seen.h"

/* An HTTP client that keeps what was started until the test answers it. */
struct fake {
	struct http http;
	struct http_req *active[16];
	struct http_req *answered;
};

struct world {
	bool streams; /* the server has streaming lists */
	unsigned refused_streams;
	struct clock clock;
	struct now now;
	struct kube kube;
	struct http_site kube_site, azure;
	struct fake *main_http, *worker_http;
	struct engine *engine;
	unsigned refreshes, rejections;
};

static struct world w;

static void fake_start(struct http *http, struct http_req *req) {
	struct fake *fake = (struct fake *)http;
	for (int i = 0; i < 16; i++) {
		if (fake->active[i]) continue;
		fake->active[i] = req;
		buf_init(&req->response, req->max_response_bytes);
		if (req->response_arena)
			secret_init(&req->response_secret, req->response_arena, req->max_response_bytes);
		return;
	}
	fail_msg("too many requests");
}

static void fake_cancel(struct http *http, struct http_req *req) {
	struct fake *fake = (struct fake *)http;
	for (int i = 0; i < 16; i++) {
		if (fake->active[i] == req) fake->active[i] = NULL;
	}
}

static int64_t fake_turn(struct http *http, struct now now) {
	struct fake *fake = (struct fake *)http;
	struct http_req *req = take(fake->answered);
	(void)now;
	if (!req) return NEVER_NS;
	fake_cancel(http, req);
	req->on_done(req);
	return 0;
}

static void fake_destroy(struct http *http) {
	mem_free(http);
}

static const struct http_ops OPS = { fake_start, fake_cancel, fake_turn, fake_destroy };

static struct fake *fake_create(void) {
	struct fake *fake = mem_zalloc(sizeof *fake);
	if (fake) fake->http.ops = &OPS;
	return fake;
}

static struct http *make_http(void *arg, unsigned index, struct loop *loop) {
	(void)arg;
	(void)index;
	assert_null(loop);
	w.worker_http = fake_create();
	return &w.worker_http->http;
}

static struct now read_clock(struct clock *clock) {
	(void)clock;
	return w.now;
}

static void ignore_wake(void *arg, unsigned index) {
	(void)arg;
	(void)index;
}

static void refresh_token(void *arg, bool rejected) {
	(void)arg;
	w.refreshes++;
	w.rejections += rejected;
}

static void no_log(struct str line, void *arg) {
	(void)line;
	(void)arg;
}

static int setup(void **state) {
	(void)state;
	w = (struct world){ .clock = { read_clock },
		.now = { 1000 * NS_PER_S, 1800000000 * NS_PER_S } };
	w.kube_site.name = "kubernetes";
	w.azure.name = "azure";
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	log_redirect(no_log, NULL);
	if (kube_init(&w.kube, "https://api", &w.kube_site)) return -1;
	w.main_http = fake_create();
	struct engine_options options = {
		.pool = { .workers = 1,
			.kube = &w.kube,
			.azure = &w.azure,
			.settings = settings_default(),
			.doors = { .clock = &w.clock,
				.make_http = make_http,
				.wake = ignore_wake,
				.seed = 7 } },
		.http = &w.main_http->http,
		.classes.cloud = cloud_find(STR("AzurePublicCloud")),
		.refresh_token = refresh_token,
	};
	return engine_create(&options, &w.engine) ? -1 : 0;
}

static void turn_worker(void) {
	struct worker *worker = pool_worker(engine_pool(w.engine), 0);
	thread_set_role(ROLE_WORKER);
	for (int i = 0; i < 20; i++) worker_turn(worker, w.now);
	thread_set_role(ROLE_MAIN);
}

/* A server that has no streaming lists, unless a test wants them: its lists are pages. */
static bool refuse_stream(void) {
	for (int i = 0; i < 16 && !w.streams && !w.main_http->answered; i++) {
		struct http_req *req = w.main_http->active[i];
		if (!req || str_find(buf_str(&req->url), STR("sendInitialEvents")) == SIZE_MAX) continue;
		req->status = 422;
		w.main_http->answered = req;
		w.refused_streams++;
		return true;
	}
	return false;
}

static void turn_main(void) {
	int64_t deadline_ns = 0;
	for (int i = 0; i < 100 && (refuse_stream() || deadline_ns <= w.now.mono_ns); i++)
		deadline_ns = engine_turn(w.engine, w.now);
	assert_true(deadline_ns > w.now.mono_ns);
}

static int teardown(void **state) {
	(void)state;
	engine_stop(w.engine, 0);
	turn_worker();
	assert_true(engine_is_drained(w.engine));
	engine_destroy(w.engine);
	kube_deinit(&w.kube);
	log_redirect(NULL, NULL);
	rcu_thread_unregister();
	return 0;
}

static struct http_req *request(const struct fake *fake, const char *part) {
	for (int i = 0; i < 16; i++) {
		struct http_req *req = fake->active[i];
		if (req && str_find(buf_str(&req->url), str_of(part)) != SIZE_MAX) return req;
	}
	return NULL;
}

static void answer(const char *part, int status, const char *body) {
	struct http_req *req = request(w.main_http, part);
	if (!req) fail_msg("no request for %s", part);
	req->status = status;
	if (req->response_arena)
		secret_append(&req->response_secret, str_of(body));
	else
		buf_append(&req->response, str_of(body));
	w.main_http->answered = req;
	turn_main();
}

static void stream(const char *part, const char *text) {
	struct http_req *req = request(w.main_http, part);
	if (!req) fail_msg("no request for %s", part);
	req->status = 200;
	req->on_data(req, str_of(text));
	turn_main();
}

#define CLASS                                                                                   \
	"{\"metadata\":{\"namespace\":\"n\",\"name\":\"c\",\"uid\":\"cu\",\"generation\":1,"    \
	"\"resourceVersion\":\"1\"},"                                                           \
	"\"spec\":{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"c\",\"keyvaultName\":" \
	"\"vvv\",\"tenantID\":\"t\","                                                           \
	"\"objects\":\"array:\\n- {objectName: a, objectType: secret}\\n\"}}}"
#define SYNC                                                                                 \
	"{\"metadata\":{\"namespace\":\"n\",\"name\":\"s\",\"uid\":\"su\",\"generation\":1," \
	"\"resourceVersion\":\"2\"},"                                                        \
	"\"spec\":{\"secretProviderClassName\":\"c\",\"serviceAccountName\":\"sa\","         \
	"\"secretObject\":{\"data\":[{"                                                      \
	"\"sourcePath\":\"a\",\"targetKey\":\"k\"}]}}}"
#define PAGE(items) "{\"items\":[" items "],\"metadata\":{\"resourceVersion\":\"5\"}}"
#define CLASSES "/secretproviderclasses?"
#define SYNCS "/secretsyncs?"

/* A SecretSync is never judged before its class could be known. */
static void test_classes_come_first(void **state) {
	(void)state;
	turn_main();
	assert_non_null(request(w.main_http, CLASSES "limit"));
	assert_null(request(w.main_http, SYNCS));
	answer(CLASSES "limit", 200, PAGE(CLASS));
	assert_false(engine_is_ready(w.engine));
	assert_non_null(request(w.main_http, CLASSES "watch"));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	assert_true(engine_is_ready(w.engine));
	assert_non_null(request(w.main_http, SYNCS "watch"));
	assert_int_equal(engine_sync_count(w.engine), 1);
	assert_int_equal(engine_class_count(w.engine), 1);
	turn_worker();
	assert_non_null(request(w.worker_http, "/serviceaccounts/sa/token"));
}

#define ADDED(object) "{\"type\":\"ADDED\",\"object\":" object "}\n"
#define INITIAL_END                                                                      \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\"," \
	"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"

/* One request for each kind, in the same order. */
static void test_lists_by_streams(void **state) {
	(void)state;
	w.streams = true;
	turn_main();
	stream(CLASSES "watch", ADDED(CLASS));
	assert_null(request(w.main_http, SYNCS));
	stream(CLASSES "watch", INITIAL_END);
	stream(SYNCS "watch", ADDED(SYNC));
	assert_false(engine_is_ready(w.engine));
	stream(SYNCS "watch", INITIAL_END);
	assert_true(engine_is_ready(w.engine));
	assert_int_equal(engine_sync_count(w.engine), 1);
	/* What is not in the next one is gone, at its end. */
	stream(SYNCS "watch", "{\"type\":\"ERROR\",\"object\":{\"code\":410,\"reason\":\"Expired\"}}\n");
	w.now.mono_ns += 10 * NS_PER_S;
	turn_main();
	assert_int_equal(engine_sync_count(w.engine), 1);
	stream(SYNCS "watch", INITIAL_END);
	assert_int_equal(engine_sync_count(w.engine), 0);
	turn_worker();
	turn_main();
}

/* Those that have not asked yet ask for pages at once. */
static void test_streams_are_refused_for_all(void **state) {
	(void)state;
	turn_main();
	/* Of AKVSyncs and of classes. */
	assert_int_equal(w.refused_streams, 2);
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	assert_int_equal(w.refused_streams, 2);
	assert_true(engine_is_ready(w.engine));
}

/* Where the AKVSync kind is not installed, all else goes on; where it is, nothing waits for it either. */
static void test_nothing_waits_for_akvsyncs(void **state) {
	(void)state;
	turn_main();
	answer("/akvsyncs?limit", 404, "404 page not found");
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	assert_true(engine_is_ready(w.engine));
	w.now.mono_ns += 100 * NS_PER_S;
	turn_main();
	assert_null(request(w.main_http, "/akvsyncs?"));
	w.now.mono_ns += 200 * NS_PER_S;
	turn_main();
	answer("/akvsyncs?limit", 200,
		PAGE("{\"metadata\":{\"namespace\":\"n\",\"name\":\"app\",\"uid\":\"au\",\"generation\":1,"
		     "\"resourceVersion\":\"3\"},\"spec\":{\"keyvaultName\":\"vvv\",\"clientID\":\"c\","
		     "\"tenantID\":\"t\",\"serviceAccountName\":\"sa\",\"objects\":[{\"secretInAKV\":\"b\"}]}}"));
	assert_non_null(request(w.main_http, "/akvsyncs?watch"));
	assert_non_null(request(w.main_http, "/namespaces/n/secretproviderclasses?"));
}

static void test_life_of_an_object(void **state) {
	(void)state;
	turn_main();
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE());
	turn_worker();
	assert_null(w.worker_http->active[0]);
	stream(SYNCS "watch", "{\"type\":\"ADDED\",\"object\":" SYNC "}\n");
	turn_worker();
	assert_non_null(w.worker_http->active[0]);
	assert_non_null(engine_find_sync(w.engine, STR("n/s")));
	stream(SYNCS "watch", "{\"type\":\"DELETED\",\"object\":" SYNC "}\n");
	assert_null(engine_find_sync(w.engine, STR("n/s")));
	assert_int_equal(engine_sync_count(w.engine), 0);
	turn_worker();
	turn_main();
}

/* Stopped with work in flight, objects in queues, and objects that were just deleted: the teardown looks for leaks. */
static void test_stop_in_the_middle(void **state) {
	(void)state;
	turn_main();
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	turn_worker();
	stream(SYNCS "watch",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"n\",\"name\":\"t\","
		"\"uid\":\"tu\","
		"\"resourceVersion\":\"6\"}}}\n{\"type\":\"DELETED\",\"object\":" SYNC "}\n");
	engine_stop(w.engine, 0);
	engine_stop(w.engine, 0);
	assert_null(request(w.main_http, "watch"));
	assert_false(engine_is_drained(w.engine));
	assert_true(engine_turn(w.engine, w.now) > w.now.mono_ns);
}

static void test_token_is_refreshed(void **state) {
	(void)state;
	turn_main();
	assert_int_equal(w.refreshes, 1);
	w.now.mono_ns += 59 * NS_PER_S;
	turn_main();
	assert_int_equal(w.refreshes, 1);
	w.now.mono_ns += NS_PER_S;
	turn_main();
	assert_int_equal(w.refreshes, 2);
	assert_int_equal(w.rejections, 0);
	answer(CLASSES "limit", 401, "{}");
	assert_int_equal(w.refreshes, 3);
	assert_int_equal(w.rejections, 1);
}

#define WATCHED_SECRETS "/api/v1/secrets?"
#define SECRET(fields)                                                                             \
	"{\"metadata\":{\"namespace\":\"n\",\"name\":\"s\",\"uid\":\"xu\",\"resourceVersion\":\"7\"," \
	"\"labels\":{\"secrets-store.sync.x-k8s.io\":\"\"},\"annotations\":{"                        \
	"\"secrets-store.sync.x-k8s.io\":\"\"},\"ownerReferences\":[{\"apiVersion\":"                \
	"\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\",\"name\":\"s\",\"uid\":\"su\"}],"   \
	"\"managedFields\":[{\"manager\":\"secrets-store-sync-controller\",\"operation\":\"Apply\","  \
	"\"fieldsV1\":{\"f:data\":{" fields "}}}]}}"
#define GOOD SECRET("\"f:k\":{}")
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

static void set_drift(enum drift_mode mode) {
	struct settings settings = settings_default();
	settings.drift = mode;
	assert_int_equal(engine_set_settings(w.engine, &settings), OK);
	turn_main();
}

static bool is_watched(void) {
	struct engine_numbers numbers;
	engine_read_numbers(w.engine, &numbers);
	return numbers.secrets_watched;
}

/* The word that is kept of the Secret of n/s, and whether the object was added to the queue since. */
static uint32_t word(void) {
	return atomic_load(&engine_find_sync(w.engine, STR("n/s"))->secret_seen);
}

static void test_secrets_are_watched(void **state) {
	(void)state;
	turn_main();
	set_drift(DRIFT_WATCH);
	answer(CLASSES "limit", 200, PAGE(CLASS));
	/* Not before it is known whose they are. */
	assert_null(request(w.main_http, WATCHED_SECRETS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	assert_true(engine_is_ready(w.engine));
	turn_worker();
	answer(WATCHED_SECRETS "limit", 200,
		PAGE("{\"metadata\":{\"name\":\"x\"}},{\"metadata\":{\"namespace\":\"n\",\"name\":\"strange\"}},"
		     "{\"metadata\":{\"namespace\":\"n\",\"name\":\"s\"}}," GOOD));
	assert_true(is_watched());
	assert_int_equal(word(), SECRET_FIRST_LIST + 1);
	struct object *object = engine_find_sync(w.engine, STR("n/s"));
	unsigned running = queue_item_state(&object->item);
	stream(WATCHED_SECRETS "watch", EVENT("MODIFIED", GOOD));
	assert_int_equal(queue_item_state(&object->item), running);
	stream(WATCHED_SECRETS "watch", EVENT("MODIFIED", SECRET("")));
	assert_int_equal(word(), SECRET_LOST);
	assert_int_equal(queue_item_state(&object->item), running | QUEUE_QUEUED);
	stream(WATCHED_SECRETS "watch", EVENT("MODIFIED", GOOD) EVENT("DELETED", GOOD));
	assert_int_equal(word(), SECRET_LOST);
	/* A Secret of nobody's, and of one that goes. */
	stream(WATCHED_SECRETS "watch", EVENT("MODIFIED", GOOD));
	stream(SYNCS "watch", EVENT("DELETED", SYNC));
	stream(WATCHED_SECRETS "watch", EVENT("DELETED", GOOD));
	assert_true(is_watched());
}

static void test_the_right_to_watch_secrets_is_missing(void **state) {
	(void)state;
	turn_main();
	set_drift(DRIFT_WATCH);
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	answer(WATCHED_SECRETS "limit", 403, "{\"reason\":\"Forbidden\"}");
	assert_true(engine_is_ready(w.engine));
	assert_false(is_watched());
	assert_null(request(w.main_http, WATCHED_SECRETS));
	w.now.mono_ns += 300 * NS_PER_S;
	turn_main();
	answer(WATCHED_SECRETS "limit", 200, PAGE(GOOD));
	assert_true(is_watched());
	uint32_t list = word();
	/* Taken away again: what was seen stays as it was seen. */
	answer(WATCHED_SECRETS "watch", 403, "{\"reason\":\"Forbidden\"}");
	assert_false(is_watched());
	assert_int_equal(word(), list);
}

static void test_the_watch_of_secrets_follows_the_settings(void **state) {
	(void)state;
	turn_main();
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	assert_null(request(w.main_http, WATCHED_SECRETS));
	for (int i = 0; i < 3; i++) {
		set_drift(DRIFT_WATCH);
		if (i != 1) answer(WATCHED_SECRETS "limit", 200, PAGE(GOOD));
		assert_int_equal(is_watched(), i != 1);
		set_drift(DRIFT_WATCH);
		assert_non_null(request(w.main_http, WATCHED_SECRETS));
		set_drift(i == 0 ? DRIFT_PROBE : DRIFT_OFF);
		assert_null(request(w.main_http, WATCHED_SECRETS));
		assert_false(is_watched());
	}
	/* Stopped while it is on: the teardown looks for leaks. */
	set_drift(DRIFT_WATCH);
}

/* An event that cannot be judged for want of memory is not lost: everything is listed again. */
static void test_no_memory_for_an_event_of_a_secret(void **state) {
	(void)state;
	turn_main();
	set_drift(DRIFT_WATCH);
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	answer(WATCHED_SECRETS "limit", 200, PAGE(GOOD));
	unsigned relists = 0;
	for (uint64_t k = 1;; k++) {
		mem_fail_at(k);
		stream(WATCHED_SECRETS "watch", EVENT("MODIFIED", SECRET("")));
		bool failed = mem_fail_reached();
		mem_fail_at(0);
		if (!failed) break;
		if (!request(w.main_http, WATCHED_SECRETS "watch")) {
			relists++;
			assert_false(is_watched());
			w.now.mono_ns += 60 * NS_PER_S;
			turn_main();
			answer(WATCHED_SECRETS "limit", 200, PAGE(GOOD));
		}
		assert_true(is_watched());
		stream(WATCHED_SECRETS "watch", EVENT("MODIFIED", GOOD));
	}
	assert_true(relists > 0);
	assert_int_equal(word(), SECRET_LOST);
}

/* Settings are taken as a whole, or not at all. */
static void test_no_memory_for_the_watch_of_secrets(void **state) {
	(void)state;
	struct settings settings = settings_default();
	turn_main();
	answer(CLASSES "limit", 200, PAGE(CLASS));
	answer(SYNCS "limit", 200, PAGE(SYNC));
	settings.drift = DRIFT_WATCH;
	for (uint64_t k = 1;; k++) {
		mem_fail_at(k);
		enum err err = engine_set_settings(w.engine, &settings);
		bool failed = mem_fail_reached();
		mem_fail_at(0);
		turn_main();
		assert_int_equal(err, failed ? ERR_NOMEM : OK);
		if (!failed) break;
		assert_null(request(w.main_http, WATCHED_SECRETS));
	}
	assert_non_null(request(w.main_http, WATCHED_SECRETS));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_classes_come_first),
		TEST(test_lists_by_streams),
		TEST(test_streams_are_refused_for_all),
		TEST(test_nothing_waits_for_akvsyncs),
		TEST(test_life_of_an_object),
		TEST(test_stop_in_the_middle),
		TEST(test_token_is_refreshed),
		TEST(test_secrets_are_watched),
		TEST(test_the_right_to_watch_secrets_is_missing),
		TEST(test_the_watch_of_secrets_follows_the_settings),
		TEST(test_no_memory_for_an_event_of_a_secret),
		TEST(test_no_memory_for_the_watch_of_secrets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
