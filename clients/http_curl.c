#include "clients/http_curl.h"

#include <assert.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "clients/http_curl_impl.h"

enum { MAX_IDLE_CONNECTIONS = 1024, MAX_SPARE_HANDLES = 64 };

struct http_curl {
	struct http http;
	struct loop *loop;
	struct list multis;
	struct list running;
	struct list done;     /* ended, on_done not yet called */
	struct list streams;
	CURL *spare[MAX_SPARE_HANDLES];
	unsigned spare_count;
};

/* One socket of libcurl's that the loop watches. */
struct watched {
	struct loop_fd watch;
	struct site_multi *site;
};

static struct http_curl *self_of(struct http *http) {
	return container_of(http, struct http_curl, http);
}

struct now transfer_now(const struct transfer *transfer) {
	return loop_now(transfer->site->owner->loop);
}

/* --- libcurl asks the loop --- */

static void socket_ready(struct loop_fd *watch, uint32_t events) {
	struct watched *watched = container_of(watch, struct watched, watch);
	CURLM *multi = watched->site->multi;
	int running, action = 0;
	if (events & EPOLLIN) action |= CURL_CSELECT_IN;
	if (events & EPOLLOUT) action |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP)) action |= CURL_CSELECT_ERR;
	/* `watched` may be freed inside. */
	curl_multi_socket_action(multi, watch->fd, action, &running);
}

static uint32_t events_of(int what) {
	return (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
}

static int watch_socket(struct site_multi *site, curl_socket_t socket, int what) {
	struct watched *watched = mem_zalloc(sizeof *watched);
	if (!watched) return -1;
	watched->watch = (struct loop_fd){ .fd = socket, .events = events_of(what), .ready = socket_ready };
	watched->site = site;
	if (loop_add(site->owner->loop, &watched->watch) != OK) {
		mem_free(watched);
		return -1;
	}
	curl_multi_assign(site->multi, socket, watched);
	return 0;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg) {
	struct site_multi *site = arg;
	struct watched *watched = socket_arg;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched) loop_remove(site->owner->loop, &watched->watch);
		mem_free(watched);
		return 0;
	}
	if (!watched) return watch_socket(site, socket, what);
	return loop_change(site->owner->loop, &watched->watch, events_of(what)) == OK ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg) {
	struct site_multi *site = arg;
	(void)multi;
	site->deadline_ns = timeout_ms < 0 ? NEVER_NS : loop_now(site->owner->loop).mono_ns + timeout_ms * NS_PER_MS;
	return 0;
}

/* --- one multi per site --- */

static void setup_multi(struct site_multi *site) {
	CURLM *multi = site->multi;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, site);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, site);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)site->site->max_connections);
	/* Fewer than the working set would cost a TLS handshake per request. */
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
}

static struct site_multi *multi_for(struct http_curl *self, const struct http_site *wanted) {
	list_for_each(link, &self->multis) {
		struct site_multi *site = container_of(link, struct site_multi, link);
		if (site->site == wanted) return site;
	}
	struct site_multi *site = mem_zalloc(sizeof *site);
	if (!site) return NULL;
	site->site = wanted;
	site->owner = self;
	site->deadline_ns = NEVER_NS;
	site->multi = curl_multi_init();
	if (!site->multi) {
		mem_free(site);
		return NULL;
	}
	setup_multi(site);
	list_push_back(&self->multis, &site->link);
	return site;
}

/* --- start, end, cancel --- */

static CURL *get_handle(struct http_curl *self) {
	return self->spare_count ? self->spare[--self->spare_count] : curl_easy_init();
}

static void put_handle(struct http_curl *self, CURL *easy) {
	if (!easy) return;
	if (self->spare_count == MAX_SPARE_HANDLES) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	self->spare[self->spare_count++] = easy;
}

static void transfer_free(struct http_curl *self, struct transfer *transfer) {
	list_remove(&transfer->link);
	list_remove(&transfer->stream_link);
	curl_slist_free_all(transfer->headers);
	buf_deinit(&transfer->chunk);
	put_handle(self, transfer->easy);
	transfer->req->_impl = NULL;
	transfer->req->_active = false;
	mem_free(transfer);
}

/* The exchange cannot even begin: it ends like any other, in the next turn. */
static void start_failed(struct http_curl *self, struct transfer *transfer, const char *what) {
	struct http_req *req = transfer->req;
	req->err = fault_set(&req->fault, ERR_NOMEM, "the request could not be started: %s", what);
	list_push_back(&self->done, &transfer->link);
}

static void curl_start(struct http *http, struct http_req *req) {
	struct http_curl *self = self_of(http);
	assert(!req->_active && req->on_done && req->site);
	struct transfer *transfer = mem_zalloc(sizeof *transfer);
	/* A worker that cannot get these few bytes cannot go on with anything. */
	assert(transfer);
	list_init(&transfer->link);
	list_init(&transfer->stream_link);
	transfer->req = req;
	req->_impl = transfer;
	req->_active = true;
	metric_add(METRIC_HTTP_REQUESTS, 1);
	transfer->site = multi_for(self, req->site);
	transfer->easy = get_handle(self);
	if (!transfer->site || !transfer->easy || transfer_setup(transfer) != OK ||
		curl_multi_add_handle(transfer->site->multi, transfer->easy) != CURLM_OK) {
		start_failed(self, transfer, "out of memory");
		return;
	}
	list_push_back(&self->running, &transfer->link);
	if (req->on_data) list_push_back(&self->streams, &transfer->stream_link);
}

/* libcurl 7.88 keeps a connection whose HTTP/2 stream timed out and gives it to the next request: end it for good. */
static void end_connection(struct transfer *transfer) {
	curl_socket_t socket = CURL_SOCKET_BAD;
	curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &socket);
	if (socket != CURL_SOCKET_BAD) shutdown(socket, SHUT_RDWR);
}

static void transfer_ended(struct http_curl *self, struct transfer *transfer, CURLcode code) {
	if (code == CURLE_OPERATION_TIMEDOUT) end_connection(transfer);
	transfer_result(transfer, code);
	curl_multi_remove_handle(transfer->site->multi, transfer->easy);
	list_remove(&transfer->link);
	list_push_back(&self->done, &transfer->link);
}

static bool is_running(const struct http_curl *self, const struct transfer *wanted) {
	list_for_each(link, &self->running) {
		if (link == &wanted->link) return true;
	}
	return false;
}

static void curl_cancel(struct http *http, struct http_req *req) {
	struct http_curl *self = self_of(http);
	struct transfer *transfer = req->_impl;
	if (!req->_active) return;
	if (is_running(self, transfer)) curl_multi_remove_handle(transfer->site->multi, transfer->easy);
	transfer_free(self, transfer);
}

/* --- the turn --- */

static void collect(struct http_curl *self, struct site_multi *site) {
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(site->multi, &left))) {
		struct transfer *transfer = NULL;
		if (message->msg != CURLMSG_DONE) continue;
		CURLcode code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer_ended(self, transfer, code);
	}
}

static void end_silent_streams(struct http_curl *self, int64_t now_ns) {
	list_for_each_safe(link, &self->streams) {
		struct transfer *transfer = container_of(link, struct transfer, stream_link);
		if (now_ns < transfer->silent_until_ns) continue;
		list_remove(&transfer->stream_link);
		transfer_ended(self, transfer, CURLE_OPERATION_TIMEDOUT);
	}
}

/* Hands over what streams have received. on_data may cancel any request, so the search starts over after each call. */
static void deliver_chunks(struct http_curl *self) {
	bool found;
	do {
		found = false;
		list_for_each(link, &self->streams) {
			struct transfer *transfer = container_of(link, struct transfer, stream_link);
			struct buf chunk = transfer->chunk;
			if (!buf_str(&chunk).len) continue;
			buf_init(&transfer->chunk, chunk._max);
			transfer->req->on_data(transfer->req, buf_str(&chunk));
			buf_deinit(&chunk);
			found = true;
			break;
		}
	} while (found);
}

static void deliver_ends(struct http_curl *self) {
	struct list round;
	list_init(&round);
	list_splice(&round, &self->done);
	for (struct list *link; (link = list_first(&round));) {
		struct transfer *transfer = container_of(link, struct transfer, link);
		struct http_req *req = transfer->req;
		transfer_free(self, transfer);
		req->on_done(req);
	}
}

static int64_t next_deadline(const struct http_curl *self) {
	int64_t next_ns = list_is_empty(&self->done) ? NEVER_NS : 0;
	list_for_each(link, &self->multis) {
		const struct site_multi *site = container_of(link, struct site_multi, link);
		if (site->deadline_ns < next_ns) next_ns = site->deadline_ns;
	}
	list_for_each(link, &self->streams) {
		const struct transfer *transfer = container_of(link, struct transfer, stream_link);
		if (transfer->silent_until_ns < next_ns) next_ns = transfer->silent_until_ns;
	}
	return next_ns;
}

static int64_t curl_turn(struct http *http, struct now now) {
	struct http_curl *self = self_of(http);
	list_for_each(link, &self->multis) {
		struct site_multi *site = container_of(link, struct site_multi, link);
		int running;
		if (site->deadline_ns <= now.mono_ns) {
			site->deadline_ns = NEVER_NS;
			curl_multi_socket_action(site->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		collect(self, site);
	}
	end_silent_streams(self, now.mono_ns);
	deliver_chunks(self);
	deliver_ends(self);
	return next_deadline(self);
}

/* --- life --- */

static void cancel_all(struct http_curl *self, struct list *list) {
	for (struct list *link; (link = list_first(list));) {
		curl_cancel(&self->http, container_of(link, struct transfer, link)->req);
	}
}

static void curl_destroy(struct http *http) {
	struct http_curl *self = self_of(http);
	cancel_all(self, &self->running);
	cancel_all(self, &self->done);
	while (self->spare_count) curl_easy_cleanup(self->spare[--self->spare_count]);
	for (struct list *link; (link = list_pop(&self->multis));) {
		struct site_multi *site = container_of(link, struct site_multi, link);
		curl_multi_cleanup(site->multi);
		mem_free(site);
	}
	mem_free(self);
}

struct http *http_curl_create(struct loop *loop) {
	static const struct http_ops ops = { curl_start, curl_cancel, curl_turn, curl_destroy };
	struct http_curl *self = mem_zalloc(sizeof *self);
	if (!self) return NULL;
	self->http.ops = &ops;
	self->loop = loop;
	list_init(&self->multis);
	list_init(&self->running);
	list_init(&self->done);
	list_init(&self->streams);
	return &self->http;
}

enum err http_curl_global_init(void) {
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? OK : ERR_NOMEM;
}

void http_curl_global_deinit(void) {
	curl_global_cleanup();
}
