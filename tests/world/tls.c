/* tests/world/tls.c - a CA and certificates made at start; their keys live as long as the process, but for the files in `dir`. */
#include <assert.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/world/server.h"

struct pair {
	X509 *certificate;
	EVP_PKEY *key;
};

static void extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert(made);
	int added = X509_add_ext(certificate, made, -1);
	assert(added == 1);
	X509_EXTENSION_free(made);
}

static struct pair pair_make(const char *organization, const char *name) {
	struct pair pair = { X509_new(), EVP_EC_gen("P-256") };
	assert(pair.certificate && pair.key);
	unsigned char serial[8];
	int good = RAND_bytes(serial, sizeof(serial));
	BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
	BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pair.certificate));
	BN_free(number);
	good &= X509_set_version(pair.certificate, 2);
	X509_gmtime_adj(X509_getm_notBefore(pair.certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(pair.certificate), 30L * 86400);
	X509_NAME *subject = X509_get_subject_name(pair.certificate);
	good &= X509_NAME_add_entry_by_txt(
		subject, "O", MBSTRING_UTF8, (const unsigned char *)organization, -1, -1, 0);
	good &= X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	good &= X509_set_pubkey(pair.certificate, pair.key);
	assert(good == 1);
	return pair;
}

static void pair_sign(struct pair *pair, const struct pair *ca) {
	int good = X509_set_issuer_name(pair->certificate, X509_get_subject_name(ca->certificate));
	assert(good == 1);
	extension(pair->certificate, ca->certificate, NID_subject_key_identifier, "hash");
	if (pair != ca)
		extension(pair->certificate, ca->certificate, NID_authority_key_identifier,
			"keyid:always");
	int signed_bytes = X509_sign(pair->certificate, ca->key, EVP_sha256());
	assert(signed_bytes > 0);
}

static void pair_free(struct pair *pair) {
	X509_free(pair->certificate);
	EVP_PKEY_free(pair->key);
}

static bool write_file(const char *dir, const char *name, const struct pair *pair, bool key) {
	struct buf path;
	buf_init(&path, 4096);
	buf_printf(&path, "%s/%s", dir, name);
	int fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, key ? 0600 : 0644);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	buf_deinit(&path);
	if (!file) return false;
	bool good = key ? PEM_write_PKCS8PrivateKey(file, pair->key, NULL, NULL, 0, NULL, NULL) == 1
			: PEM_write_X509(file, pair->certificate) == 1;
	return fclose(file) == 0 && good;
}

/* argument: whether HTTP/2 is offered. Entra answers no ALPN at all, and so does this server where it speaks 1.1 alone. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *argument) {
	(void)ssl;
	static const unsigned char both[] = "\x02h2\x08http/1.1";
	if (!argument) return SSL_TLSEXT_ERR_NOACK;
	unsigned char *chosen = NULL;
	if (SSL_select_next_proto(&chosen, out_len, both, sizeof(both) - 1, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED) {
		return SSL_TLSEXT_ERR_NOACK;
	}
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context(const struct pair *server, const struct pair *ca, bool h2, bool clients) {
	static char yes;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	assert(ctx);
	int good = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	good &= SSL_CTX_use_certificate(ctx, server->certificate);
	good &= SSL_CTX_use_PrivateKey(ctx, server->key);
	assert(good == 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One read takes the head and the body of a record. */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"world", 5);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, h2 ? &yes : NULL);
	if (clients) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->certificate);
		SSL_CTX_add_client_CA(ctx, ca->certificate);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	}
	return ctx;
}

bool tls_make(const char *dir, const char *suffix, bool azure_h2, SSL_CTX *out_contexts[static 2]) {
	struct pair ca = pair_make("kvsync world", "kvsync world CA");
	extension(ca.certificate, ca.certificate, NID_basic_constraints, "critical,CA:TRUE");
	extension(ca.certificate, ca.certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
	pair_sign(&ca, &ca);
	struct pair server = pair_make("kvsync world", "kvsync world server");
	struct buf names;
	buf_init(&names, 1024);
	buf_printf(&names,
		"DNS:*.%s,DNS:login.microsoftonline.com,DNS:localhost,DNS:kubernetes.default.svc,"
		"IP:127.0.0.1",
		suffix);
	extension(server.certificate, ca.certificate, NID_basic_constraints, "critical,CA:FALSE");
	extension(server.certificate, ca.certificate, NID_key_usage, "critical,digitalSignature");
	extension(server.certificate, ca.certificate, NID_ext_key_usage, "serverAuth");
	extension(server.certificate, ca.certificate, NID_subject_alt_name, buf_cstr(&names));
	pair_sign(&server, &ca);
	buf_deinit(&names);
	struct pair admin = pair_make("system:masters", "admin");
	extension(admin.certificate, ca.certificate, NID_ext_key_usage, "clientAuth");
	pair_sign(&admin, &ca);
	bool written = write_file(dir, "ca.pem", &ca, false) &&
		       write_file(dir, "admin.pem", &admin, false) &&
		       write_file(dir, "admin-key.pem", &admin, true);
	out_contexts[SERVER_AZURE] = context(&server, &ca, azure_h2, false);
	out_contexts[SERVER_KUBE] = context(&server, &ca, true, true);
	pair_free(&ca);
	pair_free(&server);
	pair_free(&admin);
	return written;
}
