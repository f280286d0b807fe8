/* One exchange of the libcurl client: its options, and the callbacks that take the answer. */
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/mem.h"
#include "clients/http_curl_impl.h"

enum { STREAM_CHUNK_BYTES = 1 << 20, STREAM_AHEAD_BYTES = 256 << 10, URL_BYTES = 1 << 20 };

static const long CONNECT_TIMEOUT_MS = 10000;
/* Azure's load balancers forget silent connections after four minutes, http.sys after two: none is used that old. */
static const long IDLE_CONNECTION_S = 100;
static const long KEEPALIVE_S = 30;
static const long UPLOAD_BUFFER_BYTES = 16 << 10;
/* Parsing the system's bundle costs milliseconds; a bundle that was replaced counts after this time. */
static const long CA_CACHE_S = 300;

/* --- the answer --- */

static bool is_streaming(const struct transfer *transfer) {
	const struct http_req *req = transfer->req;
	return req->on_data && req->status >= 200 && req->status < 300;
}

static enum err keep_chunk(struct transfer *transfer, struct str piece) {
	if (transfer->req->response_arena) {
		secret_append(&transfer->secret_chunk, piece);
		return secret_err(&transfer->secret_chunk);
	}
	buf_append(&transfer->chunk, piece);
	return buf_err(&transfer->chunk);
}

static enum err take_body(struct transfer *transfer, struct str piece) {
	struct http_req *req = transfer->req;
	if (is_streaming(transfer)) {
		transfer_set_timeout(transfer, req->idle_timeout_ns);
		return keep_chunk(transfer, piece);
	}
	if (req->response_arena) {
		secret_append(&req->response_secret, piece);
		return secret_err(&req->response_secret);
	}
	buf_append(&req->response, piece);
	return buf_err(&req->response);
}

/* What nobody takes stays with libcurl and the kernel, and in the end with the server. */
static bool is_full(const struct transfer *transfer) {
	size_t kept = buf_str(&transfer->chunk).len + secret_len(&transfer->secret_chunk);
	return is_streaming(transfer) && kept >= STREAM_AHEAD_BYTES;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
	struct transfer *transfer = arg;
	size_t len = size * count;
	if (is_full(transfer)) {
		/* The silence is ours. */
		transfer_set_timeout(transfer, 0);
		transfer->held = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	transfer->body_err = take_body(transfer, (struct str){ bytes, len });
	/* libcurl keeps its buffer as long as the exchange lives; a watch lives for minutes. */
	if (transfer->req->response_arena) OPENSSL_cleanse(bytes, len);
	return transfer->body_err ? CURL_WRITEFUNC_ERROR : len;
}

static void copy_text(struct str value, char *out_text, size_t bytes) {
	size_t len = value.len < bytes ? value.len : bytes - 1;
	if (len) memcpy(out_text, value.ptr, len);
	out_text[len] = 0;
}

static void take_header(struct transfer *transfer, struct str name, struct str value) {
	struct http_req *req = transfer->req;
	if (str_eq_nocase(name, STR("retry-after"))) {
		copy_text(value, transfer->retry_after, sizeof transfer->retry_after);
	} else if (str_eq_nocase(name, STR("date"))) {
		if (time_parse_http(value, &req->server_date_s) != OK) req->server_date_s = 0;
	} else if (str_eq_nocase(name, STR("content-type"))) {
		copy_text(value, req->content_type, sizeof req->content_type);
	} else if (str_eq_nocase(name, STR("x-ms-request-id")) ||
		   str_eq_nocase(name, STR("audit-id"))) {
		copy_text(value, req->request_id, sizeof req->request_id);
	}
}

/* A status line begins the headers anew: those of an interim answer do not count. */
static void begin_answer(struct transfer *transfer, struct str line) {
	struct http_req *req = transfer->req;
	uint64_t status = 0;
	size_t blank = str_find_char(line, ' ');
	if (blank == SIZE_MAX || str_to_u64(str_slice(line, blank + 1, 3), &status) != OK)
		status = 0;
	req->status = (int)status;
	req->server_date_s = 0;
	req->content_type[0] = req->request_id[0] = transfer->retry_after[0] = 0;
	transfer->has_headers = false;
}

static void end_headers(struct transfer *transfer) {
	if (transfer->req->status < 200) return;
	transfer->has_headers = true;
	/* A stream that has begun well is only held to its longest silence. */
	if (is_streaming(transfer)) transfer_set_timeout(transfer, transfer->req->idle_timeout_ns);
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg) {
	struct transfer *transfer = arg;
	size_t len = size * count;
	struct str line = str_trim((struct str){ bytes, len });
	size_t colon = str_find_char(line, ':');
	if (str_starts(line, STR("HTTP/"))) {
		begin_answer(transfer, line);
	} else if (transfer->has_headers) {
		/* A trailer. */
	} else if (!line.len) {
		end_headers(transfer);
	} else if (colon != SIZE_MAX) {
		take_header(transfer, str_slice(line, 0, colon),
			str_trim(str_slice(line, colon + 1, line.len)));
	}
	return len;
}

/* The connection stands and the request goes out now. When it died on a reused connection, libcurl sends it again on
 * another one; only a GET may be repeated, since the server could have done already what it was asked for. */
static int on_send(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port) {
	struct transfer *transfer = arg;
	(void)peer_ip, (void)local_ip, (void)peer_port, (void)local_port;
	bool repeated = transfer->sends++ > 0;
	transfer->sent_ns = transfer_now(transfer).mono_ns;
	transfer->req->maybe_sent = true;
	return repeated && transfer->req->method != HTTP_GET ? CURL_PREREQFUNC_ABORT
							     : CURL_PREREQFUNC_OK;
}

/* --- the options --- */

/* libcurl refuses an option for want of memory alone. An exchange without one might trust others, go through a proxy, or be another
 * method's: there is none then. */
#define set_option(transfer, option, value) \
	((transfer)->refused |= curl_easy_setopt((transfer)->easy, (option), (value)) != CURLE_OK)

static bool breaks_line(struct str value) {
	return str_find_char(value, '\r') != SIZE_MAX || str_find_char(value, '\n') != SIZE_MAX ||
	       str_find_char(value, 0) != SIZE_MAX;
}

static struct str body_of(const struct http_req *req) {
	return req->secret_body ? secret_expose(req->secret_body) : req->body;
}

static bool has_body(const struct http_req *req) {
	return body_of(req).len || req->method == HTTP_POST;
}

/* What is sent beside libcurl's own headers. */
struct lines {
	struct curl_slist *nodes;
	unsigned count;
	char *text; /* where the next one goes */
};

static void add_line(struct lines *lines, const char *name, const char *between, struct str value) {
	struct curl_slist *node = &lines->nodes[lines->count++];
	if (node != lines->nodes) node[-1].next = node;
	*node = (struct curl_slist){ .data = lines->text };
	char *end = stpcpy(stpcpy(lines->text, name), between);
	if (value.len) memcpy(end, value.ptr, value.len);
	end[value.len] = 0;
	lines->text = end + value.len + 1;
}

static const char BEARER[] = "Authorization", BEARER_BETWEEN[] = ": Bearer ",
		  NO_EXPECT[] = "Expect:";

static size_t bytes_of_lines(const struct http_req *req) {
	size_t bytes = sizeof NO_EXPECT;
	for (unsigned i = 0; i < req->header_count; i++)
		bytes += strlen(req->headers[i].name) + 2 + req->headers[i].value.len + 1;
	if (req->bearer) bytes += sizeof BEARER + sizeof BEARER_BETWEEN + secret_len(req->bearer);
	return bytes;
}

static enum err check_lines(struct http_req *req) {
	const char *bad = NULL;
	for (unsigned i = 0; i < req->header_count; i++)
		if (breaks_line(req->headers[i].value)) bad = req->headers[i].name;
	if (req->bearer && breaks_line(secret_expose(req->bearer))) bad = BEARER;
	if (!bad) return OK;
	return fault_set(
		&req->fault, ERR_INVALID, "the value of the header %s holds a line break", bad);
}

/* One block, which may hold the bearer token: it is wiped. */
static enum err setup_headers(struct transfer *transfer) {
	struct http_req *req = transfer->req;
	enum err err = check_lines(req);
	if (err) return err;
	size_t nodes_bytes = (HTTP_MAX_HEADERS + 2) * sizeof(struct curl_slist);
	char *block = mem_wiped_alloc(nodes_bytes + bytes_of_lines(req));
	if (!block) return ERR_NOMEM;
	struct lines lines = { .nodes = (struct curl_slist *)(void *)block,
		.text = block + nodes_bytes };
	transfer->headers = lines.nodes;
	/* Of each request it is looked through several times. */
	if (has_body(req)) add_line(&lines, NO_EXPECT, "", STR_NULL);
	for (unsigned i = 0; i < req->header_count; i++)
		add_line(&lines, req->headers[i].name, ": ", req->headers[i].value);
	if (req->bearer) add_line(&lines, BEARER, BEARER_BETWEEN, secret_expose(req->bearer));
	set_option(transfer, CURLOPT_HTTPHEADER, lines.count ? transfer->headers : NULL);
	return OK;
}

static void setup_method(struct transfer *transfer) {
	static const char *const names[] = { NULL, NULL, "PUT", "PATCH", "DELETE" };
	const struct http_req *req = transfer->req;
	struct str body = body_of(req);
	if (has_body(req)) {
		/* libcurl reads the body where it is. */
		set_option(transfer, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
		set_option(transfer, CURLOPT_POSTFIELDS, body.len ? body.ptr : "");
	}
	set_option(transfer, CURLOPT_CUSTOMREQUEST, names[req->method]);
}

static void set_blob(struct transfer *transfer, CURLoption option, struct str pem) {
	struct curl_blob blob = {
		.data = (void *)(uintptr_t)pem.ptr, .len = pem.len, .flags = CURL_BLOB_NOCOPY
	};
	set_option(transfer, option, &blob);
}

const char *site_ca_file(const struct http_site *site) {
	const char *file = site->ca_file ? site->ca_file : getenv("SSL_CERT_FILE");
	return file && file[0] ? file : NULL;
}

static void setup_trust(struct transfer *transfer) {
	const struct http_site *site = &transfer->site->site;
	const char *ca_file = site_ca_file(site);
	set_option(transfer, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	set_option(transfer, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
	/* Debian's libcurl trusts /etc/ssl/certs beside any bundle that is set, unless it is told not to. */
	set_option(transfer, CURLOPT_CAPATH, NULL);
	set_option(transfer, CURLOPT_PROXY_CAPATH, NULL);
	if (ca_file) set_option(transfer, CURLOPT_PROXY_CAINFO, ca_file);
	if (site->ca_pem.len) {
		set_blob(transfer, CURLOPT_CAINFO_BLOB, site->ca_pem);
	} else if (ca_file) {
		set_option(transfer, CURLOPT_CAINFO, ca_file);
	}
}

static void setup_client_certificate(struct transfer *transfer) {
	const struct http_site *site = &transfer->site->site;
	if (site->client_cert_pem.len)
		set_blob(transfer, CURLOPT_SSLCERT_BLOB, site->client_cert_pem);
	if (site->client_key_pem)
		set_blob(transfer, CURLOPT_SSLKEY_BLOB, secret_expose(site->client_key_pem));
	if (site->client_cert_file) set_option(transfer, CURLOPT_SSLCERT, site->client_cert_file);
	if (site->client_key_file) set_option(transfer, CURLOPT_SSLKEY, site->client_key_file);
}

static void setup_sockets(struct transfer *transfer) {
	set_option(transfer, CURLOPT_OPENSOCKETFUNCTION, site_open_socket);
	set_option(transfer, CURLOPT_OPENSOCKETDATA, transfer);
	set_option(transfer, CURLOPT_CLOSESOCKETFUNCTION, site_close_socket);
	set_option(transfer, CURLOPT_CLOSESOCKETDATA, transfer->site);
	set_option(transfer, CURLOPT_PREREQFUNCTION, on_send);
	set_option(transfer, CURLOPT_PREREQDATA, transfer);
	set_option(transfer, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_S);
	set_option(transfer, CURLOPT_TCP_KEEPALIVE, 1L);
	set_option(transfer, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	set_option(transfer, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	set_option(transfer, CURLOPT_NOSIGNAL, 1L);
	/* A cancelled request does not wait for its name to be resolved: the resolver's thread ends by itself. */
	set_option(transfer, CURLOPT_QUICK_EXIT, 1L);
}

/* libcurl would look for each of them in the environment at each exchange, and that of a pod can be long. */
static bool has_proxies(void) {
	static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "http_proxy",
		"all_proxy", "ALL_PROXY" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *proxy = getenv(names[i]);
		if (proxy && proxy[0]) return true;
	}
	return false;
}

static void setup_connection(struct transfer *transfer) {
	const struct http_site *site = &transfer->site->site;
	bool h2 = site->version == HTTP_VERSION_2;
	set_option(transfer, CURLOPT_HTTP_VERSION,
		(long)(h2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	set_option(transfer, CURLOPT_PIPEWAIT, (long)(h2 && !site->own_connection));
	set_option(transfer, CURLOPT_FRESH_CONNECT, (long)site->own_connection);
	set_option(transfer, CURLOPT_FORBID_REUSE, (long)site->own_connection);
	set_option(transfer, CURLOPT_PROTOCOLS_STR, site->allow_http ? "http,https" : "https");
	set_option(transfer, CURLOPT_FOLLOWLOCATION, 0L);
	set_option(transfer, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	set_option(transfer, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	set_option(transfer, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* An empty proxy means none, whatever the environment says. */
	if (site->use_proxy && has_proxies()) return;
	set_option(transfer, CURLOPT_PROXY, "");
	set_option(transfer, CURLOPT_NOPROXY, "");
}

static void setup_times(struct transfer *transfer) {
	int64_t timeout_ms = transfer->req->timeout_ns / NS_PER_MS;
	long connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? (long)timeout_ms : CONNECT_TIMEOUT_MS;
	set_option(transfer, CURLOPT_CONNECTTIMEOUT_MS, connect_ms > 0 ? connect_ms : 1L);
	transfer_set_timeout(transfer, transfer->req->timeout_ns);
}

static void setup_answer(struct transfer *transfer) {
	struct http_req *req = transfer->req;
	buf_init(&req->response, req->max_response_bytes);
	buf_init(&transfer->chunk, STREAM_CHUNK_BYTES);
	if (!req->response_arena) return;
	secret_init(&req->response_secret, req->response_arena, req->max_response_bytes);
	secret_init(&transfer->secret_chunk, req->response_arena, STREAM_CHUNK_BYTES);
}

static void setup_callbacks(struct transfer *transfer) {
	set_option(transfer, CURLOPT_WRITEFUNCTION, on_body);
	set_option(transfer, CURLOPT_WRITEDATA, transfer);
	set_option(transfer, CURLOPT_HEADERFUNCTION, on_header);
	set_option(transfer, CURLOPT_HEADERDATA, transfer);
	set_option(transfer, CURLOPT_ERRORBUFFER, transfer->error);
	set_option(transfer, CURLOPT_PRIVATE, transfer);
}

/* libcurl has OpenSSL allocate the buffers of a record for each read and each write, and free them: 17 KB each time, to be
 * wiped. They stay, and what was read from them is wiped instead: else the piece that came last would lie there. What was
 * written is ciphertext by then. */
static CURLcode keep_buffers(CURL *easy, void *ctx, void *arg) {
	(void)easy, (void)arg;
	SSL_CTX_clear_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
	return CURLE_OK;
}

static enum err check_url(struct http_req *req, struct str *out_host, struct str *out_path) {
	struct str scheme;
	unsigned port;
	enum err err = http_url_split(buf_str(&req->url), &scheme, out_host, &port, out_path);
	if (err) return fault_set(&req->fault, err, "not an absolute https URL");
	if (req->site->allow_http || str_eq_nocase(scheme, STR("https"))) return OK;
	return fault_set(&req->fault, ERR_INVALID,
		"%.*s: plain http is not allowed here: write https", STR_ARG(*out_host));
}

static enum err set_text(struct transfer *transfer, CURLoption option, struct buf *buf,
	struct str before, struct str text) {
	buf_reset(buf);
	buf_append(buf, before);
	buf_append(buf, text);
	if (buf_err(buf)) return ERR_NOMEM;
	set_option(transfer, option, buf_cstr(buf));
	return OK;
}

/* libcurl takes a URL to pieces and puts it together again several times for each exchange, and prints byte by byte. So it is
 * given the server's alone, which is mostly the one of the exchange before, and the target as it is to be sent. */
static enum err setup_url(struct transfer *transfer) {
	struct http_req *req = transfer->req;
	struct str url = buf_str(&req->url), host, path;
	enum err err = check_url(req, &host, &path);
	if (err) return err;
	/* Through a proxy the target of plain http would be the whole URL. */
	if (req->site->allow_http)
		return set_text(transfer, CURLOPT_URL, &transfer->origin, url, STR_NULL);
	struct str origin = str_slice(url, 0, url.len - path.len);
	if (!str_eq(origin, buf_str(&transfer->origin)))
		err = set_text(transfer, CURLOPT_URL, &transfer->origin, origin, STR_NULL);
	if (err) return err;
	size_t fragment = str_find_char(path, '#');
	path.len = fragment == SIZE_MAX ? path.len : fragment;
	struct str root = str_starts(path, STR("/")) ? STR_NULL : STR("/");
	return set_text(transfer, CURLOPT_REQUEST_TARGET, &transfer->target, root, path);
}

enum err transfer_setup(struct transfer *transfer) {
	enum err err = setup_url(transfer);
	if (err) return err;
	setup_answer(transfer);
	setup_times(transfer);
	setup_method(transfer);
	err = setup_headers(transfer);
	return !err && transfer->refused ? ERR_NOMEM : err;
}

/* --- life --- */

/* libcurl copies what is sent into a buffer of this size, and may keep it in the handle: the least that it takes. Being set, the
 * option frees, and so wipes, the buffer. */
static void drop_upload_buffer(struct transfer *transfer) {
	set_option(transfer, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
}

struct transfer *transfer_create(struct site_multi *site) {
	struct transfer *transfer = mem_zalloc(sizeof *transfer);
	CURL *easy = curl_easy_init();
	if (!transfer || !easy) {
		curl_easy_cleanup(easy);
		mem_free(transfer);
		return NULL;
	}
	transfer->site = site;
	transfer->easy = easy;
	list_init(&transfer->spare_link);
	list_init(&transfer->stream_link);
	buf_init(&transfer->origin, URL_BYTES);
	buf_init(&transfer->target, URL_BYTES);
	set_option(transfer, CURLOPT_USERAGENT, "kvsync/" KVSYNC_VERSION);
	set_option(transfer, CURLOPT_SSL_CTX_FUNCTION, keep_buffers);
	setup_callbacks(transfer);
	setup_sockets(transfer);
	setup_trust(transfer);
	setup_client_certificate(transfer);
	setup_connection(transfer);
	drop_upload_buffer(transfer);
	if (transfer->refused) {
		transfer_destroy(transfer);
		return NULL;
	}
	return transfer;
}

static void drop_texts(struct transfer *transfer) {
	mem_wiped_free(take(transfer->headers));
	buf_deinit(&transfer->chunk);
	secret_deinit(&transfer->secret_chunk);
}

void transfer_clear(struct transfer *transfer) {
	set_option(transfer, CURLOPT_HTTPHEADER, NULL);
	set_option(transfer, CURLOPT_POSTFIELDS, NULL);
	set_option(transfer, CURLOPT_HTTPGET, 1L);
	drop_upload_buffer(transfer);
	drop_texts(transfer);
	transfer->req = NULL;
	transfer->sent_ns = 0;
	transfer->sends = 0;
	transfer->held = transfer->opened_socket = transfer->has_headers = false;
	transfer->body_err = OK;
	transfer->retry_after[0] = 0;
}

void transfer_destroy(struct transfer *transfer) {
	if (!transfer) return;
	curl_easy_cleanup(transfer->easy);
	buf_deinit(&transfer->origin);
	buf_deinit(&transfer->target);
	drop_texts(transfer);
	mem_free(transfer);
}
