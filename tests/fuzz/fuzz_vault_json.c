/* What a vault, or something in its place, answers: the first byte says to what (an object of a kind, a page of versions) and
 * with which status. */
#include "secret_fuzz.h"

#include "clients/vault.h"

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
	if (!err && page) read_page(&call);
	if (!err && !page) read_object(&call, kind);
	secret_deinit(&call.http.response_secret);
	assert(secret_arena_used_bytes(arena) == 0);
	return 0;
}
