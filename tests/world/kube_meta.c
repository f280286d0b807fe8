/* The form in which objects are stored, and the rules that hold for the metadata of all of them. */
#include <ctype.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

enum { LABEL_BYTES = 63, SUBDOMAIN_BYTES = 253, ANNOTATIONS_BYTES = 256 << 10 };

static const char SUBDOMAIN_RULE[] =
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
	"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
static const char LABEL_VALUE_RULE[] =
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
	"and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
	"is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
static const char LABEL_KEY_RULE[] =
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
	"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

static void drop_empty_members(cJSON *object) {
	for (cJSON *item = object ? object->child : NULL; item;) {
		cJSON *next = item->next;
		bool empty = kj_is_empty(item) || (cJSON_IsString(item) && !item->valuestring[0]);
		if (empty) cJSON_Delete(cJSON_DetachItemViaPointer(object, item));
		item = next;
	}
}

/* Of two references to one owner the first one counts. */
static void drop_double_owners(cJSON *owners) {
	for (cJSON *owner = owners ? owners->child : NULL; owner; owner = owner->next) {
		for (cJSON *later = owner->next; later;) {
			cJSON *next = later->next;
			if (strcmp(kj_text(owner, "uid"), kj_text(later, "uid")) == 0) {
				cJSON_Delete(cJSON_DetachItemViaPointer(owners, later));
			}
			later = next;
		}
	}
}

static void drop_null_members(cJSON *object) {
	for (cJSON *item = object ? object->child : NULL; item;) {
		cJSON *next = item->next;
		if (cJSON_IsNull(item)) cJSON_Delete(cJSON_DetachItemViaPointer(object, item));
		item = next;
	}
}

static void normalize_meta(const struct kube_type *type, cJSON *meta) {
	const cJSON *known = world_json_at(type->schema, "properties.metadata.properties");
	for (cJSON *item = meta->child; item;) {
		cJSON *next = item->next;
		if (!kj_get(known, item->string)) cJSON_Delete(cJSON_DetachItemViaPointer(meta, item));
		item = next;
	}
	drop_null_members(kj_get(meta, "labels"));
	drop_null_members(kj_get(meta, "annotations"));
	cJSON *owner;
	cJSON_ArrayForEach(owner, kj_get(meta, "ownerReferences")) drop_null_members(owner);
	drop_double_owners(kj_get(meta, "ownerReferences"));
	drop_empty_members(meta);
}

static void warn_unknown(struct kube_call *call, const cJSON *unknown) {
	const cJSON *path;
	cJSON_ArrayForEach(path, unknown) {
		world_response_header(call->out, "Warning", "299 - \"unknown field \\\"%s\\\"\"", path->valuestring);
	}
}

static bool settle_unknown(struct kube_call *call, cJSON *unknown) {
	if (!call->strict || !unknown->child) {
		warn_unknown(call, unknown);
		return true;
	}
	return kube_fail_bad_request(call, "strict decoding error: unknown field \"%s\"", unknown->child->valuestring);
}

/* Members that the server writes though they are empty. */
static void complete_event(cJSON *object) {
	static const char *const texts[] = { "reportingComponent", "reportingInstance" };
	for (size_t i = 0; i < 2; i++)
		if (!kj_get(object, texts[i])) kj_set_text(object, texts[i], "");
	if (!kj_get(object, "eventTime")) kj_set(object, "eventTime", kj_must(cJSON_CreateNull()));
}

bool kube_normalize(struct kube_call *call, cJSON *object) {
	const struct kube_type *type = call->type;
	cJSON *meta = kj_object(object, "metadata");
	normalize_meta(type, meta);
	cJSON *unknown = kj_must(cJSON_CreateArray());
	kube_crd_prune(object, type->schema, unknown);
	bool ok = settle_unknown(call, unknown);
	cJSON_Delete(unknown);
	if (!ok) return false;
	kube_crd_default(object, type->schema);
	if (strcmp(type->plural, "secrets") == 0) return kube_secret_normalize(call, object);
	if (type->builtin) drop_null_members(object);
	if (type->builtin && strcmp(type->plural, "events") == 0) complete_event(object);
	return true;
}

static bool is_alnum(char c) {
	return isalnum((unsigned char)c) != 0;
}

/* [A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])? */
static bool is_qualified_part(struct str s) {
	if (!s.len || !is_alnum(s.ptr[0]) || !is_alnum(s.ptr[s.len - 1])) return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_alnum(s.ptr[i]) && !strchr("-_.", s.ptr[i])) return false;
	}
	return true;
}

static bool is_lower_alnum(char c) {
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_subdomain(struct str s) {
	if (!s.len || s.len > SUBDOMAIN_BYTES) return false;
	while (s.ptr) {
		struct str label = str_next(&s, '.');
		if (!label.len || !is_lower_alnum(label.ptr[0]) || !is_lower_alnum(label.ptr[label.len - 1])) return false;
		for (size_t i = 0; i < label.len; i++) {
			if (!is_lower_alnum(label.ptr[i]) && label.ptr[i] != '-') return false;
		}
	}
	return true;
}

static void check_key(const char *key, const char *field, struct kube_invalid *invalid) {
	struct str rest = str_of(key);
	size_t slash = str_find_char(rest, '/');
	if (slash != SIZE_MAX) {
		if (!is_subdomain(str_slice(rest, 0, slash))) {
			kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"%s\": prefix part %s", key,
				   SUBDOMAIN_RULE);
		}
		rest = str_slice(rest, slash + 1, SIZE_MAX);
	}
	if (rest.len > LABEL_BYTES) {
		kube_cause(invalid, "FieldValueInvalid", field,
			   "Invalid value: \"%s\": name part must be no more than 63 bytes", key);
	}
	if (!is_qualified_part(rest)) {
		kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"%s\": %s", key, LABEL_KEY_RULE);
	}
}

static void check_labels(const cJSON *labels, struct kube_invalid *invalid) {
	const cJSON *label;
	cJSON_ArrayForEach(label, labels) {
		check_key(label->string, "metadata.labels", invalid);
		const char *value = cJSON_IsString(label) ? label->valuestring : "";
		if (strlen(value) > LABEL_BYTES) {
			kube_cause(invalid, "FieldValueInvalid", "metadata.labels",
				   "Invalid value: \"%s\": must be no more than 63 bytes", value);
		}
		if (value[0] && !is_qualified_part(str_of(value))) {
			kube_cause(invalid, "FieldValueInvalid", "metadata.labels", "Invalid value: \"%s\": %s", value,
				   LABEL_VALUE_RULE);
		}
	}
}

static void check_annotations(const cJSON *annotations, struct kube_invalid *invalid) {
	const cJSON *annotation;
	size_t total = 0;
	cJSON_ArrayForEach(annotation, annotations) {
		char *lower = kj_strdup(str_of(annotation->string));
		for (char *c = lower; *c; c++) *c = (char)tolower((unsigned char)*c);
		check_key(lower, "metadata.annotations", invalid);
		mem_free(lower);
		total += strlen(annotation->string);
		if (cJSON_IsString(annotation)) total += strlen(annotation->valuestring);
	}
	if (total > ANNOTATIONS_BYTES) {
		kube_cause(invalid, "FieldValueTooLong", "metadata.annotations",
			   "Too long: may not be more than 262144 bytes");
	}
}

static void check_owners(const cJSON *owners, struct kube_invalid *invalid) {
	static const char *const members[] = { "apiVersion", "kind", "name", "uid" };
	const cJSON *owner;
	cJSON_ArrayForEach(owner, owners) {
		for (size_t i = 0; i < 4; i++) {
			if (kj_text(owner, members[i])[0]) continue;
			char *field = kj_format("metadata.ownerReferences.%s", members[i]);
			kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"\": %smust not be empty",
				   i == 0 ? "version " : "");
			mem_free(field);
		}
	}
}

static void check_common(const cJSON *meta, struct kube_invalid *invalid) {
	check_labels(kj_get(meta, "labels"), invalid);
	check_annotations(kj_get(meta, "annotations"), invalid);
	check_owners(kj_get(meta, "ownerReferences"), invalid);
}

static void check_new_meta(const cJSON *meta, bool any_name, struct kube_invalid *invalid) {
	const char *name = kj_text(meta, "name");
	if (!name[0]) {
		kube_cause(invalid, "FieldValueRequired", "metadata.name",
			   "Required value: name or generateName is required");
	} else if (!any_name && !is_subdomain(str_of(name))) {
		kube_cause(invalid, "FieldValueInvalid", "metadata.name", "Invalid value: \"%s\": %s", name,
			   SUBDOMAIN_RULE);
	}
	check_common(meta, invalid);
}

static void check_changed_meta(const cJSON *meta, const cJSON *old, struct kube_invalid *invalid) {
	static const char *const fixed[] = { "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp" };
	if (kj_get(old, "deletionTimestamp")) {
		const cJSON *finalizer;
		cJSON_ArrayForEach(finalizer, kj_get(meta, "finalizers")) {
			if (kj_contains_text(kj_get(old, "finalizers"), finalizer->valuestring)) continue;
			kube_cause(invalid, "FieldValueForbidden", "metadata.finalizers",
				   "Forbidden: no new finalizers can be added if the object is being deleted, found new "
				   "finalizers []string{\"%s\"}", finalizer->valuestring);
		}
	}
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
		if (kj_equal(kj_get(meta, fixed[i]), kj_get(old, fixed[i]))) continue;
		char *field = kj_format("metadata.%s", fixed[i]);
		kube_cause(invalid, "FieldValueInvalid", field, "Invalid value: \"%s\": field is immutable",
			   kj_text(meta, fixed[i]));
		mem_free(field);
	}
	check_common(meta, invalid);
}

void kube_validate(const struct kube_type *type, const cJSON *object, const cJSON *old, struct kube_invalid *invalid) {
	const cJSON *meta = kj_get(object, "metadata"), *old_meta = kj_get(old, "metadata");
	bool secret = strcmp(type->plural, "secrets") == 0;
	if (old) {
		/* The server looks twice, once for all kinds and once for each, and so a cause stands there twice. */
		check_changed_meta(meta, old_meta, invalid);
		check_changed_meta(meta, old_meta, invalid);
		if (secret) kube_secret_validate_change(object, old, invalid);
	}
	/* Of an Event without an eventTime nothing else is looked at. */
	bool event = type->builtin && strcmp(type->plural, "events") == 0;
	if (!old || secret) check_new_meta(meta, event, invalid);
	const char *about = kj_text2(object, "involvedObject", "namespace");
	if (event && strcmp(about, kj_text(meta, "namespace")) != 0) {
		kube_cause(invalid, "FieldValueInvalid", "involvedObject.namespace",
			   "Invalid value: \"%s\": does not match event.namespace", about);
	}
	if (secret) kube_secret_validate(object, invalid);
	if (!type->builtin) kube_crd_validate_object(object, type->schema, invalid);
}
