/* Tokens of service accounts: issued, verified, and the keys for others to verify them. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

enum { TOKEN_BYTES = 8192, SIGNATURE_BYTES = 512, MIN_SECONDS = 600, MAX_SECONDS = 24 * 3600 };

/* Without an RSA key: not a signature, but as hard to guess as the seed. */
static void sign_by_hash(const struct kube_world *world, struct str input, struct buf *out) {
	struct sha256 sha;
	unsigned char digest[SHA256_BYTES];
	sha256_init(&sha);
	sha256_add_i64(&sha, (int64_t)world->config.seed);
	sha256_add(&sha, input);
	if (sha256_final(&sha, digest) != OK) abort();
	kube_base64url_encode((struct str){ (char *)digest, sizeof(digest) }, out);
}

static void sign(const struct kube_world *world, struct str input, struct buf *out) {
	if (!world->config.signing_key) {
		sign_by_hash(world, input, out);
		return;
	}
	unsigned char signature[SIGNATURE_BYTES];
	size_t len = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, world->config.signing_key) == 1 &&
		  EVP_DigestSign(ctx, signature, &len, (const unsigned char *)input.ptr, input.len) == 1;
	if (!ok) abort();
	EVP_MD_CTX_free(ctx);
	kube_base64url_encode((struct str){ (char *)signature, len }, out);
}

static bool signature_is_right(const struct kube_world *world, struct str input, struct str signature) {
	struct buf bytes;
	buf_init(&bytes, SIGNATURE_BYTES);
	bool ok;
	if (world->config.signing_key) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		ok = kube_base64url_decode(signature, &bytes) && ctx &&
		     EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, world->config.signing_key) == 1 &&
		     EVP_DigestVerify(ctx, (const unsigned char *)buf_str(&bytes).ptr, buf_str(&bytes).len,
				      (const unsigned char *)input.ptr, input.len) == 1;
		EVP_MD_CTX_free(ctx);
	} else {
		sign_by_hash(world, input, &bytes);
		ok = str_eq(buf_str(&bytes), signature);
	}
	buf_deinit(&bytes);
	return ok;
}

/* The key's name is the digest of its public half, as the API server has it. */
static const char *key_id(struct kube_world *world) {
	if (world->signing_kid || !world->config.signing_key) return world->signing_kid ? world->signing_kid : "none";
	unsigned char *der = NULL, digest[SHA256_BYTES];
	int len = i2d_PUBKEY(world->config.signing_key, &der);
	if (len <= 0 || EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) != 1) abort();
	OPENSSL_free(der);
	struct buf text;
	buf_init(&text, 128);
	kube_base64url_encode((struct str){ (char *)digest, sizeof(digest) }, &text);
	world->signing_kid = kj_strdup(buf_str(&text));
	buf_deinit(&text);
	return world->signing_kid;
}

static void append_part(struct buf *token, cJSON *json) {
	char *text = kj_print_text(json);
	kube_base64url_encode(str_of(text), token);
	mem_free(text);
	cJSON_Delete(json);
}

static cJSON *claims_of(struct kube_call *call, const cJSON *account, const cJSON *audiences, int64_t seconds) {
	int64_t now_s = call->now.wall_ns / NS_PER_S;
	char id[WORLD_GUID_BYTES];
	world_guid(&call->world->rng, id);
	cJSON *claims = kj_must(cJSON_CreateObject());
	kj_set(claims, "aud", kj_copy(audiences));
	kj_set_int(claims, "exp", now_s + seconds);
	kj_set_int(claims, "iat", now_s);
	kj_set_text(claims, "iss", call->world->issuer);
	kj_set_text(claims, "jti", id);
	cJSON *kubernetes = kj_object(claims, "kubernetes.io");
	kj_set_text(kubernetes, "namespace", call->namespace);
	cJSON *subject = kj_object(kubernetes, "serviceaccount");
	kj_set_text(subject, "name", call->name);
	kj_set_text(subject, "uid", kj_text2(account, "metadata", "uid"));
	kj_set_int(claims, "nbf", now_s);
	char *sub = kj_format("system:serviceaccount:%s:%s", call->namespace, call->name);
	kj_set_text(claims, "sub", sub);
	mem_free(sub);
	return claims;
}

static void make_token(struct kube_call *call, cJSON *claims, struct buf *out) {
	cJSON *header = kj_must(cJSON_CreateObject());
	kj_set_text(header, "alg", "RS256");
	kj_set_text(header, "kid", key_id(call->world));
	append_part(out, header);
	buf_append_char(out, '.');
	append_part(out, claims);
	char *input = kj_strdup(buf_str(out));
	buf_append_char(out, '.');
	sign(call->world, str_of(input), out);
	mem_free(input);
}

static void answer_token(struct kube_call *call, const cJSON *account, const cJSON *audiences, int64_t seconds) {
	struct buf token;
	buf_init(&token, TOKEN_BYTES);
	make_token(call, claims_of(call, account, audiences, seconds), &token);
	char expires[TIME_TEXT_BYTES];
	time_format(call->now.wall_ns / NS_PER_S + seconds, expires);
	cJSON *answer = kj_must(cJSON_CreateObject());
	kj_set_text(answer, "kind", "TokenRequest");
	kj_set_text(answer, "apiVersion", "authentication.k8s.io/v1");
	cJSON *meta = kj_object(answer, "metadata");
	kj_set_text(meta, "name", call->name);
	kj_set_text(meta, "namespace", call->namespace);
	kj_set_text(meta, "uid", kj_text2(account, "metadata", "uid"));
	kj_set_text(meta, "creationTimestamp", call->time);
	cJSON *spec = kj_object(answer, "spec");
	kj_set(spec, "audiences", kj_copy(audiences));
	kj_set_int(spec, "expirationSeconds", seconds);
	kj_set(spec, "boundObjectRef", cJSON_CreateNull());
	cJSON *status = kj_object(answer, "status");
	kj_set_text(status, "token", buf_cstr(&token));
	kj_set_text(status, "expirationTimestamp", expires);
	kube_answer_json(call, 201, answer);
	buf_deinit(&token);
}

static bool check_seconds(struct kube_call *call, int64_t *seconds) {
	if (*seconds > MAX_SECONDS) {
		world_response_header(call->out, "Warning", "299 - \"requested expiration of %lld seconds shortened to %d seconds\"",
				      (long long)*seconds, MAX_SECONDS);
		*seconds = MAX_SECONDS;
	}
	if (*seconds >= MIN_SECONDS) return true;
	struct kube_invalid invalid = { 0 };
	kube_cause(&invalid, "FieldValueInvalid", "spec.expirationSeconds",
		   "Invalid value: %lld: may not specify a duration less than 10 minutes", (long long)*seconds);
	struct kube_type request = { .group = "authentication.k8s.io", .kind = "TokenRequest" };
	return kube_invalid_done(call, &invalid, &request, "");
}

void kube_do_token(struct kube_call *call) {
	cJSON *request = kj_parse(call->req->body), *account = NULL, *own = NULL;
	if (strcmp(kj_text(request, "kind"), "TokenRequest") != 0) {
		kube_fail_bad_request(call, "the body is no TokenRequest");
		goto out;
	}
	if (!kube_namespace_takes_new(call)) goto out;
	const cJSON *given = kj_get2(request, "spec", "expirationSeconds");
	int64_t seconds = cJSON_IsNumber(given) ? (int64_t)given->valuedouble : 3600;
	if (!check_seconds(call, &seconds)) goto out;
	const struct kube_rev *rev = kube_live(call->type, call->namespace, call->name);
	if (!rev) {
		kube_fail_not_found(call, call->type, call->name);
		goto out;
	}
	account = kube_rev_parse(rev);
	const cJSON *audiences = kj_get2(request, "spec", "audiences");
	if (kj_is_empty(audiences)) {
		audiences = own = kj_must(cJSON_CreateArray());
		kj_push(own, cJSON_CreateString(call->world->issuer));
	}
	answer_token(call, account, audiences, seconds);
out:
	cJSON_Delete(own);
	cJSON_Delete(account);
	cJSON_Delete(request);
}

static cJSON *decode_claims(struct str part) {
	struct buf json;
	buf_init(&json, TOKEN_BYTES);
	cJSON *claims = kube_base64url_decode(part, &json) ? kj_parse(buf_str(&json)) : NULL;
	buf_deinit(&json);
	return claims;
}

static bool claims_hold(const struct kube_world *world, struct now now, const cJSON *claims) {
	const cJSON *subject = kj_get2(claims, "kubernetes.io", "serviceaccount");
	const struct kube_rev *account = kube_live(kube_type_named(world, "serviceaccounts"),
						   kj_text2(claims, "kubernetes.io", "namespace"), kj_text(subject, "name"));
	return kj_int(claims, "exp") > now.wall_ns / NS_PER_S && kj_contains_text(kj_get(claims, "aud"), world->issuer) &&
	       account && strcmp(account->entry->uid, kj_text(subject, "uid")) == 0;
}

bool kube_token_user(struct kube_world *world, struct now now, struct str token, char out_user[KUBE_NAME_BYTES]) {
	struct str rest = token;
	str_next(&rest, '.');
	struct str payload = str_next(&rest, '.');
	if (!rest.ptr || !payload.len) return false;
	struct str input = str_slice(token, 0, (size_t)(rest.ptr - token.ptr) - 1);
	if (!signature_is_right(world, input, rest)) return false;
	cJSON *claims = decode_claims(payload);
	bool ok = claims && claims_hold(world, now, claims);
	if (ok) snprintf(out_user, KUBE_NAME_BYTES, "%s", kj_text(claims, "sub"));
	cJSON_Delete(claims);
	return ok;
}

static void set_number(cJSON *key, const char *name, EVP_PKEY *pkey, const char *param) {
	BIGNUM *number = NULL;
	unsigned char bytes[SIGNATURE_BYTES];
	if (EVP_PKEY_get_bn_param(pkey, param, &number) != 1 || BN_num_bytes(number) > (int)sizeof(bytes)) abort();
	int len = BN_bn2bin(number, bytes);
	BN_free(number);
	struct buf text;
	buf_init(&text, 2048);
	kube_base64url_encode((struct str){ (char *)bytes, (size_t)len }, &text);
	kj_set_text(key, name, buf_cstr(&text));
	buf_deinit(&text);
}

void kube_do_jwks(struct kube_call *call) {
	cJSON *keys = kj_literal("{'keys':[]}");
	if (call->world->config.signing_key) {
		cJSON *key = kj_literal("{'use':'sig','kty':'RSA','alg':'RS256'}");
		kj_set_text(key, "kid", key_id(call->world));
		set_number(key, "n", call->world->config.signing_key, OSSL_PKEY_PARAM_RSA_N);
		set_number(key, "e", call->world->config.signing_key, OSSL_PKEY_PARAM_RSA_E);
		kj_push(kj_get(keys, "keys"), key);
	}
	char *text = kj_print_text(keys);
	kube_answer_text(call, 200, "application/jwk-set+json", text);
	mem_free(text);
	cJSON_Delete(keys);
}

void kube_do_openid(struct kube_call *call) {
	cJSON *doc = kj_literal("{'response_types_supported':['id_token'],'subject_types_supported':['public'],"
				"'id_token_signing_alg_values_supported':['RS256']}");
	kj_set_text(doc, "issuer", call->world->issuer);
	char *uri = kj_format("https://%.*s:%u/openid/v1/jwks", STR_ARG(call->req->host), call->req->port);
	kj_set_text(doc, "jwks_uri", uri);
	mem_free(uri);
	kube_answer_json(call, 200, doc);
}
