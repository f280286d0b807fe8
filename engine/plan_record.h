/* engine/plan_record.h - one Secret of a plan: as a GET shows it, and as a reconcile would have written it.
 *
 * Both are the JSON of whole Secrets with values: they stand in secret memory and are read in place. Main thread only.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/map.h"
#include "base/secret.h"
#include "clients/kube.h"
#include "clients/kube_fields.h"

enum plan_sight {
	SIGHT_NONE, /* nobody has asked */
	SIGHT_THERE,
	SIGHT_ABSENT,
	SIGHT_HIDDEN, /* whoever asks may not get it */
};

enum plan_write {
	WRITE_NONE,
	WRITE_CREATE,
	WRITE_APPLY, /* the complete write: what it leaves out goes */
	WRITE_PATCH, /* the good items alone */
};

struct plan_record {
	struct map_node node;
	char *key; /* owned; "namespace/name" of SecretSync and Secret */
	char uid[KUBE_UID_BYTES]; /* of the SecretSync */
	enum plan_sight sight;
	struct secret before; /* SIGHT_THERE: the Secret */
	enum plan_write write; /* the last one */
	struct secret after; /* what it sent */
	bool refused; /* the API server would refuse it */
	bool has_values; /* the reconcile is about to write, and does not only look */
};

void plan_record_deinit(struct plan_record *record); /* idempotent */

/* A member of an object as written; STR_NULL: not there. */
struct str plan_member(struct str object, const char *key);
/* The member of a map with keys of users; keys of Secrets, labels and annotations need no escapes. */
struct str plan_entry(struct str map, struct str key);
/* The map in a Secret's text. */
struct str plan_map(struct str secret, enum kube_field_set set);

/* The parsed managedFields; NULL: none. The caller frees. ERR_NOMEM, ERR_PARSE. */
enum err plan_managed_fields(struct str secret, cJSON **out_list);

/* Calls visit for each key of `before` that the complete write `after` removes; visit returns false to end it. */
enum err plan_each_pruned(const struct plan_record *record, enum kube_field_set set,
	bool (*visit)(void *arg, struct str key, struct str raw), void *arg);

/* True when the values after the write differ from those before. ERR_NOMEM, ERR_PARSE. */
enum err plan_changes_data(const struct plan_record *record, bool *out_changes);
