/* Invariants of what is asked: whom, how often, with which token. */
#include <assert.h>

#include "tests/sim/sim.h"

static const int64_t BREAKER_NS = 10 * NS_PER_S;
/* After so long it may be forgotten that a vault could not be reached, when no object uses it any more. */
static const int64_t FORGET_NS = 600 * NS_PER_S;

/* Which of main's parts asks: an informer of one of four kinds, what writes objects that follow
 * from AKVSyncs, or what looks for upstream's Lease. */
static unsigned part_of_main(struct str path) {
	if (str_find(path, STR("/leases/")) != SIZE_MAX) return 4;
	if (str_find(path, STR("/v1/secrets?")) != SIZE_MAX) return 5;
	if (str_find(path, STR("/namespaces/")) != SIZE_MAX) return 0;
	if (str_find(path, STR("secretproviderclasses")) != SIZE_MAX) return 1;
	return str_find(path, STR("/akvsyncs?")) != SIZE_MAX ? 2 : 3;
}

/* Each worker, and each part of main, has heard its own answers. */
static struct sim_told *told_of(struct sim *sim, const struct sim_asked *asked) {
	unsigned asker = asked->role - ROLE_WORKER;
	if (asked->role == ROLE_MAIN) asker = SIM_MAX_WORKERS + part_of_main(asked->path_and_query);
	assert(asker < SIM_ASKERS);
	return &sim->checks.told[asker][asked->host];
}

/* --- tokens go where they belong --- */

/* Does the token open no vault but those that a class of its client ever named? */
static bool is_for(const struct sim *sim, const struct azure_claims *claims, enum sim_host vault) {
	for (size_t s = 0; s < sizeof sim->spcs / sizeof *sim->spcs; s++) {
		if (strcmp(sim->spcs[s].client, claims->client_id) != 0) continue;
		if (sim->spcs[s].vaults >> (vault - HOST_VAULT_0) & 1) return true;
	}
	return false;
}

static void check_bearer(struct sim *sim, const struct sim_asked *asked) {
	struct azure_claims claims;
	bool good;
	if (asked->host == HOST_KUBE) {
		good = str_starts(asked->bearer, STR(SIM_POD_TOKEN));
	} else if (asked->host == HOST_IMDS) {
		good = !asked->bearer.len && !asked->body.len;
	} else if (asked->host == HOST_ENTRA) {
		good = !asked->bearer.len;
	} else if (sim->starving) {
		good = !str_starts(asked->bearer, STR(SIM_POD_TOKEN)); /* reading the token allocates, too */
	} else {
		good = azure_token_read(sim->azure, asked->bearer, &claims) &&
		       str_eq(str_of(claims.audience), STR("https://vault.azure.net")) &&
		       is_for(sim, &claims, asked->host);
	}
	if (!good)
		sim_fail(sim, "a token is sent only where it is for", "%.*s",
			STR_ARG(asked->host_name));
	if (asked->bearer.len && str_find(asked->path_and_query, asked->bearer) != SIZE_MAX) {
		sim_fail(sim, "no secret is shown", "a token stands in a URL");
	}
}

static void check_body(struct sim *sim, const struct sim_asked *asked) {
	bool carries_values = asked->row == ROW_CREATE || asked->row == ROW_APPLY ||
			      asked->row == ROW_PATCH;
	bool carries_assertion = asked->row == ROW_EXCHANGE;
	if (!carries_values && !carries_assertion)
		sim_check_text(sim, "a request's body", asked->body);
	if (str_find(asked->body, STR(SIM_POD_TOKEN)) != SIZE_MAX) {
		sim_fail(sim, "a token is sent only where it is for",
			"the pod's token stands in a body");
	}
}

/* --- pace --- */

static void check_rate(
	struct sim *sim, struct sim_paced *paced, unsigned most_per_10s, const char *what) {
	assert(most_per_10s < SIM_PACED);
	int64_t first_ns = paced->at_ns[(paced->next + SIM_PACED - most_per_10s) % SIM_PACED];
	if (sim->now_ns - first_ns < 10 * NS_PER_S)
		sim_fail(sim, "never above the limit in any window", "more than %u %s in 10 s",
			most_per_10s, what);
	paced->at_ns[paced->next] = sim->now_ns;
	paced->next = (paced->next + 1) % SIM_PACED;
}

/* Ten seconds hold ten seconds' worth, what may go at once after a rest, and what waited in other workers or tried an open
 * breaker. */
static unsigned most_in_10_s(const struct sim *sim, unsigned per_s) {
	return 10 * per_s + (per_s + 9) / 10 + 2 * sim->engine.worker_count;
}

static void check_vault_rates(struct sim *sim, const struct sim_asked *asked) {
	struct sim_checks *checks = &sim->checks;
	/* One trial of an open breaker is counted nowhere. */
	if (sim->vault_per_10s)
		check_rate(sim, &checks->vaults[asked->host - HOST_VAULT_0],
			sim->vault_per_10s + 1, "requests to a vault");
	if (sim->group_per_10s)
		check_rate(sim, &checks->all_vaults, sim->group_per_10s + sim->vault_count,
			"requests to a group of vaults");
}

static void check_rates(struct sim *sim, const struct sim_asked *asked) {
	bool writes = asked->row == ROW_CREATE || asked->row == ROW_SETTLE ||
		      asked->row == ROW_APPLY || asked->row == ROW_PATCH;
	bool to_vault = asked->host >= HOST_VAULT_0 && asked->host < HOST_IMDS;
	if (to_vault) check_vault_rates(sim, asked);
	if (asked->role == ROLE_MAIN || asked->host != HOST_KUBE) return;
	if (writes && sim->kube_writes_per_s)
		check_rate(sim, &sim->checks.secret_writes,
			most_in_10_s(sim, sim->kube_writes_per_s), "writes of Secrets");
	if (asked->row == ROW_STATUS && sim->status_writes_per_s)
		check_rate(sim, &sim->checks.statuses,
			most_in_10_s(sim, sim->status_writes_per_s), "writes of statuses");
}

void sim_check_start(struct sim *sim, const struct sim_asked *asked) {
	if (asked->host == HOST_UNKNOWN)
		sim_fail(sim, "only known hosts are asked", "%.*s", STR_ARG(asked->host_name));
	struct sim_told *told = told_of(sim, asked);
	sim->checks.requests[asked->row]++;
	check_bearer(sim, asked);
	check_body(sim, asked);
	check_rates(sim, asked);
	sim_upstream_check(sim, asked);
	if (sim->now_ns < told->not_before_ns) {
		sim_fail(sim, "Retry-After is respected", "%s is asked %lld ms too early (%s)",
			sim_host_name(asked->host),
			(long long)((told->not_before_ns - sim->now_ns) / NS_PER_MS),
			sim_row_name(asked->row));
	}
	if (sim->now_ns - told->last_start_ns > FORGET_NS) told->open_ns = NEVER_NS;
	if (told->open_ns != NEVER_NS) {
		int64_t last_ns =
			told->open_ns > told->last_start_ns ? told->open_ns : told->last_start_ns;
		if (sim->now_ns - last_ns < BREAKER_NS) {
			sim_fail(sim, "at most one trial in 10 s while a server is cut off",
				"%s after %lld ms (%s)", sim_host_name(asked->host),
				(long long)((sim->now_ns - last_ns) / NS_PER_MS),
				sim_row_name(asked->row));
		}
	}
	told->last_start_ns = sim->now_ns;
}

void sim_check_answer(struct sim *sim, const struct sim_asked *asked, enum err err, bool maybe_sent,
	int status, int64_t retry_after_ns) {
	struct sim_told *told = told_of(sim, asked);
	if (err == ERR_NETWORK || err == ERR_TIMEOUT) {
		bool opens = err == ERR_NETWORK && !maybe_sent && asked->role != ROLE_MAIN;
		if (opens && told->open_ns == NEVER_NS) told->open_ns = sim->now_ns;
		return;
	}
	if (!status) return;
	told->open_ns = NEVER_NS;
	if ((status == 429 || status == 503) && retry_after_ns > 0) {
		int64_t until_ns = sim->now_ns + retry_after_ns;
		if (until_ns > told->not_before_ns) told->not_before_ns = until_ns;
	}
}
