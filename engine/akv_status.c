#include "engine/akv_status.h"

#include <stdio.h>

#include "clients/json.h"

enum { MESSAGE_BYTES = 4096 };

/* --- one derived object --- */

enum akv_state akv_state_of(
	const struct akv_owner *owner, const struct akv_child *child, const struct akv_live *live) {
	if (!live) return STATE_ABSENT;
	if (live->deleting) return STATE_LEAVING;
	if (!live->is_child || live->home != owner) return STATE_STRANGER;
	if (strcmp(live->owner_uid, owner->uid) != 0) return STATE_LEAVING;
	bool settled = live->settled_generation == live->generation &&
		       live->settled_digest == child->digest;
	return settled || live->digest == child->digest ? STATE_EQUAL : STATE_DIFFERENT;
}

static struct str stranger_text(const struct akv_child *child, const struct akv_live *live,
	char out_text[static AKV_TEXT_BYTES]) {
	char holder[AKV_TEXT_BYTES / 2] = "no AKVSync";
	if (live->holder) snprintf(holder, sizeof holder, "%s", live->holder);
	if (live->is_child)
		snprintf(
			holder, sizeof holder, "AKVSync %.*s", STR_ARG(akv_owner_name(live->home)));
	snprintf(out_text, AKV_TEXT_BYTES,
		"a %s of this name is there already and belongs to %s, so it is left as it is; "
		"delete it, or %s",
		kube_kind(child->resource), holder,
		child->resource == KUBE_SYNCS ? "give this entry another kubernetesSecretName"
					      : "rename this AKVSync");
	return str_of(out_text);
}

static struct akv_verdict judge_sync(const struct akv_live *live) {
	if (live->resource == KUBE_CLASSES)
		return (struct akv_verdict){ CONDITION_TRUE, "", STR("") };
	if (live->ready == CONDITION_ABSENT)
		return (struct akv_verdict){ CONDITION_UNKNOWN, "SyncStarting",
			STR("it has not been looked at yet") };
	return (struct akv_verdict){ live->ready, live->reason ? live->reason : "SyncStarting",
		str_of(live->message) };
}

struct akv_verdict akv_judge(const struct akv_owner *owner, const struct akv_child *child,
	const struct akv_live *live, char out_text[static AKV_TEXT_BYTES]) {
	enum akv_state state = akv_state_of(owner, child, live);
	if (state == STATE_STRANGER)
		return (struct akv_verdict){ CONDITION_FALSE, "OwnershipConflict",
			stranger_text(child, live, out_text) };
	if (child->fault)
		return (struct akv_verdict){ CONDITION_FALSE, "DerivedObjectNotWritten",
			str_of(child->fault) };
	if (state == STATE_LEAVING)
		return (struct akv_verdict){ CONDITION_UNKNOWN, "SyncStarting",
			STR("an older object of this name is being deleted; it is created anew "
			    "when "
			    "that is gone") };
	if (state != STATE_EQUAL)
		return (struct akv_verdict){ CONDITION_UNKNOWN, "SyncStarting",
			STR("it is not written yet") };
	return judge_sync(live);
}

/* --- all of them --- */

static const char *value_name(enum condition_value value) {
	if (value == CONDITION_TRUE) return "True";
	return value == CONDITION_FALSE ? "False" : "Unknown";
}

static void write_text(struct buf *out, const char *before, struct str text) {
	buf_append(out, str_of(before));
	buf_append_json(out, text);
}

/* The first that is in this state; `count` when none is. */
static unsigned first_with(
	const struct akv_verdict *verdicts, unsigned count, enum condition_value value) {
	unsigned i = 0;
	while (i < count && verdicts[i].ready != value) i++;
	return i;
}

static unsigned count_ready(const struct akv_owner *owner, const struct akv_verdict *verdicts) {
	unsigned ready = 0;
	for (unsigned i = 1; i < owner->plan.count; i++)
		ready += verdicts[i].ready == CONDITION_TRUE;
	return ready;
}

/* The condition: a failure counts more than what is not known yet. */
static struct akv_verdict sum_up(const struct akv_owner *owner, const struct akv_verdict *verdicts,
	char *out_text, size_t bytes) {
	const struct akv_plan *plan = &owner->plan;
	if (owner->fault) {
		snprintf(out_text, bytes, "%s. What was derived before stays as it is.",
			owner->fault);
		return (struct akv_verdict){ CONDITION_FALSE, "UserInputValidationFailed",
			str_of(out_text) };
	}
	unsigned ready = count_ready(owner, verdicts), all = plan->count - 1;
	unsigned first = first_with(verdicts, plan->count, CONDITION_FALSE);
	if (first == plan->count) first = first_with(verdicts, plan->count, CONDITION_UNKNOWN);
	if (first == plan->count) {
		snprintf(out_text, bytes,
			"All Secrets (%u) hold what the vault held at the last "
			"check.",
			all);
		return (struct akv_verdict){ CONDITION_TRUE, "AllSecretsReady", str_of(out_text) };
	}
	snprintf(out_text, bytes, "%u of %u Secrets are ready. %s %s: %.*s", ready, all,
		kube_kind(plan->children[first].resource), plan->children[first].name,
		STR_ARG(verdicts[first].message));
	return (struct akv_verdict){ verdicts[first].ready, verdicts[first].reason,
		str_of(out_text) };
}

static void write_syncs(
	const struct akv_owner *owner, const struct akv_verdict *verdicts, struct buf *out) {
	const struct akv_plan *plan = &owner->plan;
	buf_printf(
		out, ",\"readySecrets\":\"%u/%u\"", count_ready(owner, verdicts), plan->count - 1);
	write_text(out, ",\"secretProviderClassName\":", str_of(plan->children[0].name));
	buf_append(out, STR(",\"secretSyncs\":["));
	for (unsigned i = 1; i < plan->count; i++) {
		write_text(
			out, i > 1 ? ",{\"name\":" : "{\"name\":", str_of(plan->children[i].name));
		buf_printf(out, ",\"ready\":\"%s\"", value_name(verdicts[i].ready));
		write_text(out, ",\"reason\":", str_of(verdicts[i].reason));
		bool told = verdicts[i].ready != CONDITION_TRUE && verdicts[i].message.len;
		if (told) write_text(out, ",\"message\":", verdicts[i].message);
		buf_append_char(out, '}');
	}
	buf_append_char(out, ']');
}

static enum err digest_of(const struct buf *text, uint64_t *out_digest) {
	cJSON *json = NULL;
	enum err err = buf_err(text);
	if (!err) err = json_parse(buf_str(text), &json, NULL);
	if (!err) *out_digest = akv_digest(json, "lastTransitionTime");
	cJSON_Delete(json);
	return err;
}

enum err akv_status_write(const struct akv_owner *owner, const struct akv_verdict *verdicts,
	int64_t now_s, struct buf *out_json, struct akv_summary *out_summary) {
	char message[MESSAGE_BYTES], since[TIME_TEXT_BYTES];
	struct akv_verdict sum = sum_up(owner, verdicts, message, sizeof message);
	bool moved = owner->ready != sum.ready || !owner->since[0];
	time_format(now_s, since);
	buf_printf(out_json, "{\"observedGeneration\":%lld,\"conditions\":[{\"type\":\"Ready\"",
		(long long)owner->generation);
	buf_printf(out_json, ",\"status\":\"%s\"", value_name(sum.ready));
	write_text(out_json, ",\"reason\":", str_of(sum.reason));
	write_text(out_json, ",\"message\":", sum.message);
	write_text(out_json, ",\"lastTransitionTime\":", str_of(moved ? since : owner->since));
	buf_printf(out_json, ",\"observedGeneration\":%lld}]", (long long)owner->generation);
	if (owner->plan.count) write_syncs(owner, verdicts, out_json);
	buf_append_char(out_json, '}');
	out_summary->ready = sum.ready;
	return digest_of(out_json, &out_summary->digest);
}
