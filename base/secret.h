/* base/secret.h - bytes that must never be printed, swapped, dumped or left behind.
 *
 * A struct secret has no printf path and no implicit pointer: the only reader is secret_expose(), so that
 * `git grep secret_expose` is the audit. Its memory comes from a locked arena (mmap, mlock, not dumped, wiped on fork)
 * and is cleansed on every release, growth included.
 *
 *                 | any thread | owner thread |
 *   arena create  |     x      |              |
 *   all others    |            |      x       |   one arena, one thread at a time
 *
 * A secret that is published to other threads (the pod's API token) lives in an arena of its own and is only read.
 */
#pragma once

#include <stdbool.h>

#include "base/encode.h"
#include "base/err.h"
#include "base/str.h"

struct secret_arena;

struct secret {
	struct secret_arena *_arena;
	char *_ptr;
	size_t _len;
	size_t _cap;
	size_t _max;
	enum err _err;
};

/* An arena that holds at most `max_bytes` (rounded up to pages; address space, committed as it is used).
 * Where the kernel refuses mlock (RLIMIT_MEMLOCK), the arena works unlocked and secret_arena_locked() says so.
 * NULL when out of memory. Destroying it with live secrets is a programmer error. */
struct secret_arena *secret_arena_create(size_t max_bytes);
void secret_arena_destroy(struct secret_arena *arena);
bool secret_arena_locked(const struct secret_arena *arena);
size_t secret_arena_used_bytes(const struct secret_arena *arena);

/* An empty secret of at most `max_bytes`, from `arena` (kept until deinit). Allocates nothing.
 * A zeroed struct secret is a valid, already deinitialised one. */
void secret_init(struct secret *secret, struct secret_arena *arena, size_t max_bytes);

/* Cleanses, frees, zeroes. Idempotent. */
void secret_deinit(struct secret *secret);

/* Cleanses and empties, clears the error; keeps arena and maximum. */
void secret_reset(struct secret *secret);

/* Sticky error as in struct buf. */
void secret_append(struct secret *secret, struct str s);
void secret_append_char(struct secret *secret, char c);
void secret_append_base64(struct secret *secret, struct str s); /* standard alphabet, padded */
void secret_append_json(struct secret *secret, struct str s); /* quoted JSON string */
void secret_append_url(struct secret *secret, struct str s); /* percent-encoded */
/* Drops the first `bytes` (at most the length); what moves down is cleansed where it stood. */
void secret_consume(struct secret *secret, size_t bytes);
/* Where encoders and decoders put their output: appended to `secret` (kept by the sink), errors in secret_err(). */
struct sink secret_sink(struct secret *secret);
enum err secret_err(const struct secret *secret);
size_t secret_len(const struct secret *secret);

/* Moves the content of `from` to an uninitialised or deinitialised `to`. */
void secret_move(struct secret *to, struct secret *from);

/* The bytes. Valid until the next change. Every call is a place to audit. */
struct str secret_expose(const struct secret *secret);

/* Constant-time comparison. */
bool secret_equal(const struct secret *a, const struct secret *b);
