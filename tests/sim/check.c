/* Invariants of what is written, run and said. */
#include <assert.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

void sim_check_init(struct sim *sim) {
	sim->checks.uids = calloc(SIM_MAX_UIDS, sizeof *sim->checks.uids);
	assert(sim->checks.uids);
	sim_check_forget(sim);
}

void sim_check_deinit(struct sim *sim) {
	free(sim->checks.uids);
}

void sim_check_forget(struct sim *sim) {
	sim->checks.running_count = 0;
	memset(sim->checks.given_up, 0, sizeof sim->checks.given_up);
	sim_upstream_forget(sim);
	struct sim_paced *paced[] = { &sim->checks.secret_writes, &sim->checks.statuses,
		&sim->checks.all_vaults, &sim->checks.vaults[0], &sim->checks.vaults[1],
		&sim->checks.vaults[2], &sim->checks.vaults[3] };
	for (unsigned k = 0; k < sizeof paced / sizeof *paced; k++) {
		for (unsigned i = 0; i < SIM_PACED; i++) paced[k]->at_ns[i] = INT64_MIN / 2;
	}
	for (unsigned a = 0; a < SIM_ASKERS; a++) {
		for (unsigned h = 0; h < HOST_COUNT; h++) {
			sim->checks.told[a][h] = (struct sim_told){ 0, NEVER_NS, 0 };
		}
	}
}

/* --- one run per object --- */

static struct sim_running *find_run(struct sim *sim, const char *uid) {
	for (unsigned i = 0; i < sim->checks.running_count; i++) {
		if (strcmp(sim->checks.running[i].uid, uid) == 0) return &sim->checks.running[i];
	}
	return NULL;
}

static struct sim_running *begin_run(struct sim *sim, const struct object *object) {
	assert(sim->checks.running_count < SIM_MAX_SYNCS * 2);
	struct sim_running *run = &sim->checks.running[sim->checks.running_count++];
	*run = (struct sim_running){ .row = ROW_COUNT };
	snprintf(run->uid, sizeof run->uid, "%s", object_uid(object).ptr);
	snprintf(run->key, sizeof run->key, "%s", object->key);
	return run;
}

static bool is_refusal(enum sim_row row, enum err before, enum err err) {
	bool asks = row == ROW_BORROW || row == ROW_CREATE || row == ROW_PROBE;
	return asks && !before && (err == ERR_NETWORK || err == ERR_TIMEOUT);
}

void sim_check_step(void *arg, const struct object *object, const char *step, enum err err) {
	struct sim *sim = arg;
	enum sim_row row = sim_row_of_step(step);
	struct sim_running *run = find_run(sim, object_uid(object).ptr);
	sim_note(sim, "worker %u %s %s%s%s", thread_role() - ROLE_WORKER, object->key, step,
		err ? " " : "", err ? err_name(err) : "");
	if (row == ROW_BORROW) {
		if (run)
			sim_fail(sim, "one run per object at a time", "%s begins a second run",
				object->key);
		run = begin_run(sim, object);
	}
	if (!run)
		sim_fail(sim, "one run per object at a time", "%s is in step %s without a run",
			object->key, step);
	if (row != ROW_COUNT && is_refusal(row, run->err, err))
		sim->table->cells[row][SIM_REFUSED]++;
	run->err = err;
	if (row != ROW_COUNT) run->row = row;
	if (strcmp(step, "end") == 0) *run = sim->checks.running[--sim->checks.running_count];
}

/* --- nothing secret where people read --- */

void sim_check_text(struct sim *sim, const char *where, struct str text) {
	static const char *const secrets[] = { SIM_CANARY, SIM_CANARY_BASE64, SIM_POD_TOKEN,
		"eyJ" };
	for (unsigned i = 0; i < 4; i++) {
		if (str_find(text, str_of(secrets[i])) == SIZE_MAX) continue;
		sim_fail(sim, "no secret is shown", "%s holds \"%s\": %.*s", where, secrets[i],
			STR_ARG(str_slice(text, 0, 2000)));
	}
}

/* The time of a line is the machine's own. */
/* A walk that faults have made too long is said to be given up for a day: its objects are read by GET until the next start. */
static void note_given_up(struct sim *sim, struct str line) {
	if (str_find(line, STR("listing takes too long")) == SIZE_MAX) return;
	for (unsigned v = 0; v < sim->vault_count; v++) {
		if (str_find(line, str_of(sim_vault(sim, v)->host)) != SIZE_MAX)
			sim->checks.given_up[v] = true;
	}
}

void sim_check_log(struct str line, void *arg) {
	struct sim *sim = arg;
	size_t from = str_find(line, STR(" level="));
	struct str rest = str_trim(str_slice(line, from == SIZE_MAX ? 0 : from + 1, line.len));
	sim_check_text(sim, "a log line", rest);
	note_given_up(sim, rest);
	sim_note(sim, "log: %.*s", STR_ARG(rest));
	if (sim->options->verbose)
		printf("%lld %.*s\n", (long long)(sim->now_ns / NS_PER_S), STR_ARG(rest));
}

/* --- Secrets --- */

static bool key_is(const struct sim_uid *known, const char *ns, const char *name) {
	size_t len = strlen(ns);
	return strncmp(known->key, ns, len) == 0 && known->key[len] == '/' &&
	       strcmp(known->key + len + 1, name) == 0;
}

bool sim_uid_was(const struct sim *sim, const char *ns, const char *name, struct str uid) {
	for (unsigned i = 0; i < sim->checks.uid_count; i++) {
		const struct sim_uid *known = &sim->checks.uids[i];
		if (key_is(known, ns, name) && str_eq(str_of(known->uid), uid)) return true;
	}
	return false;
}

static const cJSON *only_owner(const cJSON *secret) {
	const cJSON *owners = world_json_at(secret, "metadata.ownerReferences");
	return cJSON_GetArraySize(owners) == 1 ? owners->child : NULL;
}

static bool has_managed_label(const cJSON *secret) {
	const cJSON *labels = world_json_at(secret, "metadata.labels");
	const cJSON *label = cJSON_GetObjectItemCaseSensitive(labels, KUBE_MANAGED_KEY);
	return cJSON_IsString(label) && label->valuestring[0] == 0;
}

static bool entry_owns(const cJSON *entry, const char *key) {
	char field[2 * SIM_NAME_BYTES];
	const cJSON *fields = cJSON_GetObjectItemCaseSensitive(entry, "fieldsV1");
	snprintf(field, sizeof field, "f:%s", key);
	return cJSON_GetObjectItemCaseSensitive(
		       cJSON_GetObjectItemCaseSensitive(fields, "f:data"), field) != NULL;
}

/* Does anybody but the product claim this key? */
static bool is_claimed_by_others(const cJSON *secret, const char *key) {
	for (const cJSON *entry =
			cJSON_GetArrayItem(world_json_at(secret, "metadata.managedFields"), 0);
		entry; entry = entry->next) {
		if (str_eq(world_json_str(entry, "manager"), STR(KUBE_FIELD_MANAGER))) continue;
		if (entry_owns(entry, key)) return true;
	}
	return false;
}

static void check_foreign_keys(struct sim *sim, const struct kube_write *w) {
	const cJSON *after = world_json_at(w->after, "data");
	for (const cJSON *item = cJSON_GetArrayItem(world_json_at(w->before, "data"), 0); item;
		item = item->next) {
		if (cJSON_GetObjectItemCaseSensitive(after, item->string) ||
			!is_claimed_by_others(w->before, item->string))
			continue;
		sim_fail(sim, "nobody else's keys are removed", "%s/%s loses %s", w->namespace,
			w->name, item->string);
	}
}

static bool names_key(const cJSON *sync, const char *key) {
	const cJSON *items = world_json_at(sync, "spec.secretObject.data");
	for (const cJSON *item = cJSON_GetArrayItem(items, 0); item; item = item->next) {
		if (str_eq(world_json_str(item, "targetKey"), str_of(key))) return true;
	}
	return false;
}

/* A data item that fails keeps its last value: what the SecretSync names does not go. */
static void check_kept_keys(struct sim *sim, const struct kube_write *w) {
	const cJSON *after = world_json_at(w->after, "data");
	cJSON *sync = kube_get(sim->kube, "secretsyncs", w->namespace, w->name);
	for (const cJSON *item = cJSON_GetArrayItem(world_json_at(w->before, "data"), 0); item;
		item = item->next) {
		if (cJSON_GetObjectItemCaseSensitive(after, item->string) ||
			!names_key(sync, item->string))
			continue;
		sim_fail(sim, "a failed item keeps its last value", "%s/%s loses %s", w->namespace,
			w->name, item->string);
	}
	cJSON_Delete(sync);
}

static void check_shape(struct sim *sim, const struct kube_write *w) {
	const cJSON *owner = only_owner(w->after);
	const cJSON *annotations = world_json_at(w->after, "metadata.annotations");
	bool good = owner && has_managed_label(w->after) &&
		    cJSON_GetObjectItemCaseSensitive(annotations, KUBE_MANAGED_KEY) &&
		    str_eq(world_json_str(owner, "kind"), STR("SecretSync")) &&
		    !world_json_at(owner, "controller") &&
		    !world_json_at(owner, "blockOwnerDeletion") &&
		    sim_uid_was(sim, w->namespace, w->name, world_json_str(owner, "uid"));
	if (!good)
		sim_fail(sim, "a Secret has its shape", "%s/%s by %s", w->namespace, w->name,
			w->verb);
}

static void check_secret(struct sim *sim, const struct kube_write *w) {
	if (!w->after)
		sim_fail(sim, "no foreign Secret is written", "%s/%s is deleted", w->namespace,
			w->name);
	if (w->before) {
		const cJSON *owner = only_owner(w->before);
		bool ours = owner && has_managed_label(w->before) &&
			    sim_uid_was(sim, w->namespace, w->name, world_json_str(owner, "uid")) &&
			    str_eq(world_json_str(owner, "uid"),
				    world_json_str(only_owner(w->after), "uid"));
		if (!ours)
			sim_fail(sim, "no foreign Secret is written", "%s/%s by %s", w->namespace,
				w->name, w->verb);
		check_foreign_keys(sim, w);
		check_kept_keys(sim, w);
	}
	check_shape(sim, w);
}

/* --- status --- */

/* Some items good, some not; nothing else makes a sync partial. */
static bool is_item_list(struct str message) {
	unsigned good = 0, failed = 0;
	cJSON *list = cJSON_ParseWithLength(message.ptr, message.len);
	for (const cJSON *item = cJSON_GetArrayItem(list, 0); item; item = item->next) {
		bool synced = str_eq(world_json_str(item, "result"), STR("synced"));
		good += synced;
		failed += !synced && world_json_str(item, "message").len > 0;
	}
	cJSON_Delete(list);
	return good && failed;
}

static void check_condition(
	struct sim *sim, const struct kube_write *w, const cJSON *condition, int64_t generation) {
	int64_t time_s;
	bool good = world_json_str(condition, "type").len &&
		    reason_find(REASON_NAMES_PREVIEW, world_json_str(condition, "reason"), true) !=
			    REASON_NONE &&
		    world_json_str(condition, "message").len &&
		    world_json_i64(condition, "observedGeneration", 0) <= generation &&
		    time_parse(world_json_str(condition, "lastTransitionTime"), &time_s) == OK;
	if (str_eq(world_json_str(condition, "reason"), STR("PartialSync")))
		good &= is_item_list(world_json_str(condition, "message"));
	if (!good)
		sim_fail(sim, "a status has its shape", "a condition of %s/%s", w->namespace,
			w->name);
}

static void check_status(struct sim *sim, const struct kube_write *w) {
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(w->after, "status");
	int64_t generation = world_json_i64(w->after, "metadata.generation", 0);
	struct str hash = world_json_str(status, "syncHash"),
		   uid = world_json_str(w->after, "metadata.uid");
	/* A backup that came back takes generations back, too. */
	if (sim->restored) generation = INT64_MAX;
	if (world_json_i64(status, "observedGeneration", 0) > generation) {
		sim_fail(sim, "a status speaks of its own object", "observedGeneration of %s/%s",
			w->namespace, w->name);
	}
	bool own = !hash.len ||
		   (str_starts(hash, STR("kv1:")) && str_starts(str_slice(hash, 4, hash.len), uid));
	if (!own)
		sim_fail(sim, "a status speaks of its own object", "syncHash of %s/%s",
			w->namespace, w->name);
	const cJSON *conditions = world_json_at(status, "conditions");
	for (const cJSON *c = cJSON_GetArrayItem(conditions, 0); c; c = c->next)
		check_condition(sim, w, c, generation);
	char *text = cJSON_PrintUnformatted(status);
	sim_check_text(sim, "a status", str_of(text));
	cJSON_free(text);
}

static void note_uid(struct sim *sim, const struct kube_write *w) {
	assert(sim->checks.uid_count < SIM_MAX_UIDS);
	struct sim_uid *known = &sim->checks.uids[sim->checks.uid_count++];
	snprintf(known->key, sizeof known->key, "%s/%s", w->namespace, w->name);
	snprintf(known->uid, sizeof known->uid, "%.*s",
		STR_ARG(world_json_str(w->after, "metadata.uid")));
}

/* About a SecretSync beside it, and never more than there were statuses to tell of. */
static void check_kube_event(struct sim *sim, const struct kube_write *w) {
	struct str type = world_json_str(w->after, "type");
	struct str message = world_json_str(w->after, "message");
	bool good = str_eq(world_json_str(w->after, "involvedObject.kind"), STR("SecretSync")) &&
		    str_eq(world_json_str(w->after, "involvedObject.namespace"), str_of(w->namespace)) &&
		    world_json_str(w->after, "involvedObject.uid").len && message.len &&
		    message.len <= 1024 && (str_eq(type, STR("Normal")) || str_eq(type, STR("Warning")));
	if (!good || w->before) sim_fail(sim, "shape of Events", "%s/%s", w->namespace, w->name);
	if (++sim->checks.event_writes > sim->checks.status_writes)
		sim_fail(sim, "one Event per status at most", "%s/%s", w->namespace, w->name);
	sim_check_text(sim, "an Event", message);
}

void sim_check_write(const struct kube_write *w, void *arg) {
	struct sim *sim = arg;
	bool is_sync = strcmp(w->resource, "secretsyncs") == 0;
	bool is_akv = strcmp(w->resource, "akvsyncs") == 0;
	if ((is_sync || is_akv) && !w->before && w->after) note_uid(sim, w);
	if (strcmp(w->user, SIM_USER) != 0) return;
	sim->checks.product_writes++;
	if (strcmp(w->resource, "secrets") == 0) {
		check_secret(sim, w);
	} else if (is_sync && strcmp(w->subresource, "status") == 0) {
		sim->checks.status_writes++;
		check_status(sim, w);
	} else if (strcmp(w->resource, "events") == 0) {
		check_kube_event(sim, w);
	} else if (is_akv || is_sync || strcmp(w->resource, "secretproviderclasses") == 0) {
		sim_akv_check_write(sim, w);
	} else if (strcmp(w->resource, "serviceaccounts") != 0) {
		sim_fail(sim, "only Secrets, status, Events and what is derived are written", "%s %s/%s", w->verb,
			w->resource, w->subresource);
	}
}

/* --- after each event --- */

void sim_check_event(struct sim *sim) {
	for (unsigned v = 0; v < sim->vault_count; v++) {
		uint64_t most = sim_vault(sim, v)->seen.most;
		if (most > AZURE_RATE_CALLS) {
			sim_fail(sim, "never more than 4,000 calls of a vault in 10 s",
				"vault %u: %llu", v, (unsigned long long)most);
		}
	}
}
