/* base/str.h - a borrowed run of bytes: pointer and length, passed by value.
 *
 * Bytes, not text: NUL has no meaning. A str never owns what it points to.
 * All functions are pure and may be called from any thread.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct str {
	const char *ptr; /* may be NULL when len is 0 */
	size_t len; /* bytes */
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_ARG(s) (int)(s).len, (s).ptr
#define STR_NULL ((struct str){ NULL, 0 })

/* A NUL-terminated string as a str; NULL becomes the empty str. */
static inline struct str str_of(const char *text) {
	return (struct str){ text, text ? strlen(text) : 0 };
}

/* No pointer, no bytes. */
static inline bool str_is_sound(struct str s) {
	return s.ptr || s.len == 0;
}

static inline bool str_eq(struct str a, struct str b) {
	assert(str_is_sound(a) && str_is_sound(b));
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII case only */
int str_cmp(struct str a, struct str b); /* bytewise order, <0, 0, >0 */
bool str_ends(struct str s, struct str suffix);
bool str_ends_nocase(struct str s, struct str suffix);

/* Offset of the first occurrence, or SIZE_MAX. */
size_t str_find(struct str s, struct str needle);
static inline size_t str_find_char(struct str s, char c) {
	const char *found = s.len ? (const char *)memchr(s.ptr, c, s.len) : NULL;
	return found ? (size_t)(found - s.ptr) : SIZE_MAX;
}

/* The part from `from` (clamped) with at most `len` bytes. */
static inline struct str str_slice(struct str s, size_t from, size_t len) {
	if (from > s.len) from = s.len;
	if (len > s.len - from) len = s.len - from;
	/* To no pointer nothing is added, not even 0. */
	return (struct str){ from ? s.ptr + from : s.ptr, len };
}

static inline bool str_starts(struct str s, struct str prefix) {
	return s.len >= prefix.len && str_eq(str_slice(s, 0, prefix.len), prefix);
}

/* Without leading and trailing blanks, tabs, CR, LF, VT and FF. */
struct str str_trim(struct str s);

/* Cuts `*rest` at the first `separator`: returns what stands before it and moves `*rest` behind it.
 * Without a separator returns all of it and leaves `*rest` with ptr NULL. Loop while rest.ptr. */
struct str str_next(struct str *rest, char separator);

/* Whole-string decimal integers; ERR_INVALID on anything else, overflow included. */
enum err str_to_i64(struct str s, int64_t *out_value);
enum err str_to_u64(struct str s, uint64_t *out_value);
