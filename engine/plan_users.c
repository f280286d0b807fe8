/* SecretSyncs of the cluster that a class or an AKVSync of the files concerns. */
#include <stdio.h>

#include "clients/json.h"
#include "engine/page.h"
#include "engine/plan_impl.h"

enum { PAGE_ITEMS = 500, WHAT_BYTES = 640 };

/* AKVSyncs take away what does not follow from them any more. */
static enum err take_leftover(struct plan *plan, const cJSON *live, struct str ns) {
	const struct check_result *checked = plan->options->checked;
	struct plan_target *target = NULL;
	for (unsigned i = 0; i < checked->count; i++) {
		const struct check_object *object = &checked->objects[i];
		if (object->kind != CHECK_AKVSYNC || object->faults || !str_eq(object->ns, ns))
			continue;
		if (!plan_belongs_to(live, object->name)) continue;
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
	return err ? err : plan_take_sync(plan, target, live);
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
		plan_exchange(plan, &call.http);
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

enum err plan_read_users(struct plan *plan, struct fault *fault) {
	const struct check_result *checked = plan->options->checked;
	enum err err = OK;
	for (unsigned i = 0; i < checked->count && !err; i++) {
		const struct check_object *object = &checked->objects[i];
		if (object->kind != CHECK_CLASS || is_listed(checked, i)) continue;
		err = list_namespace(plan, object->ns, fault);
	}
	return err;
}
