#include "engine/doc_json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { VALUES_MAX = 1000000, LEVELS_MAX = 100, NUMBER_BYTES = 64 };

struct converter {
	const struct doc *doc;
	struct doc_place place;
	struct fault *fault;
	unsigned values;
};

#define refuse(c, node, error, ...)                                              \
	({                                                                       \
		(c)->place = (struct doc_place){ (node)->line, (node)->column }; \
		fault_set((c)->fault, (error), __VA_ARGS__);                     \
	})

static enum err convert(
	struct converter *c, const struct doc_node *node, unsigned level, cJSON **out_json);

/* --- scalars --- */

/* 1: true, 0: false, -1: neither. */
static int boolean_of(struct str s) {
	static const char *const words[2][4] = { { "n", "no", "off", "false" },
		{ "y", "yes", "on", "true" } };
	char lower[8];
	if (s.len == 0 || s.len >= sizeof lower) return -1;
	bool upper = true, capital = isupper((unsigned char)s.ptr[0]);
	for (size_t i = 0; i < s.len; i++) {
		lower[i] = (char)tolower((unsigned char)s.ptr[i]);
		bool is_upper = isupper((unsigned char)s.ptr[i]);
		upper = upper && is_upper;
		if (i > 0) capital = capital && !is_upper;
	}
	lower[s.len] = '\0';
	/* yes, Yes and YES, but not yES. */
	bool one_case = upper || capital || str_eq(s, str_of(lower));
	for (int value = 0; value < 2 && one_case; value++) {
		for (unsigned i = 0; i < 4; i++) {
			if (strcmp(lower, words[value][i]) == 0) return value;
		}
	}
	return -1;
}

/* Digits behind the sign, with the prefixes of Go. */
static bool read_whole(const char *text, double *out_value) {
	int base = 10;
	if (text[0] == '0' && text[1]) {
		char mark = (char)tolower((unsigned char)text[1]);
		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		text += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
	}
	if (!isxdigit((unsigned char)*text)) return false;
	char *end;
	unsigned long long value = strtoull(text, &end, base);
	*out_value = (double)value;
	return *end == '\0';
}

static bool read_float(const char *text, double *out_value) {
	if (text[strspn(text, "0123456789.eE+-")] != '\0' || !strpbrk(text, "0123456789"))
		return false;
	char *end;
	*out_value = strtod(text, &end);
	return *end == '\0';
}

static bool number_of(struct str s, double *out_value) {
	char text[NUMBER_BYTES];
	size_t len = 0;
	if (s.len == 0 || s.len >= sizeof text || s.ptr[0] == '_') return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] != '_') text[len++] = s.ptr[i];
	}
	text[len] = '\0';
	bool negative = text[0] == '-';
	const char *digits = text + (negative || text[0] == '+');
	if (!isdigit((unsigned char)*digits) && *digits != '.') return false;
	double value;
	if (!read_whole(digits, &value) && !read_float(digits, &value)) return false;
	*out_value = negative ? -value : value;
	return true;
}

static bool is_infinite(struct str s) {
	if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) s = str_slice(s, 1, s.len);
	return str_eq_nocase(s, STR(".inf")) || str_eq_nocase(s, STR(".nan"));
}

static enum err convert_scalar(struct converter *c, const struct doc_node *node, cJSON **out_json) {
	double number;
	if (memchr(node->text.ptr, '\0', node->text.len)) {
		return refuse(c, node, ERR_INVALID, "a text with a NUL byte");
	}
	int boolean = node->is_string ? -1 : boolean_of(node->text);
	if (node->is_string) {
		*out_json = cJSON_CreateString(node->text.ptr);
	} else if (doc_is_null(node)) {
		*out_json = cJSON_CreateNull();
	} else if (is_infinite(node->text)) {
		return refuse(c, node, ERR_INVALID,
			"%s is no number that JSON has; put it in quotes", node->text.ptr);
	} else if (boolean >= 0) {
		*out_json = cJSON_CreateBool(boolean);
	} else if (number_of(node->text, &number)) {
		*out_json = cJSON_CreateNumber(number);
	} else {
		*out_json = cJSON_CreateString(node->text.ptr);
	}
	return *out_json ? OK : ERR_NOMEM;
}

/* --- containers --- */

/* A key is a text: of a boolean its JSON word, of a whole number its decimal digits. */
static void key_text(const struct doc_node *key, char *out, size_t size) {
	double number;
	int boolean = key->is_string ? -1 : boolean_of(key->text);
	if (boolean >= 0)
		snprintf(out, size, "%s", boolean ? "true" : "false");
	else if (!key->is_string && number_of(key->text, &number) && number == trunc(number))
		snprintf(out, size, "%.0f", number);
	else
		snprintf(out, size, "%s", key->text.ptr);
}

static bool is_merge(const struct doc_node *key) {
	return !key->is_string && str_eq(key->text, STR("<<"));
}

static enum err add_pair(struct converter *c, const struct doc_node *key,
	const struct doc_node *value, unsigned level, cJSON *object) {
	size_t size = key->text.len + NUMBER_BYTES;
	char *name = mem_alloc(size);
	cJSON *json = NULL;
	enum err err = name ? OK : ERR_NOMEM;
	if (err) goto out;
	key_text(key, name, size);
	/* What a mapping says itself comes before what it merges. */
	if (cJSON_HasObjectItem(object, name) && cJSON_GetObjectItemCaseSensitive(object, name))
		goto out;
	err = convert(c, value, level, &json);
	if (!err && !cJSON_AddItemToObject(object, name, json)) err = ERR_NOMEM;
	if (err) cJSON_Delete(json);
out:
	mem_free(name);
	return err;
}

static enum err fill_object(struct converter *c, const struct doc_node *node, unsigned level,
	cJSON *object, bool merges);

static enum err merge(
	struct converter *c, const struct doc_node *value, unsigned level, cJSON *object) {
	if (value->kind == DOC_MAPPING) {
		enum err err = fill_object(c, value, level, object, false);
		return err ? err : fill_object(c, value, level, object, true);
	}
	enum err err = OK;
	for (unsigned i = value->first; i && !err; i = c->doc->nodes[i].next) {
		const struct doc_node *item = doc_at(c->doc, i);
		if (item->kind == DOC_MAPPING) err = merge(c, item, level, object);
	}
	return err;
}

/* First a mapping's own pairs, then those of its merge keys. */
static enum err fill_object(struct converter *c, const struct doc_node *node, unsigned level,
	cJSON *object, bool merges) {
	enum err err = level > LEVELS_MAX ? ERR_TOO_LARGE : OK;
	unsigned next = 0;
	for (unsigned i = node->first; i && !err; i = c->doc->nodes[next].next) {
		const struct doc_node *key = doc_at(c->doc, i);
		next = c->doc->nodes[i].next;
		const struct doc_node *value = doc_at(c->doc, next);
		if (is_merge(key) != merges) continue;
		err = merges ? merge(c, value, level + 1, object)
			     : add_pair(c, key, value, level + 1, object);
	}
	return err;
}

static enum err fill_array(
	struct converter *c, const struct doc_node *node, unsigned level, cJSON *array) {
	for (unsigned i = node->first; i; i = c->doc->nodes[i].next) {
		cJSON *item = NULL;
		enum err err = convert(c, doc_at(c->doc, i), level + 1, &item);
		if (err) return err;
		if (!cJSON_AddItemToArray(array, item)) {
			cJSON_Delete(item);
			return ERR_NOMEM;
		}
	}
	return OK;
}

static enum err convert(
	struct converter *c, const struct doc_node *node, unsigned level, cJSON **out_json) {
	if (++c->values > VALUES_MAX || level > LEVELS_MAX) {
		return refuse(c, node, ERR_TOO_LARGE, "more than %d values, or more than %d levels",
			VALUES_MAX, LEVELS_MAX);
	}
	if (node->kind == DOC_SCALAR) return convert_scalar(c, node, out_json);
	bool is_object = node->kind == DOC_MAPPING;
	cJSON *json = is_object ? cJSON_CreateObject() : cJSON_CreateArray();
	if (!json) return ERR_NOMEM;
	enum err err = is_object ? fill_object(c, node, level, json, false)
				 : fill_array(c, node, level, json);
	if (!err && is_object) err = fill_object(c, node, level, json, true);
	if (err)
		cJSON_Delete(json);
	else
		*out_json = json;
	return err;
}

enum err doc_to_json(const struct doc *doc, const struct doc_node *node, cJSON **out_json,
	struct doc_place *out_place, struct fault *fault) {
	struct converter c = { .doc = doc, .place = { 1, 1 }, .fault = fault };
	enum err err = convert(&c, node, 0, out_json);
	if (err) *out_place = c.place;
	if (err == ERR_NOMEM) return fault_set(fault, err, "out of memory");
	return err;
}
