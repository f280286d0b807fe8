/* tests/world/control_job.c - reading a word's members, and saying what is wrong with them. */
#include "tests/world/control.h"

void job_fail(struct job *job, const char *format, ...) {
	va_list args;
	va_start(args, format);
	buf_vprintf(job->error, format, args);
	va_end(args);
}

struct str job_text(const struct job *job, const char *name) {
	return world_json_str(job->item, name);
}

int64_t job_number(const struct job *job, const char *name, int64_t fallback) {
	return world_json_i64(job->item, name, fallback);
}

/* A member in seconds, fractions allowed, as nanoseconds. */
int64_t job_seconds_ns(const struct job *job, const char *name, int64_t fallback_ns) {
	const cJSON *item = world_json_at(job->item, name);
	return cJSON_IsNumber(item) ? (int64_t)(item->valuedouble * (double)NS_PER_S) : fallback_ns;
}

struct str job_need(struct job *job, const char *name) {
	struct str value = job_text(job, name);
	if (!value.len && !buf_str(job->error).len) job_fail(job, "member '%s' is missing", name);
	return value;
}

struct azure_vault *job_vault(struct job *job) {
	struct str name = job_need(job, "vault");
	struct azure_vault *vault = azure_vault_find(job->azure, name);
	if (!vault && name.len) job_fail(job, "vault '%.*s' is not known", STR_ARG(name));
	return vault;
}

enum azure_kind job_kind(struct job *job) {
	struct str word = job_text(job, "kind");
	if (!word.len) return AZURE_SECRET;
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		if (str_eq(word, str_of(azure_kinds[kind].one))) return (enum azure_kind)kind;
	}
	job_fail(job, "kind '%.*s' is none of secret, key, certificate", STR_ARG(word));
	return AZURE_SECRET;
}

struct azure_object *job_object(
	struct job *job, struct azure_vault *vault, enum azure_kind kind, bool deleted) {
	struct str name = job_need(job, "name");
	if (buf_str(job->error).len) return NULL;
	struct azure_object *object = azure_object_find(vault, kind, name);
	if (object && object->deleted == deleted) return object;
	job_fail(job, "there is no %s%s '%.*s' in vault '%s'", deleted ? "deleted " : "",
		azure_kinds[kind].one, STR_ARG(name), vault->name);
	return NULL;
}
