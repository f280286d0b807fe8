/* What is only seen where all objects of the files are known: names that are there twice, and what names what. */
#include <stdlib.h>

#include "engine/check_impl.h"
#include "engine/text.h"
#include "workers/source.h"

static int by_name(const void *a, const void *b) {
	const struct check_object *x = *(const struct check_object *const *)a;
	const struct check_object *y = *(const struct check_object *const *)b;
	if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
	int order = str_cmp(x->ns, y->ns);
	if (!order) order = str_cmp(x->name, y->name);
	/* Of one name in the order of the files. */
	return order ? order : (x > y) - (x < y);
}

static bool same_name(const struct check_object *a, const struct check_object *b) {
	return a->kind == b->kind && str_eq(a->ns, b->ns) && str_eq(a->name, b->name);
}

static enum err check_twice(struct check_result *result, const struct check_object *first,
	const struct check_object *second) {
	struct collector c = check_collector(result, (unsigned)(second - result->objects), true);
	if (second->name.len == 0) return OK;
	tell(&c,
		"metadata.name \"%.*s\" is there twice in namespace \"%.*s\"; the other %s is in "
		"%s, "
		"line %u. Take one out",
		TEXT_ARG(second->name), TEXT_ARG(second->ns), CHECK_KINDS[second->kind],
		first->manifest->file, first->line);
	return c.err;
}

/* The first object of that kind and name, in a list sorted by name. */
static const struct check_object *find(const struct check_result *result,
	struct check_object **sorted, enum check_kind kind, struct str ns, struct str name) {
	unsigned low = 0, high = result->count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct check_object *at = sorted[middle];
		int order = (at->kind > kind) - (at->kind < kind);
		if (!order) order = str_cmp(at->ns, ns);
		if (!order) order = str_cmp(at->name, name);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	struct check_object key = { .kind = kind, .ns = ns, .name = name };
	return low < result->count && same_name(sorted[low], &key) ? sorted[low] : NULL;
}

static void tell_no_class(
	struct collector *c, const struct check_result *result, const struct check_object *object) {
	struct str class_name = spec_class_name(object->spec);
	for (unsigned i = 0; i < result->count; i++) {
		const struct check_object *other = &result->objects[i];
		if (other->kind != CHECK_CLASS || !str_eq(other->name, class_name)) continue;
		tell(c,
			"spec.secretProviderClassName \"%.*s\" is not in namespace \"%.*s\", but "
			"in "
			"\"%.*s\": a SecretSync reads by a class of its own namespace",
			TEXT_ARG(class_name), TEXT_ARG(object->ns), TEXT_ARG(other->ns));
		return;
	}
	for (unsigned i = 0; i < result->manifests->fault_count; i++) {
		/* Told of already: it could not be read. */
		if (str_find(result->manifests->faults[i].source, class_name) != SIZE_MAX) return;
	}
	tell(c,
		"spec.secretProviderClassName \"%.*s\" is not among these files (namespace "
		"\"%.*s\"): "
		"correct the name, or name the file of the class, too",
		TEXT_ARG(class_name), TEXT_ARG(object->ns));
}

static enum err check_class(struct check_result *result, struct check_object **sorted,
	struct check_object *object, bool elsewhere) {
	struct collector c = check_collector(result, (unsigned)(object - result->objects), true);
	const struct spec *spec = object->spec;
	struct str class_name = spec_class_name(spec);
	if (class_name.len == 0) return OK;
	object->class = find(result, sorted, CHECK_CLASS, object->ns, class_name);
	if (!object->class && !elsewhere) tell_no_class(&c, result, object);
	if (!object->class || object->class->is_template || spec->common->fault.len) return c.err;
	/* Of a class with a fault the objects may be known, or not. */
	const struct spc *spc = object->class->spc;
	if (spc->access->fault.len && !spc->object_count) return c.err;
	for (unsigned i = 0; i < spec->item_count; i++) {
		unsigned index;
		struct fault fault;
		const struct spc_object *found =
			source_find(spc, spec->items[i].source_path, &index);
		if (found ? source_check_part(spec, i, found, &fault)
			  : source_unknown(spec, i, spc, &fault))
			c.sink.add(&c.sink, &fault);
	}
	return c.err;
}

/* Only where the files tell of accounts at all: they often come from elsewhere. */
static enum err check_account(struct check_result *result, struct check_object **sorted,
	const struct check_object *object) {
	struct collector c = check_collector(result, (unsigned)(object - result->objects), false);
	struct str account = object->spec->common->service_account;
	if (result->kinds[CHECK_ACCOUNT] == 0 || account.len == 0) return OK;
	if (find(result, sorted, CHECK_ACCOUNT, object->ns, account)) return OK;
	tell(&c,
		"spec.serviceAccountName \"%.*s\" is not among the ServiceAccounts of these files "
		"(namespace \"%.*s\")",
		TEXT_ARG(account), TEXT_ARG(object->ns));
	return c.err;
}

enum err check_together(struct check_result *result, bool elsewhere) {
	struct check_object **sorted = mem_array(result->count ? result->count : 1, sizeof *sorted);
	if (!sorted) return ERR_NOMEM;
	enum err err = OK;
	for (unsigned i = 0; i < result->count; i++) sorted[i] = &result->objects[i];
	qsort(sorted, result->count, sizeof *sorted, by_name);
	for (unsigned i = 1; i < result->count && !err; i++) {
		if (same_name(sorted[i - 1], sorted[i]))
			err = check_twice(result, sorted[i - 1], sorted[i]);
	}
	for (unsigned i = 0; i < result->count && !err; i++) {
		struct check_object *object = &result->objects[i];
		if (object->kind != CHECK_SYNC) continue;
		err = check_class(result, sorted, object, elsewhere);
		if (!err) err = check_account(result, sorted, object);
	}
	mem_free(sorted);
	return err;
}
