/* tests/stress/stress_queue.c - producers against workers that pass items to and fro, each worker asleep in a loop of its own.
 *
 * Checked: one run at a time per item and on its home; the last run of an item sees its last change; nobody sleeps while an item
 * waits (a lost wake-up shows as items that never come to rest); what one run wrote without atomics the next one reads, wherever it
 * runs (ThreadSanitizer's part). */
#include <sched.h>
#include <time.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "queue/workqueue.h"
#include "stress.h"

enum { PRODUCERS = 3, WORKERS = 3, ITEMS = 48, ADDS = 400000, HELD_MAX = 4, REST_MS = 60000 };

struct item {
	struct queue_item queued;
	_Atomic uint64_t changed; /* atomic: relaxed, the queue orders it */
	_Atomic uint64_t seen; /* atomic: relaxed, written by the holder, read by main at rest */
	_Atomic int runners; /* atomic: relaxed, only counts */
	uint64_t runs; /* holder: plain on purpose */
};

struct worker {
	struct thread thread;
	struct queue queue;
	struct loop *loop;
	struct rng rng;
	bool is_mine[ITEMS]; /* taken here and not moved since */
	struct item *held[HELD_MAX];
	unsigned held_count;
	uint64_t runs, begins, moves;
};

struct producer {
	struct thread thread;
	struct rng rng;
};

static struct item items[ITEMS];
static struct worker workers[WORKERS];
static struct producer producers[PRODUCERS];
static _Atomic bool stopping; /* atomic: relaxed, the wake-up that follows orders it */

static void produce(void *arg) {
	struct producer *producer = arg;
	for (int i = 0; i < ADDS; i++) {
		struct item *item = &items[rng_below(&producer->rng, ITEMS)];
		atomic_fetch_add_explicit(&item->changed, 1, memory_order_relaxed);
		queue_add(&item->queued);
		if (rng_below(&producer->rng, 64) == 0) sched_yield();
	}
}

static void start_run(struct worker *worker, struct item *item) {
	int runners = atomic_fetch_add_explicit(&item->runners, 1, memory_order_relaxed);
	check(runners == 0, "%d runs at a time", runners + 1);
	check(queue_item_home(&item->queued) == &worker->queue, "not at home");
	check(worker->held_count < HELD_MAX, "%u held", worker->held_count);
	item->runs++;
	worker->runs++;
	worker->is_mine[item - items] = true;
	atomic_store_explicit(&item->seen,
		atomic_load_explicit(&item->changed, memory_order_relaxed), memory_order_relaxed);
	worker->held[worker->held_count++] = item;
}

static void end_run(struct worker *worker) {
	struct item *item = worker->held[--worker->held_count];
	if (rng_below(&worker->rng, 6) == 0) {
		worker->moves++;
		worker->is_mine[item - items] = false;
		queue_move(&item->queued, &workers[rng_below(&worker->rng, WORKERS)].queue);
	}
	atomic_fetch_sub_explicit(&item->runners, 1, memory_order_relaxed);
	queue_done(&item->queued);
}

/* What a timer does: begins a run of an own item that is idle. */
static void try_begin(struct worker *worker) {
	struct item *item = &items[rng_below(&worker->rng, ITEMS)];
	if (!worker->is_mine[item - items] || worker->held_count == HELD_MAX) return;
	for (unsigned i = 0; i < worker->held_count; i++) {
		if (worker->held[i] == item) return;
	}
	if (!queue_begin(&item->queued)) return;
	worker->begins++;
	start_run(worker, item);
}

static void turn(struct worker *worker) {
	bool busy;
	do {
		while (worker->held_count > rng_below(&worker->rng, HELD_MAX)) end_run(worker);
		struct queue_item *queued = queue_take(&worker->queue, &busy);
		if (queued) start_run(worker, container_of(queued, struct item, queued));
		try_begin(worker);
		if (!queued && !busy) break;
		if (busy) sched_yield();
	} while (true);
	while (worker->held_count) end_run(worker);
}

static void work(void *arg) {
	struct worker *worker = arg;
	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
		turn(worker);
		loop_wait(worker->loop, NEVER_NS);
	}
}

static bool at_rest(const struct item *item) {
	return queue_item_state(&item->queued) == 0 &&
	       atomic_load_explicit(&item->seen, memory_order_relaxed) ==
		       atomic_load_explicit(&item->changed, memory_order_relaxed);
}

static void wait_for_rest(void) {
	int at = 0;
	for (int ms = 0; ms < REST_MS && at < ITEMS; ms++) {
		if (at_rest(&items[at])) {
			at++;
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
			at = 0;
		}
	}
	for (int i = 0; i < ITEMS; i++) {
		check(at_rest(&items[i]), "item %d: state %u, saw %llu of %llu", i,
			queue_item_state(&items[i].queued), (unsigned long long)items[i].seen,
			(unsigned long long)items[i].changed);
	}
}

static void start(void) {
	for (int i = 0; i < WORKERS; i++) {
		workers[i].loop = loop_create(clock_system());
		check(workers[i].loop, "no loop");
		queue_init(&workers[i].queue, workers[i].loop);
		rng_seed(&workers[i].rng, 100 + (uint64_t)i);
	}
	for (int i = 0; i < ITEMS; i++)
		queue_item_init(&items[i].queued, &workers[i % WORKERS].queue);
	for (int i = 0; i < WORKERS; i++) {
		check(!thread_start(&workers[i].thread, "worker", work, &workers[i]), "no thread");
	}
	for (int i = 0; i < PRODUCERS; i++) {
		rng_seed(&producers[i].rng, 200 + (uint64_t)i);
		check(!thread_start(&producers[i].thread, "producer", produce, &producers[i]),
			"no thread");
	}
}

int main(void) {
	start();
	for (int i = 0; i < PRODUCERS; i++) thread_join(&producers[i].thread);
	wait_for_rest();
	atomic_store_explicit(&stopping, true, memory_order_relaxed);
	uint64_t runs = 0, begins = 0, moves = 0, item_runs = 0;
	for (int i = 0; i < WORKERS; i++) {
		loop_wake(workers[i].loop);
		thread_join(&workers[i].thread);
		runs += workers[i].runs;
		begins += workers[i].begins;
		moves += workers[i].moves;
	}
	for (int i = 0; i < ITEMS; i++) item_runs += items[i].runs;
	check(runs == item_runs, "%llu runs, the items know of %llu", (unsigned long long)runs,
		(unsigned long long)item_runs);
	for (int i = 0; i < WORKERS; i++) {
		queue_deinit(&workers[i].queue);
		loop_destroy(workers[i].loop);
	}
	check(begins > 0 && moves > 0, "nothing was begun or moved");
	printf("queue: %d adds, %llu runs (%llu begun by timers), %llu moves: PASSED\n",
		PRODUCERS * ADDS, (unsigned long long)runs, (unsigned long long)begins,
		(unsigned long long)moves);
	return 0;
}
