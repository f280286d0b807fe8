#include "engine/doc.h"

#include <assert.h>
#include <yaml.h>

#include "base/decode.h"
#include "base/mem.h"

enum { ALIASES_MAX = 64, DEPTH_MAX = 32, TEXT_FACTOR = 4, TEXT_ROOM = 64 };

/* A document while it is read. All texts go to one block that is large enough from the start: they
 * never move, and nothing of them is left in memory that was outgrown. */
struct reader {
	const struct doc_limits *limits;
	struct doc_node *nodes;
	unsigned count, capacity;
	unsigned open[DEPTH_MAX]; /* containers that are open */
	unsigned last[DEPTH_MAX]; /* and the last child of each */
	unsigned depth;
	unsigned aliases;
	char *text; /* every scalar and anchor with a NUL behind it */
	size_t used, room;
	bool full;
	struct doc_place place;
	struct fault *fault;
};

#define refuse(reader, error, mark, ...)                                         \
	({                                                                       \
		(reader)->place = (struct doc_place){ (unsigned)(mark).line + 1, \
			(unsigned)(mark).column + 1 };                           \
		fault_set((reader)->fault, (error), __VA_ARGS__);                \
	})

static yaml_mark_t node_mark(const struct doc_node *node) {
	return (yaml_mark_t){ .line = node->line - 1, .column = node->column - 1 };
}

/* Copies to the block. What does not fit is told at the end of the event. */
static struct str keep(struct reader *r, struct str s) {
	if (s.len >= r->room - r->used) {
		r->full = true;
		return STR_NULL;
	}
	char *copy = r->text + r->used;
	if (s.len) memcpy(copy, s.ptr, s.len);
	copy[s.len] = '\0';
	r->used += s.len + 1;
	return (struct str){ copy, s.len };
}

static enum err grow(struct reader *r) {
	unsigned capacity = r->capacity ? r->capacity * 2 : 16;
	struct doc_node *nodes = mem_realloc(r->nodes, capacity * sizeof *nodes);
	if (!nodes) return ERR_NOMEM;
	r->nodes = nodes;
	r->capacity = capacity;
	return OK;
}

/* Adds a node behind the last child of the container that is open. */
static enum err add(struct reader *r, enum doc_kind kind, const yaml_event_t *event,
	const yaml_char_t *anchor) {
	if (r->count > r->limits->nodes) {
		return refuse(r, ERR_TOO_LARGE, event->start_mark, "more than %u entries",
			r->limits->nodes);
	}
	if (anchor && !r->limits->allow_alias) {
		return refuse(r, ERR_INVALID, event->start_mark,
			"anchors (&%.40s) and aliases are not allowed here", (const char *)anchor);
	}
	if (r->count == r->capacity && grow(r)) return ERR_NOMEM;
	unsigned index = r->count++;
	r->nodes[index] = (struct doc_node){
		.kind = kind,
		.line = (unsigned)event->start_mark.line + 1,
		.column = (unsigned)event->start_mark.column + 1,
		.anchor = anchor ? keep(r, str_of((const char *)anchor)) : STR_NULL,
	};
	if (r->depth == 0) return OK;
	unsigned level = r->depth - 1;
	unsigned *link =
		r->last[level] ? &r->nodes[r->last[level]].next : &r->nodes[r->open[level]].first;
	*link = index;
	r->last[level] = index;
	r->nodes[r->open[level]].count++;
	return OK;
}

static void put_back(void *arg, struct str piece) {
	struct str *out = arg;
	memcpy((char *)out->ptr + out->len, piece.ptr, piece.len); /* our own copy */
	out->len += piece.len;
}

/* In place: no piece is put before the digits that it comes from were read. False when it is no base64. */
static bool decode_binary(struct str *text) {
	struct str plain = { text->ptr, 0 };
	enum err err = decode_base64(BASE64_BLANKS, *text, (struct sink){ put_back, &plain }, NULL);
	if (err) return false;
	*text = plain;
	((char *)text->ptr)[text->len] = '\0';
	return true;
}

static bool tag_is(const yaml_char_t *tag, const char *name) {
	return tag && strcmp((const char *)tag, name) == 0;
}

static enum err add_scalar(struct reader *r, const yaml_event_t *event) {
	const yaml_char_t *tag = event->data.scalar.tag;
	struct str value = { (const char *)event->data.scalar.value, event->data.scalar.length };
	enum err err = add(r, DOC_SCALAR, event, event->data.scalar.anchor);
	if (err) return err;
	struct doc_node *node = &r->nodes[r->count - 1];
	bool typed = tag_is(tag, YAML_INT_TAG) || tag_is(tag, YAML_FLOAT_TAG) ||
		     tag_is(tag, YAML_BOOL_TAG) || tag_is(tag, YAML_NULL_TAG);
	bool binary = tag_is(tag, "tag:yaml.org,2002:binary");
	node->is_string = tag_is(tag, YAML_STR_TAG) || tag_is(tag, "!") || binary ||
			  (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE && !typed);
	node->text = keep(r, value);
	if (!binary || decode_binary(&node->text)) return OK;
	return refuse(r, ERR_INVALID, event->start_mark, "a !!binary value that is not base64");
}

static enum err add_alias(struct reader *r, const yaml_event_t *event) {
	const char *name = (const char *)event->data.alias.anchor;
	if (!r->limits->allow_alias) {
		return refuse(r, ERR_INVALID, event->start_mark,
			"anchors and aliases (*%.40s) are not allowed here", name);
	}
	if (++r->aliases > ALIASES_MAX) {
		return refuse(
			r, ERR_TOO_LARGE, event->start_mark, "more than %d aliases", ALIASES_MAX);
	}
	unsigned target = r->count - 1;
	while (target > 0 && !str_eq(r->nodes[target].anchor, str_of(name))) target--;
	if (target == 0) {
		return refuse(r, ERR_INVALID, event->start_mark,
			"the alias *%.40s has no anchor before it", name);
	}
	for (unsigned level = 0; level < r->depth; level++) {
		if (r->open[level] != target) continue;
		return refuse(r, ERR_INVALID, event->start_mark, "the alias *%.40s contains itself",
			name);
	}
	enum err err = add(r, DOC_ALIAS, event, NULL);
	if (!err) r->nodes[r->count - 1].target = target;
	return err;
}

static enum err open_container(struct reader *r, enum doc_kind kind, const yaml_event_t *event,
	const yaml_char_t *anchor) {
	if (r->depth == r->limits->depth) {
		return refuse(r, ERR_TOO_LARGE, event->start_mark, "nested deeper than %u levels",
			r->limits->depth);
	}
	enum err err = add(r, kind, event, anchor);
	if (err) return err;
	r->open[r->depth] = r->count - 1;
	r->last[r->depth++] = DOC_NONE;
	return OK;
}

static const struct doc_node *resolve(const struct doc_node *nodes, unsigned index) {
	return nodes[index].kind == DOC_ALIAS ? &nodes[nodes[index].target] : &nodes[index];
}

static bool is_merge_key(const struct doc_node *key, struct str text) {
	return key->kind == DOC_SCALAR && !key->is_string && str_eq(text, STR("<<"));
}

/* The key at `index` against those before it, and the value of a merge key. */
static enum err check_key(struct reader *r, const struct doc_node *mapping, unsigned index) {
	const struct doc_node *key = resolve(r->nodes, index);
	if (key->kind != DOC_SCALAR) {
		return refuse(r, ERR_INVALID, node_mark(&r->nodes[index]),
			"a key has to be a plain word");
	}
	struct str text = key->text;
	if (is_merge_key(key, text) &&
		resolve(r->nodes, r->nodes[index].next)->kind == DOC_SCALAR) {
		return refuse(r, ERR_INVALID, node_mark(key), "a merge (<<) needs a mapping");
	}
	for (unsigned i = mapping->first; i != index; i = r->nodes[r->nodes[i].next].next) {
		if (!str_eq(resolve(r->nodes, i)->text, text)) continue;
		return refuse(r, ERR_INVALID, node_mark(&r->nodes[index]),
			"the key \"%.*s\" stands here for the second time; the first is in line %u",
			(int)(text.len < 80 ? text.len : 80), text.ptr,
			r->limits->lines_before + r->nodes[i].line);
	}
	return OK;
}

static enum err close_container(struct reader *r) {
	struct doc_node *node = &r->nodes[r->open[--r->depth]];
	if (node->kind == DOC_SEQUENCE) return OK;
	node->count /= 2;
	if (node->count > r->limits->keys) {
		return refuse(r, ERR_TOO_LARGE, node_mark(node), "a mapping of more than %u keys",
			r->limits->keys);
	}
	for (unsigned i = node->first; i; i = r->nodes[r->nodes[i].next].next) {
		enum err err = check_key(r, node, i);
		if (err) return err;
	}
	return OK;
}

static enum err take_event(
	struct reader *r, const yaml_event_t *event, unsigned *documents, bool *out_end) {
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++*documents == 1) return OK;
		*out_end = true;
		return r->limits->only_document
			       ? refuse(r, ERR_INVALID, event->start_mark,
					 "a second document begins here; only one is read")
			       : OK;
	case YAML_DOCUMENT_END_EVENT:
		*out_end = !r->limits->only_document;
		return OK;
	case YAML_STREAM_END_EVENT:
		*out_end = true;
		return OK;
	case YAML_SCALAR_EVENT:
		return add_scalar(r, event);
	case YAML_ALIAS_EVENT:
		return add_alias(r, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_container(r, DOC_SEQUENCE, event, event->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return open_container(r, DOC_MAPPING, event, event->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_container(r);
	default:
		return OK;
	}
}

static bool has_tab(struct str text, size_t line_number) {
	struct str line = STR("");
	for (size_t i = 0; i <= line_number && text.ptr; i++) line = str_next(&text, '\n');
	for (size_t i = 0; i < line.len; i++) {
		if (line.ptr[i] == '\t') return true;
		if (line.ptr[i] != ' ') return false;
	}
	return false;
}

/* What to do about what the parser says; "": nothing better is known. */
static const char *remedy(const char *problem, bool tab) {
	static const struct {
		const char *problem, *remedy;
	} remedies[] = {
		{ "mapping values are not allowed", "; indent this line as those beside it, or put "
						    "a text that has \": \" in it into "
						    "quotes" },
		{ "did not find expected key", "; indent this line as those beside it, by blanks" },
		{ "did not find expected '-' indicator",
			"; indent this line as those beside it, by blanks" },
		{ "could not find expected ':'", "; write \"key: value\", with a blank behind the "
						 "colon" },
		{ "found character that cannot start any token",
			"; put a text that begins with @, % or ` into quotes" },
	};
	if (tab) return "; indent by blanks: this line begins with a tab";
	for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++) {
		if (str_starts(str_of(problem), str_of(remedies[i].problem)))
			return remedies[i].remedy;
	}
	return "";
}

static enum err syntax_error(struct reader *r, const yaml_parser_t *parser, struct str text) {
	if (parser->error == YAML_MEMORY_ERROR) return ERR_NOMEM;
	yaml_mark_t mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
	const char *problem = parser->problem ? parser->problem : "syntax error";
	return refuse(r, ERR_INVALID, mark, "not YAML: %s%s", problem,
		remedy(problem, has_tab(text, mark.line)));
}

static enum err read_events(struct reader *r, yaml_parser_t *parser, struct str text) {
	unsigned documents = 0;
	bool end = false;
	enum err err = OK;
	while (!err && !end) {
		yaml_event_t event;
		if (!yaml_parser_parse(parser, &event)) return syntax_error(r, parser, text);
		err = take_event(r, &event, &documents, &end);
		yaml_event_delete(&event);
		if (!err && r->full) err = fault_set(r->fault, ERR_TOO_LARGE, "too many texts");
	}
	return err;
}

enum err doc_parse(struct str text, const struct doc_limits *limits, struct doc *out_doc,
	struct doc_place *out_place, struct fault *fault) {
	assert(limits->depth <= DEPTH_MAX);
	struct reader r = { .limits = limits, .count = 1, .place = { 1, 1 }, .fault = fault };
	yaml_parser_t parser;
	bool has_parser = false;
	enum err err = OK;
	if (text.len > limits->bytes) {
		err = fault_set(fault, ERR_TOO_LARGE, "larger than %zu bytes", limits->bytes);
		goto out;
	}
	/* Escapes make at most three bytes of two, and each text has a NUL. */
	r.room = TEXT_FACTOR * text.len + TEXT_ROOM;
	r.text = mem_alloc(r.room);
	has_parser = yaml_parser_initialize(&parser);
	err = has_parser && r.text ? grow(&r) : ERR_NOMEM;
	if (err) goto out;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	/* libyaml asserts that there is a pointer, also to no bytes. */
	yaml_parser_set_input_string(
		&parser, (const unsigned char *)(text.len ? text.ptr : ""), text.len);
	err = read_events(&r, &parser, text);
	if (err) goto out;
	*out_doc = (struct doc){
		.nodes = take(r.nodes),
		.count = r.count,
		._text = take(r.text),
		._text_len = r.used,
	};
out:
	if (err == ERR_NOMEM) err = fault_set(fault, ERR_NOMEM, "out of memory");
	if (err) *out_place = r.place;
	if (has_parser) yaml_parser_delete(&parser);
	doc_deinit(&(struct doc){ .nodes = r.nodes, ._text = r.text, ._text_len = r.used });
	return err;
}
