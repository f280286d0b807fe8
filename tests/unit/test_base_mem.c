#include "unit.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Looks at a block when it goes back to the heap. */
static const void *watch;
static size_t watch_bytes;
static bool watch_was_zero;

static void watched_free(void *ptr) {
	if (ptr && ptr == watch) {
		watch_was_zero = true;
		for (size_t i = 0; i < watch_bytes; i++)
			watch_was_zero &= ((const char *)ptr)[i] == 0;
	}
	free(ptr);
}

#define free watched_free
#include "base/mem.c"
#undef free

static void test_take_moves(void **state) {
	(void)state;
	int x;
	int *p = &x;
	assert_ptr_equal(take(p), &x);
	assert_null(p);
}

static void test_sizes(void **state) {
	(void)state;
	void *none = mem_alloc(0);
	assert_non_null(none);
	none = mem_realloc(none, 0);
	assert_non_null(none);
	mem_free(none);
	mem_free(NULL);
	unsigned char *zeroed = mem_zalloc(100);
	for (int i = 0; i < 100; i++) assert_int_equal(zeroed[i], 0);
	mem_free(zeroed);
	void *empty = mem_array(0, 8);
	assert_non_null(empty);
	mem_free(empty);
	assert_null(mem_array(SIZE_MAX / 2, 3));
	char *copy = mem_strdup((struct str){ "a\0b", 3 });
	assert_memory_equal(copy, "a\0b", 4);
	mem_free(copy);
	copy = mem_strdup(STR_NULL);
	assert_string_equal(copy, "");
	mem_free(copy);
}

/* AddressSanitizer sees every block come and go: nothing is kept then. */
#ifndef __SANITIZE_ADDRESS__
/* What is kept is served again, to whoever fits in. */
static void test_blocks_are_kept(void **state) {
	(void)state;
	mem_keep_blocks(true);
	for (size_t bytes = 16; bytes <= 4096; bytes++) {
		void *first = mem_alloc(bytes), *second = mem_alloc(bytes);
		uintptr_t was = (uintptr_t)first;
		assert_true(malloc_usable_size(first) >= bytes);
		memset(first, 'x', bytes);
		mem_free(first);
		free(malloc(bytes)); /* the C library's own cache would have served it */
		unsigned char *again = mem_array(1, bytes);
		assert_true((uintptr_t)again == was);
		for (size_t i = 0; i < bytes; i++) assert_int_equal(again[i], 0);
		mem_free(again);
		mem_free(second);
	}
	/* As libcurl asks for its buffers. */
	void *buffer = mem_wiped_alloc((16 << 10) + 1);
	uintptr_t was = (uintptr_t)buffer;
	mem_wiped_free(buffer);
	buffer = mem_wiped_alloc(16 << 10);
	assert_true((uintptr_t)buffer == was);
	mem_wiped_free(buffer);
	mem_keep_blocks(false);
	for (size_t i = 0; i < CLASSES; i++) assert_null(keeper.shelves[i].first);
}

/* How a process ends that does it. */
static int ended_by(void (*act)(void)) {
	int status = 0;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_DUMPABLE, 0);
		close(STDERR_FILENO);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void free_twice(void) {
	mem_keep_blocks(true);
	void *block = mem_alloc(100), *other = mem_alloc(100);
	mem_free(block);
	mem_free(other);
	mem_free(block);
}

/* Somebody has written what is written in freed blocks. */
static void free_what_looks_freed(void) {
	mem_keep_blocks(true);
	struct kept *block = mem_alloc(100);
	mem_free(mem_alloc(100));
	block->mark = MARK;
	mem_free(block);
	mem_free(mem_alloc(100));
}

static void test_nobody_frees_twice(void **state) {
	(void)state;
	assert_int_equal(ended_by(free_twice), SIGABRT);
	assert_int_equal(ended_by(free_what_looks_freed), 0);
}

static void test_no_more_is_kept_than_a_shelf_holds(void **state) {
	enum { BLOCKS = 3000 };
	static void *blocks[BLOCKS];
	(void)state;
	for (size_t bytes = 32; bytes <= 4096; bytes *= 2) {
		mem_keep_blocks(true);
		for (int i = 0; i < BLOCKS; i++) blocks[i] = mem_alloc(bytes);
		for (int i = 0; i < BLOCKS; i++) mem_free(blocks[i]);
		size_t kept = 0;
		for (struct kept *block = shelf_of(class_for(bytes))->first; block; block = block->next) kept++;
		assert_true(kept >= 16 && kept * bytes <= 64 << 10 && kept <= 1024);
		mem_keep_blocks(false);
	}
	/* Who keeps nothing gives everything back. */
	void *block = mem_alloc(100);
	mem_free(block);
	assert_null(shelf_of(class_for(100))->first);
	mem_keep_blocks(true);
	mem_free(mem_alloc(5000));
	mem_free(NULL);
	mem_keep_blocks(false);
}
#endif

static void test_the_nth_fails_once(void **state) {
	(void)state;
	mem_fail_at(3);
	void *a = mem_alloc(1), *b = mem_zalloc(1);
	assert_non_null(a);
	assert_non_null(b);
	assert_false(mem_fail_reached());
	assert_null(mem_realloc(a, 100));
	assert_true(mem_fail_reached());
	a = mem_realloc(a, 100);
	assert_non_null(a);
	mem_fail_at(1);
	assert_null(mem_strdup(STR("x")));
	mem_fail_at(1);
	assert_null(mem_wiped_alloc(1));
	mem_fail_at(1);
	mem_fail_at(0);
	char *c = mem_strdup(STR("x"));
	assert_non_null(c);
	assert_false(mem_fail_reached());
	mem_free(a);
	mem_free(b);
	mem_free(c);
}

static void test_wiped_keeps_content(void **state) {
	(void)state;
	char *text = mem_wiped_strdup("canary");
	assert_string_equal(text, "canary");
	assert_int_equal((uintptr_t)text % alignof(max_align_t), 0);
	text = mem_wiped_realloc(text, 10000);
	assert_string_equal(text, "canary");
	text = mem_wiped_realloc(text, 3);
	assert_memory_equal(text, "can", 3);
	mem_fail_at(1);
	assert_null(mem_wiped_realloc(text, 100));
	assert_memory_equal(text, "can", 3);
	mem_wiped_free(text);
	mem_wiped_free(NULL);
	char *fresh = mem_wiped_realloc(NULL, 5);
	assert_non_null(fresh);
	mem_wiped_free(fresh);
	unsigned char *zeroed = mem_wiped_zalloc(10, 10);
	for (int i = 0; i < 100; i++) assert_int_equal(zeroed[i], 0);
	mem_wiped_free(zeroed);
	assert_null(mem_wiped_zalloc(SIZE_MAX / 2, 3));
	assert_null(mem_wiped_alloc(SIZE_MAX));
}

/* Free and realloc are watched through the one door to the heap: what they give back must be zero already. */
static void test_wiped_wipes(void **state) {
	(void)state;
	char *text = mem_wiped_strdup("canary");
	watch = wiped_head(text);
	watch_bytes = sizeof(struct wiped) + 7;
	text = mem_wiped_realloc(text, 1000);
	assert_true(watch_was_zero);
	watch = wiped_head(text);
	watch_bytes = sizeof(struct wiped) + 1000;
	watch_was_zero = false;
	mem_wiped_free(text);
	assert_true(watch_was_zero);
	watch = NULL;
}

static uint64_t head_size(void *ptr) {
	return wiped_head(ptr)->size;
}

static void test_libraries_use_it(void **state) {
	(void)state;
	mem_wipe_libraries();
	void *openssl = OPENSSL_malloc(123);
	assert_int_equal(head_size(openssl), 123);
	openssl = OPENSSL_realloc(openssl, 456);
	assert_int_equal(head_size(openssl), 456);
	assert_null(OPENSSL_realloc(openssl, 0));
	cJSON *item = cJSON_CreateString("canary");
	assert_int_equal(head_size(item->valuestring), 7);
	cJSON_Delete(item);
	/* A second user of libcurl comes and goes: the allocator stays ours. */
	assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), CURLE_OK);
	curl_global_cleanup();
	char *escaped = curl_easy_escape(NULL, "a b", 3);
	assert_string_equal(escaped, "a%20b");
	assert_true(head_size(escaped) >= 6 && head_size(escaped) < 4096);
	curl_free(escaped);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_moves),
		cmocka_unit_test(test_sizes),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(test_blocks_are_kept),
		cmocka_unit_test(test_nobody_frees_twice),
		cmocka_unit_test(test_no_more_is_kept_than_a_shelf_holds),
#endif
		cmocka_unit_test(test_the_nth_fails_once),
		cmocka_unit_test(test_wiped_keeps_content),
		cmocka_unit_test(test_wiped_wipes),
		cmocka_unit_test(test_libraries_use_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
