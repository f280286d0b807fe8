/* tests/world/kube_internal.h - what the files of the Kubernetes model share. Nobody else includes it. */
#pragma once

#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "tests/world/kube.h"
#include "tests/world/kube_json.h"
#include "tests/world/kube_managed.h"

enum { KUBE_MAX_TYPES = 16, KUBE_MAX_HEIGHT = 12, KUBE_NAME_BYTES = 256, KUBE_UID_BYTES = WORLD_GUID_BYTES };

/* --- kube_store.c: objects are kept as text, each revision immutable, old ones until compaction --- */

struct kube_rev {
	struct kube_rev *older; /* of the same object; NULL: compacted or none */
	struct kube_entry *entry;
	int64_t rv;
	int64_t at_ns; /* mono */
	bool deleted;  /* the object's last state, with the deletion's resourceVersion */
	size_t len;
	char json[];
};

struct kube_dep {
	struct list link; /* in kube_owner.deps */
	struct kube_owner *owner;
	struct kube_entry *entry;
	struct kube_dep *next; /* of the entry */
};

struct kube_owner {
	struct map_node node;
	struct list deps;
	char uid[KUBE_UID_BYTES];
};

struct kube_entry {
	struct kube_type *type;
	struct kube_rev *newest;
	struct map_node uid_node; /* in kube_world.live while the object exists */
	bool in_live;
	char uid[KUBE_UID_BYTES];
	struct kube_dep *deps;
	struct heap_node gc;
	char *key; /* "namespace/name" or "name" */
	unsigned height;
	struct kube_entry *next[]; /* skip list */
};

struct kube_log {
	struct kube_rev **items;
	size_t start, len, cap; /* a sliding window over items */
};

/* One served resource. */
struct kube_type {
	const char *group, *version, *plural, *kind; /* CRDs: owned by `crd` */
	bool namespaced;
	bool builtin;
	bool has_status;   /* a status subresource */
	bool has_generation;
	cJSON *crd;        /* NULL for built-in kinds */
	cJSON *schema;     /* OpenAPI */
	cJSON *empty;      /* a new object before anything is set */
	char *api_version; /* "group/version" */
	char *prefix;      /* how the stored text starts */
	struct fset *reset_main, *reset_status;
	struct kube_entry *head[KUBE_MAX_HEIGHT];
	size_t count;      /* live objects */
	struct kube_log log;
	int64_t compacted_rv; /* what is older cannot be listed */
	int64_t watch_floor_rv; /* what is older cannot be watched: the watch cache forgets when it is full, not by age */
};

enum { KUBE_MARKS = 16 };
struct kube_mark {
	int64_t at_ns;
	int64_t rv;
};

struct kube_counter {
	struct map_node node;
	uint64_t requests, writes;
	char key[]; /* "patch secrets" */
};

struct kube_world {
	struct kube_config config;
	char *issuer;
	struct rng rng;
	int64_t rv;
	struct now now; /* of the latest call */
	struct kube_type types[KUBE_MAX_TYPES];
	size_t type_count;
	struct map live;   /* uid -> kube_entry */
	struct map owners; /* uid -> kube_owner */
	struct heap gc;    /* entries that the garbage collector has to look at */
	struct map counters;
	struct list users;
	struct list faults;
	struct list watches;
	struct kube_policy policy; /* members owned; policy.policy NULL: none */
	int64_t cache_lag_ns;
	bool coalesce;
	struct kube_mark marks[KUBE_MARKS]; /* a ring: which revision was current when */
	size_t mark_count;
	int64_t next_mark_ns;
	char *signing_kid;
	void (*on_write)(const struct kube_write *write, void *arg);
	void *on_write_arg;
};

struct kube_type *kube_type_find(struct kube_world *world, struct str group, struct str version, struct str plural);
struct kube_type *kube_type_named(const struct kube_world *world, const char *plural);
struct kube_type *kube_type_of_kind(const struct kube_world *world, const char *api_version, const char *kind);
void kube_types_init(struct kube_world *world);
void kube_types_deinit(struct kube_world *world);

char *kube_key(const struct kube_type *type, const char *namespace, const char *name); /* free with mem_free */
struct kube_entry *kube_entry_find(const struct kube_type *type, const char *key); /* may be deleted */
/* The first entry whose key is not before `key`; entries of deleted objects stay until compaction. */
struct kube_entry *kube_entry_seek(const struct kube_type *type, const char *key);
struct kube_entry *kube_entry_next(const struct kube_entry *entry);
/* The stored revision of a live object, or NULL. */
struct kube_rev *kube_live(const struct kube_type *type, const char *namespace, const char *name);
/* The revision of an entry as of `rv`; NULL when it did not exist (any more). */
struct kube_rev *kube_rev_at(const struct kube_entry *entry, int64_t rv);
cJSON *kube_rev_parse(const struct kube_rev *rev);
struct str kube_rev_str(const struct kube_rev *rev);
/* Stores the object under a new resourceVersion, which is set in it. `deleted`: this is its last state. Links owners and
 * wakes the garbage collector. */
struct kube_rev *kube_store(struct kube_world *world, struct kube_type *type, const char *key, cJSON *object,
			    bool deleted);
void kube_store_deinit(struct kube_world *world);
void kube_compact_before(struct kube_world *world, struct kube_type *type, int64_t rv);
/* The resourceVersion that the watch cache has reached at `now`. */
int64_t kube_cache_rv(const struct kube_world *world, const struct kube_type *type, int64_t now_ns);
/* Index of the first event after `rv` in the log; log.len when there is none. */
size_t kube_log_after(const struct kube_log *log, int64_t rv);

/* --- kube.c: one request --- */

struct kube_user {
	struct list link;
	char *name;
	char *token; /* NULL: none */
	struct list rules;
};

struct kube_call {
	struct kube_world *world;
	struct now now;
	const struct world_request *req;
	struct world_response *out;
	struct kube_type *type;
	char namespace[KUBE_NAME_BYTES];
	char name[KUBE_NAME_BYTES];
	char subresource[32];
	const char *verb;
	char user[KUBE_NAME_BYTES];
	bool superuser;
	bool partial; /* the answer is to be PartialObjectMetadata */
	bool dry_run;
	bool strict;  /* fieldValidation=Strict */
	char manager[129];
	char time[TIME_TEXT_BYTES];
	const char *write_verb; /* for on_write */
};

/* Calls that fail write a Status to call->out and return false. */
bool kube_route(struct kube_call *call);
void kube_call_init(struct kube_call *call, struct kube_world *world, struct now now,
		    const struct world_request *req, struct world_response *out);
/* Reads, routes and authenticates a request. False: answered. */
bool kube_call_begin(struct kube_call *call, struct kube_world *world, struct now now,
		     const struct world_request *req, struct world_response *out);
void kube_dispatch(struct kube_call *call);
/* The stored object as PartialObjectMetadata. */
void kube_append_partial(struct buf *out, const struct kube_rev *rev);
/* Answers with a stored object (as PartialObjectMetadata where asked). */
void kube_answer_rev(struct kube_call *call, int status, const struct kube_rev *rev);
void kube_answer_object(struct kube_call *call, int status, const cJSON *object);
void kube_answer_json(struct kube_call *call, int status, cJSON *json); /* takes json */
void kube_answer_text(struct kube_call *call, int status, const char *content_type, const char *text);
/* {"kind":"PartialObjectMetadata"...} of an object; a new tree. */
cJSON *kube_partial_of(const cJSON *object);
/* Stores, counts and tells on_write. `before` may be NULL. */
struct kube_rev *kube_commit(struct kube_call *call, const char *key, const cJSON *before, cJSON *object,
			     bool deleted);

/* --- kube_errors.c --- */

bool kube_fail(struct kube_call *call, int code, const char *reason, cJSON *details, const char *format, ...)
	__attribute__((format(printf, 5, 6))); /* details taken; NULL: none */
bool kube_fail_not_found(struct kube_call *call, const struct kube_type *type, const char *name);
bool kube_fail_exists(struct kube_call *call, const char *name, bool being_deleted);
bool kube_fail_conflict(struct kube_call *call, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool kube_fail_bad_request(struct kube_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool kube_fail_forbidden(struct kube_call *call, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool kube_fail_expired(struct kube_call *call, const char *message);
bool kube_fail_path(struct kube_call *call); /* 404 of a path that nothing serves */
bool kube_fail_method(struct kube_call *call);
bool kube_fail_media(struct kube_call *call, const char *accepted);
bool kube_fail_code(struct kube_call *call, int code, int64_t retry_after_s); /* faults */
cJSON *kube_details(const char *group, const char *kind, const char *name);
cJSON *kube_status(int code, const char *reason, const char *message, cJSON *details); /* details taken */
char *kube_group_resource(const struct kube_type *type); /* "secretsyncs.secret-sync.x-k8s.io"; mem_free */
char *kube_group_kind(const struct kube_type *type);

struct kube_invalid {
	cJSON *causes;
};
/* Adds a cause ("FieldValueInvalid", "metadata.uid", "Invalid value: ..."). */
void kube_cause(struct kube_invalid *invalid, const char *type, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* True when there is no cause; else answers 422 for an object of `type`. Frees. */
bool kube_invalid_done(struct kube_call *call, struct kube_invalid *invalid, const struct kube_type *type,
		       const char *name);

/* --- reading and writing --- */

void kube_do_get(struct kube_call *call);
void kube_do_list(struct kube_call *call);
void kube_do_create(struct kube_call *call);
void kube_do_update(struct kube_call *call);
void kube_do_patch(struct kube_call *call);
void kube_do_delete(struct kube_call *call);
void kube_do_delete_collection(struct kube_call *call);
void kube_do_token(struct kube_call *call);

/* False and answered: the namespace is not there or ends. */
bool kube_namespace_takes_new(struct kube_call *call);
/* Body as JSON of the call's kind; NULL and answered when it is not. */
cJSON *kube_read_object(struct kube_call *call);
/* The common end of PUT and PATCH: locks, rules, validation, admission, store, answer. `live` borrowed, `object` taken. */
void kube_finish_update(struct kube_call *call, const struct kube_rev *rev, const cJSON *live, cJSON *object);
/* The common end of POST and of an apply that creates. `object` taken. */
void kube_finish_create(struct kube_call *call, cJSON *object);
struct managed_write kube_managed_write(struct kube_call *call, bool force);
/* Removes an object whose finalizers are gone; `live` is what was stored. */
struct kube_rev *kube_remove(struct kube_call *call, const struct kube_rev *rev, const cJSON *live);
/* Starts the deletion of a live object; `policy` "Background", "Foreground" or "Orphan". Returns the new revision. */
struct kube_rev *kube_delete_object(struct kube_call *call, struct kube_rev *rev, const char *policy, bool *out_gone);

bool kube_patch_json(struct kube_call *call, cJSON **object, const cJSON *patch); /* RFC 6902; *object may be replaced */
void kube_patch_merge(cJSON *object, const cJSON *patch);                        /* RFC 7386 */

/* --- kube_meta.c, kube_secret.c, kube_crd.c: what an object has to look like --- */

/* Brings a decoded object into the form in which it is stored: drops what the schema does not know, empty maps of built-in
 * kinds, applies defaults. False and answered when a value has the wrong type. */
bool kube_normalize(struct kube_call *call, cJSON *object);
/* The rules for a new (old NULL) or a changed object. */
void kube_validate(const struct kube_type *type, const cJSON *object, const cJSON *old, struct kube_invalid *invalid);
bool kube_secret_normalize(struct kube_call *call, cJSON *object);
void kube_secret_validate(const cJSON *object, struct kube_invalid *invalid);
void kube_secret_validate_change(const cJSON *object, const cJSON *old, struct kube_invalid *invalid);
/* Drops what the schema does not name; the paths of what went are added to `unknown`. */
void kube_crd_prune(cJSON *value, const cJSON *schema, cJSON *unknown);
void kube_crd_default(cJSON *value, const cJSON *schema);
void kube_crd_validate_object(const cJSON *object, const cJSON *schema, struct kube_invalid *invalid);

/* --- kube_rbac.c, kube_token.c --- */

bool kube_authenticate(struct kube_call *call);
bool kube_authorize(struct kube_call *call);
bool kube_may(struct kube_call *call, const char *verb, const struct kube_type *type, const char *subresource,
	      const char *namespace, const char *name);
/* Validating admission of a create or an update. */
bool kube_admit(struct kube_call *call, const cJSON *old, const cJSON *object);
void kube_users_deinit(struct kube_world *world);
/* The service account of a token that this world issued and that is valid for its own API. */
bool kube_token_user(struct kube_world *world, struct now now, struct str token, char out_user[KUBE_NAME_BYTES]);
void kube_do_jwks(struct kube_call *call);
void kube_do_openid(struct kube_call *call);

/* --- kube_base64url.c --- */

void kube_base64url_encode(struct str bytes, struct buf *out);
bool kube_base64url_decode(struct str text, struct buf *out);

/* --- kube_gc.c --- */

void kube_gc_link(struct kube_world *world, struct kube_entry *entry, const cJSON *object);
void kube_gc_unlink(struct kube_world *world, struct kube_entry *entry);
void kube_gc_owner_gone(struct kube_world *world, const char *uid);
void kube_gc_run(struct kube_world *world, struct now now);
/* The owner whose state has to be looked at again, because a dependant went. */
void kube_gc_dependant_gone(struct kube_world *world, struct kube_entry *entry);

/* --- kube_faults.c --- */

struct kube_planned {
	struct list link;
	struct kube_fault fault; /* strings owned */
	uint64_t seen, hit;
};
/* The fault that hits this call, or NULL. Counts it as happened. */
const struct kube_fault *kube_fault_take(struct kube_call *call);
/* True when the fault answers in place of the model. */
bool kube_fault_before(struct kube_call *call, const struct kube_fault *fault);
void kube_fault_after(struct kube_call *call, const struct kube_fault *fault);
struct kube_counter *kube_counter(struct kube_world *world, const char *verb, const struct kube_call *call);
void kube_counters_deinit(struct kube_world *world);

/* --- kube_options.c --- */

/* False and answered: the options of a LIST or WATCH do not go together, or are not known here. */
bool kube_check_options(struct kube_call *call, bool watch);

/* --- kube_watch.c --- */

/* When the watch at this place in kube_world.watches has something to do. */
int64_t kube_watch_next_of(const struct list *node);

/* --- kube_select.c: label and field selectors --- */

struct kube_selector {
	char *labels; /* as sent; NULL: all */
	char *fields;
};
bool kube_selector_init(struct kube_call *call, struct kube_selector *out);
void kube_selector_deinit(struct kube_selector *selector);
bool kube_selector_matches(const struct kube_selector *selector, const struct kube_rev *rev);
