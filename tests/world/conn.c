/* tests/world/conn.c - one connection: bytes in and out, plain or TLS, and when it is due next. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/world/server.h"

enum { READ_BYTES = 16 << 10, READS_A_TURN = 32 };

static bool unsent(const struct conn *conn) {
	return conn->out_sent < buf_str(&conn->out).len;
}

static void watch_events(struct conn *conn) {
	if (conn->dead) return;
	uint32_t events = EPOLLIN;
	if (unsent(conn) || conn->want_write) events |= EPOLLOUT;
	if (conn->frozen) events = 0;
	if (events == conn->watch.events) return;
	if (loop_change(conn->server->loop, &conn->watch, events) != OK) conn_kill(conn, true);
}

void conn_kill(struct conn *conn, bool reset) {
	if (conn->dead) return;
	conn->dead = true;
	list_remove(&conn->link);
	list_push_back(&conn->server->dead, &conn->link);
	list_remove(&conn->resume);
	heap_remove(&conn->server->timers, &conn->timer);
	loop_remove(conn->server->loop, &conn->watch);
	if (reset) {
		struct linger hard = { .l_onoff = 1, .l_linger = 0 };
		setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	} else if (conn->ssl && conn->handshaken) {
		SSL_shutdown(conn->ssl);
	}
	close(conn->watch.fd);
}

void conn_free(struct conn *conn) {
	assert(conn->dead);
	list_remove(&conn->link);
	if (conn->h2) nghttp2_session_del(conn->h2);
	list_for_each_safe (node, &conn->exchanges)
		exchange_destroy(container_of(node, struct exchange, link));
	SSL_free(conn->ssl);
	buf_deinit(&conn->in);
	buf_deinit(&conn->out);
	mem_free(conn);
}

/* Bytes written, 0: not now, -1: the connection is gone. */
static ssize_t put(struct conn *conn, struct str bytes) {
	conn->want_write = false;
	if (!conn->ssl) {
		ssize_t sent =
			send(conn->watch.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		return sent < 0 ? (errno == EAGAIN || errno == EINTR ? 0 : -1) : sent;
	}
	ERR_clear_error();
	int sent = SSL_write(conn->ssl, bytes.ptr, bytes.len > 1 << 20 ? 1 << 20 : (int)bytes.len);
	if (sent > 0) return sent;
	int why = SSL_get_error(conn->ssl, sent);
	conn->want_write = why == SSL_ERROR_WANT_WRITE;
	return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
}

void conn_flush(struct conn *conn) {
	if (conn->dead || conn->frozen || (conn->ssl && !conn->handshaken)) return;
	if (buf_err(&conn->out)) {
		conn_kill(conn, true);
		return;
	}
	while (unsent(conn) || (conn->h2 && h2_pump(conn))) {
		ssize_t sent = put(conn, str_slice(buf_str(&conn->out), conn->out_sent, SIZE_MAX));
		if (sent < 0) {
			conn_kill(conn, false);
			return;
		}
		if (sent == 0) break;
		conn->out_sent += (size_t)sent;
		if (unsent(conn)) continue;
		buf_reset(&conn->out);
		conn->out_sent = 0;
	}
	if (conn->dead) return;
	if (!unsent(conn)) {
		if (conn->closing) {
			conn_kill(conn, false);
			return;
		}
	}
	watch_events(conn);
}

/* Bytes read, 0: not now, -1: the peer is gone. */
static ssize_t get(struct conn *conn, char *bytes, size_t size) {
	if (!conn->ssl) {
		ssize_t got = recv(conn->watch.fd, bytes, size, MSG_DONTWAIT);
		return got > 0 ? got : got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	}
	ERR_clear_error();
	int got = SSL_read(conn->ssl, bytes, (int)size);
	if (got > 0) return got;
	int why = SSL_get_error(conn->ssl, got);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static void feed(struct conn *conn) {
	if (conn->dead || !buf_str(&conn->in).len) return;
	if (buf_err(&conn->in)) {
		conn_kill(conn, true);
	} else if (conn->h2) {
		h2_feed(conn);
	} else {
		h1_feed(conn);
	}
}

void conn_resume(struct conn *conn) {
	if (conn->dead || conn->frozen) return;
	if (conn->h2) {
		h2_resume(conn);
	} else {
		h1_resume(conn);
		feed(conn);
	}
	conn_flush(conn);
	conn_schedule(conn);
}

void conn_freeze(struct conn *conn, bool frozen) {
	conn->frozen = frozen;
	watch_events(conn);
	conn_resume(conn);
}

/* A new connection, as soon as it is known for whom it is. */
static void obey_net(struct conn *conn) {
	struct server *server = conn->server;
	enum world_link link = world_net_link(&server->net, server->now, str_of(conn->host));
	if (link == WORLD_REFUSED || link == WORLD_NXDOMAIN) conn_kill(conn, true);
	if (link == WORLD_BLACKHOLE) conn_freeze(conn, true);
}

static void handshake(struct conn *conn) {
	ERR_clear_error();
	int done = SSL_accept(conn->ssl);
	if (done != 1) {
		int why = SSL_get_error(conn->ssl, done);
		conn->want_write = why == SSL_ERROR_WANT_WRITE;
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
			conn_kill(conn, false);
		watch_events(conn);
		return;
	}
	conn->handshaken = true;
	const unsigned char *protocol = NULL;
	unsigned len = 0;
	SSL_get0_alpn_selected(conn->ssl, &protocol, &len);
	if (len == 2 && memcmp(protocol, "h2", 2) == 0) h2_start(conn);
	const char *name = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
	if (!name || conn->host[0]) return;
	snprintf(conn->host, sizeof(conn->host), "%s", name);
	obey_net(conn);
}

/* What OpenSSL has read ahead makes no socket readable: it is taken in the same turn. */
static bool may_read(const struct conn *conn, int reads) {
	if (conn->dead) return false;
	return reads < READS_A_TURN || (conn->ssl && SSL_has_pending(conn->ssl));
}

static void conn_ready(struct loop_fd *watch, uint32_t events) {
	struct conn *conn = container_of(watch, struct conn, watch);
	if (conn->dead) return;
	/* The loop reads the clock after its callbacks: its reading is as old as the wait was long. */
	conn->server->now = clock_now(conn->server->clock);
	if (conn->frozen) {
		if (events & (EPOLLERR | EPOLLHUP)) conn_kill(conn, false);
		return;
	}
	if (conn->ssl && !conn->handshaken) handshake(conn);
	if (conn->dead || (conn->ssl && !conn->handshaken)) return;
	bool was_tls = conn->ssl != NULL;
	char bytes[READ_BYTES];
	for (int i = 0; may_read(conn, i) && was_tls == (conn->ssl != NULL); i++) {
		ssize_t got = get(conn, bytes, sizeof(bytes));
		if (got < 0) {
			conn_kill(conn, false);
			return;
		}
		if (got == 0) break;
		buf_append(&conn->in, (struct str){ bytes, (size_t)got });
		feed(conn);
	}
	if (conn->dead) return;
	conn_flush(conn);
	conn_schedule(conn);
}

void conn_schedule(struct conn *conn) {
	if (conn->dead) return;
	int64_t at_ns = conn->idle_ns;
	list_for_each (node, &conn->exchanges) {
		const struct exchange *exchange = container_of(node, struct exchange, link);
		if (exchange->handled && !exchange->started && exchange->due_ns < at_ns)
			at_ns = exchange->due_ns;
	}
	if (at_ns == NEVER_NS || conn->frozen) {
		heap_remove(&conn->server->timers, &conn->timer);
	} else if (heap_set(&conn->server->timers, &conn->timer, at_ns) != OK) {
		conn_kill(conn, true);
	}
}

void conn_start_tls(struct conn *conn) {
	assert(!conn->ssl && conn->kind <= SERVER_KUBE);
	conn->ssl = SSL_new(conn->server->tls[conn->kind]);
	if (!conn->ssl || SSL_set_fd(conn->ssl, conn->watch.fd) != 1) {
		conn_kill(conn, true);
		return;
	}
	SSL_set_accept_state(conn->ssl);
	if (conn->kind == SERVER_AZURE) {
		conn->idle_ns = conn->server->now.mono_ns + conn->server->idle_close_ns;
		conn_schedule(conn);
	}
}

void conn_open(struct listener *listener, int fd) {
	struct server *server = listener->server;
	struct conn *conn = mem_zalloc(sizeof(*conn));
	assert(conn);
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->server = server;
	conn->kind = listener->kind;
	conn->watch = (struct loop_fd){ .fd = fd, .events = EPOLLIN, .ready = conn_ready };
	conn->idle_ns = NEVER_NS;
	buf_init(&conn->in, WORLD_BODY_BYTES + WORLD_HEAD_BYTES);
	buf_init(&conn->out, 1 << 30);
	list_init(&conn->exchanges);
	list_init(&conn->resume);
	list_push_back(&server->conns, &conn->link);
	server->connections[conn->kind]++;
	if (loop_add(server->loop, &conn->watch) != OK) {
		conn_kill(conn, true);
		return;
	}
	if (conn->kind == SERVER_KUBE) snprintf(conn->host, sizeof(conn->host), "kube");
	if (conn->kind == SERVER_IMDS) snprintf(conn->host, sizeof(conn->host), AZURE_IMDS_HOST);
	if (conn->kind <= SERVER_KUBE) conn_start_tls(conn);
	if (!conn->dead && conn->host[0]) obey_net(conn);
}
