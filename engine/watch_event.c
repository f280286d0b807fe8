#include "engine/watch_event.h"

#include "clients/json.h"

enum err watch_event_parse(struct str line, struct watch_event *out_event) {
	*out_event = (struct watch_event){ 0 };
	enum err err = json_parse(line, &out_event->_json, NULL);
	if (err) return err;
	out_event->object.json = cJSON_GetObjectItemCaseSensitive(out_event->_json, "object");
	out_event->type = json_str(out_event->_json, "type");
	out_event->version = json_str(out_event->_json, "object.metadata.resourceVersion");
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
	struct str metadata = STR_NULL, object = STR_NULL;
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
	return OK;
}

void watch_event_deinit(struct watch_event *event) {
	cJSON_Delete(event->_json);
	*event = (struct watch_event){ 0 };
}
