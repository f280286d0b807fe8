/* base/map.h - an intrusive hash table with string keys. One owner, no locking.
 *
 * The node is embedded in the value; the map allocates only its bucket array. Growth moves a few buckets per insert,
 * so that no single insert stalls its thread. Iteration order is unspecified: never let a decision depend on it.
 */
#pragma once

#include "base/hash.h"
#include "base/str.h"

struct map_node {
	struct map_node *_next;
	uint64_t _hash;
};

struct map {
	struct map_node **_buckets[2]; /* [1] is the old array while the table grows */
	size_t _size[2]; /* powers of two */
	size_t _moved; /* old buckets that are moved already */
	size_t _count;
	struct hash_key _key;
	struct str (*_key_of)(const struct map_node *node);
};

/* key_of tells the key of a node; the bytes must not change while the node is in. */
void map_init(
	struct map *map, struct hash_key key, struct str (*key_of)(const struct map_node *node));
void map_deinit(struct map *map); /* frees the buckets, not the values */
size_t map_count(const struct map *map);
struct map_node *map_find(const struct map *map, struct str key);
/* The key must not be in the map. ERR_NOMEM only for the very first insert; later growth that fails is retried. */
enum err map_insert(struct map *map, struct map_node *node);
void map_remove(struct map *map, struct map_node *node); /* must be in */
/* A walk over a map that goes on over many calls, while nodes come and go. Zeroed: at the beginning. */
struct map_walk {
	size_t _size, _at;
	bool _in_new;
};
/* Goes on with at most `buckets` buckets, of some nodes each; true: it is over. Who is in from its beginning to its end is visited
 * at least once; who comes meanwhile perhaps. visit may remove the node it is given. */
bool map_walk(struct map *map, struct map_walk *walk, size_t buckets,
	void (*visit)(struct map_node *node, void *arg), void *arg);
/* Calls visit for each node; it may remove the node it is given. */
void map_each(struct map *map, void (*visit)(struct map_node *node, void *arg), void *arg);
