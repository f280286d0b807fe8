/* Connections over several requests: reuse, repetition, limits, streams, cancelling, callbacks that start and cancel. */
#include "tests/unit/http_client.h"

static struct client client;

static int setup(void **state) {
	(void)state;
	client_open(&client);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	client_close(&client);
	return 0;
}

/* --- reuse --- */

static void requests_share_a_kept_connection(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("1", "a") }, { READ },
		{ SEND, ANSWER("1", "b") }, { READ }, { SEND, ANSWER("1", "c") }, { READ },
		{ STEP_END } };
	struct scripted server = { .scripts = { script } };
	(void)state;
	server_start(&server);
	get_body(&client, &server, "a");
	get_body(&client, &server, "b");
	get_body(&client, &server, "c");
	assert_int_equal(server_connections(&server), 1);
	server_stop(&server);
}

/* The loop watches it on; its end is heard once. */
static void an_idle_connection_ends_without_noise(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("1", "a") }, { PAUSE, .ms = 50 }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	unsigned turns = 0;
	(void)state;
	server_start(&server);
	get_body(&client, &server, "a");
	int64_t until_ns = loop_now(client.loop).mono_ns + 400 * NS_PER_MS;
	for (; loop_now(client.loop).mono_ns < until_ns; turns++) client_turn(&client);
	assert_true(turns < 60);
	get_body(&client, &server, "a");
	assert_int_equal(server_connections(&server), 2);
	server_stop(&server);
}

static void connection_close_is_obeyed(void **state) {
	const struct step script[] = { { READ },
		{ SEND, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na" },
		{ STALL }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	(void)state;
	server_start(&server);
	get_body(&client, &server, "a");
	get_body(&client, &server, "a");
	assert_int_equal(server_connections(&server), 2);
	server_stop(&server);
}

/* The first request is answered; the second one's connection is reset when it has been read. */
static const struct step one_then_reset[] = { { READ }, { SEND, ANSWER("1", "a") }, { READ },
	{ RESET }, { STEP_END } };
static const struct step one_then_close[] = { { READ }, { SEND, ANSWER("1", "a") }, { READ },
	{ STEP_END } };
static const struct step answer_b[] = { { READ }, { SEND, ANSWER("1", "b") }, { READ },
	{ STEP_END } };

static void a_get_that_dies_on_a_reused_connection_is_repeated(void **state) {
	const struct step *const scripts[] = { one_then_reset, one_then_close };
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scripted server = { .scripts = { scripts[i], answer_b } };
		server_start(&server);
		get_body(&client, &server, "a");
		get_body(&client, &server, "b");
		assert_int_equal(server_requests(&server), 3);
		assert_int_equal(server_connections(&server), 2);
		server_stop(&server);
	}
}

static void anything_else_is_not_repeated(void **state) {
	static const enum http_method methods[] = { HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct scripted server = { .scripts = { i % 2 ? one_then_reset : one_then_close,
						   answer_b } };
		struct call call;
		server_start(&server);
		get_body(&client, &server, "a");
		call_to(&call, &client, methods[i / 2], &server, "/write");
		if (methods[i / 2] != HTTP_DELETE) call.req.body = STR("{}");
		assert_int_equal(call_run(&call), ERR_NETWORK);
		assert_true(call.req.maybe_sent);
		assert_true(call.req.reused_connection);
		assert_non_null(strstr(call.req.fault.text,
			"the connection broke before the answer was complete"));
		call_deinit(&call);
		client_turn_for(&client, 30);
		assert_int_equal(server_requests(&server), 2);
		get_body(&client, &server, "b");
		server_stop(&server);
	}
}

static void connections_stay_within_the_limit(void **state) {
	/* Either connection may have to serve nearly all. */
	struct step script[16] = { 0 };
	for (int i = 0; i < 5; i++) {
		script[3 * i] = (struct step){ READ };
		script[3 * i + 1] = (struct step){ PAUSE, NULL, 20 };
		script[3 * i + 2] = (struct step){ SEND, ANSWER("1", "a") };
	}
	struct scripted server = { .scripts = { script } };
	struct call calls[5];
	(void)state;
	server_start(&server);
	client.site.max_connections = 2;
	for (int i = 0; i < 5; i++) {
		call_to(&calls[i], &client, HTTP_GET, &server, "/");
		http_start(client.http, &calls[i].req);
	}
	for (int i = 0; i < 5; i++) {
		call_wait(&calls[i]);
		assert_int_equal(calls[i].req.err, OK);
		call_deinit(&calls[i]);
	}
	assert_int_equal(server_connections(&server), 2);
	server_stop(&server);
}

static void waiting_for_a_connection_ends_too(void **state) {
	const struct step script[] = { { READ }, { STALL }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call first, second;
	(void)state;
	server_start(&server);
	client.site.max_connections = 1;
	call_to(&first, &client, HTTP_GET, &server, "/");
	call_to(&second, &client, HTTP_POST, &server, "/");
	second.req.timeout_ns = 100 * NS_PER_MS;
	http_start(client.http, &first.req);
	assert_false(first.req.maybe_sent);
	assert_int_equal(call_run(&second), ERR_TIMEOUT);
	assert_false(second.req.maybe_sent);
	/* That one is told of while it lasts. */
	assert_true(first.req.maybe_sent);
	assert_non_null(strstr(second.req.fault.text, "busy"));
	http_cancel(client.http, &first.req);
	call_deinit(&first);
	call_deinit(&second);
	server_stop(&server);
}

/* --- streams --- */

#define STREAM "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void start_stream(struct call *call, struct scripted *server) {
	server_start(server);
	call_to(call, &client, HTTP_GET, server, "/watch");
	call->req.on_data = call_data;
	call->req.timeout_ns = 2000 * NS_PER_MS;
	http_start(client.http, &call->req);
}

static void a_stream_may_be_silent_for_longer_than_its_timeout(void **state) {
	const struct step script[] = { { READ }, { SEND, STREAM }, { PAUSE, NULL, 2300 },
		{ SEND, "3\r\none\r\n" }, { PAUSE, NULL, 300 }, { SEND, "3\r\ntwo\r\n0\r\n\r\n" },
		{ STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	start_stream(&call, &server);
	call_wait(&call);
	assert_int_equal(call.req.err, OK);
	assert_int_equal(call.req.status, 200);
	assert_str(buf_str(&call.seen), "onetwo");
	assert_str(http_response_body(&call.req), "");
	call_deinit(&call);
	server_stop(&server);
}

static void a_piece_arrives_before_the_end(void **state) {
	const struct step script[] = { { READ }, { SEND, STREAM "3\r\none\r\n" }, { STALL },
		{ STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	start_stream(&call, &server);
	while (buf_str(&call.seen).len < 3) client_turn(&client);
	assert_int_equal(call.done, 0);
	http_cancel(client.http, &call.req);
	client_turn_for(&client, 30);
	assert_int_equal(call.done, 0);
	call_deinit(&call);
	server_stop(&server);
}

static void a_stream_ends_at_its_idle_timeout(void **state) {
	const struct step script[] = { { READ }, { SEND, STREAM }, { PAUSE, NULL, 100 },
		{ SEND, "3\r\none\r\n" }, { STALL }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/");
	call.req.on_data = call_data;
	call.req.idle_timeout_ns = 200 * NS_PER_MS;
	int64_t start_ns = loop_now(client.loop).mono_ns;
	assert_int_equal(call_run(&call), ERR_TIMEOUT);
	assert_in_range(
		loop_now(client.loop).mono_ns - start_ns, 280 * NS_PER_MS, 3000 * NS_PER_MS);
	assert_str(buf_str(&call.seen), "one");
	call_deinit(&call);
	server_stop(&server);
}

static void a_stream_without_headers_ends_at_its_timeout(void **state) {
	const struct step script[] = { { READ }, { STALL }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	start_stream(&call, &server);
	call_wait(&call);
	assert_int_equal(call.req.err, ERR_TIMEOUT);
	assert_true(call.req.maybe_sent);
	call_deinit(&call);
	server_stop(&server);
}

static void a_refused_stream_has_a_body(void **state) {
	const struct step script[] = { { READ },
		{ SEND, "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone" }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	start_stream(&call, &server);
	call_wait(&call);
	assert_int_equal(call.req.err, OK);
	assert_int_equal(call.req.status, 410);
	assert_str(buf_str(&call.seen), "");
	assert_str(http_response_body(&call.req), "gone");
	call_deinit(&call);
	server_stop(&server);
}

static void a_cut_stream_delivers_what_came_and_fails(void **state) {
	const struct step script[] = { { READ }, { SEND, STREAM "3\r\none\r\n" }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	start_stream(&call, &server);
	call_wait(&call);
	assert_int_equal(call.req.err, ERR_NETWORK);
	assert_str(buf_str(&call.seen), "one");
	call_deinit(&call);
	server_stop(&server);
}

static size_t secret_bytes; /* in use while a piece was handed over */

static void look_at_arena(struct http_req *req, struct str chunk) {
	secret_bytes = secret_arena_used_bytes(client.arena);
	call_data(req, chunk);
}

/* Pieces stand in secret memory and nowhere else of ours; so does the body of a refusal. */
static void a_secret_stream_stays_in_secret_memory(void **state) {
	const struct step good[] = { { READ },
		{ SEND, STREAM "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" }, { STEP_END } };
	const struct step refusal[] = { { READ },
		{ SEND, "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone" }, { STEP_END } };
	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		struct scripted server = { .scripts = { refused ? refusal : good } };
		struct call call;
		server_start(&server);
		call_to(&call, &client, HTTP_GET, &server, "/watch");
		call.req.on_data = look_at_arena;
		call.req.response_arena = client.arena;
		secret_bytes = 0;
		assert_int_equal(call_run(&call), OK);
		assert_str(buf_str(&call.seen), refused ? "" : "onetwo");
		assert_str(http_response_body(&call.req), refused ? "gone" : "");
		assert_true(refused || secret_bytes > 0);
		assert_int_equal(buf_str(&call.req.response).len, 0);
		call_deinit(&call);
		assert_int_equal(secret_arena_used_bytes(client.arena), 0);
		server_stop(&server);
	}
}

enum { MUCH_PIECES = 384, MUCH_PIECE_BYTES = 65536 };
static _Atomic size_t sent_bytes;
static size_t taken_bytes;

/* 24 MiB, whose every byte tells where it stands. */
static void send_much(struct conn *conn) {
	static char piece[MUCH_PIECE_BYTES + 16];
	for (unsigned i = 0; i < MUCH_PIECES; i++) {
		size_t at = (size_t)sprintf(piece, "%x\r\n", MUCH_PIECE_BYTES);
		memset(piece + at, 'a' + i % 26, MUCH_PIECE_BYTES);
		memcpy(piece + at + MUCH_PIECE_BYTES, "\r\n", 2);
		conn_write(conn, piece, at + MUCH_PIECE_BYTES + 2);
		sent_bytes += MUCH_PIECE_BYTES;
	}
	conn_write(conn, "0\r\n\r\n", 5);
}

static void take_and_pause(struct http_req *req, struct str chunk) {
	for (size_t i = 0; i < chunk.len; i++, taken_bytes++)
		if (chunk.ptr[i] != (char)('a' + taken_bytes / MUCH_PIECE_BYTES % 26)) fail_msg("byte %zu", taken_bytes);
	req->paused = true;
}

/* Who takes nothing for a while lets the server wait, and gets every byte in the end; the silence is nobody's fault. */
static void a_stream_waits_for_its_reader(void **state) {
	const struct step script[] = { { READ }, { SEND, STREAM }, { SERVE, .serve = send_much }, { STEP_END } };
	(void)state;
	for (int secret = 0; secret < 2; secret++) {
		struct scripted server = { .scripts = { script } };
		struct call call;
		sent_bytes = taken_bytes = 0;
		server_start(&server);
		call_to(&call, &client, HTTP_GET, &server, "/watch");
		call.req.on_data = take_and_pause;
		call.req.idle_timeout_ns = 300 * NS_PER_MS;
		if (secret) call.req.response_arena = client.arena;
		http_start(client.http, &call.req);
		while (!taken_bytes) client_turn(&client);
		size_t before = taken_bytes;
		client_turn_for(&client, 800);
		assert_int_equal(taken_bytes, before);
		assert_int_equal(call.done, 0);
		/* What the kernel keeps is not ours to say. */
		assert_true(sent_bytes < (size_t)MUCH_PIECES * MUCH_PIECE_BYTES);
		while (!call.done) {
			before = taken_bytes;
			call.req.paused = false;
			client_turn(&client);
			assert_true(taken_bytes - before <= 512 * 1024);
		}
		assert_int_equal(call.req.err, OK);
		assert_int_equal(taken_bytes, (size_t)MUCH_PIECES * MUCH_PIECE_BYTES);
		call_deinit(&call);
		assert_int_equal(secret_arena_used_bytes(client.arena), 0);
		server_stop(&server);
	}
}

/* The end of a stream is told with what came before it, also to who takes nothing. */
static void a_stream_ends_while_it_is_paused(void **state) {
	const struct step script[] = { { READ }, { SEND, STREAM "3\r\none\r\n0\r\n\r\n" }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/watch");
	call.req.on_data = call_data;
	call.req.paused = true;
	assert_int_equal(call_run(&call), OK);
	assert_str(buf_str(&call.seen), "one");
	call_deinit(&call);
	server_stop(&server);
}

/* --- cancelling --- */

static void a_cancelled_request_is_never_heard_of(void **state) {
	const struct step script[] = { { READ }, { STALL }, { STEP_END } };
	(void)state;
	/* At once, while it connects, and when the server has it. */
	for (int phase = 0; phase < 3; phase++) {
		struct scripted server = { .scripts = { script } };
		struct call call;
		server_start(&server);
		call_to(&call, &client, HTTP_POST, &server, "/");
		http_start(client.http, &call.req);
		assert_true(http_req_is_active(&call.req));
		if (phase == 1) client_turn(&client);
		while (phase == 2 && server_requests(&server) == 0) client_turn(&client);
		http_cancel(client.http, &call.req);
		assert_false(http_req_is_active(&call.req));
		http_cancel(client.http, &call.req);
		client_turn_for(&client, 30);
		assert_int_equal(call.done, 0);
		call_deinit(&call);
		server_stop(&server);
	}
}

static void a_failed_start_can_be_cancelled(void **state) {
	struct call call;
	(void)state;
	call_init(&call, &client, HTTP_GET, "nonsense");
	http_start(client.http, &call.req);
	assert_int_equal(call.done, 0);
	http_cancel(client.http, &call.req);
	client_turn_for(&client, 5);
	assert_int_equal(call.done, 0);
	call_deinit(&call);
}

static void a_cancelled_lookup_does_not_hold_up(void **state) {
	struct call call;
	(void)state;
	int64_t start_ns = clock_now(clock_system()).mono_ns;
	call_init(&call, &client, HTTP_GET, "https://nobody.invalid/");
	http_start(client.http, &call.req);
	http_turn(client.http, loop_now(client.loop));
	http_cancel(client.http, &call.req);
	assert_in_range(clock_now(clock_system()).mono_ns - start_ns, 0, 200 * NS_PER_MS);
	call_deinit(&call);
}

static void cancel_other(struct call *call) {
	http_cancel(call->client->http, &call->other->req);
}

static void one_end_may_cancel_the_other(void **state) {
	/* Both answers are there when the first on_done runs: whichever comes first takes the other with it. */
	const struct step script[] = { { READ }, { PAUSE, NULL, 30 }, { SEND, ANSWER("1", "a") },
		{ READ }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call a, b;
	(void)state;
	server_start(&server);
	call_to(&a, &client, HTTP_GET, &server, "/");
	call_to(&b, &client, HTTP_GET, &server, "/");
	a.then = b.then = cancel_other;
	a.other = &b;
	b.other = &a;
	http_start(client.http, &a.req);
	http_start(client.http, &b.req);
	while (server_requests(&server) < 2) client_turn(&client);
	usleep(50000);
	while (!a.done && !b.done) client_turn(&client);
	client_turn_for(&client, 100);
	assert_int_equal(a.done + b.done, 1);
	call_deinit(&a);
	call_deinit(&b);
	server_stop(&server);
}

static unsigned pieces;

static void cancel_self(struct http_req *req, struct str chunk) {
	struct call *call = req->owner;
	assert_true(str_starts(chunk, STR("one")));
	pieces++;
	http_cancel(call->client->http, req);
}

static void a_stream_may_cancel_itself(void **state) {
	const struct step script[] = { { READ }, { SEND, STREAM "3\r\none\r\n" },
		{ PAUSE, NULL, 50 }, { SEND, "3\r\ntwo\r\n" }, { STALL }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/");
	call.req.on_data = cancel_self;
	pieces = 0;
	http_start(client.http, &call.req);
	while (!pieces) client_turn(&client);
	client_turn_for(&client, 100);
	assert_int_equal(call.done, 0);
	assert_int_equal(pieces, 1);
	call_deinit(&call);
	server_stop(&server);
}

static void start_again(struct call *call) {
	if (call->done < 3) http_start(call->client->http, &call->req);
}

static void a_request_may_be_started_again_when_it_has_ended(void **state) {
	const struct step script[] = { { READ },
		{ SEND, "HTTP/1.1 401 \r\nWWW-Authenticate: X\r\nContent-Length: 1\r\n\r\na" },
		{ READ }, { SEND, ANSWER("1", "b") }, { READ }, { SEND, ANSWER("1", "c") },
		{ READ }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/");
	call.then = start_again;
	http_start(client.http, &call.req);
	while (call.done < 3) client_turn(&client);
	assert_int_equal(call.req.status, 200);
	assert_str(http_response_body(&call.req), "c");
	assert_int_equal(server_connections(&server), 1);
	call_deinit(&call);
	server_stop(&server);
}

static bool freed;

static void free_self(struct call *call) {
	call_deinit(call);
	mem_free(call);
	freed = true;
}

static void a_request_may_be_freed_in_its_end(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("1", "a") }, { READ },
		{ STEP_END } };
	struct scripted server = { .scripts = { script } };
	(void)state;
	server_start(&server);
	struct call *call = mem_alloc(sizeof *call);
	call_to(call, &client, HTTP_GET, &server, "/");
	call->then = free_self;
	freed = false;
	http_start(client.http, &call->req);
	while (!freed) client_turn(&client);
	client_turn_for(&client, 30);
	assert_int_equal(server_requests(&server), 1);
	server_stop(&server);
}

static void destroying_cancels_what_is_active(void **state) {
	const struct step script[] = { { READ }, { STALL }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct client own;
	struct call flying, failed;
	(void)state;
	server_start(&server);
	client_open(&own);
	call_to(&flying, &own, HTTP_GET, &server, "/");
	call_init(&failed, &own, HTTP_GET, "nonsense");
	http_start(own.http, &flying.req);
	http_start(own.http, &failed.req);
	loop_wait(own.loop, 0);
	client_close(&own);
	assert_false(http_req_is_active(&flying.req));
	assert_int_equal(flying.done + failed.done, 0);
	call_deinit(&flying);
	call_deinit(&failed);
	server_stop(&server);
}

#define with_client(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		with_client(requests_share_a_kept_connection),
		with_client(an_idle_connection_ends_without_noise),
		with_client(connection_close_is_obeyed),
		with_client(a_get_that_dies_on_a_reused_connection_is_repeated),
		with_client(anything_else_is_not_repeated),
		with_client(connections_stay_within_the_limit),
		with_client(waiting_for_a_connection_ends_too),
		with_client(a_stream_may_be_silent_for_longer_than_its_timeout),
		with_client(a_piece_arrives_before_the_end),
		with_client(a_stream_ends_at_its_idle_timeout),
		with_client(a_stream_without_headers_ends_at_its_timeout),
		with_client(a_refused_stream_has_a_body),
		with_client(a_cut_stream_delivers_what_came_and_fails),
		with_client(a_secret_stream_stays_in_secret_memory),
		with_client(a_cancelled_request_is_never_heard_of),
		with_client(a_failed_start_can_be_cancelled),
		with_client(a_cancelled_lookup_does_not_hold_up),
		with_client(one_end_may_cancel_the_other),
		with_client(a_stream_waits_for_its_reader),
		with_client(a_stream_ends_while_it_is_paused),
		with_client(a_stream_may_cancel_itself),
		with_client(a_request_may_be_started_again_when_it_has_ended),
		with_client(a_request_may_be_freed_in_its_end),
		with_client(destroying_cancels_what_is_active),
	};
	mem_wipe_libraries();
	assert_int_equal(http_curl_global_init(), OK);
	server_certificate_make();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	server_certificate_free();
	http_curl_global_deinit();
	return failed;
}
