/* engine/store.h - main's tables: every SecretSync and every SecretProviderClass that the API
 * server has told of.
 *
 * It builds snapshots, publishes them by swap, tells the work queue which objects a change
 * concerns, and frees what was replaced after a grace period. Main thread only; workers see nothing
 * of it but what is published. No call does more than a slice of long work (a class with 50,000
 * objects, a relist); store_turn does the rest.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/hash.h"
#include "engine/spc.h"
#include "engine/spec.h"
#include "workers/object.h"

struct store;

enum store_kind { STORE_CLASSES, STORE_SYNCS, STORE_KINDS };

/* first: the queue where new objects start (kept); key: of the tables; names: of the reasons that stand
 * in statuses. NULL: out of memory. */
struct store *store_create(struct queue *first, struct hash_key key,
	const struct spc_defaults *defaults, enum reason_names names);
/* No worker runs any more, and no queue links an object. NULL is fine. */
void store_destroy(struct store *store);

/* One object as LIST and WATCH deliver it; the JSON is borrowed for the call. An update with the
 * same uid, generation and deletion mark (our own status write) does nothing; another uid is
 * another object. ERR_NOMEM; ERR_INVALID when it has no usable metadata. */
enum err store_upsert(struct store *store, enum store_kind kind, const cJSON *object);

/* True: this is an object as it is known: an upsert would do nothing, and it counts as seen in the list that runs. */
bool store_knows(struct store *store, enum store_kind kind, const struct object_meta *meta);

/* The object is gone. Harmless when it is not known. */
enum err store_delete(struct store *store, enum store_kind kind, const cJSON *object);

/* A complete list follows; and it is complete: whatever was not upserted between the two is gone. A
 * second begin starts the marks anew. */
/* The API server went back to an older state, and the list that is to come tells of it: uid, generation and resourceVersion say
 * nothing about what was seen before, and its statuses count, not those that were written. Holds until that list is complete.
 * doubted_ns: see object_tell(). */
void store_distrust(struct store *store, enum store_kind kind, int64_t doubted_ns);
void store_list_begin(struct store *store, enum store_kind kind);
void store_list_end(struct store *store, enum store_kind kind);

/* Takes an object back from pool_take_retired(). */
void store_take_retired(struct store *store, struct object **object);

/* The slice of one turn, the grace period included. True when more is left. */
bool store_turn(struct store *store);

/* Numbers for people and tests. */
size_t store_sync_count(const struct store *store);
size_t store_class_count(const struct store *store);
size_t store_closing_count(const struct store *store); /* deleted, but still with their workers */
struct object *store_find_sync(
	const struct store *store, struct str key); /* "namespace/name"; NULL: not there */
