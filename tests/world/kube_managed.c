#include "tests/world/kube_managed.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/world/kube_fields.h"
#include "tests/world/kube_json.h"

static void manager_deinit(struct manager *manager) {
	mem_free(manager->name);
	mem_free(manager->api_version);
	mem_free(manager->subresource);
	mem_free(manager->time);
	fset_destroy(manager->set);
	*manager = (struct manager){ 0 };
}

void managers_deinit(struct managers *managers) {
	for (size_t i = 0; i < managers->count; i++) manager_deinit(&managers->items[i]);
	mem_free(managers->items);
	*managers = (struct managers){ 0 };
}

struct manager *managers_add(struct managers *managers) {
	if (managers->count == managers->cap) {
		managers->cap = managers->cap ? 2 * managers->cap : 4;
		managers->items = kj_grow(managers->items, managers->cap * sizeof(*managers->items));
	}
	struct manager *manager = &managers->items[managers->count++];
	*manager = (struct manager){ 0 };
	return manager;
}

void managers_drop(struct managers *managers, struct manager *manager) {
	size_t at = (size_t)(manager - managers->items);
	manager_deinit(manager);
	managers->count--;
	memmove(managers->items + at, managers->items + at + 1, (managers->count - at) * sizeof(*manager));
}

struct manager *managers_find(struct managers *managers, const char *name, bool applied, const char *api_version,
			      const char *subresource) {
	for (size_t i = 0; i < managers->count; i++) {
		struct manager *m = &managers->items[i];
		if (m->applied != applied || strcmp(m->name, name) != 0) continue;
		if (strcmp(m->subresource, subresource) != 0) continue;
		if (!applied && strcmp(m->api_version, api_version) != 0) continue;
		return m;
	}
	return NULL;
}

static bool decode_entry(const cJSON *entry, struct managers *out) {
	const char *operation = kj_text(entry, "operation");
	bool applied = strcmp(operation, "Apply") == 0;
	if (!applied && strcmp(operation, "Update") != 0) return false;
	if (!kj_text(entry, "apiVersion")[0] || strcmp(kj_text(entry, "fieldsType"), "FieldsV1") != 0) return false;
	const cJSON *fields = kj_get(entry, "fieldsV1");
	struct fset *set = fields ? fset_decode(fields) : fset_create();
	if (!set) return false;
	const char *name = kj_text(entry, "manager"), *api_version = kj_text(entry, "apiVersion");
	const char *subresource = kj_text(entry, "subresource");
	struct manager *manager = managers_find(out, name, applied, api_version, subresource);
	if (manager) manager_deinit(manager); /* of two entries of one identity the last one counts */
	else manager = managers_add(out);
	*manager = (struct manager){
		.name = kj_strdup(str_of(name)),
		.api_version = kj_strdup(str_of(api_version)),
		.subresource = kj_strdup(str_of(subresource)),
		.time = kj_text(entry, "time")[0] ? kj_strdup(str_of(kj_text(entry, "time"))) : NULL,
		.applied = applied,
		.set = set,
	};
	return true;
}

bool managers_decode(const cJSON *entries, struct managers *out) {
	*out = (struct managers){ 0 };
	const cJSON *entry;
	cJSON_ArrayForEach(entry, entries) {
		if (decode_entry(entry, out)) continue;
		managers_deinit(out);
		return false;
	}
	return true;
}

static int64_t time_of(const struct manager *manager) {
	int64_t unix_s = 0;
	if (manager->time && time_parse(str_of(manager->time), &unix_s) != OK) return 0;
	return unix_s;
}

static int manager_order(const void *a, const void *b) {
	const struct manager *x = a, *y = b;
	if (x->applied != y->applied) return x->applied ? -1 : 1; /* "Apply" < "Update" */
	int64_t x_time = time_of(x), y_time = time_of(y);
	if (x_time != y_time) return x_time < y_time ? -1 : 1;
	int order = strcmp(x->name, y->name);
	if (!order) order = strcmp(x->api_version, y->api_version);
	return order ? order : strcmp(x->subresource, y->subresource);
}

cJSON *managers_encode(struct managers *managers) {
	if (!managers->count) return NULL;
	qsort(managers->items, managers->count, sizeof(*managers->items), manager_order);
	cJSON *out = kj_must(cJSON_CreateArray());
	for (size_t i = 0; i < managers->count; i++) {
		const struct manager *m = &managers->items[i];
		cJSON *entry = kj_must(cJSON_CreateObject());
		kj_set_text(entry, "manager", m->name);
		kj_set_text(entry, "operation", m->applied ? "Apply" : "Update");
		kj_set_text(entry, "apiVersion", m->api_version);
		if (m->time) kj_set_text(entry, "time", m->time);
		kj_set_text(entry, "fieldsType", "FieldsV1");
		cJSON_AddItemToObject(entry, "fieldsV1", fset_encode(m->set));
		if (m->subresource[0]) kj_set_text(entry, "subresource", m->subresource);
		kj_push(out, entry);
	}
	return out;
}
