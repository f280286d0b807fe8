/* clients/vault_impl.h - what vault.c and vault_object.c share. */
#pragma once

#include <cjson/cJSON.h>

#include "clients/vault.h"

/* The version is the last segment of an identifier. ERR_PARSE: there is none. */
enum err vault_version_of_id(struct str id, char out_version[static VAULT_VERSION_BYTES]);

/* The row without its version. */
struct vault_row vault_row_of(const cJSON *attributes);
