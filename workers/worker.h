/* workers/worker.h - the inside of a worker, for the files of this folder only.
 *
 * Everything here is private to one thread, but for what says otherwise.
 */
#pragma once

#include <stdatomic.h>

#include "base/map.h"
#include "base/thread.h"
#include "queue/pace.h"
#include "queue/timer.h"
#include "workers/class_pace.h"
#include "workers/flight.h"
#include "workers/gate.h"
#include "workers/identity.h"
#include "workers/line.h"
#include "workers/looks.h"
#include "workers/pool.h"
#include "workers/report.h"
#include "workers/scan.h"

enum {
	WORKER_ARENA_BYTES = 256 << 20, /* address space; committed as it is used */
	MAX_VALUE_BYTES = 64 << 10, /* of one object: Key Vault's own limit is 25 kB of text */
	MAX_ANSWER_BYTES = 1 << 20,
	TOKEN_TRIALS = 16,
	WORKER_TIMERS = 2, /* but for those of objects and scans */
	SHARE_TURNS = 20, /* of so many each class that waits has one of its own: 5 % */
};

/* What one worker keeps about one vault. */
struct shard {
	struct map_node node;
	struct list all;
	char *url; /* "" for objects without a usable class */
	struct worker *worker;
	struct gate gate;
	struct line ready[CLASS_COUNT];
	unsigned waiting[CLASS_COUNT];
	unsigned ready_count;
	unsigned objects; /* that count this shard as theirs */
	unsigned running;
	unsigned running_first; /* of them CLASS_NEW and CLASS_RETRY */
	struct map class_paces;
	struct list class_pace_list;
	struct map flights; /* of reads that may be joined */
	struct scan *scans[VAULT_KINDS]; /* NULL: nobody needs that kind */
	int64_t skew_s; /* the vault's clock minus ours, by its last answer */
	int64_t owed
		[CLASS_COUNT]; /* twentieths of a request that each class has coming to it, while it waits */
	int64_t walks_owe; /* requests of others, until walks have had no more than their share */
};

/* One token endpoint. */
struct endpoint {
	struct list all;
	char *authority;
	struct gate gate;
};

struct worker {
	struct queue queue; /* atomic: the inbox is the door for other threads */
	struct pool *pool; /* const */
	unsigned index, count; /* const: its number, and how many there are */
	struct loop *loop; /* const; NULL in the simulation */
	struct http *http; /* home */
	struct thread thread; /* main */
	struct now now; /* home: the reading of this turn */
	struct timers timers; /* home */
	struct rng rng; /* home */
	struct secret_arena *arena; /* home */
	struct settings settings; /* home: copied from the pool's snapshot once per turn */
	struct map shards; /* home */
	struct list shard_list; /* home */
	unsigned scan_count; /* home */
	unsigned
		replan; /* home: objects that are still to be walked over, because intervals have changed or a list of Secrets is complete */
	uint32_t
		secret_list; /* home: the last complete list of Secrets that a watch follows (secret_seen.h); 0: they are not watched */
	uint32_t
		walked_list; /* home: the one that objects were held against; 0: none since Secrets were not watched */
	struct map identities; /* home */
	struct list identity_list; /* home */
	struct list endpoints; /* home */
	struct gate kube_gate; /* home */
	struct list objects; /* home: every object whose home this is and that arrived */
	unsigned object_count; /* home */
	struct list syncs; /* home: running reconciles */
	unsigned sync_count; /* home */
	struct list
		seen_order; /* home: objects with a Secret, the one that was seen longest ago first */
	struct looks looks; /* home */
	struct reports reports; /* home */
	struct list events; /* home: Events that are under way */
	unsigned event_count; /* home */
	unsigned
		reads_waiting; /* home: requests to vaults that were not sent yet, as of the last turn */
	struct ratelimit event_limit; /* home */
	unsigned waiting[CLASS_COUNT]; /* home: objects in ready lists */
	int64_t room_owed
		[CLASS_COUNT]; /* home: twentieths of a place that each class has coming to it, while it waits and writes do */
	struct {
		_Atomic unsigned objects, running, writes_waiting, statuses_waiting, reads_waiting,
			waiting[CLASS_COUNT];
		_Atomic int64_t secret_unseen_ns;
	} published; /* atomic: relaxed; writer home, once per turn */
	struct timer sweep; /* home */
	bool again; /* home: something became possible during this turn */
	bool paused; /* home: pool->paused, as of this turn */
	bool stopping; /* home: has seen the pool's wish */
	int64_t drain_until_ns; /* home */
};

struct pool {
	struct pool_options options; /* const, but for settings */
	struct settings *settings; /* rcu: writer main */
	struct inbox retired; /* atomic: producers workers, consumer main */
	struct hash_key hash_key; /* const */
	struct pace write_pace; /* atomic: writes of Secrets, and what main writes for AKVSyncs */
	struct pace_slot write_slot; /* main: its place in that */
	struct pace status_pace; /* atomic */
	struct pause kube_pause; /* atomic: what the API server asked for */
	struct pause kube_trials; /* atomic: who may try whether it can be reached again */
	struct pause token_trials
		[TOKEN_TRIALS]; /* atomic: of token endpoints that are away, by the hash of their names */
	struct pace group_paces
		[VAULT_GROUPS_MOST]; /* atomic: by the group's place in the configuration */
	uint64_t settings_serial; /* main */
	_Atomic int64_t drain_ns; /* atomic: relaxed, published by stop's release */
	_Atomic uint32_t secret_list; /* atomic: release by main, acquire by workers */
	_Atomic bool paused; /* atomic: relaxed; writer main, nothing else is published by it */
	_Atomic bool stop; /* atomic: release by main, acquire by workers */
	void (*trace)(void *arg, const struct object *object, const char *step,
		enum err err); /* const after start */
	void *trace_arg;
	unsigned count; /* const */
	struct worker workers[];
};

#define assert_home(worker) assert(thread_role() == ROLE_WORKER + (worker)->index)

/* worker.c */
enum err worker_init(struct worker *worker, struct pool *pool,
	unsigned index); /* into zeroed memory; deinit also after a failure */
void worker_release(struct worker *
		worker); /* lets go of every object; no reconcile is under way, no other thread runs */
void worker_deinit(struct worker *worker);

/* worker_inbox.c */
/* Takes what has come, a slice of it. True when there may be more. */
bool worker_take_inbox(struct worker *worker);
/* What the worker keeps about an object that goes elsewhere, or for good. */
void worker_let_go(struct worker *worker, struct object *object);
/* Its Secret was written, or is as it was written. */
void worker_saw_secret(struct worker *worker, struct object *object);

/* worker_settings.c */
/* Of the writes of Secrets, how many may go at once after a rest. */
double write_burst(const struct settings *settings);
void worker_pace_writes(struct worker *worker);
/* The settings of this turn, and what their change means. */
void worker_read_settings(struct worker *worker);
/* Other settings concern every object, and a list of Secrets may show that one is gone; a slice per turn. */
void worker_replan_slice(struct worker *worker);

/* shard.c */
/* The pace of the vault, and of its group; settings: the snapshot, in a read section. */
void shard_pace(struct shard *shard, const struct settings *settings);
enum err shard_get(struct worker *worker, struct str url, struct shard **out_shard);
void shard_enqueue(struct shard *shard, struct object *object, enum object_class class);
void shard_dequeue(struct object *object); /* out of whatever list it waits in */
/* The next one, which is counted as one request; NULL: nobody waits. */
struct object *shard_next(struct shard *shard);
/* The next one of a class that waits. */
struct object *shard_next_of(struct shard *shard, enum object_class class);
/* Of a reconcile that was begun for `class` as many requests as `from` are counted; it needs `to`. Who asks for nothing has nothing of
 * his class's share. */
void shard_recount(const struct object *object, enum object_class class, int from, int to);
/* What shard_next() gave is not begun, but waits in `line`; and goes back in line, before others of its identity. */
void shard_hold(struct object *object, struct list *line);
void shard_release(struct object *object);
bool shard_has_room(const struct shard *shard);
/* A request that is no page of a walk has been asked for. */
void shard_asked(struct shard *shard);
/* A page of a walk may be asked for now, and is counted. While somebody waits who was never synced, or has failed, walks have a
 * twentieth of the requests, as each class has; counted over an interval, so that a walk that fits in goes on at once. */
bool shard_admits_page(struct shard *shard);
void shard_saw_date(struct shard *shard, int64_t server_date_s); /* 0: not sent */
void shard_leave(struct object *object); /* the object does not count here any more */
void shard_sweep(struct worker *worker);
void shard_destroy_all(struct worker *worker);

/* endpoint.c */
enum err endpoint_get(struct worker *worker, struct str authority, struct endpoint **out_endpoint);
void endpoint_destroy_all(struct worker *worker);

/* schedule.c: when an object is looked at next. */
void schedule_ready(struct object *object, enum object_class class);
/* The same, after a wait by chance where the configuration asks for one. */
void schedule_with_jitter(struct worker *worker, struct object *object, enum object_class class);
int64_t schedule_jitter_ns(struct worker *worker); /* such a wait */
/* Sets a timer that may be a little late, so that what is close wakes the worker once. */
enum err schedule_timer(struct worker *worker, struct timer *timer, int64_t at_ns);
/* How many workers take turns at what nobody waits for. */
unsigned schedule_turns(const struct worker *worker);
/* In a fleet of this interval: how far apart the moments of a worker are for that, and the first of them that is not before at_ns. */
int64_t schedule_slot_ns(int64_t interval_ns, unsigned turns);
int64_t schedule_slot_at_ns(
	const struct worker *worker, int64_t at_ns, int64_t interval_ns, unsigned turns);
/* The object's own poll interval, or else everybody's. */
int64_t schedule_interval_ns(const struct worker *worker, const struct spec *spec);
void schedule_check(struct worker *worker, struct object *object, const struct spec *spec);
void schedule_settle(struct worker *worker, struct object *object); /* 4 to 5 s from now */
/* The next moment of a phase, which is a function of `hash`, in the grid of an interval. */
int64_t schedule_phase_ns(uint64_t hash, struct now now, int64_t interval_ns);
/* Of a walk over a vault's list. Many clusters may read one vault, and are not to walk over it all at once: the uids of their
 * SecretSyncs differ, and so does the least of those uids' hashes. */
uint64_t schedule_walk_hash(struct str vault_url, unsigned kind, uint64_t least_uid_hash);
void schedule_retry(struct worker *worker, struct object *object, const struct fault *fault,
	int64_t interval_ns);
/* Nothing but the way to vault and token endpoint is known to be wrong with it; or that is over. */
void schedule_away(struct object *object, bool away);
void schedule_timer_fired(struct timer *timer);
void schedule_waiter_woken(struct gate *gate, struct list *waiter);
