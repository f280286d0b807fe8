/* base/metric.h - counters: one block per thread, written by that thread only, summed on read.
 *
 * One X-macro declares name and help text. metric_add costs one relaxed store.
 */
#pragma once

#include <stdint.h>

#define METRIC_LIST(X)                                                                          \
	X(RECONCILES, "reconciles", "reconciles that ended")                                    \
	X(RECONCILE_FAILURES, "reconcile_failures", "reconciles that ended with a failure")     \
	X(SECRETS_CREATED, "secrets_created", "Secrets written for the first time")             \
	X(SECRETS_UPDATED, "secrets_updated", "Secrets written again by apply")                 \
	X(SECRETS_PATCHED, "secrets_patched", "Secrets written in part by a merge patch")       \
	X(SECRETS_SETTLED, "secrets_settled", "managedFields entries merged")                   \
	X(SECRET_PROBES, "secret_probes", "empty merge patches that probed a Secret")           \
	X(DRIFT_REPAIRS, "drift_repairs", "Secrets written again after somebody changed them")  \
	X(DRIFT_TOLD, "drift_told", "Secrets that the watch has shown to be changed or gone")   \
	X(STATUS_WRITES, "status_writes", "status patches of SecretSyncs")                      \
	X(STATUS_FAILURES, "status_write_failures", "status patches that were not taken")       \
	X(STATUS_REPLACED, "statuses_replaced",                                                 \
		"statuses that a later one replaced before they were written")                  \
	X(EVENTS_WRITTEN, "events_written", "Events about SecretSyncs")                         \
	X(EVENTS_DROPPED, "events_dropped",                                                     \
		"Events over eventsPerSecond, or with no way to the API server")                \
	X(EVENTS_FAILED, "events_failed", "Events that the API server did not take")            \
	X(VAULT_GETS, "vault_gets", "object reads sent to vaults")                              \
	X(VAULT_LISTS, "vault_lists", "version lists sent to vaults")                           \
	X(SAFETY_READS, "vault_safety_reads", "object reads made whatever lists say")           \
	X(SCANS, "vault_scans", "walks over the list of a vault that came to their end")        \
	X(SCAN_PAGES, "vault_scan_pages", "list pages asked for by such walks")                 \
	X(SCAN_DENIED, "vault_scan_denied", "identities that may not list a vault")             \
	X(SCAN_FALLBACKS, "vault_scan_fallbacks", "times that a vault fell back to GETs")       \
	X(SCAN_MISSED, "vault_scan_missed", "versions that a read found and no walk announced") \
	X(VAULT_THROTTLED, "vault_throttled", "answers 429 of vaults")                          \
	X(BREAKER_OPENED, "breaker_opened",                                                     \
		"breakers of vaults, token endpoints or the API server that opened")            \
	X(BREAKER_TRIALS, "breaker_trials", "requests sent to try an open breaker")             \
	X(TOKEN_REQUESTS, "token_requests", "service account tokens requested")                 \
	X(TOKEN_EXCHANGES, "token_exchanges", "tokens exchanged at Microsoft Entra")            \
	X(WATCH_RESTARTS, "watch_restarts", "watches started again")                            \
	X(RELISTS, "relists", "lists started from the beginning")                               \
	X(HTTP_REQUESTS, "http_requests", "HTTP requests started")                              \
	X(HTTP_NETWORK_ERRORS, "http_network_errors", "HTTP requests without an answer")

enum metric {
#define X(id, name, help) METRIC_##id,
	METRIC_LIST(X)
#undef X
		METRIC_COUNT
};

/* Adds to this thread's block (the block is made at first use and lives until the process ends). */
void metric_add(enum metric metric, uint64_t amount);

/* The sum over all threads. Any thread. */
uint64_t metric_read(enum metric metric);

const char *metric_name(enum metric metric);
const char *metric_help(enum metric metric);

/* Frees all blocks. Only when no other thread runs. */
void metric_destroy_all(void);
