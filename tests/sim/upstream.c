/* The upstream controller comes for a while, in some seeds: it renews its Lease, and users write while it does. Whatever the
 * engine has in line then, no Secret and no status of a SecretSync is written once it has been told of the Lease. */
#include <assert.h>

#include "base/clock.h"
#include "clients/json.h"
#include "tests/sim/sim.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
#define LEASE_NAME "secrets-store-sync-controller-lease"

static const int64_t RENEW_NS = 2 * NS_PER_S, STAYS_NS = 60 * NS_PER_S;
static const int64_t LEASE_NS = 15 * NS_PER_S;
/* What main has been told is known to a worker within a turn of each. */
static const int64_t TURNS_NS = 5 * NS_PER_MS;
/* Clocks that differ by more make a Lease that is seen for the first time look like one that was left behind. */
static const int64_t STALE_NS = 300 * NS_PER_S;
/* One that was renewed longer ago, by the engine's clock, has been left behind. */
static const int64_t ABANDONED_NS = 660 * NS_PER_S;
enum { WRITES_PER_RENEWAL = 4 };

/* --- upstream --- */

static void renew(struct sim *sim) {
	char time[TIME_TEXT_BYTES], body[512];
	int64_t wall_ns = sim->upstream.renewed_ns = sim_world_now(sim).wall_ns;
	time_format(wall_ns / NS_PER_S, time);
	snprintf(body, sizeof body,
		"{\"spec\":{\"holderIdentity\":\"upstream-0\",\"leaseDurationSeconds\":%lld,"
		"\"renewTime\":\"%.19s.%06lldZ\"}}",
		(long long)(LEASE_NS / NS_PER_S), time,
		(long long)(wall_ns % NS_PER_S / NS_PER_US));
	int status = sim_kubectl(
		sim, "PATCH", LEASES "/" LEASE_NAME, "application/merge-patch+json", str_of(body));
	if (status != 404) return;
	snprintf(body, sizeof body,
		"{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\","
		"\"metadata\":{\"name\":\"%s\"}}",
		LEASE_NAME);
	status = sim_kubectl(sim, "POST", LEASES, NULL, str_of(body));
	if (status != 201) sim_fail(sim, "the scenario itself", "no Lease: %d", status);
}

/* More than the slow limits of these seeds let out at once: a line stands. */
static void write_some(struct sim *sim) {
	for (unsigned i = 0; i < WRITES_PER_RENEWAL; i++) {
		struct sim_sync *sync = &sim->syncs[sim->upstream.next++ % sim->sync_count];
		if (!sync->present) continue;
		sync->force = ++sim->serial;
		sim_apply_sync(sim, sync);
	}
}

static bool is_there(const struct sim *sim) {
	return sim->now_ns < sim->upstream.until_ns && sim->now_ns < sim->calm_ns;
}

static void renews(struct sim *sim, struct sim_event *event) {
	if (!is_there(sim)) {
		sim_note(sim, "upstream is scaled down");
		return;
	}
	renew(sim);
	write_some(sim);
	sim_at(sim, event, sim->now_ns + RENEW_NS);
}

void sim_upstream_begin(struct sim *sim) {
	struct sim_upstream *upstream = &sim->upstream;
	/* Those of one and of two writes in a second. */
	if (sim->seed % 14 != 6 && sim->seed % 14 != 8) return;
	upstream->renewal.fire = renews;
	upstream->until_ns = sim->calm_ns / 3 + STAYS_NS;
	sim_at(sim, &upstream->renewal, sim->calm_ns / 3);
}

/* --- what the engine knows of it --- */

void sim_upstream_forget(struct sim *sim) {
	sim->upstream.told[0] = 0;
	sim->upstream.told_ns = sim->upstream.holds_until_ns = 0;
	sim->upstream.rested = false;
}

/* What the engine's clock is ahead of the world's. */
static int64_t ahead_ns(const struct sim *sim) {
	return sim->client_offset_ns - sim->world_offset_ns;
}

bool sim_upstream_may_hold(const struct sim *sim) {
	const struct sim_upstream *upstream = &sim->upstream;
	int64_t age_ns = sim_world_now(sim).wall_ns + ahead_ns(sim) - upstream->renewed_ns;
	return upstream->renewed_ns && age_ns < ABANDONED_NS && !upstream->rested;
}

void sim_upstream_told(
	struct sim *sim, const struct sim_asked *asked, int status, struct str body) {
	struct sim_upstream *upstream = &sim->upstream;
	if (asked->role != ROLE_MAIN ||
		!str_ends(asked->path_and_query, STR("/kube-system/leases/" LEASE_NAME)))
		return;
	if (status == 404) {
		sim_upstream_forget(sim);
		upstream->rested = true;
	}
	/* An answer may not fit into memory then. */
	if (status != 200 || (sim->starve_permille && sim->now_ns < sim->calm_ns)) return;
	cJSON *lease = cJSON_ParseWithLength(body.ptr, body.len);
	struct str renewed = json_str(lease, "spec.renewTime");
	int64_t off_ns = ahead_ns(sim);
	bool clocks_agree = off_ns < STALE_NS && off_ns > -STALE_NS;
	bool sure = upstream->told[0] || (clocks_agree && is_there(sim));
	bool moved = renewed.len && !str_eq(renewed, str_of(upstream->told));
	snprintf(upstream->told, sizeof upstream->told, "%.*s", STR_ARG(renewed));
	cJSON_Delete(lease);
	if (moved) upstream->moved_ns = sim->now_ns;
	upstream->rested = !moved && sim->now_ns > upstream->moved_ns + LEASE_NS;
	if (!moved || !sure) return;
	if (sim->now_ns >= upstream->holds_until_ns) upstream->told_ns = sim->now_ns;
	upstream->holds_until_ns = sim->now_ns + LEASE_NS;
}

void sim_upstream_check(struct sim *sim, const struct sim_asked *asked) {
	const struct sim_upstream *upstream = &sim->upstream;
	bool writes = asked->row == ROW_CREATE || asked->row == ROW_SETTLE ||
		      asked->row == ROW_APPLY || asked->row == ROW_PATCH ||
		      asked->row == ROW_STATUS;
	if (!writes || asked->role == ROLE_MAIN || asked->host != HOST_KUBE) return;
	if (sim->now_ns < upstream->told_ns + TURNS_NS || sim->now_ns >= upstream->holds_until_ns)
		return;
	sim_fail(sim, "nothing is written while upstream's Lease is renewed",
		"%s %lld ms after that was known", sim_row_name(asked->row),
		(long long)((sim->now_ns - upstream->told_ns) / NS_PER_MS));
}
