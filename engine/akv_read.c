#include "engine/akv_read.h"

#include <stdio.h>

#include "base/mem.h"
#include "clients/json.h"
#include "engine/secret_type.h"
#include "engine/spec_rules.h"
#include "engine/text.h"

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

/* What is being read. */
struct reading {
	struct akv_spec *spec;
	struct fault *fault;
	struct fault_sink *sink; /* NULL: the first fault ends the reading */
	enum err failed; /* the first fault that went to the sink */
};

/* The outcome of one field. OK: read on. */
static enum err pass(struct reading *r, enum err err) {
	return fault_pass(r->sink, r->fault, err, &r->failed);
}

/* The same for one of several fields that are good or bad together. */
static enum err pass_part(struct reading *r, enum err err, bool *good) {
	if (err) *good = false;
	return pass(r, err);
}

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
	return fault_set(fault, ERR_INVALID, "%s%s has to be a string%s", path, key,
		cJSON_IsObject(value) || cJSON_IsArray(value) ? "" : ": put it into quotes");
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

static enum err read_account(const cJSON *json, struct akv_spec *spec, struct fault *fault) {
	struct str *name = &spec->service_account;
	enum err err = read_text(json, "spec.", "serviceAccountName", name, fault);
	if (err || text_is_dns_name(*name)) return err;
	if (!name->len) return fault_set(fault, ERR_INVALID, "spec.serviceAccountName is not set");
	return fault_set(fault, ERR_INVALID,
		"spec.serviceAccountName \"%.*s\" is no name of a ServiceAccount", TEXT_ARG(*name));
}

static enum err read_force(const cJSON *json, struct akv_spec *spec, struct fault *fault) {
	enum err err = read_text(json, "spec.", "forceSynchronization", &spec->force, fault);
	if (err || !spec->force.len || rule_force(spec->force)) return err;
	return fault_set(fault, ERR_INVALID,
		"spec.forceSynchronization \"%.*s\" has to be at most 253 letters, digits, "
		"\"-\", \"_\" and \".\", for example 2026-01-31",
		TEXT_ARG(spec->force));
}

static enum err read_head(struct reading *r, const cJSON *json) {
	struct akv_spec *spec = r->spec;
	struct fault *fault = r->fault;
	enum err err = pass(r, read_word(json, "keyvaultName", 3, 24, "-", &spec->vault, fault));
	if (!err)
		err = pass(r, read_word(json, "clientID", 1, ID_MOST, "-.", &spec->client, fault));
	if (!err)
		err = pass(r, read_word(json, "tenantID", 1, ID_MOST, "-.", &spec->tenant, fault));
	if (!err) err = pass(r, read_account(json, spec, fault));
	if (!err) err = pass(r, read_force(json, spec, fault));
	if (err) return err;
	return pass(r, read_number(json, "spec.", "rotationPollIntervalInSeconds", 1,
			       INTERVAL_MOST_S, &spec->interval_s, fault));
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

static enum err read_mapping(
	struct reading *r, const cJSON *json, const char *path, struct akv_entry *entry) {
	struct akv_spec *spec = r->spec;
	struct akv_mapping mapping = { 0 };
	struct str name = STR_NULL;
	int64_t version = 0;
	bool good = true;
	enum err err = read_text(json, path, "dataKey", &mapping.key, r->fault);
	if (!err) err = check_key(spec, entry, mapping.key, path, r->fault);
	err = pass_part(r, err, &good);
	if (!err)
		err = pass_part(
			r, read_vault_name(json, path, &mapping.is_cert, &name, r->fault), &good);
	if (!err)
		err = pass_part(r,
			read_number(
				json, path, "version", 0, AKV_HISTORY_MOST - 1, &version, r->fault),
			&good);
	if (err || !good) return err;
	mapping.version = (unsigned)version;
	err = pass(r, find_source(spec, name, mapping.version + 1, &mapping.source, r->fault));
	if (err) return err;
	spec->mappings[entry->mapping_first + entry->mapping_count++] = mapping;
	spec->mapping_count++;
	return OK;
}

static enum err read_mappings(
	struct reading *r, const cJSON *list, const char *entry_path, struct akv_entry *entry) {
	int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
	if (count < 1 || count > MAPPINGS_MOST)
		return fault_set(r->fault, ERR_INVALID,
			"%smapping has to be a list of 1 to %d keys", entry_path, MAPPINGS_MOST);
	unsigned index = 0;
	enum err err = OK;
	for (const cJSON *json = list->child; json && !err; json = json->next, index++) {
		char path[2 * PATH_BYTES];
		snprintf(path, sizeof path, "%smapping[%u].", entry_path, index);
		err = read_mapping(r, json, path, entry);
	}
	return err;
}

/* What the API server demands of a type; only a mapping can lack it. */
static enum err check_required(const struct akv_spec *spec, const struct akv_entry *entry,
	const char *path, struct fault *fault) {
	const struct secret_type_words words = { path, "mapping has no dataKey",
		"kubernetesSecretType" };
	const struct mapped mapped = { spec, entry };
	return secret_type_demand(entry->type, has_key, &mapped, &words, fault);
}

/* --- entries --- */

static enum err read_pairs(struct reading *r, const cJSON *json, const char *path,
	const struct pair_rule *rule, const cJSON **out_map) {
	const cJSON *map = member(json, rule->name);
	if (!map) return OK;
	if (!cJSON_IsObject(map) || cJSON_GetArraySize(map) > PAIRS_MOST) {
		enum err err = fault_set(r->fault, ERR_INVALID,
			"%s%s has to be a mapping of at most %d texts", path, rule->name,
			PAIRS_MOST);
		return pass(r, err);
	}
	for (const cJSON *item = map->child; item; item = item->next) {
		struct kube_pair pair = { str_of(item->string), json_str(item, "") };
		enum err err =
			pass(r, pair_check(rule, path, &pair, cJSON_IsString(item), r->fault));
		if (err) return err;
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
static enum err read_single(
	struct reading *r, const cJSON *json, const char *path, struct akv_entry *entry) {
	struct str name = STR_NULL;
	bool is_cert = false, named = true;
	int64_t history = 1;
	enum err err = pass_part(r, read_vault_name(json, path, &is_cert, &name, r->fault), &named);
	/* Where the vault's name is wrong it is no default either. */
	if (!err && (named || member(json, "kubernetesSecretName")))
		err = pass(r, read_name(json, path, name, entry, r->fault));
	if (!err)
		err = pass(r, read_number(json, path, "versionHistory", 1, AKV_HISTORY_MOST,
				      &history, r->fault));
	if (err || !named) return err;
	entry->form = is_cert ? AKV_CERT : AKV_SECRET;
	entry->history = (unsigned)history;
	return pass(r, find_source(r->spec, name, entry->history, &entry->source, r->fault));
}

static enum err check_alone(const cJSON *json, const char *path, struct fault *fault) {
	if (!member(json, "secretInAKV") && !member(json, "certInAKV")) return OK;
	return fault_set(fault, ERR_INVALID,
		"%.*s: exactly one of secretInAKV, certInAKV and mapping has to be set",
		PLACE(path));
}

static enum err check_no_history(const cJSON *json, const char *path, struct fault *fault) {
	if (!member(json, "versionHistory")) return OK;
	return fault_set(fault, ERR_INVALID,
		"%sversionHistory is not for an entry with mapping; give each mapping its version",
		path);
}

/* Form C: a compound Secret. */
static enum err read_compound(
	struct reading *r, const cJSON *json, const char *path, struct akv_entry *entry) {
	const cJSON *list = member(json, "mapping");
	entry->form = AKV_MAPPING;
	entry->history = 1;
	entry->mapping_first = r->spec->mapping_count;
	enum err err = pass(r, check_alone(json, path, r->fault));
	if (!err) err = pass(r, check_no_history(json, path, r->fault));
	if (!err) err = pass(r, read_name(json, path, STR(""), entry, r->fault));
	if (!err) err = pass(r, read_mappings(r, list, path, entry));
	bool all =
		cJSON_IsArray(list) && (unsigned)cJSON_GetArraySize(list) == entry->mapping_count;
	return err || !all ? err : pass(r, check_required(r->spec, entry, path, r->fault));
}

static enum err read_entry(struct reading *r, const cJSON *json, unsigned index) {
	char path[PATH_BYTES];
	struct akv_entry *entry = &r->spec->entries[index];
	snprintf(path, sizeof path, "spec.objects[%u].", index);
	if (!cJSON_IsObject(json)) {
		enum err err =
			fault_set(r->fault, ERR_INVALID, "%.*s has to be a mapping", PLACE(path));
		return pass(r, err);
	}
	enum err err = pass(r, read_type(json, path, entry, r->fault));
	if (!err)
		err = member(json, "mapping") ? read_compound(r, json, path, entry)
					      : read_single(r, json, path, entry);
	if (!err) err = read_pairs(r, json, path, &LABEL_RULE, &entry->labels);
	if (!err) err = read_pairs(r, json, path, &ANNOTATION_RULE, &entry->annotations);
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

static enum err make_room(struct akv_spec *spec, const cJSON *objects) {
	spec->entries = mem_array((size_t)cJSON_GetArraySize(objects), sizeof *spec->entries);
	spec->mappings = mem_array(count_mappings(objects) + 1, sizeof *spec->mappings);
	spec->sources = mem_array(AKV_SOURCES_MOST, sizeof *spec->sources);
	return spec->entries && spec->mappings && spec->sources ? OK : ERR_NOMEM;
}

static enum err read_entries(struct reading *r, const cJSON *objects) {
	int count = cJSON_IsArray(objects) ? cJSON_GetArraySize(objects) : 0;
	if (count < 1 || count > ENTRIES_MOST) {
		enum err err = fault_set(r->fault, ERR_INVALID,
			"spec.objects has to be a list of 1 to %d entries", ENTRIES_MOST);
		return pass(r, err);
	}
	enum err err = make_room(r->spec, objects);
	for (const cJSON *entry = objects->child; entry && !err; entry = entry->next)
		err = read_entry(r, entry, r->spec->entry_count++);
	return err;
}

enum err akv_spec_read(const cJSON *object, struct fault_sink *sink, struct akv_spec *out_spec,
	struct fault *fault) {
	struct akv_spec spec = { .name = json_str(object, "metadata.name") };
	struct reading r = { .spec = &spec, .fault = fault, .sink = sink };
	const cJSON *json = member(object, "spec");
	enum err err;
	if (cJSON_IsObject(json)) {
		err = read_head(&r, json);
		if (!err) err = read_entries(&r, member(json, "objects"));
	} else {
		err = pass(&r, fault_set(fault, ERR_INVALID, "spec is not set"));
	}
	if (!err) err = r.failed;
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
