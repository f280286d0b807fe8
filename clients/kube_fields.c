#include "clients/kube_fields.h"

#include "clients/json.h"
#include "clients/kube.h"

static bool is_subresource(const cJSON *entry) {
	return json_str(entry, "subresource").len > 0;
}

static bool is_ours(const cJSON *entry) {
	return str_eq(json_str(entry, "manager"), STR(KUBE_FIELD_MANAGER)) &&
	       !is_subresource(entry);
}

static bool is_predecessor(const cJSON *entry) {
	static const char *const names[] = KUBE_PREDECESSORS;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (str_eq(json_str(entry, "manager"), str_of(names[i])))
			return !is_subresource(entry);
	}
	return false;
}

bool kube_entry_is_apply(const cJSON *entry) {
	return is_ours(entry) && str_eq(json_str(entry, "operation"), STR("Apply"));
}

bool kube_entry_must_settle(const cJSON *entry) {
	bool update = str_eq(json_str(entry, "operation"), STR("Update"));
	return (is_ours(entry) && update) || is_predecessor(entry);
}

static bool is_known(struct str manager, bool *out_predecessor) {
	static const char *const names[] = KUBE_PREDECESSORS;
	*out_predecessor = false;
	if (json_string_is(manager, STR(KUBE_FIELD_MANAGER))) return true;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		*out_predecessor |= json_string_is(manager, str_of(names[i]));
	return *out_predecessor;
}

bool kube_raw_entry_must_settle(struct str entry) {
	struct str manager, operation, subresource;
	const struct json_wanted wanted[] = { { STR("manager"), &manager },
		{ STR("operation"), &operation }, { STR("subresource"), &subresource } };
	bool predecessor;
	json_scan_members(entry, wanted, sizeof wanted / sizeof *wanted);
	if (!is_known(manager, &predecessor)) return false;
	if (subresource.len && !json_string_is(subresource, STR(""))) return false;
	return predecessor || json_string_is(operation, STR("Update"));
}

static const cJSON *child(const cJSON *json, const char *name) {
	return cJSON_IsObject(json) ? cJSON_GetObjectItemCaseSensitive(json, name) : NULL;
}

/* "f:<key>" among the children; keys hold dots and slashes. */
static bool names_key(const cJSON *fields, struct str key) {
	for (const cJSON *field = fields ? fields->child : NULL; field; field = field->next) {
		struct str name = str_of(field->string);
		if (str_starts(name, STR("f:")) && str_eq(str_slice(name, 2, name.len), key))
			return true;
	}
	return false;
}

static bool entry_owns(const cJSON *entry, enum kube_field_set set, struct str key) {
	const cJSON *fields = child(entry, "fieldsV1");
	if (set == KUBE_FIELD_DATA) return names_key(child(fields, "f:data"), key);
	const char *map = set == KUBE_FIELD_LABEL ? "f:labels" : "f:annotations";
	return names_key(child(child(fields, "f:metadata"), map), key);
}

bool kube_fields_owned(const cJSON *list, enum kube_field_set set, struct str key) {
	for (const cJSON *entry = list ? list->child : NULL; entry; entry = entry->next) {
		if ((is_ours(entry) || is_predecessor(entry)) && entry_owns(entry, set, key))
			return true;
	}
	return false;
}

bool kube_fields_prunable(const cJSON *list, enum kube_field_set set, struct str key) {
	bool owned = false;
	for (const cJSON *entry = list ? list->child : NULL; entry; entry = entry->next) {
		if (!entry_owns(entry, set, key)) continue;
		if (!is_ours(entry) && !is_predecessor(entry)) return false;
		owned = true;
	}
	return owned;
}

bool kube_fields_rivalled(const cJSON *list, enum kube_field_set set, struct str key) {
	for (const cJSON *entry = list ? list->child : NULL; entry; entry = entry->next) {
		bool others = !is_ours(entry) && !is_predecessor(entry);
		if (others && entry_owns(entry, set, key)) return true;
	}
	return false;
}

struct str kube_fields_rival(const cJSON *list, enum kube_field_set set, struct str key) {
	const cJSON *last = NULL;
	for (const cJSON *entry = list ? list->child : NULL; entry; entry = entry->next) {
		if (is_ours(entry) || is_predecessor(entry)) continue;
		if (entry_owns(entry, set, key)) return json_str(entry, "manager");
		/* RFC 3339 in UTC: the order of the texts is that of the times. */
		if (!last || str_cmp(json_str(entry, "time"), json_str(last, "time")) >= 0)
			last = entry;
	}
	return last ? json_str(last, "manager") : STR("");
}
