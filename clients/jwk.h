/* clients/jwk.h - a public key from Key Vault's JSON Web Key to PEM. Pure; any thread.
 *
 * RSA, RSA-HSM, EC and EC-HSM with P-256, P-384, P-521; RFC 7517 and Key Vault's own key types.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/secret.h"

/* For how many requests about an RSA key of 2048 bits, kept in software, one about this key counts in Azure's limits ("Azure Key
 * Vault service limits": other transactions per vault in 10 s are 4,000; 1,000 for 3072 bits, 500 for 4096; half of it in an
 * HSM, curves too). At least 1, also of what is no key. */
unsigned jwk_cost(const cJSON *key);

/* Appends a SubjectPublicKeyInfo block ("PUBLIC KEY"). ERR_INVALID: a type or curve that has no such form, or numbers that are
 * no key; the fault says which. ERR_NOMEM. */
enum err jwk_write_pem(const cJSON *key, struct secret *out_pem, struct fault *fault);
