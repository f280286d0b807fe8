/* engine/akv_plan.h - what an AKVSync stands for: one SecretProviderClass and a SecretSync per Secret. Pure; any thread.
 *
 * The product documents AKVSync as a short form that is translated into objects of the other two kinds. Which objects,
 * with which names, follows from the AKVSync alone, so that the same text always gives the same objects:
 *
 *   class        "akvsync-" and the AKVSync's name; every object of the vault once, with the longest history that is asked
 *                for. Names in a vault have no case: the first spelling stands for all.
 *   SecretSync   kubernetesSecretName, else the name in the vault; a kubernetes.io/tls entry with a history of N has one
 *                per version: NAME-v0 ... NAME-v(N-1). The Secret has the SecretSync's name.
 */
#pragma once

#include <cjson/cJSON.h>

#include "clients/kube.h"
#include "engine/fault_sink.h"

enum {
	AKV_SECRETS_MOST = 500, /* SecretSyncs of one AKVSync */
	AKV_SOURCES_MOST = 1000, /* objects of the vault */
	AKV_HISTORY_MOST = 100, /* versions of one object */
	AKV_SPEC_BYTES = 512 * 1024, /* of one derived spec */
};

/* One derived object. */
struct akv_child {
	enum kube_resource resource; /* KUBE_CLASSES or KUBE_SYNCS */
	char *name; /* owned */
	char *spec; /* owned; JSON */
	uint64_t digest; /* akv_digest() of spec */

	/* The controller's: why it could not be written, and when it is tried again. */
	char *fault; /* owned; NULL: nothing is wrong */
	int64_t retry_ns;
	unsigned failures;
};

struct akv_plan {
	struct akv_child *children; /* owned; [0] is the class */
	unsigned count; /* 0: no plan */
};

/* Derives from an AKVSync as the API server delivers it. ERR_INVALID with field, reason and remedy when nothing can be
 * derived; then there is no plan, not half of one. ERR_NOMEM. */
enum err akv_plan_build(const cJSON *object, struct akv_plan *out_plan, struct fault *fault);
/* The same for a person: every fault goes to the sink (NULL: as akv_plan_build). */
enum err akv_plan_build_all(const cJSON *object, struct fault_sink *sink, struct akv_plan *out_plan,
	struct fault *fault);
void akv_plan_deinit(struct akv_plan *plan); /* idempotent */

/* A digest of a JSON value that does not depend on the order of members. Members named `skip` (NULL: none) do not count.
 * Equal values have equal digests in every process and version. */
uint64_t akv_digest(const cJSON *json, const char *skip);
