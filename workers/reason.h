/* workers/reason.h - the words by which a condition says what became of a SecretSync.
 *
 * One table, three columns: `preview`, the names of the product's first documentation; `current`, those of its latest; and
 * `upstream`, those of the open controller it came from (release 0.0.5). Where a column has one name for several reasons a
 * reader cannot tell them apart, and reason_find() says which it takes. Pure; any thread.
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/* X(constant, preview, current, upstream) */
#define REASON_LIST(X)                                                                            \
	X(CREATE_SUCCEEDED, "CreateSucceeded", "CreateSucceeded", "CreateSuccessful")             \
	X(CREATE_FAILED_PROVIDER, "CreateFailedProviderError", "ProviderError", "ProviderError")  \
	X(CREATE_FAILED_LABEL, "CreateFailedInvalidLabel", "InvalidClusterSecretLabelError",      \
		"InvalidClusterSecretLabelError")                                                 \
	X(CREATE_FAILED_ANNOTATION, "CreateFailedInvalidAnnotation",                              \
		"InvalidClusterSecretAnnotationError", "InvalidClusterSecretAnnotationError")     \
	X(UPDATE_NO_CHANGE, "UpdateNoValueChangeSucceeded", "UpdateNoValueChangeSucceeded",       \
		"SecretUpToDate")                                                                 \
	X(UPDATE_SUCCEEDED, "UpdateValueChangeOrForceUpdateSucceeded",                            \
		"UpdateValueChangeOrForceUpdateSucceeded", "SecretUpToDate")                      \
	X(UPDATE_FAILED_LABEL, "UpdateFailedInvalidLabel", "InvalidClusterSecretLabelError",      \
		"InvalidClusterSecretLabelError")                                                 \
	X(UPDATE_FAILED_ANNOTATION, "UpdateFailedInvalidAnnotation",                              \
		"InvalidClusterSecretAnnotationError", "InvalidClusterSecretAnnotationError")     \
	X(UPDATE_FAILED_PROVIDER, "UpdateFailedProviderError", "ProviderError", "ProviderError")  \
	X(USER_INPUT, "UserInputValidationFailed", "UserInputValidationFailed",                   \
		"RemoteSecretStoreFetchFailed")                                                   \
	X(SPC, "ControllerSpcError", "ControllerSpcError", "SecretProviderClassMisconfigured")    \
	X(INTERNAL, "ControllerInternalError", "ControllerInternalError", "ControllerSyncError")  \
	X(PATCH_FAILED, "SecretPatchFailedUnknownError", "UnknownError", "ControllerPatchError")  \
	X(POLICY, "ValidatingAdmissionPolicyCheckFailed", "ValidatingAdmissionPolicyCheckFailed", \
		"ControllerPatchError")                                                           \
	X(PARTIAL, "PartialSync", "PartialSync", "RemoteSecretStoreFetchFailed")

/* One byte: every SecretSync keeps three of them. */
enum __attribute__((packed)) reason {
	REASON_NONE,
#define X(id, preview, current, upstream) REASON_##id,
	REASON_LIST(X)
#undef X
		REASON_COUNT
};

enum reason_names {
	REASON_NAMES_PREVIEW,
	REASON_NAMES_CURRENT,
	REASON_NAMES_UPSTREAM,
	REASON_NAMES_COUNT
};

/* Static storage; "" for REASON_NONE. */
const char *reason_name(enum reason_names names, enum reason reason);

/* REASON_NONE for a name that is not in the column. Of CREATE_FAILED_* and UPDATE_FAILED_* that share a name it is the latter
 * when the Secret is known to exist; of others that share one, the first. */
enum reason reason_find(enum reason_names names, struct str name, bool existed);
