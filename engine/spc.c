#include "engine/spc.h"

#include <assert.h>
#include <ctype.h>
#include <stdalign.h>
#include <stddef.h>

#include "engine/spc_objects.h"
#include "engine/text.h"

/* What is collected before the snapshot's one block is made. All borrowed from the JSON and the
 * list. */
struct draft {
	struct str uid;
	int64_t generation;
	struct str vault, tenant, client;
	const struct cloud *cloud;
	struct object_list list;
	struct fault fault;
	struct fault_sink *sink; /* NULL: the first fault ends the reading */
	struct fault_sink items; /* of the faults of `objects`, on their way to it */
	enum err failed; /* the first fault that went to the sink */
};

/* The outcome of one parameter. OK: read on. */
static enum err pass(struct draft *draft, enum err err) {
	return fault_pass(draft->sink, &draft->fault, err, &draft->failed);
}

#define OBJECTS_PATH "spec.parameters.objects"

static void add_object_fault(struct fault_sink *items, const struct fault *fault) {
	struct draft *draft = container_of(items, struct draft, items);
	struct fault prefixed = *fault;
	(void)fault_prefix(&prefixed, fault->err, OBJECTS_PATH);
	draft->sink->add(draft->sink, &prefixed);
	if (!draft->failed) draft->failed = fault->err;
}

static struct str json_text(const cJSON *value) {
	return cJSON_IsString(value) ? str_of(value->valuestring) : STR("");
}

/* A parameter, trimmed; absent is "". */
static enum err parameter(
	const cJSON *parameters, const char *key, struct str *out_value, struct fault *fault) {
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(parameters, key);
	*out_value = STR("");
	if (!value || cJSON_IsNull(value)) return OK;
	if (!cJSON_IsString(value))
		return fault_set(fault, ERR_INVALID, "spec.parameters.%s has to be a string", key);
	*out_value = text_trim(json_text(value));
	return OK;
}

/* Go's ParseBool; absent is false. */
static enum err boolean(
	const cJSON *parameters, const char *key, bool *out_value, struct fault *fault) {
	static const char *const words[] = { "1", "t", "T", "TRUE", "true", "True", "0", "f", "F",
		"FALSE", "false", "False" };
	struct str value;
	enum err err = parameter(parameters, key, &value, fault);
	*out_value = false;
	if (err || value.len == 0) return err;
	for (unsigned i = 0; i < 12; i++) {
		if (!str_eq(value, str_of(words[i]))) continue;
		*out_value = i < 6;
		return OK;
	}
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.%s has to be true or false, not \"%.*s\"", key, TEXT_ARG(value));
}

/* The identity modes of the provider that are not workload identity. */
static enum err check_modes(const cJSON *parameters, struct fault *fault) {
	static const char *const keys[] = { "usePodIdentity", "useVMManagedIdentity",
		"useAzureTokenProxy" };
	const char *chosen = NULL;
	unsigned count = 0;
	for (unsigned i = 0; i < 3; i++) {
		bool on;
		enum err err = boolean(parameters, keys[i], &on, fault);
		if (err) return err;
		if (on) chosen = keys[i], count++;
	}
	if (count > 1) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters: only one identity mode can be set; usePodIdentity, "
			"useVMManagedIdentity and useAzureTokenProxy exclude each other");
	}
	if (count == 0) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.%s is not supported by this version, which reads secrets with "
		"workload identity: take it out and set clientID to a managed identity that trusts "
		"the SecretSync's service "
		"account",
		chosen);
}

static enum err read_tenant(const cJSON *parameters, struct draft *draft) {
	enum err err = parameter(parameters, "tenantID", &draft->tenant, &draft->fault);
	if (!err && draft->tenant.len == 0)
		err = parameter(parameters, "tenantId", &draft->tenant, &draft->fault);
	if (err) return err;
	if (draft->tenant.len == 0) {
		return fault_set(&draft->fault, ERR_INVALID,
			"spec.parameters.tenantID is not set; give the id of the vault's "
			"tenant");
	}
	if (text_is_word(draft->tenant, 253, "-.")) return OK;
	return fault_set(&draft->fault, ERR_INVALID,
		"spec.parameters.tenantID \"%.*s\" is no tenant; it has letters, digits, "
		"\"-\" and \".\" only",
		TEXT_ARG(draft->tenant));
}

static enum err read_cloud(
	const cJSON *parameters, const struct spc_defaults *defaults, struct draft *draft) {
	struct str name;
	enum err err = parameter(parameters, "cloudName", &name, &draft->fault);
	if (err) return err;
	draft->cloud = name.len ? cloud_find(name) : defaults->cloud;
	if (draft->cloud) return OK;
	return fault_set(&draft->fault, ERR_INVALID,
		"spec.parameters.cloudName %.*s is not valid; it has to be one of %s",
		TEXT_ARG(name), CLOUD_NAMES);
}

static enum err read_client(const cJSON *parameters, struct draft *draft) {
	enum err err = parameter(parameters, "clientID", &draft->client, &draft->fault);
	if (err) return err;
	if (draft->client.len == 0) {
		return fault_set(&draft->fault, ERR_INVALID,
			"spec.parameters.clientID is not set; give the client id of the "
			"managed identity that may read the vault");
	}
	if (text_is_word(draft->client, 253, "-._")) return OK;
	return fault_set(&draft->fault, ERR_INVALID,
		"spec.parameters.clientID \"%.*s\" is no client id; it is a UUID",
		TEXT_ARG(draft->client));
}

static enum err read_objects(const cJSON *parameters, struct draft *draft) {
	struct str yaml;
	enum err err = parameter(parameters, "objects", &yaml, &draft->fault);
	if (err) return err;
	if (yaml.len == 0) {
		return fault_set(&draft->fault, ERR_INVALID,
			OBJECTS_PATH " is not set; it lists what to read, as YAML "
				     "in a string that begins with \"array:\"");
	}
	draft->items = (struct fault_sink){ add_object_fault };
	err = object_list_parse_all(
		yaml, &draft->list, draft->sink ? &draft->items : NULL, &draft->fault);
	if (err == ERR_NOMEM) return err;
	if (err && draft->sink) return OK; /* the sink has it */
	return err ? fault_prefix(&draft->fault, err, OBJECTS_PATH) : OK;
}

static enum err read_vault(const cJSON *parameters, struct draft *draft) {
	enum err err = parameter(parameters, "keyvaultName", &draft->vault, &draft->fault);
	if (err || draft->vault.len) return err;
	return fault_set(&draft->fault, ERR_INVALID,
		"spec.parameters.keyvaultName is not set; give the vault's short name");
}

static enum err check_vault(const struct draft *draft, struct fault *fault) {
	if (draft->vault.len < 3) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters.keyvaultName \"%.*s\" has fewer than 3 characters",
			TEXT_ARG(draft->vault));
	}
	if (text_is_word(draft->vault, 24, "-")) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.keyvaultName \"%.*s\" is no vault name; it has 3 to 24 letters, "
		"digits and \"-\", without a domain",
		TEXT_ARG(draft->vault));
}

/* The provider's order, since several things can be wrong at once and users compare messages. */
static enum err read_parameters(
	const cJSON *parameters, const struct spc_defaults *defaults, struct draft *draft) {
	enum err err = pass(draft, check_modes(parameters, &draft->fault));
	if (!err) err = pass(draft, read_vault(parameters, draft));
	if (!err) err = pass(draft, read_tenant(parameters, draft));
	if (!err) err = pass(draft, read_cloud(parameters, defaults, draft));
	if (!err) err = pass(draft, read_client(parameters, draft));
	if (!err) err = pass(draft, read_objects(parameters, draft));
	if (!err && draft->vault.len) err = pass(draft, check_vault(draft, &draft->fault));
	return err;
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
	return read_parameters(parameters, defaults, draft);
}

static size_t draft_bytes(const struct draft *draft) {
	size_t bytes = sizeof(struct spc) + draft->uid.len + draft->vault.len + draft->tenant.len +
		       draft->client.len + FAULT_TEXT_BYTES + 64 + alignof(max_align_t);
	if (draft->cloud) bytes += draft->cloud->vault_suffix.len;
	for (unsigned i = 0; i < draft->list.count; i++) {
		const struct spc_object *o = &draft->list.objects[i];
		bytes += sizeof *o + o->name.len + o->path.len + o->version.len;
	}
	return bytes;
}

/* A host name has no case: one spelling per vault, so that it has one limiter and one set of
 * connections. */
static struct str vault_url(struct block *block, const struct draft *draft) {
	struct str scheme = STR("https://"), suffix = draft->cloud->vault_suffix;
	size_t len = scheme.len + draft->vault.len + 1 + suffix.len;
	char *url = block_alloc(block, len, 1);
	memcpy(url, scheme.ptr, scheme.len);
	for (size_t i = 0; i < draft->vault.len; i++) {
		url[scheme.len + i] = (char)tolower((unsigned char)draft->vault.ptr[i]);
	}
	url[scheme.len + draft->vault.len] = '.';
	memcpy(url + len - suffix.len, suffix.ptr, suffix.len);
	return (struct str){ url, len };
}

static void fill_usable(struct spc *spc, struct block *block, const struct draft *draft) {
	spc->tenant = block_str(block, draft->tenant);
	spc->client_id = block_str(block, draft->client);
	spc->authority = draft->cloud->authority;
	spc->scope = draft->cloud->scope;
	spc->audience = STR(SPC_AUDIENCE);
	spc->vault_url = vault_url(block, draft);
	spc->home_hash = hash64_stable(spc->vault_url);
	spc->object_count = draft->list.count;
	struct spc_object *objects =
		block_alloc(block, draft->list.count * sizeof *objects, alignof(struct spc_object));
	for (unsigned i = 0; i < draft->list.count; i++) {
		objects[i] = draft->list.objects[i];
		objects[i].name = block_str(block, objects[i].name);
		objects[i].path = block_str(block, objects[i].path);
		objects[i].version = block_str(block, objects[i].version);
	}
	spc->objects = objects;
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
	if (usable)
		fill_usable(spc, &block, draft);
	else
		spc->fault = block_str(&block, str_of(draft->fault.text));
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
		.generation = cJSON_IsNumber(generation) ? (int64_t)generation->valuedouble : 0,
		.sink = sink,
	};
	enum err err = read_class(object, defaults, &draft);
	if (!err) err = draft.failed;
	/* The text appears at SecretSyncs: it has to say whose field it means. */
	if (err) err = fault_prefix(&draft.fault, err, "SecretProviderClass %.*s", STR_ARG(name));
	if (err != ERR_NOMEM) err = snapshot(&draft, err == OK, out_spc);
	object_list_deinit(&draft.list);
	return err;
}

enum err spc_build(const cJSON *object, const struct spc_defaults *defaults, struct spc **out_spc) {
	return spc_build_all(object, defaults, NULL, out_spc);
}
