/* engine/text.h - rules of text that both kinds of resources share. Pure; any thread. */
#pragma once

#include "base/str.h"

/* Without leading and trailing Unicode white space, as the Azure provider trims every parameter. */
struct str text_trim(struct str s);

/* 1 to `most` bytes, all of them letters, digits or one of `others`. */
bool text_is_word(struct str s, size_t most, const char *others);

/* A name of a Kubernetes object: DNS-1123 subdomain, 1 to 253 bytes. */
bool text_is_dns_name(struct str s);

/* At most 80 bytes of `s`, for messages: "%.*s" takes TEXT_ARG. */
#define TEXT_ARG(s) (int)((s).len < 80 ? (s).len : 80), ((s).ptr ? (s).ptr : "")
