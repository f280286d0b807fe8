/* What users and the world do while faults are on, and how everything is put right again. */
#include <assert.h>
#include <stdio.h>

#include "tests/sim/sim.h"

static unsigned pick(struct sim *sim, unsigned count) {
	return (unsigned)sim_between(sim, 0, count - 1);
}

static struct sim_sync *any_sync(struct sim *sim) {
	return &sim->syncs[pick(sim, sim->sync_count)];
}

static struct sim_sync *present_sync(struct sim *sim) {
	struct sim_sync *sync = any_sync(sim);
	for (unsigned i = 0; i < sim->sync_count && !sync->present; i++) sync = any_sync(sim);
	return sync->present ? sync : NULL;
}

/* --- vaults --- */

static void act_rotate(struct sim *sim) {
	unsigned vault = pick(sim, sim->vault_count), object = pick(sim, SIM_VAULT_OBJECTS);
	sim_note(sim, "user: rotates vault %u obj-%u", vault, object);
	sim_rotate(sim, vault, object);
}

static void act_disable(struct sim *sim) {
	struct azure_object *object =
		sim_vault_object(sim, pick(sim, sim->vault_count), pick(sim, SIM_VAULT_OBJECTS));
	object->current->enabled = !object->current->enabled;
	object->current->updated_s = azure_seconds(sim_world_now(sim));
	sim_note(sim, "user: %s the current version of %s",
		object->current->enabled ? "enables" : "disables", object->name);
}

static void act_delete_object(struct sim *sim) {
	unsigned vault = pick(sim, sim->vault_count);
	struct azure_object *object = sim_vault_object(sim, vault, pick(sim, SIM_VAULT_OBJECTS));
	sim_note(sim, "user: %s %s of vault %u", object->deleted ? "recovers" : "deletes",
		object->name, vault);
	if (object->deleted) {
		azure_object_recover(object);
	} else {
		azure_object_delete(sim->azure, sim_vault(sim, vault), object, sim_world_now(sim));
	}
}

/* One object of a SecretSync cannot be read, the others get new versions: a partial write. */
static void act_part(struct sim *sim) {
	struct sim_sync *sync = present_sync(sim);
	if (!sync || sync->item_count < 2) return;
	const struct sim_spc *spc = &sim->spcs[sync->spc];
	const struct sim_object *part = &spc->objects[sync->items[0].object];
	struct azure_object *object = sim_vault_object(sim, spc->vault, part->vault_object);
	if (!object->deleted)
		azure_object_delete(sim->azure, sim_vault(sim, spc->vault), object, sim_world_now(sim));
	sim_note(sim, "user: deletes %s of vault %u, which is a part of %s", object->name, spc->vault,
		sync->name);
	for (unsigned i = 1; i < sync->item_count; i++) {
		unsigned other = spc->objects[sync->items[i].object].vault_object;
		if (other != part->vault_object) sim_rotate(sim, spc->vault, other);
	}
	if (sim_chance(sim, 500)) {
		sync->force = ++sim->serial;
		sim_apply_sync(sim, sync);
	}
}

static void act_grant(struct sim *sim) {
	struct azure_vault *vault = sim_vault(sim, pick(sim, sim->vault_count));
	struct sim_spc *spc = &sim->spcs[pick(sim, sim->spc_count)];
	if (spc->identity == IDENTITY_PRINCIPAL && sim_chance(sim, 700)) {
		if (spc->stale)
			sim_write_credential(sim, spc);
		else
			sim_renew_credential(sim, spc);
		return;
	}
	bool had =
		azure_grant_end(vault, str_of(spc->client), STR_NULL, sim_world_now(sim).mono_ns);
	sim_note(sim, "user: %s %s on %s", had ? "takes the role from" : "gives the role to",
		spc->client, vault->name);
	if (!had) sim_grant_all(sim);
}

/* --- SecretSyncs and classes --- */

static void act_edit(struct sim *sim, struct sim_sync *sync) {
	switch (pick(sim, 5)) {
	case 0:
		if (sync->item_count > 1) sync->item_count--;
		break;
	case 1:
		snprintf(sync->items[0].key, SIM_NAME_BYTES, "renamed-%u", ++sim->serial);
		break;
	case 2:
		sync->label = ++sim->serial;
		break;
	case 3:
		sync->label = 0;
		break;
	default:
		sync->force = ++sim->serial;
		break;
	}
	sim_apply_sync(sim, sync);
}

static void act_edit_any(struct sim *sim) {
	struct sim_sync *sync = present_sync(sim);
	if (sync) act_edit(sim, sync);
}

static void act_toggle_sync(struct sim *sim) {
	struct sim_sync *sync = any_sync(sim);
	if (!sync->present) {
		sim_apply_sync(sim, sync);
		return;
	}
	sim_delete_sync(sim, sync);
	if (sim_chance(sim, 600)) sim_apply_sync(sim, sync);
}

static void act_edit_spc(struct sim *sim) {
	struct sim_spc *spc = &sim->spcs[pick(sim, sim->spc_count)];
	if (!spc->present) return;
	if (sim_chance(sim, 500)) {
		spc->vault = pick(sim, sim->vault_count);
	} else {
		/* Longer histories only: no sourcePath loses what it names. */
		struct sim_object *object = &spc->objects[pick(sim, spc->object_count)];
		if (object->history) object->history = 3;
	}
	sim_apply_spc(sim, spc);
}

static void act_toggle_spc(struct sim *sim) {
	struct sim_spc *spc = &sim->spcs[pick(sim, sim->spc_count)];
	if (spc->present) {
		sim_delete_spc(sim, spc);
	} else {
		sim_apply_spc(sim, spc);
	}
}

static void act_account(struct sim *sim) {
	unsigned ns = pick(sim, sim->namespace_count);
	sim_account_set(sim, ns, sim->account_gone[ns]);
}

/* --- Secrets --- */

static void delete_secret(struct sim *sim, struct sim_sync *sync) {
	char path[256];
	sim_secret_path(sim, sync, path);
	sim_kubectl(sim, "DELETE", path, NULL, STR(""));
	sync->blocked = sync->unmarked = false;
}

/* The label is taken away: the Secret is nobody's until it is deleted, by hand or with its SecretSync. */
static void act_unmark(struct sim *sim) {
	struct sim_sync *sync = present_sync(sim);
	char path[256];
	if (!sync || sync->blocked) return;
	sim_secret_path(sim, sync, path);
	strcat(path, "?fieldManager=kubectl-label");
	int status = sim_kubectl(sim, "PATCH", path, "application/merge-patch+json",
		STR("{\"metadata\":{\"labels\":{\"" KUBE_MANAGED_KEY "\":null}}}"));
	if (status == 200) sync->blocked = sync->unmarked = true;
}

/* Somebody deletes a key, the user's label and the user's annotation. */
static void act_take_away(struct sim *sim) {
	struct sim_sync *sync = present_sync(sim);
	char path[256], body[256];
	if (!sync || sync->blocked) return;
	sim_secret_path(sim, sync, path);
	strcat(path, "?fieldManager=somebody");
	snprintf(body, sizeof body,
		"{\"metadata\":{\"labels\":{\"team\":null},\"annotations\":{\"note\":null}},"
		"\"data\":{\"%s\":null}}",
		sync->items[sync->item_count - 1].key);
	sim_kubectl(sim, "PATCH", path, "application/merge-patch+json", str_of(body));
}

/* Somebody else's Secret of the name, with the label or without, with another owner or none. */
static void foreign_secret(struct sim *sim, struct sim_sync *sync) {
	static const char *const shapes[] = { "", ",\"labels\":{\"" KUBE_MANAGED_KEY "\":\"\"}",
		",\"labels\":{\"" KUBE_MANAGED_KEY
		"\":\"\"},\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Namespace\","
		"\"name\":\"default\",\"uid\":\"%s\"}]" };
	char path[256], body[1024], owner[512] = "";
	unsigned shape = pick(sim, 3);
	cJSON *ns = kube_get(sim->kube, "namespaces", NULL, "default");
	const char *format = shapes[shape];
	if (shape == 2) {
		size_t cut = (size_t)(strstr(format, "%s") - format);
		snprintf(owner, sizeof owner, "%.*s%.*s%s", (int)cut, format,
			STR_ARG(world_json_str(ns, "metadata.uid")), format + cut + 2);
	}
	cJSON_Delete(ns);
	delete_secret(sim, sync);
	snprintf(path, sizeof path, "/api/v1/namespaces/%s/secrets", sim_sync_ns(sim, sync));
	snprintf(body, sizeof body,
		"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"%s\"%s},"
		"\"data\":{\"theirs\":\"Zm9yZWlnbg==\"}}",
		sync->name, shape == 2 ? owner : format);
	sim_kubectl(sim, "POST", path, NULL, str_of(body));
	sync->blocked = true;
}

static void act_foreign(struct sim *sim) {
	struct sim_sync *sync = any_sync(sim);
	foreign_secret(sim, sync);
}

/* A foreign value of a key of ours, and a foreign key. */
static void act_foreign_edit(struct sim *sim) {
	struct sim_sync *sync = present_sync(sim);
	char path[256], body[256];
	if (!sync || sync->blocked) return;
	sim_secret_path(sim, sync, path);
	strcat(path, "?fieldManager=kubectl-edit");
	snprintf(body, sizeof body, "{\"data\":{\"%s\":\"ZWRpdGVk\",\"zz-theirs\":\"ZWRpdGVk\"}}",
		sync->items[0].key);
	sim_kubectl(sim, "PATCH", path, "application/merge-patch+json", str_of(body));
}

static void act_hand_delete(struct sim *sim) {
	struct sim_sync *sync = present_sync(sim);
	if (!sync) return;
	delete_secret(sim, sync);
}

static void act_policy(struct sim *sim) {
	struct kube_policy policy = { "no-secrets", "no-secrets", "not today",
		sim_chance(sim, 500) ? "Forbidden" : NULL, "secrets", SIM_USER };
	sim->policy_on = !sim->policy_on;
	kube_policy_set(sim->kube, sim->policy_on ? &policy : NULL);
	sim_note(sim, "user: admission policy %s", sim->policy_on ? "on" : "off");
}

/* --- the world --- */

static void cut(struct sim *sim, enum sim_host host, bool on) {
	sim->cuts[host] = !on ? CUT_NOT : sim_chance(sim, 700) ? CUT_REFUSED : CUT_BLACK_HOLE;
	sim_note(sim, "%s is %s", sim_host_name(host), on ? "cut off" : "back");
}

void sim_go_offline(struct sim *sim, bool on) {
	for (enum sim_host host = HOST_ENTRA; host < HOST_VAULT_0 + sim->vault_count; host++)
		cut(sim, host, on);
}

static void act_cut(struct sim *sim) {
	enum sim_host host = (enum sim_host)pick(sim, HOST_VAULT_0 + sim->vault_count);
	cut(sim, host, !sim->cuts[host]);
}

/* The site is offline; a rotation happens meanwhile, the engine may be started again. */
static void act_offline(struct sim *sim) {
	bool on = !sim->cuts[HOST_ENTRA];
	sim_go_offline(sim, on);
	if (!on) return;
	act_rotate(sim);
	if (sim_chance(sim, 400)) sim_engine_stop(sim, sim_chance(sim, 500));
}

static void act_restart(struct sim *sim) {
	sim_engine_stop(sim, sim_chance(sim, 500));
}

static void act_watches(struct sim *sim) {
	switch (pick(sim, 4)) {
	case 0:
		kube_break_watches(sim->kube, NULL);
		sim_note(sim, "watches break");
		break;
	case 1:
		kube_compact(sim->kube);
		kube_break_watches(sim->kube, NULL);
		sim_note(sim, "history is compacted, watches break");
		break;
	case 2:
		kube_set_cache_lag(sim->kube, sim_between(sim, 0, 5 * NS_PER_S));
		sim_note(sim, "the watch cache lags");
		break;
	default:
		kube_set_coalesce(sim->kube, sim_chance(sim, 500));
		break;
	}
	sim_streams_poll(sim);
}

static void act_clock(struct sim *sim) {
	static const int64_t jumps_s[] = { -86400, -3600, -61, -1, 1, 61, 3600, 86400 };
	sim->client_offset_ns += jumps_s[pick(sim, 8)] * NS_PER_S;
	sim_note(sim, "the engine's wall clock jumps to %+lld s",
		(long long)(sim->client_offset_ns / NS_PER_S));
}

static void act_pod_token(struct sim *sim) {
	snprintf(sim->pod_token, sizeof sim->pod_token, SIM_POD_TOKEN "%llu-%u",
		(unsigned long long)sim->seed, ++sim->serial);
	kube_user_token(sim->kube, SIM_USER, sim->pod_token);
	sim_note(sim, "the pod's token is replaced");
}

/* Whose Secret came back? */
static void recount_blocked(struct sim *sim, struct sim_sync *sync) {
	cJSON *secret = kube_get(sim->kube, "secrets", sim_sync_ns(sim, sync), sync->name);
	const cJSON *owners = world_json_at(secret, "metadata.ownerReferences");
	struct str kind = world_json_str(cJSON_GetArrayItem(owners, 0), "kind");
	const cJSON *label = cJSON_GetObjectItemCaseSensitive(
		world_json_at(secret, "metadata.labels"), KUBE_MANAGED_KEY);
	sync->unmarked = secret && !label && str_eq(kind, STR("SecretSync"));
	sync->blocked = sync->unmarked || (secret && !str_eq(kind, STR("SecretSync")));
	cJSON_Delete(secret);
}

/* What is not in the backup is applied again, what was deleted since is deleted again. */
static void restore(struct sim *sim) {
	kube_snapshot_restore(sim->kube, sim->snapshot, sim_world_now(sim));
	sim_note(sim, "a backup of the cluster is restored");
	for (unsigned n = 0; n < sim->namespace_count; n++)
		sim_account_set(sim, n, !sim->account_gone[n]);
	for (unsigned i = 0; i < sim->spc_count; i++) {
		if (sim->spcs[i].identity == IDENTITY_PRINCIPAL)
			sim_write_credential(sim, &sim->spcs[i]);
		if (sim->spcs[i].present) {
			sim_apply_spc(sim, &sim->spcs[i]);
		} else {
			sim_delete_spc(sim, &sim->spcs[i]);
		}
	}
	for (unsigned i = 0; i < sim->sync_count; i++) {
		recount_blocked(sim, &sim->syncs[i]);
		if (sim->syncs[i].present) {
			sim_apply_sync(sim, &sim->syncs[i]);
		} else {
			sim_delete_sync(sim, &sim->syncs[i]);
		}
	}
	sim_akv_restored(sim);
	sim->restored = true;
}

enum { WRITES_ELSEWHERE = 10000 };

/* A cluster writes all the time, if only its nodes' Leases. Without that a few edits would bring the server past its old
 * revision before the watches are back, and then no client can see that it went back (docs/lifecycle.md). */
static void act_snapshot(struct sim *sim) {
	if (!sim->snapshot) {
		sim->snapshot = kube_snapshot_take(sim->kube);
		kube_write_elsewhere(sim->kube, WRITES_ELSEWHERE);
		sim_note(sim, "a backup of the cluster is taken");
	} else if (!sim->restored) {
		restore(sim);
	}
}

static void act_watch_right(struct sim *sim) {
	sim_watch_set(sim, !sim->may_watch);
}

/* A Secret that does not carry the label is not heard of. */
static void act_delete_own(struct sim *sim) {
	struct sim_sync *sync = present_sync(sim);
	if (sync && !sync->blocked) delete_secret(sim, sync);
}

/* Few enough for the slowest limit of writes. */
void sim_meddle(struct sim *sim) {
	static void (*const acts[])(struct sim *sim) = { act_foreign_edit, act_take_away,
		act_delete_own, act_unmark };
	for (unsigned i = 0; i < 5; i++) acts[pick(sim, 4)](sim);
}

void sim_act(struct sim *sim) {
	static const struct {
		void (*act)(struct sim *sim);
		unsigned weight;
	} acts[] = {
		{ act_rotate, 30 },
		{ act_disable, 2 },
		{ act_delete_object, 2 },
		{ act_part, 12 },
		{ act_grant, 3 },
		{ act_edit_any, 14 },
		{ act_toggle_sync, 12 },
		{ act_edit_spc, 3 },
		{ act_toggle_spc, 2 },
		{ act_account, 2 },
		{ act_foreign, 2 },
		{ act_foreign_edit, 4 },
		{ act_hand_delete, 3 },
		{ act_unmark, 2 },
		{ act_take_away, 4 },
		{ act_policy, 2 },
		{ act_cut, 4 },
		{ act_offline, 2 },
		{ act_restart, 2 },
		{ act_watches, 4 },
		{ act_clock, 2 },
		{ act_pod_token, 1 },
		{ act_snapshot, 1 },
		{ sim_akv_act, 10 },
		{ act_watch_right, 4 }, /* the last one: only where Secrets are watched */
	};
	unsigned total = 0, i = 0, count = sizeof acts / sizeof *acts - !sim->watch;
	for (unsigned k = 0; k < count; k++) total += acts[k].weight;
	unsigned at = pick(sim, total);
	while (at >= acts[i].weight) at -= acts[i++].weight;
	acts[i].act(sim);
	/* Without the API server, and where no Secret may be written, little else happens. */
	if (sim->cuts[HOST_KUBE] && sim_chance(sim, 400)) cut(sim, HOST_KUBE, false);
	if (sim->policy_on && sim_chance(sim, 200)) act_policy(sim);
}

/* --- traps: somebody is faster between two steps of one reconcile --- */

static struct sim_sync *find_sync(struct sim *sim, const char *ns, const char *name) {
	for (unsigned i = 0; i < sim->sync_count; i++) {
		struct sim_sync *sync = &sim->syncs[i];
		if (sync->present && strcmp(sync->name, name) == 0 &&
			strcmp(sim_sync_ns(sim, sync), ns) == 0)
			return sync;
	}
	return NULL;
}

static void stop_now(struct sim *sim, struct sim_event *event) {
	(void)event;
	if (sim->now_ns < sim->calm_ns) sim_engine_stop(sim, sim_chance(sim, 300));
}

static enum sim_fault spring(struct sim *sim, struct sim_sync *sync) {
	switch (pick(sim, 8)) {
	case 0:
		sim_delete_sync(sim, sync);
		if (sim_chance(sim, 700)) sim_apply_sync(sim, sync);
		return SIM_DELETED;
	case 1:
		act_edit(sim, sync);
		return SIM_CHANGED;
	case 2:
		foreign_secret(sim, sync);
		return SIM_REPLACED;
	case 3:
		delete_secret(sim, sync);
		return SIM_REPLACED;
	case 4:
		if (!sim->policy_on) act_policy(sim);
		return FAULT_OF_NOTHING; /* the next write meets it */
	case 5:
		if (!sim->cuts[HOST_KUBE]) cut(sim, HOST_KUBE, true);
		return FAULT_OF_NOTHING; /* the answer meets it */
	case 6:
		sim->trap_stop.fire = stop_now;
		if (sim_chance(sim, 600)) sim_at(sim, &sim->trap_stop, sim->now_ns);
		return FAULT_OF_NOTHING; /* counted for every run */
	default: {
		const struct sim_spc *spc = &sim->spcs[sync->spc];
		sim_rotate(sim, spc->vault, spc->objects[sync->items[0].object].vault_object);
		return SIM_ROTATED;
	}
	}
}

/* A status is on its way while no reconcile waits for it. */
static void trap_status(struct sim *sim, const char *ns, const char *name) {
	struct sim_sync *sync = find_sync(sim, ns, name);
	if (!sync) return;
	sim_note(sim, "a trap springs for the status of %s", sync->name);
	sim->table->cells[ROW_STATUS][spring(sim, sync)]++;
}

/* Without a name: one of those that are under way. */
void sim_trap(struct sim *sim, enum sim_row asked, const char *ns, const char *name) {
	const struct sim_checks *checks = &sim->checks;
	char key[4 * SIM_NAME_BYTES];
	if (asked == ROW_STATUS) {
		trap_status(sim, ns, name);
		return;
	}
	if (!checks->running_count) return;
	const struct sim_running *run = &checks->running[pick(sim, checks->running_count)];
	snprintf(key, sizeof key, "%s/%s", ns, name);
	for (unsigned i = 0; name[0] && i < checks->running_count; i++) {
		if (strcmp(checks->running[i].key, key) == 0) run = &checks->running[i];
	}
	if (run->row == ROW_COUNT) return;
	enum sim_row row = run->row;
	snprintf(key, sizeof key, "%s", run->key);
	char *slash = strchr(key, '/');
	assert(slash);
	*slash = 0;
	struct sim_sync *sync = find_sync(sim, key, slash + 1);
	if (!sync) return;
	sim_note(sim, "a trap springs for %s in step %s", sync->name, sim_row_name(row));
	sim->table->cells[row][spring(sim, sync)]++;
}

/* --- healing --- */

static void heal_vaults(struct sim *sim) {
	for (unsigned v = 0; v < sim->vault_count; v++) {
		for (unsigned o = 0; o < SIM_VAULT_OBJECTS; o++) {
			struct azure_object *object = sim_vault_object(sim, v, o);
			if (object->deleted) azure_object_recover(object);
			for (size_t i = 0; i < object->count; i++)
				object->versions[i]->enabled = true;
		}
	}
	sim_grant_all(sim);
}

/* Half of the foreign Secrets stay where they are. */
static void heal_sync(struct sim *sim, struct sim_sync *sync) {
	if (sync->blocked && sim_chance(sim, 500)) delete_secret(sim, sync);
}

void sim_heal(struct sim *sim) {
	for (enum sim_host host = 0; host < HOST_COUNT; host++) sim->cuts[host] = CUT_NOT;
	kube_set_cache_lag(sim->kube, 0);
	kube_set_coalesce(sim->kube, false);
	kube_policy_set(sim->kube, NULL);
	sim_watch_set(sim, sim->watch);
	heal_vaults(sim);
	for (unsigned n = 0; n < sim->namespace_count; n++) {
		if (sim->account_gone[n]) sim_account_set(sim, n, true);
	}
	for (unsigned i = 0; i < sim->spc_count; i++) {
		if (sim->spcs[i].stale) sim_write_credential(sim, &sim->spcs[i]);
		if (!sim->spcs[i].present) sim_apply_spc(sim, &sim->spcs[i]);
	}
	for (unsigned i = 0; i < sim->sync_count; i++) heal_sync(sim, &sim->syncs[i]);
	sim_akv_heal(sim);
	sim_streams_poll(sim);
}
