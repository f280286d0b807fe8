#include "engine/spec_rules.h"

#include "engine/text.h"

enum { PATH_MOST = 253 };

const struct pair_rule LABEL_RULE = { "labels", 317, 63, true };
const struct pair_rule ANNOTATION_RULE = { "annotations", 316, 262144, false };

static bool is_alnum(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* ([-A-Za-z0-9]+([-._a-zA-Z0-9]?[A-Za-z0-9])*)? over the whole of `s`: a first run of letters,
 * digits and "-", later single "-", "." or "_" each followed by a letter or digit. */
static bool is_tail(struct str s) {
	if (s.len == 0) return true;
	size_t i = 0;
	while (i < s.len && (is_alnum(s.ptr[i]) || s.ptr[i] == '-')) i++;
	if (i == 0) return false;
	while (i < s.len) {
		bool mark = s.ptr[i] == '.' || s.ptr[i] == '_' || s.ptr[i] == '-';
		if (mark) i++;
		if (i == s.len || !is_alnum(s.ptr[i])) return false;
		i++;
	}
	return true;
}

static bool is_name(struct str s, bool dot_first) {
	if (s.len == 0) return false;
	bool first = is_alnum(s.ptr[0]) || (dot_first && s.ptr[0] == '.');
	return first && is_tail(str_slice(s, 1, s.len));
}

static bool is_digits(struct str s) {
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
	}
	return s.len > 0;
}

bool rule_source_path(struct str s) {
	if (s.len > PATH_MOST) return false;
	if (str_ends(s, STR("/tls.crt")) || str_ends(s, STR("/tls.key")))
		s = str_slice(s, 0, s.len - 8);
	struct str rest = s;
	if (!is_name(str_next(&rest, '/'), true)) return false;
	while (rest.ptr) {
		if (!is_digits(str_next(&rest, '/'))) return false;
	}
	return true;
}

bool rule_target_key(struct str s) {
	return s.len <= PATH_MOST && is_name(s, true) && !str_eq(s, STR("."));
}

bool rule_force(struct str s) {
	return s.len <= PATH_MOST && is_name(s, false);
}

/* "prefix/name" or "name": what the API server takes as a key of a label, or of an annotation,
 * whose prefix has no case. */
static bool is_qualified(struct str key, bool any_case) {
	struct str rest = key;
	struct str name = str_next(&rest, '/');
	if (rest.ptr) {
		if (!text_is_dns_name(name) && !(any_case && text_is_word(name, 253, "-.")))
			return false;
		name = rest;
	}
	return text_is_word(name, 63, "-._") && is_alnum(name.ptr[0]) &&
	       is_alnum(name.ptr[name.len - 1]);
}

static bool is_label_value(struct str s) {
	if (s.len == 0) return true;
	return text_is_word(s, 63, "-._") && is_alnum(s.ptr[0]) && is_alnum(s.ptr[s.len - 1]);
}

enum err pair_check(const struct pair_rule *rule, const char *path, const struct kube_pair *pair,
	bool value_is_text, struct fault *fault) {
	if (str_starts(pair->key, STR(KUBE_MANAGED_KEY))) {
		return fault_set(fault, ERR_INVALID,
			"%s%s must not contain %s: that key is kvsync's own; take "
			"it out",
			path, rule->name, KUBE_MANAGED_KEY);
	}
	if (pair->key.len > rule->key_bytes || !is_qualified(pair->key, !rule->word_value)) {
		return fault_set(fault, ERR_INVALID,
			"%s%s: \"%.*s\" is no key; write NAME or DOMAIN/NAME with "
			"at "
			"most 63 letters, digits, \"-\", \"_\" and \".\" in NAME",
			path, rule->name, TEXT_ARG(pair->key));
	}
	if (!value_is_text || pair->value.len > rule->value_bytes) {
		return fault_set(fault, ERR_INVALID,
			"%s%s: the value of \"%.*s\" has to be a text of at most "
			"%zu "
			"bytes",
			path, rule->name, TEXT_ARG(pair->key), rule->value_bytes);
	}
	if (!rule->word_value || is_label_value(pair->value)) return OK;
	return fault_set(fault, ERR_INVALID,
		"%s%s: the value of \"%.*s\" is no label value; it has letters, "
		"digits, \"-\", \"_\" and \".\", and begins and ends with a letter or a digit",
		path, rule->name, TEXT_ARG(pair->key));
}
