#include "base/map.h"

#include <assert.h>

#include "base/mem.h"

enum { MAP_MIN_BUCKETS = 8, MAP_MOVES_PER_INSERT = 4, MAP_NODES_PER_BUCKET = 2 };

void map_init(
	struct map *map, struct hash_key key, struct str (*key_of)(const struct map_node *node)) {
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

/* The one bucket in which a node with this hash stands. The map has buckets. */
static struct map_node **bucket_of(const struct map *map, uint64_t hash) {
	size_t old = hash & (map->_size[1] - 1);
	if (map->_buckets[1] && old >= map->_moved) return &map->_buckets[1][old];
	return &map->_buckets[0][hash & (map->_size[0] - 1)];
}

struct map_node *map_find(const struct map *map, struct str key) {
	if (!map->_count) return NULL;
	uint64_t hash = hash64(&map->_key, key);
	struct map_node *node = *bucket_of(map, hash);
	while (node && (node->_hash != hash || !str_eq(map->_key_of(node), key)))
		node = node->_next;
	return node;
}

static void push(struct map_node **bucket, struct map_node *node) {
	node->_next = *bucket;
	*bucket = node;
}

static void move_bucket(struct map *map) {
	struct map_node *node = take(map->_buckets[1][map->_moved]);
	map->_moved++;
	while (node) {
		struct map_node *next = node->_next;
		push(&map->_buckets[0][node->_hash & (map->_size[0] - 1)], node);
		node = next;
	}
}

/* The old array is emptied long before the new one is full: four buckets per insert against two nodes per bucket. */
static void move_some(struct map *map) {
	for (int i = 0; i < MAP_MOVES_PER_INSERT && map->_buckets[1]; i++) {
		move_bucket(map);
		if (map->_moved < map->_size[1]) continue;
		mem_free(take(map->_buckets[1]));
		map->_size[1] = 0;
	}
}

/* Starts to grow when there are two nodes per bucket, on average: a longer chain costs less than a larger table. Without memory the chains grow instead, and the next insert tries again. */
static enum err make_room(struct map *map) {
	if (map->_buckets[1] || map->_count < MAP_NODES_PER_BUCKET * map->_size[0]) return OK;
	size_t size = map->_size[0] ? map->_size[0] * 2 : MAP_MIN_BUCKETS;
	struct map_node **buckets = mem_array(size, sizeof(struct map_node *));
	if (!buckets) return map->_size[0] ? OK : ERR_NOMEM;
	map->_buckets[1] = map->_buckets[0];
	map->_size[1] = map->_size[0];
	map->_buckets[0] = buckets;
	map->_size[0] = size;
	map->_moved = 0;
	return OK;
}

enum err map_insert(struct map *map, struct map_node *node) {
	struct str key = map->_key_of(node);
	assert(!map_find(map, key));
	enum err err = make_room(map);
	if (err) return err;
	move_some(map);
	node->_hash = hash64(&map->_key, key);
	push(bucket_of(map, node->_hash), node);
	map->_count++;
	return OK;
}

void map_remove(struct map *map, struct map_node *node) {
	assert(map->_count > 0);
	struct map_node **link = bucket_of(map, node->_hash);
	while (*link && *link != node) link = &(*link)->_next;
	assert(*link == node);
	*link = node->_next;
	node->_next = NULL;
	map->_count--;
}

static void visit_bucket(
	struct map_node *node, void (*visit)(struct map_node *node, void *arg), void *arg) {
	while (node) {
		struct map_node *next = node->_next;
		visit(node, arg);
		node = next;
	}
}

/* The old array first: what is moved out of it meanwhile is met in the new one. When another array begins, all is walked again. */
bool map_walk(struct map *map, struct map_walk *walk, size_t buckets,
	void (*visit)(struct map_node *node, void *arg), void *arg) {
	if (walk->_size != map->_size[0]) *walk = (struct map_walk){ ._size = map->_size[0] };
	for (; buckets > 0; buckets--) {
		struct map_node **old = map->_buckets[1], **new = map->_buckets[0];
		if (!walk->_in_new && (!old || walk->_at >= map->_size[1]))
			*walk = (struct map_walk){ ._size = walk->_size, ._in_new = true };
		struct map_node **array = walk->_in_new ? new : old;
		if (!array || (walk->_in_new && walk->_at >= map->_size[0])) return true;
		visit_bucket(array[walk->_at++], visit, arg);
	}
	return false;
}

void map_each(struct map *map, void (*visit)(struct map_node *node, void *arg), void *arg) {
	for (int table = 0; table < 2; table++) {
		for (size_t i = 0; map->_buckets[table] && i < map->_size[table]; i++) {
			visit_bucket(map->_buckets[table][i], visit, arg);
		}
	}
}
