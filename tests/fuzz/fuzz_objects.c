/* The `objects` parameter: whatever a user writes there is a list or a fault. */
#include <assert.h>

#include "engine/spc_objects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct object_list list;
	struct fault fault = { 0 };
	enum err err = object_list_parse((struct str){ (const char *)data, size }, &list, &fault);
	if (err) {
		assert(err == fault.err && fault.text[0]);
		return 0;
	}
	for (unsigned i = 0; i < list.count; i++) {
		assert(list.objects[i].name.len > 0 && list.objects[i].path.len > 0);
	}
	object_list_deinit(&list);
	return 0;
}
