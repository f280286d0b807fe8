/* engine/akv_status.h - the status of an AKVSync: what became of each derived object, and one condition that sums up. Pure;
 * private to engine/akv*.c. */
#pragma once

#include "engine/akv_table.h"

enum akv_state {
	STATE_ABSENT,
	STATE_EQUAL,
	STATE_DIFFERENT,
	STATE_LEAVING, /* being deleted, or the garbage collector's */
	STATE_STRANGER, /* somebody else's */
};

enum { AKV_TEXT_BYTES = 1024 };

/* How a derived object stands to what it has to be; live NULL: it is not there. */
enum akv_state akv_state_of(
	const struct akv_owner *owner, const struct akv_child *child, const struct akv_live *live);

/* What is to be said of one derived object. Borrowed. */
struct akv_verdict {
	enum condition_value ready;
	const char *reason;
	struct str message;
};

/* `out_text` is where texts are put that are made up here. */
struct akv_verdict akv_judge(const struct akv_owner *owner, const struct akv_child *child,
	const struct akv_live *live, char out_text[static AKV_TEXT_BYTES]);

struct akv_summary {
	enum condition_value ready; /* the condition's value */
	uint64_t digest; /* of the whole status, without times */
};

/* Writes the status. `verdicts`: one per child of the plan, the class first. The transition time stays where the value of
 * the condition stays. ERR_NOMEM, ERR_TOO_LARGE. */
enum err akv_status_write(const struct akv_owner *owner, const struct akv_verdict *verdicts,
	int64_t now_s, struct buf *out_json, struct akv_summary *out_summary);
