/* Trust, proxies and HTTP/2. */
#include "tests/unit/http_client.h"

static struct client client;
static char ca_path[] = "/tmp/kvsync-ca-XXXXXX", lax_path[] = "/tmp/kvsync-openssl-XXXXXX";

static int setup(void **state) {
	(void)state;
	unsetenv("HTTPS_PROXY");
	unsetenv("NO_PROXY");
	unsetenv("SSL_CERT_FILE");
	client_open(&client);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	client_close(&client);
	return 0;
}

static const struct step answer_ok[] = { { READ }, { SEND, ANSWER("2", "ok") }, { READ },
	{ SEND, ANSWER("2", "ok") }, { READ }, { STEP_END } };

/* --- trust --- */

static void expect_untrusted(struct call *call, const char *part) {
	assert_int_equal(call_run(call), ERR_NETWORK);
	if (!strstr(call->req.fault.text, part)) fail_msg("%s", call->req.fault.text);
	assert_false(call->req.maybe_sent);
	call_deinit(call);
}

static void an_unknown_authority_is_refused(void **state) {
	struct scripted server = { .scripts = { answer_ok } };
	struct call call;
	(void)state;
	server_start(&server);
	client.site.ca_pem = STR_NULL;
	call_to(&call, &client, HTTP_POST, &server, "/");
	expect_untrusted(&call, "its certificate is not trusted (SSL certificate problem: "
				"self-signed certificate): the CA bundle in "
				"use is the system's");
	assert_int_equal(http_curl_phase(client.http), HTTP_PHASE_TLS);
	setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt", 1);
	call_to(&call, &client, HTTP_POST, &server, "/");
	expect_untrusted(&call, "in use is /etc/ssl/certs/ca-certificates.crt");
	assert_int_equal(server_requests(&server), 0);
	server_stop(&server);
}

static void another_name_is_refused(void **state) {
	struct scripted server = { .scripts = { answer_ok } };
	struct call call;
	char url[64];
	(void)state;
	server_start(&server);
	snprintf(url, sizeof url, "https://localhost:%u/", server.port);
	call_init(&call, &client, HTTP_GET, url);
	expect_untrusted(&call, "certificate is not trusted (SSL: no alternative certificate "
				"subject name matches target host name "
				"'localhost')");
	assert_int_equal(server_requests(&server), 0);
	server_stop(&server);
}

static void the_bundle_comes_from_the_site_or_the_environment(void **state) {
	struct scripted server = { .scripts = { answer_ok } };
	struct call call;
	(void)state;
	server_start(&server);
	client.site.ca_pem = STR_NULL;
	client.site.ca_file = ca_path;
	setenv("SSL_CERT_FILE", "/nowhere", 1);
	get_body(&client, &server, "ok");
	client.site.ca_file = NULL;
	call_to(&call, &client, HTTP_GET, &server, "/");
	expect_untrusted(&call, "the CA bundle /nowhere cannot be read, or holds no certificate");
	setenv("SSL_CERT_FILE", ca_path, 1);
	get_body(&client, &server, "ok");
	server_stop(&server);
}

static void a_bundle_stands_alone(void **state) {
	struct scripted server = { .scripts = { answer_ok } };
	struct call call;
	(void)state;
	server_start(&server);
	client.site.ca_pem = STR("not a certificate");
	call_to(&call, &client, HTTP_GET, &server, "/");
	expect_untrusted(&call, "the CA certificates configured for it are not readable PEM");
	server_stop(&server);
}

static void old_tls_is_refused(void **state) {
	struct scripted server = { .scripts = { answer_ok } };
	struct call call;
	(void)state;
	server_start(&server);
	SSL_CTX_set_min_proto_version(server.ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(server.ctx, TLS1_1_VERSION);
	SSL_CTX_set_security_level(server.ctx, 0);
	call_to(&call, &client, HTTP_GET, &server, "/");
	expect_untrusted(&call, "the TLS handshake failed (");
	server_stop(&server);
}

/* --- proxies --- */

static void set_proxy(const struct scripted *proxy) {
	char url[64];
	snprintf(url, sizeof url, "http://127.0.0.1:%u", proxy->port);
	setenv("HTTPS_PROXY", url, 1);
}

static void a_proxy_is_used_by_sites_that_ask_for_it(void **state) {
	struct scripted server = { .scripts = { answer_ok } };
	struct call call;
	(void)state;
	server_start(&server);
	const struct step script[] = { { READ },
		{ SEND, "HTTP/1.1 200 Connection established\r\nRetry-After: 5\r\n\r\n" },
		{ TUNNEL, NULL, server.port }, { STEP_END } };
	struct scripted proxy = { .scripts = { script }, .plain = true };
	server_start(&proxy);
	set_proxy(&proxy);
	get_body(&client, &server, "ok");
	assert_int_equal(server_connections(&proxy), 0);
	client.site.use_proxy = true;
	struct secret bearer;
	secret_init(&bearer, client.arena, 64);
	secret_append(&bearer, STR("t0ken"));
	/* A name that only the proxy knows. */
	call_init(&call, &client, HTTP_GET, "https://vault.test/");
	call.req.bearer = &bearer;
	assert_int_equal(call_run(&call), OK);
	assert_str(http_response_body(&call.req), "ok");
	assert_int_equal(call.req.retry_after_ns, -1);
	const char *connect = server_request(&proxy, 0);
	assert_true(str_starts(str_of(connect), STR("CONNECT vault.test:443 HTTP/1.1\r\n")));
	assert_null(strstr(connect, "t0ken"));
	call_deinit(&call);
	setenv("NO_PROXY", "10.0.0.1,127.0.0.1", 1);
	get_body(&client, &server, "ok");
	assert_int_equal(server_connections(&proxy), 1);
	secret_deinit(&bearer);
	server_stop(&server);
	server_stop(&proxy);
}

static void a_proxy_that_refuses_is_named(void **state) {
	const struct step script[] = { { READ },
		{ SEND, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n" },
		{ STEP_END } };
	struct scripted proxy = { .scripts = { script }, .plain = true };
	struct call call;
	(void)state;
	server_start(&proxy);
	set_proxy(&proxy);
	client.site.use_proxy = true;
	call_init(&call, &client, HTTP_POST, "https://vault.test/");
	expect_untrusted(
		&call, "vault.test: the proxy named by HTTPS_PROXY answered 407 to CONNECT");
	assert_int_equal(http_curl_phase(client.http), HTTP_PHASE_CONNECT);
	server_stop(&proxy);
}

/* --- HTTP/2: a server made of bare frames, which answers streams with 200 and "ok" --- */

enum {
	FRAME_DATA,
	FRAME_HEADERS,
	FRAME_SETTINGS = 4,
	FRAME_PING = 6,
	END_STREAM = 1,
	ACK = 1,
	END_HEADERS = 4
};

static void frame(struct conn *conn, unsigned char type, unsigned char flags,
	const unsigned char *stream, const char *bytes, unsigned char len) {
	char out[64] = { 0, 0, (char)len, (char)type, (char)flags, (char)stream[0], (char)stream[1],
		(char)stream[2], (char)stream[3] };
	memcpy(out + 9, bytes, len);
	conn_write(conn, out, 9u + len);
}

static bool read_exactly(struct conn *conn, unsigned char *bytes, size_t len) {
	for (size_t at = 0; at < len;) {
		int got = conn_read(conn, (char *)bytes + at, len - at);
		if (got <= 0) return false;
		at += (size_t)got;
	}
	return true;
}

static void count_request(struct conn *conn) {
	pthread_mutex_lock(&conn->server->mutex);
	conn->server->request_count++;
	pthread_mutex_unlock(&conn->server->mutex);
}

/* Answers each request when its HEADERS are there, but for number `from` to `to` (from 1). */
static void serve_h2(struct conn *conn, unsigned from, unsigned to) {
	static const unsigned char none[4];
	unsigned char head[9], payload[16384];
	unsigned seen = 0;
	if (!read_exactly(conn, payload, 24)) return;
	frame(conn, FRAME_SETTINGS, 0, none, "", 0);
	while (read_exactly(conn, head, 9)) {
		size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (len > sizeof payload || !read_exactly(conn, payload, len)) return;
		if (head[3] == FRAME_SETTINGS && !(head[4] & ACK))
			frame(conn, FRAME_SETTINGS, ACK, none, "", 0);
		if (head[3] != FRAME_HEADERS) continue;
		count_request(conn);
		seen++;
		if (seen >= from && seen <= to) continue;
		frame(conn, FRAME_HEADERS, END_HEADERS, head + 5, "\x88", 1);
		frame(conn, FRAME_DATA, END_STREAM, head + 5, "ok", 2);
	}
}

static void serve_all(struct conn *conn) {
	serve_h2(conn, 0, 0);
}

static void serve_one(struct conn *conn) {
	serve_h2(conn, 2, 1000);
}

static void serve_but_second(struct conn *conn) {
	serve_h2(conn, 2, 2);
}

static const struct step h2_all[] = { { .kind = SERVE, .serve = serve_all }, { STEP_END } };
static const struct step h2_one[] = { { .kind = SERVE, .serve = serve_one }, { STEP_END } };
static const struct step h2_but_second[] = { { .kind = SERVE, .serve = serve_but_second },
	{ STEP_END } };

static void requests_share_one_h2_connection(void **state) {
	struct scripted server = { .scripts = { h2_all }, .h2 = true };
	struct call calls[20];
	(void)state;
	server_start(&server);
	client.site.version = HTTP_VERSION_2;
	client.site.max_connections = 2;
	for (int i = 0; i < 20; i++) {
		call_to(&calls[i], &client, HTTP_GET, &server, "/");
		http_start(client.http, &calls[i].req);
	}
	for (int i = 0; i < 20; i++) {
		call_wait(&calls[i]);
		assert_int_equal(calls[i].req.err, OK);
		assert_str(http_response_body(&calls[i].req), "ok");
		call_deinit(&calls[i]);
	}
	assert_int_equal(server_connections(&server), 1);
	server_stop(&server);
}

/* Twelve exchanges of which each waits in the socket until the kernel has enough of it take more than two seconds. */
static void what_a_turn_sends_goes_at_its_end(void **state) {
	struct scripted server = { .scripts = { h2_all }, .h2 = true };
	(void)state;
	server_start(&server);
	client.site.version = HTTP_VERSION_2;
	get_body(&client, &server, "ok");
	int64_t began_ns = loop_now(client.loop).mono_ns;
	for (int i = 0; i < 12; i++) get_body(&client, &server, "ok");
	assert_true(loop_now(client.loop).mono_ns - began_ns < 1500 * NS_PER_MS);
	assert_int_equal(server_connections(&server), 1);
	server_stop(&server);
}

static void a_watch_has_its_own_connection(void **state) {
	struct scripted server = { .scripts = { h2_all }, .h2 = true };
	struct http_site watch_site;
	struct call call;
	(void)state;
	server_start(&server);
	client.site.version = HTTP_VERSION_2;
	watch_site = client.site;
	watch_site.own_connection = true;
	get_body(&client, &server, "ok");
	for (unsigned i = 0; i < 2; i++) {
		call_to(&call, &client, HTTP_GET, &server, "/");
		call.req.site = &watch_site;
		call.req.on_data = call_data;
		assert_int_equal(call_run(&call), OK);
		assert_str(buf_str(&call.seen), "ok");
		assert_int_equal(server_connections(&server), 2 + i);
		call_deinit(&call);
	}
	get_body(&client, &server, "ok");
	assert_int_equal(server_connections(&server), 3);
	server_stop(&server);
}

/* The connection has served before, two requests wait on it when the first of them times out: both end, and the next
 * request does not go to the dead connection again. */
static void a_dead_h2_connection_is_not_used_again(void **state) {
	struct scripted server = { .scripts = { h2_one, h2_all }, .h2 = true };
	struct call first, sibling;
	(void)state;
	server_start(&server);
	client.site.version = HTTP_VERSION_2;
	client.site.max_connections = 2;
	get_body(&client, &server, "ok");
	call_to(&first, &client, HTTP_POST, &server, "/");
	call_to(&sibling, &client, HTTP_POST, &server, "/");
	first.req.timeout_ns = 300 * NS_PER_MS;
	http_start(client.http, &first.req);
	http_start(client.http, &sibling.req);
	call_wait(&first);
	assert_int_equal(first.req.err, ERR_TIMEOUT);
	assert_true(first.req.maybe_sent);
	call_wait(&sibling);
	assert_int_equal(sibling.req.err, ERR_NETWORK);
	assert_true(sibling.req.maybe_sent);
	assert_int_equal(server_requests(&server), 3);
	get_body(&client, &server, "ok");
	assert_int_equal(server_requests(&server), 4);
	call_deinit(&first);
	call_deinit(&sibling);
	server_stop(&server);
}

/* One answer does not come, but others on the same connection do: they must not suffer. */
static void a_live_h2_connection_outlasts_a_slow_answer(void **state) {
	struct scripted server = { .scripts = { h2_but_second }, .h2 = true };
	struct call slow;
	(void)state;
	server_start(&server);
	client.site.version = HTTP_VERSION_2;
	get_body(&client, &server, "ok");
	call_to(&slow, &client, HTTP_GET, &server, "/");
	slow.req.timeout_ns = 600 * NS_PER_MS;
	http_start(client.http, &slow.req);
	client_turn_for(&client, 300);
	get_body(&client, &server, "ok");
	call_wait(&slow);
	assert_int_equal(slow.req.err, ERR_TIMEOUT);
	get_body(&client, &server, "ok");
	assert_int_equal(server_connections(&server), 1);
	call_deinit(&slow);
	server_stop(&server);
}

static void a_server_without_h2_is_served_by_1_1(void **state) {
	struct scripted server = { .scripts = { answer_ok } };
	(void)state;
	server_start(&server);
	client.site.version = HTTP_VERSION_2;
	get_body(&client, &server, "ok");
	get_body(&client, &server, "ok");
	assert_int_equal(server_connections(&server), 1);
	server_stop(&server);
}

#define with_client(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* A system whose OpenSSL takes everything, so that what is refused is refused by us. */
static void allow_old_tls(void) {
	static const char text[] = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = lax\n"
				   "[lax]\nMinProtocol = TLSv1\nCipherString = DEFAULT:@SECLEVEL=0\n";
	int file = mkstemp(lax_path);
	assert_int_equal(write(file, text, sizeof text - 1), sizeof text - 1);
	close(file);
	setenv("OPENSSL_CONF", lax_path, 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		with_client(an_unknown_authority_is_refused),
		with_client(another_name_is_refused),
		with_client(the_bundle_comes_from_the_site_or_the_environment),
		with_client(a_bundle_stands_alone),
		with_client(old_tls_is_refused),
		with_client(a_proxy_is_used_by_sites_that_ask_for_it),
		with_client(a_proxy_that_refuses_is_named),
		with_client(requests_share_one_h2_connection),
		with_client(what_a_turn_sends_goes_at_its_end),
		with_client(a_watch_has_its_own_connection),
		with_client(a_dead_h2_connection_is_not_used_again),
		with_client(a_live_h2_connection_outlasts_a_slow_answer),
		with_client(a_server_without_h2_is_served_by_1_1),
	};
	allow_old_tls();
	mem_wipe_libraries();
	assert_int_equal(http_curl_global_init(), OK);
	unlink(lax_path);
	server_certificate_make();
	int ca_file = mkstemp(ca_path);
	assert_true(write(ca_file, server_ca_pem, strlen(server_ca_pem)) > 0);
	close(ca_file);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(ca_path);
	server_certificate_free();
	http_curl_global_deinit();
	return failed;
}
