/* tests/world/world.c - what both models share: requests, responses, JSON. */
#include "tests/world/world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void world_response_init(struct world_response *out) {
	*out = (struct world_response){ .status = 200 };
	buf_init(&out->head, WORLD_HEAD_BYTES);
	buf_init(&out->body, 64 * (size_t)WORLD_BODY_BYTES);
}

void world_response_deinit(struct world_response *out) {
	buf_deinit(&out->head);
	buf_deinit(&out->body);
	*out = (struct world_response){ 0 };
}

void world_response_reset(struct world_response *out) {
	struct buf head = out->head, body = out->body;
	buf_reset(&head);
	buf_reset(&body);
	*out = (struct world_response){ .status = 200, .head = head, .body = body };
}

void world_response_header(struct world_response *out, const char *name, const char *format, ...) {
	va_list args;
	va_start(args, format);
	buf_printf(&out->head, "%s: ", name);
	buf_vprintf(&out->head, format, args);
	buf_append(&out->head, STR("\r\n"));
	va_end(args);
}

void world_response_json(struct world_response *out, int status, cJSON **json) {
	char *text = cJSON_PrintUnformatted(*json);
	assert(text);
	out->status = status;
	buf_reset(&out->body);
	buf_append(&out->body, str_of(text));
	cJSON_free(text);
	cJSON_Delete(*json);
	*json = NULL;
}

bool world_next_header(struct str *rest, struct str *out_name, struct str *out_value) {
	if (rest->len == 0) return false;
	size_t end = str_find(*rest, STR("\r\n"));
	assert(end != SIZE_MAX);
	struct str line = str_slice(*rest, 0, end);
	size_t colon = str_find_char(line, ':');
	assert(colon != SIZE_MAX);
	*out_name = str_slice(line, 0, colon);
	*out_value = str_trim(str_slice(line, colon + 1, SIZE_MAX));
	*rest = str_slice(*rest, end + 2, SIZE_MAX);
	return true;
}

const char *world_reason(int status) {
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 413, "Request Entity Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Entity" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (reasons[i].status == status) return reasons[i].reason;
	}
	return "Unknown";
}

struct str world_request_header(const struct world_request *req, const char *name) {
	for (unsigned i = 0; i < req->header_count; i++) {
		if (str_eq_nocase(req->headers[i].name, str_of(name))) return req->headers[i].value;
	}
	return STR_NULL;
}

static int hex_digit(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return -1;
}

void world_percent_decode(struct str s, bool form, struct buf *out) {
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '%' && i + 2 < s.len && hex_digit(s.ptr[i + 1]) >= 0 &&
			hex_digit(s.ptr[i + 2]) >= 0) {
			c = (char)(hex_digit(s.ptr[i + 1]) * 16 + hex_digit(s.ptr[i + 2]));
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		buf_append_char(out, c);
	}
}

bool world_query(struct str query, const char *name, struct buf *out_value) {
	struct str rest = query;
	while (rest.ptr && rest.len) {
		struct str pair = str_next(&rest, '&');
		struct str value = pair;
		struct str key = str_next(&value, '=');
		struct buf decoded;
		buf_init(&decoded, WORLD_BODY_BYTES);
		world_percent_decode(key, true, &decoded);
		bool found = str_eq(buf_str(&decoded), str_of(name));
		buf_deinit(&decoded);
		if (!found) continue;
		if (out_value && value.ptr) world_percent_decode(value, true, out_value);
		return true;
	}
	return false;
}

int64_t world_query_i64(struct str query, const char *name, int64_t fallback) {
	struct buf text;
	buf_init(&text, WORLD_HEAD_BYTES);
	int64_t value = fallback;
	if (!world_query(query, name, &text) || str_to_i64(buf_str(&text), &value) != OK)
		value = fallback;
	buf_deinit(&text);
	return value;
}

bool world_query_bool(struct str query, const char *name) {
	struct buf text;
	buf_init(&text, WORLD_HEAD_BYTES);
	bool value = world_query(query, name, &text) &&
		     (str_eq(buf_str(&text), STR("true")) || str_eq(buf_str(&text), STR("1")));
	buf_deinit(&text);
	return value;
}

bool world_path_next(struct str *rest, struct buf *out_segment) {
	while (rest->ptr && rest->len) {
		struct str segment = str_next(rest, '/');
		if (!segment.len) continue;
		world_percent_decode(segment, false, out_segment);
		return true;
	}
	return false;
}

#define HIDDEN_NUL "\xf4\x8f\xbf\xbf"

cJSON *world_json_parse(struct str text) {
	struct buf safe;
	buf_init(&safe, 512u << 20);
	size_t from = 0;
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.ptr[i] != '\\') continue;
		if (str_starts(str_slice(text, i, SIZE_MAX), STR("\\u0000"))) {
			buf_append(&safe, str_slice(text, from, i - from));
			buf_append(&safe, STR(HIDDEN_NUL));
			from = i + 6;
			i += 5;
		} else {
			i++;
		}
	}
	buf_append(&safe, str_slice(text, from, SIZE_MAX));
	cJSON *json = cJSON_ParseWithLength(buf_str(&safe).ptr, buf_str(&safe).len);
	buf_deinit(&safe);
	return json;
}

void world_json_value(const cJSON *item, struct buf *out) {
	struct str rest = str_of(cJSON_GetStringValue(item));
	for (size_t at; (at = str_find(rest, STR(HIDDEN_NUL))) != SIZE_MAX;) {
		buf_append(out, str_slice(rest, 0, at));
		buf_append_char(out, '\0');
		rest = str_slice(rest, at + strlen(HIDDEN_NUL), SIZE_MAX);
	}
	buf_append(out, rest);
}

cJSON *world_json_at(const cJSON *json, const char *path) {
	struct str rest = str_of(path);
	char name[256];
	cJSON *at = (cJSON *)json;
	while (at && rest.ptr) {
		struct str part = str_next(&rest, '.');
		assert(part.len < sizeof(name));
		memcpy(name, part.ptr, part.len);
		name[part.len] = '\0';
		at = cJSON_GetObjectItemCaseSensitive(at, name);
	}
	return at;
}

struct str world_json_str(const cJSON *json, const char *path) {
	const char *text = cJSON_GetStringValue(world_json_at(json, path));
	return text ? str_of(text) : STR_NULL;
}

int64_t world_json_i64(const cJSON *json, const char *path, int64_t fallback) {
	const cJSON *item = world_json_at(json, path);
	return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : fallback;
}

bool world_json_bool(const cJSON *json, const char *path, bool fallback) {
	const cJSON *item = world_json_at(json, path);
	return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

void world_json_add(cJSON *object, const char *name, struct str value) {
	char *text = mem_strdup(value);
	assert(text);
	cJSON *item = cJSON_AddStringToObject(object, name, text);
	assert(item);
	mem_free(text);
}

void world_json_add_i64(cJSON *object, const char *name, int64_t value) {
	/* cJSON prints 15 digits of a double. */
	assert(value > -INT64_C(1000000000000000) && value < INT64_C(1000000000000000));
	cJSON *item = cJSON_AddNumberToObject(object, name, (double)value);
	assert(item);
}

void world_hex32(struct rng *rng, char out_text[static WORLD_HEX_BYTES]) {
	snprintf(out_text, WORLD_HEX_BYTES, "%016llx%016llx", (unsigned long long)rng_next(rng),
		(unsigned long long)rng_next(rng));
}

void world_guid(struct rng *rng, char out_text[static WORLD_GUID_BYTES]) {
	char hex[WORLD_HEX_BYTES];
	world_hex32(rng, hex);
	hex[12] = '4';
	snprintf(out_text, WORLD_GUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		hex + 16, hex + 20);
}
