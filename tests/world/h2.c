/* tests/world/h2.c - HTTP/2 by libnghttp2: many exchanges a connection, and its own ways to fail. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/server.h"

enum { OUT_BYTES = 256 << 10, MAX_STREAMS = 250, WINDOW_BYTES = 1 << 20 };

static struct exchange *find(nghttp2_session *session, int32_t stream_id) {
	return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct exchange *exchange = exchange_create(user, frame->hd.stream_id);
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, exchange);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
	(void)flags, (void)user;
	struct exchange *exchange = find(session, frame->hd.stream_id);
	if (!exchange || exchange->mark_count + 2 > 2 * WORLD_MAX_HEADERS)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	exchange->marks[exchange->mark_count++] = (uint32_t)buf_str(&exchange->head).len;
	buf_append(&exchange->head, (struct str){ (const char *)name, name_len });
	exchange->marks[exchange->mark_count++] = (uint32_t)buf_str(&exchange->head).len;
	buf_append(&exchange->head, (struct str){ (const char *)value, value_len });
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
	size_t len, void *user) {
	(void)flags, (void)user;
	struct exchange *exchange = find(session, stream_id);
	if (exchange) buf_append(&exchange->body, (struct str){ (const char *)bytes, len });
	return 0;
}

/* Sorts the pseudo headers into their places. */
static void read_head(const struct exchange *exchange, struct world_request *req) {
	struct str all = buf_str(&exchange->head);
	for (unsigned i = 0; i < exchange->mark_count; i += 2) {
		size_t name_at = exchange->marks[i], value_at = exchange->marks[i + 1];
		size_t end = i + 2 < exchange->mark_count ? exchange->marks[i + 2] : all.len;
		struct str name = str_slice(all, name_at, value_at - name_at),
			   value = str_slice(all, value_at, end - value_at);
		if (str_eq(name, STR(":method"))) {
			req->method = value;
		} else if (str_eq(name, STR(":authority"))) {
			req->host = str_slice(value, 0, str_find_char(value, ':'));
		} else if (str_eq(name, STR(":path"))) {
			req->query = value;
			req->path = str_next(&req->query, '?');
			if (!req->query.ptr) req->query = STR("");
		} else if (!str_starts(name, STR(":"))) {
			req->headers[req->header_count++] = (struct world_header){ name, value };
		}
	}
}

static void dispatch(struct exchange *exchange) {
	struct conn *conn = exchange->conn;
	struct world_request req = {
		.port = 443, .body = buf_str(&exchange->body), .reused_connection = conn->served > 0
	};
	char names[512];
	exchange_peer(conn, &req, names);
	read_head(exchange, &req);
	if (conn->kind == SERVER_KUBE) req.host = STR("kube");
	exchange_handle(exchange, &req);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
	(void)user;
	bool whole = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
	if (!whole || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
	struct exchange *exchange = find(session, frame->hd.stream_id);
	if (exchange && !exchange->handled) dispatch(exchange);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user) {
	(void)error, (void)user;
	struct exchange *exchange = find(session, stream_id);
	nghttp2_session_set_stream_user_data(session, stream_id, NULL);
	if (exchange) exchange_destroy(exchange);
	return 0;
}

void h2_start(struct conn *conn) {
	nghttp2_session_callbacks *callbacks = NULL;
	int failed = nghttp2_session_callbacks_new(&callbacks);
	assert(!failed);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	failed = nghttp2_session_server_new(&conn->h2, callbacks, conn);
	assert(!failed);
	nghttp2_session_callbacks_del(callbacks);
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES },
	};
	nghttp2_submit_settings(
		conn->h2, NGHTTP2_FLAG_NONE, settings, sizeof(settings) / sizeof(*settings));
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *bytes, size_t size,
	uint32_t *flags, nghttp2_data_source *source, void *user) {
	(void)session, (void)stream_id, (void)user;
	struct exchange *exchange = source->ptr;
	struct str rest = str_slice(buf_str(&exchange->out.body), exchange->sent, SIZE_MAX);
	bool cut = exchange->out.fault == WORLD_TRUNCATE;
	if (exchange->out.fault == WORLD_STALL_HEADERS) return NGHTTP2_ERR_DEFERRED;
	if (cut) rest = str_slice(rest, 0, buf_str(&exchange->out.body).len / 2 - exchange->sent);
	size_t len = rest.len < size ? rest.len : size;
	bool open = exchange->watch && exchange->watch_state == KUBE_WATCH_OPEN;
	bool broken = cut || (exchange->watch && exchange->watch_state == KUBE_WATCH_BROKEN);
	if (!len && open) return NGHTTP2_ERR_DEFERRED;
	if (!len && broken) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (len) memcpy(bytes, rest.ptr, len);
	exchange->sent += len;
	if (len == rest.len && !open && !broken) *flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)len;
}

static nghttp2_nv field(struct str name, struct str value) {
	return (nghttp2_nv){ (uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len,
		NGHTTP2_NV_FLAG_NONE };
}

static void submit(struct exchange *exchange) {
	struct world_response *out = &exchange->out;
	nghttp2_nv fields[WORLD_MAX_HEADERS];
	char status[16], length[32];
	size_t count = 0;
	snprintf(status, sizeof(status), "%d", out->status);
	snprintf(length, sizeof(length), "%zu", buf_str(&out->body).len);
	fields[count++] = field(STR(":status"), str_of(status));
	/* Field names are lower case in HTTP/2. */
	struct str head = buf_str(&out->head), name, value;
	for (char *c = (char *)head.ptr, *end = c + head.len, *at = c; at < end; at++) {
		bool in_name = true;
		for (; at < end && *at != '\n'; at++) {
			in_name &= *at != ':';
			if (in_name && *at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a');
		}
	}
	while (count + 1 < WORLD_MAX_HEADERS && world_next_header(&head, &name, &value)) {
		fields[count++] = field(name, value);
	}
	if (!exchange->watch && out->status != 204)
		fields[count++] = field(STR("content-length"), str_of(length));
	nghttp2_data_provider provider = { .source.ptr = exchange, .read_callback = read_body };
	bool body =
		exchange->watch || buf_str(&out->body).len > 0 || out->fault == WORLD_STALL_HEADERS;
	nghttp2_submit_response(
		exchange->conn->h2, exchange->stream_id, fields, count, body ? &provider : NULL);
}

/* True: the connection is dead and its exchanges are no business of ours any more. */
static bool answer(struct exchange *exchange) {
	struct conn *conn = exchange->conn;
	enum world_fault fault = exchange->out.fault;
	exchange->started = true;
	if (fault == WORLD_RESET_BEFORE || fault == WORLD_RESET_AFTER) {
		conn_kill(conn, true);
		return true;
	}
	if (fault == WORLD_STALL) return false;
	submit(exchange);
	if (fault == WORLD_GOAWAY || fault == WORLD_CLOSE) {
		nghttp2_submit_goaway(conn->h2, NGHTTP2_FLAG_NONE,
			nghttp2_session_get_last_proc_stream_id(conn->h2), NGHTTP2_NO_ERROR, NULL,
			0);
	}
	return false;
}

bool h2_pump(struct conn *conn) {
	const uint8_t *bytes = NULL;
	ssize_t len = 0;
	while (buf_str(&conn->out).len - conn->out_sent < OUT_BYTES &&
		(len = nghttp2_session_mem_send(conn->h2, &bytes)) > 0) {
		buf_append(&conn->out, (struct str){ (const char *)bytes, (size_t)len });
	}
	if (len < 0) {
		conn_kill(conn, true);
		return false;
	}
	if (!nghttp2_session_want_read(conn->h2) && !nghttp2_session_want_write(conn->h2))
		conn->closing = true;
	return buf_str(&conn->out).len > conn->out_sent;
}

void h2_resume(struct conn *conn) {
	struct now now = conn->server->now;
	list_for_each_safe (node, &conn->exchanges) {
		struct exchange *exchange = container_of(node, struct exchange, link);
		if (!exchange->handled || exchange->due_ns > now.mono_ns) continue;
		if (exchange->started) {
			if (exchange->watch)
				nghttp2_session_resume_data(conn->h2, exchange->stream_id);
		} else if (answer(exchange)) {
			return;
		}
	}
	h2_pump(conn);
}

void h2_feed(struct conn *conn) {
	struct str in = buf_str(&conn->in);
	ssize_t used = nghttp2_session_mem_recv(conn->h2, (const uint8_t *)in.ptr, in.len);
	if (used < 0) {
		conn_kill(conn, true);
		return;
	}
	buf_consume(&conn->in, (size_t)used);
	h2_resume(conn);
}
