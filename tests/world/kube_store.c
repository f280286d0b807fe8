/* Where objects are kept: per resource a skip list by key, and a log of all revisions since the last compaction. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

char *kube_key(const struct kube_type *type, const char *namespace, const char *name) {
	return type->namespaced ? kj_format("%s/%s", namespace ? namespace : "", name) : kj_strdup(str_of(name));
}

/* Where a key stands or belongs: before[i] is the link at level i that would point to it. */
static struct kube_entry *seek(const struct kube_type *type, const char *key,
			       struct kube_entry **before[KUBE_MAX_HEIGHT]) {
	struct kube_entry *const *links = type->head;
	for (int level = KUBE_MAX_HEIGHT - 1; level >= 0; level--) {
		while (links[level] && strcmp(links[level]->key, key) < 0) links = links[level]->next;
		before[level] = (struct kube_entry **)&links[level];
	}
	return links[0];
}

struct kube_entry *kube_entry_seek(const struct kube_type *type, const char *key) {
	struct kube_entry **before[KUBE_MAX_HEIGHT];
	return seek(type, key, before);
}

struct kube_entry *kube_entry_find(const struct kube_type *type, const char *key) {
	struct kube_entry *entry = kube_entry_seek(type, key);
	return entry && strcmp(entry->key, key) == 0 ? entry : NULL;
}

struct kube_entry *kube_entry_next(const struct kube_entry *entry) {
	return entry->next[0];
}

/* Levels come from the key, so that two runs build the same list. */
static unsigned height_of(const char *key) {
	uint64_t hash = hash64_stable(str_of(key));
	unsigned height = 1;
	while (height < KUBE_MAX_HEIGHT && (hash & 3) == 0) {
		hash >>= 2;
		height++;
	}
	return height;
}

static struct kube_entry *entry_create(struct kube_type *type, const char *key) {
	struct kube_entry **before[KUBE_MAX_HEIGHT];
	seek(type, key, before);
	unsigned height = height_of(key);
	struct kube_entry *entry = kj_alloc(sizeof(*entry) + height * sizeof(entry->next[0]));
	entry->type = type;
	entry->key = kj_strdup(str_of(key));
	entry->height = height;
	for (unsigned level = 0; level < height; level++) {
		entry->next[level] = *before[level];
		*before[level] = entry;
	}
	return entry;
}

static void revs_free(struct kube_rev *rev) {
	while (rev) {
		struct kube_rev *older = rev->older;
		mem_free(rev);
		rev = older;
	}
}

static void entry_free(struct kube_world *world, struct kube_entry *entry) {
	kube_gc_unlink(world, entry);
	heap_remove(&world->gc, &entry->gc);
	if (entry->in_live) map_remove(&world->live, &entry->uid_node);
	revs_free(entry->newest);
	mem_free(entry->key);
	mem_free(entry);
}

static void entry_destroy(struct kube_world *world, struct kube_entry *entry) {
	struct kube_entry **before[KUBE_MAX_HEIGHT];
	struct kube_entry *found = seek(entry->type, entry->key, before);
	assert(found == entry);
	for (unsigned level = 0; level < entry->height; level++) *before[level] = entry->next[level];
	entry_free(world, entry);
}

struct kube_rev *kube_live(const struct kube_type *type, const char *namespace, const char *name) {
	char *key = kube_key(type, namespace, name);
	struct kube_entry *entry = kube_entry_find(type, key);
	mem_free(key);
	return entry && !entry->newest->deleted ? entry->newest : NULL;
}

struct kube_rev *kube_rev_at(const struct kube_entry *entry, int64_t rv) {
	struct kube_rev *rev = entry->newest;
	while (rev && rev->rv > rv) rev = rev->older;
	return rev && !rev->deleted ? rev : NULL;
}

struct str kube_rev_str(const struct kube_rev *rev) {
	return (struct str){ rev->json, rev->len };
}

cJSON *kube_rev_parse(const struct kube_rev *rev) {
	return kj_must(cJSON_ParseWithLength(rev->json, rev->len));
}

/* The text starts with kind and apiVersion, so that a list of a built-in kind can leave them out. */
static struct kube_rev *rev_create(const struct kube_type *type, cJSON *object) {
	cJSON *kind = kj_detach(object, "kind"), *api_version = kj_detach(object, "apiVersion");
	char *rest = kj_json(object);
	size_t prefix_len = strlen(type->prefix), rest_len = strlen(rest);
	struct kube_rev *rev = kj_alloc(sizeof(*rev) + prefix_len + rest_len);
	memcpy(rev->json, type->prefix, prefix_len);
	memcpy(rev->json + prefix_len, rest + 1, rest_len); /* with its NUL, without its brace */
	rev->len = prefix_len + rest_len - 1;
	cJSON_free(rest);
	if (api_version) cJSON_AddItemToObject(object, "apiVersion", api_version);
	if (kind) cJSON_AddItemToObject(object, "kind", kind);
	return rev;
}

static void log_push(struct kube_log *log, struct kube_rev *rev) {
	if (log->start + log->len == log->cap) {
		if (log->start > log->cap / 2) {
			memmove(log->items, log->items + log->start, log->len * sizeof(*log->items));
			log->start = 0;
		} else {
			log->cap = log->cap ? 2 * log->cap : 64;
			log->items = kj_grow(log->items, log->cap * sizeof(*log->items));
		}
	}
	log->items[log->start + log->len++] = rev;
}

size_t kube_log_after(const struct kube_log *log, int64_t rv) {
	size_t low = 0, high = log->len;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (log->items[log->start + mid]->rv <= rv) low = mid + 1;
		else high = mid;
	}
	return low;
}

int64_t kube_cache_rv(const struct kube_world *world, const struct kube_type *type, int64_t now_ns) {
	if (!world->cache_lag_ns) return world->rv;
	const struct kube_log *log = &type->log;
	size_t low = 0, high = log->len;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (log->items[log->start + mid]->at_ns + world->cache_lag_ns <= now_ns) low = mid + 1;
		else high = mid;
	}
	return low == log->len ? world->rv : log->items[log->start + low]->rv - 1;
}

static void enter_live(struct kube_world *world, struct kube_entry *entry, const char *uid) {
	snprintf(entry->uid, sizeof(entry->uid), "%s", uid);
	if (map_insert(&world->live, &entry->uid_node) != OK) abort();
	entry->in_live = true;
	entry->type->count++;
}

static void leave_live(struct kube_world *world, struct kube_entry *entry) {
	map_remove(&world->live, &entry->uid_node);
	entry->in_live = false;
	entry->type->count--;
	heap_remove(&world->gc, &entry->gc);
	kube_gc_dependant_gone(world, entry);
	kube_gc_unlink(world, entry);
	kube_gc_owner_gone(world, entry->uid);
}

struct kube_rev *kube_store(struct kube_world *world, struct kube_type *type, const char *key, cJSON *object,
			    bool deleted) {
	char text[32];
	snprintf(text, sizeof(text), "%lld", (long long)++world->rv);
	kj_set_text(kj_object(object, "metadata"), "resourceVersion", text);
	struct kube_rev *rev = rev_create(type, object);
	rev->rv = world->rv;
	rev->at_ns = world->now.mono_ns;
	rev->deleted = deleted;
	struct kube_entry *entry = kube_entry_find(type, key);
	if (!entry) entry = entry_create(type, key);
	rev->entry = entry;
	rev->older = entry->newest;
	entry->newest = rev;
	log_push(&type->log, rev);
	if (deleted) {
		leave_live(world, entry);
		return rev;
	}
	if (!entry->in_live) enter_live(world, entry, kj_text2(object, "metadata", "uid"));
	kube_gc_link(world, entry, object);
	return rev;
}

void kube_compact_before(struct kube_world *world, struct kube_type *type, int64_t rv) {
	struct kube_log *log = &type->log;
	while (log->len && log->items[log->start]->rv <= rv) {
		struct kube_rev *rev = log->items[log->start++];
		log->len--;
		revs_free(rev->older);
		rev->older = NULL;
		type->watch_floor_rv = rev->rv;
		if (rev->deleted && rev->entry->newest == rev) entry_destroy(world, rev->entry);
	}
	if (rv > type->compacted_rv) type->compacted_rv = rv;
}

void kube_compact(struct kube_world *world) {
	for (size_t i = 0; i < world->type_count; i++) {
		kube_compact_before(world, &world->types[i], world->rv);
		world->types[i].watch_floor_rv = world->rv;
	}
}

static void type_clear(struct kube_world *world, struct kube_type *type) {
	for (struct kube_entry *entry = type->head[0]; entry;) {
		struct kube_entry *next = entry->next[0];
		entry_free(world, entry);
		entry = next;
	}
	memset(type->head, 0, sizeof(type->head));
	mem_free(type->log.items);
	type->log = (struct kube_log){ 0 };
	type->count = 0;
}

void kube_store_deinit(struct kube_world *world) {
	for (size_t i = 0; i < world->type_count; i++) type_clear(world, &world->types[i]);
}
