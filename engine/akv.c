#include "engine/akv.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/thread.h"
#include "engine/akv_impl.h"
#include "engine/spec.h"

enum {
	CALLS_MOST = 8, /* in flight */
	LOOKS_PER_TURN = 32,
	GONE_PER_TURN = 250,
	KEY_BYTES = 520,
};

/* --- what the informers tell --- */

static bool is_derived(enum kube_resource resource) {
	return resource != KUBE_AKVS;
}

static void drop_owner(struct akv *akv, struct akv_owner *owner) {
	if (owner->call) akv_call_free(akv, owner->call);
	akv_table_remove(&akv->table, owner);
}

static struct akv_owner *known_owner(const struct akv *akv, const struct object_meta *meta) {
	char key[KEY_BYTES];
	snprintf(key, sizeof key, "%.*s/%.*s", STR_ARG(meta->ns), STR_ARG(meta->name));
	struct akv_owner *owner = akv_table_find_owner(&akv->table, str_of(key));
	return owner && owner->uid[0] ? owner : NULL;
}

static bool is_about(const struct akv_call *call, enum kube_resource resource, struct str name) {
	return call->name && call->resource == resource && str_eq(str_of(call->name), name);
}

/* What the watch tells may be newer than the answer of a request that is under way: that is not believed then. */
static void overtake(struct akv *akv, enum kube_resource resource, struct str name) {
	list_for_each (node, &akv->calls) {
		struct akv_call *call = container_of(node, struct akv_call, link);
		bool about = is_about(call, resource, name);
		if (about) call->overtaken = true;
	}
}

bool akv_follows(
	const struct akv *akv, enum kube_resource resource, const struct object_meta *meta) {
	if (akv_table_find(&akv->table, resource, meta->ns, meta->name)) return true;
	list_for_each (node, &akv->calls) {
		const struct akv_call *call = container_of(node, struct akv_call, link);
		if (is_about(call, resource, meta->name)) return true;
	}
	return false;
}

static void lost(struct akv *akv, struct akv_live *live) {
	overtake(akv, live->resource, akv_live_name(live));
	akv_table_lost(&akv->table, live);
}

enum err akv_upsert(struct akv *akv, enum kube_resource resource, const cJSON *object) {
	assert_main();
	struct object_meta meta;
	enum err err = object_meta_read(object, &meta);
	if (err) return err;
	if (is_derived(resource)) {
		overtake(akv, resource, meta.name);
		return akv_table_saw(&akv->table, resource, object, NULL);
	}
	struct akv_owner *owner = known_owner(akv, &meta);
	if (owner && !str_eq(str_of(owner->uid), meta.uid)) drop_owner(akv, owner);
	return akv_table_upsert(&akv->table, object);
}

enum err akv_remove(struct akv *akv, enum kube_resource resource, const cJSON *object) {
	assert_main();
	struct object_meta meta;
	enum err err = object_meta_read(object, &meta);
	if (err) return err;
	if (is_derived(resource)) {
		struct akv_live *live = akv_table_find(&akv->table, resource, meta.ns, meta.name);
		if (live && str_eq(str_of(live->uid), meta.uid)) lost(akv, live);
		return OK;
	}
	struct akv_owner *owner = known_owner(akv, &meta);
	if (owner && str_eq(str_of(owner->uid), meta.uid)) drop_owner(akv, owner);
	return OK;
}

void akv_list_begin(struct akv *akv, enum kube_resource resource) {
	struct akv_table *table = &akv->table;
	akv->sweeping[resource] = false;
	if (is_derived(resource))
		list_splice(&table->unseen[resource], &table->seen[resource]);
	else
		list_splice(&table->unseen_owners, &table->seen_owners);
}

/* What was not in the list is gone, a slice per turn. */
void akv_list_end(struct akv *akv, enum kube_resource resource) {
	akv->sweeping[resource] = true;
	akv->synced[resource] = true;
}

/* --- turns --- */

/* The next one that a complete list did not show; NULL: there is none any more. */
static struct list *next_gone(struct akv *akv, enum kube_resource resource) {
	struct akv_table *table = &akv->table;
	if (!akv->sweeping[resource]) return NULL;
	struct list *node =
		list_pop(is_derived(resource) ? &table->unseen[resource] : &table->unseen_owners);
	if (!node) akv->sweeping[resource] = false;
	return node;
}

static void sweep_slice(struct akv *akv) {
	unsigned gone = 0;
	for (enum kube_resource resource = KUBE_CLASSES; resource <= KUBE_AKVS; resource++) {
		for (struct list *node; gone < GONE_PER_TURN && (node = next_gone(akv, resource));
			gone++) {
			if (is_derived(resource))
				lost(akv, container_of(node, struct akv_live, seen_link));
			else
				drop_owner(akv, container_of(node, struct akv_owner, seen_link));
		}
	}
}

static bool is_sweeping(const struct akv *akv) {
	return akv->sweeping[KUBE_CLASSES] || akv->sweeping[KUBE_SYNCS] || akv->sweeping[KUBE_AKVS];
}

/* What is gone must not be taken for what is there. */
static bool may_start(const struct akv *akv, struct now now) {
	bool synced =
		akv->synced[KUBE_CLASSES] && akv->synced[KUBE_SYNCS] && akv->synced[KUBE_AKVS];
	if (is_sweeping(akv)) return false;
	unsigned most = akv->unreachable ? 1 : CALLS_MOST;
	return synced && !akv->stopped && akv->call_count < most &&
	       akv->not_before_ns <= now.mono_ns && akv->paced_ns <= now.mono_ns;
}

void akv_turn(struct akv *akv, struct now now) {
	assert_main();
	list_for_each_safe (node, &akv->calls) {
		struct akv_call *call = container_of(node, struct akv_call, link);
		if (call->ended) akv_call_finish(akv, call, now);
	}
	if (akv->stopped) return;
	sweep_slice(akv);
	timers_fire(&akv->table.timers, now.mono_ns, LOOKS_PER_TURN);
	for (unsigned i = 0; i < LOOKS_PER_TURN && may_start(akv, now); i++) {
		struct list *node = list_pop(&akv->table.ready);
		if (!node) return;
		akv_look(akv, container_of(node, struct akv_owner, ready_link), now);
	}
}

int64_t akv_deadline_ns(const struct akv *akv, struct now now) {
	if (akv->stopped) return NEVER_NS;
	list_for_each (node, &akv->calls) {
		if (container_of(node, struct akv_call, link)->ended) return now.mono_ns;
	}
	if (is_sweeping(akv)) return now.mono_ns;
	int64_t due_ns = timers_next_ns(&akv->table.timers);
	bool ready = !list_is_empty(&akv->table.ready);
	if (ready && may_start(akv, now)) return now.mono_ns;
	int64_t held_ns = akv->paced_ns > akv->not_before_ns ? akv->paced_ns : akv->not_before_ns;
	if (ready && held_ns > now.mono_ns && held_ns < due_ns) due_ns = held_ns;
	return due_ns;
}

/* --- life --- */

struct akv *akv_create(struct kube *kube, struct http *http, struct rng *rng, struct hash_key key,
	void (*unauthenticated)(void *arg), void *arg) {
	struct akv *akv = mem_zalloc(sizeof *akv);
	if (!akv) return NULL;
	akv->kube = kube;
	akv->http = http;
	akv->rng = rng;
	akv->unauthenticated = unauthenticated;
	akv->arg = arg;
	list_init(&akv->calls);
	akv_table_init(&akv->table, key);
	return akv;
}

void akv_pace_writes(struct akv *akv, int64_t (*wait_ns)(void *arg, int64_t now_ns), void *arg) {
	akv->write_wait_ns = wait_ns;
	akv->pace_arg = arg;
}

void akv_stop(struct akv *akv) {
	akv->stopped = true;
	while (!list_is_empty(&akv->calls))
		akv_call_free(akv, container_of(list_first(&akv->calls), struct akv_call, link));
}

void akv_destroy(struct akv *akv) {
	if (!akv) return;
	akv_stop(akv);
	akv_table_deinit(&akv->table);
	mem_free(akv);
}

size_t akv_count(const struct akv *akv) {
	return map_count(&akv->table.owners);
}
