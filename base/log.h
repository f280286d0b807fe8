/* base/log.h - one line per event, logfmt or JSON, to standard error.
 *
 * Any thread. Never blocks on a lock; a line is at most 8 KiB and is cut at a field. Values are escaped.
 * There is no way to log a struct secret. One write(2) for each line, or for the lines of a turn where a thread holds them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct kv {
	const char *key; /* NULL ends the list */
	struct str text;
	int64_t number;
	bool is_number;
};

#define kv(k, v) ((struct kv){ .key = (k), .text = str_of(v) })
#define kv_str(k, v) ((struct kv){ .key = (k), .text = (v) })
#define kv_int(k, v) ((struct kv){ .key = (k), .number = (v), .is_number = true })

/* Before threads start. Default: LOG_INFO, LOG_LOGFMT, standard error. */
void log_setup(enum log_level level, enum log_format format);

/* For the simulation and tests: lines go to `sink` instead. NULL restores standard error. Not while other threads log. */
void log_redirect(void (*sink)(struct str line, void *arg), void *arg);

/* From now on this thread's lines of the levels info and debug wait for log_flush(), for a line of another level, or until a pipe would
 * not take more of them in one piece (4 KiB). False: none waits any more; before the thread ends. */
void log_hold(bool hold);
void log_flush(void);

/* Has a signal by which the process dies (a failed assert's, a bad access', a SIGTERM that nobody waits for) write what threads hold, and
 * go on to kill it. Nobody is asked about SIGKILL. Once, before threads start. */
void log_catch_crashes(void);

void log_line(enum log_level level, const char *message, const struct kv *fields);

/* At level info, but whatever log_setup() leaves out: what has to be on record. */
void log_audit_line(const char *message, const struct kv *fields);

#define log_audit(message, ...) \
	log_audit_line(message, (struct kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_error(message, ...) \
	log_line(LOG_ERROR, message, (struct kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_warn(message, ...) \
	log_line(LOG_WARN, message, (struct kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_info(message, ...) \
	log_line(LOG_INFO, message, (struct kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_debug(message, ...) \
	log_line(LOG_DEBUG, message, (struct kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
