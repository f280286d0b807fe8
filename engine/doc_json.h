/* engine/doc_json.h - a YAML document as the JSON that kubectl would send for it.
 *
 * Facts: kubectl reads manifests by the YAML 1.1 rules of its library: yes, no, on, off, y and n are booleans, 010 and 0x8 are 8,
 * 1_000 is a number, merge keys are resolved, keys become texts. Seen with kubectl --local. Main thread only.
 */
#pragma once

#include <cjson/cJSON.h>

#include "engine/doc.h"

/* The node and all below it (aliases are copied: at most 1,000,000 values, else ERR_TOO_LARGE). ERR_INVALID for what JSON cannot
 * hold (a NUL byte, an infinite number). *out_place says where. The caller frees with cJSON_Delete. */
enum err doc_to_json(const struct doc *doc, const struct doc_node *node, cJSON **out_json,
	struct doc_place *out_place, struct fault *fault);
