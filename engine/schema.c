#include "engine/schema.h"

#include <math.h>
#include <regex.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/field.h"
#include "engine/nearest.h"
#include "engine/text.h"

struct walk {
	struct fault_sink *sink;
	struct buf path;
	enum err err; /* out of memory */
};

static void check_value(struct walk *walk, const cJSON *schema, const cJSON *value);

static const cJSON *get(const cJSON *object, const char *key) {
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *text_of(const cJSON *json) {
	return cJSON_IsString(json) ? json->valuestring : "";
}

#define report(walk, format, ...)                                                    \
	do {                                                                         \
		struct fault fault_ = fault_make(ERR_INVALID, "%.*s " format,        \
			STR_ARG(buf_str(&(walk)->path)) __VA_OPT__(, ) __VA_ARGS__); \
		(walk)->sink->add((walk)->sink, &fault_);                            \
	} while (0)

/* The path gets longer for what is looked at below, and is cut again. */
static void cut_path(struct walk *walk, size_t len) {
	enum err err = buf_err(&walk->path);
	char *kept = mem_strdup(str_slice(buf_str(&walk->path), 0, len));
	if (!kept) err = ERR_NOMEM;
	if (err) walk->err = err;
	buf_reset(&walk->path);
	buf_append(&walk->path, str_of(kept));
	mem_free(kept);
}

/* --- scalars --- */

static size_t characters(struct str s) {
	size_t count = 0;
	for (size_t i = 0; i < s.len; i++) count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
	return count;
}

static bool matches(struct walk *walk, const char *pattern, const char *text) {
	regex_t regex;
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB)) {
		walk->err = ERR_NOMEM;
		return true;
	}
	bool found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

static void check_enum(struct walk *walk, const cJSON *allowed, struct str text) {
	struct buf words;
	const cJSON *one;
	buf_init(&words, 400);
	cJSON_ArrayForEach(one, allowed) {
		if (str_eq(text, str_of(text_of(one)))) goto out;
		buf_printf(&words, "%s%s", buf_str(&words).len ? ", " : "", text_of(one));
	}
	report(walk, "has to be one of %s, not \"%.*s\"", buf_cstr(&words), TEXT_ARG(text));
out:
	buf_deinit(&words);
}

static void check_string(struct walk *walk, const cJSON *schema, struct str text) {
	const cJSON *least = get(schema, "minLength"), *most = get(schema, "maxLength");
	const cJSON *pattern = get(schema, "pattern");
	if (least && (double)characters(text) < least->valuedouble)
		report(walk, "has to have at least %.0f character%s", least->valuedouble,
			least->valuedouble == 1 ? "" : "s");
	else if (most && (double)characters(text) > most->valuedouble)
		report(walk, "is longer than %.0f characters", most->valuedouble);
	else if (pattern && !matches(walk, text_of(pattern), text.ptr))
		report(walk, "\"%.*s\" does not match the pattern %s", TEXT_ARG(text),
			text_of(pattern));
	else if (get(schema, "enum"))
		check_enum(walk, get(schema, "enum"), text);
}

static void check_number(struct walk *walk, const cJSON *schema, double number) {
	const cJSON *least = get(schema, "minimum"), *most = get(schema, "maximum");
	if (least && number < least->valuedouble)
		report(walk, "has to be at least %.0f", least->valuedouble);
	if (most && number > most->valuedouble)
		report(walk, "has to be at most %.0f", most->valuedouble);
}

/* --- containers --- */

static void report_unknown(struct walk *walk, const cJSON *properties, struct str key) {
	struct nearest nearest = nearest_init(key);
	const cJSON *one;
	cJSON_ArrayForEach(one, properties) nearest_offer(&nearest, one->string);
	size_t len = buf_str(&walk->path).len;
	field_append_key(&walk->path, key);
	if (nearest.word)
		report(walk,
			"is no field of this kind: kubectl refuses it, other clients lose it. Did "
			"you mean %s?",
			nearest.word);
	else
		report(walk, "is no field of this kind: kubectl refuses it, other clients lose it. "
			     "Take it out");
	cut_path(walk, len);
}

static void check_required(struct walk *walk, const cJSON *schema, const cJSON *object) {
	const cJSON *one;
	cJSON_ArrayForEach(one, get(schema, "required")) {
		const cJSON *value = get(object, text_of(one));
		if (value && !cJSON_IsNull(value)) continue;
		size_t len = buf_str(&walk->path).len;
		field_append_key(&walk->path, str_of(text_of(one)));
		report(walk, "is not set");
		cut_path(walk, len);
	}
}

static void check_object(struct walk *walk, const cJSON *schema, const cJSON *object) {
	const cJSON *properties = get(schema, "properties");
	const cJSON *others = get(schema, "additionalProperties");
	bool open = cJSON_IsTrue(get(schema, "x-kubernetes-preserve-unknown-fields")) ||
		    cJSON_IsTrue(others) || (!properties && !others);
	const cJSON *member;
	cJSON_ArrayForEach(member, object) {
		const cJSON *below = properties ? get(properties, member->string) : NULL;
		if (!below && cJSON_IsObject(others)) below = others;
		/* Metadata has rules of its own; a status is not taken from a manifest. */
		bool is_root = buf_str(&walk->path).len == 0;
		if (is_root && (strcmp(member->string, "metadata") == 0 ||
				       strcmp(member->string, "status") == 0))
			continue;
		if (!below && !open) {
			report_unknown(walk, properties, str_of(member->string));
			continue;
		}
		if (!below || cJSON_IsNull(member)) continue;
		size_t len = buf_str(&walk->path).len;
		field_append_key(&walk->path, str_of(member->string));
		check_value(walk, below, member);
		cut_path(walk, len);
	}
	check_required(walk, schema, object);
}

static bool same_keys(const cJSON *keys, const cJSON *a, const cJSON *b) {
	const cJSON *key;
	cJSON_ArrayForEach(key, keys) {
		if (!cJSON_Compare(get(a, text_of(key)), get(b, text_of(key)), true)) return false;
	}
	return true;
}

static void check_list_map(struct walk *walk, const cJSON *schema, const cJSON *array) {
	const cJSON *keys = get(schema, "x-kubernetes-list-map-keys");
	unsigned index = 0;
	if (!keys) return;
	for (const cJSON *item = array->child; item; item = item->next, index++) {
		for (const cJSON *other = array->child; other != item; other = other->next) {
			if (!same_keys(keys, item, other)) continue;
			size_t len = buf_str(&walk->path).len;
			field_append_index(&walk->path, index);
			field_append_key(&walk->path, str_of(text_of(keys->child)));
			report(walk, "stands here twice; each once");
			cut_path(walk, len);
			break;
		}
	}
}

static void check_array(struct walk *walk, const cJSON *schema, const cJSON *array) {
	const cJSON *least = get(schema, "minItems"), *most = get(schema, "maxItems");
	int count = cJSON_GetArraySize(array);
	if (least && count < least->valuedouble)
		report(walk, "has to have at least %.0f entr%s", least->valuedouble,
			least->valuedouble == 1 ? "y" : "ies");
	if (most && count > most->valuedouble)
		report(walk, "has more than %.0f entries", most->valuedouble);
	unsigned index = 0;
	for (const cJSON *item = array->child; item; item = item->next, index++) {
		size_t len = buf_str(&walk->path).len;
		field_append_index(&walk->path, index);
		check_value(walk, get(schema, "items"), item);
		cut_path(walk, len);
	}
	check_list_map(walk, schema, array);
}

static const char *type_of(const cJSON *value) {
	if (cJSON_IsObject(value)) return "object";
	if (cJSON_IsArray(value)) return "array";
	if (cJSON_IsString(value)) return "string";
	if (cJSON_IsBool(value)) return "boolean";
	if (cJSON_IsNumber(value))
		return value->valuedouble == trunc(value->valuedouble) ? "integer" : "number";
	return "null";
}

/* The words that people who write YAML use. */
static const char *word_of(const char *type) {
	static const char *const words[][2] = {
		{ "object", "a mapping" },
		{ "array", "a list" },
		{ "string", "a string" },
		{ "boolean", "true or false" },
		{ "integer", "a whole number" },
		{ "number", "a number" },
		{ "null", "nothing" },
	};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(type, words[i][0]) == 0) return words[i][1];
	}
	return type;
}

static void check_type(struct walk *walk, const char *wanted, const cJSON *value) {
	const char *is = type_of(value);
	bool quote =
		strcmp(wanted, "string") == 0 && (cJSON_IsBool(value) || cJSON_IsNumber(value));
	report(walk, "has to be %s, not %s%s", word_of(wanted), word_of(is),
		quote ? "; put it in quotes" : "");
}

static void check_value(struct walk *walk, const cJSON *schema, const cJSON *value) {
	const char *wanted = text_of(get(schema, "type")), *is = type_of(value);
	bool fits = !*wanted || strcmp(wanted, is) == 0 ||
		    (strcmp(wanted, "number") == 0 && strcmp(is, "integer") == 0);
	if (!fits)
		check_type(walk, wanted, value);
	else if (cJSON_IsObject(value))
		check_object(walk, schema, value);
	else if (cJSON_IsArray(value))
		check_array(walk, schema, value);
	else if (cJSON_IsString(value))
		check_string(walk, schema, str_of(value->valuestring));
	else if (cJSON_IsNumber(value))
		check_number(walk, schema, value->valuedouble);
}

enum err schema_check(const cJSON *schema, const cJSON *object, struct fault_sink *sink) {
	struct walk walk = { .sink = sink };
	buf_init(&walk.path, 64 << 10);
	check_value(&walk, schema, object);
	if (!walk.err) walk.err = buf_err(&walk.path);
	buf_deinit(&walk.path);
	return walk.err;
}

/* --- defaults --- */

static void drop_nulls(cJSON *object) {
	for (cJSON *member = object->child, *next; member; member = next) {
		next = member->next;
		if (cJSON_IsNull(member)) cJSON_Delete(cJSON_DetachItemViaPointer(object, member));
	}
}

static enum err fill_object(const cJSON *schema, cJSON *object) {
	const cJSON *property;
	drop_nulls(object);
	cJSON_ArrayForEach(property, get(schema, "properties")) {
		const cJSON *standard = get(property, "default");
		cJSON *member = cJSON_GetObjectItemCaseSensitive(object, property->string);
		if (!member && standard) {
			cJSON *copy = cJSON_Duplicate(standard, true);
			if (!copy) return ERR_NOMEM;
			if (!cJSON_AddItemToObject(object, property->string, copy)) {
				cJSON_Delete(copy);
				return ERR_NOMEM;
			}
		}
		enum err err = member ? schema_fill(property, member) : OK;
		if (err) return err;
	}
	return OK;
}

enum err schema_fill(const cJSON *schema, cJSON *value) {
	enum err err = OK;
	if (cJSON_IsObject(value)) return fill_object(schema, value);
	if (!cJSON_IsArray(value)) return OK;
	for (cJSON *item = value->child; item && !err; item = item->next)
		err = schema_fill(get(schema, "items"), item);
	return err;
}
