/* GET of one object, and LIST: whole, in pages, at an old revision, from a watch cache that is behind. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

static const char CONTINUE_EXPIRED[] =
	"The provided continue parameter is too old to display a consistent list result. You can start a new list "
	"without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
	"results. Continuing with the provided token results in an inconsistent list - objects that were created, "
	"modified, or deleted between the time the first chunk was returned and now may show up in the list.";

void kube_do_get(struct kube_call *call) {
	const struct kube_rev *rev = kube_live(call->type, call->namespace, call->name);
	if (!rev) kube_fail_not_found(call, call->type, call->name);
	else kube_answer_rev(call, 200, rev);
}

struct listing {
	struct kube_selector selector;
	char *prefix;       /* of the keys: "namespace/" or "" */
	char *after;        /* the key behind which the page starts; NULL: at the beginning */
	int64_t rv;         /* the state that is listed */
	int64_t limit;      /* 0: all */
	int64_t remaining;  /* objects from this page on; -1: unknown */
};

/* The token says where to go on and in which state; clients must not look inside. */
static char *token_encode(int64_t rv, const char *key, int64_t remaining) {
	cJSON *token = kj_must(cJSON_CreateObject());
	kj_set_text(token, "v", "meta.k8s.io/v1");
	kj_set_int(token, "rv", rv);
	kj_set_text(token, "start", key);
	kj_set_int(token, "left", remaining);
	char *json = kj_print_text(token);
	struct buf out;
	buf_init(&out, 8192);
	kube_base64url_encode(str_of(json), &out);
	char *text = kj_strdup(buf_str(&out));
	buf_deinit(&out);
	mem_free(json);
	cJSON_Delete(token);
	return text;
}

static bool token_decode(struct kube_call *call, struct str text, struct listing *out) {
	struct buf json;
	buf_init(&json, 8192);
	cJSON *token = kube_base64url_decode(text, &json) ? kj_parse(buf_str(&json)) : NULL;
	buf_deinit(&json);
	bool ok = token && strcmp(kj_text(token, "v"), "meta.k8s.io/v1") == 0 && kj_text(token, "start")[0];
	if (ok) {
		out->rv = kj_int(token, "rv");
		out->after = kj_strdup(str_of(kj_text(token, "start")));
		out->remaining = kj_int(token, "left");
	} else {
		kube_fail_bad_request(call, "invalid continue token: continue key is not valid");
	}
	cJSON_Delete(token);
	return ok;
}

static bool fail_continue_expired(struct kube_call *call, const struct listing *list) {
	char *token = token_encode(call->world->rv, list->after, list->remaining);
	cJSON *status = kube_status(410, "Expired", CONTINUE_EXPIRED, NULL);
	kj_set_text(kj_get(status, "metadata"), "continue", token);
	mem_free(token);
	kube_answer_json(call, 410, status);
	return false;
}

static bool fail_future(struct kube_call *call, const char *rv) {
	cJSON *details = kj_must(cJSON_CreateObject());
	cJSON *causes = kj_literal("[{'reason':'ResourceVersionTooLarge','message':'Too large resource version'}]");
	kj_set(details, "causes", causes);
	kj_set_int(details, "retryAfterSeconds", 1);
	world_response_header(call->out, "Retry-After", "1");
	call->out->delay_ns = 3 * NS_PER_S;
	return kube_fail(call, 504, "Timeout", details, "Timeout: Too large resource version: %s, current: %lld", rv,
			 (long long)call->world->rv);
}

static bool read_revision(struct kube_call *call, const char *text, bool exact, struct listing *out) {
	out->rv = call->world->rv;
	if (!text[0]) return true;
	int64_t rv = 0;
	if (str_to_i64(str_of(text), &rv) != OK || rv < 0) {
		return kube_fail(call, 400, "BadRequest", NULL, "resourceVersion: Invalid value: \"%s\": "
				 "strconv.ParseUint: parsing \"%s\": invalid syntax", text, text);
	}
	if (rv > call->world->rv) return fail_future(call, text);
	if (exact && rv < call->type->compacted_rv) {
		return kube_fail_expired(call, "The resourceVersion for the provided list is too old.");
	}
	if (exact) out->rv = rv;
	/* Anything else is answered from the watch cache, whole. */
	if (!exact) {
		int64_t cached = kube_cache_rv(call->world, call->type, call->now.mono_ns);
		out->rv = cached > rv ? cached : rv;
	}
	if (rv == 0) out->limit = 0;
	return true;
}

static int64_t count_of(const struct kube_call *call, const struct listing *list) {
	if (list->selector.labels || list->selector.fields) return -1;
	if (!list->prefix[0]) return (int64_t)call->type->count;
	int64_t count = 0;
	const struct kube_entry *entry = kube_entry_seek(call->type, list->prefix);
	for (; entry && str_starts(str_of(entry->key), str_of(list->prefix)); entry = kube_entry_next(entry)) {
		if (kube_rev_at(entry, list->rv)) count++;
	}
	return count;
}

static bool listing_init(struct kube_call *call, struct listing *out) {
	*out = (struct listing){ .remaining = -1 };
	if (!kube_selector_init(call, &out->selector)) return false;
	out->prefix = call->type->namespaced && call->namespace[0] ? kj_format("%s/", call->namespace)
								    : kj_strdup(STR(""));
	out->limit = world_query_i64(call->req->query, "limit", 0);
	struct buf text, match;
	buf_init(&text, 8192);
	buf_init(&match, 64);
	bool ok;
	if (world_query(call->req->query, "continue", &text) && buf_str(&text).len) {
		ok = token_decode(call, buf_str(&text), out);
		if (ok && out->rv < call->type->compacted_rv) ok = fail_continue_expired(call, out);
	} else {
		buf_reset(&text);
		world_query(call->req->query, "resourceVersion", &text);
		world_query(call->req->query, "resourceVersionMatch", &match);
		ok = read_revision(call, buf_cstr(&text), str_eq(buf_str(&match), STR("Exact")), out);
		if (ok && out->limit > 0) out->remaining = count_of(call, out);
	}
	buf_deinit(&text);
	buf_deinit(&match);
	return ok;
}

static void listing_deinit(struct listing *list) {
	kube_selector_deinit(&list->selector);
	mem_free(list->prefix);
	mem_free(list->after);
}

/* Items of built-in kinds do not repeat kind and apiVersion. */
static void append_item(struct kube_call *call, struct buf *body, const struct kube_rev *rev) {
	if (call->partial) {
		kube_append_partial(body, rev);
	} else if (call->type->builtin) {
		buf_append_char(body, '{');
		buf_append(body, str_slice(kube_rev_str(rev), strlen(call->type->prefix), SIZE_MAX));
	} else {
		buf_append(body, kube_rev_str(rev));
	}
}

/* Returns the key of the last item when more are to come, else NULL. */
static const char *append_items(struct kube_call *call, const struct listing *list, int64_t *out_count) {
	const struct kube_entry *entry = kube_entry_seek(call->type, list->after ? list->after : list->prefix);
	if (entry && list->after && strcmp(entry->key, list->after) == 0) entry = kube_entry_next(entry);
	const char *last = NULL;
	*out_count = 0;
	for (; entry && str_starts(str_of(entry->key), str_of(list->prefix)); entry = kube_entry_next(entry)) {
		const struct kube_rev *rev = kube_rev_at(entry, list->rv);
		if (!rev || !kube_selector_matches(&list->selector, rev)) continue;
		if (list->limit > 0 && *out_count == list->limit) return last;
		buf_append_char(&call->out->body, last ? ',' : '[');
		append_item(call, &call->out->body, rev);
		last = entry->key;
		(*out_count)++;
	}
	return NULL;
}

static void append_list_meta(struct kube_call *call, const struct listing *list, const char *last, int64_t count) {
	cJSON *meta = kj_must(cJSON_CreateObject());
	char rv[32];
	snprintf(rv, sizeof(rv), "%lld", (long long)list->rv);
	kj_set_text(meta, "resourceVersion", rv);
	int64_t remaining = list->remaining < 0 ? -1 : list->remaining - count;
	char *token = last ? token_encode(list->rv, last, remaining) : NULL;
	if (token) kj_set_text(meta, "continue", token);
	else if (!call->type->builtin && !call->partial) kj_set_text(meta, "continue", "");
	if (token && remaining > 0) kj_set_int(meta, "remainingItemCount", remaining);
	kj_print(&call->out->body, meta);
	cJSON_Delete(meta);
	mem_free(token);
}

void kube_do_list(struct kube_call *call) {
	struct listing list;
	if (!kube_check_options(call, false)) return;
	if (listing_init(call, &list)) {
		struct buf *body = &call->out->body;
		call->out->status = 200;
		world_response_header(call->out, "Content-Type", "application/json");
		const char *kind = call->partial ? "PartialObjectMetadata" : call->type->kind;
		const char *api_version = call->partial ? "meta.k8s.io/v1" : call->type->api_version;
		buf_printf(body, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"items\":", kind, api_version);
		int64_t count;
		const char *last = append_items(call, &list, &count);
		/* Converted to metadata an empty list is none. */
		buf_append(body, count ? STR("]") : call->partial ? STR("null") : STR("[]"));
		buf_append(body, STR(",\"metadata\":"));
		append_list_meta(call, &list, last, count);
		buf_append_char(body, '}');
	}
	listing_deinit(&list);
}
