#include "unit.h"

#include "base/list.h"
#include "base/mem.h"

struct thing {
	struct list link;
	int number;
};

static struct thing things[6];

static void fill(struct list *head, int from, int to) {
	for (int i = from; i < to; i++) {
		things[i] = (struct thing){ .number = i };
		list_push_back(head, &things[i].link);
	}
}

static void check(const struct list *head, const char *expected) {
	char numbers[16] = "";
	size_t len = 0;
	for (struct list *node = head->_next; node != head; node = node->_next) {
		assert_ptr_equal(node->_next->_prev, node);
		numbers[len++] = (char)('0' + container_of(node, struct thing, link)->number);
	}
	numbers[len] = 0;
	assert_string_equal(numbers, expected);
}

static void test_push_and_pop(void **state) {
	(void)state;
	struct list head;
	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_null(list_first(&head));
	assert_null(list_pop(&head));
	fill(&head, 0, 3);
	assert_ptr_equal(list_next(&head, &things[0].link), &things[1].link);
	assert_null(list_next(&head, &things[2].link));
	things[3] = (struct thing){ .number = 3 };
	assert_false(list_is_linked(&things[3].link));
	list_push_front(&head, &things[3].link);
	assert_true(list_is_linked(&things[3].link));
	check(&head, "3012");
	assert_ptr_equal(list_pop(&head), &things[3].link);
	assert_false(list_is_linked(&things[3].link));
	check(&head, "012");
}

static void test_remove(void **state) {
	(void)state;
	struct list head;
	list_init(&head);
	fill(&head, 0, 3);
	list_remove(&things[1].link);
	list_remove(&things[1].link);
	check(&head, "02");
	struct thing zeroed = { 0 };
	list_remove(&zeroed.link);
	list_remove(&things[0].link);
	list_remove(&things[2].link);
	assert_true(list_is_empty(&head));
}

static void test_splice(void **state) {
	(void)state;
	struct list a, b;
	list_init(&a);
	list_init(&b);
	list_splice(&a, &b);
	assert_true(list_is_empty(&a));
	fill(&b, 0, 2);
	list_splice(&a, &b);
	check(&a, "01");
	assert_true(list_is_empty(&b));
	fill(&b, 2, 4);
	list_splice(&a, &b);
	check(&a, "0123");
	list_splice(&a, &b);
	check(&a, "0123");
}

static void test_for_each_safe_may_unlink(void **state) {
	(void)state;
	struct list head;
	list_init(&head);
	fill(&head, 0, 5);
	list_for_each_safe (node, &head) {
		if (container_of(node, struct thing, link)->number % 2 == 0) list_remove(node);
	}
	check(&head, "13");
	int sum = 0;
	list_for_each (node, &head) sum += container_of(node, struct thing, link)->number;
	assert_int_equal(sum, 4);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_and_pop),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_splice),
		cmocka_unit_test(test_for_each_safe_may_unlink),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
