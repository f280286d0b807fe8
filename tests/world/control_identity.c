/* tests/world/control_identity.c - words about tenants, identities, issuers and rights. */
#include "tests/world/control.h"

void word_tenant(struct job *job) {
	struct str id = job_need(job, "id");
	if (id.len) azure_tenant_add(job->azure, id);
}

static void federate(struct job *job, struct azure_identity *identity, const cJSON *item) {
	struct str issuer = world_json_str(item, "issuer"),
		   subject = world_json_str(item, "subject");
	struct str audience = world_json_str(item, "audience");
	const cJSON *lag = world_json_at(item, "lagSeconds");
	int64_t lag_ns = cJSON_IsNumber(lag) ? (int64_t)(lag->valuedouble * (double)NS_PER_S) : 0;
	if (!issuer.len || !subject.len) {
		job_fail(job, "a federated credential needs 'issuer' and 'subject'");
		return;
	}
	azure_federate(identity, issuer, subject,
		audience.len ? audience : STR("api://AzureADTokenExchange"),
		job->now.mono_ns + lag_ns);
}

void word_identity(struct job *job) {
	struct str client_id = job_need(job, "clientId"), tenant = job_need(job, "tenant"),
		   secret = job_text(job, "secret");
	if (buf_str(job->error).len) return;
	struct azure_identity *identity = azure_identity_find(job->azure, client_id);
	if (!identity) identity = azure_identity_add(job->azure, tenant, client_id);
	if (secret.len) {
		mem_free(identity->secret);
		identity->secret = mem_strdup(secret);
	}
	identity->on_node = world_json_bool(job->item, "onNode", identity->on_node);
	identity->secret_until_s = job_number(job, "secretExpires", identity->secret_until_s);
	const cJSON *item;
	cJSON_ArrayForEach(item, world_json_at(job->item, "federated"))
		federate(job, identity, item);
}

void word_federated(struct job *job) {
	struct str client_id = job_need(job, "clientId");
	struct azure_identity *identity = azure_identity_find(job->azure, client_id);
	if (identity) {
		federate(job, identity, job->item);
	} else if (client_id.len) {
		job_fail(job, "identity '%.*s' is not known", STR_ARG(client_id));
	}
}

void word_unfederate(struct job *job) {
	struct azure_identity *identity =
		azure_identity_find(job->azure, job_need(job, "clientId"));
	if (!identity) return;
	list_for_each_safe (node, &identity->credentials) {
		struct azure_credential *credential =
			container_of(node, struct azure_credential, link);
		if (job_text(job, "subject").len &&
			!str_eq(str_of(credential->subject), job_text(job, "subject")))
			continue;
		list_remove(node);
		mem_free(credential->issuer);
		mem_free(credential->subject);
		mem_free(credential->audience);
		mem_free(credential);
	}
}

void word_issuer(struct job *job) {
	struct str issuer = job_need(job, "issuer"), file = job_text(job, "jwksFile");
	const cJSON *jwks = world_json_at(job->item, "jwks");
	if (!file.len && !cJSON_IsArray(world_json_at(jwks, "keys")))
		job_fail(job, "'jwks' with 'keys', or 'jwksFile', is missing");
	if (buf_str(job->error).len) return;
	cJSON *copy = jwks ? cJSON_Duplicate(jwks, true) : NULL;
	azure_issuer_set(job->azure, issuer, &copy, file);
}

static void read_rights(struct job *job, unsigned rights[static AZURE_KINDS]) {
	static const struct {
		const char *name;
		enum azure_right right;
	} words[] = { { "get", AZURE_GET }, { "list", AZURE_LIST }, { "set", AZURE_WRITE } };
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		const cJSON *word, *list = world_json_at(world_json_at(job->item, "rights"),
					   azure_kinds[kind].many);
		cJSON_ArrayForEach(word, list) {
			for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
				if (str_eq(str_of(cJSON_GetStringValue(word)),
					    str_of(words[i].name))) {
					rights[kind] |= words[i].right;
				}
			}
		}
	}
}

void word_grant(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	struct str client_id = job_need(job, "clientId"), role = job_text(job, "role");
	unsigned rights[AZURE_KINDS] = { 0 };
	const unsigned *of_role = role.len ? azure_role(role) : NULL;
	if (role.len && !of_role) job_fail(job, "role '%.*s' is not known", STR_ARG(role));
	if (!role.len && !world_json_at(job->item, "rights"))
		job_fail(job, "'role' or 'rights' is missing");
	if (buf_str(job->error).len) return;
	if (of_role) memcpy(rights, of_role, sizeof(rights));
	read_rights(job, rights);
	azure_grant_add(vault, client_id, rights, job_text(job, "object"),
		world_json_bool(job->item, "policy", vault->policy_mode),
		job->now.mono_ns + job_seconds_ns(job, "lagSeconds", 0));
}

void word_revoke(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	struct str client_id = job_need(job, "clientId");
	if (buf_str(job->error).len) return;
	int64_t until_ns = job->now.mono_ns + job_seconds_ns(job, "lagSeconds", 0);
	if (!azure_grant_end(vault, client_id, job_text(job, "object"), until_ns)) {
		job_fail(job, "'%.*s' has no such grant on vault '%s'", STR_ARG(client_id),
			vault->name);
	}
}
