/* The engine under test and its five doors: http_sim.c, a virtual clock, a seeded rng, no loop, and turns instead of threads. */
#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "clients/kube.h"
#include "tests/sim/sim.h"

enum { TURNS_PER_SECOND = 20000 };

static struct sim *sim_of(void *arg) {
	return arg;
}

/* --- turns --- */

/* A turn takes time, too. Returns when the next one is due: not before this one is over. */
static int64_t next_turn_ns(struct sim *sim, int64_t deadline_ns) {
	int64_t over_ns = sim->now_ns + sim_between(sim, 50 * NS_PER_US, 400 * NS_PER_US);
	int64_t due_ns = deadline_ns == NEVER_NS ? NEVER_NS : deadline_ns - SIM_MONO_NS;
	return due_ns < over_ns ? over_ns : due_ns;
}

/* A turn that always wants another is a busy loop. */
static void count_turn(struct sim *sim, int64_t *second, unsigned *turns, const char *who) {
	if (*second != sim->now_ns / NS_PER_S) {
		*second = sim->now_ns / NS_PER_S;
		*turns = 0;
	}
	if (++*turns == 1200 && sim_http_active(sim) == 0)
		sim_fail(sim, "no busy loop", "%s turns without end", who);
	assert(*turns < TURNS_PER_SECOND);
}

static void go_down(struct sim *sim) {
	struct sim_engine *e = &sim->engine;
	thread_set_role(ROLE_MAIN);
	sim->inside_product = true;
	engine_destroy(take(e->engine)); /* asserts that secret memory is empty */
	kube_deinit(&e->kube);
	sim->inside_product = false;
	thread_set_role(ROLE_NONE);
	sim_drop(sim, &e->turn);
	for (unsigned i = 0; i < e->worker_count; i++) sim_drop(sim, &e->workers[i].turn);
	e->up = e->stopping = false;
	sim_note(sim, "engine is down");
	if (sim_http_active(sim) || !list_is_empty(&sim->clients)) {
		sim_fail(sim, "nothing is left after the end", "%u requests are still active",
			sim_http_active(sim));
	}
	sim_check_forget(sim);
}

/* One allocation of the turn that begins may fail. */
static void enter(struct sim *sim, unsigned role) {
	bool starve = sim->now_ns < sim->calm_ns && sim_chance(sim, sim->starve_permille);
	thread_set_role(role);
	sim->inside_product = true;
	sim->starving = starve;
	if (starve) mem_fail_at((uint64_t)sim_between(sim, 1, 300));
}

static void leave(struct sim *sim) {
	if (sim->starving) sim_note(sim, "an allocation %s", mem_fail_reached() ? "failed" : "would have failed later");
	mem_fail_at(0);
	sim->starving = false;
	sim->inside_product = false;
	thread_set_role(ROLE_NONE);
}

static void main_turn(struct sim *sim, struct sim_event *event) {
	struct sim_engine *e = &sim->engine;
	assert(e->up);
	if (e->stopping && engine_is_drained(e->engine)) {
		go_down(sim);
		return;
	}
	count_turn(sim, &e->second, &e->turns, "main");
	enter(sim, ROLE_MAIN);
	int64_t deadline_ns = engine_turn(e->engine, sim_client_now(sim));
	leave(sim);
	int64_t due_ns = next_turn_ns(sim, deadline_ns);
	if (due_ns != NEVER_NS) sim_sooner(sim, event, due_ns);
}

static void worker_turn_event(struct sim *sim, struct sim_event *event) {
	struct sim_worker *w = container_of(event, struct sim_worker, turn);
	struct sim_engine *e = &sim->engine;
	struct worker *worker = pool_worker(engine_pool(e->engine), w->index);
	count_turn(sim, &w->second, &w->turns, "a worker");
	enter(sim, ROLE_WORKER + w->index);
	int64_t deadline_ns = worker_turn(worker, sim_client_now(sim));
	leave(sim);
	if (worker_is_drained(worker)) {
		sim_sooner(sim, &e->turn, sim->now_ns + NS_PER_MS);
		return;
	}
	int64_t due_ns = next_turn_ns(sim, deadline_ns);
	if (due_ns != NEVER_NS) sim_sooner(sim, event, due_ns);
}

void sim_wake_role(struct sim *sim, unsigned role) {
	struct sim_engine *e = &sim->engine;
	if (!e->up) return;
	struct sim_event *turn =
		role == ROLE_MAIN ? &e->turn : &e->workers[role - ROLE_WORKER].turn;
	sim_sooner(sim, turn, sim->now_ns + sim_between(sim, 0, 500 * NS_PER_US));
}

/* --- the doors --- */

static struct http *make_http(void *arg, unsigned index, struct loop *loop) {
	assert(!loop);
	return sim_http_create(sim_of(arg), ROLE_WORKER + index);
}

static void wake_worker(void *arg, unsigned index) {
	sim_wake_role(sim_of(arg), ROLE_WORKER + index);
}

static void wake_main(void *arg) {
	sim_wake_role(sim_of(arg), ROLE_MAIN);
}

static void publish_token(struct sim *sim) {
	struct sim_engine *e = &sim->engine;
	if (strcmp(e->published, sim->pod_token) == 0) return;
	struct secret_arena *arena = secret_arena_create(4096);
	struct secret value = { 0 };
	assert(arena);
	secret_init(&value, arena, 1024);
	secret_append(&value, str_of(sim->pod_token));
	enum err err = kube_token_publish(&e->kube, &value);
	assert(!err);
	secret_deinit(&value);
	secret_arena_destroy(arena);
	snprintf(e->published, sizeof e->published, "%s", sim->pod_token);
}

static void refresh_token(void *arg, bool rejected) {
	(void)rejected;
	mem_fail_at(0);
	publish_token(sim_of(arg));
}

static void start_sites(struct sim *sim) {
	struct sim_engine *e = &sim->engine;
	e->site = (struct http_site){ .name = "kubernetes", .version = HTTP_VERSION_2 };
	e->azure_site = (struct http_site){ .name = "azure", .version = HTTP_VERSION_1_1 };
	e->imds_site = (struct http_site){ .name = "imds", .allow_http = true };
	enum err err = kube_init(&e->kube, "https://" SIM_KUBE_HOST, &e->site);
	assert(!err);
	e->published[0] = 0;
	publish_token(sim);
}

void sim_engine_start(struct sim *sim) {
	struct sim_engine *e = &sim->engine;
	assert(!e->up);
	thread_set_role(ROLE_MAIN);
	start_sites(sim);
	struct settings settings = settings_default();
	settings.poll_interval_ns = sim->default_interval_s * NS_PER_S;
	settings.change_detection = sim->change_detection;
	settings.safety_polls = sim->safety_polls;
	settings.drift = sim->watch ? DRIFT_WATCH : DRIFT_PROBE;
	settings.kube_writes_per_s = sim->kube_writes_per_s;
	settings.status_writes_per_s = sim->status_writes_per_s;
	settings.jitter_ns = sim->jitter_s * NS_PER_S;
	if (sim->vault_per_10s) {
		struct rate rate = rate_of(sim->vault_per_10s, settings.vault_burst);
		settings.vault_rate_per_s = rate.per_s;
		settings.vault_burst = rate.burst;
	}
	if (sim->group_per_10s) {
		settings.group_per_10s = sim->group_per_10s;
		settings.vault_groups = "other;kv-sim-0,kv-sim-1,kv-sim-2,kv-sim-3";
	}
	struct engine_options options = {
		.pool = {
			.workers = e->worker_count, .kube = &e->kube, .azure = &e->azure_site, .imds = &e->imds_site, .settings = settings,
			.doors = { .clock = &sim->clock.clock, .make_http = make_http, .wake = wake_worker,
				.wake_main = wake_main, .arg = sim, .seed = sim->seed * 1000 + ++e->starts },
		},
		.http = sim_http_create(sim, ROLE_MAIN),
		.classes.cloud = cloud_find(STR("AzurePublicCloud")),
		.classes.machine_namespaces = "ns-0,ns-1,ns-2",
		.watch_upstream = true,
		.refresh_token = refresh_token,
		.arg = sim,
	};
	enum err err = engine_create(&options, &e->engine);
	assert(!err);
	pool_trace(engine_pool(e->engine), sim_check_step, sim);
	thread_set_role(ROLE_NONE);
	e->up = true;
	e->turn.fire = main_turn;
	sim_note(sim, "engine starts with %u workers", e->worker_count);
	sim_at(sim, &e->turn, sim->now_ns);
	for (unsigned i = 0; i < e->worker_count; i++) {
		e->workers[i] = (struct sim_worker){
			.turn = { .fire = worker_turn_event }, .sim = sim, .index = i
		};
		sim_at(sim, &e->workers[i].turn, sim->now_ns);
	}
}

void sim_engine_stop(struct sim *sim, bool kill) {
	struct sim_engine *e = &sim->engine;
	if (!e->up || e->stopping) return;
	for (unsigned i = 0; i < sim->checks.running_count; i++) {
		enum sim_row row = sim->checks.running[i].row;
		if (row != ROW_COUNT) sim->table->cells[row][kill ? SIM_KILLED : SIM_STOPPED]++;
	}
	int64_t drain_ns = kill ? 0 : sim_between(sim, 0, 20 * NS_PER_S);
	sim_note(sim, "engine is asked to stop within %lld ms, %u runs",
		(long long)(drain_ns / NS_PER_MS), sim->checks.running_count);
	e->stopping = true;
	e->killed = kill;
	thread_set_role(ROLE_MAIN);
	engine_stop(e->engine, drain_ns);
	thread_set_role(ROLE_NONE);
	sim_at(sim, &e->turn, sim->now_ns);
	for (unsigned i = 0; i < e->worker_count; i++)
		sim_at(sim, &e->workers[i].turn, sim->now_ns);
}
