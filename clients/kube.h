/* clients/kube.h - the requests that kvsync sends to a Kubernetes API server, and how their answers read.
 *
 * A kube_call is one request with everything it borrows: prepare it with one of the functions below, start `call.http`,
 * read the answer with the matching kube_read_* function, deinit it. Preparing never touches the network.
 * Field manager of every write: KUBE_FIELD_MANAGER, but for what is derived from an AKVSync: KUBE_AKV_MANAGER.
 *
 * Answers about Secrets are asked for as PartialObjectMetadata, but still carry annotations, which can hold values
 * (kubectl.kubernetes.io/last-applied-configuration): they are received in secret memory, and only what struct kube_meta
 * names is copied out of it.
 */
#pragma once

#include <stdatomic.h>

#include "clients/http.h"

#define KUBE_FIELD_MANAGER "secrets-store-sync-controller"
#define KUBE_MANAGED_KEY \
	"secrets-store.sync.x-k8s.io" /* label and annotation of a managed Secret; the value is empty */
#define KUBE_SYNC_API "secret-sync.x-k8s.io/v1alpha1"
#define KUBE_CLASS_API "secrets-store.csi.x-k8s.io/v1"
/* Field manager of what is derived from an AKVSync. */
#define KUBE_AKV_MANAGER "kvsync-akvsync"

/* The pod's own API token. Published by main, borrowed by anybody in a short read section. */
struct kube_token {
	_Atomic unsigned ref; /* atomic: acq_rel; freed by whoever drops the last one */
	struct secret_arena *arena; /* const */
	struct secret value; /* const */
};

/*               | any thread | main |
 *   call_*      |     x      |  x   |
 *   token_publish            |  x   |  */
struct kube {
	char *server; /* const: "https://host:port" without a slash at the end */
	struct http_site site; /* const: ordinary requests */
	struct http_site
		watch_site; /* const: lists and watches, on connections of their own; HTTP/1.1, where libcurl keeps no frames behind their delivery, and a server waits that a client does not read */
	struct http_site secret_site; /* const: those of Secrets, likewise */
	struct kube_token *token; /* rcu: writer main; NULL: client certificate only */
};

/* `server` and what `site` points to are kept. */
enum err kube_init(struct kube *kube, const char *server, const struct http_site *site);
void kube_deinit(struct kube *kube); /* main; no call may be prepared any more */

/* Copies `value` into a new token, publishes it, waits for readers and drops the old one. Main only. */
enum err kube_token_publish(struct kube *kube, const struct secret *value);

struct kube_call {
	struct http_req http;
	struct kube_token *_token;
	struct buf _body;
	struct secret _secret_body;
};

void kube_call_deinit(struct kube_call *call); /* idempotent; must not be active */

/* KUBE_SECRETS: the metadata of the Secrets that carry our label, and only LIST and WATCH of it. The caller has to set
 * http.response_arena: annotations may hold values. */
enum kube_resource { KUBE_CLASSES, KUBE_SYNCS, KUBE_AKVS, KUBE_SECRETS };

/* "SecretProviderClass", "SecretSync", "AKVSync", "Secret". */
const char *kube_kind(enum kube_resource resource);

/* LIST of a resource in all namespaces: at most `limit` items, from `continue_token` on (empty: from the beginning). */
enum err kube_list(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	unsigned limit, struct str continue_token);

/* The same in one namespace. */
enum err kube_list_in(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str ns, unsigned limit, struct str continue_token);

/* Has the server got as far as `resource_version`? A LIST of one item that is at least as new. Where a backup was restored it is
 * answered 504 with the cause KUBE_TOO_NEW. */
#define KUBE_TOO_NEW "ResourceVersionTooLarge"
enum err kube_list_since(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str resource_version);

/* WATCH from `resource_version` with bookmarks; the server ends it after `timeout_s`. Set http.on_data. */
enum err kube_watch(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str resource_version, unsigned timeout_s);

/* A LIST as the beginning of a WATCH: one ADDED for each object that is there, then a bookmark with this annotation, then what
 * happens from then on. Events of changes may come among the first. A server that cannot, older than Kubernetes 1.34 mostly,
 * answers 422; source: Kubernetes API concepts, "Streaming lists". Set http.on_data. */
#define KUBE_INITIAL_END "k8s.io/initial-events-end"
enum err kube_watch_list(
	struct kube_call *call, struct kube *kube, enum kube_resource resource, unsigned timeout_s);

/* One Lease. The answer is small; read it as JSON. */
enum err kube_lease_get(struct kube_call *call, struct kube *kube, struct str ns, struct str name);

/* What a Secret is to look like. All borrowed for the call that takes it. */
struct kube_pair {
	struct str key, value;
};
struct kube_data {
	struct str key;
	const struct secret *value; /* raw bytes; base64 is made on the way */
};
struct kube_secret {
	struct str ns, name;
	struct str type;
	struct str owner_name, owner_uid;
	const struct kube_pair *labels;
	const struct kube_pair *annotations;
	const struct kube_data *data;
	unsigned label_count, annotation_count, data_count;
};

/* POST of a Secret that is believed to be absent. */
enum err kube_secret_create(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	const struct kube_secret *secret);

/* The probe: an empty merge patch. It needs the right `patch` only, changes nothing, and is a 404 when the Secret is gone. */
enum err kube_secret_probe(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str name);

/* What is kept of the metadata of a Secret. */
enum { KUBE_UID_BYTES = 64, KUBE_VERSION_BYTES = 128 };
struct kube_meta {
	char uid[KUBE_UID_BYTES];
	char resource_version[KUBE_VERSION_BYTES];
	bool has_label; /* the label is there, with the empty value */
	bool has_annotation; /* the annotation is there, with the empty value */
	bool annotation_changed; /* the annotation is there, with another value */
	bool deleting; /* a deletionTimestamp is set */
	unsigned owner_count;
	char owner_uid[KUBE_UID_BYTES]; /* of the first owner */
	bool owner_is_sync; /* the first owner is a SecretSync */
	char created[TIME_TEXT_BYTES]; /* creationTimestamp as sent */
	struct buf managed_fields; /* the JSON array as sent; names of fields, never values */
	bool must_settle; /* managed_fields hold an Update entry of ours, or one of a controller before kvsync */
};
void kube_meta_deinit(struct kube_meta *meta);

/* Reads a 2xx answer about a Secret. ERR_PARSE when it is not understood. */
enum err kube_read_meta(
	const struct kube_call *call, struct kube_meta *out_meta, struct fault *fault);

/* The same of one Secret of a list or a watch, given as JSON. */
enum err kube_read_secret(struct str object, struct kube_meta *out_meta, struct fault *fault);
/* Its namespace and name, which stay where they are. ERR_INVALID when they are missing. */
enum err kube_read_secret_name(struct str object, struct str *out_ns, struct str *out_name);

/* Merges the Update entries of KUBE_FIELD_MANAGER, and every entry of a controller before kvsync (kube_fields.h), into our
 * Apply entry: a JSON patch of managedFields that tests the resourceVersion. Without that, no apply ever prunes a key that
 * came with a POST, a merge patch or a predecessor, and the predecessor's applies would conflict with us. */
enum err kube_secret_settle(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str name, const struct kube_meta *meta);

/* The complete write: a forced server-side apply that is held to the uid and resourceVersion of a probe. */
enum err kube_secret_apply(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	const struct kube_secret *secret, const struct kube_meta *meta);

/* The partial write: a merge patch of the keys, labels and annotations in `secret`, held to the uid and resourceVersion of a
 * probe. What it does not name stays; type and owner are not touched. It leaves an Update entry: see kube_secret_settle. */
enum err kube_secret_patch(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	const struct kube_secret *secret, const struct kube_meta *meta);

/* Replaces the status of a SecretSync; the first operation tests the uid, which the server does not do by itself. */
enum err kube_status_patch(struct kube_call *call, struct kube *kube, struct str ns,
	struct str name, struct str uid, struct str status_json);

/* Custom resources that kvsync itself writes: SecretSyncs and SecretProviderClasses that are derived from an AKVSync. The
 * answers carry the whole object, in response: there is no value in these kinds. */
struct kube_custom {
	enum kube_resource resource; /* KUBE_CLASSES or KUBE_SYNCS */
	struct str ns, name;
	struct str owner_name, owner_uid; /* the AKVSync; it becomes the controller */
	struct str spec_json;
};

/* POST: fails with ERR_EXISTS where the name is taken, so that nothing is ever adopted. */
enum err kube_custom_create(
	struct kube_call *call, struct kube *kube, const struct kube_custom *custom);
/* Forced server-side apply, held to uid and resourceVersion: an absent or changed object is ERR_CONFLICT. What others have
 * put into lists and maps beside ours stays. */
enum err kube_custom_apply(struct kube_call *call, struct kube *kube,
	const struct kube_custom *custom, struct str uid, struct str resource_version);
/* Replaces the whole spec by a JSON patch that tests uid and resourceVersion: the other half of kube_custom_apply, for what
 * an apply leaves. */
enum err kube_custom_replace(struct kube_call *call, struct kube *kube,
	const struct kube_custom *custom, struct str uid, struct str resource_version);
enum err kube_custom_get(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str ns, struct str name);
/* DELETE with the uid as its precondition: another uid is ERR_CONFLICT. */
enum err kube_custom_delete(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str ns, struct str name, struct str uid);
/* kube_status_patch for an AKVSync. */
enum err kube_akv_status_patch(struct kube_call *call, struct kube *kube, struct str ns,
	struct str name, struct str uid, struct str status_json);

/* An Event about a SecretSync, in its namespace. */
enum { KUBE_EVENT_MESSAGE_BYTES = 1024 };
struct kube_event {
	struct str name; /* of the Event itself */
	struct str ns, sync_name, sync_uid;
	struct str reason;
	struct str message; /* cut at KUBE_EVENT_MESSAGE_BYTES */
	bool warning;
	int64_t at_s; /* unix seconds */
};
/* POST of a core/v1 Event. Without an eventTime the server holds it to nothing but its namespace. */
enum err kube_event_create(
	struct kube_call *call, struct kube *kube, const struct kube_event *event);

/* A token of a ServiceAccount for one audience, 600 s. The answer is received in secret memory. */
enum err kube_token_request(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str service_account, struct str audience);
enum err kube_read_token(
	const struct kube_call *call, struct secret *out_token, struct fault *fault);

/* GET of one Secret that a user has let us read, whole, into secret memory. */
enum err kube_secret_get(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str name);
/* The value of a key of its data, whatever the key's case. ERR_NOT_FOUND when it is not there or empty, ERR_INVALID when two
 * keys differ in case alone, ERR_PARSE, or the error of the secret; without a text. */
enum err kube_read_data(const struct kube_call *call, struct str key, struct secret *out_value);

/* What an ended request means: OK for 2xx; else the error, with reason and message of the Status object in the fault
 * (never a value: a message that repeats one of the Secret that was sent is left out). `what` names the operation for people
 * ("create Secret ns/name"). A refusal of any status that names a ValidatingAdmissionPolicy is ERR_POLICY (a policy without
 * a reason of its own answers 422); 409 AlreadyExists is ERR_EXISTS, other 409 ERR_CONFLICT; 410 ERR_GONE; a failed JSON
 * patch test (422 with empty details) and a wrong uid (422 about metadata.uid) are ERR_CONFLICT; other 422 are
 * ERR_INVALID. The text of a 400 echoes the body that was sent: it is never kept. */
bool kube_succeeded(const struct kube_call
		*call); /* kube_result() would be OK: nobody needs to name the operation */
enum err kube_result(const struct kube_call *call, struct fault *fault, const char *what);
