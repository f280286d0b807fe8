#include "base/secret.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/encode.h"
#include "base/mem.h"
#include "base/secret_arena.h"

void secret_init(struct secret *secret, struct secret_arena *arena, size_t max_bytes) {
	assert(arena);
	*secret = (struct secret){ ._arena = arena, ._max = max_bytes };
}

void secret_reset(struct secret *secret) {
	if (secret->_ptr) secret_arena_free(secret->_arena, take(secret->_ptr));
	secret->_len = 0;
	secret->_cap = 0;
	secret->_err = OK;
}

void secret_deinit(struct secret *secret) {
	secret_reset(secret);
	*secret = (struct secret){ 0 };
}

/* Makes room for `add` more bytes; false and the sticky error when that cannot be. */
static bool reserve(struct secret *secret, size_t add) {
	if (secret->_err) return false;
	if (add > secret->_max - secret->_len) {
		secret->_err = ERR_TOO_LARGE;
		return false;
	}
	size_t need = secret->_len + add;
	if (need <= secret->_cap) return true;
	size_t cap = secret->_cap <= SIZE_MAX / 2 ? secret->_cap * 2 : SIZE_MAX;
	if (cap > secret->_max) cap = secret->_max;
	if (cap < need) cap = need;
	char *grown = secret_arena_alloc(secret->_arena, cap, &secret->_cap);
	if (!grown) {
		secret->_err = ERR_NOMEM;
		return false;
	}
	if (secret->_len) memcpy(grown, secret->_ptr, secret->_len);
	secret_arena_free(secret->_arena, secret->_ptr);
	secret->_ptr = grown;
	return true;
}

void secret_append(struct secret *secret, struct str s) {
	if (s.len == 0 || !reserve(secret, s.len)) return;
	memcpy(secret->_ptr + secret->_len, s.ptr, s.len);
	secret->_len += s.len;
}

void secret_append_char(struct secret *secret, char c) {
	secret_append(secret, (struct str){ &c, 1 });
}

void secret_consume(struct secret *secret, size_t bytes) {
	if (bytes > secret->_len) bytes = secret->_len;
	if (bytes == 0) return;
	secret->_len -= bytes;
	memmove(secret->_ptr, secret->_ptr + bytes, secret->_len);
	OPENSSL_cleanse(secret->_ptr + secret->_len, bytes);
}

static void put(void *arg, struct str piece) {
	secret_append(arg, piece);
}

struct sink secret_sink(struct secret *secret) {
	return (struct sink){ put, secret };
}

void secret_append_base64(struct secret *secret, struct str s) {
	encode_base64(secret_sink(secret), s);
}

void secret_append_json(struct secret *secret, struct str s) {
	encode_json(secret_sink(secret), s);
}

void secret_append_url(struct secret *secret, struct str s) {
	encode_url(secret_sink(secret), s);
}

enum err secret_err(const struct secret *secret) {
	return secret->_err;
}

size_t secret_len(const struct secret *secret) {
	return secret->_len;
}

void secret_move(struct secret *to, struct secret *from) {
	assert(to != from);
	*to = *from;
	*from = (struct secret){ ._arena = to->_arena, ._max = to->_max };
}

struct str secret_expose(const struct secret *secret) {
	return (struct str){ secret->_ptr, secret->_len };
}

bool secret_equal(const struct secret *a, const struct secret *b) {
	return a->_len == b->_len &&
	       (a->_len == 0 || CRYPTO_memcmp(a->_ptr, b->_ptr, a->_len) == 0);
}
