/* tests/world/world_log.c */
#include "tests/world/world_log.h"

#include <assert.h>
#include <stdio.h>

struct world_log *world_log_create(void) {
	struct world_log *log = mem_zalloc(sizeof(*log));
	assert(log);
	list_init(&log->counters);
	return log;
}

static void entry_clear(struct world_log_entry *entry) {
	mem_free(entry->host);
	mem_free(entry->path);
	*entry = (struct world_log_entry){ 0 };
}

void world_log_destroy(struct world_log *log) {
	if (!log) return;
	world_counters_reset(log);
	for (size_t i = 0; i < WORLD_LOG_ENTRIES; i++) entry_clear(&log->entries[i]);
	mem_free(log);
}

static void azure_label(
	const struct world_request *req, struct str first, struct str rest, struct buf *label) {
	bool versions = str_ends(rest, STR("/versions"));
	if (str_find(req->path, STR("/oauth2/")) != SIZE_MAX) {
		buf_append(label, STR("token"));
	} else if (!rest.len) {
		buf_printf(label, "%s %.*s", str_eq(req->method, STR("GET")) ? "list" : "write",
			STR_ARG(first));
	} else if (str_eq(req->method, STR("GET"))) {
		buf_printf(label, "%s %.*s", versions ? "list versions of" : "get", STR_ARG(first));
	} else {
		buf_printf(label, "%.*s %.*s", STR_ARG(req->method), STR_ARG(first));
	}
}

/* /api/v1/... and /apis/GROUP/VERSION/...: the method, the resource and the subresource. */
static void kube_label(
	const struct world_request *req, bool core, struct str rest, struct buf *label) {
	if (!core) str_next(&rest, '/');
	str_next(&rest, '/');
	struct str resource = rest.ptr ? str_next(&rest, '/') : STR("");
	struct str name = rest.ptr ? str_next(&rest, '/') : STR("");
	if (str_eq(resource, STR("namespaces")) && rest.ptr) {
		resource = str_next(&rest, '/');
		name = rest.ptr ? str_next(&rest, '/') : STR("");
	}
	const char *verb = world_query_bool(req->query, "watch") ? "watch" : name.len ? "" : "list";
	bool get = str_eq(req->method, STR("GET"));
	buf_printf(label, "%.*s %.*s", STR_ARG(get && *verb ? str_of(verb) : req->method),
		STR_ARG(resource));
	if (rest.ptr && rest.len) buf_printf(label, "/%.*s", STR_ARG(rest));
}

static void label_of(const struct world_request *req, char out_label[static WORLD_LABEL_BYTES]) {
	struct buf label;
	buf_init(&label, 4096);
	struct str rest = str_slice(req->path, 1, SIZE_MAX);
	struct str first = str_next(&rest, '/');
	bool core = str_eq(first, STR("api"));
	if (core || str_eq(first, STR("apis"))) {
		kube_label(req, core, rest, &label);
	} else {
		azure_label(req, first, rest.ptr ? rest : STR(""), &label);
	}
	snprintf(out_label, WORLD_LABEL_BYTES, "%s", buf_cstr(&label));
	buf_deinit(&label);
}

static void count(struct world_log *log, const struct world_request *req, int status) {
	char label[WORLD_LABEL_BYTES];
	label_of(req, label);
	list_for_each (node, &log->counters) {
		struct world_counter *counter = container_of(node, struct world_counter, link);
		if (counter->status != status || strcmp(counter->label, label) != 0) continue;
		if (!str_eq(str_of(counter->host), req->host)) continue;
		counter->count++;
		return;
	}
	struct world_counter *counter = mem_zalloc(sizeof(*counter));
	assert(counter);
	counter->host = mem_strdup(req->host);
	memcpy(counter->label, label, sizeof(label));
	counter->status = status;
	counter->count = 1;
	list_push_back(&log->counters, &counter->link);
}

static const char *fault_name(enum world_fault fault) {
	static const char *const names[] = {
		[WORLD_NONE] = NULL,
		[WORLD_RESET_BEFORE] = "reset",
		[WORLD_RESET_AFTER] = "reset-after",
		[WORLD_STALL] = "stall",
		[WORLD_STALL_HEADERS] = "stall-headers",
		[WORLD_TRUNCATE] = "truncate",
		[WORLD_CLOSE] = "close",
		[WORLD_GOAWAY] = "goaway",
	};
	return names[fault];
}

void world_log_add(struct world_log *log, struct now now, const struct world_request *req,
	const struct world_response *out) {
	enum world_fault fault = out->fault;
	bool answered =
		fault != WORLD_RESET_BEFORE && fault != WORLD_RESET_AFTER && fault != WORLD_STALL;
	struct world_log_entry *entry = &log->entries[log->seq % WORLD_LOG_ENTRIES];
	entry_clear(entry);
	entry->seq = ++log->seq;
	entry->wall_ns = now.wall_ns;
	entry->host = mem_strdup(req->host);
	entry->path = mem_strdup(req->path);
	snprintf(entry->method, sizeof(entry->method), "%.*s", STR_ARG(req->method));
	entry->status = answered ? out->status : 0;
	entry->fault = fault_name(fault);
	count(log, req, entry->status);
}

cJSON *world_log_json(const struct world_log *log, uint64_t since, size_t limit) {
	cJSON *array = cJSON_CreateArray();
	uint64_t oldest = log->seq > WORLD_LOG_ENTRIES ? log->seq - WORLD_LOG_ENTRIES : 0;
	for (uint64_t seq = since > oldest ? since : oldest; seq < log->seq && limit > 0;
		seq++, limit--) {
		const struct world_log_entry *entry = &log->entries[seq % WORLD_LOG_ENTRIES];
		cJSON *item = cJSON_CreateObject();
		world_json_add_i64(item, "seq", (int64_t)entry->seq);
		world_json_add_i64(item, "atMs", entry->wall_ns / NS_PER_MS);
		cJSON_AddStringToObject(item, "host", entry->host);
		cJSON_AddStringToObject(item, "method", entry->method);
		cJSON_AddStringToObject(item, "path", entry->path);
		world_json_add_i64(item, "status", entry->status);
		if (entry->fault) cJSON_AddStringToObject(item, "fault", entry->fault);
		cJSON_AddItemToArray(array, item);
	}
	return array;
}

static cJSON *member(cJSON *object, const char *name) {
	cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
	return found ? found : cJSON_AddObjectToObject(object, name);
}

cJSON *world_counters_json(const struct world_log *log) {
	cJSON *hosts = cJSON_CreateObject();
	list_for_each (node, &log->counters) {
		const struct world_counter *counter =
			container_of(node, struct world_counter, link);
		char status[16];
		snprintf(status, sizeof(status), "%d", counter->status);
		world_json_add_i64(member(member(hosts, counter->host), counter->label), status,
			(int64_t)counter->count);
	}
	return hosts;
}

void world_counters_reset(struct world_log *log) {
	list_for_each_safe (node, &log->counters) {
		struct world_counter *counter = container_of(node, struct world_counter, link);
		list_remove(node);
		mem_free(counter->host);
		mem_free(counter);
	}
}
