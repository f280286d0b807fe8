/* base/secret_arena.h - the memory behind struct secret; for base/secret.c alone.
 *
 * One mapping, cut into pages of 4 KiB that are committed (and locked) from the front in chunks as they are needed:
 *
 *   | slots 64 | slots 1024 | run of 7 pages ...... | free run ... | slots 64 | unused .................... |
 *                                                                             ^ top        ^ committed
 *
 * Small blocks are slots of a power of two in a page, large ones runs of pages. What describes pages stands outside of the
 * mapping, so that a written-over secret cannot break the allocator, and the mapping holds secrets only.
 */
#pragma once

#include "base/secret.h"

/* A block of at least `bytes` (> 0), and its true size. NULL when the arena is full. */
char *secret_arena_alloc(struct secret_arena *arena, size_t bytes, size_t *out_bytes);

/* Cleanses all of the block and frees it. */
void secret_arena_free(struct secret_arena *arena, char *block);
