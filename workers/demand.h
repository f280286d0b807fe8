/* workers/demand.h - the keys that the API server demands of a Secret by its type. Pure; any thread.
 *
 * Facts: the API server's validation of Secrets (ValidateSecret); tests/k8s keeps its answers.
 */
#pragma once

#include "base/str.h"

enum { DEMAND_KEYS = 2 };

struct demand {
	struct str type;
	struct str keys[DEMAND_KEYS]; /* the first `count` of them */
	unsigned count; /* at least 1 */
	bool one_is_enough; /* else each of them is demanded */
};

/* What `type` cannot do without. NULL: nothing, as of types that are not known. Static storage. */
const struct demand *demand_of(struct str type);

/* The first key that is missing and has to be there; empty: all is well. `has`: whether a key is there. */
struct str demand_lacks(
	const struct demand *demand, bool (*has)(const void *arg, struct str key), const void *arg);
