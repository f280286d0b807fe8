/* engine/engine.h - the whole of kvsync but its process: tables, informers and workers, driven by
 * turns of main.
 *
 * Production turns it from its loop (run.c); the simulation turns it, and each worker, by seed. All
 * that it knows of the world comes in by the five doors.
 *
 *                    | any thread | main |
 *   engine_read_numbers |   x     |  x   |   wait-free
 *   all others       |            |  x   |
 *
 * pool_doors.wake_main is called by workers and has to bring on another turn of main.
 */
#pragma once

#include "engine/spc.h"
#include "workers/pool.h"

struct engine;

struct engine_options {
	struct pool_options pool; /* kube and the sites are kept */
	struct http *http; /* main's own client: lists and watches; taken, also on failure */
	struct spc_defaults classes; /* what it points to is kept */
	/* Reads the API token again and publishes it when it has changed; `rejected`: the server
	 * has answered 401. Once a minute, and after a 401. NULL: there is none that could
	 * change. */
	void (*refresh_token)(void *arg, bool rejected);
	bool watch_upstream; /* upstreamLeaseCheck */
	void *arg;
};

enum err engine_create(const struct engine_options *options, struct engine **out_engine);

/* Waits for the worker threads, which engine_stop has to have asked before, and frees everything.
 * Workers that the caller turns itself have to be drained. NULL is fine. */
void engine_destroy(struct engine *engine);

/* One turn: lists and watches, tables, retired objects, main's HTTP. Never longer than a slice of
 * work. Returns the next deadline (mono_ns; NEVER_NS: only a callback or wake_main brings work). */
int64_t engine_turn(struct engine *engine, struct now now);

/* Both lists were complete once: every object is known, and workers have been told of it. */
bool engine_is_ready(const struct engine *engine);

/* Asks for the end: nothing is listed or watched any more, workers take nothing new, reconciles in
 * flight have drain_ns to end. Returns at once; a second call does nothing. */
void engine_stop(struct engine *engine, int64_t drain_ns);

/* No worker holds anything any more. Only where workers are turned by the caller's thread
 * (production joins the pool). */
bool engine_is_drained(const struct engine *engine);

/* Publishes other settings to the workers. */
enum err engine_set_settings(struct engine *engine, const struct settings *settings);

struct pool *engine_pool(struct engine *engine);

/* What the engine tells of itself, as of the end of its last turn. */
struct engine_numbers {
	bool ready; /* as engine_is_ready */
	bool secrets_watched; /* changes of Secrets are told of as they happen */
	size_t syncs, classes;
};
void engine_read_numbers(const struct engine *engine, struct engine_numbers *out_numbers);

/* Numbers for people and tests. */
size_t engine_sync_count(const struct engine *engine);
size_t engine_class_count(const struct engine *engine);
/* By "namespace/name"; NULL: not known. */
struct object *engine_find_sync(const struct engine *engine, struct str key);
