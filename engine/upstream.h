/* engine/upstream.h - does the upstream controller run in this cluster? Two writers of the same Secrets and status would undo
 * each other's work, so kvsync writes nothing while upstream's Lease is being renewed.
 *
 * The Leases that upstream's releases and the product use are read by name, one after another, every few seconds. One is held
 * when its renewTime moves; in the first round it is taken for held, unless it was renewed long ago. Main thread only.
 */
#pragma once

#include "clients/kube.h"

enum { UPSTREAM_LEASES = 6, UPSTREAM_TEXT_BYTES = 64 };

struct upstream_lease {
	char renewed
		[UPSTREAM_TEXT_BYTES]; /* renewTime as sent; "": no such Lease, or nobody holds it */
	int64_t moved_ns; /* mono_ns when it was seen to move */
	int64_t duration_ns;
	bool held;
};

struct upstream {
	struct kube *_kube;
	struct http *_http;
	struct upstream_lease leases[UPSTREAM_LEASES];
	struct kube_call _call;
	bool _has_call;
	bool _answered; /* the call has ended; it is read in the next turn */
	unsigned _at; /* the Lease that is read, or is next */
	bool _known; /* every Lease was read once */
	bool _told; /* that it cannot be seen */
	bool _held;
	int64_t _next_ns;
};

/* All pointers are kept. Nothing is requested before the first turn. */
void upstream_init(struct upstream *upstream, struct kube *kube, struct http *http);
void upstream_deinit(struct upstream *upstream); /* ends the request; idempotent */

/* What is due. */
void upstream_turn(struct upstream *upstream, struct now now);

/* The next deadline (mono_ns; NEVER_NS: a callback will come). */
int64_t upstream_deadline_ns(const struct upstream *upstream, struct now now);

/* True while a Lease is being renewed, and until that is known. */
bool upstream_holds(const struct upstream *upstream);
