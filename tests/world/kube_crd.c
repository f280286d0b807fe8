/* Custom resources against the schema of their CRD: pruning and defaults. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"

static bool names_its_members(const cJSON *schema) {
	if (cJSON_IsTrue(kj_get(schema, "x-kubernetes-preserve-unknown-fields"))) return false;
	if (kj_get(schema, "additionalProperties")) return false;
	return kj_get(schema, "properties") || strcmp(kj_text(schema, "type"), "object") == 0;
}

static void prune(cJSON *value, const cJSON *schema, struct kj_trail *path, cJSON *unknown);

static void prune_items(cJSON *list, const cJSON *schema, struct kj_trail *path, cJSON *unknown) {
	cJSON *item;
	int index = 0;
	cJSON_ArrayForEach(item, list) {
		size_t back = kj_trail_item(path, index++);
		prune(item, kj_get(schema, "items"), path, unknown);
		kj_trail_back(path, back);
	}
}

static void prune(cJSON *value, const cJSON *schema, struct kj_trail *path, cJSON *unknown) {
	if (!schema) return;
	if (cJSON_IsArray(value)) prune_items(value, schema, path, unknown);
	if (!cJSON_IsObject(value)) return;
	bool closed = names_its_members(schema), root = !path->len;
	const cJSON *properties = kj_get(schema, "properties");
	for (cJSON *item = value->child; item;) {
		cJSON *next = item->next;
		const cJSON *known = kj_get(properties, item->string);
		size_t back = kj_trail_member(path, item->string);
		if (root && strcmp(item->string, "metadata") == 0) {
			/* has rules of its own */
		} else if (known) {
			prune(item, known, path, unknown);
		} else if (closed && !(root && (strcmp(item->string, "kind") == 0 || strcmp(item->string, "apiVersion") == 0))) {
			kj_push(unknown, cJSON_CreateString(path->text));
			cJSON_Delete(cJSON_DetachItemViaPointer(value, item));
		} else {
			prune(item, kj_get(schema, "additionalProperties"), path, unknown);
		}
		kj_trail_back(path, back);
		item = next;
	}
}

void kube_crd_prune(cJSON *value, const cJSON *schema, cJSON *unknown) {
	struct kj_trail path;
	kj_trail_init(&path);
	prune(value, schema, &path, unknown);
	kj_trail_deinit(&path);
}

/* Whether a default stands in a schema or below it. Asked for each value of each write, so the answer is kept in the node, in a
 * member that cJSON leaves alone for objects. */
static bool has_default(const cJSON *schema) {
	enum { UNKNOWN, NO, YES };
	if (!schema || schema->valueint != UNKNOWN) return schema && schema->valueint == YES;
	const cJSON *property;
	bool has = has_default(kj_get(schema, "items"));
	cJSON_ArrayForEach(property, kj_get(schema, "properties")) {
		has |= kj_get(property, "default") || has_default(property);
	}
	((cJSON *)schema)->valueint = has ? YES : NO;
	return has;
}

void kube_crd_default(cJSON *value, const cJSON *schema) {
	if (!has_default(schema)) return;
	if (cJSON_IsArray(value)) {
		cJSON *item;
		cJSON_ArrayForEach(item, value) kube_crd_default(item, kj_get(schema, "items"));
	}
	if (!cJSON_IsObject(value)) return;
	const cJSON *property;
	cJSON_ArrayForEach(property, kj_get(schema, "properties")) {
		const cJSON *fallback = kj_get(property, "default");
		cJSON *item = kj_get(value, property->string);
		if (fallback && (!item || cJSON_IsNull(item))) kj_set(value, property->string, kj_copy(fallback));
		kube_crd_default(kj_get(value, property->string), property);
	}
}
