#include "base/metric.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"

/* One thread's counters. Blocks stay in the list until the process ends, so that nothing is lost when a thread does. */
struct block {
	struct block *next;                       /* const after publication */
	_Alignas(64) _Atomic uint64_t counts[METRIC_COUNT]; /* atomic: relaxed, one writer; sums need no order */
};

static _Atomic(struct block *) blocks; /* atomic: release on push, acquire on walk */
static _Thread_local struct block *mine;

static struct block *make_block(void) {
	struct block *block = aligned_alloc(64, sizeof *block);
	if (!block) return NULL;
	memset(block, 0, sizeof *block);
	block->next = atomic_load_explicit(&blocks, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&blocks, &block->next, block, memory_order_release,
		memory_order_relaxed))
		continue;
	return block;
}

void metric_add(enum metric metric, uint64_t amount) {
	assert(metric < METRIC_COUNT);
	if (!mine) mine = make_block();
	if (!mine) return; /* a count is not worth failing for */
	uint64_t now = atomic_load_explicit(&mine->counts[metric], memory_order_relaxed);
	atomic_store_explicit(&mine->counts[metric], now + amount, memory_order_relaxed);
}

uint64_t metric_read(enum metric metric) {
	assert(metric < METRIC_COUNT);
	uint64_t sum = 0;
	struct block *block = atomic_load_explicit(&blocks, memory_order_acquire);
	for (; block; block = block->next) sum += atomic_load_explicit(&block->counts[metric], memory_order_relaxed);
	return sum;
}

static const char *const TEXTS[METRIC_COUNT][2] = {
#define X(id, name, help) [METRIC_##id] = { name, help },
	METRIC_LIST(X)
#undef X
};

const char *metric_name(enum metric metric) {
	return TEXTS[metric][0];
}

const char *metric_help(enum metric metric) {
	return TEXTS[metric][1];
}

void metric_destroy_all(void) {
	struct block *block = atomic_exchange_explicit(&blocks, NULL, memory_order_acquire);
	while (block) {
		struct block *next = block->next;
		mem_free(block);
		block = next;
	}
	mine = NULL;
}
