#include "clients/http.h"

#include <assert.h>

static const int64_t DEFAULT_TIMEOUT_NS = 30 * NS_PER_S;
static const int64_t LONGEST_PAUSE_NS = 3600 * NS_PER_S;

enum { DEFAULT_RESPONSE_BYTES = 1 << 20 };

void http_req_init(struct http_req *req, const struct http_site *site, enum http_method method) {
	*req = (struct http_req){
		.site = site,
		.method = method,
		.timeout_ns = DEFAULT_TIMEOUT_NS,
		.max_response_bytes = DEFAULT_RESPONSE_BYTES,
		.retry_after_ns = -1,
	};
	list_init(&req->_link);
}

void http_req_deinit(struct http_req *req) {
	assert(!req->_active);
	buf_deinit(&req->url);
	buf_deinit(&req->response);
	secret_deinit(&req->response_secret);
	*req = (struct http_req){ 0 };
}

void http_req_header(struct http_req *req, const char *name, struct str value) {
	assert(req->header_count < HTTP_MAX_HEADERS);
	req->headers[req->header_count++] = (struct http_header){ name, value };
}

struct str http_response_body(const struct http_req *req) {
	return req->response_arena ? secret_expose(&req->response_secret) : buf_str(&req->response);
}

bool http_req_is_active(const struct http_req *req) {
	return req->_active;
}

int64_t http_obeyed_ns(const struct http_site *site, int64_t seconds) {
	int64_t most_ns = site->longest_pause_ns ? site->longest_pause_ns : LONGEST_PAUSE_NS;
	if (seconds <= 0) return 0;
	return seconds < most_ns / NS_PER_S ? seconds * NS_PER_S : most_ns;
}

/* --- URLs --- */

static enum err split_authority(struct str authority, struct str *out_host, unsigned *out_port) {
	uint64_t port = 0;
	if (str_find_char(authority, '@') != SIZE_MAX) return ERR_INVALID;
	/* The colon of a port stands behind the closing bracket of an IPv6 address. */
	size_t bracket = str_find_char(authority, ']');
	size_t from = bracket == SIZE_MAX ? 0 : bracket;
	size_t colon = str_find_char(str_slice(authority, from, authority.len), ':');
	*out_host = colon == SIZE_MAX ? authority : str_slice(authority, 0, from + colon);
	*out_port = 0;
	if (!out_host->len) return ERR_INVALID;
	if (colon == SIZE_MAX) return OK;
	if (str_to_u64(str_slice(authority, from + colon + 1, authority.len), &port) != OK ||
		port == 0 || port > 65535) {
		return ERR_INVALID;
	}
	*out_port = (unsigned)port;
	return OK;
}

static bool has_bad_byte(struct str url) {
	for (size_t i = 0; i < url.len; i++) {
		if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7F || url.ptr[i] == '\\')
			return true;
	}
	return false;
}

enum err http_url_split(struct str url, struct str *out_scheme, struct str *out_host,
	unsigned *out_port, struct str *out_path_and_query) {
	struct str host = STR_NULL;
	unsigned port = 0;
	size_t colon = str_find(url, STR("://"));
	if (colon == SIZE_MAX || has_bad_byte(url)) return ERR_INVALID;
	struct str scheme = str_slice(url, 0, colon), rest = str_slice(url, colon + 3, url.len);
	if (!str_eq_nocase(scheme, STR("https")) && !str_eq_nocase(scheme, STR("http")))
		return ERR_INVALID;
	size_t end = 0;
	while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?' &&
		rest.ptr[end] != '#')
		end++;
	enum err err = split_authority(str_slice(rest, 0, end), &host, &port);
	if (err) return err;
	*out_scheme = scheme;
	*out_host = host;
	*out_port = port;
	*out_path_and_query = str_slice(rest, end, rest.len);
	return OK;
}
