#include "queue/workqueue.h"

#include <assert.h>
#include <stddef.h>

#include "base/loop.h"
#include "base/mem.h"

void queue_init(struct queue *queue, struct loop *loop) {
	*queue = (struct queue){ .loop = loop };
	inbox_init(&queue->inbox);
}

void queue_deinit(struct queue *queue) {
	inbox_deinit(&queue->inbox);
}

void queue_item_init(struct queue_item *item, struct queue *home) {
	*item = (struct queue_item){ 0 };
	atomic_init(&item->_state, 0);
	atomic_init(&item->_home, home);
}

struct queue *queue_item_home(const struct queue_item *item) {
	/* Acquire: what the holder gave up before it moved the item is seen by whoever reads the new home. */
	return atomic_load_explicit(&item->_home, memory_order_acquire);
}

unsigned queue_item_state(const struct queue_item *item) {
	return atomic_load_explicit(&item->_state, memory_order_acquire);
}

/* Links an item that this thread has just made QUEUED and not RUNNING: nobody else links it, and nobody moves it. */
static void push(struct queue_item *item) {
	struct queue *home = queue_item_home(item);
	if (!inbox_push(&home->inbox, &item->_node)) return;
	if (home->wake) {
		home->wake(home);
	} else if (home->loop) {
		loop_wake(home->loop);
	}
}

static void add_bits(struct queue_item *item, unsigned bits) {
	/* Release: the run that clears QUEUED sees what was written before the add. Acquire: of the home, written before done. */
	unsigned before = atomic_fetch_or_explicit(&item->_state, bits, memory_order_acq_rel);
	assert(!(before & QUEUE_CLOSED));
	if (before == 0) push(item);
}

void queue_add(struct queue_item *item) {
	add_bits(item, QUEUE_QUEUED);
}

void queue_close(struct queue_item *item) {
	add_bits(item, QUEUE_QUEUED | QUEUE_CLOSED);
}

bool queue_is_closed(const struct queue_item *item) {
	return queue_item_state(item) & QUEUE_CLOSED;
}

struct queue_item *queue_take(struct queue *queue, bool *out_busy) {
	struct inbox_node *node = inbox_pop(&queue->inbox, out_busy);
	if (!node) return NULL;
	struct queue_item *item = container_of(node, struct queue_item, _node);
	assert(queue_item_home(item) == queue);
	/* Acquire: this run sees what was written before the adds that it answers. */
	unsigned before = atomic_fetch_xor_explicit(&item->_state, QUEUE_QUEUED | QUEUE_RUNNING, memory_order_acq_rel);
	assert((before & (QUEUE_QUEUED | QUEUE_RUNNING)) == QUEUE_QUEUED);
	(void)before;
	return item;
}

bool queue_begin(struct queue_item *item) {
	unsigned idle = 0;
	/* Acquire as in queue_take; a failure needs no order, the item will be taken. */
	bool held = atomic_compare_exchange_strong_explicit(&item->_state, &idle, QUEUE_RUNNING, memory_order_acq_rel,
		memory_order_relaxed);
	assert(held || !(idle & QUEUE_RUNNING));
	return held;
}

void queue_done(struct queue_item *item) {
	/* Release: the next holder, on whatever thread, sees all that this one did. */
	unsigned before = atomic_fetch_and_explicit(&item->_state, ~(unsigned)QUEUE_RUNNING, memory_order_acq_rel);
	assert(before & QUEUE_RUNNING);
	if (before & QUEUE_QUEUED) push(item);
}

void queue_move(struct queue_item *item, struct queue *home) {
	assert(queue_item_state(item) & QUEUE_RUNNING);
	/* Release: pairs with the acquire of whoever links the item. */
	atomic_store_explicit(&item->_home, home, memory_order_release);
	atomic_fetch_or_explicit(&item->_state, QUEUE_QUEUED, memory_order_acq_rel);
}
