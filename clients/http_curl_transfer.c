/* One exchange of the libcurl client: options before, callbacks during, meaning after. */
#include <assert.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/metric.h"
#include "clients/http_curl_impl.h"

enum { CHALLENGE_BYTES = 8 << 10, STREAM_CHUNK_BYTES = 64 << 20 };

static const long CONNECT_TIMEOUT_MS = 10000;
static const long IDLE_CONNECTION_S = 100; /* Azure's load balancers drop silent connections; see docs/azure.md */
static const long CA_CACHE_S = 3600;

/* --- the answer --- */

static bool is_success(const struct transfer *transfer) {
	return transfer->req->status >= 200 && transfer->req->status < 300;
}

static bool take_body(struct transfer *transfer, struct str piece) {
	struct http_req *req = transfer->req;
	enum err err;
	if (req->on_data && is_success(transfer)) {
		buf_append(&transfer->chunk, piece);
		err = buf_err(&transfer->chunk);
		transfer->silent_until_ns = NEVER_NS;
		if (req->idle_timeout_ns) transfer->silent_until_ns = transfer_now(transfer).mono_ns + req->idle_timeout_ns;
	} else if (req->response_arena) {
		secret_append(&req->response_secret, piece);
		err = secret_err(&req->response_secret);
	} else {
		buf_append(&req->response, piece);
		err = buf_err(&req->response);
	}
	transfer->too_large = err == ERR_TOO_LARGE;
	transfer->out_of_memory = err == ERR_NOMEM;
	return !err;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
	size_t len = size * count;
	return take_body(arg, (struct str){ bytes, len }) ? len : CURL_WRITEFUNC_ERROR;
}

static void copy_text(struct str value, char *out_text, size_t bytes) {
	size_t len = value.len < bytes ? value.len : bytes - 1;
	if (len) memcpy(out_text, value.ptr, len);
	out_text[len] = 0;
}

static void take_retry_after(struct http_req *req, struct str value) {
	int64_t seconds = 0;
	if (str_to_i64(value, &seconds) != OK) {
		int64_t base_s = req->server_date_s ? req->server_date_s : clock_now(clock_system()).wall_ns / NS_PER_S;
		if (time_parse_http(value, &seconds) != OK) return;
		seconds -= base_s;
	}
	if (seconds < 0) seconds = 0;
	if (seconds > 86400) seconds = 86400;
	req->retry_after_ns = seconds * NS_PER_S;
}

static void take_header(struct http_req *req, struct str name, struct str value) {
	if (str_eq_nocase(name, STR("retry-after"))) {
		take_retry_after(req, value);
	} else if (str_eq_nocase(name, STR("date"))) {
		if (time_parse_http(value, &req->server_date_s) != OK) req->server_date_s = 0;
	} else if (str_eq_nocase(name, STR("content-type"))) {
		copy_text(value, req->content_type, sizeof req->content_type);
	} else if (str_eq_nocase(name, STR("x-ms-request-id")) || str_eq_nocase(name, STR("audit-id"))) {
		copy_text(value, req->request_id, sizeof req->request_id);
	} else if (str_eq_nocase(name, STR("www-authenticate"))) {
		if (buf_str(&req->challenge).len) buf_append(&req->challenge, STR(", "));
		buf_append(&req->challenge, value);
	}
}

/* A status line begins the headers anew: an interim answer's do not count. */
static void begin_answer(struct transfer *transfer, struct str line) {
	struct http_req *req = transfer->req;
	uint64_t status = 0;
	size_t blank = str_find_char(line, ' ');
	if (blank == SIZE_MAX || str_to_u64(str_slice(line, blank + 1, 3), &status) != OK) return;
	req->status = (int)status;
	req->retry_after_ns = -1;
	req->server_date_s = 0;
	req->content_type[0] = req->request_id[0] = 0;
	buf_reset(&req->challenge);
	transfer->answered = status >= 200;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg) {
	struct transfer *transfer = arg;
	size_t len = size * count;
	struct str line = str_trim((struct str){ bytes, len });
	size_t colon = str_find_char(line, ':');
	if (str_starts(line, STR("HTTP/"))) {
		begin_answer(transfer, line);
	} else if (colon != SIZE_MAX) {
		take_header(transfer->req, str_slice(line, 0, colon), str_trim(str_slice(line, colon + 1, line.len)));
	}
	return len;
}

/* --- the options --- */

static bool add_header(struct transfer *transfer, const char *text) {
	struct curl_slist *longer = curl_slist_append(transfer->headers, text);
	if (longer) transfer->headers = longer;
	return longer != NULL;
}

static bool add_pair(struct transfer *transfer, const char *name, const char *between, struct str value) {
	size_t bytes = strlen(name) + strlen(between) + value.len + 1;
	/* May be the bearer token: it goes through memory that is wiped. */
	char *text = mem_wiped_alloc(bytes);
	if (!text) return false;
	char *end = stpcpy(stpcpy(text, name), between);
	if (value.len) memcpy(end, value.ptr, value.len);
	end[value.len] = 0;
	bool added = add_header(transfer, text);
	mem_wiped_free(text);
	return added;
}

static enum err setup_headers(struct transfer *transfer) {
	const struct http_req *req = transfer->req;
	bool good = add_header(transfer, "Expect:");
	for (unsigned i = 0; i < req->header_count; i++) {
		good = good && add_pair(transfer, req->headers[i].name, ": ", req->headers[i].value);
	}
	if (req->bearer) good = good && add_pair(transfer, "Authorization", ": Bearer ", secret_expose(req->bearer));
	if (!good) return ERR_NOMEM;
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	return OK;
}

static void setup_method(struct transfer *transfer) {
	static const char *const names[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
	const struct http_req *req = transfer->req;
	struct str body = req->secret_body ? secret_expose(req->secret_body) : req->body;
	if (body.len || req->method == HTTP_POST) {
		curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
		curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body.len ? body.ptr : "");
	}
	if (req->method != HTTP_GET && req->method != HTTP_POST) {
		curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, names[req->method]);
	}
}

static void set_blob(CURL *easy, CURLoption option, struct str pem) {
	struct curl_blob blob = { .data = (void *)(uintptr_t)pem.ptr, .len = pem.len, .flags = CURL_BLOB_COPY };
	curl_easy_setopt(easy, option, &blob);
}

static const char *ca_file_of(const struct http_site *site) {
	return site->ca_file ? site->ca_file : getenv("SSL_CERT_FILE");
}

static void setup_tls(CURL *easy, const struct http_site *site) {
	const char *ca_file = ca_file_of(site);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
	if (site->ca_pem.len) {
		set_blob(easy, CURLOPT_CAINFO_BLOB, site->ca_pem);
	} else if (ca_file && ca_file[0]) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	}
	if (site->client_cert_pem.len) set_blob(easy, CURLOPT_SSLCERT_BLOB, site->client_cert_pem);
	if (site->client_key_pem) set_blob(easy, CURLOPT_SSLKEY_BLOB, secret_expose(site->client_key_pem));
	if (site->client_cert_file) curl_easy_setopt(easy, CURLOPT_SSLCERT, site->client_cert_file);
	if (site->client_key_file) curl_easy_setopt(easy, CURLOPT_SSLKEY, site->client_key_file);
}

static void setup_connection(struct transfer *transfer) {
	const struct http_site *site = transfer->req->site;
	CURL *easy = transfer->easy;
	bool h2 = site->version == HTTP_VERSION_2;
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)(h2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, (long)(h2 && !site->own_connection));
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)site->own_connection);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, (long)site->own_connection);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, site->allow_http ? "http,https" : "https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* An empty proxy means none, whatever the environment says. */
	if (!site->use_proxy) curl_easy_setopt(easy, CURLOPT_PROXY, "");
	setup_tls(easy, site);
}

static void setup_times(struct transfer *transfer) {
	struct http_req *req = transfer->req;
	long timeout_ms = (long)(req->timeout_ns / NS_PER_MS);
	long connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS;
	curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms > 0 ? connect_ms : 1L);
	transfer->silent_until_ns = NEVER_NS;
	if (req->on_data) {
		transfer->silent_until_ns = transfer_now(transfer).mono_ns + req->timeout_ns;
	} else {
		curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? timeout_ms : 1L);
	}
}

static void setup_answer(struct transfer *transfer) {
	struct http_req *req = transfer->req;
	buf_init(&req->challenge, CHALLENGE_BYTES);
	buf_init(&transfer->chunk, STREAM_CHUNK_BYTES);
	buf_init(&req->response, req->max_response_bytes);
	if (req->response_arena) secret_init(&req->response_secret, req->response_arena, req->max_response_bytes);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(transfer->easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
}

enum err transfer_setup(struct transfer *transfer) {
	struct http_req *req = transfer->req;
	if (curl_easy_setopt(transfer->easy, CURLOPT_URL, buf_cstr(&req->url))) return ERR_NOMEM;
	curl_easy_setopt(transfer->easy, CURLOPT_USERAGENT, "kvsync/" KVSYNC_VERSION);
	setup_answer(transfer);
	setup_connection(transfer);
	setup_times(transfer);
	setup_method(transfer);
	return setup_headers(transfer);
}

/* --- what became of it --- */

static long info_long(CURL *easy, CURLINFO info) {
	long value = 0;
	curl_easy_getinfo(easy, info, &value);
	return value;
}

static struct str host_of(const struct http_req *req) {
	struct str scheme, host = STR("the server"), path;
	unsigned port;
	if (http_url_split(buf_str(&req->url), &scheme, &host, &port, &path) != OK) return STR("the server");
	return host;
}

/* The request line went out: what was asked may have been done. */
static bool was_sent(const struct transfer *transfer) {
	curl_off_t before_us = 0;
	long connect = info_long(transfer->easy, CURLINFO_HTTP_CONNECTCODE);
	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &before_us);
	return before_us > 0 && (connect == 0 || connect == 200);
}

static enum err refused_by_proxy(struct http_req *req, struct str host, long code) {
	return fault_set(&req->fault, ERR_NETWORK,
		"%.*s: the proxy of HTTPS_PROXY answered %ld to CONNECT: allow that host there, or name it in NO_PROXY",
		STR_ARG(host), code);
}

static enum err untrusted(struct transfer *transfer, struct str host) {
	const struct http_site *site = transfer->req->site;
	const char *ca_file = ca_file_of(site);
	long verdict = info_long(transfer->easy, CURLINFO_SSL_VERIFYRESULT);
	return fault_set(&transfer->req->fault, ERR_NETWORK,
		"%.*s: its TLS certificate is not trusted (%s): the CA bundle used is %s; set SSL_CERT_FILE if another one is "
		"needed",
		STR_ARG(host), X509_verify_cert_error_string(verdict),
		site->ca_pem.len ? "the one configured" : ca_file && ca_file[0] ? ca_file : "the system's");
}

static enum err transport_error(struct transfer *transfer, CURLcode code) {
	struct http_req *req = transfer->req;
	struct str host = host_of(req);
	long connect = info_long(transfer->easy, CURLINFO_HTTP_CONNECTCODE);
	/* The texts are the same for the same cause: no times, no addresses, so that a condition does not change each time. */
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return fault_set(&req->fault, ERR_NETWORK, "%.*s: the name cannot be resolved: check the name and the cluster's DNS",
			STR_ARG(host));
	case CURLE_COULDNT_RESOLVE_PROXY:
		return fault_set(&req->fault, ERR_NETWORK, "%.*s: the name of the proxy in HTTPS_PROXY cannot be resolved",
			STR_ARG(host));
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return untrusted(transfer, host);
	default:
		break;
	}
	if (connect && connect != 200) return refused_by_proxy(req, host, connect);
	if (code == CURLE_OUT_OF_MEMORY) return fault_set(&req->fault, ERR_NOMEM, "%.*s: out of memory", STR_ARG(host));
	if (code == CURLE_OPERATION_TIMEDOUT && was_sent(transfer)) {
		return fault_set(&req->fault, ERR_TIMEOUT, "%.*s: no answer in time", STR_ARG(host));
	}
	if (code == CURLE_OPERATION_TIMEDOUT) code = CURLE_COULDNT_CONNECT;
	return fault_set(&req->fault, ERR_NETWORK, "%.*s: %s: check the network, firewall and proxy between here and there",
		STR_ARG(host), curl_easy_strerror(code));
}

void transfer_result(struct transfer *transfer, CURLcode code) {
	struct http_req *req = transfer->req;
	req->reused_connection = info_long(transfer->easy, CURLINFO_NUM_CONNECTS) == 0;
	if (!code) {
		req->err = OK;
		return;
	}
	req->maybe_sent = was_sent(transfer);
	if (transfer->out_of_memory) {
		req->err = fault_set(&req->fault, ERR_NOMEM, "out of memory while an answer was received");
	} else if (transfer->too_large) {
		struct str host = host_of(req);
		req->err = fault_set(&req->fault, ERR_TOO_LARGE, "%.*s: the answer is larger than %zu bytes", STR_ARG(host),
			req->max_response_bytes);
	} else {
		req->err = transport_error(transfer, code);
		metric_add(METRIC_HTTP_NETWORK_ERRORS, 1);
	}
	/* Half an answer is no answer. */
	req->status = 0;
}
