/* Watches: a cursor in a resource's log of revisions. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

enum { POLL_BYTES = 1 << 20 };

static const int64_t BOOKMARK_NS = 60 * NS_PER_S, LAST_BOOKMARK_NS = 2 * NS_PER_S,
		     FUTURE_NS = 3 * NS_PER_S;

struct kube_watch {
	struct list link;
	struct kube_world *world;
	struct kube_type *type;
	struct kube_selector selector;
	char *prefix;          /* of the keys */
	char *initial_after;   /* the objects that are there already are sent up to this key; NULL: all were */
	int64_t initial_rv;
	int64_t rv;            /* all events up to here were sent */
	int64_t start_rv;
	int64_t deadline_ns, bookmark_ns; /* mono */
	bool bookmarks, initial_bookmark, partial;
	bool expired, broken;
	int64_t future_rv; /* a first state that is to be as new as this, and never comes; 0: none */
	int64_t future_ns; /* mono: until when it is waited for */
};

static int64_t next_bookmark_ns(const struct kube_watch *watch, int64_t now_ns) {
	if (!watch->bookmarks) return NEVER_NS;
	int64_t regular = now_ns + BOOKMARK_NS, last = watch->deadline_ns - LAST_BOOKMARK_NS;
	if (last > regular) return regular;
	return last > now_ns ? last : NEVER_NS;
}

static void start_initial(struct kube_call *call, struct kube_watch *watch, int64_t least_rv) {
	watch->rv = watch->initial_rv = kube_cache_rv(call->world, call->type, call->now.mono_ns);
	watch->initial_after = kj_strdup(str_of(watch->prefix));
	watch->initial_bookmark = watch->bookmarks && !call->world->config.without_watch_list;
	if (least_rv <= call->world->rv) return;
	watch->future_rv = least_rv;
	watch->future_ns = call->now.mono_ns + FUTURE_NS;
}

/* What a watch of this request starts from. False: answered. */
static bool read_start(struct kube_call *call, struct kube_watch *watch) {
	struct buf text, told;
	buf_init(&text, 64);
	buf_init(&told, 64);
	world_query(call->req->query, "resourceVersion", &text);
	const char *rv = buf_cstr(&text);
	bool is_told = world_query(call->req->query, "sendInitialEvents", &told);
	bool initial = is_told ? world_query_bool(call->req->query, "sendInitialEvents") : !rv[0] || !strcmp(rv, "0");
	bool ok = true;
	if (rv[0] && (str_to_i64(str_of(rv), &watch->rv) != OK || watch->rv < 0)) {
		ok = kube_fail(call, 500, "", NULL,
			       "resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": invalid syntax",
			       rv, rv);
	} else if (initial) {
		start_initial(call, watch, watch->rv);
	} else if (!watch->rv) {
		watch->rv = kube_cache_rv(call->world, call->type, call->now.mono_ns);
	} else {
		watch->expired = watch->rv < call->type->watch_floor_rv;
	}
	watch->start_rv = watch->rv;
	buf_deinit(&text);
	buf_deinit(&told);
	return ok;
}

static struct kube_watch *watch_create(struct kube_call *call) {
	struct kube_watch *watch = kj_alloc(sizeof(*watch));
	watch->world = call->world;
	watch->type = call->type;
	watch->prefix = call->type->namespaced && call->namespace[0] ? kj_format("%s/", call->namespace)
								      : kj_strdup(STR(""));
	watch->bookmarks = world_query_bool(call->req->query, "allowWatchBookmarks");
	watch->partial = call->partial;
	list_init(&watch->link);
	int64_t timeout_s = world_query_i64(call->req->query, "timeoutSeconds", 0);
	if (timeout_s <= 0) timeout_s = rng_between(&call->world->rng, 1800, 3600);
	watch->deadline_ns = call->now.mono_ns + timeout_s * NS_PER_S;
	watch->bookmark_ns = next_bookmark_ns(watch, call->now.mono_ns);
	if (kube_selector_init(call, &watch->selector) && read_start(call, watch)) return watch;
	kube_watch_close(watch);
	return NULL;
}

struct kube_watch *kube_watch_open(struct kube_world *world, struct now now, const struct world_request *req,
				   struct world_response *out) {
	struct kube_call call;
	if (!kube_call_begin(&call, world, now, req, out)) return NULL;
	const struct kube_fault *fault = kube_fault_take(&call);
	bool expired = fault && fault->kind == KUBE_FAULT_EXPIRED;
	if (!expired && kube_fault_before(&call, fault)) return NULL;
	if (!kube_authorize(&call)) return NULL;
	if (!call.type || call.subresource[0]) {
		kube_dispatch(&call);
		return NULL;
	}
	if (!kube_check_options(&call, true)) return NULL;
	struct kube_watch *watch = watch_create(&call);
	if (!watch) return NULL;
	watch->expired |= expired;
	out->status = 200;
	world_response_header(out, "Content-Type", "application/json");
	list_push_back(&world->watches, &watch->link);
	kube_fault_after(&call, fault);
	return watch;
}

void kube_watch_close(struct kube_watch *watch) {
	if (!watch) return;
	list_remove(&watch->link);
	kube_selector_deinit(&watch->selector);
	mem_free(watch->prefix);
	mem_free(watch->initial_after);
	mem_free(watch);
}

static void append_event(const struct kube_watch *watch, struct buf *out, const char *type,
			 const struct kube_rev *rev) {
	buf_printf(out, "{\"type\":\"%s\",\"object\":", type);
	if (watch->partial) {
		kube_append_partial(out, rev);
	} else {
		buf_append(out, kube_rev_str(rev));
	}
	buf_append(out, STR("}\n"));
}

static void append_bookmark(const struct kube_watch *watch, struct buf *out, int64_t rv, bool initial_end) {
	buf_printf(out,
		   "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{"
		   "\"resourceVersion\":\"%lld\"%s}}}\n",
		   watch->partial ? "PartialObjectMetadata" : watch->type->kind,
		   watch->partial ? "meta.k8s.io/v1" : watch->type->api_version, (long long)rv,
		   initial_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
}

static void append_error(struct buf *out, cJSON *status) {
	buf_append(out, STR("{\"type\":\"ERROR\",\"object\":"));
	kj_print(out, status);
	buf_append(out, STR("}\n"));
	cJSON_Delete(status);
}

static void append_expired(const struct kube_watch *watch, struct buf *out) {
	char message[96];
	snprintf(message, sizeof(message), "too old resource version: %lld (%lld)", (long long)watch->rv,
		 (long long)watch->type->watch_floor_rv);
	append_error(out, kube_status(410, "Expired", message, NULL));
}

static void append_future(const struct kube_watch *watch, struct buf *out) {
	cJSON *details = kj_must(cJSON_CreateObject());
	char message[128];
	kj_set(details, "causes", kj_literal("[{'reason':'ResourceVersionTooLarge','message':'Too large resource version'}]"));
	kj_set_int(details, "retryAfterSeconds", 1);
	snprintf(message, sizeof(message), "Timeout: Too large resource version: %lld, current: %lld",
		 (long long)watch->future_rv, (long long)watch->world->rv);
	append_error(out, kube_status(504, "Timeout", message, details));
}

static bool in_scope(const struct kube_watch *watch, const struct kube_entry *entry) {
	return str_starts(str_of(entry->key), str_of(watch->prefix));
}

static bool selects(const struct kube_watch *watch, const struct kube_rev *rev) {
	return rev && !rev->deleted && kube_selector_matches(&watch->selector, rev);
}

/* Objects that were there when the watch began. */
static void send_initial(struct kube_watch *watch, struct buf *out) {
	struct kube_entry *entry = kube_entry_seek(watch->type, watch->initial_after);
	if (entry && strcmp(entry->key, watch->initial_after) == 0) entry = kube_entry_next(entry);
	size_t start = buf_str(out).len;
	for (; entry && in_scope(watch, entry); entry = kube_entry_next(entry)) {
		struct kube_rev *rev = kube_rev_at(entry, watch->initial_rv);
		if (selects(watch, rev)) append_event(watch, out, "ADDED", rev);
		if (buf_str(out).len - start < POLL_BYTES) continue;
		mem_free(watch->initial_after);
		watch->initial_after = kj_strdup(str_of(entry->key));
		return;
	}
	mem_free(take(watch->initial_after));
	if (watch->initial_bookmark) append_bookmark(watch, out, watch->initial_rv, true);
}

/* What the watcher saw of an object before: its last revision up to `seen_rv`. */
static const struct kube_rev *seen_before(const struct kube_rev *rev, int64_t seen_rv) {
	const struct kube_rev *before = rev->older;
	while (before && before->rv > seen_rv) before = before->older;
	return before;
}

/* What leaves the selection is shown as the watcher knew it, with the revision of the change that took it out. */
static void append_departure(const struct kube_watch *watch, struct buf *out, const struct kube_rev *before, int64_t rv) {
	char version[32];
	snprintf(version, sizeof(version), "%lld", (long long)rv);
	cJSON *object = kube_rev_parse(before);
	kj_set_text(kj_get(object, "metadata"), "resourceVersion", version);
	char *text = kj_print_text(object);
	size_t len = strlen(text);
	struct kube_rev *shown = kj_alloc(sizeof(*shown) + len + 1);
	shown->len = len;
	memcpy(shown->json, text, len + 1);
	append_event(watch, out, "DELETED", shown);
	mem_free(shown);
	mem_free(text);
	cJSON_Delete(object);
}

/* A selector turns a change into an arrival or a departure. */
static void send_change(const struct kube_watch *watch, struct buf *out, const struct kube_rev *rev,
			const struct kube_rev *before) {
	bool was = selects(watch, before), is = selects(watch, rev);
	if (is) append_event(watch, out, was ? "MODIFIED" : "ADDED", rev);
	else if (was && rev->deleted) append_event(watch, out, "DELETED", rev);
	else if (was) append_departure(watch, out, before, rev->rv);
}

static void send_changes(struct kube_watch *watch, int64_t visible_rv, struct buf *out) {
	const struct kube_log *log = &watch->type->log;
	int64_t seen_rv = watch->rv;
	size_t start = buf_str(out).len;
	for (size_t i = kube_log_after(log, watch->rv); i < log->len; i++) {
		const struct kube_rev *rev = log->items[log->start + i];
		if (rev->rv > visible_rv || buf_str(out).len - start >= POLL_BYTES) break;
		watch->rv = rev->rv;
		if (!in_scope(watch, rev->entry)) continue;
		bool superseded = watch->world->coalesce && rev->entry->newest->rv <= visible_rv &&
				  rev->entry->newest != rev;
		if (superseded) continue;
		send_change(watch, out, rev, watch->world->coalesce ? seen_before(rev, seen_rv) : rev->older);
	}
}

static bool has_more(const struct kube_watch *watch, int64_t visible_rv) {
	const struct kube_log *log = &watch->type->log;
	size_t next = kube_log_after(log, watch->rv);
	return next < log->len && log->items[log->start + next]->rv <= visible_rv;
}

enum kube_watch_state kube_watch_poll(struct kube_watch *watch, struct now now, struct buf *out_lines) {
	if (watch->broken) return KUBE_WATCH_BROKEN;
	if (watch->expired || watch->rv < watch->type->watch_floor_rv) {
		append_expired(watch, out_lines);
		return KUBE_WATCH_ENDED;
	}
	if (watch->future_rv > watch->world->rv) {
		if (now.mono_ns < watch->future_ns) return KUBE_WATCH_OPEN;
		append_future(watch, out_lines);
		return KUBE_WATCH_ENDED;
	}
	int64_t visible_rv = kube_cache_rv(watch->world, watch->type, now.mono_ns);
	if (watch->initial_after) send_initial(watch, out_lines);
	if (!watch->initial_after) send_changes(watch, visible_rv, out_lines);
	bool settled = !watch->initial_after && !has_more(watch, visible_rv);
	if (settled && visible_rv > watch->rv) watch->rv = visible_rv;
	if (settled && now.mono_ns >= watch->bookmark_ns) {
		/* A watch that began in the future hears nothing until the revision gets there. */
		if (visible_rv >= watch->start_rv) append_bookmark(watch, out_lines, visible_rv, false);
		watch->bookmark_ns = next_bookmark_ns(watch, now.mono_ns);
	}
	return now.mono_ns >= watch->deadline_ns ? KUBE_WATCH_ENDED : KUBE_WATCH_OPEN;
}

int64_t kube_watch_next_ns(const struct kube_watch *watch) {
	const struct kube_world *world = watch->world;
	if (watch->future_rv > world->rv && !watch->broken) return watch->future_ns;
	if (watch->broken || watch->expired || watch->initial_after || watch->rv < watch->type->watch_floor_rv) {
		return world->now.mono_ns;
	}
	int64_t next = watch->deadline_ns < watch->bookmark_ns ? watch->deadline_ns : watch->bookmark_ns;
	const struct kube_log *log = &watch->type->log;
	size_t at = kube_log_after(log, watch->rv);
	if (at < log->len) {
		int64_t due = log->items[log->start + at]->at_ns + world->cache_lag_ns;
		if (due < next) next = due;
	}
	return next;
}

int64_t kube_watch_next_of(const struct list *node) {
	return kube_watch_next_ns(container_of(node, struct kube_watch, link));
}

void kube_break_watches(struct kube_world *world, const char *resource) {
	list_for_each(node, &world->watches) {
		struct kube_watch *watch = container_of(node, struct kube_watch, link);
		if (!resource || strcmp(watch->type->plural, resource) == 0) watch->broken = true;
	}
}

size_t kube_watch_count(const struct kube_world *world) {
	size_t count = 0;
	list_for_each(node, &world->watches) count++;
	return count;
}
