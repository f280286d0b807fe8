#include "engine/json_writer.h"

#include "base/mem.h"

cJSON *json_add(struct json_writer *w, cJSON *parent, const char *key, cJSON *value) {
	bool added = value && parent &&
		     (key ? cJSON_AddItemToObject(parent, key, value)
			  : cJSON_AddItemToArray(parent, value));
	if (added) return value;
	cJSON_Delete(value);
	w->failed = true;
	return NULL;
}

void json_add_text(struct json_writer *w, cJSON *parent, const char *key, struct str text) {
	char *copy = mem_strdup(text);
	json_add(w, parent, key, copy ? cJSON_CreateString(copy) : NULL);
	mem_free(copy);
}

void json_add_number(struct json_writer *w, cJSON *parent, const char *key, double number) {
	json_add(w, parent, key, cJSON_CreateNumber(number));
}

cJSON *json_add_list(struct json_writer *w, cJSON *parent, const char *key) {
	return json_add(w, parent, key, cJSON_CreateArray());
}

cJSON *json_add_entry(struct json_writer *w, cJSON *list) {
	return json_add(w, list, NULL, cJSON_CreateObject());
}
