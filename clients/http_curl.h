/* clients/http_curl.h - http.h on libcurl's multi_socket interface and a struct loop. */
#pragma once

#include "clients/http.h"

struct loop;

/* Once per process, after mem_wipe_libraries() and before threads; and once at the end. */
enum err http_curl_global_init(void);
void http_curl_global_deinit(void);

/* A client for the thread that runs `loop` (kept). NULL when out of memory. */
struct http *http_curl_create(struct loop *loop);

/* How far an exchange came. */
enum http_phase {
	HTTP_PHASE_NAME, /* DNS, of the host or of the proxy */
	HTTP_PHASE_CONNECT, /* TCP, and CONNECT at a proxy */
	HTTP_PHASE_TLS,
	HTTP_PHASE_EXCHANGE, /* request and answer */
};

/* Where the exchange that ended last failed; EXCHANGE where it did not. For diagnosis, by somebody who does one exchange at a time. */
enum http_phase http_curl_phase(const struct http *http);
