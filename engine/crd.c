#include "engine/crd.h"

#include <assert.h>

#include "engine/doc.h"
#include "engine/doc_json.h"

/* The files themselves, so that there is one schema only. CMake rebuilds this file when one of them changes. */
#define EMBED(symbol, file)                                                     \
	__asm__(".pushsection .rodata\n"                                        \
		".globl " #symbol "\n" #symbol ":\n"                            \
		".incbin \"" KVSYNC_SOURCE_DIR "/deploy/manifests/" file "\"\n" \
		".globl " #symbol "_end\n" #symbol "_end:\n"                    \
		".byte 0\n.popsection\n");                                      \
	extern const char symbol[] __attribute__((visibility("hidden")));       \
	extern const char symbol##_end[] __attribute__((visibility("hidden")))

EMBED(crd_classes, "10-crd-secretproviderclasses.yaml");
EMBED(crd_syncs, "11-crd-secretsyncs.yaml");
EMBED(crd_akvsyncs, "12-crd-akvsyncs.yaml");

/* By address: to the language the two symbols are two objects. */
static struct str embedded(const char *start, const char *end) {
	return (struct str){ start, (size_t)((uintptr_t)end - (uintptr_t)start) };
}

static const struct doc_limits LIMITS = {
	.bytes = 1 << 20,
	.nodes = 20000,
	.depth = 32,
	.keys = 256,
	.allow_alias = true,
};

static enum err read_crd(struct str yaml, cJSON **out_crd) {
	struct doc doc;
	struct doc_place place;
	enum err err = doc_parse(yaml, &LIMITS, &doc, &place, NULL);
	if (err) return err;
	err = doc_to_json(&doc, doc_at(&doc, DOC_ROOT), out_crd, &place, NULL);
	doc_deinit(&doc);
	return err;
}

static const cJSON *get(const cJSON *object, const char *key) {
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool has_text(const cJSON *json, struct str text) {
	return cJSON_IsString(json) && str_eq(str_of(json->valuestring), text);
}

/* True when the CRD is of this kind; then the schema is taken out of it. */
static bool take_schema(
	cJSON *crd, struct str group, struct str version, struct str kind, cJSON **out_schema) {
	const cJSON *spec = get(crd, "spec");
	if (!has_text(get(spec, "group"), group) ||
		!has_text(get(get(spec, "names"), "kind"), kind))
		return false;
	cJSON *one;
	cJSON_ArrayForEach(one, get(spec, "versions")) {
		if (has_text(get(one, "name"), version))
			*out_schema = cJSON_DetachItemFromObject(
				(cJSON *)get(one, "schema"), "openAPIV3Schema");
	}
	return true;
}

enum err crd_schema(struct str group, struct str version, struct str kind, cJSON **out_schema) {
	const struct str files[] = {
		embedded(crd_classes, crd_classes_end),
		embedded(crd_syncs, crd_syncs_end),
		embedded(crd_akvsyncs, crd_akvsyncs_end),
	};
	*out_schema = NULL;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		cJSON *crd = NULL;
		enum err err = read_crd(files[i], &crd);
		assert(err != ERR_INVALID && err != ERR_TOO_LARGE);
		if (err) return err;
		bool found = take_schema(crd, group, version, kind, out_schema);
		cJSON_Delete(crd);
		if (found) return OK;
	}
	return ERR_NOT_FOUND;
}
