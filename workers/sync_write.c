#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "workers/sync_write_impl.h"

enum {
	WRITE_TRIES = 3, /* conflicts after which a probe starts over */
	THROTTLE_TRIES =
		5, /* answers 429 in a row; the gate waits for what the server asks in between */
	WHAT_BYTES = 640,
};

/* --- COMPARE --- */

bool sync_must_write(const struct sync *sync) {
	const struct status *status = &sync->object->status;
	if (!status_asked_is(status, sync->digest)) return true;
	if (status_is_partial(status) && !sync->partial) return true;
	/* A CRD without that field prunes the versions, and a list does not tell them: then what the vault shows decides alone. */
	if (!status->object_count || (sync->listed && !sync->has_read))
		return !status_seen_is(status, sync->digest);
	return !sync_versions_match(sync);
}

static const struct step *compare_run(struct sync *sync) {
	struct fault fault = { 0 };
	enum err err = sync_digest(sync);
	if (err) {
		fault = fault_make(err, "out of memory; the next attempt follows by itself");
		return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
	}
	if (!sync_must_write(sync)) return sync_unchanged(sync);
	return sync->fetching_values ? &STEP_CONVERT : sync_read_values(sync);
}

const struct step STEP_COMPARE = { "compare", compare_run };

static const struct step *values_run(struct sync *sync) {
	if (!sync->identity) return &STEP_TOKEN; /* a walk has told so far */
	const struct step *next = sync_fetch_all(sync);
	if (!next) next = sync_judge_items(sync);
	if (next) return next;
	/* What was read may be younger than what the walk told. */
	return sync->listed && !sync->repairing ? &STEP_COMPARE : &STEP_CONVERT;
}

const struct step STEP_VALUES = { "values", values_run };

/* --- the Secret's shape --- */

struct shape {
	struct kube_secret secret;
	struct kube_pair *annotations, *labels;
	struct kube_data *data;
};

static void shape_deinit(struct shape *shape) {
	mem_free(shape->annotations);
	mem_free(shape->labels);
	mem_free(shape->data);
	*shape = (struct shape){ 0 };
}

/* The user's pairs and the managing key with its empty value. */
static enum err with_managed_key(
	const struct kube_pair *pairs, unsigned count, struct kube_pair **out_pairs) {
	struct kube_pair *all = mem_array(count + 1, sizeof *all);
	if (!all) return ERR_NOMEM;
	if (count) memcpy(all, pairs, count * sizeof *all);
	all[count] = (struct kube_pair){ .key = STR(KUBE_MANAGED_KEY), .value = STR("") };
	*out_pairs = all;
	return OK;
}

static enum err shape_init(const struct sync *sync, struct shape *out_shape) {
	const struct spec *spec = sync->spec;
	struct shape shape = { 0 };
	enum err err =
		with_managed_key(spec->common->labels, spec->common->label_count, &shape.labels);
	if (!err)
		err = with_managed_key(spec->common->annotations, spec->common->annotation_count,
			&shape.annotations);
	shape.data = mem_array(spec->item_count, sizeof *shape.data);
	if (!shape.data) err = ERR_NOMEM;
	if (err) {
		shape_deinit(&shape);
		return err;
	}
	unsigned count = 0;
	for (unsigned i = 0; i < spec->item_count; i++) {
		if (sync_item_fault(sync, i, NULL)) continue;
		assert(sync->outputs[i].bytes);
		shape.data[count++] =
			(struct kube_data){ spec->items[i].target_key, sync->outputs[i].bytes };
	}
	shape.secret = (struct kube_secret){
		.ns = spec->common->ns,
		.name = spec->name,
		.type = spec->common->type,
		.owner_name = spec->name,
		.owner_uid = spec_uid(spec),
		.labels = shape.labels,
		.label_count = spec->common->label_count + 1,
		.annotations = shape.annotations,
		.annotation_count = spec->common->annotation_count + 1,
		.data = shape.data,
		.data_count = count,
	};
	*out_shape = shape;
	return OK;
}

/* --- what all write steps share --- */

enum err sync_write_result(struct sync *sync, const char *verb, struct fault *fault) {
	char what[WHAT_BYTES];
	*fault = (struct fault){ 0 };
	if (kube_succeeded(&sync->kube)) return OK;
	snprintf(what, sizeof what, "%s Secret %.*s/%.*s", verb, STR_ARG(sync->spec->common->ns),
		STR_ARG(sync->spec->name));
	return kube_result(&sync->kube, fault, what);
}

const struct step *sync_cannot_build(struct sync *sync, enum err err) {
	struct fault fault = { 0 };
	kube_call_deinit(&sync->kube);
	if (err == ERR_TOO_LARGE) {
		fault = fault_make(err,
			"the values of this SecretSync do not fit into one Secret (1 MiB): spread "
			"them over "
			"several SecretSyncs");
		return sync_fail(sync, BLAME_INPUT, NULL, &fault);
	}
	fault = fault_make(
		err, "the request for the API server could not be built: %s", err_text(err));
	return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
}

static enum blame blame_for(enum err err) {
	return err == ERR_POLICY                            ? BLAME_POLICY
	       : err == ERR_INVALID || err == ERR_TOO_LARGE ? BLAME_INPUT
							    : BLAME_WRITE;
}

/* Somebody else was faster, or the outcome is not known: look again. A bounded number of times. */
const struct step *sync_look_again(struct sync *sync, const struct fault *fault) {
	kube_call_deinit(&sync->kube);
	if (++sync->write_tries <= WRITE_TRIES) return &STEP_PROBE;
	return sync_fail(sync, BLAME_WRITE, NULL, fault);
}

static bool says(const struct fault *fault, struct str words) {
	return str_find(str_of(fault->text), words) != SIZE_MAX;
}

/* What the API server holds to for the life of a Secret: only a new Secret helps, and that is for its owner to decide.
 * False: it is something else. */
static bool refuse_for_life(struct sync *sync, const struct fault *fault) {
	const struct spec *spec = sync->spec;
	static const char remedy[] = "delete the Secret, and the next attempt creates it anew: "
				     "kubectl delete secret -n";
	if (fault->err != ERR_INVALID || !says(fault, STR("field is immutable"))) return false;
	if (says(fault, STR("type: Invalid value"))) {
		sync->fault = fault_make(ERR_INVALID,
			"the type of Secret %.*s/%.*s cannot be changed to %.*s while it exists: "
			"put "
			"spec.secretObject.type back, or %s %.*s %.*s",
			STR_ARG(spec->common->ns), STR_ARG(spec->name), STR_ARG(spec->common->type),
			remedy, STR_ARG(spec->common->ns), STR_ARG(spec->name));
		sync->blame = BLAME_INPUT;
		return true;
	}
	sync->fault = fault_make(ERR_INVALID,
		"Secret %.*s/%.*s has been made immutable and keeps its values: %s %.*s %.*s",
		STR_ARG(spec->common->ns), STR_ARG(spec->name), remedy, STR_ARG(spec->common->ns),
		STR_ARG(spec->name));
	sync->blame = BLAME_WRITE;
	return true;
}

static bool may_be_written(const struct sync *sync, const struct step *self) {
	const struct http_req *req = &sync->kube.http;
	if (self != &STEP_CREATE && self != &STEP_APPLY && self != &STEP_PATCH) return false;
	return req->err ? req->maybe_sent : req->status >= 500;
}

/* The answer of a write that did not succeed: the step that comes next. `self` is the step that asked. */
const struct step *sync_write_failed(
	struct sync *sync, const struct fault *fault, const struct step *self) {
	struct gate *gate = &sync->worker->kube_gate;
	bool unknown = sync->kube.http.maybe_sent &&
		       (fault->err == ERR_NETWORK || fault->err == ERR_TIMEOUT);
	if (may_be_written(sync, self)) sync_audit(sync, self, false);
	kube_call_deinit(&sync->kube);
	if (fault->err == ERR_THROTTLED && ++sync->kube_throttled <= THROTTLE_TRIES) return self;
	if (gate->open) return sync_fail(sync, BLAME_INTERNAL, gate, fault);
	if (unknown || fault->err == ERR_CONFLICT || fault->err == ERR_EXISTS)
		return sync_look_again(sync, fault);
	if (refuse_for_life(sync, fault)) return sync_fail(sync, sync->blame, NULL, &sync->fault);
	return sync_fail(sync, blame_for(fault->err), NULL, fault);
}

enum err sync_read_meta(struct sync *sync, struct fault *fault) {
	struct kube_meta meta = { 0 };
	enum err err = kube_read_meta(&sync->kube, &meta, fault);
	kube_call_deinit(&sync->kube);
	if (err) return err;
	kube_meta_deinit(&sync->meta);
	sync->meta = meta;
	return OK;
}

/* --- CREATE: the Secret is believed to be absent --- */

static const struct step *create_read(struct sync *sync) {
	struct fault fault;
	enum err err = sync_write_result(sync, "create", &fault);
	if (err) return sync_write_failed(sync, &fault, &STEP_CREATE);
	sync_audit(sync, &STEP_CREATE, true);
	err = sync_read_meta(sync, &fault);
	if (err) return sync_look_again(sync, &fault);
	metric_add(METRIC_SECRETS_CREATED, 1);
	sync->created = true;
	return &STEP_STATUS;
}

static const struct step CREATE_READ = { "created", create_read };

static const struct step *create_run(struct sync *sync) {
	struct shape shape = { 0 };
	struct fault fault = { 0 };
	if (!sync_can_create(sync, &fault)) return sync_fail(sync, BLAME_PROVIDER, NULL, &fault);
	enum err err = shape_init(sync, &shape);
	if (!err) {
		err = kube_secret_create(&sync->kube, sync->worker->pool->options.kube,
			sync->worker->arena, &shape.secret);
	}
	shape_deinit(&shape);
	return err ? sync_cannot_build(sync, err) : sync_write_kube(sync, &CREATE_READ);
}

const struct step STEP_CREATE = { "create", create_run };

/* --- APPLY: the complete write --- */

static const struct step *written(struct sync *sync, const struct step *self, enum metric metric) {
	struct fault fault;
	enum err err = sync_write_result(sync, "write", &fault);
	if (err == ERR_NOT_FOUND) return sync_look_again(sync, &fault);
	if (err) return sync_write_failed(sync, &fault, self);
	sync_audit(sync, self, true);
	err = sync_read_meta(sync, &fault);
	if (err) return sync_look_again(sync, &fault);
	metric_add(metric, 1);
	sync->updated = true;
	return &STEP_STATUS;
}

static const struct step *apply_read(struct sync *sync) {
	return written(sync, &STEP_APPLY, METRIC_SECRETS_UPDATED);
}

static const struct step APPLY_READ = { "applied", apply_read };

static const struct step *apply_run(struct sync *sync) {
	struct shape shape = { 0 };
	enum err err = shape_init(sync, &shape);
	if (!err) {
		err = kube_secret_apply(&sync->kube, sync->worker->pool->options.kube,
			sync->worker->arena, &shape.secret, &sync->meta);
	}
	shape_deinit(&shape);
	return err ? sync_cannot_build(sync, err) : sync_write_kube(sync, &APPLY_READ);
}

const struct step STEP_APPLY = { "apply", apply_run };

/* --- PATCH: the good items alone; an apply without the others would remove them --- */

static const struct step *patch_read(struct sync *sync) {
	return written(sync, &STEP_PATCH, METRIC_SECRETS_PATCHED);
}

static const struct step PATCH_READ = { "patched", patch_read };

static const struct step *patch_run(struct sync *sync) {
	struct shape shape = { 0 };
	enum err err = shape_init(sync, &shape);
	if (!err) {
		err = kube_secret_patch(&sync->kube, sync->worker->pool->options.kube,
			sync->worker->arena, &shape.secret, &sync->meta);
	}
	shape_deinit(&shape);
	return err ? sync_cannot_build(sync, err) : sync_write_kube(sync, &PATCH_READ);
}

const struct step STEP_PATCH = { "patch", patch_run };

/* --- the end of a reconcile that is cancelled --- */

void sync_audit_cancelled(const struct sync *sync) {
	const struct step *write = sync->kube_next == &CREATE_READ  ? &STEP_CREATE
				   : sync->kube_next == &APPLY_READ ? &STEP_APPLY
				   : sync->kube_next == &PATCH_READ ? &STEP_PATCH
								    : NULL;
	if (write && gate_has_sent(&sync->kube_gate)) sync_audit(sync, write, false);
}
