/* clients/http_curl_impl.h - what the files of the libcurl client share. Private to them: http_curl.c keeps multis and
 * requests; http_curl_socket.c their sockets; http_curl_transfer.c sets up one exchange and takes its answer; http_curl_result.c says what became of it.
 *
 * libcurl calls back only into these files, and none of those callbacks reaches the user: what streams receive and what
 * ends is kept until turn(). So a user's callback may start and cancel what it likes.
 */
#pragma once

#include <curl/curl.h>

#include "base/heap.h"
#include "base/loop.h"
#include "clients/http_curl.h"

struct http_curl {
	struct http http;
	struct loop *loop;
	struct list multis;
	struct list running; /* requests in a multi */
	struct list done; /* requests that ended; on_done is still to be called */
	struct list streams; /* transfers */
	struct heap deadlines; /* of transfers */
	enum http_phase phase; /* of the exchange that ended last */
};

struct connection;

/* One libcurl multi for each site, because connection limits are a property of a multi, and most options one of a site. */
struct site_multi {
	struct list link;
	struct http_curl *owner;
	struct http_site site; /* as it was; what it points to is the caller's */
	CURLM *multi;
	struct list connections; /* every open socket of this multi, idle ones included */
	struct connection **by_fd; /* the same by descriptor */
	size_t by_fd_count;
	struct list spare; /* transfers whose handles have the site's options */
	unsigned spare_count;
	int64_t deadline_ns; /* when libcurl wants to be called */
	bool may_have_sent; /* something may stand in a corked socket */
	bool stuck; /* for want of memory some exchange is not driven any more: all of them have to end */
};

/* One exchange: the part of a request that libcurl and this client need. Used again for later exchanges with its site, since it
 * costs more to set all options than to send a request. */
struct transfer {
	struct http_req *req;
	struct site_multi *site;
	CURL *easy;
	struct list spare_link; /* in site_multi.spare, between exchanges */
	struct buf origin; /* scheme and authority, as libcurl has them */
	struct buf target; /* path and query, in memory that stays between exchanges */
	struct curl_slist *headers; /* one block of memory that is wiped, texts and all */
	struct list stream_link; /* in streams, when it is one */
	struct buf chunk; /* of a stream: bytes that on_data has not seen yet */
	struct secret secret_chunk; /* the same, where the request has a response_arena */
	struct heap_node
		deadline; /* ours: libcurl 7.88 forgets the timeout of a request that waits for a connection */
	int64_t sent_ns; /* when the request began to go out */
	unsigned sends; /* how often it did: libcurl repeats what dies on a reused connection */
	bool in_multi;
	bool refused; /* libcurl did not take an option: the handle is not to be used */
	bool held; /* a stream that has received enough: libcurl is told to rest until on_data has had it */
	bool opened_socket;
	bool has_headers; /* the final header block is complete; what follows are trailers */
	enum err body_err; /* why the body was not taken */
	char retry_after[64]; /* as sent; needs Date to be understood */
	char error[CURL_ERROR_SIZE];
};

/* A transfer with the options that all exchanges with its site share; NULL when out of memory. */
struct transfer *transfer_create(struct site_multi *site);
void transfer_destroy(struct transfer *transfer); /* NULL is fine */

/* Sets what else an exchange of transfer->req needs; the answer's callbacks fill the request. ERR_INVALID and ERR_NOMEM with a fault. */
enum err transfer_setup(struct transfer *transfer);

/* Forgets the exchange, which has left its multi. */
void transfer_clear(struct transfer *transfer);

/* Says in the request what became of the exchange. Before the handle leaves its multi. */
void transfer_result(struct transfer *transfer, CURLcode code);
enum http_phase transfer_phase(const struct transfer *transfer, CURLcode code);

/* The loop's reading of the clock. */
struct now transfer_now(const struct transfer *transfer);

/* Sets when the exchange ends for want of an answer, from now on; 0: never. */
void transfer_set_timeout(struct transfer *transfer, int64_t timeout_ns);

/* Has libcurl do what is due, or what a socket (CURL_CSELECT_*) is ready for. */
void site_act(struct site_multi *site, curl_socket_t socket, int events);

/* For CURLMOPT_SOCKETFUNCTION; `arg` is the site_multi. */
int site_watch_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg);

/* Sockets are opened and closed here, so that a dead connection can be ended. For CURLOPT_(OPEN|CLOSE)SOCKETFUNCTION; the
 * argument is the transfer and the site_multi. */
curl_socket_t site_open_socket(void *transfer, curlsocktype purpose, struct curl_sockaddr *address);
int site_close_socket(void *site_multi, curl_socket_t socket);

/* What libcurl forgot to close when it was out of memory. */
void site_close_all(struct site_multi *site);

/* Sends what this turn has left in sockets. */
void site_push(struct site_multi *site);

/* Of an exchange that found no answer in time. */
void site_end_dead_connections(const struct transfer *transfer);

/* The CA bundle that a site's servers are judged by; NULL: libcurl's (the system's). */
const char *site_ca_file(const struct http_site *site);
