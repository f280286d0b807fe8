/* engine/cloud_file.h - the description of a custom cloud (cloudName AzureStackCloud): a JSON file
 * that the operator of kvsync put into one folder. Main thread only.
 *
 * Facts: the environment file of the Azure SDK for Go (go-autorest); of its members
 * activeDirectoryEndpoint, keyVaultEndpoint and keyVaultDNSSuffix matter here, in any case of their
 * names.
 */
#pragma once

#include "base/err.h"
#include "engine/cloud.h"

struct cloud_file {
	struct cloud cloud; /* its strings live in _text */
	char *_text;
};

/* Reads `path`, which is relative to `folder` or begins with it. ERR_INVALID says what is wrong: no
 * folder is set (NULL), the path leads out of it (by "..", or by a symbolic link), there is no such
 * file or it is larger than 64 KiB, it is not JSON, an endpoint is no https address, or the vaults'
 * suffix does not stand below the endpoint that tokens are for. ERR_NOMEM. */
enum err cloud_file_read(
	const char *folder, struct str path, struct cloud_file *out_file, struct fault *fault);
void cloud_file_deinit(struct cloud_file *file); /* idempotent */
