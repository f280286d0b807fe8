#include "base/rcu.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <urcu/urcu-memb.h>
#include <urcu/wfcqueue.h>

/* ThreadSanitizer does not see what liburcu's assembly orders. Two edges tell it: the end of a read section happens before the
 * return of a wait that began later, and what a producer did before a push happens before what the consumer does after the pop.
 * The pointer cells need none, because they are C11 atomics. */
#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#ifdef HAVE_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char sections_end; /* its address stands for "read sections that have ended" */
#define EDGE_FROM(address) __tsan_release(address)
#define EDGE_TO(address) __tsan_acquire(address)
#else
#define EDGE_FROM(address) ((void)0)
#define EDGE_TO(address) ((void)0)
#endif

void rcu_thread_register(void) {
	urcu_memb_register_thread();
}

void rcu_thread_unregister(void) {
	urcu_memb_unregister_thread();
}

void rcu_read_begin(void) {
	urcu_memb_read_lock();
}

void rcu_read_end(void) {
	EDGE_FROM(&sections_end);
	urcu_memb_read_unlock();
}

void *rcu_load_(void **cell) {
	/* acquire: the reader sees everything that was written before the snapshot was published */
	return atomic_load_explicit((_Atomic(void *) *)cell, memory_order_acquire);
}

void *rcu_swap_(void **cell, void *value) {
	/* release publishes the new snapshot's content; acquire, because the caller goes on to free the old one */
	return atomic_exchange_explicit((_Atomic(void *) *)cell, value, memory_order_acq_rel);
}

void rcu_sync(void) {
	assert(!urcu_memb_read_ongoing());
	urcu_memb_synchronize_rcu();
	EDGE_TO(&sections_end);
}

static_assert(sizeof(struct inbox_node) == sizeof(struct cds_wfcq_node), "node is liburcu's");
static_assert(
	sizeof(((struct inbox *)0)->_opaque_tail) >= sizeof(struct cds_wfcq_tail), "tail fits");
static_assert(
	sizeof(((struct inbox *)0)->_opaque_head) >= sizeof(struct __cds_wfcq_head), "head fits");
static_assert(alignof(struct inbox) >= alignof(struct cds_wfcq_tail), "tail is aligned");

static struct cds_wfcq_tail *tail_of(struct inbox *inbox) {
	return (struct cds_wfcq_tail *)inbox->_opaque_tail;
}

static struct __cds_wfcq_head *head_of(struct inbox *inbox) {
	return (struct __cds_wfcq_head *)inbox->_opaque_head;
}

void inbox_init(struct inbox *inbox) {
	__cds_wfcq_init(head_of(inbox), tail_of(inbox));
}

void inbox_deinit(struct inbox *inbox) {
	assert(cds_wfcq_empty(head_of(inbox), tail_of(inbox)));
	*inbox = (struct inbox){ 0 };
}

bool inbox_push(struct inbox *inbox, struct inbox_node *node) {
	struct cds_wfcq_node *inner = (struct cds_wfcq_node *)node;
	cds_wfcq_node_init(inner);
	EDGE_FROM(node);
	return !cds_wfcq_enqueue(head_of(inbox), tail_of(inbox), inner);
}

struct inbox_node *inbox_pop(struct inbox *inbox, bool *out_busy) {
	struct cds_wfcq_node *inner =
		__cds_wfcq_dequeue_nonblocking(head_of(inbox), tail_of(inbox));
	*out_busy = inner == CDS_WFCQ_WOULDBLOCK;
	if (!inner || *out_busy) return NULL;
	EDGE_TO(inner);
	return (struct inbox_node *)inner;
}
