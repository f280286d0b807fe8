#include "engine/informer_impl.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "clients/json.h"
#include "engine/page.h"
#include "engine/watch_event.h"

static const struct backoff BACKOFF = { .base_ns = NS_PER_S, .max_ns = 30 * NS_PER_S };

/* For people: what an operation is called, and what it means that an optional resource is not there. */
const struct informer_names INFORMER_NAMES[] = {
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

/* --- failures --- */

void informer_wait(struct informer *informer, struct now now, int64_t delay_ns) {
	informer_drop_call(informer);
	informer_drop_page(informer);
	informer->_state = INFORMER_WAITING;
	informer->_wait_until_ns = now.mono_ns + delay_ns;
}

/* A failure is told of when it is the first, second, fourth, ... in a row. */
void informer_fail(
	struct informer *informer, struct now now, const char *what, const struct fault *fault) {
	int64_t delay_ns = backoff_delay_ns(&BACKOFF, informer->_failures, informer->_rng);
	if (delay_ns < fault->retry_after_ns) delay_ns = fault->retry_after_ns;
	informer->_failures++;
	if ((informer->_failures & (informer->_failures - 1)) == 0) {
		log_warn(what, kv("resource", INFORMER_NAMES[informer->_resource].resource),
			kv("error", err_name(fault->err)), kv("detail", fault->text),
			kv_int("failures", informer->_failures),
			kv_int("retry_ms", delay_ns / NS_PER_MS));
	}
	if (fault->err == ERR_UNAUTHENTICATED) informer->_sink->unauthenticated(informer->_sink);
	informer_wait(informer, now, delay_ns);
}

/* What was seen cannot be trusted or continued: everything is listed again. */
void informer_relist(
	struct informer *informer, struct now now, const char *why, const struct fault *fault) {
	informer->_needs_list = true;
	informer->_in_list = false;
	informer_fail(informer, now, why, fault);
}

/* The server has not got as far as we have: a backup was restored. */
void informer_went_back(
	struct informer *informer, struct now now, const char *why, const struct fault *fault) {
	if (informer->_sink->went_back) informer->_sink->went_back(informer->_sink);
	informer->_doubtful = false;
	informer_relist(informer, now, why, fault);
}

struct fault informer_bad_answer(const char *text) {
	struct fault fault;
	enum err err = fault_set(&fault, ERR_PARSE, "%s", text);
	(void)err;
	return fault;
}

/* --- LIST --- */

static void request_done(struct http_req *req) {
	((struct informer *)req->owner)->_ended = true;
}

void informer_begin_call(struct informer *informer, enum informer_state state) {
	informer->_ended = false;
	informer->_state = state;
	informer->_call.http.owner = informer;
	informer->_call.http.on_done = request_done;
	http_start(informer->_http, &informer->_call.http);
}

static void begin_list(struct informer *informer) {
	metric_add(METRIC_RELISTS, 1);
	buf_reset(&informer->_continue);
	informer->_bad_objects = 0;
	informer->_in_list = true;
	informer->_sink->list_begin(informer->_sink);
}

/* The first page, or the next one. */
static void start_page(struct informer *informer, struct now now) {
	enum err err = kube_list(&informer->_call, informer->_kube, informer->_resource,
		informer->_page_limit, buf_str(&informer->_continue));
	informer->_has_call = true;
	if (err) {
		struct fault fault = { .err = err };
		informer_fail(informer, now, "list could not be asked for", &fault);
		return;
	}
	informer->_call.http.max_response_bytes = INFORMER_PAGE_BYTES;
	informer->_call.http.response_arena = informer->_arena;
	informer_begin_call(informer, INFORMER_LISTING);
}

/* A stream that broke off is followed by pages, which a server that is hurried through cannot break: so a list ends some day. */
void informer_start_list(struct informer *informer, struct now now) {
	informer_drop_call(informer);
	bool begins = !informer->_in_list;
	if (begins) begin_list(informer);
	if (begins && !informer->_paged && !informer->_stream_broke)
		informer_start_stream(informer, now);
	else
		start_page(informer, now);
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
		informer_fail(informer, now, "list could not be read", &fault);
		return;
	}
	page_init(informer->_page, informer->_arena ? secret_expose(&informer->_secret_page)
						    : buf_str(&informer->_page_body));
	informer->_state = INFORMER_READING;
}

/* Not installed, or not granted: an installation of before the resource was there, whose role does not name it. */
void informer_tell_missing(struct informer *informer, struct now now, const struct fault *fault) {
	const char *resource = INFORMER_NAMES[informer->_resource].resource;
	const char *text = INFORMER_NAMES[informer->_resource].missing;
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
	informer_wait(
		informer, now, delay_ns < fault->retry_after_ns ? fault->retry_after_ns : delay_ns);
}

bool informer_is_missing(const struct informer *informer, enum err err) {
	bool denied = err == ERR_DENIED && (informer->_revocable || !informer->_has_synced);
	return informer->_optional && (err == ERR_NOT_FOUND || denied);
}

void informer_list_failed(struct informer *informer, struct now now, const struct fault *fault) {
	if (fault->err == ERR_GONE) {
		informer_relist(informer, now, "list has expired, beginning again", fault);
	} else if (informer_is_missing(informer, fault->err)) {
		informer_tell_missing(informer, now, fault);
	} else if (fault->err == ERR_NOT_FOUND) {
		informer_fail(informer, now,
			"the API server does not know the resource; install it: kubectl apply -f "
			"deploy/manifests/",
			fault);
	} else {
		informer_fail(informer, now, "list failed", fault);
	}
}

static void list_ended(struct informer *informer, struct now now) {
	struct fault fault;
	enum err err =
		kube_result(&informer->_call, &fault, INFORMER_NAMES[informer->_resource].list);
	bool continued = buf_str(&informer->_continue).len > 0;
	if (err == OK) {
		open_page(informer, now);
	} else if (err == ERR_TOO_LARGE && informer->_page_limit > 1) {
		informer->_page_limit /= 2;
		informer_start_list(informer, now);
	} else if (continued && fault.http_status == 400) {
		informer_relist(informer, now, "list has expired, beginning again", &fault);
	} else {
		informer_list_failed(informer, now, &fault);
	}
}

/* One that cannot be used stands in nobody's way. */
static void pass_over(struct informer *informer) {
	if (informer->_bad_objects++ > 0) return;
	log_warn("an object that cannot be understood is passed over",
		kv("resource", INFORMER_NAMES[informer->_resource].resource));
}

enum err informer_take(struct informer *informer, const struct watch_object *object, bool gone) {
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

bool informer_may_know(const struct informer *informer) {
	return informer->_has_synced && informer->_sink->knows;
}

bool informer_knows(struct informer *informer, struct str text, struct str *out_version) {
	struct object_head head;
	if (!object_head_scan(text, &head)) return false;
	*out_version = head.meta.version;
	return informer->_sink->knows(informer->_sink, &head);
}

/* A whole item that is no good JSON (a \u0000 in an annotation is enough) is one object's trouble,
 * not the list's. */
static enum err take_item(struct informer *informer, struct str text) {
	struct str version;
	cJSON *json = NULL;
	if (informer_may_know(informer) && informer_knows(informer, text, &version)) return OK;
	enum err err = informer->_arena ? OK : json_parse(text, &json, NULL);
	struct watch_object object = { json, text };
	if (!err && !informer->_arena && !cJSON_IsObject(json)) err = ERR_PARSE;
	if (!err) err = informer_take(informer, &object, false);
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

void informer_list_complete(struct informer *informer, struct now now) {
	informer->_in_list = false;
	informer->_needs_list = false;
	informer->_doubtful = false;
	informer->_page_limit = INFORMER_PAGE;
	informer->_heard_ns = now.mono_ns;
	informer->_sink->list_end(informer->_sink);
	if (!informer->_has_synced || informer->_missing)
		log_info("list is complete",
			kv("resource", INFORMER_NAMES[informer->_resource].resource));
	informer->_has_synced = true;
	informer->_missing = false;
	informer->_stream_broke = false;
	informer->_failures = 0;
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
		struct fault fault =
			informer_bad_answer("the list's metadata has no resourceVersion");
		informer_relist(informer, now, "list was not understood", &fault);
	} else if (has_more) {
		informer_start_list(informer, now);
	} else {
		informer_list_complete(informer, now);
		informer_wait(informer, now, 0);
	}
}

size_t informer_slice_bytes(const struct informer *informer) {
	return informer->_resource == KUBE_CLASSES ? INFORMER_CLASS_SLICE_BYTES
						   : INFORMER_SLICE_BYTES;
}

/* A slice of the page; goes on in the next turn. */
static void read_page(struct informer *informer, struct now now) {
	for (size_t bytes = 0; bytes < informer_slice_bytes(informer);) {
		struct str item = STR_NULL;
		enum page_step step = page_next(informer->_page, &item);
		if (step == PAGE_END) {
			page_ended(informer, now);
			return;
		}
		enum err err = step == PAGE_ITEM ? take_item(informer, item) : ERR_PARSE;
		if (err) {
			struct fault fault = informer_bad_answer("the list is cut, or is no JSON");
			if (err == ERR_NOMEM) fault = (struct fault){ .err = err };
			informer_relist(informer, now, "list was not understood", &fault);
			return;
		}
		bytes += item.len;
	}
}

/* --- turns --- */

int64_t informer_turn(struct informer *informer, struct now now) {
	assert_main();
	if (informer->_state == INFORMER_WAITING && informer->_wait_until_ns <= now.mono_ns) {
		if (informer->_needs_list)
			informer_start_list(informer, now);
		else if (informer->_doubtful)
			informer_start_check(informer, now);
		else
			informer_start_watch(informer, now);
	} else if (informer->_state == INFORMER_LISTING && informer->_ended) {
		list_ended(informer, now);
	} else if (informer->_state == INFORMER_CHECKING && informer->_ended) {
		informer_check_ended(informer, now);
	} else if (informer->_state == INFORMER_READING) {
		read_page(informer, now);
	} else if (informer->_state == INFORMER_WATCHING) {
		informer_read_watch(informer, now);
	}
	return informer_deadline_ns(informer, now);
}

int64_t informer_deadline_ns(const struct informer *informer, struct now now) {
	switch (informer->_state) {
	case INFORMER_WAITING:
		return informer->_wait_until_ns;
	case INFORMER_READING:
		return now.mono_ns;
	case INFORMER_LISTING:
	case INFORMER_CHECKING:
		return informer->_ended ? now.mono_ns : NEVER_NS;
	case INFORMER_WATCHING:
		return informer_watch_deadline_ns(informer, now);
	case INFORMER_STOPPED:
		break;
	}
	return NEVER_NS;
}
