/* engine/akv_read.h - the spec of an AKVSync, read and checked; private to engine/akv_*.c. Everything is borrowed from the
 * JSON. */
#pragma once

#include "engine/akv_plan.h"

enum akv_form { AKV_SECRET, AKV_CERT, AKV_MAPPING };

/* One object of the vault and how far back it is read. */
struct akv_source {
	struct str name;
	unsigned history;
};

/* One key of a compound Secret. */
struct akv_mapping {
	struct str key;
	unsigned source; /* index */
	unsigned version;
	bool is_cert;
};

struct akv_entry {
	enum akv_form form;
	struct str secret_name;
	struct str type;
	const cJSON *labels, *annotations; /* NULL: none */
	unsigned source; /* of forms secret and cert */
	unsigned history; /* at least 1 */
	unsigned mapping_first, mapping_count; /* of form mapping: in akv_spec.mappings */
};

struct akv_spec {
	struct str name; /* of the AKVSync */
	struct str vault, client, tenant, service_account, force;
	int64_t interval_s; /* 0: not set */
	struct akv_entry *entries;
	struct akv_mapping *mappings;
	struct akv_source *sources;
	unsigned entry_count, mapping_count, source_count;
};

/* Reads and checks everything but whether names of Secrets meet. With a sink (may be NULL) every fault goes there, and the
 * first is returned; without one it stands in `fault`. ERR_INVALID, ERR_NOMEM. */
enum err akv_spec_read(const cJSON *object, struct fault_sink *sink, struct akv_spec *out_spec,
	struct fault *fault);
void akv_spec_deinit(struct akv_spec *spec);
