/* Label and field selectors, as far as controllers use them: comma lists of a=b, a==b, a!=b, a, !a. */
#include <stdlib.h>

#include "tests/world/kube_internal.h"

enum { SELECTOR_BYTES = 4096 };

static char *query_copy(const struct kube_call *call, const char *name) {
	struct buf value;
	buf_init(&value, SELECTOR_BYTES);
	char *copy = NULL;
	if (world_query(call->req->query, name, &value) && buf_str(&value).len) copy = kj_strdup(buf_str(&value));
	buf_deinit(&value);
	return copy;
}

/* One requirement, cut into its parts. */
struct term {
	char key[512];
	char value[512];
	bool has_value, negated;
};

static bool copy_part(struct str from, char *to, size_t size) {
	from = str_trim(from);
	if (from.len >= size) return false;
	memcpy(to, from.ptr, from.len);
	to[from.len] = 0;
	return true;
}

static bool term_read(struct str text, struct term *out) {
	*out = (struct term){ 0 };
	text = str_trim(text);
	size_t at = str_find_char(text, '=');
	if (at == SIZE_MAX) {
		out->negated = text.len && text.ptr[0] == '!';
		return copy_part(str_slice(text, out->negated ? 1 : 0, SIZE_MAX), out->key, sizeof(out->key));
	}
	out->has_value = true;
	out->negated = at && text.ptr[at - 1] == '!';
	size_t value_at = at + 1 < text.len && text.ptr[at + 1] == '=' ? at + 2 : at + 1;
	return copy_part(str_slice(text, 0, out->negated ? at - 1 : at), out->key, sizeof(out->key)) &&
	       copy_part(str_slice(text, value_at, SIZE_MAX), out->value, sizeof(out->value));
}

static bool field_is_known(const char *key) {
	return strcmp(key, "metadata.name") == 0 || strcmp(key, "metadata.namespace") == 0;
}

bool kube_selector_init(struct kube_call *call, struct kube_selector *out) {
	out->labels = query_copy(call, "labelSelector");
	out->fields = query_copy(call, "fieldSelector");
	struct str rest = str_of(out->fields);
	while (out->fields && rest.ptr) {
		struct term term;
		if (term_read(str_next(&rest, ','), &term) && field_is_known(term.key)) continue;
		kube_fail_bad_request(call, "Unable to find \"%s\" that match label selector \"%s\", field selector "
				      "\"%s\": field label not supported: %s", call->type->plural,
				      out->labels ? out->labels : "", out->fields, term.key);
		kube_selector_deinit(out);
		return false;
	}
	return true;
}

void kube_selector_deinit(struct kube_selector *selector) {
	mem_free(selector->labels);
	mem_free(selector->fields);
	*selector = (struct kube_selector){ 0 };
}

static bool label_matches(const struct term *term, const cJSON *labels) {
	const cJSON *label = kj_get(labels, term->key);
	if (!term->has_value) return term->negated ? !label : label != NULL;
	bool equal = label && strcmp(label->valuestring, term->value) == 0;
	return equal != term->negated;
}

static bool field_matches(const struct term *term, const cJSON *meta) {
	bool equal = strcmp(kj_text(meta, term->key + strlen("metadata.")), term->value) == 0;
	return equal != term->negated;
}

bool kube_selector_matches(const struct kube_selector *selector, const struct kube_rev *rev) {
	if (!selector->labels && !selector->fields) return true;
	cJSON *object = kube_rev_parse(rev);
	const cJSON *meta = kj_get(object, "metadata");
	bool matches = true;
	struct term term;
	struct str rest = str_of(selector->labels);
	while (selector->labels && rest.ptr && matches) {
		matches = term_read(str_next(&rest, ','), &term) && label_matches(&term, kj_get(meta, "labels"));
	}
	rest = str_of(selector->fields);
	while (selector->fields && rest.ptr && matches) {
		matches = term_read(str_next(&rest, ','), &term) && field_matches(&term, meta);
	}
	cJSON_Delete(object);
	return matches;
}
