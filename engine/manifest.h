/* engine/manifest.h - manifests as people keep them: files, folders, standard input, several documents, lists.
 *
 * Facts: kubectl cuts a file at lines that begin with "---" before it reads any of it as YAML, and takes .json, .yaml and .yml out
 * of a folder. Here folders are read with all below them, names that begin with a dot aside. Main thread only.
 */
#pragma once

#include <cjson/cJSON.h>

#include "engine/doc.h"

enum { MANIFEST_BYTES = 16 << 20 };

/* One object. */
struct manifest {
	const char *file; /* "-": standard input */
	const struct doc *doc;
	struct str source; /* text of its document */
	unsigned line_offset; /* lines of the file before its document */
	unsigned node; /* where it begins in its document */
	struct str group, version; /* of apiVersion: "" of the core */
	struct str kind;
	cJSON *json;
};

/* Something that cannot be read. */
struct manifest_fault {
	char *file;
	unsigned line; /* 0: the file as a whole */
	char *text;
	struct str source; /* the document that could not be read; STR_NULL: it could */
};

struct manifest_kind {
	char *kind; /* "(without kind)" when it does not say */
	unsigned count;
};

struct manifests {
	struct manifest *items; /* of kinds that `wanted` knows, in the order of the files */
	struct manifest_fault *faults;
	struct manifest_kind *ignored; /* other kinds */
	unsigned count, fault_count, ignored_count;
	struct manifest_text *_texts;
	bool (*_wanted)(struct str kind);
};

/* What is nearly of a kind that kvsync reads (lookalike.h) is a fault.
 * `wanted` tells kinds apart that are read from those that are only counted; the latter need not even be good YAML. */
void manifests_init(struct manifests *manifests, bool (*wanted)(struct str kind));
void manifests_deinit(struct manifests *manifests); /* idempotent */

/* Reads a file, a folder, or standard input ("-"). What is wrong goes to `faults`; fails with ERR_NOMEM only. */
enum err manifests_read(struct manifests *manifests, const char *path);
enum err manifests_read_all(struct manifests *manifests, char *const *paths, int count);
