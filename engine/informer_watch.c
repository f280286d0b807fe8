/* A watch: what it tells, how it ends, and the list that it may begin with. */
#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "engine/informer_impl.h"
#include "engine/watch_event.h"

enum { WATCH_LEAST_S = 300, WATCH_MOST_S = 600, SERVED_S = 1, SILENT_S = 120 };

/* Watch bytes that are not read yet. */
static struct str lines_of(const struct informer *informer) {
	return informer->_arena ? secret_expose(&informer->_secret_lines)
				: buf_str(&informer->_lines);
}

static void watch_data(struct http_req *req, struct str chunk) {
	struct informer *informer = req->owner;
	if (informer->_overflow) return;
	if (informer->_arena)
		secret_append(&informer->_secret_lines, chunk);
	else
		buf_append(&informer->_lines, chunk);
	informer->_overflow = buf_err(&informer->_lines) || secret_err(&informer->_secret_lines);
	if (lines_of(informer).len >= INFORMER_AHEAD_BYTES) req->paused = true;
}

/* A watch that broke may have been one to a server that is not any more. */
void informer_start_check(struct informer *informer, struct now now) {
	informer_drop_call(informer);
	enum err err = kube_list_since(&informer->_call, informer->_kube, informer->_resource,
		buf_str(&informer->_version));
	informer->_has_call = true;
	if (err) {
		struct fault fault = { .err = err };
		informer_fail(informer, now, "watch could not be prepared", &fault);
		return;
	}
	informer->_call.http.max_response_bytes = INFORMER_PAGE_BYTES;
	informer->_call.http.response_arena = informer->_arena;
	informer_begin_call(informer, INFORMER_CHECKING);
}

static bool is_ahead(const struct http_req *req) {
	return !req->err && str_find(http_response_body(req), STR(KUBE_TOO_NEW)) != SIZE_MAX;
}

static bool is_refused(const struct http_req *req) {
	return req->err == OK && req->status >= 400 && req->status < 500 && req->status != 429;
}

/* A watch, or the look whether one may go on, was answered with an error. */
static void watch_failed(
	struct informer *informer, struct now now, enum err err, const struct fault *fault) {
	const struct http_req *req = &informer->_call.http;
	bool locked_out = err == ERR_UNAUTHENTICATED || err == ERR_DENIED;
	if (is_ahead(req))
		informer_went_back(
			informer, now, "the API server went back to an older state", fault);
	else if (is_refused(req) && !locked_out)
		informer_relist(informer, now, "watch was refused, listing again", fault);
	else
		informer_fail(informer, now, "watch broke", fault);
}

void informer_check_ended(struct informer *informer, struct now now) {
	struct fault fault;
	enum err err =
		kube_result(&informer->_call, &fault, INFORMER_NAMES[informer->_resource].watch);
	if (err == OK) {
		informer->_doubtful = false;
		informer_wait(informer, now, 0);
	} else if (informer->_revocable && informer_is_missing(informer, err)) {
		informer_tell_missing(informer, now, &fault);
	} else {
		watch_failed(informer, now, err, &fault);
	}
}

static void open_watch(struct informer *informer, struct now now) {
	informer_forget_lines(informer);
	informer->_overflow = false;
	informer->_watch_began_ns = now.mono_ns;
	informer->_watch_served = false;
	informer->_resumed = false;
	informer->_call.http.paused = false;
	informer->_call.http.on_data = watch_data;
	informer->_call.http.response_arena = informer->_arena;
	informer->_call.http.idle_timeout_ns = INFORMER_SILENCE_S * NS_PER_S;
	informer_begin_call(informer, INFORMER_WATCHING);
}

static unsigned next_timeout_s(struct informer *informer) {
	unsigned timeout_s = (unsigned)rng_between(informer->_rng, WATCH_LEAST_S, WATCH_MOST_S);
	informer->_watch_asked_ns = timeout_s * NS_PER_S;
	return timeout_s;
}

void informer_start_watch(struct informer *informer, struct now now) {
	informer_drop_call(informer);
	enum err err = kube_watch(&informer->_call, informer->_kube, informer->_resource,
		buf_str(&informer->_version), next_timeout_s(informer));
	informer->_has_call = true;
	if (err) {
		struct fault fault = { .err = err };
		informer_fail(informer, now, "watch could not be asked for", &fault);
		return;
	}
	metric_add(METRIC_WATCH_RESTARTS, 1);
	open_watch(informer, now);
}

/* A list that goes over into a watch, without another request. */
void informer_start_stream(struct informer *informer, struct now now) {
	enum err err = kube_watch_list(
		&informer->_call, informer->_kube, informer->_resource, next_timeout_s(informer));
	informer->_has_call = true;
	if (err) {
		struct fault fault = { .err = err };
		informer_relist(informer, now, "list could not be asked for", &fault);
		return;
	}
	open_watch(informer, now);
}

/* Nothing is gone for it: what was known before stays so until a list is complete. */
static void stream_broke(struct informer *informer, struct now now, const struct fault *fault) {
	informer->_stream_broke = true;
	informer_relist(informer, now, "list broke off, beginning again in pages", fault);
}

static void lost(struct informer *informer, struct now now, const struct fault *fault) {
	if (informer->_in_list)
		stream_broke(informer, now, fault);
	else
		informer_relist(informer, now, "watch was not understood, listing again", fault);
}

/* An ERROR event carries a Status: 410 when the resourceVersion is too old. */
static void watch_error(struct informer *informer, struct now now, const cJSON *status) {
	const cJSON *code = cJSON_GetObjectItemCaseSensitive(status, "code");
	const cJSON *reason = cJSON_GetObjectItemCaseSensitive(status, "reason");
	struct fault fault;
	int number = cJSON_IsNumber(code) ? code->valueint : 0;
	bool gone = number == 410;
	enum err err = fault_set(&fault, gone ? ERR_GONE : ERR_UNAVAILABLE,
		"the watch ended with an error %d %s", number,
		cJSON_IsString(reason) ? reason->valuestring : "");
	(void)err;
	if (informer->_in_list)
		stream_broke(informer, now, &fault);
	else if (gone)
		informer_relist(informer, now, "watch has expired, listing again", &fault);
	else
		informer_fail(informer, now, "watch failed", &fault);
}

static bool keep_version(struct informer *informer, struct str version) {
	buf_reset(&informer->_version);
	buf_append(&informer->_version, version);
	return version.len && buf_err(&informer->_version) == OK;
}

/* From here on it is a watch like any other. */
static void stream_complete(struct informer *informer, struct now now) {
	metric_add(METRIC_WATCH_RESTARTS, 1);
	informer_list_complete(informer, now);
}

/* One event, or what became of reading it. False: the watch is over. The version moves on only when
 * the event was taken in; the first events of a stream come in no order of versions, and none of theirs is one to go on from. */
static bool take_event(
	struct informer *informer, struct now now, const struct watch_event *event, enum err err) {
	struct str type = event->type;
	bool gone = str_eq(type, STR("DELETED")), bookmark = str_eq(type, STR("BOOKMARK"));
	if (!err && str_eq(type, STR("ERROR"))) {
		watch_error(informer, now, event->object.json);
		return false;
	}
	if (!err && (gone || str_eq(type, STR("ADDED")) || str_eq(type, STR("MODIFIED")))) {
		err = informer_take(informer, &event->object, gone);
	} else if (!err && !bookmark) {
		err = ERR_PARSE;
	}
	if (!err && !keep_version(informer, event->version)) err = ERR_PARSE;
	if (!err && informer->_in_list && event->initial_end) stream_complete(informer, now);
	if (!err) return true;
	struct fault fault =
		informer_bad_answer("an event of the watch is not what events look like");
	if (err == ERR_NOMEM) fault = (struct fault){ .err = err };
	lost(informer, now, &fault);
	return false;
}

/* What we have written ourselves comes back by the watch, and says nothing new; nor does most of a list that is not the
 * first. */
static bool tells_nothing(struct informer *informer, struct str line) {
	struct str type, object, version;
	if (!informer_may_know(informer) || !watch_event_split(line, &type, &object)) return false;
	bool listed = informer->_in_list && str_eq(type, STR("ADDED"));
	return (listed || str_eq(type, STR("MODIFIED"))) &&
	       informer_knows(informer, object, &version) && keep_version(informer, version);
}

static bool read_line(struct informer *informer, struct now now, struct str line) {
	struct watch_event event;
	enum err err =
		informer->_arena ? watch_event_scan(line, &event) : watch_event_parse(line, &event);
	bool good = take_event(informer, now, &event, err);
	watch_event_deinit(&event);
	return good;
}

static bool take_line(struct informer *informer, struct now now, struct str line) {
	if (str_trim(line).len == 0) return true;
	if (!tells_nothing(informer, line) && !read_line(informer, now, line)) return false;
	informer->_watch_served = true;
	informer->_heard_ns = now.mono_ns;
	informer->_failures = 0;
	return true;
}

/* A slice of the events that wait. True while there is a whole line left. */
static bool read_lines(struct informer *informer, struct now now) {
	struct str all = lines_of(informer);
	size_t used = 0;
	bool more = true;
	while (used < informer_slice_bytes(informer)) {
		struct str rest = str_slice(all, used, all.len);
		size_t len = str_find_char(rest, '\n');
		more = len != SIZE_MAX;
		if (!more) break;
		used += len + 1;
		if (!take_line(informer, now, str_slice(rest, 0, len))) return false;
	}
	buf_consume(&informer->_lines, used);
	secret_consume(&informer->_secret_lines, used);
	/* What a list needed is not kept for a watch that says something now and then. */
	if (!informer->_in_list && !lines_of(informer).len) informer_forget_lines(informer);
	/* A line that is still to come in whole is never waited for in vain. */
	bool enough = more && lines_of(informer).len >= INFORMER_AHEAD_BYTES / 2;
	informer->_resumed = informer->_call.http.paused && !enough;
	if (informer->_resumed) informer->_call.http.paused = false;
	return more;
}

/* A watch from a version that the server has not reached yet (a backup came back) is answered 200
 * and then nothing, not even the bookmarks that come about every minute. */
static bool watch_was_silent(const struct informer *informer, struct now now) {
	const struct http_req *req = &informer->_call.http;
	bool over = req->err == OK || req->err == ERR_TIMEOUT;
	return over && req->status == 200 && !informer->_watch_served &&
	       now.mono_ns - informer->_watch_began_ns >= SILENT_S * NS_PER_S;
}

/* The same list goes on in pages: nothing was sent. */
static void stream_is_unknown(struct informer *informer, struct now now) {
	if (!informer->_paged)
		log_info("the API server has no streaming lists: it is asked for pages",
			kv("resource", INFORMER_NAMES[informer->_resource].resource));
	informer_set_paged(informer);
	if (informer->_sink->paged) informer->_sink->paged(informer->_sink);
	informer_start_list(informer, now);
}

/* A stream that ended before it was complete. */
static void stream_ended(struct informer *informer, struct now now) {
	const struct http_req *req = &informer->_call.http;
	struct fault fault;
	enum err err =
		kube_result(&informer->_call, &fault, INFORMER_NAMES[informer->_resource].list);
	bool told = err == ERR_UNAUTHENTICATED || err == ERR_DENIED || err == ERR_NOT_FOUND ||
		    err == ERR_GONE;
	if (is_refused(req) && req->status == 422) {
		stream_is_unknown(informer, now);
	} else if (err == OK) {
		fault = informer_bad_answer("the list ended before it was complete");
		stream_broke(informer, now, &fault);
	} else if (req->status == 200 || (is_refused(req) && !told)) {
		stream_broke(informer, now, &fault);
	} else {
		informer->_in_list = false;
		informer_list_failed(informer, now, &fault);
	}
}

/* What an ended watch means, once its last events are read. */
static void watch_ended(struct informer *informer, struct now now) {
	const struct http_req *req = &informer->_call.http;
	struct fault fault;
	enum err err =
		kube_result(&informer->_call, &fault, INFORMER_NAMES[informer->_resource].watch);
	bool served = informer->_watch_served ||
		      now.mono_ns - informer->_watch_began_ns >= SERVED_S * NS_PER_S;
	/* A watch that ends before its time may be that of a server that ends. */
	bool early = now.mono_ns - informer->_watch_began_ns < informer->_watch_asked_ns;
	informer->_doubtful = req->err || req->status >= 500 || (early && err == OK);
	if (informer->_revocable && informer_is_missing(informer, err)) {
		informer_tell_missing(informer, now, &fault);
	} else if (watch_was_silent(informer, now)) {
		fault = informer_bad_answer("the watch told nothing, not even a bookmark");
		informer_went_back(informer, now, "watch was silent, listing again", &fault);
	} else if (err == OK && served) {
		informer_wait(informer, now, 0);
	} else if (err == OK) {
		fault = informer_bad_answer("the watch ended at once");
		informer_fail(informer, now, "watch failed", &fault);
	} else {
		watch_failed(informer, now, err, &fault);
	}
}

/* When a list whose server tells nothing more is given up. */
static int64_t stall_ns(const struct informer *informer) {
	int64_t told_ns = informer->_heard_ns > informer->_watch_began_ns
				  ? informer->_heard_ns
				  : informer->_watch_began_ns;
	return informer->_in_list ? told_ns + INFORMER_STALL_S * NS_PER_S : NEVER_NS;
}

static bool line_is_too_long(const struct informer *informer) {
	struct str all = lines_of(informer);
	return all.len > INFORMER_LINE_BYTES && str_find_char(all, '\n') == SIZE_MAX;
}

void informer_read_watch(struct informer *informer, struct now now) {
	bool more = !informer->_overflow && read_lines(informer, now);
	if (informer->_state != INFORMER_WATCHING) return;
	if (informer->_overflow || line_is_too_long(informer)) {
		struct fault fault = informer_bad_answer("the watch sent more than can be kept");
		lost(informer, now, &fault);
	} else if (informer->_ended && !more) {
		if (informer->_in_list)
			stream_ended(informer, now);
		else
			watch_ended(informer, now);
	} else if (stall_ns(informer) <= now.mono_ns) {
		struct fault fault = informer_bad_answer("the list has come to a stop");
		stream_broke(informer, now, &fault);
	}
}

int64_t informer_watch_deadline_ns(const struct informer *informer, struct now now) {
	bool due = informer->_ended || informer->_overflow || informer->_resumed;
	if (due || str_find_char(lines_of(informer), '\n') != SIZE_MAX) return now.mono_ns;
	return stall_ns(informer);
}
