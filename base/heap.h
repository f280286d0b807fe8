/* base/heap.h - an intrusive heap of deadlines, four children to a node, with O(log n) removal. One owner, no locking.
 *
 * Deadlines and places among ties stand in the heap's array: with 50,000 timers, many of them due together, a look into every
 * node on the way down was a sixth of the CPU of a fleet at rest.
 * Ties are served in the order of insertion, so that a simulation is deterministic. The heap grows its array on insert;
 * heap_reserve() beforehand makes inserts infallible.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct heap_node {
	size_t _index; /* position + 1; 0 when not in a heap */
};

struct heap_slot {
	int64_t _at_ns;
	uint64_t _seq;
	struct heap_node *_node;
};

struct heap {
	struct heap_slot *_slots;
	size_t _len;
	size_t _cap;
	uint64_t _next_seq;
};

void heap_init(struct heap *heap);
void heap_deinit(struct heap *heap); /* the nodes are the caller's */
enum err heap_reserve(struct heap *heap, size_t count);
/* Inserts, or moves a node that is in already. */
enum err heap_set(struct heap *heap, struct heap_node *node, int64_t at_ns);
void heap_remove(struct heap *heap, struct heap_node *node); /* harmless when not in */
bool heap_contains(const struct heap_node *node);
struct heap_node *heap_first(const struct heap *heap); /* NULL when empty */
int64_t heap_first_ns(const struct heap *heap); /* INT64_MAX when empty */
size_t heap_len(const struct heap *heap);

/* Of a node that is in a heap: its deadline, and its place among ties (later insertions and moves have greater ones). */
static inline int64_t heap_node_ns(const struct heap *heap, const struct heap_node *node) {
	return heap->_slots[node->_index - 1]._at_ns;
}
static inline uint64_t heap_node_seq(const struct heap *heap, const struct heap_node *node) {
	return heap->_slots[node->_index - 1]._seq;
}

/* The place that the next insertion or move will get. */
static inline uint64_t heap_next_seq(const struct heap *heap) {
	return heap->_next_seq;
}
