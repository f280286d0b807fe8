/* base/secret_base64.h - base64 that holds secrets. One owner, no locking. */
#pragma once

#include "base/secret.h"

/* Appends what `text` stands for: standard alphabet, padded, white space anywhere. ERR_INVALID when it is no base64 (what came
 * before the fault is appended), or the error of the secret. */
enum err secret_append_unbase64(struct secret *secret, struct str text);
