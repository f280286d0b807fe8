#include "workers/demand.h"

static const struct demand DEMANDS[] = {
	{ STR("kubernetes.io/tls"), { STR("tls.crt"), STR("tls.key") }, 2, false },
	{ STR("kubernetes.io/dockerconfigjson"), { STR(".dockerconfigjson") }, 1, false },
	{ STR("kubernetes.io/dockercfg"), { STR(".dockercfg") }, 1, false },
	{ STR("kubernetes.io/ssh-auth"), { STR("ssh-privatekey") }, 1, false },
	{ STR("kubernetes.io/basic-auth"), { STR("username"), STR("password") }, 2, true },
};

const struct demand *demand_of(struct str type) {
	for (size_t i = 0; i < sizeof DEMANDS / sizeof *DEMANDS; i++) {
		if (str_eq(type, DEMANDS[i].type)) return &DEMANDS[i];
	}
	return NULL;
}

struct str demand_lacks(const struct demand *demand, bool (*has)(const void *arg, struct str key),
	const void *arg) {
	struct str lacks = STR_NULL;
	for (unsigned i = 0; i < demand->count; i++) {
		bool there = has(arg, demand->keys[i]);
		if (there && demand->one_is_enough) return STR_NULL;
		if (!there && !lacks.len) lacks = demand->keys[i];
	}
	return lacks;
}
