/* workers/convert.h - from what a vault answers to the bytes of a Secret's key.
 *
 *   value --(certificate's PKCS#12 to PEM)--> --(objectEncoding)--> whole --(tls.crt, tls.key)--> part
 *
 * Pure but for memory. Any thread that owns the arena.
 */
#pragma once

#include "clients/tls_part.h"
#include "workers/spec.h"

enum { CONVERT_BYTES = 512 << 10 }; /* the most that one value may become */

/* The part of a source that a key of a Secret gets, and in which form. In a kubernetes.io/tls Secret the keys tls.crt and
 * tls.key get that part of any source. */
struct convert_plan {
	enum tls_part part;
	enum tls_form form;
};
struct convert_plan convert_plan_of(
	struct str secret_type, struct str target_key, enum tls_part source_part);

/* Whether convert_whole() would change a value of this form. */
bool convert_is_identity(const struct spc_object *object, enum vault_form form);

/* The value as the object's format and encoding want it. `out`, which the caller has initialised, is emptied first. ERR_INVALID: the fault says
 * what is wrong with the value, and what to do; it never shows any of it. ERR_TOO_LARGE, ERR_NOMEM. */
enum err convert_whole(const struct spc_object *object, enum vault_form form,
	const struct secret *value, struct secret_arena *arena, struct secret *out,
	struct fault *fault);
