#include <assert.h>

#include "base/log.h"
#include "workers/sync.h"

static enum reason failure_reason(enum blame blame, bool existed) {
	switch (blame) {
	case BLAME_PROVIDER:
		return existed ? REASON_UPDATE_FAILED_PROVIDER : REASON_CREATE_FAILED_PROVIDER;
	case BLAME_LABEL:
		return existed ? REASON_UPDATE_FAILED_LABEL : REASON_CREATE_FAILED_LABEL;
	case BLAME_ANNOTATION:
		return existed ? REASON_UPDATE_FAILED_ANNOTATION : REASON_CREATE_FAILED_ANNOTATION;
	case BLAME_INPUT:
		return REASON_USER_INPUT;
	case BLAME_CLASS:
		return REASON_SPC;
	case BLAME_WRITE:
		return REASON_PATCH_FAILED;
	case BLAME_POLICY:
		return REASON_POLICY;
	case BLAME_INTERNAL:
		break;
	}
	return REASON_INTERNAL;
}

static void log_failure(const struct sync *sync, enum reason reason) {
	const struct condition *ready = &sync->object->status.conditions[CONDITION_READY];
	bool known = ready->value == CONDITION_FALSE && ready->reason == reason &&
		     str_eq(str_of(ready->message), str_of(sync->fault.text));
	if (known) return;
	log_warn("reconcile failed", kv("secretsync", sync->object->key),
		kv("step", sync->step->name),
		kv("reason", reason_name(sync->worker->settings.names, reason)),
		kv("code", sync->fault.code), kv("cause", sync->fault.text));
}

const struct step *sync_fail(
	struct sync *sync, enum blame blame, struct gate *gate, const struct fault *fault) {
	assert(fault->err);
	if (fault != &sync->fault) sync->fault = *fault;
	sync->blame = blame;
	sync->fault_gate = gate;
	log_failure(sync, failure_reason(blame, status_has_synced(&sync->object->status)));
	return &STEP_STATUS;
}

/* --- what the status is to say --- */

static enum err set(struct sync *sync, enum condition_type type, enum condition_value value,
	enum reason reason, struct str message) {
	return status_set(&sync->status, type, value, reason, message, sync->spec->generation,
		sync->worker->now.wall_ns / NS_PER_S);
}

static enum err compose_failure(struct sync *sync) {
	bool existed = status_has_synced(&sync->object->status);
	enum reason reason = failure_reason(sync->blame, existed);
	struct str text = str_of(sync->fault.text);
	enum err err = set(sync, existed ? CONDITION_UPDATED : CONDITION_CREATED, CONDITION_FALSE,
		reason, text);
	return err ? err : set(sync, CONDITION_READY, CONDITION_FALSE, reason, text);
}

/* One item: the version that was just written, or, where the item has failed, the one that is still there. */
static bool compose_object(const struct sync *sync, unsigned item, struct status_object *out) {
	struct str source = sync->spec->items[item].source_path;
	const struct status_object *old = status_find_object(&sync->object->status, source);
	const struct sync_read *read = NULL;
	if (sync_item_fault(sync, item, NULL)) {
		if (old) *out = *old;
		return old != NULL;
	}
	const struct sync_value *value = sync_find_value(sync, source, &read);
	*out = (struct status_object){
		.version = value->row.version,
		.updated_s = (uint32_t)value->row.updated_s,
		.synced_s = (uint32_t)(sync->worker->now.wall_ns / NS_PER_S),
		.kind = read->object->kind,
	};
	if (old && str_eq(str_of(old->version), str_of(out->version)))
		out->synced_s = old->synced_s;
	return true;
}

/* True when an earlier item has the same source. */
static bool is_repeated(const struct sync *sync, unsigned item) {
	const struct spec_item *items = sync->spec->items;
	for (unsigned i = 0; i < item; i++) {
		if (str_eq(items[i].source_path, items[item].source_path)) return true;
	}
	return false;
}

static enum err compose_objects(struct sync *sync) {
	const struct spec *spec = sync->spec;
	struct status_object object;
	struct block block;
	unsigned count = 0;
	size_t bytes = 0;
	for (unsigned i = 0; i < spec->item_count; i++) {
		if (is_repeated(sync, i) || !compose_object(sync, i, &object)) continue;
		count++;
		bytes += spec->items[i].source_path.len + strlen(object.version);
	}
	enum err err = status_objects_begin(&sync->status, count, bytes, &block);
	for (unsigned i = 0; i < spec->item_count && !err; i++) {
		if (!is_repeated(sync, i) && compose_object(sync, i, &object))
			status_objects_add(&sync->status, &block, &object,
				spec->items[i].source_path, str_of(object.version));
	}
	return err;
}

/* What was written, whole or in part. A partial write of what had been written whole before leaves nothing out; one of a
 * changed wish may, say a key that has been renamed while its object could not be read. */
static enum err compose_written(struct sync *sync) {
	int64_t created_s = 0;
	const struct status *before = &sync->object->status;
	bool lacks = sync->partial && (!status_asked_is(before, sync->digest) ||
					      status_is_partial(before) || sync->created);
	status_set_hash(&sync->status, sync->digest, lacks);
	enum err err = compose_objects(sync);
	if (time_parse(str_of(sync->meta.created), &created_s) == OK)
		sync->status.secret_created_s = (uint32_t)created_s;
	return err;
}

/* Written whole, and not to repair it: whether somebody still writes against us is to be seen anew. */
static void end_rest(struct sync *sync) {
	struct drift_rest *rest = sync->object->rest;
	if (rest && !sync->repairing) *rest = (struct drift_rest){ 0 };
}

static enum err compose_complete(struct sync *sync) {
	end_rest(sync);
	enum reason reason = sync->created ? REASON_CREATE_SUCCEEDED : REASON_UPDATE_SUCCEEDED;
	struct str text = sync->created ? str_of(status_text(STATUS_TEXT_CREATED_WITH))
					: str_of(status_text(STATUS_TEXT_WRITTEN));
	enum err err = set(sync, CONDITION_UPDATED, CONDITION_TRUE, REASON_UPDATE_SUCCEEDED, text);
	sync->status.last_successful_s = (uint32_t)sync_success_s(sync);
	return err ? err : set(sync, CONDITION_READY, CONDITION_TRUE, reason, text);
}

/* The versions are those in the Secret, but what the vault says of them may have changed: remembered, so that the next check
 * has nothing to say. */
static enum err compose_unchanged(struct sync *sync) {
	struct str text = str_of(status_text(STATUS_TEXT_HOLDS));
	enum err err = OK;
	if (!status_seen_is(&sync->status, sync->digest)) {
		status_set_hash(&sync->status, sync->digest, false);
		err = compose_objects(sync);
	}
	if (sync_has_settled(sync)) sync->status.last_successful_s = (uint32_t)sync_success_s(sync);
	if (!err) err = set(sync, CONDITION_UPDATED, CONDITION_TRUE, REASON_UPDATE_NO_CHANGE, text);
	return err ? err
		   : set(sync, CONDITION_READY, CONDITION_TRUE, REASON_UPDATE_NO_CHANGE, text);
}

static enum err compose_partial(struct sync *sync) {
	struct buf json = { 0 };
	buf_init(&json, STATUS_MESSAGE_BYTES);
	sync_write_items(sync, &json);
	enum err err = buf_err(&json);
	if (!err)
		err = set(sync, CONDITION_UPDATED, CONDITION_FALSE, REASON_PARTIAL, buf_str(&json));
	if (!err) err = set(sync, CONDITION_READY, CONDITION_FALSE, REASON_PARTIAL, buf_str(&json));
	buf_deinit(&json);
	return err;
}

enum err sync_status_compose(struct sync *sync) {
	const struct condition *created = &sync->status.conditions[CONDITION_CREATED];
	bool wrote = sync->created || sync->updated;
	sync->status.observed_generation = sync->spec->generation;
	if (sync->fault.err) return compose_failure(sync);
	enum err err = wrote ? compose_written(sync) : OK;
	if (!err)
		err = sync->partial ? compose_partial(sync)
		      : wrote       ? compose_complete(sync)
				    : compose_unchanged(sync);
	if (err || (created->value == CONDITION_TRUE && !sync->created)) return err;
	return set(sync, CONDITION_CREATED, CONDITION_TRUE, REASON_CREATE_SUCCEEDED,
		str_of(status_text(STATUS_TEXT_CREATED)));
}

/* --- STATUS: what is to be said is left to report.h --- */

static void remember(struct sync *sync) {
	status_deinit(&sync->object->status);
	sync->object->status = sync->status;
	sync->status = (struct status){ 0 };
	report_due(sync->worker, sync->object);
}

/* By the time the API server can be told that it could not be reached, it has been. */
static bool is_not_worth_saying(const struct sync *sync) {
	return sync->fault.err && sync->fault_gate == &sync->worker->kube_gate;
}

static const struct step *status_run(struct sync *sync) {
	if (is_not_worth_saying(sync)) return &STEP_END;
	enum err err = sync_status_compose(sync);
	if (!err) {
		if (!status_equal(&sync->status, &sync->object->status)) remember(sync);
		return &STEP_END;
	}
	if (!sync->fault.err)
		sync->fault =
			fault_make(err, "the status could not be composed: %s", err_text(err));
	return &STEP_END;
}

const struct step STEP_STATUS = { "status", status_run };
