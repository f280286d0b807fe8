/* What a Secret has to look like. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"

enum { MAX_DATA_BYTES = 1 << 20, MAX_KEY_BYTES = 253 };

static const char KEY_RULE[] =
	"a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
	"or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

static bool is_base64_char(char c) {
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* The decoded size of base64 text; the offset of the first wrong byte goes to out_bad. False: it is none. */
static bool base64_size(const char *text, size_t *out_size, size_t *out_bad) {
	size_t digits = 0, padding = 0, i = 0;
	for (; text[i]; i++) {
		if (text[i] == '\n' || text[i] == '\r') continue;
		if (text[i] == '=' && digits % 4 >= 2 && padding < 4 - digits % 4) padding++;
		else if (!padding && is_base64_char(text[i])) digits++;
		else break;
	}
	*out_bad = i;
	if (text[i] || (digits + padding) % 4 != 0) return false;
	*out_size = digits / 4 * 3 + (digits % 4 ? digits % 4 - 1 : 0);
	return true;
}

static bool fail_base64(struct kube_call *call, size_t offset) {
	const char *write = call->write_verb ? call->write_verb : call->verb;
	if (strcmp(write, "apply") == 0) {
		return kube_fail(call, 500, "", NULL, "failed to convert new object (%s/%s; /v1, Kind=Secret) to proper "
				 "version: illegal base64 data at input byte %zu", call->namespace, call->name, offset);
	}
	return kube_fail_bad_request(call, "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at "
				     "input byte %zu", offset);
}

static bool check_values(struct kube_call *call, cJSON *data) {
	for (cJSON *item = data ? data->child : NULL; item;) {
		cJSON *next = item->next;
		size_t size, bad;
		if (cJSON_IsNull(item)) {
			kj_set_text(data, item->string, "");
		} else if (!cJSON_IsString(item)) {
			return kube_fail_bad_request(call, "Secret in version \"v1\" cannot be handled as a Secret: json: cannot "
						     "unmarshal the value of a key into Go struct field Secret.data of type []uint8");
		} else if (!base64_size(item->valuestring, &size, &bad)) {
			return fail_base64(call, bad);
		}
		item = next;
	}
	return true;
}

/* stringData is a door for writing only. */
static void fold_string_data(cJSON *object) {
	cJSON *given = kj_detach(object, "stringData");
	const cJSON *item;
	cJSON_ArrayForEach(item, given) {
		if (!cJSON_IsString(item)) continue;
		struct buf encoded;
		buf_init(&encoded, 4 * (size_t)MAX_DATA_BYTES);
		buf_append_base64(&encoded, str_of(item->valuestring));
		kj_set_text(kj_object(object, "data"), item->string, buf_cstr(&encoded));
		buf_deinit(&encoded);
	}
	cJSON_Delete(given);
}

bool kube_secret_normalize(struct kube_call *call, cJSON *object) {
	static const char *const members[] = { "data", "immutable", "type" };
	if (!check_values(call, kj_get(object, "data"))) return false;
	fold_string_data(object);
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		if (kj_is_empty(kj_get(object, members[i]))) kj_remove(object, members[i]);
	}
	if (!kj_text(object, "type")[0]) kj_set_text(object, "type", "Opaque");
	return true;
}

static void check_key(const char *key, struct kube_invalid *invalid) {
	char *field = kj_format("data[%s]", key);
	if (strlen(key) > MAX_KEY_BYTES) {
		kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"%s\": must be no more than 253 bytes",
			   key);
	}
	bool plain = key[0] && strspn(key, "-._abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ==
					  strlen(key);
	if (!plain) kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"%s\": %s", key, KEY_RULE);
	if (strcmp(key, ".") == 0) {
		kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \".\": must not be '.'");
	} else if (strcmp(key, "..") == 0) {
		kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"..\": must not be '..'");
	} else if (strncmp(key, "..", 2) == 0) {
		kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"%s\": must not start with '..'", key);
	}
	mem_free(field);
}

static void check_data(const cJSON *data, struct kube_invalid *invalid) {
	size_t total = 0;
	const cJSON *item;
	cJSON_ArrayForEach(item, data) {
		check_key(item->string, invalid);
		size_t size = 0, bad;
		if (base64_size(item->valuestring, &size, &bad)) total += size;
	}
	if (total > MAX_DATA_BYTES) {
		kube_cause(invalid, "FieldValueTooLong", "data", "Too long: may not be more than 1048576 bytes");
	}
}

/* The keys that a type demands; of kubernetes.io/basic-auth one of two is enough. */
static const struct {
	const char *type;
	const char *keys[2];
	bool either;
} DEMANDS[] = {
	{ "kubernetes.io/dockercfg", { ".dockercfg" }, false },
	{ "kubernetes.io/dockerconfigjson", { ".dockerconfigjson" }, false },
	{ "kubernetes.io/basic-auth", { "username", "password" }, true },
	{ "kubernetes.io/ssh-auth", { "ssh-privatekey" }, false },
	{ "kubernetes.io/tls", { "tls.crt", "tls.key" }, false },
};

static void check_demand(size_t i, const cJSON *data, struct kube_invalid *invalid) {
	size_t missing = 0, demanded = 0;
	for (size_t k = 0; k < 2 && DEMANDS[i].keys[k]; k++) {
		demanded++;
		if (!kj_get(data, DEMANDS[i].keys[k])) missing++;
	}
	if (DEMANDS[i].either && missing < demanded) return;
	for (size_t k = 0; k < 2 && DEMANDS[i].keys[k]; k++) {
		if (kj_get(data, DEMANDS[i].keys[k])) continue;
		char *field = kj_format("data[%s]", DEMANDS[i].keys[k]);
		kube_cause(invalid, "FieldValueRequired", field, "Required value");
		mem_free(field);
	}
}

void kube_secret_validate(const cJSON *object, struct kube_invalid *invalid) {
	const char *type = kj_text(object, "type");
	const cJSON *data = kj_get(object, "data");
	check_data(data, invalid);
	for (size_t i = 0; i < sizeof(DEMANDS) / sizeof(*DEMANDS); i++) {
		if (strcmp(type, DEMANDS[i].type) == 0) check_demand(i, data, invalid);
	}
	if (strcmp(type, "kubernetes.io/service-account-token") == 0 &&
	    !kj_text(kj_get2(object, "metadata", "annotations"), "kubernetes.io/service-account.name")[0]) {
		kube_cause(invalid, "FieldValueRequired", "metadata.annotations[kubernetes.io/service-account.name]",
			   "Required value");
	}
}

void kube_secret_validate_change(const cJSON *object, const cJSON *old, struct kube_invalid *invalid) {
	if (strcmp(kj_text(object, "type"), kj_text(old, "type")) != 0) {
		kube_cause(invalid, "FieldValueInvalid", "type", "Invalid value: \"%s\": field is immutable",
			   kj_text(object, "type"));
	}
	if (!cJSON_IsTrue(kj_get(old, "immutable"))) return;
	if (!cJSON_IsTrue(kj_get(object, "immutable"))) {
		kube_cause(invalid, "FieldValueForbidden", "immutable",
			   "Forbidden: field is immutable when `immutable` is set");
	}
	if (!kj_equal(kj_get(object, "data"), kj_get(old, "data"))) {
		kube_cause(invalid, "FieldValueForbidden", "data", "Forbidden: field is immutable when `immutable` is set");
	}
}
