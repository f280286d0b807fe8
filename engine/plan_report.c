#include <stdio.h>

#include "engine/json_writer.h"
#include "engine/plan.h"
#include "workers/source.h"

enum { SHOWN_BYTES = 6, DIGEST_TEXT = 2 * SHOWN_BYTES + 1, OBJECT_BYTES = 160 };

/* --- cells --- */

/* The beginning of a digest: enough to tell the values of one plan apart. */
static const char *digest_text(
	const struct plan_digest *digest, char out_text[static DIGEST_TEXT]) {
	if (!digest->known) return "";
	hex_encode(digest->bytes, SHOWN_BYTES, out_text);
	return out_text;
}

static const struct spc_object *object_of(
	const struct plan_target *target, const struct plan_row *row) {
	unsigned index;
	if (row->item == PLAN_NO_ITEM || !target->spc) return NULL;
	return source_find(target->spc, target->spec->items[row->item].source_path, &index);
}

/* "secret db-password", or what else the row is about. */
static void write_object(const struct plan_target *target, const struct plan_row *row,
	char out_text[static OBJECT_BYTES]) {
	const struct spc_object *object = object_of(target, row);
	out_text[0] = 0;
	if (row->set != KUBE_FIELD_DATA)
		snprintf(out_text, OBJECT_BYTES, "(%s)",
			row->set == KUBE_FIELD_LABEL ? "label" : "annotation");
	else if (object)
		snprintf(out_text, OBJECT_BYTES, "%s %.*s", vault_kind_name(object->kind),
			STR_ARG(object->name));
}

/* --- for people --- */

/* Columns are as wide as their widest cell. */
enum { COLUMNS = 5 };
struct widths {
	int of[COLUMNS];
};

static void widen(struct widths *widths, unsigned column, size_t len) {
	if ((int)len > widths->of[column]) widths->of[column] = (int)len;
}

static struct widths measure(const struct plan_target *target) {
	struct widths widths = { { sizeof "unchanged" - 1, sizeof "KEY" - 1, sizeof "OBJECT" - 1,
		sizeof "VERSION" - 1, DIGEST_TEXT - 1 } };
	char object[OBJECT_BYTES];
	for (unsigned i = 0; i < target->row_count; i++) {
		const struct plan_row *row = &target->rows[i];
		write_object(target, row, object);
		widen(&widths, 1, strlen(row->name));
		widen(&widths, 2, strlen(object));
		widen(&widths, 3, strlen(row->version));
	}
	return widths;
}

static void write_row(const struct plan_target *target, const struct plan_row *row, struct widths w,
	struct buf *out) {
	char object[OBJECT_BYTES], before[DIGEST_TEXT], after[DIGEST_TEXT];
	write_object(target, row, object);
	buf_printf(out, "  %-*s  %-*s  %-*s  %-*s  %-*s  %s\n", w.of[0],
		plan_action_name(row->action), w.of[1], row->name, w.of[2], object, w.of[3],
		row->version, w.of[4], digest_text(&row->before, before),
		digest_text(&row->after, after));
	if (row->message) buf_printf(out, "    %s\n", row->message);
}

static void write_target(const struct plan_target *target, struct buf *out) {
	struct widths w = measure(target);
	buf_printf(out, "SecretSync %s: %s", target->record.key, plan_action_name(target->action));
	if (target->spc) buf_printf(out, " (from %.*s)", STR_ARG(target->spc->access->vault_url));
	buf_append_char(out, '\n');
	if (target->message) buf_printf(out, "  %s\n", target->message);
	if (target->row_count)
		buf_printf(out, "  %-*s  %-*s  %-*s  %-*s  %-*s  NEW\n", w.of[0], "ACTION", w.of[1],
			"KEY", w.of[2], "OBJECT", w.of[3], "VERSION", w.of[4], "OLD");
	for (unsigned i = 0; i < target->row_count; i++)
		write_row(target, &target->rows[i], w, out);
	buf_append_char(out, '\n');
}

void plan_write_table(const struct plan *plan, struct buf *out_text) {
	for (unsigned i = 0; i < plan->count; i++) write_target(plan->targets[i], out_text);
	buf_printf(out_text, "%u SecretSync%s:", plan->count, plan->count == 1 ? "" : "s");
	for (enum plan_action action = 0; action < PLAN_ACTIONS; action++) {
		unsigned count = plan->totals[action];
		if (count || action == PLAN_UNCHANGED)
			buf_printf(out_text, "%s %u %s", action ? "," : "", count,
				plan_action_name(action));
	}
	buf_append(out_text, STR(". Nothing was written.\n"));
}

/* --- for programs --- */

static const char *const SETS[] = {
	[KUBE_FIELD_DATA] = "key",
	[KUBE_FIELD_LABEL] = "label",
	[KUBE_FIELD_ANNOTATION] = "annotation",
};

static void add_digest(
	struct json_writer *w, cJSON *json, const char *key, const struct plan_digest *digest) {
	char text[DIGEST_TEXT];
	if (digest->known) json_add_text(w, json, key, str_of(digest_text(digest, text)));
}

static void add_row(struct json_writer *w, cJSON *list, const struct plan_target *target,
	const struct plan_row *row) {
	const struct spc_object *object = object_of(target, row);
	cJSON *json = json_add_entry(w, list);
	json_add_text(w, json, "field", str_of(SETS[row->set]));
	json_add_text(w, json, "name", str_of(row->name));
	json_add_text(w, json, "action", str_of(plan_action_name(row->action)));
	if (row->item != PLAN_NO_ITEM)
		json_add_text(w, json, "sourcePath", target->spec->items[row->item].source_path);
	if (object) {
		json_add_text(w, json, "objectType", str_of(vault_kind_name(object->kind)));
		json_add_text(w, json, "objectName", object->name);
	}
	if (row->version[0]) json_add_text(w, json, "version", str_of(row->version));
	add_digest(w, json, "oldDigest", &row->before);
	add_digest(w, json, "newDigest", &row->after);
	if (row->message) json_add_text(w, json, "message", str_of(row->message));
}

static void add_target(struct json_writer *w, cJSON *list, const struct plan *plan,
	const struct plan_target *target) {
	const struct check_object *from = target->from;
	enum reason_names names = config_settings(plan->options->config).names;
	cJSON *json = json_add_entry(w, list);
	if (from) json_add_text(w, json, "file", str_of(from->manifest->file));
	if (from) json_add_number(w, json, "line", from->line);
	json_add_text(w, json, "namespace", target->ns);
	json_add_text(w, json, "name", target->name);
	if (target->spc) json_add_text(w, json, "vaultUrl", target->spc->access->vault_url);
	json_add_text(w, json, "action", str_of(plan_action_name(target->action)));
	if (target->reason)
		json_add_text(w, json, "reason", str_of(reason_name(names, target->reason)));
	if (target->message) json_add_text(w, json, "message", str_of(target->message));
	cJSON *rows = json_add_list(w, json, "rows");
	for (unsigned i = 0; i < target->row_count; i++) add_row(w, rows, target, &target->rows[i]);
}

enum err plan_write_json(const struct plan *plan, cJSON *document) {
	struct json_writer w = { 0 };
	cJSON *list = json_add_list(&w, document, "secretSyncs");
	for (unsigned i = 0; i < plan->count; i++) add_target(&w, list, plan, plan->targets[i]);
	cJSON *totals = json_add(&w, document, "totals", cJSON_CreateObject());
	for (enum plan_action action = 0; action < PLAN_ACTIONS; action++)
		json_add_number(&w, totals, plan_action_name(action), plan->totals[action]);
	return w.failed ? ERR_NOMEM : OK;
}
