#include "base/str.h"

#include <assert.h>

static unsigned char lower(char c) {
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool str_eq_nocase(struct str a, struct str b) {
	assert(str_is_sound(a) && str_is_sound(b));
	if (a.len != b.len) return false;
	if (!a.len || !memcmp(a.ptr, b.ptr, a.len)) return true; /* what is compared is so mostly */
	for (size_t i = 0; i < a.len; i++) {
		if (lower(a.ptr[i]) != lower(b.ptr[i])) return false;
	}
	return true;
}

int str_cmp(struct str a, struct str b) {
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
	if (order) return order;
	return (a.len > b.len) - (a.len < b.len);
}

bool str_ends(struct str s, struct str suffix) {
	return s.len >= suffix.len && str_eq(str_slice(s, s.len - suffix.len, suffix.len), suffix);
}

bool str_ends_nocase(struct str s, struct str suffix) {
	return s.len >= suffix.len &&
	       str_eq_nocase(str_slice(s, s.len - suffix.len, suffix.len), suffix);
}

size_t str_find(struct str s, struct str needle) {
	if (needle.len == 0) return 0;
	if (needle.len > s.len) return SIZE_MAX;
	const char *found = memmem(s.ptr, s.len, needle.ptr, needle.len);
	return found ? (size_t)(found - s.ptr) : SIZE_MAX;
}

static bool is_blank(char c) {
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s) {
	while (s.len && is_blank(s.ptr[0])) s = str_slice(s, 1, s.len);
	while (s.len && is_blank(s.ptr[s.len - 1])) s.len--;
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

/* Digits only, at least one, value at most `max`. */
static enum err digits_to_u64(struct str s, uint64_t max, uint64_t *out_value) {
	uint64_t value = 0;
	assert(str_is_sound(s));
	if (s.len == 0) return ERR_INVALID;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9') return ERR_INVALID;
		uint64_t digit = (uint64_t)(s.ptr[i] - '0');
		if (value > (max - digit) / 10) return ERR_INVALID;
		value = value * 10 + digit;
	}
	*out_value = value;
	return OK;
}

enum err str_to_u64(struct str s, uint64_t *out_value) {
	return digits_to_u64(s, UINT64_MAX, out_value);
}

enum err str_to_i64(struct str s, int64_t *out_value) {
	bool negative = s.len && s.ptr[0] == '-';
	uint64_t value;
	enum err err = digits_to_u64(negative ? str_slice(s, 1, s.len) : s,
		negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, &value);
	if (err) return err;
	*out_value = negative ? (int64_t)(0 - value) : (int64_t)value;
	return OK;
}
