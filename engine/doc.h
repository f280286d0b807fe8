/* engine/doc.h - one YAML document as a tree, read by libyaml within bounds.
 *
 * For the three places where YAML comes in: the configuration file, kubeconfigs and the `objects`
 * parameter of a SecretProviderClass. Nodes stand in one array in the order of the text; indices,
 * not pointers, so that an alias can never make a loop. Nothing is resolved: a scalar keeps its
 * literal text. One owner, no locking.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum doc_kind { DOC_SCALAR, DOC_SEQUENCE, DOC_MAPPING, DOC_ALIAS };

/* Index of "no node"; the root is node 1. */
enum { DOC_NONE = 0, DOC_ROOT = 1 };

struct doc_node {
	enum doc_kind kind;
	bool is_string; /* a scalar that was quoted, a block, or tagged so: no null, no number */
	unsigned line; /* from 1 */
	unsigned column;
	unsigned first; /* child; the children of a mapping alternate key, value */
	unsigned next; /* sibling */
	unsigned count; /* children; keys of a mapping */
	unsigned target; /* of an alias */
	struct str text; /* of a scalar; !!binary is decoded. The document's own, NUL-terminated */
	struct str anchor; /* empty: none */
};

struct doc {
	struct doc_node *nodes; /* [0] is unused */
	unsigned count; /* including [0]; 1 or 0 for an empty document */
	char *_text; /* wiped when it is freed */
	size_t _text_len;
};

struct doc_limits {
	size_t bytes; /* of the text */
	unsigned nodes;
	unsigned depth;
	unsigned keys; /* of one mapping */
	bool allow_alias; /* anchors, aliases and merge keys; at most 64 aliases */
	bool only_document; /* a second document is an error; otherwise it is not looked at */
	unsigned
		lines_before; /* of the file before the text: faults that name a further line count it in; out_place does not */
};

struct doc_place {
	unsigned line, column; /* from 1 */
};

/* Reads the first document of `text`. ERR_INVALID (with the place and, in the fault, what is
 * wrong), ERR_TOO_LARGE or ERR_NOMEM. Duplicate keys are an error. */
enum err doc_parse(struct str text, const struct doc_limits *limits, struct doc *out_doc,
	struct doc_place *out_place, struct fault *fault);
void doc_deinit(struct doc *doc); /* idempotent */

/* The node, or what its alias stands for. NULL for DOC_NONE. */
const struct doc_node *doc_at(const struct doc *doc, unsigned index);

/* The value of a key of a mapping, merge keys (<<) included; NULL when it is not there. */
const struct doc_node *doc_find(
	const struct doc *doc, const struct doc_node *mapping, struct str key);

/* Null, ~, or nothing at all. */
bool doc_is_null(const struct doc_node *node);
