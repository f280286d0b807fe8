/* base/hash.h - a keyed hash for tables, and SHA-256 for digests that leave the process.
 *
 * hash64 is SipHash-1-3: names come from users, so table hashes carry a key. Never a decision by hash order.
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

struct hash_key {
	uint64_t k0, k1;
};

uint64_t hash64(const struct hash_key *key, struct str s);

/* The same for every process and version: homes and phases are derived from it. */
uint64_t hash64_stable(struct str s);

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 65 };

struct sha256 {
	void *_ctx; /* EVP_MD_CTX, NULL when allocation failed */
};

/* init allocates; a failure shows in sha256_final, which returns ERR_NOMEM then. final frees. deinit is idempotent. */
void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, struct str s);
void sha256_add_field(struct sha256 *sha,
	struct str s); /* length-prefixed, so that fields cannot run into another */
void sha256_add_i64(struct sha256 *sha, int64_t value);
enum err sha256_final(struct sha256 *sha, unsigned char out_digest[static SHA256_BYTES]);
void sha256_deinit(struct sha256 *sha);

/* HMAC-SHA-256 (RFC 2104). `message` may be a secret: nothing of it is kept. ERR_NOMEM. */
enum err hmac_sha256(
	struct str key, struct str message, unsigned char out_digest[static SHA256_BYTES]);

/* Lower-case hex with NUL; out must hold 2 * len + 1 bytes. */
void hex_encode(const unsigned char *bytes, size_t len, char *out_hex);
/* Exactly 2 * len hex digits of either case. */
enum err hex_decode(struct str hex, unsigned char *out_bytes, size_t len);
