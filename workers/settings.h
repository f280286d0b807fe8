/* workers/settings.h - the installation's settings that workers read: an immutable snapshot under RCU. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "workers/reason.h"
/* How changes in a vault are found. */
enum change_detection {
	CHANGE_AUTO, /* by listing where that takes fewer requests than GETs */
	CHANGE_BY_LIST,
	CHANGE_BY_GET,
};

/* DRIFT_WATCH works as DRIFT_PROBE while there is no watch. */
enum drift_mode { DRIFT_OFF, DRIFT_PROBE, DRIFT_WATCH };

struct settings {
	int64_t poll_interval_ns; /* rotationPollIntervalInSeconds */
	int64_t jitter_ns; /* jitterSeconds */
	bool partial; /* enablePartialSecretSync */
	double events_per_s; /* of the whole process; 0: none */
	double kube_writes_per_s; /* writes of Secrets, of the whole process; 0: as many as can be */
	double status_writes_per_s; /* of the whole process; 0: as many as can be */
	enum reason_names names; /* conditionNames; the same until the end */
	enum drift_mode drift; /* driftDetection */
	double drift_probes_per_s; /* of the whole process */
	enum change_detection change_detection;
	unsigned
		safety_polls; /* a listed object is read in spite of the list every so many polls */
	/* Requests per second and vault, about secrets and certificates; and about keys, which Azure counts apart. */
	double vault_rate_per_s, vault_burst;
	double vault_key_rate_per_s, vault_key_burst;
	double clusters_per_vault; /* takes part in what a class asks for; at least 1 */
	double group_per_10s; /* requests to a group of vaults together, in ten seconds */
	const char *
		vault_groups; /* owned by the snapshot, to be read in a read section only; NULL: none.
				   * "a,b;c,d": vaults a and b, vaults c and d */
	uint64_t serial; /* of the snapshot; set by the pool */
	unsigned vault_connections; /* per vault and worker */
	unsigned reconciles_per_vault; /* in flight at once */
	int64_t request_timeout_ns; /* of one request to a vault or to Entra */
	int64_t kube_timeout_ns;
	int64_t breaker_interval_ns; /* between two trials of an unreachable server */
	int64_t retry_base_ns, retry_max_ns; /* transient failures */
	int64_t slow_base_ns, slow_max_ns; /* configuration and permission faults */
};

enum { VAULT_GROUPS_MOST = 64 };

/* A pace of which any ten seconds hold `most` requests, as near as that can be for less than two of them. */
struct rate {
	double per_s, burst;
};
struct rate rate_of(double most_per_10s, double burst);

/* The defaults of docs/configuration.md. */
struct settings settings_default(void);
