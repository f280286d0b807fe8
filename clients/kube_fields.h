/* clients/kube_fields.h - who owns which field of a Secret, as managedFields say (Kubernetes: "Server-Side Apply", fieldsV1).
 *
 * An update that changes a field takes it away from every other manager; deleting a field takes it away from all. So a field
 * that we wrote and do not own any more was changed or deleted by somebody else. Names of fields, never values.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/str.h"

/* Managers of the controllers before kvsync, in the order of their releases; their entries become part of ours. */
#define KUBE_PREDECESSORS \
	{ "v1-secret-sync-controller", "v1-secrets-store-sync-controller" }

enum kube_field_set { KUBE_FIELD_DATA, KUBE_FIELD_LABEL, KUBE_FIELD_ANNOTATION };

/* An entry that kube_secret_settle merges: an Update of ours, or anything of a predecessor. Subresources are not looked at. */
bool kube_entry_must_settle(const cJSON *entry);
/* The same of an entry as it is written: each write of a Secret is answered with some. Malformed ones say false. */
bool kube_raw_entry_must_settle(struct str entry);
/* The entry that our applies own. */
bool kube_entry_is_apply(const cJSON *entry);

/* True when an entry of ours, or one that settling makes ours, owns the key. `list`: the parsed managedFields. */
bool kube_fields_owned(const cJSON *list, enum kube_field_set set, struct str key);
/* True when a complete apply that leaves the key out removes it: it is owned, and by nobody else beside. */
bool kube_fields_prunable(const cJSON *list, enum kube_field_set set, struct str key);
/* True when an entry of somebody else owns the key. */
bool kube_fields_rivalled(const cJSON *list, enum kube_field_set set, struct str key);
/* The manager that owns the key instead; without one the manager that wrote last and is not us; "" when there is none. */
struct str kube_fields_rival(const cJSON *list, enum kube_field_set set, struct str key);
