/* workers/scan.h - change detection by listing: what one vault shows of one kind, and whom a change concerns.
 *
 * A scan walks GET /secrets (or keys, certificates) once per interval, 25 rows a page, and compares each row of a name that
 * somebody uses with the row of the walk before. Who uses a changed name is woken; values are always read by GET, with the
 * object's own identity. Rules, and why (docs/architecture.md section 7):
 *
 * - A row shows the current version only, never its id, in a grain of one second: whoever read a value within a few seconds
 *   of its `updated` reads it once more (sync_scan.c).
 * - Names compare without case. A name that comes back is read, whatever its row says; so is one that is gone.
 * - Any one identity of the vault lends its token; when it may not list, the next one is tried. A walk tries so many, and a
 *   later one those behind them.
 * - Under changeDetection auto a list has to be cheaper than GETs: fewer pages than names of objects, where each object counts
 *   its own. The pages of the last walk count.
 * - While somebody waits who was never synced, walks have a share of the vault's pace as a class has (shard.c).
 * - Objects that could not be looked at because vault or token endpoint was away are well again when a walk that came after that
 *   has met their names and nothing has changed: for no request of their own.
 * - Where listing is denied, ends in nonsense or takes the vault longer than an interval, its objects are checked by GET, and
 *   so they are for a day after a safety re-read has found a version that no walk announced.
 *
 * One owner: the worker. Times are mono_ns but where they say unix seconds.
 */
#pragma once

#include "workers/identity.h"
#include "workers/object.h"

struct shard;
struct worker;

/* A few seconds: `updated` is rounded, and two versions of one second look alike. */
enum { SCAN_SETTLE_S = 3, SCAN_TRIES = 16, VAULT_KINDS = VAULT_CERTIFICATE + 1 };

enum scan_mode {
	SCAN_UNDECIDED, /* no walk has ended yet */
	SCAN_LIST,
	SCAN_GET, /* objects are checked by GET, each in its own phase */
};

/* One name of the vault that somebody uses. */
struct scan_name {
	struct map_node node;
	struct list order; /* in scan.order: those that the walk has not met stand in front */
	struct list users; /* of scan_link */
	int64_t not_before_s, expires_s;
	uint32_t created_s, updated_s;
	uint32_t walk; /* the last one that met it */
	uint8_t kind; /* enum vault_kind: which of its vault's scans it belongs to */
	bool enabled;
	bool known; /* a whole walk has told whether it is there */
	bool present;
	char key[]; /* lower case */
};

struct scan {
	struct shard *shard;
	enum vault_kind kind;
	enum scan_mode mode;
	struct map names;
	struct list order;
	struct list *
		expected; /* in order: whom the next row is about, if rows come as they came before. NULL: nobody */
	unsigned name_count, link_count;
	struct timer timer; /* the next walk, or the next look at whether to walk */
	int64_t born_ns, held_until_ns;
	uint64_t least_uid_hash; /* of the objects that have needed a name of it */
	unsigned failures; /* walks in a row that did not end */
	uint32_t moving; /* names whose objects are still to be given another timer */
	uint32_t
		telling; /* names that the last walk is still to tell of that it has found nothing */
	uint32_t
		doubted_walk; /* rows that it, or an earlier one, met say nothing to objects that are away */
	bool doubted; /* some are */
	bool blind; /* walks could not tell when it was looked at last */
	bool away; /* the last walk did not come about: vault or token endpoint cannot be reached */
	bool has_news; /* an object of it may have something to say when a walk finds nothing */
	bool eager; /* somebody waits for a name that the last walk did not know of */
	/* What the last whole walk cost, and when it began, by the server's clock (0: none yet). */
	unsigned pages;
	int64_t priced_ns, complete_s;
	int64_t took_ns; /* but for what its pages had to wait for others */
	/* The walk under way. */
	bool walking;
	uint32_t walk;
	unsigned walked_pages, throttled;
	int64_t walk_began_ns, walk_began_s;
	bool held; /* the next page waits: what was never synced has the vault's pace */
	int64_t held_since_ns, held_ns; /* how long pages of this walk have waited so */
	int64_t asked_ns; /* how long its pages were under way, one after the other */
	struct identity *identity;
	struct identity_waiter waiter;
	uint64_t token_serial;
	bool token_renewed;
	/* object.identity_hash of who lends, of whom this walk has tried, and (owned, sorted) of who was refused since somebody was not. */
	uint32_t lender, tried[SCAN_TRIES], *denied;
	unsigned tried_count, denied_count, denied_cap;
	struct fault
		token_fault; /* err not OK: one was passed over who could have no token for now */
	struct vault_call call;
	struct gate_call gate;
	struct buf next_link;
};

/* What a reconcile may know of an object without a request. */
enum scan_state {
	SCAN_NONE, /* not listed: its own timer and GETs */
	SCAN_PENDING, /* a walk will tell */
	SCAN_READY, /* the rows of every name are known */
};

/* Sets which names the object needs: `names` of `kinds`. ERR_NOMEM: it is not listed then. */
enum err scan_link_object(struct object *object, const struct str *names,
	const enum vault_kind *kinds, unsigned count);
/* The object is not listed any more. Harmless when it is not. */
void scan_unlink_object(struct object *object);

/* A reconcile has ended well: its status may say what the next whole walk has to be told after. */
void scan_note_news(struct object *object);

/* The scan that name `index` of the object belongs to. */
struct scan *scan_at(const struct object *object, unsigned index);

enum scan_state scan_state(const struct object *object);
/* True when walks announce the object's changes, so that its own checks are safety re-reads. */
bool scan_covers(const struct object *object);
/* True when it is not decided yet whether they will. */
bool scan_is_undecided(const struct object *object);

/* In lower case; empty where the object is not listed, or needs none. */
struct str scan_first_name(const struct object *object);

/* True when walks cannot tell now: what may be wrong with the object is to be found out, or told, by its own check. */
bool scan_is_blind(const struct object *object);

/* The row of link `index` by the last walk; version "". False: not known, or the name is not there. */
bool scan_row(const struct object *object, unsigned index, struct vault_row *out_row);

/* Somebody waits for names that no walk has met yet: the next one is not to be long in coming. */
void scan_hurry(struct object *object);

/* The object's vault or token endpoint cannot be reached: what walks have told so far is not enough for it. */
void scan_doubt(const struct object *object);
/* A walk has met all of its names since then. */
bool scan_is_fresh(const struct object *object);
/* They can be reached again: the next walk begins at once. */
void scan_resume(struct object *object);

/* A safety re-read found what no walk announced. */
void scan_distrust(struct scan *scan, struct str name);

/* scan_walk.c: begins a walk; what it finds is told by scan_met, its end by scan_walk_ended or scan_give_up. */
void scan_walk_begin(struct scan *scan);
void scan_walk_cancel(struct scan *scan); /* harmless when none is under way */
/* Once per turn of the worker: asks for the page that waits, should it be its turn. */
void scan_walk_turn(struct scan *scan);
/* How long the walk has taken so far, but for what its pages had to wait for others. */
int64_t scan_walk_took_ns(const struct scan *scan);
void scan_forget_denied(struct scan *scan);
/* A row of the walk. */
void scan_met(struct scan *scan, struct str name, const struct vault_row *row);
void scan_walk_ended(struct scan *scan);
/* The walk came to nothing for now: again in a while. `counts`: the vault answered, so it may be that lists fail for good. */
void scan_walk_failed(struct scan *scan, const struct fault *fault, bool counts);
/* The walk has cost more than GETs would. */
void scan_too_dear(struct scan *scan);
/* Objects are checked by GET for hold_ns. */
void scan_give_up(struct scan *scan, const char *why, const char *detail, int64_t hold_ns);

/* scan_slice.c. A walk that finds nothing is to be told: what the object's status says is not yet that all is as it was. */
bool scan_has_news(const struct object *object);
/* Once per turn while no walk is under way: goes on telling of the last one, then with giving other timers. */
void scan_slice(struct scan *scan);

/* The poll interval has changed: the next walk has another moment. */
void scan_replan(struct shard *shard);

/* For the worker's turn, its stop and its sweep. */
void scan_turn(struct shard *shard);
void scan_stop_all(struct worker *worker);
void scan_destroy_all(struct shard *shard); /* no object is linked any more */
