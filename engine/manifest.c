#include "engine/manifest.h"

#include <errno.h>
#include <fts.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/doc_json.h"
#include "engine/lookalike.h"
#include "engine/text.h"

static const struct doc_limits LIMITS = {
	.bytes = MANIFEST_BYTES,
	.nodes = 1000000,
	.depth = 32,
	.keys = 4096,
	.allow_alias = true,
};

/* A file's text, and one of its documents. A file has as many of these as documents; the first owns the text. */
struct manifest_text {
	struct manifest_text *next;
	char *file, *text;
	struct doc doc;
};

/* The document that is being read. */
struct part {
	struct manifests *all;
	const char *file;
	struct str source;
	unsigned line_offset;
};

void manifests_init(struct manifests *manifests, bool (*wanted)(struct str kind)) {
	*manifests = (struct manifests){ ._wanted = wanted };
}

void manifests_deinit(struct manifests *manifests) {
	for (unsigned i = 0; i < manifests->count; i++) cJSON_Delete(manifests->items[i].json);
	for (unsigned i = 0; i < manifests->fault_count; i++) {
		mem_free(manifests->faults[i].file);
		mem_free(manifests->faults[i].text);
	}
	for (unsigned i = 0; i < manifests->ignored_count; i++)
		mem_free(manifests->ignored[i].kind);
	while (manifests->_texts) {
		struct manifest_text *text = manifests->_texts;
		manifests->_texts = text->next;
		doc_deinit(&text->doc);
		mem_free(text->file);
		mem_free(text->text);
		mem_free(text);
	}
	mem_free(manifests->items);
	mem_free(manifests->faults);
	mem_free(manifests->ignored);
	*manifests = (struct manifests){ 0 };
}

/* Makes room for one more. */
static enum err grow(void **array, unsigned count, size_t size) {
	if (count & (count - 1)) return OK; /* room is a power of two */
	void *more = mem_realloc(*array, (count ? 2 * count : 1) * size);
	if (!more) return ERR_NOMEM;
	*array = more;
	return OK;
}

#define grow_one(array, count) grow((void **)&(array), (count), sizeof *(array))

static enum err add_fault(
	struct manifests *all, const char *file, unsigned line, const char *text) {
	if (grow_one(all->faults, all->fault_count)) return ERR_NOMEM;
	struct manifest_fault fault = {
		.file = mem_strdup(str_of(file)),
		.line = line,
		.text = mem_strdup(str_of(text)),
	};
	if (fault.file && fault.text) {
		all->faults[all->fault_count++] = fault;
		return OK;
	}
	mem_free(fault.file);
	mem_free(fault.text);
	return ERR_NOMEM;
}

static enum err count_ignored(struct manifests *all, struct str kind) {
	if (!kind.len) kind = STR("(without kind)");
	for (unsigned i = 0; i < all->ignored_count; i++) {
		if (!str_eq(kind, str_of(all->ignored[i].kind))) continue;
		all->ignored[i].count++;
		return OK;
	}
	if (grow_one(all->ignored, all->ignored_count)) return ERR_NOMEM;
	char *copy = mem_strdup(kind);
	if (!copy) return ERR_NOMEM;
	all->ignored[all->ignored_count++] = (struct manifest_kind){ copy, 1 };
	return OK;
}

/* --- objects --- */

static struct str scalar(const struct doc *doc, const struct doc_node *mapping, struct str key) {
	const struct doc_node *node = doc_find(doc, mapping, key);
	return node && node->kind == DOC_SCALAR ? node->text : STR("");
}

static unsigned index_of(const struct doc *doc, const struct doc_node *node) {
	return (unsigned)(node - doc->nodes);
}

static enum err add_object(struct part *part, const struct doc *doc, const struct doc_node *node) {
	struct manifests *all = part->all;
	struct fault fault = { 0 };
	struct str version = scalar(doc, node, STR("apiVersion")), group = STR("");
	size_t slash = str_find_char(version, '/');
	if (slash != SIZE_MAX) {
		group = str_slice(version, 0, slash);
		version = str_slice(version, slash + 1, version.len);
	}
	struct manifest item = {
		.file = part->file,
		.doc = doc,
		.source = part->source,
		.line_offset = part->line_offset,
		.node = index_of(doc, node),
		.group = group,
		.version = version,
		.kind = scalar(doc, node, STR("kind")),
	};
	struct doc_place place;
	enum err err = doc_to_json(doc, node, &item.json, &place, &fault);
	if (err == ERR_NOMEM) return err;
	if (err) return add_fault(all, part->file, part->line_offset + place.line, fault.text);
	err = grow_one(all->items, all->count);
	if (err)
		cJSON_Delete(item.json);
	else
		all->items[all->count++] = item;
	return err;
}

static enum err add_node(struct part *part, const struct doc *doc, const struct doc_node *node);

static enum err add_list(struct part *part, const struct doc *doc, const struct doc_node *list) {
	enum err err = OK;
	for (unsigned i = list->first; i && !err; i = doc->nodes[i].next)
		err = add_node(part, doc, doc_at(doc, i));
	return err;
}

/* Fields of spec that only the kinds have that are read. */
static bool is_ours_by_fields(const struct doc *doc, const struct doc_node *node) {
	static const char *const fields[] = { "secretProviderClassName", "secretObject",
		"keyvaultName" };
	const struct doc_node *spec = doc_find(doc, node, STR("spec"));
	for (size_t i = 0; spec && spec->kind == DOC_MAPPING && i < sizeof fields / sizeof *fields;
		i++) {
		if (doc_find(doc, spec, str_of(fields[i]))) return true;
	}
	return false;
}

/* An object, or the objects of a list. */
static enum err add_node(struct part *part, const struct doc *doc, const struct doc_node *node) {
	if (node->kind != DOC_MAPPING) {
		return doc_is_null(node)
			       ? OK
			       : add_fault(part->all, part->file, part->line_offset + node->line,
					 "is no object: a manifest begins with "
					 "apiVersion and kind");
	}
	struct fault fault;
	struct str kind = scalar(doc, node, STR("kind"));
	const struct doc_node *items = doc_find(doc, node, STR("items"));
	if (str_ends(kind, STR("List")) && items && items->kind == DOC_SEQUENCE)
		return add_list(part, doc, items);
	if (lookalike_judge(scalar(doc, node, STR("apiVersion")), kind, &fault))
		return add_fault(part->all, part->file, part->line_offset + node->line, fault.text);
	if (part->all->_wanted(kind)) return add_object(part, doc, node);
	if (!kind.len && is_ours_by_fields(doc, node))
		return add_fault(part->all, part->file, part->line_offset + node->line,
			"kind is missing, and this looks like a SecretSync, a SecretProviderClass "
			"or "
			"an AKVSync");
	return count_ignored(part->all, kind);
}

/* --- documents --- */

/* The word behind such a key at the beginning of a line, for documents that are not read; "": there is none. */
static struct str word_at_sight(struct str source, struct str key) {
	while (source.ptr) {
		struct str line = str_next(&source, '\n');
		if (!str_starts(line, key)) continue;
		line = str_trim(str_slice(line, key.len, line.len));
		return str_next(&line, ' ');
	}
	return STR("");
}

static struct str kind_at_sight(struct str source) {
	return word_at_sight(source, STR("kind:"));
}

static bool is_blank(struct str source) {
	while (source.ptr) {
		struct str line = str_trim(str_next(&source, '\n'));
		if (line.len && line.ptr[0] != '#') return false;
	}
	return true;
}

static bool has_one_of(struct str source, const char *const *words, size_t count) {
	for (size_t i = 0; i < count; i++) {
		if (str_find(source, str_of(words[i])) != SIZE_MAX) return true;
	}
	return false;
}

/* A document without any of these words holds nothing that is read: it may be a template, or nested deeper than our bounds. */
static bool may_matter(struct str source) {
	static const char *const words[] = { "SecretSync", "SecretProviderClass", "AKVSync",
		"ServiceAccount" };
	static const char *const signs[] = { "secret-sync.x-k8s.io", "secrets-store.csi.x-k8s.io",
		"secretProviderClassName:", "secretObject:", "keyvaultName:" };
	struct str kind = kind_at_sight(source);
	struct fault ignored;
	if (has_one_of(source, words, sizeof words / sizeof *words)) return true;
	if (lookalike_judge(word_at_sight(source, STR("apiVersion:")), kind, &ignored)) return true;
	return !kind.len && has_one_of(source, signs, sizeof signs / sizeof *signs);
}

static enum err read_part(struct part *part) {
	struct fault fault = { 0 };
	struct doc_place place;
	if (is_blank(part->source)) return OK;
	if (!may_matter(part->source)) return count_ignored(part->all, kind_at_sight(part->source));
	struct manifest_text *text = mem_zalloc(sizeof *text);
	if (!text) return ERR_NOMEM;
	text->next = part->all->_texts;
	part->all->_texts = text;
	struct doc_limits limits = LIMITS;
	limits.lines_before = part->line_offset;
	enum err err = doc_parse(part->source, &limits, &text->doc, &place, &fault);
	if (err == ERR_NOMEM) return err;
	if (err) {
		err = add_fault(part->all, part->file, part->line_offset + place.line, fault.text);
		if (!err) part->all->faults[part->all->fault_count - 1].source = part->source;
		return err;
	}
	const struct doc_node *root = doc_at(&text->doc, DOC_ROOT);
	return root ? add_node(part, &text->doc, root) : OK;
}

/* Cuts at lines that begin with "---"; what stands behind it on such a line is dropped, as kubectl does. */
static enum err read_text(struct manifests *all, const char *file, struct str text) {
	struct part part = { .all = all, .file = file, .source = { text.ptr, 0 } };
	unsigned line_number = 0;
	enum err err = OK;
	while (text.ptr && !err) {
		struct str line = str_next(&text, '\n');
		line_number++;
		if (!str_starts(line, STR("---"))) {
			part.source.len = (size_t)(line.ptr + line.len - part.source.ptr) +
					  (text.ptr ? 1 : 0);
			continue;
		}
		err = read_part(&part);
		part.source = (struct str){ text.ptr ? text.ptr : line.ptr, 0 };
		part.line_offset = line_number;
	}
	return err ? err : read_part(&part);
}

/* --- files --- */

static enum err read_stream(FILE *stream, struct buf *out) {
	char chunk[64 << 10];
	size_t got;
	while ((got = fread(chunk, 1, sizeof chunk, stream)) > 0)
		buf_append(out, (struct str){ chunk, got });
	return ferror(stream) ? ERR_IO : buf_err(out);
}

__attribute__((format(printf, 3, 4))) static enum err whole_fault(
	struct manifests *all, const char *path, const char *format, ...) {
	char text[256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return add_fault(all, path, 0, text);
}

/* Of the encodings that kubectl knows by a byte order mark one is read; another must not pass for a file without objects. */
static bool is_utf16(struct str text) {
	return str_starts(text, STR("\xFF\xFE")) || str_starts(text, STR("\xFE\xFF"));
}

static enum err read_source(struct manifests *all, const char *file, struct str text) {
	struct str mark = STR("\xEF\xBB\xBF");
	if (is_utf16(text))
		return whole_fault(all, file, "is UTF-16; save it as UTF-8, which kvsync reads");
	if (text.len && memchr(text.ptr, 0, text.len))
		return whole_fault(all, file, "is no text: it holds a byte of value 0");
	if (str_starts(text, mark)) text = str_slice(text, mark.len, text.len);
	return read_text(all, file, text);
}

static enum err read_file(struct manifests *all, const char *path) {
	bool is_input = strcmp(path, "-") == 0;
	FILE *stream = is_input ? stdin : fopen(path, "re");
	if (!stream) return whole_fault(all, path, "cannot be read: %s", strerror(errno));
	struct buf content;
	buf_init(&content, MANIFEST_BYTES);
	enum err err = read_stream(stream, &content);
	if (!is_input) fclose(stream);
	struct manifest_text *text = NULL;
	if (err == ERR_IO)
		err = whole_fault(all, path, "cannot be read: %s", strerror(errno));
	else if (err == ERR_TOO_LARGE)
		err = whole_fault(all, path, "is larger than %d bytes", MANIFEST_BYTES);
	else if (!err) {
		text = mem_zalloc(sizeof *text);
		err = text ? OK : ERR_NOMEM;
	}
	if (text) {
		struct str source = buf_str(&content);
		size_t len = source.len;
		text->next = all->_texts;
		all->_texts = text;
		text->file = mem_strdup(str_of(path));
		text->text = buf_take(&content);
		err = text->file && text->text ? OK : ERR_NOMEM;
		if (!err) err = read_source(all, text->file, (struct str){ text->text, len });
	}
	buf_deinit(&content);
	return err;
}

static bool has_manifest_ending(const char *name) {
	struct str s = str_of(name);
	return str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml")) || str_ends(s, STR(".json"));
}

static int by_name(const FTSENT **a, const FTSENT **b) {
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Links are followed; a folder that holds itself is not entered again. */
static enum err read_entry(struct manifests *all, FTS *tree, FTSENT *entry) {
	bool is_below = entry->fts_level > FTS_ROOTLEVEL;
	switch (entry->fts_info) {
	case FTS_D:
		if (is_below && entry->fts_name[0] == '.') fts_set(tree, entry, FTS_SKIP);
		return OK;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return whole_fault(
			all, entry->fts_path, "cannot be read: %s", strerror(entry->fts_errno));
	case FTS_F:
		if (entry->fts_name[0] == '.' || !has_manifest_ending(entry->fts_name)) return OK;
		return read_file(all, entry->fts_path);
	default:
		return OK;
	}
}

static enum err read_folder(struct manifests *all, char *path) {
	char *const roots[] = { path, NULL };
	FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	if (!tree)
		return errno == ENOMEM
			       ? ERR_NOMEM
			       : whole_fault(all, path, "cannot be read: %s", strerror(errno));
	enum err err = OK;
	FTSENT *entry;
	while (!err && (entry = fts_read(tree))) err = read_entry(all, tree, entry);
	fts_close(tree);
	return err;
}

enum err manifests_read(struct manifests *manifests, const char *path) {
	struct stat stat_;
	if (strcmp(path, "-") == 0 || stat(path, &stat_) != 0 || !S_ISDIR(stat_.st_mode))
		return read_file(manifests, path);
	char *copy = mem_strdup(str_of(path));
	enum err err = copy ? read_folder(manifests, copy) : ERR_NOMEM;
	mem_free(copy);
	return err;
}

enum err manifests_read_all(struct manifests *manifests, char *const *paths, int count) {
	enum err err = OK;
	for (int i = 0; i < count && !err; i++) err = manifests_read(manifests, paths[i]);
	return err;
}
