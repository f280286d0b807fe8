/* What the cluster has of the SecretSyncs and classes of a plan, and how they would be there once the files are applied. */
#include <assert.h>
#include <stdio.h>

#include "base/loop.h"
#include "base/thread.h"
#include "clients/json.h"
#include "engine/crd.h"
#include "engine/page.h"
#include "engine/plan_impl.h"
#include "engine/reach.h"
#include "engine/schema.h"
#include "engine/spec.h"

enum { PAGE_ITEMS = 500, WHAT_BYTES = 640 };

/* Of an object that is not there yet: no Secret belongs to it. */
static const char NO_UID[] = "00000000-0000-4000-8000-000000000000";

/* --- one request --- */

static void exchange(struct plan *plan, struct http_req *req) {
	reach_exchange(plan->below, plan->loop, req, &plan->answered);
}

/* *out_json NULL with OK: it is not there. */
static enum err get_object(struct plan *plan, enum kube_resource resource, struct str ns,
	struct str name, cJSON **out_json, struct fault *fault) {
	struct kube_call call = { 0 };
	char what[WHAT_BYTES];
	snprintf(what, sizeof what, "get %s %.*s/%.*s", kube_kind(resource), STR_ARG(ns),
		STR_ARG(name));
	*out_json = NULL;
	enum err err = kube_custom_get(&call, plan->kube, resource, ns, name);
	if (!err) {
		exchange(plan, &call.http);
		err = kube_result(&call, fault, what);
	}
	if (!err) err = json_parse(http_response_body(&call.http), out_json, fault);
	kube_call_deinit(&call);
	return err == ERR_NOT_FOUND ? OK : err;
}

/* --- an object as it would be --- */

/* The spec with the defaults that the API server puts in. */
static enum err filled_spec(
	const struct check_object *from, enum kube_resource resource, cJSON **out_spec) {
	bool is_sync = resource == KUBE_SYNCS;
	cJSON *spec = cJSON_Duplicate(json_get(check_json(from), "spec"), true), *schema = NULL;
	if (!spec) return ERR_NOMEM;
	enum err err = crd_schema(
		is_sync ? STR("secret-sync.x-k8s.io") : STR("secrets-store.csi.x-k8s.io"),
		is_sync ? STR("v1alpha1") : STR("v1"), str_of(kube_kind(resource)), &schema);
	if (!err) err = schema_fill(json_get(schema, "properties.spec"), spec);
	cJSON_Delete(schema);
	if (err)
		cJSON_Delete(spec);
	else
		*out_spec = spec;
	return err;
}

static bool add_text(cJSON *object, const char *key, struct str text) {
	char *copy = mem_strdup(text);
	bool added = copy && cJSON_AddStringToObject(object, key, copy);
	mem_free(copy);
	return added;
}

static bool add_owned(cJSON *object, const char *key, cJSON *value) {
	if (value && cJSON_AddItemToObject(object, key, value)) return true;
	cJSON_Delete(value);
	return false;
}

/* live NULL: it is not in the cluster. A change of the spec is another generation. */
static enum err compose(const struct check_object *from, enum kube_resource resource,
	const cJSON *live, cJSON **out_json) {
	cJSON *spec = NULL, *json = NULL, *metadata;
	enum err err = filled_spec(from, resource, &spec);
	if (err) return err;
	bool same = live && cJSON_Compare(spec, json_get(live, "spec"), true);
	int64_t generation = json_i64(live, "metadata.generation", 0) + !same;
	struct str uid = json_str(live, "metadata.uid");
	json = cJSON_CreateObject();
	bool made = json && add_owned(json, "spec", take(spec));
	cJSON_Delete(spec);
	metadata = made ? cJSON_AddObjectToObject(json, "metadata") : NULL;
	made = metadata && add_text(metadata, "namespace", from->ns) &&
	       add_text(metadata, "name", from->name) &&
	       add_text(metadata, "uid", uid.len ? uid : str_of(NO_UID)) &&
	       cJSON_AddNumberToObject(metadata, "generation", (double)generation);
	const cJSON *status = json_get(live, "status");
	if (made && status) made = add_owned(json, "status", cJSON_Duplicate(status, true));
	if (!made) cJSON_Delete(json);
	if (made) *out_json = json;
	return made ? OK : ERR_NOMEM;
}

/* --- SecretSyncs --- */

static const cJSON *controller_of(const cJSON *live) {
	const cJSON *owners = json_get(live, "metadata.ownerReferences"), *owner;
	cJSON_ArrayForEach(owner, owners) {
		if (json_bool(owner, "controller", false)) return owner;
	}
	return NULL;
}

static bool belongs_to(const cJSON *live, struct str akv_sync) {
	const cJSON *owner = controller_of(live);
	return owner && str_eq(json_str(owner, "kind"), STR("AKVSync")) &&
	       str_eq(json_str(owner, "name"), akv_sync);
}

static struct str akv_sync_of(const struct plan *plan, const struct check_object *from) {
	return from && from->derived ? plan->options->checked->objects[from->from].name : STR_NULL;
}

/* What is in the way before anything is asked; *out_action PLAN_UNCHANGED: nothing. */
static struct fault hindrance(const struct plan *plan, const struct plan_target *target,
	const cJSON *live, enum plan_action *out_action) {
	struct str akv_sync = akv_sync_of(plan, target->from);
	*out_action = PLAN_FAILED;
	if (json_get(live, "metadata.deletionTimestamp"))
		return fault_make(ERR_INVALID,
			"the SecretSync of the cluster is being deleted: nothing is written for "
			"it");
	*out_action = PLAN_REFUSED;
	if (live && akv_sync.len && !belongs_to(live, akv_sync))
		return fault_make(ERR_FOREIGN,
			"a SecretSync of this name is there already and does not belong to AKVSync "
			"%.*s, so it is left as it is; delete it, or give this entry another "
			"kubernetesSecretName",
			STR_ARG(akv_sync));
	*out_action = PLAN_UNCHANGED;
	return (struct fault){ 0 };
}

/* Keeps what the store and the rows need of it. */
static enum err take_sync(struct plan *plan, struct plan_target *target, const cJSON *live) {
	struct object_meta meta = { 0 };
	enum plan_action action;
	struct fault fault = hindrance(plan, target, live, &action);
	if (action) return plan_settle(plan, target, action, str_of(fault.text));
	enum err err = OK;
	if (target->from) {
		err = compose(target->from, KUBE_SYNCS, live, &target->json);
	} else {
		target->json = cJSON_Duplicate(live, true);
		err = target->json ? OK : ERR_NOMEM;
	}
	if (!err) err = object_meta_read(target->json, &meta);
	if (!err) {
		snprintf(target->record.uid, sizeof target->record.uid, "%.*s", STR_ARG(meta.uid));
		err = status_parse(json_get(live, "status"),
			config_settings(plan->options->config).names, meta.uid, &target->recorded);
	}
	return err;
}

static enum err read_sync(struct plan *plan, struct plan_target *target) {
	struct fault fault = { 0 };
	cJSON *live = NULL;
	enum err err = get_object(plan, KUBE_SYNCS, target->ns, target->name, &live, &fault);
	if (err && err != ERR_NOMEM)
		return plan_settle(plan, target, PLAN_FAILED,
			str_of(fault.text[0] ? fault.text : err_text(err)));
	if (!err) err = take_sync(plan, target, live);
	cJSON_Delete(live);
	return err;
}

static bool is_planned(const struct check_object *object) {
	return object->kind == CHECK_SYNC && !object->faults &&
	       (!object->class || !object->class->faults);
}

static enum err read_file_syncs(struct plan *plan) {
	const struct check_result *checked = plan->options->checked;
	enum err err = OK;
	for (unsigned i = 0; i < checked->count && !err; i++) {
		const struct check_object *object = &checked->objects[i];
		struct plan_target *target = NULL;
		if (!is_planned(object)) continue;
		err = plan_add_target(plan, object->ns, object->name, object, &target);
		if (!err) err = read_sync(plan, target);
	}
	return err;
}

/* --- classes --- */

static enum err read_class(struct plan *plan, struct plan_class *class, struct str ns,
	struct str name, const struct check_object *from) {
	struct fault fault = { 0 };
	cJSON *live = NULL;
	enum err err = get_object(plan, KUBE_CLASSES, ns, name, &live, &fault);
	if (err && err != ERR_NOMEM) {
		class->fault = mem_strdup(str_of(fault.text[0] ? fault.text : err_text(err)));
		return class->fault ? OK : ERR_NOMEM;
	}
	if (err || !from) {
		class->json = live;
		return err;
	}
	struct str akv_sync = akv_sync_of(plan, from);
	if (live && akv_sync.len && !belongs_to(live, akv_sync)) {
		fault = fault_make(ERR_FOREIGN,
			"SecretProviderClass %.*s is there already and does not belong to AKVSync "
			"%.*s, so it is left as it is; delete it, or rename this AKVSync",
			STR_ARG(name), STR_ARG(akv_sync));
		class->fault = mem_strdup(str_of(fault.text));
		err = class->fault ? OK : ERR_NOMEM;
	}
	if (!err) err = compose(from, KUBE_CLASSES, live, &class->json);
	cJSON_Delete(live);
	return err;
}

static enum err read_file_classes(struct plan *plan) {
	const struct check_result *checked = plan->options->checked;
	enum err err = OK;
	for (unsigned i = 0; i < checked->count && !err; i++) {
		const struct check_object *object = &checked->objects[i];
		struct plan_class *class = NULL;
		if (object->kind != CHECK_CLASS || object->faults) continue;
		err = plan_add_class(plan, object->ns, object->name, &class);
		if (!err) err = read_class(plan, class, object->ns, object->name, object);
		if (!err) class->in_files = true;
	}
	return err;
}

/* The classes that SecretSyncs name and the files do not have. */
static enum err read_other_classes(struct plan *plan) {
	enum err err = OK;
	for (unsigned i = 0; i < plan->count && !err; i++) {
		struct plan_target *target = plan->targets[i];
		struct str name = json_str(target->json, "spec.secretProviderClassName");
		if (target->ended || !name.len) continue;
		struct plan_class *class = plan_find_class(plan, target->ns, name);
		if (!class) {
			err = plan_add_class(plan, target->ns, name, &class);
			if (!err) err = read_class(plan, class, target->ns, name, NULL);
		}
		if (!err && class->fault)
			err = plan_settle(plan, target, PLAN_FAILED, str_of(class->fault));
	}
	return err;
}

/* --- SecretSyncs of the cluster that a class of the files concerns --- */

/* AKVSyncs take away what does not follow from them any more. */
static enum err take_leftover(struct plan *plan, const cJSON *live, struct str ns) {
	const struct check_result *checked = plan->options->checked;
	struct plan_target *target = NULL;
	for (unsigned i = 0; i < checked->count; i++) {
		const struct check_object *object = &checked->objects[i];
		if (object->kind != CHECK_AKVSYNC || object->faults || !str_eq(object->ns, ns))
			continue;
		if (!belongs_to(live, object->name)) continue;
		enum err err =
			plan_add_target(plan, ns, json_str(live, "metadata.name"), NULL, &target);
		return err ? err
			   : plan_settle(plan, target, PLAN_REMOVE,
				     STR("it does not follow from its AKVSync any more: the "
					 "SecretSync is deleted, and its Secret with it"));
	}
	return OK;
}

static enum err take_item(struct plan *plan, struct str ns, const cJSON *live) {
	struct str name = json_str(live, "metadata.name");
	struct plan_target *target = NULL;
	if (!name.len || plan_find(plan, ns, name)) return OK;
	struct plan_class *class =
		plan_find_class(plan, ns, json_str(live, "spec.secretProviderClassName"));
	enum err err = take_leftover(plan, live, ns);
	if (err || plan_find(plan, ns, name) || !class || !class->in_files) return err;
	err = plan_add_target(plan, ns, name, NULL, &target);
	return err ? err : take_sync(plan, target, live);
}

static enum err take_page(struct plan *plan, struct str ns, struct str body, cJSON **out_metadata) {
	struct fault ignored = { 0 };
	struct page page;
	struct str text;
	enum page_step step;
	enum err err = OK;
	page_init(&page, body);
	while (!err && (step = page_next(&page, &text)) == PAGE_ITEM) {
		cJSON *live = NULL;
		err = json_parse(text, &live, &ignored);
		if (!err) err = take_item(plan, ns, live);
		cJSON_Delete(live);
	}
	if (err) return err;
	return step == PAGE_END ? json_parse(page.metadata, out_metadata, &ignored) : ERR_PARSE;
}

/* One page; *out_metadata has the token of the next one. */
static enum err list_page(struct plan *plan, struct str ns, struct str token, cJSON **out_metadata,
	struct fault *fault) {
	struct kube_call call = { 0 };
	char what[WHAT_BYTES];
	snprintf(what, sizeof what, "list the SecretSyncs of namespace %.*s", STR_ARG(ns));
	enum err err = kube_list_in(&call, plan->kube, KUBE_SYNCS, ns, PAGE_ITEMS, token);
	if (!err) {
		exchange(plan, &call.http);
		err = kube_result(&call, fault, what);
	}
	if (!err) err = take_page(plan, ns, http_response_body(&call.http), out_metadata);
	kube_call_deinit(&call);
	return err;
}

/* A cluster without the kind has none. */
static enum err list_namespace(struct plan *plan, struct str ns, struct fault *fault) {
	cJSON *metadata = NULL;
	enum err err = OK;
	do {
		cJSON *last = take(metadata);
		err = list_page(plan, ns, json_str(last, "continue"), &metadata, fault);
		cJSON_Delete(last);
	} while (!err && json_str(metadata, "continue").len);
	cJSON_Delete(metadata);
	return err == ERR_NOT_FOUND ? OK : err;
}

static bool is_listed(const struct check_result *checked, unsigned index) {
	for (unsigned i = 0; i < index; i++) {
		const struct check_object *object = &checked->objects[i];
		if (object->kind == CHECK_CLASS && str_eq(object->ns, checked->objects[index].ns))
			return true;
	}
	return false;
}

static enum err read_users(struct plan *plan, struct fault *fault) {
	const struct check_result *checked = plan->options->checked;
	enum err err = OK;
	for (unsigned i = 0; i < checked->count && !err; i++) {
		const struct check_object *object = &checked->objects[i];
		if (object->kind != CHECK_CLASS || is_listed(checked, i)) continue;
		err = list_namespace(plan, object->ns, fault);
	}
	return err;
}

enum err plan_read_cluster(struct plan *plan, struct fault *fault) {
	assert_main();
	enum err err = read_file_syncs(plan);
	if (!err) err = read_file_classes(plan);
	if (!err) err = read_users(plan, fault);
	return err ? err : read_other_classes(plan);
}
