#include "workers/convert.h"

#include "base/decode.h"
#include "clients/pkcs12.h"

#define TLS_TYPE "kubernetes.io/tls"

struct convert_plan convert_plan_of(
	struct str secret_type, struct str target_key, enum tls_part source_part) {
	struct convert_plan plan = { source_part, TLS_AS_IT_IS };
	if (!str_eq(secret_type, STR(TLS_TYPE))) return plan;
	if (str_eq(target_key, STR("tls.crt")))
		return (struct convert_plan){ TLS_CRT, TLS_TRADITIONAL };
	if (str_eq(target_key, STR("tls.key")))
		return (struct convert_plan){ TLS_KEY, TLS_TRADITIONAL };
	return plan;
}

static bool is_pfx_to_pem(const struct spc_object *object, enum vault_form form) {
	return form == VAULT_PKCS12 && object->format == FORMAT_PEM;
}

bool convert_is_identity(const struct spc_object *object, enum vault_form form) {
	return form != VAULT_UNKNOWN && !is_pfx_to_pem(object, form) &&
	       object->encoding == ENCODING_UTF8;
}

static enum err pfx_to_pem(
	struct str text, struct secret_arena *arena, struct secret *out, struct fault *fault) {
	struct secret der = { 0 };
	size_t at = 0;
	secret_init(&der, arena, PKCS12_MOST_BYTES);
	enum err err = decode_base64(BASE64_PADDED, text, secret_sink(&der), &at);
	if (err) {
		err = fault_set(fault, err,
			"its contentType says PKCS#12, but the value is no base64 (at byte "
			"%zu): import the certificate anew",
			at);
	} else {
		err = secret_err(&der);
		if (err) err = fault_set(fault, err, "its PKCS#12 file: %s", err_text(err));
	}
	if (!err) err = pkcs12_to_pem(secret_expose(&der), out, fault);
	secret_deinit(&der);
	return err;
}

static enum err decode(
	enum spc_encoding encoding, struct str text, struct secret *out, struct fault *fault) {
	size_t at = 0;
	struct sink sink = secret_sink(out);
	bool hex = encoding == ENCODING_HEX;
	enum err err =
		hex ? decode_hex(text, sink, &at) : decode_base64(BASE64_PADDED, text, sink, &at);
	if (err) {
		return fault_set(fault, err,
			"objectEncoding is %s, but the value is not (at byte %zu): correct the "
			"value, or take objectEncoding out%s",
			hex ? "hex" : "base64", at,
			str_starts(text, STR("-----BEGIN ")) ? "; the bytes of a certificate's "
							       "PKCS#12 file need objectFormat pfx"
							     : "");
	}
	err = secret_err(out);
	return err ? fault_set(fault, err, "its decoded value: %s", err_text(err)) : OK;
}

enum err convert_whole(const struct spc_object *object, enum vault_form form,
	const struct secret *value, struct secret_arena *arena, struct secret *out,
	struct fault *fault) {
	struct secret pem = { 0 };
	struct str text = secret_expose(value);
	secret_reset(out);
	if (form == VAULT_UNKNOWN) {
		return fault_set(fault, ERR_INVALID,
			"it belongs to a certificate, but its contentType is neither "
			"application/x-pkcs12 nor application/x-pem-file: import the certificate "
			"anew");
	}
	enum err err = OK;
	secret_init(&pem, arena, CONVERT_BYTES);
	if (is_pfx_to_pem(object, form)) {
		err = pfx_to_pem(text, arena, &pem, fault);
		text = secret_expose(&pem);
	}
	if (!err && object->encoding != ENCODING_UTF8) {
		err = decode(object->encoding, text, out, fault);
	} else if (!err) {
		secret_append(out, text);
		err = secret_err(out);
		if (err) err = fault_set(fault, err, "its value: %s", err_text(err));
	}
	secret_deinit(&pem);
	if (err) secret_reset(out);
	return err;
}
