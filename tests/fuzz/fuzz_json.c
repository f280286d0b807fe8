/* JSON from outside: the scanner for secrets has to see what cJSON sees, wherever both accept a document, and the reader has to
 * take the documents that cJSON takes. */
#include <assert.h>

#include "clients/json_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct secret_arena *arena;

static bool has_control(struct str raw) {
	for (size_t i = 0; i < raw.len; i++) {
		if ((unsigned char)raw.ptr[i] < ' ') return true;
	}
	return false;
}

static void check_member(struct str text, const cJSON *object, const cJSON *member) {
	struct str raw;
	struct secret value;
	if (cJSON_GetObjectItemCaseSensitive(object, member->string) != member) return;
	enum err err = json_scan_member(text, member->string, &raw);
	/* cJSON lets control characters into names and takes odd scalars; then only bounds are checked. */
	if (err) {
		assert(has_control(text) || err == ERR_PARSE || err == ERR_NOT_FOUND);
		return;
	}
	assert(raw.ptr >= text.ptr && raw.ptr + raw.len <= text.ptr + text.len && raw.len > 0);
	if (!cJSON_IsString(member) || has_control(text)) return;
	secret_init(&value, arena, 1 << 16);
	err = json_unescape_secret(raw, &value);
	assert(!err && str_eq(secret_expose(&value), str_of(member->valuestring)));
	secret_deinit(&value);
}

/* cJSON wants two bytes behind a byte order mark. */
static void check_reader(struct str text, enum err theirs) {
	struct json_reader reader;
	if (text.len < 5 && str_starts(text, STR("\xEF"))) return;
	json_reader_init(&reader, text);
	(void)json_read(&reader, NULL);
	assert(json_reader_end(&reader, NULL) == theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct str text = { (const char *)data, size }, raw, key;
	struct secret value;
	cJSON *json = NULL;
	if (!arena) arena = secret_arena_create(1 << 20);
	struct json_items items = json_items(text);
	while (json_next_item(&items, &raw))
		assert(raw.len > 0 && raw.ptr + raw.len <= text.ptr + text.len);
	items = json_members(text);
	while (json_next_member(&items, &key, &raw))
		assert(key.len >= 2 && raw.len > 0 && key.ptr < raw.ptr);
	secret_init(&value, arena, 1 << 16);
	if (json_unescape_secret(text, &value) == OK) assert(secret_len(&value) <= size);
	secret_deinit(&value);
	enum err err = json_parse(text, &json, NULL);
	check_reader(text, err);
	if (!err) {
		(void)json_i64(json, "n", 0);
		for (const cJSON *member = cJSON_IsObject(json) ? json->child : NULL; member;
			member = member->next) {
			check_member(text, json, member);
		}
		cJSON_Delete(json);
	}
	return 0;
}
