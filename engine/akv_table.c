#include "engine/akv_table.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "clients/json.h"
#include "engine/spec.h"

enum { KEY_BYTES = 520, MESSAGE_MOST = 512, REASON_MOST = 128 };

/* --- keys --- */

static struct str owner_key(const struct map_node *node) {
	return str_of(container_of(node, struct akv_owner, node)->key);
}

static struct str live_key(const struct map_node *node) {
	return str_of(container_of(node, struct akv_live, node)->key);
}

static struct str make_owner_key(char out_key[static KEY_BYTES], struct str ns, struct str name) {
	int len = snprintf(out_key, KEY_BYTES, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
	return (struct str){ out_key, (size_t)len };
}

static struct str make_live_key(char out_key[static KEY_BYTES], enum kube_resource resource,
	struct str ns, struct str name) {
	int len = snprintf(out_key, KEY_BYTES, "%c/%.*s/%.*s", resource == KUBE_SYNCS ? 's' : 'c',
		STR_ARG(ns), STR_ARG(name));
	return (struct str){ out_key, (size_t)len };
}

static struct str after_slash(struct str key) {
	struct str rest = key;
	while (str_find_char(rest, '/') != SIZE_MAX) str_next(&rest, '/');
	return rest;
}

struct str akv_owner_ns(const struct akv_owner *owner) {
	struct str rest = str_of(owner->key);
	return str_next(&rest, '/');
}

struct str akv_owner_name(const struct akv_owner *owner) {
	return after_slash(str_of(owner->key));
}

struct str akv_live_name(const struct akv_live *live) {
	return after_slash(str_of(live->key));
}

/* --- owners --- */

void akv_table_wake(struct akv_owner *owner) {
	if (!owner->uid[0] || owner->call || list_is_linked(&owner->ready_link)) return;
	list_push_back(&owner->table->ready, &owner->ready_link);
}

static void timer_fired(struct timer *timer) {
	akv_table_wake(container_of(timer, struct akv_owner, timer));
}

/* Those whose names strangers had look again: a name may be free now. */
static void wake_blocked(struct akv_table *table) {
	for (struct list *node; (node = list_pop(&table->blocked));)
		akv_table_wake(container_of(node, struct akv_owner, blocked_link));
}

struct akv_owner *akv_table_find_owner(const struct akv_table *table, struct str key) {
	struct map_node *node = map_find(&table->owners, key);
	return node ? container_of(node, struct akv_owner, node) : NULL;
}

static struct akv_owner *make_owner(struct akv_table *table, struct str ns, struct str name) {
	char buffer[KEY_BYTES];
	struct str key = make_owner_key(buffer, ns, name);
	struct akv_owner *owner = akv_table_find_owner(table, key);
	if (owner) return owner;
	if (timers_reserve(&table->timers, map_count(&table->owners) + 1)) return NULL;
	owner = mem_zalloc(sizeof *owner);
	if (!owner) return NULL;
	owner->key = mem_strdup(key);
	if (!owner->key || map_insert(&table->owners, &owner->node)) {
		mem_free(owner->key);
		mem_free(owner);
		return NULL;
	}
	owner->table = table;
	list_init(&owner->children);
	list_init(&owner->strangers);
	timer_init(&owner->timer, timer_fired);
	return owner;
}

/* A shell stays while something names it. */
static void release_owner(struct akv_owner *owner) {
	if (owner->uid[0] || !list_is_empty(&owner->children) || !list_is_empty(&owner->strangers))
		return;
	assert(!owner->call);
	map_remove(&owner->table->owners, &owner->node);
	mem_free(owner->key);
	mem_free(owner);
}

static void forget_strangers(struct akv_owner *owner);

/* What follows from an older state of it. */
static void reset_owner(struct akv_owner *owner) {
	akv_plan_deinit(&owner->plan);
	mem_free(take(owner->fault));
	forget_strangers(owner);
	list_remove(&owner->blocked_link);
}

void akv_table_remove(struct akv_table *table, struct akv_owner *owner) {
	assert(!owner->call);
	reset_owner(owner);
	timer_stop(&table->timers, &owner->timer);
	list_remove(&owner->ready_link);
	list_remove(&owner->seen_link);
	owner->uid[0] = 0;
	release_owner(owner);
}

static enum condition_value value_of(struct str text) {
	if (str_eq(text, STR("True"))) return CONDITION_TRUE;
	if (str_eq(text, STR("False"))) return CONDITION_FALSE;
	return text.len ? CONDITION_UNKNOWN : CONDITION_ABSENT;
}

static const cJSON *ready_condition(const cJSON *object) {
	const cJSON *conditions = json_get(object, "status.conditions");
	for (const cJSON *c = cJSON_IsArray(conditions) ? conditions->child : NULL; c;
		c = c->next) {
		if (str_eq(json_str(c, "type"), STR("Ready"))) return c;
	}
	return NULL;
}

static void copy_text(char *out_text, size_t bytes, struct str text) {
	snprintf(out_text, bytes, "%.*s", STR_ARG(text));
}

/* Times of transitions are no difference worth a write. */
static void read_status(struct akv_owner *owner, const cJSON *object) {
	const cJSON *ready = ready_condition(object);
	owner->status_digest = akv_digest(json_get(object, "status"), "lastTransitionTime");
	owner->ready = value_of(json_str(ready, "status"));
	copy_text(owner->since, sizeof owner->since, json_str(ready, "lastTransitionTime"));
}

static enum err replan(struct akv_owner *owner, const cJSON *object) {
	struct akv_plan plan = { 0 };
	struct fault fault = { 0 };
	char *text = NULL;
	enum err err = akv_plan_build(object, &plan, &fault);
	if (err == ERR_INVALID) {
		text = mem_strdup(str_of(fault.text));
		err = text ? OK : ERR_NOMEM;
	}
	if (err) return err;
	reset_owner(owner);
	owner->plan = plan;
	owner->fault = text;
	owner->status_retry_ns = 0;
	return OK;
}

enum err akv_table_upsert(struct akv_table *table, const cJSON *object) {
	struct object_meta meta;
	enum err err = object_meta_read(object, &meta);
	if (err) return err;
	struct akv_owner *owner = make_owner(table, meta.ns, meta.name);
	if (!owner) return ERR_NOMEM;
	bool same = str_eq(str_of(owner->uid), meta.uid) && owner->generation == meta.generation;
	if (!same) err = replan(owner, object);
	if (err) {
		release_owner(owner);
		return err;
	}
	copy_text(owner->uid, sizeof owner->uid, meta.uid);
	owner->generation = meta.generation;
	owner->deleting = meta.deleting;
	read_status(owner, object);
	list_remove(&owner->seen_link);
	list_push_back(&table->seen_owners, &owner->seen_link);
	akv_table_wake(owner);
	return OK;
}

/* --- derived objects --- */

struct akv_live *akv_table_find(const struct akv_table *table, enum kube_resource resource,
	struct str ns, struct str name) {
	char buffer[KEY_BYTES];
	struct map_node *node = map_find(&table->lives, make_live_key(buffer, resource, ns, name));
	return node ? container_of(node, struct akv_live, node) : NULL;
}

static void unlink_home(struct akv_live *live) {
	struct akv_owner *home = take(live->home);
	list_remove(&live->home_link);
	if (home) release_owner(home);
}

static void free_live(struct akv_live *live) {
	list_remove(&live->seen_link);
	unlink_home(live);
	mem_free(live->key);
	mem_free(live->holder);
	mem_free(live->reason);
	mem_free(live->message);
	mem_free(live);
}

static void forget_strangers(struct akv_owner *owner) {
	for (struct list *node; (node = list_pop(&owner->strangers));) {
		struct akv_live *live = container_of(node, struct akv_live, home_link);
		map_remove(&owner->table->lives, &live->node);
		live->home = NULL;
		free_live(live);
	}
}

void akv_table_lost(struct akv_table *table, struct akv_live *live) {
	if (live->home) akv_table_wake(live->home);
	map_remove(&table->lives, &live->node);
	free_live(live);
	wake_blocked(table);
}

/* The one owner reference that controls; NULL: none. */
static const cJSON *controller_of(const cJSON *object) {
	const cJSON *owners = json_get(object, "metadata.ownerReferences");
	for (const cJSON *o = cJSON_IsArray(owners) ? owners->child : NULL; o; o = o->next) {
		if (json_bool(o, "controller", false)) return o;
	}
	return NULL;
}

static bool is_akv(const cJSON *reference) {
	struct str uid = json_str(reference, "uid");
	return str_eq(json_str(reference, "kind"), STR("AKVSync")) &&
	       str_starts(json_str(reference, "apiVersion"), STR("secret-sync.x-k8s.io/")) &&
	       uid.len > 0 && uid.len < KUBE_UID_BYTES && json_str(reference, "name").len > 0 &&
	       json_str(reference, "name").len <= 253;
}

static enum err keep_text(char **text, struct str value) {
	char *copy = value.len ? mem_strdup(value) : NULL;
	if (value.len && !copy) return ERR_NOMEM;
	mem_free(*text);
	*text = copy;
	return OK;
}

/* Cut at the beginning of a character. */
static struct str cut(struct str text, size_t most) {
	if (text.len <= most) return text;
	while (most > 0 && ((unsigned char)text.ptr[most] & 0xc0) == 0x80) most--;
	return str_slice(text, 0, most);
}

static enum err keep_ready(struct akv_live *live, const cJSON *object) {
	const cJSON *ready = ready_condition(object);
	enum err err = keep_text(&live->reason, cut(json_str(ready, "reason"), REASON_MOST));
	if (!err) err = keep_text(&live->message, cut(json_str(ready, "message"), MESSAGE_MOST));
	live->ready = value_of(json_str(ready, "status"));
	return err;
}

static enum err keep_holder(struct akv_live *live, const cJSON *controller) {
	char text[KEY_BYTES] = "";
	if (controller && !live->is_child)
		snprintf(text, sizeof text, "%.64s %.*s", json_str(controller, "kind").ptr,
			STR_ARG(cut(json_str(controller, "name"), 253)));
	return keep_text(&live->holder, str_of(text));
}

/* `is_answer`: to a write of our own, which may come after the watch has told of a status that is younger. */
static enum err fill_live(struct akv_live *live, const struct object_meta *meta,
	const cJSON *object, const cJSON *controller, bool is_answer) {
	bool keeps_status = is_answer && str_eq(str_of(live->uid), meta->uid);
	struct str version = json_str(object, "metadata.resourceVersion");
	if (version.len == 0 || version.len >= sizeof live->version) return ERR_INVALID;
	copy_text(live->uid, sizeof live->uid, meta->uid);
	copy_text(live->version, sizeof live->version, version);
	copy_text(live->owner_uid, sizeof live->owner_uid,
		live->is_child ? json_str(controller, "uid") : STR(""));
	live->generation = meta->generation;
	live->deleting = meta->deleting;
	live->digest = akv_digest(json_get(object, "spec"), NULL);
	enum err err = keep_holder(live, controller);
	bool done = err || live->resource != KUBE_SYNCS || keeps_status;
	return done ? err : keep_ready(live, object);
}

static struct akv_live *make_live(
	struct akv_table *table, enum kube_resource resource, const struct object_meta *meta) {
	char buffer[KEY_BYTES];
	struct str key = make_live_key(buffer, resource, meta->ns, meta->name);
	struct akv_live *live = mem_zalloc(sizeof *live);
	if (!live) return NULL;
	live->resource = resource;
	live->key = mem_strdup(key);
	if (live->key && map_insert(&table->lives, &live->node) == OK) return live;
	mem_free(live->key);
	mem_free(live);
	return NULL;
}

static void move_home(struct akv_live *live, struct akv_owner *home, bool is_child) {
	struct akv_owner *old = live->home;
	list_remove(&live->home_link);
	live->home = home;
	live->is_child = is_child;
	list_push_back(is_child ? &home->children : &home->strangers, &live->home_link);
	if (old == home && is_child) return;
	if (old && old != home) {
		akv_table_wake(old);
		release_owner(old);
	}
	wake_blocked(home->table);
}

enum err akv_table_saw(struct akv_table *table, enum kube_resource resource, const cJSON *object,
	struct akv_owner *asker) {
	struct object_meta meta;
	enum err err = object_meta_read(object, &meta);
	if (err) return err;
	const cJSON *controller = controller_of(object);
	bool is_child = is_akv(controller);
	struct akv_live *live = akv_table_find(table, resource, meta.ns, meta.name);
	struct akv_owner *home = asker;
	if (!is_child && !live && !asker) return OK;
	if (!home && live) home = live->home;
	if (is_child) home = make_owner(table, meta.ns, json_str(controller, "name"));
	if (is_child && !home) return ERR_NOMEM;
	if (!live) live = make_live(table, resource, &meta);
	if (!live) {
		release_owner(home);
		return ERR_NOMEM;
	}
	move_home(live, home, is_child);
	list_remove(&live->seen_link);
	list_push_back(&table->seen[resource], &live->seen_link);
	err = fill_live(live, &meta, object, controller, asker != NULL);
	akv_table_wake(home);
	if (err) akv_table_lost(table, live);
	return err;
}

/* --- life --- */

void akv_table_init(struct akv_table *table, struct hash_key key) {
	map_init(&table->owners, key, owner_key);
	map_init(&table->lives, key, live_key);
	timers_init(&table->timers);
	list_init(&table->ready);
	list_init(&table->blocked);
	list_init(&table->seen_owners);
	list_init(&table->unseen_owners);
	for (unsigned i = 0; i < 2; i++) {
		list_init(&table->seen[i]);
		list_init(&table->unseen[i]);
	}
}

static void drop_live(struct map_node *node, void *arg) {
	struct akv_table *table = arg;
	map_remove(&table->lives, node);
	free_live(container_of(node, struct akv_live, node));
}

static void drop_owner(struct map_node *node, void *arg) {
	akv_table_remove(arg, container_of(node, struct akv_owner, node));
}

void akv_table_deinit(struct akv_table *table) {
	map_each(&table->lives, drop_live, table);
	map_each(&table->owners, drop_owner, table);
	map_deinit(&table->lives);
	map_deinit(&table->owners);
	timers_deinit(&table->timers);
}
