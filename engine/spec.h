/* engine/spec.h - from the JSON of a SecretSync to an immutable snapshot. Main thread only.
 *
 * Everything that the schema of our CRD checks is checked again: another release's CRD may be
 * installed.
 */
#pragma once

#include <cjson/cJSON.h>

#include "engine/fault_sink.h"
#include "workers/spec.h"

/* Who an object is, cheaply: borrowed from the JSON, unless they are kept. */
struct object_meta {
	struct str ns, name, uid,
		version; /* version: the resourceVersion; "" where it is not told */
	int64_t generation;
	bool deleting; /* a deletionTimestamp is set */
	bool kept; /* the strings outlive every snapshot that is built with them; a NUL stands behind uid */
};

/* ERR_INVALID when namespace, name or uid is missing or malformed: such an object cannot even have
 * a condition. */
enum err object_meta_read(const cJSON *object, struct object_meta *out_meta);

/* Finds or makes the cell "namespace/name", with a reference for the caller. NULL: out of
 * memory. */
struct cell_source {
	struct spc_cell *(*cell_of)(struct cell_source *source, struct str ns, struct str name);
	struct intern *commons; /* where specs share theirs; NULL: each has one of its own */
};

/* A SecretSync that cannot be used gives a snapshot all the same, whose fault names field and
 * remedy. Fails with ERR_NOMEM only. The snapshot has one reference, the caller's. */
enum err spec_build(const cJSON *object, const struct object_meta *meta, struct cell_source *cells,
	struct spec **out_spec);

/* The same for a person: every fault goes to the sink (NULL: as spec_build). */
enum err spec_build_all(const cJSON *object, const struct object_meta *meta,
	struct cell_source *cells, struct fault_sink *sink, struct spec **out_spec);
