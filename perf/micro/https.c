/* One HTTPS exchange on a connection that stands: our client over libcurl, beside OpenSSL alone with the same bytes. */
#include "perf/micro/micro.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "clients/http_curl.h"

enum { EXCHANGES = 3000, WARM = 100, BODY_BYTES = 1024 };

static SSL_CTX *server_ctx;
static char ca_pem[4096], answer[BODY_BYTES + 256], request[256];
static int listener;

static void make_certificate(void) {
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509V3_CTX ctx;
	X509_set_version(cert, 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"micro", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *name = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "IP:127.0.0.1");
	X509_add_ext(cert, name, -1);
	X509_sign(cert, key, EVP_sha256());
	BIO *text = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(text, cert);
	BIO_read(text, ca_pem, sizeof ca_pem - 1);
	BIO_free(text);
	server_ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(server_ctx, cert);
	SSL_CTX_use_PrivateKey(server_ctx, key);
	X509_EXTENSION_free(name);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* Answers every request of two connections, one after the other. */
static void *serve(void *arg) {
	char in[4096];
	size_t answer_len = strlen(answer);
	(void)arg;
	for (int i = 0; i < 2; i++) {
		int fd = accept(listener, NULL, NULL);
		SSL *ssl = SSL_new(server_ctx);
		SSL_set_fd(ssl, fd);
		SSL_accept(ssl);
		for (int got; (got = SSL_read(ssl, in, sizeof in - 1)) > 0;) {
			in[got] = 0;
			assert(strstr(in, "\r\n\r\n")); /* small enough to come in one piece */
			if (SSL_write(ssl, answer, (int)answer_len) <= 0) break;
		}
		SSL_free(ssl);
		close(fd);
	}
	return NULL;
}

static unsigned listen_anywhere(void) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof address;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	int failed = bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4) ||
		     getsockname(listener, (struct sockaddr *)&address, &bytes);
	assert(!failed);
	return ntohs(address.sin_port);
}

static bool done;

static void on_done(struct http_req *req) {
	assert(req->err == OK && req->status == 200);
	done = true;
}

static void one(struct loop *loop, struct http *http, const struct http_site *site, unsigned port) {
	struct http_req req;
	http_req_init(&req, site, HTTP_GET);
	buf_init(&req.url, 256);
	buf_printf(&req.url, "https://127.0.0.1:%u/secrets/name?api-version=7.4", port);
	req.on_done = on_done;
	done = false;
	http_start(http, &req);
	while (!done) {
		int64_t next_ns = http_turn(http, loop_now(loop));
		if (!done) loop_wait(loop, next_ns);
	}
	http_req_deinit(&req);
}

static int64_t ours(unsigned port) {
	struct loop *loop = loop_create(clock_system());
	struct http *http = http_curl_create(loop);
	struct http_site site = { .name = "micro", .ca_pem = str_of(ca_pem) };
	for (int i = 0; i < WARM; i++) one(loop, http, &site, port);
	int64_t began_ns = micro_cpu_ns();
	for (int i = 0; i < EXCHANGES; i++) one(loop, http, &site, port);
	int64_t took_ns = micro_cpu_ns() - began_ns;
	http_destroy(http);
	loop_destroy(loop);
	return took_ns;
}

static void exchange(SSL *ssl) {
	char in[4096];
	size_t want = strlen(answer), got = 0;
	SSL_write(ssl, request, (int)strlen(request));
	while (got < want) {
		int piece = SSL_read(ssl, in, sizeof in);
		assert(piece > 0);
		got += (size_t)piece;
	}
}

static int64_t openssl_alone(unsigned port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	int failed = connect(fd, (struct sockaddr *)&address, sizeof address);
	assert(!failed);
	SSL_set_fd(ssl, fd);
	SSL_connect(ssl);
	for (int i = 0; i < WARM; i++) exchange(ssl);
	int64_t began_ns = micro_cpu_ns();
	for (int i = 0; i < EXCHANGES; i++) exchange(ssl);
	int64_t took_ns = micro_cpu_ns() - began_ns;
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return took_ns;
}

void micro_https(void) {
	static char body[BODY_BYTES + 1];
	pthread_t thread;
	enum err err = http_curl_global_init();
	assert(!err);
	make_certificate();
	memset(body, 'x', BODY_BYTES);
	snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", BODY_BYTES, body);
	unsigned port = listen_anywhere();
	snprintf(request, sizeof request, "GET /secrets/name?api-version=7.4 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", port);
	int failed = pthread_create(&thread, NULL, serve, NULL);
	assert(!failed);
	int64_t ours_ns = ours(port);
	int64_t theirs_ns = openssl_alone(port);
	pthread_join(thread, NULL);
	micro_tell("HTTPS exchange of 1 KiB, CPU of the client", ours_ns, "OpenSSL alone, blocking", theirs_ns, EXCHANGES);
	SSL_CTX_free(server_ctx);
	close(listener);
	http_curl_global_deinit();
}
