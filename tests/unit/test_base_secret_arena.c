#include <stdio.h>

#include "unit.h"

#include <limits.h>
#include <sys/mman.h>

#include "base/rng.h"

/* A kernel that allows so many calls. */
static int mlock_allowed = INT_MAX;
static int mlock_calls;

static int limited_mlock(const void *start, size_t bytes) {
	mlock_calls++;
	return mlock_calls > mlock_allowed ? -1 : mlock(start, bytes);
}

#define mlock limited_mlock
#include "base/secret_arena.c"
#undef mlock

enum { BLOCKS = 200, STEPS = 20000 };

struct block {
	char *ptr;
	size_t bytes, true_bytes;
	char fill;
};

static void check_block(const struct block *block) {
	for (size_t i = 0; i < block->bytes; i++) assert_int_equal(block->ptr[i], block->fill);
}

/* Every byte that is not in a live block is zero, over all that was ever committed. */
static void check_zero_elsewhere(
	struct secret_arena *arena, const struct block *blocks, size_t count) {
	ASAN_UNPOISON_MEMORY_REGION(arena->base, arena->mapped_bytes);
	for (size_t at = 0; at < arena->committed_bytes;) {
		const struct block *here = NULL;
		for (size_t i = 0; i < count; i++) {
			if (blocks[i].ptr == arena->base + at) here = &blocks[i];
		}
		if (here) {
			at += here->true_bytes;
			continue;
		}
		for (int i = 0; i < SLOT_MIN_BYTES; i++)
			assert_int_equal(arena->base[at + (size_t)i], 0);
		at += SLOT_MIN_BYTES;
	}
}

/* Blocks of all sizes come and go: none overlaps another, none leaves anything behind, and memory comes together again. */
static void test_random(void **state) {
	(void)state;
	static struct block blocks[BLOCKS];
	struct rng rng;
	rng_seed(&rng, 1);
	struct secret_arena *arena = secret_arena_create(8 << 20);
	assert_non_null(arena);
	size_t used = 0;
	for (int step = 0; step < STEPS; step++) {
		struct block *block = &blocks[rng_below(&rng, BLOCKS)];
		if (block->ptr) {
			check_block(block);
			used -= block->true_bytes;
			secret_arena_free(arena, block->ptr);
			*block = (struct block){ 0 };
		} else {
			block->bytes = 1 + rng_below(&rng, rng_below(&rng, 4) ? 3000 : 40000);
			block->ptr = secret_arena_alloc(arena, block->bytes, &block->true_bytes);
			assert_non_null(block->ptr);
			assert_true(block->true_bytes >= block->bytes);
			block->fill = (char)(1 + step % 120);
			memset(block->ptr, block->fill, block->true_bytes);
			used += block->true_bytes;
		}
		assert_int_equal(secret_arena_used_bytes(arena), used);
	}
	check_zero_elsewhere(arena, blocks, BLOCKS);
	for (int i = 0; i < BLOCKS; i++) {
		if (!blocks[i].ptr) continue;
		check_block(&blocks[i]);
		secret_arena_free(arena, blocks[i].ptr);
		blocks[i].ptr = NULL;
	}
	check_zero_elsewhere(arena, blocks, 0);
	/* Nothing is cut up for good: one block of everything fits. */
	size_t bytes;
	char *all = secret_arena_alloc(arena, 8 << 20, &bytes);
	assert_ptr_equal(all, arena->base);
	assert_int_equal(bytes, 8 << 20);
	assert_null(secret_arena_alloc(arena, 1, &bytes));
	secret_arena_free(arena, all);
	secret_arena_destroy(arena);
}

static void test_release_cleanses(void **state) {
	(void)state;
	static const size_t sizes[] = { 1, 64, 65, 2048, 2049, 4096, 25000, 1 << 20 };
	struct secret_arena *arena = secret_arena_create(4 << 20);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes;
		char *block = secret_arena_alloc(arena, sizes[i], &bytes);
		memset(block, 'S', bytes);
		secret_arena_free(arena, block);
		ASAN_UNPOISON_MEMORY_REGION(block, bytes);
		for (size_t at = 0; at < bytes; at++) assert_int_equal(block[at], 0);
		ASAN_POISON_MEMORY_REGION(block, bytes);
	}
	secret_arena_destroy(arena);
}

static void test_small_arena(void **state) {
	(void)state;
	struct secret_arena *arena = secret_arena_create(1); /* one page */
	size_t bytes;
	char *slots[64];
	for (int i = 0; i < 64; i++) slots[i] = secret_arena_alloc(arena, 64, &bytes);
	assert_non_null(slots[63]);
	assert_null(secret_arena_alloc(arena, 1, &bytes));
	assert_null(secret_arena_alloc(arena, 4097, &bytes));
	assert_null(secret_arena_alloc(arena, SIZE_MAX, &bytes));
	for (int i = 0; i < 64; i++) secret_arena_free(arena, slots[i]);
	char *page = secret_arena_alloc(arena, 4096, &bytes);
	assert_non_null(page);
	secret_arena_free(arena, page);
	secret_arena_free(arena, NULL);
	secret_arena_destroy(arena);
	secret_arena_destroy(NULL);
}

/* Without the right to lock, the arena works and says so; once refused it does not ask again. */
static void test_unlocked(void **state) {
	(void)state;
	for (int allowed = 0; allowed < 3; allowed++) {
		mlock_calls = 0;
		mlock_allowed = allowed;
		struct secret_arena *arena = secret_arena_create(1 << 20);
		assert_non_null(arena);
		assert_int_equal(secret_arena_locked(arena), allowed > 0);
		size_t bytes;
		char *block = secret_arena_alloc(arena, 1 << 20, &bytes);
		assert_non_null(block);
		memset(block, 1, bytes);
		assert_false(secret_arena_locked(arena));
		assert_int_equal(mlock_calls, allowed + 1);
		secret_arena_free(arena, block);
		secret_arena_destroy(arena);
	}
	mlock_allowed = INT_MAX;
}

/* A child of fork() finds zeroes. */
static void test_wiped_on_fork(void **state) {
	(void)state;
	struct secret_arena *arena = secret_arena_create(1 << 20);
	size_t bytes;
	char *block = secret_arena_alloc(arena, 100, &bytes);
	memset(block, 'S', bytes);
	pid_t child = fork();
	if (child == 0) {
		int found = 0;
		for (size_t i = 0; i < bytes; i++) found |= block[i];
		_exit(found != 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	secret_arena_free(arena, block);
	secret_arena_destroy(arena);
}

/* The kernel's word: dd is MADV_DONTDUMP, lo is mlock. */
static void test_not_dumped(void **state) {
	(void)state;
	struct secret_arena *arena = secret_arena_create(1 << 20);
	size_t bytes;
	uintptr_t at = (uintptr_t)secret_arena_alloc(arena, 1 << 20, &bytes), from = 0, to = 0;
	FILE *maps = fopen("/proc/self/smaps", "r");
	assert_non_null(maps);
	char line[512];
	size_t parts = 0;
	while (fgets(line, sizeof line, maps)) {
		uintptr_t a, b;
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) from = a, to = b;
		if (strncmp(line, "VmFlags:", 8) || to <= at || from >= at + bytes) continue;
		parts++;
		assert_non_null(strstr(line, " dd"));
	}
	fclose(maps);
	assert_true(parts > 0);
	secret_arena_free(arena, (char *)at);
	secret_arena_destroy(arena);
}

static void destroy_in_use(void *arg) {
	size_t bytes;
	(void)secret_arena_alloc(arg, 1, &bytes);
	secret_arena_destroy(arg);
}

static void free_twice(void *arg) {
	size_t bytes;
	char *other = secret_arena_alloc(arg, 1, &bytes); /* keeps the page */
	char *block = secret_arena_alloc(arg, 1, &bytes);
	(void)other;
	secret_arena_free(arg, block);
	ASAN_UNPOISON_MEMORY_REGION(block, bytes);
	secret_arena_free(arg, block);
}

static void test_mistakes(void **state) {
	(void)state;
	struct secret_arena *arena = secret_arena_create(1 << 20);
	assert_true(aborts(destroy_in_use, arena));
	assert_true(aborts(free_twice, arena));
	secret_arena_destroy(arena);
}

static void test_no_memory(void **state) {
	(void)state;
	for (uint64_t nth = 1; nth <= 2; nth++) {
		mem_fail_at(nth);
		assert_null(secret_arena_create(1 << 20));
		assert_true(mem_fail_reached());
	}
	mem_fail_at(0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_release_cleanses),
		cmocka_unit_test(test_small_arena),
		cmocka_unit_test(test_unlocked),
		cmocka_unit_test(test_wiped_on_fork),
		cmocka_unit_test(test_not_dumped),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
