/* workers/status.h - the status of a SecretSync: compact in memory, JSON on the wire.
 *
 * Private to the object's home worker (main builds the first one from the LIST before the object is published).
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/hash.h"
#include "workers/reason.h"
#include "workers/spec.h"

enum {
	STATUS_MESSAGE_BYTES = 32768, /* of a condition: the limit of the CRD */
	STATUS_DIGEST_HALF = SHA256_BYTES / 2,
};

enum condition_type { CONDITION_CREATED, CONDITION_UPDATED, CONDITION_READY, CONDITION_COUNT };
enum __attribute__((packed)) condition_value {
	CONDITION_ABSENT,
	CONDITION_FALSE,
	CONDITION_TRUE,
	CONDITION_UNKNOWN
};

/* What a SecretSync that is well says. */
#define STATUS_TEXT_LIST(X)                                                     \
	X(CREATED, "The Secret was created.")                                   \
	X(CREATED_WITH, "The Secret was created with the values of the vault.") \
	X(WRITTEN, "The Secret was written with the values of the vault.")      \
	X(HOLDS, "The Secret holds the values of the vault.")

enum status_text {
#define X(id, text) STATUS_TEXT_##id,
	STATUS_TEXT_LIST(X)
#undef X
		STATUS_TEXT_COUNT
};

const char *status_text(enum status_text text); /* static storage */

struct condition {
	char *message; /* owned, or a status_text(); NULL: empty */
	int64_t generation; /* observedGeneration */
	uint32_t transition_s; /* unix seconds of the last change of value */
	enum condition_value value;
	enum reason reason;
};

/* One version that stands in the Secret. */
struct status_object {
	const char *name; /* the source path, "name" or "name/0"; in the array's block */
	const char *version; /* in the array's block */
	uint32_t updated_s, synced_s; /* unix seconds */
	enum vault_kind kind;
};

/* What syncHash is. */
enum __attribute__((packed)) status_hash {
	HASH_NONE,
	HASH_OURS, /* "kv1:<own uid>:<digest>" */
	HASH_OURS_PARTIAL, /* "kv1:<own uid>:<digest>:partial" */
	HASH_OTHER, /* any other text */
};

/* As small as it can be with names: there is one for every SecretSync. */
struct status {
	struct condition conditions[CONDITION_COUNT];
	struct status_object *objects; /* owned: one block, texts included */
	uint32_t last_successful_s; /* unix seconds; 0: never */
	uint32_t secret_created_s; /* unix seconds; 0: not known */
	int32_t observed_generation;
	uint16_t object_count;
	enum status_hash hash;
	union {
		unsigned char digest[SHA256_BYTES]; /* of a hash that is ours */
		char *other_hash; /* owned: the text of one that is HASH_OTHER */
	};
};

void status_deinit(struct status *status); /* idempotent */
enum err status_copy(const struct status *status, struct status *out_copy);
bool status_equal(const struct status *a, const struct status *b);

/* Reads `status` of a SecretSync (NULL: none). Unknown members and conditions are dropped; a reason that is not among
 * `names` becomes one that the next reconcile corrects. uid: of the SecretSync. */
enum err status_parse(
	const cJSON *json, enum reason_names names, struct str uid, struct status *out_status);

/* Sets a condition; the transition time moves only when the value changes. Message: copied, cut at STATUS_MESSAGE_BYTES. */
enum err status_set(struct status *status, enum condition_type type, enum condition_value value,
	enum reason reason, struct str message, int64_t generation, int64_t now_s);

/* Room for `count` objects whose names and versions take `bytes` without their NULs, in one block in place of what was there;
 * then each of them. ERR_NOMEM: there are none. */
enum err status_objects_begin(
	struct status *status, unsigned count, size_t bytes, struct block *out_block);
void status_objects_add(struct status *status, struct block *block,
	const struct status_object *object, struct str name, struct str version);

/* The whole status object of the SecretSync `uid` as JSON. */
void status_write(
	const struct status *status, enum reason_names names, struct str uid, struct buf *out_json);

/* The text of a hash that is none of ours; empty: there is none such. */
struct str status_other_hash(const struct status *status);
/* As if nothing were known of what was written. */
void status_drop_hash(struct status *status);

/* True when the Secret is known to have been written for this uid, by kvsync or (a hash of another form) by its predecessor. */
bool status_has_synced(const struct status *status);
/* True when syncHash says that kvsync itself wrote last, for this uid. */
bool status_is_ours(const struct status *status, struct str uid);
/* True when kvsync wrote it for another uid: a backup was restored into a new object. Nothing in it holds. */
bool status_is_anothers(const struct status *status, struct str uid);

/* The hash: "kv1:<uid>:<hex>", and ":partial" behind it where an item failed in the first write of what was asked for, so
 * that the Secret lacks something. The first half of the digest is about what is asked for, the second about what the vault shows. */
void status_set_hash(
	struct status *status, const unsigned char digest[static SHA256_BYTES], bool partial);
bool status_asked_is(const struct status *status, const unsigned char digest[static SHA256_BYTES]);
bool status_seen_is(const struct status *status, const unsigned char digest[static SHA256_BYTES]);
bool status_is_partial(const struct status *status);
/* As text: read (empty: none), and written. */
enum err status_read_hash(struct status *status, struct str uid, struct str text);
void status_write_hash(const struct status *status, struct str uid, struct buf *out_text);

/* The version of a source path that is in the Secret; NULL: not known. */
const struct status_object *status_find_object(const struct status *status, struct str name);
