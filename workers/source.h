/* workers/source.h - which object of a class a sourcePath names. Pure; any thread.
 *
 * Facts: the Azure provider names one file per object, NAME, or NAME/0, NAME/1 ... of an object whose objectVersionHistory
 * is 2 or more; a sourcePath is the name of such a file. Behind it may stand "/tls.crt" or "/tls.key", as the Secret Store
 * extension documents it: the certificate or the private key alone. A file that is itself called so comes first.
 */
#pragma once

#include "clients/tls_part.h"
#include "workers/spec.h"

/* The object that yields `source`, and the index of its version (0: the newest); NULL: none does. */
const struct spc_object *source_find(const struct spc *spc, struct str source, unsigned *out_index);

/* What of the object that source_find() found is meant. */
enum tls_part source_part(const struct spc_object *object, struct str source);

/* Whether the object that was found for data item `item` of `spec` can have the part that the item wants. ERR_INVALID. */
enum err source_check_part(const struct spec *spec, unsigned item, const struct spc_object *object,
	struct fault *out_fault);

/* What is wrong with data item `item` of `spec`, for which source_find() found nothing. Returns ERR_INVALID. */
enum err source_unknown(
	const struct spec *spec, unsigned item, const struct spc *spc, struct fault *out_fault);
