#include "tests/world/kube_fieldset.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tests/world/kube_json.h"

enum { PATH_MAX_BYTES = 1 << 16 };

struct fset *fset_create(void) {
	return kj_alloc(sizeof(struct fset));
}

void fset_destroy(struct fset *set) {
	if (!set) return;
	for (size_t i = 0; i < set->count; i++) fset_destroy(set->kids[i]);
	mem_free(set->kids);
	mem_free(set->element);
	mem_free(set);
}

static struct fset *node_create(const char *element) {
	struct fset *node = fset_create();
	if (element) node->element = kj_strdup(str_of(element));
	return node;
}

struct fset *fset_copy(const struct fset *set) {
	struct fset *copy = node_create(set->element);
	copy->member = set->member;
	if (set->count) copy->kids = kj_alloc(set->count * sizeof(*copy->kids));
	copy->cap = set->count;
	for (size_t i = 0; i < set->count; i++) copy->kids[copy->count++] = fset_copy(set->kids[i]);
	return copy;
}

/* The place of an element among the kids: where it is, or where it belongs. */
static size_t place_of(const struct fset *set, const char *element, bool *out_found) {
	size_t low = 0, high = set->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(set->kids[mid]->element, element);
		if (order == 0) {
			*out_found = true;
			return mid;
		}
		if (order < 0) low = mid + 1;
		else high = mid;
	}
	*out_found = false;
	return low;
}

static void kid_insert(struct fset *set, size_t at, struct fset *kid) {
	if (set->count == set->cap) {
		set->cap = set->cap ? 2 * set->cap : 4;
		set->kids = kj_grow(set->kids, set->cap * sizeof(*set->kids));
	}
	memmove(set->kids + at + 1, set->kids + at, (set->count - at) * sizeof(*set->kids));
	set->kids[at] = kid;
	set->count++;
}

struct fset *fset_descend(struct fset *set, const char *element) {
	bool found;
	size_t at = place_of(set, element, &found);
	if (!found) kid_insert(set, at, node_create(element));
	return set->kids[at];
}

struct fset *fset_find(const struct fset *set, const char *element) {
	bool found;
	size_t at = place_of(set, element, &found);
	return found ? set->kids[at] : NULL;
}

void fset_insert(struct fset *set, const char *const *path, size_t depth) {
	if (!depth) return;
	for (size_t i = 0; i < depth; i++) set = fset_descend(set, path[i]);
	set->member = true;
}

bool fset_is_empty(const struct fset *set) {
	for (size_t i = 0; i < set->count; i++) {
		if (set->kids[i]->member || !fset_is_empty(set->kids[i])) return false;
	}
	return true;
}

bool fset_equal(const struct fset *a, const struct fset *b) {
	if (a->count != b->count) return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->kids[i]->element, b->kids[i]->element) != 0) return false;
		if (a->kids[i]->member != b->kids[i]->member) return false;
		if (!fset_equal(a->kids[i], b->kids[i])) return false;
	}
	return true;
}

/* Appends a node that the caller made, unless nothing is in it. Kids must come in order. */
static void keep(struct fset *set, struct fset *kid) {
	if (kid->member || kid->count) {
		kid_insert(set, set->count, kid);
	} else {
		fset_destroy(kid);
	}
}

enum op { OP_UNION, OP_INTERSECTION, OP_DIFFERENCE, OP_RECURSIVE_DIFFERENCE };

static struct fset *combine(const struct fset *a, const struct fset *b, enum op op);

static struct fset *combine_nodes(const struct fset *a, const struct fset *b, enum op op) {
	if (op == OP_RECURSIVE_DIFFERENCE && b->member) return node_create(a->element);
	struct fset *node = combine(a, b, op);
	switch (op) {
	case OP_UNION: node->member = a->member || b->member; break;
	case OP_INTERSECTION: node->member = a->member && b->member; break;
	case OP_DIFFERENCE:
	case OP_RECURSIVE_DIFFERENCE: node->member = a->member && !b->member; break;
	}
	return node;
}

static struct fset *combine(const struct fset *a, const struct fset *b, enum op op) {
	struct fset *out = node_create(a->element);
	size_t i = 0, j = 0;
	while (i < a->count || j < b->count) {
		int order = i == a->count   ? 1
			    : j == b->count ? -1
					    : strcmp(a->kids[i]->element, b->kids[j]->element);
		if (order == 0) {
			keep(out, combine_nodes(a->kids[i++], b->kids[j++], op));
		} else if (order < 0) {
			if (op != OP_INTERSECTION) keep(out, fset_copy(a->kids[i]));
			i++;
		} else {
			if (op == OP_UNION) keep(out, fset_copy(b->kids[j]));
			j++;
		}
	}
	return out;
}

struct fset *fset_union(const struct fset *a, const struct fset *b) {
	return combine(a, b, OP_UNION);
}

struct fset *fset_intersection(const struct fset *a, const struct fset *b) {
	return combine(a, b, OP_INTERSECTION);
}

struct fset *fset_difference(const struct fset *a, const struct fset *b) {
	return combine(a, b, OP_DIFFERENCE);
}

struct fset *fset_recursive_difference(const struct fset *a, const struct fset *b) {
	return combine(a, b, OP_RECURSIVE_DIFFERENCE);
}

static bool element_is_known(const char *element) {
	return element[0] && strchr("fkvi", element[0]) && element[1] == ':';
}

static void decode_into(struct fset *set, const cJSON *fields) {
	const cJSON *item;
	cJSON_ArrayForEach(item, fields) {
		if (!element_is_known(item->string)) continue;
		struct fset *kid = fset_descend(set, item->string);
		kid->member = !item->child || kj_get(item, ".");
		decode_into(kid, item);
	}
}

struct fset *fset_decode(const cJSON *fields) {
	if (!cJSON_IsObject(fields)) return NULL;
	struct fset *set = fset_create();
	decode_into(set, fields);
	return set;
}

static cJSON *encode_below(const struct fset *set, bool self) {
	cJSON *out = kj_must(cJSON_CreateObject());
	if (self) cJSON_AddItemToObject(out, ".", kj_must(cJSON_CreateObject()));
	for (size_t i = 0; i < set->count; i++) {
		const struct fset *kid = set->kids[i];
		cJSON_AddItemToObject(out, kid->element, encode_below(kid, kid->member && kid->count));
	}
	return out;
}

cJSON *fset_encode(const struct fset *set) {
	return encode_below(set, false);
}

static void path_append(struct buf *path, const char *element) {
	const char *text = element + 2;
	if (element[0] == 'f') {
		buf_printf(path, ".%s", text);
	} else if (element[0] == 'k') {
		cJSON *keys = cJSON_Parse(text);
		const cJSON *key;
		const char *separator = "[";
		cJSON_ArrayForEach(key, keys) {
			buf_printf(path, "%s%s=", separator, key->string);
			kj_print(path, key);
			separator = ",";
		}
		buf_append_char(path, ']');
		cJSON_Delete(keys);
	} else if (element[0] == 'v') {
		buf_printf(path, "[=%s]", text);
	} else {
		buf_printf(path, "[%s]", text);
	}
}

static void each_below(const struct fset *set, struct buf *prefix,
		       void (*visit)(const char *path, void *arg), void *arg) {
	struct buf path;
	buf_init(&path, PATH_MAX_BYTES);
	/* Members of a level come before what is deeper. */
	for (size_t i = 0; i < set->count; i++) {
		if (!set->kids[i]->member) continue;
		buf_reset(&path);
		buf_append(&path, buf_str(prefix));
		path_append(&path, set->kids[i]->element);
		visit(buf_cstr(&path), arg);
	}
	for (size_t i = 0; i < set->count; i++) {
		if (!set->kids[i]->count) continue;
		buf_reset(&path);
		buf_append(&path, buf_str(prefix));
		path_append(&path, set->kids[i]->element);
		each_below(set->kids[i], &path, visit, arg);
	}
	buf_deinit(&path);
}

void fset_each(const struct fset *set, void (*visit)(const char *path, void *arg), void *arg) {
	struct buf prefix;
	buf_init(&prefix, PATH_MAX_BYTES);
	each_below(set, &prefix, visit, arg);
	buf_deinit(&prefix);
}
