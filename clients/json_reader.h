/* clients/json_reader.h - a JSON document read from front to back, in place: nothing is allocated or copied.
 *
 * Takes the texts that json_parse() takes, and no others (tests/fuzz compares the two). Of members the caller enters the ones
 * that it wants and has the others checked and skipped:
 *
 *	if (json_enter(&reader, '{'))
 *		while (json_next_key(&reader, &key)) json_read(&reader, &raw);
 *
 * After each key and each item exactly one value is entered or read; what was entered is read to its end. Then false means the
 * end, or an error in reader.err, that stays. Pure functions; any thread.
 */
#pragma once

#include "base/buf.h"
#include "clients/json.h"

struct json_reader {
	const char *_at, *_start, *_end;
	unsigned _depth;
	bool _fresh; /* nothing of what was entered last has been read yet */
	bool _escaped; /* the last string had escapes */
	enum err err; /* OK or ERR_PARSE */
	char _closing[JSON_MAX_DEPTH];
};

/* Stands before the value that the document is. */
void json_reader_init(struct json_reader *reader, struct str text);

/* Enters the value if it is an object ('{') or array ('['); false: it is not, and still to be read. */
bool json_enter(struct json_reader *reader, char bracket);

struct json_key {
	struct str raw; /* quotes included */
	bool escaped;
};

/* To the next member's value, or to the next item. */
bool json_next_key(struct json_reader *reader, struct json_key *out_key);
bool json_next(struct json_reader *reader);

/* Whether this is the key's text, which is written without escapes as a rule. */
static inline bool json_key_is(const struct json_key *key, struct str text) {
	if (key->escaped) return json_string_is(key->raw, text);
	return key->raw.len == text.len + 2 && !memcmp(key->raw.ptr + 1, text.ptr, text.len);
}

/* Reads a whole value; out_raw (may be NULL) is the text that it is written as. */
bool json_read(struct json_reader *reader, struct str *out_raw);

/* ERR_PARSE, where the document was not valid or is followed by something; the fault says where. */
enum err json_reader_end(struct json_reader *reader, struct fault *fault);

/* What json_i64() and json_bool() make of a value that json_read() has read; what is
 * written longer than any number needs (512 bytes; 32 of a string with escapes) is none. */
int64_t json_raw_i64(struct str raw, int64_t fallback);
bool json_raw_bool(struct str raw, bool fallback);

/* What json_str() makes of it: STR_NULL where it is no string; in the text, or, where it has escapes, put into `scratch` instead of
 * what was there. An error of scratch is left in it. */
struct str json_raw_str(struct str raw, struct buf *scratch);
