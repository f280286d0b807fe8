/* A page of a list, read in place: in a fleet at rest this is most of what there is to do. */
#include "clients/vault_impl.h"

enum { ID_BYTES = 1 << 20 };

/* --- attributes --- */

struct vault_row vault_row_read(struct json_reader *reader) {
	static const struct str names[] = { STR("created"), STR("updated"), STR("nbf"),
		STR("exp") };
	enum { TIMES = sizeof names / sizeof names[0], ENABLED = 1 << TIMES };
	struct vault_row row = { .enabled = true };
	int64_t *const times[TIMES] = { &row.created_s, &row.updated_s, &row.not_before_s,
		&row.expires_s };
	struct json_key key;
	struct str raw;
	unsigned seen = 0; /* of repeated names the first counts */
	if (!json_enter(reader, '{')) {
		(void)json_read(reader, NULL);
		return row;
	}
	while (json_next_key(reader, &key) && json_read(reader, &raw)) {
		for (unsigned i = 0; i < TIMES; i++) {
			if (seen & 1U << i || !json_key_is(&key, names[i])) continue;
			*times[i] = json_raw_i64(raw, 0);
			seen |= 1U << i;
		}
		if (seen & ENABLED || !json_key_is(&key, STR("enabled"))) continue;
		row.enabled = json_raw_bool(raw, true);
		seen |= ENABLED;
	}
	return row;
}

/* --- pages --- */

struct page_parts {
	struct str rows, next_link; /* as they are written; empty: not there */
};

/* Reads to the end, so that nothing of a page counts that is not valid as a whole. */
static enum err find_parts(struct str body, struct page_parts *out_parts, struct fault *fault) {
	struct json_reader reader;
	struct json_key key;
	struct str raw;
	*out_parts = (struct page_parts){ STR_NULL, STR_NULL };
	json_reader_init(&reader, body);
	if (!json_enter(&reader, '{')) {
		(void)json_read(&reader, NULL);
		return json_reader_end(&reader, fault);
	}
	while (json_next_key(&reader, &key) && json_read(&reader, &raw)) {
		if (!out_parts->rows.len && json_key_is(&key, STR("value"))) out_parts->rows = raw;
		if (!out_parts->next_link.len && json_key_is(&key, STR("nextLink")))
			out_parts->next_link = raw;
	}
	return json_reader_end(&reader, fault);
}

static enum err take_link(struct vault_page *page, const struct vault_call *call, struct str raw,
	struct buf *out_next_link, struct fault *fault) {
	struct str next = json_raw_str(raw, &page->_scratch);
	enum err err = buf_err(&page->_scratch);
	if (!err && next.len && str_eq(next, buf_str(&call->http.url))) {
		return fault_set(fault, ERR_PARSE, "the vault's list leads back to the same page");
	}
	buf_reset(out_next_link);
	buf_append(out_next_link, next);
	if (!err) err = buf_err(out_next_link);
	return err ? fault_set(fault, err, "the vault's link to the next page is too long") : OK;
}

enum err vault_page_open(struct vault_page *page, const struct vault_call *call,
	struct buf *out_next_link, struct fault *fault) {
	struct page_parts parts;
	enum err err = find_parts(http_response_body(&call->http), &parts, fault);
	if (err) return err;
	page->err = OK;
	json_reader_init(&page->_reader, parts.rows);
	/* A vault that was never used answers null. */
	if (!json_enter(&page->_reader, '[') && !str_eq(parts.rows, STR("null")))
		return fault_set(fault, ERR_PARSE, "the vault's list has no value array");
	buf_init(&page->_scratch, ID_BYTES);
	err = take_link(page, call, parts.next_link, out_next_link, fault);
	if (err) vault_page_close(page);
	return err;
}

void vault_page_close(struct vault_page *page) {
	buf_deinit(&page->_scratch);
}

struct raw_row {
	struct str id, kid;
	struct vault_row row;
	bool has_attributes;
};

static struct raw_row read_row(struct json_reader *reader) {
	struct raw_row found = { .has_attributes = false };
	struct json_key key;
	struct str raw;
	if (!json_enter(reader, '{')) {
		(void)json_read(reader, NULL);
		return found;
	}
	while (json_next_key(reader, &key)) {
		if (!found.has_attributes && json_key_is(&key, STR("attributes"))) {
			found.has_attributes = true;
			found.row = vault_row_read(reader);
			continue;
		}
		(void)json_read(reader, &raw);
		if (!found.id.len && json_key_is(&key, STR("id"))) found.id = raw;
		if (!found.kid.len && json_key_is(&key, STR("kid"))) found.kid = raw;
	}
	return found;
}

bool vault_page_next(struct vault_page *page, struct str *out_id, struct vault_row *out_row) {
	if (page->err || !page->_reader._depth) return false;
	while (json_next(&page->_reader)) {
		struct raw_row found = read_row(&page->_reader);
		/* Nothing to judge it by: as if it were not there. */
		if (!found.has_attributes) continue;
		*out_id = json_raw_str(found.id, &page->_scratch);
		if (!out_id->len) *out_id = json_raw_str(found.kid, &page->_scratch);
		*out_row = found.row;
		page->err = buf_err(&page->_scratch);
		return !page->err;
	}
	return false;
}

/* The name is the segment behind the kind's: "https://host/secrets/name", with or without a version. */
static struct str name_of_id(struct str id, enum vault_kind kind) {
	struct str segment = vault_kind_segment(kind);
	size_t at = str_find(id, segment);
	if (at == SIZE_MAX) return STR_NULL;
	struct str name = str_slice(id, at + segment.len, id.len);
	size_t end = str_find_char(name, '/');
	return end == SIZE_MAX ? name : str_slice(name, 0, end);
}

enum err vault_read_list(const struct vault_call *call, enum vault_kind kind,
	void (*visit)(void *arg, struct str name, const struct vault_row *row), void *arg,
	struct buf *out_next_link, struct fault *fault) {
	struct vault_page page;
	struct vault_row row;
	struct str id;
	enum err err = vault_page_open(&page, call, out_next_link, fault);
	if (err) return err;
	while (vault_page_next(&page, &id, &row)) {
		struct str name = name_of_id(id, kind);
		if (name.len) visit(arg, name, &row);
	}
	err = page.err;
	vault_page_close(&page);
	return err ? fault_set(fault, err, "the vault's list could not be read: %s", err_text(err))
		   : OK;
}
