/* workers/secret_seen.h - what a watch of Secrets tells about the Secret of one object (driftDetection: watch).
 *
 * Main judges the metadata of each Secret that a list or a watch shows, by its field managers, as a probe would: so it needs
 * no memory of what was written, an edit made while kvsync was down is found, and kvsync's own writes, which leave every
 * field with kvsync, are no news. Of each object one word is kept, object->secret_seen (4 bytes):
 *
 *   SECRET_LOST       it has to be looked at, and the object was added to the queue, or a walk or a retry will find it
 *   N >= SECRET_FIRST_LIST  list N or a watch that followed it showed it as it was left; with SECRET_UNSETTLED beside it the
 *                     next poll has to settle its managedFields
 *   SECRET_PARTIAL beside either  when it was looked at last, items had failed, which may never have been written: that nobody
 *                     has such a key is news for the next retry, not for at once; once no item fails it is looked at again
 *
 * Lists are numbered. Once list N is complete, a Secret that was last seen in an older one is gone; the workers walk over
 * their objects to find those. They walk again when a watch that broke goes on: meanwhile nobody looked because of the word.
 *
 * A look takes the word before it asks: whatever is told later counts again.
 */
#pragma once

#include <cjson/cJSON.h>

#include "clients/kube.h"
#include "workers/object.h"

enum { SECRET_LOST, SECRET_FIRST_LIST };
#define SECRET_UNSETTLED (UINT32_C(1) << 31)
#define SECRET_PARTIAL (UINT32_C(1) << 30)

enum secret_verdict {
	SECRET_WELL,
	SECRET_TO_SETTLE, /* as it was left, but an Update entry of ours is to become part of the Apply entry */
	SECRET_LACKING, /* a field belongs to nobody: it was removed, or never written */
	SECRET_TOUCHED, /* a field, a mark or the owner is not as it was left */
};

/* Pure; main, which is the writer of specs. ERR_NOMEM, ERR_PARSE. */
enum err secret_judge(
	const struct spec *spec, const struct kube_meta *meta, enum secret_verdict *out_verdict);

/* Main: list number `list`, or the watch behind it, has shown the Secret. Adds the object where it is to be looked at at once. */
void secret_tell(struct object *object, enum secret_verdict verdict, uint32_t list);
/* Main: it is gone, or does not carry our label any more. */
void secret_tell_gone(struct object *object);

/* Home. `list`: the last complete one, not 0. */
bool secret_is_lost(const struct object *object, uint32_t list);
bool secret_is_unsettled(const struct object *object);
void secret_begin_look(struct object *object, uint32_t list, bool partial);
void secret_look_failed(struct object *object);
bool secret_was_partial(const struct object *object); /* the last look has passed over items */

/* One field that somebody else took, and who. */
enum { THEFT_TEXT_BYTES = 128 };
struct theft {
	char field[THEFT_TEXT_BYTES];
	char manager[THEFT_TEXT_BYTES]; /* the one that has it, or else the one that wrote last */
	bool rivalled; /* somebody has it */
};

struct sync;
/* A field of the SecretSync that is not ours any more; one that somebody else has, where there is one. `list`: the parsed managedFields; `sync`: its failed items are
 * passed over; NULL: none is. */
bool secret_find_theft(const struct spec *spec, const struct sync *sync, const cJSON *list,
	struct theft *out_theft);
