/* Custom resources against the schema of their CRD: pruning and defaults. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"

static bool names_its_members(const cJSON *schema) {
	if (cJSON_IsTrue(kj_get(schema, "x-kubernetes-preserve-unknown-fields"))) return false;
	if (kj_get(schema, "additionalProperties")) return false;
	return kj_get(schema, "properties") || strcmp(kj_text(schema, "type"), "object") == 0;
}

static void prune_items(cJSON *list, const cJSON *schema, const char *path, cJSON *unknown) {
	cJSON *item;
	int index = 0;
	cJSON_ArrayForEach(item, list) {
		char *below = kj_format("%s[%d]", path, index++);
		kube_crd_prune(item, kj_get(schema, "items"), below, unknown);
		mem_free(below);
	}
}

void kube_crd_prune(cJSON *value, const cJSON *schema, const char *path, cJSON *unknown) {
	if (!schema) return;
	if (cJSON_IsArray(value)) prune_items(value, schema, path, unknown);
	if (!cJSON_IsObject(value)) return;
	bool closed = names_its_members(schema), root = !path[0];
	for (cJSON *item = value->child; item;) {
		cJSON *next = item->next;
		const cJSON *known = kj_get(kj_get(schema, "properties"), item->string);
		char *below = kj_format("%s%s%s", path, root ? "" : ".", item->string);
		if (root && strcmp(item->string, "metadata") == 0) {
			/* has rules of its own */
		} else if (known) {
			kube_crd_prune(item, known, below, unknown);
		} else if (closed && !(root && (strcmp(item->string, "kind") == 0 || strcmp(item->string, "apiVersion") == 0))) {
			kj_push(unknown, cJSON_CreateString(below));
			cJSON_Delete(cJSON_DetachItemViaPointer(value, item));
		} else {
			kube_crd_prune(item, kj_get(schema, "additionalProperties"), below, unknown);
		}
		mem_free(below);
		item = next;
	}
}

void kube_crd_default(cJSON *value, const cJSON *schema) {
	if (!schema) return;
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
