#include "queue/workqueue.h"

#include <assert.h>
#include <stddef.h>

#include "base/loop.h"
#include "base/mem.h"

enum { HELD_OR_QUEUED = QUEUE_QUEUED | QUEUE_RUNNING };

void queue_init(struct queue *queue, struct loop *loop) {
	*queue = (struct queue){ .loop = loop };
	inbox_init(&queue->inbox);
}

void queue_deinit(struct queue *queue) {
	inbox_deinit(&queue->inbox);
	*queue = (struct queue){ 0 };
}

void queue_item_init(struct queue_item *item, struct queue *home) {
	assert(home);
	item->_node = (struct inbox_node){ 0 };
	/* relaxed: nobody else knows the item before it is published by other means */
	atomic_store_explicit(&item->_state, 0, memory_order_relaxed);
	atomic_store_explicit(&item->_home, home, memory_order_relaxed);
}

struct queue *queue_item_home(const struct queue_item *item) {
	/* acquire: whoever follows the pointer sees the queue behind it initialised */
	return atomic_load_explicit(&item->_home, memory_order_acquire);
}

/* Links an item that has just become QUEUED and not RUNNING. Whoever made it so is the only one who may, and the item cannot
 * change its home before it is linked. After the push it is the consumer's: it may be gone. */
static void push(struct queue_item *item) {
	/* relaxed: the caller's change of _state read what the last holder released, its home among it */
	struct queue *home = atomic_load_explicit(&item->_home, memory_order_relaxed);
	if (!inbox_push(&home->inbox, &item->_node)) return;
	if (home->wake) {
		home->wake(home);
	} else if (home->loop) {
		loop_wake(home->loop);
	}
}

void queue_add(struct queue_item *item) {
	/* release hands what was written before the add to the next run; acquire, because we may link and read _home */
	unsigned old = atomic_fetch_or_explicit(&item->_state, QUEUE_QUEUED, memory_order_acq_rel);
	assert(!(old & QUEUE_CLOSED));
	if (!(old & HELD_OR_QUEUED)) push(item);
}

void queue_close(struct queue_item *item) {
	/* acq_rel: as in queue_add; the closer's last writes to the item go to the run that frees it */
	unsigned old = atomic_fetch_or_explicit(
		&item->_state, QUEUE_QUEUED | QUEUE_CLOSED, memory_order_acq_rel);
	assert(!(old & QUEUE_CLOSED));
	if (!(old & HELD_OR_QUEUED)) push(item);
}

bool queue_is_closed(const struct queue_item *item) {
	/* acquire: who sees the end sees everything that its owner did before */
	return atomic_load_explicit(&item->_state, memory_order_acquire) & QUEUE_CLOSED;
}

struct queue_item *queue_take(struct queue *queue, bool *out_busy) {
	struct inbox_node *node = inbox_pop(&queue->inbox, out_busy);
	if (!node) return NULL;
	struct queue_item *item = container_of(node, struct queue_item, _node);
	/* acquire: this run sees what every add so far released; release: adds that follow continue the chain */
	unsigned old =
		atomic_fetch_xor_explicit(&item->_state, HELD_OR_QUEUED, memory_order_acq_rel);
	assert((old & HELD_OR_QUEUED) == QUEUE_QUEUED);
	/* relaxed: our own inbox yielded it, so the home was settled before the push */
	assert(atomic_load_explicit(&item->_home, memory_order_relaxed) == queue);
	return item;
}

bool queue_begin(struct queue_item *item) {
	/* relaxed: only a guess for the exchange below */
	unsigned old = atomic_load_explicit(&item->_state, memory_order_relaxed);
	do {
		assert(!(old & QUEUE_RUNNING));
		if (old & QUEUE_QUEUED) return false;
		/* acq_rel: as in queue_take; relaxed on failure, because nothing is read on its strength */
	} while (!atomic_compare_exchange_weak_explicit(&item->_state, &old, old | QUEUE_RUNNING,
		memory_order_acq_rel, memory_order_relaxed));
	return true;
}

void queue_done(struct queue_item *item) {
	/* release: the next run, on whichever thread, sees what this one wrote; acquire: we may link */
	unsigned old = atomic_fetch_and_explicit(
		&item->_state, ~(unsigned)QUEUE_RUNNING, memory_order_acq_rel);
	assert(old & QUEUE_RUNNING);
	if (old & QUEUE_QUEUED) push(item);
}

void queue_move(struct queue_item *item, struct queue *home) {
	assert(home);
	/* release: pairs with queue_item_home on any thread */
	atomic_store_explicit(&item->_home, home, memory_order_release);
	/* acq_rel: as in queue_add; nothing is linked here, since we hold the item */
	unsigned old = atomic_fetch_or_explicit(&item->_state, QUEUE_QUEUED, memory_order_acq_rel);
	assert(old & QUEUE_RUNNING);
	(void)old;
}

struct inbox_node *queue_item_node(struct queue_item *item) {
	assert(queue_is_closed(item) && (queue_item_state(item) & QUEUE_RUNNING));
	return &item->_node;
}

struct queue_item *queue_item_of(struct inbox_node *node) {
	return node ? container_of(node, struct queue_item, _node) : NULL;
}

unsigned queue_item_state(const struct queue_item *item) {
	/* acquire: a test that sees an item idle also sees what its last run wrote */
	return atomic_load_explicit(&item->_state, memory_order_acquire);
}
