/* engine/page.h - one page of a LIST, item by item, without parsing the whole of it at once. Pure;
 * main thread.
 *
 * The scan only finds where values end; each item is checked when it is parsed. Members may come in
 * any order: a server writes `metadata` of custom resources behind `items`.
 */
#pragma once

#include "base/str.h"

struct page {
	struct str _body; /* borrowed until the end */
	size_t _at;
	bool _in_items;
	struct str metadata; /* the list's, as JSON, once PAGE_END was returned; empty: none */
};

enum page_step { PAGE_ITEM, PAGE_END, PAGE_BAD };

void page_init(struct page *page, struct str body);

/* PAGE_ITEM: *out_item is the next item's JSON. PAGE_BAD: the body is cut or no JSON object. */
enum page_step page_next(struct page *page, struct str *out_item);
