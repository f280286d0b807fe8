/* A backup of the whole state, and going back to it. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"

struct snapshot_item {
	size_t type;
	char *key;
	char *json;
};

struct kube_snapshot {
	int64_t rv;
	struct snapshot_item *items;
	size_t count;
};

struct kube_snapshot *kube_snapshot_take(struct kube_world *world) {
	struct kube_snapshot *snapshot = kj_alloc(sizeof(*snapshot));
	size_t total = 0;
	for (size_t i = 0; i < world->type_count; i++) total += world->types[i].count;
	snapshot->items = kj_alloc((total + 1) * sizeof(*snapshot->items));
	snapshot->rv = world->rv;
	for (size_t i = 0; i < world->type_count; i++) {
		for (struct kube_entry *entry = world->types[i].head[0]; entry; entry = entry->next[0]) {
			if (entry->newest->deleted) continue;
			snapshot->items[snapshot->count++] = (struct snapshot_item){
				.type = i,
				.key = kj_strdup(str_of(entry->key)),
				.json = kj_strdup(kube_rev_str(entry->newest)),
			};
		}
	}
	return snapshot;
}

void kube_snapshot_restore(struct kube_world *world, const struct kube_snapshot *snapshot, struct now now) {
	kube_break_watches(world, NULL);
	kube_store_deinit(world);
	world->now = now;
	for (size_t i = 0; i < snapshot->count; i++) {
		const struct snapshot_item *item = &snapshot->items[i];
		cJSON *object = kj_must(cJSON_Parse(item->json));
		/* The revision numbers come back, too: kube_store counts one up from what is set here. */
		int64_t rv = 0;
		if (str_to_i64(str_of(kj_text2(object, "metadata", "resourceVersion")), &rv) != OK) abort();
		world->rv = rv - 1;
		kube_store(world, &world->types[item->type], item->key, object, false);
		cJSON_Delete(object);
	}
	world->rv = snapshot->rv;
	for (size_t i = 0; i < world->type_count; i++) {
		struct kube_type *type = &world->types[i];
		type->log.len = 0; /* the revisions stay with their objects */
		type->compacted_rv = type->watch_floor_rv = snapshot->rv;
	}
}

void kube_snapshot_destroy(struct kube_snapshot *snapshot) {
	if (!snapshot) return;
	for (size_t i = 0; i < snapshot->count; i++) {
		mem_free(snapshot->items[i].key);
		mem_free(snapshot->items[i].json);
	}
	mem_free(snapshot->items);
	mem_free(snapshot);
}
