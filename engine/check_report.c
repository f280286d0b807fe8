#include <stdio.h>

#include "engine/check_impl.h"
#include "engine/json_writer.h"
#include "workers/convert.h"
#include "workers/source.h"

enum { KIND_COUNT = CHECK_ACCOUNT + 1 };

/* --- for people --- */

static void write_note(
	const struct check_result *result, const struct check_note *note, struct buf *out) {
	buf_append(out, str_of(note->file));
	if (note->line) buf_printf(out, ":%u", note->line);
	buf_append(out, STR(": "));
	if (!note->is_fault) buf_append(out, STR("note: "));
	if (note->object != CHECK_NO_OBJECT) {
		const struct check_object *object = &result->objects[note->object];
		buf_printf(out, "%s %.*s/%.*s%s: ", CHECK_KINDS[object->kind], STR_ARG(object->ns),
			STR_ARG(object->name), object->derived ? " (of the AKVSync)" : "");
	}
	buf_printf(out, "%s\n", note->text);
}

/* Which version a key gets. */
static void write_version(const struct spc_object *object, unsigned index, struct buf *out) {
	bool newest = object->version.len == 0 || str_eq(object->version, STR("latest"));
	if (index) buf_printf(out, "%u before ", index);
	if (newest)
		buf_append(out, index ? STR("the newest") : STR("newest"));
	else
		buf_append(out, object->version);
}

/* Columns are as wide as their widest cell. */
enum { COLUMNS = 4 };
struct widths {
	int of[COLUMNS];
};

static void widen(struct widths *widths, unsigned column, size_t len) {
	if ((int)len > widths->of[column]) widths->of[column] = (int)len;
}

static struct widths measure(const struct spec *spec, const struct spc *spc) {
	struct widths widths = { { sizeof "KEY" - 1, sizeof "SOURCE PATH" - 1, sizeof "OBJECT" - 1,
		0 } };
	for (unsigned i = 0; i < spec->item_count; i++) {
		unsigned index;
		const struct spec_item *item = &spec->items[i];
		const struct spc_object *object = source_find(spc, item->source_path, &index);
		widen(&widths, 0, item->target_key.len);
		widen(&widths, 1, item->source_path.len);
		widen(&widths, 2, strlen(vault_kind_name(object->kind)) + 1 + object->name.len);
	}
	return widths;
}

static void write_item(
	const struct spec_item *item, const struct spc *spc, struct widths w, struct buf *out) {
	unsigned index;
	const struct spc_object *object = source_find(spc, item->source_path, &index);
	const char *kind = vault_kind_name(object->kind);
	int pad = w.of[2] - (int)(strlen(kind) + 1 + object->name.len);
	buf_printf(out, "  %-*.*s  %-*.*s  %s %.*s%*s  ", w.of[0], STR_ARG(item->target_key),
		w.of[1], STR_ARG(item->source_path), kind, STR_ARG(object->name), pad, "");
	write_version(object, index, out);
	buf_append_char(out, '\n');
}

void check_write_identity(const struct spec *spec, const struct spc *spc, struct buf *out_text) {
	switch (spc->access->identity) {
	case IDENTITY_WORKLOAD:
		buf_printf(out_text, "client %.*s of tenant %.*s, by service account %.*s/%.*s",
			STR_ARG(spc->access->client_id), STR_ARG(spc->access->tenant),
			STR_ARG(spec->common->ns), STR_ARG(spec->common->service_account));
		break;
	case IDENTITY_PRINCIPAL:
		buf_printf(out_text,
			"service principal of tenant %.*s, by its credential in Secret %.*s/%.*s",
			STR_ARG(spc->access->tenant), STR_ARG(spec->common->ns),
			STR_ARG(spc->access->secret_name));
		break;
	case IDENTITY_MACHINE:
		buf_printf(out_text, "managed identity of the node%s%.*s",
			spc->access->client_id.len ? ", client " : "",
			STR_ARG(spc->access->client_id));
		break;
	}
}

static void write_sync(const struct check_object *object, struct buf *out) {
	const struct spec *spec = object->spec;
	const struct spc *spc = object->class->spc;
	struct widths w = measure(spec, spc);
	buf_printf(out, "\nSecretSync %.*s/%.*s (%.*s)%s\n", STR_ARG(spec->common->ns),
		STR_ARG(spec->name), STR_ARG(spec->common->type),
		object->derived ? " of an AKVSync" : "");
	buf_printf(out, "  vault     %.*s\n", STR_ARG(spc->access->vault_url));
	buf_append(out, STR("  identity  "));
	check_write_identity(spec, spc, out);
	if (spc->access->identity != IDENTITY_MACHINE)
		buf_printf(out, ", at %.*s", STR_ARG(spc->access->authority));
	buf_append_char(out, '\n');
	buf_printf(out, "  %-*s  %-*s  %-*s  VERSION\n", w.of[0], "KEY", w.of[1], "SOURCE PATH",
		w.of[2], "OBJECT");
	for (unsigned i = 0; i < spec->item_count; i++) write_item(&spec->items[i], spc, w, out);
}

/* "1 AKVSync (for 7 SecretSyncs)" */
static void write_kind(const struct check_result *result, unsigned kind, struct buf *out) {
	unsigned count = result->kinds[kind], derived = 0;
	const char *plural = kind == CHECK_CLASS ? "es" : "s";
	buf_printf(out, "%u %s%s", count, CHECK_KINDS[kind], count == 1 ? "" : plural);
	for (unsigned i = 0; i < result->count && kind == CHECK_AKVSYNC; i++)
		derived += result->objects[i].derived && result->objects[i].kind == CHECK_SYNC;
	if (derived) buf_printf(out, " (for %u SecretSync%s)", derived, derived == 1 ? "" : "s");
}

static void write_counts(const struct check_result *result, struct buf *out) {
	const struct manifests *manifests = result->manifests;
	bool first = true;
	buf_append(out, STR("\n"));
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		if (!result->kinds[i]) continue;
		if (!first) buf_append(out, STR(", "));
		write_kind(result, i, out);
		first = false;
	}
	if (first) buf_append(out, STR("No object"));
	buf_printf(out, ": %u fault%s\n", result->fault_count, result->fault_count == 1 ? "" : "s");
	if (!manifests->ignored_count && !result->foreign_count) return;
	buf_append(out, STR("Other kinds, not checked:"));
	for (unsigned i = 0; i < manifests->ignored_count; i++) {
		buf_printf(out, "%s %u %s", i ? "," : "", manifests->ignored[i].count,
			manifests->ignored[i].kind);
	}
	if (result->foreign_count) {
		buf_printf(out, "%s %u of another API group", manifests->ignored_count ? "," : "",
			result->foreign_count);
	}
	buf_append_char(out, '\n');
}

void check_write_notes(const struct check_result *result, struct buf *out_text) {
	for (unsigned i = 0; i < result->note_count; i++)
		write_note(result, &result->notes[i], out_text);
}

void check_write_table(const struct check_result *result, struct buf *out_text) {
	check_write_notes(result, out_text);
	for (unsigned i = 0; i < result->count; i++) {
		if (check_is_sound(&result->objects[i])) write_sync(&result->objects[i], out_text);
	}
	write_counts(result, out_text);
}

/* --- for programs --- */

static void add_note_json(struct json_writer *w, cJSON *list, const struct check_result *result,
	const struct check_note *note) {
	cJSON *json = json_add_entry(w, list);
	json_add_text(w, json, "file", str_of(note->file));
	json_add_number(w, json, "line", note->line);
	if (note->object != CHECK_NO_OBJECT) {
		const struct check_object *object = &result->objects[note->object];
		json_add_text(w, json, "kind", str_of(CHECK_KINDS[object->kind]));
		json_add_text(w, json, "namespace", object->ns);
		json_add_text(w, json, "name", object->name);
	}
	json_add_text(w, json, "field", str_of(note->field));
	json_add_text(w, json, "message", str_of(note->text));
}

static void add_place(struct json_writer *w, cJSON *json, const struct check_result *result,
	const struct check_object *object) {
	json_add_text(w, json, "file", str_of(object->manifest->file));
	json_add_number(w, json, "line", object->line);
	json_add_text(w, json, "namespace", object->ns);
	json_add_text(w, json, "name", object->name);
	if (object->derived) json_add_text(w, json, "akvSync", result->objects[object->from].name);
}

static const char *const FORMATS[] = { [FORMAT_PEM] = "pem", [FORMAT_PFX] = "pfx" };
static const char *const ENCODINGS[] = {
	[ENCODING_UTF8] = "utf-8",
	[ENCODING_BASE64] = "base64",
	[ENCODING_HEX] = "hex",
};
static const char *const PARTS[] = { [TLS_CRT] = "tls.crt", [TLS_KEY] = "tls.key" };

/* The version rule: "latest" or an id, and how many versions are kept from there on. */
static void add_object(struct json_writer *w, cJSON *list, const struct spc_object *object) {
	cJSON *json = json_add_entry(w, list);
	json_add_text(w, json, "type", str_of(vault_kind_name(object->kind)));
	json_add_text(w, json, "name", object->name);
	json_add_text(w, json, "version", object->version.len ? object->version : STR("latest"));
	json_add_number(w, json, "versionHistory", object->history < 2 ? 1 : object->history);
	json_add_text(w, json, "path", object->path);
	json_add_text(w, json, "objectFormat", str_of(FORMATS[object->format]));
	json_add_text(w, json, "objectEncoding", str_of(ENCODINGS[object->encoding]));
}

/* Members that an identity does not have are left out. */
void check_add_vault(struct json_writer *w, cJSON *json, const struct spc *spc) {
	static const char *const identities[] = {
		[IDENTITY_WORKLOAD] = "workloadIdentity",
		[IDENTITY_PRINCIPAL] = "servicePrincipal",
		[IDENTITY_MACHINE] = "managedIdentity",
	};
	json_add_text(w, json, "vaultUrl", spc->access->vault_url);
	json_add_text(w, json, "identity", str_of(identities[spc->access->identity]));
	json_add_text(w, json, "tenantID", spc->access->tenant);
	if (spc->access->client_id.len) json_add_text(w, json, "clientID", spc->access->client_id);
	if (spc->access->secret_name.len)
		json_add_text(w, json, "servicePrincipalSecretName", spc->access->secret_name);
	if (spc->requests_per_10s)
		json_add_number(w, json, "vaultRequestsPer10Seconds", spc->requests_per_10s);
	json_add_text(w, json, "authority", spc->access->authority);
	json_add_text(w, json, "scope", spc->access->scope);
	if (spc->access->identity == IDENTITY_WORKLOAD)
		json_add_text(w, json, "audience", spc->access->audience);
}

static void add_class(struct json_writer *w, cJSON *list, const struct check_result *result,
	const struct check_object *object) {
	cJSON *json = json_add_entry(w, list);
	add_place(w, json, result, object);
	check_add_vault(w, json, object->spc);
	cJSON *objects = json_add_list(w, json, "objects");
	for (unsigned i = 0; i < object->spc->object_count; i++)
		add_object(w, objects, &object->spc->objects[i]);
}

/* True when an earlier item reads the same object. */
static bool is_repeated(const struct spec *spec, const struct spc *spc, unsigned item) {
	unsigned index;
	const struct spc_object *object = source_find(spc, spec->items[item].source_path, &index);
	for (unsigned i = 0; i < item; i++) {
		if (source_find(spc, spec->items[i].source_path, &index) == object) return true;
	}
	return false;
}

static void add_item(struct json_writer *w, cJSON *list, const struct spec *spec,
	const struct spec_item *item, const struct spc *spc) {
	unsigned index;
	const struct spc_object *object = source_find(spc, item->source_path, &index);
	enum tls_part part = source_part(object, item->source_path);
	part = convert_plan_of(spec->common->type, item->target_key, part).part;
	cJSON *json = json_add_entry(w, list);
	json_add_text(w, json, "targetKey", item->target_key);
	json_add_text(w, json, "sourcePath", item->source_path);
	json_add_text(w, json, "type", str_of(vault_kind_name(object->kind)));
	json_add_text(w, json, "name", object->name);
	json_add_number(w, json, "index", index);
	if (part != TLS_WHOLE) json_add_text(w, json, "part", str_of(PARTS[part]));
}

static void add_sync(struct json_writer *w, cJSON *list, const struct check_result *result,
	const struct check_object *object) {
	const struct spec *spec = object->spec;
	const struct spc *spc = object->class->spc;
	cJSON *json = json_add_entry(w, list);
	add_place(w, json, result, object);
	json_add_text(w, json, "type", spec->common->type);
	json_add_text(w, json, "secretProviderClassName", spec_class_name(spec));
	json_add_text(w, json, "serviceAccountName", spec->common->service_account);
	int64_t interval_s = spec->common->interval_ns / NS_PER_S;
	if (interval_s)
		json_add_number(w, json, "rotationPollIntervalInSeconds", (double)interval_s);
	check_add_vault(w, json, spc);
	cJSON *objects = json_add_list(w, json, "objects"), *data = json_add_list(w, json, "data");
	for (unsigned i = 0; i < spec->item_count; i++) {
		unsigned index;
		if (!is_repeated(spec, spc, i))
			add_object(
				w, objects, source_find(spc, spec->items[i].source_path, &index));
		add_item(w, data, spec, &spec->items[i], spc);
	}
}

static void add_ignored(struct json_writer *w, cJSON *root, const struct check_result *result) {
	cJSON *json = json_add(w, root, "ignored", cJSON_CreateObject());
	for (unsigned i = 0; i < result->manifests->ignored_count; i++) {
		const struct manifest_kind *kind = &result->manifests->ignored[i];
		json_add_number(w, json, kind->kind, kind->count);
	}
}

enum err check_write_notes_json(const struct check_result *result, cJSON *document) {
	struct json_writer w = { 0 };
	cJSON *faults = json_add_list(&w, document, "faults"),
	      *notes = json_add_list(&w, document, "notes");
	for (unsigned i = 0; i < result->note_count; i++) {
		const struct check_note *note = &result->notes[i];
		add_note_json(&w, note->is_fault ? faults : notes, result, note);
	}
	return w.failed ? ERR_NOMEM : OK;
}

enum err check_write_json(const struct check_result *result, cJSON **out_json) {
	struct json_writer w = { 0 };
	cJSON *root = cJSON_CreateObject();
	w.failed = check_write_notes_json(result, root) != OK;
	cJSON *syncs = json_add_list(&w, root, "secretSyncs");
	cJSON *classes = json_add_list(&w, root, "secretProviderClasses");
	for (unsigned i = 0; i < result->count; i++) {
		const struct check_object *object = &result->objects[i];
		if (check_is_sound(object)) add_sync(&w, syncs, result, object);
		if (object->kind == CHECK_CLASS && !object->faults)
			add_class(&w, classes, result, object);
	}
	add_ignored(&w, root, result);
	if (w.failed) cJSON_Delete(root);
	if (!w.failed) *out_json = root;
	return w.failed ? ERR_NOMEM : OK;
}
