#include "base/map.h"

#include <assert.h>

#include "base/mem.h"

enum { FIRST_SIZE = 16, MOVES_PER_INSERT = 4 };

void map_init(struct map *map, struct hash_key key, struct str (*key_of)(const struct map_node *node)) {
	*map = (struct map){ ._key = key, ._key_of = key_of };
}

void map_deinit(struct map *map) {
	mem_free(map->_buckets[0]);
	mem_free(map->_buckets[1]);
	*map = (struct map){ 0 };
}

size_t map_count(const struct map *map) {
	return map->_count;
}

static struct map_node **bucket(const struct map *map, int table, uint64_t hash) {
	return &map->_buckets[table][hash & (map->_size[table] - 1)];
}

/* While the table grows a node stands in the new array exactly when its old bucket has been moved. */
static struct map_node **home(const struct map *map, uint64_t hash) {
	bool in_old = map->_buckets[1] && (hash & (map->_size[1] - 1)) >= map->_moved;
	return bucket(map, in_old ? 1 : 0, hash);
}

struct map_node *map_find(const struct map *map, struct str key) {
	if (!map->_count) return NULL;
	uint64_t hash = hash64(&map->_key, key);
	struct map_node *node = *home(map, hash);
	while (node && (node->_hash != hash || !str_eq(map->_key_of(node), key))) node = node->_next;
	return node;
}

static void move_buckets(struct map *map, size_t count) {
	for (; map->_buckets[1] && count; count--) {
		struct map_node *node = map->_buckets[1][map->_moved++];
		while (node) {
			struct map_node *next = node->_next;
			struct map_node **to = bucket(map, 0, node->_hash);
			node->_next = *to;
			*to = node;
			node = next;
		}
		if (map->_moved < map->_size[1]) continue;
		mem_free(map->_buckets[1]);
		map->_buckets[1] = NULL;
		map->_size[1] = map->_moved = 0;
	}
}

static enum err grow(struct map *map) {
	if (map->_buckets[1]) return OK;
	size_t size = map->_size[0] ? map->_size[0] * 2 : FIRST_SIZE;
	struct map_node **buckets = mem_array(size, sizeof *buckets);
	if (!buckets) return map->_buckets[0] ? OK : ERR_NOMEM;
	map->_buckets[1] = map->_buckets[0];
	map->_size[1] = map->_size[0];
	map->_moved = 0;
	map->_buckets[0] = buckets;
	map->_size[0] = size;
	return OK;
}

enum err map_insert(struct map *map, struct map_node *node) {
	if (map->_count >= map->_size[0]) {
		enum err err = grow(map);
		if (err) return err;
	}
	move_buckets(map, MOVES_PER_INSERT);
	node->_hash = hash64(&map->_key, map->_key_of(node));
	struct map_node **to = home(map, node->_hash);
	node->_next = *to;
	*to = node;
	map->_count++;
	return OK;
}

void map_remove(struct map *map, struct map_node *node) {
	struct map_node **at = home(map, node->_hash);
	while (*at && *at != node) at = &(*at)->_next;
	assert(*at == node);
	*at = node->_next;
	node->_next = NULL;
	map->_count--;
}

void map_each(struct map *map, void (*visit)(struct map_node *node, void *arg), void *arg) {
	move_buckets(map, SIZE_MAX);
	for (size_t i = 0; i < map->_size[0]; i++) {
		for (struct map_node *node = map->_buckets[0][i], *next; node; node = next) {
			next = node->_next;
			visit(node, arg);
		}
	}
}
