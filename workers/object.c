#include "workers/object.h"

#include <assert.h>
#include <string.h>

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
	struct object *object = mem_zalloc(sizeof *object + key.len + 1 + uid.len + 1);
	if (!object) return ERR_NOMEM;
	memcpy(object->key, key.ptr, key.len);
	memcpy(object->key + key.len + 1, uid.ptr, uid.len);
	queue_item_init(&object->item, home);
	list_init(&object->cell_link);
	list_init(&object->seen_link);
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

void object_destroy(struct object *object) {
	if (!object) return;
	assert(!object->sync);
	mem_free(object->rest);
	assert(!list_is_linked(&object->cell_link));
	spec_unref(object->spec);
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
