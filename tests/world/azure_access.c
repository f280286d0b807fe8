/* tests/world/azure_access.c - role assignments and access policies: who may do what, and how a refusal reads. */
#include "tests/world/azure.h"

#include <assert.h>

static char *copy(struct str s) {
	char *text = mem_strdup(s);
	assert(text);
	return text;
}

void azure_grant_add(struct azure_vault *vault, struct str client_id,
	const unsigned rights[static AZURE_KINDS], struct str object, bool policy,
	int64_t from_ns) {
	struct azure_grant *grant = mem_zalloc(sizeof(*grant));
	assert(grant);
	grant->client_id = copy(client_id);
	memcpy(grant->rights, rights, sizeof(grant->rights));
	grant->object = object.len ? copy(object) : NULL;
	grant->policy = policy;
	grant->from_ns = from_ns;
	grant->until_ns = NEVER_NS;
	list_push_back(&vault->grants, &grant->link);
}

unsigned azure_grant_end(
	struct azure_vault *vault, struct str client_id, struct str object, int64_t until_ns) {
	unsigned count = 0;
	list_for_each (node, &vault->grants) {
		struct azure_grant *grant = container_of(node, struct azure_grant, link);
		if (!str_eq_nocase(str_of(grant->client_id), client_id)) continue;
		if (object.len && !str_eq_nocase(str_of(grant->object), object)) continue;
		if (grant->until_ns <= until_ns) continue;
		grant->until_ns = until_ns;
		count++;
	}
	return count;
}

const unsigned *azure_role(struct str name) {
	enum { READ = AZURE_GET | AZURE_LIST, ALL = READ | AZURE_WRITE };
	static const struct {
		const char *name;
		unsigned rights[AZURE_KINDS];
	} roles[] = {
		{ "Key Vault Secrets User", { READ, 0, 0 } },
		{ "Key Vault Secrets Officer", { ALL, 0, 0 } },
		{ "Key Vault Crypto User", { 0, READ, 0 } },
		{ "Key Vault Crypto Officer", { 0, ALL, 0 } },
		{ "Key Vault Certificate User", { READ, READ, READ } },
		{ "Key Vault Certificates Officer", { 0, 0, ALL } },
		{ "Key Vault Administrator", { ALL, ALL, ALL } },
		/* Metadata alone: public parts of keys and certificates are metadata, a secret's value is not. */
		{ "Key Vault Reader", { AZURE_LIST, READ, READ } },
	};
	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
		if (str_eq_nocase(name, str_of(roles[i].name))) return roles[i].rights;
	}
	return NULL;
}

bool azure_allowed(const struct azure_vault *vault, struct now now, struct str client_id,
	enum azure_kind kind, enum azure_right right, struct str object) {
	list_for_each (node, &vault->grants) {
		const struct azure_grant *grant = container_of(node, struct azure_grant, link);
		if (grant->policy != vault->policy_mode) continue;
		if (now.mono_ns < grant->from_ns || now.mono_ns >= grant->until_ns) continue;
		if (!(grant->rights[kind] & right)) continue;
		if (!str_eq_nocase(str_of(grant->client_id), client_id)) continue;
		if (!grant->object || str_eq_nocase(str_of(grant->object), object)) return true;
	}
	return false;
}

static const char *action_of(enum azure_kind kind, enum azure_right right) {
	static const char *const actions[AZURE_KINDS][3] = {
		{ "secrets/getSecret/action", "secrets/readMetadata/action",
			"secrets/setSecret/action" },
		{ "keys/read", "keys/read", "keys/write" },
		{ "certificates/read", "certificates/read", "certificates/write" },
	};
	return actions[kind][right == AZURE_GET ? 0 : right == AZURE_LIST ? 1 : 2];
}

bool azure_permit(struct azure_call *call, enum azure_right right, const char *action) {
	const struct azure_vault *vault = call->vault;
	struct str client_id = str_of(call->claims.client_id);
	char assignment[WORLD_HEX_BYTES];
	if (azure_allowed(vault, call->now, client_id, call->kind, right, buf_str(&call->name))) {
		world_hex32(&call->azure->rng, assignment);
		world_response_header(
			call->out, "x-ms-keyvault-rbac-assignment-id", "%s", assignment);
		return true;
	}
	const struct azure_identity *identity = azure_identity_find(call->azure, client_id);
	const char *oid = identity ? identity->object_id : "";
	const char *many = azure_kinds[call->kind].many;
	if (vault->policy_mode) {
		azure_error(call, 403, "Forbidden", "ForbiddenByPolicy",
			"The user, group or application 'appid=%s;oid=%s;iss=%s' does not have %s "
			"%s permission on key "
			"vault '%s;location=%s'. For help resolving this issue, please see "
			"https://go.microsoft.com/fwlink/?linkid=2125287",
			call->claims.client_id, oid, call->claims.issuer, many, action, vault->name,
			vault->region);
		return false;
	}
	azure_error(call, 403, "Forbidden", "ForbiddenByRbac",
		"Caller is not authorized to perform action on resource.\r\nIf role assignments, "
		"deny assignments or role "
		"definitions were changed recently, please observe propagation time.\r\nCaller: "
		"appid=%s;oid=%s;iss=%s\r\n"
		"Action: 'Microsoft.KeyVault/vaults/%s'\r\nResource: "
		"'/subscriptions/00000000-0000-0000-0000-000000000000/"
		"resourcegroups/world/providers/microsoft.keyvault/vaults/%s/%s/%s'\r\nAssignment: "
		"(not found)\r\n"
		"DenyAssignmentId: null\r\nDecisionReason: null \r\nVault: %s;location=%s\r\n",
		call->claims.client_id, oid, call->claims.issuer, action_of(call->kind, right),
		vault->name, many, buf_cstr(&call->name), vault->name, vault->region);
	return false;
}
