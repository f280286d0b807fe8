/* tests/world/control.h - one word of the control port or of a seed file, while it is carried out. */
#pragma once

#include "tests/world/server.h"

struct job {
	struct server *server;
	struct azure *azure;
	struct now now;
	const cJSON *item;
	cJSON *answer; /* may be NULL */
	struct buf *error; /* not empty: it failed */
};

/* control_job.c. Members that are absent or of another type: ptr NULL, or the fallback. */
__attribute__((format(printf, 2, 3))) void job_fail(struct job *job, const char *format, ...);
struct str job_text(const struct job *job, const char *name);
int64_t job_number(const struct job *job, const char *name, int64_t fallback);
/* A member in seconds, fractions allowed, as nanoseconds. */
int64_t job_seconds_ns(const struct job *job, const char *name, int64_t fallback_ns);
/* These fail the job where the member is missing or names nothing that is there. */
struct str job_need(struct job *job, const char *name);
struct azure_vault *job_vault(struct job *job);
enum azure_kind job_kind(struct job *job);
struct azure_object *job_object(
	struct job *job, struct azure_vault *vault, enum azure_kind kind, bool deleted);

/* control_vault.c */
void word_subscription(struct job *job);
void word_vault(struct job *job);
void word_secret(struct job *job);
void word_key(struct job *job);
void word_certificate(struct job *job);
void word_update(struct job *job);
void word_delete(struct job *job);
void word_recover(struct job *job);
void word_purge(struct job *job);

/* control_identity.c */
void word_tenant(struct job *job);
void word_identity(struct job *job);
void word_federated(struct job *job);
void word_unfederate(struct job *job);
void word_issuer(struct job *job);
void word_grant(struct job *job);
void word_revoke(struct job *job);

/* control_fleet.c */
void word_fleet(struct job *job);
void word_fleet_fill(struct job *job);
void word_fleet_forget(struct job *job);
