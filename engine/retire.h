/* engine/retire.h - what main has replaced and readers may still look at, until the next grace
 * period. Main thread only.
 *
 * Many replacements of one turn share one grace period. The list never allocates: when it is full,
 * it is flushed.
 */
#pragma once

#include "workers/object.h"

enum { RETIRE_MAX = 512 };

struct retire_entry {
	struct spc *spc;
	struct spec *spec;
	struct object *object;
};

struct retire_list {
	struct retire_entry _entries[RETIRE_MAX];
	unsigned _count;
};

/* NULL is fine. The list takes main's reference. */
void retire_spc(struct retire_list *list, struct spc *spc);
void retire_spec(struct retire_list *list, struct spec *spec);
void retire_object(struct retire_list *list, struct object *object);

/* Waits for one grace period and frees, when there is anything. */
void retire_flush(struct retire_list *list);
