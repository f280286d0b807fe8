/* workers/looks.h - whose Secret is looked at though nothing tells of a change (driftDetection).
 *
 * A look is a probe of the API server (sync_drift.c), and all workers together make driftProbesPerSecond at most: a worker has
 * as much of that as it has of the objects. Objects take turns, so that each has its look however many there are, and a
 * poll that is not its turn costs nothing. Workers take turns as well (schedule_slot_ns), so that their probes do not come together.
 * Whose changes walks tell of has no other reason to be checked: a reconcile begins for the look. Who is checked by its own polls, or waits to be tried again, looks when that happens next.
 *
 *   probe   who was not looked at for its interval
 *   watch   whose managedFields are to be settled; what else there is to look at, the watch tells
 *   off     nobody
 *
 * One owner: the worker.
 */
#pragma once

#include "queue/ratelimit.h"
#include "queue/timer.h"
#include "workers/object.h"

struct worker;

struct looks {
	struct timer timer; /* the next turn; not set where Secrets are not looked at */
	struct ratelimit limit; /* this worker's part of the probes */
	int64_t least_interval_ns; /* of the intervals of its objects and of the settings, the shortest so far */
};

/* The room of its timer is the caller's to reserve. */
void looks_init(struct worker *worker);
void looks_deinit(struct worker *worker);
/* Settings have changed. */
void looks_replan(struct worker *worker);
/* An object has come, or has another interval. `unlooked`: its Secret is known, and was not looked at since the start. */
void looks_arrived(struct worker *worker, const struct spec *spec, bool unlooked);
/* One probe may be made now, and is counted. */
[[nodiscard]] bool looks_take(struct worker *worker);
