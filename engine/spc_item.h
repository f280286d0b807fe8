/* engine/spc_item.h - one item of `objects`: its fields, their grammar and their rules. Main thread
 * only. */
#pragma once

#include "engine/doc.h"
#include "workers/spec.h"

/* Reads a mapping (NULL: an empty document, which has no fields). The strings of *out_object live
 * in one block that begins with its name; free it with item_free. ERR_INVALID says in the fault
 * what is wrong and what is allowed. */
enum err item_read(const struct doc *doc, const struct doc_node *item,
	struct spc_object *out_object, struct fault *fault);
void item_free(struct spc_object *object); /* idempotent */

/* Tells of what an item says without effect, and what looks like a mistake: fields that nobody knows, a filePermission that is none. */
void item_tell_notes(const struct doc *doc, const struct doc_node *item,
	void (*tell)(void *arg, struct fault *note), void *arg);

/* objectVersionHistory as the provider's YAML library reads an int32: decimal, 0x, 0o, 0b, leading
 * 0 (octal), with underscores; floats are cut, null is 0, negative numbers count as 0. ERR_INVALID
 * otherwise. */
enum err item_history(const struct doc_node *value, unsigned *out_history);
