#include "clients/http_curl.h"

#include <assert.h>
#include <signal.h>

#include "base/mem.h"
#include "base/metric.h"
#include "clients/http_curl_impl.h"

enum { MAX_IDLE_CONNECTIONS = 1024, MAX_SPARE_TRANSFERS = 128 };

static struct http_curl *self_of(struct http *http) {
	return container_of(http, struct http_curl, http);
}

static struct http_req *req_of(struct list *link) {
	return container_of(link, struct http_req, _link);
}

struct now transfer_now(const struct transfer *transfer) {
	return loop_now(transfer->site->owner->loop);
}

void transfer_set_timeout(struct transfer *transfer, int64_t timeout_ns) {
	struct heap *deadlines = &transfer->site->owner->deadlines;
	heap_remove(deadlines, &transfer->deadline);
	if (!timeout_ns) return;
	enum err err = heap_set(
		deadlines, &transfer->deadline, transfer_now(transfer).mono_ns + timeout_ns);
	assert(!err); /* room was reserved at the start */
}

/* --- libcurl asks for time --- */

static int on_timer(CURLM *multi, long timeout_ms, void *arg) {
	struct site_multi *site = arg;
	(void)multi;
	site->deadline_ns = timeout_ms < 0
				    ? NEVER_NS
				    : loop_now(site->owner->loop).mono_ns + timeout_ms * NS_PER_MS;
	return 0;
}

/* --- one multi per kind of site --- */

static void setup_multi(struct site_multi *site) {
	CURLM *multi = site->multi;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, site_watch_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, site);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, site);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)site->site.max_connections);
	/* Fewer than the working set would cost a TLS handshake per request. */
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
}

/* By what it says, not by its address, where another one may stand by now. */
static bool is_same_site(const struct http_site *a, const struct http_site *b) {
	return a->version == b->version && a->max_connections == b->max_connections &&
	       a->own_connection == b->own_connection && a->use_proxy == b->use_proxy &&
	       a->allow_http == b->allow_http && a->ca_file == b->ca_file &&
	       a->ca_pem.ptr == b->ca_pem.ptr && a->ca_pem.len == b->ca_pem.len &&
	       a->client_cert_pem.ptr == b->client_cert_pem.ptr &&
	       a->client_cert_pem.len == b->client_cert_pem.len &&
	       a->client_key_pem == b->client_key_pem &&
	       a->client_cert_file == b->client_cert_file &&
	       a->client_key_file == b->client_key_file;
}

static struct site_multi *multi_for(struct http_curl *self, const struct http_site *wanted) {
	list_for_each (link, &self->multis) {
		struct site_multi *site = container_of(link, struct site_multi, link);
		if (is_same_site(&site->site, wanted)) return site;
	}
	struct site_multi *site = mem_zalloc(sizeof *site);
	if (!site) return NULL;
	*site = (struct site_multi){
		.owner = self, .site = *wanted, .multi = curl_multi_init(), .deadline_ns = NEVER_NS
	};
	if (!site->multi) {
		mem_free(site);
		return NULL;
	}
	list_init(&site->connections);
	list_init(&site->spare);
	setup_multi(site);
	list_push_back(&self->multis, &site->link);
	return site;
}

/* --- start, end, cancel --- */

static struct transfer *get_transfer(struct site_multi *site) {
	struct list *spare = list_pop(&site->spare);
	if (!spare) return transfer_create(site);
	site->spare_count--;
	return container_of(spare, struct transfer, spare_link);
}

/* Only what went as it should: libcurl counts in a handle how often it had to repeat requests, and gives up at the sixth. */
static void put_transfer(struct transfer *transfer, bool is_sound) {
	struct site_multi *site = transfer->site;
	if (!is_sound || transfer->sends != 1 || site->spare_count == MAX_SPARE_TRANSFERS) {
		transfer_destroy(transfer);
		return;
	}
	transfer_clear(transfer);
	list_push_front(&site->spare, &transfer->spare_link);
	site->spare_count++;
}

/* A stream that is not at its end yet is given up, and the server told. */
static void leave_multi(struct transfer *transfer) {
	if (!transfer->in_multi) return;
	curl_multi_remove_handle(transfer->site->multi, transfer->easy);
	transfer->in_multi = false;
	transfer->site->may_have_sent = true;
}

static void transfer_end(struct http_curl *self, struct transfer *transfer, bool is_sound) {
	if (!transfer) return;
	leave_multi(transfer);
	list_remove(&transfer->stream_link);
	heap_remove(&self->deadlines, &transfer->deadline);
	put_transfer(transfer, is_sound);
}

/* The request is its caller's again. */
static void let_go(struct http_curl *self, struct http_req *req) {
	struct transfer *transfer = take(req->_impl);
	transfer_end(self, transfer, transfer && !transfer->in_multi && !req->err);
	list_remove(&req->_link);
	req->_active = false;
}

static enum err begin(struct http_curl *self, struct http_req *req) {
	struct site_multi *site = multi_for(self, req->site);
	struct transfer *transfer = site ? get_transfer(site) : NULL;
	if (!transfer) return ERR_NOMEM;
	req->_impl = transfer;
	transfer->req = req;
	enum err err = heap_reserve(&self->deadlines, heap_len(&self->deadlines) + 1);
	if (!err) err = transfer_setup(transfer);
	if (err) return err;
	if (curl_multi_add_handle(transfer->site->multi, transfer->easy) != CURLM_OK)
		return ERR_NOMEM;
	transfer->in_multi = true;
	if (req->on_data) list_push_back(&self->streams, &transfer->stream_link);
	return OK;
}

/* What an earlier use of the request has left. */
static void clear_results(struct http_req *req) {
	buf_deinit(&req->response);
	secret_deinit(&req->response_secret);
	req->maybe_sent = req->reused_connection = false;
	req->status = 0;
	req->retry_after_ns = -1;
	req->server_date_s = 0;
	req->request_id[0] = req->content_type[0] = 0;
	req->fault = (struct fault){ 0 };
}

static void curl_start(struct http *http, struct http_req *req) {
	struct http_curl *self = self_of(http);
	assert(!req->_active && req->on_done && req->site && req->timeout_ns > 0);
	clear_results(req);
	req->_active = true;
	metric_add(METRIC_HTTP_REQUESTS, 1);
	req->err = begin(self, req);
	if (req->err == ERR_NOMEM)
		req->err = fault_set(
			&req->fault, ERR_NOMEM, "out of memory: the request was not started");
	list_push_back(req->err ? &self->done : &self->running, &req->_link);
}

static void transfer_ended(struct http_curl *self, struct transfer *transfer, CURLcode code) {
	struct http_req *req = transfer->req;
	if (code == CURLE_OPERATION_TIMEDOUT) site_end_dead_connections(transfer);
	transfer_result(transfer, code);
	self->phase = transfer_phase(transfer, code);
	leave_multi(transfer);
	heap_remove(&self->deadlines, &transfer->deadline);
	list_remove(&req->_link);
	list_push_back(&self->done, &req->_link);
}

static void curl_cancel(struct http *http, struct http_req *req) {
	if (req->_active) let_go(self_of(http), req);
}

/* --- the turn --- */

static void collect(struct http_curl *self, struct site_multi *site) {
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(site->multi, &left))) {
		struct transfer *transfer = NULL;
		CURLcode code = message->data.result;
		assert(message->msg == CURLMSG_DONE);
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer_ended(self, transfer, code);
	}
}

static void end_overdue(struct http_curl *self, int64_t now_ns) {
	while (heap_first_ns(&self->deadlines) <= now_ns) {
		struct transfer *transfer =
			container_of(heap_first(&self->deadlines), struct transfer, deadline);
		transfer_ended(self, transfer, CURLE_OPERATION_TIMEDOUT);
	}
}

/* Taken out before it is handed over: on_data may end the transfer. False: there is nothing. */
static bool deliver_chunk(struct transfer *transfer) {
	struct http_req *req = transfer->req;
	struct buf chunk = transfer->chunk;
	struct secret secret = { 0 };
	if (req->paused && transfer->in_multi) return false;
	if (buf_str(&chunk).len) {
		buf_init(&transfer->chunk, chunk._max);
		req->on_data(req, buf_str(&chunk));
		buf_deinit(&chunk);
		return true;
	}
	if (!secret_len(&transfer->secret_chunk)) return false;
	secret_move(&secret, &transfer->secret_chunk);
	req->on_data(req, secret_expose(&secret));
	secret_deinit(&secret);
	return true;
}

/* Hands over what streams have received. on_data may cancel any request, so the search starts over after each call. */
static void deliver_chunks(struct http_curl *self) {
	bool found;
	do {
		found = false;
		list_for_each (link, &self->streams) {
			found = deliver_chunk(container_of(link, struct transfer, stream_link));
			if (found) break;
		}
	} while (found);
}

/* Lets streams go on whose bytes were taken. What libcurl has kept meanwhile comes at once. */
static void release_streams(struct http_curl *self) {
	list_for_each (link, &self->streams) {
		struct transfer *transfer = container_of(link, struct transfer, stream_link);
		if (!transfer->held || transfer->req->paused || !transfer->in_multi) continue;
		transfer->held = false;
		transfer_set_timeout(transfer, transfer->req->idle_timeout_ns);
		CURLcode code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
		if (code != CURLE_OK) transfer_ended(self, transfer, code);
	}
}

/* What ends meanwhile waits for the next turn, so that a turn ends. */
static void deliver_ends(struct http_curl *self) {
	struct list round;
	list_init(&round);
	list_splice(&round, &self->done);
	for (struct list *link; (link = list_first(&round));) {
		struct http_req *req = req_of(link);
		let_go(self, req);
		req->on_done(req);
	}
}

static int64_t next_deadline(const struct http_curl *self) {
	int64_t next_ns = list_is_empty(&self->done) ? heap_first_ns(&self->deadlines) : 0;
	list_for_each (link, &self->multis) {
		const struct site_multi *site = container_of(link, struct site_multi, link);
		if (site->stuck) next_ns = 0;
		if (site->deadline_ns < next_ns) next_ns = site->deadline_ns;
	}
	return next_ns;
}

static void end_stuck(struct http_curl *self, struct site_multi *site) {
	if (!site->stuck) return;
	site->stuck = false;
	list_for_each_safe (link, &self->running) {
		struct transfer *transfer = req_of(link)->_impl;
		if (transfer->site == site) transfer_ended(self, transfer, CURLE_OUT_OF_MEMORY);
	}
}

static int64_t curl_turn(struct http *http, struct now now) {
	struct http_curl *self = self_of(http);
	list_for_each (link, &self->multis) {
		struct site_multi *site = container_of(link, struct site_multi, link);
		if (site->deadline_ns <= now.mono_ns) {
			site->deadline_ns = NEVER_NS;
			site_act(site, CURL_SOCKET_TIMEOUT, 0);
		}
		collect(self, site);
		end_stuck(self, site);
	}
	end_overdue(self, now.mono_ns);
	deliver_chunks(self);
	release_streams(self);
	deliver_ends(self);
	list_for_each (link, &self->multis) site_push(container_of(link, struct site_multi, link));
	return next_deadline(self);
}

/* --- life --- */

static void cancel_all(struct http_curl *self, struct list *list) {
	for (struct list *link; (link = list_first(list));) let_go(self, req_of(link));
}

static void curl_destroy(struct http *http) {
	struct http_curl *self = self_of(http);
	cancel_all(self, &self->running);
	cancel_all(self, &self->done);
	for (struct list *link; (link = list_pop(&self->multis));) {
		struct site_multi *site = container_of(link, struct site_multi, link);
		for (struct list *spare; (spare = list_pop(&site->spare));)
			transfer_destroy(container_of(spare, struct transfer, spare_link));
		curl_multi_cleanup(site->multi);
		site_close_all(site);
		mem_free(site);
	}
	heap_deinit(&self->deadlines);
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
	heap_init(&self->deadlines);
	return &self->http;
}

enum http_phase http_curl_phase(const struct http *http) {
	return container_of(http, struct http_curl, http)->phase;
}

enum err http_curl_global_init(void) {
	/* OpenSSL writes to sockets without MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? OK : ERR_NOMEM;
}

void http_curl_global_deinit(void) {
	curl_global_cleanup();
}
