/* clients/chain.h - the order of certificates: leaf, the one that signed it, and so on to the root.
 *
 * By key identifiers alone, as the Azure provider for the Secrets Store CSI Driver orders them: no date, name or signature is
 * looked at. Pure; any thread.
 */
#pragma once

#include <openssl/x509.h>

#include "base/err.h"

/* The parent of a certificate is the first other one whose subject key identifier is its authority key identifier; the leaf is
 * the first certificate that is nobody's parent. Reorders `certs` from the leaf to the root; where that walk does not reach all
 * of them, their order stays as it is. ERR_INVALID: no leaf, or a circle; ERR_NOMEM. */
enum err chain_order(STACK_OF(X509) * certs, struct fault *fault);
