/* tests/unit/http_client.h - the libcurl client on a loop, driven from a test until a request has ended. */
#pragma once

#include "base/loop.h"
#include "base/mem.h"
#include "clients/http_curl.h"
#include "tests/unit/scripted_server.h"

struct client {
	struct loop *loop;
	struct http *http;
	struct secret_arena *arena;
	struct http_site site;
};

struct call {
	struct http_req req;
	struct client *client;
	unsigned done;
	struct buf seen; /* of a stream */
	void (*then)(struct call *call);
	struct call *other;
};

static inline void client_open(struct client *client) {
	client->loop = loop_create(clock_system());
	client->http = http_curl_create(client->loop);
	client->arena = secret_arena_create(1 << 20);
	client->site = (struct http_site){ .name = "test", .ca_pem = str_of(server_ca_pem) };
	assert_non_null(client->http);
}

static inline void client_close(struct client *client) {
	http_destroy(client->http);
	secret_arena_destroy(client->arena);
	loop_destroy(client->loop);
}

static inline void call_done(struct http_req *req) {
	struct call *call = req->owner;
	assert_false(http_req_is_active(req));
	call->done++;
	if (call->then) call->then(call);
}

static inline void call_data(struct http_req *req, struct str chunk) {
	struct call *call = req->owner;
	buf_append(&call->seen, chunk);
}

static inline void call_init(
	struct call *call, struct client *client, enum http_method method, const char *url) {
	*call = (struct call){ .client = client };
	http_req_init(&call->req, &client->site, method);
	buf_init(&call->req.url, 1024);
	buf_append(&call->req.url, str_of(url));
	buf_init(&call->seen, 1 << 20);
	call->req.timeout_ns = 5 * NS_PER_S;
	call->req.on_done = call_done;
	call->req.owner = call;
}

static inline void call_to(struct call *call, struct client *client, enum http_method method,
	const struct scripted *server, const char *path) {
	char url[256];
	snprintf(url, sizeof url, "%s://127.0.0.1:%u%s", server->plain ? "http" : "https",
		server->port, path);
	call_init(call, client, method, url);
}

static inline void call_deinit(struct call *call) {
	http_req_deinit(&call->req);
	buf_deinit(&call->seen);
}

static inline void client_wait(struct client *client, int64_t next_ns) {
	int64_t soon_ns = loop_now(client->loop).mono_ns + 20 * NS_PER_MS;
	loop_wait(client->loop, next_ns < soon_ns ? next_ns : soon_ns);
}

static inline void client_turn(struct client *client) {
	client_wait(client, http_turn(client->http, loop_now(client->loop)));
}

/* Turns for a while. */
static inline void client_turn_for(struct client *client, int64_t ms) {
	int64_t until_ns = loop_now(client->loop).mono_ns + ms * NS_PER_MS;
	while (loop_now(client->loop).mono_ns < until_ns) client_turn(client);
}

/* Turns until the call has ended; ten seconds at most. */
static inline void call_wait(struct call *call) {
	int64_t until_ns = loop_now(call->client->loop).mono_ns + 10 * NS_PER_S;
	for (;;) {
		int64_t next_ns = http_turn(call->client->http, loop_now(call->client->loop));
		if (call->done) break;
		client_wait(call->client, next_ns);
		assert_true(loop_now(call->client->loop).mono_ns < until_ns);
	}
}

static inline enum err call_run(struct call *call) {
	http_start(call->client->http, &call->req);
	call_wait(call);
	assert_int_equal(call->done, 1);
	return call->req.err;
}

/* One GET from beginning to end that has to bring `body`. */
static inline void get_body(
	struct client *client, const struct scripted *server, const char *body) {
	struct call call;
	call_to(&call, client, HTTP_GET, server, "/");
	assert_int_equal(call_run(&call), OK);
	assert_str(http_response_body(&call.req), body);
	call_deinit(&call);
}
