#include "base/heap.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { HEAP_MIN_NODES = 16 };

void heap_init(struct heap *heap) {
	*heap = (struct heap){ 0 };
}

void heap_deinit(struct heap *heap) {
	for (size_t i = 0; i < heap->_len; i++) heap->_nodes[i]->_index = 0;
	mem_free(heap->_nodes);
	*heap = (struct heap){ 0 };
}

enum err heap_reserve(struct heap *heap, size_t count) {
	if (count <= heap->_cap) return OK;
	size_t cap = heap->_cap ? heap->_cap * 2 : HEAP_MIN_NODES;
	if (cap < count) cap = count;
	if (cap > SIZE_MAX / sizeof(*heap->_nodes)) return ERR_NOMEM;
	struct heap_node **nodes = mem_realloc(heap->_nodes, cap * sizeof(*nodes));
	if (!nodes) return ERR_NOMEM;
	heap->_nodes = nodes;
	heap->_cap = cap;
	return OK;
}

static bool is_before(const struct heap_node *a, const struct heap_node *b) {
	return a->_at_ns != b->_at_ns ? a->_at_ns < b->_at_ns : a->_seq < b->_seq;
}

static void put_at(struct heap *heap, size_t index, struct heap_node *node) {
	heap->_nodes[index] = node;
	node->_index = index + 1;
}

/* Moves `node`, for which the place `index` is free, towards the root as far as it belongs. */
static size_t sift_up(struct heap *heap, size_t index, struct heap_node *node) {
	while (index > 0) {
		size_t parent = (index - 1) / 2;
		if (!is_before(node, heap->_nodes[parent])) break;
		put_at(heap, index, heap->_nodes[parent]);
		index = parent;
	}
	return index;
}

static size_t sift_down(struct heap *heap, size_t index, struct heap_node *node) {
	for (;;) {
		size_t child = 2 * index + 1;
		if (child >= heap->_len) break;
		if (child + 1 < heap->_len &&
			is_before(heap->_nodes[child + 1], heap->_nodes[child]))
			child++;
		if (!is_before(heap->_nodes[child], node)) break;
		put_at(heap, index, heap->_nodes[child]);
		index = child;
	}
	return index;
}

static void settle(struct heap *heap, size_t index, struct heap_node *node) {
	index = sift_up(heap, index, node);
	put_at(heap, sift_down(heap, index, node), node);
}

bool heap_contains(const struct heap_node *node) {
	return node->_index != 0;
}

enum err heap_set(struct heap *heap, struct heap_node *node, int64_t at_ns) {
	if (!heap_contains(node)) {
		enum err err = heap_reserve(heap, heap->_len + 1);
		if (err) return err;
		node->_index = ++heap->_len;
	}
	assert(node->_index <= heap->_len);
	node->_at_ns = at_ns;
	node->_seq = heap->_next_seq++;
	settle(heap, node->_index - 1, node);
	return OK;
}

void heap_remove(struct heap *heap, struct heap_node *node) {
	if (!heap_contains(node)) return;
	size_t index = node->_index - 1;
	assert(index < heap->_len && heap->_nodes[index] == node);
	node->_index = 0;
	struct heap_node *last = heap->_nodes[--heap->_len];
	if (last != node) settle(heap, index, last);
}

struct heap_node *heap_first(const struct heap *heap) {
	return heap->_len ? heap->_nodes[0] : NULL;
}

int64_t heap_first_ns(const struct heap *heap) {
	return heap->_len ? heap->_nodes[0]->_at_ns : INT64_MAX;
}

size_t heap_len(const struct heap *heap) {
	return heap->_len;
}
