/* base/intern: one value per key, counted; what nobody uses goes while others are added. */
#include "base/intern.h"

#include <stdio.h>

#include "base/mem.h"
#include "unit.h"

struct value {
	struct interned interned;
	int number;
	char key[16];
};

static const struct hash_key hash_key = { 1, 2 };

static struct value *make(int number) {
	struct value *value = mem_zalloc(sizeof *value);
	assert_non_null(value);
	value->number = number;
	snprintf(value->key, sizeof value->key, "key-%d", number);
	return value;
}

static struct value *find(struct intern *table, int number) {
	char key[16];
	snprintf(key, sizeof key, "key-%d", number);
	return (struct value *)intern_find(table, str_of(key));
}

static struct value *add(struct intern *table, int number) {
	struct value *value = make(number);
	assert_int_equal(intern_add(table, &value->interned, str_of(value->key)), OK);
	return value;
}

static void equal_keys_share_one_value(void **state) {
	struct intern table;
	(void)state;
	intern_init(&table, hash_key);
	assert_null(find(&table, 1));
	struct value *one = add(&table, 1), *two = add(&table, 2);
	assert_ptr_equal(find(&table, 1), one);
	assert_ptr_equal(find(&table, 2), two);
	assert_int_equal(intern_count(&table), 2);
	for (int i = 0; i < 2; i++) interned_put(&one->interned), interned_put(&two->interned);
	interned_put(NULL);
	intern_deinit(&table);
}

/* Who has one keeps it, whatever becomes of the table. */
static void a_value_outlives_its_table(void **state) {
	struct intern table;
	(void)state;
	intern_init(&table, hash_key);
	struct value *one = add(&table, 1);
	intern_deinit(&table);
	assert_int_equal(one->number, 1);
	interned_put(&one->interned);
}

/* A value that nobody has is still found until it is looked at; the table does not grow with what came and went. */
static void what_nobody_uses_goes(void **state) {
	struct intern table;
	(void)state;
	intern_init(&table, hash_key);
	struct value *kept = add(&table, 0), *unused = add(&table, 1);
	interned_put(&unused->interned);
	assert_ptr_equal(find(&table, 1), unused);
	interned_put(&unused->interned);
	for (int i = 2; i < 1000; i++) {
		interned_put(&add(&table, i)->interned);
		assert_in_range(intern_count(&table), 2, 4);
	}
	assert_null(find(&table, 1));
	assert_ptr_equal(find(&table, 0), kept);
	for (int i = 0; i < 2; i++) interned_put(&kept->interned);
	intern_deinit(&table);
}

static void without_a_table_nobody_shares(void **state) {
	(void)state;
	struct value *value = make(1);
	assert_int_equal(intern_add(NULL, &value->interned, str_of(value->key)), OK);
	interned_put(&value->interned);
}

static void without_memory_it_stays_the_callers(void **state) {
	struct intern table;
	(void)state;
	intern_init(&table, hash_key);
	struct value *value = make(1);
	mem_fail_at(1);
	assert_int_equal(intern_add(&table, &value->interned, str_of(value->key)), ERR_NOMEM);
	mem_fail_at(0);
	assert_null(find(&table, 1));
	mem_free(value);
	intern_deinit(&table);
}

static void texts_of_a_key_do_not_run_into_one_another(void **state) {
	struct buf a, b;
	(void)state;
	buf_init(&a, 100);
	buf_init(&b, 100);
	intern_key_add(&a, STR("ab"));
	intern_key_add(&a, STR(""));
	intern_key_add(&a, STR("c"));
	intern_key_add(&b, STR("a"));
	intern_key_add(&b, STR("b"));
	intern_key_add(&b, STR("c"));
	assert_false(str_eq(buf_str(&a), buf_str(&b)));
	struct str rest = buf_str(&a);
	assert_str(intern_key_next(&rest), "ab");
	assert_str(intern_key_next(&rest), "");
	assert_str(intern_key_next(&rest), "c");
	assert_int_equal(rest.len, 0);
	buf_deinit(&a);
	buf_deinit(&b);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_keys_share_one_value),
		cmocka_unit_test(a_value_outlives_its_table),
		cmocka_unit_test(what_nobody_uses_goes),
		cmocka_unit_test(without_a_table_nobody_shares),
		cmocka_unit_test(without_memory_it_stays_the_callers),
		cmocka_unit_test(texts_of_a_key_do_not_run_into_one_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
