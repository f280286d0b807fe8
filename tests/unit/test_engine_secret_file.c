/* engine/secret_file: every byte, straight into secret memory, or an error that names the file. */
#include "engine/secret_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/unit.h"

static char path[] = "/tmp/kvsync-secret-file-XXXXXX";
static struct secret_arena *arena;

static void fill(const char *bytes, size_t len) {
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
}

static void every_byte_arrives(void **state) {
	static char bytes[10000];
	struct secret secret;
	struct fault fault = { 0 };
	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7);
	fill(bytes, sizeof bytes);
	secret_init(&secret, arena, sizeof bytes);
	assert_int_equal(secret_file_read(path, &secret, &fault), OK);
	assert_int_equal(secret_len(&secret), sizeof bytes);
	assert_memory_equal(secret_expose(&secret).ptr, bytes, sizeof bytes);
	secret_deinit(&secret);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

static void what_cannot_be_read_is_named(void **state) {
	struct secret secret;
	struct fault fault = { 0 };
	(void)state;
	secret_init(&secret, arena, 100);
	assert_int_equal(secret_file_read("/nonexistent/x", &secret, &fault), ERR_IO);
	assert_string_equal(fault.text, "/nonexistent/x cannot be opened: No such file or directory");
	assert_int_equal(secret_file_read("/tmp", &secret, &fault), ERR_IO);
	assert_string_equal(fault.text, "/tmp cannot be read: Is a directory");
	fill("s3cret", 6);
	secret_deinit(&secret);
	secret_init(&secret, arena, 5);
	assert_int_equal(secret_file_read(path, &secret, &fault), ERR_TOO_LARGE);
	assert_non_null(strstr(fault.text, "is too large"));
	assert_null(strstr(fault.text, "s3cret"));
	secret_deinit(&secret);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

static int setup(void **state) {
	(void)state;
	int file = mkstemp(path);
	arena = secret_arena_create(1 << 20);
	return file < 0 || !arena || close(file);
}

static int teardown(void **state) {
	(void)state;
	secret_arena_destroy(arena);
	return unlink(path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_arrives),
		cmocka_unit_test(what_cannot_be_read_is_named),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
