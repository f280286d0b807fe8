#include "clients/jwk.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/decode.h"
#include "base/mem.h"
#include "clients/json.h"
#include "clients/pem.h"

enum { NUMBER_BYTES = 2048, FIELD_BYTES = 66 }; /* 16384 bits of RSA; P-521 */

static const struct curve {
	const char *crv;
	const char *group;
	size_t bytes; /* of a coordinate */
} CURVES[] = {
	{ "P-256", "prime256v1", 32 },
	{ "P-384", "secp384r1", 48 },
	{ "P-521", "secp521r1", 66 },
};

static void put(void *arg, struct str piece) {
	buf_append(arg, piece);
}

/* A big-endian number without leading zeroes; empty when it is 0. */
static enum err read_number(const cJSON *key, const char *name, size_t max_bytes, struct buf *buf,
	struct str *out_number, struct fault *fault) {
	struct str text = json_str(key, name);
	buf_init(buf, NUMBER_BYTES + FIELD_BYTES);
	enum err err = decode_base64(BASE64_URL, text, (struct sink){ put, buf }, NULL);
	if (!err) err = buf_err(buf);
	struct str number = buf_str(buf);
	err = err || number.len == 0 ? ERR_INVALID : OK;
	while (number.len && number.ptr[0] == 0) number = str_slice(number, 1, number.len);
	if (err || number.len > max_bytes) {
		return fault_set(fault, ERR_INVALID,
			"its member \"%s\" is no base64url number of 1 to %zu bytes", name,
			max_bytes);
	}
	*out_number = number;
	return OK;
}

static enum err no_key(struct fault *fault) {
	ERR_clear_error();
	return fault_set(fault, ERR_INVALID, "its numbers are no public key");
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *builder) {
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static enum err write_key(EVP_PKEY *key, struct secret *out_pem, struct fault *fault) {
	unsigned char *der = NULL;
	int len = key ? i2d_PUBKEY(key, &der) : 0;
	if (len <= 0) return no_key(fault);
	pem_write(out_pem, "PUBLIC KEY", (struct str){ (char *)der, (size_t)len });
	OPENSSL_free(der);
	return secret_err(out_pem);
}

static enum err write_rsa(const cJSON *json, struct secret *out_pem, struct fault *fault) {
	struct buf n_buf = { 0 }, e_buf = { 0 };
	struct str n = STR_NULL, e = STR_NULL;
	enum err err = read_number(json, "n", NUMBER_BYTES, &n_buf, &n, fault);
	if (!err) err = read_number(json, "e", 8, &e_buf, &e, fault);
	if (!err && (!n.len || !e.len)) err = no_key(fault);
	if (!err) {
		OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
		BIGNUM *modulus = BN_bin2bn((const unsigned char *)n.ptr, (int)n.len, NULL);
		BIGNUM *exponent = BN_bin2bn((const unsigned char *)e.ptr, (int)e.len, NULL);
		EVP_PKEY *key = NULL;
		if (builder && modulus && exponent &&
			OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
			OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
			key = key_from("RSA", builder);
		err = write_key(key, out_pem, fault);
		EVP_PKEY_free(key);
		OSSL_PARAM_BLD_free(builder);
		BN_free(modulus);
		BN_free(exponent);
	}
	buf_deinit(&n_buf);
	buf_deinit(&e_buf);
	return err;
}

/* Right-aligned in a field of the curve's size. */
static enum err read_coordinate(
	const cJSON *json, const char *name, size_t bytes, char *out_field, struct fault *fault) {
	struct buf buf = { 0 };
	struct str number = STR_NULL;
	enum err err = read_number(json, name, bytes, &buf, &number, fault);
	if (!err && number.len) memcpy(out_field + bytes - number.len, number.ptr, number.len);
	buf_deinit(&buf);
	return err;
}

static enum err write_ec(const cJSON *json, struct secret *out_pem, struct fault *fault) {
	char point[1 + 2 * FIELD_BYTES] = { 4 }; /* uncompressed */
	struct str crv = json_str(json, "crv");
	const struct curve *curve = CURVES, *end = CURVES + sizeof CURVES / sizeof *CURVES;
	while (curve < end && !str_eq(crv, str_of(curve->crv))) curve++;
	if (curve == end) {
		return fault_set(fault, ERR_INVALID,
			"its curve %.*s is not supported; P-256, P-384 and P-521 are",
			(int)(crv.len < 32 ? crv.len : 32), crv.ptr ? crv.ptr : "");
	}
	enum err err = read_coordinate(json, "x", curve->bytes, point + 1, fault);
	if (!err) err = read_coordinate(json, "y", curve->bytes, point + 1 + curve->bytes, fault);
	if (err) return err;
	EVP_PKEY *key = NULL;
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	if (builder &&
		OSSL_PARAM_BLD_push_utf8_string(
			builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(
			builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve->bytes) == 1)
		key = key_from("EC", builder);
	err = write_key(key, out_pem, fault);
	if (err == ERR_INVALID)
		err = fault_set(fault, err, "its point is not on the curve %s", curve->crv);
	EVP_PKEY_free(key);
	OSSL_PARAM_BLD_free(builder);
	return err;
}

static enum err write(const cJSON *key, struct secret *out_pem, struct fault *fault) {
	struct str kty = json_str(key, "kty");
	if (str_eq(kty, STR("RSA")) || str_eq(kty, STR("RSA-HSM")))
		return write_rsa(key, out_pem, fault);
	if (str_eq(kty, STR("EC")) || str_eq(kty, STR("EC-HSM")))
		return write_ec(key, out_pem, fault);
	return fault_set(fault, ERR_INVALID,
		"its type (kty) %.*s has no public key; RSA, RSA-HSM, EC and EC-HSM have one",
		(int)(kty.len < 32 ? kty.len : 32), kty.ptr ? kty.ptr : "");
}

enum err jwk_write_pem(const cJSON *key, struct secret *out_pem, struct fault *fault) {
	uint64_t failures = mem_failures();
	enum err err = write(key, out_pem, fault);
	if (err && mem_failures() != failures) return fault_set(fault, ERR_NOMEM, "out of memory");
	return err;
}

/* The modulus is base64url without padding, of whole bytes and without a leading zero. */
unsigned jwk_cost(const cJSON *key) {
	struct str type = json_str(key, "kty");
	size_t bits = json_str(key, "n").len * 3 / 4 * 8;
	unsigned hsm = str_ends(type, STR("-HSM")) ? 2 : 1;
	if (!str_starts(type, STR("RSA"))) return hsm;
	return hsm * (bits > 3072 ? 8 : bits > 2048 ? 4 : 1);
}
