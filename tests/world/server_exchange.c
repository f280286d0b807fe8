/* tests/world/server_exchange.c - one request and its answer, whatever the protocol around them. */
#include <assert.h>
#include <stdio.h>

#include "tests/world/server.h"

enum { WATCH_BACKLOG_BYTES = 1 << 20 };

struct exchange *exchange_create(struct conn *conn, int32_t stream_id) {
	struct exchange *exchange = mem_zalloc(sizeof(*exchange));
	assert(exchange);
	exchange->conn = conn;
	exchange->stream_id = stream_id;
	buf_init(&exchange->head, WORLD_HEAD_BYTES);
	buf_init(&exchange->body, WORLD_BODY_BYTES);
	world_response_init(&exchange->out);
	list_push_back(&conn->exchanges, &exchange->link);
	conn->idle_ns = NEVER_NS;
	return exchange;
}

void exchange_destroy(struct exchange *exchange) {
	struct conn *conn = exchange->conn;
	if (exchange->watch) kube_watch_close(exchange->watch);
	list_remove(&exchange->watch_link);
	list_remove(&exchange->link);
	buf_deinit(&exchange->head);
	buf_deinit(&exchange->body);
	world_response_deinit(&exchange->out);
	mem_free(exchange);
	bool azure = conn->kind == SERVER_AZURE;
	if (azure && list_is_empty(&conn->exchanges)) {
		conn->idle_ns = conn->server->now.mono_ns + conn->server->idle_close_ns;
	}
}

void exchange_peer(const struct conn *conn, struct world_request *req, char names[static 512]) {
	X509 *certificate = conn->ssl ? SSL_get0_peer_certificate(conn->ssl) : NULL;
	if (!certificate || SSL_get_verify_result(conn->ssl) != X509_V_OK) return;
	X509_NAME *subject = X509_get_subject_name(certificate);
	if (X509_NAME_get_text_by_NID(subject, NID_commonName, names, 256) > 0)
		req->client_cn = str_of(names);
	if (X509_NAME_get_text_by_NID(subject, NID_organizationName, names + 256, 256) > 0) {
		req->client_o = str_of(names + 256);
	}
}

static void handle_kube(
	struct exchange *exchange, struct now now, const struct world_request *req) {
	struct server *server = exchange->conn->server;
	if (!kube_request_is_watch(req)) {
		kube_handle(server->kube, now, req, &exchange->out);
		return;
	}
	exchange->watch = kube_watch_open(server->kube, now, req, &exchange->out);
	if (exchange->watch) list_push_back(&server->watches, &exchange->watch_link);
}

/* RFC 1952 around stored blocks (RFC 1951): a valid gzip body without a compressor. */
void world_gzip(struct buf *body) {
	struct str plain = buf_str(body);
	struct buf out;
	buf_init(&out, 1 << 28);
	buf_append(&out, (struct str){ "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10 });
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < plain.len; i++) {
		crc ^= (unsigned char)plain.ptr[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	crc = ~crc;
	size_t at = 0;
	do {
		struct str block = str_slice(plain, at, 65535);
		at += block.len;
		buf_append_char(&out, at == plain.len);
		buf_append_char(&out, (char)(block.len & 255));
		buf_append_char(&out, (char)(block.len >> 8));
		buf_append_char(&out, (char)(~block.len & 255));
		buf_append_char(&out, (char)(~block.len >> 8 & 255));
		buf_append(&out, block);
	} while (at < plain.len);
	for (int i = 0; i < 4; i++) buf_append_char(&out, (char)(crc >> (8 * i) & 255));
	for (int i = 0; i < 4; i++) buf_append_char(&out, (char)(plain.len >> (8 * i) & 255));
	buf_reset(body);
	buf_append(body, buf_str(&out));
	buf_deinit(&out);
}

void exchange_handle(struct exchange *exchange, const struct world_request *req) {
	struct conn *conn = exchange->conn;
	struct server *server = conn->server;
	struct now now = server->now;
	assert(!exchange->handled && conn->kind != SERVER_PROXY);
	if (conn->kind == SERVER_AZURE || conn->kind == SERVER_IMDS)
		azure_handle(server->azure, now, req, &exchange->out);
	if (conn->kind == SERVER_KUBE) handle_kube(exchange, now, req);
	if (conn->kind == SERVER_CONTROL) control_handle(server, now, req, &exchange->out);
	if (conn->kind != SERVER_CONTROL) world_log_add(server->log, now, req, &exchange->out);
	if (exchange->out.gzip) {
		world_response_header(&exchange->out, "Content-Encoding", "gzip");
		world_gzip(&exchange->out.body);
	}
	exchange->handled = true;
	exchange->due_ns = now.mono_ns + exchange->out.delay_ns;
	conn->served++;
}

/* The client has not taken enough of what is there. */
static bool is_full(const struct exchange *exchange) {
	return buf_str(&exchange->out.body).len - exchange->sent > WATCH_BACKLOG_BYTES ||
	       buf_str(&exchange->conn->out).len > WATCH_BACKLOG_BYTES;
}

bool exchange_poll(struct exchange *exchange) {
	struct buf *body = &exchange->out.body;
	if (exchange->watch_state != KUBE_WATCH_OPEN) return true;
	if (is_full(exchange)) return false;
	if (exchange->sent) {
		buf_consume(body, exchange->sent);
		exchange->sent = 0;
	}
	exchange->watch_state = kube_watch_poll(exchange->watch, exchange->conn->server->now, body);
	return buf_str(body).len > 0 || exchange->watch_state != KUBE_WATCH_OPEN;
}

int64_t exchange_next_ns(const struct exchange *exchange) {
	if (exchange->watch_state != KUBE_WATCH_OPEN || is_full(exchange)) return NEVER_NS;
	return kube_watch_next_ns(exchange->watch);
}
