/* tests/stress/stress_snapshot.c - one writer swaps, waits and frees; readers look.
 *
 * Checked: a reader sees whole snapshots, none older than what was published before its section, and none that the writer has
 * given up while the section lasts. The freed memory is the sanitizers' part.
 * Built again with a seeded mistake, which a sanitizer must report:
 *   STRESS_BUG=1  readers without a read section
 *   STRESS_BUG=2  readers that look once more after the end of their section */
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "stress.h"

#ifndef STRESS_BUG
#define STRESS_BUG 0
#endif

enum { READERS = 3, SWAPS = 2000, WORDS = 32 };

struct snapshot {
	uint64_t version;
	uint64_t words[WORDS]; /* all equal to the version */
};

static struct snapshot *current; /* rcu: writer main */
static _Atomic uint64_t
	published; /* atomic: release/acquire, a lower bound of what a new section finds */
static _Atomic uint64_t
	given_up; /* atomic: release/acquire, versions that are freed or about to be */
static _Atomic bool stopping; /* atomic: relaxed */
static _Atomic uint64_t sections; /* atomic: relaxed, only counts */

#if STRESS_BUG
/* Only counts, which needs the reads: the verdict is the sanitizer's. */
static _Atomic uint64_t noticed; /* atomic: relaxed, only counts */
#define check_snapshot(condition, ...) \
	((condition) ? (void)0 : (void)atomic_fetch_add_explicit(&noticed, 1, memory_order_relaxed))
#else
#define check_snapshot check
#endif

static uint64_t look(const struct snapshot *snapshot) {
	uint64_t version = snapshot->version;
	for (int i = 0; i < WORDS; i++) {
		check_snapshot(snapshot->words[i] == version, "torn: %llu in version %llu",
			(unsigned long long)snapshot->words[i], (unsigned long long)version);
	}
	return version;
}

static void read_once(uint64_t turn) {
	uint64_t before = atomic_load_explicit(&published, memory_order_acquire);
#if STRESS_BUG != 1
	rcu_read_begin();
#endif
	struct snapshot *snapshot = rcu_load(current);
	uint64_t version = look(snapshot);
	check_snapshot(version >= before, "too old");
	if (turn % 16 == 0) sched_yield();
#if STRESS_BUG == 0
	check(atomic_load_explicit(&given_up, memory_order_acquire) < version,
		"given up under a reader");
#endif
	check_snapshot(look(snapshot) == version, "changed");
#if STRESS_BUG != 1
	rcu_read_end();
#endif
#if STRESS_BUG == 2
	sched_yield();
	check_snapshot(look(snapshot) == version, "changed");
#endif
}

static void read_on(void *arg) {
	(void)arg;
	uint64_t turn = 0;
	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) read_once(turn++);
	atomic_fetch_add_explicit(&sections, turn, memory_order_relaxed);
}

static struct snapshot *make(uint64_t version) {
	struct snapshot *snapshot = mem_alloc(sizeof(*snapshot));
	check(snapshot, "out of memory");
	snapshot->version = version;
	for (int i = 0; i < WORDS; i++) snapshot->words[i] = version;
	return snapshot;
}

static void give_up(struct snapshot *old) {
	rcu_sync();
	atomic_store_explicit(&given_up, old->version, memory_order_release);
	for (int i = 0; i < WORDS; i++) old->words[i] = ~old->version;
	mem_free(old);
}

int main(void) {
	static struct thread readers[READERS];
	rcu_thread_register();
	(void)rcu_swap(current, make(1));
	atomic_store_explicit(&published, 1, memory_order_release);
	for (int i = 0; i < READERS; i++)
		check(!thread_start(&readers[i], "reader", read_on, NULL), "no thread");
	for (uint64_t version = 2; version < SWAPS; version++) {
		struct snapshot *old = rcu_swap(current, make(version));
		atomic_store_explicit(&published, version, memory_order_release);
		give_up(old);
		if (version % 8 == 0) sched_yield();
	}
	atomic_store_explicit(&stopping, true, memory_order_relaxed);
	for (int i = 0; i < READERS; i++) thread_join(&readers[i]);
	struct snapshot *last = rcu_swap(current, NULL);
	give_up(last);
	rcu_thread_unregister();
	uint64_t count = atomic_load_explicit(&sections, memory_order_relaxed);
	check(count > 0, "nobody read");
	printf("snapshots: %d swaps, %llu read sections: PASSED\n", SWAPS,
		(unsigned long long)count);
	return 0;
}
