/* workers/class_pace.h - paces that SecretProviderClasses ask for, each below that of its vault.
 *
 * Classes of one namespace that name one vault and the same number keep one pace together, so that a class for each Secret means
 * what one class for all of them does; no other namespace has less for it. An object of such a class takes a request from its pace
 * when its turn has come, and when there is none, is held here, without a place among the reconciles of its vault; when there is
 * one again the most urgent of those that are held goes back in line, in front. What a reconcile needs beyond one request, or less,
 * is counted as the shares count it, so that the pace holds on average: the requests of one SecretSync go together.
 *
 * One owner: the worker. Times are mono_ns.
 */
#pragma once

#include "queue/ratelimit.h"
#include "workers/object.h"
#include "workers/settings.h"

struct class_pace {
	struct map_node node; /* in shard.class_paces */
	struct list all; /* in shard.class_pace_list */
	struct ratelimit limit;
	struct list held[CLASS_COUNT]; /* of object.ready */
	unsigned released; /* so far: every class gets its share by this number */
	unsigned per_10s;
	char key[]; /* of the namespace and the number */
};

/* For the shard's life. */
void class_paces_init(struct shard *shard);
void class_paces_sweep(struct shard *shard); /* frees those that a new one would not differ from */
void class_paces_destroy(struct shard *shard); /* nobody is held */

/* clustersPerVault may have changed. */
void class_paces_set(struct shard *shard, const struct settings *settings);

/* The object's turn has come. False: it is held, and stays where it was counted as waiting. */
bool class_pace_admits(struct object *object);

/* A reconcile, begun under this spec and class, needs so many requests more (or fewer: negative) than were counted for it. */
void class_pace_charge(
	struct shard *shard, const struct spec *spec, const struct spc *spc, int requests);

/* Who may go is put back in line; returns when it wants to be called again. */
int64_t class_paces_turn(struct shard *shard);
