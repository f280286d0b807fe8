/* engine/akv.h - AKVSyncs: the objects that follow from them are created, kept equal to them, and deleted when they no
 * longer follow.
 *
 *   AKVSync --akv_plan--> SecretProviderClass + SecretSyncs --the rest of kvsync--> Secrets
 *      ^                        |
 *      +------ status ----------+
 *
 * This is the whole of the AKVSync kind: the store and the workers know derived objects as they know any others, and this
 * knows no vault, no token and no Secret. It reads by the informers of the engine and writes by main's own HTTP client, one
 * request per AKVSync and a few in all at a time.
 *
 * Rules: only an object whose controller is the AKVSync, by uid, is ever written or deleted, and every such write is held to
 * the object's own uid; a name that somebody else has stays theirs and becomes a condition. Nothing is asked when nothing
 * differs. What fails is tried again with backoff, not before the Retry-After of any answer; an API server that cannot be
 * reached is tried by one request at a time. Main thread only.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/hash.h"
#include "base/rng.h"
#include "clients/kube.h"

struct akv;
struct object_meta;

/* All pointers are kept. unauthenticated: the API server answered 401. NULL: out of memory. */
struct akv *akv_create(struct kube *kube, struct http *http, struct rng *rng, struct hash_key key,
	void (*unauthenticated)(void *arg), void *arg);
/* Writes wait until wait_ns says 0, which counts one; else how long (ns, > 0). */
void akv_pace_writes(struct akv *akv, int64_t (*wait_ns)(void *arg, int64_t now_ns), void *arg);
void akv_destroy(struct akv *akv); /* NULL is fine */
void akv_stop(struct akv *akv); /* cancels, and asks for nothing any more */

/* What the informers tell: AKVSyncs (KUBE_AKVS) and the two derived kinds. ERR_INVALID: passed over; ERR_NOMEM. */
enum err akv_upsert(struct akv *akv, enum kube_resource resource, const cJSON *object);
enum err akv_remove(struct akv *akv, enum kube_resource resource, const cJSON *object);
/* True: news of this derived object concern it, even such as change nothing but its status. */
bool akv_follows(
	const struct akv *akv, enum kube_resource resource, const struct object_meta *meta);
void akv_list_begin(struct akv *akv, enum kube_resource resource);
void akv_list_end(struct akv *akv, enum kube_resource resource);

/* A slice of what is due; nothing before all three lists were complete once. */
void akv_turn(struct akv *akv, struct now now);
/* When there is something to do (mono_ns; NEVER_NS: a callback or an event will come). */
int64_t akv_deadline_ns(const struct akv *akv, struct now now);

size_t akv_count(const struct akv *akv); /* AKVSyncs that are known */
