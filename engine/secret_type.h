/* engine/secret_type.h - what the API server demands of a Secret by its type, so that a person hears of it before anything is
 * asked for. Pure; any thread.
 *
 * Which keys those are stands in workers/demand.h.
 */
#pragma once

#include "workers/spec.h"

/* The keys that `type` cannot do without; types that are not known demand nothing. ERR_INVALID names what is missing. */
enum err secret_type_check(
	struct str type, const struct spec_item *items, unsigned count, struct fault *fault);

/* The annotations of an object, kvsync's own with them: 256 KiB of keys and values at most. ERR_INVALID. */
enum err annotations_check(const struct kube_pair *pairs, unsigned count, struct fault *fault);
