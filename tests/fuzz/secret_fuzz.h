/* What the fuzzers of secret material share: one arena, and libraries that wipe. */
#pragma once

#include <assert.h>

#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Made before the first input; each input must leave it empty. */
extern struct secret_arena *arena;
