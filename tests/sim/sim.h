/* tests/sim/sim.h - the deterministic simulation: the product's own libraries over the world model, in one thread.
 *
 * Everything that happens is an event in one heap: a turn of main or of a worker, the arrival of a request at its server,
 * an answer, bytes of a watch, a user's action, the end of a fault. Virtual time jumps from event to event; ties are broken
 * by chance that comes from the seed, so that a seed is a history and nothing but it.
 */
#pragma once

#include <stdio.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "clients/http.h"
#include "engine/engine.h"
#include "tests/sim/table.h"
#include "tests/world/azure.h"
#include "tests/world/kube.h"

struct evp_pkey_st;
struct sim;

/* --- events (sim.c) --- */

struct sim_event {
	int64_t at_ns;
	uint64_t tie, seq;
	size_t place; /* in the heap + 1; 0: not planned */
	void (*fire)(struct sim *sim, struct sim_event *event);
};

enum {
	SIM_RING = 50,
	SIM_LINE_BYTES = 240,
	SIM_MAX_WORKERS = 4,
	SIM_MAX_VAULTS = 4,
	SIM_MAX_SPCS = 6,
	SIM_MAX_SYNCS = 64,
	SIM_MAX_ITEMS = 4,
	SIM_VAULT_OBJECTS = 5,
	SIM_MAX_NAMESPACES = 3,
	SIM_MAX_AKVS = 2,
	SIM_AKV_SECRETS = 4,
	SIM_NAME_BYTES = 64,
};

/* The monotonic clocks of the world and of the engine show that much at the beginning. */
#define SIM_MONO_NS (INT64_C(5000) * NS_PER_S)
#define SIM_KUBE_HOST "kube.sim"
#define SIM_USER "system:serviceaccount:azure-secret-store:kvsync"
#define SIM_TENANT "11111111-2222-3333-4444-555555555555"
#define SIM_ISSUER "https://issuer.sim/"
/* Every secret value and the pod's token begin so; nothing that people can read may contain them. */
#define SIM_CANARY "kvcanary-"
#define SIM_CANARY_BASE64 "a3ZjYW5hcnkt"
#define SIM_POD_TOKEN "podcanary-"

/* --- hosts: what can be cut off --- */

enum sim_host {
	HOST_KUBE,
	HOST_ENTRA,
	HOST_VAULT_0,
	HOST_IMDS = HOST_VAULT_0 + SIM_MAX_VAULTS, /* stands on the node: is never cut off */
	HOST_COUNT,
	HOST_UNKNOWN
};

enum sim_cut { CUT_NOT, CUT_REFUSED, CUT_BLACK_HOLE };

/* --- what users wrote (scenario.c) --- */

struct sim_object {
	unsigned vault_object; /* "obj-N" */
	unsigned history; /* 0, 2, 3 */
	char path[SIM_NAME_BYTES]; /* alias or name */
};

struct sim_spc {
	char ns[SIM_NAME_BYTES], name[SIM_NAME_BYTES], client[SIM_NAME_BYTES];
	enum identity_kind identity;
	char secret[SIM_NAME_BYTES]; /* of a principal: its Secret */
	unsigned credential; /* how often that has been renewed at Entra */
	bool stale; /* the Secret does not know of the last time */
	unsigned vault;
	unsigned vaults; /* bits of all that it ever named */
	struct sim_object objects[SIM_VAULT_OBJECTS];
	unsigned object_count;
	bool present;
};

struct sim_item {
	unsigned object; /* of the class */
	unsigned index; /* of its history */
	char key[SIM_NAME_BYTES];
};

struct sim_sync {
	char name[SIM_NAME_BYTES], service_account[SIM_NAME_BYTES];
	unsigned spc;
	struct sim_item items[SIM_MAX_ITEMS];
	unsigned item_count;
	unsigned label; /* 0: none; else the value of label "team" */
	unsigned force;
	int64_t interval_s; /* 0: the installation's */
	bool present;
	bool blocked; /* a foreign Secret has the name, and stays to the end */
	bool unmarked; /* blocked, because the label was taken from what was its own */
};

/* An AKVSync. What has to follow from it stands here as if users had written it. */
enum sim_stranger { STRANGER_NONE, STRANGER_MADE, STRANGER_STRIPPED };

struct sim_akv {
	char name[SIM_NAME_BYTES];
	bool present;
	unsigned force;
	bool wanted[SIM_AKV_SECRETS]; /* it has an entry for this Secret */
	enum sim_stranger strangers[SIM_AKV_SECRETS]; /* a SecretSync of this name is not its own */
	struct sim_sync derived[SIM_AKV_SECRETS];
	bool class_is_strange; /* a class of this name is not its own, to the end */
};

/* --- another controller (upstream.c) --- */

struct sim_upstream {
	struct sim_event renewal;
	int64_t until_ns; /* it is scaled down */
	unsigned next; /* SecretSync that is written meanwhile */
	char told[SIM_NAME_BYTES]; /* the renewTime that the engine was told last; "": none */
	int64_t told_ns, holds_until_ns; /* since when, and for how long at least, the engine knows */
	int64_t renewed_ns; /* wall clock of the world, last; 0: never */
	int64_t moved_ns; /* the engine was told another renewTime than before */
	bool rested; /* and after as long as a Lease lasts it was told the same again, or that there is none */
};

/* --- the engine under test (engine_sim.c) --- */

struct sim_worker {
	struct sim_event turn;
	struct sim *sim;
	unsigned index;
	int64_t second; /* of virtual time, for the bound on turns */
	unsigned turns;
};

struct sim_engine {
	bool up;
	bool stopping;
	bool killed;
	struct engine *engine;
	struct kube kube;
	struct http_site site, azure_site;
	struct http_site imds_site;
	struct sim_event turn; /* of main */
	int64_t second;
	unsigned turns;
	struct sim_worker workers[SIM_MAX_WORKERS];
	unsigned worker_count;
	unsigned starts;
	char published[SIM_NAME_BYTES]; /* the pod token that was published */
};

struct sim_clock {
	struct clock clock;
	struct sim *sim;
};

/* --- what checks remember (check.c) --- */

struct sim_running {
	char uid[SIM_NAME_BYTES], key[2 * SIM_NAME_BYTES];
	enum sim_row row; /* the last step, where it waits; ROW_COUNT: none yet */
	enum err err; /* after that step */
};

struct sim_uid {
	char key[2 * SIM_NAME_BYTES], uid[SIM_NAME_BYTES];
};

/* What a worker (or one of main's informers) was told by a server. */
struct sim_told {
	int64_t not_before_ns; /* Retry-After */
	int64_t open_ns; /* its breaker must be open since; NEVER_NS: it need not be */
	int64_t last_start_ns;
};

/* When requests of one kind went out, all workers together. */
enum { SIM_PACED = 2048 };
struct sim_paced {
	int64_t at_ns[SIM_PACED]; /* a ring; as if long ago at first */
	unsigned next;
};

enum { SIM_ASKERS = SIM_MAX_WORKERS + 6, SIM_MAX_UIDS = 4096 };

struct sim_checks {
	struct sim_running running[SIM_MAX_SYNCS * 2];
	unsigned running_count;
	struct sim_uid *uids; /* every SecretSync there ever was */
	unsigned uid_count;
	struct sim_told told[SIM_ASKERS][HOST_COUNT];
	bool given_up[SIM_MAX_VAULTS]; /* it was said that the vault is not listed any more */
	struct sim_paced secret_writes, statuses, vaults[SIM_MAX_VAULTS], all_vaults;
	uint64_t requests[ROW_COUNT];
	uint64_t product_writes; /* of what is stored, by the product */
	uint64_t status_writes, event_writes; /* of what is stored, by the product */
	int64_t silent_since_ns, silent_version;
	uint64_t silent_requests[ROW_COUNT], silent_product_writes, silent_safety_reads;
	uint64_t recovery_reads, recovery_safety_reads; /* when the outage was over */
};

struct sim_options {
	bool verbose;
	bool trace;
	uint64_t until; /* stop after so many events; 0: to the end */
};

struct sim {
	uint64_t seed;
	const struct sim_options *options;
	struct sim_table *table;
	struct rng rng;
	int64_t now_ns;
	int64_t world_offset_ns, client_offset_ns; /* of the wall clocks */
	struct sim_event **heap;
	size_t heap_len, heap_cap;
	uint64_t next_seq, steps, hash;
	char ring[SIM_RING][SIM_LINE_BYTES];
	uint64_t ring_count;
	bool over;

	struct kube_world *kube;
	struct azure *azure;
	struct kube_snapshot *snapshot;
	struct sim_event world_turn;
	struct sim_clock clock;
	struct sim_engine engine;
	struct list clients; /* struct sim_http */
	struct list exchanges; /* all that are on their way, abandoned ones too */
	bool inside_product; /* a turn is running */
	bool starving; /* an allocation of this turn is to fail */
	char pod_token[SIM_NAME_BYTES];

	/* The plan of the seed. */
	unsigned namespace_count, vault_count, spc_count, sync_count, service_accounts;
	struct sim_spc spcs[SIM_MAX_SPCS + SIM_MAX_AKVS]; /* the last ones follow from AKVSyncs */
	struct sim_sync syncs[SIM_MAX_SYNCS];
	unsigned akv_count;
	struct sim_akv akvs[SIM_MAX_AKVS];
	struct sim_upstream upstream;
	int64_t default_interval_s, longest_interval_s;
	enum change_detection change_detection;
	unsigned safety_polls;
	unsigned kube_writes_per_s, status_writes_per_s; /* 0: no limit */
	int64_t jitter_s;
	unsigned vault_per_10s, group_per_10s; /* 0: the default; no group */
	unsigned class_per_10s; /* of each class and namespace, or a little more; 0: they ask for none */
	unsigned list_rows; /* of a page; 0: 25 */
	int64_t outage_over_ns;
	uint64_t recovery_writes; /* of the product, a second ago */
	int64_t calm_ns; /* faults and users come to rest */
	int64_t gc_delay_ns;
	uint64_t fault_mask; /* bits of enum sim_fault */
	unsigned twin_permille; /* of GETs */
	bool no_list[SIM_MAX_VAULTS][SIM_MAX_SPCS]; /* the class's identity may not list the vault */
	unsigned fault_permille, trap_permille, slow_permille, starve_permille;
	struct sim_event next_action, phase, trap_stop;
	enum sim_cut cuts[HOST_COUNT];
	bool account_gone[SIM_MAX_NAMESPACES];
	bool policy_on;
	int64_t last_version_s[SIM_MAX_VAULTS][SIM_VAULT_OBJECTS];
	unsigned serial; /* of values, labels, force words */
	bool watch; /* driftDetection: watch */
	bool may_watch; /* the right to watch Secrets is granted */
	int64_t meddled_writes; /* of the product, before users began to meddle at the end */
	int64_t meddled_ns; /* and when they did */
	bool restored; /* a backup came back: only a restart makes the engine see all of it */

	struct sim_checks checks;
};

/* sim.c: the loop, the trace, failure. */
void sim_at(struct sim *sim, struct sim_event *event, int64_t at_ns); /* plans, or moves */
void sim_sooner(
	struct sim *sim, struct sim_event *event, int64_t at_ns); /* only to an earlier time */
void sim_drop(struct sim *sim, struct sim_event *event);
__attribute__((format(printf, 2, 3))) void sim_note(struct sim *sim, const char *format, ...);
__attribute__((format(printf, 3, 4), noreturn)) void sim_fail(
	struct sim *sim, const char *invariant, const char *format, ...);
struct now sim_world_now(const struct sim *sim);
bool sim_chance(struct sim *sim, unsigned permille);
int64_t sim_between(struct sim *sim, int64_t low, int64_t high);
/* Runs one seed; returns the hash of its events. Ends the process when an invariant is broken. */
uint64_t sim_run(uint64_t seed, const struct sim_options *options, struct sim_table *table);

/* http_sim.c */
struct http *sim_http_create(struct sim *sim, unsigned role);
void sim_streams_poll(struct sim *sim); /* something changed in the API server */
unsigned sim_http_active(const struct sim *sim);
void sim_exchanges_drop(struct sim *sim); /* at the end: what is still on its way */

/* engine_sim.c */
void sim_engine_start(struct sim *sim);
void sim_engine_stop(struct sim *sim, bool kill); /* asks; it goes down when it is drained */
void sim_wake_role(struct sim *sim, unsigned role);
struct now sim_client_now(const struct sim *sim);

/* world_sim.c: the world of a seed, and what users do to it. */
void sim_world_create(struct sim *sim);
void sim_world_destroy(struct sim *sim);
enum sim_host sim_host_of(const struct sim *sim, struct str host);
const char *sim_host_name(enum sim_host host);
int sim_kubectl(
	struct sim *sim, const char *method, const char *path, const char *type, struct str body);
/* Creates, or replaces the spec of what is there. */
void sim_apply(struct sim *sim, const char *collection, const char *head, const char *name,
	struct str spec);
void sim_apply_spc(struct sim *sim, struct sim_spc *spc);
void sim_apply_sync(struct sim *sim, struct sim_sync *sync);
void sim_delete_sync(struct sim *sim, struct sim_sync *sync);
void sim_delete_spc(struct sim *sim, struct sim_spc *spc);
void sim_account_set(struct sim *sim, unsigned ns, bool present);
void sim_watch_set(struct sim *sim, bool granted); /* the right to list and watch Secrets */
void sim_rotate(struct sim *sim, unsigned vault, unsigned object);
void sim_rotate_again(struct sim *sim, unsigned vault, unsigned object); /* in the same second */
void sim_renew_credential(struct sim *sim, struct sim_spc *spc); /* at Entra */
void sim_write_credential(struct sim *sim, struct sim_spc *spc); /* into the Secret */
struct azure_vault *sim_vault(const struct sim *sim, unsigned index);
struct azure_object *sim_vault_object(const struct sim *sim, unsigned vault, unsigned object);
void sim_grant_all(struct sim *sim);
const char *sim_sync_ns(const struct sim *sim, const struct sim_sync *sync);
void sim_secret_path(const struct sim *sim, const struct sim_sync *sync, char out[static 256]);

/* akv.c: AKVSyncs and what users do to them and to what is derived from them. */
void sim_akv_plan(struct sim *sim);
void sim_akv_begin(struct sim *sim);
void sim_akv_act(struct sim *sim);
void sim_akv_restored(struct sim *sim);
void sim_akv_heal(struct sim *sim);
/* What is not yet as it has to be (static storage); NULL: nothing. Adds to *present the SecretSyncs that have to be there. */
const char *sim_akv_unsettled(struct sim *sim, size_t *present);
void sim_akv_check_write(struct sim *sim, const struct kube_write *write);

/* scenario.c */
void sim_plan(struct sim *sim);
void sim_begin(struct sim *sim);
/* actions.c */
void sim_act(struct sim *sim); /* one thing that users, or the world, do */
void sim_go_offline(struct sim *sim, bool on); /* no vault and no token endpoint answers */
void sim_heal(struct sim *sim); /* everything that was taken away comes back */
void sim_trap(struct sim *sim, enum sim_row row, const char *ns, const char *name); /* somebody is faster, just now */
void sim_meddle(struct sim *sim); /* somebody edits and deletes a few Secrets */

/* faults.c */
enum sim_fault sim_draw_fault(struct sim *sim, enum sim_row row);
/* Steps that are rare get more than their share of trouble. */
unsigned sim_share(enum sim_row row, unsigned permille);

/* check.c */
/* Was this ever the uid of the SecretSync, or AKVSync, of that name? */
bool sim_uid_was(const struct sim *sim, const char *ns, const char *name, struct str uid);
void sim_check_init(struct sim *sim);
void sim_check_deinit(struct sim *sim);
void sim_check_write(const struct kube_write *write, void *arg);
void sim_check_step(void *arg, const struct object *object, const char *step, enum err err);
void sim_check_log(struct str line, void *arg);
void sim_check_text(struct sim *sim, const char *where, struct str text);
void sim_check_event(struct sim *sim);
void sim_check_forget(struct sim *sim); /* the engine is gone: its runs and what it was told */

/* check_http.c */
struct sim_asked {
	unsigned role;
	enum sim_host host;
	enum sim_row row;
	struct str host_name, path_and_query, bearer, body;
};
void sim_check_start(struct sim *sim, const struct sim_asked *asked);
void sim_check_answer(struct sim *sim, const struct sim_asked *asked, enum err err, bool maybe_sent,
	int status, int64_t retry_after_ns);

/* upstream.c */
void sim_upstream_begin(struct sim *sim);
void sim_upstream_forget(struct sim *sim); /* the engine is gone */
void sim_upstream_told(struct sim *sim, const struct sim_asked *asked, int status, struct str body);
void sim_upstream_check(struct sim *sim, const struct sim_asked *asked);
/* The engine has been started, and may have to see first that a Lease which upstream has left behind is not renewed. */
bool sim_upstream_may_hold(const struct sim *sim);

/* final.c */
/* NULL when everything is as it has to be once faults have ceased; else what is not yet (static storage). */
const char *sim_unsettled(struct sim *sim);
const char *sim_check_sync(struct sim *sim, const struct sim_sync *sync);
void sim_silence_begin(struct sim *sim);
void sim_silence_end(struct sim *sim);
/* After an outage longer than two intervals: each SecretSync says so. NULL: yes; else who does not. */
const char *sim_untold(struct sim *sim);
/* The outage is over and the conditions are well again: no Secret was written for it. */
void sim_recovery_begin(struct sim *sim);
void sim_recovery_end(struct sim *sim);
/* The engine has been started again on a silent fleet, some seconds ago: it wrote nothing and read nothing that was not due. */
void sim_restart_end(struct sim *sim);
