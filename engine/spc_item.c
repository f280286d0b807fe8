#include "engine/spc_item.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/nearest.h"
#include "engine/text.h"

enum { NUMBER_BYTES = 64, NAME_MOST = 127, PATH_MOST = 1024 };

/* The provider's fields as text. */
struct fields {
	struct str name, alias, version, type, format, encoding, permission;
	unsigned history;
};

static int digit_value(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'z') return c - 'a' + 10;
	if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
	return 99;
}

/* Digits behind the sign, with Go's base prefixes. False when it is no whole number. */
static bool read_whole(struct str s, double *out_value) {
	int base = 10;
	if (s.len > 1 && s.ptr[0] == '0') {
		char mark = s.ptr[1] | 0x20;
		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		s = str_slice(s, mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1, s.len);
	}
	double value = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (digit_value(s.ptr[i]) >= base) return false;
		value = value * base + digit_value(s.ptr[i]);
	}
	*out_value = value;
	return s.len > 0;
}

/* Decimal float: digits, at most one point, an exponent with digits. */
static bool read_float(const char *text, double *out_value) {
	if (text[strspn(text, "0123456789.eE+-")] != '\0') return false;
	char *end;
	*out_value = strtod(text, &end);
	return end != text && *end == '\0';
}

enum err item_history(const struct doc_node *value, unsigned *out_history) {
	if (value->kind != DOC_SCALAR || value->is_string || value->text.len >= NUMBER_BYTES)
		return ERR_INVALID;
	if (doc_is_null(value)) {
		*out_history = 0;
		return OK;
	}
	char text[NUMBER_BYTES];
	size_t len = 0;
	for (size_t i = 0; i < value->text.len; i++) {
		if (value->text.ptr[i] != '_') text[len++] = value->text.ptr[i];
	}
	text[len] = '\0';
	bool negative = text[0] == '-';
	const char *digits = text + (negative || text[0] == '+');
	double number;
	if (value->text.ptr[0] == '_' || digit_value(*digits) > 9) {
		if (*digits != '.') return ERR_INVALID;
	}
	if (!read_whole(str_of(digits), &number) && !read_float(digits, &number))
		return ERR_INVALID;
	number = trunc(number);
	if (number > (negative ? 2147483648.0 : 2147483647.0)) return ERR_INVALID;
	*out_history = negative ? 0 : (unsigned)number;
	return OK;
}

/* A text field: any scalar, trimmed; null and absence are "". */
static enum err text_field(const struct doc *doc, const struct doc_node *item, const char *key,
	struct str *out_text, struct fault *fault) {
	const struct doc_node *value = item ? doc_find(doc, item, str_of(key)) : NULL;
	*out_text = STR("");
	if (!value || doc_is_null(value)) return OK;
	if (value->kind != DOC_SCALAR) {
		return fault_set(fault, ERR_INVALID,
			"line %u, column %u: %s takes a text, not a %s", value->line, value->column,
			key, value->kind == DOC_MAPPING ? "mapping" : "list");
	}
	*out_text = text_trim(value->text);
	return OK;
}

static enum err read_fields(const struct doc *doc, const struct doc_node *item,
	struct fields *out_fields, struct fault *fault) {
	const struct {
		const char *key;
		struct str *text;
	} texts[] = {
		{ "objectName", &out_fields->name }, { "objectAlias", &out_fields->alias },
		{ "objectVersion", &out_fields->version }, { "objectType", &out_fields->type },
		{ "objectFormat", &out_fields->format },
		{ "objectEncoding", &out_fields->encoding },
		{ "filePermission", &out_fields->permission }, /* of files: nothing here has one */
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		enum err err = text_field(doc, item, texts[i].key, texts[i].text, fault);
		if (err) return err;
	}
	const struct doc_node *history =
		item ? doc_find(doc, item, STR("objectVersionHistory")) : NULL;
	out_fields->history = 0;
	if (!history || item_history(history, &out_fields->history) == OK) return OK;
	return fault_set(fault, ERR_INVALID,
		"line %u, column %u: objectVersionHistory has to be a whole number without quotes, "
		"not \"%.*s\"",
		history->line, history->column, TEXT_ARG(history->text));
}

/* objectFormat and objectEncoding, in the provider's order of checks. */
static enum err check_form(const struct fields *f, struct fault *fault) {
	bool is_secret = str_eq(f->type, STR("secret"));
	bool pem = f->format.len == 0 || str_eq_nocase(f->format, STR("pem"));
	if (!pem && !str_eq_nocase(f->format, STR("pfx"))) {
		return fault_set(fault, ERR_INVALID,
			"objectFormat has to be pem or pfx, not \"%.*s\"", TEXT_ARG(f->format));
	}
	if (str_eq(f->format, STR("pfx")) && !is_secret) {
		return fault_set(fault, ERR_INVALID, "objectFormat pfx needs objectType secret");
	}
	if (f->encoding.len > 0 && !is_secret) {
		return fault_set(
			fault, ERR_INVALID, "objectEncoding needs objectType secret; take it out");
	}
	if (f->encoding.len == 0 || str_eq_nocase(f->encoding, STR("utf-8")) ||
		str_eq_nocase(f->encoding, STR("base64")) || str_eq_nocase(f->encoding, STR("hex")))
		return OK;
	return fault_set(fault, ERR_INVALID,
		"objectEncoding has to be utf-8, base64 or hex, not \"%.*s\"",
		TEXT_ARG(f->encoding));
}

static enum err check_path(struct str path, struct fault *fault) {
	if (path.len == 0) return fault_set(fault, ERR_INVALID, "objectName is not set");
	if (path.ptr[0] == '/')
		return fault_set(fault, ERR_INVALID, "objectAlias must not begin with \"/\"");
	if (str_find(path, STR("..")) != SIZE_MAX) {
		return fault_set(fault, ERR_INVALID, "objectAlias must not contain \"..\"");
	}
	if (path.len > PATH_MOST)
		return fault_set(
			fault, ERR_INVALID, "objectAlias is longer than %d bytes", PATH_MOST);
	return OK;
}

static bool find_kind(struct str type, enum vault_kind *out_kind) {
	for (unsigned kind = VAULT_SECRET; kind <= VAULT_CERTIFICATE; kind++) {
		if (!str_eq(type, str_of(vault_kind_name((enum vault_kind)kind)))) continue;
		*out_kind = (enum vault_kind)kind;
		return true;
	}
	return false;
}

static enum err check_type(const struct fields *f, struct fault *fault) {
	enum vault_kind kind;
	if (find_kind(f->type, &kind)) return OK;
	if (f->type.len == 0)
		return fault_set(fault, ERR_INVALID,
			"objectType is not set; it has to be secret, key or cert");
	return fault_set(fault, ERR_INVALID,
		"objectType has to be secret, key or cert, not \"%.*s\"", TEXT_ARG(f->type));
}

static enum err check_fields(const struct fields *f, struct str path, struct fault *fault) {
	enum err err = check_form(f, fault);
	if (!err) err = check_path(path, fault);
	if (!err) err = check_type(f, fault);
	if (err) return err;
	if (!text_is_word(f->name, NAME_MOST, "-")) {
		return fault_set(fault, ERR_INVALID,
			"objectName \"%.*s\" is no name in a vault; it has 1 to %d letters, digits "
			"and \"-\"",
			TEXT_ARG(f->name), NAME_MOST);
	}
	if (f->version.len > 0 && !text_is_word(f->version, VAULT_VERSION_BYTES - 1, "-")) {
		return fault_set(fault, ERR_INVALID,
			"objectVersion \"%.*s\" is no version of a vault; take it out for the "
			"newest one, or give the "
			"version's id of 32 hexadecimal digits",
			TEXT_ARG(f->version));
	}
	return OK;
}

/* Copies a path as Go's path.Join cleans it: no empty and no "." element, no slash at the end. */
static size_t clean_path(struct str path, char *out) {
	size_t len = 0;
	while (path.ptr) {
		struct str element = str_next(&path, '/');
		if (element.len == 0 || str_eq(element, STR("."))) continue;
		if (len > 0) out[len++] = '/';
		memcpy(out + len, element.ptr, element.len);
		len += element.len;
	}
	return len;
}

static enum spc_format format_of(const struct fields *f) {
	return str_eq_nocase(f->format, STR("pfx")) ? FORMAT_PFX : FORMAT_PEM;
}

static enum spc_encoding encoding_of(const struct fields *f) {
	if (str_eq_nocase(f->encoding, STR("base64"))) return ENCODING_BASE64;
	return str_eq_nocase(f->encoding, STR("hex")) ? ENCODING_HEX : ENCODING_UTF8;
}

static enum err store(const struct fields *f, struct str path, struct spc_object *out_object) {
	char *block = mem_alloc(f->name.len + f->version.len + path.len);
	if (!block) return ERR_NOMEM;
	char *version = block + f->name.len, *clean = version + f->version.len;
	memcpy(block, f->name.ptr, f->name.len);
	if (f->version.len) memcpy(version, f->version.ptr, f->version.len);
	size_t clean_len = path.len;
	if (f->history > 1)
		clean_len = clean_path(path, clean);
	else
		memcpy(clean, path.ptr, path.len);
	*out_object = (struct spc_object){
		.name = { block, f->name.len },
		.path = { clean, clean_len },
		.version = { version, f->version.len },
		.format = format_of(f),
		.encoding = encoding_of(f),
		.history = f->history,
	};
	bool known = find_kind(f->type, &out_object->kind);
	assert(known);
	return OK;
}

enum err item_read(const struct doc *doc, const struct doc_node *item,
	struct spc_object *out_object, struct fault *fault) {
	struct fields fields;
	if (item && doc_is_null(item)) item = NULL;
	if (item && item->kind != DOC_MAPPING) {
		return fault_set(fault, ERR_INVALID,
			"is no mapping; write \"objectName: NAME\" and \"objectType: secret\", "
			"one per line");
	}
	enum err err = read_fields(doc, item, &fields, fault);
	if (err) return err;
	struct str path = fields.alias.len ? fields.alias : fields.name;
	err = check_fields(&fields, path, fault);
	/* A fault of the name itself names it. */
	if (err && str_starts(str_of(fault->text), STR("objectName "))) return err;
	if (err) return fault_prefix(fault, err, "objectName \"%.*s\"", TEXT_ARG(fields.name));
	return store(&fields, path, out_object);
}

/* Octal digits of a file's mode, in 32 bits, as the provider reads them. */
static bool is_mode(struct str text) {
	uint64_t mode = 0;
	if (text.len && (text.ptr[0] == '+' || text.ptr[0] == '-'))
		text = str_slice(text, 1, text.len);
	for (size_t i = 0; i < text.len && mode <= INT32_MAX; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '7') return false;
		mode = mode * 8 + (unsigned)(text.ptr[i] - '0');
	}
	return text.len > 0 && mode <= INT32_MAX;
}

static bool note_on_field(struct str name, struct str key, struct fault *out_note) {
	static const char *const fields[] = { "objectName", "objectAlias", "objectVersion",
		"objectVersionHistory", "objectType", "objectFormat", "objectEncoding",
		"filePermission" };
	struct nearest nearest = nearest_init(key);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		if (str_eq(key, str_of(fields[i]))) return false;
		nearest_offer(&nearest, fields[i]);
	}
	*out_note = fault_make(ERR_INVALID,
		"objectName \"%.*s\": %.*s is no field of an object, and has no effect%s%s%s",
		TEXT_ARG(name), TEXT_ARG(key), nearest.word ? "; did you mean " : "",
		nearest.word ? nearest.word : "", nearest.word ? "?" : "");
	return true;
}

static bool note_on_mode(struct str name, struct str mode, struct fault *out_note) {
	if (!mode.len || is_mode(mode)) return false;
	*out_note = fault_make(ERR_INVALID,
		"objectName \"%.*s\": filePermission \"%.*s\" is no octal number. It has no "
		"effect on a Secret; for a file write 0644, for example",
		TEXT_ARG(name), TEXT_ARG(mode));
	return true;
}

void item_tell_notes(const struct doc *doc, const struct doc_node *item,
	void (*tell)(void *arg, struct fault *note), void *arg) {
	struct str name = STR(""), mode = STR("");
	struct fault note;
	if (!item || item->kind != DOC_MAPPING) return;
	(void)text_field(doc, item, "objectName", &name, NULL);
	if (!text_field(doc, item, "filePermission", &mode, NULL) &&
		note_on_mode(name, mode, &note))
		tell(arg, &note);
	for (unsigned i = item->first; i; i = doc->nodes[doc->nodes[i].next].next) {
		const struct doc_node *key = doc_at(doc, i);
		bool merge = !key->is_string && str_eq(key->text, STR("<<"));
		if (!merge && note_on_field(name, key->text, &note)) tell(arg, &note);
	}
}

void item_free(struct spc_object *object) {
	mem_free((char *)object->name.ptr);
	*object = (struct spc_object){ 0 };
}
