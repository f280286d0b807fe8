/* tests/world/kube.h - the Kubernetes API server as a function from request to response over in-memory state.
 *
 * As far as kvsync uses it: namespaces, secrets, serviceaccounts and their tokens, events, leases, and custom resources
 * whose CRDs are loaded at start. Metadata, field management, optimistic locking, garbage collection, watches, RBAC and
 * errors follow a kube-apiserver 1.36: tests/k8s/requests.py asks both and compares.
 *
 * Time comes in with each call (mono_ns for delays, wall_ns for time stamps), chance from a seed. One thread, no locking.
 * The simulation makes it unreliable with the functions under "Faults".
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "tests/world/world.h"

struct evp_pkey_st;

struct kube_config {
	uint64_t seed;
	int64_t gc_delay_ns;        /* from the owner's end to the dependant's; 0: in the next kube_advance */
	int64_t history_ns;         /* how long old revisions can be watched and listed; 0: 5 minutes */
	const char *issuer;         /* of service account tokens; NULL: https://kubernetes.default.svc */
	struct evp_pkey_st *signing_key; /* RSA, borrowed for the world's life; NULL: tokens carry a keyed hash instead
					  * of a signature and there is no JWKS (cheap, for the simulation) */
	bool owner_permission_enforcement; /* admission plug-in OwnerReferencesPermissionEnforcement */
	bool without_watch_list;    /* no streaming lists, as without the feature gate WatchList */
	bool anonymous_denied;      /* requests without credentials get 401 and not 403 */
};

/* NULL never: a world that cannot be made ends the process. The namespaces default and kube-system exist from the start. */
struct kube_world *kube_world_create(const struct kube_config *config, struct now now);
void kube_world_destroy(struct kube_world *world); /* all watches must be closed; NULL is fine */

/* Serves the custom resources of all CustomResourceDefinitions in a text of YAML documents (others are passed over). A
 * second load of the same CRD replaces its schema; objects stay as they are. ERR_INVALID when there is none in it. */
enum err kube_crd_load(struct kube_world *world, struct str yaml);

/* kube_handle() stands in world.h. A GET with `watch` that reaches it is answered with the error that kube_watch_open()
 * would give, or with an empty 200. */
bool kube_request_is_watch(const struct world_request *req);

/* Runs controllers (garbage collection, namespaces, default service accounts) and compaction up to `now`. Returns the next
 * mono_ns at which one of them has something to do; NEVER_NS: only a request can change anything. */
int64_t kube_run_controllers(struct kube_world *world, struct now now);
/* The same, or a watch, whether its client takes what it sends or not. */
int64_t kube_advance(struct kube_world *world, struct now now);

/* Watches. */
struct kube_watch;
enum kube_watch_state {
	KUBE_WATCH_OPEN,
	KUBE_WATCH_ENDED,  /* over in good order: timeout, or an ERROR event was the last line */
	KUBE_WATCH_BROKEN, /* the connection is to be cut */
};
/* NULL: `out` holds the error. Else `out` holds status and headers, and the watch is the caller's until kube_watch_close. */
struct kube_watch *kube_watch_open(struct kube_world *world, struct now now, const struct world_request *req,
				   struct world_response *out);
/* Appends the event lines that are due (about 1 MiB at most; more stay for the next poll). */
enum kube_watch_state kube_watch_poll(struct kube_watch *watch, struct now now, struct buf *out_lines);
/* When a poll has something to say even if nobody writes meanwhile (mono_ns). */
int64_t kube_watch_next_ns(const struct kube_watch *watch);
void kube_watch_close(struct kube_watch *watch); /* NULL is fine */

/* Users. A bearer token or the CN of a client certificate names the user; group system:masters (O of a certificate) may do
 * everything, all others what kube_allow() said. Service account tokens that this world issued name their account. */
void kube_user_token(struct kube_world *world, const char *user, const char *token);
/* `verbs` and `resources` are comma lists ("get,list", "secretsyncs,secretsyncs/status"), * stands for all; `namespace` and
 * `name` NULL: all. Group "" is core. */
void kube_allow(struct kube_world *world, const char *user, const char *verbs, const char *group,
		const char *resources, const char *namespace, const char *name);
void kube_disallow_all(struct kube_world *world, const char *user); /* forgets the user's rules */

/* A ValidatingAdmissionPolicy that denies creates and updates of `resource` whose user matches; NULL user: anybody. */
struct kube_policy {
	const char *policy, *binding;
	const char *message;
	const char *reason; /* "Forbidden" (403); NULL: Invalid (422), which is Kubernetes' default */
	const char *resource;
	const char *user;
};
void kube_policy_set(struct kube_world *world, const struct kube_policy *policy); /* copied; NULL: none */

/* Faults. */
enum kube_fault_kind {
	KUBE_FAULT_STATUS,         /* answered with `status` (409, 429, 500, 503...) and not done */
	KUBE_FAULT_STATUS_DONE,    /* done, and answered with `status` (504: unknown outcome) */
	KUBE_FAULT_RESET_BEFORE,   /* not done, connection dies */
	KUBE_FAULT_RESET_AFTER,    /* done, no answer */
	KUBE_FAULT_STALL,          /* not done, no answer ever */
	KUBE_FAULT_STALL_DONE,     /* done, no answer ever */
	KUBE_FAULT_TRUNCATE,       /* done, half of the answer */
	KUBE_FAULT_SLOW,           /* done now, answered after delay_ns */
	KUBE_FAULT_EXPIRED,        /* LIST and WATCH: 410 */
	KUBE_FAULT_GOAWAY,         /* done, answered, connection told to end */
};
struct kube_fault {
	enum kube_fault_kind kind;
	const char *verb;      /* "patch"; NULL: all */
	const char *resource;  /* "secrets", "secretsyncs/status"; NULL: all */
	const char *name;      /* NULL: all */
	unsigned skip;         /* so many matching requests pass first */
	unsigned count;        /* then so many are hit; 0: for ever */
	int status;
	int64_t retry_after_s; /* header Retry-After; 0: none */
	int64_t delay_ns;
};
void kube_fault_add(struct kube_world *world, const struct kube_fault *fault); /* copied */
void kube_faults_clear(struct kube_world *world);
/* All faults of the kind above that are still to come, so that a test can see that its fault happened. */
size_t kube_faults_left(const struct kube_world *world);

/* The watch cache is so far behind: events come late, resourceVersion=0 lists are old. 0: not at all. */
void kube_set_cache_lag(struct kube_world *world, int64_t lag_ns);
/* Of several changes of an object that are due in one poll only the last is sent. */
void kube_set_coalesce(struct kube_world *world, bool coalesce);
/* Cuts all watches of a resource ("secretsyncs"); NULL: of all. */
void kube_break_watches(struct kube_world *world, const char *resource);
/* Forgets all history: older watches and continue tokens get 410. */
void kube_compact(struct kube_world *world);
/* The rest of a cluster writes: resourceVersion counts on by so many, and there is nothing to tell to who watches here. */
void kube_write_elsewhere(struct kube_world *world, int64_t writes);
/* The whole state, as a backup has it; restoring lets resourceVersion go back and cuts all watches. */
struct kube_snapshot;
struct kube_snapshot *kube_snapshot_take(struct kube_world *world);
void kube_snapshot_restore(struct kube_world *world, const struct kube_snapshot *snapshot, struct now now);
void kube_snapshot_destroy(struct kube_snapshot *snapshot); /* NULL is fine */

/* What invariants look at. Called after each write that changed something, the model's own controllers included. All parts
 * are borrowed for the call. */
struct kube_write {
	const char *verb;        /* create, update, patch, apply, delete */
	const char *resource, *subresource; /* "secrets", "" */
	const char *namespace, *name;
	const char *user;
	const char *manager;
	const cJSON *before;     /* NULL: created */
	const cJSON *after;      /* NULL: gone */
	struct now now;
};
void kube_on_write(struct kube_world *world, void (*hook)(const struct kube_write *write, void *arg), void *arg);
/* Requests that were handled so far. `resource` "secrets" or "secretsyncs/status"; NULL: any; `verb` NULL: any ("apply" is
 * counted as "patch" by Kubernetes, too). */
uint64_t kube_count(const struct kube_world *world, const char *verb, const char *resource);
/* Of those, the ones that changed what is stored. */
uint64_t kube_count_writes(const struct kube_world *world, const char *resource);
size_t kube_object_count(const struct kube_world *world, const char *resource);
int64_t kube_resource_version(const struct kube_world *world);
size_t kube_watch_count(const struct kube_world *world);

/* Direct access for tests, past authentication and faults. `user` NULL: an administrator. `content_type` NULL: JSON. The
 * answer's body goes to out_body (may be NULL). Returns the status. */
int kube_request(struct kube_world *world, struct now now, const char *user, const char *method, const char *path,
		 const char *content_type, struct str body, struct buf *out_body);
/* A copy of the stored object, or NULL. Caller frees with cJSON_Delete. `namespace` NULL for cluster-wide kinds. */
cJSON *kube_get(const struct kube_world *world, const char *resource, const char *namespace, const char *name);
/* Calls visit for each stored object of a resource in key order. */
void kube_each(const struct kube_world *world, const char *resource,
	       void (*visit)(const cJSON *object, void *arg), void *arg);
