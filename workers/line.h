/* workers/line.h - objects of one class that wait in a shard: each identity (and namespace) has its turn, one object each.
 *
 * A namespace that imports 50,000 objects does not stand before the one object of another. Within an identity the order is
 * that of arrival. Every operation takes constant time. One owner: the worker.
 */
#pragma once

#include "base/map.h"
#include "workers/object.h"

/* What waits of one identity. */
struct line_flow {
	struct map_node node;
	struct list turn; /* in line.turns */
	struct list ready; /* of object.ready */
	uint32_t identity_hash;
};

struct line {
	struct map flows;
	struct list turns;
	struct line_flow rest; /* of identities for which there was no memory */
};

void line_init(struct line *line, struct hash_key key);
void line_deinit(struct line *line); /* nobody waits */
void line_push(struct line *line, struct object *object);
/* The next one, who stays until list_remove(&object->ready); NULL: nobody waits. The turn passes on to another identity. */
struct object *line_next(struct line *line);
