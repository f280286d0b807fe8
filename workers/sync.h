/* workers/sync.h - one reconcile: named steps over an explicit state.
 *
 * Each step is a function that does its part and names the next one. STEP_PARKED says that a call is under way and that its
 * on_done will go on. Any step may end in sync_fail(), the one place that decides condition, retry and log.
 *
 *   BORROW -> TOKEN -> FETCH -> COMPARE -+-> VALUES -> CONVERT -> CREATE or PROBE -+-> SETTLE -> APPLY -+-> STATUS -> EVENT -> END
 *                                        |                                         +-> PATCH (partial) -+
 *                                        +-- unchanged (PROBE where due, SETTLE) -----------------------^
 *
 * An item fails when the vault does not yield it, or when its value cannot be converted. Where some items fail and others do
 * not, the good ones are written by a merge patch, which leaves the others as they are; the next complete write is the forced apply again.
 *
 * One owner: the worker. A reconcile holds references to its spec, class and identity, never an RCU section.
 */
#pragma once

#include "workers/convert.h"
#include "workers/worker.h"

struct sync;

enum { SETTLE_TRIES = 8 };

struct step {
	const char *name;
	const struct step *(*run)(struct sync *sync);
};

extern const struct step STEP_PARKED, STEP_BORROW, STEP_TOKEN, STEP_FETCH, STEP_COMPARE,
	STEP_VALUES, STEP_CONVERT, STEP_CREATE, STEP_PROBE, STEP_SETTLE, STEP_APPLY, STEP_PATCH,
	STEP_STATUS, STEP_END;

/* One version of an object that the Secret needs. */
struct sync_value {
	unsigned index; /* of the history; 0 for a single version */
	bool needed; /* a data item names it */
	bool known; /* `row` is what the vault says; not known after FETCH: the items that need it have failed */
	bool fetched;
	struct vault_row row; /* what a list row shows, with the version id */
	struct flight *flight; /* that brought the value; counted as its user */
	const struct secret *value; /* in it */
	enum vault_form form; /* of value */
	struct secret
		whole; /* value in the object's format and encoding; empty where that is value itself */
	bool has_whole;
};

/* The bytes of one data item. */
struct sync_output {
	const struct secret *bytes; /* the value, its whole form, or part */
	struct secret part;
	struct fault *fault; /* owned; not NULL: the value cannot be converted */
};

/* One object of the class that the Secret needs, and its way through the vault: a GET, or a version list and GETs. */
struct sync_read {
	struct sync *sync;
	const struct spc_object *object; /* in sync->spc */
	struct flight *flight; /* under way; NULL: none is */
	struct flight_waiter waiter;
	struct vault_rows rows; /* history only */
	struct buf next_link;
	unsigned pages;
	bool asking_current; /* history only: two versions share the newest second, a GET tells which is the current one */
	char current[VAULT_VERSION_BYTES];
	unsigned throttled; /* answers 429 in a row */
	struct sync_value *values;
	unsigned value_count;
	unsigned next_value;
	bool done; /* of the phase: FETCH (what a list row shows), or VALUES */
	struct fault
		fault; /* err not OK: the read failed, and every item that still waits for it */
	struct fault
		missing; /* history only, err not OK: older versions that are needed are not there */
};

/* Whose fault a failure is; with "has the Secret been written before" this gives the reason. */
enum blame {
	BLAME_PROVIDER, /* vault, Entra, the way to them */
	BLAME_INPUT, /* the SecretSync */
	BLAME_CLASS, /* the SecretProviderClass */
	BLAME_LABEL, /* the Secret is not ours */
	BLAME_ANNOTATION, /* the Secret's annotation was taken away */
	BLAME_WRITE, /* the API server refused the Secret */
	BLAME_POLICY, /* an admission policy refused it */
	BLAME_INTERNAL,
};

struct sync {
	struct worker *worker;
	struct object *object;
	struct list link; /* in worker->syncs */
	enum object_class class; /* why it began */
	struct spec *spec; /* a reference; NULL: the SecretSync is gone */
	struct spc *spc; /* a reference; NULL: no such class */
	const struct step *step;
	bool running; /* inside sync_run: a nested wake-up only notes that it happened */
	bool woken;
	unsigned counted; /* requests, in the shares of its class and identity */
	unsigned paid; /* the same by the pace of its SecretProviderClass, should there be one */
	unsigned
		asked; /* requests to the vault that this reconcile made, for itself and for who shares them */

	struct identity *identity;
	struct identity_waiter waiter;
	uint64_t token_serial; /* of the token that the reads carry */
	bool token_renewed; /* a refused token has been dropped once */

	struct sync_read *reads;
	unsigned read_count;
	bool fetching_values; /* the reads are in their second phase */
	bool looking; /* nothing is to be written, as far as is known: the probe is to tell */
	bool may_look; /* a probe is counted for it */
	bool told; /* a watch has told of a change: the look has to be made */
	bool took_word; /* a probe has taken what a watch may have told (secret_seen.h) */
	struct sync_output *outputs; /* one per data item; NULL before CONVERT */
	bool partial; /* some items have failed and others have not: those are written alone */
	struct fault
		item_fault; /* err not OK: of the failed items, the one that decides about the retry */
	/* Change detection by listing, see scan.h. */
	bool listed; /* FETCH was answered by the rows of the last walk */
	bool well; /* as far as was known when it began, the Secret is what is asked for */
	bool repairing; /* the Secret was changed or deleted: it is written though the vault did not change */
	bool resting; /* nothing was looked at: all is well as far as is known, and what will tell more is on its way */
	bool has_read; /* a GET was answered */
	bool unsettled; /* what was read is as young as the read: a successor of the same second would look alike */
	bool lags; /* a walk has told of a younger version than the one that was read */
	int64_t read_s; /* when the first of them was answered, by the vault's clock */
	int64_t newest_s; /* `updated` of the youngest version that was read */
	/* First half: what is asked for; second half: what the vault's rows show (status.h). */
	unsigned char digest[SHA256_BYTES];

	struct kube_call kube;
	struct gate_call kube_gate;
	struct kube_meta meta; /* of the last probe, settle, create or apply */
	const struct step *kube_next; /* reads the answer */
	unsigned write_tries; /* conflicts so far */
	unsigned kube_throttled;
	bool created, updated; /* this reconcile wrote the Secret */
	bool put_back; /* nothing may be written now: the object is due again as if this reconcile had not begun */

	struct status status; /* what is to be written */
	struct fault fault; /* err OK: it went well */
	enum blame blame;
	struct gate *fault_gate; /* the breaker that refused; the object waits there */
};

/* Begins a reconcile of a held object and runs it as far as it goes. ERR_NOMEM: nothing was begun. */
enum err sync_start(struct worker *worker, struct object *object);
/* Goes on after a call. */
void sync_resume(struct sync *sync);
/* Nothing may be written: reconciles whose write has not gone out yet end, and their objects are due again. */
void sync_put_back_writes(struct worker *worker);
/* Ends every call and frees, without a status; the object is let go of. */
void sync_cancel(struct sync *sync);
/* It needs so many requests to the vault, as far as is known: the shares of others grow by what was not counted before. */
void sync_count_requests(struct sync *sync, unsigned requests);

/* sync_fetch.c */
/* STEP_PARKED or STEP_TOKEN; NULL when nothing is left to read: then sync_judge_items. */
const struct step *sync_fetch_all(struct sync *sync);
/* Which objects and versions the data items need. An item that names nothing has no read, and has failed. ERR_NOMEM. */
enum err sync_plan_reads(struct sync *sync);
void sync_reads_free(struct sync *sync);
/* source_find() in the class of this SecretSync, cheaper for what it reads. */
const struct spc_object *sync_find_object(
	const struct sync *sync, struct str source_path, unsigned *out_index);
/* The value that a source path stands for, with the read that brings it; NULL: the path names nothing. */
const struct sync_value *sync_find_value(
	const struct sync *sync, struct str source_path, const struct sync_read **out_read);
/* "key "NAME" of URL", in front of what is wrong with an object or its value. */
enum err sync_name_object(const struct sync_read *read, enum err err, struct fault *fault);
enum err sync_digest(struct sync *sync); /* over what list rows show; into sync->digest */
enum err sync_digest_asked(struct sync *sync); /* its first half alone is good then */

/* sync_drift.c */
/* Nothing to write: a probe where one is due, else STATUS. */
const struct step *sync_unchanged(struct sync *sync);
/* The probe could not be made, and says nothing about the Secret: its condition stays as it is. */
const struct step *sync_cannot_look(struct sync *sync, const struct fault *fault);
/* After such a probe of a Secret that is ours: STATUS, SETTLE, or the way to write it again. */
const struct step *sync_judge_drift(struct sync *sync);
/* After one that found nothing: the values have to be read first. */
const struct step *sync_create_again(struct sync *sync);
/* False: what is in the Secret is what the good items ask for. Once sync->digest is made. */
bool sync_must_write(const struct sync *sync);
/* The end of a reconcile: a Secret that somebody else changed, and that was written again, is remembered. */
void sync_note_repair(const struct sync *sync);
/* The second phase of the reads. */
const struct step *sync_read_values(struct sync *sync);

/* sync_convert.c */
void sync_outputs_free(struct sync *sync);

/* sync_items.c */
/* OK: the item has what the phase asks for. Else why not; then *out_fault (may be NULL) is filled. */
enum err sync_item_fault(const struct sync *sync, unsigned item, struct fault *out_fault);
/* After the reads of a phase: NULL to go on, with sync->partial set where some items have failed; or the failure. */
const struct step *sync_judge_items(struct sync *sync);
/* A Secret that is not there yet can be made from the good items alone; false: *out_fault says why not. */
bool sync_can_create(const struct sync *sync, struct fault *out_fault);
/* Where the status tells the versions in the Secret: those of the good items are the ones that were just read. */
bool sync_versions_match(const struct sync *sync);
/* The list of items as JSON, for the condition PartialSync; at most STATUS_MESSAGE_BYTES. */
void sync_write_items(const struct sync *sync, struct buf *out_json);
/* sync_scan.c */
const struct step *sync_look(
	struct sync *sync); /* the end of BORROW: may the vault be left alone? */
bool sync_is_pinned(
	const struct spc_object *object); /* a version that the class names: it never changes */
void sync_forget_rows(struct sync *sync); /* what the walk told is to be read, too */
void sync_note_read(struct sync *sync, const struct vault_row *row, int64_t server_date_s);
bool sync_has_settled(const struct sync *sync);
int64_t sync_success_s(const struct sync *sync); /* lastSuccessfulSyncTime, in unix seconds */
void sync_plan_check(struct sync *sync);

/* sync_audit.c */
/* Logs the write of the Secret that the step CREATE, APPLY or PATCH made. certain: the server said that it is done; else
 * its answer was lost. Before the status of this reconcile replaces the object's. */
void sync_audit(const struct sync *sync, const struct step *write, bool certain);
/* sync_write.c: the same for a write whose answer is not waited for. */
void sync_audit_cancelled(const struct sync *sync);
/* The Secret is as this spec asks: a later change of spec.forceSynchronization is told from others. */
void sync_remember_force(struct sync *sync);

/* sync_status.c */
const struct step *sync_fail(
	struct sync *sync, enum blame blame, struct gate *gate, const struct fault *fault);
enum err sync_status_compose(struct sync *sync);

/* Asks the API server; `next` reads the answer. The call has been prepared in sync->kube. sync_write_kube: at the pace of
 * writes, and not while the worker is paused. */
const struct step *sync_ask_kube(struct sync *sync, const struct step *next);
const struct step *sync_write_kube(struct sync *sync, const struct step *next);
