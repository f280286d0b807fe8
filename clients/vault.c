#include "clients/vault.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "clients/vault_impl.h"

#define API_VERSION "7.4"

enum {
	URL_BYTES = 8 << 10,
	OBJECT_BYTES =
		256
		<< 10, /* Key Vault's limit is 25 kB of value; every byte of it may be an escape of six */
	PAGE_BYTES = 1 << 20,
};

struct str vault_kind_segment(enum vault_kind kind) {
	static const struct str segments[] = {
		[VAULT_SECRET] = STR("/secrets/"),
		[VAULT_KEY] = STR("/keys/"),
		[VAULT_CERTIFICATE] = STR("/certificates/"),
	};
	return segments[kind];
}

const char *vault_kind_name(enum vault_kind kind) {
	static const char *const names[] = { "secret", "key", "cert" };
	return names[kind];
}

/* --- requests --- */

void vault_call_deinit(struct vault_call *call) {
	http_req_deinit(&call->http);
	buf_deinit(&call->_next_link);
}

static void begin(struct vault_call *call, const struct http_site *site,
	const struct secret *bearer, size_t max_bytes) {
	*call = (struct vault_call){ 0 };
	http_req_init(&call->http, site, HTTP_GET);
	http_req_header(&call->http, "Accept", STR("application/json"));
	call->http.bearer = bearer;
	call->http.max_response_bytes = max_bytes;
	buf_init(&call->http.url, URL_BYTES);
}

static void add_object(
	struct vault_call *call, struct str vault_url, enum vault_kind kind, struct str name) {
	buf_append(&call->http.url, vault_url);
	buf_append(&call->http.url, vault_kind_segment(kind));
	buf_append_url(&call->http.url, name);
}

enum err vault_get(struct vault_call *call, const struct http_site *site, struct str vault_url,
	enum vault_kind kind, struct str name, struct str version, const struct secret *bearer,
	struct secret_arena *arena) {
	begin(call, site, bearer, OBJECT_BYTES);
	call->http.response_arena = arena;
	add_object(call, vault_url, kind, name);
	buf_append_char(&call->http.url, '/');
	buf_append_url(&call->http.url, version);
	buf_append(&call->http.url, STR("?api-version=" API_VERSION));
	return buf_err(&call->http.url);
}

/* A page is asked for only where the first one was: same scheme, same host, port 443 or none. */
static enum err check_next_link(struct str vault_url, struct str next_link) {
	struct str scheme, host, rest, vault_scheme, vault_host, vault_rest;
	unsigned port = 0, vault_port = 0;
	enum err err = http_url_split(next_link, &scheme, &host, &port, &rest);
	if (!err)
		err = http_url_split(
			vault_url, &vault_scheme, &vault_host, &vault_port, &vault_rest);
	if (err) return ERR_DENIED;
	bool same = str_eq_nocase(scheme, STR("https")) && str_eq_nocase(host, vault_host);
	unsigned expected = vault_port ? vault_port : 443;
	return same && (port == 0 || port == expected) ? OK : ERR_DENIED;
}

static enum err add_next_link(struct vault_call *call, struct str vault_url, struct str next_link) {
	enum err err = check_next_link(vault_url, next_link);
	if (err) return err;
	buf_append(&call->http.url, next_link);
	return buf_err(&call->http.url);
}

enum err vault_list_versions(struct vault_call *call, const struct http_site *site,
	struct str vault_url, enum vault_kind kind, struct str name, struct str next_link,
	const struct secret *bearer) {
	begin(call, site, bearer, PAGE_BYTES);
	if (next_link.len) return add_next_link(call, vault_url, next_link);
	add_object(call, vault_url, kind, name);
	buf_append(&call->http.url, STR("/versions?api-version=" API_VERSION));
	return buf_err(&call->http.url);
}

enum err vault_list(struct vault_call *call, const struct http_site *site, struct str vault_url,
	enum vault_kind kind, struct str next_link, const struct secret *bearer) {
	begin(call, site, bearer, PAGE_BYTES);
	if (next_link.len) return add_next_link(call, vault_url, next_link);
	struct str segment = vault_kind_segment(kind);
	buf_append(&call->http.url, vault_url);
	buf_append(&call->http.url, str_slice(segment, 0, segment.len - 1));
	buf_append(&call->http.url, STR("?api-version=" API_VERSION "&maxresults=25"));
	return buf_err(&call->http.url);
}

/* --- version lists --- */

void vault_rows_deinit(struct vault_rows *rows) {
	mem_free(rows->rows);
	*rows = (struct vault_rows){ 0 };
}

static enum err rows_push(struct vault_rows *rows, const struct vault_row *row) {
	if (rows->count == VAULT_MAX_VERSIONS) return ERR_TOO_LARGE;
	if (rows->count == rows->_cap) {
		size_t cap = rows->_cap ? rows->_cap * 2 : 32;
		struct vault_row *grown = mem_realloc(rows->rows, cap * sizeof *grown);
		if (!grown) return ERR_NOMEM;
		rows->rows = grown;
		rows->_cap = cap;
	}
	rows->rows[rows->count++] = *row;
	return OK;
}

enum err vault_rows_append(struct vault_rows *rows, const struct vault_rows *more) {
	enum err err = OK;
	for (size_t i = 0; i < more->count && !err; i++) err = rows_push(rows, &more->rows[i]);
	return err;
}

enum err vault_read_page(const struct vault_call *call, struct vault_rows *rows,
	struct buf *out_next_link, struct fault *fault) {
	struct vault_page page;
	struct vault_row row;
	struct str id;
	enum err err = vault_page_open(&page, call, out_next_link, fault);
	if (err) return err;
	while (!err && vault_page_next(&page, &id, &row)) {
		err = vault_version_of_id(id, row.version);
		if (!err) err = rows_push(rows, &row);
	}
	if (!err) err = page.err;
	vault_page_close(&page);
	return err ? fault_set(fault, err, "the vault's version list could not be read: %s",
			     err_text(err))
		   : OK;
}

static int newest_first(const void *a, const void *b) {
	const struct vault_row *x = a, *y = b;
	if (x->created_s != y->created_s) return x->created_s > y->created_s ? -1 : 1;
	return -str_cmp(str_of(x->version), str_of(y->version));
}

bool vault_rows_are_tied(const struct vault_rows *rows) {
	int64_t newest_s = INT64_MIN;
	unsigned sharing = 0;
	for (size_t i = 0; i < rows->count; i++) {
		const struct vault_row *row = &rows->rows[i];
		if (!row->enabled || row->created_s < newest_s) continue;
		sharing = row->created_s > newest_s ? 1 : sharing + 1;
		newest_s = row->created_s;
	}
	return sharing > 1;
}

/* The current version stands before the others of its second. */
static void lead(struct vault_row *rows, size_t count, struct str current) {
	size_t at = 0;
	while (at < count && !str_eq_nocase(str_of(rows[at].version), current)) at++;
	if (at == count || rows[at].created_s != rows[0].created_s) return;
	struct vault_row row = rows[at];
	memmove(rows + 1, rows, at * sizeof *rows);
	rows[0] = row;
}

enum err vault_rows_select(struct vault_rows *rows, struct str start_version,
	struct str current_version, unsigned limit) {
	size_t kept = 0, first = 0;
	for (size_t i = 0; i < rows->count; i++) {
		if (rows->rows[i].enabled) rows->rows[kept++] = rows->rows[i];
	}
	rows->count = kept;
	if (kept) qsort(rows->rows, kept, sizeof *rows->rows, newest_first);
	if (current_version.len) lead(rows->rows, kept, current_version);
	if (start_version.len && !str_eq(start_version, STR("latest"))) {
		while (first < kept &&
			!str_eq_nocase(str_of(rows->rows[first].version), start_version))
			first++;
	}
	if (first == kept) return ERR_NOT_FOUND;
	rows->count = kept - first < limit ? kept - first : limit;
	memmove(rows->rows, rows->rows + first, rows->count * sizeof *rows->rows);
	return OK;
}
