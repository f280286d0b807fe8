/* Which data items are good, which have failed, and what that means for the Secret. */
#include <assert.h>

#include "base/log.h"
#include "workers/demand.h"
#include "workers/source.h"
#include "workers/sync.h"

/* --- one item --- */

/* The item names nothing, or a part that its object does not have. */
static bool is_input_fault(const struct sync *sync, unsigned item, struct fault *out_fault) {
	unsigned index = 0;
	const struct spc_object *object =
		sync_find_object(sync, sync->spec->items[item].source_path, &index);
	enum err err = object ? source_check_part(sync->spec, item, object, out_fault)
			      : source_unknown(sync->spec, item, sync->spc, out_fault);
	return err != OK;
}

enum err sync_item_fault(const struct sync *sync, unsigned item, struct fault *out_fault) {
	const struct sync_read *read = NULL;
	struct str source = sync->spec->items[item].source_path;
	const struct sync_value *value = sync_find_value(sync, source, &read);
	const struct fault *fault = sync->outputs ? sync->outputs[item].fault : NULL;
	if (is_input_fault(sync, item, out_fault)) return ERR_INVALID;
	bool good = sync->fetching_values ? value->fetched : value->known;
	if (good && !fault) return OK;
	if (!good) fault = read->fault.err ? &read->fault : &read->missing;
	assert(fault->err);
	if (out_fault) *out_fault = *fault;
	return fault->err;
}

/* The item that brings this key of the Secret. */
static bool find_key(const struct sync *sync, struct str key, unsigned *out_item) {
	for (unsigned i = 0; i < sync->spec->item_count; i++) {
		if (!str_eq(sync->spec->items[i].target_key, key)) continue;
		*out_item = i;
		return true;
	}
	return false;
}

/* --- what some types demand --- */

/* True when a key that the type demands has failed; *out_fault is its item's. */
static bool lacks_demanded(const struct sync *sync, struct fault *out_fault, struct str *out_key) {
	const struct demand *demand = demand_of(sync->spec->common->type);
	bool lacks = false;
	unsigned item = 0;
	for (unsigned i = 0; demand && i < demand->count; i++) {
		if (!find_key(sync, demand->keys[i], &item)) continue;
		if (!sync_item_fault(sync, item, out_fault)) {
			if (demand->one_is_enough) return false;
			continue;
		}
		lacks = true;
		*out_key = demand->keys[i];
		if (!demand->one_is_enough) return true;
	}
	return lacks;
}

bool sync_can_create(const struct sync *sync, struct fault *out_fault) {
	struct str key = STR_NULL;
	if (!sync->partial || !lacks_demanded(sync, out_fault, &key)) return true;
	enum err err = fault_prefix(out_fault, out_fault->err,
		"the Secret cannot be created without its item for key \"%.*s\", which type "
		"%.*s demands",
		STR_ARG(key), STR_ARG(sync->spec->common->type));
	assert(err);
	return false;
}

/* A new certificate beside the key of the old one serves nobody: the two change together, or not at all. */
static bool would_part_pair(const struct sync *sync, struct fault *out_fault) {
	struct str key = STR_NULL;
	return str_eq(sync->spec->common->type, STR("kubernetes.io/tls")) &&
	       lacks_demanded(sync, out_fault, &key);
}

/* --- all items --- */

/* Of several failures the one that may pass soonest decides about the retry; the first of its kind. */
static unsigned count_failed(const struct sync *sync, struct fault *out_fault, bool *out_input) {
	unsigned failed = 0;
	for (unsigned i = 0; i < sync->spec->item_count; i++) {
		struct fault fault = { 0 };
		if (!sync_item_fault(sync, i, &fault)) continue;
		bool sooner = err_retry(fault.err) != RETRY_SLOW &&
			      err_retry(out_fault->err) == RETRY_SLOW;
		if (failed == 0 || sooner) {
			*out_fault = fault;
			*out_input = is_input_fault(sync, i, NULL);
		}
		failed++;
	}
	return failed;
}

static void log_partial(const struct sync *sync) {
	const struct condition *ready = &sync->object->status.conditions[CONDITION_READY];
	if (ready->reason == REASON_PARTIAL) return;
	log_warn("some items failed", kv("secretsync", sync->object->key),
		kv("reason", reason_name(sync->worker->settings.names, REASON_PARTIAL)),
		kv("code", sync->item_fault.code), kv("cause", sync->item_fault.text));
}

/* In the words that every object of an unreachable vault gets, whether it asked or not: a condition is not written again
 * because somebody else's trial told more. */
static void share_words(struct sync *sync, const struct gate *gate) {
	for (unsigned i = 0; i < sync->read_count; i++) {
		struct fault *fault = &sync->reads[i].fault;
		if (fault->err == ERR_NETWORK || fault->err == ERR_TIMEOUT) *fault = gate->fault;
	}
}

const struct step *sync_judge_items(struct sync *sync) {
	struct gate *gate = sync->object->shard ? &sync->object->shard->gate : NULL;
	struct fault fault = { 0 };
	bool input = false, shut = gate && gate_is_shut(gate);
	if (gate && gate->open) share_words(sync, gate);
	unsigned failed = count_failed(sync, &fault, &input);
	sync->partial = failed > 0;
	if (!failed) return NULL;
	bool all = failed == sync->spec->item_count || !sync->worker->settings.partial;
	if (all || would_part_pair(sync, &fault)) {
		sync->partial = false;
		if (input) return sync_fail(sync, BLAME_INPUT, NULL, &fault);
		return sync_fail(sync, BLAME_PROVIDER, shut ? gate : NULL, &fault);
	}
	sync->item_fault = fault;
	if (shut) sync->fault_gate = gate;
	log_partial(sync);
	return NULL;
}

bool sync_versions_match(const struct sync *sync) {
	for (unsigned i = 0; i < sync->spec->item_count; i++) {
		const struct sync_read *read = NULL;
		struct str source = sync->spec->items[i].source_path;
		if (sync_item_fault(sync, i, NULL)) continue;
		const struct sync_value *value = sync_find_value(sync, source, &read);
		const struct status_object *known =
			status_find_object(&sync->object->status, source);
		if (!known || !str_eq(str_of(known->version), str_of(value->row.version)))
			return false;
	}
	return true;
}

/* --- the message of PartialSync --- */

/* "kept": the Secret has the item's last value; "missing": it has none; "failed": it is not known which of the two. */
static const char *failed_result(const struct sync *sync, struct str source) {
	const struct status *status = &sync->status;
	bool unsure = !status->object_count || status_is_partial(status);
	bool there = status_find_object(status, source) != NULL;
	if (unsure && (there || !status->object_count)) return "failed";
	return there ? "kept" : "missing";
}

static void write_item(const struct sync *sync, unsigned item, size_t text_bytes, struct buf *out) {
	const struct spec_item *spec = &sync->spec->items[item];
	struct fault fault = { 0 };
	enum err err = sync_item_fault(sync, item, &fault);
	buf_append(out, STR("{\"targetKey\":"));
	buf_append_json(out, spec->target_key);
	buf_append(out, STR(",\"sourcePath\":"));
	buf_append_json(out, spec->source_path);
	buf_append(out, STR(",\"result\":"));
	buf_append_json(out, str_of(err ? failed_result(sync, spec->source_path) : "synced"));
	if (err) {
		buf_append(out, STR(",\"code\":"));
		buf_append_json(out, str_of(fault.code[0] ? fault.code : err_text(err)));
		buf_append(out, STR(",\"message\":"));
		buf_append_json(out, str_slice(str_of(fault.text), 0, text_bytes));
	}
	buf_append_char(out, '}');
}

/* Room for one more entry and the count of what is left out: two names of 253 bytes, a code, a short text. */
enum { ENTRY_BYTES = 2048, SHORTEST_TEXT = 120 };

/* False: it did not fit. With `failed_only` the good ones are counted instead of named, and of failed ones with the shortest
 * text those that find no room. */
static bool write_items(
	const struct sync *sync, bool failed_only, size_t text_bytes, struct buf *out) {
	unsigned left_out = 0, named = 0;
	buf_reset(out);
	buf_append_char(out, '[');
	for (unsigned i = 0; i < sync->spec->item_count; i++) {
		bool good = !sync_item_fault(sync, i, NULL);
		bool full = failed_only && text_bytes == SHORTEST_TEXT &&
			    buf_str(out).len > STATUS_MESSAGE_BYTES - ENTRY_BYTES;
		left_out += (failed_only && good) || full;
		if ((failed_only && good) || full) continue;
		if (named++) buf_append_char(out, ',');
		write_item(sync, i, text_bytes, out);
	}
	if (left_out) buf_printf(out, ",{\"result\":\"left out\",\"items\":%u}", left_out);
	buf_append_char(out, ']');
	return !buf_err(out);
}

void sync_write_items(const struct sync *sync, struct buf *out_json) {
	static const size_t texts[] = { FAULT_TEXT_BYTES, 300, SHORTEST_TEXT };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (write_items(sync, false, texts[i], out_json)) return;
	}
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (write_items(sync, true, texts[i], out_json)) return;
	}
}
