/* engine/spc_objects.h - the `objects` parameter of a SecretProviderClass: YAML in a string, its
 * items YAML again.
 *
 * Facts: the Azure provider for the Secrets Store CSI Driver (its parameters and its YAML library's
 * rules). Extension: an item may also be a mapping itself. Main thread only.
 */
#pragma once

#include "engine/fault_sink.h"
#include "workers/spec.h"

enum { OBJECTS_BYTES = 256 * 1024, OBJECTS_MAX = 2048 };

/* What was read. All strings of an object live in the one block that begins with its name. */
struct object_list {
	struct spc_object *objects;
	unsigned count;
};

/* Reads and checks every item, in order. ERR_INVALID says in the fault which item is wrong, why,
 * and what is allowed; ERR_TOO_LARGE, ERR_NOMEM. */
enum err object_list_parse(struct str yaml, struct object_list *out_list, struct fault *fault);
/* The same for a person: every fault goes to the sink (NULL: as object_list_parse), its text as it would stand in *fault. */
enum err object_list_parse_all(struct str yaml, struct object_list *out_list,
	struct fault_sink *sink, struct fault *fault);
void object_list_deinit(struct object_list *list); /* idempotent */
