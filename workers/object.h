/* workers/object.h - one SecretSync as the engine knows it: the two-bit queue item, its spec, and what its home keeps.
 *
 * main creates it, publishes specs into it, and frees it after its home worker has let go of it for good (object_retired).
 * An object stands for one uid; a SecretSync that was deleted and created again is another object.
 */
#pragma once

#include "queue/timer.h"
#include "queue/workqueue.h"
#include "workers/spec.h"
#include "workers/status.h"

/* Served in this order, with aging. */
enum object_class {
	CLASS_NEW, /* never attempted */
	CLASS_CHANGED, /* spec, class or force value changed */
	CLASS_SEEN, /* a walk over the vault's list has seen a change */
	CLASS_RETRY, /* a failed attempt */
	CLASS_PERIODIC, /* the poll interval has passed */
	CLASS_SAFETY, /* read in spite of what lists say, every safetyRereadPolls polls */
	CLASS_COUNT
};

/* One word, for metrics. Static storage. */
const char *object_class_name(enum object_class class);

/* Repairs of a Secret that somebody else changes, and the rest after too many. */
enum { DRIFT_REPAIRS = 3 };
struct drift_rest {
	int64_t repaired_ns[DRIFT_REPAIRS]; /* ring; 0: none */
	unsigned next;
	int64_t until_ns; /* 0: no rest */
	char field[128], manager[128]; /* what was changed last before the rest, and by whom */
};

/* What main tells the home, see object_tell(). */
struct told_status {
	struct status status;
	int64_t doubted_ns;
};

struct object;
struct scan_name;
struct shard;
struct sync;

/* "This object needs that name" of a vault's list (scan.h). */
struct scan_link {
	struct list link;
	struct object *object;
	struct scan_name *name;
};

struct object {
	struct queue_item
		item; /* atomic: see workqueue.h; in main's inbox once the home has let go */
	struct spec *spec; /* rcu: writer main; NULL: the SecretSync is gone */

	struct map_node node; /* main */
	struct list
		cell_link; /* main: in spc_cell.objects; of one that is gone, in the store's list of those */

	_Atomic(struct told_status *)
		told; /* atomic: acq_rel; owned by whoever takes it out; see object_tell */
	struct status
		status; /* home (main until the first queue_add): what the server has, or is to have (report.h) */
	struct timer timer; /* home: next check, or retry */
	struct list ready; /* home: in a ready list, or in the waiters of a gate */
	struct list report; /* home: in a line of report.h */
	struct shard *shard; /* home: where it is counted; NULL: nowhere yet */
	struct sync *sync; /* home: the running reconcile */
	uint32_t
		force_hash; /* home: of forceSynchronization, as it was at the last good check; 0: not known */
	uint8_t wait_class; /* home: enum object_class while in a ready list */
	bool in_ready : 1; /* home: `ready` is in a list of its shard, not in the waiters of a gate */
	bool attempted : 1; /* home: at least one reconcile ended */
	bool in_report_line : 1; /* home: that of those whose turn comes next */
	bool in_calm_line : 1; /* home: that of those who have nothing new to say; also in_report_line */
	bool unreported : 1; /* home: `status` is to be written; the server's is older */
	bool report_failed : 1; /* home: the last attempt to write it failed, and that was logged */
	bool listed : 1; /* home: walks over the vault's list tell of its changes (scan.h) */
	bool reads : 1; /* home: the next reconcile asks the vault, whatever the last walk saw */
	bool away : 1; /* home: vault or token endpoint could not be reached, and nothing else is known to be wrong: a walk that finds its names as they were is enough */
	bool changed_meanwhile : 1; /* home: a walk saw a change during the reconcile */
	bool has_many_links : 1; /* home: which of `links` holds */
	bool paced : 1; /* home: its class asks for a pace of its own (class_pace.h) */
	bool held : 1; /* home: `ready` is in a list of that pace, not in one of its shard */
	bool granted : 1; /* home: a request of that pace is counted for the reconcile that is to come */
	bool may_look : 1; /* home: a probe is counted for the reconcile that is to come (looks.h) */
	bool unlooked : 1; /* home: its Secret was there at the start, and was not looked at since */
	uint8_t told_value : 2, told_reason : 6; /* home: of Ready, as the server has them */
	uint8_t due; /* home: enum object_class when the timer fires */
	uint8_t failures; /* home: in a row, as far as they are counted */
	uint8_t settles; /* home: reads in a row of a version as young as the read */
	uint8_t reported_at; /* home: when `status` was last sent, by object_report_clock(); 0: never */
	uint16_t link_count; /* home */
	uint16_t version_hash; /* main: of the resourceVersion that was seen last */
	_Atomic uint32_t
		secret_seen; /* atomic: relaxed; writers main and home: see secret_seen.h */
	uint32_t list_number; /* main: of the list that it was seen in last */
	uint32_t identity_hash; /* home: of its identity, namespace included */
	union {
		struct scan_link one;
		struct scan_link *many; /* owned */
	} links; /* home: the names it needs */
	int64_t due_ns; /* home: when it became due for the reconcile that is to come, or runs: no older answer will do */
	struct drift_rest *rest; /* home: owned; NULL: never repaired */
	struct list
		seen_order; /* home: in worker->seen_order, oldest first; not linked: no Secret is known */
	int64_t secret_seen_ns; /* home: when the Secret was last written, or seen to be as it was written */
	struct list all; /* home: every object of this worker, for shutdown */
	char key[]; /* const: "namespace/name", and the uid, each with its NUL */
};

/* Takes status (moved). home: the queue of worker 0 for a start; the worker that takes it hands it on. */
enum err object_create(struct str key, struct str uid, struct status *status, struct queue *home,
	struct object **out_object);
/* Main; the object is idle, out of every list, and no reader can hold its spec any more. Drops the spec. */
void object_destroy(struct object *object);

/* Who it is, in strings that live as long as the object does. */
struct str object_uid(const struct object *object);
struct str object_namespace(const struct object *object);
struct str object_name(const struct object *object);

/* Main: what the API server has of it now, since it is not what it had (a backup was restored). Takes status (moved). The home
 * begins anew from it, as after a start, when it takes the object from its queue; add it behind this. What this process
 * itself has reported from doubted_ns on (mono_ns; INT64_MAX: nothing) may have come into the restored state, and says nothing about the Secret there:
 * that is written again. ERR_NOMEM. */
enum err object_tell(struct object *object, struct status *status, int64_t doubted_ns);
/* A clock of one byte, which never shows 0 and comes round in an hour: who is compared with it is doubted once too often, not too
 * seldom. */
uint8_t object_report_clock(int64_t mono_ns);
/* Home, no reconcile is under way: takes what main has told. True: it is something else than was known, and a status that is
 * still on its way speaks of what is not there any more. */
[[nodiscard]] bool object_hear(struct object *object, int64_t now_ns);

/* The current spec with a reference of the caller's own, or NULL. */
struct spec *spec_borrow(struct object *object);
