/* engine/akv_table.h - what is known of AKVSyncs and of the objects that are derived from them; private to engine/akv*.c.
 *
 * A derived object is kept while its controller is an AKVSync, or while an AKVSync has asked for it by name: of a million
 * other SecretSyncs nothing is kept. An AKVSync that is only named by an owner reference is a shell without a uid. Main
 * thread only.
 */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "engine/akv_plan.h"
#include "queue/timer.h"
#include "workers/status.h"

struct akv_call;

/* An AKVSync. */
struct akv_owner {
	struct map_node node;
	char *key; /* owned; "namespace/name" */
	char uid[KUBE_UID_BYTES]; /* "": a shell */
	int64_t generation;
	bool deleting;
	struct akv_plan plan;
	char *fault; /* owned; why there is no plan; NULL: there is one */
	struct list children; /* akv_live.home_link: it is their controller */
	struct list strangers; /* akv_live.home_link: it wants their names */
	struct list seen_link;
	struct list ready_link; /* in akv_table.ready */
	struct list blocked_link; /* in akv_table.blocked: a stranger has a name */
	struct timer timer; /* looks again */
	struct akv_table *table;
	struct akv_call *call; /* in flight; NULL: none */
	uint64_t mark; /* of the latest look */

	/* The status that the API server holds. */
	uint64_t status_digest;
	enum condition_value ready;
	char since[TIME_TEXT_BYTES]; /* lastTransitionTime */
	int64_t status_retry_ns;
	unsigned status_failures;
};

/* A SecretSync or SecretProviderClass as the API server holds it. */
struct akv_live {
	struct map_node node;
	char *key; /* owned; "s/namespace/name", "c/namespace/name" */
	enum kube_resource resource;
	struct akv_owner *home;
	struct list home_link;
	struct list seen_link;
	bool is_child; /* home is its controller, by name */
	bool deleting;
	char uid[KUBE_UID_BYTES];
	char version[KUBE_VERSION_BYTES];
	char owner_uid[KUBE_UID_BYTES]; /* of the controller, when is_child */
	char *holder; /* owned; another controller, for people; NULL: none */
	int64_t generation;
	uint64_t digest; /* akv_digest() of spec */
	int64_t settled_generation; /* after a write that the server did not take whole */
	uint64_t settled_digest; /* what had been written */
	uint64_t mark; /* akv_owner.mark when it was last wanted */
	enum condition_value ready; /* its condition Ready */
	char *reason, *message; /* owned; NULL: none */
	int64_t retry_ns; /* of its deletion */
	unsigned failures;
};

struct akv_table {
	struct map owners, lives;
	struct timers timers;
	struct list ready, blocked;
	struct list seen_owners, unseen_owners;
	struct list seen[2], unseen[2]; /* by resource */
};

void akv_table_init(struct akv_table *table, struct hash_key key);
void akv_table_deinit(struct akv_table *table); /* no call may be in flight */

/* An AKVSync as LIST and WATCH deliver it. ERR_INVALID: no usable metadata; ERR_NOMEM. */
enum err akv_table_upsert(struct akv_table *table, const cJSON *object);
struct akv_owner *akv_table_find_owner(const struct akv_table *table, struct str key);
/* It is gone; what belonged to it is the garbage collector's. */
void akv_table_remove(struct akv_table *table, struct akv_owner *owner);

/* An object of a derived kind was seen. `asker` (may be NULL) wants its name to be known even if it belongs to somebody
 * else. */
enum err akv_table_saw(struct akv_table *table, enum kube_resource resource, const cJSON *object,
	struct akv_owner *asker);
void akv_table_lost(struct akv_table *table, struct akv_live *live);
struct akv_live *akv_table_find(
	const struct akv_table *table, enum kube_resource resource, struct str ns, struct str name);

/* The object is to be looked at in one of the next turns. */
void akv_table_wake(struct akv_owner *owner);

/* Parts of keys. */
struct str akv_owner_ns(const struct akv_owner *owner);
struct str akv_owner_name(const struct akv_owner *owner);
struct str akv_live_name(const struct akv_live *live);
