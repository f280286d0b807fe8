/* workers/spec: blocks, and references that keep snapshots alive. */
#include "workers/spec.h"

#include "tests/unit/unit.h"

static struct spc *make_spc(const char *uid) {
	struct block block;
	assert_int_equal(block_init(&block, sizeof(struct spc) + 64), OK);
	struct spc *spc = block_alloc(&block, sizeof *spc, _Alignof(struct spc));
	atomic_init(&spc->ref, 1);
	spc->uid = block_str(&block, str_of(uid));
	return spc;
}

static void blocks_are_aligned_zeroed_and_bounded(void **state) {
	struct block block;
	(void)state;
	assert_int_equal(block_init(&block, 64), OK);
	memset(block._ptr, 0xAA, 64);
	assert_str(block_str(&block, STR("abc")), "abc");
	int64_t *number = block_alloc(&block, sizeof *number, _Alignof(int64_t));
	assert_int_equal((uintptr_t)number % _Alignof(int64_t), 0);
	assert_int_equal(*number, 0);
	assert_int_equal(block_str(&block, STR_NULL).len, 0);
	mem_free(block._ptr);
	mem_fail_at(1);
	assert_int_equal(block_init(&block, 64), ERR_NOMEM);
	mem_fail_at(0);
}

static void overflow(void *arg) {
	struct block block;
	(void)arg;
	enum err err = block_init(&block, 8);
	(void)err;
	block_alloc(&block, 9, 1);
}

static void a_block_that_is_too_small_is_a_bug(void **state) {
	(void)state;
	assert_true(aborts(overflow, NULL));
}

/* Whoever borrows keeps it, whatever is published meanwhile; the last one frees (LeakSanitizer and its kin look on). */
static void a_borrowed_snapshot_outlives_its_place(void **state) {
	(void)state;
	rcu_thread_register();
	struct spc_cell *cell = spc_cell_create(STR("ns/c"));
	assert_non_null(cell);
	assert_null(spc_borrow(cell));
	assert_null(spc_publish(cell, make_spc("one")));
	struct spc *first = spc_borrow(cell);
	struct spc *old = spc_publish(cell, make_spc("two"));
	assert_ptr_equal(first, old);
	rcu_sync();
	spc_unref(old);
	assert_str(first->uid, "one");
	spc_unref(first);
	struct spec *spec = mem_zalloc(sizeof *spec);
	atomic_init(&spec->ref, 1);
	spec->cell = cell;
	atomic_fetch_add(&cell->ref, 1);
	spc_cell_unref(cell);
	/* The spec holds the cell, and with it the class. */
	struct spc *second = spc_borrow(spec->cell);
	assert_str(second->uid, "two");
	spec_unref(spec);
	assert_str(second->uid, "two");
	spc_unref(second);
	spec_unref(NULL);
	spc_unref(NULL);
	spc_cell_unref(NULL);
	rcu_thread_unregister();
}

static void without_memory_there_is_no_cell(void **state) {
	(void)state;
	mem_fail_at(1);
	assert_null(spc_cell_create(STR("ns/c")));
	mem_fail_at(0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_aligned_zeroed_and_bounded),
		cmocka_unit_test(a_block_that_is_too_small_is_a_bug),
		cmocka_unit_test(a_borrowed_snapshot_outlives_its_place),
		cmocka_unit_test(without_memory_there_is_no_cell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
