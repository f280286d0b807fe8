/* Who asks, what they may do, and what admission says. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

struct kube_rule {
	struct list link;
	char *verbs, *group, *resources;
	char *namespace, *name; /* NULL: all */
};

static struct kube_user *user_find(struct kube_world *world, const char *name) {
	list_for_each(node, &world->users) {
		struct kube_user *user = container_of(node, struct kube_user, link);
		if (strcmp(user->name, name) == 0) return user;
	}
	return NULL;
}

static struct kube_user *user_get(struct kube_world *world, const char *name) {
	struct kube_user *user = user_find(world, name);
	if (user) return user;
	user = kj_alloc(sizeof(*user));
	user->name = kj_strdup(str_of(name));
	list_init(&user->rules);
	list_push_back(&world->users, &user->link);
	return user;
}

void kube_user_token(struct kube_world *world, const char *user, const char *token) {
	struct kube_user *it = user_get(world, user);
	mem_free(it->token);
	it->token = kj_strdup(str_of(token));
}

static char *optional_copy(const char *text) {
	return text ? kj_strdup(str_of(text)) : NULL;
}

void kube_allow(struct kube_world *world, const char *user, const char *verbs, const char *group,
		const char *resources, const char *namespace, const char *name) {
	struct kube_rule *rule = kj_alloc(sizeof(*rule));
	rule->verbs = kj_strdup(str_of(verbs));
	rule->group = kj_strdup(str_of(group));
	rule->resources = kj_strdup(str_of(resources));
	rule->namespace = optional_copy(namespace);
	rule->name = optional_copy(name);
	list_push_back(&user_get(world, user)->rules, &rule->link);
}

static void rules_free(struct kube_user *user) {
	struct list *node;
	while ((node = list_pop(&user->rules))) {
		struct kube_rule *rule = container_of(node, struct kube_rule, link);
		mem_free(rule->verbs);
		mem_free(rule->group);
		mem_free(rule->resources);
		mem_free(rule->namespace);
		mem_free(rule->name);
		mem_free(rule);
	}
}

void kube_disallow_all(struct kube_world *world, const char *user) {
	struct kube_user *it = user_find(world, user);
	if (it) rules_free(it);
}

void kube_users_deinit(struct kube_world *world) {
	struct list *node;
	while ((node = list_pop(&world->users))) {
		struct kube_user *user = container_of(node, struct kube_user, link);
		rules_free(user);
		mem_free(user->name);
		mem_free(user->token);
		mem_free(user);
	}
}

static bool set_user(struct kube_call *call, struct str name) {
	if (name.len >= sizeof(call->user)) return false;
	memcpy(call->user, name.ptr, name.len);
	call->user[name.len] = 0;
	return true;
}

static bool user_of_token(struct kube_call *call, struct str token) {
	list_for_each(node, &call->world->users) {
		const struct kube_user *user = container_of(node, struct kube_user, link);
		if (user->token && str_eq(str_of(user->token), token)) return set_user(call, str_of(user->name));
	}
	return kube_token_user(call->world, call->now, token, call->user);
}

static bool has_group(struct str groups, struct str wanted) {
	while (groups.ptr) {
		if (str_eq(str_trim(str_next(&groups, ',')), wanted)) return true;
	}
	return false;
}

bool kube_authenticate(struct kube_call *call) {
	const struct world_request *req = call->req;
	struct str bearer = world_request_header(req, "Authorization");
	bool ok = true;
	if (req->client_cn.len) {
		ok = set_user(call, req->client_cn);
		call->superuser = has_group(req->client_o, STR("system:masters"));
	} else if (str_starts(bearer, STR("Bearer "))) {
		ok = user_of_token(call, str_slice(bearer, strlen("Bearer "), SIZE_MAX));
	} else {
		ok = !call->world->config.anonymous_denied && set_user(call, STR("system:anonymous"));
	}
	return ok || kube_fail(call, 401, "Unauthorized", NULL, "Unauthorized");
}

static bool comma_list_has(const char *list, const char *wanted) {
	struct str rest = str_of(list);
	while (rest.ptr) {
		struct str item = str_trim(str_next(&rest, ','));
		if (str_eq(item, STR("*")) || str_eq(item, str_of(wanted))) return true;
	}
	return false;
}

static bool rule_allows(const struct kube_rule *rule, const char *verb, const char *group, const char *resource,
			const char *namespace, const char *name) {
	if (!comma_list_has(rule->verbs, verb) || !comma_list_has(rule->resources, resource)) return false;
	if (strcmp(rule->group, "*") != 0 && strcmp(rule->group, group) != 0) return false;
	if (rule->namespace && strcmp(rule->namespace, namespace) != 0) return false;
	return !rule->name || strcmp(rule->name, name) == 0;
}

static bool is_allowed(const struct kube_call *call, const char *verb, const struct kube_type *type,
		       const char *resource, const char *namespace, const char *name) {
	if (call->superuser) return true;
	const struct kube_user *user = user_find(call->world, call->user);
	if (!user) return false;
	list_for_each(node, &user->rules) {
		const struct kube_rule *rule = container_of(node, struct kube_rule, link);
		if (rule_allows(rule, verb, type->group, resource, namespace, name)) return true;
	}
	return false;
}

bool kube_may(struct kube_call *call, const char *verb, const struct kube_type *type, const char *subresource,
	      const char *namespace, const char *name) {
	char *resource = kj_format("%s%s%s", type->plural, subresource[0] ? "/" : "", subresource);
	bool allowed = is_allowed(call, verb, type, resource, namespace, name);
	if (!allowed && namespace[0]) {
		kube_fail_forbidden(call, name,
				    "User \"%s\" cannot %s resource \"%s\" in API group \"%s\" in the namespace \"%s\"",
				    call->user, verb, resource, type->group, namespace);
	} else if (!allowed) {
		kube_fail_forbidden(call, name,
				    "User \"%s\" cannot %s resource \"%s\" in API group \"%s\" at the cluster scope",
				    call->user, verb, resource, type->group);
	}
	mem_free(resource);
	return allowed;
}

static bool path_is_public(struct str path) {
	static const char *const open[] = { "/version", "/readyz", "/livez", "/healthz", "/openid/v1/jwks",
					    "/.well-known/openid-configuration" };
	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
		if (str_eq(path, str_of(open[i]))) return true;
	}
	return false;
}

bool kube_authorize(struct kube_call *call) {
	bool ok;
	if (call->type) {
		ok = kube_may(call, call->verb, call->type, call->subresource, call->namespace, call->name);
	} else {
		ok = call->superuser || path_is_public(call->req->path);
		if (!ok) {
			kube_fail(call, 403, "Forbidden", kj_must(cJSON_CreateObject()),
				  "forbidden: User \"%s\" cannot get path \"%.*s\"", call->user, STR_ARG(call->req->path));
		}
	}
	if (!ok) world_response_header(call->out, "X-Content-Type-Options", "nosniff");
	return ok;
}

static void replace_text(const char **text, const char *with) {
	mem_free((char *)*text);
	*text = optional_copy(with);
}

void kube_policy_set(struct kube_world *world, const struct kube_policy *policy) {
	static const struct kube_policy none;
	if (!policy) policy = &none;
	replace_text(&world->policy.policy, policy->policy);
	replace_text(&world->policy.binding, policy->binding);
	replace_text(&world->policy.message, policy->message);
	replace_text(&world->policy.reason, policy->reason);
	replace_text(&world->policy.resource, policy->resource);
	replace_text(&world->policy.user, policy->user);
}

/* The status is that of the policy's reason; the text is that of a 403 in any case. */
static bool policy_allows(struct kube_call *call) {
	const struct kube_policy *p = &call->world->policy;
	if (!p->policy || call->subresource[0] || strcmp(p->resource, call->type->plural) != 0) return true;
	if (p->user && strcmp(p->user, call->user) != 0) return true;
	bool forbidden = p->reason && strcmp(p->reason, "Forbidden") == 0;
	char *text = kj_format("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", p->policy,
			       p->binding, p->message);
	cJSON *details = kube_details(call->type->group, call->type->plural, call->name);
	cJSON *causes = kj_must(cJSON_CreateArray()), *cause = kj_must(cJSON_CreateObject());
	kj_set_text(cause, "message", text);
	kj_push(causes, cause);
	kj_set(details, "causes", causes);
	char *resource = kube_group_resource(call->type);
	kube_fail(call, forbidden ? 403 : 422, forbidden ? "Forbidden" : "Invalid", details, "%s \"%s\" is forbidden: %s",
		  resource, call->name, text);
	mem_free(resource);
	mem_free(text);
	return false;
}

/* Plug-in OwnerReferencesPermissionEnforcement. */
static bool owners_allow(struct kube_call *call, const cJSON *old, const cJSON *object) {
	if (!call->world->config.owner_permission_enforcement || !old) return true;
	const cJSON *was = kj_get2(old, "metadata", "ownerReferences"), *is = kj_get2(object, "metadata", "ownerReferences");
	if (kj_equal(was, is)) return true;
	if (is_allowed(call, "delete", call->type, call->type->plural, call->namespace, call->name)) return true;
	return kube_fail_forbidden(call, call->name,
				   "cannot set an ownerRef on a resource you can't delete: , <nil>");
}

bool kube_admit(struct kube_call *call, const cJSON *old, const cJSON *object) {
	return owners_allow(call, old, object) && policy_allows(call);
}
