/* What an update or an apply does to metadata.managedFields. */
#include <string.h>

#include "base/mem.h"
#include "tests/world/kube_fields.h"
#include "tests/world/kube_json.h"
#include "tests/world/kube_managed.h"

static void set_replace(struct fset **set, struct fset *with) {
	fset_destroy(*set);
	*set = with;
}

static void set_subtract(struct fset **set, const struct fset *what) {
	if (!what->count) return;
	set_replace(set, fset_difference(*set, what));
}

/* Fields that the server itself writes belong to nobody. */
static void strip_system_fields(struct fset **set) {
	static const char *const meta[] = { "f:name", "f:namespace", "f:creationTimestamp", "f:selfLink", "f:uid",
					    "f:clusterName", "f:generation", "f:managedFields", "f:resourceVersion" };
	bool has = fset_find(*set, "f:apiVersion") || fset_find(*set, "f:kind") || fset_find(*set, "f:metadata");
	if (!has) return;
	struct fset *system = fset_create();
	fset_insert(system, (const char *const[]){ "f:apiVersion" }, 1);
	fset_insert(system, (const char *const[]){ "f:kind" }, 1);
	fset_insert(system, (const char *const[]){ "f:metadata" }, 1);
	for (size_t i = 0; i < sizeof(meta) / sizeof(*meta); i++) {
		fset_insert(system, (const char *const[]){ "f:metadata", meta[i] }, 2);
	}
	set_subtract(set, system);
	fset_destroy(system);
}

static void reset_filter(struct fset **set, const struct fset *reset) {
	if (reset && (*set)->count) set_replace(set, fset_recursive_difference(*set, reset));
}

static void diff_of(const struct managed_write *write, const cJSON *old, const cJSON *new, struct fields_diff *out) {
	fields_compare(old, new, write->schema, out);
	reset_filter(&out->added, write->reset);
	reset_filter(&out->removed, write->reset);
	reset_filter(&out->modified, write->reset);
}

/* Takes what was changed or removed away from every manager but `self` (NULL: from all); drops those that own nothing. */
static void take_from_others(struct managers *managers, const struct fields_diff *diff, const struct manager *self) {
	for (size_t i = managers->count; i-- > 0;) {
		struct manager *m = &managers->items[i];
		if (m != self) {
			set_subtract(&m->set, diff->modified);
			set_subtract(&m->set, diff->added);
			set_subtract(&m->set, diff->removed);
		}
	}
}

static void drop_empty(struct managers *managers) {
	for (size_t i = managers->count; i-- > 0;) {
		if (fset_is_empty(managers->items[i].set)) managers_drop(managers, &managers->items[i]);
	}
}

/* Takes `set`. */
static struct manager *manager_put(struct managers *managers, const struct managed_write *write, const char *name,
				   bool applied, struct fset *set) {
	struct manager *m = managers_find(managers, name, applied, write->api_version, write->subresource);
	if (!m) {
		m = managers_add(managers);
		m->name = kj_strdup(str_of(name));
		m->subresource = kj_strdup(str_of(write->subresource));
		m->applied = applied;
	}
	mem_free(m->api_version);
	m->api_version = kj_strdup(str_of(write->api_version));
	set_replace(&m->set, set);
	return m;
}

static void manager_touch(struct manager *manager, const char *time) {
	mem_free(manager->time);
	manager->time = kj_strdup(str_of(time));
}

/* Both objects without managedFields. */
static void update_managers(const struct managed_write *write, struct managers *managers, const cJSON *old,
			    const cJSON *new, const char *name) {
	struct fields_diff diff;
	diff_of(write, old, new, &diff);
	take_from_others(managers, &diff, NULL);
	drop_empty(managers);
	struct fset *self = fset_union(diff.modified, diff.added);
	reset_filter(&self, write->reset);
	strip_system_fields(&self);
	if (!fset_is_empty(self)) {
		struct manager *m = managers_find(managers, name, false, write->api_version, write->subresource);
		if (m) set_replace(&self, fset_union(self, m->set));
		manager_touch(manager_put(managers, write, name, false, take(self)), write->time);
	}
	fset_destroy(self);
	fields_diff_deinit(&diff);
}

/* Entries of the request count where they can be read, unless it goes to a subresource; [] and [{}] reset them. */
static void decode_live_or_new(const struct managed_write *write, const cJSON *live, const cJSON *new,
			       struct managers *out) {
	const cJSON *given = kj_get2(new, "metadata", "managedFields");
	*out = (struct managers){ 0 };
	if (!write->subresource[0] && cJSON_IsArray(given)) {
		bool reset = !given->child || (!given->child->next && kj_is_empty(given->child));
		if (reset) return;
		if (managers_decode(given, out) && out->count) return;
	}
	if (!managers_decode(kj_get2(live, "metadata", "managedFields"), out)) *out = (struct managers){ 0 };
}

static cJSON *without_managed_fields(const cJSON *object) {
	cJSON *copy = kj_copy(object);
	kj_remove(kj_get(copy, "metadata"), "managedFields");
	return copy;
}

static void store_managers(cJSON *object, struct managers *managers) {
	cJSON *meta = kj_object(object, "metadata");
	cJSON *entries = managers_encode(managers);
	kj_remove(meta, "managedFields");
	if (entries) kj_set(meta, "managedFields", entries);
}

void managed_update(const struct managed_write *write, const cJSON *live, cJSON *new) {
	struct managers managers;
	decode_live_or_new(write, live, new, &managers);
	kj_remove(kj_get(new, "metadata"), "managedFields");
	/* An object whose entries were reset stays untracked until its first apply. */
	if (managers.count || !live) {
		cJSON *old = without_managed_fields(live ? live : write->empty);
		update_managers(write, &managers, old, new, write->manager);
		cJSON_Delete(old);
	}
	store_managers(new, &managers);
	managers_deinit(&managers);
}

static struct fset *named(const struct fset *set, const cJSON *schema) {
	struct fset *copy = fset_copy(set);
	fields_name_members(copy, schema);
	return copy;
}

static struct fset *named_fields_of(const cJSON *value, const cJSON *schema) {
	struct fset *set = fields_of(value, schema);
	fields_name_members(set, schema);
	return set;
}

static cJSON *remove_or_empty(const cJSON *value, const struct fset *set, const cJSON *schema) {
	cJSON *left = fields_remove(value, set, schema);
	return left ? left : kj_must(cJSON_CreateObject());
}

static struct fset *union_of_all(const struct managers *managers) {
	struct fset *all = fset_create();
	for (size_t i = 0; i < managers->count; i++) set_replace(&all, fset_union(all, managers->items[i].set));
	return all;
}

/* Takes away what the applier set the last time, does not set now, and nobody else owns. Takes `merged`. */
static cJSON *prune(cJSON *merged, const struct managers *managers, const struct fset *last_set, const cJSON *schema) {
	if (!last_set || fset_is_empty(last_set)) return merged;
	struct fset *last = named(last_set, schema);
	cJSON *pruned = remove_or_empty(merged, last, schema);
	struct fset *all = union_of_all(managers);
	fields_name_members(all, schema);
	struct fset *merged_set = named_fields_of(merged, schema);

	/* Put back what somebody owns. */
	struct fset *stay = named_fields_of(pruned, schema);
	set_replace(&stay, fset_union(stay, all));
	struct fset *go = fset_difference(merged_set, stay);
	cJSON_Delete(pruned);
	pruned = remove_or_empty(merged, go, schema);

	/* Put back what the applier never had. */
	set_replace(&stay, named_fields_of(pruned, schema));
	set_replace(&go, fset_difference(merged_set, stay));
	set_replace(&go, fset_intersection(go, last));
	cJSON_Delete(pruned);
	pruned = remove_or_empty(merged, go, schema);

	fset_destroy(go);
	fset_destroy(stay);
	fset_destroy(merged_set);
	fset_destroy(all);
	fset_destroy(last);
	cJSON_Delete(merged);
	return pruned;
}

struct conflict_sink {
	struct managed_conflicts *out;
	const struct manager *manager;
};

static void conflict_note(const char *path, void *arg) {
	struct conflict_sink *sink = arg;
	struct managed_conflicts *out = sink->out;
	const struct manager *m = sink->manager;
	if (out->count == out->cap) {
		out->cap = out->cap ? 2 * out->cap : 4;
		out->items = kj_grow(out->items, out->cap * sizeof(*out->items));
	}
	const char *sub = m->subresource;
	out->items[out->count++] = (struct managed_conflict){
		.manager = kj_format("\"%s\"%s%s%s%s%s", m->name, sub[0] ? " with subresource \"" : "", sub,
				     sub[0] ? "\"" : "", m->applied ? "" : " using ",
				     m->applied ? "" : m->api_version),
		.path = kj_strdup(str_of(path)),
	};
}

static void find_conflicts(const struct managers *managers, const struct fields_diff *diff,
			   const struct manager *self, struct managed_conflicts *out) {
	struct fset *changed = fset_union(diff->modified, diff->added);
	for (size_t i = 0; i < managers->count; i++) {
		const struct manager *m = &managers->items[i];
		if (m == self) continue;
		struct fset *both = fset_intersection(m->set, changed);
		fset_each(both, conflict_note, &(struct conflict_sink){ out, m });
		fset_destroy(both);
	}
	fset_destroy(changed);
}

void managed_conflicts_deinit(struct managed_conflicts *conflicts) {
	for (size_t i = 0; i < conflicts->count; i++) {
		mem_free(conflicts->items[i].manager);
		mem_free(conflicts->items[i].path);
	}
	mem_free(conflicts->items);
	*conflicts = (struct managed_conflicts){ 0 };
}

/* Takes `merged`. NULL on conflict. */
static cJSON *settle(const struct managed_write *write, struct managers *managers, const cJSON *live, cJSON *merged,
		     struct managed_conflicts *out_conflicts) {
	struct manager *self =
		managers_find(managers, write->manager, true, write->api_version, write->subresource);
	struct fields_diff diff;
	diff_of(write, live, merged, &diff);
	if (!write->force) find_conflicts(managers, &diff, self, out_conflicts);
	if (out_conflicts->count) {
		cJSON_Delete(merged);
		fields_diff_deinit(&diff);
		return NULL;
	}
	take_from_others(managers, &diff, self);
	strip_system_fields(&self->set);
	/* An apply that changes no field leaves the time alone. */
	if (!kj_equal(live, merged)) manager_touch(self, write->time);
	drop_empty(managers);
	store_managers(merged, managers);
	fields_diff_deinit(&diff);
	return merged;
}

cJSON *managed_apply(const struct managed_write *write, const cJSON *live, const cJSON *config,
		     struct managed_conflicts *out_conflicts) {
	*out_conflicts = (struct managed_conflicts){ 0 };
	struct managers managers;
	if (!managers_decode(kj_get2(live, "metadata", "managedFields"), &managers)) managers = (struct managers){ 0 };
	cJSON *old = without_managed_fields(live ? live : write->empty);
	if (!managers.count) update_managers(write, &managers, write->empty, old, "before-first-apply");

	struct manager *self =
		managers_find(&managers, write->manager, true, write->api_version, write->subresource);
	struct fset *last_set = self ? fset_copy(self->set) : NULL;
	struct fset *set = fields_of(config, write->schema);
	reset_filter(&set, write->reset);
	manager_put(&managers, write, write->manager, true, set);

	cJSON *merged = fields_merge(old, config, write->schema);
	merged = prune(merged, &managers, last_set, write->schema);
	cJSON *result = settle(write, &managers, old, merged, out_conflicts);
	fset_destroy(last_set);
	cJSON_Delete(old);
	managers_deinit(&managers);
	return result;
}
