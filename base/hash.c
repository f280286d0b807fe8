#include "base/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <string.h>

/* SipHash by Jean-Philippe Aumasson and Daniel J. Bernstein (https://www.aumasson.jp/siphash/siphash.pdf), with one round per
 * word and three at the end. */

static uint64_t rotate(uint64_t x, int bits) {
	return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[static 4]) {
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[static 4], uint64_t word) {
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* Little-endian on every machine, because hash64_stable() promises the same value everywhere. */
static uint64_t read_le(const unsigned char *bytes, size_t len) {
	uint64_t word = 0;
	for (size_t i = 0; i < len; i++) word |= (uint64_t)bytes[i] << (8 * i);
	return word;
}

uint64_t hash64(const struct hash_key *key, struct str s) {
	uint64_t v[4] = {
		key->k0 ^ UINT64_C(0x736f6d6570736575),
		key->k1 ^ UINT64_C(0x646f72616e646f6d),
		key->k0 ^ UINT64_C(0x6c7967656e657261),
		key->k1 ^ UINT64_C(0x7465646279746573),
	};
	const unsigned char *bytes = (const unsigned char *)s.ptr;
	size_t whole = s.len & ~(size_t)7;
	for (size_t i = 0; i < whole; i += 8) sip_word(v, read_le(bytes + i, 8));
	uint64_t tail = s.len > whole ? read_le(bytes + whole, s.len - whole) : 0;
	sip_word(v, tail | (uint64_t)s.len << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++) sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash64_stable(struct str s) {
	static const struct hash_key zero = { 0, 0 };
	return hash64(&zero, s);
}

/* EVP_sha256() has OpenSSL look for the algorithm at each use, which takes longer than a short message. Where it cannot be kept it
 * is looked for as before. */
static const EVP_MD *sha256_md(void) {
	static _Atomic(EVP_MD *) kept; /* atomic: acquire, release; set once, never freed */
	EVP_MD *md = atomic_load_explicit(&kept, memory_order_acquire);
	if (md) return md;
	EVP_MD *own = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	if (!own) return EVP_sha256();
	if (atomic_compare_exchange_strong_explicit(
		    &kept, &md, own, memory_order_release, memory_order_acquire))
		return own;
	EVP_MD_free(own);
	return md;
}

void sha256_deinit(struct sha256 *sha) {
	EVP_MD_CTX_free(sha->_ctx); /* cleanses */
	sha->_ctx = NULL;
}

enum err hmac_sha256(
	struct str key, struct str message, unsigned char out_digest[static SHA256_BYTES]) {
	unsigned len = 0;
	const unsigned char *bytes = (const unsigned char *)(message.len ? message.ptr : "");
	assert(key.len && key.len <= SHA256_BYTES);
	if (!HMAC(sha256_md(), key.ptr, (int)key.len, bytes, message.len, out_digest, &len))
		return ERR_NOMEM;
	assert(len == SHA256_BYTES);
	return OK;
}

void sha256_init(struct sha256 *sha) {
	sha->_ctx = EVP_MD_CTX_new();
	if (sha->_ctx && !EVP_DigestInit_ex2(sha->_ctx, sha256_md(), NULL)) sha256_deinit(sha);
}

void sha256_add(struct sha256 *sha, struct str s) {
	if (!sha->_ctx || s.len == 0) return;
	if (!EVP_DigestUpdate(sha->_ctx, s.ptr, s.len)) sha256_deinit(sha);
}

void sha256_add_i64(struct sha256 *sha, int64_t value) {
	char bytes[8];
	for (int i = 0; i < 8; i++) bytes[i] = (char)((uint64_t)value >> (8 * i));
	sha256_add(sha, (struct str){ bytes, sizeof(bytes) });
}

void sha256_add_field(struct sha256 *sha, struct str s) {
	sha256_add_i64(sha, (int64_t)s.len);
	sha256_add(sha, s);
}

enum err sha256_final(struct sha256 *sha, unsigned char out_digest[static SHA256_BYTES]) {
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool done = sha->_ctx && EVP_DigestFinal_ex(sha->_ctx, digest, &len);
	sha256_deinit(sha);
	if (!done) return ERR_NOMEM;
	assert(len == SHA256_BYTES);
	memcpy(out_digest, digest, SHA256_BYTES);
	return OK;
}

void hex_encode(const unsigned char *bytes, size_t len, char *out_hex) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < len; i++) {
		out_hex[2 * i] = digits[bytes[i] >> 4];
		out_hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	out_hex[2 * len] = 0;
}

/* The value of a hex digit, or -1. */
static int hex_value(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return -1;
}

enum err hex_decode(struct str hex, unsigned char *out_bytes, size_t len) {
	if (hex.len / 2 != len || hex.len % 2) return ERR_INVALID;
	/* Checked before the first byte is written: the output stays untouched on failure. */
	for (size_t i = 0; i < hex.len; i++) {
		if (hex_value(hex.ptr[i]) < 0) return ERR_INVALID;
	}
	for (size_t i = 0; i < len; i++) {
		out_bytes[i] = (unsigned char)((unsigned)hex_value(hex.ptr[2 * i]) << 4 |
					       (unsigned)hex_value(hex.ptr[2 * i + 1]));
	}
	return OK;
}
