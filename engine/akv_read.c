#include "engine/akv_read.h"

#include <stdio.h>

#include "base/mem.h"
#include "clients/json.h"
#include "engine/spec_rules.h"
#include "engine/text.h"
#include "workers/demand.h"

enum {
	ENTRIES_MOST = 200,
	MAPPINGS_MOST = 100,
	PAIRS_MOST = 64,
	VAULT_NAME_MOST = 127,
	ID_MOST = 128,
	INTERVAL_MOST_S = 604800,
	PATH_BYTES = 64, /* of an entry */
};

/* A path ends with "."; "%.*s" takes it without. */
#define PLACE(path) (int)strlen(path) - 1, (path)

static const cJSON *member(const cJSON *object, const char *key) {
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
	return cJSON_IsNull(value) ? NULL : value;
}

/* A text; absent is "". */
static enum err read_text(const cJSON *object, const char *path, const char *key,
	struct str *out_text, struct fault *fault) {
	const cJSON *value = member(object, key);
	*out_text = json_str(value, "");
	if (!value || cJSON_IsString(value)) return OK;
	return fault_set(fault, ERR_INVALID, "%s%s has to be a string", path, key);
}

/* A whole number; absent is `fallback`. */
static enum err read_number(const cJSON *object, const char *path, const char *key, int64_t low,
	int64_t high, int64_t *number, struct fault *fault) {
	const cJSON *value = member(object, key);
	if (!value) return OK;
	int64_t found = cJSON_IsNumber(value) ? json_i64(value, "", low - 1) : low - 1;
	if (found < low || found > high)
		return fault_set(fault, ERR_INVALID,
			"%s%s has to be a whole number from %lld to %lld", path, key,
			(long long)low, (long long)high);
	*number = found;
	return OK;
}

/* --- the vault and the identity --- */

static enum err read_word(const cJSON *object, const char *key, size_t least, size_t most,
	const char *others, struct str *out_text, struct fault *fault) {
	enum err err = read_text(object, "spec.", key, out_text, fault);
	if (err) return err;
	if (!out_text->len) return fault_set(fault, ERR_INVALID, "spec.%s is not set", key);
	if (out_text->len >= least && text_is_word(*out_text, most, others)) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.%s \"%.*s\" has to be %zu to %zu letters, digits and \"%s\"", key,
		TEXT_ARG(*out_text), least, most, others);
}

static enum err read_head(const cJSON *json, struct akv_spec *spec, struct fault *fault) {
	if (!cJSON_IsObject(json)) return fault_set(fault, ERR_INVALID, "spec is not set");
	enum err err = read_word(json, "keyvaultName", 3, 24, "-", &spec->vault, fault);
	if (!err) err = read_word(json, "clientID", 1, ID_MOST, "-.", &spec->client, fault);
	if (!err) err = read_word(json, "tenantID", 1, ID_MOST, "-.", &spec->tenant, fault);
	if (!err)
		err = read_text(json, "spec.", "serviceAccountName", &spec->service_account, fault);
	if (!err && !text_is_dns_name(spec->service_account))
		err = fault_set(fault, ERR_INVALID,
			"spec.serviceAccountName \"%.*s\" is no name of a ServiceAccount",
			TEXT_ARG(spec->service_account));
	if (!err) err = read_text(json, "spec.", "forceSynchronization", &spec->force, fault);
	if (!err && spec->force.len && !rule_force(spec->force))
		err = fault_set(fault, ERR_INVALID,
			"spec.forceSynchronization \"%.*s\" has to be at most 253 letters, digits, "
			"\"-\", \"_\" and \".\", for example 2026-01-31",
			TEXT_ARG(spec->force));
	if (!err)
		err = read_number(json, "spec.", "rotationPollIntervalInSeconds", 1,
			INTERVAL_MOST_S, &spec->interval_s, fault);
	return err;
}

/* --- objects of the vault --- */

static bool is_vault_name(struct str name) {
	return text_is_word(name, VAULT_NAME_MOST, "-") && name.ptr[0] != '-';
}

/* The place of an object among the sources; its history grows to what is asked for. */
static enum err find_source(struct akv_spec *spec, struct str name, unsigned history,
	unsigned *out_index, struct fault *fault) {
	unsigned i = 0;
	while (i < spec->source_count && !str_eq_nocase(spec->sources[i].name, name)) i++;
	if (i == AKV_SOURCES_MOST)
		return fault_set(fault, ERR_INVALID,
			"spec.objects names more than %d objects of the vault; divide it among "
			"several AKVSyncs",
			AKV_SOURCES_MOST);
	if (i == spec->source_count) spec->sources[spec->source_count++].name = name;
	if (spec->sources[i].history < history) spec->sources[i].history = history;
	*out_index = i;
	return OK;
}

/* Reads secretInAKV or certInAKV, of which exactly one has to be there. */
static enum err read_vault_name(const cJSON *json, const char *path, bool *out_is_cert,
	struct str *out_name, struct fault *fault) {
	struct str secret = STR_NULL, cert = STR_NULL;
	enum err err = read_text(json, path, "secretInAKV", &secret, fault);
	if (!err) err = read_text(json, path, "certInAKV", &cert, fault);
	if (err) return err;
	if (!secret.len == !cert.len)
		return fault_set(fault, ERR_INVALID,
			"%.*s: exactly one of secretInAKV and certInAKV has to be set",
			PLACE(path));
	*out_is_cert = cert.len > 0;
	*out_name = cert.len ? cert : secret;
	if (is_vault_name(*out_name)) return OK;
	return fault_set(fault, ERR_INVALID,
		"%s%s \"%.*s\" is no name in a vault; it has at most 127 letters, digits and \"-\"",
		path, cert.len ? "certInAKV" : "secretInAKV", TEXT_ARG(*out_name));
}

/* --- mappings --- */

struct mapped {
	const struct akv_spec *spec;
	const struct akv_entry *entry;
};

static bool has_key(const void *arg, struct str key) {
	const struct mapped *mapped = arg;
	const struct akv_mapping *mappings = mapped->spec->mappings + mapped->entry->mapping_first;
	for (unsigned i = 0; i < mapped->entry->mapping_count; i++) {
		if (str_eq(mappings[i].key, key)) return true;
	}
	return false;
}

static enum err check_key(const struct akv_spec *spec, const struct akv_entry *entry,
	struct str key, const char *path, struct fault *fault) {
	if (!rule_target_key(key))
		return fault_set(fault, ERR_INVALID,
			"%sdataKey \"%.*s\" is no key of a Secret; it has letters, digits, \"-\", "
			"\"_\" and \".\"",
			path, TEXT_ARG(key));
	if (has_key(&(struct mapped){ spec, entry }, key))
		return fault_set(fault, ERR_INVALID,
			"%sdataKey \"%.*s\" is there twice; each key once", path, TEXT_ARG(key));
	return OK;
}

static enum err read_mapping(const cJSON *json, const char *entry_path, struct akv_spec *spec,
	struct akv_entry *entry, struct fault *fault) {
	char path[2 * PATH_BYTES];
	struct akv_mapping mapping = { 0 };
	struct str name = STR_NULL;
	int64_t version = 0;
	snprintf(path, sizeof path, "%smapping[%u].", entry_path, entry->mapping_count);
	enum err err = read_text(json, path, "dataKey", &mapping.key, fault);
	if (!err) err = check_key(spec, entry, mapping.key, path, fault);
	if (!err) err = read_vault_name(json, path, &mapping.is_cert, &name, fault);
	if (!err)
		err = read_number(json, path, "version", 0, AKV_HISTORY_MOST - 1, &version, fault);
	mapping.version = (unsigned)version;
	if (!err) err = find_source(spec, name, mapping.version + 1, &mapping.source, fault);
	if (err) return err;
	spec->mappings[entry->mapping_first + entry->mapping_count++] = mapping;
	spec->mapping_count++;
	return OK;
}

static enum err read_mappings(const cJSON *list, const char *path, struct akv_spec *spec,
	struct akv_entry *entry, struct fault *fault) {
	int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
	if (count < 1 || count > MAPPINGS_MOST)
		return fault_set(fault, ERR_INVALID, "%smapping has to be a list of 1 to %d keys",
			path, MAPPINGS_MOST);
	enum err err = OK;
	for (const cJSON *json = list->child; json && !err; json = json->next)
		err = read_mapping(json, path, spec, entry, fault);
	return err;
}

/* What the API server demands of a type; only a mapping can lack it. */
static enum err check_required(const struct akv_spec *spec, const struct akv_entry *entry,
	const char *path, struct fault *fault) {
	const struct demand *demand = demand_of(entry->type);
	const struct mapped mapped = { spec, entry };
	struct str missing = demand ? demand_lacks(demand, has_key, &mapped) : STR_NULL;
	if (!missing.len) return OK;
	bool either = demand->one_is_enough;
	return fault_set(fault, ERR_INVALID,
		"%smapping has no dataKey %.*s%s%.*s, which a Secret of type %.*s must have: add "
		"it, or choose another kubernetesSecretType",
		path, STR_ARG(missing), either ? " or " : "",
		STR_ARG(either ? demand->keys[1] : STR("")), STR_ARG(entry->type));
}

/* --- entries --- */

static enum err read_pairs(const cJSON *json, const char *path, const struct pair_rule *rule,
	const cJSON **out_map, struct fault *fault) {
	const cJSON *map = member(json, rule->name);
	if (!map) return OK;
	if (!cJSON_IsObject(map) || cJSON_GetArraySize(map) > PAIRS_MOST)
		return fault_set(fault, ERR_INVALID, "%s%s has to be a mapping of at most %d texts",
			path, rule->name, PAIRS_MOST);
	for (const cJSON *item = map->child; item; item = item->next) {
		struct kube_pair pair = { str_of(item->string), json_str(item, "") };
		enum err err = pair_check(rule, &pair, cJSON_IsString(item), fault);
		if (err) return fault_prefix(fault, err, "%.*s", PLACE(path));
	}
	*out_map = map->child ? map : NULL;
	return OK;
}

static enum err read_type(
	const cJSON *json, const char *path, struct akv_entry *entry, struct fault *fault) {
	enum err err = read_text(json, path, "kubernetesSecretType", &entry->type, fault);
	if (err) return err;
	if (!entry->type.len) entry->type = STR("Opaque");
	if (entry->type.len > 253)
		return fault_set(fault, ERR_INVALID,
			"%skubernetesSecretType is longer than 253 characters", path);
	if (!str_eq(entry->type, STR("kubernetes.io/service-account-token"))) return OK;
	return fault_set(fault, ERR_INVALID,
		"%skubernetesSecretType must not be kubernetes.io/service-account-token: the "
		"cluster "
		"would fill such a Secret with a login of its own",
		path);
}

static enum err read_name(const cJSON *json, const char *path, struct str fallback,
	struct akv_entry *entry, struct fault *fault) {
	struct str given = STR_NULL;
	enum err err = read_text(json, path, "kubernetesSecretName", &given, fault);
	if (err) return err;
	entry->secret_name = given.len ? given : fallback;
	if (text_is_dns_name(entry->secret_name)) return OK;
	if (!entry->secret_name.len)
		return fault_set(fault, ERR_INVALID,
			"%skubernetesSecretName is not set; an entry with mapping needs it", path);
	return fault_set(fault, ERR_INVALID,
		given.len
			? "%skubernetesSecretName \"%.*s\" is no name; it has lower-case letters, "
			  "digits, \"-\" and \".\""
			: "%s: \"%.*s\" is no name of a Kubernetes Secret (lower-case letters, "
			  "digits and \"-\"); set kubernetesSecretName",
		path, TEXT_ARG(entry->secret_name));
}

/* Forms A and B: one object of the vault. */
static enum err read_single(const cJSON *json, const char *path, struct akv_spec *spec,
	struct akv_entry *entry, struct fault *fault) {
	struct str name = STR_NULL;
	bool is_cert = false;
	int64_t history = 1;
	enum err err = read_vault_name(json, path, &is_cert, &name, fault);
	if (!err) err = read_name(json, path, name, entry, fault);
	if (!err)
		err = read_number(
			json, path, "versionHistory", 1, AKV_HISTORY_MOST, &history, fault);
	if (err) return err;
	entry->form = is_cert ? AKV_CERT : AKV_SECRET;
	entry->history = (unsigned)history;
	return find_source(spec, name, entry->history, &entry->source, fault);
}

/* Form C: a compound Secret. */
static enum err read_compound(const cJSON *json, const char *path, struct akv_spec *spec,
	struct akv_entry *entry, struct fault *fault) {
	entry->form = AKV_MAPPING;
	entry->history = 1;
	entry->mapping_first = spec->mapping_count;
	if (member(json, "secretInAKV") || member(json, "certInAKV"))
		return fault_set(fault, ERR_INVALID,
			"%s: exactly one of secretInAKV, certInAKV and mapping has to be set",
			path);
	if (member(json, "versionHistory"))
		return fault_set(fault, ERR_INVALID,
			"%sversionHistory is not for an entry with mapping; give each mapping its "
			"version",
			path);
	enum err err = read_name(json, path, STR(""), entry, fault);
	if (!err) err = read_mappings(member(json, "mapping"), path, spec, entry, fault);
	return err ? err : check_required(spec, entry, path, fault);
}

static enum err read_entry(const cJSON *json, struct akv_spec *spec, struct fault *fault) {
	char path[PATH_BYTES];
	struct akv_entry *entry = &spec->entries[spec->entry_count];
	snprintf(path, sizeof path, "spec.objects[%u].", spec->entry_count);
	if (!cJSON_IsObject(json))
		return fault_set(fault, ERR_INVALID, "%.*s has to be a mapping", PLACE(path));
	enum err err = read_type(json, path, entry, fault);
	if (!err && member(json, "mapping"))
		err = read_compound(json, path, spec, entry, fault);
	else if (!err)
		err = read_single(json, path, spec, entry, fault);
	if (!err) err = read_pairs(json, path, &LABEL_RULE, &entry->labels, fault);
	if (!err) err = read_pairs(json, path, &ANNOTATION_RULE, &entry->annotations, fault);
	if (!err) spec->entry_count++;
	return err;
}

static unsigned count_mappings(const cJSON *objects) {
	unsigned count = 0;
	for (const cJSON *json = objects->child; json; json = json->next) {
		const cJSON *list = member(json, "mapping");
		count += cJSON_IsArray(list) ? (unsigned)cJSON_GetArraySize(list) : 0;
	}
	return count;
}

enum err akv_spec_read(const cJSON *object, struct akv_spec *out_spec, struct fault *fault) {
	struct akv_spec spec = { .name = json_str(object, "metadata.name") };
	const cJSON *json = member(object, "spec"), *objects = member(json, "objects");
	enum err err = read_head(json, &spec, fault);
	int count = cJSON_IsArray(objects) ? cJSON_GetArraySize(objects) : 0;
	if (!err && (count < 1 || count > ENTRIES_MOST))
		err = fault_set(fault, ERR_INVALID,
			"spec.objects has to be a list of 1 to %d entries", ENTRIES_MOST);
	if (err) return err;
	spec.entries = mem_array((size_t)count, sizeof *spec.entries);
	spec.mappings = mem_array(count_mappings(objects) + 1, sizeof *spec.mappings);
	spec.sources = mem_array(AKV_SOURCES_MOST, sizeof *spec.sources);
	if (!spec.entries || !spec.mappings || !spec.sources) err = ERR_NOMEM;
	for (const cJSON *entry = objects->child; entry && !err; entry = entry->next)
		err = read_entry(entry, &spec, fault);
	if (err)
		akv_spec_deinit(&spec);
	else
		*out_spec = spec;
	return err;
}

void akv_spec_deinit(struct akv_spec *spec) {
	mem_free(spec->entries);
	mem_free(spec->mappings);
	mem_free(spec->sources);
	*spec = (struct akv_spec){ 0 };
}
