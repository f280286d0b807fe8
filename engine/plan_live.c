/* What the cluster has of the SecretSyncs and classes of a plan. */
#include <assert.h>
#include <stdio.h>

#include "base/thread.h"
#include "clients/json.h"
#include "engine/plan_impl.h"
#include "engine/reach.h"
#include "engine/spec.h"

enum { WHAT_BYTES = 640 };

/* --- one request --- */

void plan_exchange(struct plan *plan, struct http_req *req) {
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
		plan_exchange(plan, &call.http);
		err = kube_result(&call, fault, what);
	}
	if (!err) err = json_parse(http_response_body(&call.http), out_json, fault);
	kube_call_deinit(&call);
	return err == ERR_NOT_FOUND ? OK : err;
}

/* --- SecretSyncs --- */

static const cJSON *controller_of(const cJSON *live) {
	const cJSON *owners = json_get(live, "metadata.ownerReferences"), *owner;
	cJSON_ArrayForEach(owner, owners) {
		if (json_bool(owner, "controller", false)) return owner;
	}
	return NULL;
}

bool plan_belongs_to(const cJSON *live, struct str akv_sync) {
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
	if (live && akv_sync.len && !plan_belongs_to(live, akv_sync))
		return fault_make(ERR_FOREIGN,
			"a SecretSync of this name is there already and does not belong to AKVSync "
			"%.*s, so it is left as it is; delete it, or give this entry another "
			"kubernetesSecretName",
			STR_ARG(akv_sync));
	*out_action = PLAN_UNCHANGED;
	return (struct fault){ 0 };
}

/* Keeps what the store and the rows need of it. */
enum err plan_take_sync(struct plan *plan, struct plan_target *target, const cJSON *live) {
	struct object_meta meta = { 0 };
	enum plan_action action;
	struct fault fault = hindrance(plan, target, live, &action);
	if (action) return plan_settle(plan, target, action, str_of(fault.text));
	enum err err = OK;
	if (target->from) {
		err = plan_compose(target->from, KUBE_SYNCS, live, &target->json);
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
	if (!err) err = plan_take_sync(plan, target, live);
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
	if (live && akv_sync.len && !plan_belongs_to(live, akv_sync)) {
		fault = fault_make(ERR_FOREIGN,
			"SecretProviderClass %.*s is there already and does not belong to AKVSync "
			"%.*s, so it is left as it is; delete it, or rename this AKVSync",
			STR_ARG(name), STR_ARG(akv_sync));
		class->fault = mem_strdup(str_of(fault.text));
		err = class->fault ? OK : ERR_NOMEM;
	}
	if (!err) err = plan_compose(from, KUBE_CLASSES, live, &class->json);
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

enum err plan_read_cluster(struct plan *plan, struct fault *fault) {
	assert_main();
	enum err err = read_file_syncs(plan);
	if (!err) err = read_file_classes(plan);
	if (!err) err = plan_read_users(plan, fault);
	return err ? err : read_other_classes(plan);
}
