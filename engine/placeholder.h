/* engine/placeholder.h - `${NAME}` that nobody has filled in: a template that was applied as it is. Pure. */
#pragma once

#include <cjson/cJSON.h>

#include "base/buf.h"

/* Appends the placeholders in the texts of an object, each once, as "${A}, ${B}"; annotations may hold what they like. */
void placeholder_list(const cJSON *json, struct buf *out_names);
