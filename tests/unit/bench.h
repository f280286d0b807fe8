/* tests/unit/bench.h - a pool of real workers over HTTP clients that the test answers by hand, and one SecretSync on it.
 *
 * Everything between a queue's item and the requests is the product's own. Times stand still but for bench_advance().
 */
#pragma once

#include "base/log.h"
#include "base/thread.h"
#include "tests/unit/call.h"
#include "workers/sync.h"

enum { BENCH_REQUESTS = 64, BENCH_WORKERS = 2 };

struct bench_http {
	struct http http;
	struct http_req *active[BENCH_REQUESTS];
	struct http_req *ended[BENCH_REQUESTS];
	unsigned started; /* ever */
};

struct bench {
	struct clock clock;
	struct now now;
	struct http_site kube_site, azure;
	struct kube kube;
	struct bench_http *https[BENCH_WORKERS];
	struct pool *pool;
	struct spc_cell *cell;
	struct object *object;
	/* What the next bench_begin() takes. */
	struct spc_object objects[4];
	struct spec_item items[4];
	struct spc_access access;
	struct spc spc;
	struct spec_common common;
	struct spec spec;
	struct status status;
	unsigned wakes_of_main;
};

static struct bench b;

/* --- the HTTP client --- */

static inline void bench_start(struct http *http, struct http_req *req) {
	struct bench_http *fake = container_of(http, struct bench_http, http);
	fake->started++;
	req->_active = true;
	for (int i = 0; i < BENCH_REQUESTS; i++) {
		if (fake->active[i]) continue;
		fake->active[i] = req;
		return;
	}
	fail_msg("too many requests at a time");
}

static inline bool bench_drop(struct http_req **from, const struct http_req *req) {
	for (int i = 0; i < BENCH_REQUESTS; i++) {
		if (from[i] != req) continue;
		from[i] = NULL;
		return true;
	}
	return false;
}

static inline void bench_cancel(struct http *http, struct http_req *req) {
	struct bench_http *fake = container_of(http, struct bench_http, http);
	bench_drop(fake->active, req);
	bench_drop(fake->ended, req);
	req->_active = false;
}

static inline int64_t bench_http_turn(struct http *http, struct now now) {
	struct bench_http *fake = container_of(http, struct bench_http, http);
	(void)now;
	for (int i = 0; i < BENCH_REQUESTS; i++) {
		struct http_req *req = take(fake->ended[i]);
		if (!req) continue;
		req->_active = false;
		req->on_done(req);
	}
	return NEVER_NS;
}

static inline void bench_destroy(struct http *http) {
	struct bench_http *fake = container_of(http, struct bench_http, http);
	for (int i = 0; i < BENCH_REQUESTS; i++) assert_null(fake->active[i]);
	free(fake);
}

static inline struct http *bench_make_http(void *arg, unsigned index, struct loop *loop) {
	static const struct http_ops ops = { bench_start, bench_cancel, bench_http_turn,
		bench_destroy };
	(void)arg, (void)loop;
	b.https[index] = calloc(1, sizeof *b.https[index]);
	b.https[index]->http.ops = &ops;
	return &b.https[index]->http;
}

/* --- turns --- */

static inline struct now bench_read_clock(struct clock *clock) {
	(void)clock;
	return b.now;
}

static inline void bench_ignore_wake(void *arg, unsigned index) {
	(void)arg, (void)index;
}

static inline void bench_wake_main(void *arg) {
	(void)arg;
	b.wakes_of_main++;
}

static inline void bench_turn(void) {
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < pool_size(b.pool); i++) {
			thread_set_role(ROLE_WORKER + i);
			int64_t next_ns = 0;
			for (int k = 0; k < 200 && next_ns <= b.now.mono_ns; k++)
				next_ns = worker_turn(pool_worker(b.pool, i), b.now);
			if (next_ns <= b.now.mono_ns) fail_msg("the worker does not come to rest");
		}
	}
	thread_set_role(ROLE_MAIN);
}

static inline void bench_advance(int64_t ns) {
	b.now.mono_ns += ns;
	b.now.wall_ns += ns;
	bench_turn();
}

/* --- requests and answers --- */

static inline struct http_req *bench_find(enum http_method method, const char *part) {
	for (unsigned w = 0; w < BENCH_WORKERS; w++) {
		for (int i = 0; b.https[w] && i < BENCH_REQUESTS; i++) {
			struct http_req *req = b.https[w]->active[i];
			if (req && req->method == method &&
				str_find(buf_str(&req->url), str_of(part)) != SIZE_MAX)
				return req;
		}
	}
	return NULL;
}

static inline unsigned bench_active(void) {
	unsigned count = 0;
	for (unsigned w = 0; w < BENCH_WORKERS; w++)
		for (int i = 0; b.https[w] && i < BENCH_REQUESTS; i++)
			count += b.https[w]->active[i] != NULL;
	return count;
}

static inline unsigned bench_started(void) {
	unsigned count = 0;
	for (unsigned w = 0; w < BENCH_WORKERS; w++) count += b.https[w] ? b.https[w]->started : 0;
	return count;
}

static inline struct http_req *bench_request(
	enum http_method method, const char *part, const char *file, int line) {
	struct http_req *req = bench_find(method, part);
	if (req) return req;
	print_error("no request of method %d for %s; under way are:\n", method, part);
	for (unsigned w = 0; w < BENCH_WORKERS; w++) {
		for (int i = 0; b.https[w] && i < BENCH_REQUESTS; i++) {
			struct http_req *other = b.https[w]->active[i];
			if (other)
				print_error("  %d %.*s\n", other->method,
					STR_ARG(buf_str(&other->url)));
		}
	}
	_fail(file, line);
	return NULL;
}
#define request(method, part) bench_request(method, part, __FILE__, __LINE__)

/* The request ends now; what it answers was put into it. */
static inline void bench_end(struct http_req *req) {
	for (unsigned w = 0; w < BENCH_WORKERS; w++) {
		if (!b.https[w] || !bench_drop(b.https[w]->active, req)) continue;
		for (int i = 0; i < BENCH_REQUESTS; i++) {
			if (b.https[w]->ended[i]) continue;
			b.https[w]->ended[i] = req;
			break;
		}
	}
	bench_turn();
}

#define reply(method, part, code, body)                       \
	do {                                                  \
		struct http_req *req_ = request(method, part); \
		answer(req_, code, body);                     \
		bench_end(req_);                              \
	} while (0)

#define reply_after(method, part, code, seconds, body)             \
	do {                                                       \
		struct http_req *req_ = request(method, part);     \
		answer(req_, code, body);                          \
		req_->retry_after_ns = (int64_t)(seconds)*NS_PER_S; \
		bench_end(req_);                                   \
	} while (0)

/* The connection broke; `sent`: after the request had gone out. */
#define lose(method, part, error, sent)                        \
	do {                                                   \
		struct http_req *req_ = request(method, part); \
		no_answer(req_, error);                        \
		req_->maybe_sent = (sent);                     \
		bench_end(req_);                               \
	} while (0)

/* Bytes of what is sent, NUL-terminated. */
static inline const char *body_of(const struct http_req *req) {
	static char text[65536];
	struct str body = req->secret_body ? secret_expose(req->secret_body) : req->body;
	assert_in_range(body.len, 0, sizeof text - 1);
	if (body.len) memcpy(text, body.ptr, body.len);
	text[body.len] = 0;
	return text;
}

#define assert_sends(req, part) assert_text(body_of(req), part)

static inline void bench_pause(bool paused) {
	pool_pause(b.pool, paused);
	bench_turn();
}

/* --- the usual answers --- */

#define TOKEN_URL "/serviceaccounts/sa/token"
#define ENTRA_URL "/oauth2/v2.0/token"
#define SECRETS_URL "/api/v1/namespaces/apps/secrets"
#define STATUS_URL "/secretsyncs/db/status"
#define ROW(version, second)                                                     \
	"\"id\":\"https://v.vault.azure.net/secrets/a/" version                  \
	"\",\"attributes\":{\"enabled\":true,\"created\":" second ",\"updated\":" second "}"
#define VALUE(text, version, second) "{\"value\":\"" text "\"," ROW(version, second) "}"
#define OWNER(uid)                                                                  \
	"{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\"," \
	"\"name\":\"db\",\"uid\":\"" uid "\"}"
#define MARK "{\"secrets-store.sync.x-k8s.io\":\"\"}"
#define META(uid, version, labels, annotations, owners, rest)                          \
	"{\"kind\":\"PartialObjectMetadata\",\"metadata\":{\"name\":\"db\",\"uid\":\"" uid \
	"\",\"resourceVersion\":\"" version                                            \
	"\",\"creationTimestamp\":\"2027-01-15T08:00:00Z\",\"labels\":" labels         \
	",\"annotations\":" annotations ",\"ownerReferences\":[" owners "]" rest "}}"
#define OURS(uid, version, rest) META(uid, version, MARK, MARK, OWNER("o-1"), rest)
#define UPDATE_ENTRY                                                                           \
	",\"managedFields\":[{\"manager\":\"secrets-store-sync-controller\",\"operation\":"    \
	"\"Update\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:data\":{" \
	"\"f:k\":{}}}}]"

static inline void bench_give_token(void) {
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":3600}");
}

/* Up to the first write. */
static inline void bench_fetch(void) {
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
}

static inline void bench_take_status(void) {
	reply(HTTP_PATCH, STATUS_URL, 200, "{}");
}

/* --- life --- */

static inline void bench_no_log(struct str line, void *arg) {
	(void)arg;
	/* Whatever is said: never a value or a token. */
	static const char *const secrets[] = { "s3cret-value", "sa-token", "vault-token" };
	for (int i = 0; i < 3; i++)
		if (str_find(line, str_of(secrets[i])) != SIZE_MAX)
			fail_msg("a secret was logged: %.*s", STR_ARG(line));
}

static inline enum err bench_make_pool(unsigned workers) {
	struct pool_options options = { .workers = workers,
		.kube = &b.kube,
		.azure = &b.azure,
		.settings = settings_default(),
		.doors = { .clock = &b.clock,
			.make_http = bench_make_http,
			.wake = bench_ignore_wake,
			.wake_main = bench_wake_main,
			.seed = 7 } };
	/* A test that wants probes of unchanged Secrets says so: bench_set_drift(). */
	options.settings.drift = DRIFT_OFF;
	/* Events are asked for by the tests that are about them; time stands still, so that a pace would stop everything. */
	options.settings.events_per_s = 0;
	options.settings.status_writes_per_s = options.settings.kube_writes_per_s = 0;
	return pool_create(&options, &b.pool);
}

static inline void bench_set_drift(enum drift_mode mode) {
	struct settings settings = settings_default();
	settings.drift = mode;
	settings.events_per_s = 0;
	settings.status_writes_per_s = settings.kube_writes_per_s = 0;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
}

/* A SecretSync apps/db whose key k is the vault's secret a. */
static inline int bench_setup_workers(unsigned workers) {
	b = (struct bench){ .clock = { bench_read_clock },
		.now = { 1000 * NS_PER_S, 1800000000 * NS_PER_S } };
	b.kube_site.name = "kubernetes";
	b.azure.name = "azure";
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	log_redirect(bench_no_log, NULL);
	b.objects[0] = (struct spc_object){ .name = STR("a"), .path = STR("a"), .kind = VAULT_SECRET };
	b.access = (struct spc_access){ .vault_url = STR("https://v.vault.azure.net"),
		.tenant = STR("t"),
		.client_id = STR("c"),
		.authority = STR("https://login.microsoftonline.com"),
		.scope = STR("https://vault.azure.net/.default"),
		.audience = STR("api://AzureADTokenExchange") };
	b.spc = (struct spc){ .access = &b.access,
		.uid = STR("c-1"),
		.generation = 1,
		.objects = b.objects,
		.object_count = 1 };
	b.items[0] = (struct spec_item){ STR("a"), STR("k") };
	b.common = (struct spec_common){ .ns = STR("apps"),
		.service_account = STR("sa"),
		.type = STR("Opaque") };
	b.spec = (struct spec){ .common = &b.common,
		.name = STR("db"),
		.uid = "o-1",
		.generation = 1,
		.items = b.items,
		.item_count = 1 };
	/* Kept by the bench itself, so that nobody's last reference frees them. */
	atomic_init(&b.spc.ref, 1000000);
	atomic_init(&b.spec.ref, 1000000);
	if (kube_init(&b.kube, "https://api", &b.kube_site)) return -1;
	b.cell = spc_cell_create(STR("apps/class"));
	return b.cell && bench_make_pool(workers) == OK ? 0 : -1;
}

static inline int bench_setup(void **state) {
	(void)state;
	return bench_setup_workers(1);
}

/* Publishes b.spec, b.spc and b.status, and lets the workers run. */
static inline void bench_begin(void) {
	if (b.spc.uid.len) spc_publish(b.cell, &b.spc);
	b.spec.cell = b.cell;
	assert_int_equal(object_create(STR("apps/db"), STR("o-1"), &b.status,
				 pool_first_queue(b.pool), &b.object),
		OK);
	rcu_swap(b.object->spec, &b.spec);
	queue_add(&b.object->item);
	bench_turn();
}

/* Everything is looked at again, as after a change. */
static inline void bench_again(void) {
	queue_add(&b.object->item);
	bench_turn();
}

static inline int bench_teardown(void **state) {
	(void)state;
	pool_stop(b.pool, 0);
	bench_turn();
	for (unsigned i = 0; i < pool_size(b.pool); i++)
		assert_true(worker_is_drained(pool_worker(b.pool, i)));
	pool_join(b.pool);
	while (pool_take_retired(b.pool)) {
	}
	if (b.object) object_destroy(b.object);
	status_deinit(&b.status);
	pool_destroy(b.pool);
	b.cell->now = NULL;
	spc_cell_unref(b.cell);
	kube_deinit(&b.kube);
	log_redirect(NULL, NULL);
	rcu_thread_unregister();
	return 0;
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

/* The reason that stands in the condition Ready, and its message. */
static inline enum reason bench_reason(void) {
	return b.object->status.conditions[CONDITION_READY].reason;
}
static inline const char *bench_message(void) {
	const char *message = b.object->status.conditions[CONDITION_READY].message;
	return message ? message : "";
}
