#include "engine/connect.h"
#include "engine/json_writer.h"

/* A step that was not tried has either a reason of its own, or one before it that failed. */
static const char *outcome_word(const struct connect_result *result) {
	switch (result->outcome) {
	case CONNECT_OK:
		return "ok";
	case CONNECT_DENIED:
		return "denied";
	case CONNECT_FAILED:
		return "failed";
	default:
		return "skipped";
	}
}

static void write_connection(const struct connection *connection, struct buf *out) {
	const struct spec *spec = connection->spec;
	const struct spc *spc = connection->spc;
	buf_printf(out, "\nConnection to %.*s as ", STR_ARG(spc->access->vault_url));
	check_write_identity(spec, spc, out);
	buf_append_char(out, '\n');
	for (enum connect_step step = CONNECT_DNS; step < CONNECT_STEPS; step++) {
		const struct connect_result *result = &connection->steps[step];
		buf_printf(out, "  %-8s  %s%s%s\n", connect_step_name(step), outcome_word(result),
			result->text[0] ? ": " : "", result->text);
	}
}

void connections_write_table(const struct connections *connections, struct buf *out_text) {
	for (unsigned i = 0; i < connections->count; i++)
		write_connection(&connections->items[i], out_text);
	buf_printf(out_text, "\n%u connection%s tried: %u failed\n", connections->count,
		connections->count == 1 ? "" : "s", connections->failed);
}

static void add_connection(
	struct json_writer *w, cJSON *list, const struct connection *connection) {
	const struct spec *spec = connection->spec;
	const struct spc *spc = connection->spc;
	cJSON *json = json_add_entry(w, list);
	check_add_vault(w, json, spc);
	json_add_text(w, json, "namespace", spec->common->ns);
	json_add_text(w, json, "serviceAccountName", spec->common->service_account);
	cJSON *steps = json_add_list(w, json, "steps");
	for (enum connect_step step = CONNECT_DNS; step < CONNECT_STEPS; step++) {
		const struct connect_result *result = &connection->steps[step];
		cJSON *entry = json_add_entry(w, steps);
		json_add_text(w, entry, "step", str_of(connect_step_name(step)));
		json_add_text(w, entry, "result", str_of(outcome_word(result)));
		json_add_text(w, entry, "message", str_of(result->text));
	}
}

enum err connections_write_json(const struct connections *connections, cJSON *document) {
	struct json_writer w = { 0 };
	cJSON *list = json_add_list(&w, document, "connections");
	for (unsigned i = 0; i < connections->count; i++)
		add_connection(&w, list, &connections->items[i]);
	return w.failed ? ERR_NOMEM : OK;
}
