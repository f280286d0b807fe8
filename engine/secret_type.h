/* engine/secret_type.h - what the API server demands of a Secret by its type, so that a person hears of it before anything is
 * asked for. Pure; any thread.
 *
 * Which keys those are stands in workers/demand.h.
 */
#pragma once

#include "workers/demand.h"
#include "workers/spec.h"

/* How a kind of object speaks of it: "PATHdata has no targetKey" KEY ", which ... must have: add it, or choose another" TYPE. */
struct secret_type_words {
	const char *path, *lacks, *type;
};

/* The keys that `type` cannot do without. has: whether a key is there. ERR_INVALID names what is missing. */
enum err secret_type_demand(struct str type, bool (*has)(const void *arg, struct str key),
	const void *arg, const struct secret_type_words *words, struct fault *fault);

/* The same for the items of a SecretSync; types that are not known demand nothing. */
enum err secret_type_check(
	struct str type, const struct spec_item *items, unsigned count, struct fault *fault);

/* The annotations of an object, kvsync's own with them: 256 KiB of keys and values at most. ERR_INVALID. */
enum err annotations_check(const struct kube_pair *pairs, unsigned count, struct fault *fault);
