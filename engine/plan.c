#include "engine/plan_impl.h"

#include <assert.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/thread.h"
#include "clients/http_curl.h"
#include "engine/reach.h"

enum { ARENA_BYTES = 64 << 20, KEY_BYTES = 512 };

const char *plan_action_name(enum plan_action action) {
	static const char *const names[] = {
		[PLAN_UNCHANGED] = "unchanged",
		[PLAN_CREATE] = "create",
		[PLAN_UPDATE] = "update",
		[PLAN_REMOVE] = "remove",
		[PLAN_UNKNOWN] = "unknown",
		[PLAN_REFUSED] = "refused",
		[PLAN_FAILED] = "failed",
	};
	return names[action];
}

/* --- targets and classes --- */

static struct str target_key(const struct map_node *node) {
	return str_of(container_of(node, struct plan_record, node)->key);
}

static struct str class_key(const struct map_node *node) {
	return str_of(container_of(node, struct plan_class, node)->key);
}

static struct str make_key(char buffer[static KEY_BYTES], struct str ns, struct str name) {
	int len = snprintf(buffer, KEY_BYTES, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
	assert(len > 0 && len < KEY_BYTES);
	return (struct str){ buffer, (size_t)len };
}

struct plan_target *plan_find(const struct plan *plan, struct str ns, struct str name) {
	char buffer[KEY_BYTES];
	struct map_node *node = map_find(&plan->by_key, make_key(buffer, ns, name));
	return node ? container_of(node, struct plan_target, record.node) : NULL;
}

struct plan_class *plan_find_class(const struct plan *plan, struct str ns, struct str name) {
	char buffer[KEY_BYTES];
	struct map_node *node = map_find(&plan->class_by_key, make_key(buffer, ns, name));
	return node ? container_of(node, struct plan_class, node) : NULL;
}

/* Room for one more in a list of pointers that doubles. */
static enum err make_room(void *list, unsigned count) {
	void **at = list, *more = *at;
	if (!(count & (count - 1)))
		more = mem_realloc(*at, (count ? 2 * (size_t)count : 1) * sizeof(void *));
	if (!more) return ERR_NOMEM;
	*at = more;
	return OK;
}

static void target_free(struct plan_target *target) {
	if (!target) return;
	for (unsigned i = 0; i < target->row_count; i++) {
		mem_free(target->rows[i].name);
		mem_free(target->rows[i].message);
	}
	mem_free(target->rows);
	mem_free(target->message);
	cJSON_Delete(target->json);
	status_deinit(&target->recorded);
	status_deinit(&target->status);
	spec_unref(target->spec);
	spc_unref(target->spc);
	mem_free(target->read);
	plan_record_deinit(&target->record);
	mem_free(target);
}

enum err plan_add_target(struct plan *plan, struct str ns, struct str name,
	const struct check_object *from, struct plan_target **out_target) {
	char buffer[KEY_BYTES];
	struct plan_target *target = mem_zalloc(sizeof *target);
	if (!target) return ERR_NOMEM;
	target->from = from;
	target->record.key = mem_strdup(make_key(buffer, ns, name));
	enum err err = target->record.key ? make_room(&plan->targets, plan->count) : ERR_NOMEM;
	if (!err) err = map_insert(&plan->by_key, &target->record.node);
	if (err) {
		target_free(target);
		return err;
	}
	target->ns = str_slice(str_of(target->record.key), 0, ns.len);
	target->name = str_slice(str_of(target->record.key), ns.len + 1, name.len);
	plan->targets[plan->count++] = target;
	plan->pending++;
	*out_target = target;
	return OK;
}

static void class_free(struct plan_class *class) {
	if (!class) return;
	cJSON_Delete(class->json);
	mem_free(class->fault);
	mem_free(class->key);
	mem_free(class);
}

enum err plan_add_class(
	struct plan *plan, struct str ns, struct str name, struct plan_class **out_class) {
	char buffer[KEY_BYTES];
	struct plan_class *class = mem_zalloc(sizeof *class);
	if (!class) return ERR_NOMEM;
	class->key = mem_strdup(make_key(buffer, ns, name));
	enum err err = class->key ? make_room(&plan->classes, plan->class_count) : ERR_NOMEM;
	if (!err) err = map_insert(&plan->class_by_key, &class->node);
	if (err) {
		class_free(class);
		return err;
	}
	plan->classes[plan->class_count++] = class;
	*out_class = class;
	return OK;
}

enum err plan_settle(struct plan *plan, struct plan_target *target, enum plan_action action,
	struct str message) {
	target->message = message.len ? mem_strdup(message) : NULL;
	if (message.len && !target->message) return ERR_NOMEM;
	target->action = action;
	target->ended = true;
	plan->pending--;
	return OK;
}

/* --- all of it --- */

static enum err open_plan(struct plan *plan, struct reach *reach, struct fault *fault) {
	const struct plan_options *options = plan->options;
	if (getrandom(plan->key, sizeof plan->key, 0) != sizeof plan->key) return ERR_IO;
	if (getrandom(&plan->hash_key, sizeof plan->hash_key, 0) != sizeof plan->hash_key)
		return ERR_IO;
	map_init(&plan->by_key, plan->hash_key, target_key);
	map_init(&plan->class_by_key, plan->hash_key, class_key);
	plan->arena = secret_arena_create(ARENA_BYTES);
	if (!plan->arena) return ERR_NOMEM;
	enum err err = reach_init(reach, options->kubeconfig, options->context, REACH_CONNECTIONS,
		plan->arena, fault);
	if (err) return err;
	plan->kube = &reach->kube;
	return plan_open_pool(plan);
}

static void count(struct plan *plan) {
	for (unsigned i = 0; i < plan->count; i++) {
		const struct plan_target *target = plan->targets[i];
		if (!target->row_count) plan->totals[target->action]++;
		for (unsigned row = 0; row < target->row_count; row++)
			plan->totals[target->rows[row].action]++;
	}
}

enum err plan_make(const struct plan_options *options, struct plan *out_plan, struct fault *fault) {
	struct plan plan = { .options = options };
	struct reach reach = { 0 };
	assert_main();
	enum err err = http_curl_global_init();
	bool has_curl = err == OK;
	if (!err) err = open_plan(&plan, &reach, fault);
	if (!err) err = plan_read_cluster(&plan, fault);
	if (!err) err = plan_run(&plan);
	if (!err) count(&plan);
	plan_close_pool(&plan);
	reach_deinit(&reach);
	if (has_curl) http_curl_global_deinit();
	if (err)
		plan_deinit(&plan);
	else
		*out_plan = plan;
	return err;
}

void plan_deinit(struct plan *plan) {
	for (unsigned i = 0; i < plan->count; i++) target_free(plan->targets[i]);
	for (unsigned i = 0; i < plan->class_count; i++) class_free(plan->classes[i]);
	mem_free(plan->targets);
	mem_free(plan->classes);
	if (plan->arena) map_deinit(&plan->by_key);
	if (plan->arena) map_deinit(&plan->class_by_key);
	secret_arena_destroy(plan->arena);
	*plan = (struct plan){ 0 };
}

bool plan_has_failures(const struct plan *plan) {
	return plan->totals[PLAN_REFUSED] || plan->totals[PLAN_FAILED];
}

bool plan_has_changes(const struct plan *plan) {
	return plan->totals[PLAN_CREATE] || plan->totals[PLAN_UPDATE] ||
	       plan->totals[PLAN_REMOVE] || plan->totals[PLAN_UNKNOWN];
}
