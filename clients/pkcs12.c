#include "clients/pkcs12.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "clients/chain.h"
#include "clients/crypto.h"
#include "clients/pem.h"

enum { MOST_DEPTH = 4 }; /* of safes within safes */

struct reader {
	struct secret *out;
	STACK_OF(X509) * certs;
	const char *password; /* "" or NULL: the two forms of an empty one */
	int64_t iterations; /* so far */
	unsigned depth;
	bool cannot_decrypt; /* the last error may be the password's */
	struct fault *fault;
};

static enum err no_memory(struct fault *fault) {
	return fault_set(fault, ERR_NOMEM, "out of memory");
}

static enum err damaged(struct reader *r) {
	return fault_set(r->fault, ERR_INVALID, "its PKCS#12 file is damaged or cut short");
}

static enum err password_needed(struct fault *fault) {
	return fault_set(fault, ERR_INVALID,
		"its PKCS#12 file is protected by a password, or damaged; export it without one "
		"(an empty password), or import it as a certificate of the vault");
}

/* --- what decryption costs --- */

static enum err charge(struct reader *r, int64_t iterations) {
	bool fits = iterations >= 0 && iterations <= PKCS12_MOST_ITERATIONS - r->iterations;
	if (!fits) {
		return fault_set(r->fault, ERR_TOO_LARGE,
			"its PKCS#12 file asks for more than %d iterations of key derivation; "
			"export it with fewer (openssl pkcs12 -export -iter 2048)",
			PKCS12_MOST_ITERATIONS);
	}
	r->iterations += iterations;
	return OK;
}

static int64_t number_of(const ASN1_INTEGER *integer) {
	int64_t number = 1;
	if (integer && ASN1_INTEGER_get_int64(&number, integer) != 1) return -1;
	return number;
}

static int64_t pbkdf2_iterations(const X509_ALGOR *function) {
	PBKDF2PARAM *param =
		ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM), function->parameter);
	int64_t iterations = param ? number_of(param->iter) : 0;
	PBKDF2PARAM_free(param);
	return iterations;
}

/* Its costs are a product; OpenSSL itself bounds the memory. */
static int64_t scrypt_iterations(const X509_ALGOR *function) {
	SCRYPT_PARAMS *param =
		ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(SCRYPT_PARAMS), function->parameter);
	int64_t product = param ? 1 : 0;
	if (param) {
		const ASN1_INTEGER *factors[] = { param->costParameter, param->blockSize,
			param->parallelizationParameter };
		for (size_t i = 0; i < 3; i++) {
			int64_t factor = number_of(factors[i]);
			bool fits = factor > 0 && factor <= PKCS12_MOST_ITERATIONS / product;
			if (!fits) {
				product = -1;
				break;
			}
			product *= factor;
		}
	}
	SCRYPT_PARAMS_free(param);
	return product;
}

/* What an algorithm of PKCS#5 or PKCS#12 says of itself; a malformed one costs nothing, since it is refused anyway. */
static int64_t iterations_of(const X509_ALGOR *algorithm, int *out_cipher) {
	int nid = OBJ_obj2nid(algorithm->algorithm);
	int64_t iterations = 0;
	*out_cipher = NID_undef;
	if (nid != NID_pbes2) {
		PBEPARAM *param =
			ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM), algorithm->parameter);
		if (param) iterations = number_of(param->iter);
		PBEPARAM_free(param);
		(void)EVP_PBE_find(EVP_PBE_TYPE_OUTER, nid, out_cipher, NULL, NULL);
		return iterations;
	}
	PBE2PARAM *param =
		ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), algorithm->parameter);
	if (!param) return 0;
	int function = OBJ_obj2nid(param->keyfunc->algorithm);
	if (function == NID_id_pbkdf2) iterations = pbkdf2_iterations(param->keyfunc);
	if (function == NID_id_scrypt) iterations = scrypt_iterations(param->keyfunc);
	*out_cipher = OBJ_obj2nid(param->encryption->algorithm);
	PBE2PARAM_free(param);
	return iterations;
}

/* Before something is decrypted: whether it can be, and whether it costs too much. */
static enum err check_algorithm(struct reader *r, const X509_ALGOR *algorithm) {
	int nid = NID_undef;
	enum err err = charge(r, iterations_of(algorithm, &nid));
	if (err) return err;
	const char *name = nid != NID_undef ? OBJ_nid2sn(nid) : NULL;
	EVP_CIPHER *cipher = name ? EVP_CIPHER_fetch(NULL, name, NULL) : NULL;
	bool known = cipher != NULL;
	EVP_CIPHER_free(cipher);
	if (known) return OK;
	if (name && !crypto_has_legacy()) {
		return fault_set(r->fault, ERR_INVALID,
			"its PKCS#12 file is encrypted with %s, for which OpenSSL needs its legacy "
			"provider: %s/legacy.so is missing (Debian's package libssl3 holds it)",
			name, OPENSSL_info(OPENSSL_INFO_MODULES_DIR));
	}
	return fault_set(r->fault, ERR_INVALID,
		"its PKCS#12 file is encrypted with an algorithm that OpenSSL does not know%s%s",
		name ? ": " : "", name ? name : "");
}

/* --- bags --- */

static enum err decryption_failed(struct reader *r) {
	r->cannot_decrypt = true;
	return password_needed(r->fault);
}

static enum err add_key(struct reader *r, const PKCS8_PRIV_KEY_INFO *info) {
	EVP_PKEY *key = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO *plain = key ? EVP_PKEY2PKCS8(key) : NULL;
	unsigned char *der = NULL;
	int len = plain ? i2d_PKCS8_PRIV_KEY_INFO(plain, &der) : 0;
	enum err err = OK;
	if (len > 0) {
		pem_write(r->out, "PRIVATE KEY", (struct str){ (char *)der, (size_t)len });
		err = secret_err(r->out);
		OPENSSL_clear_free(der, (size_t)len);
	} else {
		err = fault_set(r->fault, ERR_INVALID,
			"a private key of its PKCS#12 file is damaged, or of a kind that OpenSSL "
			"does not know");
	}
	PKCS8_PRIV_KEY_INFO_free(plain);
	EVP_PKEY_free(key);
	return err;
}

static enum err add_shrouded_key(struct reader *r, const PKCS12_SAFEBAG *bag) {
	const X509_ALGOR *algorithm = NULL;
	const X509_SIG *sealed = PKCS12_SAFEBAG_get0_pkcs8(bag);
	X509_SIG_get0(sealed, &algorithm, NULL);
	enum err err = check_algorithm(r, algorithm);
	if (err) return err;
	PKCS8_PRIV_KEY_INFO *info = PKCS12_decrypt_skey(bag, r->password, 0);
	if (!info) return decryption_failed(r);
	err = add_key(r, info);
	PKCS8_PRIV_KEY_INFO_free(info);
	return err;
}

static enum err add_certificate(struct reader *r, const PKCS12_SAFEBAG *bag) {
	if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate) return OK;
	X509 *cert = PKCS12_SAFEBAG_get1_cert(bag);
	if (!cert) return damaged(r);
	if (sk_X509_push(r->certs, cert) > 0) return OK;
	X509_free(cert);
	return no_memory(r->fault);
}

static enum err add_bags(struct reader *r, const STACK_OF(PKCS12_SAFEBAG) * bags);

static enum err add_bag(struct reader *r, const PKCS12_SAFEBAG *bag) {
	switch (PKCS12_SAFEBAG_get_nid(bag)) {
	case NID_keyBag:
		return add_key(r, PKCS12_SAFEBAG_get0_p8inf(bag));
	case NID_pkcs8ShroudedKeyBag:
		return add_shrouded_key(r, bag);
	case NID_certBag:
		return add_certificate(r, bag);
	case NID_safeContentsBag:
		return add_bags(r, PKCS12_SAFEBAG_get0_safes(bag));
	default: /* revocation lists and secrets */
		return OK;
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by MOST_DEPTH */
static enum err add_bags(struct reader *r, const STACK_OF(PKCS12_SAFEBAG) * bags) {
	if (r->depth == MOST_DEPTH) return damaged(r);
	enum err err = OK;
	r->depth++;
	for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags) && !err; i++)
		err = add_bag(r, sk_PKCS12_SAFEBAG_value(bags, i));
	r->depth--;
	return err;
}

/* --- safes --- */

static enum err add_safe(struct reader *r, PKCS7 *safe) {
	STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	enum err err = OK;
	if (PKCS7_type_is_data(safe)) {
		bags = PKCS12_unpack_p7data(safe);
		if (!bags) return damaged(r);
	} else if (PKCS7_type_is_encrypted(safe)) {
		if (!safe->d.encrypted) return damaged(r);
		err = check_algorithm(r, safe->d.encrypted->enc_data->algorithm);
		if (err) return err;
		bags = PKCS12_unpack_p7encdata(safe, r->password, 0);
		if (!bags) return decryption_failed(r);
	}
	err = add_bags(r, bags);
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	return err;
}

static enum err write_certificates(struct reader *r) {
	enum err err = chain_order(r->certs, r->fault);
	if (err) return fault_prefix(r->fault, err, "its PKCS#12 file");
	for (int i = 0; i < sk_X509_num(r->certs) && !err; i++) {
		unsigned char *der = NULL;
		int len = i2d_X509(sk_X509_value(r->certs, i), &der);
		if (len <= 0) return no_memory(r->fault);
		pem_write(r->out, "CERTIFICATE", (struct str){ (char *)der, (size_t)len });
		OPENSSL_free(der);
		err = secret_err(r->out);
	}
	return err;
}

/* The MAC under the password of this trial; true as well where there is none. */
static enum err check_mac(struct reader *r, PKCS12 *file, bool *out_good) {
	const ASN1_INTEGER *iterations = NULL;
	*out_good = true;
	if (!PKCS12_mac_present(file)) return OK;
	PKCS12_get0_mac(NULL, NULL, NULL, &iterations, file);
	enum err err = charge(r, number_of(iterations));
	if (err) return err;
	ERR_clear_error();
	*out_good = PKCS12_verify_mac(file, r->password, 0) == 1;
	if (*out_good || !ERR_peek_last_error()) return OK;
	return fault_set(r->fault, ERR_INVALID,
		"the MAC of its PKCS#12 file is damaged, or of a kind that OpenSSL does not know");
}

static enum err read_safes(struct reader *r, PKCS12 *file) {
	STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(file);
	if (!safes) return damaged(r);
	enum err err = OK;
	for (int i = 0; i < sk_PKCS7_num(safes) && !err; i++)
		err = add_safe(r, sk_PKCS7_value(safes, i));
	sk_PKCS7_pop_free(safes, PKCS7_free);
	return err ? err : write_certificates(r);
}

/* One trial. r->cannot_decrypt: another form of the password may do. */
static enum err try_password(struct reader *r, PKCS12 *file, const char *password) {
	bool good = false;
	r->password = password;
	r->cannot_decrypt = false;
	secret_reset(r->out);
	sk_X509_pop_free(r->certs, X509_free);
	r->certs = sk_X509_new_null();
	if (!r->certs) return no_memory(r->fault);
	enum err err = check_mac(r, file, &good);
	if (err) return err;
	return good ? read_safes(r, file) : decryption_failed(r);
}

static enum err read_file(struct str der, struct secret *out_pem, struct fault *fault) {
	struct reader r = { .out = out_pem, .fault = fault };
	const unsigned char *at = (const unsigned char *)der.ptr;
	PKCS12 *file = d2i_PKCS12(NULL, &at, (long)der.len);
	enum err err = OK;
	if (!file || at != (const unsigned char *)der.ptr + der.len) {
		err = damaged(&r);
	} else {
		err = try_password(&r, file, "");
		if (err && r.cannot_decrypt) err = try_password(&r, file, NULL);
	}
	sk_X509_pop_free(r.certs, X509_free);
	PKCS12_free(file);
	return err;
}

enum err pkcs12_to_pem(struct str der, struct secret *out_pem, struct fault *fault) {
	struct crypto_scope scope;
	struct fault own = { 0 };
	uint64_t failures = mem_failures();
	if (der.len > PKCS12_MOST_BYTES) {
		return fault_set(fault, ERR_TOO_LARGE, "its PKCS#12 file has more than %d bytes",
			PKCS12_MOST_BYTES);
	}
	enum err err = crypto_enter(&scope);
	if (err) return no_memory(fault);
	err = read_file(der, out_pem, &own);
	crypto_leave(&scope);
	if (!err) return OK;
	secret_reset(out_pem);
	/* OpenSSL's ways to fail do not always lead back to that. */
	if (mem_failures() != failures) err = no_memory(&own);
	if (!own.err) own = fault_make(err, "its PEM form is too large");
	if (fault) *fault = own;
	return err;
}
