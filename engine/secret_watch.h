/* engine/secret_watch.h - driftDetection: watch. A list and a watch of the metadata of the Secrets that carry our label, held
 * against the SecretSyncs of the store.
 *
 * It keeps nothing about a Secret but one word in its object (workers/secret_seen.h). All that is received stays in secret
 * memory: annotations may hold values. While it is not current (not yet listed, no right, out of reach) workers probe at
 * polls. Main thread only.
 */
#pragma once

#include "engine/informer.h"
#include "engine/store.h"
#include "workers/pool.h"

struct secret_watch {
	struct informer_sink sink;
	struct informer informer;
	struct secret_arena *arena; /* NULL: off */
	struct kube *kube;
	struct http *http;
	struct rng *rng;
	struct store *store;
	struct pool *pool;
	uint32_t list; /* number of the list that runs, or that the watch follows */
	void (*unauthenticated)(void *arg); /* 401: the token should be read again */
	void *arg;
};

/* All pointers are kept; the other members are the caller's to set. Off at first. */
void secret_watch_init(struct secret_watch *watch);
/* ERR_NOMEM: it stays off. Nothing, when it is on. */
enum err secret_watch_start(struct secret_watch *watch);
/* Frees what start has made; idempotent. */
void secret_watch_stop(struct secret_watch *watch);
bool secret_watch_is_on(const struct secret_watch *watch);

/* Only while SecretSyncs are known, so that a Secret finds its object. Returns the next deadline. */
int64_t secret_watch_turn(struct secret_watch *watch, struct now now);
int64_t secret_watch_deadline_ns(const struct secret_watch *watch, struct now now);

/* Changes are told of as they happen. */
bool secret_watch_is_current(const struct secret_watch *watch);
