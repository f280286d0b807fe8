#include <assert.h>

#include "workers/source.h"
#include "workers/sync.h"

void sync_outputs_free(struct sync *sync) {
	for (unsigned i = 0; sync->outputs && i < sync->spec->item_count; i++) {
		secret_deinit(&sync->outputs[i].part);
		mem_free(sync->outputs[i].fault);
	}
	mem_free(take(sync->outputs));
}

/* Once per version, however many keys it feeds. */
static enum err make_whole(const struct sync_read *read, struct sync_value *value,
	struct secret_arena *arena, struct fault *fault) {
	if (value->has_whole || convert_is_identity(read->object, value->form)) return OK;
	secret_init(&value->whole, arena, CONVERT_BYTES);
	enum err err =
		convert_whole(read->object, value->form, value->value, arena, &value->whole, fault);
	value->has_whole = !err;
	return err;
}

static enum err make_output(struct sync *sync, unsigned item, const struct sync_read *read,
	struct sync_value *value, struct fault *fault) {
	const struct spec_item *data = &sync->spec->items[item];
	struct sync_output *output = &sync->outputs[item];
	struct secret_arena *arena = sync->worker->arena;
	enum err err = make_whole(read, value, arena, fault);
	if (err) return err;
	output->bytes = value->has_whole ? &value->whole : value->value;
	struct convert_plan plan = convert_plan_of(sync->spec->common->type, data->target_key,
		source_part(read->object, data->source_path));
	if (plan.part == TLS_WHOLE) return OK;
	secret_init(&output->part, arena, CONVERT_BYTES);
	err = tls_part_read(
		secret_expose(output->bytes), plan.part, plan.form, arena, &output->part, fault);
	output->bytes = &output->part;
	return err;
}

/* ERR_NOMEM, or OK: a value that cannot be converted is the item's own fault. */
static enum err convert_item(struct sync *sync, unsigned item) {
	unsigned index = 0;
	struct fault fault = { 0 };
	const struct sync_read *read = NULL;
	struct str source = sync->spec->items[item].source_path;
	if (!sync_find_value(sync, source, &read)) return OK;
	(void)sync_find_object(sync, source, &index);
	if (!read->values[index].fetched) return OK;
	enum err err = make_output(sync, item, read, &read->values[index], &fault);
	if (!err || err == ERR_NOMEM) return err;
	(void)sync_name_object(read, err, &fault);
	sync->outputs[item].fault = mem_alloc(sizeof fault);
	if (!sync->outputs[item].fault) return ERR_NOMEM;
	*sync->outputs[item].fault = fault;
	return OK;
}

static const struct step *out_of_memory(struct sync *sync, enum err err) {
	struct fault fault = fault_make(err, "out of memory; the next attempt follows by itself");
	return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
}

static const struct step *convert_run(struct sync *sync) {
	unsigned count = sync->spec->item_count;
	enum err err = OK;
	sync_outputs_free(sync);
	sync->outputs = mem_array(count, sizeof *sync->outputs);
	if (!sync->outputs) err = ERR_NOMEM;
	for (unsigned i = 0; i < count && !err; i++) err = convert_item(sync, i);
	if (err) return out_of_memory(sync, err);
	const struct step *failed = sync_judge_items(sync);
	if (failed) return failed;
	/* Which values can be converted is known only now: of the others nothing reaches the Secret. */
	err = sync->partial ? sync_digest(sync) : OK;
	if (err) return out_of_memory(sync, err);
	if (sync->partial && !sync->repairing && !sync_must_write(sync))
		return sync_unchanged(sync);
	return status_has_synced(&sync->object->status) ? &STEP_PROBE : &STEP_CREATE;
}

const struct step STEP_CONVERT = { "convert", convert_run };
