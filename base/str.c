#include "base/str.h"

#include <strings.h>

bool str_eq(struct str a, struct str b) {
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static unsigned char lower(char c) {
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_eq_nocase(struct str a, struct str b) {
	if (a.len != b.len) return false;
	for (size_t i = 0; i < a.len; i++) {
		if (lower(a.ptr[i]) != lower(b.ptr[i])) return false;
	}
	return true;
}

int str_cmp(struct str a, struct str b) {
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
	if (order) return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool str_starts(struct str s, struct str prefix) {
	return s.len >= prefix.len && str_eq(str_slice(s, 0, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix) {
	return s.len >= suffix.len && str_eq(str_slice(s, s.len - suffix.len, suffix.len), suffix);
}

bool str_ends_nocase(struct str s, struct str suffix) {
	return s.len >= suffix.len && str_eq_nocase(str_slice(s, s.len - suffix.len, suffix.len), suffix);
}

size_t str_find(struct str s, struct str needle) {
	if (needle.len == 0) return 0;
	const char *at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
	return at ? (size_t)(at - s.ptr) : SIZE_MAX;
}

size_t str_find_char(struct str s, char c) {
	const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
	return at ? (size_t)(at - s.ptr) : SIZE_MAX;
}

struct str str_slice(struct str s, size_t from, size_t len) {
	if (from > s.len) from = s.len;
	if (len > s.len - from) len = s.len - from;
	return (struct str){ s.ptr ? s.ptr + from : NULL, len };
}

static bool is_space(char c) {
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s) {
	while (s.len && is_space(s.ptr[0])) s = str_slice(s, 1, s.len);
	while (s.len && is_space(s.ptr[s.len - 1])) s.len--;
	return s;
}

struct str str_next(struct str *rest, char separator) {
	struct str all = *rest;
	size_t at = str_find_char(all, separator);
	if (at == SIZE_MAX) {
		*rest = STR_NULL;
		return all;
	}
	*rest = str_slice(all, at + 1, all.len);
	return str_slice(all, 0, at);
}

enum err str_to_u64(struct str s, uint64_t *out_value) {
	uint64_t value = 0;
	if (!s.len) return ERR_INVALID;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9') return ERR_INVALID;
		if (__builtin_mul_overflow(value, 10u, &value)) return ERR_INVALID;
		if (__builtin_add_overflow(value, (unsigned)(s.ptr[i] - '0'), &value)) return ERR_INVALID;
	}
	*out_value = value;
	return OK;
}

enum err str_to_i64(struct str s, int64_t *out_value) {
	uint64_t magnitude = 0;
	bool negative = s.len && s.ptr[0] == '-';
	if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+')) s = str_slice(s, 1, s.len);
	enum err err = str_to_u64(s, &magnitude);
	if (err) return err;
	if (magnitude > (uint64_t)INT64_MAX + negative) return ERR_INVALID;
	*out_value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return OK;
}
