#include "base/rcu.h"

#include <assert.h>
#include <urcu/urcu-memb.h>
#include <urcu/wfcqueue.h>

/* What liburcu orders by assembly and membarrier(2) is invisible to ThreadSanitizer: the seam says it again. */
#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifdef TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#else
#define __tsan_acquire(addr) ((void)(addr))
#define __tsan_release(addr) ((void)(addr))
#endif

static char grace_edge; /* read section's end -> end of a grace period */

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
	__tsan_release(&grace_edge);
	urcu_memb_read_unlock();
}

void *rcu_load_(void **cell) {
	void *value = rcu_dereference(*cell);
	__tsan_acquire(cell);
	return value;
}

void *rcu_swap_(void **cell, void *value) {
	__tsan_release(cell);
	return rcu_xchg_pointer(cell, value);
}

void rcu_sync(void) {
	urcu_memb_synchronize_rcu();
	__tsan_acquire(&grace_edge);
}

/* --- inbox --- */

_Static_assert(sizeof(struct inbox_node) == sizeof(struct cds_wfcq_node), "an inbox node is a wfcqueue node");
_Static_assert(sizeof(((struct inbox *)0)->_opaque_tail) >= sizeof(struct cds_wfcq_tail), "room for the tail");
_Static_assert(sizeof(((struct inbox *)0)->_opaque_head) >= sizeof(struct __cds_wfcq_head), "room for the head");

static struct cds_wfcq_tail *tail_of(struct inbox *inbox) {
	return (struct cds_wfcq_tail *)(void *)inbox->_opaque_tail;
}

static struct __cds_wfcq_head *head_of(struct inbox *inbox) {
	return (struct __cds_wfcq_head *)(void *)inbox->_opaque_head;
}

void inbox_init(struct inbox *inbox) {
	__cds_wfcq_init(head_of(inbox), tail_of(inbox));
}

void inbox_deinit(struct inbox *inbox) {
	assert(cds_wfcq_empty(head_of(inbox), tail_of(inbox)));
}

bool inbox_push(struct inbox *inbox, struct inbox_node *node) {
	struct cds_wfcq_node *link = (struct cds_wfcq_node *)(void *)node;
	cds_wfcq_node_init(link);
	__tsan_release(node);
	return !cds_wfcq_enqueue(head_of(inbox), tail_of(inbox), link);
}

struct inbox_node *inbox_pop(struct inbox *inbox, bool *out_busy) {
	struct cds_wfcq_node *link = __cds_wfcq_dequeue_nonblocking(head_of(inbox), tail_of(inbox));
	*out_busy = link == CDS_WFCQ_WOULDBLOCK;
	if (*out_busy || !link) return NULL;
	struct inbox_node *node = (struct inbox_node *)(void *)link;
	__tsan_acquire(node);
	return node;
}
