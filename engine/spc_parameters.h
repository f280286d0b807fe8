/* engine/spc_parameters.h - `spec.parameters` of a SecretProviderClass: every key's grammar, default
 * and precedence. Main thread only.
 *
 * Facts: the Azure provider for the Secrets Store CSI Driver. Several parameters can be wrong at
 * once and users compare messages, so that the checks stand in the provider's order:
 *
 *   the three booleans, at most one of them true; keyvaultName is set; a tenant is set; the cloud;
 *   the identity; objects, item by item; then, when there is an object, the vault's name; then the
 *   grammar of tenant and client.
 *
 * Keys have case, values are trimmed of Unicode white space, unknown keys are ignored.
 * Extensions: servicePrincipalSecretName; vaultRequestsPer10Seconds, which is checked behind the rest.
 */
#pragma once

#include <cjson/cJSON.h>

#include "engine/cloud_file.h"
#include "engine/spc.h"
#include "engine/spc_objects.h"

/* What is read, and how. */
struct spc_source {
	const cJSON *parameters;
	struct str ns; /* the class's */
	const struct spc_defaults *defaults;
	struct fault_sink *sink; /* NULL: the first fault ends the reading */
};

/* Texts are borrowed from the JSON. */
struct spc_parameters {
	struct str vault, tenant, client, secret_name;
	enum identity_kind identity;
	const struct cloud *cloud; /* static, or file.cloud */
	struct cloud_file file;
	struct object_list list;
	uint16_t requests_per_10s; /* 0: not given */
	enum err failed; /* the first fault that went to the sink */
};

/* ERR_NOMEM, or an error whose fault names the field and the remedy; to be deinitialised in any
 * case. */
enum err spc_parameters_read(const struct spc_source *source, struct spc_parameters *out_parameters,
	struct fault *fault);
void spc_parameters_deinit(struct spc_parameters *parameters); /* idempotent */
