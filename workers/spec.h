/* workers/spec.h - immutable snapshots of what users ask for: SecretSync (spec) and SecretProviderClass (spc).
 *
 * main builds a snapshot completely, publishes it by rcu_swap, waits for readers and drops its own reference. A reconcile
 * takes a reference inside a short read section and keeps it over many loop turns. Whoever drops the last reference frees.
 *
 *                      | any thread | main |
 *   *_borrow, *_unref  |     x      |  x   |
 *   *_create, publish  |            |  x   |
 *
 * A snapshot is small, because there are as many as objects: what repeats in a fleet (namespace, service account, type; vault,
 * tenant, client) stands in blocks that equal snapshots share, base/intern.h; a spec's names may be those of its object, and the
 * name of its class is the cell's. All other strings live in the snapshot's own block and die with it.
 */
#pragma once

#include <stdatomic.h>

#include "base/intern.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "clients/kube.h"
#include "clients/vault.h"

/* --- SecretProviderClass --- */

enum __attribute__((packed)) spc_format {
	FORMAT_PEM,
	FORMAT_PFX
}; /* of a certificate that is read as a secret */
enum __attribute__((packed)) spc_encoding {
	ENCODING_UTF8,
	ENCODING_BASE64,
	ENCODING_HEX
}; /* how the value is to be decoded */

/* One entry of `objects`. */
struct spc_object {
	struct str name;
	struct str path; /* alias, or the name: what a sourcePath begins with */
	struct str version; /* "" or "latest": the current one */
	enum vault_kind kind;
	enum spc_format format;
	enum spc_encoding encoding;
	unsigned
		history; /* 0 or 1: one version, path without an index; N >= 2: path/0 ... path/N-1 */
};

/* Whose token opens the vault. */
enum identity_kind {
	IDENTITY_WORKLOAD, /* the SecretSync's service account, exchanged at Entra */
	IDENTITY_PRINCIPAL, /* a service principal: client id and client secret stand in a Secret */
	IDENTITY_MACHINE, /* a managed identity of the node, from its metadata service */
};

/* Which vault, and as whom; or why not. Classes of one vault and identity share it. */
struct spc_access {
	struct interned interned; /* first: the block begins here */
	/* All others const after creation. */
	struct str
		fault; /* not empty: the class cannot be used; what is wrong, where, what to do */
	struct str vault_url; /* "https://name.vault.azure.net"; empty: no objects */
	enum identity_kind identity;
	struct str tenant;
	struct str client_id; /* of a machine's: empty for the one that the system assigned */
	struct str secret_name; /* of a principal: the Secret in the class's namespace */
	struct str authority; /* "https://login.microsoftonline.com" */
	struct str scope; /* "https://vault.azure.net/.default" */
	struct str audience; /* of the service account token */
	uint64_t home_hash; /* hash64_stable(vault_url): decides the home worker */
};

struct spc {
	_Atomic unsigned ref; /* atomic: acq_rel; the last one frees the block, which begins here */
	/* All others const after creation. */
	uint16_t object_count;
	uint16_t
		requests_per_10s; /* to its vault, for its SecretSyncs, at most; 0: the vault's own limit alone */
	struct spc_access *access; /* holds a reference */
	struct str uid;
	int64_t generation;
	const struct spc_object *objects;
};

void spc_unref(struct spc *spc); /* NULL is fine */

/* The stable place of a class that objects point to, whether the class exists or not. */
struct spc_cell {
	_Atomic unsigned ref; /* atomic: acq_rel; objects' specs and the store hold one each */
	uint32_t list_number; /* main: of the list that the class was seen in last */
	struct spc *now; /* rcu: writer main; NULL: no such class */
	struct map_node node; /* main */
	struct list objects; /* main: objects whose current spec names this class */
	struct list
		turn_link; /* main: in the store's list of cells whose objects are to be told of a change */
	uint16_t version_hash; /* main: of the resourceVersion that was seen last */
	char key[]; /* const: "namespace/name", with its NUL */
};

struct spc_cell *spc_cell_create(struct str key); /* ref 1 */
void spc_cell_unref(
	struct spc_cell *cell); /* any thread; frees cell and snapshot at the last one */
/* The snapshot with a reference of the caller's own, or NULL. */
struct spc *spc_borrow(struct spc_cell *cell);
/* Publishes (NULL: the class is gone) and returns the old snapshot, to be unref'd by main after rcu_sync(). */
struct spc *spc_publish(struct spc_cell *cell, struct spc *spc);

/* --- SecretSync --- */

struct spec_item {
	struct str source_path;
	struct str target_key;
};

/* What SecretSyncs of one installation mostly agree in. */
struct spec_common {
	struct interned interned; /* first: the block begins here */
	/* All others const after creation. */
	struct str ns;
	struct str fault; /* not empty: the spec cannot be used; what is wrong, where, what to do */
	struct str service_account;
	struct str type; /* never empty: Opaque by default */
	struct str force;
	int64_t interval_ns; /* spec.rotationPollIntervalInSeconds; 0: the installation's */
	const struct kube_pair *labels;
	const struct kube_pair *annotations;
	unsigned label_count, annotation_count;
};

struct spec {
	_Atomic unsigned ref; /* atomic: acq_rel; the last one frees the block, which begins here */
	/* All others const after creation. */
	uint16_t item_count;
	bool deleting; /* a deletionTimestamp is set: not reconciled */
	struct spec_common *common; /* holds a reference */
	struct spc_cell *cell; /* holds a reference; NULL when the class name is unusable */
	struct str name; /* in the block, or the object's */
	const char *uid; /* likewise; see spec_uid() */
	int64_t generation;
	const struct spec_item *items;
};

void spec_unref(struct spec *spec); /* NULL is fine */
struct str spec_class_name(const struct spec *spec); /* empty: unusable */
struct str spec_uid(const struct spec *spec);

/* A bump allocator for one snapshot: all strings and arrays of it in one block. */
struct block {
	char *_ptr;
	size_t _len, _cap;
};
enum err block_init(struct block *block, size_t bytes);
void *block_alloc(struct block *block, size_t bytes,
	size_t align); /* asserts that it fits: size it beforehand */
struct str block_str(struct block *block, struct str s);
const char *block_text(struct block *block, struct str s); /* with a NUL, which counts */
