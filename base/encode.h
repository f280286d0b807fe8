/* base/encode.h - JSON strings, percent-encoding and base64, written piece by piece into a sink, so that plain buffers and
 * secret memory share one encoder. Pure; pieces are at most 64 bytes.
 */
#pragma once

#include "base/str.h"

typedef void encode_sink(void *sink, struct str piece);

/* A quoted JSON string; bytes that are not UTF-8 become U+FFFD. */
void encode_json(struct str s, encode_sink *put, void *sink);
/* Everything but [A-Za-z0-9-._~] as %XX. */
void encode_url(struct str s, encode_sink *put, void *sink);
/* Standard base64 with padding. */
void encode_base64(struct str s, encode_sink *put, void *sink);
