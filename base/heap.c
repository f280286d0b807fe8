#include "base/heap.h"

#include <assert.h>

#include "base/mem.h"

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
	size_t cap = heap->_cap ? heap->_cap : 16;
	while (cap < count) cap *= 2;
	struct heap_node **nodes = mem_realloc(heap->_nodes, cap * sizeof *nodes);
	if (!nodes) return ERR_NOMEM;
	heap->_nodes = nodes;
	heap->_cap = cap;
	return OK;
}

static bool before(const struct heap_node *a, const struct heap_node *b) {
	return a->_at_ns != b->_at_ns ? a->_at_ns < b->_at_ns : a->_seq < b->_seq;
}

static void put(struct heap *heap, size_t at, struct heap_node *node) {
	heap->_nodes[at] = node;
	node->_index = at + 1;
}

static void sift_up(struct heap *heap, size_t at) {
	struct heap_node *node = heap->_nodes[at];
	while (at > 0 && before(node, heap->_nodes[(at - 1) / 2])) {
		put(heap, at, heap->_nodes[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(heap, at, node);
}

static void sift_down(struct heap *heap, size_t at) {
	struct heap_node *node = heap->_nodes[at];
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= heap->_len) break;
		if (child + 1 < heap->_len && before(heap->_nodes[child + 1], heap->_nodes[child])) child++;
		if (!before(heap->_nodes[child], node)) break;
		put(heap, at, heap->_nodes[child]);
		at = child;
	}
	put(heap, at, node);
}

enum err heap_set(struct heap *heap, struct heap_node *node, int64_t at_ns) {
	if (!node->_index) {
		enum err err = heap_reserve(heap, heap->_len + 1);
		if (err) return err;
		put(heap, heap->_len++, node);
	}
	node->_at_ns = at_ns;
	node->_seq = heap->_next_seq++;
	sift_up(heap, node->_index - 1);
	sift_down(heap, node->_index - 1);
	return OK;
}

void heap_remove(struct heap *heap, struct heap_node *node) {
	if (!node->_index) return;
	size_t at = node->_index - 1;
	assert(at < heap->_len && heap->_nodes[at] == node);
	struct heap_node *last = heap->_nodes[--heap->_len];
	node->_index = 0;
	if (last == node) return;
	put(heap, at, last);
	sift_up(heap, at);
	sift_down(heap, last->_index - 1);
}

bool heap_contains(const struct heap_node *node) {
	return node->_index != 0;
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
