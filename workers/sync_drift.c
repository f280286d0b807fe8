/* Nothing to write, as far as the vault and the status tell: is the Secret still as it was left?
 *
 * The probe's managedFields say so without a value being read: what we wrote and do not own any more was changed or deleted by
 * somebody else. It is written again from the vault, unless somebody writes against us all the time. */
#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "clients/json.h"
#include "workers/secret_seen.h"
#include "workers/sync.h"

static const int64_t REST_NS = 3600 * NS_PER_S;

/* --- when --- */

/* A failure about the Secret itself holds until somebody has looked. */
static bool last_word_was_about_the_secret(const struct sync *sync) {
	const struct condition *ready = &sync->object->status.conditions[CONDITION_READY];
	return ready->value == CONDITION_FALSE &&
	       (ready->reason == REASON_UPDATE_FAILED_LABEL ||
		       ready->reason == REASON_UPDATE_FAILED_ANNOTATION ||
		       ready->reason == REASON_PATCH_FAILED || ready->reason == REASON_POLICY);
}

/* While Secrets are watched nobody looks but at what is left to be settled. Polls and retries have turns; what begins for another reason, or
 * for the first time, need not wait for one. */
static bool is_due(struct sync *sync) {
	const struct object *object = sync->object;
	bool watched = sync->worker->secret_list != 0;
	bool polled = sync->class == CLASS_PERIODIC || sync->class == CLASS_SAFETY ||
		      sync->class == CLASS_RETRY;
	if (sync->told || last_word_was_about_the_secret(sync)) return true;
	if (sync->worker->settings.drift == DRIFT_OFF) return false;
	if (watched && !secret_is_unsettled(object)) return false;
	if (sync->may_look) return true;
	return !(polled && object->attempted) && looks_take(sync->worker);
}

static bool is_resting(const struct sync *sync) {
	const struct drift_rest *rest = sync->object->rest;
	return rest && sync->worker->now.mono_ns < rest->until_ns;
}

static int64_t interval_ns(const struct sync *sync) {
	return schedule_interval_ns(sync->worker, sync->spec);
}

/* The poll goes on meanwhile: a new version in the vault is written all the same. */
static const struct step *rest_fault(struct sync *sync) {
	const struct drift_rest *rest = sync->object->rest;
	struct fault fault = fault_make(ERR_FOREIGN,
		"%s of Secret %.*s/%.*s is changed again and again by \"%s\": repaired three times "
		"in three intervals, it is left alone for an hour. Stop the other writer, or take "
		"the key out of one of the two",
		rest->field, STR_ARG(sync->spec->common->ns), STR_ARG(sync->spec->name),
		rest->manager);
	fault.retry_after_ns = interval_ns(sync);
	return sync_fail(sync, BLAME_WRITE, NULL, &fault);
}

const struct step *sync_cannot_look(struct sync *sync, const struct fault *fault) {
	struct gate *gate = &sync->worker->kube_gate;
	/* The probe has taken the word, that something was to be settled, too. */
	sync->looking = false;
	if (sync->told || sync->took_word) secret_look_failed(sync->object);
	if (!sync->told && !last_word_was_about_the_secret(sync)) return &STEP_STATUS;
	sync->fault = *fault;
	sync->fault_gate = gate->open ? gate : NULL;
	return &STEP_END;
}

const struct step *sync_unchanged(struct sync *sync) {
	struct fault fault = { 0 };
	uint32_t list = sync->worker->secret_list;
	bool passed_over = !sync->partial && secret_was_partial(sync->object);
	sync->told = list && (secret_is_lost(sync->object, list) || passed_over);
	if (!is_due(sync)) return &STEP_STATUS;
	if (!gate_admits(&sync->worker->kube_gate, &fault)) return sync_cannot_look(sync, &fault);
	sync->looking = true;
	return &STEP_PROBE;
}

/* --- and what follows --- */

/* Three times in three intervals; polls come a little early or late. */
static bool is_repaired_often(const struct sync *sync, const struct drift_rest *rest) {
	int64_t oldest_ns = rest->repaired_ns[rest->next];
	int64_t age_ns = sync->worker->now.mono_ns - oldest_ns;
	return oldest_ns && age_ns <= 3 * interval_ns(sync) + interval_ns(sync) / 2;
}

/* True: one more repair is not what helps. */
static bool begin_rest(struct sync *sync, const struct theft *theft) {
	struct drift_rest *rest = sync->object->rest;
	if (!rest || !is_repaired_often(sync, rest)) return false;
	*rest = (struct drift_rest){ .until_ns = sync->worker->now.mono_ns + REST_NS };
	snprintf(rest->field, sizeof rest->field, "%s", theft->field);
	snprintf(rest->manager, sizeof rest->manager, "%s", theft->manager);
	return true;
}

/* A repair that its vault did not let happen is none. Out of memory: it is not counted. */
void sync_note_repair(const struct sync *sync) {
	struct object *object = sync->object;
	if (!sync->repairing || !(sync->updated || sync->created)) return;
	if (!object->rest) object->rest = mem_zalloc(sizeof *object->rest);
	struct drift_rest *rest = object->rest;
	if (!rest) return;
	rest->repaired_ns[rest->next] = sync->worker->now.mono_ns;
	rest->next = (rest->next + 1) % DRIFT_REPAIRS;
}

const struct step *sync_read_values(struct sync *sync) {
	if (sync->looking) sync->repairing = true;
	sync->looking = false;
	sync->fetching_values = true;
	sync_forget_rows(sync);
	for (unsigned i = 0; i < sync->read_count; i++) {
		if (sync->reads[i].object->history >= 2) sync->reads[i].done = false;
	}
	return &STEP_VALUES;
}

/* Less than half an interval ago: it is not a poll that looks. */
static bool is_repaired_just_now(const struct sync *sync, const struct drift_rest *rest) {
	unsigned last = (rest->next + DRIFT_REPAIRS - 1) % DRIFT_REPAIRS;
	int64_t age_ns = sync->worker->now.mono_ns - rest->repaired_ns[last];
	return rest->repaired_ns[last] && age_ns < interval_ns(sync) / 2;
}

/* Who deletes it again and again finds it again, but not more than once in a poll. */
const struct step *sync_create_again(struct sync *sync) {
	const struct drift_rest *rest = sync->object->rest;
	assert(sync->looking);
	if (!rest || !is_repaired_just_now(sync, rest) || !is_repaired_often(sync, rest))
		return sync_read_values(sync);
	struct fault fault = fault_make(ERR_FOREIGN,
		"Secret %.*s/%.*s is deleted again and again: written three times in three "
		"intervals, it is created anew at the next poll. Find out who deletes it",
		STR_ARG(sync->spec->common->ns), STR_ARG(sync->spec->name));
	fault.retry_after_ns = interval_ns(sync);
	return sync_fail(sync, BLAME_WRITE, NULL, &fault);
}

const struct step *sync_judge_drift(struct sync *sync) {
	struct theft theft = { 0 };
	struct fault fault = { 0 };
	cJSON *list = NULL;
	assert(sync->looking);
	enum err err = json_parse(buf_str(&sync->meta.managed_fields), &list, &fault);
	if (err) return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
	bool taken = sync->worker->settings.drift != DRIFT_OFF &&
		     secret_find_theft(sync->spec, sync, list, &theft);
	cJSON_Delete(list);
	if (!taken) return sync->meta.must_settle ? &STEP_SETTLE : &STEP_STATUS;
	if (is_resting(sync) || begin_rest(sync, &theft)) return rest_fault(sync);
	metric_add(METRIC_DRIFT_REPAIRS, 1);
	log_info("the Secret was changed by somebody else, it is written again",
		kv("secretsync", sync->object->key), kv("field", theft.field),
		kv("manager", theft.manager));
	return sync_read_values(sync);
}
