/* tests/stress/stress_inbox.c - producers that use their nodes again and again, one consumer that sleeps when the inbox is empty.
 *
 * Checked: nothing is lost or seen twice, each producer's nodes come in order, the push that found the inbox empty is enough of a
 * wake-up, and a node's plain content travels with it (ThreadSanitizer's part). */
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "stress.h"

enum { PRODUCERS = 3, NODES = 8, PUSHES = 300000 };

struct node {
	struct inbox_node link;
	_Atomic bool in_use; /* atomic: release by the consumer, acquire by its producer */
	unsigned producer;
	uint64_t number; /* plain on purpose */
};

struct producer {
	struct thread thread;
	unsigned index;
	struct node nodes[NODES];
	uint64_t wakes;
};

static struct inbox inbox;
static struct loop *loop;
static struct producer producers[PRODUCERS];

static void produce(void *arg) {
	struct producer *producer = arg;
	for (uint64_t number = 0; number < PUSHES; number++) {
		struct node *node = &producer->nodes[number % NODES];
		while (atomic_load_explicit(&node->in_use, memory_order_acquire)) sched_yield();
		atomic_store_explicit(&node->in_use, true, memory_order_relaxed);
		node->producer = producer->index;
		node->number = number;
		if (!inbox_push(&inbox, &node->link)) continue;
		producer->wakes++;
		loop_wake(loop);
	}
}

static uint64_t consume(uint64_t next[static PRODUCERS]) {
	uint64_t taken = 0;
	bool busy;
	for (;;) {
		struct inbox_node *link = inbox_pop(&inbox, &busy);
		if (link) {
			struct node *node = container_of(link, struct node, link);
			check(node->number == next[node->producer],
				"producer %u: %llu instead of %llu", node->producer,
				(unsigned long long)node->number,
				(unsigned long long)next[node->producer]);
			next[node->producer]++;
			taken++;
			atomic_store_explicit(&node->in_use, false, memory_order_release);
		} else if (busy) {
			sched_yield();
		} else {
			return taken;
		}
	}
}

int main(void) {
	uint64_t next[PRODUCERS] = { 0 };
	uint64_t taken = 0, wakes = 0, turns = 0;
	inbox_init(&inbox);
	loop = loop_create(clock_system());
	check(loop, "no loop");
	for (unsigned i = 0; i < PRODUCERS; i++) {
		producers[i].index = i;
		check(!thread_start(&producers[i].thread, "producer", produce, &producers[i]),
			"no thread");
	}
	while (taken < (uint64_t)PRODUCERS * PUSHES) {
		taken += consume(next);
		if (taken == (uint64_t)PRODUCERS * PUSHES) break;
		int64_t deadline_ns = clock_now(clock_system()).mono_ns + 60 * NS_PER_S;
		loop_wait(loop, deadline_ns);
		check(loop_now(loop).mono_ns < deadline_ns, "slept for a minute after %llu",
			(unsigned long long)taken);
		turns++;
	}
	for (int i = 0; i < PRODUCERS; i++) {
		thread_join(&producers[i].thread);
		wakes += producers[i].wakes;
		check(next[i] == PUSHES, "producer %d: %llu", i, (unsigned long long)next[i]);
	}
	inbox_deinit(&inbox);
	loop_destroy(loop);
	printf("inbox: %d pushes, %llu wake-ups, %llu turns: PASSED\n", PRODUCERS * PUSHES,
		(unsigned long long)wakes, (unsigned long long)turns);
	return 0;
}
