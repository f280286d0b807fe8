/* tests/world/control_vault.c - words about vaults and what is in them. */
#include "tests/world/control.h"

#include <assert.h>

static unsigned rate_calls(struct job *job, unsigned now) {
	int64_t limit = job_number(job, "callsPer10s", now);
	if (limit >= 1 && limit <= 10000000) return (unsigned)limit;
	job_fail(job, "callsPer10s must lie between 1 and 10000000");
	return now;
}

void word_vault(struct job *job) {
	struct str name = job_need(job, "name"), tenant = job_need(job, "tenant");
	if (buf_str(job->error).len) return;
	struct azure_vault *vault = azure_vault_find(job->azure, name);
	if (!vault) vault = azure_vault_add(job->azure, name, tenant);
	if (!str_eq(str_of(vault->tenant), tenant)) {
		mem_free(vault->tenant);
		vault->tenant = mem_strdup(tenant);
		azure_tenant_add(job->azure, tenant);
	}
	vault->policy_mode = world_json_bool(job->item, "policyMode", vault->policy_mode);
	vault->retention_days = job_number(job, "retentionDays", vault->retention_days);
	vault->delete_lag_ns = job_seconds_ns(job, "deleteLagSeconds", vault->delete_lag_ns);
	vault->rate_calls = rate_calls(job, vault->rate_calls);
	struct str subscription = job_text(job, "subscription");
	if (subscription.ptr)
		vault->subscription = azure_subscription_get(job->azure, subscription);
}

void word_subscription(struct job *job) {
	struct str id = job_need(job, "id");
	if (buf_str(job->error).len) return;
	struct azure_subscription *subscription = azure_subscription_get(job->azure, id);
	subscription->rate_calls = rate_calls(job, subscription->rate_calls);
}

static void attributes(struct job *job, struct azure_version *version) {
	struct str type = job_text(job, "contentType");
	const cJSON *tags = world_json_at(job->item, "tags");
	version->enabled = world_json_bool(job->item, "enabled", version->enabled);
	version->nbf_s = job_number(job, "nbf", version->nbf_s);
	version->exp_s = job_number(job, "exp", version->exp_s);
	if (type.ptr) {
		mem_free(version->content_type);
		version->content_type = mem_strdup(type);
	}
	if (tags) {
		cJSON_Delete(version->tags);
		version->tags = cJSON_IsObject(tags) ? cJSON_Duplicate(tags, true) : NULL;
	}
}

/* Where a new version may go: no tombstone holds the name. */
static bool is_free(
	struct job *job, const struct azure_vault *vault, enum azure_kind kind, struct str name) {
	const struct azure_object *object = azure_object_find(vault, kind, name);
	if (!object || !object->deleted) return true;
	job_fail(job, "%s '%.*s' is deleted: recover or purge it first", azure_kinds[kind].one,
		STR_ARG(name));
	return false;
}

static void answer_version(struct job *job, const struct azure_version *version) {
	if (!job->answer) return;
	cJSON_DeleteItemFromObject(job->answer, "version");
	cJSON_AddStringToObject(job->answer, "version", version->id);
}

static void put_secret(struct job *job, struct azure_vault *vault, struct str value) {
	struct str name = job_text(job, "name"), id = job_text(job, "version");
	if (id.len >= WORLD_HEX_BYTES) {
		job_fail(job, "a version has at most 32 characters");
		return;
	}
	const struct azure_object *known = azure_object_find(vault, AZURE_SECRET, name);
	if (id.len && known && azure_version_find(known, id)) {
		job_fail(job, "version '%.*s' is there already", STR_ARG(id));
		return;
	}
	int64_t at_s = azure_seconds(job->now);
	struct azure_version *version =
		azure_version_add(job->azure, vault, AZURE_SECRET, name, id, at_s);
	azure_version_set_value(version, value);
	attributes(job, version);
	answer_version(job, version);
}

void word_secret(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	struct str name = job_need(job, "name");
	const cJSON *values = world_json_at(job->item, "values"), *value;
	if (buf_str(job->error).len || !is_free(job, vault, AZURE_SECRET, name)) return;
	struct buf bytes;
	buf_init(&bytes, 1 << 20);
	if (job_text(job, "valueBase64").ptr) {
		if (!azure_base64_decode(job_text(job, "valueBase64"), &bytes))
			job_fail(job, "'valueBase64' is not base64");
	} else if (job_text(job, "value").ptr) {
		world_json_value(world_json_at(job->item, "value"), &bytes);
	} else if (!cJSON_IsArray(values)) {
		job_fail(job, "one of 'value', 'valueBase64', 'values' is missing");
	}
	if (buf_str(&bytes).len > AZURE_VALUE_BYTES)
		job_fail(job, "a value has at most %d bytes", AZURE_VALUE_BYTES);
	if (!buf_str(job->error).len && !values) put_secret(job, vault, buf_str(&bytes));
	/* Several at once: all of one second. */
	cJSON_ArrayForEach(value, values) {
		if (!buf_str(job->error).len)
			put_secret(job, vault, str_of(cJSON_GetStringValue(value)));
	}
	buf_deinit(&bytes);
}

void word_key(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	struct str name = job_need(job, "name"), type = job_text(job, "type");
	if (!type.ptr) type = STR("RSA");
	if (!azure_key_set_type(&(struct azure_version){ 0 }, type))
		job_fail(job, "'type' is none of RSA, RSA-3072, RSA-4096, EC, with -HSM or without");
	if (buf_str(job->error).len || !is_free(job, vault, AZURE_KEY, name)) return;
	const struct azure_object *known = azure_object_find(vault, AZURE_KEY, name);
	unsigned index = known ? (unsigned)known->count : 0;
	struct azure_version *version = azure_version_add(
		job->azure, vault, AZURE_KEY, name, STR_NULL, azure_seconds(job->now));
	azure_key_set_type(version, type);
	version->key_index = index;
	attributes(job, version);
	answer_version(job, version);
}

void word_certificate(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	struct str name = job_need(job, "name");
	for (int kind = 0; kind < AZURE_KINDS && !buf_str(job->error).len; kind++) {
		is_free(job, vault, (enum azure_kind)kind, name);
	}
	if (buf_str(job->error).len) return;
	enum azure_key_type type = str_eq(job_text(job, "type"), STR("EC")) ? AZURE_EC : AZURE_RSA;
	bool pem = world_json_bool(job->item, "pem", false),
	     pending = world_json_bool(job->item, "pending", false);
	struct azure_version *version =
		azure_certificate_add(job->azure, vault, name, type, pem, job->now);
	/* While it is issued, its secret stands in the list, disabled. */
	azure_object_find(vault, AZURE_CERTIFICATE, name)->pending = pending;
	if (pending) azure_object_find(vault, AZURE_SECRET, name)->current->enabled = false;
	answer_version(job, version);
}

void word_update(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	enum azure_kind kind = job_kind(job);
	if (buf_str(job->error).len) return;
	struct azure_object *object = job_object(job, vault, kind, false);
	if (!object) return;
	struct str id = job_text(job, "version");
	struct azure_version *version = id.len ? azure_version_find(object, id) : object->current;
	if (!version) {
		job_fail(job, "version '%.*s' is not known", STR_ARG(id));
		return;
	}
	attributes(job, version);
	version->updated_s = azure_seconds(job->now);
}

void word_delete(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	enum azure_kind kind = job_kind(job);
	struct azure_object *object =
		buf_str(job->error).len ? NULL : job_object(job, vault, kind, false);
	if (object) azure_object_delete(job->azure, vault, object, job->now);
}

void word_recover(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	enum azure_kind kind = job_kind(job);
	struct azure_object *object =
		buf_str(job->error).len ? NULL : job_object(job, vault, kind, true);
	if (object) azure_object_recover(object);
}

void word_purge(struct job *job) {
	struct azure_vault *vault = job_vault(job);
	enum azure_kind kind = job_kind(job);
	struct azure_object *object =
		buf_str(job->error).len ? NULL : job_object(job, vault, kind, true);
	if (object) azure_object_purge(vault, kind, object);
}
