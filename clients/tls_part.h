/* clients/tls_part.h - the certificate or the private key out of a text that holds both: PEM, or PKCS#12 without a password.
 *
 * Pure functions; any thread. Everything on the way is secret memory or OpenSSL's wiped heap.
 */
#pragma once

#include "base/secret.h"

enum tls_part { TLS_WHOLE, TLS_CRT, TLS_KEY };

enum tls_form {
	TLS_AS_IT_IS, /* every private key, in the form that it has */
	TLS_TRADITIONAL, /* the last private key alone: RSA as PKCS#1, EC as SEC 1, others as PKCS#8 */
};

/* Writes the certificates (leaf first where the chain is complete, else in their order) or the private key as PEM to
 * `out_pem`, which is emptied first. `text`: PEM blocks, PKCS#12 bytes, or these in base64; `arena` serves what lies between.
 * ERR_INVALID: the fault says what is missing or damaged, and what to do; ERR_TOO_LARGE, ERR_NOMEM. */
enum err tls_part_read(struct str text, enum tls_part part, enum tls_form form,
	struct secret_arena *arena, struct secret *out_pem, struct fault *fault);
