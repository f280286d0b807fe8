/* tests/world/kube_fields.h - values walked along their schema: which fields they set, what differs, merge, removal.
 *
 * A schema is an OpenAPI node (properties, additionalProperties, items, x-kubernetes-list-type, x-kubernetes-list-map-keys,
 * x-kubernetes-map-type); NULL stands for "no schema": objects are split, lists are leaves.
 */
#pragma once

#include "tests/world/kube_fieldset.h"

/* The schema of a member of an object, or of a list's items; NULL: unknown. */
const cJSON *fields_schema_of(const cJSON *schema, const char *name, bool *out_named);
const cJSON *fields_schema_items(const cJSON *schema);

/* A list whose items have identity: "map" (by keys) or "set". */
bool fields_list_is_keyed(const cJSON *schema);
/* The path element of an item of a keyed list ("k:{\"uid\":\"...\"}", "v:..."); free with mem_free. NULL when a key is missing. */
char *fields_item_element(const cJSON *schema, const cJSON *item);

/* The fields that an applied configuration names. */
struct fset *fields_of(const cJSON *value, const cJSON *schema);

struct fields_diff {
	struct fset *added, *removed, *modified;
};
void fields_compare(const cJSON *old, const cJSON *new, const cJSON *schema, struct fields_diff *out);
void fields_diff_deinit(struct fields_diff *diff);

/* `config` laid over `live`; a new value. Lists with identity are merged item by item, all other leaves are config's. */
cJSON *fields_merge(const cJSON *live, const cJSON *config, const cJSON *schema);

/* The value without the members of `set`; NULL when nothing is left. */
cJSON *fields_remove(const cJSON *value, const struct fset *set, const cJSON *schema);

/* Marks nodes that stand for a named property and have something below them as members. In place. */
void fields_name_members(struct fset *set, const cJSON *schema);
