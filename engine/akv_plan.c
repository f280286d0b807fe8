#include "engine/akv_plan.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "clients/json.h"
#include "engine/akv_read.h"
#include "engine/text.h"
#include "workers/demand.h"

enum { NAME_MOST = 253, NAME_KEPT = 200, NAME_BYTES = 512, DIGEST_DEPTH = 16 };

/* --- digests --- */

/* The name of a place: its member's name or its index, below the place that holds it. */
static uint64_t place_digest(uint64_t above, const cJSON *item, unsigned index) {
	struct hash_key key = { above, item->string ? 0 : index + UINT64_C(1) };
	return hash64(&key, str_of(item->string));
}

static uint64_t leaf_digest(uint64_t place, const cJSON *leaf) {
	struct hash_key key = { place, (uint64_t)leaf->type & 0xff };
	char number[32] = "";
	if (cJSON_IsString(leaf)) return hash64(&key, str_of(leaf->valuestring));
	if (cJSON_IsNumber(leaf)) snprintf(number, sizeof number, "%.17g", leaf->valuedouble);
	return hash64(&key, str_of(number));
}

/* The order of members does not count, so what the leaves give is added up. Below a depth that no kind has, everything
 * looks alike. */
uint64_t akv_digest(const cJSON *json, const char *skip) {
	struct level {
		const cJSON *next;
		uint64_t place;
		unsigned index;
	} levels[DIGEST_DEPTH] = { { json ? json->child : NULL, 0, 0 } };
	uint64_t digest = 0;
	unsigned depth = 0;
	if (json && !json->child) return leaf_digest(0, json);
	for (;;) {
		struct level *level = &levels[depth];
		const cJSON *item = level->next;
		if (!item && depth == 0) return digest;
		if (!item) {
			depth--;
			continue;
		}
		level->next = item->next;
		if (item->string && skip && strcmp(item->string, skip) == 0) continue;
		uint64_t place = place_digest(level->place, item, level->index++);
		if (item->child && depth + 1 < DIGEST_DEPTH)
			levels[++depth] = (struct level){ item->child, place, 0 };
		else
			digest += leaf_digest(place, item);
	}
}

/* --- names --- */

/* "akvsync-NAME"; where that is too long, its beginning and a digest of all of it. */
static void class_name(struct str name, char out_name[static NAME_BYTES]) {
	const char *const prefix = "akvsync-";
	if (strlen(prefix) + name.len <= NAME_MOST) {
		snprintf(out_name, NAME_BYTES, "%s%.*s", prefix, STR_ARG(name));
		return;
	}
	snprintf(out_name, NAME_BYTES, "%s%.*s-%016llx", prefix, NAME_KEPT, name.ptr,
		(unsigned long long)hash64_stable(name));
}

static enum err version_name(const struct akv_entry *entry, unsigned version,
	char out_name[static NAME_BYTES], struct fault *fault) {
	if (entry->history == 1)
		snprintf(out_name, NAME_BYTES, "%.*s", STR_ARG(entry->secret_name));
	else
		snprintf(out_name, NAME_BYTES, "%.*s-v%u", STR_ARG(entry->secret_name), version);
	if (strlen(out_name) <= NAME_MOST) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.objects: the name \"%.*s\" with -v%u behind it is longer than %d characters; "
		"set "
		"a shorter kubernetesSecretName",
		TEXT_ARG(entry->secret_name), version, NAME_MOST);
}

/* --- the class --- */

static void write_member(struct buf *out, const char *before, struct str value) {
	buf_append(out, str_of(before));
	buf_append_json(out, value);
}

/* Names have letters, digits and "-" alone; quoted, so that none is read as a number or null. */
static void write_objects(const struct akv_spec *spec, struct buf *out) {
	buf_append(out, STR("array:\n"));
	for (unsigned i = 0; i < spec->source_count; i++) {
		const struct akv_source *source = &spec->sources[i];
		buf_printf(out, "  - |\n    objectName: \"%.*s\"\n    objectType: secret\n",
			STR_ARG(source->name));
		if (source->history > 1)
			buf_printf(out, "    objectVersionHistory: %u\n", source->history);
	}
}

static enum err write_class(const struct akv_spec *spec, struct buf *out) {
	struct buf objects;
	buf_init(&objects, AKV_SPEC_BYTES);
	write_objects(spec, &objects);
	write_member(out, "{\"provider\":\"azure\",\"parameters\":{\"clientID\":", spec->client);
	write_member(out, ",\"keyvaultName\":", spec->vault);
	write_member(out, ",\"objects\":", buf_str(&objects));
	write_member(out, ",\"tenantID\":", spec->tenant);
	buf_append(out, STR("}}"));
	enum err err = buf_err(&objects);
	buf_deinit(&objects);
	return err;
}

/* --- a SecretSync --- */

enum half { WHOLE, CERTIFICATE, PRIVATE_KEY };

/* One entry of data: {"sourcePath":"NAME/1/tls.crt","targetKey":KEY}. */
static void write_data(struct buf *out, bool first, const struct akv_source *source,
	unsigned version, enum half half, struct str key) {
	static const char *const halves[] = { "", "/tls.crt", "/tls.key" };
	char index[16] = "";
	if (source->history > 1) snprintf(index, sizeof index, "/%u", version);
	buf_printf(out, "%s{\"sourcePath\":\"%.*s%s%s\",\"targetKey\":", first ? "" : ",",
		STR_ARG(source->name), index, halves[half]);
	buf_append_json(out, key);
	buf_append_char(out, '}');
}

/* The key without which the API server refuses a Secret of this type; empty: there is none. Of a login it is the password. */
static struct str required_key(struct str type) {
	const struct demand *demand = demand_of(type);
	return demand ? demand->keys[demand->count - 1] : STR("");
}

static bool is_tls(const struct akv_entry *entry) {
	return str_eq(entry->type, STR("kubernetes.io/tls"));
}

static void write_versions(
	const struct akv_spec *spec, const struct akv_entry *entry, struct buf *out) {
	const struct akv_source *source = &spec->sources[entry->source];
	struct str required = required_key(entry->type);
	char key[16];
	for (unsigned v = 0; v < entry->history; v++) {
		snprintf(key, sizeof key, "v%u", v);
		write_data(out, v == 0, source, v, WHOLE, str_of(key));
	}
	if (required.len) write_data(out, false, source, 0, WHOLE, required);
}

/* A Secret of type kubernetes.io/tls never has the private key in tls.crt. */
static enum half half_of(const struct akv_entry *entry, const struct akv_mapping *mapping) {
	if (!is_tls(entry) || !mapping->is_cert) return WHOLE;
	if (str_eq(mapping->key, STR("tls.crt"))) return CERTIFICATE;
	return str_eq(mapping->key, STR("tls.key")) ? PRIVATE_KEY : WHOLE;
}

static void write_mappings(
	const struct akv_spec *spec, const struct akv_entry *entry, struct buf *out) {
	for (unsigned i = 0; i < entry->mapping_count; i++) {
		const struct akv_mapping *mapping = &spec->mappings[entry->mapping_first + i];
		write_data(out, i == 0, &spec->sources[mapping->source], mapping->version,
			half_of(entry, mapping), mapping->key);
	}
}

static void write_pairs(struct buf *out, const char *name, const cJSON *map) {
	if (!map) return;
	buf_printf(out, ",\"%s\":", name);
	for (const cJSON *item = map->child; item; item = item->next) {
		write_member(out, item == map->child ? "{" : ",", str_of(item->string));
		write_member(out, ":", json_str(item, ""));
	}
	buf_append_char(out, '}');
}

/* The Secret of an entry, or of one version of it. */
static void write_sync(const struct akv_spec *spec, const struct akv_entry *entry, unsigned version,
	struct str class, struct buf *out) {
	const struct akv_source *source = &spec->sources[entry->source];
	write_member(out, "{\"secretProviderClassName\":", class);
	write_member(out, ",\"serviceAccountName\":", spec->service_account);
	buf_append(out, STR(",\"secretSyncControllerName\":\"\""));
	if (spec->force.len) write_member(out, ",\"forceSynchronization\":", spec->force);
	if (spec->interval_s)
		buf_printf(out, ",\"rotationPollIntervalInSeconds\":%lld",
			(long long)spec->interval_s);
	write_member(out, ",\"secretObject\":{\"type\":", entry->type);
	buf_append(out, STR(",\"data\":["));
	if (entry->form == AKV_MAPPING) {
		write_mappings(spec, entry, out);
	} else if (is_tls(entry)) {
		write_data(out, true, source, version, CERTIFICATE, STR("tls.crt"));
		write_data(out, false, source, version, PRIVATE_KEY, STR("tls.key"));
	} else {
		write_versions(spec, entry, out);
	}
	buf_append_char(out, ']');
	write_pairs(out, "labels", entry->labels);
	write_pairs(out, "annotations", entry->annotations);
	buf_append(out, STR("}}"));
}

/* --- the plan --- */

/* Adds a child and takes its spec out of `text`. */
static enum err add_child(
	struct akv_plan *plan, enum kube_resource resource, const char *name, struct buf *text) {
	struct akv_child *child = &plan->children[plan->count++];
	cJSON *json = NULL;
	enum err err = buf_err(text);
	if (!err) err = json_parse(buf_str(text), &json, NULL);
	child->resource = resource;
	child->name = mem_strdup(str_of(name));
	child->spec = mem_strdup(buf_str(text));
	if (!err && (!child->name || !child->spec)) err = ERR_NOMEM;
	if (!err) child->digest = akv_digest(json, NULL);
	cJSON_Delete(json);
	return err;
}

static enum err check_name(const struct akv_plan *plan, const char *name, struct fault *fault) {
	for (unsigned i = 1; i < plan->count; i++) {
		if (strcmp(plan->children[i].name, name) != 0) continue;
		return fault_set(fault, ERR_INVALID,
			"spec.objects has two entries that make the Secret \"%.80s\"; give one of "
			"them "
			"another kubernetesSecretName",
			name);
	}
	if (plan->count <= AKV_SECRETS_MOST) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.objects makes more than %d Secrets; divide it among several AKVSyncs",
		AKV_SECRETS_MOST);
}

static enum err add_entry(const struct akv_spec *spec, const struct akv_entry *entry,
	struct akv_plan *plan, struct fault *fault) {
	bool per_version = is_tls(entry) && entry->form != AKV_MAPPING;
	unsigned versions = per_version ? entry->history : 1;
	struct akv_entry single = *entry;
	if (!per_version) single.history = 1; /* its name carries no version */
	for (unsigned v = 0; v < versions; v++) {
		char name[NAME_BYTES];
		struct buf text;
		enum err err = version_name(&single, v, name, fault);
		if (!err) err = check_name(plan, name, fault);
		if (err) return err;
		buf_init(&text, AKV_SPEC_BYTES);
		write_sync(spec, entry, v, str_of(plan->children[0].name), &text);
		err = add_child(plan, KUBE_SYNCS, name, &text);
		buf_deinit(&text);
		if (err) return err;
	}
	return OK;
}

static enum err add_class(const struct akv_spec *spec, struct akv_plan *plan) {
	char name[NAME_BYTES];
	struct buf text;
	class_name(spec->name, name);
	buf_init(&text, AKV_SPEC_BYTES);
	enum err err = write_class(spec, &text);
	if (!err) err = add_child(plan, KUBE_CLASSES, name, &text);
	buf_deinit(&text);
	return err;
}

static enum err build(const struct akv_spec *spec, struct akv_plan *plan, struct fault *fault) {
	plan->children = mem_array(AKV_SECRETS_MOST + 1, sizeof *plan->children);
	enum err err = plan->children ? add_class(spec, plan) : ERR_NOMEM;
	for (unsigned i = 0; i < spec->entry_count && !err; i++)
		err = add_entry(spec, &spec->entries[i], plan, fault);
	if (err != ERR_TOO_LARGE) return err;
	return fault_set(fault, ERR_INVALID,
		"spec.objects is too large: an object that is derived from it has more than %d "
		"KiB; divide it among several AKVSyncs",
		AKV_SPEC_BYTES / 1024);
}

enum err akv_plan_build_all(const cJSON *object, struct fault_sink *sink, struct akv_plan *out_plan,
	struct fault *fault) {
	struct akv_spec spec = { 0 };
	struct akv_plan plan = { 0 };
	enum err failed = OK;
	enum err err = akv_spec_read(object, sink, &spec, fault);
	if (err) return err;
	err = fault_pass(sink, fault, build(&spec, &plan, fault), &failed);
	if (!err) err = failed;
	if (!err) {
		void *fitting = mem_realloc(plan.children, plan.count * sizeof *plan.children);
		if (fitting) plan.children = fitting;
		*out_plan = plan;
	} else {
		akv_plan_deinit(&plan);
	}
	akv_spec_deinit(&spec);
	return err;
}

enum err akv_plan_build(const cJSON *object, struct akv_plan *out_plan, struct fault *fault) {
	return akv_plan_build_all(object, NULL, out_plan, fault);
}

void akv_plan_deinit(struct akv_plan *plan) {
	for (unsigned i = 0; i < plan->count; i++) {
		mem_free(plan->children[i].name);
		mem_free(plan->children[i].spec);
		mem_free(plan->children[i].fault);
	}
	mem_free(plan->children);
	*plan = (struct akv_plan){ 0 };
}
