/* workers/report.h - statuses on their way to the API server: behind the writes of Secrets, at a pace of their own.
 *
 * A reconcile leaves what is to be said in object->status, puts the object in line here, and ends. When its turn has come the
 * status of that moment is written, so that several changes meanwhile cost one write, the last one. Nothing else waits for it:
 * not the object's next write, and not other objects. One write per object is under way at a time.
 *
 * One that says no more than that all is still well waits while a backlog of SecretSyncs that were never attempted does: in an
 * import the API server and this process have better things to do. For two minutes: a backlog may stand for hours, where its
 * class asks for a low pace.
 *
 * A status is not lost: one that was refused, or whose outcome is not known, is written again after a pause that lets an
 * earlier request die first; one that changed while it was written is written again at once. Where the object goes to another
 * worker, its status comes along. On stop, what stands in line is written as long as the drain lasts; the next start
 * finds out by itself what was not (it reads the vault for an object without a status, and writes both again).
 *
 * One owner: the worker.
 */
#pragma once

#include "queue/pace.h"
#include "workers/object.h"

struct worker;

/* Objects that wait together. Who comes while they do waits with the next ones, so that nobody's pause is shorter than it has
 * to be, and nobody's longer than twice that. */
struct report_batch {
	struct list objects, next;
	int64_t at_ns; /* when the objects are put in line again; of no meaning while there are none */
};

enum report_patience { REPORT_SOON, REPORT_SLOW, REPORT_BATCHES };

/* Of one worker. */
struct reports {
	struct list waiting; /* of objects, in order of arrival */
	struct list calm; /* the same, of those that have nothing new to say; behind the others */
	unsigned waiting_count; /* of both */
	int64_t backlog_ns; /* since when SecretSyncs that were never attempted wait; 0: they do not */
	struct report_batch later[REPORT_BATCHES]; /* of objects whose status was not taken */
	struct list under_way;
	unsigned under_way_count;
	struct pace_slot slot;
};

void reports_init(struct reports *reports);

/* object->status is new. */
void report_due(struct worker *worker, struct object *object);

/* The object has come from another worker, and what that one sent last may still be on its way. */
void report_arrived(struct worker *worker, struct object *object);

/* The object goes: to another worker, or for good. */
void report_leave(struct worker *worker, struct object *object);

/* Sends what may be sent; returns when it wants to be called again. */
int64_t report_turn(struct worker *worker);

/* statusWritesPerSecond is another one: what waits at the old pace goes at the new one. */
void report_repace(struct worker *worker);

/* No status may go out now: those that have not yet stand in line again. */
void report_put_back(struct worker *worker);

/* Of a worker that stops: nothing is under way, and what waits cannot be sent. */
bool report_is_done(const struct worker *worker);

/* Ends what is under way and forgets the rest. */
void report_cancel_all(struct worker *worker);
