/* tests/world/world_log.h - what was asked and what was answered: the last requests, and counters. Never a header, a body or a
 * query value: tokens and values are not in it. One thread.
 */
#pragma once

#include "base/list.h"
#include "tests/world/world.h"

enum { WORLD_LOG_ENTRIES = 16384, WORLD_LABEL_BYTES = 64 };

struct world_log_entry {
	uint64_t seq; /* from 1 */
	int64_t wall_ns;
	char *host;
	char *path; /* without the query */
	char method[8];
	int status; /* 0: no answer was given */
	const char *fault; /* static; NULL: none */
};

struct world_counter {
	struct list link;
	char *host;
	char label[WORLD_LABEL_BYTES]; /* "list secrets", "get secret", "token", "PATCH secrets" */
	int status;
	uint64_t count;
};

struct world_log {
	struct world_log_entry entries[WORLD_LOG_ENTRIES]; /* ring by seq */
	uint64_t seq;
	struct list counters;
};

struct world_log *world_log_create(void);
void world_log_destroy(struct world_log *log); /* NULL is fine */
void world_log_add(struct world_log *log, struct now now, const struct world_request *req,
	const struct world_response *out);
/* An array of the entries after `since` that are still there, at most `limit`. */
cJSON *world_log_json(const struct world_log *log, uint64_t since, size_t limit);
/* {"host": {"label": {"status": count}}} */
cJSON *world_counters_json(const struct world_log *log);
void world_counters_reset(struct world_log *log);
