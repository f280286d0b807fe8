#include "unit.h"

#include "base/heap.h"
#include "base/mem.h"
#include "base/rng.h"

enum { NODES = 300, STEPS = 60000 };

struct model {
	struct heap_node node;
	int64_t at_ns;
	uint64_t order;
	bool in;
};

static struct model models[NODES];

/* The node that must come first, found the slow way. */
static struct model *first_of_models(void) {
	struct model *first = NULL;
	for (int i = 0; i < NODES; i++) {
		struct model *m = &models[i];
		if (!m->in) continue;
		if (!first || m->at_ns < first->at_ns ||
			(m->at_ns == first->at_ns && m->order < first->order))
			first = m;
	}
	return first;
}

static void test_random_against_model(void **state) {
	(void)state;
	struct rng rng;
	struct heap heap;
	uint64_t order = 0;
	size_t count = 0;
	rng_seed(&rng, 1);
	heap_init(&heap);
	for (int step = 0; step < STEPS; step++) {
		struct model *m = &models[rng_below(&rng, NODES)];
		if (rng_below(&rng, 3)) {
			m->at_ns = rng_between(&rng, -50, 50); /* many ties */
			m->order = order++;
			count += !m->in;
			m->in = true;
			assert_int_equal(heap_set(&heap, &m->node, m->at_ns), OK);
			assert_true(heap_node_ns(&heap, &m->node) == m->at_ns);
		} else {
			count -= m->in;
			m->in = false;
			heap_remove(&heap, &m->node);
		}
		assert_int_equal(heap_contains(&m->node), m->in);
		assert_int_equal(heap_len(&heap), count);
		struct model *first = first_of_models();
		assert_ptr_equal(heap_first(&heap), first ? &first->node : NULL);
		assert_true(heap_first_ns(&heap) == (first ? first->at_ns : INT64_MAX));
	}
	while (heap_first(&heap)) {
		struct model *first = first_of_models();
		assert_ptr_equal(heap_first(&heap), &first->node);
		heap_remove(&heap, &first->node);
		first->in = false;
	}
	assert_null(first_of_models());
	heap_deinit(&heap);
}

static void test_reserve_makes_inserts_infallible(void **state) {
	(void)state;
	static struct heap_node nodes[100];
	struct heap heap;
	heap_init(&heap);
	assert_int_equal(heap_reserve(&heap, 100), OK);
	mem_fail_at(1);
	for (int i = 0; i < 100; i++) assert_int_equal(heap_set(&heap, &nodes[i], i), OK);
	assert_false(mem_fail_reached());
	struct heap_node more = { 0 };
	assert_int_equal(heap_set(&heap, &more, 1), ERR_NOMEM);
	assert_false(heap_contains(&more));
	assert_int_equal(heap_len(&heap), 100);
	assert_int_equal(heap_reserve(&heap, SIZE_MAX), ERR_NOMEM);
	heap_deinit(&heap);
	heap_deinit(&heap);
	assert_false(heap_contains(&nodes[0]));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_reserve_makes_inserts_infallible),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
