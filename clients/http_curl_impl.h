/* clients/http_curl_impl.h - what the files of the libcurl client share. Private to them. */
#pragma once

#include <curl/curl.h>

#include "base/loop.h"
#include "clients/http.h"

struct http_curl;

/* One libcurl multi per site, because connection limits are a property of a multi. */
struct site_multi {
	struct list link;
	const struct http_site *site;
	struct http_curl *owner;
	CURLM *multi;
	int64_t deadline_ns; /* when libcurl wants to be called */
};

/* One exchange. */
struct transfer {
	struct list link;          /* in running or done */
	struct list stream_link;   /* in streams */
	struct http_req *req;
	struct site_multi *site;
	CURL *easy;
	struct curl_slist *headers;
	struct buf chunk;          /* of a stream: bytes that on_data has not seen yet */
	int64_t silent_until_ns;   /* of a stream: its own deadline */
	bool too_large;
	bool out_of_memory;
	bool answered;             /* a final status line came */
};

/* Sets every option of an exchange; the answer's callbacks fill the request. */
enum err transfer_setup(struct transfer *transfer);
/* Reads what became of it into the request: err, status, maybe_sent, fault. */
void transfer_result(struct transfer *transfer, CURLcode code);
/* The loop's reading of the clock, for the stream's own deadline. */
struct now transfer_now(const struct transfer *transfer);
