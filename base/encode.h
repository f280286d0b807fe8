/* base/encode.h - text encodings, written once for struct buf, struct secret and the log.
 *
 * Each encoder hands its output to `put` in pieces. Nothing is kept: intermediate copies on the stack are cleansed, because
 * the input may be secret. Any thread.
 */
#pragma once

#include "base/str.h"

struct sink {
	void (*put)(void *arg, struct str piece);
	void *arg;
};

/* A quoted JSON string; every byte that is not part of valid UTF-8 becomes U+FFFD. */
void encode_json(struct sink sink, struct str s);

/* The same without the quotes. */
void encode_json_body(struct sink sink, struct str s);

/* Percent-encoding: everything but [A-Za-z0-9-._~] becomes %XX. */
void encode_url(struct sink sink, struct str s);

/* Standard base64 with padding. */
void encode_base64(struct sink sink, struct str s);

/* Bytes of the UTF-8 character at the start of s; 0 when there is none (empty, overlong, surrogate, cut short). */
size_t utf8_len(struct str s);

/* The greatest length <= `len` that does not cut a UTF-8 character of `text` in two. */
size_t utf8_cut(const char *text, size_t len);
