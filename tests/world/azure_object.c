/* tests/world/azure_object.c - what a vault stores: rows sorted by upper-cased name, tombstones among them, and versions sorted
 * by their random ids. */
#include "tests/world/azure.h"

#include <assert.h>

int64_t azure_seconds(struct now now) {
	return (now.wall_ns + NS_PER_S / 2) / NS_PER_S;
}

static char *upper_of(struct str name) {
	char *text = mem_strdup(name);
	assert(text);
	for (char *c = text; *c; c++) {
		if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
	}
	return text;
}

/* The first row whose key is not less than `upper`. */
static size_t row_at(const struct azure_vault *vault, enum azure_kind kind, struct str upper) {
	size_t low = 0, high = vault->count[kind];
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (str_cmp(str_of(vault->objects[kind][middle]->upper), upper) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

struct azure_object *azure_object_find(
	const struct azure_vault *vault, enum azure_kind kind, struct str name) {
	char *upper = upper_of(name);
	size_t i = row_at(vault, kind, str_of(upper));
	struct azure_object *object = i < vault->count[kind] ? vault->objects[kind][i] : NULL;
	if (object && strcmp(object->upper, upper) != 0) object = NULL;
	mem_free(upper);
	return object;
}

size_t azure_object_after(
	const struct azure_vault *vault, enum azure_kind kind, struct str marker) {
	if (!marker.len) return 0;
	size_t i = row_at(vault, kind, marker);
	if (i < vault->count[kind] && str_eq(str_of(vault->objects[kind][i]->upper), marker)) i++;
	return i;
}

static size_t version_at(const struct azure_object *object, struct str id) {
	size_t low = 0, high = object->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (str_cmp(str_of(object->versions[middle]->id), id) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

size_t azure_version_after(const struct azure_object *object, struct str marker) {
	if (!marker.len) return 0;
	size_t i = version_at(object, marker);
	if (i < object->count && str_eq(str_of(object->versions[i]->id), marker)) i++;
	return i;
}

struct azure_version *azure_version_find(const struct azure_object *object, struct str id) {
	size_t i = version_at(object, id);
	return i < object->count && str_eq(str_of(object->versions[i]->id), id)
		       ? object->versions[i]
		       : NULL;
}

/* Puts a pointer in at `at`. There is always room up to the next power of two, so that `count` is the only size kept. */
static void **insert(void **array, size_t count, size_t at, void *item) {
	if ((count & (count - 1)) == 0) {
		array = mem_realloc(array, (count ? count * 2 : 1) * sizeof(*array));
		assert(array);
	}
	memmove(array + at + 1, array + at, (count - at) * sizeof(*array));
	array[at] = item;
	return array;
}

static struct azure_object *object_add(
	struct azure_vault *vault, enum azure_kind kind, struct str name) {
	struct azure_object *object = mem_zalloc(sizeof(*object));
	assert(object);
	object->name = mem_strdup(name);
	assert(object->name);
	object->upper = upper_of(name);
	size_t at = row_at(vault, kind, str_of(object->upper));
	vault->objects[kind] = (struct azure_object **)insert(
		(void **)vault->objects[kind], vault->count[kind], at, object);
	vault->count[kind]++;
	return object;
}

struct azure_version *azure_version_add(struct azure *azure, struct azure_vault *vault,
	enum azure_kind kind, struct str name, struct str id, int64_t at_s) {
	assert(id.len < WORLD_HEX_BYTES);
	struct azure_object *object = azure_object_find(vault, kind, name);
	if (!object) object = object_add(vault, kind, name);
	assert(!object->deleted);
	struct azure_version *version = mem_zalloc(sizeof(*version));
	assert(version);
	world_hex32(&azure->rng, version->id);
	if (id.len) {
		memcpy(version->id, id.ptr, id.len);
		version->id[id.len] = '\0';
	}
	assert(!azure_version_find(object, str_of(version->id)));
	version->created_s = version->updated_s = at_s;
	version->nbf_s = version->exp_s = AZURE_UNSET;
	version->enabled = true;
	version->seq = ++azure->next_seq;
	size_t at = version_at(object, str_of(version->id));
	object->versions = (struct azure_version **)insert(
		(void **)object->versions, object->count, at, version);
	object->count++;
	object->current = version;
	return version;
}

void azure_version_set_value(struct azure_version *version, struct str value) {
	char *bytes = mem_alloc(value.len);
	assert(bytes);
	if (value.len) memcpy(bytes, value.ptr, value.len);
	mem_free((char *)version->value.ptr);
	version->value = (struct str){ bytes, value.len };
}

static void object_free(struct azure_object *object) {
	for (size_t i = 0; i < object->count; i++) {
		struct azure_version *version = object->versions[i];
		mem_free(version->content_type);
		cJSON_Delete(version->tags);
		mem_free((char *)version->value.ptr);
		mem_free(version);
	}
	mem_free(object->versions);
	mem_free(object->name);
	mem_free(object->upper);
	mem_free(object);
}

void azure_object_delete(struct azure *azure, struct azure_vault *vault,
	struct azure_object *object, struct now now) {
	assert(!object->deleted);
	int64_t lag_ns = vault->delete_lag_ns;
	if (lag_ns < 0) lag_ns = rng_between(&azure->rng, 10 * NS_PER_S, 20 * NS_PER_S);
	object->deleted = true;
	object->deleted_s = azure_seconds(now);
	object->purge_s = object->deleted_s + vault->retention_days * 86400;
	object->deleted_visible_ns = now.mono_ns + lag_ns;
	if (object->purge_s < vault->_first_purge_s) vault->_first_purge_s = object->purge_s;
}

void azure_object_recover(struct azure_object *object) {
	assert(object->deleted);
	object->deleted = false;
}

void azure_object_purge(
	struct azure_vault *vault, enum azure_kind kind, struct azure_object *object) {
	size_t at = row_at(vault, kind, str_of(object->upper));
	assert(at < vault->count[kind] && vault->objects[kind][at] == object);
	memmove(vault->objects[kind] + at, vault->objects[kind] + at + 1,
		(vault->count[kind] - at - 1) * sizeof(*vault->objects[kind]));
	vault->count[kind]--;
	object_free(object);
}

void azure_purge_due(struct azure_vault *vault, struct now now) {
	if (azure_seconds(now) < vault->_first_purge_s) return;
	vault->_first_purge_s = INT64_MAX;
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		for (size_t i = 0; i < vault->count[kind];) {
			struct azure_object *object = vault->objects[kind][i];
			if (object->deleted && object->purge_s <= azure_seconds(now)) {
				azure_object_purge(vault, (enum azure_kind)kind, object);
				continue;
			}
			if (object->deleted && object->purge_s < vault->_first_purge_s) {
				vault->_first_purge_s = object->purge_s;
			}
			i++;
		}
	}
}

void azure_vault_free_objects(struct azure_vault *vault) {
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		for (size_t i = 0; i < vault->count[kind]; i++)
			object_free(vault->objects[kind][i]);
		mem_free(vault->objects[kind]);
		vault->objects[kind] = NULL;
		vault->count[kind] = 0;
	}
}
