/* PATCH: which kind of patch it is, and what it makes of the stored object. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"
#include "tests/world/kube_yaml.h"

static bool check_uid_of_nothing(struct kube_call *call, const cJSON *config) {
	const char *uid = kj_text2(config, "metadata", "uid");
	if (!uid[0]) return true;
	return kube_fail_conflict(call, call->name,
				  "uid mismatch: the provided object specified uid %s, and no existing object was found", uid);
}

static bool fail_apply_conflict(struct kube_call *call, const struct managed_conflicts *conflicts) {
	struct buf text;
	buf_init(&text, 1 << 20);
	cJSON *causes = kj_must(cJSON_CreateArray());
	for (size_t i = 0; i < conflicts->count; i++) {
		const struct managed_conflict *c = &conflicts->items[i];
		cJSON *cause = kj_must(cJSON_CreateObject());
		char *message = kj_format("conflict with %s", c->manager);
		kj_set_text(cause, "reason", "FieldManagerConflict");
		kj_set_text(cause, "message", message);
		kj_set_text(cause, "field", c->path);
		kj_push(causes, cause);
		mem_free(message);
		if (conflicts->count == 1) {
			buf_printf(&text, "conflict with %s: %s", c->manager, c->path);
			continue;
		}
		bool again = i && strcmp(conflicts->items[i - 1].manager, c->manager) == 0;
		if (!again) buf_printf(&text, "%sconflicts with %s:", i ? "\n" : "", c->manager);
		buf_printf(&text, "\n- %s", c->path);
	}
	cJSON *details = kj_must(cJSON_CreateObject());
	kj_set(details, "causes", causes);
	kube_fail(call, 409, "Conflict", details, "Apply failed with %zu conflict%s: %s", conflicts->count,
		  conflicts->count == 1 ? "" : "s", buf_cstr(&text));
	buf_deinit(&text);
	return false;
}

static bool check_config(struct kube_call *call, const cJSON *config) {
	const char *kind = kj_text(config, "kind"), *api_version = kj_text(config, "apiVersion");
	if (!kind[0]) {
		return kube_fail_bad_request(call, "Object 'Kind' is missing in '%.*s'", STR_ARG(call->req->body));
	}
	if (strcmp(kind, call->type->kind) != 0 || strcmp(api_version, call->type->api_version) != 0) {
		return kube_fail_bad_request(call, "invalid object type: %s, Kind=%s", api_version, kind);
	}
	if (kj_get2(config, "metadata", "managedFields")) {
		return kube_fail_bad_request(call, "metadata.managedFields must be nil");
	}
	return true;
}

static bool check_apply_options(struct kube_call *call) {
	struct buf value;
	buf_init(&value, 1024);
	bool given = world_query(call->req->query, "fieldManager", &value) && buf_str(&value).len;
	buf_deinit(&value);
	if (given) return true;
	cJSON *details = kube_details("meta.k8s.io", "PatchOptions", "");
	cJSON *causes = kj_literal("[{'reason':'FieldValueRequired','message':'Required value: is required for apply "
				   "patch','field':'fieldManager'}]");
	kj_set(details, "causes", causes);
	return kube_fail(call, 422, "Invalid", details,
			 "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply "
			 "patch");
}

static void do_apply(struct kube_call *call, const struct kube_rev *rev, const cJSON *live) {
	struct str body = call->req->body;
	cJSON *config = kj_parse(body);
	if (!config) config = kube_yaml_next(&body);
	struct managed_conflicts conflicts = { 0 };
	if (!cJSON_IsObject(config)) {
		kube_fail_bad_request(call, "error decoding YAML: the body is no object");
		goto out;
	}
	if (!check_config(call, config)) goto out;
	if (!live && !check_uid_of_nothing(call, config)) goto out;
	struct managed_write write = kube_managed_write(call, world_query_bool(call->req->query, "force"));
	cJSON *object = managed_apply(&write, live, config, &conflicts);
	call->write_verb = "apply";
	if (!object) {
		fail_apply_conflict(call, &conflicts);
	} else if (!kube_normalize(call, object)) {
		cJSON_Delete(object);
	} else if (live) {
		kube_finish_update(call, rev, live, object);
	} else {
		kj_set_text(kj_object(object, "metadata"), "name", call->name);
		kube_finish_create(call, object);
	}
out:
	managed_conflicts_deinit(&conflicts);
	cJSON_Delete(config);
}

/* JSON patch and merge patch: both are laid over the stored object as clients see it. */
static void do_edit(struct kube_call *call, const struct kube_rev *rev, const cJSON *live, bool merge) {
	if (!live) {
		kube_fail_not_found(call, call->type, call->name);
		return;
	}
	cJSON *patch = kj_parse(call->req->body), *object = NULL;
	if (merge ? !cJSON_IsObject(patch) : !cJSON_IsArray(patch)) {
		kube_fail_bad_request(call, "error decoding patch: json: cannot unmarshal the body");
		goto out;
	}
	object = kj_copy(live);
	if (merge) kube_patch_merge(object, patch);
	else if (!kube_patch_json(call, &object, patch)) goto out;
	if (!kube_normalize(call, object)) goto out;
	struct managed_write write = kube_managed_write(call, false);
	managed_update(&write, live, object);
	kube_finish_update(call, rev, live, take(object));
out:
	cJSON_Delete(object);
	cJSON_Delete(patch);
}

void kube_do_patch(struct kube_call *call) {
	struct str type = world_request_header(call->req, "Content-Type");
	type = str_trim(str_slice(type, 0, str_find_char(type, ';')));
	bool apply = str_eq(type, STR("application/apply-patch+yaml"));
	bool merge = str_eq(type, STR("application/merge-patch+json"));
	if (!apply && !merge && !str_eq(type, STR("application/json-patch+json"))) {
		kube_fail(call, 415, "UnsupportedMediaType", kj_must(cJSON_CreateObject()),
			  "415: Unsupported Media Type");
		return;
	}
	if (apply && !check_apply_options(call)) return;
	const struct kube_rev *rev = kube_live(call->type, call->namespace, call->name);
	cJSON *live = rev ? kube_rev_parse(rev) : NULL;
	if (apply) do_apply(call, rev, live);
	else do_edit(call, rev, live, merge);
	cJSON_Delete(live);
}
