/* engine/schema.h - what the API server would say of an object by the structural schema of its CRD.
 *
 * Types, required and unknown fields, enum, lengths, patterns, ranges, list-map keys. Not the CEL rules. `metadata` and `status`
 * are not looked at. Facts: Kubernetes API reference, CustomResourceDefinition; nulls are dropped before validation, lengths
 * count characters. Main thread only.
 */
#pragma once

#include <cjson/cJSON.h>

#include "engine/fault_sink.h"

/* Puts in what the API server would: defaults of members that are not set; nulls go. ERR_NOMEM. */
enum err schema_fill(const cJSON *schema, cJSON *value);

/* Hands every fault to the sink, its path in front. ERR_NOMEM only. */
enum err schema_check(const cJSON *schema, const cJSON *object, struct fault_sink *sink);
