/* base/intern.h - immutable values that many share, each kept once: equal keys, one block.
 *
 * The table belongs to one thread, which alone finds, adds and drops. References to what is in it may be given back by any
 * thread. The table holds a reference of its own, so that the last user frees nothing that a find could still return; what
 * nobody uses any more goes while others are added: each addition looks at two values that are there.
 *
 *   intern_*       the owner
 *   interned_put   any thread
 *
 * A value begins with its struct interned, is one allocation of mem_alloc, and its key lies within it.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

struct interned {
	_Atomic unsigned _ref; /* atomic: acq_rel; users, and the table while it is in */
	struct map_node _node; /* owner */
	struct list _order; /* owner: when it is looked at */
	struct str _key; /* const; in the value's block */
};

struct intern {
	struct map _values;
	struct list _order; /* who is looked at next stands in front */
};

void intern_init(struct intern *table, struct hash_key key);
/* Frees what nobody uses; users keep the rest alive, which is in no table then. */
void intern_deinit(struct intern *table);

/* The value of this key with a reference of the caller's, or NULL. */
struct interned *intern_find(struct intern *table, struct str key);
/* Adds a value whose key is not in the table; from now on the caller has one reference to it. NULL for a table: nobody shares
 * it. ERR_NOMEM: it is still the caller's to free. */
enum err intern_add(struct intern *table, struct interned *value, struct str key);
size_t intern_count(const struct intern *table);

/* Keys of several texts, one behind the other: adds one, and takes the next one out, in place. */
void intern_key_add(struct buf *key, struct str text);
struct str intern_key_next(struct str *rest);

/* Gives a reference back; the last one frees. NULL is fine. */
void interned_put(struct interned *value);
