/* tests/unit/scripted_server.h - a server on loopback that plays a script per connection, for tests of clients.
 *
 * Connection i plays scripts[i], the last script serves all that follow. Each connection has a thread of its own; what was
 * asked is kept. The test's thread starts, stops and reads counters; counters are under a mutex.
 */
#pragma once

#include <assert.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

enum step_kind { STEP_END, READ, SEND, STALL, RESET, PAUSE, TUNNEL, SERVE };

struct scripted;
struct conn;

/* READ takes one request; SEND writes text; STALL waits until the client goes; RESET ends the connection by RST; PAUSE waits
 * `ms`; TUNNEL joins the connection with 127.0.0.1:`ms`; SERVE hands it to a function. */
struct step {
	enum step_kind kind;
	const char *text;
	unsigned ms;
	void (*serve)(struct conn *conn);
};

#define ANSWER(body_len, body) "HTTP/1.1 200 OK\r\nContent-Length: " body_len "\r\n\r\n" body

enum { SERVER_CONNS = 32, SERVER_REQUESTS = 64, SERVER_REQUEST_BYTES = 8192, SERVER_SCRIPTS = 4 };

struct conn {
	struct scripted *server;
	const struct step *script;
	int fd;
	SSL *ssl;
	pthread_t thread;
};

struct scripted {
	const struct step *scripts[SERVER_SCRIPTS];
	bool plain; /* no TLS */
	bool h2; /* ALPN h2 */
	unsigned port;
	int listener;
	SSL_CTX *ctx;
	pthread_t acceptor;
	pthread_mutex_t mutex;
	struct conn conns[SERVER_CONNS];
	unsigned conn_count, request_count;
	char requests[SERVER_REQUESTS][SERVER_REQUEST_BYTES];
};

/* --- one certificate for 127.0.0.1 and vault.test, its own authority --- */

static EVP_PKEY *server_key;
static X509 *server_certificate;
static char server_ca_pem[4096];

static void add_extension(X509 *certificate, int nid, const char *value) {
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static inline void server_certificate_make(void) {
	server_key = EVP_EC_gen("P-256");
	server_certificate = X509_new();
	X509_set_version(server_certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(server_certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(server_certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(server_certificate), 86400);
	X509_NAME *name = X509_get_subject_name(server_certificate);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)"scripted", -1, -1, 0);
	X509_set_issuer_name(server_certificate, name);
	X509_set_pubkey(server_certificate, server_key);
	add_extension(server_certificate, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(server_certificate, NID_subject_alt_name, "IP:127.0.0.1,DNS:vault.test");
	assert_true(X509_sign(server_certificate, server_key, EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, server_certificate);
	int len = BIO_read(bio, server_ca_pem, sizeof server_ca_pem - 1);
	assert_true(len > 0);
	server_ca_pem[len] = 0;
	BIO_free(bio);
}

static inline void server_certificate_free(void) {
	X509_free(server_certificate);
	EVP_PKEY_free(server_key);
}

/* --- one connection; it runs in a thread, where cmocka's assertions do not work --- */

static int conn_read(struct conn *conn, char *bytes, size_t len) {
	return conn->ssl ? SSL_read(conn->ssl, bytes, (int)len)
			 : (int)recv(conn->fd, bytes, len, 0);
}

static void conn_write(struct conn *conn, const char *bytes, size_t len) {
	/* A client that has gone away is what some tests are about. */
	if (conn->ssl) SSL_write(conn->ssl, bytes, (int)len);
	if (!conn->ssl && send(conn->fd, bytes, len, MSG_NOSIGNAL) < 0) return;
}

static size_t content_length(const char *request) {
	const char *at = strcasestr(request, "\r\ncontent-length:");
	return at ? strtoul(at + 17, NULL, 10) : 0;
}

/* One request with its body, kept; false at the end of the connection. */
static bool conn_read_request(struct conn *conn) {
	char text[SERVER_REQUEST_BYTES] = { 0 };
	size_t len = 0;
	for (;;) {
		char *end = strstr(text, "\r\n\r\n");
		if (end && len >= (size_t)(end + 4 - text) + content_length(text)) break;
		int got = conn_read(conn, text + len, sizeof text - 1 - len);
		if (got <= 0) return false;
		len += (size_t)got;
	}
	pthread_mutex_lock(&conn->server->mutex);
	assert(conn->server->request_count < SERVER_REQUESTS);
	memcpy(conn->server->requests[conn->server->request_count++], text, sizeof text);
	pthread_mutex_unlock(&conn->server->mutex);
	return true;
}

static inline int connect_to_port(unsigned port) {
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
	close(fd);
	return -1;
}

static bool relay(int from, int to) {
	char bytes[4096];
	ssize_t got = recv(from, bytes, sizeof bytes, 0);
	return got > 0 && send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static void conn_tunnel(struct conn *conn, unsigned port) {
	struct pollfd fds[2] = { { conn->fd, POLLIN, 0 }, { connect_to_port(port), POLLIN, 0 } };
	while (fds[1].fd >= 0 && poll(fds, 2, -1) > 0) {
		if (fds[0].revents && !relay(fds[0].fd, fds[1].fd)) break;
		if (fds[1].revents && !relay(fds[1].fd, fds[0].fd)) break;
	}
	if (fds[1].fd >= 0) close(fds[1].fd);
}

static void conn_stall(struct conn *conn) {
	char bytes[512];
	while (conn_read(conn, bytes, sizeof bytes) > 0) continue;
}

static void conn_reset(struct conn *conn) {
	struct linger hard = { 1, 0 };
	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void conn_play(struct conn *conn) {
	for (const struct step *step = conn->script; step->kind != STEP_END; step++) {
		switch (step->kind) {
		case READ:
			if (!conn_read_request(conn)) return;
			break;
		case SEND:
			conn_write(conn, step->text, strlen(step->text));
			break;
		case STALL:
			conn_stall(conn);
			break;
		case RESET:
			conn_reset(conn);
			return;
		case PAUSE:
			usleep(step->ms * 1000);
			break;
		case TUNNEL:
			conn_tunnel(conn, step->ms);
			return;
		case SERVE:
			step->serve(conn);
			return;
		case STEP_END:
			break;
		}
	}
}

static void *conn_run(void *arg) {
	struct conn *conn = arg;
	if (conn->server->ctx) {
		conn->ssl = SSL_new(conn->server->ctx);
		SSL_set_fd(conn->ssl, conn->fd);
		if (SSL_accept(conn->ssl) == 1) conn_play(conn);
		struct linger linger = { 0 };
		socklen_t bytes = sizeof linger;
		getsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, &bytes);
		if (!linger.l_onoff) SSL_shutdown(conn->ssl);
		SSL_free(conn->ssl);
	} else {
		conn_play(conn);
	}
	/* The descriptor's number stays taken until the server stops: stop() shuts it down. RST needs the close, now. */
	int nothing = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pthread_mutex_lock(&conn->server->mutex);
	dup2(nothing, conn->fd);
	pthread_mutex_unlock(&conn->server->mutex);
	close(nothing);
	return NULL;
}

static void *accept_run(void *arg) {
	struct scripted *server = arg;
	int fd;
	while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_mutex_lock(&server->mutex);
		assert(server->conn_count < SERVER_CONNS);
		struct conn *conn = &server->conns[server->conn_count];
		unsigned script = server->conn_count++;
		while (script >= SERVER_SCRIPTS || !server->scripts[script]) script--;
		*conn = (struct conn){
			.server = server, .script = server->scripts[script], .fd = fd
		};
		pthread_create(&conn->thread, NULL, conn_run, conn);
		pthread_mutex_unlock(&server->mutex);
	}
	return NULL;
}

/* --- the server --- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *arg) {
	static const unsigned char h2[] = "\2h2", h1[] = "\10http/1.1";
	const struct scripted *server = arg;
	const unsigned char *wanted = server->h2 ? h2 : h1;
	(void)ssl;
	int got = SSL_select_next_proto(
		(unsigned char **)(uintptr_t)out, out_len, wanted, wanted[0] + 1u, in, in_len);
	return got == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* `scripts` and `plain` are set; the rest of `server` is zero. */
static inline void server_start(struct scripted *server) {
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof address;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(server->listener, 64), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &bytes), 0);
	server->port = ntohs(address.sin_port);
	pthread_mutex_init(&server->mutex, NULL);
	if (!server->plain) {
		server->ctx = SSL_CTX_new(TLS_server_method());
		SSL_CTX_use_certificate(server->ctx, server_certificate);
		SSL_CTX_use_PrivateKey(server->ctx, server_key);
		SSL_CTX_set_alpn_select_cb(server->ctx, choose_protocol, server);
	}
	assert_int_equal(pthread_create(&server->acceptor, NULL, accept_run, server), 0);
}

static inline void server_stop(struct scripted *server) {
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->acceptor, NULL);
	for (unsigned i = 0; i < server->conn_count; i++) {
		pthread_mutex_lock(&server->mutex);
		shutdown(server->conns[i].fd, SHUT_RDWR);
		pthread_mutex_unlock(&server->mutex);
		pthread_join(server->conns[i].thread, NULL);
		close(server->conns[i].fd);
	}
	close(server->listener);
	SSL_CTX_free(server->ctx);
	pthread_mutex_destroy(&server->mutex);
}

static inline unsigned server_connections(struct scripted *server) {
	pthread_mutex_lock(&server->mutex);
	unsigned count = server->conn_count;
	pthread_mutex_unlock(&server->mutex);
	return count;
}

static inline unsigned server_requests(struct scripted *server) {
	pthread_mutex_lock(&server->mutex);
	unsigned count = server->request_count;
	pthread_mutex_unlock(&server->mutex);
	return count;
}

/* A copy of request i in static storage. */
static inline const char *server_request(struct scripted *server, unsigned i) {
	static char copy[SERVER_REQUEST_BYTES];
	pthread_mutex_lock(&server->mutex);
	memcpy(copy, server->requests[i], sizeof copy);
	pthread_mutex_unlock(&server->mutex);
	return copy;
}
