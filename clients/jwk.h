/* clients/jwk.h - a public key from Key Vault's JSON Web Key to PEM. Pure; any thread.
 *
 * RSA, RSA-HSM, EC and EC-HSM with P-256, P-384, P-521; RFC 7517 and Key Vault's own key types.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/secret.h"

/* Appends a SubjectPublicKeyInfo block ("PUBLIC KEY"). ERR_INVALID: a type or curve that has no such form, or numbers that are
 * no key; the fault says which. ERR_NOMEM. */
enum err jwk_write_pem(const cJSON *key, struct secret *out_pem, struct fault *fault);
