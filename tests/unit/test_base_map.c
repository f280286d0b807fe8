#include "unit.h"

#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"

enum { ENTRIES = 5000 };

struct entry {
	struct map_node node;
	char key[16];
	bool in;
	int visits;
};

static struct entry entries[ENTRIES];
static const struct hash_key key = { 1, 2 };

static struct str key_of(const struct map_node *node) {
	return str_of(((const struct entry *)node)->key);
}

static int setup(void **state) {
	(void)state;
	for (int i = 0; i < ENTRIES; i++) {
		entries[i] = (struct entry){ 0 };
		snprintf(entries[i].key, sizeof(entries[i].key), "key-%d", i);
	}
	return 0;
}

static void check_all(const struct map *map) {
	size_t count = 0;
	for (int i = 0; i < ENTRIES; i++) {
		struct map_node *found = map_find(map, str_of(entries[i].key));
		assert_ptr_equal(found, entries[i].in ? &entries[i].node : NULL);
		count += entries[i].in;
	}
	assert_int_equal(map_count(map), count);
}

static void test_empty(void **state) {
	(void)state;
	struct map map;
	map_init(&map, key, key_of);
	assert_null(map_find(&map, STR("x")));
	assert_int_equal(map_count(&map), 0);
	map_deinit(&map);
	map_deinit(&map);
}

/* After every single insert during the growth everything is found: the tables stand side by side most of the time. */
static void test_growth(void **state) {
	(void)state;
	struct map map;
	map_init(&map, key, key_of);
	for (int i = 0; i < ENTRIES; i++) {
		assert_int_equal(map_insert(&map, &entries[i].node), OK);
		entries[i].in = true;
		if (i < 300 || i % 500 == 0) check_all(&map);
	}
	check_all(&map);
	map_deinit(&map);
}

static void test_random(void **state) {
	(void)state;
	struct rng rng;
	struct map map;
	rng_seed(&rng, 1);
	map_init(&map, key, key_of);
	for (int step = 0; step < 100000; step++) {
		struct entry *entry = &entries[rng_below(&rng, ENTRIES)];
		if (entry->in) {
			map_remove(&map, &entry->node);
		} else {
			assert_int_equal(map_insert(&map, &entry->node), OK);
		}
		entry->in = !entry->in;
		assert_ptr_equal(
			map_find(&map, str_of(entry->key)), entry->in ? &entry->node : NULL);
		if (step % 10000 == 0) check_all(&map);
	}
	check_all(&map);
	map_deinit(&map);
}

static void visit(struct map_node *node, void *arg) {
	struct entry *entry = (struct entry *)node;
	struct map *map = arg;
	entry->visits++;
	if (!map || (entry - entries) % 2) return;
	map_remove(map, node);
	entry->in = false;
	memset(&entry->node, 0x5a, sizeof(entry->node)); /* as if it were freed */
}

static void test_each_may_remove(void **state) {
	(void)state;
	/* 1100 entries: the table is growing at that moment. */
	struct map map;
	map_init(&map, key, key_of);
	for (int i = 0; i < 1100; i++) {
		assert_int_equal(map_insert(&map, &entries[i].node), OK);
		entries[i].in = true;
	}
	assert_non_null(map._buckets[1]);
	map_each(&map, visit, &map);
	for (int i = 0; i < ENTRIES; i++) assert_int_equal(entries[i].visits, i < 1100);
	check_all(&map);
	map_each(&map, visit, NULL);
	for (int i = 0; i < 1100; i++) assert_int_equal(entries[i].visits, 1 + i % 2);
	map_deinit(&map);
}

static void test_no_memory(void **state) {
	(void)state;
	struct map map;
	map_init(&map, key, key_of);
	mem_fail_at(1);
	assert_int_equal(map_insert(&map, &entries[0].node), ERR_NOMEM);
	assert_int_equal(map_count(&map), 0);
	/* Growth that finds no memory is tried again later. */
	for (int i = 0; i < ENTRIES; i++) {
		if (i > 0) mem_fail_at(i < 2000 ? 1 : 0);
		assert_int_equal(map_insert(&map, &entries[i].node), OK);
		entries[i].in = true;
	}
	mem_fail_at(0);
	check_all(&map);
	assert_true(map._size[0] >= ENTRIES / 2);
	map_deinit(&map);
}

static void insert_twice(void *arg) {
	(void)map_insert(arg, &entries[0].node);
	(void)map_insert(arg, &entries[0].node);
}

static void test_twice_is_a_mistake(void **state) {
	(void)state;
	struct map map;
	map_init(&map, key, key_of);
	assert_true(aborts(insert_twice, &map));
	map_deinit(&map);
}

struct visits {
	struct map *map;
	bool removes; /* every third that is met */
};

static void visit_some(struct map_node *node, void *arg) {
	struct visits *visits = arg;
	struct entry *entry = (struct entry *)node;
	entry->visits++;
	if (!visits->removes || (entry - entries) % 3) return;
	map_remove(visits->map, node);
	entry->in = false;
}

/* A slice at a time, while others come, go, and make the table grow: who was in all the while is met. */
static void a_walk_meets_all_that_stay(void **state) {
	(void)state;
	for (unsigned slice = 1; slice < 50; slice += 7) {
		struct map map;
		struct map_walk walk = { 0 };
		struct visits visits = { &map, slice % 2 == 0 };
		setup(NULL);
		map_init(&map, key, key_of);
		int added = 0, stayed = 700 + (int)slice;
		for (; added < stayed; added++) {
			assert_int_equal(map_insert(&map, &entries[added].node), OK);
			entries[added].in = true;
		}
		unsigned slices = 0;
		while (!map_walk(&map, &walk, slice, visit_some, &visits)) {
			assert_true(slices++ < 20000);
			for (int i = 0; i < 5 && added < ENTRIES; i++, added++) {
				assert_int_equal(map_insert(&map, &entries[added].node), OK);
				entries[added].in = true;
			}
			/* One of the late ones goes again. */
			int gone = added - 3;
			if (gone >= stayed && entries[gone].in) map_remove(&map, &entries[gone].node), entries[gone].in = false;
		}
		for (int i = 0; i < stayed; i++)
			if (!entries[i].visits) fail_msg("slice %u: entry %d was not met", slice, i);
		assert_true(added > stayed);
		check_all(&map);
		map_deinit(&map);
	}
}

static void a_walk_of_nothing_is_over(void **state) {
	(void)state;
	struct map map;
	struct map_walk walk = { 0 };
	struct visits visits = { &map, false };
	map_init(&map, key, key_of);
	assert_true(map_walk(&map, &walk, 1, visit_some, &visits));
	map_deinit(&map);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty, setup),
		cmocka_unit_test_setup(test_growth, setup),
		cmocka_unit_test_setup(test_random, setup),
		cmocka_unit_test_setup(test_each_may_remove, setup),
		cmocka_unit_test_setup(test_no_memory, setup),
		cmocka_unit_test_setup(test_twice_is_a_mistake, setup),
		cmocka_unit_test(a_walk_meets_all_that_stay),
		cmocka_unit_test_setup(a_walk_of_nothing_is_over, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
