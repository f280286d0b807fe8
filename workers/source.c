#include "workers/source.h"

#include "base/buf.h"
#include "workers/convert.h"

enum { INDEX_DIGITS = 5, LIST_BYTES = 300 };

/* The index behind "path/", in canonical decimal; false when `source` is not of that form. */
static bool history_index(struct str source, struct str path, unsigned *out_index) {
	uint64_t index = 0;
	if (!str_starts(source, path) || source.len <= path.len + 1 || source.ptr[path.len] != '/')
		return false;
	struct str digits = str_slice(source, path.len + 1, source.len);
	if (digits.len > INDEX_DIGITS || (digits.len > 1 && digits.ptr[0] == '0')) return false;
	if (str_to_u64(digits, &index) != OK) return false;
	*out_index = (unsigned)index;
	return true;
}

/* A class has hundreds of objects, whose names mostly differ at their ends. */
static inline bool is_path(struct str path, struct str source) {
	if (path.len != source.len || !path.len) return false;
	return path.ptr[path.len - 1] == source.ptr[path.len - 1] && str_eq(path, source);
}

static bool object_yields(const struct spc_object *object, struct str source, unsigned *out_index) {
	*out_index = 0;
	if (object->history < 2) return is_path(object->path, source);
	return history_index(source, object->path, out_index) && *out_index < object->history;
}

static const struct spc_object *find_whole(
	const struct spc *spc, struct str source, unsigned *out_index) {
	for (unsigned i = 0; i < spc->object_count; i++) {
		if (object_yields(&spc->objects[i], source, out_index)) return &spc->objects[i];
	}
	return NULL;
}

/* Cuts "/tls.crt" or "/tls.key" off the end of a path. */
static enum tls_part cut_part(struct str *source) {
	static const struct str ends[] = {
		[TLS_CRT] = { "/tls.crt", 8 }, [TLS_KEY] = { "/tls.key", 8 }
	};
	for (enum tls_part part = TLS_CRT; part <= TLS_KEY; part++) {
		if (!str_ends(*source, ends[part])) continue;
		*source = str_slice(*source, 0, source->len - ends[part].len);
		return part;
	}
	return TLS_WHOLE;
}

const struct spc_object *source_find(
	const struct spc *spc, struct str source, unsigned *out_index) {
	const struct spc_object *object = find_whole(spc, source, out_index);
	if (object || cut_part(&source) == TLS_WHOLE) return object;
	return find_whole(spc, source, out_index);
}

enum tls_part source_part(const struct spc_object *object, struct str source) {
	unsigned index = 0;
	return object_yields(object, source, &index) ? TLS_WHOLE : cut_part(&source);
}

enum err source_check_part(const struct spec *spec, unsigned item, const struct spc_object *object,
	struct fault *out_fault) {
	const struct spec_item *data = &spec->items[item];
	enum tls_part part = source_part(object, data->source_path);
	part = convert_plan_of(spec->common->type, data->target_key, part).part;
	bool has_crt = object->kind != VAULT_KEY, has_key = object->kind == VAULT_SECRET;
	if (part == TLS_WHOLE || (part == TLS_CRT ? has_crt : has_key)) return OK;
	return fault_set(out_fault, ERR_INVALID,
		"spec.secretObject.data[%u] wants the %s of \"%.*s\", which objectType %s does not "
		"have; write objectType: secret in SecretProviderClass \"%.*s\" to get a "
		"certificate with its private key",
		item, part == TLS_CRT ? "certificate" : "private key", STR_ARG(object->name),
		vault_kind_name(object->kind), STR_ARG(spec_class_name(spec)));
}

/* What the class yields, for the person whose sourcePath names nothing. */
static void list_yield(const struct spc *spc, struct buf *out) {
	for (unsigned i = 0; i < spc->object_count; i++) {
		const struct spc_object *object = &spc->objects[i];
		if (i) buf_append(out, STR(", "));
		buf_append(out, object->path);
		if (object->history >= 2) buf_printf(out, "/0 to /%u", object->history - 1);
	}
	if (!spc->object_count) buf_append(out, STR("nothing, its objects are empty"));
}

enum err source_unknown(
	const struct spec *spec, unsigned item, const struct spc *spc, struct fault *out_fault) {
	struct buf yield = { 0 };
	buf_init(&yield, LIST_BYTES);
	list_yield(spc, &yield);
	struct str text = buf_err(&yield) ? STR("(a longer list)") : buf_str(&yield);
	enum err err = fault_set(out_fault, ERR_INVALID,
		"spec.secretObject.data[%u].sourcePath \"%.*s\" names nothing that "
		"SecretProviderClass \"%.*s\" yields; it yields: %.*s. Correct the sourcePath, or "
		"the objects of the class (a path with an index needs objectVersionHistory of 2 or "
		"more)",
		item, STR_ARG(spec->items[item].source_path), STR_ARG(spec_class_name(spec)),
		STR_ARG(text));
	buf_deinit(&yield);
	return err;
}
