#include "engine/spc_objects.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/doc.h"
#include "engine/spc_item.h"
#include "engine/text.h"

static const struct doc_limits OUTER = {
	.bytes = OBJECTS_BYTES,
	.nodes = 24 * OBJECTS_MAX,
	.depth = 16,
	.keys = 256,
	.allow_alias = true,
};
static const struct doc_limits INNER = {
	.bytes = OBJECTS_BYTES,
	.nodes = 1024,
	.depth = 16,
	.keys = 256,
	.allow_alias = true,
};

/* What became of the faults of items: they went to the sink, and the first of them is kept. */
struct item_faults {
	struct fault_sink *sink; /* NULL: the first fault ends the reading */
	enum err failed;
};

void object_list_deinit(struct object_list *list) {
	for (unsigned i = 0; i < list->count; i++) item_free(&list->objects[i]);
	mem_free(list->objects);
	*list = (struct object_list){ 0 };
}

/* Where an item stands, and who wants to know of it. */
struct item_place {
	unsigned index;
	struct fault_sink *sink; /* NULL: nobody */
};

static void tell_note(void *arg, struct fault *note) {
	const struct item_place *place = arg;
	(void)fault_prefix(note, note->err, "array[%u]", place->index);
	place->sink->note(place->sink, note);
}

static enum err read_mapping(const struct doc *doc, const struct doc_node *item,
	const struct item_place *place, struct spc_object *out_object, struct fault *fault) {
	if (place->sink && place->sink->note) item_tell_notes(doc, item, tell_note, (void *)place);
	return item_read(doc, item, out_object, fault);
}

/* A string item is a document of its own; its lines count from its own beginning. */
static enum err read_string_item(struct str yaml, const struct item_place *where,
	struct spc_object *out_object, struct fault *fault) {
	struct doc doc;
	struct doc_place place;
	enum err err = doc_parse(yaml, &INNER, &doc, &place, fault);
	if (err) return fault_prefix(fault, err, "line %u, column %u", place.line, place.column);
	err = read_mapping(&doc, doc_at(&doc, DOC_ROOT), where, out_object, fault);
	doc_deinit(&doc);
	return err;
}

static enum err read_item(const struct doc *doc, const struct doc_node *item,
	const struct item_place *place, struct spc_object *out_object, struct fault *fault) {
	switch (item->kind) {
	case DOC_SCALAR:
		return read_string_item(item->text, place, out_object, fault);
	case DOC_MAPPING:
		return read_mapping(doc, item, place, out_object, fault);
	default:
		return fault_set(fault, ERR_INVALID, "is a list; each item is one object");
	}
}

static enum err read_items(const struct doc *doc, const struct doc_node *array,
	struct object_list *list, struct item_faults *faults, struct fault *fault) {
	if (array->count > OBJECTS_MAX) {
		return fault_set(fault, ERR_TOO_LARGE,
			"has %u objects, more than %d; use several SecretProviderClasses",
			array->count, OBJECTS_MAX);
	}
	list->objects = mem_array(array->count ? array->count : 1, sizeof *list->objects);
	if (!list->objects) return ERR_NOMEM;
	unsigned index = 0;
	for (unsigned i = array->first; i; i = doc->nodes[i].next, index++) {
		const struct doc_node *item = doc_at(doc, i);
		if (doc_is_null(item)) continue;
		struct item_place place = { index, faults->sink };
		enum err err = read_item(doc, item, &place, &list->objects[list->count], fault);
		if (!err) {
			list->count++;
			continue;
		}
		err = fault_pass(faults->sink, fault, fault_prefix(fault, err, "array[%u]", index),
			&faults->failed);
		if (err) return err;
	}
	return OK;
}

static int by_path(const void *a, const void *b) {
	const struct spc_object *const *x = a, *const *y = b;
	return str_cmp((*x)->path, (*y)->path);
}

/* "name/1" collides with version 1 of an object "name" that keeps two versions or more. */
static bool is_version_of_another(
	const struct spc_object *object, const struct spc_object **sorted, unsigned count) {
	struct str path = object->path;
	size_t digits = 0;
	while (digits < path.len && path.ptr[path.len - digits - 1] != '/') digits++;
	uint64_t index;
	if (digits == path.len || str_to_u64(str_slice(path, path.len - digits, digits), &index))
		return false;
	struct spc_object parent = { .path = str_slice(path, 0, path.len - digits - 1) },
			  *key = &parent;
	const struct spc_object **found = bsearch(&key, sorted, count, sizeof *sorted, by_path);
	return found && (*found)->history > 1 && index < (*found)->history;
}

/* Two objects with one path would overwrite each other. */
static enum err check_paths(const struct object_list *list, struct fault *fault) {
	const struct spc_object **sorted = mem_array(list->count ? list->count : 1, sizeof *sorted);
	if (!sorted) return ERR_NOMEM;
	for (unsigned i = 0; i < list->count; i++) sorted[i] = &list->objects[i];
	qsort(sorted, list->count, sizeof *sorted, by_path);
	enum err err = OK;
	for (unsigned i = 0; i < list->count && !err; i++) {
		bool twice = i > 0 && str_eq(sorted[i]->path, sorted[i - 1]->path);
		if (!twice && !is_version_of_another(sorted[i], sorted, list->count)) continue;
		err = fault_set(fault, ERR_INVALID,
			"array has two objects for the path \"%.*s\"; give one an objectAlias",
			TEXT_ARG(sorted[i]->path));
	}
	mem_free(sorted);
	return err;
}

static enum err read_root(const struct doc *doc, struct object_list *list,
	struct item_faults *faults, struct fault *fault) {
	const struct doc_node *root = doc_at(doc, DOC_ROOT);
	if (!root || doc_is_null(root)) return OK;
	if (root->kind != DOC_MAPPING) {
		return fault_set(fault, ERR_INVALID,
			"line %u, column %u: is no mapping; it begins with the key \"array:\"",
			root->line, root->column);
	}
	const struct doc_node *array = doc_find(doc, root, STR("array"));
	if (!array || doc_is_null(array)) return OK;
	if (array->kind != DOC_SEQUENCE) {
		return fault_set(fault, ERR_INVALID,
			"line %u, column %u: array is no list; each item begins with \"- |\"",
			array->line, array->column);
	}
	enum err err = read_items(doc, array, list, faults, fault);
	return err ? err : check_paths(list, fault);
}

enum err object_list_parse_all(struct str yaml, struct object_list *out_list,
	struct fault_sink *sink, struct fault *fault) {
	struct item_faults faults = { .sink = sink };
	struct object_list list = { 0 };
	struct doc doc = { 0 };
	struct doc_place place;
	enum err err = doc_parse(yaml, &OUTER, &doc, &place, fault);
	if (err == ERR_INVALID)
		err = fault_prefix(fault, err, "line %u, column %u", place.line, place.column);
	if (!err) err = read_root(&doc, &list, &faults, fault);
	err = fault_pass(sink, fault, err, &faults.failed);
	if (!err) err = faults.failed;
	if (!err) *out_list = list, list = (struct object_list){ 0 };
	object_list_deinit(&list);
	doc_deinit(&doc);
	return err;
}

enum err object_list_parse(struct str yaml, struct object_list *out_list, struct fault *fault) {
	return object_list_parse_all(yaml, out_list, NULL, fault);
}
