/* engine/fault_sink.h - where the rules of an input hand over what is wrong with it.
 *
 * A running engine needs the first fault of an object only: it goes into a condition. Whoever reads manifests for a person wants
 * all of them. So rules take a sink: without one (NULL) the first fault ends the reading; with one each fault is handed over, and
 * the reading goes on with the next field.
 *
 * The text of such a fault begins with the path of its field ("spec.secretObject.data[0].targetKey"); what a user wrote stands
 * behind it, in quotes. Main thread only.
 */
#pragma once

#include "base/err.h"

struct fault_sink {
	void (*add)(struct fault_sink *sink, const struct fault *fault); /* copies what it keeps */
	/* What is no fault and yet worth knowing, in the same form. NULL: nobody wants to know. */
	void (*note)(struct fault_sink *sink, const struct fault *fault);
};

/* The outcome of one field: hands its fault over, notes it in *failed, and says to go on (OK). Without a sink, without a fault and
 * out of memory it returns `err` as it is. */
enum err fault_pass(
	struct fault_sink *sink, const struct fault *fault, enum err err, enum err *failed);
