/* engine/spc.h - from the JSON of a SecretProviderClass to an immutable snapshot. Main thread only.
 *
 * Facts: parameters and the order of their checks are those of the Azure provider for the Secrets
 * Store CSI Driver.
 */
#pragma once

#include <cjson/cJSON.h>

#include "engine/cloud.h"
#include "engine/fault_sink.h"
#include "workers/spec.h"

/* What the installation says about every class. Texts are kept. */
struct spc_defaults {
	const struct cloud *cloud; /* of a class that names none */
	const char *cloud_folder; /* where descriptions of custom clouds stand; NULL: none */
	const char *machine_namespaces; /* may use the node's identity, joined by ","; NULL: none */
	struct intern *accesses; /* where classes share theirs; NULL: each has one of its own */
};

/* A class that cannot be used gives a snapshot all the same, whose fault says what, where, and what
 * to do. Fails with ERR_NOMEM only. The snapshot has one reference, the caller's. */
enum err spc_build(const cJSON *object, const struct spc_defaults *defaults, struct spc **out_spc);

/* The same for a person: every fault goes to the sink (NULL: as spc_build), without the name of the class in front.
 * A class with a fault has the objects that could be read. */
enum err spc_build_all(const cJSON *object, const struct spc_defaults *defaults,
	struct fault_sink *sink, struct spc **out_spc);
