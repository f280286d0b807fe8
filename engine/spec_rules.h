/* engine/spec_rules.h - what the schema of the SecretSync kind allows, rule by rule. Pure; any
 * thread.
 *
 * Facts: the CRD of the Secrets Store Sync Controller, whose patterns these functions are.
 */
#pragma once

#include "clients/kube.h"

/* 1 to 253 bytes of
 * ^[A-Za-z0-9.]([-A-Za-z0-9]+([-._a-zA-Z0-9]?[A-Za-z0-9])*)?(\/([0-9]+))*(\/tls\.(crt|key))?$ */
bool rule_source_path(struct str s);

/* The same without "/", and not ".": the API server refuses those as a key. */
bool rule_target_key(struct str s);

/* ^[A-Za-z0-9]([-A-Za-z0-9]+([-._a-zA-Z0-9]?[A-Za-z0-9])*)?$, at most 253 bytes */
bool rule_force(struct str s);

struct pair_rule {
	const char *name; /* "labels", "annotations" */
	size_t key_bytes; /* at most */
	size_t value_bytes;
	bool word_value; /* the value is "", or a word as labels have it */
};

extern const struct pair_rule LABEL_RULE, ANNOTATION_RULE;

/* ERR_INVALID with field and remedy. Keys that begin with KUBE_MANAGED_KEY are kvsync's own. */
enum err pair_check(const struct pair_rule *rule, const char *path, const struct kube_pair *pair,
	bool value_is_text, struct fault *fault);
