#include "engine/lookalike.h"

#include "engine/nearest.h"
#include "engine/text.h"

enum { KIND_EDITS = 2, GROUP_EDITS = 4 };

static const struct known {
	const char *kind, *group, *api_version;
} KNOWN[] = {
	{ "SecretSync", "secret-sync.x-k8s.io", "secret-sync.x-k8s.io/v1alpha1" },
	{ "AKVSync", "secret-sync.x-k8s.io", "secret-sync.x-k8s.io/v1alpha1" },
	{ "SecretProviderClass", "secrets-store.csi.x-k8s.io", "secrets-store.csi.x-k8s.io/v1" },
	{ "ServiceAccount", "", "v1" },
};
enum { KNOWN_COUNT = sizeof KNOWN / sizeof *KNOWN };

static const struct known *kind_near(struct str kind) {
	for (unsigned i = 0; i < KNOWN_COUNT && kind.len; i++) {
		if (nearest_edits(kind, str_of(KNOWN[i].kind)) <= KIND_EDITS) return &KNOWN[i];
	}
	return NULL;
}

/* The CSI driver's own, beside the class. */
static bool is_of_the_driver(struct str kind) {
	return str_eq(kind, STR("SecretProviderClassPodStatus"));
}

static struct str group_of(struct str api_version) {
	size_t slash = str_find_char(api_version, '/');
	return slash == SIZE_MAX ? STR("") : str_slice(api_version, 0, slash);
}

static bool is_own_group(struct str group) {
	return str_eq(group, str_of(KNOWN[0].group)) || str_eq(group, str_of(KNOWN[2].group));
}

static bool group_is_near(struct str group, const struct known *known) {
	if (!*known->group) return group.len == 0;
	return group.len == 0 || is_own_group(group) ||
	       nearest_edits(group, str_of(known->group)) <= GROUP_EDITS;
}

bool lookalike_judge(struct str api_version, struct str kind, struct fault *out_fault) {
	const struct known *known = kind_near(kind);
	struct str group = group_of(api_version);
	if (!known) {
		if (!is_own_group(group) || is_of_the_driver(kind)) return false;
		if (!kind.len) {
			*out_fault = fault_make(ERR_INVALID,
				"kind is missing beside apiVersion \"%.*s\"",
				TEXT_ARG(api_version));
			return true;
		}
		*out_fault = fault_make(ERR_INVALID,
			"kind \"%.*s\" is none of apiVersion \"%.*s\": kvsync reads SecretSync and "
			"AKVSync (secret-sync.x-k8s.io/v1alpha1) and SecretProviderClass "
			"(secrets-store.csi.x-k8s.io/v1)",
			TEXT_ARG(kind), TEXT_ARG(api_version));
		return true;
	}
	if (!group_is_near(group, known)) return false;
	if (!str_eq(kind, str_of(known->kind))) {
		*out_fault = fault_make(ERR_INVALID,
			"kind \"%.*s\" is none; did you mean %s (of apiVersion %s)?",
			TEXT_ARG(kind), known->kind, known->api_version);
		return true;
	}
	if (str_eq(group, str_of(known->group)) && api_version.len) return false;
	if (!api_version.len)
		*out_fault = fault_make(ERR_INVALID, "apiVersion is missing; of a %s it is %s",
			known->kind, known->api_version);
	else
		*out_fault =
			fault_make(ERR_INVALID, "apiVersion \"%.*s\" has no %s; did you mean %s?",
				TEXT_ARG(api_version), known->kind, known->api_version);
	return true;
}
