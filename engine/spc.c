#include "engine/spc.h"

#include <assert.h>
#include <ctype.h>
#include <stdalign.h>
#include <stddef.h>

#include "engine/spc_parameters.h"
#include "engine/text.h"

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

static size_t draft_bytes(const struct draft *draft) {
	const struct spc_parameters *p = &draft->parameters;
	size_t bytes = sizeof(struct spc) + draft->uid.len + p->vault.len + p->tenant.len +
		       p->client.len + p->secret_name.len + FAULT_TEXT_BYTES + 64 +
		       alignof(max_align_t);
	if (p->cloud) {
		bytes += p->cloud->authority.len + p->cloud->scope.len + p->cloud->audience.len +
			 p->cloud->vault_suffix.len;
	}
	for (unsigned i = 0; i < p->list.count; i++) {
		const struct spc_object *o = &p->list.objects[i];
		bytes += sizeof *o + o->name.len + o->path.len + o->version.len;
	}
	return bytes;
}

/* A host name has no case: one spelling per vault, so that it has one limiter and one set of
 * connections. Empty where there is nothing to read, whose vault's name nobody has checked. */
static struct str vault_url(struct block *block, const struct spc_parameters *p) {
	struct str scheme = STR("https://"), suffix = p->cloud->vault_suffix;
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

static void fill_objects(struct spc *spc, struct block *block, const struct spc_parameters *p) {
	spc->object_count = p->list.count;
	struct spc_object *objects =
		block_alloc(block, p->list.count * sizeof *objects, alignof(struct spc_object));
	for (unsigned i = 0; i < p->list.count; i++) {
		objects[i] = p->list.objects[i];
		objects[i].name = block_str(block, objects[i].name);
		objects[i].path = block_str(block, objects[i].path);
		objects[i].version = block_str(block, objects[i].version);
	}
	spc->objects = objects;
}

static void fill_usable(struct spc *spc, struct block *block, const struct spc_parameters *p) {
	spc->identity = p->identity;
	spc->tenant = block_str(block, p->tenant);
	spc->client_id = block_str(block, p->client);
	spc->secret_name = block_str(block, p->secret_name);
	spc->authority = block_str(block, p->cloud->authority);
	spc->scope = block_str(block, p->cloud->scope);
	spc->audience = block_str(block, p->cloud->audience);
	spc->vault_url = vault_url(block, p);
	spc->home_hash = hash64_stable(spc->vault_url);
	fill_objects(spc, block, p);
}

static enum err snapshot(const struct draft *draft, bool usable, struct spc **out_spc) {
	struct block block;
	enum err err = block_init(&block, draft_bytes(draft));
	if (err) return err;
	struct spc *spc = block_alloc(&block, sizeof *spc, alignof(struct spc));
	atomic_init(&spc->ref, 1);
	spc->_block = spc; /* it stands at the beginning of its block */
	spc->uid = block_str(&block, draft->uid);
	spc->generation = draft->generation;
	if (usable) {
		fill_usable(spc, &block, &draft->parameters);
	} else {
		/* Whoever reads for a person judges SecretSyncs by the objects all the same. */
		if (draft->sink) fill_objects(spc, &block, &draft->parameters);
		spc->fault = block_str(&block, str_of(draft->fault.text));
	}
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
