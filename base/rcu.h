/* base/rcu.h - the only door to liburcu: snapshots by swap, wait, free; and the lock-free inbox.
 *
 * Flavour urcu-memb. Only swap + rcu_sync + free: no call_rcu, no urcu hash tables.
 * The seam carries the edges that ThreadSanitizer cannot see in liburcu's assembly.
 *
 *                 | any registered thread | main |
 *   read section  |          x            |  x   |
 *   rcu_load      |   in a read section   |  x   |
 *   rcu_swap      |                       |  x   |
 *   rcu_sync      |                       |  x   |  outside a read section
 *
 *   inbox_push: any thread, wait-free.  inbox_pop: the one consumer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void rcu_thread_register(
	void); /* once per thread, before its first section; thread_start does it */
void rcu_thread_unregister(void);

void rcu_read_begin(void);
void rcu_read_end(void);
static inline void rcu_read_scope_end_(int *unused) {
	(void)unused;
	rcu_read_end();
}
/* A read section until the end of the enclosing block. Short: never across a loop turn, never around a wait. */
#define rcu_read_scope()                                                                      \
	__attribute__((cleanup(rcu_read_scope_end_))) int rcu_scope_ = (rcu_read_begin(), 0); \
	(void)rcu_scope_

void *rcu_load_(void **cell);
void *rcu_swap_(void **cell, void *value);
/* Reads a published pointer. */
#define rcu_load(cell) ((__typeof__(cell))rcu_load_((void **)&(cell)))
/* Publishes `value` and returns what was there; that may be freed after the next rcu_sync(). */
#define rcu_swap(cell, value) ((__typeof__(cell))rcu_swap_((void **)&(cell), (value)))

/* Waits until every read section that had begun has ended. */
void rcu_sync(void);

/* Intrusive multi-producer single-consumer queue (liburcu wfcqueue). The node may be pushed again as soon as it was popped. */
struct inbox_node {
	void *_next;
};

struct inbox {
	_Alignas(64) char _opaque_tail[64]; /* atomic: liburcu, producers exchange the tail */
	_Alignas(64) char _opaque_head[128]; /* home: consumer side */
};

void inbox_init(struct inbox *inbox);
void inbox_deinit(struct inbox *inbox); /* must be empty */
/* True when the inbox was empty before: exactly then the consumer must be woken. */
bool inbox_push(struct inbox *inbox, struct inbox_node *node);
/* The next node; NULL when empty, or when a producer stands between its two stores (`*out_busy` true: come back next turn). */
struct inbox_node *inbox_pop(struct inbox *inbox, bool *out_busy);
