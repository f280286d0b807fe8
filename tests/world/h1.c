/* tests/world/h1.c - HTTP/1.1, one request at a time per connection. Strict: what RFC 9112 forbids is a 400 and a close. */
#include <assert.h>
#include <stdio.h>

#include "tests/world/server.h"

/* What Windows' HTTP driver takes of a request's head. */
enum { AZURE_HEAD_BYTES = 16 << 10 };

struct head {
	struct world_request req;
	size_t bytes; /* up to and with the empty line */
	size_t body_bytes; /* as encoded */
	bool chunked, close, expects;
	char host[256];
};

/* A whole answer of the front end itself, then close; before Azure the kernel's HTTP driver writes it. */
static void refuse(struct conn *conn, int status, const char *why) {
	struct buf body;
	buf_init(&body, 1024);
	if (conn->kind == SERVER_AZURE) {
		buf_printf(&body,
			"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML "
			"4.01//EN\"\"http://www.w3.org/TR/html4/"
			"strict.dtd\">\r\n<HTML><HEAD><TITLE>Bad "
			"Request</TITLE></HEAD>\r\n<BODY><h2>Bad "
			"Request - %s</h2>\r\n<hr><p>HTTP Error %d. The request is badly "
			"formed.</p>\r\n"
			"</BODY></HTML>\r\n",
			why, status);
	}
	buf_printf(&conn->out,
		"HTTP/1.1 %d %s\r\nContent-Type: text/html; charset=us-ascii\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n",
		status, world_reason(status), buf_str(&body).len);
	buf_append(&conn->out, buf_str(&body));
	buf_deinit(&body);
	conn->closing = true;
	buf_reset(&conn->in);
}

static bool is_token(struct str s) {
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 127 || strchr("()<>@,;:\\\"/[]?={}", s.ptr[i]))
			return false;
	}
	return s.len > 0;
}

static bool request_line(struct str line, struct world_request *req) {
	struct str rest = line;
	req->method = str_next(&rest, ' ');
	if (!rest.ptr) return false;
	struct str target = str_next(&rest, ' ');
	/* Python's http.client opens tunnels by HTTP/1.0, and without Host. */
	bool tunnel =
		str_eq(req->method, STR("CONNECT")) && rest.ptr && str_eq(rest, STR("HTTP/1.0"));
	if (!tunnel && (!rest.ptr || !str_eq(rest, STR("HTTP/1.1")))) return false;
	if (!is_token(req->method) || !target.len) return false;
	req->query = target;
	req->path = str_next(&req->query, '?');
	if (!req->query.ptr) req->query = STR("");
	return true;
}

static bool host_of(struct str value, struct head *head) {
	size_t colon = str_find_char(value, ':');
	struct str name = str_slice(value, 0, colon);
	int64_t port = 443;
	if (colon != SIZE_MAX && str_to_i64(str_slice(value, colon + 1, SIZE_MAX), &port) != OK)
		return false;
	if (!name.len || name.len >= sizeof(head->host)) return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		head->host[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	head->req.host = (struct str){ head->host, name.len };
	head->req.port = (unsigned)port;
	return true;
}

static bool header_line(struct str line, struct head *head) {
	struct world_request *req = &head->req;
	size_t colon = str_find_char(line, ':');
	if (colon == SIZE_MAX || req->header_count == WORLD_MAX_HEADERS) return false;
	struct str name = str_slice(line, 0, colon),
		   value = str_trim(str_slice(line, colon + 1, SIZE_MAX));
	uint64_t length = 0;
	if (!is_token(name)) return false;
	req->headers[req->header_count++] = (struct world_header){ name, value };
	if (str_eq_nocase(name, STR("Host"))) return host_of(value, head);
	if (str_eq_nocase(name, STR("Connection")))
		head->close = str_eq_nocase(value, STR("close"));
	if (str_eq_nocase(name, STR("Expect"))) head->expects = true;
	if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
		if (head->body_bytes) return false;
		head->chunked = str_eq_nocase(value, STR("chunked"));
		return head->chunked;
	}
	if (str_eq_nocase(name, STR("Content-Length"))) {
		if (str_to_u64(value, &length) != OK || length > WORLD_BODY_BYTES) return false;
		if (head->chunked || head->body_bytes) return false;
		head->body_bytes = (size_t)length;
	}
	return true;
}

/* 0: more bytes are needed, 1: it is there, -1: it is no HTTP/1.1 request. */
static int parse_head(struct str in, struct head *out_head) {
	size_t end = str_find(in, STR("\r\n\r\n"));
	if (end == SIZE_MAX) return in.len > WORLD_HEAD_BYTES ? -1 : 0;
	*out_head = (struct head){ .bytes = end + 4 };
	struct str rest = str_slice(in, 0, end + 2);
	size_t cut = str_find(rest, STR("\r\n"));
	if (!request_line(str_slice(rest, 0, cut), &out_head->req)) return -1;
	for (rest = str_slice(rest, cut + 2, SIZE_MAX); rest.len;
		rest = str_slice(rest, cut + 2, SIZE_MAX)) {
		cut = str_find(rest, STR("\r\n"));
		if (!header_line(str_slice(rest, 0, cut), out_head)) return -1;
	}
	return out_head->req.host.len || str_eq(out_head->req.method, STR("CONNECT")) ? 1 : -1;
}

/* Decodes what is there of a chunked body. Same answers as above; *out_bytes: its encoded length. */
static int parse_chunks(struct str in, struct buf *out_body, size_t *out_bytes) {
	size_t at = 0;
	for (;;) {
		struct str rest = str_slice(in, at, SIZE_MAX);
		size_t line = str_find(rest, STR("\r\n")), size = 0;
		if (line == SIZE_MAX) return 0;
		for (size_t i = 0; i < line && rest.ptr[i] != ';'; i++) {
			char c = rest.ptr[i];
			int digit = c >= '0' && c <= '9'                 ? c - '0'
				    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
									 : -1;
			if (digit < 0 || size > WORLD_BODY_BYTES) return -1;
			size = size * 16 + (size_t)digit;
		}
		if (line == 0) return -1;
		at += line + 2;
		if (in.len < at + size + 2) return 0;
		buf_append(out_body, str_slice(in, at, size));
		at += size + 2;
		if (size) continue;
		*out_bytes = at;
		return 1;
	}
}

static void handle(struct conn *conn, struct head *head, struct buf *body) {
	struct world_request *req = &head->req;
	char names[512];
	exchange_peer(conn, req, names);
	req->body = buf_str(body);
	req->reused_connection = conn->served > 0;
	if (conn->kind == SERVER_KUBE) req->host = STR("kube");
	if (conn->kind == SERVER_IMDS) req->host = STR(AZURE_IMDS_HOST);
	conn->close_after = head->close;
	exchange_handle(exchange_create(conn, 0), req);
}

/* Takes one request from the input. False: it is not whole yet, or there is none. */
static bool take_request(struct conn *conn) {
	struct head head;
	struct buf body;
	struct str in = buf_str(&conn->in);
	int found = in.len ? parse_head(in, &head) : 0;
	bool taken = false,
	     long_head = found > 0 && conn->kind == SERVER_AZURE && head.bytes > AZURE_HEAD_BYTES;
	buf_init(&body, WORLD_BODY_BYTES);
	if (found > 0) {
		struct str rest = str_slice(in, head.bytes, SIZE_MAX);
		if (head.chunked) found = parse_chunks(rest, &body, &head.body_bytes);
		if (!head.chunked && rest.len < head.body_bytes) found = 0;
		if (!head.chunked && found > 0)
			buf_append(&body, str_slice(rest, 0, head.body_bytes));
		if (found == 0 && head.expects && !rest.len) {
			buf_append(&conn->out, STR("HTTP/1.1 100 Continue\r\n\r\n"));
		}
	}
	bool tunnel = found > 0 && str_eq(head.req.method, STR("CONNECT"));
	if (found < 0 || long_head) {
		refuse(conn, 400, long_head ? "Request Too Long" : "Invalid Header");
	} else if (found > 0 && tunnel != (conn->kind == SERVER_PROXY)) {
		refuse(conn, 405, "Invalid Verb");
	} else if (tunnel) {
		proxy_connect(conn, head.req.path);
	} else if (found > 0) {
		taken = true;
		handle(conn, &head, &body);
		buf_consume(&conn->in, head.bytes + head.body_bytes);
	}
	buf_deinit(&body);
	return taken;
}

static void write_head(struct conn *conn, struct exchange *exchange) {
	struct world_response *out = &exchange->out;
	bool chunked = out->chunked || exchange->watch;
	buf_printf(&conn->out, "HTTP/1.1 %d %s\r\n", out->status,
		out->no_reason ? "" : world_reason(out->status));
	buf_append(&conn->out, buf_str(&out->head));
	if (chunked) {
		buf_append(&conn->out, STR("Transfer-Encoding: chunked\r\n"));
	} else if (out->status != 204) {
		buf_printf(&conn->out, "Content-Length: %zu\r\n", buf_str(&out->body).len);
	}
	if (conn->close_after) buf_append(&conn->out, STR("Connection: close\r\n"));
	buf_append(&conn->out, STR("\r\n"));
	exchange->started = true;
}

static void write_chunk(struct conn *conn, struct str bytes) {
	if (!bytes.len) return;
	buf_printf(&conn->out, "%zx\r\n", bytes.len);
	buf_append(&conn->out, bytes);
	buf_append(&conn->out, STR("\r\n"));
}

static void end(struct conn *conn, struct exchange *exchange) {
	enum world_fault fault = exchange->out.fault;
	exchange_destroy(exchange);
	if (conn->close_after || fault == WORLD_CLOSE || fault == WORLD_GOAWAY ||
		fault == WORLD_TRUNCATE) {
		conn->closing = true;
	}
}

static void resume_watch(struct conn *conn, struct exchange *exchange) {
	write_chunk(conn, buf_str(&exchange->out.body));
	buf_reset(&exchange->out.body);
	if (exchange->watch_state == KUBE_WATCH_BROKEN) {
		conn->closing = true;
	} else if (exchange->watch_state == KUBE_WATCH_ENDED) {
		buf_append(&conn->out, STR("0\r\n\r\n"));
		end(conn, exchange);
	}
}

static void answer(struct conn *conn, struct exchange *exchange) {
	struct world_response *out = &exchange->out;
	if (out->fault == WORLD_RESET_BEFORE || out->fault == WORLD_RESET_AFTER) {
		conn_kill(conn, true);
		return;
	}
	conn->stalled = out->fault == WORLD_STALL || out->fault == WORLD_STALL_HEADERS;
	exchange->started = true;
	if (out->fault == WORLD_STALL) return;
	write_head(conn, exchange);
	if (out->fault == WORLD_STALL_HEADERS) return;
	if (exchange->watch) {
		resume_watch(conn, exchange);
		return;
	}
	struct str body = buf_str(&out->body);
	if (out->fault == WORLD_TRUNCATE) body.len /= 2;
	if (out->chunked) {
		/* Two pieces, so that a reader meets a chunk border inside the text. */
		write_chunk(conn, str_slice(body, 0, body.len / 2));
		write_chunk(conn, str_slice(body, body.len / 2, SIZE_MAX));
		if (out->fault != WORLD_TRUNCATE) buf_append(&conn->out, STR("0\r\n\r\n"));
	} else if (out->status != 204) {
		buf_append(&conn->out, body);
	}
	end(conn, exchange);
}

void h1_resume(struct conn *conn) {
	struct list *first = list_first(&conn->exchanges);
	if (!first || conn->stalled || conn->closing) return;
	struct exchange *exchange = container_of(first, struct exchange, link);
	if (exchange->started && exchange->watch) {
		resume_watch(conn, exchange);
	} else if (!exchange->started && conn->server->now.mono_ns >= exchange->due_ns) {
		answer(conn, exchange);
	}
}

void h1_feed(struct conn *conn) {
	while (!conn->dead && !conn->closing && !conn->stalled && list_is_empty(&conn->exchanges)) {
		if (!take_request(conn)) break;
		h1_resume(conn);
	}
}
