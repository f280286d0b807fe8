/* engine/lookalike.h - manifests that are nearly of a kind that kvsync reads: nobody would act on them, and nobody say so. Pure. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* True when kind and apiVersion ("" where one is missing) are none that kvsync reads, but look as if they were meant to be:
 * *out_fault says what was probably meant. Kinds of other products' groups are none of these. */
bool lookalike_judge(struct str api_version, struct str kind, struct fault *out_fault);
