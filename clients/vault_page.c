/* A page of a list, read in place: in a fleet at rest this is most of what there is to do. */
#include "base/mem.h"
#include "clients/vault_impl.h"

/* Rows of 25, which is what Azure sends at most, are found room for at once, in a block that mem.h keeps. */
enum { ID_BYTES = 1 << 20, PAGE_ROWS = 28 };

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
	struct str next_link; /* as it is written; empty: not there */
	bool has_rows;
	enum err err; /* what the rows have met with */
};

/* False: no memory. */
static bool reserve_row(struct vault_page *page) {
	if (page->_count < page->_cap) return true;
	size_t cap = page->_cap ? 2 * page->_cap : PAGE_ROWS;
	struct vault_page_row *grown = mem_alloc(cap * sizeof *grown);
	if (!grown) return false;
	if (page->_count) memcpy(grown, page->_rows, page->_count * sizeof *grown);
	mem_free(page->_rows);
	page->_rows = grown;
	page->_cap = cap;
	return true;
}

/* True when it has attributes; else there is nothing to judge it by: as if it were not there. */
static bool read_row(struct json_reader *reader, struct vault_page_row *out_row) {
	bool has_attributes = false;
	struct json_key key;
	struct str raw;
	out_row->id = out_row->kid = STR_NULL;
	if (!json_enter(reader, '{')) {
		(void)json_read(reader, NULL);
		return false;
	}
	while (json_next_key(reader, &key)) {
		if (!has_attributes && json_key_is(&key, STR("attributes"))) {
			has_attributes = true;
			out_row->row = vault_row_read(reader);
			continue;
		}
		if (!json_read(reader, &raw)) break;
		if (!out_row->id.len && json_key_is(&key, STR("id"))) out_row->id = raw;
		if (!out_row->kid.len && json_key_is(&key, STR("kid"))) out_row->kid = raw;
	}
	return has_attributes;
}

/* A vault that was never used answers null. */
static enum err read_rows(struct vault_page *page, struct json_reader *reader) {
	struct str raw = STR_NULL;
	if (!json_enter(reader, '['))
		return json_read(reader, &raw) && str_eq(raw, STR("null")) ? OK : ERR_PARSE;
	while (json_next(reader)) {
		if (!reserve_row(page)) return ERR_NOMEM;
		if (read_row(reader, &page->_rows[page->_count])) page->_count++;
	}
	return OK;
}

static void read_member(struct vault_page *page, struct json_reader *reader,
	const struct json_key *key, struct page_parts *parts) {
	struct str raw = STR_NULL;
	if (!parts->has_rows && json_key_is(key, STR("value"))) {
		parts->has_rows = true;
		parts->err = read_rows(page, reader);
		return;
	}
	(void)json_read(reader, &raw);
	if (!parts->next_link.len && json_key_is(key, STR("nextLink"))) parts->next_link = raw;
}

/* Reads to the end, so that nothing of a page counts that is not valid as a whole. */
static enum err read_page(
	struct vault_page *page, struct str body, struct str *out_next_link, struct fault *fault) {
	struct page_parts parts = { .next_link = STR_NULL };
	struct json_reader reader;
	struct json_key key;
	json_reader_init(&reader, body);
	if (json_enter(&reader, '{')) {
		while (parts.err != ERR_NOMEM && json_next_key(&reader, &key))
			read_member(page, &reader, &key, &parts);
	} else {
		(void)json_read(&reader, NULL);
	}
	if (parts.err == ERR_NOMEM)
		return fault_set(fault, ERR_NOMEM, "out of memory for a page of a list");
	enum err err = json_reader_end(&reader, fault);
	if (err) return err;
	if (!parts.has_rows || parts.err)
		return fault_set(fault, ERR_PARSE, "the vault's list has no value array");
	*out_next_link = parts.next_link;
	return OK;
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
	struct str next_link = STR_NULL;
	*page = (struct vault_page){ .err = OK };
	buf_init(&page->_scratch, ID_BYTES);
	enum err err = read_page(page, http_response_body(&call->http), &next_link, fault);
	if (!err) err = take_link(page, call, next_link, out_next_link, fault);
	if (err) vault_page_close(page);
	return err;
}

void vault_page_close(struct vault_page *page) {
	mem_free(take(page->_rows));
	buf_deinit(&page->_scratch);
}

bool vault_page_next(struct vault_page *page, struct str *out_id, struct vault_row *out_row) {
	if (page->err || page->_next == page->_count) return false;
	const struct vault_page_row *found = &page->_rows[page->_next++];
	*out_id = json_raw_str(found->id, &page->_scratch);
	if (!out_id->len) *out_id = json_raw_str(found->kid, &page->_scratch);
	*out_row = found->row;
	page->err = buf_err(&page->_scratch);
	return !page->err;
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
