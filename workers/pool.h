/* workers/pool.h - N workers. Everything that decides about one object happens inside them.
 *
 *                     | any thread | main | worker i |
 *   pool_create,
 *   pool_destroy      |            |  x   |          |
 *   pool_start        |            |  x   |          |  starts the threads (production)
 *   pool_stop         |            |  x   |          |  asks: nothing new is taken; returns at once
 *   pool_join         |            |  x   |          |  waits until every worker has let go of everything
 *   worker_turn       |            |      |    x     |  one turn of its loop (the simulation calls it itself)
 *   worker_read_numbers |    x     |  x   |    x     |  wait-free
 */
#pragma once

#include "base/loop.h"
#include "base/rng.h"
#include "clients/http.h"
#include "workers/object.h"
#include "workers/settings.h"

struct pool;
struct worker;

/* How a worker's surroundings are made: production gives epoll and libcurl, the simulation its own. */
struct pool_doors {
	struct clock *clock;
	/* A loop for worker `index`, or NULL for none (simulation). */
	struct loop *(*make_loop)(void *arg, unsigned index);
	/* The HTTP client of worker `index`. NULL: out of memory. */
	struct http *(*make_http)(void *arg, unsigned index, struct loop *loop);
	/* Called when worker `index` has something in its inbox and no loop of its own (simulation); may be NULL with loops. */
	void (*wake)(void *arg, unsigned index);
	/* Called from a worker when it pushed a retired object for main. Any thread. */
	void (*wake_main)(void *arg);
	void *arg;
	uint64_t seed; /* 0: from the kernel */
};

struct pool_options {
	unsigned workers; /* at least 1 */
	struct kube *kube; /* kept */
	const struct http_site *azure; /* kept: vaults and Entra, HTTP/1.1 */
	const struct http_site *imds; /* kept: the node's metadata service; plain http, no proxy */
	struct settings settings;
	struct pool_doors doors;
};

enum err pool_create(const struct pool_options *options, struct pool **out_pool);
void pool_destroy(struct pool *pool); /* joined, or never started; NULL is fine */
enum err pool_start(struct pool *pool);
/* drain_ns: how long reconciles in flight may go on before they are cancelled. */
void pool_stop(struct pool *pool, int64_t drain_ns);
void pool_join(struct pool *pool);

unsigned pool_size(const struct pool *pool);
struct worker *pool_worker(struct pool *pool, unsigned index);

/* Where new objects start: worker 0's queue. */
struct queue *pool_first_queue(struct pool *pool);

/* Main: objects that their home has let go of for good. NULL: none now. */
struct object *pool_take_retired(struct pool *pool);

/* Main: publishes new settings. */
enum err pool_set_settings(struct pool *pool, const struct settings *settings);

/* Main: a write of its own is counted among those of Secrets, and may go now (0); or how long to wait until it may be asked for
 * again (ns), which gives it its turn. */
int64_t pool_write_wait_ns(struct pool *pool, int64_t now_ns);

/* Main: Secrets are watched, and list number `list` of them is complete (secret_seen.h); 0: they are not watched. */
void pool_watch_secrets(struct pool *pool, uint32_t list);

/* Main: while paused no reconcile begins, and no write of a Secret or a status goes out. Those that stand in line go back
 * with their reconciles, which begin anew afterwards; requests that are on their way end. */
void pool_pause(struct pool *pool, bool paused);

/* One turn: inbox, timers, HTTP, dispatch. Returns the next deadline (mono_ns; NEVER_NS for none; 0: come back at once). */
int64_t worker_turn(struct worker *worker, struct now now);

/* True when a stopped worker holds nothing any more. */
bool worker_is_drained(const struct worker *worker);

/* Numbers for people and tests: objects it is home of, reconciles in flight. */
unsigned worker_object_count(const struct worker *worker);
unsigned worker_running_count(const struct worker *worker);

/* What one worker tells of itself, as of the end of its last turn. */
struct worker_numbers {
	unsigned objects; /* whose home it is */
	unsigned running; /* reconciles */
	unsigned writes_waiting; /* writes of Secrets that stand in line */
	unsigned reads_waiting; /* requests to vaults that were not sent yet */
	unsigned statuses_waiting; /* objects whose status is still to be written */
	unsigned waiting[CLASS_COUNT]; /* objects in ready lists */
	int64_t secret_unseen_ns; /* how long the Secret that was seen longest ago has not been looked at */
	struct loop_turns turns; /* of its loop; all 0 without one */
};
void worker_read_numbers(const struct worker *worker, struct worker_numbers *out_numbers);

/* For the simulation and for traces: called after each step of a reconcile. NULL: off. Before pool_start. */
void pool_trace(struct pool *pool,
	void (*trace)(void *arg, const struct object *object, const char *step, enum err err),
	void *arg);
