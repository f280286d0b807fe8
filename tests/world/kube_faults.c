/* Faults that a test plans, and what the model counts. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

static const char *copy_or_null(const char *text) {
	return text ? kj_strdup(str_of(text)) : NULL;
}

void kube_fault_add(struct kube_world *world, const struct kube_fault *fault) {
	struct kube_planned *planned = kj_alloc(sizeof(*planned));
	planned->fault = *fault;
	planned->fault.verb = copy_or_null(fault->verb);
	planned->fault.resource = copy_or_null(fault->resource);
	planned->fault.name = copy_or_null(fault->name);
	list_push_back(&world->faults, &planned->link);
}

void kube_faults_clear(struct kube_world *world) {
	struct list *node;
	while ((node = list_pop(&world->faults))) {
		struct kube_planned *planned = container_of(node, struct kube_planned, link);
		mem_free((char *)planned->fault.verb);
		mem_free((char *)planned->fault.resource);
		mem_free((char *)planned->fault.name);
		mem_free(planned);
	}
}

static bool is_over(const struct kube_planned *planned) {
	return planned->fault.count && planned->hit >= planned->fault.count;
}

size_t kube_faults_left(const struct kube_world *world) {
	size_t left = 0;
	list_for_each(node, &world->faults) {
		if (!is_over(container_of(node, struct kube_planned, link))) left++;
	}
	return left;
}

static void resource_of(const struct kube_call *call, char out[static 96]) {
	if (!call->type) {
		snprintf(out, 96, "-");
		return;
	}
	snprintf(out, 96, "%.60s%s%.32s", call->type->plural, call->subresource[0] ? "/" : "", call->subresource);
}

static bool hits(const struct kube_fault *fault, const struct kube_call *call) {
	char resource[96];
	resource_of(call, resource);
	if (fault->verb && strcmp(fault->verb, call->verb) != 0) return false;
	if (fault->resource && strcmp(fault->resource, resource) != 0) return false;
	if (fault->name && strcmp(fault->name, call->name) != 0) return false;
	bool reads = strcmp(call->verb, "list") == 0 || strcmp(call->verb, "watch") == 0;
	return fault->kind != KUBE_FAULT_EXPIRED || reads;
}

const struct kube_fault *kube_fault_take(struct kube_call *call) {
	list_for_each(node, &call->world->faults) {
		struct kube_planned *planned = container_of(node, struct kube_planned, link);
		if (is_over(planned) || !hits(&planned->fault, call)) continue;
		if (planned->seen++ < planned->fault.skip) continue;
		planned->hit++;
		return &planned->fault;
	}
	return NULL;
}

bool kube_fault_before(struct kube_call *call, const struct kube_fault *fault) {
	if (!fault) return false;
	switch (fault->kind) {
	case KUBE_FAULT_STATUS: kube_fail_code(call, fault->status, fault->retry_after_s); return true;
	case KUBE_FAULT_RESET_BEFORE: call->out->fault = WORLD_RESET_BEFORE; return true;
	case KUBE_FAULT_STALL: call->out->fault = WORLD_STALL; return true;
	case KUBE_FAULT_EXPIRED: kube_fail_expired(call, "The resourceVersion for the provided list is too old."); return true;
	default: return false;
	}
}

void kube_fault_after(struct kube_call *call, const struct kube_fault *fault) {
	if (!fault) return;
	call->out->delay_ns += fault->delay_ns;
	switch (fault->kind) {
	case KUBE_FAULT_STATUS_DONE:
		world_response_reset(call->out);
		kube_fail_code(call, fault->status, fault->retry_after_s);
		break;
	case KUBE_FAULT_RESET_AFTER: call->out->fault = WORLD_RESET_AFTER; break;
	case KUBE_FAULT_STALL_DONE: call->out->fault = WORLD_STALL; break;
	case KUBE_FAULT_TRUNCATE: call->out->fault = WORLD_TRUNCATE; break;
	case KUBE_FAULT_GOAWAY: call->out->fault = WORLD_GOAWAY; break;
	default: break;
	}
}

void kube_set_cache_lag(struct kube_world *world, int64_t lag_ns) {
	world->cache_lag_ns = lag_ns;
}

void kube_set_coalesce(struct kube_world *world, bool coalesce) {
	world->coalesce = coalesce;
}

struct kube_counter *kube_counter(struct kube_world *world, const char *verb, const struct kube_call *call) {
	char resource[96], key[128];
	resource_of(call, resource);
	snprintf(key, sizeof(key), "%.30s %s", verb, resource);
	struct map_node *node = map_find(&world->counters, str_of(key));
	if (node) return container_of(node, struct kube_counter, node);
	struct kube_counter *counter = kj_alloc(sizeof(*counter) + strlen(key) + 1);
	memcpy(counter->key, key, strlen(key) + 1);
	if (map_insert(&world->counters, &counter->node) != OK) abort();
	return counter;
}

static void counter_free(struct map_node *node, void *arg) {
	struct kube_world *world = arg;
	map_remove(&world->counters, node);
	mem_free(container_of(node, struct kube_counter, node));
}

void kube_counters_deinit(struct kube_world *world) {
	map_each(&world->counters, counter_free, world);
}

struct sum {
	const char *verb, *resource;
	uint64_t requests, writes;
};

static void add_up(struct map_node *node, void *arg) {
	const struct kube_counter *counter = container_of(node, struct kube_counter, node);
	struct sum *sum = arg;
	struct str resource = str_of(counter->key), verb = str_next(&resource, ' ');
	if (sum->verb && !str_eq(verb, str_of(sum->verb))) return;
	if (sum->resource && !str_eq(resource, str_of(sum->resource))) return;
	sum->requests += counter->requests;
	sum->writes += counter->writes;
}

static struct sum sum_of(const struct kube_world *world, const char *verb, const char *resource) {
	struct sum sum = { .verb = verb, .resource = resource };
	map_each((struct map *)&world->counters, add_up, &sum);
	return sum;
}

uint64_t kube_count(const struct kube_world *world, const char *verb, const char *resource) {
	return sum_of(world, verb, resource).requests;
}

uint64_t kube_count_writes(const struct kube_world *world, const char *resource) {
	return sum_of(world, NULL, resource).writes;
}
