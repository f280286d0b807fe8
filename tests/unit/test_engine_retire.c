/* engine/retire: nothing is freed before a grace period, nothing is forgotten, and the list never grows. */
#include "engine/retire.h"

#include "base/thread.h"
#include "tests/unit/unit.h"

static struct spc *make_spc(void) {
	struct spc *spc = mem_zalloc(sizeof *spc);
	atomic_init(&spc->ref, 1);
	return spc;
}

static void a_reference_of_somebody_else_outlives_the_flush(void **state) {
	static struct retire_list list;
	(void)state;
	struct spc *kept = make_spc();
	atomic_fetch_add(&kept->ref, 1);
	retire_spc(&list, kept);
	retire_spc(&list, make_spc());
	retire_spc(&list, NULL);
	retire_spec(&list, NULL);
	retire_object(&list, NULL);
	assert_int_equal(list._count, 2);
	assert_int_equal(kept->ref, 2);
	retire_flush(&list);
	assert_int_equal(list._count, 0);
	assert_int_equal(kept->ref, 1);
	retire_flush(&list);
	spc_unref(kept);
}

static void a_full_list_is_flushed(void **state) {
	static struct retire_list list;
	(void)state;
	for (int i = 0; i < RETIRE_MAX; i++) retire_spc(&list, make_spc());
	assert_int_equal(list._count, RETIRE_MAX);
	struct spec *spec = mem_zalloc(sizeof *spec);
	atomic_init(&spec->ref, 1);
	retire_spec(&list, spec);
	assert_int_equal(list._count, 1);
	struct object *object = NULL;
	struct queue queue;
	struct status status = { 0 };
	queue_init(&queue, NULL);
	assert_int_equal(object_create(STR("n/s"), STR("u"), &status, &queue, &object), OK);
	retire_object(&list, object);
	retire_flush(&list);
	assert_int_equal(list._count, 0);
	queue_deinit(&queue);
}

static int setup(void **state) {
	(void)state;
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	return 0;
}

static int teardown(void **state) {
	(void)state;
	rcu_thread_unregister();
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reference_of_somebody_else_outlives_the_flush),
		cmocka_unit_test(a_full_list_is_flushed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
