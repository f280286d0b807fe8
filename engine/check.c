#include <stdio.h>
#include <stdlib.h>

#include "engine/akv_plan.h"
#include "engine/check_impl.h"
#include "engine/crd.h"
#include "engine/placeholder.h"
#include "engine/schema.h"
#include "engine/text.h"

const char *const CHECK_KINDS[] = {
	[CHECK_SYNC] = "SecretSync",
	[CHECK_CLASS] = "SecretProviderClass",
	[CHECK_AKVSYNC] = "AKVSync",
	[CHECK_ACCOUNT] = "ServiceAccount",
};
enum { KIND_COUNT = CHECK_ACCOUNT + 1 };

bool check_wants(struct str kind) {
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		if (str_eq(kind, str_of(CHECK_KINDS[i]))) return true;
	}
	return false;
}

/* --- one object --- */

static struct str text_at(const cJSON *json, const char *parent, const char *key) {
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(json, parent), key);
	return cJSON_IsString(value) ? str_of(value->valuestring) : STR("");
}

/* Classes are looked up among the files, not here. */
static struct spc_cell *cell_of(struct cell_source *source, struct str ns, struct str name) {
	char key[512];
	(void)source;
	int len = snprintf(key, sizeof key, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
	return spc_cell_create((struct str){ key, (size_t)len });
}

const cJSON *check_json(const struct check_object *object) {
	return object->derived ? object->derived : object->manifest->json;
}

/* YAML reads n, yes and 12 without quotes as no texts. */
static bool is_text_or_none(const cJSON *json, const char *key) {
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(json, "metadata"), key);
	return !value || cJSON_IsNull(value) || cJSON_IsString(value);
}

static void read_name(struct check_result *result, unsigned index, struct str default_ns) {
	struct check_object *object = &result->objects[index];
	struct collector c = check_collector(result, index, true);
	const cJSON *json = check_json(object);
	object->name = text_at(json, "metadata", "name");
	object->ns = text_at(json, "metadata", "namespace");
	if (object->ns.len == 0) object->ns = default_ns;
	if (!is_text_or_none(json, "namespace"))
		tell(&c, "metadata.namespace has to be a string: put it into quotes");
	if (!is_text_or_none(json, "name")) {
		tell(&c, "metadata.name has to be a string: put it into quotes");
	} else if (object->name.len == 0) {
		tell(&c, "metadata.name is not set; it is the name of the %s",
			CHECK_KINDS[object->kind]);
	} else if (!text_is_dns_name(object->name)) {
		tell(&c,
			"metadata.name \"%.*s\" is no name; it has lower-case letters, digits, "
			"\"-\" and \".\", and begins and ends with a letter or a digit",
			TEXT_ARG(object->name));
	}
	if (!text_is_dns_name(object->ns) || object->ns.len > 63) {
		tell(&c, "metadata.namespace \"%.*s\" is no name of a namespace",
			TEXT_ARG(object->ns));
	}
}

static enum err apply_rules(
	struct check_object *object, const struct spc_defaults *defaults, struct fault_sink *sink) {
	const cJSON *json = check_json(object);
	if (object->kind == CHECK_CLASS) return spc_build_all(json, defaults, sink, &object->spc);
	struct object_meta meta = { .ns = object->ns, .name = object->name, .uid = STR("none") };
	struct cell_source cells = { .cell_of = cell_of };
	return spec_build_all(json, &meta, &cells, sink, &object->spec);
}

static enum err apply_schema(struct check_object *object, struct collector *c) {
	const struct manifest *manifest = object->manifest;
	cJSON *schema = NULL;
	enum err err = crd_schema(manifest->group, manifest->version, manifest->kind, &schema);
	if (err == ERR_NOT_FOUND) return OK;
	if (!err && !schema) {
		tell(c, "apiVersion \"%.*s/%.*s\" is no version of %s that kvsync reads",
			TEXT_ARG(manifest->group), TEXT_ARG(manifest->version),
			CHECK_KINDS[object->kind]);
	}
	if (!err && schema) err = schema_check(schema, manifest->json, &c->sink);
	cJSON_Delete(schema);
	return err ? err : c->err;
}

/* --- what AKVSyncs stand for --- */

static cJSON *derived_json(const struct akv_child *child, struct str ns) {
	cJSON *json = cJSON_CreateObject(), *metadata = NULL, *spec = cJSON_Parse(child->spec);
	char *ns_text = mem_strdup(ns);
	bool made = json && spec && ns_text;
	if (made) made = cJSON_AddItemToObject(json, "spec", spec);
	if (made) spec = NULL;
	metadata = made ? cJSON_AddObjectToObject(json, "metadata") : NULL;
	made = metadata && cJSON_AddStringToObject(metadata, "name", child->name) &&
	       cJSON_AddStringToObject(metadata, "namespace", ns_text);
	cJSON_Delete(spec);
	mem_free(ns_text);
	if (made) return json;
	cJSON_Delete(json);
	return NULL;
}

static enum err append_children(
	struct check_result *result, unsigned from, const struct akv_plan *plan) {
	size_t room = (size_t)result->count + plan->count;
	struct check_object *more = mem_realloc(result->objects, room * sizeof *more);
	if (!more) return ERR_NOMEM;
	result->objects = more;
	for (unsigned i = 0; i < plan->count; i++) {
		const struct check_object *parent = &result->objects[from];
		struct check_object child = {
			.manifest = parent->manifest,
			.kind = plan->children[i].resource == KUBE_CLASSES ? CHECK_CLASS
									   : CHECK_SYNC,
			.line = parent->line,
			.derived = derived_json(&plan->children[i], parent->ns),
			.from = from,
		};
		if (!child.derived) return ERR_NOMEM;
		result->objects[result->count++] = child;
	}
	return OK;
}

static enum err derive(struct check_result *result, unsigned index) {
	struct collector c = check_collector(result, index, true);
	struct akv_plan plan = { 0 };
	struct fault fault = { 0 };
	enum err err =
		akv_plan_build_all(result->objects[index].manifest->json, &c.sink, &plan, &fault);
	if (err) return err == ERR_NOMEM ? err : c.err;
	err = append_children(result, index, &plan);
	akv_plan_deinit(&plan);
	return err;
}

/* --- each --- */

enum { NAMES_BYTES = 4096 };

/* As it comes from a template: what else is wrong with it goes once that is mended. */
static enum err check_filled(struct check_result *result, unsigned index) {
	struct check_object *object = &result->objects[index];
	struct collector c = check_collector(result, index, true);
	struct buf names;
	if (object->derived) return OK;
	buf_init(&names, NAMES_BYTES);
	placeholder_list(object->manifest->json, &names);
	enum err err = buf_err(&names) == ERR_NOMEM ? ERR_NOMEM : OK;
	if (!err && buf_str(&names).len) {
		tell(&c,
			"placeholders are not filled in: %.300s. This file is a template: envsubst "
			"<FILE | kubectl apply -f -",
			buf_cstr(&names));
		object->is_template = true;
	}
	buf_deinit(&names);
	return err ? err : c.err;
}

static enum err check_one(
	struct check_result *result, unsigned index, const struct check_options *options) {
	struct check_object *object = &result->objects[index];
	struct collector c = check_collector(result, index, true);
	enum err err = check_filled(result, index);
	if (err) return err;
	read_name(result, index, options->ns);
	if (object->kind == CHECK_ACCOUNT) return c.err;
	if (object->kind == CHECK_AKVSYNC && object->is_template) return c.err;
	/* What is derived may move the objects. */
	err = object->kind == CHECK_AKVSYNC ? derive(result, index)
					    : apply_rules(object, &options->defaults, &c.sink);
	object = &result->objects[index];
	if (object->derived) return err ? err : c.err;
	c.only_new = true;
	return err ? err : apply_schema(object, &c);
}

/* --- all --- */

/* False: another product's kind of that name. */
static bool kind_of(const struct manifest *manifest, enum check_kind *out_kind) {
	static const char *const groups[] = {
		[CHECK_SYNC] = "secret-sync.x-k8s.io",
		[CHECK_CLASS] = "secrets-store.csi.x-k8s.io",
		[CHECK_AKVSYNC] = "secret-sync.x-k8s.io",
		[CHECK_ACCOUNT] = "",
	};
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		if (!str_eq(manifest->kind, str_of(CHECK_KINDS[i]))) continue;
		if (!str_eq(manifest->group, str_of(groups[i]))) continue;
		*out_kind = i;
		return true;
	}
	return false;
}

static enum err collect_objects(struct check_result *result) {
	const struct manifests *manifests = result->manifests;
	result->objects =
		mem_array(manifests->count ? manifests->count : 1, sizeof *result->objects);
	if (!result->objects) return ERR_NOMEM;
	for (unsigned i = 0; i < manifests->count; i++) {
		const struct manifest *manifest = &manifests->items[i];
		struct check_object *object = &result->objects[result->count];
		*object = (struct check_object){ .manifest = manifest };
		if (!kind_of(manifest, &object->kind)) {
			result->foreign_count++;
			continue;
		}
		object->line = manifest->line_offset + doc_at(manifest->doc, manifest->node)->line;
		result->kinds[object->kind]++;
		result->count++;
	}
	for (unsigned i = 0; i < manifests->fault_count; i++) {
		const struct manifest_fault *fault = &manifests->faults[i];
		struct check_note note = { .file = fault->file,
			.line = fault->line,
			.object = CHECK_NO_OBJECT,
			.is_fault = true };
		enum err err = check_add_note(result, note, STR(""), str_of(fault->text));
		if (err) return err;
	}
	return OK;
}

/* Notes stand in the order of the files as they were given, and in a file by line. */
static int by_place(const void *a, const void *b) {
	const struct check_note *x = a, *y = b;
	if (x->file != y->file) {
		int order = strcmp(x->file, y->file);
		if (order) return order;
	}
	if (x->line != y->line) return x->line < y->line ? -1 : 1;
	return strcmp(x->field, y->field);
}

/* A name that was mistyped must not pass for files without a fault. */
static enum err check_found(struct check_result *result, const struct check_options *options) {
	const unsigned *kinds = result->kinds;
	unsigned found = kinds[CHECK_SYNC] + kinds[CHECK_CLASS] + kinds[CHECK_AKVSYNC];
	char text[512], others[64] = "";
	if (!options->for_plan) found += kinds[CHECK_ACCOUNT];
	if (!options->paths || found || result->fault_count) return OK;
	if (options->path_count > 1)
		snprintf(others, sizeof others, ", nor in the %d other%s that %s named",
			options->path_count - 1, options->path_count > 2 ? "s" : "",
			options->path_count > 2 ? "were" : "was");
	snprintf(text, sizeof text,
		"nothing to %s is in it%s: no SecretSync, SecretProviderClass%s AKVSync%s. A "
		"folder "
		"is searched for .yaml, .yml and .json",
		options->for_plan ? "plan" : "check", others, options->for_plan ? " or" : ",",
		options->for_plan ? "" : " or ServiceAccount");
	struct check_note note = {
		.file = options->paths[0], .object = CHECK_NO_OBJECT, .is_fault = true
	};
	return check_add_note(result, note, STR(""), str_of(text));
}

enum err check_manifests(const struct manifests *manifests, const struct check_options *options,
	struct check_result *out_result) {
	struct check_result result = { .manifests = manifests };
	enum err err = collect_objects(&result);
	for (unsigned i = 0; i < result.count && !err; i++) err = check_one(&result, i, options);
	if (!err) err = check_together(&result, options->classes_elsewhere);
	if (!err) err = check_found(&result, options);
	if (err) {
		check_result_deinit(&result);
		return err;
	}
	if (result.note_count)
		qsort(result.notes, result.note_count, sizeof *result.notes, by_place);
	*out_result = result;
	return OK;
}

void check_result_deinit(struct check_result *result) {
	for (unsigned i = 0; i < result->count; i++) {
		cJSON_Delete(result->objects[i].derived);
		spec_unref(result->objects[i].spec);
		spc_unref(result->objects[i].spc);
	}
	for (unsigned i = 0; i < result->note_count; i++) {
		mem_free(result->notes[i].field);
		mem_free(result->notes[i].text);
	}
	mem_free(result->objects);
	mem_free(result->notes);
	*result = (struct check_result){ 0 };
}

bool check_is_sound(const struct check_object *object) {
	return object->kind == CHECK_SYNC && object->faults == 0 && object->class &&
	       object->class->faults == 0;
}
