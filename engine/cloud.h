/* engine/cloud.h - the Azure clouds: where tokens are exchanged and where vaults live.
 *
 * Facts: the environment table of the Azure SDK for Go (go-autorest), endpoints of Microsoft's
 * national clouds, and the audiences that Entra's workload identity federation has in each of them.
 */
#pragma once

#include "base/str.h"

struct cloud {
	struct str name; /* "AzurePublicCloud" */
	struct str alias; /* "AzureCloud"; empty: none */
	struct str authority; /* "https://login.microsoftonline.com" */
	struct str scope; /* "https://vault.azure.net/.default" */
	struct str vault_suffix; /* "vault.azure.net" */
	struct str audience; /* of service account tokens: "api://AzureADTokenExchange" */
};

/* By name or alias, in any case. NULL: no such cloud. Static storage. */
const struct cloud *cloud_find(struct str name);

/* "AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud", for messages. */
#define CLOUD_NAMES "AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud"

/* The name, in any case, of the cloud that a file describes. */
bool cloud_is_custom(struct str name);

/* The name, in any case, of Microsoft's cloud in Germany, which was closed in October 2021. */
bool cloud_is_closed(struct str name);

/* The audience of the cloud that exchanges tokens at `authority`; the public cloud's for others. */
struct str cloud_audience(struct str authority);
