/* engine/akv_impl.h - what akv.c, akv_look.c and akv_call.c share; nobody else includes it. */
#pragma once

#include "engine/akv.h"
#include "engine/akv_status.h"

/* Between two writes of one object, or of one status, so that no quarrel becomes a storm. */
#define AKV_PACE_NS NS_PER_S

enum akv_op { AKV_CREATE, AKV_APPLY, AKV_REPLACE, AKV_GET, AKV_DELETE, AKV_STATUS };

/* One request. */
struct akv_call {
	struct kube_call http;
	struct list link; /* in akv.calls */
	struct akv_owner *owner;
	enum akv_op op;
	enum kube_resource resource;
	char *name; /* owned; of a derived object; NULL: the status */
	uint64_t digest; /* of the spec that it writes; the AKVSync may be edited meanwhile */
	struct akv_summary summary; /* of the status */
	bool ended;
	bool overtaken; /* the watch told of the object while this was under way */
};

struct akv {
	struct akv_table table;
	struct kube *kube;
	struct http *http;
	struct rng *rng;
	void (*unauthenticated)(void *arg);
	void *arg;
	struct list calls;
	unsigned call_count;
	bool synced[3]; /* by resource */
	bool sweeping
		[3]; /* by resource: the list is complete, and of what it did not show some is still there */
	bool stopped;
	int64_t (*write_wait_ns)(void *arg, int64_t now_ns); /* NULL: no pace */
	void *pace_arg;
	int64_t paced_ns; /* no write before */
	int64_t not_before_ns; /* Retry-After, or a server that cannot be reached */
	unsigned unreachable; /* times in a row */
};

/* akv_call.c: requests, and what has come of them. */

/* A call of the owner, which is prepared and launched by the caller. NULL: out of memory. */
struct akv_call *akv_call_make(struct akv *akv, struct akv_owner *owner, enum akv_op op);
/* Makes, prepares and launches a call about a derived object. */
enum err akv_call_start(struct akv *akv, struct akv_owner *owner, enum akv_op op,
	enum kube_resource resource, struct str name);
/* A write may go now, and is counted; false: not before akv->paced_ns. */
bool akv_may_write(struct akv *akv, struct now now);
void akv_call_launch(struct akv *akv, struct akv_call *call);
void akv_call_free(struct akv *akv, struct akv_call *call); /* cancels */
/* The call has ended: acts on the answer; then frees it and wakes its owner, or launches what follows. */
void akv_call_finish(struct akv *akv, struct akv_call *call, struct now now);

/* akv_look.c: one look at an AKVSync, which starts at most one request, or sets its timer. */
void akv_look(struct akv *akv, struct akv_owner *owner, struct now now);
