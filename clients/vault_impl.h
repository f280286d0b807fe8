/* clients/vault_impl.h - what the files of vault.h share. */
#pragma once

#include "clients/json_reader.h"
#include "clients/vault.h"

/* The version is the last segment of an identifier. ERR_PARSE: there is none. */
enum err vault_version_of_id(struct str id, char out_version[static VAULT_VERSION_BYTES]);

/* The segment of a URL that leads to what a vault has of a kind: "/secrets/". */
struct str vault_kind_segment(enum vault_kind kind);

/* Reads the value of "attributes": a row without its version. What is no object shows nothing. */
struct vault_row vault_row_read(struct json_reader *reader);

struct vault_page_row {
	struct str id, kid; /* as they are written, in the answer; empty: not there */
	struct vault_row row;
};

/* One page of a list, row by row; the whole page is known to be valid before the first one. */
struct vault_page {
	struct vault_page_row *_rows; /* those that have attributes */
	size_t _count, _cap, _next;
	struct buf _scratch;
	enum err err;
};

/* Sets out_next_link as vault_read_page() does. To be closed unless it fails; the call's answer stays as long. */
enum err vault_page_open(struct vault_page *page, const struct vault_call *call,
	struct buf *out_next_link, struct fault *fault);
/* The next row that has attributes; its id (or kid; empty: none) lasts until the next call. False at the end, or with page->err,
 * which is ERR_NOMEM. */
bool vault_page_next(struct vault_page *page, struct str *out_id, struct vault_row *out_row);
void vault_page_close(struct vault_page *page);
