#include "unit.h"

#include "base/mem.h"
#include "base/secret.h"

static struct secret_arena *arena;

static int setup(void **state) {
	(void)state;
	arena = secret_arena_create(4 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state) {
	(void)state;
	assert_int_equal(secret_arena_used_bytes(arena), 0);
	secret_arena_destroy(arena);
	return 0;
}

static void test_append_and_grow(void **state) {
	(void)state;
	struct secret secret;
	secret_init(&secret, arena, 1 << 20);
	assert_int_equal(secret_len(&secret), 0);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
	for (int i = 0; i < 1 << 20; i++) secret_append_char(&secret, (char)i);
	assert_int_equal(secret_err(&secret), OK);
	assert_int_equal(secret_len(&secret), 1 << 20);
	for (int i = 0; i < 1 << 20; i += 4099)
		assert_int_equal(secret_expose(&secret).ptr[i], (char)i);
	/* One block is held, not those it grew out of. */
	assert_true(secret_arena_used_bytes(arena) < (2 << 20));
	secret_append_char(&secret, 'x');
	assert_int_equal(secret_err(&secret), ERR_TOO_LARGE);
	assert_int_equal(secret_len(&secret), 1 << 20);
	secret_reset(&secret);
	assert_int_equal(secret_err(&secret), OK);
	assert_int_equal(secret_len(&secret), 0);
	secret_append(&secret, STR("again"));
	assert_str(secret_expose(&secret), "again");
	secret_deinit(&secret);
	secret_deinit(&secret);
}

static void test_small_maximum_counts_bytes_not_blocks(void **state) {
	(void)state;
	struct secret secret;
	secret_init(&secret, arena, 3);
	secret_append(&secret, STR("ab"));
	secret_append(&secret, STR("cd"));
	assert_int_equal(secret_err(&secret), ERR_TOO_LARGE);
	secret_append(&secret, STR("c"));
	assert_str(secret_expose(&secret), "ab");
	secret_deinit(&secret);
}

static void test_zeroed(void **state) {
	(void)state;
	struct secret secret = { 0 };
	secret_append(&secret, STR("a"));
	assert_int_equal(secret_err(&secret), ERR_TOO_LARGE);
	secret_reset(&secret);
	secret_deinit(&secret);
}

static void test_full_arena(void **state) {
	(void)state;
	struct secret a, b;
	secret_init(&a, arena, SIZE_MAX);
	secret_init(&b, arena, SIZE_MAX);
	static char bytes[3 << 20];
	secret_append(&a, (struct str){ bytes, sizeof(bytes) });
	assert_int_equal(secret_err(&a), OK);
	secret_append(&b, STR("kept"));
	secret_append(&b, (struct str){ bytes, sizeof(bytes) });
	assert_int_equal(secret_err(&b), ERR_NOMEM);
	assert_str(secret_expose(&b), "kept");
	secret_deinit(&a);
	secret_reset(&b);
	secret_append(&b, (struct str){ bytes, sizeof(bytes) });
	assert_int_equal(secret_err(&b), OK);
	secret_deinit(&b);
}

static void test_encoders(void **state) {
	(void)state;
	struct secret secret;
	secret_init(&secret, arena, 100);
	secret_append_json(&secret, STR("a\n\xff"));
	secret_append_url(&secret, STR("a/b"));
	secret_append_base64(&secret, STR("foob"));
	assert_str(secret_expose(&secret), "\"a\\n\xef\xbf\xbd\"a%2FbZm9vYg==");
	secret_deinit(&secret);
}

static void test_move(void **state) {
	(void)state;
	struct secret a, b;
	secret_init(&a, arena, 10);
	secret_append(&a, STR("value"));
	secret_move(&b, &a);
	assert_str(secret_expose(&b), "value");
	assert_int_equal(secret_len(&a), 0);
	secret_append(&a, STR("other"));
	assert_str(secret_expose(&a), "other");
	assert_str(secret_expose(&b), "value");
	secret_deinit(&a);
	secret_deinit(&b);
}

static void test_consume(void **state) {
	(void)state;
	struct secret secret;
	secret_init(&secret, arena, 10);
	secret_append(&secret, STR("abcdef"));
	secret_consume(&secret, 0);
	secret_consume(&secret, 2);
	assert_str(secret_expose(&secret), "cdef");
	/* What moved down does not stand behind the end as well. */
	assert_memory_equal(secret_expose(&secret).ptr + 4, "\0", 2);
	secret_append(&secret, STR("gh"));
	assert_str(secret_expose(&secret), "cdefgh");
	secret_consume(&secret, 100);
	assert_int_equal(secret_len(&secret), 0);
	secret_deinit(&secret);
}

static void test_equal(void **state) {
	(void)state;
	struct secret a, b, none = { 0 };
	secret_init(&a, arena, 10);
	secret_init(&b, arena, 20);
	assert_true(secret_equal(&a, &b));
	assert_true(secret_equal(&a, &none));
	secret_append(&a, STR("abc"));
	assert_false(secret_equal(&a, &b));
	secret_append(&b, STR("abd"));
	assert_false(secret_equal(&a, &b));
	secret_reset(&b);
	secret_append(&b, STR("abc"));
	assert_true(secret_equal(&a, &b));
	secret_append(&b, STR("d"));
	assert_false(secret_equal(&a, &b));
	secret_deinit(&a);
	secret_deinit(&b);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_append_and_grow, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_small_maximum_counts_bytes_not_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zeroed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_arena, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encoders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_consume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_equal, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
