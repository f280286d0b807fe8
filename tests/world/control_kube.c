/* tests/world/control_kube.c - the words of the control port that are about the API server. */
#include <assert.h>

#include "tests/world/server.h"

static char *say(const char *text) {
	char *copy = mem_strdup(str_of(text));
	assert(copy);
	return copy;
}

static const char *text(const cJSON *item, const char *name) {
	return cJSON_GetStringValue(world_json_at(item, name));
}

static char *fault(struct kube_world *kube, const cJSON *item) {
	static const char *const names[] = {
		[KUBE_FAULT_STATUS] = "status",
		[KUBE_FAULT_STATUS_DONE] = "status-done",
		[KUBE_FAULT_RESET_BEFORE] = "reset",
		[KUBE_FAULT_RESET_AFTER] = "reset-after",
		[KUBE_FAULT_STALL] = "stall",
		[KUBE_FAULT_STALL_DONE] = "stall-done",
		[KUBE_FAULT_TRUNCATE] = "truncate",
		[KUBE_FAULT_SLOW] = "slow",
		[KUBE_FAULT_EXPIRED] = "expired",
		[KUBE_FAULT_GOAWAY] = "goaway",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!str_eq(world_json_str(item, "fault"), str_of(names[i]))) continue;
		struct kube_fault wanted = {
			.kind = (enum kube_fault_kind)i,
			.verb = text(item, "verb"),
			.resource = text(item, "resource"),
			.name = text(item, "name"),
			.skip = (unsigned)world_json_i64(item, "skip", 0),
			.count = (unsigned)world_json_i64(item, "count", 0),
			.status = (int)world_json_i64(item, "status", 500),
			.retry_after_s = world_json_i64(item, "retryAfterSeconds", 0),
			.delay_ns = world_json_i64(item, "ms", 0) * NS_PER_MS,
		};
		kube_fault_add(kube, &wanted);
		return NULL;
	}
	return say("kube-fault: 'fault' is none of status, status-done, reset, reset-after, stall, "
		   "stall-done, truncate, slow, "
		   "expired, goaway");
}

static char *allow(struct kube_world *kube, const cJSON *item) {
	if (!text(item, "user") || !text(item, "verbs") || !text(item, "resources")) {
		return say("kube-allow: 'user', 'verbs' and 'resources' are wanted");
	}
	const char *group = text(item, "group");
	kube_allow(kube, text(item, "user"), text(item, "verbs"), group ? group : "",
		text(item, "resources"), text(item, "namespace"), text(item, "name"));
	return NULL;
}

static char *user(struct kube_world *kube, const cJSON *item) {
	if (!text(item, "user") || !text(item, "token"))
		return say("kube-user: 'user' and 'token' are wanted");
	kube_user_token(kube, text(item, "user"), text(item, "token"));
	return NULL;
}

static char *policy(struct kube_world *kube, const cJSON *item) {
	struct kube_policy wanted = {
		.policy = text(item, "policy"),
		.binding = text(item, "binding"),
		.message = text(item, "message"),
		.reason = text(item, "reason"),
		.resource = text(item, "resource"),
		.user = text(item, "user"),
	};
	kube_policy_set(kube, wanted.policy ? &wanted : NULL);
	return NULL;
}

static char *faults_end(struct kube_world *kube, const cJSON *item) {
	(void)item;
	kube_faults_clear(kube);
	return NULL;
}

static char *break_watches(struct kube_world *kube, const cJSON *item) {
	kube_break_watches(kube, text(item, "resource"));
	return NULL;
}

static char *compact(struct kube_world *kube, const cJSON *item) {
	(void)item;
	kube_compact(kube);
	return NULL;
}

static char *cache_lag(struct kube_world *kube, const cJSON *item) {
	kube_set_cache_lag(kube, world_json_i64(item, "ms", 0) * NS_PER_MS);
	return NULL;
}

static char *disallow(struct kube_world *kube, const cJSON *item) {
	if (!text(item, "user")) return say("kube-disallow: 'user' is wanted");
	kube_disallow_all(kube, text(item, "user"));
	return NULL;
}

char *control_kube_apply(
	struct server *server, struct now now, struct str name, const cJSON *item) {
	(void)now;
	static const struct {
		const char *name;
		char *(*run)(struct kube_world *kube, const cJSON *item);
	} words[] = {
		{ "kube-fault", fault },
		{ "kube-fault-end", faults_end },
		{ "kube-break-watches", break_watches },
		{ "kube-compact", compact },
		{ "kube-cache-lag", cache_lag },
		{ "kube-allow", allow },
		{ "kube-disallow", disallow },
		{ "kube-user", user },
		{ "kube-policy", policy },
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!str_eq(name, str_of(words[i].name))) continue;
		return server->kube ? words[i].run(server->kube, item)
				    : say("this world has no API server (--azure-only)");
	}
	return say("this word is not known; README.md of the world has the list");
}
