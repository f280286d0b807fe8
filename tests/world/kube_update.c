/* PUT, and the common end of all changes of an object that exists. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"

static const char STALE[] =
	"the object has been modified; please apply your changes to the latest version and try again";

/* Optimistic locking: an object that names a resourceVersion must name the stored one. */
static bool check_revision(struct kube_call *call, const cJSON *live, cJSON *object) {
	cJSON *meta = kj_object(object, "metadata");
	const char *given = kj_text(meta, "resourceVersion"), *stored = kj_text2(live, "metadata", "resourceVersion");
	if (!given[0] || strcmp(given, "0") == 0) {
		if (call->type->builtin) {
			kj_set_text(meta, "resourceVersion", stored);
			return true;
		}
		struct kube_invalid invalid = { 0 };
		kube_cause(&invalid, "FieldValueInvalid", "metadata.resourceVersion",
			   "Invalid value: 0: must be specified for an update");
		struct kube_type by_plural = *call->type;
		by_plural.kind = by_plural.plural; /* this one error names the resource instead of the kind */
		return kube_invalid_done(call, &invalid, &by_plural, call->name);
	}
	if (strcmp(given, stored) == 0) return true;
	return kube_fail_conflict(call, call->name, "%s", STALE);
}

static void keep_member(cJSON *object, const cJSON *live, const char *name) {
	const cJSON *was = kj_get(live, name);
	if (was) kj_set(object, name, kj_copy(was));
	else kj_remove(object, name);
}

/* What an update cannot change is what it was. */
static void keep_system_fields(const cJSON *live, cJSON *object) {
	cJSON *meta = kj_object(object, "metadata");
	const cJSON *old = kj_get(live, "metadata");
	keep_member(meta, old, "generation");
	keep_member(meta, old, "creationTimestamp");
	if (!kj_text(meta, "uid")[0]) keep_member(meta, old, "uid");
	if (kj_get(old, "deletionTimestamp")) keep_member(meta, old, "deletionTimestamp");
	if (kj_get(old, "deletionGracePeriodSeconds") && !kj_get(meta, "deletionGracePeriodSeconds")) {
		keep_member(meta, old, "deletionGracePeriodSeconds");
	}
}

static bool same_but_metadata(const cJSON *a, const cJSON *b) {
	const cJSON *member;
	cJSON_ArrayForEach(member, a) {
		if (strcmp(member->string, "metadata") && !kj_equal(member, kj_get(b, member->string))) return false;
	}
	cJSON_ArrayForEach(member, b) {
		if (strcmp(member->string, "metadata") && !kj_get(a, member->string)) return false;
	}
	return true;
}

/* An update of the object leaves the status alone, one of the status everything else. */
static void split_status(struct kube_call *call, const cJSON *live, cJSON *object) {
	if (!call->type->has_status) return;
	if (!call->subresource[0]) {
		keep_member(object, live, "status");
		return;
	}
	cJSON *status = kj_detach(object, "status");
	cJSON *managed = kj_detach(kj_get(object, "metadata"), "managedFields");
	while (object->child) cJSON_Delete(cJSON_DetachItemViaPointer(object, object->child));
	const cJSON *member;
	cJSON_ArrayForEach(member, live) {
		if (strcmp(member->string, "status") != 0) kj_set(object, member->string, kj_copy(member));
	}
	if (status) kj_set(object, "status", status);
	kj_remove(kj_get(object, "metadata"), "managedFields");
	if (managed) kj_set(kj_get(object, "metadata"), "managedFields", managed);
}

static void prepare(struct kube_call *call, const cJSON *live, cJSON *object) {
	keep_system_fields(live, object);
	split_status(call, live, object);
	if (strcmp(call->type->plural, "namespaces") == 0) keep_member(object, live, "status");
	if (call->type->has_generation && !call->subresource[0] && !same_but_metadata(live, object)) {
		kj_set_int(kj_get(object, "metadata"), "generation", kj_int(kj_get(live, "metadata"), "generation") + 1);
	}
}

/* When only time stamps of managedFields differ, they stay as they were, so that nothing is written. */
static void keep_times(const cJSON *live, cJSON *object) {
	const cJSON *old = kj_get2(live, "metadata", "managedFields");
	cJSON *new = kj_get2(object, "metadata", "managedFields");
	if (!old || !new || cJSON_GetArraySize(old) != cJSON_GetArraySize(new)) return;
	if (!same_but_metadata(live, object)) return;
	cJSON *copy = kj_copy(object), *entry = kj_get2(copy, "metadata", "managedFields")->child;
	for (const cJSON *was = old->child; was; was = was->next, entry = entry->next) {
		const cJSON *time = kj_get(was, "time");
		if (time) kj_set(entry, "time", kj_copy(time));
		else kj_remove(entry, "time");
	}
	if (kj_equal(live, copy)) {
		kj_set(kj_get(object, "metadata"), "managedFields",
		       kj_detach(kj_get(copy, "metadata"), "managedFields"));
	}
	cJSON_Delete(copy);
}

static bool may_go_now(const cJSON *object) {
	const cJSON *meta = kj_get(object, "metadata");
	return kj_get(meta, "deletionTimestamp") && kj_is_empty(kj_get(meta, "finalizers"));
}

void kube_finish_update(struct kube_call *call, const struct kube_rev *rev, const cJSON *live, cJSON *object) {
	struct kube_invalid invalid = { 0 };
	if (!check_revision(call, live, object)) goto out;
	prepare(call, live, object);
	kube_validate(call->type, object, live, &invalid);
	if (!kube_invalid_done(call, &invalid, call->type, call->name)) goto out;
	keep_times(live, object);
	if (!kube_admit(call, live, object)) goto out;
	if (call->dry_run) {
		kube_answer_object(call, 200, object);
	} else if (may_go_now(object)) {
		/* The answer is what was asked for; watches see what was stored last. */
		kube_remove(call, rev, live);
		kube_answer_object(call, 200, object);
	} else if (kj_equal(live, object)) {
		kube_answer_rev(call, 200, rev);
	} else {
		kube_answer_rev(call, 200, kube_commit(call, rev->entry->key, live, object, false));
	}
out:
	cJSON_Delete(object);
}

static bool check_name(struct kube_call *call, const cJSON *object) {
	const char *name = kj_text2(object, "metadata", "name");
	const char *namespace = kj_text2(object, "metadata", "namespace");
	if (strcmp(name, call->name) != 0) {
		return kube_fail_bad_request(call, "the name of the object (%s) does not match the name on the URL (%s)",
					     name, call->name);
	}
	if (namespace[0] && strcmp(namespace, call->namespace) != 0) {
		return kube_fail_bad_request(call, "the namespace of the object (%s) does not match the namespace on "
					     "the URL (%s)", namespace, call->namespace);
	}
	return true;
}

static bool check_put_uid(struct kube_call *call, const cJSON *live, const cJSON *object) {
	const char *given = kj_text2(object, "metadata", "uid"), *stored = kj_text2(live, "metadata", "uid");
	if (!given[0] || strcmp(given, stored) == 0) return true;
	return kube_fail_conflict(call, call->name,
				  "StorageError: invalid object, Code: 4, Key: /registry/%s/%s, ResourceVersion: 0, "
				  "AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object meta: %s",
				  call->type->plural, call->name, given, stored);
}

void kube_do_update(struct kube_call *call) {
	cJSON *object = kube_read_object(call);
	if (!object) return;
	const struct kube_rev *rev = kube_live(call->type, call->namespace, call->name);
	cJSON *live = rev ? kube_rev_parse(rev) : NULL;
	bool ok = kube_normalize(call, object) && check_name(call, object) &&
		  (live || kube_fail_not_found(call, call->type, call->name)) && check_put_uid(call, live, object);
	if (ok) {
		if (call->type->namespaced) kj_set_text(kj_object(object, "metadata"), "namespace", call->namespace);
		struct managed_write write = kube_managed_write(call, false);
		managed_update(&write, live, object);
		kube_finish_update(call, rev, live, take(object));
	}
	cJSON_Delete(object);
	cJSON_Delete(live);
}
