#include "workers/reason.h"

#include <assert.h>

static const char *const NAMES[REASON_COUNT][REASON_NAMES_COUNT] = { [REASON_NONE] = { "", "", "" },
#define X(id, preview, current, upstream) [REASON_##id] = { preview, current, upstream },
	REASON_LIST(X)
#undef X
};

const char *reason_name(enum reason_names names, enum reason reason) {
	assert(names < REASON_NAMES_COUNT && reason < REASON_COUNT);
	return NAMES[reason][names];
}

static bool is_creation(enum reason reason) {
	return reason == REASON_CREATE_FAILED_PROVIDER || reason == REASON_CREATE_FAILED_LABEL ||
	       reason == REASON_CREATE_FAILED_ANNOTATION;
}

enum reason reason_find(enum reason_names names, struct str name, bool existed) {
	enum reason found = REASON_NONE;
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		enum reason reason = (enum reason)i;
		if (!str_eq(name, str_of(reason_name(names, reason)))) continue;
		if (!existed || !is_creation(reason)) return reason;
		found = reason;
	}
	return found;
}
