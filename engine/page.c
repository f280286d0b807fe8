#include "engine/page.h"

void page_init(struct page *page, struct str body) {
	*page = (struct page){ ._body = body };
}

static void skip_blanks(struct page *page) {
	while (page->_at < page->_body.len && strchr(" \t\r\n", page->_body.ptr[page->_at]))
		page->_at++;
}

/* The next byte that is no blank; NUL at the end. */
static char peek(struct page *page) {
	skip_blanks(page);
	return page->_at < page->_body.len ? page->_body.ptr[page->_at] : '\0';
}

static bool eat(struct page *page, char c) {
	if (peek(page) != c) return false;
	page->_at++;
	return true;
}

static bool skip_string(struct page *page) {
	if (!eat(page, '"')) return false;
	for (; page->_at < page->_body.len; page->_at++) {
		char c = page->_body.ptr[page->_at];
		if (c == '\\')
			page->_at++;
		else if (c == '"')
			return page->_at++, true;
	}
	return false;
}

/* To the end of the brackets that open here. */
static bool skip_brackets(struct page *page) {
	unsigned depth = 0;
	while (page->_at < page->_body.len) {
		char c = page->_body.ptr[page->_at];
		if (c == '"') {
			if (!skip_string(page)) return false;
			continue;
		}
		page->_at++;
		if (c == '{' || c == '[') depth++;
		if ((c == '}' || c == ']') && --depth == 0) return true;
	}
	return false;
}

static bool skip_value(struct page *page, struct str *out_value) {
	char c = peek(page);
	size_t from = page->_at;
	bool good;
	if (c == '"') {
		good = skip_string(page);
	} else if (c == '{' || c == '[') {
		good = skip_brackets(page);
	} else {
		while (page->_at < page->_body.len &&
			!strchr(",]} \t\r\n", page->_body.ptr[page->_at]))
			page->_at++;
		good = page->_at > from;
	}
	*out_value = str_slice(page->_body, from, page->_at - from);
	return good;
}

/* A member of the list itself; stops inside `items`. False: bad. */
static bool next_member(struct page *page) {
	struct str key, value;
	skip_blanks(page);
	size_t from = page->_at;
	if (!skip_string(page)) return false;
	key = str_slice(page->_body, from, page->_at - from);
	if (!eat(page, ':')) return false;
	if (str_eq(key, STR("\"items\"")) && eat(page, '[')) {
		page->_in_items = true;
		return true;
	}
	if (!skip_value(page, &value)) return false;
	if (str_eq(key, STR("\"metadata\""))) page->metadata = value;
	return true;
}

enum page_step page_next(struct page *page, struct str *out_item) {
	if (page->_at == 0 && !eat(page, '{')) return PAGE_BAD;
	for (;;) {
		eat(page, ',');
		if (page->_in_items && eat(page, ']')) {
			page->_in_items = false;
		} else if (page->_in_items) {
			return skip_value(page, out_item) ? PAGE_ITEM : PAGE_BAD;
		} else if (eat(page, '}')) {
			return peek(page) == '\0' && page->_at == page->_body.len ? PAGE_END
										  : PAGE_BAD;
		} else if (!next_member(page)) {
			return PAGE_BAD;
		}
	}
}
