/* queue/workqueue.h - a set of items that want to be reconciled: Kubernetes work-queue semantics in two bits.
 *
 * QUEUED is client-go's dirty set, RUNNING its processing set. An item is linked in its home's inbox exactly when it is
 * QUEUED and not RUNNING. Guarantees: one run at a time per item; an add during a run causes exactly one more turn in the
 * inbox; adds never block, never allocate, never fail.
 *
 *                    | any thread | home worker, not holding it | home worker, holding it |
 *   queue_add        |     x      |              x              |            x            |  wait-free
 *   queue_take       |            |              x              |                         |
 *   queue_begin      |            |              x              |                         |
 *   queue_done       |            |                             |            x            |
 *   queue_move       |            |                             |            x            |
 *   queue_close      |    main    |                             |                         |  wait-free; the last add ever
 *
 * "Holding" is having RUNNING set: from queue_take or a successful queue_begin until queue_done. Everything of an item that
 * is private to its home may be touched by the home worker at any time, held or not; a move to another home happens only
 * while held, and the old home lets go of everything it keeps about the item (timers, lists) before it calls queue_done.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/rcu.h"

struct loop;

enum { QUEUE_QUEUED = 1, QUEUE_RUNNING = 2, QUEUE_CLOSED = 4 };

/* The receiving side of one worker. */
struct queue {
	struct inbox inbox; /* atomic: producers any thread, consumer home */
	struct loop *
		loop; /* const: woken when the inbox was empty; NULL in the simulation and in tests */
	void (*wake)(struct
		queue *queue); /* const: what to do when the inbox was empty; NULL: loop_wake(loop) */
};

struct queue_item {
	struct inbox_node _node; /* atomic: linked iff QUEUED and not RUNNING */
	_Atomic unsigned
		_state; /* atomic: acq_rel on every change; what was written before an add is seen by the run after it */
	_Atomic(struct queue *)
		_home; /* atomic: written only by the holder, read by whoever links the item */
};

void queue_init(struct queue *queue, struct loop *loop);
void queue_deinit(struct queue *queue); /* must be empty */

/* An idle item whose home is `home`. */
void queue_item_init(struct queue_item *item, struct queue *home);
struct queue *queue_item_home(const struct queue_item *item);

/* "Something about this item changed." */
void queue_add(struct queue_item *item);

/* An add after which nobody adds ever again: the item's owner takes its leave. The holder that sees queue_is_closed() may
 * pass the item on to be freed instead of calling queue_done: no other thread will touch it. */
void queue_close(struct queue_item *item);
bool queue_is_closed(const struct queue_item *item);

/* Takes the next item of the own inbox and holds it. NULL: nothing there now; *out_busy: a producer stands between two
 * stores, so do not sleep before the next call. */
struct queue_item *queue_take(struct queue *queue, bool *out_busy);

/* Holds an idle item of the own home without going through the inbox (its turn came by a timer or a ready list).
 * False when it is QUEUED: then it is in the inbox and queue_take will yield it. The item must not be held. */
bool queue_begin(struct queue_item *item);

/* Lets go. If the item was added meanwhile it goes to its home's inbox. */
void queue_done(struct queue_item *item);

/* Gives a held item a new home and makes sure that it arrives there: after queue_done it is in the new home's inbox. */
void queue_move(struct queue_item *item, struct queue *home);

/* Of a closed item that is held: its node, with which whoever holds it may hand it on by another inbox. */
struct inbox_node *queue_item_node(struct queue_item *item);
/* The item that is handed on so. */
struct queue_item *queue_item_of(struct inbox_node *node);

/* For assertions and tests: QUEUE_* bits. */
unsigned queue_item_state(const struct queue_item *item);
