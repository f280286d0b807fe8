/* tests/world/kube_yaml.h - one YAML document as JSON: manifests of CRDs and bodies of server-side apply. */
#pragma once

#include <cjson/cJSON.h>

#include "base/str.h"

/* Reads the first document of `*rest` and moves `*rest` behind it (ptr NULL after the last). Anchors, aliases, flow and
 * block style; plain scalars become null, bool or number as YAML 1.1's core has them. NULL when it is not YAML or empty. */
cJSON *kube_yaml_next(struct str *rest);
