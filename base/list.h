/* base/list.h - an intrusive doubly linked list. One owner, no locking, no allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *_next, *_prev;
};

/* A head, or a node that stands in no list. A zeroed node counts as unlinked; a zeroed head must be initialised. */
static inline void list_init(struct list *l) {
	l->_next = l->_prev = l;
}

static inline bool list_is_linked(const struct list *node) {
	return node->_next && node->_next != node;
}

static inline bool list_is_empty(const struct list *head) {
	return head->_next == head;
}

static inline void list_push_back(struct list *head, struct list *node) {
	node->_prev = head->_prev;
	node->_next = head;
	head->_prev->_next = node;
	head->_prev = node;
}

static inline void list_push_front(struct list *head, struct list *node) {
	list_push_back(head->_next, node);
}

/* Unlinks; harmless on an unlinked node. */
static inline void list_remove(struct list *node) {
	if (!list_is_linked(node)) return;
	node->_prev->_next = node->_next;
	node->_next->_prev = node->_prev;
	list_init(node);
}

/* The first node, or NULL. */
static inline struct list *list_first(const struct list *head) {
	return head->_next == head ? NULL : head->_next;
}

/* The one behind a node; NULL: it is the last. */
static inline struct list *list_next(const struct list *head, const struct list *node) {
	return node->_next == head ? NULL : node->_next;
}

static inline struct list *list_pop(struct list *head) {
	struct list *node = list_first(head);
	if (node) list_remove(node);
	return node;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from) {
	if (list_is_empty(from)) return;
	from->_next->_prev = to->_prev;
	to->_prev->_next = from->_next;
	from->_prev->_next = to;
	to->_prev = from->_prev;
	list_init(from);
}

#define list_for_each(node, head) \
	for (struct list *node = (head)->_next; node != (head); node = node->_next)

/* The body may unlink (and free) the node it is at, nothing else. */
#define list_for_each_safe(node, head)                                                      \
	for (struct list *node = (head)->_next, *next_##node = node->_next; node != (head); \
		node = next_##node, next_##node = node->_next)
