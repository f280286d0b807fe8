#include "clients/tls_part.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/decode.h"
#include "base/mem.h"
#include "clients/chain.h"
#include "clients/crypto.h"
#include "clients/pem.h"
#include "clients/pkcs12.h"

enum { PEM_BYTES = 512 << 10 };

struct splitter {
	enum tls_form form;
	struct secret *out;
	STACK_OF(X509) * certs;
	unsigned found;
	bool unreadable; /* a certificate that OpenSSL does not take: kept as it is, in its place */
	struct fault *fault;
};

static enum err no_memory(struct fault *fault) {
	return fault_set(fault, ERR_NOMEM, "out of memory");
}

/* --- certificates --- */

static enum err visit_certificate(void *arg, const struct pem_block *block) {
	struct splitter *s = arg;
	const unsigned char *at = (const unsigned char *)block->der.ptr;
	if (!str_eq(block->label, STR("CERTIFICATE"))) return OK;
	s->found++;
	pem_write(s->out, "CERTIFICATE", block->der);
	X509 *cert = d2i_X509(NULL, &at, (long)block->der.len);
	ERR_clear_error();
	if (!cert) {
		s->unreadable = true;
	} else if (sk_X509_push(s->certs, cert) <= 0) {
		X509_free(cert);
		return no_memory(s->fault);
	}
	return secret_err(s->out);
}

/* What was written in the order of the text is written anew from leaf to root, where that is known. */
static enum err reorder(struct splitter *s) {
	if (s->unreadable || sk_X509_num(s->certs) < 2) return OK;
	enum err err = chain_order(s->certs, NULL);
	if (err) return err == ERR_NOMEM ? no_memory(s->fault) : OK;
	secret_reset(s->out);
	for (int i = 0; i < sk_X509_num(s->certs); i++) {
		unsigned char *der = NULL;
		int len = i2d_X509(sk_X509_value(s->certs, i), &der);
		if (len <= 0) return no_memory(s->fault);
		pem_write(s->out, "CERTIFICATE", (struct str){ (char *)der, (size_t)len });
		OPENSSL_free(der);
	}
	return secret_err(s->out);
}

/* --- keys --- */

static const char *traditional_label(const EVP_PKEY *key) {
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return "RSA PRIVATE KEY";
	case EVP_PKEY_EC:
		return "EC PRIVATE KEY";
	default:
		return NULL;
	}
}

static int to_pkcs8(const EVP_PKEY *key, unsigned char **out_der) {
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, out_der) : 0;
	PKCS8_PRIV_KEY_INFO_free(info);
	return len;
}

static enum err write_traditional(struct splitter *s, EVP_PKEY *key) {
	unsigned char *der = NULL;
	const char *label = traditional_label(key);
	/* A key may come without its public half; what reads SEC 1 may want it. */
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
		(void)EVP_PKEY_set_int_param(key, OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, 1);
	int len = label ? i2d_PrivateKey(key, &der) : to_pkcs8(key, &der);
	ERR_clear_error();
	if (len <= 0) return no_memory(s->fault);
	secret_reset(s->out);
	pem_write(s->out, label ? label : "PRIVATE KEY", (struct str){ (char *)der, (size_t)len });
	OPENSSL_clear_free(der, (size_t)len);
	return secret_err(s->out);
}

static enum err rewrite_key(struct splitter *s, const struct pem_block *block) {
	const unsigned char *at = (const unsigned char *)block->der.ptr, *end = at + block->der.len;
	bool sealed = str_eq(block->label, STR("ENCRYPTED PRIVATE KEY")) ||
		      str_find(block->header, STR("ENCRYPTED")) != SIZE_MAX;
	if (sealed) {
		return fault_set(s->fault, ERR_INVALID,
			"its private key is protected by a password; store it without one");
	}
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)block->der.len);
	if (!key || at != end) {
		EVP_PKEY_free(key);
		ERR_clear_error();
		return fault_set(s->fault, ERR_INVALID,
			"its private key is damaged, or of a kind that OpenSSL "
			"does not know");
	}
	enum err err = write_traditional(s, key);
	EVP_PKEY_free(key);
	return err;
}

static enum err visit_key(void *arg, const struct pem_block *block) {
	struct splitter *s = arg;
	if (!str_ends(block->label, STR("PRIVATE KEY"))) return OK;
	s->found++;
	if (s->form == TLS_TRADITIONAL) return rewrite_key(s, block);
	char label[32] = { 0 };
	if (block->label.len >= sizeof label || block->header.len) {
		return fault_set(s->fault, ERR_INVALID,
			"its private key is protected by a password, or of an unknown kind");
	}
	memcpy(label, block->label.ptr, block->label.len);
	pem_write(s->out, label, block->der);
	return secret_err(s->out);
}

/* --- text --- */

static enum err split(struct str pem, enum tls_part part, struct splitter *s) {
	enum err err = OK;
	if (part == TLS_CRT) {
		s->certs = sk_X509_new_null();
		if (!s->certs) return no_memory(s->fault);
		err = pem_each(pem, visit_certificate, s, s->fault);
		if (!err) err = reorder(s);
		sk_X509_pop_free(s->certs, X509_free);
	} else {
		err = pem_each(pem, visit_key, s, s->fault);
	}
	if (err || s->found) return err;
	return fault_set(s->fault, ERR_INVALID,
		part == TLS_CRT
			? "it holds no certificate"
			: "it holds no private key; where it is a certificate of the vault, its "
			  "policy has to make the key exportable, and objectType has to be "
			  "secret");
}

/* PKCS#12, as bytes or in base64, becomes PEM. */
static enum err unpack(
	struct str text, struct secret_arena *arena, struct secret *out_pem, struct fault *fault) {
	struct secret der = { 0 };
	enum err err = OK;
	secret_init(&der, arena, PKCS12_MOST_BYTES);
	bool is_der = text.len && (unsigned char)text.ptr[0] == 0x30 && text.len > 1 &&
		      ((unsigned char)text.ptr[1] & 0x80);
	if (!is_der) {
		err = decode_base64(BASE64_PADDED, str_trim(text), secret_sink(&der), NULL);
		if (!err) err = secret_err(&der);
	}
	if (err == ERR_INVALID || (!is_der && !secret_len(&der))) {
		err = fault_set(
			fault, ERR_INVALID, "it is neither PEM text nor a PKCS#12 file in base64");
	} else if (!err) {
		err = pkcs12_to_pem(is_der ? text : secret_expose(&der), out_pem, fault);
	}
	secret_deinit(&der);
	return err;
}

enum err tls_part_read(struct str text, enum tls_part part, enum tls_form form,
	struct secret_arena *arena, struct secret *out_pem, struct fault *fault) {
	struct secret pem = { 0 };
	struct crypto_scope scope;
	struct fault own = { 0 };
	uint64_t failures = mem_failures();
	struct splitter s = { .form = form, .out = out_pem, .fault = &own };
	assert(part != TLS_WHOLE);
	enum err err = OK;
	secret_init(&pem, arena, PEM_BYTES);
	secret_reset(out_pem);
	bool is_pem = str_find(text, STR("-----BEGIN ")) != SIZE_MAX;
	if (!is_pem) {
		err = unpack(text, arena, &pem, &own);
		text = secret_expose(&pem);
	}
	if (!err) err = crypto_enter(&scope);
	if (!err) {
		err = split(text, part, &s);
		crypto_leave(&scope);
	}
	secret_deinit(&pem);
	if (!err) return OK;
	secret_reset(out_pem);
	if (mem_failures() != failures) err = no_memory(&own);
	if (!own.err) own = fault_make(err, "its PEM form: %s", err_text(err));
	if (fault) *fault = own;
	return err;
}
