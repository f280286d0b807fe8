/* tests/world/kube_managed.h - metadata.managedFields: who owns which field.
 *
 * An entry is known by manager, operation, subresource and, for Update, apiVersion. The rules are those of Kubernetes'
 * documentation of server-side apply, and were checked against a kube-apiserver 1.36 by tests/k8s/requests.py.
 */
#pragma once

#include "tests/world/kube_fieldset.h"

struct manager {
	char *name;
	char *api_version;
	char *subresource; /* "" for the object itself */
	char *time;        /* RFC 3339; NULL: none */
	bool applied;      /* operation Apply, else Update */
	struct fset *set;
};

struct managers {
	struct manager *items;
	size_t count;
	size_t cap;
};

/* One write as field management sees it. All borrowed. */
struct managed_write {
	const char *manager;
	const char *api_version;
	const char *subresource;
	const char *time;
	const cJSON *schema;
	const struct fset *reset; /* fields that this endpoint does not own; NULL: none */
	const cJSON *empty;       /* what a new object of this kind looks like before anything is set */
	bool force;               /* apply: take fields from others */
};

/* False when an entry cannot be understood; `out` is empty then. */
bool managers_decode(const cJSON *entries, struct managers *out);
cJSON *managers_encode(struct managers *managers); /* sorted; NULL when there is none */
void managers_deinit(struct managers *managers);
struct manager *managers_find(struct managers *managers, const char *name, bool applied, const char *api_version,
			      const char *subresource);

struct manager *managers_add(struct managers *managers); /* zeroed; valid until the next add or drop */
void managers_drop(struct managers *managers, struct manager *manager);

/* Sets new->metadata.managedFields for a create (live NULL), an update or a patch. */
void managed_update(const struct managed_write *write, const cJSON *live, cJSON *new);

struct managed_conflict {
	char *manager; /* as a person reads it: "kubectl-edit" using v1 */
	char *path;
};

struct managed_conflicts {
	struct managed_conflict *items;
	size_t count;
	size_t cap;
};
void managed_conflicts_deinit(struct managed_conflicts *conflicts);

/* The object after an apply of `config` to `live` (NULL: it does not exist), managedFields set. NULL when fields belong to
 * others and `write->force` is not set: they stand in out_conflicts then. */
cJSON *managed_apply(const struct managed_write *write, const cJSON *live, const cJSON *config,
		     struct managed_conflicts *out_conflicts);
