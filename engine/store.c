#include "engine/store.h"

#include <assert.h>

#include "base/thread.h"
#include "engine/retire.h"
#include "engine/spec.h"

enum { ADDS_PER_TURN = 2000, DELETES_PER_TURN = 500, SWEPT_PER_TURN = 1000, KEY_BYTES = 512 };

struct store {
	struct queue *first;
	struct spc_defaults defaults;
	enum reason_names names;
	struct cell_source cells; /* how spec_build finds a class */
	struct intern accesses, commons; /* what snapshots share */
	struct map syncs; /* struct object */
	struct map classes; /* struct spc_cell */
	uint32_t list_number
		[STORE_KINDS]; /* of the list that runs, or ran last: who carries it was seen in it, or came since */
	bool listing[STORE_KINDS]; /* a list runs */
	bool distrusts[STORE_KINDS]; /* until the next complete list */
	int64_t doubted_ns; /* what distrusts[STORE_SYNCS] is about; see object_tell() */
	bool sweeping[STORE_KINDS]; /* the list is complete: what was not seen goes */
	struct map_walk walk[STORE_KINDS]; /* how far that has got */
	struct list
		fanout; /* cells whose objects are to be told; of the first some may be told already */
	struct list todo; /* the objects of that first one that are not */
	bool telling; /* `todo` is about the first one */
	struct list closing; /* objects without a spec, until their worker hands them back */
	size_t class_count, closing_count;
	struct retire_list retired;
};

static struct str object_key(const struct map_node *node) {
	return str_of(container_of(node, struct object, node)->key);
}

static struct str cell_key(const struct map_node *node) {
	return str_of(container_of(node, struct spc_cell, node)->key);
}

/* "namespace/name" in the caller's buffer; both parts are checked names of at most 253 bytes. */
static struct str make_key(char buffer[static KEY_BYTES], struct str ns, struct str name) {
	assert(ns.len + name.len + 1 <= KEY_BYTES);
	memcpy(buffer, ns.ptr, ns.len);
	buffer[ns.len] = '/';
	memcpy(buffer + ns.len + 1, name.ptr, name.len);
	return (struct str){ buffer, ns.len + 1 + name.len };
}

/* --- cells --- */

static struct spc_cell *find_cell(const struct store *store, struct str key) {
	struct map_node *node = map_find(&store->classes, key);
	return node ? container_of(node, struct spc_cell, node) : NULL;
}

static struct spc_cell *make_cell(struct store *store, struct str ns, struct str name) {
	char buffer[KEY_BYTES];
	struct str key = make_key(buffer, ns, name);
	struct spc_cell *cell = find_cell(store, key);
	if (cell) return cell;
	cell = spc_cell_create(key);
	if (!cell) return NULL;
	list_init(&cell->turn_link);
	if (map_insert(&store->classes, &cell->node) == OK) return cell;
	spc_cell_unref(cell);
	return NULL;
}

static struct spc_cell *referenced_cell(
	struct cell_source *source, struct str ns, struct str name) {
	struct spc_cell *cell = make_cell(container_of(source, struct store, cells), ns, name);
	if (cell) atomic_fetch_add_explicit(&cell->ref, 1, memory_order_relaxed);
	return cell;
}

static bool is_telling(const struct store *store, const struct spc_cell *cell) {
	return store->telling && list_first(&store->fanout) == &cell->turn_link;
}

/* A cell stays in the table while there is a class or an object of it. */
static void release_cell(struct store *store, struct spc_cell *cell) {
	if (cell->now || !list_is_empty(&cell->objects)) return;
	if (is_telling(store, cell)) {
		if (!list_is_empty(&store->todo)) return;
		store->telling = false;
	}
	list_remove(&cell->turn_link);
	map_remove(&store->classes, &cell->node);
	spc_cell_unref(cell);
}

/* Has every object of a cell added to the queue, a slice per turn. */
static void tell_objects(struct store *store, struct spc_cell *cell) {
	if (is_telling(store, cell))
		list_splice(&store->todo, &cell->objects);
	else if (!list_is_empty(&cell->objects) && !list_is_linked(&cell->turn_link))
		list_push_back(&store->fanout, &cell->turn_link);
}

static void publish_class(struct store *store, struct spc_cell *cell, struct spc *spc) {
	retire_spc(&store->retired, spc_publish(cell, spc));
	tell_objects(store, cell);
}

static uint16_t version_hash(const struct object_meta *id) {
	return (uint16_t)hash64_stable(id->version);
}

/* In a list, what is not as it was seen last may differ in more than uid and generation tell: between the two may lie a
 * backup, in which a generation came twice and a status went back. Events of a watch come without a gap. */
static bool is_anew(const struct store *store, enum store_kind kind, uint32_t seen,
	const struct object_meta *id) {
	if (store->distrusts[kind]) return true;
	return store->listing[kind] && seen != version_hash(id);
}

static enum err class_upsert(
	struct store *store, const struct object_meta *id, const cJSON *object) {
	struct spc_cell *cell = make_cell(store, id->ns, id->name);
	if (!cell) return ERR_NOMEM;
	bool known = cell->now != NULL;
	cell->list_number = store->list_number[STORE_CLASSES];
	bool anew = is_anew(store, STORE_CLASSES, cell->version_hash, id);
	cell->version_hash = version_hash(id);
	if (known && !anew && cell->now->generation == id->generation &&
		str_eq(cell->now->uid, id->uid))
		return OK;
	struct spc *spc;
	enum err err = spc_build(object, &store->defaults, &spc);
	if (err) {
		release_cell(store, cell);
		return err;
	}
	if (!known) store->class_count++;
	publish_class(store, cell, spc);
	return OK;
}

static void class_remove(struct store *store, struct spc_cell *cell) {
	assert(cell->now);
	store->class_count--;
	publish_class(store, cell, NULL);
	release_cell(store, cell);
}

/* --- objects --- */

static struct object *find_object(const struct store *store, struct str key) {
	struct map_node *node = map_find(&store->syncs, key);
	return node ? container_of(node, struct object, node) : NULL;
}

static void link_cell(struct object *object, struct spc_cell *cell) {
	if (cell) list_push_back(&cell->objects, &object->cell_link);
}

/* Replaces the spec (NULL: the SecretSync is gone) and moves the object to the new spec's cell. */
static void publish_spec(struct store *store, struct object *object, struct spec *spec) {
	struct spec *old = rcu_swap(object->spec, spec);
	list_remove(&object->cell_link);
	link_cell(object, spec ? spec->cell : NULL);
	if (old && old->cell) release_cell(store, old->cell);
	retire_spec(&store->retired, old);
}

/* The last add of this object; its worker hands it back. */
static void object_close(struct store *store, struct object *object) {
	map_remove(&store->syncs, &object->node);
	publish_spec(store, object, NULL);
	list_push_back(&store->closing, &object->cell_link);
	store->closing_count++;
	queue_close(&object->item);
}

/* The snapshot of what the JSON asks for; its names are the object's own. */
static enum err build_spec(struct store *store, const struct object *object,
	const struct object_meta *id, const cJSON *json, struct spec **out_spec) {
	struct object_meta kept = *id;
	kept.ns = object_namespace(object);
	kept.name = object_name(object);
	kept.uid = object_uid(object);
	kept.kept = true;
	return spec_build(json, &kept, &store->cells, out_spec);
}

/* The status in the JSON is that of the last process, or of another controller. */
static enum err object_make(struct store *store, struct str key, const struct object_meta *id,
	const cJSON *json, struct object **out_object) {
	struct status status = { 0 };
	enum err err = status_parse(
		cJSON_GetObjectItemCaseSensitive(json, "status"), store->names, id->uid, &status);
	if (!err && status_is_anothers(&status, id->uid)) status_deinit(&status);
	if (!err) err = object_create(key, id->uid, &status, store->first, out_object);
	if (err) status_deinit(&status);
	return err;
}

static enum err object_add(
	struct store *store, struct str key, const struct object_meta *id, const cJSON *json) {
	struct object *object = NULL;
	struct spec *spec = NULL;
	enum err err = object_make(store, key, id, json, &object);
	if (!err) err = build_spec(store, object, id, json, &spec);
	if (!err) err = map_insert(&store->syncs, &object->node);
	if (err) {
		if (spec && spec->cell) release_cell(store, spec->cell);
		spec_unref(spec);
		object_destroy(object);
		return err;
	}
	object->list_number = store->list_number[STORE_SYNCS];
	object->version_hash = version_hash(id);
	publish_spec(store, object, spec);
	queue_add(&object->item);
	return OK;
}

static enum err object_update(struct store *store, struct object *object,
	const struct object_meta *id, const cJSON *json) {
	struct spec *spec;
	enum err err = build_spec(store, object, id, json, &spec);
	if (err) return err;
	publish_spec(store, object, spec);
	queue_add(&object->item);
	return OK;
}

/* What the API server has of it now, for an object that has learned something else. */
static enum err tell_status(struct store *store, struct object *object, const cJSON *json) {
	struct status status = { 0 };
	enum err err = status_parse(cJSON_GetObjectItemCaseSensitive(json, "status"), store->names,
		object_uid(object), &status);
	if (!err && status_is_anothers(&status, object_uid(object))) status_deinit(&status);
	bool distrusted = store->distrusts[STORE_SYNCS];
	if (!err) err = object_tell(object, &status, distrusted ? store->doubted_ns : INT64_MAX);
	status_deinit(&status);
	return err;
}

static bool is_same(const struct object *object, const struct object_meta *id) {
	const struct spec *spec = object->spec; /* main is its only writer */
	return spec && spec->generation == id->generation && spec->deleting == id->deleting;
}

static enum err sync_upsert(struct store *store, const struct object_meta *id, const cJSON *json) {
	char buffer[KEY_BYTES];
	struct str key = make_key(buffer, id->ns, id->name);
	struct object *object = find_object(store, key);
	bool anew = false;
	if (object && !str_eq(object_uid(object), id->uid)) {
		object_close(store, object);
		object = NULL;
	}
	if (object) {
		object->list_number = store->list_number[STORE_SYNCS];
		anew = is_anew(store, STORE_SYNCS, object->version_hash, id);
		object->version_hash = version_hash(id);
		if (!anew && is_same(object, id)) return OK;
	}
	enum err err = anew ? tell_status(store, object, json) : OK;
	if (err) return err;
	return object ? object_update(store, object, id, json) : object_add(store, key, id, json);
}

/* --- the outside --- */

struct store *store_create(struct queue *first, struct hash_key key,
	const struct spc_defaults *defaults, enum reason_names names) {
	struct store *store = mem_zalloc(sizeof *store);
	if (!store) return NULL;
	store->first = first;
	store->defaults = *defaults;
	store->names = names;
	intern_init(&store->accesses, key);
	intern_init(&store->commons, key);
	store->defaults.accesses = &store->accesses;
	store->cells = (struct cell_source){ referenced_cell, &store->commons };
	map_init(&store->syncs, key, object_key);
	map_init(&store->classes, key, cell_key);
	list_init(&store->fanout);
	list_init(&store->todo);
	list_init(&store->closing);
	return store;
}

static void drop_object(struct object *object) {
	list_remove(&object->cell_link);
	object_destroy(object);
}

static void drop_known_object(struct map_node *node, void *arg) {
	map_remove(&((struct store *)arg)->syncs, node);
	drop_object(container_of(node, struct object, node));
}

static void drop_cell(struct map_node *node, void *arg) {
	struct store *store = arg;
	struct spc_cell *cell = container_of(node, struct spc_cell, node);
	list_remove(&cell->turn_link);
	map_remove(&store->classes, node);
	spc_cell_unref(cell);
}

void store_destroy(struct store *store) {
	if (!store) return;
	assert_main();
	retire_flush(&store->retired);
	map_each(&store->syncs, drop_known_object, store);
	for (struct list *node; (node = list_first(&store->closing));)
		drop_object(container_of(node, struct object, cell_link));
	map_each(&store->classes, drop_cell, store);
	map_deinit(&store->syncs);
	map_deinit(&store->classes);
	intern_deinit(&store->accesses);
	intern_deinit(&store->commons);
	mem_free(store);
}

enum err store_upsert(struct store *store, enum store_kind kind, const cJSON *object) {
	assert_main();
	struct object_meta id;
	enum err err = object_meta_read(object, &id);
	if (err) return err;
	return kind == STORE_CLASSES ? class_upsert(store, &id, object)
				     : sync_upsert(store, &id, object);
}

static bool knows_class(struct store *store, struct str key, const struct object_meta *meta) {
	struct spc_cell *cell = find_cell(store, key);
	bool same = cell && cell->now && cell->now->generation == meta->generation &&
		    str_eq(cell->now->uid, meta->uid) &&
		    !is_anew(store, STORE_CLASSES, cell->version_hash, meta);
	if (!same) return false;
	cell->list_number = store->list_number[STORE_CLASSES];
	cell->version_hash = version_hash(meta);
	return true;
}

bool store_knows(struct store *store, enum store_kind kind, const struct object_meta *meta) {
	assert_main();
	char buffer[KEY_BYTES];
	if (meta->ns.len + meta->name.len + 1 > KEY_BYTES) return false;
	struct str key = make_key(buffer, meta->ns, meta->name);
	if (kind == STORE_CLASSES) return knows_class(store, key, meta);
	struct object *object = find_object(store, key);
	bool same = object && str_eq(object_uid(object), meta->uid) && is_same(object, meta) &&
		    !is_anew(store, STORE_SYNCS, object->version_hash, meta);
	if (!same) return false;
	object->list_number = store->list_number[STORE_SYNCS];
	object->version_hash = version_hash(meta);
	return true;
}

enum err store_delete(struct store *store, enum store_kind kind, const cJSON *json) {
	assert_main();
	struct object_meta id;
	enum err err = object_meta_read(json, &id);
	if (err) return err;
	char buffer[KEY_BYTES];
	struct str key = make_key(buffer, id.ns, id.name);
	if (kind == STORE_CLASSES) {
		struct spc_cell *cell = find_cell(store, key);
		if (cell && cell->now) class_remove(store, cell);
		return OK;
	}
	struct object *object = find_object(store, key);
	if (object && str_eq(object_uid(object), id.uid)) object_close(store, object);
	return OK;
}

void store_distrust(struct store *store, enum store_kind kind, int64_t doubted_ns) {
	assert_main();
	bool earlier = !store->distrusts[STORE_SYNCS] || doubted_ns < store->doubted_ns;
	if (kind == STORE_SYNCS && earlier) store->doubted_ns = doubted_ns;
	store->distrusts[kind] = true;
}

void store_list_begin(struct store *store, enum store_kind kind) {
	assert_main();
	store->list_number[kind]++;
	store->sweeping[kind] = false;
	store->listing[kind] = true;
}

void store_list_end(struct store *store, enum store_kind kind) {
	assert_main();
	store->sweeping[kind] = true;
	store->walk[kind] = (struct map_walk){ 0 };
	store->distrusts[kind] = store->listing[kind] = false;
}

void store_take_retired(struct store *store, struct object **object) {
	assert_main();
	assert(list_is_linked(&(*object)->cell_link) && !(*object)->spec);
	list_remove(&(*object)->cell_link);
	store->closing_count--;
	retire_object(&store->retired, take(*object));
}

static void fanout_slice(struct store *store) {
	for (unsigned adds = 0; adds < ADDS_PER_TURN && !list_is_empty(&store->fanout);) {
		struct spc_cell *cell =
			container_of(list_first(&store->fanout), struct spc_cell, turn_link);
		if (!store->telling) list_splice(&store->todo, &cell->objects);
		store->telling = true;
		struct list *node = list_pop(&store->todo);
		if (!node) {
			store->telling = false;
			list_remove(&cell->turn_link);
			release_cell(store, cell);
			continue;
		}
		list_push_back(&cell->objects, node);
		queue_add(&container_of(node, struct object, cell_link)->item);
		adds++;
	}
}

struct sweep {
	struct store *store;
	unsigned deletes;
};

static void sweep_class(struct map_node *node, void *arg) {
	struct sweep *sweep = arg;
	struct spc_cell *cell = container_of(node, struct spc_cell, node);
	if (!cell->now || cell->list_number == sweep->store->list_number[STORE_CLASSES]) return;
	class_remove(sweep->store, cell);
	sweep->deletes++;
}

static void sweep_sync(struct map_node *node, void *arg) {
	struct sweep *sweep = arg;
	struct object *object = container_of(node, struct object, node);
	if (object->list_number == sweep->store->list_number[STORE_SYNCS]) return;
	object_close(sweep->store, object);
	sweep->deletes++;
}

static void sweep_slice(struct store *store, enum store_kind kind) {
	struct sweep sweep = { store, 0 };
	struct map *map = kind == STORE_CLASSES ? &store->classes : &store->syncs;
	for (unsigned i = 0; i < SWEPT_PER_TURN && store->sweeping[kind]; i++) {
		if (sweep.deletes >= DELETES_PER_TURN) return;
		store->sweeping[kind] = !map_walk(map, &store->walk[kind], 1,
			kind == STORE_CLASSES ? sweep_class : sweep_sync, &sweep);
	}
}

bool store_turn(struct store *store) {
	assert_main();
	for (enum store_kind kind = 0; kind < STORE_KINDS; kind++) sweep_slice(store, kind);
	fanout_slice(store);
	retire_flush(&store->retired);
	return store->sweeping[STORE_CLASSES] || store->sweeping[STORE_SYNCS] ||
	       !list_is_empty(&store->fanout);
}

size_t store_sync_count(const struct store *store) {
	return map_count(&store->syncs);
}

size_t store_class_count(const struct store *store) {
	return store->class_count;
}

size_t store_closing_count(const struct store *store) {
	return store->closing_count;
}

struct object *store_find_sync(const struct store *store, struct str key) {
	return find_object(store, key);
}
