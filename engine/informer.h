/* engine/informer.h - keeps up with one resource of the API server: LIST, then WATCH with bookmarks.
 *
 * A state machine that is driven by HTTP callbacks and by main's turns; it never waits and never
 * sleeps.
 *
 *      +--------- failed: backoff, Retry-After ---------+
 *      v                                                |
 *   waiting ---> listing ---> reading the page --+---> listing the next page
 *      |   \        ^                            |
 *      |    \       | 410, too old, too new      v complete
 *      |     `> watching from the beginning ----> *
 *      +------> watching <---------------------- *
 *      |            ^
 *      +--> checking, after a watch that broke
 *
 * A list is a watch that begins with what is there ("streaming list"): one request, one object at a
 * time on both sides, and the server is left to wait while main has enough to read. A server without
 * it answers 422 and is asked for pages from then on; a stream that breaks off before its end, too,
 * for this list. Until a list is complete, however it is made, nothing that was known is gone.
 *
 * A watch that breaks resumes from the last resourceVersion, without a list. That version is an
 * opaque string: it is never compared or parsed. It may also go back, when a backup of etcd is
 * restored: a watch from a version that is still to come tells nothing of what happened before it
 * comes. So the server is asked first whether it has got that far; one that has not is listed, and
 * nothing that it told before counts. Facts: Kubernetes API concepts, "Efficient detection of
 * changes" and "Semantics for get and list". Main thread only.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/rng.h"
#include "clients/kube.h"
#include "engine/watch_event.h"
#include "queue/backoff.h"

enum {
	INFORMER_PAGE = 500, /* objects asked for at once */
	INFORMER_PAGE_BYTES = 16 * 1024 * 1024, /* of a page; over that, fewer are asked for */
	INFORMER_LINE_BYTES = 3 * 1024 * 1024, /* of one watch event */
	INFORMER_BACKLOG_BYTES = 8 * 1024 * 1024, /* of watch events that wait for their turn */
	INFORMER_AHEAD_BYTES = 256 * 1024, /* of them, from which on the server is left to wait */
	INFORMER_SLICE_BYTES = 128 * 1024, /* of JSON that is read in one turn */
	INFORMER_CLASS_SLICE_BYTES = 32 * 1024, /* of classes, which hold YAML */
	INFORMER_MISSING_S =
		300, /* until an optional resource that is not there is looked for again */
	INFORMER_STALL_S = 60, /* a list by a watch in which nothing comes */
	INFORMER_SILENCE_S = 150, /* a watch without an event: bookmarks come about every minute */
};

/* Who is told. ERR_INVALID: the object is passed over; ERR_NOMEM: everything is listed again,
 * later. */
struct informer_sink {
	enum err (*upsert)(struct informer_sink *sink, const cJSON *object);
	enum err (*remove)(struct informer_sink *sink, const cJSON *object);
	/* True: an upsert would change nothing; it counts as seen then, and none follows. NULL: never. */
	bool (*knows)(struct informer_sink *sink, const struct object_head *head);
	void (*list_begin)(struct informer_sink *sink);
	void (*list_end)(struct informer_sink *sink);
	/* 401: the token should be read again. */
	void (*unauthenticated)(struct informer_sink *sink);
	/* The optional resource is not there, or may not be listed. */
	void (*missing)(struct informer_sink *sink);
	/* The API server went back to an older state: what comes in the next complete list is the truth, whatever was told
	 * before. NULL: all the same. */
	void (*went_back)(struct informer_sink *sink);
	/* Instead of upsert and remove where objects may hold values: the JSON of one, in secret memory, borrowed for the
	 * call. */
	enum err (*told)(struct informer_sink *sink, struct str object, bool gone);
	/* The server has no streaming lists. NULL: all the same. */
	void (*paged)(struct informer_sink *sink);
};

enum informer_state {
	INFORMER_WAITING,
	INFORMER_LISTING,
	INFORMER_READING,
	INFORMER_CHECKING,
	INFORMER_WATCHING,
	INFORMER_STOPPED
};

struct informer {
	struct kube *_kube;
	struct http *_http;
	struct informer_sink *_sink;
	struct rng *_rng;
	enum kube_resource _resource;

	enum informer_state _state;
	int64_t _wait_until_ns;
	bool _ended; /* the request has ended; its outcome is looked at in the next turn */
	bool _has_synced;
	bool _in_list; /* a list has begun and is not complete */
	bool _needs_list;
	bool _doubtful; /* the last watch did not end by itself: the server may be another one now */
	bool _paged; /* lists are asked for in pages */
	bool _stream_broke; /* so is this one, whose stream did not come to its end */
	unsigned _failures; /* in a row */
	unsigned _page_limit;
	unsigned _bad_objects;
	bool _optional, _revocable;
	bool _missing; /* it was said that the resource is not there */

	struct kube_call _call;
	bool _has_call;
	struct secret_arena *_arena; /* NULL: objects hold no values */
	struct buf _page_body;
	struct secret _secret_page; /* instead of _page_body; _secret_lines instead of _lines */
	struct page *_page;
	struct buf _continue;
	struct buf _version; /* the last resourceVersion, as sent */
	struct buf _lines; /* watch bytes that are not read yet */
	struct secret _secret_lines;
	bool _resumed; /* the server need not wait any more, and the HTTP client is to see that */
	bool _overflow; /* more came than _lines takes */
	int64_t _heard_ns;
	int64_t _watch_began_ns, _watch_asked_ns;
	bool _watch_served; /* at least one event came */
};

/* All pointers are kept. Nothing is requested before the first turn. */
void informer_init(struct informer *informer, struct kube *kube, struct http *http,
	enum kube_resource resource, struct informer_sink *sink, struct rng *rng);

/* Nothing waits for this resource: where the API server does not have it, or does not let us list it, that is told once, and
 * it is looked for again every few minutes. */
void informer_set_optional(struct informer *informer);

/* And the right may be taken away later: from then on it is missing until it is granted again. */
void informer_set_revocable(struct informer *informer);

/* Lists are asked for in pages, whatever the server can. */
void informer_set_paged(struct informer *informer);

/* Objects may hold values: all that is received stays in secret memory of `arena` (kept), which has to hold two pages and two
 * backlogs, since what grows is copied; sink.told is told of objects. */
void informer_set_secret(struct informer *informer, struct secret_arena *arena);

/* The API server went back, as another informer has found: everything is listed again, after a wait that has begun already. */
void informer_start_over(struct informer *informer, struct now now);

/* Cancels the request and starts no other. */
void informer_stop(struct informer *informer);
void informer_deinit(struct informer *informer); /* stops; idempotent */

/* What is due, a slice of it. Returns the next deadline (mono_ns; NEVER_NS: a callback will
 * come). */
int64_t informer_turn(struct informer *informer, struct now now);

/* The same deadline again, after callbacks have run. */
int64_t informer_deadline_ns(const struct informer *informer, struct now now);

/* At least one list was complete. */
bool informer_has_synced(const struct informer *informer);

/* The last list was complete, and nothing has failed since: changes are told of as they happen. */
bool informer_is_current(const struct informer *informer);

/* When the server was last heard of (mono_ns): a page of a list, an event or bookmark of a watch; 0: never. */
int64_t informer_heard_ns(const struct informer *informer);

enum informer_state informer_state(const struct informer *informer);
