#include "engine/spc_parameters.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/nearest.h"
#include "engine/text.h"

#define OBJECTS_PATH "spec.parameters.objects"

/* What Azure allows a vault in ten seconds. */
enum { REQUESTS_MOST = 4000 };

void spc_parameters_deinit(struct spc_parameters *parameters) {
	cloud_file_deinit(&parameters->file);
	object_list_deinit(&parameters->list);
}

/* A parameter, trimmed; absent is "". */
static enum err text_of(
	const cJSON *parameters, const char *key, struct str *out_value, struct fault *fault) {
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(parameters, key);
	*out_value = STR("");
	if (!value || cJSON_IsNull(value)) return OK;
	if (!cJSON_IsString(value))
		return fault_set(fault, ERR_INVALID, "spec.parameters.%s has to be a string: %s",
			key,
			cJSON_IsObject(value) || cJSON_IsArray(value)
				? "write YAML into a text, by a | behind the key's colon"
				: "put it into quotes");
	*out_value = text_trim(str_of(value->valuestring));
	return OK;
}

/* Go's ParseBool; absent is false. */
static enum err boolean_of(
	const cJSON *parameters, const char *key, bool *out_value, struct fault *fault) {
	static const char *const words[] = { "1", "t", "T", "TRUE", "true", "True", "0", "f", "F",
		"FALSE", "false", "False" };
	struct str value;
	enum err err = text_of(parameters, key, &value, fault);
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

/* --- the identity --- */

enum { MODE_POD, MODE_MACHINE, MODE_PROXY, MODE_COUNT };

static const char *const MODES[] = { "usePodIdentity", "useVMManagedIdentity",
	"useAzureTokenProxy" };

/* *out_mode: MODE_COUNT when none is true. */
static enum err read_mode(const cJSON *parameters, unsigned *out_mode, struct fault *fault) {
	unsigned count = 0;
	*out_mode = MODE_COUNT;
	for (unsigned i = 0; i < MODE_COUNT; i++) {
		bool on;
		enum err err = boolean_of(parameters, MODES[i], &on, fault);
		if (err) return err;
		if (on) *out_mode = i, count++;
	}
	if (count < 2) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters: only one identity mode can be set; usePodIdentity, "
		"useVMManagedIdentity and useAzureTokenProxy exclude each other");
}

static bool is_listed(const char *names, struct str ns) {
	for (struct str rest = str_of(names); rest.ptr;) {
		if (str_eq(str_next(&rest, ','), ns)) return true;
	}
	return false;
}

static enum err read_machine(const cJSON *parameters, struct str ns,
	const struct spc_defaults *defaults, struct spc_parameters *out, struct fault *fault) {
	out->identity = IDENTITY_MACHINE;
	enum err err = text_of(parameters, "userAssignedIdentityID", &out->client, fault);
	if (err) return err;
	if (out->secret_name.len) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters: useVMManagedIdentity and servicePrincipalSecretName "
			"exclude each other; take one of them out");
	}
	if (ns.len && is_listed(defaults->machine_namespaces, ns)) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.useVMManagedIdentity: namespace \"%.*s\" may not use the managed "
		"identity of kvsync's node, since whoever uses it reads what the node may read. "
		"The operator of kvsync allows it by managedIdentityNamespaces in its "
		"configuration; without that, set clientID to a managed identity that trusts the "
		"SecretSync's service account",
		TEXT_ARG(ns));
}

static enum err read_default_mode(
	const cJSON *parameters, struct spc_parameters *out, struct fault *fault) {
	enum err err = text_of(parameters, "clientID", &out->client, fault);
	if (err) return err;
	if (out->client.len && out->secret_name.len) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters: clientID (workload identity) and "
			"servicePrincipalSecretName exclude each other; the Secret holds the "
			"service principal's own clientid, so take clientID out, or the other");
	}
	out->identity = out->secret_name.len ? IDENTITY_PRINCIPAL : IDENTITY_WORKLOAD;
	if (out->client.len || text_is_dns_name(out->secret_name)) return OK;
	if (out->secret_name.len) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters.servicePrincipalSecretName \"%.*s\" is no name of a "
			"Secret; it has lower-case letters, digits, \"-\" and \".\"",
			TEXT_ARG(out->secret_name));
	}
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.clientID is not set; give the client id of the managed identity "
		"that may read the vault (or name the Secret of a service principal by "
		"servicePrincipalSecretName)");
}

static enum err read_identity(const cJSON *parameters, unsigned mode, struct str ns,
	const struct spc_defaults *defaults, struct spc_parameters *out, struct fault *fault) {
	enum err err = text_of(parameters, "servicePrincipalSecretName", &out->secret_name, fault);
	if (err) return err;
	switch (mode) {
	case MODE_POD:
		return fault_set(fault, ERR_INVALID,
			"spec.parameters.usePodIdentity is not supported: Microsoft has retired "
			"pod identity. Take it out and set clientID to a managed identity that "
			"trusts the SecretSync's service account (workload identity)");
	case MODE_MACHINE:
		return read_machine(parameters, ns, defaults, out, fault);
	case MODE_PROXY:
		return fault_set(fault, ERR_INVALID,
			"spec.parameters.useAzureTokenProxy is not supported: the token proxy of "
			"identity bindings exists in AKS alone. Take it out and give the managed "
			"identity of clientID a federated credential for the SecretSync's service "
			"account (workload identity)");
	default:
		return read_default_mode(parameters, out, fault);
	}
}

/* --- vault, tenant, cloud --- */

static enum err read_vault(
	const cJSON *parameters, struct spc_parameters *out, struct fault *fault) {
	enum err err = text_of(parameters, "keyvaultName", &out->vault, fault);
	if (err || out->vault.len) return err;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.keyvaultName is not set; give the vault's short name");
}

static enum err read_tenant(
	const cJSON *parameters, struct spc_parameters *out, struct fault *fault) {
	enum err err = text_of(parameters, "tenantID", &out->tenant, fault);
	if (!err && out->tenant.len == 0)
		err = text_of(parameters, "tenantId", &out->tenant, fault);
	if (err || out->tenant.len) return err;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.tenantID is not set; give the id of the vault's tenant");
}

static enum err read_custom_cloud(const cJSON *parameters, const struct spc_defaults *defaults,
	struct spc_parameters *out, struct fault *fault) {
	struct str path;
	enum err err = text_of(parameters, "cloudEnvFileName", &path, fault);
	if (err) return err;
	if (path.len == 0) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters.cloudEnvFileName is not set; with cloudName "
			"AzureStackCloud it names the JSON file that describes the cloud");
	}
	err = cloud_file_read(defaults->cloud_folder, path, &out->file, fault);
	if (err == OK) out->cloud = &out->file.cloud;
	if (err == OK || err == ERR_NOMEM) return err;
	return fault_prefix(fault, err,
		"spec.parameters.cloudName AzureStackCloud is not valid: cloudEnvFileName");
}

static enum err read_cloud(const cJSON *parameters, const struct spc_defaults *defaults,
	struct spc_parameters *out, struct fault *fault) {
	struct str name;
	enum err err = text_of(parameters, "cloudName", &name, fault);
	if (err) return err;
	if (cloud_is_custom(name)) return read_custom_cloud(parameters, defaults, out, fault);
	out->cloud = name.len ? cloud_find(name) : defaults->cloud;
	if (out->cloud) return OK;
	bool closed = cloud_is_closed(name);
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.cloudName %.*s is not valid: %s" CLOUD_NAMES
		" or, with cloudEnvFileName, AzureStackCloud",
		TEXT_ARG(name),
		closed ? "Microsoft closed this cloud in 2021; use " : "it has to be one of ");
}

/* --- what the provider checks last --- */

static enum err check_vault(struct str vault, struct fault *fault) {
	if (vault.len < 3) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters.keyvaultName \"%.*s\" has fewer than 3 characters",
			TEXT_ARG(vault));
	}
	if (text_is_word(vault, 24, "-")) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.keyvaultName \"%.*s\" is no vault name; it has 3 to 24 letters, "
		"digits and \"-\", without a domain",
		TEXT_ARG(vault));
}

static enum err check_tenant(struct str tenant, struct fault *fault) {
	if (tenant.len == 0 || text_is_word(tenant, 253, "-.")) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.tenantID \"%.*s\" is no tenant; it has letters, digits, \"-\" and "
		"\".\" only",
		TEXT_ARG(tenant));
}

static const char *client_key(const struct spc_parameters *p) {
	return p->identity == IDENTITY_MACHINE ? "userAssignedIdentityID" : "clientID";
}

static enum err check_client(const struct spc_parameters *p, struct fault *fault) {
	if (p->client.len == 0 || text_is_word(p->client, 253, "-._")) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.parameters.%s \"%.*s\" is no client id; it is a UUID", client_key(p),
		TEXT_ARG(p->client));
}

static enum err read_pace(
	const cJSON *parameters, struct spc_parameters *out, struct fault *fault) {
	struct str text;
	uint64_t number = 0;
	enum err err = text_of(parameters, "vaultRequestsPer10Seconds", &text, fault);
	if (err || text.len == 0) return err;
	if (str_to_u64(text, &number) || number < 1 || number > REQUESTS_MOST) {
		return fault_set(fault, ERR_INVALID,
			"spec.parameters.vaultRequestsPer10Seconds has to be a whole number from 1 "
			"to %d, not \"%.*s\"; leave it out to read the vault as fast as kvsync's "
			"configuration allows",
			REQUESTS_MOST, TEXT_ARG(text));
	}
	out->requests_per_10s = (uint16_t)number;
	return OK;
}

/* One field after the other; the outcome of each goes to the sink, where there is one. */
struct reading {
	const struct spc_source *source;
	struct spc_parameters *out;
	struct fault *fault;
	struct fault_sink items; /* of the faults of `objects`, on their way to the sink */
};

static enum err pass(struct reading *r, enum err err) {
	return fault_pass(r->source->sink, r->fault, err, &r->out->failed);
}

static void add_object_fault(struct fault_sink *items, const struct fault *fault) {
	struct reading *r = container_of(items, struct reading, items);
	struct fault prefixed = *fault;
	enum err err = fault_prefix(&prefixed, fault->err, OBJECTS_PATH);
	r->source->sink->add(r->source->sink, &prefixed);
	if (!r->out->failed) r->out->failed = err;
}

static void add_object_note(struct fault_sink *items, const struct fault *fault) {
	struct reading *r = container_of(items, struct reading, items);
	struct fault prefixed = *fault;
	if (!r->source->sink->note) return;
	(void)fault_prefix(&prefixed, fault->err, OBJECTS_PATH);
	r->source->sink->note(r->source->sink, &prefixed);
}

static enum err read_objects(struct reading *r) {
	struct str yaml;
	enum err err = text_of(r->source->parameters, "objects", &yaml, r->fault);
	if (err) return err;
	if (yaml.len == 0) {
		return fault_set(r->fault, ERR_INVALID,
			OBJECTS_PATH " is not set; it lists what to read, as YAML "
				     "in a string that begins with \"array:\"");
	}
	r->items = (struct fault_sink){ add_object_fault, add_object_note };
	err = object_list_parse_all(
		yaml, &r->out->list, r->source->sink ? &r->items : NULL, r->fault);
	if (err == ERR_NOMEM) return err;
	if (err && r->source->sink) return OK; /* the sink has it */
	return err ? fault_prefix(r->fault, err, OBJECTS_PATH) : OK;
}

/* An engine that runs has nobody who wants to know, and reads classes by the hundred thousand. */
static bool is_noted(const struct reading *r) {
	return r->source->sink && r->source->sink->note;
}

__attribute__((format(printf, 2, 3))) static void tell_note(
	const struct reading *r, const char *format, ...) {
	struct fault_sink *sink = r->source->sink;
	struct fault note = { .err = ERR_INVALID };
	va_list args;
	if (!is_noted(r)) return;
	va_start(args, format);
	vsnprintf(note.text, sizeof note.text, format, args);
	va_end(args);
	sink->note(sink, &note);
}

/* Upstream takes them without a word. */
static void note_unknown(const struct reading *r) {
	static const char *const known[] = { "keyvaultName", "tenantID", "tenantId", "cloudName",
		"cloudEnvFileName", "clientID", "servicePrincipalSecretName", "usePodIdentity",
		"useVMManagedIdentity", "useAzureTokenProxy", "userAssignedIdentityID", "objects",
		"vaultRequestsPer10Seconds" };
	const cJSON *one;
	if (!is_noted(r)) return;
	cJSON_ArrayForEach(one, r->source->parameters) {
		struct str key = str_of(one->string);
		struct nearest nearest = nearest_init(key);
		bool found = false;
		for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
			found |= str_eq(key, str_of(known[i]));
			nearest_offer(&nearest, known[i]);
		}
		if (!found)
			tell_note(r,
				"spec.parameters.%.*s is no parameter that kvsync knows, and has "
				"no "
				"effect%s%s%s",
				TEXT_ARG(key), nearest.word ? "; did you mean " : "",
				nearest.word ? nearest.word : "", nearest.word ? "?" : "");
	}
}

static bool is_uuid(struct str text) {
	for (size_t i = 0; i < text.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text.ptr[i] != '-' : !isxdigit((unsigned char)text.ptr[i])) return false;
	}
	return text.len == 36;
}

static void note_client(const struct reading *r) {
	const struct spc_parameters *p = r->out;
	if (p->failed || p->client.len == 0 || is_uuid(p->client)) return;
	tell_note(r,
		"spec.parameters.%s \"%.*s\" is no UUID, which client ids are (8-4-4-4-12 "
		"hexadecimal digits); it is neither the identity's name nor its resource id",
		client_key(p), TEXT_ARG(p->client));
}

/* A class that reads nothing never asks a vault: its name does not matter. */
static enum err check_last(struct reading *r) {
	struct spc_parameters *out = r->out;
	enum err err = OK;
	bool asks = out->list.count || out->failed;
	if (asks && out->vault.len) err = pass(r, check_vault(out->vault, r->fault));
	if (!err) err = pass(r, check_tenant(out->tenant, r->fault));
	if (!err) err = pass(r, check_client(out, r->fault));
	if (!err) note_client(r);
	return err ? err : pass(r, read_pace(r->source->parameters, out, r->fault));
}

enum err spc_parameters_read(const struct spc_source *source, struct spc_parameters *out_parameters,
	struct fault *fault) {
	struct reading reading = { .source = source, .out = out_parameters, .fault = fault };
	struct spc_parameters *out = out_parameters;
	const cJSON *parameters = source->parameters;
	unsigned mode = MODE_COUNT;
	*out = (struct spc_parameters){ 0 };
	note_unknown(&reading);
	enum err err = pass(&reading, read_mode(parameters, &mode, fault));
	if (!err) err = pass(&reading, read_vault(parameters, out, fault));
	if (!err) err = pass(&reading, read_tenant(parameters, out, fault));
	if (!err) err = pass(&reading, read_cloud(parameters, source->defaults, out, fault));
	if (!err) {
		err = pass(&reading,
			read_identity(parameters, mode, source->ns, source->defaults, out, fault));
	}
	if (!err) err = pass(&reading, read_objects(&reading));
	return err ? err : check_last(&reading);
}
