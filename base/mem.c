#include "base/mem.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to here it is cheaper to wipe a block that somebody has had than to ask for a new one. */
enum { CACHED_BYTES = 4096 };

static _Thread_local uint64_t fail_countdown;
static _Thread_local int fail_reached;
static _Thread_local uint64_t failures;

static bool must_fail(void) {
	if (fail_countdown == 0 || --fail_countdown != 0) return false;
	fail_reached = 1;
	return true;
}

void mem_fail_at(uint64_t nth) {
	fail_countdown = nth;
	fail_reached = 0;
}

int mem_fail_reached(void) {
	return fail_reached;
}

uint64_t mem_failures(void) {
	return failures;
}

/* --- blocks that a thread keeps --- */

/* A class is GRAIN bytes wide; behind those up to KEPT_MOST_BYTES is that of libcurl's buffers, 16 KiB and a head. */
enum {
	GRAIN = 16,
	KEPT_MOST_BYTES = 4096,
	CLASSES = KEPT_MOST_BYTES / GRAIN + 1,
	BUFFER_CLASS = (16 << 10) / GRAIN + 1,
	KEPT_BYTES = 16 << 10, /* of a class; but for KEPT_LEAST blocks */
	KEPT_LEAST = 16,
};

struct kept {
	struct kept *next;
	const void *mark; /* MARK; the C library's own cache has one, too */
};

static const char MARK[1];

struct shelf {
	struct kept *first;
	unsigned count;
};

static _Thread_local struct {
	struct shelf shelves[CLASSES];
	bool on;
} keeper;

/* Blocks of class n have room for class_bytes(n), as the C library cuts them. */
static size_t class_for(size_t bytes) {
	return (bytes + GRAIN - 9) / GRAIN;
}

static size_t class_bytes(size_t class) {
	return GRAIN * class + 8;
}

static size_t class_of(void *block) {
	return (malloc_usable_size(block) - 8) / GRAIN;
}

static struct shelf *shelf_of(size_t class) {
	if (class == BUFFER_CLASS) return &keeper.shelves[0];
	return class && class < CLASSES ? &keeper.shelves[class] : NULL;
}

static size_t shelf_room(size_t class) {
	size_t count = KEPT_BYTES / GRAIN / class;
	return count > KEPT_LEAST ? count : KEPT_LEAST;
}

/* From the C library all of a class have the class's size. */
static void *get_block(size_t bytes) {
	size_t class = class_for(bytes);
	struct shelf *shelf = keeper.on ? shelf_of(class) : NULL;
	struct kept *block = shelf ? shelf->first : NULL;
	if (!block) return malloc(shelf ? class_bytes(class) : bytes);
	shelf->first = block->next;
	shelf->count--;
	block->mark = NULL;
	return block;
}

/* Two who own one block would read and wipe what is the other's. Others may have written the mark. */
static void refuse_second_free(const struct shelf *shelf, const struct kept *freed) {
	for (const struct kept *block = shelf->first; block; block = block->next) {
		if (block != freed) continue;
		fputs("kvsync: a block of memory was freed twice\n", stderr);
		abort();
	}
}

static void put_block(void *ptr, size_t class) {
	struct shelf *shelf = keeper.on ? shelf_of(class) : NULL;
	struct kept *block = ptr;
	if (shelf && block->mark == MARK) refuse_second_free(shelf, block);
	if (!shelf || shelf->count >= shelf_room(class)) {
		free(ptr);
		return;
	}
	*block = (struct kept){ shelf->first, MARK };
	shelf->first = block;
	shelf->count++;
}

void mem_keep_blocks(bool on) {
#ifndef __SANITIZE_ADDRESS__
	keeper.on = on;
#endif
	for (size_t i = 0; i < CLASSES && !on; i++) {
		for (struct kept *block; (block = keeper.shelves[i].first);) {
			keeper.shelves[i].first = block->next;
			free(block);
		}
		keeper.shelves[i].count = 0;
	}
}

/* --- allocations --- */

static void *counted(void *ptr) {
	if (!ptr) failures++;
	return ptr;
}

void *mem_alloc(size_t size) {
	return counted(must_fail() ? NULL : get_block(size ? size : 1));
}

void *mem_array(size_t count, size_t size) {
	if (must_fail() || (size && count > SIZE_MAX / size)) return counted(NULL);
	size_t bytes = count && size ? count * size : 1;
	if (bytes > CACHED_BYTES) return counted(calloc(1, bytes));
	void *ptr = counted(get_block(bytes));
	return ptr ? memset(ptr, 0, bytes) : NULL;
}

void *mem_zalloc(size_t size) {
	return mem_array(1, size);
}

void *mem_realloc(void *ptr, size_t size) {
	return counted(must_fail() ? NULL : realloc(ptr, size ? size : 1));
}

void mem_free(void *ptr) {
	if (ptr) put_block(ptr, keeper.on ? class_of(ptr) : 0);
}

char *mem_strdup(struct str s) {
	if (s.len == SIZE_MAX) return NULL;
	char *copy = mem_alloc(s.len + 1);
	if (!copy) return NULL;
	if (s.len) memcpy(copy, s.ptr, s.len);
	copy[s.len] = 0;
	return copy;
}

void mem_merge_at_free(void) {
#ifdef M_MXFAST
	mallopt(M_MXFAST, 0);
#endif
}

/* What stands in front of a wiped block. Aligned so that the block itself is aligned like malloc's. */
struct wiped {
	alignas(max_align_t) size_t size; /* of the block, without this head */
};

static struct wiped *wiped_head(void *ptr) {
	return (struct wiped *)ptr - 1;
}

void *mem_wiped_alloc(size_t size) {
	if (size > SIZE_MAX - sizeof(struct wiped)) return NULL;
	struct wiped *head = mem_alloc(sizeof(*head) + size);
	if (!head) return NULL;
	head->size = size;
	return head + 1;
}

void *mem_wiped_zalloc(size_t count, size_t size) {
	if (size && count > SIZE_MAX / size) return NULL;
	void *ptr = mem_wiped_alloc(count * size);
	if (ptr) memset(ptr, 0, count * size);
	return ptr;
}

/* Never realloc(): that could leave the old bytes behind where nobody can wipe them. */
void *mem_wiped_realloc(void *ptr, size_t size) {
	void *moved = mem_wiped_alloc(size);
	if (!ptr || !moved) return moved;
	size_t old = wiped_head(ptr)->size;
	memcpy(moved, ptr, old < size ? old : size);
	mem_wiped_free(ptr);
	return moved;
}

char *mem_wiped_strdup(const char *text) {
	size_t size = strlen(text) + 1;
	char *copy = mem_wiped_alloc(size);
	if (copy) memcpy(copy, text, size);
	return copy;
}

void mem_wiped_free(void *ptr) {
	if (!ptr) return;
	struct wiped *head = wiped_head(ptr);
	/* Several times faster than OPENSSL_cleanse() on the 16 KiB buffers of libcurl. */
	explicit_bzero(head, sizeof(*head) + head->size);
	mem_free(head);
}

static void *openssl_alloc(size_t size, const char *file, int line) {
	(void)file, (void)line;
	return mem_wiped_alloc(size);
}

/* OpenSSL expects of its own CRYPTO_realloc that size 0 frees. */
static void *openssl_realloc(void *ptr, size_t size, const char *file, int line) {
	(void)file, (void)line;
	if (size) return mem_wiped_realloc(ptr, size);
	mem_wiped_free(ptr);
	return NULL;
}

static void openssl_free(void *ptr, const char *file, int line) {
	(void)file, (void)line;
	mem_wiped_free(ptr);
}

static void require(bool accepted, const char *library) {
	if (accepted) return;
	fprintf(stderr,
		"kvsync: %s refused the allocator that wipes memory; it was in use before\n",
		library);
	abort();
}

/* libcurl comes last because its initialisation allocates from OpenSSL. The reference that it takes here is never given
 * back, on purpose: when the count falls to zero, the next curl_global_init() would restore libcurl's own allocator. Users of
 * libcurl balance their curl_global_init() with their curl_global_cleanup() above this one. */
void mem_wipe_libraries(void) {
	require(CRYPTO_set_mem_functions(openssl_alloc, openssl_realloc, openssl_free), "OpenSSL");
	cJSON_InitHooks(&(cJSON_Hooks){ mem_wiped_alloc, mem_wiped_free });
	CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_wiped_alloc, mem_wiped_free,
		mem_wiped_realloc, mem_wiped_strdup, mem_wiped_zalloc);
	require(code == CURLE_OK, "libcurl");
}
