/* engine/json_writer.h - JSON for programs, built with cJSON; a failure is kept and told once at the end. One owner. */
#pragma once

#include <cjson/cJSON.h>

#include "base/str.h"

struct json_writer {
	bool failed; /* out of memory: the document is incomplete */
};

/* Adds to an object (key) or to a list (key NULL); takes `value`. Returns it, NULL after a failure; a NULL parent is one. */
cJSON *json_add(struct json_writer *w, cJSON *parent, const char *key, cJSON *value);
void json_add_text(struct json_writer *w, cJSON *parent, const char *key, struct str text);
void json_add_number(struct json_writer *w, cJSON *parent, const char *key, double number);
cJSON *json_add_list(struct json_writer *w, cJSON *parent, const char *key);
cJSON *json_add_entry(struct json_writer *w, cJSON *list); /* an object in a list */
