/* base/err.h - one enumeration of errors for the whole program, and a fault for people.
 *
 * A function that can fail returns `enum err`; OK is 0. What a person has to know about the failure
 * travels in a `struct fault` that the caller owns; libraries never log, the caller that decides does.
 * No text in a fault may hold a secret value, a token or an assertion.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What to do after an error of this kind, when nothing better is known. */
enum retry {
	RETRY_SOON, /* the next attempt is free: the cause is known to be gone or transient */
	RETRY_BACKOFF, /* exponential backoff with full jitter */
	RETRY_AFTER, /* the server said when, or the pace of its vault decides; backoff does not grow */
	RETRY_SLOW, /* parked: only a change of input or the slow timer wakes it */
};

#define ERR_LIST(X)                                                       \
	X(ERR_NOMEM, RETRY_BACKOFF, "out of memory")                      \
	X(ERR_IO, RETRY_BACKOFF, "input or output failed")                \
	X(ERR_INVALID, RETRY_SLOW, "invalid input")                       \
	X(ERR_PARSE, RETRY_BACKOFF, "the answer could not be understood") \
	X(ERR_TOO_LARGE, RETRY_SLOW, "too large")                         \
	X(ERR_NOT_FOUND, RETRY_SLOW, "not found")                         \
	X(ERR_EXISTS, RETRY_SOON, "exists already")                       \
	X(ERR_CONFLICT, RETRY_SOON, "changed by somebody else meanwhile") \
	X(ERR_GONE, RETRY_SOON, "gone from the server's history")         \
	X(ERR_UNAUTHENTICATED, RETRY_BACKOFF, "not authenticated")        \
	X(ERR_DENIED, RETRY_SLOW, "access denied")                        \
	X(ERR_POLICY, RETRY_SLOW, "denied by an admission policy")        \
	X(ERR_DISABLED, RETRY_SLOW, "disabled in the vault")              \
	X(ERR_FOREIGN, RETRY_SLOW, "belongs to somebody else")            \
	X(ERR_THROTTLED, RETRY_AFTER, "throttled by the server")          \
	X(ERR_UNAVAILABLE, RETRY_BACKOFF, "the server is not available")  \
	X(ERR_NETWORK, RETRY_BACKOFF, "the server cannot be reached")     \
	X(ERR_TIMEOUT, RETRY_BACKOFF, "no answer in time")                \
	X(ERR_CANCELLED, RETRY_SOON, "cancelled")                         \
	X(ERR_INTERNAL, RETRY_BACKOFF, "internal error")

/* The formatter takes the attribute for the name. */
/* clang-format off */
enum [[nodiscard]] err {
	OK = 0,
#define X(name, retry, text) name,
	ERR_LIST(X)
#undef X
	ERR_COUNT
};
/* clang-format on */

enum { FAULT_TEXT_BYTES = 1024, FAULT_CODE_BYTES = 64 };

/* A failure as people need it. Plain value; copy freely. */
struct fault {
	enum err err;
	int http_status; /* 0: the failure is not an HTTP answer */
	int64_t retry_after_ns; /* what the server asked for, relative; 0: nothing */
	char code[FAULT_CODE_BYTES]; /* the service's machine code ("SecretNotFound"), or "" */
	char text[FAULT_TEXT_BYTES]; /* what, where, and what to do; one line, NUL-terminated */
};

/* The fixed text of an error ("access denied"). Never NULL; static storage. */
const char *err_text(enum err err);

/* The constant's own name ("ERR_DENIED"). Never NULL; static storage. */
const char *err_name(enum err err);

/* The retry policy of an error. OK has RETRY_SOON. */
enum retry err_retry(enum err err);

/* Fills `fault` (may be NULL) with an error and a formatted text, cut to fit at a UTF-8 boundary, control
 * characters replaced by blanks. Clears http_status, retry_after_ns and code. Returns `err`. */
__attribute__((format(printf, 3, 4))) enum err fault_set(
	struct fault *fault, enum err err, const char *format, ...);

/* The same as a value, for a fault that is handed on at once. */
__attribute__((format(printf, 2, 3))) struct fault fault_make(
	enum err err, const char *format, ...);

/* Puts "prefix: " in front of the text that is there. `fault` may be NULL. Returns fault->err (or `err`). */
__attribute__((format(printf, 3, 4))) enum err fault_prefix(
	struct fault *fault, enum err err, const char *format, ...);
