/* engine/check.h - manifests judged without a cluster, by the rules that a running engine has.
 *
 * SecretSyncs and SecretProviderClasses go through spec_build and spc_build, the functions of the informer, and so do those that
 * akv_plan_build derives from an AKVSync; what the API server
 * would refuse comes from the CRDs' own schemas. Main thread only.
 */
#pragma once

#include "engine/manifest.h"
#include "engine/spc.h"
#include "engine/spec.h"

enum check_kind { CHECK_SYNC, CHECK_CLASS, CHECK_AKVSYNC, CHECK_ACCOUNT };

/* One object that was read. All strings live in the manifests. */
struct check_object {
	const struct manifest *manifest;
	enum check_kind kind;
	struct str ns, name; /* "" where it is not usable */
	unsigned line;
	unsigned faults; /* found in it */
	bool is_template; /* it has placeholders that nobody filled in: nothing else is said of it */
	cJSON *derived; /* owned; of an object that an AKVSync stands for; NULL: it stands in the file itself */
	unsigned from; /* index of that AKVSync */
	struct spec *spec; /* of a SecretSync */
	struct spc *spc; /* of a class */
	const struct check_object
		*class; /* of a SecretSync: its class, when it is among the files */
};

struct check_note {
	const char *file;
	unsigned line; /* 0: the file as a whole */
	unsigned object; /* index; CHECK_NO_OBJECT: what is no object */
	bool is_fault; /* else: worth knowing */
	char *field; /* "spec.secretObject.data[0].sourcePath", or "" */
	char *text; /* what, where, what to do */
};
enum { CHECK_NO_OBJECT = UINT32_MAX };

struct check_options {
	struct str ns; /* of objects that do not name one */
	struct spc_defaults defaults;
	bool classes_elsewhere; /* a class that is not in the files may be in the cluster */
	bool for_plan; /* accounts alone are nothing to plan */
	char *const *
		paths; /* what was named: a fault where nothing of ours is in it; NULL: not asked */
	int path_count;
};

struct check_result {
	const struct manifests *manifests;
	struct check_object *objects;
	struct check_note *notes; /* in the order of the files and their lines */
	unsigned count, note_count, fault_count;
	unsigned foreign_count; /* kinds of these names that are another product's */
	unsigned kinds[CHECK_ACCOUNT + 1]; /* how many of each */
};

/* Which kinds manifests_init() is to ask for. */
bool check_wants(struct str kind);

/* Judges what was read. ERR_NOMEM only. */
enum err check_manifests(const struct manifests *manifests, const struct check_options *options,
	struct check_result *out_result);
void check_result_deinit(struct check_result *result); /* idempotent */

/* The object as it was read, or derived. Borrowed. */
const cJSON *check_json(const struct check_object *object);

/* A SecretSync whose objects are known: it and its class are without a fault. */
bool check_is_sound(const struct check_object *object);

/* Whose token opens the vault: one line for people; the members that name vault and identity for programs. */
struct json_writer;
void check_write_identity(const struct spec *spec, const struct spc *spc, struct buf *out_text);
void check_add_vault(struct json_writer *w, cJSON *json, const struct spc *spc);

/* check_report.c: faults and what would be fetched, for people and for programs. No value of a secret is known here. */
void check_write_notes(const struct check_result *result, struct buf *out_text);
void check_write_table(const struct check_result *result, struct buf *out_text);
enum err check_write_json(const struct check_result *result, cJSON **out_json);
/* The members faults and notes alone. */
enum err check_write_notes_json(const struct check_result *result, cJSON *document);
