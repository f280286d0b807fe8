#include "engine/field.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "engine/text.h"

static const struct doc_limits INNER = {
	.bytes = 1 << 20,
	.nodes = 100000,
	.depth = 16,
	.keys = 256,
	.allow_alias = true,
};

static bool is_word(char c) {
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static size_t word_length(struct str s) {
	size_t len = 0;
	while (len < s.len && is_word(s.ptr[len])) len++;
	return len;
}

void field_append_key(struct buf *path, struct str key) {
	if (key.len == 0 || word_length(key) < key.len) {
		buf_append(path, STR("["));
		buf_append_json(path, key);
		buf_append(path, STR("]"));
		return;
	}
	if (buf_str(path).len) buf_append_char(path, '.');
	buf_append(path, key);
}

void field_append_index(struct buf *path, unsigned index) {
	buf_printf(path, "[%u]", index);
}

/* YAML in a text (objects) whose items are YAML in texts again. */
enum { INNER_DOCS = 2 };

/* Where the search stands. */
struct cursor {
	const struct doc *doc;
	const struct doc_node *node; /* NULL: what was named last is not there */
	struct str source; /* text of the document of `node` */
	bool exact; /* lines of that document are lines of the file */
	unsigned base; /* lines before it */
	unsigned line; /* found so far */
	struct doc inner[INNER_DOCS];
	unsigned inner_count;
	struct str rest; /* of the fault's text */
	struct buf path;
};

/* The first byte of a node in its document's text. */
static char first_byte(struct str source, const struct doc_node *node) {
	struct str line = str_next(&source, '\n');
	for (unsigned i = 1; i < node->line && source.ptr; i++) line = str_next(&source, '\n');
	return node->column <= line.len ? line.ptr[node->column - 1] : '\0';
}

static unsigned line_breaks(struct str s) {
	unsigned count = 0;
	for (size_t i = 0; i < s.len; i++) count += s.ptr[i] == '\n';
	return count;
}

static void stand_on(struct cursor *c, const struct doc_node *node, unsigned line) {
	c->node = node;
	if (c->exact) c->line = c->base + line;
}

/* Goes into a text that is YAML itself. Only a block text has lines that are lines of the file. */
static void enter(struct cursor *c) {
	struct str whole = c->node->text, text = text_trim(whole);
	char first = first_byte(c->source, c->node);
	struct doc_place place;
	c->exact = c->exact && (first == '|' || first == '>');
	c->base = c->line;
	if (text.len)
		c->base += line_breaks((struct str){ whole.ptr, (size_t)(text.ptr - whole.ptr) });
	c->node = NULL;
	if (c->inner_count == INNER_DOCS) return;
	struct doc *inner = &c->inner[c->inner_count];
	if (doc_parse(text, &INNER, inner, &place, NULL) != OK) return;
	c->inner_count++;
	c->doc = inner;
	c->source = text;
	c->node = doc_at(inner, DOC_ROOT);
}

static void descend_key(struct cursor *c, struct str key) {
	if (c->node && c->node->kind == DOC_SCALAR) enter(c);
	field_append_key(&c->path, key);
	const struct doc_node *mapping = c->node;
	c->node = NULL;
	if (!mapping || mapping->kind != DOC_MAPPING) return;
	unsigned next = 0;
	for (unsigned i = mapping->first; i; i = c->doc->nodes[next].next) {
		next = c->doc->nodes[i].next;
		if (!str_eq(doc_at(c->doc, i)->text, key)) continue;
		/* A value that stands under its key is looked for from its own line on. */
		const struct doc_node *value = doc_at(c->doc, next);
		stand_on(c, value, value->kind == DOC_SCALAR ? value->line : c->doc->nodes[i].line);
		return;
	}
	const struct doc_node *merged = doc_find(c->doc, mapping, key);
	if (merged) stand_on(c, merged, merged->line);
}

static void descend_index(struct cursor *c, uint64_t index) {
	field_append_index(&c->path, (unsigned)index);
	const struct doc_node *list = c->node;
	c->node = NULL;
	if (!list || list->kind != DOC_SEQUENCE) return;
	unsigned i = list->first;
	while (i && index-- > 0) i = c->doc->nodes[i].next;
	if (i) stand_on(c, doc_at(c->doc, i), c->doc->nodes[i].line);
}

/* --- the head of the text --- */

static void skip(struct cursor *c, size_t bytes) {
	c->rest = str_slice(c->rest, bytes, c->rest.len);
}

/* [3], or ["a key"] without escapes. False: neither. */
static bool follow_bracket(struct cursor *c) {
	size_t end = str_find_char(c->rest, ']');
	if (end == SIZE_MAX || end < 2) return false;
	struct str inside = str_slice(c->rest, 1, end - 1);
	uint64_t index;
	if (inside.ptr[0] == '"' && inside.len > 2)
		descend_key(c, str_slice(inside, 1, inside.len - 2));
	else if (str_to_u64(inside, &index) == OK)
		descend_index(c, index);
	else
		return false;
	skip(c, end + 1);
	return true;
}

/* A dotted path. */
static void follow_path(struct cursor *c) {
	for (;;) {
		size_t len = word_length(c->rest);
		if (len) descend_key(c, str_slice(c->rest, 0, len));
		skip(c, len);
		while (c->rest.len && c->rest.ptr[0] == '[' && follow_bracket(c)) {
		}
		if (c->rest.len < 2 || c->rest.ptr[0] != '.' || !is_word(c->rest.ptr[1])) return;
		skip(c, 1);
	}
}

/* `"KEY"` of a mapping. */
static void follow_quoted(struct cursor *c, struct str from) {
	struct str rest = str_slice(from, 1, from.len);
	struct str key = str_next(&rest, '"');
	if (rest.ptr && c->node && c->node->kind == DOC_MAPPING) descend_key(c, key);
}

/* "line 3, column 5: " is a place in the YAML of the text that is named. */
static void follow_line(struct cursor *c) {
	struct str digits = str_slice(c->rest, 5, c->rest.len);
	size_t end = str_find(c->rest, STR(": "));
	uint64_t line;
	digits = str_next(&digits, ',');
	if (str_to_u64(digits, &line) != OK || end == SIZE_MAX) return;
	if (c->node && c->node->kind == DOC_SCALAR) enter(c);
	if (c->exact) c->line = c->base + (unsigned)line;
	skip(c, end + 2);
}

/* What stands behind a path and ": ". True: another path follows. */
static bool follow_detail(struct cursor *c) {
	static const struct str NAMED = STR("objectName \""), VALUE = STR("the value of \"");
	size_t end = str_find(c->rest, STR("\": "));
	if (str_starts(c->rest, NAMED) && end != SIZE_MAX &&
		str_find_char(str_slice(c->rest, NAMED.len, c->rest.len), '"') + NAMED.len == end)
		skip(c, end + 3);
	if (str_starts(c->rest, STR("line "))) follow_line(c);
	if (str_starts(c->rest, VALUE)) skip(c, VALUE.len - 1);
	if (str_starts(c->rest, STR("\""))) {
		follow_quoted(c, c->rest);
		return false;
	}
	return str_starts(c->rest, STR("array")) || str_starts(c->rest, STR("object")) ||
	       str_starts(c->rest, STR("filePermission"));
}

void field_find(const struct doc *doc, unsigned root, struct str source, struct str text,
	struct field_place *out_place) {
	struct cursor c = {
		.doc = doc,
		.node = doc_at(doc, root),
		.source = source,
		.exact = true,
		.rest = text,
	};
	assert(c.node);
	buf_init(&c.path, FIELD_BYTES - 1);
	c.line = c.node->line;
	for (bool more = true; more;) {
		follow_path(&c);
		more = str_starts(c.rest, STR(": "));
		if (!more) break;
		skip(&c, 2);
		more = follow_detail(&c);
	}
	out_place->line = c.line;
	snprintf(out_place->path, sizeof out_place->path, "%s", buf_cstr(&c.path));
	buf_deinit(&c.path);
	while (c.inner_count > 0) doc_deinit(&c.inner[--c.inner_count]);
}
