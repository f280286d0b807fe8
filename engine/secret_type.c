#include "engine/secret_type.h"

enum { KEYS = 2, ANNOTATIONS_BYTES = 256 * 1024 };

struct demand {
	struct str type;
	struct str keys[KEYS]; /* empty: no more */
	bool one_is_enough;
};

static const struct demand DEMANDS[] = {
	{ STR("kubernetes.io/tls"), { STR("tls.crt"), STR("tls.key") }, false },
	{ STR("kubernetes.io/dockerconfigjson"), { STR(".dockerconfigjson") }, false },
	{ STR("kubernetes.io/dockercfg"), { STR(".dockercfg") }, false },
	{ STR("kubernetes.io/ssh-auth"), { STR("ssh-privatekey") }, false },
	{ STR("kubernetes.io/basic-auth"), { STR("username"), STR("password") }, true },
};

static bool has_key(const struct spec_item *items, unsigned count, struct str key) {
	for (unsigned i = 0; i < count; i++) {
		if (str_eq(items[i].target_key, key)) return true;
	}
	return false;
}

static enum err check_demand(const struct demand *demand, const struct spec_item *items,
	unsigned count, struct fault *fault) {
	const struct str *missing = NULL;
	for (unsigned i = 0; i < KEYS && demand->keys[i].len; i++) {
		bool there = has_key(items, count, demand->keys[i]);
		if (there && demand->one_is_enough) return OK;
		if (!there && !missing) missing = &demand->keys[i];
	}
	if (!missing) return OK;
	bool either = demand->one_is_enough;
	return fault_set(fault, ERR_INVALID,
		"spec.secretObject.data has no targetKey %.*s%s%.*s, which a Secret of type %.*s "
		"must have: add it, or choose another spec.secretObject.type",
		STR_ARG(*missing), either ? " or " : "",
		STR_ARG(either ? demand->keys[1] : STR("")), STR_ARG(demand->type));
}

enum err secret_type_check(
	struct str type, const struct spec_item *items, unsigned count, struct fault *fault) {
	for (size_t i = 0; i < sizeof DEMANDS / sizeof *DEMANDS; i++) {
		if (str_eq(type, DEMANDS[i].type))
			return check_demand(&DEMANDS[i], items, count, fault);
	}
	return OK;
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
