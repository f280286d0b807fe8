#include "engine/retire.h"

static void add(struct retire_list *list, struct retire_entry entry) {
	if (list->_count == RETIRE_MAX) retire_flush(list);
	list->_entries[list->_count++] = entry;
}

void retire_spc(struct retire_list *list, struct spc *spc) {
	if (spc) add(list, (struct retire_entry){ .spc = spc });
}

void retire_spec(struct retire_list *list, struct spec *spec) {
	if (spec) add(list, (struct retire_entry){ .spec = spec });
}

void retire_object(struct retire_list *list, struct object *object) {
	if (object) add(list, (struct retire_entry){ .object = object });
}

void retire_flush(struct retire_list *list) {
	if (list->_count == 0) return;
	rcu_sync();
	while (list->_count > 0) {
		struct retire_entry entry = list->_entries[--list->_count];
		spc_unref(entry.spc);
		spec_unref(entry.spec);
		object_destroy(entry.object);
	}
}
