#include "engine/watch_event.h"

#include "clients/json.h"

static bool is_initial_end(const struct watch_event *event) {
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(event->object.json, "metadata");
	const cJSON *mark = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(metadata, "annotations"), KUBE_INITIAL_END);
	return str_eq(event->type, STR("BOOKMARK")) && cJSON_IsString(mark) &&
	       strcmp(mark->valuestring, "true") == 0;
}

enum err watch_event_parse(struct str line, struct watch_event *out_event) {
	*out_event = (struct watch_event){ 0 };
	enum err err = json_parse(line, &out_event->_json, NULL);
	if (err) return err;
	out_event->object.json = cJSON_GetObjectItemCaseSensitive(out_event->_json, "object");
	out_event->type = json_str(out_event->_json, "type");
	out_event->version = json_str(out_event->_json, "object.metadata.resourceVersion");
	out_event->initial_end = is_initial_end(out_event);
	return cJSON_IsObject(out_event->object.json) ? OK : ERR_PARSE;
}

/* A plain string of an object; versions and types need no escapes. */
static struct str scan_text(struct str object, const char *key) {
	struct str raw = STR_NULL;
	bool found = json_scan_member(object, key, &raw) == OK && raw.len >= 2 &&
		     raw.ptr[0] == '"' && str_find_char(raw, '\\') == SIZE_MAX;
	return found ? str_slice(raw, 1, raw.len - 2) : STR("");
}

enum err watch_event_scan(struct str line, struct watch_event *out_event) {
	struct str metadata = STR_NULL, object = STR_NULL, annotations = STR_NULL;
	*out_event = (struct watch_event){ 0 };
	enum err err = json_scan_member(line, "object", &object);
	if (err || !str_starts(object, STR("{"))) return ERR_PARSE;
	out_event->object.text = object;
	out_event->type = scan_text(line, "type");
	/* A Status holds no values. */
	if (str_eq(out_event->type, STR("ERROR"))) {
		err = json_parse(object, &out_event->_json, NULL);
		out_event->object.json = out_event->_json;
		return err;
	}
	if (json_scan_member(object, "metadata", &metadata) == OK)
		out_event->version = scan_text(metadata, "resourceVersion");
	out_event->initial_end = str_eq(out_event->type, STR("BOOKMARK")) &&
				 json_scan_member(metadata, "annotations", &annotations) == OK &&
				 str_eq(scan_text(annotations, KUBE_INITIAL_END), STR("true"));
	return OK;
}

static bool is_key(struct str raw_key, struct str name) {
	return str_eq(str_slice(raw_key, 1, raw_key.len - 2), name);
}

/* A string without escapes. */
static bool plain_text(struct str raw, struct str *out_text) {
	if (raw.len < 2 || raw.ptr[0] != '"' || str_find_char(raw, '\\') != SIZE_MAX) return false;
	*out_text = str_slice(raw, 1, raw.len - 2);
	return true;
}

static bool read_head(struct str raw_key, struct str raw, struct object_head *head) {
	struct object_meta *meta = &head->meta;
	if (is_key(raw_key, STR("namespace"))) return plain_text(raw, &meta->ns);
	if (is_key(raw_key, STR("name"))) return plain_text(raw, &meta->name);
	if (is_key(raw_key, STR("uid"))) return plain_text(raw, &meta->uid);
	if (is_key(raw_key, STR("resourceVersion"))) return plain_text(raw, &meta->version);
	if (is_key(raw_key, STR("generation"))) return str_to_i64(raw, &meta->generation) == OK;
	if (is_key(raw_key, STR("deletionTimestamp"))) meta->deleting = true;
	if (is_key(raw_key, STR("ownerReferences"))) head->owned = true;
	return true;
}

bool object_head_scan(struct str object, struct object_head *out_head) {
	struct str raw_key, raw, metadata = STR_NULL;
	struct json_items members = json_members(object);
	*out_head = (struct object_head){ 0 };
	while (!metadata.len && json_next_member(&members, &raw_key, &raw)) {
		if (is_key(raw_key, STR("metadata"))) metadata = raw;
	}
	if (!str_starts(metadata, STR("{"))) return false;
	members = json_members(metadata);
	while (json_next_member(&members, &raw_key, &raw)) {
		if (!read_head(raw_key, raw, out_head)) return false;
	}
	const struct object_meta *meta = &out_head->meta;
	return !members.err && meta->ns.len && meta->name.len && meta->uid.len && meta->version.len;
}

bool watch_event_split(struct str line, struct str *out_type, struct str *out_object) {
	struct str raw_key, raw;
	struct json_items members = json_members(line);
	*out_type = *out_object = STR_NULL;
	while (json_next_member(&members, &raw_key, &raw)) {
		if (is_key(raw_key, STR("type")) && !plain_text(raw, out_type)) return false;
		if (is_key(raw_key, STR("object"))) *out_object = raw;
	}
	return !members.err && out_type->len && out_object->len;
}

void watch_event_deinit(struct watch_event *event) {
	cJSON_Delete(event->_json);
	*event = (struct watch_event){ 0 };
}
