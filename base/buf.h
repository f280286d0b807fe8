/* base/buf.h - a growable byte buffer with a mandatory maximum and a sticky error.
 *
 * After the first failure every append does nothing; check buf_err() once at the end. One owner, no locking.
 * Never for secret values: those go to struct secret.
 */
#pragma once

#include <stdarg.h>

#include "base/encode.h"
#include "base/err.h"
#include "base/str.h"

struct buf {
	char *_ptr;
	size_t _len;
	size_t _cap;
	size_t _max;
	enum err _err;
};

/* Prepares an empty buffer that refuses to grow over `max_bytes`. Allocates nothing. A zeroed struct buf is a valid,
 * already deinitialised buffer, on which every append fails with ERR_TOO_LARGE. */
void buf_init(struct buf *buf, size_t max_bytes);

/* Frees and zeroes. Idempotent. */
void buf_deinit(struct buf *buf);

/* Forgets the content and the error; keeps memory and maximum. */
void buf_reset(struct buf *buf);

void buf_append(struct buf *buf, struct str s);
void buf_append_char(struct buf *buf, char c);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);
__attribute__((format(printf, 2, 0))) void buf_vprintf(
	struct buf *buf, const char *format, va_list args);

/* Appends s as a JSON string with quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_append_json(struct buf *buf, struct str s);

/* Appends s percent-encoded: everything but [A-Za-z0-9-._~] becomes %XX. */
void buf_append_url(struct buf *buf, struct str s);

/* Where encoders and decoders put their output: appended to `buf` (kept by the sink), errors in buf_err(). */
struct sink buf_sink(struct buf *buf);

/* Appends standard base64 with padding. */
void buf_append_base64(struct buf *buf, struct str s);

/* Drops the first `bytes` (at most the length). */
void buf_consume(struct buf *buf, size_t bytes);

/* OK, ERR_NOMEM or ERR_TOO_LARGE: the first failure since init or reset. */
enum err buf_err(const struct buf *buf);

/* The content; valid until the next change. */
struct str buf_str(const struct buf *buf);

/* The content with a NUL behind it, for library borders; "" after a failure. Valid until the next change. */
const char *buf_cstr(struct buf *buf);

/* Takes the content as a mem_* allocated NUL-terminated string ("" when empty); NULL after a failure, which buf_err()
 * still tells. */
char *buf_take(struct buf *buf);
