#include "workers/secret_seen.h"

#include <assert.h>
#include <stdio.h>

#include "base/metric.h"
#include "base/thread.h"
#include "clients/json.h"
#include "clients/kube_fields.h"
#include "workers/sync.h"

/* --- what was taken --- */

/* True when the search is over: somebody has it. */
static bool find_rival(
	const cJSON *list, enum kube_field_set set, struct str key, struct theft *theft) {
	static const char *const kinds[] = { [KUBE_FIELD_DATA] = "key",
		[KUBE_FIELD_LABEL] = "label",
		[KUBE_FIELD_ANNOTATION] = "annotation" };
	if (kube_fields_owned(list, set, key)) return false;
	struct str rival = kube_fields_rival(list, set, key);
	theft->rivalled = kube_fields_rivalled(list, set, key);
	if (theft->field[0] && !theft->rivalled) return false;
	snprintf(theft->field, THEFT_TEXT_BYTES, "%s %.*s", kinds[set], STR_ARG(key));
	snprintf(theft->manager, THEFT_TEXT_BYTES, "%.*s", STR_ARG(rival));
	return theft->rivalled;
}

bool secret_find_theft(const struct spec *spec, const struct sync *sync, const cJSON *list,
	struct theft *out_theft) {
	bool found = false;
	*out_theft = (struct theft){ 0 };
	for (unsigned i = 0; i < spec->item_count && !found; i++) {
		if (sync && sync_item_fault(sync, i, NULL)) continue;
		found = find_rival(list, KUBE_FIELD_DATA, spec->items[i].target_key, out_theft);
	}
	for (unsigned i = 0; i < spec->common->label_count && !found; i++)
		found = find_rival(list, KUBE_FIELD_LABEL, spec->common->labels[i].key, out_theft);
	for (unsigned i = 0; i < spec->common->annotation_count && !found; i++)
		found = find_rival(
			list, KUBE_FIELD_ANNOTATION, spec->common->annotations[i].key, out_theft);
	return out_theft->field[0] != 0;
}

enum err secret_judge(
	const struct spec *spec, const struct kube_meta *meta, enum secret_verdict *out_verdict) {
	struct theft theft;
	cJSON *list = NULL;
	bool owned = meta->owner_count == 1 && str_eq(str_of(meta->owner_uid), spec_uid(spec));
	*out_verdict = SECRET_TOUCHED;
	if (meta->deleting || !owned || !meta->has_label || !meta->has_annotation) return OK;
	enum err err = json_parse(buf_str(&meta->managed_fields), &list, NULL);
	if (err) return err;
	if (!secret_find_theft(spec, NULL, list, &theft))
		*out_verdict = meta->must_settle ? SECRET_TO_SETTLE : SECRET_WELL;
	else if (!theft.rivalled)
		*out_verdict = SECRET_LACKING;
	cJSON_Delete(list);
	return OK;
}

/* --- the word --- */

/* relaxed: the word says all; what has to be seen with it goes through the queue, or with the number of the list. */
static uint32_t read_word(const struct object *object) {
	return atomic_load_explicit(&object->secret_seen, memory_order_relaxed);
}

static uint32_t set_word(struct object *object, uint32_t word) {
	return atomic_exchange_explicit(&object->secret_seen, word, memory_order_relaxed);
}

static void lose(struct object *object) {
	metric_add(METRIC_DRIFT_TOLD, 1);
	queue_add(&object->item);
}

/* Also one that is lost already, and may wait for its retry: to be deleted is what a Secret that is not ours waits for. */
void secret_tell_gone(struct object *object) {
	assert_main();
	set_word(object, SECRET_LOST);
	lose(object);
}

/* Lost already: it was added then, and whoever writes on and on costs no more than one look at a time. */
static void tell_touched(struct object *object) {
	if (set_word(object, SECRET_LOST) != SECRET_LOST) lose(object);
}

static void tell_lacking(struct object *object) {
	uint32_t word = read_word(object);
	while (word & SECRET_PARTIAL) {
		if (atomic_compare_exchange_weak_explicit(&object->secret_seen, &word,
			    SECRET_LOST | SECRET_PARTIAL, memory_order_relaxed,
			    memory_order_relaxed))
			return;
	}
	tell_touched(object);
}

void secret_tell(struct object *object, enum secret_verdict verdict, uint32_t list) {
	assert_main();
	if (verdict == SECRET_TOUCHED)
		tell_touched(object);
	else if (verdict == SECRET_LACKING)
		tell_lacking(object);
	else
		set_word(object, verdict == SECRET_TO_SETTLE ? list | SECRET_UNSETTLED : list);
}

bool secret_is_lost(const struct object *object, uint32_t list) {
	return (read_word(object) & ~(SECRET_UNSETTLED | SECRET_PARTIAL)) < list;
}

bool secret_is_unsettled(const struct object *object) {
	return read_word(object) & SECRET_UNSETTLED;
}

void secret_begin_look(struct object *object, uint32_t list, bool partial) {
	set_word(object, partial ? list | SECRET_PARTIAL : list);
}

bool secret_was_partial(const struct object *object) {
	return read_word(object) & SECRET_PARTIAL;
}

void secret_look_failed(struct object *object) {
	set_word(object, SECRET_LOST);
}
