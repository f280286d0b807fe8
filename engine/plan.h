/* engine/plan.h - what a running kvsync would do with the SecretSyncs of some manifests, and nothing of it done.
 *
 * The SecretSyncs and classes of the files, as they would be in the cluster once applied, go through the store and a worker as
 * in a running engine; the worker's HTTP client is plan_door, which lets nothing through that writes. So the plan is made by
 * the steps that would do it. Main thread only; the worker runs on it, too.
 */
#pragma once

#include "clients/http.h"
#include "engine/check.h"
#include "engine/config.h"
#include "engine/plan_record.h"
#include "workers/status.h"

enum plan_action {
	PLAN_UNCHANGED,
	PLAN_CREATE,
	PLAN_UPDATE,
	PLAN_REMOVE,
	PLAN_UNKNOWN, /* the Secret may not be read */
	PLAN_REFUSED, /* the Secret is somebody else's, or cannot be changed */
	PLAN_FAILED,
	PLAN_ACTIONS,
};

const char *plan_action_name(enum plan_action action); /* static storage */

/* HMAC-SHA-256 of a value under the key of this plan: equal values look alike, and nobody can try values. */
struct plan_digest {
	bool known;
	unsigned char bytes[SHA256_BYTES];
};

/* A key of the Secret; labels and annotations where they change. */
struct plan_row {
	enum kube_field_set set;
	char *name; /* owned */
	unsigned item; /* of the spec; PLAN_NO_ITEM: none fills it */
	enum plan_action action;
	char version[VAULT_VERSION_BYTES]; /* whose value `after` is; "": none, or not known */
	struct plan_digest before, after;
	char *message; /* owned; NULL: none */
};
enum { PLAN_NO_ITEM = UINT32_MAX };

struct plan_target {
	struct plan_record record;
	struct str ns, name; /* in record.key */
	const struct check_object *from; /* NULL: it stands in the cluster alone */
	cJSON *json; /* owned; as it would be in the cluster */
	struct status recorded; /* what the cluster has of it */
	bool ended;
	struct plan_target *next_ended; /* in plan.ended */

	enum plan_action action;
	enum reason reason; /* of the condition Ready that would be written; REASON_NONE: none */
	char *message; /* owned; NULL: none */
	struct status status; /* that would be written */
	char (*read)
		[VAULT_VERSION_BYTES]; /* owned; by item of the spec, what was read for the write; NULL: nothing was */
	struct spec *spec; /* references; NULL: not planned */
	struct spc *spc;
	struct plan_row *rows; /* owned */
	unsigned row_count;
};

/* A class of the cluster, or how it would be there. */
struct plan_class {
	struct map_node node;
	char *key; /* owned; "namespace/name" */
	bool in_files;
	cJSON *json; /* owned; NULL: there is none */
	char *fault; /* owned; it could not be asked for; NULL: none */
};

struct plan_options {
	const struct check_result *checked;
	const struct config *config; /* settings, and how vaults are reached */
	struct spc_defaults defaults;
	const char *kubeconfig; /* NULL: the pod's service account */
	const char *context;
};

struct plan {
	const struct plan_options *options;
	struct plan_target *
		*targets; /* owned, each and all; in the order of the files, then by name */
	unsigned count, pending;
	struct hash_key hash_key; /* of tables */
	struct map by_key;
	struct plan_class **classes; /* owned, each and all */
	unsigned class_count;
	struct map class_by_key;
	char key[SHA256_BYTES]; /* of digests */
	struct secret_arena *arena;
	struct kube *kube;
	struct http_site azure, imds;
	struct http *below; /* the worker's; what is asked before it runs goes there directly */
	struct loop *loop; /* the worker's */
	bool answered; /* what was asked directly has ended */
	struct pool *pool;
	struct store *store;
	struct plan_target *ended; /* their reconcile has ended, and the store still has them */
	enum err failed; /* of a target that has ended */
	unsigned totals[PLAN_ACTIONS]; /* rows by action; of a SecretSync without rows itself */
};

/* Makes the plan. What concerns one SecretSync is told of it; fails when nothing can be planned at all. */
enum err plan_make(const struct plan_options *options, struct plan *out_plan, struct fault *fault);
void plan_deinit(struct plan *plan); /* idempotent */

bool plan_has_failures(const struct plan *plan);
/* True where something would, or may, change. */
bool plan_has_changes(const struct plan *plan);

/* plan_report.c. Names, versions and digests; never a value. */
void plan_write_table(const struct plan *plan, struct buf *out_text);
enum err plan_write_json(const struct plan *plan, cJSON *document);
