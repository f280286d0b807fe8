/* clients/http_curl.h - http.h on libcurl's multi_socket interface and a struct loop. */
#pragma once

#include "clients/http.h"

struct loop;

/* Once per process, after mem_wipe_libraries() and before threads; and once at the end. */
enum err http_curl_global_init(void);
void http_curl_global_deinit(void);

/* A client for the thread that runs `loop` (kept). NULL when out of memory. */
struct http *http_curl_create(struct loop *loop);
