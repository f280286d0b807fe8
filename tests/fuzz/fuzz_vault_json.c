/* What a vault, or something in its place, answers: the first byte says to what (an object of a kind, a page of a list) and
 * with which status. A page has to be what cJSON makes of it. */
#include "secret_fuzz.h"

#include "clients/vault_impl.h"

static void read_object(const struct vault_call *call, enum vault_kind kind) {
	struct vault_object object = { 0 };
	struct fault fault = { 0 };
	enum err err = vault_read_object(call, kind, arena, &object, &fault);
	assert(err == fault.err && (!err || fault.text[0]));
	if (!err) {
		assert(object.row.version[0] && (kind == VAULT_SECRET || object.row.enabled));
		(void)vault_object_form(&object);
		vault_object_deinit(&object);
	}
}

static bool has_control(struct str text) {
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.ptr[i] < ' ') return true;
	}
	return false;
}

/* The next row that has attributes. */
static const cJSON *with_attributes(const cJSON *item) {
	while (item && !json_get(item, "attributes")) item = item->next;
	return item;
}

static void compare_row(const cJSON *item, struct str id, const struct vault_row *row) {
	const cJSON *attributes = json_get(item, "attributes");
	struct str expected = json_str(item, "id");
	assert(item);
	if (!expected.len) expected = json_str(item, "kid");
	assert(str_eq(id, expected));
	assert(row->created_s == json_i64(attributes, "created", 0));
	assert(row->updated_s == json_i64(attributes, "updated", 0));
	assert(row->not_before_s == json_i64(attributes, "nbf", 0));
	assert(row->expires_s == json_i64(attributes, "exp", 0));
	assert(row->enabled == json_bool(attributes, "enabled", true));
}

static void compare_page(const struct vault_call *call) {
	struct str body = http_response_body(&call->http), id;
	struct vault_page page;
	struct vault_row row;
	struct buf next;
	cJSON *json = NULL;
	if (has_control(body) || (body.len < 5 && str_starts(body, STR("\xEF")))) return;
	buf_init(&next, 8192);
	enum err theirs = json_parse(body, &json, NULL);
	const cJSON *value = json_get(json, "value");
	if (!theirs && !cJSON_IsArray(value) && !cJSON_IsNull(value)) theirs = ERR_PARSE;
	enum err ours = vault_page_open(&page, call, &next, NULL);
	assert(!ours == !theirs);
	if (!ours) {
		const cJSON *item = with_attributes(value->child);
		assert(str_eq(buf_str(&next), json_str(json, "nextLink")));
		for (; vault_page_next(&page, &id, &row); item = with_attributes(item->next))
			compare_row(item, id, &row);
		assert(!page.err && !item);
		vault_page_close(&page);
	}
	cJSON_Delete(json);
	buf_deinit(&next);
}

static void read_page(const struct vault_call *call) {
	struct vault_rows rows = { 0 };
	struct buf next;
	struct fault fault = { 0 };
	buf_init(&next, 8192);
	enum err err = vault_read_page(call, &rows, &next, &fault);
	assert(err == fault.err);
	bool tied = vault_rows_are_tied(&rows);
	if (!err && vault_rows_select(&rows, STR(""), STR(""), 3) == OK)
		assert(rows.count >= 1 && rows.count <= 3 && rows.rows[0].enabled);
	(void)tied;
	vault_rows_deinit(&rows);
	buf_deinit(&next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const int statuses[] = { 200, 400, 401, 403, 404, 429, 500, 302 };
	struct vault_call call = { 0 };
	struct fault fault = { 0 };
	if (size == 0) return 0;
	enum vault_kind kind = (enum vault_kind)(data[0] % 4 % 3);
	bool page = data[0] % 4 == 3;
	call.http.status = statuses[data[0] >> 2 & 7];
	call.http.response_arena = arena;
	secret_init(&call.http.response_secret, arena, 1 << 20);
	secret_append(&call.http.response_secret, (struct str){ (const char *)data + 1, size - 1 });
	enum err err = vault_result(&call, &fault, STR("https://v.vault.azure.net"), kind, STR("n"));
	assert(!err == (call.http.status == 200) && err == fault.err);
	if (!err && page) compare_page(&call);
	if (!err && page) read_page(&call);
	if (!err && !page) read_object(&call, kind);
	secret_deinit(&call.http.response_secret);
	assert(secret_arena_used_bytes(arena) == 0);
	return 0;
}
