#include "base/heap.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { HEAP_MIN_NODES = 16, HEAP_CHILDREN = 4 };

void heap_init(struct heap *heap) {
	*heap = (struct heap){ 0 };
}

void heap_deinit(struct heap *heap) {
	for (size_t i = 0; i < heap->_len; i++) heap->_slots[i]._node->_index = 0;
	mem_free(heap->_slots);
	*heap = (struct heap){ 0 };
}

enum err heap_reserve(struct heap *heap, size_t count) {
	if (count <= heap->_cap) return OK;
	size_t cap = heap->_cap ? heap->_cap * 2 : HEAP_MIN_NODES;
	if (cap < count) cap = count;
	if (cap > SIZE_MAX / sizeof(*heap->_slots)) return ERR_NOMEM;
	struct heap_slot *slots = mem_realloc(heap->_slots, cap * sizeof(*slots));
	if (!slots) return ERR_NOMEM;
	heap->_slots = slots;
	heap->_cap = cap;
	return OK;
}

static bool is_before(const struct heap_slot *a, const struct heap_slot *b) {
	return a->_at_ns != b->_at_ns ? a->_at_ns < b->_at_ns : a->_seq < b->_seq;
}

static void put_at(struct heap *heap, size_t index, const struct heap_slot *slot) {
	heap->_slots[index] = *slot;
	slot->_node->_index = index + 1;
}

/* Moves `slot`, for which the place `index` is free, towards the root as far as it belongs. */
static size_t sift_up(struct heap *heap, size_t index, const struct heap_slot *slot) {
	while (index > 0) {
		size_t parent = (index - 1) / HEAP_CHILDREN;
		if (!is_before(slot, &heap->_slots[parent])) break;
		put_at(heap, index, &heap->_slots[parent]);
		index = parent;
	}
	return index;
}

/* Of the children of `index`; its length where there are none. */
static size_t first_child(const struct heap *heap, size_t index) {
	size_t best = HEAP_CHILDREN * index + 1, end = best + HEAP_CHILDREN;
	if (best >= heap->_len) return heap->_len;
	if (end > heap->_len) end = heap->_len;
	for (size_t child = best + 1; child < end; child++) {
		if (is_before(&heap->_slots[child], &heap->_slots[best])) best = child;
	}
	return best;
}

static size_t sift_down(struct heap *heap, size_t index, const struct heap_slot *slot) {
	for (;;) {
		size_t child = first_child(heap, index);
		if (child == heap->_len || !is_before(&heap->_slots[child], slot)) break;
		put_at(heap, index, &heap->_slots[child]);
		index = child;
	}
	return index;
}

static void settle(struct heap *heap, size_t index, struct heap_slot slot) {
	index = sift_up(heap, index, &slot);
	put_at(heap, sift_down(heap, index, &slot), &slot);
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
	struct heap_slot slot = { ._at_ns = at_ns, ._seq = heap->_next_seq++, ._node = node };
	settle(heap, node->_index - 1, slot);
	return OK;
}

void heap_remove(struct heap *heap, struct heap_node *node) {
	if (!heap_contains(node)) return;
	size_t index = node->_index - 1;
	assert(index < heap->_len && heap->_slots[index]._node == node);
	node->_index = 0;
	struct heap_slot last = heap->_slots[--heap->_len];
	if (last._node != node) settle(heap, index, last);
}

struct heap_node *heap_first(const struct heap *heap) {
	return heap->_len ? heap->_slots[0]._node : NULL;
}

int64_t heap_first_ns(const struct heap *heap) {
	return heap->_len ? heap->_slots[0]._at_ns : INT64_MAX;
}

size_t heap_len(const struct heap *heap) {
	return heap->_len;
}
