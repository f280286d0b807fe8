/* clients/http.h answered by the world models: latency, faults, streams in random pieces, and what the network does to both.
 *
 *   start --> [on its way] --> handled by the model --> [answer on its way] --> ready --> on_done in the owner's next turn
 *                |                    |
 *                +-- cut: refused     +-- stall: time-out; reset, truncated: the connection dies
 *
 * A request that was cancelled or timed out before it was handled may still arrive at its server. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "tests/sim/http_sim.h"

enum { BACKLOG_BYTES = 64 << 20 };

static const int64_t CONNECT_NS = 10 * NS_PER_S;

static char *copy(struct str s) {
	char *text = malloc(s.len + 1);
	assert(text);
	if (s.len) memcpy(text, s.ptr, s.len);
	text[s.len] = 0;
	return text;
}

static const char *const METHODS[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

/* --- what a request is --- */

static struct str header_of(const struct exchange *x, const char *name) {
	for (unsigned i = 0; i < x->header_count; i++) {
		if (str_eq_nocase(x->headers[i].name, str_of(name))) return x->headers[i].value;
	}
	return STR_NULL;
}

static bool has(struct str s, const char *part) {
	return str_find(s, str_of(part)) != SIZE_MAX;
}

static enum sim_row kube_row(const struct exchange *x, const char *method, struct str path) {
	struct str type = header_of(x, "Content-Type");
	if (has(path, "/secrets/") && strcmp(method, "GET") == 0) return ROW_TOKEN;
	if (strcmp(method, "GET") == 0) {
		if (has(path, "sendInitialEvents=")) return ROW_STREAM;
		return has(path, "watch=") ? ROW_WATCH : ROW_LIST;
	}
	if (has(path, "/token")) return ROW_TOKEN;
	if (has(path, "/status")) return ROW_STATUS;
	if (has(path, "/events?")) return ROW_EVENT;
	if (strcmp(method, "POST") == 0) return ROW_CREATE;
	if (has(type, "merge-patch")) return x->body_len == 2 ? ROW_PROBE : ROW_PATCH;
	return has(type, "json-patch") ? ROW_SETTLE : ROW_APPLY;
}

static enum sim_row row_of(const struct exchange *x, const char *method, struct str path) {
	if (x->host == HOST_KUBE) return kube_row(x, method, path);
	if (x->host == HOST_ENTRA || x->host == HOST_IMDS) return ROW_EXCHANGE;
	if (has(path, "/versions?")) return ROW_FETCH;
	struct str before = str_slice(path, 0, str_find_char(path, '?'));
	if (str_ends(before, STR("/secrets"))) return ROW_PAGE;
	return str_ends(before, STR("/")) ? ROW_FETCH : ROW_VALUES;
}

struct str exchange_host(const struct exchange *x, struct str *out_path) {
	struct str scheme, host;
	unsigned port;
	enum err err = http_url_split(str_of(x->url), &scheme, &host, &port, out_path);
	bool metadata = !err && str_eq(host, STR(AZURE_IMDS_HOST));
	assert(!err && str_eq(scheme, metadata ? STR("http") : STR("https")));
	return host;
}

static struct sim_asked asked(const struct exchange *x, unsigned role) {
	struct sim_asked a = { .role = role,
		.host = x->host,
		.row = x->row,
		.bearer = str_of(x->bearer),
		.body = { x->body, x->body_len } };
	a.host_name = exchange_host(x, &a.path_and_query);
	return a;
}

/* --- the end of an exchange --- */

static void release(struct exchange *x) {
	struct sim *sim = x->sim;
	sim_drop(sim, &x->next);
	sim_drop(sim, &x->timeout);
	list_remove(&x->link);
	list_remove(&x->all);
	kube_watch_close(x->watch);
	world_response_deinit(&x->out);
	buf_deinit(&x->pipe);
	buf_deinit(&x->inbox);
	for (unsigned i = 0; i < x->header_count; i++) free((char *)x->headers[i].value.ptr);
	free(x->url);
	free(x->body);
	free(x->bearer);
	free(x);
}

/* The client is to be told in its next turn. */
static void finish(struct exchange *x, enum err err, bool maybe_sent) {
	struct sim *sim = x->sim;
	if (!x->client) {
		release(x);
		return;
	}
	sim_drop(sim, &x->next);
	sim_drop(sim, &x->timeout);
	x->phase = SILENT;
	x->ready = true;
	x->err = err;
	x->maybe_sent = maybe_sent;
	if (err) x->client->reused[x->host] = false;
	sim_wake_role(sim, x->client->role);
}

/* Nobody waits any more. What has not arrived yet may arrive all the same. */
static void abandon(struct exchange *x) {
	bool arrives = x->phase == ON_ITS_WAY && x->next.place && sim_chance(x->sim, 500);
	x->client = NULL;
	x->req = NULL;
	list_remove(&x->link);
	sim_drop(x->sim, &x->timeout);
	if (!arrives) release(x);
}

/* --- the answer --- */

static void read_header(struct http_req *req, struct str name, struct str value) {
	int64_t number = 0, date_s = 0;
	if (str_eq_nocase(name, STR("Retry-After"))) {
		if (str_to_i64(value, &number) == OK && number >= 0)
			req->retry_after_ns = http_obeyed_ns(req->site, number);
	} else if (str_eq_nocase(name, STR("Date"))) {
		if (time_parse_http(value, &date_s) == OK) req->server_date_s = date_s;
	} else if (str_eq_nocase(name, STR("Content-Type"))) {
		snprintf(req->content_type, sizeof req->content_type, "%.*s", STR_ARG(value));
	} else if (str_eq_nocase(name, STR("Audit-Id")) ||
		   str_eq_nocase(name, STR("x-ms-request-id"))) {
		snprintf(req->request_id, sizeof req->request_id, "%.*s", STR_ARG(value));
	}
}

static void read_headers(struct exchange *x) {
	struct str rest = buf_str(&x->out.head), name, value;
	x->req->status = x->out.status;
	while (world_next_header(&rest, &name, &value)) read_header(x->req, name, value);
}

/* The body where the caller wants it; over the cap it is an error of the request. */
static enum err read_body(struct exchange *x) {
	struct http_req *req = x->req;
	struct str body = buf_str(&x->out.body);
	if (body.len > req->max_response_bytes) {
		return fault_set(&req->fault, ERR_TOO_LARGE, "the answer is larger than %zu bytes",
			req->max_response_bytes);
	}
	if (req->response_arena) {
		secret_init(&req->response_secret, req->response_arena, req->max_response_bytes);
		secret_append(&req->response_secret, body);
		return secret_err(&req->response_secret);
	}
	buf_append(&req->response, body);
	return buf_err(&req->response);
}

static void fill_answer(struct exchange *x) {
	struct http_req *req = x->req;
	bool stream = req->on_data && x->out.status >= 200 && x->out.status < 300;
	req->err = x->err;
	req->maybe_sent = x->err && x->maybe_sent;
	req->reused_connection = x->err && sim_chance(x->sim, 300);
	if (x->streamed) req->status = x->out.status;
	if (!x->err) {
		read_headers(x);
		if (!stream) req->err = read_body(x);
		if (req->err) req->maybe_sent = true;
		if (x->client) x->client->reused[x->host] = true;
	}
	if (req->err && !req->fault.err) {
		enum err err = fault_set(&req->fault, req->err, "%s: %s", sim_host_name(x->host),
			err_text(req->err));
		(void)err;
	}
}

/* --- streams --- */

static void plan_piece(struct exchange *x) {
	struct sim *sim = x->sim;
	bool more = buf_str(&x->pipe).len || x->stream_ended || x->stream_broken;
	int64_t at_ns = more ? sim->now_ns + sim_between(sim, 0, 30 * NS_PER_MS) : NEVER_NS;
	if (x->watch) {
		int64_t due_ns = kube_watch_next_ns(x->watch) - SIM_MONO_NS;
		if (due_ns < sim->now_ns + NS_PER_MS) due_ns = sim->now_ns + NS_PER_MS;
		if (!more && due_ns < at_ns) at_ns = due_ns;
	}
	if (at_ns != NEVER_NS) sim_at(sim, &x->next, at_ns);
}

static void poll_watch(struct exchange *x) {
	if (!x->watch || x->sim->cuts[HOST_KUBE]) return;
	enum kube_watch_state state = kube_watch_poll(x->watch, sim_world_now(x->sim), &x->pipe);
	assert(!buf_err(&x->pipe));
	if (state == KUBE_WATCH_OPEN) return;
	x->stream_ended = state == KUBE_WATCH_ENDED;
	x->stream_broken = state == KUBE_WATCH_BROKEN;
	kube_watch_close(take(x->watch));
}

static void watch_silence(struct exchange *x) {
	int64_t idle_ns = x->req->idle_timeout_ns;
	if (idle_ns) sim_at(x->sim, &x->timeout, x->sim->now_ns + idle_ns);
}

/* While a list is on its way, sometimes; its first pieces are most of it. */
static bool breaks_now(struct exchange *x) {
	struct sim *sim = x->sim;
	bool on = sim->fault_mask & (UINT64_C(1) << SIM_BROKEN) && sim->now_ns < sim->calm_ns;
	return x->row == ROW_STREAM && x->streamed_pieces < 3 && on && sim_chance(sim, 120);
}

/* Some of the bytes arrive: cut anywhere. */
static void stream_piece(struct exchange *x) {
	struct sim *sim = x->sim;
	poll_watch(x);
	if (x->watch && buf_str(&x->pipe).len && breaks_now(x)) {
		kube_watch_close(take(x->watch));
		x->stream_broken = true;
	}
	struct str all = buf_str(&x->pipe);
	if (sim->cuts[HOST_KUBE]) {
		sim_at(sim, &x->next, sim->now_ns + NS_PER_S);
		return;
	}
	if (x->stream_broken && sim_chance(sim, 500)) {
		sim_note(sim, "watch broken off with %zu bytes on their way", all.len);
		sim->table->cells[x->row][SIM_BROKEN]++;
		finish(x, ERR_NETWORK, true);
		return;
	}
	if (all.len) {
		size_t bytes = sim_chance(sim, 500) ? all.len
						    : (size_t)sim_between(sim, 1, (int64_t)all.len);
		x->streamed_pieces++;
		buf_append(&x->inbox, str_slice(all, 0, bytes));
		buf_consume(&x->pipe, bytes);
		watch_silence(x);
		sim_wake_role(sim, x->client->role);
	} else if (x->stream_broken || x->stream_ended) {
		if (x->stream_broken) sim->table->cells[x->row][SIM_BROKEN]++;
		sim_note(sim, "watch %s", x->stream_broken ? "broken off" : "ended");
		finish(x, x->stream_broken ? ERR_NETWORK : OK, true);
		return;
	}
	plan_piece(x);
}

void sim_streams_poll(struct sim *sim) {
	list_for_each (link, &sim->exchanges) {
		struct exchange *x = container_of(link, struct exchange, all);
		if (x->phase == STREAMING && x->watch && !x->ready) {
			int64_t due_ns = kube_watch_next_ns(x->watch) - SIM_MONO_NS;
			sim_sooner(sim, &x->next, due_ns + sim_between(sim, 0, 20 * NS_PER_MS));
		}
	}
}

static void begin_stream(struct exchange *x) {
	x->phase = STREAMING;
	x->streamed = true;
	if (x->client) sim_note(x->sim, "watch opened");
	watch_silence(x);
	plan_piece(x);
}

/* --- the way there and back --- */

static void cut_off(struct exchange *x) {
	if (x->client) x->sim->table->cells[x->row][SIM_CUT]++;
	finish(x, ERR_NETWORK, true);
}

static void answer_arrives(struct sim *sim, struct sim_event *event) {
	struct exchange *x = container_of(event, struct exchange, next);
	if (x->phase == STREAMING) {
		stream_piece(x);
		return;
	}
	if (!x->client) {
		release(x);
		return;
	}
	if (sim->cuts[x->host]) {
		cut_off(x);
	} else if (x->watch) {
		begin_stream(x);
	} else {
		finish(x, OK, false);
	}
}

static int64_t way_back_ns(struct exchange *x) {
	struct sim *sim = x->sim;
	int64_t ns = sim_between(sim, NS_PER_MS / 2, 15 * NS_PER_MS) + x->out.delay_ns;
	if (sim_chance(sim, sim->slow_permille))
		ns += sim_between(sim, 100 * NS_PER_MS, 4 * NS_PER_S);
	return ns;
}

static void request_arrives(struct sim *sim, struct sim_event *event) {
	struct exchange *x = container_of(event, struct exchange, next);
	if (sim->cuts[x->host]) {
		cut_off(x);
		return;
	}
	exchange_serve(x);
	sim_note(sim, "%s %s %s -> %d%s%s", x->client ? "served" : "served late",
		sim_row_name(x->row), x->url, x->out.status, x->fault ? " " : "",
		x->fault ? sim_fault_name(x->fault) : "");
	x->phase = ANSWERING;
	switch (x->out.fault) {
	case WORLD_RESET_BEFORE:
	case WORLD_RESET_AFTER:
	case WORLD_TRUNCATE:
		finish(x, ERR_NETWORK, true);
		break;
	case WORLD_STALL:
	case WORLD_STALL_HEADERS:
		if (!x->client) release(x);
		break;
	default:
		x->next.fire = answer_arrives;
		sim_at(sim, &x->next, sim->now_ns + way_back_ns(x));
	}
}

static void refused(struct sim *sim, struct sim_event *event) {
	(void)sim;
	finish(container_of(event, struct exchange, next), ERR_NETWORK, false);
}

static void timed_out(struct sim *sim, struct sim_event *event) {
	struct exchange *x = container_of(event, struct exchange, timeout);
	sim_note(sim, "timed out %s %s", sim_row_name(x->row), x->url);
	/* What is late is still on its way when the client has long gone. */
	if (x->phase == ON_ITS_WAY && x->fault == SIM_LATE) {
		struct exchange *ghost = calloc(1, sizeof *ghost);
		assert(ghost);
		*ghost = *x;
		ghost->client = NULL;
		ghost->req = NULL;
		ghost->next = ghost->timeout = (struct sim_event){ 0 };
		ghost->next.fire = request_arrives;
		list_init(&ghost->link);
		list_init(&ghost->all);
		list_push_back(&sim->exchanges, &ghost->all);
		world_response_init(&ghost->out);
		buf_init(&ghost->pipe, BACKLOG_BYTES);
		buf_init(&ghost->inbox, BACKLOG_BYTES);
		sim_at(sim, &ghost->next, sim->now_ns + sim_between(sim, 0, 20 * NS_PER_S));
		x->url = copy(str_of(x->url));
		x->body = NULL;
		x->bearer = NULL;
		x->header_count = 0;
	}
	finish(x, ERR_TIMEOUT, true);
}

/* --- clients/http.h --- */

static struct sim_http *client_of(struct http *http) {
	return container_of(http, struct sim_http, http);
}

static void copy_header(struct exchange *x, const char *name, struct str value) {
	x->headers[x->header_count++] =
		(struct world_header){ str_of(name), { copy(value), value.len } };
}

static void copy_request(struct exchange *x, const struct http_req *req) {
	struct str body = req->secret_body ? secret_expose(req->secret_body) : req->body;
	struct str bearer = req->bearer ? secret_expose(req->bearer) : STR_NULL;
	x->method = METHODS[req->method];
	x->url = copy(buf_str(&req->url));
	x->body = copy(body);
	x->body_len = body.len;
	for (unsigned i = 0; i < req->header_count; i++)
		copy_header(x, req->headers[i].name, req->headers[i].value);
	copy_header(x, "User-Agent", STR("kvsync/" KVSYNC_VERSION));
	if (!bearer.ptr) return;
	x->bearer = copy(bearer);
	char *line = malloc(bearer.len + 8);
	assert(line);
	int len = snprintf(line, bearer.len + 8, "Bearer %s", x->bearer);
	copy_header(x, "Authorization", (struct str){ line, (size_t)len });
	free(line);
}

static void prepare_answer(struct http_req *req) {
	req->err = OK;
	req->fault = (struct fault){ 0 };
	req->maybe_sent = req->reused_connection = false;
	req->status = 0;
	req->retry_after_ns = -1;
	req->server_date_s = 0;
	req->request_id[0] = req->content_type[0] = 0;
	buf_init(&req->response, req->max_response_bytes);
}

static struct exchange *exchange_create(struct sim_http *client, struct http_req *req) {
	struct sim *sim = client->sim;
	struct exchange *x = calloc(1, sizeof *x);
	assert(x);
	x->sim = sim;
	x->client = client;
	x->req = req;
	x->timeout.fire = timed_out;
	x->next.fire = request_arrives;
	list_init(&x->link);
	list_init(&x->all);
	list_push_back(&client->exchanges, &x->link);
	list_push_back(&sim->exchanges, &x->all);
	world_response_init(&x->out);
	buf_init(&x->pipe, BACKLOG_BYTES);
	buf_init(&x->inbox, BACKLOG_BYTES);
	copy_request(x, req);
	struct str path, host = exchange_host(x, &path);
	x->host = sim_host_of(sim, host);
	x->row = row_of(x, x->method, path);
	return x;
}

static void http_sim_start(struct http *http, struct http_req *req) {
	struct sim_http *client = client_of(http);
	struct sim *sim = client->sim;
	assert(thread_role() == client->role && !req->_active && req->on_done &&
		req->timeout_ns > 0);
	prepare_answer(req);
	struct exchange *x = exchange_create(client, req);
	req->_impl = x;
	req->_active = true;
	struct sim_asked a = asked(x, client->role);
	sim_check_start(sim, &a);
	sim_note(sim, "role %u asks %s %s", client->role, sim_row_name(x->row), x->url);
	sim_at(sim, &x->timeout, sim->now_ns + req->timeout_ns);
	if (sim->cuts[x->host]) {
		bool at_once = sim->cuts[x->host] == CUT_REFUSED;
		sim->table->cells[x->row][SIM_CUT]++;
		x->next.fire = refused;
		sim_at(sim, &x->next,
			sim->now_ns + (at_once ? sim_between(sim, NS_PER_MS, 50 * NS_PER_MS)
					       : CONNECT_NS));
		return;
	}
	x->fault = sim_draw_fault(sim, x->row);
	req->maybe_sent = true;
	if (x->fault) sim->table->cells[x->row][x->fault]++;
	if (x->fault == SIM_LATE) return; /* its time-out comes first */
	sim_at(sim, &x->next, sim->now_ns + sim_between(sim, NS_PER_MS / 2, 15 * NS_PER_MS));
}

static void http_sim_cancel(struct http *http, struct http_req *req) {
	if (!req->_active) return;
	struct exchange *x = req->_impl;
	/* main frees what a worker has left, once that has ended. */
	assert((thread_role() == client_of(http)->role || thread_role() == ROLE_MAIN) &&
		x->req == req);
	req->_active = false;
	req->_impl = NULL;
	if (x->ready) {
		release(x);
	} else {
		abandon(x);
	}
}

static void deliver(struct exchange *x) {
	struct sim *sim = x->sim;
	struct http_req *req = x->req;
	struct sim_asked a = asked(x, x->client->role);
	fill_answer(x);
	sim_note(sim, "role %u is answered %s: %s %d", x->client->role, sim_row_name(x->row),
		req->err ? err_name(req->err) : "OK", req->status);
	if (!req->err) sim_upstream_told(sim, &a, req->status, buf_str(&req->response));
	sim_check_answer(sim, &a, req->err, req->maybe_sent, req->status, req->retry_after_ns);
	req->_active = false;
	req->_impl = NULL;
	release(x);
	req->on_done(req);
}

/* The oldest exchange with bytes or an end; callbacks may start and cancel others. */
static struct exchange *next_ready(struct sim_http *client) {
	list_for_each (link, &client->exchanges) {
		struct exchange *x = container_of(link, struct exchange, link);
		if (x->ready || (buf_str(&x->inbox).len && !x->req->paused)) return x;
	}
	return NULL;
}

static int64_t http_sim_turn(struct http *http, struct now now) {
	struct sim_http *client = client_of(http);
	assert(thread_role() == client->role);
	(void)now;
	for (struct exchange *x; (x = next_ready(client));) {
		if (buf_str(&x->inbox).len) {
			struct buf bytes = x->inbox;
			buf_init(&x->inbox, BACKLOG_BYTES);
			x->req->status = x->out.status;
			x->req->on_data(x->req, buf_str(&bytes));
			buf_deinit(&bytes);
			continue;
		}
		deliver(x);
	}
	return NEVER_NS;
}

static void http_sim_destroy(struct http *http) {
	struct sim_http *client = client_of(http);
	for (struct list *link; (link = list_first(&client->exchanges));) {
		struct exchange *x = container_of(link, struct exchange, link);
		http_sim_cancel(http, x->req);
	}
	list_remove(&client->link);
	free(client);
}

struct http *sim_http_create(struct sim *sim, unsigned role) {
	static const struct http_ops ops = { http_sim_start, http_sim_cancel, http_sim_turn,
		http_sim_destroy };
	struct sim_http *client = calloc(1, sizeof *client);
	assert(client);
	*client = (struct sim_http){ .http = { &ops }, .sim = sim, .role = role };
	list_init(&client->exchanges);
	list_init(&client->link);
	list_push_back(&sim->clients, &client->link);
	return &client->http;
}

unsigned sim_http_active(const struct sim *sim) {
	unsigned active = 0;
	list_for_each (link, &sim->exchanges)
		active += container_of(link, struct exchange, all)->client != NULL;
	return active;
}

void sim_exchanges_drop(struct sim *sim) {
	for (struct list *link; (link = list_first(&sim->exchanges));)
		release(container_of(link, struct exchange, all));
}
