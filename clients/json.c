#include "clients/json.h"

#include <math.h>

#include "base/mem.h"

/* --- documents: cJSON behind checks --- */

static int hex_value(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return -1;
}

/* Four hex digits at the start of s, or -1. */
static int32_t code_unit(struct str s) {
	int32_t unit = 0;
	if (s.len < 4) return -1;
	for (size_t i = 0; i < 4; i++) {
		int digit = hex_value(s.ptr[i]);
		if (digit < 0) return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* What stands behind the backslash at the start of s. cJSON cuts a string at \u0000, and takes a bad \u for that. */
static enum err check_escape(struct str s, struct fault *fault) {
	if (!str_starts(s, STR("\\u"))) return OK;
	int32_t unit = code_unit(str_slice(s, 2, 4));
	if (unit > 0) return OK;
	return fault_set(fault, ERR_PARSE,
		unit ? "a malformed \\u stands in a JSON text" : "\\u0000 stands in a JSON text");
}

/* What cJSON would not survive well: nesting (it recurses), and NUL in strings (it cuts them there, silently). */
static enum err check_text(struct str text, struct fault *fault) {
	unsigned depth = 0;
	bool in_string = false;
	enum err err = OK;
	for (size_t i = 0; i < text.len && !err; i++) {
		char c = text.ptr[i];
		if (c == 0) return fault_set(fault, ERR_PARSE, "a NUL byte stands in a JSON text");
		if (in_string) {
			if (c == '"') in_string = false;
			if (c == '\\') err = check_escape(str_slice(text, i++, 6), fault);
			continue;
		}
		if (c == '"') in_string = true;
		if ((c == '{' || c == '[') && ++depth > JSON_MAX_DEPTH) {
			err = fault_set(fault, ERR_PARSE,
				"a JSON text is nested deeper than %d levels", JSON_MAX_DEPTH);
		}
		if ((c == '}' || c == ']') && depth > 0) depth--;
	}
	return err;
}

static bool is_blank(struct str text) {
	for (size_t i = 0; i < text.len; i++) {
		if (!strchr(" \t\r\n", text.ptr[i]) || !text.ptr[i]) return false;
	}
	return true;
}

enum err json_parse(struct str text, cJSON **out_json, struct fault *fault) {
	const char *end = NULL;
	enum err err = check_text(text, fault);
	if (err) return err;
	/* cJSON does not tell bad text and missing memory apart; who lists objects must not take the one for the other. */
	uint64_t failures = mem_failures();
	cJSON *json = cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, false);
	if (!json && mem_failures() != failures)
		return fault_set(fault, ERR_NOMEM, "out of memory for %zu bytes of JSON", text.len);
	if (!json) return fault_set(fault, ERR_PARSE, "not valid JSON (%zu bytes)", text.len);
	if (!is_blank(str_slice(text, (size_t)(end - text.ptr), text.len))) {
		cJSON_Delete(json);
		return fault_set(fault, ERR_PARSE, "something follows a JSON document");
	}
	*out_json = json;
	return OK;
}

const cJSON *json_get(const cJSON *json, const char *path) {
	struct str rest = str_of(path);
	while (json && rest.ptr && rest.len) {
		struct str name = str_next(&rest, '.');
		const cJSON *child = cJSON_IsObject(json) ? json->child : NULL;
		while (child && !str_eq(str_of(child->string), name)) child = child->next;
		json = child;
	}
	return json;
}

struct str json_str(const cJSON *json, const char *path) {
	const cJSON *value = json_get(json, path);
	return cJSON_IsString(value) ? str_of(value->valuestring) : STR_NULL;
}

int64_t json_double_i64(double number, int64_t fallback) {
	bool exact = fabs(number) <= 9007199254740992.0 && number == floor(number);
	return exact ? (int64_t)number : fallback;
}

int64_t json_i64(const cJSON *json, const char *path, int64_t fallback) {
	const cJSON *value = json_get(json, path);
	int64_t number = 0;
	if (cJSON_IsString(value))
		return str_to_i64(str_of(value->valuestring), &number) == OK ? number : fallback;
	if (!cJSON_IsNumber(value)) return fallback;
	return json_double_i64(value->valuedouble, fallback);
}

bool json_bool(const cJSON *json, const char *path, bool fallback) {
	const cJSON *value = json_get(json, path);
	return cJSON_IsBool(value) ? cJSON_IsTrue(value) : fallback;
}

/* --- scanning in place --- */

static struct str skip_blank(struct str s) {
	while (s.len &&
		(s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\r' || s.ptr[0] == '\n'))
		s = str_slice(s, 1, s.len);
	return s;
}

static bool starts_with(struct str s, char c) {
	return s.len && s.ptr[0] == c;
}

/* Length of the string at the start of s, which begins with a quote, quotes included; 0: malformed. */
static size_t string_len(struct str s) {
	for (size_t at = 1; at < s.len;) {
		const char *quote = memchr(s.ptr + at, '"', s.len - at);
		if (!quote) return 0;
		const char *first = quote; /* of the backslashes before it */
		while (first[-1] == '\\') first--;
		at = (size_t)(quote - s.ptr) + 1;
		if ((quote - first) % 2 == 0) return at;
	}
	return 0;
}

/* Length of an object or array, by its brackets; 0: malformed. */
static size_t nested_len(struct str s) {
	char closing[JSON_MAX_DEPTH];
	unsigned depth = 0;
	for (size_t i = 0; i < s.len;) {
		char c = s.ptr[i];
		size_t len = c == '"' ? string_len(str_slice(s, i, s.len)) : 1;
		if (len == 0) return 0;
		i += len;
		if (c == '{' || c == '[') {
			if (depth == JSON_MAX_DEPTH) return 0;
			closing[depth++] = c == '{' ? '}' : ']';
		} else if (c == '}' || c == ']') {
			if (!depth || closing[--depth] != c) return 0;
			if (depth == 0) return i;
		}
	}
	return 0;
}

/* Length of the value at the start of s; 0: malformed. */
static size_t value_len(struct str s) {
	size_t len = 0;
	if (!s.len) return 0;
	if (s.ptr[0] == '"') return string_len(s);
	if (s.ptr[0] == '{' || s.ptr[0] == '[') return nested_len(s);
	while (len < s.len && !strchr(",]} \t\r\n", s.ptr[len])) len++;
	return len;
}

static struct json_items begin(struct str text, char bracket) {
	struct json_items items = { ._rest = skip_blank(text) };
	if (!items._rest.len) {
		items._rest = STR_NULL;
		return items;
	}
	if (!starts_with(items._rest, bracket)) items.err = ERR_PARSE;
	items._rest = skip_blank(str_slice(items._rest, 1, items._rest.len));
	return items;
}

struct json_items json_items(struct str array) {
	return begin(array, '[');
}

struct json_items json_members(struct str object) {
	return begin(object, '{');
}

static bool stop(struct json_items *items, enum err err) {
	items->err = err;
	items->_rest = STR_NULL;
	return false;
}

/* Steps over the comma; false at the closing bracket. */
static bool to_next(struct json_items *items, char closing) {
	if (items->err || !items->_rest.ptr) return false;
	if (starts_with(items->_rest, closing)) return stop(items, OK);
	if (items->_started) {
		if (!starts_with(items->_rest, ',')) return stop(items, ERR_PARSE);
		items->_rest = skip_blank(str_slice(items->_rest, 1, items->_rest.len));
	}
	items->_started = true;
	return true;
}

static bool cut_value(struct json_items *items, struct str *out_raw) {
	size_t len = value_len(items->_rest);
	if (!len) return stop(items, ERR_PARSE);
	*out_raw = str_slice(items->_rest, 0, len);
	items->_rest = skip_blank(str_slice(items->_rest, len, items->_rest.len));
	return true;
}

bool json_next_item(struct json_items *items, struct str *out_raw) {
	return to_next(items, ']') && cut_value(items, out_raw);
}

bool json_next_member(struct json_items *items, struct str *out_raw_key, struct str *out_raw) {
	struct str key;
	if (!to_next(items, '}')) return false;
	if (!starts_with(items->_rest, '"')) return stop(items, ERR_PARSE);
	if (!cut_value(items, &key)) return false;
	if (!starts_with(items->_rest, ':')) return stop(items, ERR_PARSE);
	items->_rest = skip_blank(str_slice(items->_rest, 1, items->_rest.len));
	*out_raw_key = key;
	return cut_value(items, out_raw);
}

/* --- strings --- */

static size_t utf8_encode(uint32_t code, char out_bytes[static 4]) {
	if (code < 0x80) {
		out_bytes[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out_bytes[0] = (char)(0xC0 | code >> 6);
		out_bytes[1] = (char)(0x80 | (code & 63));
		return 2;
	}
	if (code < 0x10000) {
		out_bytes[0] = (char)(0xE0 | code >> 12);
		out_bytes[1] = (char)(0x80 | (code >> 6 & 63));
		out_bytes[2] = (char)(0x80 | (code & 63));
		return 3;
	}
	out_bytes[0] = (char)(0xF0 | code >> 18);
	out_bytes[1] = (char)(0x80 | (code >> 12 & 63));
	out_bytes[2] = (char)(0x80 | (code >> 6 & 63));
	out_bytes[3] = (char)(0x80 | (code & 63));
	return 4;
}

/* Decodes the escape at the start of s (behind the backslash): bytes to out, their number to *out_len. Returns the length of
 * the escape in s; 0: malformed. */
static size_t unescape(struct str s, char out_bytes[static 4], size_t *out_len) {
	static const char plain[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
	if (!s.len) return 0;
	for (size_t i = 0; plain[i]; i += 2) {
		if (plain[i] != s.ptr[0]) continue;
		out_bytes[0] = plain[i + 1];
		*out_len = 1;
		return 1;
	}
	int32_t unit = s.ptr[0] == 'u' ? code_unit(str_slice(s, 1, 4)) : -1;
	if (unit < 0) return 0;
	bool high = unit >= 0xD800 && unit < 0xDC00, low = unit >= 0xDC00 && unit < 0xE000;
	int32_t second = high && str_starts(str_slice(s, 5, 2), STR("\\u"))
				 ? code_unit(str_slice(s, 7, 4))
				 : -1;
	if (second >= 0xDC00 && second < 0xE000) {
		*out_len = utf8_encode(
			0x10000 + ((uint32_t)(unit - 0xD800) << 10) + (uint32_t)(second - 0xDC00),
			out_bytes);
		return 11;
	}
	*out_len = utf8_encode(high || low ? 0xFFFD : (uint32_t)unit, out_bytes);
	return 5;
}

/* How many bytes at the start of s stand for themselves. */
static size_t plain_run(struct str s) {
	/* Eight at a time, without a branch, so that the compiler can do them at once: values are long and mostly plain. */
	size_t run = 0;
	for (; run + 8 <= s.len; run += 8) {
		unsigned special = 0;
		for (size_t i = run; i < run + 8; i++)
			special |= (s.ptr[i] == '\\') | (s.ptr[i] == '"') |
				   ((unsigned char)s.ptr[i] < 0x20);
		if (special) break;
	}
	while (run < s.len && s.ptr[run] != '\\' && s.ptr[run] != '"' &&
		(unsigned char)s.ptr[run] >= 0x20)
		run++;
	return run;
}

/* Walks the content of a raw string piece by piece: plain runs, then one escape. False at the end or on malformed text. */
static bool next_piece(
	struct str *rest, struct str *out_piece, char scratch[static 4], enum err *out_err) {
	size_t run = plain_run(*rest), len = 0;
	if (!rest->len) return false;
	if (run) {
		*out_piece = str_slice(*rest, 0, run);
		*rest = str_slice(*rest, run, rest->len);
		return true;
	}
	size_t used =
		rest->ptr[0] == '\\' ? unescape(str_slice(*rest, 1, rest->len), scratch, &len) : 0;
	if (!used) {
		*out_err = ERR_PARSE;
		return false;
	}
	*out_piece = (struct str){ scratch, len };
	*rest = str_slice(*rest, used + 1, rest->len);
	return true;
}

static enum err string_content(struct str raw, struct str *out_content) {
	if (raw.len < 2 || raw.ptr[0] != '"' || string_len(raw) != raw.len) return ERR_PARSE;
	*out_content = str_slice(raw, 1, raw.len - 2);
	return OK;
}

enum err json_unescape(struct str raw_string, struct sink sink) {
	struct str rest, piece;
	char scratch[4];
	enum err err = string_content(raw_string, &rest);
	if (err) return err;
	while (next_piece(&rest, &piece, scratch, &err)) sink.put(sink.arg, piece);
	return err;
}

enum err json_unescape_secret(struct str raw_string, struct secret *out_secret) {
	enum err err = json_unescape(raw_string, secret_sink(out_secret));
	return err ? err : secret_err(out_secret);
}

/* Mostly it is written as it is. */
static bool is_as_written(struct str raw, struct str text) {
	return raw.len == text.len + 2 && raw.ptr[0] == '"' && raw.ptr[raw.len - 1] == '"' &&
	       str_eq(str_slice(raw, 1, text.len), text) && str_find_char(text, '\\') == SIZE_MAX &&
	       str_find_char(text, '"') == SIZE_MAX;
}

bool json_string_is(struct str raw_string, struct str text) {
	struct str rest, piece;
	char scratch[4];
	if (is_as_written(raw_string, text)) return true;
	if (raw_string.len < text.len + 2 || str_find_char(raw_string, '\\') == SIZE_MAX)
		return false;
	enum err err = string_content(raw_string, &rest);
	if (err) return false;
	while (next_piece(&rest, &piece, scratch, &err)) {
		if (!str_starts(text, piece)) return false;
		text = str_slice(text, piece.len, text.len);
	}
	return !err && text.len == 0;
}

/* Every name's first value, or STR_NULL. OK: all were found. */
static enum err scan_members(struct str object, const struct json_wanted *wanted, unsigned count) {
	struct str raw_key, raw;
	struct json_items members = json_members(object);
	unsigned missing = count;
	for (unsigned i = 0; i < count; i++) *wanted[i].raw = STR_NULL;
	while (missing && json_next_member(&members, &raw_key, &raw)) {
		for (unsigned i = 0; i < count; i++) {
			if (wanted[i].raw->ptr || !json_string_is(raw_key, wanted[i].name))
				continue;
			*wanted[i].raw = raw;
			missing--;
		}
	}
	if (!missing) return OK;
	return members.err ? members.err : ERR_NOT_FOUND;
}

enum err json_scan_member(struct str object, const char *key, struct str *out_raw) {
	struct str raw;
	enum err err = scan_members(object, &(struct json_wanted){ str_of(key), &raw }, 1);
	if (!err) *out_raw = raw;
	return err;
}

void json_scan_members(struct str object, const struct json_wanted *wanted, unsigned count) {
	(void)scan_members(object, wanted, count);
}
