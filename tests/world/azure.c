/* tests/world/azure.c - life of the model, who may do what, and which service a host belongs to. */
#include "tests/world/azure.h"

#include <assert.h>

const struct azure_kind_names azure_kinds[AZURE_KINDS] = {
	[AZURE_SECRET] = { "secret", "secrets", "Secret" },
	[AZURE_KEY] = { "key", "keys", "Key" },
	[AZURE_CERTIFICATE] = { "certificate", "certificates", "Certificate" },
};

static char *copy(struct str s) {
	char *text = mem_strdup(s);
	assert(text);
	return text;
}

static void *zalloc(size_t size) {
	void *p = mem_zalloc(size);
	assert(p);
	return p;
}

struct azure *azure_create(uint64_t seed) {
	struct azure *azure = zalloc(sizeof(*azure));
	rng_seed(&azure->rng, seed);
	list_init(&azure->vaults);
	list_init(&azure->subscriptions);
	list_init(&azure->identities);
	list_init(&azure->issuers);
	list_init(&azure->faults);
	list_init(&azure->imds_tokens);
	list_init(&azure->tenants);
	azure->suffix = copy(STR("vault.azure.net"));
	azure->login_host = copy(STR("login.microsoftonline.com"));
	for (size_t i = 0; i < sizeof(azure->token_key); i++) {
		azure->token_key[i] = (unsigned char)rng_next(&azure->rng);
	}
	return azure;
}

static void vault_free(struct azure_vault *vault) {
	azure_vault_free_objects(vault);
	list_for_each_safe (node, &vault->grants) {
		struct azure_grant *grant = container_of(node, struct azure_grant, link);
		mem_free(grant->client_id);
		mem_free(grant->object);
		mem_free(grant);
	}
	mem_free(vault->name);
	mem_free(vault->host);
	mem_free(vault->tenant);
	mem_free(vault->region);
	for (int i = 0; i < AZURE_LIMITS; i++) azure_window_free(&vault->windows[i]);
	azure_window_free(&vault->seen);
	mem_free(vault);
}

static void identity_free(struct azure_identity *identity) {
	list_for_each_safe (node, &identity->credentials) {
		struct azure_credential *credential =
			container_of(node, struct azure_credential, link);
		mem_free(credential->issuer);
		mem_free(credential->subject);
		mem_free(credential->audience);
		mem_free(credential);
	}
	mem_free(identity->tenant);
	mem_free(identity->client_id);
	mem_free(identity->object_id);
	mem_free(identity->secret);
	mem_free(identity);
}

static void issuer_free(struct azure_issuer *issuer) {
	mem_free(issuer->issuer);
	mem_free(issuer->jwks_file);
	cJSON_Delete(issuer->jwks);
	mem_free(issuer);
}

void azure_destroy(struct azure *azure) {
	if (!azure) return;
	azure_fault_end(azure, 0);
	azure_imds_forget(azure);
	azure_token_forget(azure);
	list_for_each_safe (node, &azure->vaults)
		vault_free(container_of(node, struct azure_vault, link));
	azure_subscriptions_free(azure);
	list_for_each_safe (node, &azure->identities) {
		identity_free(container_of(node, struct azure_identity, link));
	}
	list_for_each_safe (node, &azure->issuers)
		issuer_free(container_of(node, struct azure_issuer, link));
	list_for_each_safe (node, &azure->tenants) {
		struct azure_tenant *tenant = container_of(node, struct azure_tenant, link);
		mem_free(tenant->id);
		mem_free(tenant);
	}
	mem_free(azure->suffix);
	mem_free(azure->login_host);
	mem_free(azure);
}

struct azure_vault *azure_vault_add(struct azure *azure, struct str name, struct str tenant) {
	assert(!azure_vault_find(azure, name));
	struct azure_vault *vault = zalloc(sizeof(*vault));
	vault->name = copy(name);
	struct buf host;
	buf_init(&host, 512);
	buf_printf(&host, "%.*s.%s", STR_ARG(name), azure->suffix);
	vault->host = buf_take(&host);
	assert(vault->host);
	vault->tenant = copy(tenant);
	vault->region = copy(STR("westeurope"));
	vault->retention_days = 90;
	vault->delete_lag_ns = -1;
	vault->subscription = azure_subscription_get(azure, STR(""));
	vault->rate_calls = AZURE_RATE_CALLS;
	vault->_first_purge_s = INT64_MAX;
	list_init(&vault->grants);
	list_push_back(&azure->vaults, &vault->link);
	azure_tenant_add(azure, tenant);
	return vault;
}

struct azure_vault *azure_vault_find(const struct azure *azure, struct str name) {
	list_for_each (node, &azure->vaults) {
		struct azure_vault *vault = container_of(node, struct azure_vault, link);
		if (str_eq_nocase(str_of(vault->name), name)) return vault;
	}
	return NULL;
}

struct azure_vault *azure_vault_of_host(const struct azure *azure, struct str host) {
	list_for_each (node, &azure->vaults) {
		struct azure_vault *vault = container_of(node, struct azure_vault, link);
		if (str_eq_nocase(str_of(vault->host), host)) return vault;
	}
	return NULL;
}

void azure_tenant_add(struct azure *azure, struct str id) {
	if (azure_tenant_known(azure, id)) return;
	struct azure_tenant *tenant = zalloc(sizeof(*tenant));
	tenant->id = copy(id);
	list_push_back(&azure->tenants, &tenant->link);
}

bool azure_tenant_known(const struct azure *azure, struct str id) {
	list_for_each (node, &azure->tenants) {
		if (str_eq_nocase(str_of(container_of(node, struct azure_tenant, link)->id), id))
			return true;
	}
	return false;
}

struct azure_identity *azure_identity_add(
	struct azure *azure, struct str tenant, struct str client_id) {
	assert(!azure_identity_find(azure, client_id));
	struct azure_identity *identity = zalloc(sizeof(*identity));
	char guid[WORLD_GUID_BYTES];
	world_guid(&azure->rng, guid);
	identity->tenant = copy(tenant);
	identity->client_id = copy(client_id);
	identity->object_id = copy(str_of(guid));
	identity->secret_until_s = AZURE_UNSET;
	list_init(&identity->credentials);
	list_push_back(&azure->identities, &identity->link);
	azure_tenant_add(azure, tenant);
	return identity;
}

struct azure_identity *azure_identity_find(const struct azure *azure, struct str client_id) {
	list_for_each (node, &azure->identities) {
		struct azure_identity *identity = container_of(node, struct azure_identity, link);
		if (str_eq_nocase(str_of(identity->client_id), client_id)) return identity;
	}
	return NULL;
}

void azure_federate(struct azure_identity *identity, struct str issuer, struct str subject,
	struct str audience, int64_t from_ns) {
	struct azure_credential *credential = zalloc(sizeof(*credential));
	credential->issuer = copy(issuer);
	credential->subject = copy(subject);
	credential->audience = copy(audience);
	credential->from_ns = from_ns;
	list_push_back(&identity->credentials, &credential->link);
}

void azure_issuer_set(struct azure *azure, struct str issuer, cJSON **jwks, struct str jwks_file) {
	list_for_each_safe (node, &azure->issuers) {
		struct azure_issuer *old = container_of(node, struct azure_issuer, link);
		if (!str_eq(str_of(old->issuer), issuer)) continue;
		list_remove(node);
		issuer_free(old);
	}
	struct azure_issuer *new = zalloc(sizeof(*new));
	new->issuer = copy(issuer);
	new->jwks_file = jwks_file.len ? copy(jwks_file) : NULL;
	new->jwks = jwks ? take(*jwks) : NULL;
	list_push_back(&azure->issuers, &new->link);
}

/* What stands in the kernel's HTTP driver answers for a host that nobody registered. */
static void unknown_host(struct world_response *out) {
	out->status = 404;
	world_response_header(out, "Content-Type", "text/html; charset=us-ascii");
	buf_append(&out->body, STR("<!DOCTYPE HTML><HTML><HEAD><TITLE>Not Found</TITLE></HEAD>"
				   "<BODY><h2>Not Found</h2></BODY></HTML>\r\n"));
}

void azure_handle(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	if (azure_fault_before(azure, now, req, out)) return;
	struct azure_vault *vault = azure_vault_of_host(azure, req->host);
	if (vault) {
		azure_vault_handle(azure, vault, now, req, out);
	} else if (str_eq_nocase(req->host, str_of(azure->login_host))) {
		azure_entra_handle(azure, now, req, out);
	} else if (str_eq(req->host, STR(AZURE_IMDS_HOST))) {
		azure_imds_handle(azure, now, req, out);
	} else {
		unknown_host(out);
	}
	azure_fault_after(azure, now, req, out);
}
