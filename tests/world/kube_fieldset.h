/* tests/world/kube_fieldset.h - a set of field paths, as metadata.managedFields[].fieldsV1 holds it.
 *
 * A path is a chain of elements: "f:name" (a member), "k:{...}" (a list item by its keys), "v:..." (a set item).
 * A node is one element; it may itself be in the set (`member`), have longer paths below it, or both; fieldsV1 writes the
 * last as {".":{}, ...}. The format and the operations are those of Kubernetes' structured merge (field management in the
 * Kubernetes documentation of server-side apply).
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct fset {
	char *element;      /* NULL in the root */
	bool member;
	struct fset **kids; /* sorted by element */
	size_t count;
	size_t cap;
};

struct fset *fset_create(void);
void fset_destroy(struct fset *set); /* NULL is fine */
struct fset *fset_copy(const struct fset *set);

/* The node of an element below `set`, made when it is missing; not a member by that. */
struct fset *fset_descend(struct fset *set, const char *element);
/* The node of an element below `set`, or NULL. */
struct fset *fset_find(const struct fset *set, const char *element);
/* Puts the path of `depth` elements in. Depth 0 does nothing. */
void fset_insert(struct fset *set, const char *const *path, size_t depth);
bool fset_is_empty(const struct fset *set);
bool fset_equal(const struct fset *a, const struct fset *b);

/* New sets. */
struct fset *fset_union(const struct fset *a, const struct fset *b);
struct fset *fset_intersection(const struct fset *a, const struct fset *b);
struct fset *fset_difference(const struct fset *a, const struct fset *b);
/* As difference, but a member of `b` takes everything below it away, too. */
struct fset *fset_recursive_difference(const struct fset *a, const struct fset *b);

/* From fieldsV1; elements of an unknown kind are left out. NULL when it is no object. */
struct fset *fset_decode(const cJSON *fields);
cJSON *fset_encode(const struct fset *set);

/* Calls visit for each member with its path as people read it (".data.a", ".metadata.ownerReferences[uid=\"x\"]"). */
void fset_each(const struct fset *set, void (*visit)(const char *path, void *arg), void *arg);
