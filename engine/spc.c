#include "engine/spc.h"

#include <assert.h>
#include <ctype.h>
#include <stdalign.h>
#include <stddef.h>

#include "engine/spc_parameters.h"
#include "engine/text.h"

#define SCHEME STR("https://")

enum { ACCESS_BYTES = 1024 * 1024 };

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
static size_t draft_bytes(const struct draft *draft) {
	return sizeof(struct spc) + draft->uid.len + objects_bytes(&draft->parameters);
}

/* A host name has no case: one spelling per vault, so that it has one limiter and one set of
 * connections. Empty where there is nothing to read, whose vault's name nobody has checked. */
static enum err add_vault_url(struct buf *key, const struct spc_parameters *p) {
	struct buf url;
	buf_init(&url, ACCESS_BYTES);
	if (p->list.count > 0) buf_append(&url, SCHEME);
	for (size_t i = 0; i < p->vault.len && p->list.count > 0; i++)
		buf_append_char(&url, (char)tolower((unsigned char)p->vault.ptr[i]));
	if (p->list.count > 0) {
		buf_append_char(&url, '.');
		buf_append(&url, p->cloud->vault_suffix);
	}
	intern_key_add(key, buf_str(&url));
	enum err err = buf_err(&url);
	buf_deinit(&url);
	return err;
}

/* All that an access consists of, in the order of read_access(). */
static enum err access_key(const struct draft *draft, bool usable, struct buf *key) {
	const struct spc_parameters *p = &draft->parameters;
	enum err err = OK;
	if (!usable) {
		intern_key_add(key, str_of(draft->fault.text));
		return buf_err(key);
	}
	char identity = (char)p->identity;
	intern_key_add(key, STR(""));
	err = add_vault_url(key, p);
	intern_key_add(key, (struct str){ &identity, 1 });
	intern_key_add(key, p->tenant);
	intern_key_add(key, p->client);
	intern_key_add(key, p->secret_name);
	intern_key_add(key, p->cloud->authority);
	intern_key_add(key, p->cloud->scope);
	intern_key_add(key, p->cloud->audience);
	return err ? err : buf_err(key);
}

static void read_access(struct str rest, struct spc_access *access) {
	access->fault = intern_key_next(&rest);
	if (access->fault.len) return;
	access->vault_url = intern_key_next(&rest);
	access->home_hash = hash64_stable(access->vault_url);
	access->identity = (enum identity_kind) * intern_key_next(&rest).ptr;
	access->tenant = intern_key_next(&rest);
	access->client_id = intern_key_next(&rest);
	access->secret_name = intern_key_next(&rest);
	access->authority = intern_key_next(&rest);
	access->scope = intern_key_next(&rest);
	access->audience = intern_key_next(&rest);
}

/* The access that classes with this key share, with a reference for the caller. */
static enum err access_of(struct intern *table, struct str key, struct spc_access **out_access) {
	struct interned *found = table ? intern_find(table, key) : NULL;
	if (found) {
		*out_access = container_of(found, struct spc_access, interned);
		return OK;
	}
	struct spc_access *access = mem_zalloc(sizeof *access + key.len);
	if (!access) return ERR_NOMEM;
	key.ptr = memcpy(access + 1, key.ptr, key.len);
	read_access(key, access);
	enum err err = intern_add(table, &access->interned, key);
	if (err) mem_free(take(access));
	*out_access = access;
	return err;
}

static enum err draft_access(const struct draft *draft, const struct spc_defaults *defaults,
	bool usable, struct spc_access **out_access) {
	struct buf key;
	buf_init(&key, ACCESS_BYTES);
	enum err err = access_key(draft, usable, &key);
	if (!err) err = access_of(defaults->accesses, buf_str(&key), out_access);
	buf_deinit(&key);
	return err;
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
	spc->object_count = (uint16_t)p->list.count;
}

static enum err snapshot(const struct draft *draft, const struct spc_defaults *defaults,
	bool usable, struct spc **out_spc) {
	struct spc_access *access = NULL;
	struct block block;
	enum err err = draft_access(draft, defaults, usable, &access);
	if (err) return err;
	err = block_init(&block, draft_bytes(draft));
	if (err) {
		interned_put(&access->interned);
		return err;
	}
	struct spc *spc = block_alloc(&block, sizeof *spc, alignof(struct spc));
	atomic_init(&spc->ref, 1);
	spc->generation = draft->generation;
	spc->access = access;
	spc->requests_per_10s = draft->parameters.requests_per_10s;
	/* Whoever reads for a person judges SecretSyncs by the objects in any case. */
	if (usable || draft->sink) fill_objects(spc, &block, &draft->parameters);
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
	if (err != ERR_NOMEM) err = snapshot(&draft, defaults, err == OK, out_spc);
	spc_parameters_deinit(&draft.parameters);
	return err;
}

enum err spc_build(const cJSON *object, const struct spc_defaults *defaults, struct spc **out_spc) {
	return spc_build_all(object, defaults, NULL, out_spc);
}
