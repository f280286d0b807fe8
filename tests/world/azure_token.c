/* tests/world/azure_token.c - base64url, the world's own access tokens, and the check of a service account's assertion. */
#include "tests/world/azure.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <stdio.h>

#include "base/hash.h"

void azure_base64url(struct str bytes, struct buf *out) {
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	int count = 0;
	for (size_t i = 0; i < bytes.len; i++) {
		bits = bits << 8 | (unsigned char)bytes.ptr[i];
		for (count += 8; count >= 6; count -= 6)
			buf_append_char(out, digits[bits >> (count - 6) & 63]);
	}
	if (count) buf_append_char(out, digits[bits << (6 - count) & 63]);
}

static int digit_of(char c, const char *last_two) {
	if (c >= 'A' && c <= 'Z') return c - 'A';
	if (c >= 'a' && c <= 'z') return c - 'a' + 26;
	if (c >= '0' && c <= '9') return c - '0' + 52;
	if (c == last_two[0]) return 62;
	return c == last_two[1] ? 63 : -1;
}

static bool decode(struct str text, const char *last_two, struct buf *out) {
	uint32_t bits = 0;
	int count = 0;
	for (size_t i = 0; i < text.len; i++) {
		int digit = digit_of(text.ptr[i], last_two);
		if (digit < 0) return false;
		bits = bits << 6 | (uint32_t)digit;
		count += 6;
		if (count < 8) continue;
		count -= 8;
		buf_append_char(out, (char)(bits >> count & 255));
	}
	return count < 6;
}

bool azure_base64url_decode(struct str text, struct buf *out) {
	return decode(text, "-_", out);
}

bool azure_base64_decode(struct str text, struct buf *out) {
	while (text.len && text.ptr[text.len - 1] == '=') text.len--;
	return decode(text, "+/", out);
}

static void sign(const struct azure *azure, struct str bytes, struct buf *out) {
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	unsigned char *made = HMAC(EVP_sha256(), azure->token_key, sizeof(azure->token_key),
		(const unsigned char *)bytes.ptr, bytes.len, mac, &len);
	assert(made);
	azure_base64url((struct str){ (char *)mac, len }, out);
}

void azure_token_make(struct azure *azure, const struct azure_claims *claims, struct now now,
	size_t pad_bytes, struct buf *out_token) {
	struct buf payload;
	char uti[WORLD_HEX_BYTES];
	world_hex32(&azure->rng, uti);
	buf_init(&payload, 1 << 16);
	buf_printf(&payload,
		"{\"aud\":\"%s\",\"iss\":\"%s\",\"iat\":%lld,\"nbf\":%lld,\"exp\":%lld,\"aio\":\"%"
		"s\",\"appid\":\"%s\","
		"\"appidacr\":\"2\",\"idtyp\":\"app\",\"tid\":\"%s\",\"uti\":\"%s\",\"ver\":\"1."
		"0\"",
		claims->audience, claims->issuer, (long long)(now.wall_ns / NS_PER_S),
		(long long)claims->not_before_s, (long long)claims->expires_s, uti,
		claims->client_id, claims->tenant, uti);
	size_t have = buf_str(&payload).len * 4 / 3 + 128;
	if (have < pad_bytes) {
		buf_append(&payload, STR(",\"groups\":\""));
		for (size_t i = 0; i < (pad_bytes - have) * 3 / 4; i++)
			buf_append_char(&payload, 'g');
		buf_append_char(&payload, '"');
	}
	buf_append_char(&payload, '}');
	azure_base64url(STR("{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"world\"}"), out_token);
	buf_append_char(out_token, '.');
	azure_base64url(buf_str(&payload), out_token);
	struct buf signature;
	buf_init(&signature, 256);
	sign(azure, buf_str(out_token), &signature);
	buf_append_char(out_token, '.');
	buf_append(out_token, buf_str(&signature));
	assert(!buf_err(out_token) && !buf_err(&payload));
	buf_deinit(&signature);
	buf_deinit(&payload);
}

/* Cuts "head.payload.signature"; false when it has no such form. */
static bool split(struct str jwt, struct str *out_signed, struct str parts[static 3]) {
	struct str rest = jwt;
	for (int i = 0; i < 3; i++) {
		if (!rest.ptr) return false;
		parts[i] = str_next(&rest, '.');
		if (!parts[i].len) return false;
	}
	*out_signed = str_slice(jwt, 0, parts[0].len + 1 + parts[1].len);
	return !rest.ptr;
}

static cJSON *part_json(struct str part) {
	struct buf text;
	buf_init(&text, WORLD_HEAD_BYTES);
	cJSON *json = NULL;
	if (azure_base64url_decode(part, &text))
		json = cJSON_ParseWithLength(buf_str(&text).ptr, buf_str(&text).len);
	buf_deinit(&text);
	return json;
}

cJSON *azure_jwt_payload(struct str jwt) {
	struct str covered, parts[3];
	return split(jwt, &covered, parts) ? part_json(parts[1]) : NULL;
}

static void copy_claim(const cJSON *payload, const char *name, char *out, size_t size) {
	snprintf(out, size, "%.*s", STR_ARG(world_json_str(payload, name)));
}

static bool read_claims(
	const struct azure *azure, struct str token, struct azure_claims *out_claims) {
	struct str covered, parts[3];
	if (!split(token, &covered, parts)) return false;
	struct buf expected;
	buf_init(&expected, 256);
	sign(azure, covered, &expected);
	bool good = str_eq(buf_str(&expected), parts[2]);
	buf_deinit(&expected);
	cJSON *payload = good ? part_json(parts[1]) : NULL;
	if (!payload) return false;
	*out_claims = (struct azure_claims){
		.not_before_s = world_json_i64(payload, "nbf", 0),
		.expires_s = world_json_i64(payload, "exp", 0),
	};
	copy_claim(payload, "aud", out_claims->audience, sizeof(out_claims->audience));
	copy_claim(payload, "tid", out_claims->tenant, sizeof(out_claims->tenant));
	copy_claim(payload, "appid", out_claims->client_id, sizeof(out_claims->client_id));
	copy_claim(payload, "iss", out_claims->issuer, sizeof(out_claims->issuer));
	cJSON_Delete(payload);
	return true;
}

enum { MEMO_TOKENS = 512 };

/* What good tokens say, by hash: the same token comes with every request. Whether it is still valid is asked each time. */
struct azure_token_memo {
	struct {
		char *token; /* NULL: none */
		size_t len;
		struct azure_claims claims;
	} at[MEMO_TOKENS];
};

void azure_token_forget(struct azure *azure) {
	struct azure_token_memo *memo = take(azure->token_memo);
	for (unsigned i = 0; memo && i < MEMO_TOKENS; i++) mem_free(memo->at[i].token);
	mem_free(memo);
}

bool azure_token_read(struct azure *azure, struct str token, struct azure_claims *out_claims) {
	if (!azure->token_memo) azure->token_memo = mem_zalloc(sizeof(*azure->token_memo));
	if (!azure->token_memo) return read_claims(azure, token, out_claims);
	__auto_type known = &azure->token_memo->at[hash64_stable(token) % MEMO_TOKENS];
	if (known->token && str_eq((struct str){ known->token, known->len }, token)) {
		*out_claims = known->claims;
		return true;
	}
	if (!read_claims(azure, token, out_claims)) return false;
	mem_free(known->token);
	known->token = mem_strdup(token);
	known->len = token.len;
	known->claims = *out_claims;
	return true;
}

static BIGNUM *bn_of(const cJSON *jwk, const char *member) {
	struct buf bytes;
	buf_init(&bytes, 1024);
	BIGNUM *n = NULL;
	if (azure_base64url_decode(world_json_str(jwk, member), &bytes) && buf_str(&bytes).len) {
		n = BN_bin2bn(
			(const unsigned char *)buf_str(&bytes).ptr, (int)buf_str(&bytes).len, NULL);
	}
	buf_deinit(&bytes);
	return n;
}

static EVP_PKEY *rsa_of(const cJSON *jwk) {
	BIGNUM *n = bn_of(jwk, "n"), *e = bn_of(jwk, "e");
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;
	if (n && e && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e)) {
		params = OSSL_PARAM_BLD_to_param(build);
	}
	if (params && EVP_PKEY_fromdata_init(ctx) == 1)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return key;
}

static bool verify_with(const cJSON *jwk, struct str covered, struct str signature) {
	EVP_PKEY *key = rsa_of(jwk);
	if (!key) return false;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len,
			    (const unsigned char *)covered.ptr, covered.len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return good;
}

bool azure_jwt_verify(const cJSON *jwks, struct str jwt) {
	struct str covered, parts[3];
	if (!split(jwt, &covered, parts)) return false;
	cJSON *head = part_json(parts[0]);
	struct buf signature;
	buf_init(&signature, 4096);
	bool good = false;
	if (str_eq(world_json_str(head, "alg"), STR("RS256")) &&
		azure_base64url_decode(parts[2], &signature)) {
		const cJSON *jwk = NULL;
		cJSON_ArrayForEach(jwk, world_json_at(jwks, "keys")) {
			if (!str_eq(world_json_str(jwk, "kid"), world_json_str(head, "kid")))
				continue;
			good |= verify_with(jwk, covered, buf_str(&signature));
		}
	}
	buf_deinit(&signature);
	cJSON_Delete(head);
	return good;
}
