/* What a seed is: its world, its users' wishes, its faults, and the phases from start to silence. */
#include <assert.h>

#include "tests/sim/sim.h"

static const int64_t RECOVERY_NS =
	1500 * NS_PER_S; /* slow retries of an identity, a silent watch, Retry-After */
static const int64_t LOOK_NS = 20 * NS_PER_S;
/* Timeouts of the requests that find out, and the breaker's interval. */
static const int64_t OUTAGE_NS = 150 * NS_PER_S;
/* After a start: the first walk is over, and no SecretSync's own moment has come twice. */
static const int64_t RESTART_NS = 29 * NS_PER_S;
/* Where Secrets are watched, what others do is undone in this time, at the slowest limit of writes; no poll is as short. */
static const int64_t MEDDLED_NS = 20 * NS_PER_S;
/* Two looks at all Leases, as slow as answers get, and what a Lease lasts between them. */
static const int64_t HELD_NS = 75 * NS_PER_S;
enum { WRITES_OF_MEDDLING = 40 };

/* --- the plan --- */

static int64_t draw_interval_s(struct sim *sim) {
	return sim_chance(sim, 700) ? sim_between(sim, 30, 120) : sim_between(sim, 120, 600);
}

static void plan_spc(struct sim *sim, unsigned index) {
	struct sim_spc *spc = &sim->spcs[index];
	snprintf(spc->ns, sizeof spc->ns, "ns-%u",
		(unsigned)sim_between(sim, 0, sim->namespace_count - 1));
	snprintf(spc->name, sizeof spc->name, "spc-%u", index);
	snprintf(spc->client, sizeof spc->client, "aaaaaaaa-0000-0000-0000-00000000000%u", index);
	static const enum identity_kind kinds[] = { IDENTITY_PRINCIPAL, IDENTITY_MACHINE,
		IDENTITY_WORKLOAD, IDENTITY_WORKLOAD, IDENTITY_WORKLOAD };
	spc->identity = kinds[(sim->seed + index) % 5];
	snprintf(spc->secret, sizeof spc->secret, "principal-%u", index);
	spc->vault = (unsigned)sim_between(sim, 0, sim->vault_count - 1);
	spc->object_count = (unsigned)sim_between(sim, 1, SIM_VAULT_OBJECTS);
	for (unsigned i = 0; i < spc->object_count; i++) {
		struct sim_object *o = &spc->objects[i];
		o->vault_object = i;
		o->history = sim_chance(sim, 400) ? (unsigned)sim_between(sim, 2, 3) : 0;
		snprintf(o->path, sizeof o->path, sim_chance(sim, 300) ? "alias-%u" : "obj-%u", i);
	}
}

static void plan_items(struct sim *sim, struct sim_sync *sync) {
	const struct sim_spc *spc = &sim->spcs[sync->spc];
	sync->item_count = (unsigned)sim_between(sim, 1, SIM_MAX_ITEMS);
	for (unsigned i = 0; i < sync->item_count; i++) {
		struct sim_item *item = &sync->items[i];
		item->object = (unsigned)sim_between(sim, 0, spc->object_count - 1);
		unsigned history = spc->objects[item->object].history;
		item->index = history ? (unsigned)sim_between(sim, 0, history - 1) : 0;
		snprintf(item->key, sizeof item->key, "key-%u", i);
	}
}

static void plan_sync(struct sim *sim, unsigned index) {
	struct sim_sync *sync = &sim->syncs[index];
	sync->spc = (unsigned)sim_between(sim, 0, sim->spc_count - 1);
	snprintf(sync->name, sizeof sync->name, "sync-%u", index);
	snprintf(sync->service_account, sizeof sync->service_account, "sa-%u",
		(unsigned)sim_between(sim, 0, sim->service_accounts - 1));
	plan_items(sim, sync);
	sync->label = sim_chance(sim, 400) ? ++sim->serial : 0;
	sync->interval_s = sim_chance(sim, 300) ? draw_interval_s(sim) : 0;
	int64_t interval_s = sync->interval_s ? sync->interval_s : sim->default_interval_s;
	if (interval_s > sim->longest_interval_s) sim->longest_interval_s = interval_s;
}

/* A random subset of the kinds of faults, each seed another: what is common hides what is rare. */
static void plan_faults(struct sim *sim) {
	static const unsigned rates[] = { 0, 10, 30, 80, 200 };
	for (unsigned kind = 1; kind < SIM_FAULT_COUNT; kind++) {
		if (sim_chance(sim, 400)) sim->fault_mask |= UINT64_C(1) << kind;
	}
	sim->fault_permille = rates[sim_between(sim, 0, 4)];
	sim->trap_permille = sim_chance(sim, 500) ? (unsigned)sim_between(sim, 5, 60) : 0;
	sim->slow_permille = sim_chance(sim, 500) ? (unsigned)sim_between(sim, 0, 200) : 0;
	sim->starve_permille = sim_chance(sim, 150) ? (unsigned)sim_between(sim, 2, 40) : 0;
	sim->calm_ns = sim_between(sim, 200, 900) * NS_PER_S;
	sim->gc_delay_ns = sim_chance(sim, 500) ? 0 : sim_between(sim, 0, 12 * NS_PER_S);
	/* A quiet seed now and then: what happens without any trouble has to be right, too. */
	if (sim->seed % 20 != 0) return;
	sim->fault_permille = sim->trap_permille = sim->starve_permille = 0;
}

/* Versions are listed by the identity that reads them. */
static bool has_history(const struct sim_spc *spc) {
	bool history = false;
	for (unsigned i = 0; i < spc->object_count; i++) history |= spc->objects[i].history > 0;
	return history;
}

/* A million polls never come: where changes are found by listing, whatever reads a value then has no excuse. */
static void plan_detection(struct sim *sim) {
	static const unsigned polls[] = { 3, 24, 1000000 };
	sim->change_detection =
		sim_chance(sim, 500) ? CHANGE_BY_LIST : (enum change_detection)sim_between(sim, 0, 2);
	sim->safety_polls = polls[sim_between(sim, 0, 2)];
	sim->twin_permille = sim_chance(sim, 500) ? (unsigned)sim_between(sim, 10, 100) : 0;
	/* In half of the seeds a walk has several pages, and turns of the workers between them. */
	sim->list_rows = sim->seed % 2 ? 1 + (unsigned)(sim->seed / 2 % 4) : 0;
	for (unsigned v = 0; v < sim->vault_count; v++) {
		/* What is derived from an AKVSync has histories. */
		bool some = sim_chance(sim, 300) && !sim->akv_count;
		unsigned permille = some ? (unsigned)sim_between(sim, 300, 1000) : 0;
		for (unsigned s = 0; s < sim->spc_count; s++)
			sim->no_list[v][s] = sim_chance(sim, permille) && !has_history(&sim->spcs[s]);
	}
}

/* By the seed's number, not by chance: few seeds shall have to wait long, and what others do stays the same. */
static void plan_limits(struct sim *sim) {
	static const unsigned writes[] = { 100, 1, 100, 0, 3, 100, 2 };
	static const unsigned statuses[] = { 50, 1, 0, 50, 2 };
	sim->kube_writes_per_s = writes[sim->seed % 7];
	sim->status_writes_per_s = statuses[sim->seed % 5];
	sim->jitter_s = sim->seed % 9 == 4 ? 5 : 0;
	sim->watch = sim->seed % 4 == 2;
	sim->vault_per_10s = sim->seed % 4 == 1 ? 20 + 2 * sim->sync_count : 0;
	sim->class_per_10s = sim->seed % 5 == 3 ? 5 + 2 * sim->sync_count : 0;
	sim->group_per_10s = sim->seed % 6 == 2 ? 20 + 2 * sim->sync_count : 0;
}

void sim_plan(struct sim *sim) {
	sim->engine.worker_count = (unsigned)sim_between(sim, 1, SIM_MAX_WORKERS);
	sim->namespace_count = (unsigned)sim_between(sim, 1, SIM_MAX_NAMESPACES);
	sim->service_accounts = (unsigned)sim_between(sim, 1, 2);
	sim->vault_count = (unsigned)sim_between(sim, 1, SIM_MAX_VAULTS);
	sim->spc_count = (unsigned)sim_between(sim, 1, SIM_MAX_SPCS);
	sim->sync_count = (unsigned)(sim_chance(sim, 900) ? sim_between(sim, 5, 20)
							  : sim_between(sim, 20, 60));
	sim->default_interval_s = sim->longest_interval_s = draw_interval_s(sim);
	snprintf(sim->pod_token, sizeof sim->pod_token, SIM_POD_TOKEN "%llu-0",
		(unsigned long long)sim->seed);
	for (unsigned i = 0; i < sim->spc_count; i++) plan_spc(sim, i);
	for (unsigned i = 0; i < sim->sync_count; i++) plan_sync(sim, i);
	sim_akv_plan(sim);
	plan_faults(sim);
	plan_detection(sim);
	plan_limits(sim);
}

/* --- the phases --- */

static void silence_ends(struct sim *sim, struct sim_event *event);
static void ended(struct sim *sim, struct sim_event *event);

static void stop_for_good(struct sim *sim, struct sim_event *event) {
	sim_engine_stop(sim, false);
	event->fire = ended;
	sim_at(sim, event, sim->now_ns + NS_PER_S);
}

static void ended(struct sim *sim, struct sim_event *event) {
	sim->over = !sim->engine.up;
	if (!sim->over) sim_at(sim, event, sim->now_ns + NS_PER_S);
}

/* Undone, and not again and again. */
static void meddling_ends(struct sim *sim, struct sim_event *event) {
	const char *what = sim_unsettled(sim);
	if (what) sim_fail(sim, "what others do is undone at once where it is watched", "%s", what);
	int64_t writes = (int64_t)sim->checks.product_writes - sim->meddled_writes;
	if (writes > WRITES_OF_MEDDLING)
		sim_fail(sim, "own writes are no news", "%lld writes after five changes",
			(long long)writes);
	sim_note(sim, "what others did is undone");
	stop_for_good(sim, event);
}

/* While upstream's Lease may be renewed nothing is written. */
static void meddling_is_seen(struct sim *sim, struct sim_event *event) {
	if (sim_upstream_may_hold(sim)) {
		if (sim->now_ns > sim->meddled_ns + HELD_NS)
			sim_fail(sim, "a Lease that is left behind holds nobody for long",
				"the engine does not look at it");
		sim_at(sim, event, sim->now_ns + NS_PER_S);
		return;
	}
	event->fire = meddling_ends;
	sim_at(sim, event, sim->now_ns + MEDDLED_NS);
}

/* While the watch tells of it, while the engine is down, or while the watch is broken and its history is forgotten: then a
 * list has to tell, also by what it lacks. */
static void meddle(struct sim *sim, struct sim_event *event) {
	unsigned how = (unsigned)(sim->seed / 4 % 3);
	bool down = how == 1, forgotten = how == 2;
	if (down) sim_engine_stop(sim, false);
	event->fire = meddle;
	if (down && sim->engine.up) {
		sim_at(sim, event, sim->now_ns + NS_PER_S);
		return;
	}
	sim->meddled_writes = (int64_t)sim->checks.product_writes;
	if (forgotten) kube_break_watches(sim->kube, NULL);
	sim_meddle(sim);
	if (forgotten) kube_compact(sim->kube);
	if (down) sim_engine_start(sim);
	sim_streams_poll(sim);
	sim->meddled_ns = sim->now_ns;
	event->fire = meddling_is_seen;
	meddling_is_seen(sim, event);
}

static void restart_ends(struct sim *sim, struct sim_event *event) {
	const char *what = sim_unsettled(sim);
	if (what) sim_fail(sim, "settled stays settled", "%s", what);
	sim_restart_end(sim);
	sim_note(sim, "silence was kept over a restart");
	if (sim->watch)
		meddle(sim, event);
	else
		stop_for_good(sim, event);
}

static void silent_restart(struct sim *sim, struct sim_event *event) {
	if (sim->engine.up) {
		sim_at(sim, event, sim->now_ns + NS_PER_S);
		return;
	}
	sim_silence_begin(sim);
	sim_engine_start(sim);
	event->fire = restart_ends;
	sim_at(sim, event, sim->now_ns + RESTART_NS);
}

/* At the slowest limit statuses go out some seconds apart. */
static void stop_quietly(struct sim *sim, struct sim_event *event) {
	if (sim->recovery_writes != sim->checks.product_writes) {
		sim->recovery_writes = sim->checks.product_writes;
		sim_at(sim, event, sim->now_ns + LOOK_NS);
		return;
	}
	sim_engine_stop(sim, false);
	event->fire = silent_restart;
	sim_at(sim, event, sim->now_ns + NS_PER_S);
}

/* No failure outlives its cause by more than an interval; and what follows from the last of them is written, too. */
static void recovering(struct sim *sim, struct sim_event *event) {
	const char *what = sim_unsettled(sim);
	if (sim->recovery_writes != sim->checks.product_writes && !what)
		what = "somebody still writes";
	sim->recovery_writes = sim->checks.product_writes;
	int64_t deadline_ns = sim->outage_over_ns + sim->longest_interval_s * NS_PER_S + OUTAGE_NS;
	if (what && sim->now_ns > deadline_ns)
		sim_fail(sim, "a failure does not outlive its cause", "%s", what);
	if (what) {
		sim_at(sim, event, sim->now_ns + NS_PER_S);
		return;
	}
	sim_recovery_end(sim);
	sim_note(sim, "the outage is forgotten");
	event->fire = stop_quietly;
	sim_at(sim, event, sim->now_ns + LOOK_NS);
}

/* Whatever was due meanwhile has failed. */
static void outage_ends(struct sim *sim, struct sim_event *event) {
	const char *what = sim_untold(sim);
	if (what) sim_fail(sim, "an outage is told", "%s", what);
	sim_note(sim, "the outage is over");
	sim_go_offline(sim, false);
	sim->outage_over_ns = sim->now_ns;
	sim_recovery_begin(sim);
	event->fire = recovering;
	sim_at(sim, event, sim->now_ns + NS_PER_S);
}

static void silence_ends(struct sim *sim, struct sim_event *event) {
	sim_silence_end(sim);
	sim_note(sim, "silence was kept");
	sim_silence_begin(sim);
	sim_go_offline(sim, true);
	event->fire = outage_ends;
	/* Within an interval a walk, or somebody else, finds out; within the next one everybody is due. */
	sim_at(sim, event, sim->now_ns + 2 * sim->longest_interval_s * NS_PER_S + OUTAGE_NS);
}

static void silence_begins(struct sim *sim, struct sim_event *event) {
	const char *what = sim_unsettled(sim);
	if (what) sim_fail(sim, "settled stays settled", "%s", what);
	sim_silence_begin(sim);
	sim_note(sim, "silence begins");
	event->fire = silence_ends;
	sim_at(sim, event, sim->now_ns + 2 * sim->longest_interval_s * NS_PER_S);
}

/* Faults have ceased: before the deadline every Secret has to be equal to its vault. */
static void settling(struct sim *sim, struct sim_event *event) {
	const char *what = sim_unsettled(sim);
	int64_t deadline_ns = sim->calm_ns + RECOVERY_NS + 3 * sim->longest_interval_s * NS_PER_S;
	if (what && sim->now_ns > deadline_ns)
		sim_fail(sim, "every Secret equals its vault once faults stop", "%s", what);
	if (what) {
		sim_at(sim, event, sim->now_ns + LOOK_NS);
		return;
	}
	sim_note(sim, "settled");
	/* The next check may find an attribute changed and write the same values; the one after it says, once, that it found nothing. */
	event->fire = silence_begins;
	int64_t wait_s = 2 * sim->longest_interval_s + 200;
	/* Where nobody may list a vault, that is tried again after ten minutes. */
	if (sim->change_detection != CHANGE_BY_GET) wait_s += 600;
	/* And the right to watch Secrets after five. */
	if (sim->watch) wait_s += 300;
	sim_at(sim, event, sim->now_ns + wait_s * NS_PER_S);
}

static void restarting(struct sim *sim, struct sim_event *event) {
	if (sim->engine.up) {
		sim_at(sim, event, sim->now_ns + NS_PER_S);
		return;
	}
	sim_engine_start(sim);
	event->fire = settling;
	sim_at(sim, event, sim->now_ns + LOOK_NS);
}

static void calm(struct sim *sim, struct sim_event *event) {
	sim_note(sim, "faults cease");
	sim_drop(sim, &sim->next_action);
	sim_heal(sim);
	event->fire = sim->engine.up && !sim->engine.stopping ? settling : restarting;
	sim_at(sim, event, sim->now_ns + NS_PER_S);
}

static void next_action(struct sim *sim, struct sim_event *event) {
	if (sim->engine.up || sim_chance(sim, 300)) {
		sim_act(sim);
	} else {
		sim_engine_start(sim);
	}
	sim_at(sim, event,
		sim->now_ns +
			sim_between(sim, 0, sim_chance(sim, 300) ? 2 * NS_PER_S : 30 * NS_PER_S));
}

void sim_begin(struct sim *sim) {
	sim_watch_set(sim, sim->watch && sim->seed % 8 != 2);
	for (unsigned i = 0; i < sim->spc_count; i++) sim_apply_spc(sim, &sim->spcs[i]);
	for (unsigned i = 0; i < sim->sync_count; i++) {
		if (sim_chance(sim, 800)) sim_apply_sync(sim, &sim->syncs[i]);
	}
	sim_akv_begin(sim);
	sim_upstream_begin(sim);
	sim_engine_start(sim);
	sim->next_action.fire = next_action;
	sim_at(sim, &sim->next_action, sim_between(sim, 0, 20 * NS_PER_S));
	sim->phase.fire = calm;
	sim_at(sim, &sim->phase, sim->calm_ns);
}
