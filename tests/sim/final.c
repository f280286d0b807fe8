/* What has to be true once faults have ceased: every Secret equal to its vault, and then silence. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/metric.h"
#include "tests/sim/sim.h"

static char reason_text[512];

__attribute__((format(printf, 2, 3))) static const char *not_yet(
	const struct sim_sync *sync, const char *format, ...) {
	int head = snprintf(reason_text, sizeof reason_text, "%s: ", sync->name);
	va_list args;
	va_start(args, format);
	vsnprintf(reason_text + head, sizeof reason_text - (size_t)head, format, args);
	va_end(args);
	return reason_text;
}

/* --- what the vault holds --- */

/* `a` is newer: by creation; of one second the current version is the newest, the others go by id. */
static bool is_newer(const struct azure_object *object, const struct azure_version *a,
	const struct azure_version *b) {
	if (a->created_s != b->created_s) return a->created_s > b->created_s;
	if (a == object->current || b == object->current) return a == object->current && a != b;
	return strcmp(a->id, b->id) > 0;
}

/* The enabled version that has exactly `index` newer ones. */
static const struct azure_version *nth_version(const struct azure_object *object, unsigned index) {
	for (size_t i = 0; i < object->count; i++) {
		const struct azure_version *version = object->versions[i];
		unsigned newer = 0;
		for (size_t k = 0; k < object->count; k++)
			newer += object->versions[k]->enabled &&
				 is_newer(object, object->versions[k], version);
		if (version->enabled && newer == index) return version;
	}
	return NULL;
}

static void expected_value(struct sim *sim, const struct sim_sync *sync,
	const struct sim_item *item, struct buf *out_base64) {
	const struct sim_spc *spc = &sim->spcs[sync->spc];
	const struct sim_object *object = &spc->objects[item->object];
	const struct azure_object *stored = sim_vault_object(sim, spc->vault, object->vault_object);
	const struct azure_version *version =
		object->history ? nth_version(stored, item->index) : stored->current;
	assert(version);
	buf_append_base64(out_base64, version->value);
}

/* --- a Secret --- */

/* Somebody claims the key, and the product does not: an apply leaves it. */
static bool is_foreign(const cJSON *secret, const char *key) {
	char name[2 * SIM_NAME_BYTES];
	bool ours = false, theirs = false;
	snprintf(name, sizeof name, "f:%s", key);
	for (const cJSON *entry =
			cJSON_GetArrayItem(world_json_at(secret, "metadata.managedFields"), 0);
		entry; entry = entry->next) {
		const cJSON *fields = cJSON_GetObjectItemCaseSensitive(entry, "fieldsV1");
		const cJSON *data = cJSON_GetObjectItemCaseSensitive(fields, "f:data");
		if (!cJSON_GetObjectItemCaseSensitive(data, name)) continue;
		bool own = str_eq(world_json_str(entry, "manager"), STR(KUBE_FIELD_MANAGER));
		ours |= own;
		theirs |= !own;
	}
	return theirs && !ours;
}

static const struct sim_item *item_of(const struct sim_sync *sync, const char *key) {
	for (unsigned i = 0; i < sync->item_count; i++) {
		if (strcmp(sync->items[i].key, key) == 0) return &sync->items[i];
	}
	return NULL;
}

static const char *check_values(struct sim *sim, const struct sim_sync *sync, const cJSON *secret) {
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(secret, "data");
	const char *what = NULL;
	for (unsigned i = 0; i < sync->item_count && !what; i++) {
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(data, sync->items[i].key);
		struct buf expected;
		buf_init(&expected, 64 << 10);
		expected_value(sim, sync, &sync->items[i], &expected);
		if (!cJSON_IsString(value)) {
			what = not_yet(sync, "key %s is missing", sync->items[i].key);
		} else if (strcmp(value->valuestring, buf_cstr(&expected)) != 0) {
			what = not_yet(
				sync, "key %s is not what the vault holds", sync->items[i].key);
		}
		buf_deinit(&expected);
	}
	for (const cJSON *key = data ? data->child : NULL; key && !what; key = key->next) {
		if (item_of(sync, key->string) || is_foreign(secret, key->string)) continue;
		what = not_yet(sync, "key %s was dropped and is still there", key->string);
	}
	return what;
}

static const char *check_pair(const struct sim_sync *sync, const cJSON *secret, const char *map,
	const char *key, char letter) {
	char expected[32];
	snprintf(expected, sizeof expected, "%c%u", letter, sync->label);
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(world_json_at(secret, map), key);
	if (!sync->label) return value ? not_yet(sync, "%s %s is still there", map, key) : NULL;
	bool same = cJSON_IsString(value) && strcmp(value->valuestring, expected) == 0;
	return same ? NULL : not_yet(sync, "%s %s is not %s", map, key, expected);
}

static const char *check_metadata(
	const struct sim_sync *sync, const cJSON *secret, struct str uid) {
	const cJSON *owners = world_json_at(secret, "metadata.ownerReferences");
	const char *const maps[] = { "metadata.labels", "metadata.annotations" };
	if (cJSON_GetArraySize(owners) != 1 || !str_eq(world_json_str(owners->child, "uid"), uid))
		return not_yet(sync, "the owner");
	if (!str_eq(world_json_str(secret, "type"), STR("Opaque")))
		return not_yet(sync, "the type");
	for (unsigned i = 0; i < 2; i++) {
		const cJSON *mark = cJSON_GetObjectItemCaseSensitive(
			world_json_at(secret, maps[i]), KUBE_MANAGED_KEY);
		if (!cJSON_IsString(mark) || mark->valuestring[0])
			return not_yet(sync, "%s lacks the managing key", maps[i]);
	}
	const char *what = check_pair(sync, secret, maps[0], "team", 't');
	return what ? what : check_pair(sync, secret, maps[1], "note", 'n');
}

/* --- a SecretSync --- */

static const cJSON *find_ready(const cJSON *object) {
	const cJSON *conditions = world_json_at(object, "status.conditions");
	for (const cJSON *c = cJSON_GetArrayItem(conditions, 0); c; c = c->next) {
		if (str_eq(world_json_str(c, "type"), STR("Ready"))) return c;
	}
	return NULL;
}

static const char *check_ready(const struct sim_sync *sync, const cJSON *object) {
	const cJSON *condition = find_ready(object);
	struct str ready = world_json_str(condition, "status");
	struct str reason = world_json_str(condition, "reason");
	struct str message = world_json_str(condition, "message");
	if (sync->blocked) {
		bool said = str_eq(ready, STR("False")) && str_ends(reason, STR("InvalidLabel"));
		return said ? NULL
			    : not_yet(sync, "blocked by a foreign Secret, but Ready is %.*s %.*s",
				      STR_ARG(ready), STR_ARG(reason));
	}
	if (str_eq(ready, STR("True"))) return NULL;
	return not_yet(sync, "Ready is %.*s %.*s: %.*s", STR_ARG(ready), STR_ARG(reason),
		STR_ARG(message));
}

static const char *check_object(
	struct sim *sim, const struct sim_sync *sync, const cJSON *object, const cJSON *secret) {
	int64_t generation = world_json_i64(object, "metadata.generation", -1);
	if (!object) return not_yet(sync, "the SecretSync is not there: the scenario is wrong");
	if (world_json_i64(object, "status.observedGeneration", 0) != generation) {
		return not_yet(sync, "generation %lld was not looked at: an add was lost",
			(long long)generation);
	}
	const char *what = check_ready(sync, object);
	if (what || sync->blocked) return what;
	if (!secret) return not_yet(sync, "there is no Secret");
	what = check_values(sim, sync, secret);
	return what ? what : check_metadata(sync, secret, world_json_str(object, "metadata.uid"));
}

const char *sim_check_sync(struct sim *sim, const struct sim_sync *sync) {
	const char *ns = sim_sync_ns(sim, sync), *what = NULL;
	cJSON *secret = kube_get(sim->kube, "secrets", ns, sync->name);
	cJSON *object = kube_get(sim->kube, "secretsyncs", ns, sync->name);
	if (sync->present) {
		what = check_object(sim, sync, object, secret);
	} else if (secret && !sync->blocked) {
		what = not_yet(sync, "was deleted, its Secret is still there");
	}
	cJSON_Delete(secret);
	cJSON_Delete(object);
	return what;
}

const char *sim_unsettled(struct sim *sim) {
	size_t present = 0;
	for (unsigned i = 0; i < sim->sync_count; i++) {
		const char *what = sim_check_sync(sim, &sim->syncs[i]);
		if (what) return what;
		present += sim->syncs[i].present;
	}
	const char *what = sim_akv_unsettled(sim, &present);
	if (what) return what;
	if (!sim->engine.up || !engine_is_ready(sim->engine.engine))
		return "the engine is not ready";
	if (engine_sync_count(sim->engine.engine) != present)
		return "the engine knows another number of SecretSyncs";
	return NULL;
}

/* --- silence --- */

void sim_silence_begin(struct sim *sim) {
	struct sim_checks *checks = &sim->checks;
	checks->silent_since_ns = sim->now_ns;
	checks->silent_version = kube_resource_version(sim->kube);
	checks->silent_product_writes = checks->product_writes;
	checks->silent_safety_reads = metric_read(METRIC_SAFETY_READS);
	memcpy(checks->silent_requests, checks->requests, sizeof checks->requests);
}

/* Two versions of the newest second: which one is current takes a GET. */
static bool is_tied(const struct azure_object *object) {
	const struct azure_version *a = nth_version(object, 0), *b = nth_version(object, 1);
	return a && b && a->created_s == b->created_s;
}

/* Requests of one check: a GET per object, or the pages of its versions. */
static uint64_t requests_of_check(struct sim *sim, const struct sim_sync *sync) {
	const struct sim_spc *spc = &sim->spcs[sync->spc];
	uint64_t requests = 0;
	for (unsigned o = 0; o < spc->object_count; o++) {
		bool needed = false;
		for (unsigned i = 0; i < sync->item_count; i++)
			needed |= sync->items[i].object == o;
		const struct azure_object *stored =
			sim_vault_object(sim, spc->vault, spc->objects[o].vault_object);
		if (needed)
			requests += spc->objects[o].history
					    ? (stored->count + AZURE_PAGE - 1) / AZURE_PAGE +
						      is_tied(stored)
					    : 1;
	}
	return requests;
}

static bool has_no_list(const struct sim *sim, unsigned vault) {
	bool denied = false;
	for (unsigned s = 0; s < sim->spc_count; s++) denied |= sim->no_list[vault][s];
	return denied;
}

/* Walks over the vault's list tell of its changes: no version history, and no shorter interval of its own. */
static bool is_listed(const struct sim *sim, const struct sim_sync *sync) {
	const struct sim_spc *spc = &sim->spcs[sync->spc];
	if (sim->change_detection != CHANGE_BY_LIST || has_no_list(sim, spc->vault)) return false;
	if (sim->checks.given_up[spc->vault]) return false;
	if (sync->interval_s && sync->interval_s < sim->default_interval_s) return false;
	for (unsigned i = 0; i < sync->item_count; i++) {
		if (spc->objects[sync->items[i].object].history) return false;
	}
	return true;
}

static uint64_t since(const struct sim_checks *checks, enum sim_row row) {
	return checks->requests[row] - checks->silent_requests[row];
}

/* One probe of each Secret and poll, under the pace of all, changes nothing. */
static void check_nothing_written(
	struct sim *sim, uint64_t probes, uint64_t blocked, uint64_t most_writes) {
	struct sim_checks *checks = &sim->checks;
	uint64_t writes = 0;
	for (enum sim_row row = ROW_CREATE; row <= ROW_STATUS; row++)
		writes += row == ROW_PROBE ? 0 : since(checks, row);
	if (since(checks, ROW_PROBE) > probes && !blocked)
		sim_fail(sim, "silence", "%llu probes of Secrets, expected %llu at most",
			(unsigned long long)since(checks, ROW_PROBE), (unsigned long long)probes);
	if (checks->silent_version != kube_resource_version(sim->kube) ||
		checks->product_writes != checks->silent_product_writes) {
		sim_fail(sim, "silence", "something was written to etcd");
	}
	if (writes > most_writes && !blocked)
		sim_fail(sim, "silence", "%llu writes were tried", (unsigned long long)writes);
}

static void check_reads(struct sim *sim, int64_t window_s, uint64_t least, uint64_t most) {
	uint64_t reads = since(&sim->checks, ROW_FETCH);
	if (reads >= least && reads <= most) return;
	sim_fail(sim, "silence", "%llu reads of vaults in %lld s, expected %llu to %llu",
		(unsigned long long)reads, (long long)window_s, (unsigned long long)least,
		(unsigned long long)most);
}

static uint64_t pages_of_walk(const struct sim *sim, unsigned vault) {
	unsigned rows = sim->list_rows ? sim->list_rows : AZURE_PAGE;
	return (sim_vault(sim, vault)->count[AZURE_SECRET] + rows - 1) / rows;
}

/* Every worker that has objects of a vault walks. */
static void check_pages(struct sim *sim, int64_t window_s, unsigned more) {
	uint64_t walks = (uint64_t)(window_s / sim->default_interval_s) + more;
	uint64_t pages = since(&sim->checks, ROW_PAGE), most = 0;
	/* Where identities may not list, one after the other is tried. */
	for (unsigned v = 0; v < sim->vault_count; v++)
		most += walks * pages_of_walk(sim, v) *
			(has_no_list(sim, v) ? 1 + sim->spc_count * sim->service_accounts : 1);
	if (sim->change_detection == CHANGE_BY_GET) most = 0;
	if (pages > most)
		sim_fail(sim, "silence", "%llu pages of lists in %lld s, expected %llu at most",
			(unsigned long long)pages, (long long)window_s, (unsigned long long)most);
}

/* How often a SecretSync may and must be read meanwhile, and whether a foreign Secret blocks it. */
struct expected {
	uint64_t least, most, probes, blocked;
};

static void expect_reads(
	struct sim *sim, const struct sim_sync *sync, int64_t window_s, struct expected *out) {
	int64_t interval_s = sync->interval_s ? sync->interval_s : sim->default_interval_s;
	if (!sync->present) return;
	/* What is watched is not probed. */
	out->probes += sim->watch ? 0 : (uint64_t)(window_s / interval_s) + 2;
	bool listed = is_listed(sim, sync), never = listed && sim->safety_polls > 1000;
	if (listed) interval_s *= sim->safety_polls;
	uint64_t each = requests_of_check(sim, sync), checked = (uint64_t)(window_s / interval_s);
	bool polled = !sync->blocked && sim->change_detection == CHANGE_BY_GET;
	out->blocked += sync->blocked;
	out->least += polled && checked ? (checked - 1) * each : 0;
	/* A blocked one tries again more and more seldom, but not more often than every 15 s. */
	out->most += (sync->blocked ? (uint64_t)window_s / 15 + 1 : never ? 0 : checked + 2) * each;
}

/* Right after a start: the own moment of an object that is checked by GET may be now, but nothing is read for the sake of the
 * start, and what walks tell of is not read at all, but for safety re-reads whose moment it is. */
static void expect_due(
	struct sim *sim, const struct sim_sync *sync, int64_t window_s, struct expected *out) {
	if (!sync->present) return;
	uint64_t checks = sync->blocked ? (uint64_t)window_s / 15 + 2 : !is_listed(sim, sync);
	out->probes += 2;
	out->blocked += sync->blocked;
	out->most += checks * requests_of_check(sim, sync);
}

/* Of a name that a stranger has nothing is remembered: a start finds it taken by asking for it. */
static uint64_t taken_names(const struct sim *sim) {
	uint64_t count = 0;
	for (unsigned a = 0; a < sim->akv_count; a++) {
		const struct sim_akv *akv = &sim->akvs[a];
		for (unsigned i = 0; i < SIM_AKV_SECRETS; i++)
			count += akv->present && akv->wanted[i] && akv->strangers[i];
	}
	return count;
}

static void check_silence(struct sim *sim,
	void (*expect)(struct sim *sim, const struct sim_sync *sync, int64_t window_s,
		struct expected *out),
	unsigned more_walks) {
	int64_t window_s = (sim->now_ns - sim->checks.silent_since_ns) / NS_PER_S;
	struct expected expected = { 0 };
	for (unsigned i = 0; i < sim->sync_count; i++)
		expect(sim, &sim->syncs[i], window_s, &expected);
	for (unsigned a = 0; a < sim->akv_count; a++) {
		for (unsigned i = 0; i < SIM_AKV_SECRETS; i++)
			expect(sim, &sim->akvs[a].derived[i], window_s, &expected);
	}
	uint64_t most_writes = expect == expect_due ? taken_names(sim) : 0;
	if (expect == expect_due)
		expected.most += metric_read(METRIC_SAFETY_READS) - sim->checks.silent_safety_reads;
	check_nothing_written(sim, expected.probes, expected.blocked, most_writes);
	check_reads(sim, window_s, expected.least, expected.most);
	check_pages(sim, window_s, more_walks);
}

void sim_silence_end(struct sim *sim) {
	check_silence(sim, expect_reads, 2);
}

void sim_restart_end(struct sim *sim) {
	check_silence(sim, expect_due, 3);
}

/* --- an outage --- */

static const char *check_told(struct sim *sim, const struct sim_sync *sync) {
	const char *what = NULL;
	if (!sync->present || sync->blocked) return NULL;
	cJSON *object = kube_get(sim->kube, "secretsyncs", sim_sync_ns(sim, sync), sync->name);
	const cJSON *ready = find_ready(object);
	if (!str_eq(world_json_str(ready, "status"), STR("False")) ||
		!str_ends(world_json_str(ready, "reason"), STR("ProviderError")))
		what = not_yet(sync, "was due while its vault was away, and is Ready %.*s %.*s",
			STR_ARG(world_json_str(ready, "status")),
			STR_ARG(world_json_str(ready, "reason")));
	cJSON_Delete(object);
	return what;
}

const char *sim_untold(struct sim *sim) {
	const char *what = NULL;
	for (unsigned i = 0; i < sim->sync_count && !what; i++)
		what = check_told(sim, &sim->syncs[i]);
	for (unsigned a = 0; a < sim->akv_count; a++) {
		for (unsigned i = 0; i < SIM_AKV_SECRETS && !what; i++)
			what = check_told(sim, &sim->akvs[a].derived[i]);
	}
	return what;
}

void sim_recovery_begin(struct sim *sim) {
	sim->checks.recovery_reads = sim->checks.requests[ROW_FETCH];
	sim->checks.recovery_safety_reads = metric_read(METRIC_SAFETY_READS);
}

/* The largest number of reads that a SecretSync of the vault needs. */
static uint64_t most_reads_of_trial(struct sim *sim, unsigned vault) {
	uint64_t most = 0;
	for (unsigned i = 0; i < sim->sync_count; i++) {
		const struct sim_sync *sync = &sim->syncs[i];
		if (!sync->present || sim->spcs[sync->spc].vault != vault) continue;
		uint64_t reads = requests_of_check(sim, sync);
		most = reads > most ? reads : most;
	}
	return most;
}

static uint64_t reads_of_recovery(
	struct sim *sim, const struct sim_sync *sync, int64_t window_s) {
	int64_t interval_s = sync->interval_s ? sync->interval_s : sim->default_interval_s;
	if (!sync->present || is_listed(sim, sync)) return 0;
	return ((uint64_t)(window_s / interval_s) + 2) * requests_of_check(sim, sync);
}

/* What walks tell of is not read because its vault was away: a walk is enough. One per vault and worker tries whether it is back. */
static void check_recovery_reads(struct sim *sim) {
	int64_t window_s = (sim->now_ns - sim->outage_over_ns) / NS_PER_S;
	uint64_t reads = sim->checks.requests[ROW_FETCH] - sim->checks.recovery_reads;
	uint64_t most = metric_read(METRIC_SAFETY_READS) - sim->checks.recovery_safety_reads;
	for (unsigned v = 0; v < sim->vault_count; v++) most += most_reads_of_trial(sim, v);
	for (unsigned i = 0; i < sim->sync_count; i++)
		most += reads_of_recovery(sim, &sim->syncs[i], window_s);
	for (unsigned a = 0; a < sim->akv_count; a++) {
		for (unsigned i = 0; i < SIM_AKV_SECRETS; i++)
			most += reads_of_recovery(sim, &sim->akvs[a].derived[i], window_s);
	}
	if (reads > most)
		sim_fail(sim, "an outage costs pages only",
			"%llu reads of vaults in %lld s after it, expected %llu at most",
			(unsigned long long)reads, (long long)window_s, (unsigned long long)most);
}

void sim_recovery_end(struct sim *sim) {
	static const enum sim_row rows[] = { ROW_CREATE, ROW_SETTLE, ROW_APPLY, ROW_PATCH };
	for (unsigned i = 0; i < sim->sync_count; i++) {
		if (sim->syncs[i].blocked) return; /* it tries again and again */
	}
	check_recovery_reads(sim);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (since(&sim->checks, rows[i]))
			sim_fail(sim, "silence",
				"an outage in which nothing changed made somebody write a Secret");
	}
}
