/* tests/world/control_http.c - the control port: POST /world/WORD with a JSON object, GET of what happened. */
#include <assert.h>

#include "tests/world/server.h"

static void answer(struct world_response *out, int status, cJSON *json) {
	world_response_header(out, "Content-Type", "application/json");
	world_response_json(out, status, &json);
}

static void answer_error(struct world_response *out, int status, const char *text) {
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "error", text);
	answer(out, status, json);
}

static cJSON *vaults_json(const struct azure *azure) {
	cJSON *vaults = cJSON_CreateObject();
	list_for_each (node, &azure->vaults) {
		const struct azure_vault *vault = container_of(node, struct azure_vault, link);
		cJSON *item = cJSON_AddObjectToObject(vaults, vault->name);
		world_json_add_i64(item, "calls", (int64_t)vault->calls);
		world_json_add_i64(item, "throttled", (int64_t)vault->refused);
		world_json_add_i64(item, "mostIn10s", (int64_t)vault->seen.most);
		world_json_add_i64(item, "overLimit", (int64_t)vault->over_limit);
		for (int kind = 0; kind < AZURE_KINDS; kind++) {
			world_json_add_i64(
				item, azure_kinds[kind].many, (int64_t)vault->count[kind]);
		}
	}
	return vaults;
}

static cJSON *subscriptions_json(const struct azure *azure) {
	cJSON *subscriptions = cJSON_CreateObject();
	list_for_each (node, &azure->subscriptions) {
		const struct azure_subscription *subscription =
			container_of(node, struct azure_subscription, link);
		cJSON *item = cJSON_AddObjectToObject(subscriptions, subscription->id);
		world_json_add_i64(item, "throttled", (int64_t)subscription->refused);
		world_json_add_i64(item, "mostIn10s", (int64_t)subscription->windows[LIMIT_CALLS].most);
	}
	return subscriptions;
}

static cJSON *stats_json(const struct server *server) {
	static const char *const names[SERVER_KINDS] = { "azure", "kube", "proxy", "control",
		"imds" };
	cJSON *json = cJSON_CreateObject();
	cJSON_AddItemToObject(json, "requests", world_counters_json(server->log));
	cJSON_AddItemToObject(json, "vaults", vaults_json(server->azure));
	cJSON_AddItemToObject(json, "subscriptions", subscriptions_json(server->azure));
	world_json_add_i64(json, "tokens", (int64_t)server->azure->tokens);
	cJSON *connections = cJSON_AddObjectToObject(json, "connections");
	for (int kind = 0; kind < SERVER_KINDS; kind++) {
		world_json_add_i64(connections, names[kind], (int64_t)server->connections[kind]);
	}
	return json;
}

static cJSON *log_json(const struct server *server, struct str query) {
	cJSON *json = cJSON_CreateObject();
	int64_t since = world_query_i64(query, "since", 0),
		limit = world_query_i64(query, "limit", 1000);
	cJSON *entries = world_log_json(
		server->log, since > 0 ? (uint64_t)since : 0, limit > 0 ? (size_t)limit : 1000);
	const cJSON *last = cJSON_GetArrayItem(entries, cJSON_GetArraySize(entries) - 1);
	world_json_add_i64(json, "next", world_json_i64(last, "seq", since));
	cJSON_AddItemToObject(json, "entries", entries);
	return json;
}

/* The versions of an object, oldest first: what only the world knows. No value. NULL: there is none. */
static cJSON *versions_json(const struct server *server, struct str query) {
	struct buf vault_name, kind_name, name;
	buf_init(&vault_name, 256);
	buf_init(&kind_name, 64);
	buf_init(&name, 256);
	cJSON *json = NULL;
	world_query(query, "vault", &vault_name);
	world_query(query, "kind", &kind_name);
	world_query(query, "name", &name);
	enum azure_kind kind = AZURE_SECRET;
	for (int i = 0; i < AZURE_KINDS; i++) {
		if (str_eq(buf_str(&kind_name), str_of(azure_kinds[i].one)))
			kind = (enum azure_kind)i;
	}
	const struct azure_vault *vault = azure_vault_find(server->azure, buf_str(&vault_name));
	const struct azure_object *object =
		vault ? azure_object_find(vault, kind, buf_str(&name)) : NULL;
	if (!object) goto out;
	json = cJSON_CreateObject();
	cJSON_AddBoolToObject(json, "deleted", object->deleted);
	cJSON *array = cJSON_AddArrayToObject(json, "versions");
	unsigned after = 0;
	for (size_t n = 0; n < object->count; n++) {
		const struct azure_version *next = NULL;
		for (size_t i = 0; i < object->count; i++) {
			const struct azure_version *version = object->versions[i];
			if (version->seq > after && (!next || version->seq < next->seq))
				next = version;
		}
		assert(next);
		after = next->seq;
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "id", next->id);
		cJSON_AddBoolToObject(item, "enabled", next->enabled);
		world_json_add_i64(item, "created", next->created_s);
		world_json_add_i64(item, "updated", next->updated_s);
		cJSON_AddItemToArray(array, item);
	}
out:
	buf_deinit(&vault_name);
	buf_deinit(&kind_name);
	buf_deinit(&name);
	return json;
}

static void get(
	struct server *server, const struct world_request *req, struct world_response *out) {
	if (str_eq(req->path, STR("/world/stats"))) {
		answer(out, 200, stats_json(server));
	} else if (str_eq(req->path, STR("/world/log"))) {
		answer(out, 200, log_json(server, req->query));
	} else if (str_eq(req->path, STR("/world/fleet"))) {
		answer(out, 200, fleet_times_json(server->fleet));
	} else if (str_eq(req->path, STR("/world/versions"))) {
		cJSON *json = versions_json(server, req->query);
		if (json) {
			answer(out, 200, json);
		} else {
			answer_error(out, 404, "there is no such object in such a vault");
		}
	} else {
		answer_error(out, 404,
			"GET: /world/stats, /world/fleet, /world/log?since=&limit=, "
			"/world/versions?vault=&kind=&name=");
	}
}

static void post(struct server *server, struct now now, struct str word, const cJSON *body,
	struct world_response *out) {
	cJSON *json = cJSON_CreateObject();
	char *error = str_eq(word, STR("apply")) ? control_apply_all(server, now, body)
						 : control_apply(server, now, word, body, json);
	if (error) {
		cJSON_Delete(json);
		answer_error(out, 400, error);
		mem_free(error);
	} else {
		cJSON_AddBoolToObject(json, "ok", true);
		answer(out, 200, json);
	}
}

void control_handle(struct server *server, struct now now, const struct world_request *req,
	struct world_response *out) {
	struct str prefix = STR("/world/");
	if (str_eq(req->method, STR("GET"))) {
		get(server, req, out);
		return;
	}
	if (!str_eq(req->method, STR("POST")) || !str_starts(req->path, prefix)) {
		answer_error(out, 405, "POST /world/WORD with a JSON object; GET /world/stats");
		return;
	}
	cJSON *body = req->body.len ? world_json_parse(req->body) : cJSON_CreateObject();
	if (body) {
		post(server, now, str_slice(req->path, prefix.len, SIZE_MAX), body, out);
	} else {
		answer_error(out, 400, "the body is not JSON");
	}
	cJSON_Delete(body);
}
