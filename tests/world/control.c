/* tests/world/control.c - words that change the world: one JSON object each, from the control port or from a seed file. */
#include <assert.h>
#include <stdio.h>

#include "tests/world/server.h"

struct job {
	struct server *server;
	struct azure *azure;
	struct now now;
	const cJSON *item;
	cJSON *answer;      /* may be NULL */
	struct buf *error;
};

static void fail(struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct job *job, const char *format, ...) {
	va_list args;
	va_start(args, format);
	buf_vprintf(job->error, format, args);
	va_end(args);
}

static struct str text(const struct job *job, const char *name) {
	return world_json_str(job->item, name);
}

static int64_t number(const struct job *job, const char *name, int64_t fallback) {
	return world_json_i64(job->item, name, fallback);
}

/* A member in seconds, fractions allowed, as nanoseconds. */
static int64_t seconds_ns(const struct job *job, const char *name, int64_t fallback_ns) {
	const cJSON *item = world_json_at(job->item, name);
	return cJSON_IsNumber(item) ? (int64_t)(item->valuedouble * (double)NS_PER_S) : fallback_ns;
}

static struct str need(struct job *job, const char *name) {
	struct str value = text(job, name);
	if (!value.len && !buf_str(job->error).len) fail(job, "member '%s' is missing", name);
	return value;
}

static struct azure_vault *need_vault(struct job *job) {
	struct str name = need(job, "vault");
	struct azure_vault *vault = azure_vault_find(job->azure, name);
	if (!vault && name.len) fail(job, "vault '%.*s' is not known", STR_ARG(name));
	return vault;
}

static enum azure_kind need_kind(struct job *job) {
	struct str word = text(job, "kind");
	if (!word.len) return AZURE_SECRET;
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		if (str_eq(word, str_of(azure_kinds[kind].one))) return (enum azure_kind)kind;
	}
	fail(job, "kind '%.*s' is none of secret, key, certificate", STR_ARG(word));
	return AZURE_SECRET;
}

static struct azure_object *need_object(struct job *job, struct azure_vault *vault, enum azure_kind kind, bool deleted) {
	struct str name = need(job, "name");
	if (buf_str(job->error).len) return NULL;
	struct azure_object *object = azure_object_find(vault, kind, name);
	if (object && object->deleted == deleted) return object;
	fail(job, "there is no %s%s '%.*s' in vault '%s'", deleted ? "deleted " : "", azure_kinds[kind].one, STR_ARG(name),
	     vault->name);
	return NULL;
}

static void do_tenant(struct job *job) {
	struct str id = need(job, "id");
	if (id.len) azure_tenant_add(job->azure, id);
}

static void do_vault(struct job *job) {
	struct str name = need(job, "name"), tenant = need(job, "tenant");
	if (buf_str(job->error).len) return;
	struct azure_vault *vault = azure_vault_find(job->azure, name);
	if (!vault) vault = azure_vault_add(job->azure, name, tenant);
	if (!str_eq(str_of(vault->tenant), tenant)) {
		mem_free(vault->tenant);
		vault->tenant = mem_strdup(tenant);
		azure_tenant_add(job->azure, tenant);
	}
	vault->policy_mode = world_json_bool(job->item, "policyMode", vault->policy_mode);
	vault->retention_days = number(job, "retentionDays", vault->retention_days);
	vault->delete_lag_ns = seconds_ns(job, "deleteLagSeconds", vault->delete_lag_ns);
	int64_t limit = number(job, "callsPer10s", vault->rate_calls);
	if (limit < 1 || limit > 1000000) {
		fail(job, "callsPer10s must lie between 1 and 1000000");
	} else if ((unsigned)limit != vault->rate_calls) {
		mem_free(take(vault->_rate));
		vault->_rate_next = 0;
		vault->rate_calls = (unsigned)limit;
	}
}

static void federate(struct job *job, struct azure_identity *identity, const cJSON *item) {
	struct str issuer = world_json_str(item, "issuer"), subject = world_json_str(item, "subject");
	struct str audience = world_json_str(item, "audience");
	const cJSON *lag = world_json_at(item, "lagSeconds");
	int64_t lag_ns = cJSON_IsNumber(lag) ? (int64_t)(lag->valuedouble * (double)NS_PER_S) : 0;
	if (!issuer.len || !subject.len) {
		fail(job, "a federated credential needs 'issuer' and 'subject'");
		return;
	}
	azure_federate(identity, issuer, subject, audience.len ? audience : STR("api://AzureADTokenExchange"),
		       job->now.mono_ns + lag_ns);
}

static void do_identity(struct job *job) {
	struct str client_id = need(job, "clientId"), tenant = need(job, "tenant"), secret = text(job, "secret");
	if (buf_str(job->error).len) return;
	struct azure_identity *identity = azure_identity_find(job->azure, client_id);
	if (!identity) identity = azure_identity_add(job->azure, tenant, client_id);
	if (secret.len) {
		mem_free(identity->secret);
		identity->secret = mem_strdup(secret);
	}
	identity->secret_until_s = number(job, "secretExpires", identity->secret_until_s);
	const cJSON *item;
	cJSON_ArrayForEach(item, world_json_at(job->item, "federated")) federate(job, identity, item);
}

static void do_federated(struct job *job) {
	struct str client_id = need(job, "clientId");
	struct azure_identity *identity = azure_identity_find(job->azure, client_id);
	if (identity) {
		federate(job, identity, job->item);
	} else if (client_id.len) {
		fail(job, "identity '%.*s' is not known", STR_ARG(client_id));
	}
}

static void do_unfederate(struct job *job) {
	struct azure_identity *identity = azure_identity_find(job->azure, need(job, "clientId"));
	if (!identity) return;
	list_for_each_safe(node, &identity->credentials) {
		struct azure_credential *credential = container_of(node, struct azure_credential, link);
		if (text(job, "subject").len && !str_eq(str_of(credential->subject), text(job, "subject"))) continue;
		list_remove(node);
		mem_free(credential->issuer);
		mem_free(credential->subject);
		mem_free(credential->audience);
		mem_free(credential);
	}
}

static void do_issuer(struct job *job) {
	struct str issuer = need(job, "issuer"), file = text(job, "jwksFile");
	const cJSON *jwks = world_json_at(job->item, "jwks");
	if (!file.len && !cJSON_IsArray(world_json_at(jwks, "keys"))) fail(job, "'jwks' with 'keys', or 'jwksFile', is missing");
	if (buf_str(job->error).len) return;
	cJSON *copy = jwks ? cJSON_Duplicate(jwks, true) : NULL;
	azure_issuer_set(job->azure, issuer, &copy, file);
}

static void attributes(struct job *job, struct azure_version *version) {
	struct str type = text(job, "contentType");
	const cJSON *tags = world_json_at(job->item, "tags");
	version->enabled = world_json_bool(job->item, "enabled", version->enabled);
	version->nbf_s = number(job, "nbf", version->nbf_s);
	version->exp_s = number(job, "exp", version->exp_s);
	if (type.ptr) {
		mem_free(version->content_type);
		version->content_type = mem_strdup(type);
	}
	if (tags) {
		cJSON_Delete(version->tags);
		version->tags = cJSON_IsObject(tags) ? cJSON_Duplicate(tags, true) : NULL;
	}
}

/* Where a new version may go: no tombstone holds the name. */
static bool is_free(struct job *job, const struct azure_vault *vault, enum azure_kind kind, struct str name) {
	const struct azure_object *object = azure_object_find(vault, kind, name);
	if (!object || !object->deleted) return true;
	fail(job, "%s '%.*s' is deleted: recover or purge it first", azure_kinds[kind].one, STR_ARG(name));
	return false;
}

static void answer_version(struct job *job, const struct azure_version *version) {
	if (!job->answer) return;
	cJSON_DeleteItemFromObject(job->answer, "version");
	cJSON_AddStringToObject(job->answer, "version", version->id);
}

static void put_secret(struct job *job, struct azure_vault *vault, struct str value) {
	struct str name = text(job, "name"), id = text(job, "version");
	if (id.len >= WORLD_HEX_BYTES) {
		fail(job, "a version has at most 32 characters");
		return;
	}
	const struct azure_object *known = azure_object_find(vault, AZURE_SECRET, name);
	if (id.len && known && azure_version_find(known, id)) {
		fail(job, "version '%.*s' is there already", STR_ARG(id));
		return;
	}
	int64_t at_s = azure_seconds(job->now);
	struct azure_version *version = azure_version_add(job->azure, vault, AZURE_SECRET, name, id, at_s);
	azure_version_set_value(version, value);
	attributes(job, version);
	answer_version(job, version);
}

static void do_secret(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	struct str name = need(job, "name");
	const cJSON *values = world_json_at(job->item, "values"), *value;
	if (buf_str(job->error).len || !is_free(job, vault, AZURE_SECRET, name)) return;
	struct buf bytes;
	buf_init(&bytes, 1 << 20);
	if (text(job, "valueBase64").ptr) {
		if (!azure_base64_decode(text(job, "valueBase64"), &bytes)) fail(job, "'valueBase64' is not base64");
	} else if (text(job, "value").ptr) {
		world_json_value(world_json_at(job->item, "value"), &bytes);
	} else if (!cJSON_IsArray(values)) {
		fail(job, "one of 'value', 'valueBase64', 'values' is missing");
	}
	if (buf_str(&bytes).len > AZURE_VALUE_BYTES) fail(job, "a value has at most %d bytes", AZURE_VALUE_BYTES);
	if (!buf_str(job->error).len && !values) put_secret(job, vault, buf_str(&bytes));
	/* Several at once: all of one second. */
	cJSON_ArrayForEach(value, values) {
		if (!buf_str(job->error).len) put_secret(job, vault, str_of(cJSON_GetStringValue(value)));
	}
	buf_deinit(&bytes);
}

static void do_key(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	struct str name = need(job, "name");
	if (buf_str(job->error).len || !is_free(job, vault, AZURE_KEY, name)) return;
	const struct azure_object *known = azure_object_find(vault, AZURE_KEY, name);
	unsigned index = known ? (unsigned)known->count : 0;
	struct azure_version *version = azure_version_add(job->azure, vault, AZURE_KEY, name, STR_NULL, azure_seconds(job->now));
	version->key_type = str_eq(text(job, "type"), STR("EC")) ? AZURE_EC : AZURE_RSA;
	version->key_index = index;
	attributes(job, version);
	answer_version(job, version);
}

static void do_certificate(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	struct str name = need(job, "name");
	for (int kind = 0; kind < AZURE_KINDS && !buf_str(job->error).len; kind++) {
		is_free(job, vault, (enum azure_kind)kind, name);
	}
	if (buf_str(job->error).len) return;
	enum azure_key_type type = str_eq(text(job, "type"), STR("EC")) ? AZURE_EC : AZURE_RSA;
	bool pem = world_json_bool(job->item, "pem", false), pending = world_json_bool(job->item, "pending", false);
	struct azure_version *version = azure_certificate_add(job->azure, vault, name, type, pem, job->now);
	/* While it is issued, its secret stands in the list, disabled. */
	azure_object_find(vault, AZURE_CERTIFICATE, name)->pending = pending;
	if (pending) azure_object_find(vault, AZURE_SECRET, name)->current->enabled = false;
	answer_version(job, version);
}

static void do_update(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	enum azure_kind kind = need_kind(job);
	if (buf_str(job->error).len) return;
	struct azure_object *object = need_object(job, vault, kind, false);
	if (!object) return;
	struct str id = text(job, "version");
	struct azure_version *version = id.len ? azure_version_find(object, id) : object->current;
	if (!version) {
		fail(job, "version '%.*s' is not known", STR_ARG(id));
		return;
	}
	attributes(job, version);
	version->updated_s = azure_seconds(job->now);
}

static void do_delete(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	enum azure_kind kind = need_kind(job);
	struct azure_object *object = buf_str(job->error).len ? NULL : need_object(job, vault, kind, false);
	if (object) azure_object_delete(job->azure, vault, object, job->now);
}

static void do_recover(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	enum azure_kind kind = need_kind(job);
	struct azure_object *object = buf_str(job->error).len ? NULL : need_object(job, vault, kind, true);
	if (object) azure_object_recover(object);
}

static void do_purge(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	enum azure_kind kind = need_kind(job);
	struct azure_object *object = buf_str(job->error).len ? NULL : need_object(job, vault, kind, true);
	if (object) azure_object_purge(vault, kind, object);
}

static void read_rights(struct job *job, unsigned rights[static AZURE_KINDS]) {
	static const struct {
		const char *name;
		enum azure_right right;
	} words[] = { { "get", AZURE_GET }, { "list", AZURE_LIST }, { "set", AZURE_WRITE } };
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		const cJSON *word, *list = world_json_at(world_json_at(job->item, "rights"), azure_kinds[kind].many);
		cJSON_ArrayForEach(word, list) {
			for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
				if (str_eq(str_of(cJSON_GetStringValue(word)), str_of(words[i].name))) {
					rights[kind] |= words[i].right;
				}
			}
		}
	}
}

static void do_grant(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	struct str client_id = need(job, "clientId"), role = text(job, "role");
	unsigned rights[AZURE_KINDS] = { 0 };
	const unsigned *of_role = role.len ? azure_role(role) : NULL;
	if (role.len && !of_role) fail(job, "role '%.*s' is not known", STR_ARG(role));
	if (!role.len && !world_json_at(job->item, "rights")) fail(job, "'role' or 'rights' is missing");
	if (buf_str(job->error).len) return;
	if (of_role) memcpy(rights, of_role, sizeof(rights));
	read_rights(job, rights);
	azure_grant_add(vault, client_id, rights, text(job, "object"), world_json_bool(job->item, "policy", vault->policy_mode),
			job->now.mono_ns + seconds_ns(job, "lagSeconds", 0));
}

static void do_revoke(struct job *job) {
	struct azure_vault *vault = need_vault(job);
	struct str client_id = need(job, "clientId");
	if (buf_str(job->error).len) return;
	int64_t until_ns = job->now.mono_ns + seconds_ns(job, "lagSeconds", 0);
	if (!azure_grant_end(vault, client_id, text(job, "object"), until_ns)) {
		fail(job, "'%.*s' has no such grant on vault '%s'", STR_ARG(client_id), vault->name);
	}
}

/* The host that a fault or a cut is about: 'host', or a vault's, or (empty) all. */
static void host_of(struct job *job, struct buf *out_host) {
	struct str host = text(job, "host"), vault = text(job, "vault");
	if (vault.len) {
		buf_printf(out_host, "%.*s.%s", STR_ARG(vault), job->azure->suffix);
	} else if (str_eq(host, STR("login"))) {
		buf_append(out_host, str_of(job->azure->login_host));
	} else {
		buf_append(out_host, host);
	}
}

static char *copy_or_null(struct str s) {
	return s.len ? mem_strdup(s) : NULL;
}

static void do_fault(struct job *job) {
	struct str name = need(job, "fault");
	enum azure_fault_kind kind = azure_fault_kind_of(name);
	if (!kind && name.len) fail(job, "fault '%.*s' is not known", STR_ARG(name));
	const cJSON *share = world_json_at(job->item, "share");
	double part = cJSON_IsNumber(share) ? share->valuedouble : 1;
	if (part < 0 || part > 1) fail(job, "'share' must lie between 0 and 1");
	if (kind == FAULT_AADSTS && !number(job, "number", 0)) fail(job, "'number' (the AADSTS code) is missing");
	if (kind == FAULT_STATUS && !number(job, "number", 0)) fail(job, "'number' (the status) is missing");
	if (buf_str(job->error).len) return;
	struct azure_fault *fault = azure_fault_add(job->azure, kind, job->now);
	struct buf host;
	buf_init(&host, 512);
	host_of(job, &host);
	fault->host = copy_or_null(buf_str(&host));
	buf_deinit(&host);
	fault->object = copy_or_null(text(job, "object"));
	fault->text = copy_or_null(text(job, "text"));
	fault->share_permille = (unsigned)(part * 1000 + 0.5);
	fault->count = number(job, "count", -1);
	fault->number = number(job, "number", 0);
	fault->status = number(job, "status", 0);
	fault->retry_after_s = number(job, "retryAfterSeconds", -1);
	fault->crlf = world_json_bool(job->item, "crlf", false);
	fault->no_error_codes = world_json_bool(job->item, "noErrorCodes", false);
	fault->from_ns += seconds_ns(job, "afterSeconds", 0);
	int64_t lasts_ns = seconds_ns(job, "seconds", -1);
	if (lasts_ns >= 0) fault->until_ns = fault->from_ns + lasts_ns;
	if (job->answer) world_json_add_i64(job->answer, "id", fault->id);
}

static void do_fault_end(struct job *job) {
	azure_fault_end(job->azure, (unsigned)number(job, "id", 0));
}

static void do_cut(struct job *job) {
	static const struct {
		const char *name;
		enum world_link how;
	} ways[] = { { "refused", WORLD_REFUSED }, { "blackhole", WORLD_BLACKHOLE }, { "nxdomain", WORLD_NXDOMAIN } };
	enum world_link how = WORLD_UP;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (str_eq(text(job, "how"), str_of(ways[i].name))) how = ways[i].how;
	}
	int64_t from_ns = job->now.mono_ns + seconds_ns(job, "afterSeconds", 0);
	int64_t lasts_ns = seconds_ns(job, "seconds", -1);
	if (how == WORLD_UP) {
		fail(job, "'how' is none of refused, blackhole, nxdomain");
	} else if (lasts_ns == 0) {
		fail(job, "'seconds' is 0");
	} else {
		struct buf host;
		buf_init(&host, 512);
		host_of(job, &host);
		world_net_cut(&job->server->net, buf_str(&host), how, from_ns, lasts_ns < 0 ? NEVER_NS : from_ns + lasts_ns);
		buf_deinit(&host);
		server_apply_net(job->server);
	}
}

static void do_heal(struct job *job) {
	struct buf host;
	buf_init(&host, 512);
	host_of(job, &host);
	world_net_heal(&job->server->net, buf_str(&host));
	buf_deinit(&host);
	server_apply_net(job->server);
}

static void do_reset_stats(struct job *job) {
	world_counters_reset(job->server->log);
	list_for_each(node, &job->azure->vaults) {
		struct azure_vault *vault = container_of(node, struct azure_vault, link);
		vault->calls = vault->refused = vault->most_in_window = 0;
	}
}

/* Documents are applied in this order. `members` is all that an object may have. */
static const struct word {
	const char *name, *plural;
	void (*run)(struct job *job);
	const char *members;
} words[] = {
	{ "tenant", "tenants", do_tenant, "id" },
	{ "vault", "vaults", do_vault, "name tenant policyMode retentionDays deleteLagSeconds callsPer10s" },
	{ "identity", "identities", do_identity, "clientId tenant secret secretExpires federated" },
	{ "federated", "federatedCredentials", do_federated, "clientId issuer subject audience lagSeconds" },
	{ "unfederate", NULL, do_unfederate, "clientId subject" },
	{ "issuer", "issuers", do_issuer, "issuer jwks jwksFile" },
	{ "secret", "secrets", do_secret,
	  "vault name value valueBase64 values version enabled nbf exp tags contentType" },
	{ "key", "keys", do_key, "vault name type enabled nbf exp tags" },
	{ "certificate", "certificates", do_certificate, "vault name type pem pending" },
	{ "update", "updates", do_update, "vault kind name version enabled nbf exp tags contentType" },
	{ "delete", "deletes", do_delete, "vault kind name" },
	{ "recover", NULL, do_recover, "vault kind name" },
	{ "purge", NULL, do_purge, "vault kind name" },
	{ "grant", "grants", do_grant, "vault clientId role rights object policy lagSeconds" },
	{ "revoke", NULL, do_revoke, "vault clientId object lagSeconds" },
	{ "fault", "faults", do_fault,
	  "fault vault host object share count seconds afterSeconds number text status retryAfterSeconds crlf noErrorCodes" },
	{ "fault-end", NULL, do_fault_end, "id" },
	{ "cut", "cuts", do_cut, "vault host how seconds afterSeconds" },
	{ "heal", NULL, do_heal, "vault host" },
	{ "reset-stats", NULL, do_reset_stats, "" },
};

static bool is_member(const char *members, const char *name) {
	struct str rest = str_of(members);
	while (rest.ptr) {
		if (str_eq(str_next(&rest, ' '), str_of(name))) return true;
	}
	return false;
}

static char *run(const struct word *word, struct server *server, struct now now, const cJSON *item, cJSON *answer) {
	struct buf error;
	buf_init(&error, 4096);
	struct job job = { server, server->azure, now, item, answer, &error };
	const cJSON *member;
	if (!cJSON_IsObject(item)) fail(&job, "%s: a JSON object is wanted", word->name);
	cJSON_ArrayForEach(member, item) {
		if (is_member(word->members, member->string) || buf_str(&error).len) continue;
		fail(&job, "%s: member '%s' is not known; there are: %s", word->name, member->string, word->members);
	}
	if (!buf_str(&error).len) word->run(&job);
	if (buf_str(&error).len) return buf_take(&error);
	buf_deinit(&error);
	return NULL;
}

char *control_apply(struct server *server, struct now now, struct str name, const cJSON *item, cJSON *answer) {
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (str_eq(name, str_of(words[i].name))) return run(&words[i], server, now, item, answer);
	}
	return control_kube_apply(server, now, name, item);
}

char *control_apply_all(struct server *server, struct now now, const cJSON *document) {
	const cJSON *item;
	char *error = NULL;
	cJSON_ArrayForEach(item, document) {
		bool known = false;
		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
			known |= words[i].plural && !strcmp(words[i].plural, item->string);
		}
		if (known && cJSON_IsArray(item)) continue;
		struct buf text;
		buf_init(&text, 512);
		buf_printf(&text, known ? "member '%s' must be an array" : "member '%s' is not known", item->string);
		return buf_take(&text);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(*words) && !error; i++) {
		if (!words[i].plural) continue;
		cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(document, words[i].plural)) {
			error = run(&words[i], server, now, item, NULL);
			if (error) break;
		}
	}
	return error;
}
