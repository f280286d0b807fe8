#include "engine/spc.h"

#include <assert.h>
#include <ctype.h>
#include <stdalign.h>
#include <stddef.h>

#include "engine/spc_parameters.h"
#include "engine/text.h"

#define SCHEME STR("https://")

/* What is collected before the snapshot's one block is made. All borrowed from the JSON, the list
 * and the cloud. */
struct draft {
	struct str uid, ns;
	int64_t generation;
	struct spc_parameters parameters;
	struct fault fault;
	struct fault_sink *sink; /* NULL: the first fault ends the reading */
	enum err failed; /* the first fault that went to the sink */
};

/* The outcome of one field. OK: read on. */
static enum err pass(struct draft *draft, enum err err) {
	return fault_pass(draft->sink, &draft->fault, err, &draft->failed);
}

static struct str json_text(const cJSON *value) {
	return cJSON_IsString(value) ? str_of(value->valuestring) : STR("");
}

static enum err read_class(
	const cJSON *object, const struct spc_defaults *defaults, struct draft *draft) {
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(object, "spec");
	const cJSON *provider = cJSON_GetObjectItemCaseSensitive(spec, "provider");
	const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(spec, "parameters");
	if (!str_eq(json_text(provider), STR("azure"))) {
		enum err err = pass(draft, fault_set(&draft->fault, ERR_INVALID,
						   "spec.provider has to be azure, not \"%.*s\"",
						   TEXT_ARG(json_text(provider))));
		if (err) return err;
	}
	if (!cJSON_IsObject(parameters)) {
		return pass(draft, fault_set(&draft->fault, ERR_INVALID,
					   "spec.parameters is not set; it needs clientID, "
					   "keyvaultName, tenantID and objects"));
	}
	struct spc_source source = { parameters, draft->ns, defaults, draft->sink };
	enum err err = spc_parameters_read(&source, &draft->parameters, &draft->fault);
	if (!draft->failed) draft->failed = draft->parameters.failed;
	return err;
}

static bool has_alias(const struct spc_object *object) {
	return !str_eq(object->path, object->name);
}

/* The texts of Microsoft's clouds are static. */
static bool is_custom(const struct spc_parameters *p) {
	return p->cloud == &p->file.cloud;
}

static struct str cloud_text(struct block *block, const struct spc_parameters *p, struct str s) {
	return is_custom(p) ? block_str(block, s) : s;
}

static size_t objects_bytes(const struct spc_parameters *p) {
	size_t bytes = p->list.count * sizeof(struct spc_object);
	for (unsigned i = 0; i < p->list.count; i++) {
		const struct spc_object *object = &p->list.objects[i];
		bytes += object->name.len + object->version.len;
		if (has_alias(object)) bytes += object->path.len;
	}
	return bytes;
}

/* Exactly: arrays, whose alignment is the snapshot's, come before strings. */
static size_t draft_bytes(const struct draft *draft, bool usable) {
	const struct spc_parameters *p = &draft->parameters;
	size_t bytes = sizeof(struct spc) + draft->uid.len + objects_bytes(p);
	if (!usable) return bytes + strlen(draft->fault.text);
	bytes += SCHEME.len + p->vault.len + 1 + p->tenant.len + p->client.len + p->secret_name.len;
	bytes += p->cloud->vault_suffix.len;
	if (is_custom(p))
		bytes += p->cloud->authority.len + p->cloud->scope.len + p->cloud->audience.len;
	return bytes;
}

/* A host name has no case: one spelling per vault, so that it has one limiter and one set of
 * connections. Empty where there is nothing to read, whose vault's name nobody has checked. */
static struct str vault_url(struct block *block, const struct spc_parameters *p) {
	struct str scheme = SCHEME, suffix = p->cloud->vault_suffix;
	if (p->list.count == 0) return STR("");
	size_t len = scheme.len + p->vault.len + 1 + suffix.len;
	char *url = block_alloc(block, len, 1);
	memcpy(url, scheme.ptr, scheme.len);
	for (size_t i = 0; i < p->vault.len; i++) {
		url[scheme.len + i] = (char)tolower((unsigned char)p->vault.ptr[i]);
	}
	url[scheme.len + p->vault.len] = '.';
	memcpy(url + len - suffix.len, suffix.ptr, suffix.len);
	return (struct str){ url, len };
}

/* Without an alias the path is the name, and is kept once. */
static void copy_object(struct spc_object *to, struct block *block, const struct spc_object *from) {
	*to = *from;
	to->name = block_str(block, from->name);
	to->path = has_alias(from) ? block_str(block, from->path) : to->name;
	to->version = block_str(block, from->version);
}

/* The first of all, for its alignment. */
static void fill_objects(struct spc *spc, struct block *block, const struct spc_parameters *p) {
	struct spc_object *objects =
		block_alloc(block, p->list.count * sizeof *objects, alignof(struct spc_object));
	for (unsigned i = 0; i < p->list.count; i++)
		copy_object(&objects[i], block, &p->list.objects[i]);
	spc->objects = objects;
	spc->object_count = p->list.count;
}

static void fill_usable(struct spc *spc, struct block *block, const struct spc_parameters *p) {
	fill_objects(spc, block, p);
	spc->identity = p->identity;
	spc->tenant = block_str(block, p->tenant);
	spc->client_id = block_str(block, p->client);
	spc->secret_name = block_str(block, p->secret_name);
	spc->authority = cloud_text(block, p, p->cloud->authority);
	spc->scope = cloud_text(block, p, p->cloud->scope);
	spc->audience = cloud_text(block, p, p->cloud->audience);
	spc->vault_url = vault_url(block, p);
	spc->home_hash = hash64_stable(spc->vault_url);
}

static enum err snapshot(const struct draft *draft, bool usable, struct spc **out_spc) {
	struct block block;
	enum err err = block_init(&block, draft_bytes(draft, usable));
	if (err) return err;
	struct spc *spc = block_alloc(&block, sizeof *spc, alignof(struct spc));
	atomic_init(&spc->ref, 1);
	spc->generation = draft->generation;
	if (usable) {
		fill_usable(spc, &block, &draft->parameters);
	} else {
		/* Whoever reads for a person judges SecretSyncs by the objects all the same. */
		if (draft->sink) fill_objects(spc, &block, &draft->parameters);
		spc->fault = block_str(&block, str_of(draft->fault.text));
	}
	spc->uid = block_str(&block, draft->uid);
	*out_spc = spc;
	return OK;
}

enum err spc_build_all(const cJSON *object, const struct spc_defaults *defaults,
	struct fault_sink *sink, struct spc **out_spc) {
	assert(defaults->cloud);
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
	const cJSON *generation = cJSON_GetObjectItemCaseSensitive(metadata, "generation");
	struct str name = json_text(cJSON_GetObjectItemCaseSensitive(metadata, "name"));
	struct draft draft = {
		.uid = json_text(cJSON_GetObjectItemCaseSensitive(metadata, "uid")),
		.ns = json_text(cJSON_GetObjectItemCaseSensitive(metadata, "namespace")),
		.generation = cJSON_IsNumber(generation) ? (int64_t)generation->valuedouble : 0,
		.sink = sink,
	};
	enum err err = read_class(object, defaults, &draft);
	if (!err) err = draft.failed;
	/* The text appears at SecretSyncs: it has to say whose field it means. */
	if (err) err = fault_prefix(&draft.fault, err, "SecretProviderClass %.*s", STR_ARG(name));
	if (err != ERR_NOMEM) err = snapshot(&draft, err == OK, out_spc);
	spc_parameters_deinit(&draft.parameters);
	return err;
}

enum err spc_build(const cJSON *object, const struct spc_defaults *defaults, struct spc **out_spc) {
	return spc_build_all(object, defaults, NULL, out_spc);
}
