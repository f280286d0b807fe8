/* What is done to a Secret that is there before it is written: whose it is, and who owns its fields. */
#include "base/metric.h"
#include "workers/secret_seen.h"
#include "workers/sync_write_impl.h"

/* A Secret of a deleted SecretSync of the same name is collected within seconds. */
static const int64_t COLLECT_NS = 2 * NS_PER_S;
static const unsigned COLLECT_TRIES = 30;

/* --- PROBE: whose is it? --- */

/* The Secret of a SecretSync that had our name before us, or one that is being deleted: it goes by itself soon. */
static const struct step *wait_for_collection(struct sync *sync) {
	struct fault fault = fault_make(ERR_FOREIGN,
		"Secret %.*s/%.*s still belongs to a deleted SecretSync of the same name: waiting "
		"until Kubernetes has collected "
		"it. If it stays, delete it: kubectl delete secret -n %.*s %.*s",
		STR_ARG(sync->spec->common->ns), STR_ARG(sync->spec->name),
		STR_ARG(sync->spec->common->ns), STR_ARG(sync->spec->name));
	if (sync->object->failures < COLLECT_TRIES) fault.retry_after_ns = COLLECT_NS;
	return sync_fail(sync, BLAME_WRITE, NULL, &fault);
}

static const struct step *not_ours(struct sync *sync, enum blame blame, const char *why) {
	struct fault fault = fault_make(ERR_FOREIGN,
		"Secret %.*s/%.*s exists and %s: it is left as it is. To let this SecretSync have "
		"the name, delete the Secret: "
		"kubectl delete secret -n %.*s %.*s",
		STR_ARG(sync->spec->common->ns), STR_ARG(sync->spec->name), why,
		STR_ARG(sync->spec->common->ns), STR_ARG(sync->spec->name));
	return sync_fail(sync, blame, NULL, &fault);
}

/* A Secret is ours when it carries the label and exactly one owner reference, with our uid. That there is an annotation is
 * demanded only where kvsync itself wrote last: the Secrets of its predecessor carry none and are taken over. */
static const struct step *judge_owner(struct sync *sync) {
	const struct kube_meta *meta = &sync->meta;
	bool owned =
		meta->owner_count == 1 && str_eq(str_of(meta->owner_uid), spec_uid(sync->spec));
	if (meta->deleting) return wait_for_collection(sync);
	if (!owned && meta->has_label && meta->owner_count == 1 && meta->owner_is_sync)
		return wait_for_collection(sync);
	if (!meta->has_label)
		return not_ours(
			sync, BLAME_LABEL, "does not carry the label " KUBE_MANAGED_KEY "=\"\"");
	if (!owned) return not_ours(sync, BLAME_LABEL, "is not owned by this SecretSync alone");
	if (meta->annotation_changed) {
		return not_ours(sync, BLAME_ANNOTATION,
			"carries the annotation " KUBE_MANAGED_KEY " with another value than \"\"");
	}
	if (!meta->has_annotation && status_is_ours(&sync->object->status, spec_uid(sync->spec))) {
		return not_ours(sync, BLAME_ANNOTATION,
			"does not carry the annotation " KUBE_MANAGED_KEY " any more");
	}
	if (sync->looking) return sync_judge_drift(sync);
	if (sync->partial) return &STEP_PATCH;
	return meta->must_settle ? &STEP_SETTLE : &STEP_APPLY;
}

static bool is_transient(enum err err) {
	return err == ERR_THROTTLED || err == ERR_UNAVAILABLE || err == ERR_NETWORK ||
	       err == ERR_TIMEOUT;
}

static const struct step *probe_read(struct sync *sync) {
	struct fault fault;
	enum err err = sync_write_result(sync, "probe", &fault);
	if (err == ERR_NOT_FOUND) {
		kube_call_deinit(&sync->kube);
		if (!sync->looking) return &STEP_CREATE;
		return sync_create_again(sync);
	}
	if (sync->looking && is_transient(err)) {
		kube_call_deinit(&sync->kube);
		return sync_cannot_look(sync, &fault);
	}
	if (err) return sync_write_failed(sync, &fault, &STEP_PROBE);
	err = sync_read_meta(sync, &fault);
	if (err) return sync_fail(sync, BLAME_INTERNAL, NULL, &fault);
	return judge_owner(sync);
}

static const struct step PROBE_READ = { "probed", probe_read };

static const struct step *probe_run(struct sync *sync) {
	metric_add(METRIC_SECRET_PROBES, 1);
	if (sync->worker->secret_list) {
		secret_begin_look(sync->object, sync->worker->secret_list, sync->partial);
		sync->took_word = true;
	}
	enum err err = kube_secret_probe(&sync->kube, sync->worker->pool->options.kube,
		sync->worker->arena, sync->spec->common->ns, sync->spec->name);
	return err ? sync_cannot_build(sync, err) : sync_ask_kube(sync, &PROBE_READ);
}

const struct step STEP_PROBE = { "probe", probe_run };

/* --- SETTLE: what a POST or a merge patch left behind becomes prunable --- */

static const struct step *settle_read(struct sync *sync) {
	struct fault fault;
	enum err err = sync_write_result(sync, "settle the managed fields of", &fault);
	if (err == ERR_NOT_FOUND) return sync_look_again(sync, &fault);
	if (err) return sync_write_failed(sync, &fault, &STEP_SETTLE);
	err = sync_read_meta(sync, &fault);
	if (err) return sync_look_again(sync, &fault);
	metric_add(METRIC_SECRETS_SETTLED, 1);
	if (!sync->meta.must_settle) return sync->looking ? &STEP_STATUS : &STEP_APPLY;
	/* The server takes a list that it does not understand for no change at all. */
	fault = fault_make(ERR_CONFLICT,
		"the API server did not take the merged managedFields of Secret %.*s/%.*s",
		STR_ARG(sync->spec->common->ns), STR_ARG(sync->spec->name));
	return sync_look_again(sync, &fault);
}

static const struct step SETTLE_READ = { "settled", settle_read };

static const struct step *settle_run(struct sync *sync) {
	enum err err = kube_secret_settle(&sync->kube, sync->worker->pool->options.kube,
		sync->worker->arena, sync->spec->common->ns, sync->spec->name, &sync->meta);
	return err ? sync_cannot_build(sync, err) : sync_write_kube(sync, &SETTLE_READ);
}

const struct step STEP_SETTLE = { "settle", settle_run };
