/* engine/plan_door.h - clients/http.h for `kvsync plan`: what reads goes out, what would write does not.
 *
 * Requests to vaults, to Entra and to the metadata service go to the client below, and so do GETs and TokenRequests to the API
 * server. Every other request to the API server ends here: writes of a Secret are answered as the server would, from the
 * Secret as one GET shows it, and kept in its record; a status or an Event is taken and forgotten; what is not known is refused.
 * So nothing can be written, whatever a reconcile does. One owner: the thread of the loop.
 */
#pragma once

#include "clients/kube.h"
#include "engine/plan_record.h"

struct plan_door_options {
	struct http *below; /* taken, also on failure */
	struct kube *kube; /* kept */
	struct secret_arena *arena; /* kept: Secrets as they are, and as they would be */
	/* The record of a Secret; NULL: none of the plan's. */
	struct plan_record *(*find)(void *arg, struct str ns, struct str name);
	void *arg;
};

/* NULL: out of memory. */
struct http *plan_door_create(const struct plan_door_options *options);
