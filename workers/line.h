/* workers/line.h - objects of one class that wait in a shard: each identity (and namespace) has its turn, one request each.
 *
 * A namespace that imports 50,000 objects does not stand before the one object of another, and one whose objects need 40
 * requests each has one of them served where another has 40: an object is served when its identity's turn comes, and for each
 * further request that it turns out to need a turn is passed over. Within an identity the order is that of arrival. Every operation
 * takes constant time, but for line_next, which passes over at most as many turns as requests were charged. One owner: the worker.
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
	uint32_t debt; /* turns that are to be passed over */
};

struct line {
	struct map flows;
	struct list turns;
	struct line_flow rest; /* of identities for which there was no memory */
};

void line_init(struct line *line, struct hash_key key);
void line_deinit(struct line *line); /* nobody waits */
void line_push(struct line *line, struct object *object);
void line_push_front(struct line *line, struct object *object); /* before others of its identity */
/* Nobody waits: what was charged is forgotten, since nobody had less for it. */
void line_reset(struct line *line);
/* Objects of the identity have needed so many requests more (or fewer: negative) than one for each turn. Harmless where none of it is known. */
void line_charge(struct line *line, uint32_t identity_hash, int requests);
/* The next one, who stays until list_remove(&object->ready); NULL: nobody waits. The turn passes on to another identity. */
struct object *line_next(struct line *line);
