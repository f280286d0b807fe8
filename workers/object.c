#include "workers/object.h"

#include <assert.h>
#include <string.h>

static_assert(
	CONDITION_UNKNOWN < 4 && REASON_COUNT <= 64, "the bits of told_value and told_reason");

const char *object_class_name(enum object_class class) {
	switch (class) {
	case CLASS_NEW:
		return "new";
	case CLASS_CHANGED:
		return "changed";
	case CLASS_SEEN:
		return "seen";
	case CLASS_RETRY:
		return "retry";
	case CLASS_PERIODIC:
		return "periodic";
	case CLASS_SAFETY:
		return "safety";
	case CLASS_COUNT:
		break;
	}
	assert(!"a class");
	return "";
}

enum err object_create(struct str key, struct str uid, struct status *status, struct queue *home,
	struct object **out_object) {
	struct object *object =
		mem_zalloc(offsetof(struct object, key) + key.len + 1 + uid.len + 1);
	if (!object) return ERR_NOMEM;
	memcpy(object->key, key.ptr, key.len);
	memcpy(object->key + key.len + 1, uid.ptr, uid.len);
	queue_item_init(&object->item, home);
	list_init(&object->cell_link);
	list_init(&object->ready);
	list_init(&object->all);
	list_init(&object->seen_order);
	list_init(&object->report);
	object->status = *status;
	object->told_value = (uint8_t)status->conditions[CONDITION_READY].value;
	object->told_reason = (uint8_t)status->conditions[CONDITION_READY].reason;
	*status = (struct status){ 0 };
	*out_object = object;
	return OK;
}

static void told_free(struct told_status *told) {
	if (told) status_deinit(&told->status);
	mem_free(told);
}

enum err object_tell(struct object *object, struct status *status, int64_t doubted_ns) {
	struct told_status *told = mem_alloc(sizeof *told);
	if (!told) return ERR_NOMEM;
	*told = (struct told_status){ .status = *status, .doubted_ns = doubted_ns };
	*status = (struct status){ 0 };
	/* Release what is told, acquire what was told before and has to go. */
	told_free(atomic_exchange_explicit(&object->told, told, memory_order_acq_rel));
	return OK;
}

enum { REPORT_TICKS = 255 };
static const int64_t REPORT_TICK_NS = 15 * NS_PER_S;

uint8_t object_report_clock(int64_t mono_ns) {
	return (uint8_t)(mono_ns / REPORT_TICK_NS % REPORT_TICKS + 1);
}

/* In the tick of `from_ns` or a later one, as far as one byte tells. */
static bool has_reported_since(const struct object *object, int64_t from_ns, int64_t now_ns) {
	int64_t ticks = now_ns / REPORT_TICK_NS - from_ns / REPORT_TICK_NS;
	if (!object->reported_at || from_ns > now_ns) return false;
	int age = object_report_clock(now_ns) - object->reported_at;
	return (age + REPORT_TICKS) % REPORT_TICKS <= ticks;
}

bool object_hear(struct object *object, int64_t now_ns) {
	assert(!object->sync);
	if (!atomic_load_explicit(&object->told, memory_order_relaxed)) return false;
	struct told_status *told =
		atomic_exchange_explicit(&object->told, NULL, memory_order_acq_rel);
	if (!told) return false;
	bool doubted = has_reported_since(object, told->doubted_ns, now_ns);
	bool same = status_equal(&told->status, &object->status);
	status_deinit(&object->status);
	object->status = told->status;
	mem_free(told);
	if (doubted) status_drop_hash(&object->status);
	/* Our own last write: there is nothing to begin anew. */
	if (same && !doubted) return false;
	const struct condition *ready = &object->status.conditions[CONDITION_READY];
	object->told_value = (uint8_t)ready->value;
	object->told_reason = (uint8_t)ready->reason;
	object->attempted = object->reads = object->unreported = object->report_failed = false;
	object->force_hash = 0;
	object->settles = 0;
	return true;
}

void object_destroy(struct object *object) {
	if (!object) return;
	assert(!object->sync);
	mem_free(object->rest);
	assert(!list_is_linked(&object->cell_link));
	spec_unref(object->spec);
	told_free(atomic_load_explicit(&object->told, memory_order_acquire));
	status_deinit(&object->status);
	mem_free(object);
}

struct str object_uid(const struct object *object) {
	return str_of(object->key + strlen(object->key) + 1);
}

struct str object_namespace(const struct object *object) {
	struct str key = str_of(object->key);
	return str_slice(key, 0, str_find_char(key, '/'));
}

struct str object_name(const struct object *object) {
	struct str key = str_of(object->key);
	return str_slice(key, str_find_char(key, '/') + 1, key.len);
}

struct spec *spec_borrow(struct object *object) {
	rcu_read_scope();
	struct spec *spec = rcu_load(object->spec);
	if (spec) {
		unsigned before = atomic_fetch_add_explicit(&spec->ref, 1, memory_order_relaxed);
		assert(before > 0);
	}
	return spec;
}
