/* clients/pkcs12.h - PKCS#12 without a password (RFC 7292) to PEM, as Key Vault stores certificates with their keys.
 *
 * Takes what OpenSSL takes, with its legacy algorithms: PBES1 and PBES2, any MAC or none, encrypted and plain bags, keys and
 * certificates in any number of safes. Pure functions; any thread.
 */
#pragma once

#include "base/secret.h"

enum {
	/* Iterations of key derivation that one file may ask for, trials of both empty passwords included: each is work that a
	 * file makes for us. Key Vault uses 2000, OpenSSL 2048, keytool 10000 per derivation. */
	PKCS12_MOST_ITERATIONS = 400000,
	PKCS12_MOST_BYTES = 256 << 10,
};

/* Appends the keys in their order as PKCS#8 ("PRIVATE KEY"), then the certificates from leaf to root (clients/chain.h); names
 * and other attributes are dropped. The empty password is tried as two zero bytes, then as nothing at all. `out_pem` is emptied
 * first. ERR_INVALID: the fault says what is wrong with the file, and what to do; ERR_TOO_LARGE, ERR_NOMEM. */
enum err pkcs12_to_pem(struct str der, struct secret *out_pem, struct fault *fault);
