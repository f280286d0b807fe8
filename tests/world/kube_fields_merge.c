/* Laying a configuration over an object, and taking fields out of one. */
#include <string.h>

#include "base/mem.h"
#include "tests/world/kube_fields.h"
#include "tests/world/kube_json.h"

/* The elements of a list, in its order. */
struct keyed {
	const cJSON **items;
	char **elements;
	size_t count;
};

static struct keyed keyed_of(const cJSON *list, const cJSON *schema) {
	struct keyed keyed = { 0 };
	size_t cap = (size_t)cJSON_GetArraySize(list) + 1;
	keyed.items = kj_alloc(cap * sizeof(*keyed.items));
	keyed.elements = kj_alloc(cap * sizeof(*keyed.elements));
	const cJSON *item;
	cJSON_ArrayForEach(item, list) {
		char *element = fields_item_element(schema, item);
		if (!element) continue;
		keyed.items[keyed.count] = item;
		keyed.elements[keyed.count++] = element;
	}
	return keyed;
}

static void keyed_deinit(struct keyed *keyed) {
	for (size_t i = 0; i < keyed->count; i++) mem_free(keyed->elements[i]);
	mem_free(keyed->elements);
	mem_free(keyed->items);
}

static const cJSON *keyed_find(const struct keyed *keyed, const char *element) {
	for (size_t i = 0; i < keyed->count; i++) {
		if (strcmp(keyed->elements[i], element) == 0) return keyed->items[i];
	}
	return NULL;
}

/* Items of the configuration come in its order; an item that only the live list has stays before the shared item it
 * preceded, or at the end. */
static cJSON *merge_lists(const cJSON *live, const cJSON *config, const cJSON *schema) {
	cJSON *out = kj_must(cJSON_CreateArray());
	const cJSON *below = fields_schema_items(schema);
	struct keyed l = keyed_of(live, schema), r = keyed_of(config, schema);
	size_t i = 0;
	for (size_t j = 0; j < r.count; j++) {
		const cJSON *shared = keyed_find(&l, r.elements[j]);
		for (; shared && i < l.count; i++) {
			if (l.items[i] == shared) break;
			if (!keyed_find(&r, l.elements[i])) kj_push(out, kj_copy(l.items[i]));
		}
		kj_push(out, fields_merge(shared, r.items[j], below));
	}
	for (; i < l.count; i++) {
		if (!keyed_find(&r, l.elements[i])) kj_push(out, kj_copy(l.items[i]));
	}
	keyed_deinit(&l);
	keyed_deinit(&r);
	return out;
}

static cJSON *merge_maps(const cJSON *live, const cJSON *config, const cJSON *schema) {
	cJSON *out = kj_must(cJSON_CreateObject());
	const cJSON *item;
	cJSON_ArrayForEach(item, live) {
		const cJSON *over = kj_get(config, item->string);
		cJSON_AddItemToObject(out, item->string,
				      over ? fields_merge(item, over, fields_schema_of(schema, item->string, NULL))
					   : kj_copy(item));
	}
	cJSON_ArrayForEach(item, config) {
		if (!kj_get(live, item->string)) cJSON_AddItemToObject(out, item->string, kj_copy(item));
	}
	return out;
}

cJSON *fields_merge(const cJSON *live, const cJSON *config, const cJSON *schema) {
	bool atomic = strcmp(kj_text(schema, "x-kubernetes-map-type"), "atomic") == 0;
	if (cJSON_IsObject(live) && cJSON_IsObject(config) && !atomic) return merge_maps(live, config, schema);
	if (cJSON_IsArray(live) && cJSON_IsArray(config) && fields_list_is_keyed(schema)) {
		return merge_lists(live, config, schema);
	}
	return kj_copy(config);
}

static cJSON *remove_items(const cJSON *list, const struct fset *set, const cJSON *schema) {
	cJSON *out = kj_must(cJSON_CreateArray());
	const cJSON *item;
	cJSON_ArrayForEach(item, list) {
		char *element = fields_item_element(schema, item);
		const struct fset *node = element ? fset_find(set, element) : NULL;
		mem_free(element);
		if (node && node->member) continue;
		cJSON *left = node ? fields_remove(item, node, fields_schema_items(schema)) : kj_copy(item);
		if (left) kj_push(out, left);
	}
	return out;
}

static cJSON *remove_members(const cJSON *object, const struct fset *set, const cJSON *schema) {
	cJSON *out = kj_must(cJSON_CreateObject());
	const cJSON *item;
	cJSON_ArrayForEach(item, object) {
		char *element = kj_format("f:%s", item->string);
		const struct fset *node = fset_find(set, element);
		mem_free(element);
		if (node && node->member) continue;
		cJSON *left = node && node->count
				      ? fields_remove(item, node, fields_schema_of(schema, item->string, NULL))
				      : kj_copy(item);
		if (left) cJSON_AddItemToObject(out, item->string, left);
	}
	return out;
}

cJSON *fields_remove(const cJSON *value, const struct fset *set, const cJSON *schema) {
	cJSON *out;
	bool atomic = strcmp(kj_text(schema, "x-kubernetes-map-type"), "atomic") == 0;
	if (cJSON_IsObject(value) && !atomic) out = remove_members(value, set, schema);
	else if (cJSON_IsArray(value) && fields_list_is_keyed(schema)) out = remove_items(value, set, schema);
	else return kj_copy(value);
	if (out->child) return out;
	cJSON_Delete(out);
	return NULL;
}
