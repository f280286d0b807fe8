/* tests/world/control.c - words that change the world: one JSON object each, from the control port or from a seed file. */
#include "tests/world/control.h"

#include <assert.h>
#include <stdio.h>

/* The host that a fault or a cut is about: 'host', or a vault's, or (empty) all. */
static void host_of(struct job *job, struct buf *out_host) {
	struct str host = job_text(job, "host"), vault = job_text(job, "vault");
	if (vault.len) {
		buf_printf(out_host, "%.*s.%s", STR_ARG(vault), job->azure->suffix);
	} else if (str_eq(host, STR("login"))) {
		buf_append(out_host, str_of(job->azure->login_host));
	} else if (str_eq(host, STR("imds"))) {
		buf_append(out_host, STR(AZURE_IMDS_HOST));
	} else {
		buf_append(out_host, host);
	}
}

static char *copy_or_null(struct str s) {
	return s.len ? mem_strdup(s) : NULL;
}

static void word_fault(struct job *job) {
	struct str name = job_need(job, "fault");
	enum azure_fault_kind kind = azure_fault_kind_of(name);
	if (!kind && name.len) job_fail(job, "fault '%.*s' is not known", STR_ARG(name));
	const cJSON *share = world_json_at(job->item, "share");
	double part = cJSON_IsNumber(share) ? share->valuedouble : 1;
	if (part < 0 || part > 1) job_fail(job, "'share' must lie between 0 and 1");
	if (kind == FAULT_AADSTS && !job_number(job, "number", 0))
		job_fail(job, "'number' (the AADSTS code) is missing");
	if (kind == FAULT_STATUS && !job_number(job, "number", 0))
		job_fail(job, "'number' (the status) is missing");
	if (buf_str(job->error).len) return;
	struct azure_fault *fault = azure_fault_add(job->azure, kind, job->now);
	struct buf host;
	buf_init(&host, 512);
	host_of(job, &host);
	fault->host = copy_or_null(buf_str(&host));
	buf_deinit(&host);
	fault->object = copy_or_null(job_text(job, "object"));
	fault->text = copy_or_null(job_text(job, "text"));
	fault->share_permille = (unsigned)(part * 1000 + 0.5);
	fault->count = job_number(job, "count", -1);
	fault->number = job_number(job, "number", 0);
	fault->status = job_number(job, "status", 0);
	fault->retry_after_s = job_number(job, "retryAfterSeconds", -1);
	fault->crlf = world_json_bool(job->item, "crlf", false);
	fault->no_error_codes = world_json_bool(job->item, "noErrorCodes", false);
	fault->from_ns += job_seconds_ns(job, "afterSeconds", 0);
	int64_t lasts_ns = job_seconds_ns(job, "seconds", -1);
	if (lasts_ns >= 0) fault->until_ns = fault->from_ns + lasts_ns;
	if (job->answer) world_json_add_i64(job->answer, "id", fault->id);
}

static void word_fault_end(struct job *job) {
	azure_fault_end(job->azure, (unsigned)job_number(job, "id", 0));
}

static void word_cut(struct job *job) {
	static const struct {
		const char *name;
		enum world_link how;
	} ways[] = { { "refused", WORLD_REFUSED }, { "blackhole", WORLD_BLACKHOLE },
		{ "nxdomain", WORLD_NXDOMAIN } };
	enum world_link how = WORLD_UP;
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (str_eq(job_text(job, "how"), str_of(ways[i].name))) how = ways[i].how;
	}
	int64_t from_ns = job->now.mono_ns + job_seconds_ns(job, "afterSeconds", 0);
	int64_t lasts_ns = job_seconds_ns(job, "seconds", -1);
	if (how == WORLD_UP) {
		job_fail(job, "'how' is none of refused, blackhole, nxdomain");
	} else if (lasts_ns == 0) {
		job_fail(job, "'seconds' is 0");
	} else {
		struct buf host;
		buf_init(&host, 512);
		host_of(job, &host);
		world_net_cut(&job->server->net, buf_str(&host), how, from_ns,
			lasts_ns < 0 ? NEVER_NS : from_ns + lasts_ns);
		buf_deinit(&host);
		server_apply_net(job->server);
	}
}

static void word_heal(struct job *job) {
	struct buf host;
	buf_init(&host, 512);
	host_of(job, &host);
	world_net_heal(&job->server->net, buf_str(&host));
	buf_deinit(&host);
	server_apply_net(job->server);
}

static void word_idle_close(struct job *job) {
	int64_t after_ns = job_seconds_ns(job, "seconds", 0);
	if (after_ns <= 0) {
		job_fail(job, "'seconds' must be more than 0");
	} else {
		job->server->idle_close_ns = after_ns;
	}
}

static void word_reset_stats(struct job *job) {
	world_counters_reset(job->server->log);
	list_for_each (node, &job->azure->vaults) {
		struct azure_vault *vault = container_of(node, struct azure_vault, link);
		vault->calls = vault->refused = vault->over_limit = vault->seen.most = 0;
	}
	list_for_each (node, &job->azure->subscriptions) {
		struct azure_subscription *all = container_of(node, struct azure_subscription, link);
		all->refused = all->windows[LIMIT_CALLS].most = 0;
	}
}

/* Documents are applied in this order. `members` is all that an object may have. */
static const struct word {
	const char *name, *plural;
	void (*run)(struct job *job);
	const char *members;
} words[] = {
	{ "tenant", "tenants", word_tenant, "id" },
	{ "subscription", "subscriptions", word_subscription, "id callsPer10s" },
	{ "vault", "vaults", word_vault,
		"name tenant subscription policyMode retentionDays deleteLagSeconds callsPer10s" },
	{ "identity", "identities", word_identity,
		"clientId tenant secret secretExpires federated onNode" },
	{ "federated", "federatedCredentials", word_federated,
		"clientId issuer subject audience lagSeconds" },
	{ "unfederate", NULL, word_unfederate, "clientId subject" },
	{ "issuer", "issuers", word_issuer, "issuer jwks jwksFile" },
	{ "secret", "secrets", word_secret,
		"vault name value valueBase64 values version enabled nbf exp tags contentType" },
	{ "key", "keys", word_key, "vault name type enabled nbf exp tags" },
	{ "certificate", "certificates", word_certificate, "vault name type pem pending" },
	{ "update", "updates", word_update,
		"vault kind name version enabled nbf exp tags contentType" },
	{ "delete", "deletes", word_delete, "vault kind name" },
	{ "recover", NULL, word_recover, "vault kind name" },
	{ "purge", NULL, word_purge, "vault kind name" },
	{ "grant", "grants", word_grant, "vault clientId role rights object policy lagSeconds" },
	{ "revoke", NULL, word_revoke, "vault clientId object lagSeconds" },
	{ "fault", "faults", word_fault,
		"fault vault host object share count seconds afterSeconds number text status "
		"retryAfterSeconds crlf noErrorCodes" },
	{ "fault-end", NULL, word_fault_end, "id" },
	{ "cut", "cuts", word_cut, "vault host how seconds afterSeconds" },
	{ "heal", NULL, word_heal, "vault host" },
	{ "idle-close", NULL, word_idle_close, "seconds" },
	{ "fleet", NULL, word_fleet,
		"total vaults perSubscription identities perClass readers bytes tenant issuer "
		"callsPer10s reserveMiB" },
	{ "fleet-fill", NULL, word_fleet_fill, "what from count step timed ageSeconds" },
	{ "fleet-forget", NULL, word_fleet_forget, "" },
	{ "reset-stats", NULL, word_reset_stats, "" },
};

static bool is_member(const char *members, const char *name) {
	struct str rest = str_of(members);
	while (rest.ptr) {
		if (str_eq(str_next(&rest, ' '), str_of(name))) return true;
	}
	return false;
}

static char *run(const struct word *word, struct server *server, struct now now, const cJSON *item,
	cJSON *answer) {
	struct buf error;
	buf_init(&error, 4096);
	struct job job = { server, server->azure, now, item, answer, &error };
	const cJSON *member;
	if (!cJSON_IsObject(item)) job_fail(&job, "%s: a JSON object is wanted", word->name);
	cJSON_ArrayForEach(member, item) {
		if (is_member(word->members, member->string) || buf_str(&error).len) continue;
		job_fail(&job, "%s: member '%s' is not known; there are: %s", word->name,
			member->string, word->members);
	}
	if (!buf_str(&error).len) word->run(&job);
	if (buf_str(&error).len) return buf_take(&error);
	buf_deinit(&error);
	return NULL;
}

char *control_apply(
	struct server *server, struct now now, struct str name, const cJSON *item, cJSON *answer) {
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (str_eq(name, str_of(words[i].name)))
			return run(&words[i], server, now, item, answer);
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
		buf_printf(&text,
			known ? "member '%s' must be an array" : "member '%s' is not known",
			item->string);
		return buf_take(&text);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(*words) && !error; i++) {
		if (!words[i].plural) continue;
		cJSON_ArrayForEach(
			item, cJSON_GetObjectItemCaseSensitive(document, words[i].plural)) {
			error = run(&words[i], server, now, item, NULL);
			if (error) break;
		}
	}
	return error;
}
