/* DELETE: at once, or when finalizers are gone. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

static const char ORPHAN[] = "orphan", FOREGROUND[] = "foregroundDeletion";

struct kube_rev *kube_remove(struct kube_call *call, const struct kube_rev *rev, const cJSON *live) {
	cJSON *last = kj_copy(live);
	call->write_verb = "delete";
	struct kube_rev *gone = kube_commit(call, rev->entry->key, live, last, true);
	cJSON_Delete(last);
	return gone;
}

/* The finalizers that a deletion of this policy leaves; NULL when there is none. */
static cJSON *finalizers_for(const cJSON *object, const char *policy) {
	cJSON *out = kj_must(cJSON_CreateArray());
	const cJSON *finalizer;
	cJSON_ArrayForEach(finalizer, kj_get2(object, "metadata", "finalizers")) {
		const char *name = finalizer->valuestring;
		bool ours = strcmp(name, ORPHAN) == 0 || strcmp(name, FOREGROUND) == 0;
		if (!ours || !policy[0]) kj_push(out, kj_copy(finalizer));
	}
	if (strcmp(policy, "Orphan") == 0) kj_push(out, cJSON_CreateString(ORPHAN));
	if (strcmp(policy, "Foreground") == 0) kj_push(out, cJSON_CreateString(FOREGROUND));
	if (out->child) return out;
	cJSON_Delete(out);
	return NULL;
}

static void mark_deleting(struct kube_call *call, cJSON *object) {
	cJSON *meta = kj_get(object, "metadata");
	if (kj_get(meta, "deletionTimestamp")) return;
	kj_set_text(meta, "deletionTimestamp", call->time);
	if (strcmp(call->type->plural, "namespaces") == 0) {
		kj_set_text(kj_object(object, "status"), "phase", "Terminating");
		return;
	}
	kj_set_int(meta, "deletionGracePeriodSeconds", 0);
	if (call->type->has_generation) kj_set_int(meta, "generation", kj_int(meta, "generation") + 1);
}

struct kube_rev *kube_delete_object(struct kube_call *call, struct kube_rev *rev, const char *policy, bool *out_gone) {
	cJSON *live = kube_rev_parse(rev), *object = kj_copy(live);
	cJSON *finalizers = finalizers_for(object, policy);
	bool waits = finalizers != NULL || strcmp(call->type->plural, "namespaces") == 0;
	kj_remove(kj_get(object, "metadata"), "finalizers");
	if (finalizers) kj_set(kj_get(object, "metadata"), "finalizers", finalizers);
	call->write_verb = "delete";
	*out_gone = !waits;
	if (waits) {
		mark_deleting(call, object);
		if (!kj_equal(live, object)) rev = kube_commit(call, rev->entry->key, live, object, false);
	} else {
		rev = kube_remove(call, rev, live);
	}
	cJSON_Delete(object);
	cJSON_Delete(live);
	return rev;
}

struct delete_options {
	char policy[16];
	cJSON *body;
};

static bool options_read(struct kube_call *call, struct delete_options *out) {
	*out = (struct delete_options){ 0 };
	if (call->req->body.len && !(out->body = kj_parse(call->req->body))) {
		return kube_fail_bad_request(call, "the body is no DeleteOptions");
	}
	struct buf policy;
	buf_init(&policy, sizeof(out->policy) - 1);
	world_query(call->req->query, "propagationPolicy", &policy);
	const char *given = kj_text(out->body, "propagationPolicy");
	if (!given[0]) given = buf_cstr(&policy);
	memcpy(out->policy, given, strnlen(given, sizeof(out->policy) - 1));
	buf_deinit(&policy);
	return true;
}

/* Named by its kind, not by its resource as other conflicts are. */
__attribute__((format(printf, 2, 3))) static bool fail_precondition(struct kube_call *call, const char *format, ...) {
	char why[512];
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	char *kind = kube_group_kind(call->type);
	kube_fail(call, 409, "Conflict", kube_details(call->type->group, call->type->kind, call->name),
		  "Operation cannot be fulfilled on %s \"%s\": %s", kind, call->name, why);
	mem_free(kind);
	return false;
}

static bool preconditions_hold(struct kube_call *call, const struct kube_rev *rev, const cJSON *options) {
	const cJSON *wanted = kj_get(options, "preconditions");
	const char *uid = kj_text(wanted, "uid"), *rv = kj_text(wanted, "resourceVersion");
	if (uid[0] && strcmp(uid, rev->entry->uid) != 0) {
		return fail_precondition(call, "the UID in the precondition (%s) does not match the UID in "
					  "record (%s). The object might have been deleted and then recreated", uid,
					  rev->entry->uid);
	}
	int64_t given = 0;
	if (rv[0] && (str_to_i64(str_of(rv), &given) != OK || given != rev->rv)) {
		return fail_precondition(call, "the ResourceVersion in the precondition (%s) does not match "
					  "the ResourceVersion in record (%lld). The object might have been modified", rv,
					  (long long)rev->rv);
	}
	return true;
}

static void answer_gone(struct kube_call *call, const char *uid) {
	cJSON *details = kube_details(call->type->group, call->type->plural, call->name);
	kj_set_text(details, "uid", uid);
	kube_answer_json(call, 200, kube_status(200, "", "", details));
}

void kube_do_delete(struct kube_call *call) {
	struct delete_options options;
	struct kube_rev *rev = kube_live(call->type, call->namespace, call->name);
	if (options_read(call, &options)) {
		if (!rev) {
			kube_fail_not_found(call, call->type, call->name);
		} else if (preconditions_hold(call, rev, options.body)) {
			char uid[KUBE_UID_BYTES];
			memcpy(uid, rev->entry->uid, sizeof(uid));
			bool gone;
			rev = kube_delete_object(call, rev, options.policy, &gone);
			if (gone) answer_gone(call, uid);
			else kube_answer_rev(call, 200, rev);
		}
	}
	cJSON_Delete(options.body);
}

void kube_do_delete_collection(struct kube_call *call) {
	struct delete_options options;
	struct kube_selector selector = { 0 };
	char *prefix = kj_format("%s%s", call->namespace, call->namespace[0] ? "/" : "");
	if (options_read(call, &options) && kube_selector_init(call, &selector)) {
		struct kube_entry *entry = kube_entry_seek(call->type, prefix);
		for (; entry && str_starts(str_of(entry->key), str_of(prefix)); entry = kube_entry_next(entry)) {
			struct kube_rev *rev = entry->newest;
			bool gone;
			if (rev->deleted || !kube_selector_matches(&selector, rev)) continue;
			kube_delete_object(call, rev, options.policy, &gone);
		}
		kube_answer_json(call, 200, kube_status(200, "", "", kube_details(call->type->group, call->type->plural, "")));
	}
	kube_selector_deinit(&selector);
	cJSON_Delete(options.body);
	mem_free(prefix);
}
