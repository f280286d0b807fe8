/* One request of the Kubernetes API: where it goes, who asks, what it answers. */
#include "tests/world/kube.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

enum { MAX_SEGMENTS = 8, MAX_BODY_BYTES = 3 << 20 };

void kube_answer_text(struct kube_call *call, int status, const char *content_type, const char *text) {
	call->out->status = status;
	world_response_header(call->out, "Content-Type", "%s", content_type);
	buf_append(&call->out->body, str_of(text));
}

static void answer_head(struct kube_call *call, int status) {
	call->out->status = status;
	world_response_header(call->out, "Content-Type", "application/json");
}

void kube_answer_json(struct kube_call *call, int status, cJSON *json) {
	answer_head(call, status);
	kj_print(&call->out->body, json);
	cJSON_Delete(json);
}

cJSON *kube_partial_of(const cJSON *object) {
	cJSON *partial = kj_must(cJSON_CreateObject());
	kj_set_text(partial, "kind", "PartialObjectMetadata");
	kj_set_text(partial, "apiVersion", "meta.k8s.io/v1");
	kj_set(partial, "metadata", kj_copy(kj_get(object, "metadata")));
	return partial;
}

void kube_answer_object(struct kube_call *call, int status, const cJSON *object) {
	kube_answer_json(call, status, call->partial ? kube_partial_of(object) : kj_copy(object));
}

/* Where the value that begins at `at` ends. The text is our own: well-formed, without blanks. */
static const char *value_end(const char *at) {
	int depth = 0;
	bool quoted = false;
	for (;; at++) {
		if (quoted) {
			if (*at == '\\') at++;
			else if (*at == '"') quoted = false;
			continue;
		}
		if (*at == '"') quoted = true;
		if (!depth && (*at == ',' || *at == '}')) return at;
		depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
	}
}

void kube_append_partial(struct buf *out, const struct kube_rev *rev) {
	static const char wanted[] = "\"metadata\":";
	const char *member = rev->json + 1;
	while (strncmp(member, wanted, sizeof(wanted) - 1) != 0) {
		assert(*member == '"');
		member = value_end(member) + 1;
	}
	const char *value = member + sizeof(wanted) - 1;
	buf_append(out, STR("{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"));
	buf_append(out, (struct str){ value, (size_t)(value_end(value) - value) });
	buf_append_char(out, '}');
}

void kube_answer_rev(struct kube_call *call, int status, const struct kube_rev *rev) {
	answer_head(call, status);
	if (call->partial) kube_append_partial(&call->out->body, rev);
	else buf_append(&call->out->body, kube_rev_str(rev));
}

/* The path in decoded segments. */
struct segments {
	struct str at[MAX_SEGMENTS];
	size_t count;
	struct buf text;
};

static void segments_of(struct str path, struct segments *out) {
	*out = (struct segments){ 0 };
	buf_init(&out->text, WORLD_HEAD_BYTES);
	size_t ends[MAX_SEGMENTS];
	struct str rest = str_slice(path, 1, SIZE_MAX);
	while (out->count < MAX_SEGMENTS && world_path_next(&rest, &out->text)) {
		ends[out->count++] = buf_str(&out->text).len;
	}
	size_t start = 0;
	for (size_t i = 0; i < out->count; i++) {
		out->at[i] = str_slice(buf_str(&out->text), start, ends[i] - start);
		start = ends[i];
	}
}

static bool copy_text(struct str from, char *to, size_t size) {
	if (from.len >= size || memchr(from.ptr, 0, from.len)) return false;
	memcpy(to, from.ptr, from.len);
	to[from.len] = 0;
	return true;
}

/* [namespaces NS] PLURAL [NAME [SUBRESOURCE]], from segment `i` on. */
static bool route_resource(struct kube_call *call, const struct segments *s, size_t i, struct str group,
			   struct str version) {
	bool nested = i + 2 < s->count && str_eq(s->at[i], STR("namespaces"));
	/* namespaces/NS/status belongs to the namespace itself. */
	if (nested && group.len == 0 && i + 3 == s->count &&
	    (str_eq(s->at[i + 2], STR("status")) || str_eq(s->at[i + 2], STR("finalize")))) {
		nested = false;
	}
	if (nested) {
		if (!copy_text(s->at[i + 1], call->namespace, sizeof(call->namespace))) return false;
		i += 2;
	}
	if (i >= s->count) return false;
	call->type = kube_type_find(call->world, group, version, s->at[i]);
	if (!call->type) return false;
	if (i + 1 < s->count && !copy_text(s->at[i + 1], call->name, sizeof(call->name))) return false;
	if (i + 2 < s->count && !copy_text(s->at[i + 2], call->subresource, sizeof(call->subresource))) return false;
	return i + 3 >= s->count;
}

static const char *verb_of(const struct kube_call *call) {
	struct str method = call->req->method;
	if (str_eq(method, STR("POST"))) return "create";
	if (str_eq(method, STR("PUT"))) return "update";
	if (str_eq(method, STR("PATCH"))) return "patch";
	if (str_eq(method, STR("DELETE"))) return call->name[0] ? "delete" : "deletecollection";
	if (kube_request_is_watch(call->req)) return "watch";
	return call->name[0] ? "get" : "list";
}

bool kube_route(struct kube_call *call) {
	struct segments s;
	segments_of(call->req->path, &s);
	bool ok = false;
	if (s.count >= 3 && str_eq(s.at[0], STR("api"))) ok = route_resource(call, &s, 2, STR(""), s.at[1]);
	else if (s.count >= 4 && str_eq(s.at[0], STR("apis"))) ok = route_resource(call, &s, 3, s.at[1], s.at[2]);
	if (!ok) call->type = NULL;
	buf_deinit(&s.text);
	call->verb = call->type ? verb_of(call) : "get";
	return ok;
}

bool kube_request_is_watch(const struct world_request *req) {
	return str_eq(req->method, STR("GET")) && world_query_bool(req->query, "watch");
}

static void do_version(struct kube_call *call) {
	kube_answer_json(call, 200,
			 kj_literal("{'major':'1','minor':'36','gitVersion':'v1.36.3','gitCommit':'','gitTreeState':'',"
				    "'buildDate':'1970-01-01T00:00:00Z','goVersion':'','compiler':'','platform':"
				    "'linux/amd64'}"));
}

static void dispatch_path(struct kube_call *call) {
	struct str path = call->req->path;
	if (str_eq(path, STR("/version"))) do_version(call);
	else if (str_eq(path, STR("/readyz")) || str_eq(path, STR("/livez")) || str_eq(path, STR("/healthz")))
		kube_answer_text(call, 200, "text/plain; charset=utf-8", "ok");
	else if (str_eq(path, STR("/openid/v1/jwks"))) kube_do_jwks(call);
	else if (str_eq(path, STR("/.well-known/openid-configuration"))) kube_do_openid(call);
	else kube_fail_path(call);
}

static bool subresource_is_served(const struct kube_call *call) {
	if (!call->subresource[0]) return true;
	if (strcmp(call->subresource, "status") == 0) return call->type->has_status;
	return strcmp(call->subresource, "token") == 0 && strcmp(call->type->plural, "serviceaccounts") == 0;
}

static void dispatch_verb(struct kube_call *call) {
	bool named = call->name[0] != 0;
	if (strcmp(call->subresource, "token") == 0) {
		if (strcmp(call->verb, "create") == 0) kube_do_token(call);
		else kube_fail_method(call);
	} else if (strcmp(call->verb, "get") == 0) {
		kube_do_get(call);
	} else if (strcmp(call->verb, "list") == 0) {
		kube_do_list(call);
	} else if (strcmp(call->verb, "create") == 0 && !named) {
		kube_do_create(call);
	} else if (strcmp(call->verb, "update") == 0 && named) {
		kube_do_update(call);
	} else if (strcmp(call->verb, "patch") == 0 && named) {
		kube_do_patch(call);
	} else if (strcmp(call->verb, "delete") == 0 && !call->subresource[0]) {
		kube_do_delete(call);
	} else if (strcmp(call->verb, "deletecollection") == 0) {
		kube_do_delete_collection(call);
	} else {
		kube_fail_method(call);
	}
}

void kube_dispatch(struct kube_call *call) {
	if (!call->type) {
		dispatch_path(call);
	} else if (!subresource_is_served(call)) {
		kube_fail(call, 404, "NotFound", kj_must(cJSON_CreateObject()),
			  "the server could not find the requested resource");
	} else {
		dispatch_verb(call);
	}
}

static void query_text(struct str query, const char *name, char *out, size_t size) {
	struct buf value;
	buf_init(&value, size - 1);
	world_query(query, name, &value);
	snprintf(out, size, "%s", buf_cstr(&value));
	buf_deinit(&value);
}

/* fieldManager, or what stands before the slash of User-Agent. */
static void read_manager(struct kube_call *call) {
	query_text(call->req->query, "fieldManager", call->manager, sizeof(call->manager));
	if (call->manager[0]) return;
	struct str agent = world_request_header(call->req, "User-Agent");
	agent = str_slice(agent, 0, str_find_char(agent, '/'));
	snprintf(call->manager, sizeof(call->manager), "%.*s", STR_ARG(agent));
	if (!call->manager[0]) snprintf(call->manager, sizeof(call->manager), "unknown");
}

void kube_call_init(struct kube_call *call, struct kube_world *world, struct now now,
		    const struct world_request *req, struct world_response *out) {
	*call = (struct kube_call){ .world = world, .now = now, .req = req, .out = out };
	world->now = now;
	time_format(now.wall_ns / NS_PER_S, call->time);
	read_manager(call);
	call->partial = str_find(world_request_header(req, "Accept"), STR("as=PartialObjectMetadata")) != SIZE_MAX;
	char text[16];
	query_text(req->query, "dryRun", text, sizeof(text));
	call->dry_run = strcmp(text, "All") == 0;
	query_text(req->query, "fieldValidation", text, sizeof(text));
	call->strict = strcmp(text, "Strict") == 0;
	char audit_id[WORLD_GUID_BYTES];
	world_guid(&world->rng, audit_id);
	world_response_header(out, "Audit-Id", "%s", audit_id);
	world_response_header(out, "Cache-Control", "no-cache, private");
}

bool kube_call_begin(struct kube_call *call, struct kube_world *world, struct now now,
		     const struct world_request *req, struct world_response *out) {
	kube_call_init(call, world, now, req, out);
	kube_route(call);
	if (!kube_authenticate(call)) return false;
	kube_counter(world, call->verb, call)->requests++;
	return true;
}

static bool body_fits(struct kube_call *call) {
	if (call->req->body.len <= MAX_BODY_BYTES) return true;
	return kube_fail(call, 413, "RequestEntityTooLarge", NULL, "Request entity too large: limit is %d",
			 MAX_BODY_BYTES);
}

/* A client that takes nothing that the server can write. */
static bool accept_fits(struct kube_call *call) {
	struct str rest = world_request_header(call->req, "Accept");
	if (!rest.len || !call->type) return true;
	while (rest.ptr) {
		struct str range = str_next(&rest, ',');
		struct str type = str_trim(str_slice(range, 0, str_find_char(range, ';')));
		if (str_eq(type, STR("application/json")) || str_eq(type, STR("*/*")) ||
		    str_eq(type, STR("application/*"))) {
			return true;
		}
	}
	return kube_fail(call, 406, "NotAcceptable", kj_must(cJSON_CreateObject()),
			 "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
			 "application/vnd.kubernetes.protobuf");
}

void kube_handle(struct kube_world *world, struct now now, const struct world_request *req,
		 struct world_response *out) {
	struct kube_call call;
	if (!kube_call_begin(&call, world, now, req, out)) return;
	const struct kube_fault *fault = kube_fault_take(&call);
	if (kube_fault_before(&call, fault)) return;
	if (kube_authorize(&call) && accept_fits(&call) && body_fits(&call)) kube_dispatch(&call);
	kube_fault_after(&call, fault);
}

struct kube_rev *kube_commit(struct kube_call *call, const char *key, const cJSON *before, cJSON *object,
			     bool deleted) {
	struct kube_world *world = call->world;
	struct kube_rev *rev = kube_store(world, call->type, key, object, deleted);
	kube_counter(world, call->verb, call)->writes++;
	if (!world->on_write) return rev;
	struct kube_write write = {
		.verb = call->write_verb ? call->write_verb : call->verb,
		.resource = call->type->plural,
		.subresource = call->subresource,
		.namespace = kj_text2(object, "metadata", "namespace"),
		.name = kj_text2(object, "metadata", "name"),
		.user = call->user,
		.manager = call->manager,
		.before = before,
		.after = deleted ? NULL : object,
		.now = call->now,
	};
	world->on_write(&write, world->on_write_arg);
	return rev;
}

static struct str uid_of(const struct map_node *node) {
	return str_of(container_of(node, struct kube_entry, uid_node)->uid);
}

static struct str owner_uid_of(const struct map_node *node) {
	return str_of(container_of(node, struct kube_owner, node)->uid);
}

static struct str counter_key_of(const struct map_node *node) {
	return str_of(container_of(node, struct kube_counter, node)->key);
}

static void create_namespace(struct kube_world *world, struct now now, const char *name) {
	char *body = kj_format("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\"}}", name);
	int status = kube_request(world, now, NULL, "POST", "/api/v1/namespaces?fieldManager=kube-apiserver", NULL,
				  str_of(body), NULL);
	assert(status == 201);
	mem_free(body);
}

struct kube_world *kube_world_create(const struct kube_config *config, struct now now) {
	struct kube_world *world = kj_alloc(sizeof(*world));
	world->config = *config;
	if (!world->config.history_ns) world->config.history_ns = 300 * NS_PER_S;
	world->issuer = kj_strdup(str_of(config->issuer ? config->issuer : "https://kubernetes.default.svc"));
	rng_seed(&world->rng, config->seed);
	world->rv = 100;
	world->now = now;
	struct hash_key key = { config->seed, ~config->seed };
	map_init(&world->live, key, uid_of);
	map_init(&world->owners, key, owner_uid_of);
	map_init(&world->counters, key, counter_key_of);
	heap_init(&world->gc);
	list_init(&world->users);
	list_init(&world->faults);
	list_init(&world->watches);
	kube_types_init(world);
	create_namespace(world, now, "default");
	create_namespace(world, now, "kube-system");
	return world;
}

void kube_world_destroy(struct kube_world *world) {
	if (!world) return;
	assert(list_is_empty(&world->watches));
	kube_store_deinit(world);
	kube_types_deinit(world);
	kube_users_deinit(world);
	kube_faults_clear(world);
	kube_counters_deinit(world);
	kube_policy_set(world, NULL);
	map_deinit(&world->live);
	map_deinit(&world->owners);
	map_deinit(&world->counters);
	heap_deinit(&world->gc);
	mem_free(world->issuer);
	mem_free(world->signing_kid);
	mem_free(world);
}
