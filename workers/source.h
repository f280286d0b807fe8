/* workers/source.h - which object of a class a sourcePath names. Pure; any thread.
 *
 * Facts: the Azure provider names one file per object, NAME, or NAME/0, NAME/1 ... of an object whose objectVersionHistory
 * is 2 or more; a sourcePath is the name of such a file.
 */
#pragma once

#include "workers/spec.h"

/* The object that yields `source`, and the index of its version (0: the newest); NULL: none does. */
const struct spc_object *source_find(const struct spc *spc, struct str source, unsigned *out_index);

/* What is wrong with data item `item` of `spec`, for which source_find() found nothing. Returns ERR_INVALID. */
enum err source_unknown(
	const struct spec *spec, unsigned item, const struct spc *spc, struct fault *out_fault);
