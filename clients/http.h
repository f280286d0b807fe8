/* clients/http.h - door 3 of 5: HTTP. Start, cancel, done; nothing else of HTTP is known above this line.
 *
 * Production stands on libcurl (http_curl.c, the only file that includes curl); the simulation answers from its world model.
 * One struct http per thread; a request lives in its caller's memory from http_start until on_done was called or
 * http_cancel returned.
 *
 * Rules that both implementations keep: no redirects; on_done is never called from inside http_start or http_cancel;
 * after http_cancel neither callback is called; every request ends within its timeout; a body over the cap ends the
 * request with ERR_TOO_LARGE; TLS 1.2 or newer with verified names; https only, but for sites that say otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/secret.h"
#include "base/str.h"

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };

enum http_version { HTTP_VERSION_1_1, HTTP_VERSION_2 };

/* How to reach one kind of server. Built once, then only read; must outlive its requests, and what it points to every struct http
 * that was asked with it. */
struct http_site {
	const char *name; /* for people: "key vault" */
	enum http_version version; /* HTTP_VERSION_2 is offered by ALPN and falls back to 1.1 */
	unsigned max_connections; /* per host; 0: no limit */
	bool own_connection; /* every request gets a connection of its own (watches) */
	bool use_proxy; /* HTTPS_PROXY / NO_PROXY of the environment apply */
	bool allow_http; /* plain http is allowed (IMDS) */
	int64_t longest_pause_ns; /* of a Retry-After no more is obeyed; 0: an hour */
	const char *ca_file; /* PEM bundle; NULL: SSL_CERT_FILE, else the system's */
	struct str ca_pem; /* instead of ca_file when not empty */
	struct str client_cert_pem; /* empty: none */
	const struct secret *client_key_pem; /* NULL: none */
	const char *client_cert_file; /* instead of the blobs; NULL: none */
	const char *client_key_file;
};

enum { HTTP_MAX_HEADERS = 6, HTTP_NAME_BYTES = 128 };

struct http_header {
	const char *name; /* static storage */
	struct str value; /* borrowed until the request ends */
};

struct http_req;

struct http {
	const struct http_ops *ops;
};

struct http_ops {
	void (*start)(struct http *http, struct http_req *req);
	void (*cancel)(struct http *http, struct http_req *req);
	int64_t (*turn)(struct http *http, struct now now);
	void (*destroy)(struct http *http);
};

struct http_req {
	/* Set by the caller before http_start, unchanged until the end. */
	const struct http_site *site;
	enum http_method method;
	struct buf url; /* absolute; owned by the request */
	struct http_header headers[HTTP_MAX_HEADERS];
	unsigned header_count;
	const struct secret *bearer; /* borrowed: Authorization: Bearer ...; NULL: none */
	struct str body; /* borrowed; empty: none */
	const struct secret *secret_body; /* borrowed; instead of body */
	int64_t timeout_ns; /* for the whole exchange; of a stream: until its headers */
	int64_t idle_timeout_ns; /* of a stream: the longest silence; 0: none */
	size_t max_response_bytes; /* cap of the body */
	struct secret_arena *
		response_arena; /* not NULL: the answer goes to response_secret instead of response, and what a stream hands over stands in secret memory */
	void (*on_data)(struct http_req *req,
		struct str chunk); /* not NULL: a stream; 2xx bodies go here piece by piece */
	void (*on_done)(struct http_req *req);
	void *owner; /* the caller's */
	bool paused; /* of a stream, the caller's to set and clear meanwhile: it takes nothing for now. From the turn after that on on_data rests, but for the last piece of a stream that has ended, and after some hundred KiB the server is left to wait */

	/* Set by the implementation before on_done. */
	enum err err; /* OK: a whole answer of any status came */
	bool maybe_sent; /* while it is under way: it has begun to go out; with an error: the server may have seen, and done, what was asked */
	bool reused_connection; /* with an error: it came on a connection that had served before */
	int status; /* HTTP status; 0: none */
	int64_t retry_after_ns; /* Retry-After, relative, as far as it is obeyed; -1: not sent */
	int64_t server_date_s; /* Date in unix seconds; 0: not sent */
	char request_id[HTTP_NAME_BYTES]; /* x-ms-request-id or Audit-Id; "" when not sent */
	char content_type[HTTP_NAME_BYTES]; /* "" when not sent */
	struct buf response; /* the body; of a stream only of non-2xx answers */
	struct secret response_secret;
	struct fault fault; /* text of a transport error */

	/* The implementation's. */
	void *_impl;
	struct list _link;
	bool _active;
};

/* An empty request with the site's defaults: 30 s, 1 MiB. */
void http_req_init(struct http_req *req, const struct http_site *site, enum http_method method);

/* Frees what the request owns. It must not be active. Idempotent. */
void http_req_deinit(struct http_req *req);

/* Adds a header; more than HTTP_MAX_HEADERS is a programmer error. */
void http_req_header(struct http_req *req, const char *name, struct str value);

/* The body of the answer, wherever it was put. */
struct str http_response_body(const struct http_req *req);

bool http_req_is_active(const struct http_req *req);

/* What is obeyed of a Retry-After of so many seconds: a header of some proxy is not to stop a site's servers for a day. */
int64_t http_obeyed_ns(const struct http_site *site, int64_t seconds);

static inline void http_start(struct http *http, struct http_req *req) {
	http->ops->start(http, req);
}

/* Ends an active request without on_done. Harmless on an inactive one. */
static inline void http_cancel(struct http *http, struct http_req *req) {
	http->ops->cancel(http, req);
}

/* Does what is due and calls on_done of what has ended; returns the next deadline (mono_ns). Once per loop turn. */
static inline int64_t http_turn(struct http *http, struct now now) {
	return http->ops->turn(http, now);
}

/* Cancels what is active and frees. NULL is fine. */
static inline void http_destroy(struct http *http) {
	if (http) http->ops->destroy(http);
}

/* Reads a URL's parts; the port is 0 when it is not written. ERR_INVALID when it is no absolute http(s) URL. */
enum err http_url_split(struct str url, struct str *out_scheme, struct str *out_host,
	unsigned *out_port, struct str *out_path_and_query);
