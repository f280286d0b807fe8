/* engine/cloud.h - the Azure clouds: where tokens are exchanged and where vaults live.
 *
 * Facts: the environment table of the Azure SDK for Go (go-autorest), endpoints of Microsoft's
 * national clouds.
 */
#pragma once

#include "base/str.h"

struct cloud {
	struct str name; /* "AzurePublicCloud" */
	struct str alias; /* "AzureCloud"; empty: none */
	struct str authority; /* "https://login.microsoftonline.com" */
	struct str scope; /* "https://vault.azure.net/.default" */
	struct str vault_suffix; /* "vault.azure.net" */
};

/* By name or alias, in any case. NULL: no such cloud. Static storage. */
const struct cloud *cloud_find(struct str name);

/* "AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud", for messages. */
#define CLOUD_NAMES "AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud"
