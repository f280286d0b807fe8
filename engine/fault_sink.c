#include "engine/fault_sink.h"

#include <stddef.h>

enum err fault_pass(
	struct fault_sink *sink, const struct fault *fault, enum err err, enum err *failed) {
	if (!err || err == ERR_NOMEM || !sink) return err;
	sink->add(sink, fault);
	if (!*failed) *failed = err;
	return OK;
}
