/* Every function of base/ that allocates, with the k-th allocation failing for k = 1, 2, ... until the run gets through: nothing
 * leaks (LeakSanitizer's part), nothing breaks, and the failure is told. */
#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/secret.h"

enum { MOST_ALLOCATIONS = 1000 };

/* run() returns what it was told; it must be OK exactly when no allocation failed, or when `may_cope`. */
static void torture(enum err (*run)(void), bool may_cope) {
	for (uint64_t nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		mem_fail_at(nth);
		enum err err = run();
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		if (!reached) {
			assert_int_equal(err, OK);
			assert_true(nth > 1);
			return;
		}
		assert_true(err == ERR_NOMEM || (may_cope && err == OK));
	}
	fail_msg("does not end");
}

static enum err run_buf(void) {
	struct buf buf;
	buf_init(&buf, 1 << 20);
	for (int i = 0; i < 500; i++) buf_printf(&buf, "%d,", i);
	buf_append_json(&buf, STR("a\"b"));
	buf_append_url(&buf, STR("a b"));
	buf_append_base64(&buf, STR("abc"));
	enum err err = buf_err(&buf);
	char *text = buf_take(&buf);
	assert_int_equal(text != NULL, err == OK);
	mem_free(text);
	buf_deinit(&buf);
	return err;
}

static enum err run_empty_take(void) {
	struct buf buf;
	buf_init(&buf, 10);
	char *text = buf_take(&buf);
	enum err err = buf_err(&buf);
	assert_int_equal(text != NULL, err == OK);
	mem_free(text);
	buf_deinit(&buf);
	return err;
}

static enum err run_heap(void) {
	static struct heap_node nodes[200];
	struct heap heap;
	enum err err = OK;
	heap_init(&heap);
	for (int i = 0; i < 200 && !err; i++) err = heap_set(&heap, &nodes[i], 200 - i);
	heap_deinit(&heap);
	return err;
}

struct entry {
	struct map_node node;
	char key[16];
};

static struct str key_of(const struct map_node *node) {
	return str_of(container_of(node, const struct entry, node)->key);
}

static enum err run_map(void) {
	static struct entry entries[200];
	struct map map;
	enum err err = OK;
	map_init(&map, (struct hash_key){ 1, 2 }, key_of);
	for (int i = 0; i < 200 && !err; i++) {
		snprintf(entries[i].key, sizeof(entries[i].key), "%d", i);
		err = map_insert(&map, &entries[i].node);
		if (!err)
			assert_ptr_equal(map_find(&map, str_of(entries[i].key)), &entries[i].node);
	}
	map_deinit(&map);
	return err;
}

static enum err run_secret(void) {
	struct secret_arena *arena = secret_arena_create(1 << 20);
	if (!arena) return ERR_NOMEM;
	struct secret secret;
	secret_init(&secret, arena, 100000);
	for (int i = 0; i < 10000; i++) secret_append(&secret, STR("0123456789"));
	enum err err = secret_err(&secret);
	secret_deinit(&secret);
	secret_arena_destroy(arena);
	return err;
}

static enum err run_loop(void) {
	struct loop *loop = loop_create(clock_system());
	if (!loop) return ERR_NOMEM;
	loop_wait(loop, 0);
	loop_destroy(loop);
	return OK;
}

static enum err run_strings(void) {
	char *plain = mem_strdup(STR("plain"));
	char *wiped = mem_wiped_strdup("wiped");
	char *more = wiped ? mem_wiped_realloc(wiped, 100) : NULL;
	enum err err = plain && wiped && more ? OK : ERR_NOMEM;
	mem_wiped_free(more ? more : wiped);
	mem_free(plain);
	return err;
}

static enum err run_metric(void) {
	metric_add(METRIC_RELISTS, 1);
	assert_int_equal(metric_read(METRIC_RELISTS), 1);
	metric_destroy_all();
	return OK;
}

static void test_buf(void **state) {
	(void)state;
	torture(run_buf, false);
	torture(run_empty_take, false);
}

static void test_heap(void **state) {
	(void)state;
	torture(run_heap, false);
}

static void test_map(void **state) {
	(void)state;
	torture(run_map, true); /* only the first insert tells; later ones cope */
}

static void test_secret(void **state) {
	(void)state;
	torture(run_secret, false);
}

static void test_loop(void **state) {
	(void)state;
	torture(run_loop, false);
}

static void test_strings(void **state) {
	(void)state;
	torture(run_strings, false);
}

static void test_metric(void **state) {
	(void)state;
	torture(run_metric, true);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_metric),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
