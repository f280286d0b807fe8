/* The controllers behind the API: garbage collection by owners, namespaces that end, default service accounts. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

static const char COLLECTOR[] = "system:serviceaccount:kube-system:generic-garbage-collector";
static const int64_t NAMESPACE_RETRY_NS = 100 * NS_PER_MS;

static void schedule(struct kube_world *world, struct kube_entry *entry, int64_t delay_ns) {
	if (heap_set(&world->gc, &entry->gc, world->now.mono_ns + delay_ns) != OK) abort();
}

static struct kube_owner *owner_find(const struct kube_world *world, const char *uid) {
	struct map_node *node = map_find(&world->owners, str_of(uid));
	return node ? container_of(node, struct kube_owner, node) : NULL;
}

static struct kube_owner *owner_get(struct kube_world *world, const char *uid) {
	struct kube_owner *owner = owner_find(world, uid);
	if (owner) return owner;
	owner = kj_alloc(sizeof(*owner));
	list_init(&owner->deps);
	snprintf(owner->uid, sizeof(owner->uid), "%s", uid);
	if (map_insert(&world->owners, &owner->node) != OK) abort();
	return owner;
}

static struct kube_entry *live_by_uid(const struct kube_world *world, const char *uid) {
	struct map_node *node = map_find(&world->live, str_of(uid));
	return node ? container_of(node, struct kube_entry, uid_node) : NULL;
}

void kube_gc_unlink(struct kube_world *world, struct kube_entry *entry) {
	while (entry->deps) {
		struct kube_dep *dep = entry->deps;
		struct kube_owner *owner = dep->owner;
		entry->deps = dep->next;
		list_remove(&dep->link);
		mem_free(dep);
		if (!list_is_empty(&owner->deps)) continue;
		map_remove(&world->owners, &owner->node);
		mem_free(owner);
	}
}

static void link_owner(struct kube_world *world, struct kube_entry *entry, const char *uid) {
	struct kube_dep *dep = kj_alloc(sizeof(*dep));
	dep->owner = owner_get(world, uid);
	dep->entry = entry;
	dep->next = entry->deps;
	entry->deps = dep;
	list_push_back(&dep->owner->deps, &dep->link);
	struct kube_entry *owner = live_by_uid(world, uid);
	if (!owner) schedule(world, entry, world->config.gc_delay_ns);
}

void kube_gc_link(struct kube_world *world, struct kube_entry *entry, const cJSON *object) {
	const cJSON *meta = kj_get(object, "metadata"), *reference;
	kube_gc_unlink(world, entry);
	cJSON_ArrayForEach(reference, kj_get(meta, "ownerReferences")) {
		/* Longer than a uid can be: an owner that never was. */
		char uid[KUBE_UID_BYTES];
		snprintf(uid, sizeof(uid), "%s", kj_text(reference, "uid"));
		link_owner(world, entry, uid);
	}
	bool ends = kj_get(meta, "deletionTimestamp") != NULL;
	bool namespace = strcmp(entry->type->plural, "namespaces") == 0;
	if (namespace || (ends && kj_get(meta, "finalizers"))) schedule(world, entry, world->config.gc_delay_ns);
}

void kube_gc_owner_gone(struct kube_world *world, const char *uid) {
	struct kube_owner *owner = owner_find(world, uid);
	if (!owner) return;
	list_for_each(node, &owner->deps) {
		schedule(world, container_of(node, struct kube_dep, link)->entry, world->config.gc_delay_ns);
	}
}

void kube_gc_dependant_gone(struct kube_world *world, struct kube_entry *entry) {
	for (const struct kube_dep *dep = entry->deps; dep; dep = dep->next) {
		struct kube_entry *owner = live_by_uid(world, dep->owner->uid);
		if (owner && owner != entry) schedule(world, owner, world->config.gc_delay_ns);
	}
}

/* One act of a controller on one object. */
struct act {
	struct kube_call call;
	struct world_request req;
	struct world_response out;
};

static void act_begin(struct act *act, struct kube_world *world, struct now now, struct kube_entry *entry,
		      const char *verb) {
	*act = (struct act){ 0 };
	world_response_init(&act->out);
	act->call = (struct kube_call){
		.world = world,
		.now = now,
		.req = &act->req,
		.out = &act->out,
		.type = entry->type,
		.verb = verb,
		.superuser = true,
		.manager = "kube-controller-manager",
	};
	struct kube_call *call = &act->call;
	struct str rest = str_of(entry->key);
	if (entry->type->namespaced) {
		snprintf(call->namespace, sizeof(call->namespace), "%.*s", STR_ARG(str_next(&rest, '/')));
	}
	snprintf(call->name, sizeof(call->name), "%.*s", STR_ARG(rest));
	snprintf(call->user, sizeof(call->user), "%s", COLLECTOR);
	time_format(now.wall_ns / NS_PER_S, call->time);
}

static void act_end(struct act *act) {
	world_response_deinit(&act->out);
}

static void collect(struct kube_world *world, struct now now, struct kube_entry *entry, const char *policy) {
	if (entry->newest->deleted) return;
	struct act act;
	bool gone;
	act_begin(&act, world, now, entry, "delete");
	kube_delete_object(&act.call, entry->newest, policy, &gone);
	act_end(&act);
}

/* Writes `object` (taken) over `live`. */
static void edit(struct kube_world *world, struct now now, struct kube_entry *entry, const cJSON *live,
		 cJSON *object) {
	struct act act;
	act_begin(&act, world, now, entry, "patch");
	struct managed_write write = kube_managed_write(&act.call, false);
	kube_normalize(&act.call, object);
	managed_update(&write, live, object);
	kube_finish_update(&act.call, entry->newest, live, object);
	act_end(&act);
}

/* Takes references whose owners are in `uids` away. */
static void drop_owners(struct kube_world *world, struct now now, struct kube_entry *entry, const cJSON *uids) {
	if (entry->newest->deleted) return;
	cJSON *live = kube_rev_parse(entry->newest), *object = kj_copy(live);
	cJSON *references = kj_get2(object, "metadata", "ownerReferences");
	for (cJSON *item = references ? references->child : NULL; item;) {
		cJSON *next = item->next;
		if (kj_contains_text(uids, kj_text(item, "uid"))) {
			cJSON_Delete(cJSON_DetachItemViaPointer(references, item));
		}
		item = next;
	}
	edit(world, now, entry, live, object);
	cJSON_Delete(live);
}

static void drop_finalizer(struct kube_world *world, struct now now, struct kube_entry *entry, const cJSON *live,
			   const char *finalizer) {
	cJSON *object = kj_copy(live), *finalizers = kj_get2(object, "metadata", "finalizers");
	for (cJSON *item = finalizers->child; item;) {
		cJSON *next = item->next;
		if (strcmp(item->valuestring, finalizer) == 0) {
			cJSON_Delete(cJSON_DetachItemViaPointer(finalizers, item));
		}
		item = next;
	}
	edit(world, now, entry, live, object);
}

/* The entries that name `uid` as their owner; edits change the list, so it is copied. Free with mem_free. */
static struct kube_entry **dependants_of(const struct kube_world *world, const char *uid, size_t *out_count) {
	const struct kube_owner *owner = owner_find(world, uid);
	size_t count = 0;
	if (owner) list_for_each(node, &owner->deps) count++;
	struct kube_entry **entries = kj_alloc((count + 1) * sizeof(struct kube_entry *));
	*out_count = 0;
	if (!owner) return entries;
	list_for_each(node, &owner->deps) {
		entries[(*out_count)++] = container_of(node, struct kube_dep, link)->entry;
	}
	return entries;
}

static void orphan_dependants(struct kube_world *world, struct now now, struct kube_entry *entry,
			      const cJSON *live) {
	size_t count;
	struct kube_entry **entries = dependants_of(world, entry->uid, &count);
	cJSON *uids = kj_must(cJSON_CreateArray());
	kj_push(uids, cJSON_CreateString(entry->uid));
	for (size_t i = 0; i < count; i++) drop_owners(world, now, entries[i], uids);
	cJSON_Delete(uids);
	mem_free(entries);
	drop_finalizer(world, now, entry, live, "orphan");
}

static bool blocks(const struct kube_entry *dependant, const char *uid) {
	if (dependant->newest->deleted) return false;
	cJSON *object = kube_rev_parse(dependant->newest);
	const cJSON *reference;
	bool found = false;
	cJSON_ArrayForEach(reference, kj_get2(object, "metadata", "ownerReferences")) {
		if (strcmp(kj_text(reference, "uid"), uid) != 0) continue;
		found = cJSON_IsTrue(kj_get(reference, "blockOwnerDeletion"));
	}
	cJSON_Delete(object);
	return found;
}

static void delete_in_foreground(struct kube_world *world, struct now now, struct kube_entry *entry,
				 const cJSON *live) {
	size_t count, blocking = 0;
	struct kube_entry **entries = dependants_of(world, entry->uid, &count);
	for (size_t i = 0; i < count; i++) {
		collect(world, now, entries[i], "Background");
		if (blocks(entries[i], entry->uid)) blocking++;
	}
	mem_free(entries);
	if (!blocking) drop_finalizer(world, now, entry, live, "foregroundDeletion");
}

/* An object whose owners are all gone goes; one that has another owner loses the reference. */
static void check_owners(struct kube_world *world, struct now now, struct kube_entry *entry, const cJSON *live) {
	cJSON *gone = kj_must(cJSON_CreateArray());
	size_t there = 0;
	const cJSON *reference;
	cJSON_ArrayForEach(reference, kj_get2(live, "metadata", "ownerReferences")) {
		const char *uid = kj_text(reference, "uid");
		if (live_by_uid(world, uid)) there++;
		else kj_push(gone, cJSON_CreateString(uid));
	}
	if (gone->child && there) drop_owners(world, now, entry, gone);
	else if (gone->child && !kj_get2(live, "metadata", "deletionTimestamp")) collect(world, now, entry, "Background");
	cJSON_Delete(gone);
}

static size_t empty_namespace(struct kube_world *world, struct now now, const char *namespace) {
	char *prefix = kj_format("%s/", namespace);
	size_t left = 0;
	for (size_t i = 0; i < world->type_count; i++) {
		if (!world->types[i].namespaced) continue;
		struct kube_entry *entry = kube_entry_seek(&world->types[i], prefix);
		for (; entry && str_starts(str_of(entry->key), str_of(prefix)); entry = kube_entry_next(entry)) {
			collect(world, now, entry, "Background");
			if (!entry->newest->deleted) left++;
		}
	}
	mem_free(prefix);
	return left;
}

static void end_namespace(struct kube_world *world, struct now now, struct kube_entry *entry, const cJSON *live) {
	if (empty_namespace(world, now, entry->key)) {
		schedule(world, entry, NAMESPACE_RETRY_NS);
		return;
	}
	struct act act;
	act_begin(&act, world, now, entry, "delete");
	kube_remove(&act.call, entry->newest, live);
	act_end(&act);
}

static void make_default_account(struct kube_world *world, struct now now, const char *namespace) {
	if (kube_live(kube_type_named(world, "serviceaccounts"), namespace, "default")) return;
	char *path = kj_format("/api/v1/namespaces/%s/serviceaccounts?fieldManager=kube-controller-manager", namespace);
	kube_request(world, now, NULL, "POST", path, NULL,
		     STR("{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{\"name\":\"default\"}}"), NULL);
	mem_free(path);
}

static void look_at(struct kube_world *world, struct now now, struct kube_entry *entry) {
	if (entry->newest->deleted) return;
	cJSON *live = kube_rev_parse(entry->newest);
	const cJSON *meta = kj_get(live, "metadata"), *finalizers = kj_get(meta, "finalizers");
	bool ends = kj_get(meta, "deletionTimestamp") != NULL;
	if (strcmp(entry->type->plural, "namespaces") == 0) {
		if (ends) end_namespace(world, now, entry, live);
		else make_default_account(world, now, entry->key);
	} else if (ends && kj_contains_text(finalizers, "orphan")) {
		orphan_dependants(world, now, entry, live);
	} else if (ends && kj_contains_text(finalizers, "foregroundDeletion")) {
		delete_in_foreground(world, now, entry, live);
	} else {
		check_owners(world, now, entry, live);
	}
	cJSON_Delete(live);
}

void kube_gc_run(struct kube_world *world, struct now now) {
	while (heap_first_ns(&world->gc) <= now.mono_ns) {
		struct kube_entry *entry = container_of(heap_first(&world->gc), struct kube_entry, gc);
		heap_remove(&world->gc, &entry->gc);
		look_at(world, now, entry);
	}
}
