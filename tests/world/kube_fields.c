#include "tests/world/kube_fields.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/world/kube_json.h"

const cJSON *fields_schema_of(const cJSON *schema, const char *name, bool *out_named) {
	const cJSON *named = kj_get(kj_get(schema, "properties"), name);
	if (out_named) *out_named = named != NULL;
	return named ? named : kj_get(schema, "additionalProperties");
}

const cJSON *fields_schema_items(const cJSON *schema) {
	return kj_get(schema, "items");
}

bool fields_list_is_keyed(const cJSON *schema) {
	const char *type = kj_text(schema, "x-kubernetes-list-type");
	return strcmp(type, "map") == 0 || strcmp(type, "set") == 0;
}

static bool is_atomic_map(const cJSON *schema) {
	return strcmp(kj_text(schema, "x-kubernetes-map-type"), "atomic") == 0;
}

/* As JSON it needs no escapes. */
static bool is_plain(const char *text) {
	for (; *text; text++) {
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') return false;
	}
	return true;
}

char *fields_item_element(const cJSON *schema, const cJSON *item) {
	const cJSON *only = kj_get(schema, "x-kubernetes-list-map-keys");
	if (only && only->child && !only->child->next) {
		const char *name = only->child->valuestring;
		const cJSON *key = kj_get(item, name);
		if (cJSON_IsString(key) && is_plain(name) && is_plain(key->valuestring))
			return kj_format("k:{\"%s\":\"%s\"}", name, key->valuestring);
	}
	if (strcmp(kj_text(schema, "x-kubernetes-list-type"), "set") == 0) {
		char *text = kj_print_text(item);
		char *element = kj_format("v:%s", text);
		mem_free(text);
		return element;
	}
	cJSON *keys = kj_must(cJSON_CreateObject());
	const cJSON *name;
	bool complete = true;
	cJSON_ArrayForEach(name, kj_get(schema, "x-kubernetes-list-map-keys")) {
		const cJSON *key = kj_get(item, name->valuestring);
		if (!key) complete = false;
		else cJSON_AddItemToObject(keys, name->valuestring, kj_copy(key));
	}
	char *element = NULL;
	if (complete && cJSON_IsObject(item)) {
		char *text = kj_print_text(keys);
		element = kj_format("k:%s", text);
		mem_free(text);
	}
	cJSON_Delete(keys);
	return element;
}

static bool splits(const cJSON *value, const cJSON *schema) {
	if (cJSON_IsObject(value)) return !is_atomic_map(schema);
	return cJSON_IsArray(value) && fields_list_is_keyed(schema);
}

static void collect(const cJSON *value, const cJSON *schema, struct fset *at);

static void collect_items(const cJSON *list, const cJSON *schema, struct fset *at) {
	const cJSON *item;
	cJSON_ArrayForEach(item, list) {
		char *element = fields_item_element(schema, item);
		if (!element) continue;
		struct fset *kid = fset_descend(at, element);
		collect(item, fields_schema_items(schema), kid);
		kid->member = true;
		mem_free(element);
	}
}

static void collect(const cJSON *value, const cJSON *schema, struct fset *at) {
	if (!splits(value, schema)) {
		if (!cJSON_IsNull(value)) at->member = true;
		return;
	}
	if (cJSON_IsArray(value)) {
		collect_items(value, schema, at);
		return;
	}
	const cJSON *item;
	cJSON_ArrayForEach(item, value) {
		bool named;
		const cJSON *below = fields_schema_of(schema, item->string, &named);
		char *element = kj_format("f:%s", item->string);
		struct fset *kid = fset_descend(at, element);
		collect(item, below, kid);
		if (!named || cJSON_IsNull(item) || (cJSON_IsObject(item) && !item->child)) kid->member = true;
		mem_free(element);
	}
}

struct fset *fields_of(const cJSON *value, const cJSON *schema) {
	struct fset *raw = fset_create(), *nothing = fset_create();
	collect(value, schema, raw);
	raw->member = false;
	struct fset *set = fset_union(raw, nothing); /* drops nodes that came to nothing */
	fset_destroy(raw);
	fset_destroy(nothing);
	return set;
}

enum { MAX_DEPTH = 64 };

struct walk {
	struct fields_diff *diff;
	const char *path[MAX_DEPTH];
	size_t depth;
};

static void compare(struct walk *walk, const cJSON *l, const cJSON *r, const cJSON *schema);

static void compare_below(struct walk *walk, const char *element, const cJSON *l, const cJSON *r,
			  const cJSON *schema) {
	assert(walk->depth < MAX_DEPTH);
	walk->path[walk->depth++] = element;
	compare(walk, l, r, schema);
	walk->depth--;
}

static void note(struct walk *walk, struct fset *set) {
	fset_insert(set, walk->path, walk->depth);
}

/* The item of `list` with this element, or NULL. */
static const cJSON *item_with(const cJSON *list, const cJSON *schema, const char *element) {
	const cJSON *item;
	cJSON_ArrayForEach(item, list) {
		char *other = fields_item_element(schema, item);
		bool same = other && strcmp(other, element) == 0;
		mem_free(other);
		if (same) return item;
	}
	return NULL;
}

static void compare_lists(struct walk *walk, const cJSON *l, const cJSON *r, const cJSON *schema) {
	const cJSON *item;
	cJSON_ArrayForEach(item, l) {
		char *element = fields_item_element(schema, item);
		if (element) {
			compare_below(walk, element, item, item_with(r, schema, element), fields_schema_items(schema));
		}
		mem_free(element);
	}
	cJSON_ArrayForEach(item, r) {
		char *element = fields_item_element(schema, item);
		if (element && !item_with(l, schema, element)) {
			compare_below(walk, element, NULL, item, fields_schema_items(schema));
		}
		mem_free(element);
	}
}

static void compare_maps(struct walk *walk, const cJSON *l, const cJSON *r, const cJSON *schema) {
	const cJSON *item;
	cJSON_ArrayForEach(item, l) {
		char *element = kj_format("f:%s", item->string);
		compare_below(walk, element, item, kj_get(r, item->string),
			      fields_schema_of(schema, item->string, NULL));
		mem_free(element);
	}
	cJSON_ArrayForEach(item, r) {
		if (kj_get(l, item->string)) continue;
		char *element = kj_format("f:%s", item->string);
		compare_below(walk, element, NULL, item, fields_schema_of(schema, item->string, NULL));
		mem_free(element);
	}
}

static void compare(struct walk *walk, const cJSON *l, const cJSON *r, const cJSON *schema) {
	if (l && r && kj_equal(l, r)) return;
	const cJSON *sample = r && !cJSON_IsNull(r) ? r : l;
	bool comparable = !l || !r || cJSON_IsNull(l) || cJSON_IsNull(r) || (l->type & 0xff) == (r->type & 0xff);
	bool leaf = !comparable || !splits(sample, schema) || (kj_is_empty(l) && kj_is_empty(r));
	if (leaf) {
		if (!l) note(walk, walk->diff->added);
		else if (!r) note(walk, walk->diff->removed);
		else if (!kj_equal(l, r)) note(walk, walk->diff->modified);
		return;
	}
	if (cJSON_IsArray(sample)) compare_lists(walk, l, r, schema);
	else compare_maps(walk, l, r, schema);
	if (!l) note(walk, walk->diff->added);
	else if (!r) note(walk, walk->diff->removed);
}

void fields_compare(const cJSON *old, const cJSON *new, const cJSON *schema, struct fields_diff *out) {
	*out = (struct fields_diff){ fset_create(), fset_create(), fset_create() };
	struct walk walk = { .diff = out };
	compare(&walk, old, new, schema);
}

void fields_diff_deinit(struct fields_diff *diff) {
	fset_destroy(diff->added);
	fset_destroy(diff->removed);
	fset_destroy(diff->modified);
	*diff = (struct fields_diff){ 0 };
}

void fields_name_members(struct fset *set, const cJSON *schema) {
	for (size_t i = 0; i < set->count; i++) {
		struct fset *kid = set->kids[i];
		const cJSON *below = NULL;
		bool named = false;
		if (kid->element[0] == 'f') below = fields_schema_of(schema, kid->element + 2, &named);
		else if (kid->element[0] == 'k') below = fields_schema_items(schema);
		if (named && kid->count) kid->member = true;
		fields_name_members(kid, below);
	}
}
