#include "clients/json_reader.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

enum { NUMBER_BYTES = 512, EXACT_DIGITS = 15 };

void json_reader_init(struct json_reader *reader, struct str text) {
	struct str bom = STR("\xEF\xBB\xBF");
	size_t from = str_starts(text, bom) ? bom.len : 0;
	*reader = (struct json_reader){ .err = OK };
	if (!text.ptr) text = STR("");
	reader->_start = text.ptr;
	reader->_end = text.ptr + text.len;
	reader->_at = text.ptr + from;
}

static bool fail(struct json_reader *reader) {
	reader->err = ERR_PARSE;
	return false;
}

static bool is_at(const struct json_reader *reader, char c) {
	return reader->_at < reader->_end && *reader->_at == c;
}

static bool step_over(struct json_reader *reader, char c) {
	if (!is_at(reader, c)) return false;
	reader->_at++;
	return true;
}

/* cJSON takes all control characters for blanks; a NUL is none. */
static void skip_blank(struct json_reader *reader) {
	while (reader->_at < reader->_end && (unsigned char)*reader->_at <= ' ' && *reader->_at)
		reader->_at++;
}

/* --- strings --- */

/* The code unit whose four digits follow, 0 where it is none; a NUL is none. */
static unsigned read_code_unit(struct json_reader *reader) {
	unsigned unit = 0;
	if (reader->_end - reader->_at < 4) return 0;
	for (int i = 0; i < 4; i++) {
		char c = *reader->_at++;
		bool decimal = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'f';
		if (!decimal && !lower && !(c >= 'A' && c <= 'F')) return 0;
		unsigned digit = (unsigned)(decimal ? c - '0' : (c | 0x20) - 'a' + 10);
		unit = unit * 16 + digit;
	}
	return unit;
}

static bool is_high(unsigned unit) {
	return unit >= 0xD800 && unit < 0xDC00;
}

static bool is_low(unsigned unit) {
	return unit >= 0xDC00 && unit < 0xE000;
}

/* Behind the backslash. Half of a surrogate pair is no character. */
static bool read_escape(struct json_reader *reader) {
	if (reader->_at == reader->_end) return false;
	char c = *reader->_at++;
	if (c != 'u') return c && strchr("\"\\/bfnrt", c);
	unsigned unit = read_code_unit(reader);
	if (!is_high(unit)) return unit && !is_low(unit);
	return step_over(reader, '\\') && step_over(reader, 'u') && is_low(read_code_unit(reader));
}

static bool is_plain(char c) {
	return c != '"' && c != '\\' && c;
}

static const uint64_t EACH_BYTE = 0x0101010101010101, TOP_BITS = 0x8080808080808080;

/* The first byte that is 0 has its top bit set, and none before it; those behind it may. */
static uint64_t zero_bytes(uint64_t eight) {
	return (eight - EACH_BYTE) & ~eight & TOP_BITS;
}

static uint64_t special_bytes(const char *eight) {
	uint64_t bytes;
	memcpy(&bytes, eight, sizeof bytes);
	bytes = le64toh(bytes); /* so that the first byte is the lowest */
	return zero_bytes(bytes ^ EACH_BYTE * '"') | zero_bytes(bytes ^ EACH_BYTE * '\\') |
	       zero_bytes(bytes);
}

/* Eight at once: most of what is read are strings. */
static const char *skip_plain(const char *at, const char *end) {
	for (; end - at >= 8; at += 8) {
		uint64_t special = special_bytes(at);
		if (special) return at + __builtin_ctzll(special) / 8;
	}
	while (at < end && is_plain(*at)) at++;
	return at;
}

static bool read_string(struct json_reader *reader) {
	if (!step_over(reader, '"')) return false;
	reader->_escaped = false;
	for (;;) {
		reader->_at = skip_plain(reader->_at, reader->_end);
		if (step_over(reader, '"')) return true;
		if (!step_over(reader, '\\') || !read_escape(reader)) return false;
		reader->_escaped = true;
	}
}

/* --- numbers and words --- */

static size_t read_digits(struct json_reader *reader) {
	const char *start = reader->_at;
	while (reader->_at < reader->_end && *reader->_at >= '0' && *reader->_at <= '9')
		reader->_at++;
	return (size_t)(reader->_at - start);
}

/* As strtod() reads what begins with a digit or a minus. */
static bool read_number(struct json_reader *reader) {
	if (is_at(reader, '.')) return false;
	(void)step_over(reader, '-');
	size_t digits = read_digits(reader);
	if (step_over(reader, '.')) digits += read_digits(reader);
	if (!digits) return false;
	if (is_at(reader, 'e') || is_at(reader, 'E')) {
		reader->_at++;
		if (!step_over(reader, '-')) (void)step_over(reader, '+');
		if (!read_digits(reader)) return false;
	}
	return true;
}

static bool read_word(struct json_reader *reader, struct str word) {
	struct str rest = { reader->_at, (size_t)(reader->_end - reader->_at) };
	if (!str_starts(rest, word)) return false;
	reader->_at += word.len;
	return true;
}

static bool read_scalar(struct json_reader *reader) {
	switch (*reader->_at) {
	case '"':
		return read_string(reader);
	case 't':
		return read_word(reader, STR("true"));
	case 'f':
		return read_word(reader, STR("false"));
	case 'n':
		return read_word(reader, STR("null"));
	default:
		return read_number(reader);
	}
}

/* --- objects and arrays --- */

bool json_enter(struct json_reader *reader, char bracket) {
	assert(bracket == '{' || bracket == '[');
	if (reader->err) return false;
	skip_blank(reader);
	if (!is_at(reader, bracket)) return false;
	if (reader->_depth == JSON_MAX_DEPTH) return fail(reader);
	reader->_at++;
	reader->_closing[reader->_depth++] = bracket == '{' ? '}' : ']';
	reader->_fresh = true;
	return true;
}

bool json_next(struct json_reader *reader) {
	if (reader->err) return false;
	assert(reader->_depth);
	skip_blank(reader);
	if (step_over(reader, reader->_closing[reader->_depth - 1])) {
		reader->_depth--;
		reader->_fresh = false;
		return false;
	}
	if (!reader->_fresh && !step_over(reader, ',')) return fail(reader);
	reader->_fresh = false;
	return true;
}

static bool read_key(struct json_reader *reader, struct json_key *out_key) {
	skip_blank(reader);
	const char *start = reader->_at;
	if (!read_string(reader)) return fail(reader);
	out_key->raw = (struct str){ start, (size_t)(reader->_at - start) };
	out_key->escaped = reader->_escaped;
	skip_blank(reader);
	return step_over(reader, ':') || fail(reader);
}

bool json_next_key(struct json_reader *reader, struct json_key *out_key) {
	return json_next(reader) && read_key(reader, out_key);
}

/* Enters what can be entered, and reads what cannot. */
static bool begin_value(struct json_reader *reader) {
	skip_blank(reader);
	if (reader->_at == reader->_end) return fail(reader);
	char first = *reader->_at;
	if (first == '{' || first == '[') return json_enter(reader, first);
	if (!read_scalar(reader)) return fail(reader);
	reader->_fresh = false;
	return true;
}

static bool next_of_any(struct json_reader *reader) {
	struct json_key key;
	return reader->_closing[reader->_depth - 1] == '}' ? json_next_key(reader, &key)
							   : json_next(reader);
}

bool json_read(struct json_reader *reader, struct str *out_raw) {
	unsigned depth = reader->_depth;
	if (reader->err) return false;
	skip_blank(reader);
	const char *start = reader->_at;
	bool good = begin_value(reader);
	while (good && reader->_depth > depth)
		good = next_of_any(reader) ? begin_value(reader) : !reader->err;
	if (good && out_raw) *out_raw = (struct str){ start, (size_t)(reader->_at - start) };
	return good;
}

enum err json_reader_end(struct json_reader *reader, struct fault *fault) {
	size_t at = (size_t)(reader->_at - reader->_start);
	struct str rest = { reader->_at, (size_t)(reader->_end - reader->_at) };
	if (reader->err)
		return fault_set(
			fault, ERR_PARSE, "not valid JSON (byte %zu of %zu)", at, at + rest.len);
	assert(!reader->_depth);
	while (rest.len && strchr(" \t\r\n", rest.ptr[0]) && rest.ptr[0])
		rest = str_slice(rest, 1, rest.len);
	return rest.len ? fault_set(fault, ERR_PARSE, "something follows a JSON document") : OK;
}

/* --- values --- */

/* At most 15 digits and a minus: then nothing is lost, and nothing has to be asked of strtod(). */
static bool is_short_integer(struct str raw, int64_t *out_number) {
	bool minus = raw.len && raw.ptr[0] == '-';
	size_t first = minus ? 1 : 0;
	int64_t number = 0;
	if (raw.len > EXACT_DIGITS || raw.len == first) return false;
	for (size_t i = first; i < raw.len; i++) {
		if (raw.ptr[i] < '0' || raw.ptr[i] > '9') return false;
		number = number * 10 + (raw.ptr[i] - '0');
	}
	*out_number = minus ? -number : number;
	return true;
}

static int64_t number_i64(struct str raw, int64_t fallback) {
	char text[NUMBER_BYTES];
	if (raw.len >= sizeof text) return fallback;
	memcpy(text, raw.ptr, raw.len);
	text[raw.len] = 0;
	return json_double_i64(strtod(text, NULL), fallback);
}

struct digits {
	char text[32];
	size_t len; /* also of what had no room */
};

static void put_digits(void *arg, struct str piece) {
	struct digits *digits = arg;
	for (size_t i = 0; i < piece.len; i++, digits->len++)
		if (digits->len < sizeof digits->text) digits->text[digits->len] = piece.ptr[i];
}

static int64_t string_i64(struct str raw, int64_t fallback) {
	struct digits digits = { .len = 0 };
	int64_t number = 0;
	enum err err = json_unescape(raw, (struct sink){ put_digits, &digits });
	if (err || digits.len > sizeof digits.text) return fallback;
	err = str_to_i64((struct str){ digits.text, digits.len }, &number);
	return err ? fallback : number;
}

int64_t json_raw_i64(struct str raw, int64_t fallback) {
	int64_t number = 0;
	assert(raw.len);
	if (is_short_integer(raw, &number)) return number;
	if (raw.ptr[0] == '"') return string_i64(raw, fallback);
	bool is_number = raw.ptr[0] == '-' || (raw.ptr[0] >= '0' && raw.ptr[0] <= '9');
	return is_number ? number_i64(raw, fallback) : fallback;
}

bool json_raw_bool(struct str raw, bool fallback) {
	if (str_eq(raw, STR("true"))) return true;
	return str_eq(raw, STR("false")) ? false : fallback;
}

struct str json_raw_str(struct str raw, struct buf *scratch) {
	if (!raw.len || raw.ptr[0] != '"') return STR_NULL;
	if (str_find_char(raw, '\\') == SIZE_MAX) return str_slice(raw, 1, raw.len - 2);
	buf_reset(scratch);
	enum err err = json_unescape(raw, buf_sink(scratch));
	return err || buf_err(scratch) ? STR_NULL : buf_str(scratch);
}
