/* base/decode.h - base64 and hexadecimal text back to bytes, written once for struct buf and struct secret.
 *
 * Each decoder hands its output to `put` in pieces and keeps nothing: the pieces on the stack are cleansed, because they may be
 * secret. Pieces may have been put before an error is found. Any thread.
 */
#pragma once

#include "base/encode.h"
#include "base/err.h"

enum base64_kind {
	BASE64_PADDED, /* RFC 4648 section 4: "+" and "/", padding demanded */
	BASE64_BLANKS, /* the same, and blanks and tabs may stand where line ends may */
	BASE64_URL, /* RFC 4648 section 5: "-" and "_", no padding */
};

/* CR and LF may stand anywhere; bits that are left over are not looked at. ERR_INVALID, then *out_at (may be NULL) is the offset
 * of the first byte that does not fit, or the length where the text ends too early. */
enum err decode_base64(enum base64_kind kind, struct str text, struct sink sink, size_t *out_at);

/* Pairs of hex digits of either case and nothing else. ERR_INVALID, *out_at likewise. */
enum err decode_hex(struct str text, struct sink sink, size_t *out_at);
