/* tests/world/azure_keys.c - key material: two fixed test keys of each type, made once for this file and worth nothing elsewhere.
 *
 * Certificates are signed by the first RSA key whatever their own key is: RSA signatures do not depend on chance, so a
 * simulation gives the same bytes for the same seed (a PFX does not: its salts are random).
 */
#include "tests/world/azure.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

/* DER of the private key, base64. */
static const char *const test_keys[2][2] = {
	[AZURE_RSA] = {
		"MIIEowIBAAKCAQEA0bCxpR9Jl0PU8rEVHHSCmTeJVpCpioAmpkU7g7p5BU6XGmPKLF69s0m1ZB2JM7oLiaXmVHHYb5"
		"WB3Cm/CJY4f4dh8ViB9XAWss9Jh3CnU6tTMNGzomqBW8jU/crgpF4Nzs8fGkHJ2xLDIblWTkauq0RE6LGDXQsvlef8"
		"gnsoSxxPvz0BZGkt1VOZrMqlzN/fOJUfLsDr7CwnsIQQCRGFaGgkKWzUkm26Gzt/iOv8aPPADV2vUW/x607Y125HPq"
		"YAdiGctPtKDDxlSOxRbQJq9EoolmNmQwYFAacnBERfIPhbHJfC2YI9h7voQUx2s9VxwxxhpbG8X3VmgAIJsSNIywID"
		"AQABAoIBACZniTGn2E+XAdJtMmOixySOsl2jYxnVvL5pIaxPo8igCzavHiEgPPgwQMOUUUOjCGfudY/zxeMx67XKA4"
		"3sDW71+a89OZgdLlsTcfEXZd4CG9tuHMtbXFPWJYRR+vC/tSGyd4zUjcbM2eY8Tp1JfsYpW8GOeXO6D74R3gJ70fZn"
		"ZMkvhjMEy/D+gAbCrc4ccJbEm0f13VXXxETXwEaDCA1Nt5HD1YgE+vwLm2LfN83oxvI7P52uLEauT62vzaRmgArsgd"
		"0j/933h71XVbXGaxk/GtYXE2J6lhUc7phlzIPNx3RTNF63gWkKiYSf1MvNIE6zX5vR4rLEnaYcRstelmkCgYEA/oYv"
		"gkV5OOV7Rb2Wj7k3H2G2ABgqnc82a4IcSHSHbgc9ZnxcM7uWTvdSAgm0n5rz91qR2vRLLFaVwqrLE5KQbF2bKfXALY"
		"vk9McDASDEarS3lo/F4Pw8qT+H+Teu7EFY1krj4KnP5oXfEBU5gSFqob6Nx373Je/oBRqYSIOj4yUCgYEA0uf1APm4"
		"VY6k13Vn0N81WZamFt1nVaXtGEiuWfhTm4rC8LQjInlUH42kyJUmXvo4lWIQyUZZN+F9xApPe4AlRDag67oYAVn8P0"
		"kBtjjUuojEEikKY9KHOsqnFk9b0oRKVEu0w7XUwrO3zp0gWCLv+3d1MaPUEETIbcWwdX4AsS8CgYA/TMoGARc74j69"
		"QoBucCbYZCmqblgy9TTYmfxEvM5tu9k2YtlfeFjSfMnlfdpxE013iAvcQ4NqnIIUbvuge4P1n3YWgmrwKOmhQtlpb2"
		"fKDfXWuR0Cblj70rQTdBjJ4xqf+PIhjroI3+RxEIZDqjbl0QlbwyTeR4MRueKDrlGVDQKBgDUGZn3ZSvQPyff1p6VH"
		"CSW+D4H+JkXNUr/hPhyWp4aaq4pS7+Zx9Kl+NijL/vqwFFvSbP/9tN6sza7lHLijLjtpNKovfmuQkS/kDg8fWLSRQC"
		"KEuP0B6EfqvXmJeD+ETR/GbOsroxNUlejXblNabVWe4hMZ6m4wrOeUZVoU1N23AoGBAMcYPl04KIr0lEase9rxXmuF"
		"6Y6O9Cn96Z6pce+QRggXSZmCxFNx6cl8K0o3sTlfeWy9VKdDNhxYIh3x1Go4j8j4aKnGViODMv9haywMm76wTDpKrl"
		"P05VVvwiApSsW2xym06fQE+W70T1TIVKljHk/xG3Dz4Ln9j2Ql7gX7Nvve",
		"MIIEogIBAAKCAQEAsgABWSCnPJxQckDCptFtBREEZ16lnxPcHqwEoeT1qMbYjAGi4RS6G9yBnsHM5QJ8wz9zdOEUBw"
		"BPqqHo25LIBNjK7r1aq4QDRJTJpYf9HxHCJDVgWTeeZsFFVRnHuoz5V2lIJqtqBRlyknK20KGM19nGlnG6z/OlAur2"
		"pzp434seGprRE8WsmyMWPvOZN6ITDd1+iFF2CexufgzadkVPVsnCYnZ2VRJaJB8/Fmtb8cdD/T9m2V2E6oEJGnSg0t"
		"zK3CHjPLBV7KvVmcK9Yk82VDDuadg5ktG6SVf1orsLPpXAguG6twTmkwG1OamyhLPAQVWi6dqTVzeiBbgX5tzggQID"
		"AQABAoIBACxDKZKo9sUw5qU+mtjCJ560qFhvFfa8iMZcxqseZQMS7UrFZmQblBr1Bot8jC+fYnhn2RVFmgYSqvzWlb"
		"GyKohgA3iCAB+57FkbuZfuvMAC2bjIyBxvYvWQ1mWOy1aFk0RMAxvQkMTTWuT1XyX6oiwTtJj5D3gCEXSsCmkztlZ5"
		"1oSdJ9ru6rG7zmqtrxsPyDdexso6ZpNNh/Mc7Z/Jt8N21VC85yAsEyFOsqdgvkNr7SlIk0Lsn6cpWItvOaOyL2pLod"
		"noMsmStcn7vJL+UkOxKsGvNiKdzKzdIX7LWqdZsbWIkVqKnSiSWUQmgV9AFlaXnsPTV7WqqxB8wjJqr6UCgYEA4xT2"
		"mIAnI8+Nb/eYQXtvhBEMVaM8WZK9gOnecpBuYi1bNVB5iFHuKpAF7afz7OvoHkEy8krCbCVApkD+gloUv/aE2SV54q"
		"GV/T5vtygHtPGgBRCSpylyZk4sHFJj9PMpFY0d4Oet/bBgJycoSn0GZ8jQHbTPfJ4xy0CIDNMbfu0CgYEAyKrv3tTq"
		"dsxy0zOpFpZmeqh+OzMEmLzJZCU+qBqBW0zadA2ZEmx6/bWVqBhPY94BCZrcQ635UeoDggfZR1vWSN4stV2NJLPbsK"
		"BjEuCaq7s+E6CAzuOCGDYI3zGn252cUa8leFgHYqvq78KvgMhmPi73aQrdJ/Z9H3aqtJAcYWUCgYAhXg02L26Q5oij"
		"8T/gL2EdiNvFIa1WhCdwb+0N7IcryfpjBSY2j8NtYahdWZaQM8Hx4Ca6T53uAjNTuq0rPk1aP8EZn1YfpRrDEY+c3D"
		"b1saOP2vWRtpdmzQnSR5EEh058KjY/vAtnAam/VxOmjmSIj4t1MgJjD2PFt//F0qdxqQKBgGJoCYgCbBTkQC84t2Qf"
		"T5Q5SuYnJ8rrUevto+N2VBd9AehFvtpdHpeK1CCCA3TbKzEVo40BJTI5i4zZ4oDvFY/YfJ5YiV4FYeglT1CzmsY65b"
		"9kR6atxV+wJ/ukc0fs6/rW5I42xTBrVKRNmhmSrSkziRsXO8tcQpIKdL5lqbVNAoGAPXQPfCAcKVB0s+yMtjodsbqR"
		"ghnR/JVSj6SOvp8KqhXbD08H6FH2W2K6621m+jpRzJQEyKd7gaTFG9W3dLLIa3GD6LKQm7YxL/skyx79ck3TFJy8AS"
		"XgQjMY5CzwfwS16ZkeU3DtOZL6H8y86IErMZFrcc97gKHhmZyNhf68Tp4=",
	},
	[AZURE_EC] = {
		"MHcCAQEEIHn7Wl5STSoYdaehBd2RZCh8hSLxMpsJzPRLF9U0utvVoAoGCCqGSM49AwEHoUQDQgAETleb1viXtfLftj"
		"wiqHO5CWRzwkd5nROSKIJUIFVmKDeB7YW6G4nEVh0xLfX9uLN1IkH7EkQPJ2w9XCpgPpuJUQ==",
		"MHcCAQEEIHCnTFV2jqj1ssnNRkqVF4UZAhiES+Xuu4pru9v7ZJgloAoGCCqGSM49AwEHoUQDQgAEGLVQ2CoiljZnO1"
		"w+2NQokupLh0w8hhQeJP4G/UgHomOzfEVMwOHjic04AMizrenuKU6Yv/NLk8b2N0jPVGPLUQ==",
	},
};

static EVP_PKEY *key_of(enum azure_key_type type, unsigned index) {
	struct buf der;
	buf_init(&der, 1 << 16);
	bool decoded = azure_base64_decode(str_of(test_keys[type][index % 2]), &der);
	assert(decoded);
	const unsigned char *bytes = (const unsigned char *)buf_str(&der).ptr;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &bytes, (long)buf_str(&der).len);
	assert(key);
	buf_deinit(&der);
	return key;
}

/* Base64url of a public number; padded with leading zeroes to `width` octets where that is not 0. */
static void number(EVP_PKEY *key, const char *param, int width, struct buf *out) {
	BIGNUM *n = NULL;
	unsigned char bytes[512];
	int got = EVP_PKEY_get_bn_param(key, param, &n);
	assert(got == 1 && BN_num_bytes(n) <= (int)sizeof(bytes));
	if (!width) width = BN_num_bytes(n);
	int len = BN_bn2binpad(n, bytes, width);
	assert(len == width);
	azure_base64url((struct str){ (char *)bytes, (size_t)len }, out);
	BN_free(n);
}

/* A long key's public part alone is ever told: its modulus is the fixed one, followed by as much of itself. */
static void modulus(EVP_PKEY *key, unsigned bits, struct buf *out) {
	enum { FIXED = 256 };
	BIGNUM *n = NULL;
	unsigned char bytes[4096 / 8];
	int got = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n);
	assert(got == 1 && BN_num_bytes(n) == FIXED);
	BN_bn2bin(n, bytes);
	size_t len = bits > 2048 ? bits / 8 : FIXED;
	memcpy(bytes + FIXED, bytes + 2 * FIXED - len, len - FIXED);
	azure_base64url((struct str){ (char *)bytes, len }, out);
	BN_free(n);
}

bool azure_key_set_type(struct azure_version *version, struct str type) {
	bool hsm = str_ends(type, STR("-HSM"));
	if (hsm) type = str_slice(type, 0, type.len - 4);
	version->hsm = hsm;
	version->key_type = str_eq(type, STR("EC")) ? AZURE_EC : AZURE_RSA;
	version->rsa_bits = str_eq(type, STR("RSA-4096"))   ? 4096
			    : str_eq(type, STR("RSA-3072")) ? 3072
			    : str_eq(type, STR("RSA"))	    ? 2048
							    : 0;
	return version->rsa_bits || version->key_type == AZURE_EC;
}

void azure_key_json(const struct azure_version *version, const char *kid, struct buf *out) {
	EVP_PKEY *key = key_of(version->key_type, version->key_index);
	const char *hsm = version->hsm ? "-HSM" : "";
	buf_printf(out, "{\"kid\":%s,", kid);
	if (version->key_type == AZURE_RSA) {
		buf_printf(out,
			"\"kty\":\"RSA%s\",\"key_ops\":[\"encrypt\",\"decrypt\",\"sign\",\"verify\","
			"\"wrapKey\",\"unwrapKey\"],\"n\":\"",
			hsm);
		modulus(key, version->rsa_bits, out);
		buf_append(out, STR("\",\"e\":\""));
		number(key, OSSL_PKEY_PARAM_RSA_E, 0, out);
	} else {
		buf_printf(out,
			"\"kty\":\"EC%s\",\"key_ops\":[\"sign\",\"verify\"],\"crv\":\"P-256\",\"x\":\"",
			hsm);
		number(key, OSSL_PKEY_PARAM_EC_PUB_X, 32, out);
		buf_append(out, STR("\",\"y\":\""));
		number(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32, out);
	}
	buf_append(out, STR("\"}"));
	EVP_PKEY_free(key);
}

static void name_set(X509_NAME *subject, struct str name) {
	int added = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
		(const unsigned char *)name.ptr, (int)(name.len < 64 ? name.len : 64), -1, 0);
	assert(added == 1);
}

void azure_certificate_make(enum azure_key_type type, unsigned index, struct str name,
	int64_t nbf_s, int64_t exp_s, struct buf *out_der) {
	EVP_PKEY *key = key_of(type, index);
	EVP_PKEY *signer = key_of(AZURE_RSA, type == AZURE_RSA ? index : 0);
	X509 *certificate = X509_new();
	assert(certificate);
	int good = X509_set_version(certificate, 2);
	good &= ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), nbf_s);
	good &= ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)nbf_s) != NULL;
	good &= ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)exp_s) != NULL;
	name_set(X509_get_subject_name(certificate), name);
	name_set(X509_get_issuer_name(certificate),
		type == AZURE_RSA ? name : STR("world test issuer"));
	good &= X509_set_pubkey(certificate, key);
	good &= X509_sign(certificate, signer, EVP_sha256()) > 0;
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	assert(good && len > 0);
	buf_append(out_der, (struct str){ (char *)der, (size_t)len });
	OPENSSL_free(der);
	X509_free(certificate);
	EVP_PKEY_free(signer);
	EVP_PKEY_free(key);
}

static X509 *parse(struct str der) {
	const unsigned char *bytes = (const unsigned char *)der.ptr;
	X509 *certificate = d2i_X509(NULL, &bytes, (long)der.len);
	assert(certificate);
	return certificate;
}

static void append_bio(BIO *bio, struct buf *out) {
	char *bytes = NULL;
	long len = BIO_get_mem_data(bio, &bytes);
	buf_append(out, (struct str){ bytes, (size_t)len });
	BIO_free(bio);
}

void azure_certificate_pem(
	enum azure_key_type type, unsigned index, struct str der, struct buf *out_pem) {
	EVP_PKEY *key = key_of(type, index);
	X509 *certificate = parse(der);
	BIO *bio = BIO_new(BIO_s_mem());
	assert(bio);
	int good = PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	good &= PEM_write_bio_X509(bio, certificate);
	assert(good == 1);
	append_bio(bio, out_pem);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

void azure_certificate_pfx(
	enum azure_key_type type, unsigned index, struct str der, struct buf *out_base64) {
	EVP_PKEY *key = key_of(type, index);
	X509 *certificate = parse(der);
	int nid = NID_pbe_WithSHA1And3_Key_TripleDES_CBC;
	PKCS12 *pfx = PKCS12_create("", NULL, key, certificate, NULL, nid, nid, 0, 0, 0);
	BIO *bio = BIO_new(BIO_s_mem());
	assert(pfx && bio);
	int good = i2d_PKCS12_bio(bio, pfx);
	assert(good == 1);
	char *bytes = NULL;
	long len = BIO_get_mem_data(bio, &bytes);
	buf_append_base64(out_base64, (struct str){ bytes, (size_t)len });
	BIO_free(bio);
	PKCS12_free(pfx);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

void azure_sha1(struct str bytes, struct buf *out_base64url) {
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int good = EVP_Digest(bytes.ptr, bytes.len, digest, &len, EVP_sha1(), NULL);
	assert(good == 1);
	azure_base64url((struct str){ (char *)digest, len }, out_base64url);
}

struct azure_version *azure_certificate_add(struct azure *azure, struct azure_vault *vault,
	struct str name, enum azure_key_type type, bool pem, struct now now) {
	const struct azure_object *known = azure_object_find(vault, AZURE_CERTIFICATE, name);
	unsigned index = known ? (unsigned)known->count : 0;
	int64_t at_s = azure_seconds(now);
	struct azure_version *certificate =
		azure_version_add(azure, vault, AZURE_CERTIFICATE, name, STR_NULL, at_s);
	struct str id = str_of(certificate->id);
	struct azure_version *parts[] = {
		certificate,
		azure_version_add(azure, vault, AZURE_KEY, name, id, at_s),
		azure_version_add(azure, vault, AZURE_SECRET, name, id, at_s),
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		parts[i]->managed = i > 0;
		parts[i]->key_type = type;
		parts[i]->key_index = index;
		parts[i]->nbf_s = at_s - 600;
		parts[i]->exp_s = at_s + INT64_C(365) * 86400;
	}
	struct buf der, secret;
	buf_init(&der, 1 << 16);
	buf_init(&secret, 1 << 16);
	azure_certificate_make(type, index, name, certificate->nbf_s, certificate->exp_s, &der);
	(pem ? azure_certificate_pem : azure_certificate_pfx)(type, index, buf_str(&der), &secret);
	azure_version_set_value(certificate, buf_str(&der));
	azure_version_set_value(parts[2], buf_str(&secret));
	parts[2]->content_type =
		mem_strdup(pem ? STR("application/x-pem-file") : STR("application/x-pkcs12"));
	assert(parts[2]->content_type);
	buf_deinit(&der);
	buf_deinit(&secret);
	return certificate;
}
