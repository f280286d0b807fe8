/* clients/crypto.h - OpenSSL with the algorithms of old PKCS#12 files, for the calls between enter and leave only.
 *
 * OpenSSL 3 keeps RC2 and its like in a "legacy" provider, a file of its own. It is loaded into a library context that nothing
 * else uses, so that neither TLS nor anything else of the process can choose from it. Any thread.
 */
#pragma once

#include <openssl/crypto.h>

#include "base/err.h"

/* What enter has put aside. */
struct crypto_scope {
	OSSL_LIB_CTX *_before;
};

/* Until leave, the calling thread's OpenSSL works in the context with the legacy provider, if that is installed. Objects that
 * are made in between may be used and freed later. ERR_NOMEM: nothing was changed. */
enum err crypto_enter(struct crypto_scope *out_scope);
void crypto_leave(struct crypto_scope *scope);

/* Whether the legacy provider could be loaded. */
bool crypto_has_legacy(void);
