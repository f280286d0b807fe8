#include "workers/class_pace.h"

#include <assert.h>
#include <stdio.h>

#include "workers/worker.h"

enum { KEY_BYTES = 300 };

static const double MOST_AT_ONCE = 20;

static struct str key_of(const struct map_node *node) {
	return str_of(container_of(node, struct class_pace, node)->key);
}

void class_paces_init(struct shard *shard) {
	map_init(&shard->class_paces, shard->worker->shards._key, key_of);
	list_init(&shard->class_pace_list);
}

static struct rate rate_for(unsigned per_10s, const struct settings *settings) {
	return rate_of((double)per_10s / settings->clusters_per_vault, MOST_AT_ONCE);
}

static bool holds_anybody(const struct class_pace *pace) {
	bool held = false;
	for (int i = 0; i < CLASS_COUNT; i++) held |= !list_is_empty(&pace->held[i]);
	return held;
}

static void pace_free(struct shard *shard, struct class_pace *pace) {
	assert(!holds_anybody(pace));
	map_remove(&shard->class_paces, &pace->node);
	list_remove(&pace->all);
	mem_free(pace);
}

void class_paces_sweep(struct shard *shard) {
	list_for_each_safe (link, &shard->class_pace_list) {
		struct class_pace *pace = container_of(link, struct class_pace, all);
		bool rested = pace->limit._tat_ns <= shard->worker->now.mono_ns;
		if (rested && !holds_anybody(pace)) pace_free(shard, pace);
	}
}

void class_paces_destroy(struct shard *shard) {
	list_for_each_safe (link, &shard->class_pace_list)
		pace_free(shard, container_of(link, struct class_pace, all));
	map_deinit(&shard->class_paces);
}

void class_paces_set(struct shard *shard, const struct settings *settings) {
	list_for_each (link, &shard->class_pace_list) {
		struct class_pace *pace = container_of(link, struct class_pace, all);
		struct rate rate = rate_for(pace->per_10s, settings);
		ratelimit_set_ceiling(
			&pace->limit, rate.per_s, rate.burst, shard->worker->now.mono_ns);
	}
}

static struct class_pace *pace_create(struct shard *shard, struct str key, unsigned per_10s) {
	struct class_pace *pace = mem_zalloc(sizeof *pace + key.len + 1);
	if (!pace) return NULL;
	struct rate rate = rate_for(per_10s, &shard->worker->settings);
	memcpy(pace->key, key.ptr, key.len);
	pace->per_10s = per_10s;
	ratelimit_init(&pace->limit, rate.per_s, rate.burst, shard->worker->now.mono_ns);
	for (int i = 0; i < CLASS_COUNT; i++) list_init(&pace->held[i]);
	if (map_insert(&shard->class_paces, &pace->node)) {
		mem_free(pace);
		return NULL;
	}
	list_push_back(&shard->class_pace_list, &pace->all);
	return pace;
}

/* The pace that holds for such objects; NULL: none does (or there is no memory for one: the vault's own has to do). */
static struct class_pace *pace_for(
	struct shard *shard, const struct spec *spec, const struct spc *spc) {
	char key[KEY_BYTES];
	if (!spec || !spc || !spc->requests_per_10s) return NULL;
	int len = snprintf(key, sizeof key, "%u %.*s", (unsigned)spc->requests_per_10s,
		STR_ARG(spec->common->ns));
	struct str text = { key, len < KEY_BYTES ? (size_t)len : KEY_BYTES - 1 };
	struct map_node *node = map_find(&shard->class_paces, text);
	if (node) return container_of(node, struct class_pace, node);
	return pace_create(shard, text, spc->requests_per_10s);
}

static struct class_pace *pace_of(const struct object *object) {
	struct spec *spec = spec_borrow((struct object *)object);
	struct spc *spc = spec && spec->cell ? spc_borrow(spec->cell) : NULL;
	struct class_pace *pace = pace_for(object->shard, spec, spc);
	spc_unref(spc);
	spec_unref(spec);
	return pace;
}

/* It is looked at because its poll has come, and walks tell of its vault: no request is to be expected. */
static bool asks_nothing(const struct object *object) {
	return object->wait_class == CLASS_PERIODIC && !object->reads && scan_covers(object);
}

bool class_pace_admits(struct object *object) {
	struct shard *shard = object->shard;
	if (!object->paced || object->granted || asks_nothing(object)) return true;
	struct class_pace *pace = pace_of(object);
	if (!pace) return true;
	bool free = !holds_anybody(pace);
	if (free && !ratelimit_take(&pace->limit, shard->worker->now.mono_ns)) {
		object->granted = true;
		return true;
	}
	shard_hold(object, &pace->held[object->wait_class]);
	return false;
}

void class_pace_charge(
	struct shard *shard, const struct spec *spec, const struct spc *spc, int requests) {
	struct class_pace *pace = requests ? pace_for(shard, spec, spc) : NULL;
	if (!pace) return;
	if (requests > 0)
		ratelimit_charge(&pace->limit, requests, shard->worker->now.mono_ns);
	else
		ratelimit_refund(&pace->limit, -requests);
}

/* The class whose share this is, should one be held; else the most urgent one. NULL: nobody is held. */
static struct object *next_held(struct class_pace *pace) {
	unsigned turn = pace->released % SHARE_TURNS;
	struct list *first = NULL;
	if (turn > 0 && turn < CLASS_COUNT) first = list_first(&pace->held[turn]);
	for (int i = 0; !first && i < CLASS_COUNT; i++) first = list_first(&pace->held[i]);
	return first ? container_of(first, struct object, ready) : NULL;
}

int64_t class_paces_turn(struct shard *shard) {
	int64_t now_ns = shard->worker->now.mono_ns, next_ns = NEVER_NS;
	list_for_each (link, &shard->class_pace_list) {
		struct class_pace *pace = container_of(link, struct class_pace, all);
		for (struct object *object; (object = next_held(pace));) {
			int64_t wait_ns = ratelimit_take(&pace->limit, now_ns);
			if (wait_ns && now_ns + wait_ns < next_ns) next_ns = now_ns + wait_ns;
			if (wait_ns) break;
			pace->released++;
			object->granted = true;
			shard_release(object);
		}
	}
	return next_ns;
}
