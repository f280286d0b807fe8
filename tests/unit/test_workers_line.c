/* Turns of identities among the objects that wait. */
#include "workers/line.h"

#include "tests/unit/unit.h"

enum { OBJECTS = 40 };

static struct object objects[OBJECTS];
static struct line line;

static int setup(void **state) {
	(void)state;
	memset(objects, 0, sizeof objects);
	line_init(&line, (struct hash_key){ 1, 2 });
	for (int i = 0; i < OBJECTS; i++) list_init(&objects[i].ready);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	line_deinit(&line);
	return 0;
}

static void push(int index, uint32_t identity_hash) {
	objects[index].identity_hash = identity_hash;
	line_push(&line, &objects[index]);
}

static int pop(void) {
	struct object *object = line_next(&line);
	if (!object) return -1;
	list_remove(&object->ready);
	return (int)(object - objects);
}

static void one_object_does_not_wait_for_many_of_another(void **state) {
	(void)state;
	for (int i = 0; i < 30; i++) push(i, 7);
	push(30, 8);
	push(31, 9);
	const int order[] = { 0, 30, 31, 1, 2, 3 };
	for (int i = 0; i < 6; i++) assert_int_equal(pop(), order[i]);
	/* Who comes again waits for one round at most. */
	push(32, 8);
	assert_int_equal(pop(), 4);
	assert_int_equal(pop(), 32);
	for (int i = 5; i < 30; i++) assert_int_equal(pop(), i);
	assert_int_equal(pop(), -1);
}

static void two_share_alike(void **state) {
	(void)state;
	for (int i = 0; i < 20; i++) push(i, 1);
	for (int i = 20; i < 40; i++) push(i, 2);
	int of_first = 0;
	for (int i = 0; i < 20; i++) of_first += pop() < 20;
	assert_int_equal(of_first, 10);
	while (pop() >= 0) {
	}
}

/* Each object of the first needs four requests, each of the second one. */
static void shares_are_of_requests(void **state) {
	(void)state;
	unsigned requests[2] = { 0 };
	for (int i = 0; i < 20; i++) push(i, 1);
	for (int i = 20; i < 40; i++) push(i, 2);
	for (int i = 0; i < 25; i++) {
		bool second = pop() >= 20;
		if (!second) line_charge(&line, 1, 3);
		requests[second] += second ? 1 : 4;
	}
	assert_int_equal(requests[0], 20);
	assert_int_equal(requests[1], 20);
	while (pop() >= 0) {
	}
	assert_int_equal(map_count(&line.flows), 0);
}

/* Three were counted beforehand, and the answer was somebody else's. */
static void what_was_not_needed_is_given_back(void **state) {
	(void)state;
	for (int i = 0; i < 4; i++) push(i, 1);
	for (int i = 20; i < 24; i++) push(i, 2);
	assert_int_equal(pop(), 0);
	line_charge(&line, 1, 3);
	line_charge(&line, 1, -3);
	line_charge(&line, 1, -3);
	line_charge(&line, 99, 5);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pop(), 20 + i);
		assert_int_equal(pop(), 1 + i);
	}
	assert_int_equal(pop(), 23);
}

/* Who has nothing to serve does not get rid of what he owes, until nobody waits at all. */
static void a_debt_lasts_as_long_as_others_wait(void **state) {
	(void)state;
	push(0, 1);
	for (int i = 20; i < 30; i++) push(i, 2);
	assert_int_equal(pop(), 0);
	line_charge(&line, 1, 5);
	assert_int_equal(pop(), 20);
	push(1, 1);
	for (int i = 21; i < 26; i++) assert_int_equal(pop(), i);
	assert_int_equal(pop(), 1);
	line_charge(&line, 1, 1000000);
	push(2, 1);
	list_remove(&objects[2].ready);
	for (int i = 26; i < 30; i++) assert_int_equal(pop(), i);
	line_reset(&line);
	assert_int_equal(map_count(&line.flows), 0);
	push(3, 1);
	push(4, 2);
	assert_int_equal(pop(), 3);
	assert_int_equal(pop(), 4);
}

static void whoever_leaves_is_not_missed(void **state) {
	(void)state;
	push(0, 1);
	push(1, 2);
	push(2, 1);
	list_remove(&objects[0].ready);
	list_remove(&objects[1].ready);
	/* Under another identity meanwhile. */
	list_remove(&objects[2].ready);
	push(2, 3);
	assert_int_equal(pop(), 2);
	assert_int_equal(pop(), -1);
	assert_int_equal(map_count(&line.flows), 0);
}

/* Without memory for its identity an object waits with others like it. */
static void nobody_is_lost_for_want_of_memory(void **state) {
	(void)state;
	for (uint64_t nth = 1; nth < 4; nth++) {
		mem_fail_at(nth);
		push(0, 11);
		push(1, 12);
		mem_fail_at(0);
		assert_int_equal(pop(), 0);
		assert_int_equal(pop(), 1);
		assert_int_equal(pop(), -1);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			one_object_does_not_wait_for_many_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(two_share_alike, setup, teardown),
		cmocka_unit_test_setup_teardown(shares_are_of_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_needed_is_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_debt_lasts_as_long_as_others_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(whoever_leaves_is_not_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_lost_for_want_of_memory, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
