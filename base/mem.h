/* base/mem.h - every allocation of the program, so that tests can make the k-th one fail.
 *
 * All functions may be called from any thread. Sizes in bytes. A failed allocation returns NULL; callers in the
 * data path turn that into ERR_NOMEM and survive it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Moves a pointer: yields it and leaves NULL behind. */
#define take(p)                         \
	({                              \
		__typeof__(p) t_ = (p); \
		(p) = NULL;             \
		t_;                     \
	})

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

void *mem_alloc(size_t size); /* uninitialised; size 0 is served as 1 */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_array(size_t count, size_t size); /* zeroed; NULL on overflow */
void *mem_realloc(void *ptr, size_t size);
void mem_free(void *ptr); /* NULL is fine */
char *mem_strdup(struct str s); /* NUL-terminated copy */

/* How many allocations of this thread have failed so far: libraries that fail do not always say that memory was short. */
uint64_t mem_failures(void);

/* Has small blocks merged with their neighbours when they are freed. The C library would let them lie, and at a later free do it
 * for all of them at once: with half a million objects gone that is a tenth of a second. Once, early in main(). */
void mem_merge_at_free(void);

/* From now on this thread keeps what it frees, up to a few blocks of each size, for its next allocations: an exchange makes hundreds,
 * of which the C library's own cache takes seven of a size. False: it keeps nothing any more, and what it kept is free; before the
 * thread ends. With AddressSanitizer, which is to see every block come and go, it does nothing. */
void mem_keep_blocks(bool keep);

/* Allocator that wipes memory when it is freed or moved, for the heaps of libraries that see plaintext.
 * mem_wipe_libraries() hands it to OpenSSL, libcurl and cJSON; it must be the first thing that main() does,
 * and aborts when one of them refuses. */
void *mem_wiped_alloc(size_t size);
void *mem_wiped_zalloc(size_t count, size_t size);
void *mem_wiped_realloc(void *ptr, size_t size);
char *mem_wiped_strdup(const char *text);
void mem_wiped_free(void *ptr);
void mem_wipe_libraries(void);

/* Tests only by their nature, compiled in always because they cost one relaxed load: after mem_fail_at(k) the k-th
 * following allocation of this thread (1 = next) fails, once. 0 switches it off. mem_fail_reached() tells whether it came to that. */
void mem_fail_at(uint64_t nth);
int mem_fail_reached(void);
