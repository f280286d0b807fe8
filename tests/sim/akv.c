/* AKVSyncs: what users wish, what they and strangers do to objects that follow from them, and what has to be true of those.
 *
 * What has to follow is said by hand, not by the product: entries 0 to 2 take one object of the vault each, with a history;
 * the last one is a mapping of two. As classes and SecretSyncs they are checked like those that users write. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/sim.h"

enum { COMPOUND = SIM_AKV_SECRETS - 1, BODY_BYTES = 32 << 10 };

#define SYNC_API "/apis/secret-sync.x-k8s.io/v1alpha1/namespaces/"
#define CLASS_API "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/"

static struct sim_spc *class_of(struct sim *sim, const struct sim_akv *akv) {
	return &sim->spcs[SIM_MAX_SPCS + (akv - sim->akvs)];
}

static unsigned history_of(const struct sim_akv *akv, unsigned entry) {
	return akv->derived[entry].item_count;
}

/* --- the plan of a seed --- */

static void plan_entry(struct sim *sim, struct sim_akv *akv, unsigned entry) {
	struct sim_sync *sync = &akv->derived[entry];
	bool compound = entry == COMPOUND;
	sync->spc = (unsigned)(SIM_MAX_SPCS + (akv - sim->akvs));
	snprintf(sync->name, sizeof sync->name, "akv-%u-%u", (unsigned)(akv - sim->akvs), entry);
	snprintf(sync->service_account, sizeof sync->service_account, "sa-0");
	sync->item_count = compound ? 2 : (unsigned)sim_between(sim, 1, 3);
	for (unsigned i = 0; i < 3; i++) {
		struct sim_item *item = &sync->items[i];
		item->object = compound ? COMPOUND + i : entry;
		item->index = i;
		snprintf(item->key, sizeof item->key, compound ? "key-%u" : "v%u", i);
	}
	akv->wanted[entry] = entry == 0 || sim_chance(sim, 600);
}

/* Objects of the class in the order of the vault's; the second of a mapping is an older version. */
static void plan_class(struct sim *sim, struct sim_akv *akv) {
	struct sim_spc *class = class_of(sim, akv);
	const struct sim_spc *like = &sim->spcs[sim_between(sim, 0, sim->spc_count - 1)];
	*class = *like;
	snprintf(class->name, sizeof class->name, "akvsync-akv-%u", (unsigned)(akv - sim->akvs));
	class->object_count = SIM_VAULT_OBJECTS;
	for (unsigned i = 0; i < SIM_VAULT_OBJECTS; i++) {
		class->objects[i].vault_object = i;
		snprintf(class->objects[i].path, SIM_NAME_BYTES, "obj-%u", i);
	}
}

static void recount_history(struct sim *sim, struct sim_akv *akv) {
	struct sim_spc *class = class_of(sim, akv);
	for (unsigned i = 0; i < COMPOUND; i++) {
		unsigned history = history_of(akv, i);
		class->objects[i].history = history > 1 ? history : 0;
	}
	class->objects[COMPOUND].history = 0;
	class->objects[COMPOUND + 1].history = 2;
}

void sim_akv_plan(struct sim *sim) {
	static_assert(COMPOUND + 1 < SIM_VAULT_OBJECTS);
	sim->akv_count = sim_chance(sim, 500) ? (unsigned)sim_between(sim, 1, SIM_MAX_AKVS) : 0;
	for (unsigned a = 0; a < sim->akv_count; a++) {
		struct sim_akv *akv = &sim->akvs[a];
		snprintf(akv->name, sizeof akv->name, "akv-%u", a);
		plan_class(sim, akv);
		for (unsigned i = 0; i < SIM_AKV_SECRETS; i++) plan_entry(sim, akv, i);
		recount_history(sim, akv);
	}
}

/* --- what users write --- */

static void write_head(struct sim *sim, const struct sim_akv *akv, struct buf *out) {
	struct sim_spc *class = class_of(sim, akv);
	class->vaults |= 1u << class->vault;
	buf_printf(out,
		"{\"keyvaultName\":\"%s\",\"clientID\":\"%s\",\"tenantID\":\"%s\","
		"\"serviceAccountName\":\"sa-0\",",
		sim_vault(sim, class->vault)->name, class->client, SIM_TENANT);
	if (akv->force) buf_printf(out, "\"forceSynchronization\":\"force-%u\",", akv->force);
	buf_append(out, STR("\"objects\":["));
}

static void write_entry(const struct sim_akv *akv, unsigned entry, struct buf *out) {
	const struct sim_sync *sync = &akv->derived[entry];
	buf_printf(out, "{\"kubernetesSecretName\":\"%s\"", sync->name);
	if (sync->label)
		buf_printf(out, ",\"labels\":{\"team\":\"t%u\"},\"annotations\":{\"note\":\"n%u\"}",
			sync->label, sync->label);
	if (entry == COMPOUND) {
		buf_printf(out,
			",\"mapping\":[{\"dataKey\":\"key-0\",\"secretInAKV\":\"obj-%d\"},"
			"{\"dataKey\":\"key-1\",\"secretInAKV\":\"obj-%d\",\"version\":1}]}",
			COMPOUND, COMPOUND + 1);
		return;
	}
	buf_printf(out, ",\"secretInAKV\":\"obj-%u\"", entry);
	if (sync->item_count > 1) buf_printf(out, ",\"versionHistory\":%u", sync->item_count);
	buf_append_char(out, '}');
}

static void recount(struct sim_akv *akv) {
	for (unsigned i = 0; i < SIM_AKV_SECRETS; i++)
		akv->derived[i].present = akv->present && akv->wanted[i] && !akv->strangers[i] &&
					  !akv->class_is_strange;
}

static void apply_akv(struct sim *sim, struct sim_akv *akv) {
	char collection[256];
	struct buf spec;
	bool first = true;
	recount_history(sim, akv);
	buf_init(&spec, BODY_BYTES);
	snprintf(collection, sizeof collection, SYNC_API "%s/akvsyncs", class_of(sim, akv)->ns);
	write_head(sim, akv, &spec);
	for (unsigned i = 0; i < SIM_AKV_SECRETS; i++) {
		if (!akv->wanted[i]) continue;
		if (!first) buf_append_char(&spec, ',');
		write_entry(akv, i, &spec);
		first = false;
	}
	buf_append(&spec, STR("]}"));
	sim_apply(sim, collection, "\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"AKVSync\"",
		akv->name, buf_str(&spec));
	buf_deinit(&spec);
	akv->present = true;
	recount(akv);
}

static void delete_akv(struct sim *sim, struct sim_akv *akv) {
	char path[256];
	snprintf(path, sizeof path, SYNC_API "%s/akvsyncs/%s", class_of(sim, akv)->ns, akv->name);
	sim_kubectl(sim, "DELETE", path, NULL, STR(""));
	akv->present = false;
	recount(akv);
}

void sim_akv_begin(struct sim *sim) {
	for (unsigned a = 0; a < sim->akv_count; a++) {
		if (sim_chance(sim, 800)) apply_akv(sim, &sim->akvs[a]);
	}
}

static void edit(struct sim *sim, struct sim_akv *akv) {
	unsigned entry = (unsigned)sim_between(sim, 0, SIM_AKV_SECRETS - 1);
	struct sim_sync *sync = &akv->derived[entry];
	switch (sim_between(sim, 0, 3)) {
	case 0:
		if (entry) akv->wanted[entry] = !akv->wanted[entry];
		break;
	case 1:
		if (entry != COMPOUND) sync->item_count = (unsigned)sim_between(sim, 1, 3);
		break;
	case 2:
		sync->label = sim_chance(sim, 700) ? ++sim->serial : 0;
		break;
	default:
		akv->force = ++sim->serial;
		break;
	}
	apply_akv(sim, akv);
}

/* --- what is done to objects that follow --- */

static void derived_path(const struct sim *sim, const struct sim_sync *sync, char out_path[static 256]) {
	snprintf(out_path, 256, SYNC_API "%s/secretsyncs/%s", sim_sync_ns(sim, sync), sync->name);
}

static void class_path(const struct sim_spc *class, char out_path[static 256]) {
	snprintf(out_path, 256, CLASS_API "%s/secretproviderclasses/%s", class->ns, class->name);
}

static void delete_path(struct sim *sim, const char *path) {
	sim_kubectl(sim, "DELETE", path, NULL, STR(""));
}

/* Somebody takes a derived object for one of his own. */
static void meddle(struct sim *sim, const struct sim_sync *sync) {
	static const char *const patches[] = {
		"{\"spec\":{\"serviceAccountName\":\"meddled\"}}",
		"{\"spec\":{\"forceSynchronization\":\"meddled\"}}",
		"{\"spec\":{\"secretObject\":{\"labels\":{\"meddled\":\"yes\"}}}}",
		"{\"spec\":{\"secretObject\":{\"data\":[{\"sourcePath\":\"obj-9\",\"targetKey\":\"meddled\"}]}}}",
		"{\"metadata\":{\"labels\":{\"theirs\":\"stays\"}}}",
	};
	char path[256];
	derived_path(sim, sync, path);
	sim_kubectl(sim, "PATCH", path, "application/merge-patch+json",
		str_of(patches[sim_between(sim, 0, 4)]));
}

static void meddle_with_class(struct sim *sim, struct sim_spc *class) {
	char path[256];
	class->vaults |= 1; /* kv-sim-0 */
	class_path(class, path);
	if (sim_chance(sim, 500))
		delete_path(sim, path);
	else
		sim_kubectl(sim, "PATCH", path, "application/merge-patch+json",
			STR("{\"spec\":{\"parameters\":{\"keyvaultName\":\"kv-sim-0\",\"more\":\"x\"}}}"));
}

/* A SecretSync of the name that belongs to nobody, and waits for a class that is not there. */
static void put_stranger(struct sim *sim, struct sim_akv *akv, unsigned entry) {
	char path[256], body[512];
	const struct sim_sync *sync = &akv->derived[entry];
	derived_path(sim, sync, path);
	delete_path(sim, path);
	*strrchr(path, '/') = 0;
	snprintf(body, sizeof body,
		"{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\",\"metadata\":{"
		"\"name\":\"%s\"},\"spec\":{\"secretProviderClassName\":\"nowhere\",\"serviceAccountName\":"
		"\"sa-0\",\"secretObject\":{\"data\":[{\"sourcePath\":\"theirs\",\"targetKey\":\"k\"}]}}}",
		sync->name);
	if (sim_kubectl(sim, "POST", path, NULL, str_of(body)) == 201)
		akv->strangers[entry] = STRANGER_MADE;
	recount(akv);
}

/* Without its owner reference it is nobody's, whatever it looks like. */
static void strip_owner(struct sim *sim, struct sim_akv *akv, unsigned entry) {
	char path[256];
	derived_path(sim, &akv->derived[entry], path);
	int status = sim_kubectl(sim, "PATCH", path, "application/merge-patch+json",
		STR("{\"metadata\":{\"ownerReferences\":null}}"));
	if (status == 200) akv->strangers[entry] = STRANGER_STRIPPED;
	recount(akv);
}

static void put_strange_class(struct sim *sim, struct sim_akv *akv) {
	const struct sim_spc *class = class_of(sim, akv);
	char path[256], body[512];
	class_path(class, path);
	delete_path(sim, path);
	*strrchr(path, '/') = 0;
	snprintf(body, sizeof body,
		"{\"apiVersion\":\"secrets-store.csi.x-k8s.io/v1\",\"kind\":\"SecretProviderClass\","
		"\"metadata\":{\"name\":\"%s\"},\"spec\":{\"provider\":\"azure\",\"parameters\":{}}}",
		class->name);
	if (sim_kubectl(sim, "POST", path, NULL, str_of(body)) == 201) akv->class_is_strange = true;
	recount(akv);
}

void sim_akv_act(struct sim *sim) {
	if (!sim->akv_count) return;
	struct sim_akv *akv = &sim->akvs[sim_between(sim, 0, sim->akv_count - 1)];
	unsigned entry = (unsigned)sim_between(sim, 0, SIM_AKV_SECRETS - 1);
	char path[256];
	if (!akv->present) {
		if (sim_chance(sim, 200)) put_strange_class(sim, akv);
		apply_akv(sim, akv);
		return;
	}
	switch (sim_between(sim, 0, 11)) {
	case 0:
		delete_akv(sim, akv);
		if (sim_chance(sim, 500)) apply_akv(sim, akv);
		break;
	case 1:
		put_stranger(sim, akv, entry);
		break;
	case 2:
		if (!akv->strangers[entry]) strip_owner(sim, akv, entry);
		break;
	case 3:
	case 4:
	case 5:
		if (!akv->strangers[entry]) meddle(sim, &akv->derived[entry]);
		break;
	case 6:
		if (!akv->class_is_strange) meddle_with_class(sim, class_of(sim, akv));
		break;
	case 7:
		derived_path(sim, &akv->derived[entry], path);
		if (!akv->strangers[entry]) delete_path(sim, path);
		break;
	default:
		edit(sim, akv);
		break;
	}
}

/* --- healing --- */

static void remove_stranger(struct sim *sim, struct sim_akv *akv, unsigned entry) {
	char path[256];
	derived_path(sim, &akv->derived[entry], path);
	delete_path(sim, path);
	akv->strangers[entry] = STRANGER_NONE;
	recount(akv);
}

static void remove_strange_class(struct sim *sim, struct sim_akv *akv) {
	char path[256];
	class_path(class_of(sim, akv), path);
	delete_path(sim, path);
	akv->class_is_strange = false;
	recount(akv);
}

/* After a backup nobody knows whose an object of the name is: it goes, and comes back where it has to. */
void sim_akv_restored(struct sim *sim) {
	for (unsigned a = 0; a < sim->akv_count; a++) {
		struct sim_akv *akv = &sim->akvs[a];
		for (unsigned i = 0; i < SIM_AKV_SECRETS; i++) remove_stranger(sim, akv, i);
		remove_strange_class(sim, akv);
		if (akv->present)
			apply_akv(sim, akv);
		else
			delete_akv(sim, akv);
	}
}

/* Half of those that strangers made stay where they are. Secrets that changed behind the engine's back are forced. */
void sim_akv_heal(struct sim *sim) {
	for (unsigned a = 0; a < sim->akv_count; a++) {
		struct sim_akv *akv = &sim->akvs[a];
		if (akv->class_is_strange) remove_strange_class(sim, akv);
		for (unsigned i = 0; i < SIM_AKV_SECRETS; i++) {
			bool stays = akv->strangers[i] == STRANGER_MADE && sim_chance(sim, 500);
			if (akv->strangers[i] && !stays) remove_stranger(sim, akv, i);
		}
		akv->force = ++sim->serial;
		if (akv->present) apply_akv(sim, akv);
	}
}

/* --- what has to be true --- */

static char text[512];

__attribute__((format(printf, 2, 3))) static const char *not_yet(
	const struct sim_akv *akv, const char *format, ...) {
	int head = snprintf(text, sizeof text, "%s: ", akv->name);
	va_list args;
	va_start(args, format);
	vsnprintf(text + head, sizeof text - (size_t)head, format, args);
	va_end(args);
	return text;
}

static const cJSON *controller_of(const cJSON *object) {
	const cJSON *owners = world_json_at(object, "metadata.ownerReferences");
	for (const cJSON *o = cJSON_GetArrayItem(owners, 0); o; o = o->next) {
		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "controller"))) return o;
	}
	return NULL;
}

static bool is_owned(const cJSON *object, struct str uid) {
	return object && str_eq(world_json_str(controller_of(object), "uid"), uid);
}

/* Nothing that somebody added is left. */
static bool has_additions(const cJSON *sync, const struct sim_sync *wanted) {
	const cJSON *data = world_json_at(sync, "spec.secretObject.data");
	const cJSON *labels = world_json_at(sync, "spec.secretObject.labels");
	bool account = str_eq(world_json_str(sync, "spec.serviceAccountName"), STR("sa-0"));
	return cJSON_GetArraySize(data) != (int)wanted->item_count || !account ||
	       cJSON_GetArraySize(labels) != (wanted->label ? 1 : 0);
}

static const char *check_entry(
	struct sim *sim, struct sim_akv *akv, unsigned entry, struct str uid, size_t *present) {
	const struct sim_sync *sync = &akv->derived[entry];
	cJSON *object = kube_get(sim->kube, "secretsyncs", sim_sync_ns(sim, sync), sync->name);
	const char *what = NULL;
	*present += sync->present || akv->strangers[entry];
	if (akv->strangers[entry]) {
		if (!object || controller_of(object))
			what = not_yet(akv, "a stranger's %s was taken", sync->name);
	} else if (!sync->present) {
		if (object) what = not_yet(akv, "%s is still there", sync->name);
	} else if (!is_owned(object, uid)) {
		what = not_yet(akv, "%s is not there, or not its own", sync->name);
	} else if (has_additions(object, sync)) {
		what = not_yet(akv, "%s is not as it was derived", sync->name);
	}
	cJSON_Delete(object);
	if (!what && sync->present) what = sim_check_sync(sim, sync);
	return what;
}

static const char *check_class(struct sim *sim, const struct sim_akv *akv, struct str uid) {
	const struct sim_spc *class = class_of(sim, akv);
	cJSON *object = kube_get(sim->kube, "secretproviderclasses", class->ns, class->name);
	const char *what = NULL;
	if (akv->present && !is_owned(object, uid))
		what = not_yet(akv, "its class is not there, or not its own");
	else if (akv->present && cJSON_GetArraySize(world_json_at(object, "spec.parameters")) != 4)
		what = not_yet(akv, "its class is not as it was derived");
	else if (!akv->present && object)
		what = not_yet(akv, "its class is still there");
	cJSON_Delete(object);
	return what;
}

/* What it says of each SecretSync is what that says of itself, or whose it is. */
static const char *check_parts(struct sim *sim, const struct sim_akv *akv, const cJSON *object) {
	const cJSON *parts = world_json_at(object, "status.secretSyncs");
	for (const cJSON *part = cJSON_GetArrayItem(parts, 0); part; part = part->next) {
		struct str name = world_json_str(part, "name"), said = world_json_str(part, "ready");
		for (unsigned i = 0; i < SIM_AKV_SECRETS; i++) {
			const struct sim_sync *sync = &akv->derived[i];
			if (!str_eq(name, str_of(sync->name))) continue;
			cJSON *derived = kube_get(
				sim->kube, "secretsyncs", sim_sync_ns(sim, sync), sync->name);
			const cJSON *ready =
				cJSON_GetArrayItem(world_json_at(derived, "status.conditions"), 0);
			bool same = str_eq(said, akv->strangers[i] ? STR("False")
								   : world_json_str(ready, "status"));
			cJSON_Delete(derived);
			if (!same)
				return not_yet(akv, "it says %.*s of %s", STR_ARG(said), sync->name);
		}
	}
	return NULL;
}

static const char *check_status(struct sim *sim, const struct sim_akv *akv, const cJSON *object) {
	const cJSON *ready = cJSON_GetArrayItem(world_json_at(object, "status.conditions"), 0);
	struct str value = world_json_str(ready, "status"), reason = world_json_str(ready, "reason");
	bool strange = false;
	for (unsigned i = 0; i < SIM_AKV_SECRETS; i++)
		strange |= akv->wanted[i] && akv->strangers[i];
	bool good = str_eq(value, strange ? STR("False") : STR("True")) &&
		    str_eq(reason, strange ? STR("OwnershipConflict") : STR("AllSecretsReady"));
	if (!good)
		return not_yet(akv, "Ready is %.*s %.*s: %.*s", STR_ARG(value), STR_ARG(reason),
			STR_ARG(world_json_str(ready, "message")));
	if (world_json_i64(object, "status.observedGeneration", 0) !=
		world_json_i64(object, "metadata.generation", -1))
		return not_yet(akv, "its newest generation was not looked at");
	return check_parts(sim, akv, object);
}

const char *sim_akv_unsettled(struct sim *sim, size_t *present) {
	const char *what = NULL;
	for (unsigned a = 0; a < sim->akv_count && !what; a++) {
		struct sim_akv *akv = &sim->akvs[a];
		cJSON *object = kube_get(sim->kube, "akvsyncs", class_of(sim, akv)->ns, akv->name);
		struct str uid = world_json_str(object, "metadata.uid");
		if (akv->present && !object) what = not_yet(akv, "it is not there: the scenario is wrong");
		if (!what) what = check_class(sim, akv, uid);
		for (unsigned i = 0; i < SIM_AKV_SECRETS && !what; i++)
			what = check_entry(sim, akv, i, uid, present);
		if (!what && akv->present) what = check_status(sim, akv, object);
		cJSON_Delete(object);
	}
	return what;
}

/* --- each write --- */

static void check_derived(struct sim *sim, const struct kube_write *w) {
	const cJSON *before = controller_of(w->before), *after = controller_of(w->after);
	const cJSON *owner = w->before ? before : after;
	struct str uid = world_json_str(owner, "uid"), name = world_json_str(owner, "name");
	char akv[SIM_NAME_BYTES];
	snprintf(akv, sizeof akv, "%.*s", STR_ARG(name));
	bool ours = str_eq(world_json_str(owner, "kind"), STR("AKVSync")) &&
		    sim_uid_was(sim, w->namespace, akv, uid);
	if (!ours)
		sim_fail(sim, "no foreign SecretSync or class is written", "%s %s %s/%s", w->verb,
			w->resource, w->namespace, w->name);
	if (w->before && w->after && !str_eq(world_json_str(after, "uid"), uid))
		sim_fail(sim, "a derived object keeps its owner", "%s %s/%s", w->resource,
			w->namespace, w->name);
	const cJSON *theirs = world_json_at(w->before, "metadata.labels.theirs");
	if (theirs && w->after && !world_json_at(w->after, "metadata.labels.theirs"))
		sim_fail(sim, "labels of others stay", "%s/%s", w->namespace, w->name);
}

void sim_akv_check_write(struct sim *sim, const struct kube_write *w) {
	bool is_status = strcmp(w->subresource, "status") == 0;
	if (strcmp(w->resource, "akvsyncs") != 0) {
		check_derived(sim, w);
		return;
	}
	if (!is_status)
		sim_fail(sim, "of an AKVSync only the status is written", "%s %s/%s", w->verb,
			w->namespace, w->name);
	char *status = cJSON_PrintUnformatted(world_json_at(w->after, "status"));
	sim_check_text(sim, "a status", str_of(status));
	cJSON_free(status);
}
