#include "engine/engine.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/akv.h"
#include "engine/informer.h"
#include "engine/secret_watch.h"
#include "engine/store.h"
#include "engine/upstream.h"

enum { RETIRED_PER_TURN = 500, TOKEN_CHECK_S = 60, REJECTED_LEAST_S = 5 };

/* One informer and where its objects go: to the store, and, by themselves or as what is derived from them, to the AKVSyncs. */
struct watcher {
	struct informer_sink sink;
	struct informer informer;
	enum kube_resource resource;
	struct engine *engine;
};

enum { WATCHERS = KUBE_AKVS + 1 };

struct engine {
	struct store *store;
	struct pool *pool;
	struct http *http;
	struct rng rng;
	struct akv *akv;
	struct watcher watchers[WATCHERS]; /* by resource */
	struct secret_watch secret_watch;
	struct now now; /* of this turn */
	struct upstream upstream;
	bool watch_upstream;
	void (*refresh_token)(void *arg, bool rejected);
	void *arg;
	int64_t next_token_ns;
	int64_t last_rejected_ns;
	bool rejected;
	bool ready;
	bool stopped;
	struct {
		_Atomic bool ready, secrets_watched;
		_Atomic size_t syncs, classes;
	} published; /* atomic: relaxed; writer main, once per turn */
};

/* --- what informers tell --- */

static struct watcher *watcher_of(struct informer_sink *sink) {
	return container_of(sink, struct watcher, sink);
}

/* False: a kind that the store does not hold. */
static bool kind_of(const struct watcher *watcher, enum store_kind *out_kind) {
	*out_kind = watcher->resource == KUBE_CLASSES ? STORE_CLASSES : STORE_SYNCS;
	return watcher->resource != KUBE_AKVS;
}

static enum err told_upsert(struct informer_sink *sink, const cJSON *object) {
	struct watcher *watcher = watcher_of(sink);
	enum store_kind kind;
	bool stored = kind_of(watcher, &kind);
	enum err err = stored ? store_upsert(watcher->engine->store, kind, object) : OK;
	return err ? err : akv_upsert(watcher->engine->akv, watcher->resource, object);
}

/* What AKVSyncs have derived, or may have, is their business, too. */
static bool told_known(struct informer_sink *sink, const struct object_head *head) {
	struct watcher *watcher = watcher_of(sink);
	enum store_kind kind;
	if (!kind_of(watcher, &kind) || head->owned) return false;
	if (akv_follows(watcher->engine->akv, watcher->resource, &head->meta)) return false;
	return store_knows(watcher->engine->store, kind, &head->meta);
}

static enum err told_remove(struct informer_sink *sink, const cJSON *object) {
	struct watcher *watcher = watcher_of(sink);
	enum store_kind kind;
	bool stored = kind_of(watcher, &kind);
	enum err err = stored ? store_delete(watcher->engine->store, kind, object) : OK;
	return err ? err : akv_remove(watcher->engine->akv, watcher->resource, object);
}

static void told_list_begin(struct informer_sink *sink) {
	struct watcher *watcher = watcher_of(sink);
	enum store_kind kind;
	if (kind_of(watcher, &kind)) store_list_begin(watcher->engine->store, kind);
	akv_list_begin(watcher->engine->akv, watcher->resource);
}

/* When every informer had last heard of the server as it was. */
static int64_t last_certain_ns(const struct engine *engine) {
	int64_t least_ns = INT64_MAX;
	for (unsigned resource = 0; resource < WATCHERS; resource++) {
		int64_t heard_ns = informer_heard_ns(&engine->watchers[resource].informer);
		if (heard_ns && heard_ns < least_ns) least_ns = heard_ns;
	}
	return least_ns;
}

/* One server has them all: what one informer finds holds for the others. */
static void told_went_back(struct informer_sink *sink) {
	struct engine *engine = watcher_of(sink)->engine;
	int64_t doubted_ns = last_certain_ns(engine);
	log_warn("the API server went back to an older state: everything is looked at anew");
	for (unsigned resource = 0; resource < WATCHERS; resource++) {
		struct watcher *watcher = &engine->watchers[resource];
		enum store_kind kind;
		if (kind_of(watcher, &kind)) store_distrust(engine->store, kind, doubted_ns);
		if (&watcher->sink != sink) informer_start_over(&watcher->informer, engine->now);
	}
	if (secret_watch_is_on(&engine->secret_watch))
		informer_start_over(&engine->secret_watch.informer, engine->now);
}

static void told_list_end(struct informer_sink *sink) {
	struct watcher *watcher = watcher_of(sink);
	enum store_kind kind;
	if (kind_of(watcher, &kind)) store_list_end(watcher->engine->store, kind);
	akv_list_end(watcher->engine->akv, watcher->resource);
}

static void told_unauthenticated(struct informer_sink *sink) {
	watcher_of(sink)->engine->rejected = true;
}

static void told_paged(struct informer_sink *sink) {
	struct engine *engine = watcher_of(sink)->engine;
	for (unsigned resource = 0; resource < WATCHERS; resource++)
		informer_set_paged(&engine->watchers[resource].informer);
	if (secret_watch_is_on(&engine->secret_watch))
		informer_set_paged(&engine->secret_watch.informer);
}

/* Only what is derived from AKVSyncs is optional: where there are none, nothing is to be derived. */
static void told_missing(struct informer_sink *sink) {
	told_list_end(sink);
}

static void set_rejected(void *arg) {
	((struct engine *)arg)->rejected = true;
}

static void watcher_init(struct engine *engine, enum kube_resource resource, struct kube *kube) {
	struct watcher *watcher = &engine->watchers[resource];
	watcher->resource = resource;
	watcher->engine = engine;
	watcher->sink = (struct informer_sink){
		told_upsert,
		told_remove,
		told_known,
		told_list_begin,
		told_list_end,
		told_unauthenticated,
		told_missing,
		told_went_back,
		NULL,
		told_paged,
	};
	informer_init(
		&watcher->informer, kube, engine->http, resource, &watcher->sink, &engine->rng);
	if (resource == KUBE_AKVS) informer_set_optional(&watcher->informer);
}

/* --- life --- */

static enum err make_secret_watch(struct engine *engine, const struct pool_options *options) {
	engine->secret_watch = (struct secret_watch){
		.kube = options->kube,
		.http = engine->http,
		.rng = &engine->rng,
		.store = engine->store,
		.pool = engine->pool,
		.unauthenticated = set_rejected,
		.arg = engine,
	};
	secret_watch_init(&engine->secret_watch);
	if (options->settings.drift != DRIFT_WATCH) return OK;
	return secret_watch_start(&engine->secret_watch);
}

static int64_t write_wait_ns(void *arg, int64_t now_ns) {
	return pool_write_wait_ns(arg, now_ns);
}

enum err engine_create(const struct engine_options *options, struct engine **out_engine) {
	assert_main();
	struct engine *engine = mem_zalloc(sizeof *engine);
	if (!engine) {
		http_destroy(options->http);
		return ERR_NOMEM;
	}
	engine->http = options->http;
	engine->refresh_token = options->refresh_token;
	engine->arg = options->arg;
	engine->last_rejected_ns = INT64_MIN;
	if (options->pool.doors.seed)
		rng_seed(&engine->rng, options->pool.doors.seed);
	else
		rng_seed_system(&engine->rng);
	struct hash_key key = { rng_next(&engine->rng), rng_next(&engine->rng) };
	enum err err = pool_create(&options->pool, &engine->pool);
	if (!err) {
		engine->store = store_create(pool_first_queue(engine->pool), key, &options->classes,
			options->pool.settings.names);
		err = engine->store ? OK : ERR_NOMEM;
	}
	if (!err) {
		engine->akv = akv_create(
			options->pool.kube, engine->http, &engine->rng, key, set_rejected, engine);
		err = engine->akv ? OK : ERR_NOMEM;
	}
	if (!err) akv_pace_writes(engine->akv, write_wait_ns, engine->pool);
	if (!err) err = make_secret_watch(engine, &options->pool);
	if (err) {
		engine_destroy(engine);
		return err;
	}
	for (unsigned resource = 0; resource < WATCHERS; resource++)
		watcher_init(engine, resource, options->pool.kube);
	engine->watch_upstream = options->watch_upstream;
	upstream_init(&engine->upstream, options->pool.kube, engine->http);
	pool_pause(engine->pool, engine->watch_upstream);
	*out_engine = engine;
	return OK;
}

/* True when there may be more. */
static bool take_retired(struct engine *engine, unsigned most) {
	for (unsigned i = 0; i < most; i++) {
		struct object *object = pool_take_retired(engine->pool);
		if (!object) return false;
		store_take_retired(engine->store, &object);
	}
	return true;
}

/* The pool goes before the tables: its queues may still link objects that wait for a turn. */
void engine_destroy(struct engine *engine) {
	if (!engine) return;
	if (engine->pool) pool_join(engine->pool);
	for (unsigned resource = 0; resource < WATCHERS; resource++)
		informer_deinit(&engine->watchers[resource].informer);
	secret_watch_stop(&engine->secret_watch);
	upstream_deinit(&engine->upstream);
	akv_destroy(engine->akv);
	http_destroy(engine->http);
	if (engine->store) take_retired(engine, UINT32_MAX);
	pool_destroy(engine->pool);
	store_destroy(engine->store);
	mem_free(engine);
}

void engine_stop(struct engine *engine, int64_t drain_ns) {
	assert_main();
	if (engine->stopped) return;
	engine->stopped = true;
	for (unsigned resource = 0; resource < WATCHERS; resource++)
		informer_stop(&engine->watchers[resource].informer);
	secret_watch_stop(&engine->secret_watch);
	upstream_deinit(&engine->upstream);
	akv_stop(engine->akv);
	pool_stop(engine->pool, drain_ns);
}

bool engine_is_drained(const struct engine *engine) {
	for (unsigned i = 0; i < pool_size(engine->pool); i++) {
		if (!worker_is_drained(pool_worker(engine->pool, i))) return false;
	}
	return engine->stopped;
}

/* --- turns --- */

/* A projected token is renewed by the kubelet long before it ends: looking once a minute is early
 * enough. */
static int64_t token_turn(struct engine *engine, struct now now) {
	if (!engine->refresh_token || engine->stopped) return NEVER_NS;
	bool again = engine->rejected &&
		     now.mono_ns >= engine->last_rejected_ns + REJECTED_LEAST_S * NS_PER_S;
	if (again || engine->next_token_ns <= now.mono_ns) {
		if (again) engine->last_rejected_ns = now.mono_ns;
		engine->refresh_token(engine->arg, again);
		engine->next_token_ns = now.mono_ns + TOKEN_CHECK_S * NS_PER_S;
	}
	engine->rejected = false;
	return engine->next_token_ns;
}

/* Whether anything may be written has to be known before anything is. */
static void upstream_part(struct engine *engine, struct now now) {
	if (!engine->watch_upstream || engine->stopped) return;
	upstream_turn(&engine->upstream, now);
	pool_pause(engine->pool, upstream_holds(&engine->upstream));
}

static bool upstream_is_held(const struct engine *engine) {
	return engine->watch_upstream && upstream_holds(&engine->upstream);
}

static int64_t upstream_deadline(const struct engine *engine, struct now now) {
	if (!engine->watch_upstream || engine->stopped) return NEVER_NS;
	return upstream_deadline_ns(&engine->upstream, now);
}

/* Classes first: a SecretSync must not be judged before its class could be known. */
static void informers_turn(struct engine *engine, struct now now) {
	struct informer *classes = &engine->watchers[KUBE_CLASSES].informer;
	struct informer *syncs = &engine->watchers[KUBE_SYNCS].informer;
	if (engine->stopped) return;
	informer_turn(&engine->watchers[KUBE_AKVS].informer, now);
	informer_turn(classes, now);
	if (informer_has_synced(classes)) informer_turn(syncs, now);
	if (informer_has_synced(syncs)) secret_watch_turn(&engine->secret_watch, now);
	if (engine->ready || !informer_has_synced(syncs)) return;
	engine->ready = true;
	log_info("ready", kv_int("secretsyncs", (int64_t)store_sync_count(engine->store)),
		kv_int("secretproviderclasses", (int64_t)store_class_count(engine->store)));
}

static int64_t earlier(int64_t a, int64_t b) {
	return a < b ? a : b;
}

static void publish(struct engine *engine) {
	const memory_order relaxed = memory_order_relaxed;
	bool watched = secret_watch_is_current(&engine->secret_watch);
	atomic_store_explicit(&engine->published.ready, engine->ready, relaxed);
	atomic_store_explicit(&engine->published.secrets_watched, watched, relaxed);
	atomic_store_explicit(&engine->published.syncs, store_sync_count(engine->store), relaxed);
	atomic_store_explicit(
		&engine->published.classes, store_class_count(engine->store), relaxed);
}

int64_t engine_turn(struct engine *engine, struct now now) {
	assert_main();
	struct informer *classes = &engine->watchers[KUBE_CLASSES].informer;
	struct informer *syncs = &engine->watchers[KUBE_SYNCS].informer;
	struct informer *akvs = &engine->watchers[KUBE_AKVS].informer;
	engine->now = now;
	int64_t deadline_ns = token_turn(engine, now);
	informers_turn(engine, now);
	upstream_part(engine, now);
	if (!upstream_is_held(engine)) akv_turn(engine->akv, now);
	bool more = take_retired(engine, RETIRED_PER_TURN);
	if (store_turn(engine->store) || more) deadline_ns = now.mono_ns;
	deadline_ns = earlier(deadline_ns, http_turn(engine->http, now));
	if (!upstream_is_held(engine))
		deadline_ns = earlier(deadline_ns, akv_deadline_ns(engine->akv, now));
	deadline_ns = earlier(deadline_ns, upstream_deadline(engine, now));
	deadline_ns = earlier(deadline_ns, informer_deadline_ns(akvs, now));
	deadline_ns = earlier(deadline_ns, informer_deadline_ns(classes, now));
	if (informer_has_synced(classes))
		deadline_ns = earlier(deadline_ns, informer_deadline_ns(syncs, now));
	if (informer_has_synced(syncs))
		deadline_ns =
			earlier(deadline_ns, secret_watch_deadline_ns(&engine->secret_watch, now));
	if (engine->rejected && engine->refresh_token) deadline_ns = now.mono_ns;
	publish(engine);
	return deadline_ns;
}

bool engine_is_ready(const struct engine *engine) {
	return engine->ready;
}

enum err engine_set_settings(struct engine *engine, const struct settings *settings) {
	struct secret_watch *watch = &engine->secret_watch;
	bool was_on = secret_watch_is_on(watch), wanted = settings->drift == DRIFT_WATCH;
	enum err err = wanted && !engine->stopped ? secret_watch_start(watch) : OK;
	if (!err) err = pool_set_settings(engine->pool, settings);
	bool keep = err ? was_on : wanted;
	if (!keep) secret_watch_stop(watch);
	return err;
}

struct pool *engine_pool(struct engine *engine) {
	return engine->pool;
}

void engine_read_numbers(const struct engine *engine, struct engine_numbers *out_numbers) {
	const memory_order relaxed = memory_order_relaxed;
	*out_numbers = (struct engine_numbers){
		.ready = atomic_load_explicit(&engine->published.ready, relaxed),
		.secrets_watched =
			atomic_load_explicit(&engine->published.secrets_watched, relaxed),
		.syncs = atomic_load_explicit(&engine->published.syncs, relaxed),
		.classes = atomic_load_explicit(&engine->published.classes, relaxed),
	};
}

size_t engine_sync_count(const struct engine *engine) {
	return store_sync_count(engine->store);
}

size_t engine_class_count(const struct engine *engine) {
	return store_class_count(engine->store);
}

struct object *engine_find_sync(const struct engine *engine, struct str key) {
	return store_find_sync(engine->store, key);
}
