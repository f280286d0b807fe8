#include "engine/plan_record.h"

#include "base/mem.h"
#include "clients/json.h"

void plan_record_deinit(struct plan_record *record) {
	mem_free(record->key);
	secret_deinit(&record->before);
	secret_deinit(&record->after);
	*record = (struct plan_record){ 0 };
}

struct str plan_member(struct str object, const char *key) {
	struct str raw = STR_NULL;
	return json_scan_member(object, key, &raw) == OK ? raw : STR_NULL;
}

struct str plan_entry(struct str map, struct str key) {
	struct json_items members = json_members(map);
	struct str raw_key, raw;
	while (json_next_member(&members, &raw_key, &raw)) {
		if (str_eq(str_slice(raw_key, 1, raw_key.len - 2), key)) return raw;
	}
	return STR_NULL;
}

struct str plan_map(struct str secret, enum kube_field_set set) {
	struct str map = set == KUBE_FIELD_DATA
				 ? plan_member(secret, "data")
				 : plan_member(plan_member(secret, "metadata"),
					   set == KUBE_FIELD_LABEL ? "labels" : "annotations");
	return str_eq(map, STR("null")) ? STR_NULL : map;
}

enum err plan_managed_fields(struct str secret, cJSON **out_list) {
	struct fault ignored = { 0 };
	struct str raw = plan_member(plan_member(secret, "metadata"), "managedFields");
	*out_list = NULL;
	return raw.len ? json_parse(raw, out_list, &ignored) : OK;
}

enum err plan_each_pruned(const struct plan_record *record, enum kube_field_set set,
	bool (*visit)(void *arg, struct str key, struct str raw), void *arg) {
	struct str before = plan_map(secret_expose(&record->before), set), raw_key, raw;
	struct str after = plan_map(secret_expose(&record->after), set);
	cJSON *list = NULL;
	if (record->write != WRITE_APPLY) return OK;
	enum err err = plan_managed_fields(secret_expose(&record->before), &list);
	struct json_items members = json_members(before);
	while (!err && json_next_member(&members, &raw_key, &raw)) {
		struct str key = str_slice(raw_key, 1, raw_key.len - 2);
		if (plan_entry(after, key).len || !kube_fields_prunable(list, set, key)) continue;
		if (!visit(arg, key, raw)) break;
	}
	cJSON_Delete(list);
	return err ? err : members.err;
}

static bool note_one(void *arg, struct str key, struct str raw) {
	(void)key;
	(void)raw;
	*(bool *)arg = true;
	return false;
}

enum err plan_changes_data(const struct plan_record *record, bool *out_changes) {
	struct str before = plan_map(secret_expose(&record->before), KUBE_FIELD_DATA);
	struct str after = plan_map(secret_expose(&record->after), KUBE_FIELD_DATA), raw_key, raw;
	struct json_items members = json_members(after);
	*out_changes = false;
	while (json_next_member(&members, &raw_key, &raw)) {
		struct str old = plan_entry(before, str_slice(raw_key, 1, raw_key.len - 2));
		if (!str_eq(old, raw)) *out_changes = true;
	}
	if (members.err) return members.err;
	return plan_each_pruned(record, KUBE_FIELD_DATA, note_one, out_changes);
}
