/* clients/pem.h - PEM text (RFC 7468) whose blocks may be private keys.
 *
 * Text is read in place and written into secret memory; in between, DER lies in OpenSSL's heap, which is wiped when it is freed
 * (mem_wipe_libraries). Pure functions; any thread.
 */
#pragma once

#include "base/secret.h"

struct pem_block {
	struct str label; /* "CERTIFICATE" */
	struct str header; /* RFC 1421 lines in front of the data; empty as a rule */
	struct str der;
};

/* Appends a block: 64 columns, LF, a LF at the end. An error sticks to `out`. */
void pem_write(struct secret *out, const char *label, struct str der);

/* Calls `visit` for each block in order; text between blocks is passed over. Stops at the first error of `visit` and returns it.
 * ERR_INVALID where a block is damaged, or where there is the beginning of one and no block: the fault never shows any of it. ERR_NOMEM. */
enum err pem_each(struct str text, enum err (*visit)(void *arg, const struct pem_block *block),
	void *arg, struct fault *fault);
