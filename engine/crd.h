/* engine/crd.h - the CRDs of deploy/manifests, as this build was made with them. Main thread only. */
#pragma once

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/str.h"

/* The openAPIV3Schema of a served version of a kind. *out_schema NULL with OK: the kind is ours, and has no such version.
 * ERR_NOT_FOUND: not our kind. The caller frees with cJSON_Delete. */
enum err crd_schema(struct str group, struct str version, struct str kind, cJSON **out_schema);
