/* clients/json.h - JSON that comes from outside.
 *
 * Two ways to read it. Ordinary documents go through cJSON, behind helpers that check types and bounds. Documents that hold
 * secret values are never copied to an ordinary heap: a scanner finds members in place, and strings are decoded straight
 * into secret memory. Pure functions; any thread.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/encode.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

enum { JSON_MAX_DEPTH = 128 };

/* Parses one whole document; white space may surround it, nothing else. A NUL byte in it is an error, because cJSON would
 * cut names and values there. The caller frees with cJSON_Delete. ERR_PARSE, ERR_NOMEM. */
enum err json_parse(struct str text, cJSON **out_json, struct fault *fault);

/* A member by its dotted path ("metadata.uid"); names that hold dots cannot be reached. NULL: absent, or json is NULL. */
const cJSON *json_get(const cJSON *json, const char *path);

/* The string at a path ("" stands for json itself); STR_NULL when absent or not a string. Borrowed from json. */
struct str json_str(const cJSON *json, const char *path);

/* The integer at a path: a number without a fraction up to 2^53, or a string of decimal digits (IMDS and Entra's v1 endpoint
 * write numbers so); `fallback` otherwise. */
int64_t json_i64(const cJSON *json, const char *path, int64_t fallback);
int64_t json_double_i64(double number, int64_t fallback);
bool json_bool(const cJSON *json, const char *path, bool fallback);

/* Finds a top-level member of the object that `object` holds and yields its value as written, quotes included. Nested values
 * are skipped over; names are compared after their escapes. Of repeated names the first counts.
 * ERR_NOT_FOUND, or ERR_PARSE where the text is malformed up to the place. Allocates nothing. */
enum err json_scan_member(struct str object, const char *key, struct str *out_raw);

/* The same for several names in one pass: *raw is set to the value of its name, or to STR_NULL. */
struct json_wanted {
	struct str name;
	struct str *raw;
};
void json_scan_members(struct str object, const struct json_wanted *wanted, unsigned count);

/* Whether a string as it is written, quotes included, stands for this text. */
bool json_string_is(struct str raw_string, struct str text);

/* Iterates over the raw elements of an array: false at the end or at a malformed place (then items->err). An empty `array`
 * text yields nothing. */
struct json_items {
	struct str _rest;
	enum err err;
	bool _started;
};
struct json_items json_items(struct str array);
bool json_next_item(struct json_items *items, struct str *out_raw);

/* Iterates over raw members of an object likewise; the key still has its quotes and escapes. */
struct json_items json_members(struct str object);
bool json_next_member(struct json_items *items, struct str *out_raw_key, struct str *out_raw);

/* Puts the bytes that a JSON string (with its quotes) stands for: all escapes, surrogate pairs, \u0000 as a NUL byte; a
 * lone surrogate becomes U+FFFD. Bytes over 0x7F pass as they are. ERR_PARSE on a raw control character, an unknown escape
 * or a missing quote, behind what was put. */
enum err json_unescape(struct str raw_string, struct sink sink);

/* Appends them; the error of the secret otherwise. */
enum err json_unescape_secret(struct str raw_string, struct secret *out_secret);
