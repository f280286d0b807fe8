#include "base/metric.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/mem.h"

/* Padded on both sides, so that no two threads write to one cache line. */
struct block {
	char before[64];
	_Atomic uint64_t values[METRIC_COUNT]; /* atomic: relaxed, a counter orders nothing */
	struct block *next; /* const */
	char after[64];
};

static _Atomic(struct block *)
	blocks; /* atomic: release by a new thread, acquire by readers: they see zeroes at least */
static _Atomic uint64_t
	shared[METRIC_COUNT]; /* atomic: relaxed; for threads that found no memory for a block */
static _Thread_local struct block *own;

static const char *const names[METRIC_COUNT] = {
#define X(id, name, help) name,
	METRIC_LIST(X)
#undef X
};

static const char *const helps[METRIC_COUNT] = {
#define X(id, name, help) help,
	METRIC_LIST(X)
#undef X
};

static struct block *make_block(void) {
	struct block *block = mem_zalloc(sizeof(*block));
	if (!block) return NULL;
	block->next = atomic_load_explicit(&blocks, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(
		&blocks, &block->next, block, memory_order_release, memory_order_relaxed)) {
	}
	return block;
}

void metric_add(enum metric metric, uint64_t amount) {
	assert((unsigned)metric < METRIC_COUNT);
	if (!own) own = make_block();
	if (!own) {
		atomic_fetch_add_explicit(&shared[metric], amount, memory_order_relaxed);
		return;
	}
	/* One writer: a load and a store are enough, and cheaper than a locked add. */
	uint64_t value = atomic_load_explicit(&own->values[metric], memory_order_relaxed);
	atomic_store_explicit(&own->values[metric], value + amount, memory_order_relaxed);
}

uint64_t metric_read(enum metric metric) {
	assert((unsigned)metric < METRIC_COUNT);
	uint64_t sum = atomic_load_explicit(&shared[metric], memory_order_relaxed);
	struct block *block = atomic_load_explicit(&blocks, memory_order_acquire);
	for (; block; block = block->next) {
		sum += atomic_load_explicit(&block->values[metric], memory_order_relaxed);
	}
	return sum;
}

const char *metric_name(enum metric metric) {
	assert((unsigned)metric < METRIC_COUNT);
	return names[metric];
}

const char *metric_help(enum metric metric) {
	assert((unsigned)metric < METRIC_COUNT);
	return helps[metric];
}

void metric_destroy_all(void) {
	struct block *block = atomic_exchange_explicit(&blocks, NULL, memory_order_acquire);
	while (block) {
		struct block *next = block->next;
		mem_free(block);
		block = next;
	}
	for (int i = 0; i < METRIC_COUNT; i++)
		atomic_store_explicit(&shared[i], 0, memory_order_relaxed);
	own = NULL;
}
