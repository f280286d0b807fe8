#include "base/mem.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* Fault injection: counts down per thread. */
static _Thread_local uint64_t fail_in;
static _Thread_local int fail_reached;

void mem_fail_at(uint64_t nth) {
	fail_in = nth;
	fail_reached = 0;
}

int mem_fail_reached(void) {
	return fail_reached;
}

static bool must_fail(void) {
	if (fail_in == 0 || --fail_in > 0) return false;
	fail_reached = 1;
	return true;
}

void *mem_alloc(size_t size) {
	return must_fail() ? NULL : malloc(size ? size : 1);
}

void *mem_zalloc(size_t size) {
	return must_fail() ? NULL : calloc(1, size ? size : 1);
}

void *mem_array(size_t count, size_t size) {
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
	return mem_zalloc(bytes);
}

void *mem_realloc(void *ptr, size_t size) {
	return must_fail() ? NULL : realloc(ptr, size ? size : 1);
}

void mem_free(void *ptr) {
	free(ptr);
}

char *mem_strdup(struct str s) {
	char *copy = mem_alloc(s.len + 1);
	if (!copy) return NULL;
	if (s.len) memcpy(copy, s.ptr, s.len);
	copy[s.len] = 0;
	return copy;
}

/* --- wiped on free: the size stands in front of the block, in a whole alignment unit --- */

enum { HEAD_BYTES = 16 };

static size_t *head_of(void *ptr) {
	return (size_t *)((char *)ptr - HEAD_BYTES);
}

void *mem_wiped_alloc(size_t size) {
	if (size > SIZE_MAX - HEAD_BYTES) return NULL;
	char *block = mem_alloc(size + HEAD_BYTES);
	if (!block) return NULL;
	*(size_t *)block = size;
	return block + HEAD_BYTES;
}

void *mem_wiped_zalloc(size_t count, size_t size) {
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
	void *ptr = mem_wiped_alloc(bytes);
	if (ptr) memset(ptr, 0, bytes);
	return ptr;
}

void mem_wiped_free(void *ptr) {
	if (!ptr) return;
	size_t *head = head_of(ptr);
	OPENSSL_cleanse(ptr, *head);
	mem_free(head);
}

void *mem_wiped_realloc(void *ptr, size_t size) {
	if (!ptr) return mem_wiped_alloc(size);
	if (size == 0) {
		mem_wiped_free(ptr);
		return NULL;
	}
	void *moved = mem_wiped_alloc(size);
	if (!moved) return NULL;
	size_t old = *head_of(ptr);
	memcpy(moved, ptr, old < size ? old : size);
	mem_wiped_free(ptr);
	return moved;
}

char *mem_wiped_strdup(const char *text) {
	size_t bytes = strlen(text) + 1;
	char *copy = mem_wiped_alloc(bytes);
	if (copy) memcpy(copy, text, bytes);
	return copy;
}

/* OpenSSL names the caller's file and line; nobody needs them. */
static void *openssl_alloc(size_t size, const char *file, int line) {
	(void)file, (void)line;
	return mem_wiped_alloc(size);
}

static void *openssl_realloc(void *ptr, size_t size, const char *file, int line) {
	(void)file, (void)line;
	return mem_wiped_realloc(ptr, size);
}

static void openssl_free(void *ptr, const char *file, int line) {
	(void)file, (void)line;
	mem_wiped_free(ptr);
}

void mem_wipe_libraries(void) {
	cJSON_Hooks hooks = { .malloc_fn = mem_wiped_alloc, .free_fn = mem_wiped_free };
	int taken = CRYPTO_set_mem_functions(openssl_alloc, openssl_realloc, openssl_free);
	assert(taken == 1);
	CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_wiped_alloc, mem_wiped_free, mem_wiped_realloc,
		mem_wiped_strdup, mem_wiped_zalloc);
	assert(code == CURLE_OK);
	cJSON_InitHooks(&hooks);
	(void)taken, (void)code;
}
