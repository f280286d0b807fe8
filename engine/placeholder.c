#include "engine/placeholder.h"

#include <ctype.h>

static bool is_name(struct str name) {
	if (!name.len || isdigit((unsigned char)name.ptr[0])) return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		if (!isupper(c) && !isdigit(c) && c != '_') return false;
	}
	return true;
}

static void add(struct str placeholder, struct buf *out) {
	if (str_find(buf_str(out), placeholder) != SIZE_MAX) return;
	buf_printf(out, "%s%.*s", buf_str(out).len ? ", " : "", STR_ARG(placeholder));
}

static void search(struct str text, struct buf *out) {
	for (size_t at; (at = str_find(text, STR("${"))) != SIZE_MAX;) {
		text = str_slice(text, at, text.len);
		size_t end = str_find_char(text, '}');
		if (end == SIZE_MAX) return;
		if (is_name(str_slice(text, 2, end - 2))) add(str_slice(text, 0, end + 1), out);
		text = str_slice(text, 2, text.len);
	}
}

void placeholder_list(const cJSON *json, struct buf *out_names) {
	if (cJSON_IsString(json)) search(str_of(json->valuestring), out_names);
	const cJSON *child;
	cJSON_ArrayForEach(child, json) {
		if (!child->string || !str_eq(str_of(child->string), STR("annotations")))
			placeholder_list(child, out_names);
	}
}
