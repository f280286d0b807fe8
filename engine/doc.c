#include "engine/doc.h"

#include <assert.h>
#include <openssl/crypto.h>

#include "base/mem.h"

enum { MERGES_MAX = 16 };

void doc_deinit(struct doc *doc) {
	mem_free(doc->nodes);
	/* A kubeconfig holds a key and a token. */
	if (doc->_text) OPENSSL_cleanse(doc->_text, doc->_text_len);
	mem_free(doc->_text);
	*doc = (struct doc){ 0 };
}

const struct doc_node *doc_at(const struct doc *doc, unsigned index) {
	if (index == DOC_NONE || index >= doc->count) return NULL;
	const struct doc_node *node = &doc->nodes[index];
	return node->kind == DOC_ALIAS ? &doc->nodes[node->target] : node;
}

static const struct doc_node *find_own(
	const struct doc *doc, const struct doc_node *mapping, struct str key) {
	for (unsigned i = mapping->first; i; i = doc->nodes[doc->nodes[i].next].next) {
		if (str_eq(doc_at(doc, i)->text, key)) return doc_at(doc, doc->nodes[i].next);
	}
	return NULL;
}

/* Pushes what a mapping merges, the last first, so that the first is looked at first. */
static unsigned push_merges(const struct doc *doc, const struct doc_node *mapping,
	const struct doc_node **stack, unsigned depth) {
	const struct doc_node *value = find_own(doc, mapping, STR("<<"));
	if (!value || value->kind == DOC_SCALAR) return depth;
	if (value->kind == DOC_MAPPING) {
		if (depth < MERGES_MAX) stack[depth++] = value;
		return depth;
	}
	unsigned bottom = depth;
	for (unsigned i = value->first; i && depth < MERGES_MAX; i = doc->nodes[i].next) {
		if (doc_at(doc, i)->kind != DOC_MAPPING) continue;
		memmove(&stack[bottom + 1], &stack[bottom], (depth++ - bottom) * sizeof *stack);
		stack[bottom] = doc_at(doc, i);
	}
	return depth;
}

const struct doc_node *doc_find(
	const struct doc *doc, const struct doc_node *mapping, struct str key) {
	assert(mapping->kind == DOC_MAPPING);
	const struct doc_node *stack[MERGES_MAX + 1] = { mapping };
	unsigned depth = 1;
	for (unsigned visits = 0; depth > 0 && visits < MERGES_MAX; visits++) {
		const struct doc_node *here = stack[--depth];
		const struct doc_node *value = find_own(doc, here, key);
		if (value) return value;
		depth = push_merges(doc, here, stack, depth);
	}
	return NULL;
}

bool doc_is_null(const struct doc_node *node) {
	if (node->kind != DOC_SCALAR || node->is_string) return false;
	static const char *const names[] = { "", "~", "null", "Null", "NULL" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (str_eq(node->text, str_of(names[i]))) return true;
	}
	return false;
}
