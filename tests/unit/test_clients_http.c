/* clients/http: requests as values, and the parts of a URL, which decide who gets a token. */
#include "clients/http.h"

#include "tests/unit/unit.h"

static void split(const char *url, const char *scheme, const char *host, unsigned port, const char *rest) {
	struct str got_scheme, got_host, got_rest;
	unsigned got_port = 77;
	if (http_url_split(str_of(url), &got_scheme, &got_host, &got_port, &got_rest) != OK) fail_msg("%s", url);
	assert_str(got_scheme, scheme);
	assert_str(got_host, host);
	assert_int_equal(got_port, port);
	assert_str(got_rest, rest);
}

static void a_url_has_four_parts(void **state) {
	(void)state;
	split("https://h", "https", "h", 0, "");
	split("HTTPS://H.x:443/a?b=c#d", "HTTPS", "H.x", 443, "/a?b=c#d");
	split("http://h?x", "http", "h", 0, "?x");
	split("https://[fd00::1]:6443/p", "https", "[fd00::1]", 6443, "/p");
	split("https://[fd00::1]", "https", "[fd00::1]", 0, "");
	split("https://h#@evil", "https", "h", 0, "#@evil");
	split("https://h/@evil", "https", "h", 0, "/@evil");
}

static void what_could_be_read_in_two_ways_is_refused(void **state) {
	static const char *const bad[] = { "", "h", "/x", "//h/x", "https:/h", "https://", "https:///x", "ftp://h",
		"https://good@evil/", "https://good:1@evil", "https://h:0", "https://h:65536", "https://h:", "https://h:x",
		"https://h:-1", "https://h\\@evil", "https://h\n", "https://h x", "https://h/\x7f", " https://h" };
	struct str scheme, host, rest;
	unsigned port;
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (http_url_split(str_of(bad[i]), &scheme, &host, &port, &rest) != ERR_INVALID) fail_msg("%s", bad[i]);
	assert_int_equal(http_url_split(STR("https://h\0.evil/"), &scheme, &host, &port, &rest), ERR_INVALID);
}

static void a_request_begins_empty_with_bounds(void **state) {
	static const struct http_site site = { .name = "x" };
	struct http_req req;
	(void)state;
	http_req_init(&req, &site, HTTP_PATCH);
	assert_int_equal(req.method, HTTP_PATCH);
	assert_int_equal(req.timeout_ns, 30 * NS_PER_S);
	assert_int_equal(req.max_response_bytes, 1 << 20);
	assert_int_equal(req.retry_after_ns, -1);
	assert_false(http_req_is_active(&req));
	assert_int_equal(http_response_body(&req).len, 0);
	http_req_header(&req, "A", STR("b"));
	assert_int_equal(req.header_count, 1);
	http_req_deinit(&req);
	http_req_deinit(&req);
	http_destroy(NULL);
}

static void too_many_headers(void *arg) {
	struct http_req req;
	(void)arg;
	http_req_init(&req, NULL, HTTP_GET);
	for (int i = 0; i <= HTTP_MAX_HEADERS; i++) http_req_header(&req, "A", STR("b"));
}

static void active_request(void *arg) {
	struct http_req req;
	(void)arg;
	http_req_init(&req, NULL, HTTP_GET);
	req._active = true;
	http_req_deinit(&req);
}

static void misuse_is_noticed(void **state) {
	(void)state;
	assert_true(aborts(too_many_headers, NULL));
	assert_true(aborts(active_request, NULL));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_has_four_parts),
		cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
		cmocka_unit_test(a_request_begins_empty_with_bounds),
		cmocka_unit_test(misuse_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
