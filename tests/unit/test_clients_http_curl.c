/* What one exchange brings, and what its failures say. */
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

/* GET of a server whose first connection sends `answer` and ends. */
static enum err get_once(const char *answer, struct call *call) {
	const struct step script[] = { { READ }, { SEND, answer }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	server_start(&server);
	call_to(call, &client, HTTP_GET, &server, "/");
	enum err err = call_run(call);
	server_stop(&server);
	return err;
}

static void an_answer_brings_what_its_headers_say(void **state) {
	struct call call;
	(void)state;
	assert_int_equal(
		get_once("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-MS-Request-ID: "
			 "r-1\r\n"
			 "Date: Tue, 24 Nov 2026 03:14:15 GMT\r\nContent-Length: 5\r\n\r\nhello",
			&call),
		OK);
	assert_int_equal(call.req.status, 200);
	assert_str(http_response_body(&call.req), "hello");
	assert_string_equal(call.req.content_type, "application/json");
	assert_string_equal(call.req.request_id, "r-1");
	assert_int_equal(call.req.server_date_s, 1795490055);
	assert_int_equal(call.req.retry_after_ns, -1);
	assert_false(call.req.maybe_sent);
	call_deinit(&call);
}

static void a_request_says_only_what_it_was_told(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("0", "") }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct secret bearer;
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/a%2Fb?c=d");
	secret_init(&bearer, client.arena, 64);
	secret_append(&bearer, STR("t0ken"));
	call.req.bearer = &bearer;
	http_req_header(&call.req, "Accept", STR("application/json"));
	assert_int_equal(call_run(&call), OK);
	char expected[512];
	snprintf(expected, sizeof expected,
		"GET /a%%2Fb?c=d HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: "
		"kvsync/" KVSYNC_VERSION
		"\r\nAccept: application/json\r\nAuthorization: Bearer t0ken\r\n\r\n",
		server.port);
	assert_str(str_of(server_request(&server, 0)), expected);
	secret_deinit(&bearer);
	call_deinit(&call);
	server_stop(&server);
}

static void a_body_goes_out_from_secret_memory_as_it_is(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("0", "") }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct secret body;
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_PATCH, &server, "/");
	secret_init(&body, client.arena, 4096);
	for (int i = 0; i < 3000; i++) secret_append_char(&body, 'x');
	call.req.secret_body = &body;
	assert_int_equal(call_run(&call), OK);
	const char *request = server_request(&server, 0);
	assert_true(str_starts(str_of(request), STR("PATCH / HTTP/1.1\r\n")));
	assert_non_null(strstr(request, "Content-Length: 3000\r\n"));
	assert_null(strcasestr(request, "Expect:"));
	assert_int_equal(strspn(strstr(request, "\r\n\r\n") + 4, "x"), 3000);
	secret_deinit(&body);
	call_deinit(&call);
	server_stop(&server);
}

static void expect_request(const struct scripted *server, unsigned index, const char *line,
	const char *headers, const char *body) {
	char expected[512];
	snprintf(expected, sizeof expected,
		"%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: kvsync/" KVSYNC_VERSION
		"\r\nAccept: */*\r\n%s\r\n%s",
		line, server->port, headers, body);
	assert_str(str_of(server_request((struct scripted *)server, index)), expected);
}

/* They share a handle. */
static void an_exchange_leaves_nothing_to_the_next(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("1", "a") }, { READ },
		{ SEND, ANSWER("1", "b") }, { READ }, { SEND, ANSWER("1", "c") }, { READ },
		{ SEND, ANSWER("1", "d") }, { STEP_END } };
	static const struct {
		enum http_method method;
		const char *path, *body, *bearer, *line, *headers;
	} exchanges[] = {
		{ HTTP_PATCH, "/a?b#c", "patched", "t0ken", "PATCH /a?b",
			"Authorization: Bearer t0ken\r\nContent-Length: 7\r\nContent-Type: "
			"application/x-www-form-urlencoded\r\n" },
		{ HTTP_GET, "?d=%2F", "", NULL, "GET /?d=%2F", "" },
		{ HTTP_POST, "", "", NULL, "POST /",
			"Content-Length: 0\r\nContent-Type: application/x-www-form-urlencoded\r\n" },
		{ HTTP_DELETE, "/../e", "", NULL, "DELETE /../e", "" },
	};
	struct scripted server = { .scripts = { script } };
	(void)state;
	server_start(&server);
	for (unsigned i = 0; i < 4; i++) {
		struct secret bearer;
		struct call call;
		call_to(&call, &client, exchanges[i].method, &server, exchanges[i].path);
		secret_init(&bearer, client.arena, 64);
		if (exchanges[i].bearer) {
			secret_append(&bearer, str_of(exchanges[i].bearer));
			call.req.bearer = &bearer;
		}
		call.req.body = str_of(exchanges[i].body);
		assert_int_equal(call_run(&call), OK);
		struct str answer = http_response_body(&call.req);
		assert_int_equal(answer.len, 1);
		assert_int_equal(answer.ptr[0], 'a' + (int)i);
		expect_request(&server, i, exchanges[i].line, exchanges[i].headers, exchanges[i].body);
		secret_deinit(&bearer);
		call_deinit(&call);
	}
	assert_int_equal(server_connections(&server), 1);
	server_stop(&server);
}

static void pieces_make_one_body_and_trailers_are_not_headers(void **state) {
	struct call call;
	(void)state;
	assert_int_equal(get_once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "
				  "Content-Type\r\n\r\n"
				  "2\r\nab\r\n3\r\ncde\r\n0\r\nContent-Type: evil/late\r\n\r\n",
				 &call),
		OK);
	assert_str(http_response_body(&call.req), "abcde");
	assert_string_equal(call.req.content_type, "");
	call_deinit(&call);
}

static void headers_of_an_interim_answer_do_not_count(void **state) {
	struct call call;
	(void)state;
	assert_int_equal(get_once("HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\nWWW-Authenticate: "
				  "Early\r\n\r\n" ANSWER("1", "x"),
				 &call),
		OK);
	assert_int_equal(call.req.retry_after_ns, -1);
	call_deinit(&call);
}

static void retry_after(const char *headers, int64_t expected_ns) {
	char answer[512];
	struct call call;
	snprintf(answer, sizeof answer, "HTTP/1.1 429 \r\n%sContent-Length: 0\r\n\r\n", headers);
	assert_int_equal(get_once(answer, &call), OK);
	assert_int_equal(call.req.status, 429);
	assert_int_equal(call.req.retry_after_ns, expected_ns);
	call_deinit(&call);
}

static void retry_after_is_read_in_both_forms(void **state) {
	(void)state;
	retry_after("", -1);
	retry_after("Retry-After: 7\r\n", 7 * NS_PER_S);
	retry_after("Retry-After: -3\r\n", 0);
	retry_after("Retry-After: soon\r\n", -1);
	retry_after("Retry-After: 3600\r\n", 3600 * NS_PER_S);
	/* What no server means. */
	retry_after("Retry-After: 3601\r\n", 3600 * NS_PER_S);
	retry_after("Retry-After: 9223372036854775807\r\n", 3600 * NS_PER_S);
	retry_after("Date: Tue, 24 Nov 2026 03:00:00 GMT\r\nRetry-After: Wed, 25 Nov 2026 03:00:00 "
		    "GMT\r\n",
		3600 * NS_PER_S);
	client.site.longest_pause_ns = 300 * NS_PER_S;
	retry_after("Retry-After: 299\r\n", 299 * NS_PER_S);
	retry_after("Retry-After: 3600\r\n", 300 * NS_PER_S);
	client.site.longest_pause_ns = 0;
	/* The date counts from the server's clock, wherever Date stands. */
	retry_after("Date: Tue, 24 Nov 2026 03:00:00 GMT\r\nRetry-After: Tue, 24 Nov 2026 03:01:30 "
		    "GMT\r\n",
		90 * NS_PER_S);
	retry_after("Retry-After: Tue, 24 Nov 2026 03:01:30 GMT\r\nDate: Tue, 24 Nov 2026 03:00:00 "
		    "GMT\r\n",
		90 * NS_PER_S);
	retry_after("Date: Tue, 24 Nov 2026 03:00:00 GMT\r\nRetry-After: Tue, 24 Nov 2026 02:00:00 "
		    "GMT\r\n",
		0);
}

static void a_redirect_is_an_answer(void **state) {
	const struct step greedy[] = { { READ }, { SEND, ANSWER("0", "") }, { STEP_END } };
	struct scripted other = { .scripts = { greedy } };
	struct secret bearer;
	struct call call;
	char answer[256];
	(void)state;
	server_start(&other);
	snprintf(answer, sizeof answer,
		"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:%u/\r\nContent-Length: "
		"0\r\n\r\n",
		other.port);
	const struct step script[] = { { READ }, { SEND, answer }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/");
	secret_init(&bearer, client.arena, 64);
	secret_append(&bearer, STR("t0ken"));
	call.req.bearer = &bearer;
	assert_int_equal(call_run(&call), OK);
	assert_int_equal(call.req.status, 302);
	client_turn_for(&client, 50);
	assert_int_equal(server_connections(&other), 0);
	secret_deinit(&bearer);
	call_deinit(&call);
	server_stop(&server);
	server_stop(&other);
}

static void expect_fault(const struct call *call, enum err err, bool maybe_sent, const char *part) {
	if (call->req.err != err || !strstr(call->req.fault.text, part)) {
		fail_msg("%s: %s", err_name(call->req.err), call->req.fault.text);
	}
	assert_int_equal(call->req.maybe_sent, maybe_sent);
	assert_int_equal(call->req.status, 0);
	assert_str(http_response_body(&call->req), "");
}

static void half_an_answer_is_no_answer(void **state) {
	struct call call;
	(void)state;
	assert_int_equal(
		get_once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", &call), ERR_NETWORK);
	expect_fault(
		&call, ERR_NETWORK, true, "the connection broke before the answer was complete");
	call_deinit(&call);
	assert_int_equal(
		get_once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
			&call),
		ERR_NETWORK);
	expect_fault(
		&call, ERR_NETWORK, true, "the connection broke before the answer was complete");
	call_deinit(&call);
	assert_int_equal(get_once("SSH-2.0-OpenSSH_9.2\r\n", &call), ERR_NETWORK);
	expect_fault(&call, ERR_NETWORK, true, "not HTTP");
	call_deinit(&call);
}

static void an_answer_over_the_cap_is_refused(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("11", "eleven byte") },
		{ STEP_END } };
	(void)state;
	for (int secret = 0; secret < 2; secret++) {
		for (size_t cap = 10; cap <= 11; cap++) {
			struct scripted server = { .scripts = { script } };
			struct call call;
			server_start(&server);
			call_to(&call, &client, HTTP_GET, &server, "/");
			call.req.max_response_bytes = cap;
			if (secret) call.req.response_arena = client.arena;
			assert_int_equal(call_run(&call), cap == 11 ? OK : ERR_TOO_LARGE);
			if (cap == 11) assert_str(http_response_body(&call.req), "eleven byte");
			if (cap == 10)
				expect_fault(&call, ERR_TOO_LARGE, true, "larger than 10 bytes");
			if (secret) assert_int_equal(buf_str(&call.req.response).len, 0);
			call_deinit(&call);
			server_stop(&server);
		}
	}
	assert_int_equal(secret_arena_used_bytes(client.arena), 0);
}

static void a_reset_may_have_been_too_late(void **state) {
	const struct step script[] = { { READ }, { RESET }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/");
	assert_int_equal(call_run(&call), ERR_NETWORK);
	expect_fault(&call, ERR_NETWORK, true, "the connection broke");
	assert_false(call.req.reused_connection);
	assert_int_equal(server_requests(&server), 1);
	call_deinit(&call);
	server_stop(&server);
}

static void silence_ends_at_the_timeout(void **state) {
	const struct step script[] = { { READ },
		{ SEND, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal" }, { STALL },
		{ STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct call call;
	(void)state;
	server_start(&server);
	call_to(&call, &client, HTTP_GET, &server, "/");
	call.req.timeout_ns = 150 * NS_PER_MS;
	int64_t start_ns = loop_now(client.loop).mono_ns;
	assert_int_equal(call_run(&call), ERR_TIMEOUT);
	int64_t took_ns = loop_now(client.loop).mono_ns - start_ns;
	assert_in_range(took_ns, 140 * NS_PER_MS, 2000 * NS_PER_MS);
	expect_fault(&call, ERR_TIMEOUT, true, "no answer in time");
	call_deinit(&call);
	server_stop(&server);
}

static void nobody_there_is_said(void **state) {
	struct call call;
	(void)state;
	/* Port 1 has no listener; names below .invalid have no address. */
	call_init(&call, &client, HTTP_POST, "https://127.0.0.1:1/");
	assert_int_equal(call_run(&call), ERR_NETWORK);
	assert_int_equal(http_curl_phase(client.http), HTTP_PHASE_CONNECT);
	expect_fault(&call, ERR_NETWORK, false,
		"127.0.0.1:1: no connection (Connection refused): check that the server runs");
	call_deinit(&call);
	call_init(&call, &client, HTTP_GET, "https://nobody.invalid/");
	assert_int_equal(call_run(&call), ERR_NETWORK);
	assert_int_equal(http_curl_phase(client.http), HTTP_PHASE_NAME);
	expect_fault(&call, ERR_NETWORK, false,
		"nobody.invalid: the DNS name was not found: check the name");
	call_deinit(&call);
}

static void bad_requests_are_refused_before_anything_is_sent(void **state) {
	static const char *const urls[] = { "", "vault.test", "https://", "ftp://vault.test/",
		"https://user:word@vault.test/", "https://vault.test:0/",
		"https://vault.test:65536/", "https://va ult.test/", "https://vault.test/\nX: y" };
	struct call call;
	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		call_init(&call, &client, HTTP_GET, urls[i]);
		assert_int_equal(call_run(&call), ERR_INVALID);
		expect_fault(&call, ERR_INVALID, false, "not an absolute https URL");
		call_deinit(&call);
	}
	call_init(&call, &client, HTTP_GET, "http://127.0.0.1:1/");
	assert_int_equal(call_run(&call), ERR_INVALID);
	expect_fault(&call, ERR_INVALID, false, "plain http is not allowed");
	call_deinit(&call);
	call_init(&call, &client, HTTP_GET, "https://127.0.0.1:1/");
	http_req_header(&call.req, "X-Name", STR("a\r\nAuthorization: b"));
	assert_int_equal(call_run(&call), ERR_INVALID);
	expect_fault(&call, ERR_INVALID, false, "the header X-Name holds a line break");
	call_deinit(&call);
}

static void plain_http_works_where_it_is_allowed(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("2", "ok") }, { STEP_END } };
	struct scripted server = { .scripts = { script }, .plain = true };
	(void)state;
	server_start(&server);
	client.site.allow_http = true;
	get_body(&client, &server, "ok");
	server_stop(&server);
}

/* Whatever allocation fails, the request ends with an answer or with "out of memory", and nothing leaks. */
static void running_out_of_memory_ends_one_request_only(void **state) {
	const struct step script[] = { { READ }, { SEND, ANSWER("2", "ok") }, { READ },
		{ SEND, ANSWER("2", "ok") }, { STEP_END } };
	bool reached = true;
	(void)state;
	for (unsigned k = 1; reached; k++) {
		struct scripted server = { .scripts = { script } };
		struct client own;
		struct call call;
		assert_in_range(k, 1, 200);
		server_start(&server);
		client_open(&own);
		call_to(&call, &own, HTTP_GET, &server, "/");
		http_req_header(&call.req, "Accept", STR("*/*"));
		mem_fail_at(k);
		enum err err = call_run(&call);
		reached = mem_fail_reached();
		mem_fail_at(0);
		if (err != OK && err != ERR_NOMEM && err != ERR_NETWORK)
			fail_msg("%u: %s", k, call.req.fault.text);
		assert_true(err == OK || reached);
		call_deinit(&call);
		get_body(&own, &server, "ok");
		client_close(&own);
		server_stop(&server);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_answer_brings_what_its_headers_say, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_request_says_only_what_it_was_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_body_goes_out_from_secret_memory_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_exchange_leaves_nothing_to_the_next, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pieces_make_one_body_and_trailers_are_not_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(
			headers_of_an_interim_answer_do_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(retry_after_is_read_in_both_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(a_redirect_is_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(half_an_answer_is_no_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_over_the_cap_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reset_may_have_been_too_late, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_ends_at_the_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_there_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(
			bad_requests_are_refused_before_anything_is_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(
			plain_http_works_where_it_is_allowed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			running_out_of_memory_ends_one_request_only, setup, teardown),
	};
	/* Without mem_wipe_libraries(), so that it is our own allocations that fail: libcurl 7.88 leaks where its own do. */
	assert_int_equal(http_curl_global_init(), OK);
	server_certificate_make();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	server_certificate_free();
	http_curl_global_deinit();
	return failed;
}
