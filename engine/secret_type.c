#include "engine/secret_type.h"

enum { ANNOTATIONS_BYTES = 256 * 1024 };

struct items {
	const struct spec_item *items;
	unsigned count;
};

static bool has_key(const void *arg, struct str key) {
	const struct items *items = arg;
	for (unsigned i = 0; i < items->count; i++) {
		if (str_eq(items->items[i].target_key, key)) return true;
	}
	return false;
}

enum err secret_type_demand(struct str type, bool (*has)(const void *arg, struct str key),
	const void *arg, const struct secret_type_words *words, struct fault *fault) {
	const struct demand *demand = demand_of(type);
	struct str missing = demand ? demand_lacks(demand, has, arg) : STR_NULL;
	if (!missing.len) return OK;
	bool either = demand->one_is_enough;
	return fault_set(fault, ERR_INVALID,
		"%s%s %.*s%s%.*s, which a Secret of type %.*s must have: add it, or choose "
		"another %s",
		words->path, words->lacks, STR_ARG(missing), either ? " or " : "",
		STR_ARG(either ? demand->keys[1] : STR("")), STR_ARG(type), words->type);
}

enum err secret_type_check(
	struct str type, const struct spec_item *items, unsigned count, struct fault *fault) {
	static const struct secret_type_words words = { "spec.secretObject.",
		"data has no targetKey", "spec.secretObject.type" };
	const struct items all = { items, count };
	return secret_type_demand(type, has_key, &all, &words, fault);
}

enum err annotations_check(const struct kube_pair *pairs, unsigned count, struct fault *fault) {
	size_t bytes = STR(KUBE_MANAGED_KEY).len;
	for (unsigned i = 0; i < count; i++) bytes += pairs[i].key.len + pairs[i].value.len;
	if (bytes <= ANNOTATIONS_BYTES) return OK;
	return fault_set(fault, ERR_INVALID,
		"spec.secretObject.annotations have %zu bytes of keys and values; an object has "
		"room for %d in all",
		bytes, ANNOTATIONS_BYTES);
}
