/* What Key Vault answers to a GET of an object. */
#include <assert.h>
#include <ctype.h>

#include "base/decode.h"
#include "clients/json.h"
#include "clients/jwk.h"
#include "clients/pem.h"
#include "clients/vault.h"
#include "clients/vault_impl.h"

enum { VALUE_BYTES = 128 << 10 };

/* The version is the last segment of an identifier. */
enum err vault_version_of_id(struct str id, char out_version[static VAULT_VERSION_BYTES]) {
	size_t start = id.len;
	while (start > 0 && id.ptr[start - 1] != '/') start--;
	struct str version = str_slice(id, start, id.len);
	if (!version.len || version.len >= VAULT_VERSION_BYTES) return ERR_PARSE;
	for (size_t i = 0; i < version.len; i++) {
		if (!isalnum((unsigned char)version.ptr[i]) && version.ptr[i] != '-')
			return ERR_PARSE;
	}
	memcpy(out_version, version.ptr, version.len);
	out_version[version.len] = 0;
	return OK;
}

/* The members of an answer that count, as they are written; empty: not there. The first of a name counts. */
struct secret_parts {
	struct str value, id, content_type, attributes, kid;
};

static struct secret_parts find_parts(struct str body) {
	struct secret_parts parts;
	const struct json_wanted wanted[] = {
		{ STR("value"), &parts.value },
		{ STR("id"), &parts.id },
		{ STR("contentType"), &parts.content_type },
		{ STR("attributes"), &parts.attributes },
		{ STR("kid"), &parts.kid },
	};
	json_scan_members(body, wanted, sizeof wanted / sizeof *wanted);
	return parts;
}

static bool is_string(struct str raw) {
	return raw.len >= 2 && raw.ptr[0] == '"';
}

/* A string that has no escapes, as those that matter have none; or nothing. */
static struct str plain_text(struct str raw) {
	return is_string(raw) ? str_slice(raw, 1, raw.len - 2) : STR_NULL;
}

static enum err read_attributes(struct str raw, struct vault_row *out_row, struct fault *fault) {
	struct json_reader reader;
	if (!raw.len) return fault_set(fault, ERR_PARSE, "the vault's answer has no attributes");
	json_reader_init(&reader, raw);
	*out_row = vault_row_read(&reader);
	return json_reader_end(&reader, fault);
}

/* Too long a type, or none that is a string, is as good as none. */
static enum err read_content_type(struct str raw, struct vault_object *object) {
	struct json_reader reader;
	struct buf scratch;
	object->content_type[0] = 0;
	json_reader_init(&reader, raw);
	if (!json_read(&reader, NULL) || json_reader_end(&reader, NULL)) return OK;
	buf_init(&scratch, sizeof object->content_type);
	struct str text = json_raw_str(raw, &scratch);
	if (text.len < sizeof object->content_type) {
		if (text.len) memcpy(object->content_type, text.ptr, text.len);
		object->content_type[text.len] = 0;
	}
	enum err err = buf_err(&scratch);
	buf_deinit(&scratch);
	return err == ERR_NOMEM ? err : OK;
}

void vault_object_deinit(struct vault_object *object) {
	secret_deinit(&object->value);
}

static enum err read_value(struct str raw, struct secret_arena *arena, struct vault_object *object,
	struct fault *fault) {
	if (!is_string(raw)) return fault_set(fault, ERR_PARSE, "the vault's answer has no value");
	secret_init(&object->value, arena, VALUE_BYTES);
	enum err err = json_unescape_secret(raw, &object->value);
	return err ? fault_set(fault, err, "the vault's value is no valid JSON string") : OK;
}

enum err vault_read_secret(const struct vault_call *call, struct secret_arena *arena,
	struct vault_object *out_object, struct fault *fault) {
	struct vault_object object = { 0 };
	struct secret_parts parts = find_parts(http_response_body(&call->http));
	enum err err = read_attributes(parts.attributes, &object.row, fault);
	if (!err && vault_version_of_id(plain_text(parts.id), object.row.version) != OK) {
		err = fault_set(fault, ERR_PARSE, "the vault's answer has no id with a version");
	}
	if (!err) err = read_content_type(parts.content_type, &object);
	if (!err) err = read_value(parts.value, arena, &object, fault);
	object.certificate_backed = plain_text(parts.kid).len > 0;
	if (err) {
		vault_object_deinit(&object);
		return err;
	}
	*out_object = object;
	return OK;
}

/* --- keys and certificates: nothing of them is secret --- */

enum vault_form vault_object_form(const struct vault_object *object) {
	struct str type = str_of(object->content_type);
	if (!object->certificate_backed) return VAULT_PLAIN;
	if (str_eq_nocase(type, STR("application/x-pem-file"))) return VAULT_PEM;
	if (str_eq_nocase(type, STR("application/x-pkcs12"))) return VAULT_PKCS12;
	return VAULT_UNKNOWN;
}

static enum err read_key(const cJSON *json, struct secret *out_pem, struct fault *fault) {
	const cJSON *key = json_get(json, "key");
	if (!cJSON_IsObject(key))
		return fault_set(fault, ERR_PARSE, "the vault's answer has no key");
	return jwk_write_pem(key, out_pem, fault);
}

/* The bytes are passed on as they are, a certificate or not. */
static enum err read_certificate(const cJSON *json, struct secret_arena *arena,
	struct secret *out_pem, struct fault *fault) {
	struct secret der = { 0 };
	struct str cer = json_str(json, "cer");
	secret_init(&der, arena, VALUE_BYTES);
	enum err err = decode_base64(BASE64_PADDED, cer, secret_sink(&der), NULL);
	if (!err) err = secret_err(&der);
	if (!err && secret_len(&der)) {
		pem_write(out_pem, "CERTIFICATE", secret_expose(&der));
		err = secret_err(out_pem);
	} else if (!err || err == ERR_INVALID) {
		err = fault_set(
			fault, ERR_PARSE, "the vault's answer has no certificate in base64");
	}
	secret_deinit(&der);
	return err;
}

/* Unlike a secret's, a disabled key or certificate is sent. */
static enum err check_enabled(const struct vault_row *row, struct fault *fault) {
	if (row->enabled) return OK;
	return fault_set(
		fault, ERR_DISABLED, "this version is disabled: enable it, or add an enabled one");
}

/* Of an answer that is known to be valid. */
static struct vault_row find_row(struct str body) {
	struct json_reader reader;
	struct json_key key;
	json_reader_init(&reader, body);
	bool more = json_enter(&reader, '{') && json_next_key(&reader, &key);
	while (more && !json_key_is(&key, STR("attributes")))
		more = json_read(&reader, NULL) && json_next_key(&reader, &key);
	return vault_row_read(&reader);
}

static enum err read_public(const cJSON *json, struct str body, enum vault_kind kind,
	struct secret_arena *arena, struct vault_object *object, struct fault *fault) {
	struct str id = json_str(json, kind == VAULT_KEY ? "key.kid" : "id");
	if (!cJSON_IsObject(json_get(json, "attributes")))
		return fault_set(fault, ERR_PARSE, "the vault's answer has no attributes");
	object->row = find_row(body);
	if (vault_version_of_id(id, object->row.version) != OK)
		return fault_set(fault, ERR_PARSE, "the vault's answer has no id with a version");
	enum err err = check_enabled(&object->row, fault);
	if (err) return err;
	secret_init(&object->value, arena, VALUE_BYTES);
	if (kind == VAULT_KEY) object->cost = jwk_cost(json_get(json, "key"));
	return kind == VAULT_KEY ? read_key(json, &object->value, fault)
				 : read_certificate(json, arena, &object->value, fault);
}

enum err vault_read_object(const struct vault_call *call, enum vault_kind kind,
	struct secret_arena *arena, struct vault_object *out_object, struct fault *fault) {
	struct vault_object object = { 0 };
	struct fault own = { 0 };
	cJSON *json = NULL;
	if (kind == VAULT_SECRET) return vault_read_secret(call, arena, out_object, fault);
	struct str body = http_response_body(&call->http);
	enum err err = json_parse(body, &json, &own);
	if (!err) err = read_public(json, body, kind, arena, &object, &own);
	cJSON_Delete(json);
	if (!err) {
		*out_object = object;
		return OK;
	}
	vault_object_deinit(&object);
	if (!own.err) own = fault_make(err, "the vault's answer: %s", err_text(err));
	if (fault) *fault = own;
	return err;
}
