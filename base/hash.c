#include "base/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

/* --- SipHash-1-3 (Aumasson, Bernstein) --- */

static uint64_t rotate(uint64_t x, int bits) {
	return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4]) {
	v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
	v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

static uint64_t little_endian(const char *bytes, size_t len) {
	uint64_t word = 0;
	for (size_t i = 0; i < len; i++) word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
	return word;
}

uint64_t hash64(const struct hash_key *key, struct str s) {
	uint64_t v[4] = { key->k0 ^ UINT64_C(0x736f6d6570736575), key->k1 ^ UINT64_C(0x646f72616e646f6d),
		key->k0 ^ UINT64_C(0x6c7967656e657261), key->k1 ^ UINT64_C(0x7465646279746573) };
	size_t at = 0;
	for (; at + 8 <= s.len; at += 8) {
		uint64_t word = little_endian(s.ptr + at, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	uint64_t last = (uint64_t)s.len << 56;
	if (s.len > at) last |= little_endian(s.ptr + at, s.len - at);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++) sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash64_stable(struct str s) {
	static const struct hash_key zero;
	return hash64(&zero, s);
}

/* --- SHA-256 --- */

void sha256_init(struct sha256 *sha) {
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		ctx = NULL;
	}
	sha->_ctx = ctx;
}

void sha256_add(struct sha256 *sha, struct str s) {
	if (!sha->_ctx || !s.len) return;
	if (EVP_DigestUpdate(sha->_ctx, s.ptr, s.len) != 1) sha256_deinit(sha);
}

void sha256_add_i64(struct sha256 *sha, int64_t value) {
	char bytes[8];
	for (int i = 0; i < 8; i++) bytes[i] = (char)((uint64_t)value >> (8 * i));
	sha256_add(sha, (struct str){ bytes, sizeof bytes });
}

void sha256_add_field(struct sha256 *sha, struct str s) {
	sha256_add_i64(sha, (int64_t)s.len);
	sha256_add(sha, s);
}

enum err sha256_final(struct sha256 *sha, unsigned char out_digest[static SHA256_BYTES]) {
	unsigned len = 0;
	if (!sha->_ctx) return ERR_NOMEM;
	int done = EVP_DigestFinal_ex(sha->_ctx, out_digest, &len);
	sha256_deinit(sha);
	return done == 1 && len == SHA256_BYTES ? OK : ERR_INTERNAL;
}

void sha256_deinit(struct sha256 *sha) {
	EVP_MD_CTX_free(sha->_ctx);
	sha->_ctx = NULL;
}

/* --- hex --- */

void hex_encode(const unsigned char *bytes, size_t len, char *out_hex) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < len; i++) {
		out_hex[2 * i] = digits[bytes[i] >> 4];
		out_hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	out_hex[2 * len] = 0;
}

static int nibble(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return -1;
}

enum err hex_decode(struct str hex, unsigned char *out_bytes, size_t len) {
	if (hex.len != 2 * len) return ERR_INVALID;
	for (size_t i = 0; i < hex.len; i++) {
		if (nibble(hex.ptr[i]) < 0) return ERR_INVALID;
	}
	for (size_t i = 0; i < len; i++) {
		out_bytes[i] = (unsigned char)(nibble(hex.ptr[2 * i]) << 4 | nibble(hex.ptr[2 * i + 1]));
	}
	return OK;
}
