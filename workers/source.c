#include "workers/source.h"

#include "base/buf.h"

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

static bool object_yields(const struct spc_object *object, struct str source, unsigned *out_index) {
	*out_index = 0;
	if (object->history < 2) return str_eq(source, object->path);
	return history_index(source, object->path, out_index) && *out_index < object->history;
}

const struct spc_object *source_find(
	const struct spc *spc, struct str source, unsigned *out_index) {
	for (unsigned i = 0; i < spc->object_count; i++) {
		if (object_yields(&spc->objects[i], source, out_index)) return &spc->objects[i];
	}
	return NULL;
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
		item, STR_ARG(spec->items[item].source_path), STR_ARG(spec->class_name),
		STR_ARG(text));
	buf_deinit(&yield);
	return err;
}
