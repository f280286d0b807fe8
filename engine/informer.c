#include "engine/informer_impl.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "clients/json.h"
#include "engine/page.h"
#include "engine/watch_event.h"

enum { WATCH_LEAST_S = 300, WATCH_MOST_S = 600, SERVED_S = 1, SILENT_S = 120 };

static const struct backoff BACKOFF = { .base_ns = NS_PER_S, .max_ns = 30 * NS_PER_S };

/* For people: what an operation is called, and what it means that an optional resource is not there. */
static const struct {
	const char *resource, *list, *watch, *missing;
} NAMES[] = {
	[KUBE_CLASSES] = { "SecretProviderClasses", "list SecretProviderClasses",
		"watch SecretProviderClasses", "" },
	[KUBE_SYNCS] = { "SecretSyncs", "list SecretSyncs", "watch SecretSyncs", "" },
	[KUBE_AKVS] = { "AKVSyncs", "list AKVSyncs", "watch AKVSyncs",
		"an optional resource is not there and is looked for every few minutes; to use "
		"it: kubectl apply -f deploy/manifests/" },
	[KUBE_SECRETS] = { "Secrets", "list Secrets", "watch Secrets",
		"driftDetection: watch works as probe, because Secrets may not be listed and "
		"watched; that is tried again every few minutes; to grant the right: kubectl "
		"apply -f deploy/drift-watch/" },
};

/* Watch bytes that are not read yet. */
static struct str lines_of(const struct informer *informer) {
	return informer->_arena ? secret_expose(&informer->_secret_lines)
				: buf_str(&informer->_lines);
}

/* --- failures --- */

static void wait_for(struct informer *informer, struct now now, int64_t delay_ns) {
	informer_drop_call(informer);
	informer_drop_page(informer);
	informer->_state = INFORMER_WAITING;
	informer->_wait_until_ns = now.mono_ns + delay_ns;
}

/* A failure is told of when it is the first, second, fourth, ... in a row. */
static void fail(
	struct informer *informer, struct now now, const char *what, const struct fault *fault) {
	int64_t delay_ns = backoff_delay_ns(&BACKOFF, informer->_failures, informer->_rng);
	if (delay_ns < fault->retry_after_ns) delay_ns = fault->retry_after_ns;
	informer->_failures++;
	if ((informer->_failures & (informer->_failures - 1)) == 0) {
		log_warn(what, kv("resource", NAMES[informer->_resource].resource),
			kv("error", err_name(fault->err)), kv("detail", fault->text),
			kv_int("failures", informer->_failures),
			kv_int("retry_ms", delay_ns / NS_PER_MS));
	}
	if (fault->err == ERR_UNAUTHENTICATED) informer->_sink->unauthenticated(informer->_sink);
	wait_for(informer, now, delay_ns);
}

/* What was seen cannot be trusted or continued: everything is listed again. */
static void relist(
	struct informer *informer, struct now now, const char *why, const struct fault *fault) {
	informer->_needs_list = true;
	informer->_in_list = false;
	fail(informer, now, why, fault);
}

/* The server has not got as far as we have: a backup was restored. */
static void went_back(
	struct informer *informer, struct now now, const char *why, const struct fault *fault) {
	if (informer->_sink->went_back) informer->_sink->went_back(informer->_sink);
	informer->_doubtful = false;
	relist(informer, now, why, fault);
}

static struct fault bad_answer(const char *text) {
	struct fault fault;
	enum err err = fault_set(&fault, ERR_PARSE, "%s", text);
	(void)err;
	return fault;
}

/* --- LIST --- */

static void request_done(struct http_req *req) {
	((struct informer *)req->owner)->_ended = true;
}

static void begin_call(struct informer *informer, enum informer_state state) {
	informer->_ended = false;
	informer->_state = state;
	informer->_call.http.owner = informer;
	informer->_call.http.on_done = request_done;
	http_start(informer->_http, &informer->_call.http);
}

/* The next page, or the first one of a new list. */
static void start_list(struct informer *informer, struct now now) {
	informer_drop_call(informer);
	if (!informer->_in_list) {
		metric_add(METRIC_RELISTS, 1);
		buf_reset(&informer->_continue);
		informer->_bad_objects = 0;
		informer->_in_list = true;
		informer->_sink->list_begin(informer->_sink);
	}
	enum err err = kube_list(&informer->_call, informer->_kube, informer->_resource,
		informer->_page_limit, buf_str(&informer->_continue));
	informer->_has_call = true;
	if (err) {
		struct fault fault = { .err = err };
		fail(informer, now, "list could not be asked for", &fault);
		return;
	}
	informer->_call.http.max_response_bytes = INFORMER_PAGE_BYTES;
	informer->_call.http.response_arena = informer->_arena;
	begin_call(informer, INFORMER_LISTING);
}

/* Keeps the answer's body and reads it slice by slice from the next lines on. */
static void open_page(struct informer *informer, struct now now) {
	struct http_req *req = &informer->_call.http;
	informer->_page_body = req->response;
	req->response = (struct buf){ 0 };
	if (informer->_arena) secret_move(&informer->_secret_page, &req->response_secret);
	informer_drop_call(informer);
	informer->_page = mem_alloc(sizeof *informer->_page);
	if (!informer->_page) {
		struct fault fault = { .err = ERR_NOMEM };
		fail(informer, now, "list could not be read", &fault);
		return;
	}
	page_init(informer->_page, informer->_arena ? secret_expose(&informer->_secret_page)
						    : buf_str(&informer->_page_body));
	informer->_state = INFORMER_READING;
}

/* Not installed, or not granted: an installation of before the resource was there, whose role does not name it. */
static void tell_missing(struct informer *informer, struct now now, const struct fault *fault) {
	const char *resource = NAMES[informer->_resource].resource;
	const char *text = NAMES[informer->_resource].missing;
	assert(informer->_sink->missing);
	/* A right that somebody counts on is worth more than a kind that nobody has asked for. */
	if (!informer->_missing && informer->_revocable)
		log_warn(text, kv("resource", resource), kv("detail", fault->text));
	else if (!informer->_missing)
		log_info(text, kv("resource", resource), kv("detail", fault->text));
	informer->_missing = true;
	informer->_in_list = false;
	informer->_needs_list = true;
	informer->_failures = 0;
	informer->_sink->missing(informer->_sink);
	int64_t delay_s = rng_between(informer->_rng, INFORMER_MISSING_S / 2, INFORMER_MISSING_S);
	int64_t delay_ns = delay_s * NS_PER_S;
	wait_for(
		informer, now, delay_ns < fault->retry_after_ns ? fault->retry_after_ns : delay_ns);
}

static bool is_missing(const struct informer *informer, enum err err) {
	bool denied = err == ERR_DENIED && (informer->_revocable || !informer->_has_synced);
	return informer->_optional && (err == ERR_NOT_FOUND || denied);
}

static void list_ended(struct informer *informer, struct now now) {
	struct fault fault;
	enum err err = kube_result(&informer->_call, &fault, NAMES[informer->_resource].list);
	bool continued = buf_str(&informer->_continue).len > 0;
	if (err == OK) {
		open_page(informer, now);
	} else if (err == ERR_TOO_LARGE && informer->_page_limit > 1) {
		informer->_page_limit /= 2;
		start_list(informer, now);
	} else if (err == ERR_GONE || (continued && fault.http_status == 400)) {
		relist(informer, now, "list has expired, beginning again", &fault);
	} else if (is_missing(informer, err)) {
		tell_missing(informer, now, &fault);
	} else if (err == ERR_NOT_FOUND) {
		fail(informer, now,
			"the API server does not know the resource; install it: kubectl apply -f "
			"deploy/manifests/",
			&fault);
	} else {
		fail(informer, now, "list failed", &fault);
	}
}

/* One that cannot be used stands in nobody's way. */
static void pass_over(struct informer *informer) {
	if (informer->_bad_objects++ > 0) return;
	log_warn("an object that cannot be understood is passed over",
		kv("resource", NAMES[informer->_resource].resource));
}

static enum err take_object(
	struct informer *informer, const struct watch_object *object, bool gone) {
	struct informer_sink *sink = informer->_sink;
	enum err err;
	if (informer->_arena)
		err = sink->told(sink, object->text, gone);
	else
		err = gone ? sink->remove(sink, object->json) : sink->upsert(sink, object->json);
	if (err != ERR_INVALID) return err;
	pass_over(informer);
	return OK;
}

/* Before the first list is complete nothing is known. */
static bool may_know(const struct informer *informer) {
	return informer->_has_synced && informer->_sink->knows;
}

static bool knows(struct informer *informer, const struct object_head *head) {
	return informer->_sink->knows(informer->_sink, head);
}

/* A whole item that is no good JSON (a \u0000 in an annotation is enough) is one object's trouble,
 * not the list's. */
static enum err take_item(struct informer *informer, struct str text) {
	struct object_head head;
	cJSON *json = NULL;
	if (may_know(informer) && object_head_scan(text, &head) && knows(informer, &head))
		return OK;
	enum err err = informer->_arena ? OK : json_parse(text, &json, NULL);
	struct watch_object object = { json, text };
	if (!err && !informer->_arena && !cJSON_IsObject(json)) err = ERR_PARSE;
	if (!err) err = take_object(informer, &object, false);
	cJSON_Delete(json);
	if (err != ERR_PARSE) return err;
	pass_over(informer);
	return OK;
}

static bool copy_member(const cJSON *object, const char *key, struct buf *out) {
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
	buf_reset(out);
	if (cJSON_IsString(value)) buf_append(out, str_of(value->valuestring));
	return buf_err(out) == OK && buf_str(out).len > 0;
}

static void list_complete(struct informer *informer, struct now now) {
	informer->_in_list = false;
	informer->_needs_list = false;
	informer->_doubtful = false;
	informer->_page_limit = INFORMER_PAGE;
	informer->_heard_ns = now.mono_ns;
	informer->_sink->list_end(informer->_sink);
	if (!informer->_has_synced || informer->_missing)
		log_info("list is complete", kv("resource", NAMES[informer->_resource].resource));
	informer->_has_synced = true;
	informer->_missing = false;
	informer->_failures = 0;
	wait_for(informer, now, 0);
}

static void page_ended(struct informer *informer, struct now now) {
	cJSON *metadata = NULL;
	enum err err = json_parse(informer->_page->metadata, &metadata, NULL);
	bool has_version = copy_member(metadata, "resourceVersion", &informer->_version);
	bool has_more = copy_member(metadata, "continue", &informer->_continue);
	if (!err) err = buf_err(&informer->_continue);
	cJSON_Delete(metadata);
	informer_drop_page(informer);
	if (!has_version || err) {
		struct fault fault = bad_answer("the list's metadata has no resourceVersion");
		relist(informer, now, "list was not understood", &fault);
	} else if (has_more) {
		start_list(informer, now);
	} else {
		list_complete(informer, now);
	}
}

static size_t slice_bytes(const struct informer *informer) {
	return informer->_resource == KUBE_CLASSES ? INFORMER_CLASS_SLICE_BYTES
						   : INFORMER_SLICE_BYTES;
}

/* A slice of the page; goes on in the next turn. */
static void read_page(struct informer *informer, struct now now) {
	for (size_t bytes = 0; bytes < slice_bytes(informer);) {
		struct str item = STR_NULL;
		enum page_step step = page_next(informer->_page, &item);
		if (step == PAGE_END) {
			page_ended(informer, now);
			return;
		}
		enum err err = step == PAGE_ITEM ? take_item(informer, item) : ERR_PARSE;
		if (err) {
			struct fault fault = bad_answer("the list is cut, or is no JSON");
			if (err == ERR_NOMEM) fault = (struct fault){ .err = err };
			relist(informer, now, "list was not understood", &fault);
			return;
		}
		bytes += item.len;
	}
}

/* --- WATCH --- */

static void watch_data(struct http_req *req, struct str chunk) {
	struct informer *informer = req->owner;
	if (informer->_overflow) return;
	if (informer->_arena) {
		secret_append(&informer->_secret_lines, chunk);
		informer->_overflow = secret_err(&informer->_secret_lines) != OK;
		return;
	}
	buf_append(&informer->_lines, chunk);
	informer->_overflow = buf_err(&informer->_lines) != OK;
}

/* A watch that broke may have been one to a server that is not any more. */
static void start_check(struct informer *informer, struct now now) {
	informer_drop_call(informer);
	enum err err = kube_list_since(&informer->_call, informer->_kube, informer->_resource,
		buf_str(&informer->_version));
	informer->_has_call = true;
	if (err) {
		struct fault fault = { .err = err };
		fail(informer, now, "watch could not be prepared", &fault);
		return;
	}
	informer->_call.http.max_response_bytes = INFORMER_PAGE_BYTES;
	informer->_call.http.response_arena = informer->_arena;
	begin_call(informer, INFORMER_CHECKING);
}

static bool is_ahead(const struct http_req *req) {
	return !req->err && str_find(http_response_body(req), STR(KUBE_TOO_NEW)) != SIZE_MAX;
}

static void check_ended(struct informer *informer, struct now now) {
	const struct http_req *req = &informer->_call.http;
	struct fault fault;
	enum err err = kube_result(&informer->_call, &fault, NAMES[informer->_resource].watch);
	bool refused =
		req->err == OK && req->status >= 400 && req->status < 500 && req->status != 429;
	if (err == ERR_UNAUTHENTICATED || err == ERR_DENIED) refused = false;
	if (err == OK) {
		informer->_doubtful = false;
		wait_for(informer, now, 0);
	} else if (informer->_revocable && is_missing(informer, err)) {
		tell_missing(informer, now, &fault);
	} else if (is_ahead(req)) {
		went_back(informer, now, "the API server went back to an older state", &fault);
	} else if (refused) {
		relist(informer, now, "watch was refused, listing again", &fault);
	} else {
		fail(informer, now, "watch broke", &fault);
	}
}

static void start_watch(struct informer *informer, struct now now) {
	informer_drop_call(informer);
	unsigned timeout_s = (unsigned)rng_between(informer->_rng, WATCH_LEAST_S, WATCH_MOST_S);
	informer->_watch_asked_ns = timeout_s * NS_PER_S;
	enum err err = kube_watch(&informer->_call, informer->_kube, informer->_resource,
		buf_str(&informer->_version), timeout_s);
	informer->_has_call = true;
	if (err) {
		struct fault fault = { .err = err };
		fail(informer, now, "watch could not be asked for", &fault);
		return;
	}
	metric_add(METRIC_WATCH_RESTARTS, 1);
	informer_forget_lines(informer);
	informer->_overflow = false;
	informer->_watch_began_ns = now.mono_ns;
	informer->_watch_served = false;
	informer->_call.http.on_data = watch_data;
	informer->_call.http.response_arena = informer->_arena;
	informer->_call.http.idle_timeout_ns = INFORMER_SILENCE_S * NS_PER_S;
	begin_call(informer, INFORMER_WATCHING);
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
	if (gone)
		relist(informer, now, "watch has expired, listing again", &fault);
	else
		fail(informer, now, "watch failed", &fault);
}

static bool keep_version(struct informer *informer, struct str version) {
	buf_reset(&informer->_version);
	buf_append(&informer->_version, version);
	return version.len && buf_err(&informer->_version) == OK;
}

/* One event, or what became of reading it. False: the watch is over. The version moves on only when
 * the event was taken in. */
static bool take_event(
	struct informer *informer, struct now now, const struct watch_event *event, enum err err) {
	struct str type = event->type;
	bool gone = str_eq(type, STR("DELETED"));
	if (!err && str_eq(type, STR("ERROR"))) {
		watch_error(informer, now, event->object.json);
		return false;
	}
	if (!err && (gone || str_eq(type, STR("ADDED")) || str_eq(type, STR("MODIFIED")))) {
		err = take_object(informer, &event->object, gone);
	} else if (!err && !str_eq(type, STR("BOOKMARK"))) {
		err = ERR_PARSE;
	}
	if (!err && !keep_version(informer, event->version)) err = ERR_PARSE;
	if (!err) return true;
	struct fault fault = bad_answer("an event of the watch is not what events look like");
	if (err == ERR_NOMEM) fault = (struct fault){ .err = err };
	relist(informer, now, "watch was not understood, listing again", &fault);
	return false;
}

/* What we have written ourselves comes back by the watch, and says nothing new. */
static bool tells_nothing(struct informer *informer, struct str line) {
	struct object_head head;
	return may_know(informer) && watch_event_head(line, STR("MODIFIED"), &head) &&
	       knows(informer, &head) && keep_version(informer, head.meta.version);
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
	while (used < slice_bytes(informer)) {
		struct str rest = str_slice(all, used, all.len);
		size_t len = str_find_char(rest, '\n');
		more = len != SIZE_MAX;
		if (!more) break;
		used += len + 1;
		if (!take_line(informer, now, str_slice(rest, 0, len))) return false;
	}
	buf_consume(&informer->_lines, used);
	secret_consume(&informer->_secret_lines, used);
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

/* What an ended watch means, once its last events are read. */
static void watch_ended(struct informer *informer, struct now now) {
	const struct http_req *req = &informer->_call.http;
	struct fault fault;
	enum err err = kube_result(&informer->_call, &fault, NAMES[informer->_resource].watch);
	bool served = informer->_watch_served ||
		      now.mono_ns - informer->_watch_began_ns >= SERVED_S * NS_PER_S;
	bool refused =
		req->err == OK && req->status >= 400 && req->status < 500 && req->status != 429;
	bool ahead = is_ahead(req);
	/* A watch that ends before its time may be that of a server that ends. */
	bool early = now.mono_ns - informer->_watch_began_ns < informer->_watch_asked_ns;
	informer->_doubtful = req->err || req->status >= 500 || (early && err == OK);
	if (err == ERR_UNAUTHENTICATED || err == ERR_DENIED) refused = false;
	if (informer->_revocable && is_missing(informer, err)) {
		tell_missing(informer, now, &fault);
	} else if (watch_was_silent(informer, now)) {
		fault = bad_answer("the watch told nothing, not even a bookmark");
		went_back(informer, now, "watch was silent, listing again", &fault);
	} else if (err == OK && served) {
		wait_for(informer, now, 0);
	} else if (err == OK) {
		fault = bad_answer("the watch ended at once");
		fail(informer, now, "watch failed", &fault);
	} else if (ahead) {
		went_back(informer, now, "the API server went back to an older state", &fault);
	} else if (refused) {
		relist(informer, now, "watch was refused, listing again", &fault);
	} else {
		fail(informer, now, "watch broke", &fault);
	}
}

static bool line_is_too_long(const struct informer *informer) {
	struct str all = lines_of(informer);
	return all.len > INFORMER_LINE_BYTES && str_find_char(all, '\n') == SIZE_MAX;
}

static void read_watch(struct informer *informer, struct now now) {
	bool more = !informer->_overflow && read_lines(informer, now);
	if (informer->_state != INFORMER_WATCHING) return;
	if (informer->_overflow || line_is_too_long(informer)) {
		struct fault fault = bad_answer("the watch sent more than can be kept");
		relist(informer, now, "watch was not understood, listing again", &fault);
	} else if (informer->_ended && !more) {
		watch_ended(informer, now);
	}
}

/* --- turns --- */

int64_t informer_turn(struct informer *informer, struct now now) {
	assert_main();
	if (informer->_state == INFORMER_WAITING && informer->_wait_until_ns <= now.mono_ns) {
		if (informer->_needs_list)
			start_list(informer, now);
		else if (informer->_doubtful)
			start_check(informer, now);
		else
			start_watch(informer, now);
	} else if (informer->_state == INFORMER_LISTING && informer->_ended) {
		list_ended(informer, now);
	} else if (informer->_state == INFORMER_CHECKING && informer->_ended) {
		check_ended(informer, now);
	} else if (informer->_state == INFORMER_READING) {
		read_page(informer, now);
	} else if (informer->_state == INFORMER_WATCHING) {
		read_watch(informer, now);
	}
	return informer_deadline_ns(informer, now);
}

int64_t informer_deadline_ns(const struct informer *informer, struct now now) {
	bool has_line = false;
	switch (informer->_state) {
	case INFORMER_WAITING:
		return informer->_wait_until_ns;
	case INFORMER_READING:
		return now.mono_ns;
	case INFORMER_LISTING:
	case INFORMER_CHECKING:
		return informer->_ended ? now.mono_ns : NEVER_NS;
	case INFORMER_WATCHING:
		has_line =
			informer->_overflow || str_find_char(lines_of(informer), '\n') != SIZE_MAX;
		return informer->_ended || has_line ? now.mono_ns : NEVER_NS;
	case INFORMER_STOPPED:
		break;
	}
	return NEVER_NS;
}
