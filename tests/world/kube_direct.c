/* What the model does by itself as time goes by, and the doors that only tests use. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

/* Lists of the past are possible for history_ns, as etcd is compacted every few minutes. */
static void compact_by_time(struct kube_world *world, struct now now) {
	if (now.mono_ns < world->next_mark_ns) return;
	world->next_mark_ns = now.mono_ns + world->config.history_ns / (KUBE_MARKS / 2);
	world->marks[world->mark_count++ % KUBE_MARKS] = (struct kube_mark){ now.mono_ns, world->rv };
	int64_t rv = 0;
	for (size_t i = 0; i < KUBE_MARKS; i++) {
		const struct kube_mark *mark = &world->marks[i];
		if (mark->at_ns <= now.mono_ns - world->config.history_ns && mark->rv > rv && mark->rv <= world->rv) {
			rv = mark->rv;
		}
	}
	for (size_t i = 0; rv && i < world->type_count; i++) kube_compact_before(world, &world->types[i], rv);
}

int64_t kube_run_controllers(struct kube_world *world, struct now now) {
	world->now = now;
	kube_gc_run(world, now);
	compact_by_time(world, now);
	return heap_first_ns(&world->gc);
}

int64_t kube_advance(struct kube_world *world, struct now now) {
	int64_t next = kube_run_controllers(world, now);
	list_for_each(node, &world->watches) {
		int64_t due = kube_watch_next_of(node);
		if (due < next) next = due;
	}
	return next;
}

int kube_request(struct kube_world *world, struct now now, const char *user, const char *method, const char *path,
		 const char *content_type, struct str body, struct buf *out_body) {
	struct str query = str_of(path), path_only = str_next(&query, '?');
	struct world_request req = {
		.method = str_of(method),
		.host = STR("kubernetes.default.svc"),
		.port = 443,
		.path = path_only,
		.query = query.ptr ? query : STR(""),
		.headers = { { STR("Content-Type"), str_of(content_type ? content_type : "application/json") },
			     { STR("User-Agent"), STR("test/1") } },
		.header_count = 2,
		.body = body,
	};
	struct world_response out;
	world_response_init(&out);
	struct kube_call call;
	kube_call_init(&call, world, now, &req, &out);
	call.superuser = user == NULL;
	snprintf(call.user, sizeof(call.user), "%s", user ? user : "admin");
	kube_route(&call);
	if (kube_authorize(&call)) kube_dispatch(&call);
	if (out_body) buf_append(out_body, buf_str(&out.body));
	int status = out.status;
	world_response_deinit(&out);
	return status;
}

cJSON *kube_get(const struct kube_world *world, const char *resource, const char *namespace, const char *name) {
	const struct kube_type *type = kube_type_named(world, resource);
	const struct kube_rev *rev = type ? kube_live(type, namespace, name) : NULL;
	return rev ? kube_rev_parse(rev) : NULL;
}

void kube_each(const struct kube_world *world, const char *resource,
	       void (*visit)(const cJSON *object, void *arg), void *arg) {
	const struct kube_type *type = kube_type_named(world, resource);
	if (!type) return;
	for (struct kube_entry *entry = type->head[0]; entry; entry = kube_entry_next(entry)) {
		if (entry->newest->deleted) continue;
		cJSON *object = kube_rev_parse(entry->newest);
		visit(object, arg);
		cJSON_Delete(object);
	}
}

size_t kube_object_count(const struct kube_world *world, const char *resource) {
	const struct kube_type *type = kube_type_named(world, resource);
	return type ? type->count : 0;
}

int64_t kube_resource_version(const struct kube_world *world) {
	return world->rv;
}

void kube_write_elsewhere(struct kube_world *world, int64_t writes) {
	world->rv += writes;
}

void kube_on_write(struct kube_world *world, void (*hook)(const struct kube_write *write, void *arg), void *arg) {
	world->on_write = hook;
	world->on_write_arg = arg;
}
