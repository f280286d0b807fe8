/* The reconciles of a plan: the store and one worker of a running engine, turned on main's thread. */
#include <assert.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"
#include "clients/http_curl.h"
#include "engine/plan_door.h"
#include "engine/plan_impl.h"
#include "engine/store.h"
#include "workers/pool.h"
#include "workers/sync.h"

/* --- the doors --- */

static struct loop *make_loop(void *arg, unsigned index) {
	struct plan *plan = arg;
	(void)index;
	plan->loop = loop_create(clock_system());
	return plan->loop;
}

static struct plan_record *find_record(void *arg, struct str ns, struct str name) {
	struct plan_target *target = plan_find(arg, ns, name);
	return target ? &target->record : NULL;
}

static struct http *make_http(void *arg, unsigned index, struct loop *loop) {
	struct plan *plan = arg;
	(void)index;
	plan->below = http_curl_create(loop);
	if (!plan->below) return NULL;
	return plan_door_create(&(struct plan_door_options){
		.below = plan->below,
		.kube = plan->kube,
		.arena = plan->arena,
		.find = find_record,
		.arg = plan,
	});
}

static void wake_main(void *arg) {
	loop_wake(((struct plan *)arg)->loop);
}

/* What the worker would put on record did not happen. */
static void drop_line(struct str line, void *arg) {
	(void)line;
	(void)arg;
}

/* Every object is asked for by GET, every Secret looked at, and no Event told of. */
static struct settings settings_of(const struct config *config) {
	struct settings settings = config_settings(config);
	settings.change_detection = CHANGE_BY_GET;
	settings.events_per_s = 0;
	settings.kube_writes_per_s = 0; /* none goes out */
	if (settings.drift != DRIFT_OFF) settings.drift = DRIFT_PROBE;
	settings.drift_probes_per_s = 1e6;
	return settings;
}

enum err plan_open_pool(struct plan *plan) {
	const struct config *config = plan->options->config;
	plan->azure = (struct http_site){
		.name = "azure",
		.version = HTTP_VERSION_1_1,
		.use_proxy = true,
		.ca_file = config->ca_file,
		.max_connections = (unsigned)config->vault_connections,
	};
	plan->imds = (struct http_site){
		.name = "imds",
		.version = HTTP_VERSION_1_1,
		.allow_http = true,
		.max_connections = 1,
	};
	struct pool_options options = {
		.workers = 1,
		.kube = plan->kube,
		.azure = &plan->azure,
		.imds = &plan->imds,
		.settings = settings_of(config),
		.doors = { .clock = clock_system(),
			.make_loop = make_loop,
			.make_http = make_http,
			.wake_main = wake_main,
			.arg = plan },
	};
	log_redirect(drop_line, NULL);
	enum err err = pool_create(&options, &plan->pool);
	if (err) return err;
	plan->store = store_create(pool_first_queue(plan->pool), plan->hash_key,
		&plan->options->defaults, options.settings.names);
	return plan->store ? OK : ERR_NOMEM;
}

/* --- what steps tell; called in a turn of the worker --- */

static const struct sync *find_sync(struct plan *plan, const struct object *object) {
	struct list *syncs = &pool_worker(plan->pool, 0)->syncs;
	list_for_each (link, syncs) {
		const struct sync *sync = container_of(link, struct sync, link);
		if (sync->object == object) return sync;
	}
	return NULL;
}

static enum err keep_versions(struct plan_target *target, const struct sync *sync) {
	unsigned count = sync->spec->item_count;
	mem_free(target->read);
	target->read = mem_zalloc((count ? count : 1) * sizeof *target->read);
	if (!target->read) return ERR_NOMEM;
	for (unsigned i = 0; i < count; i++) {
		const struct sync_read *read = NULL;
		if (sync_item_fault(sync, i, NULL)) continue;
		const struct sync_value *value =
			sync_find_value(sync, sync->spec->items[i].source_path, &read);
		memcpy(target->read[i], value->row.version, sizeof target->read[i]);
	}
	return OK;
}

/* After CONVERT: what it is about to write. */
static enum err note_values(
	struct plan *plan, struct plan_target *target, const struct object *object, enum err err) {
	const struct sync *sync = find_sync(plan, object);
	target->record.has_values = true;
	return err || !sync ? OK : keep_versions(target, sync);
}

static void note_step(void *arg, const struct object *object, const char *step, enum err err) {
	struct plan *plan = arg;
	struct str key = str_of(object->key);
	struct map_node *node = map_find(&plan->by_key, key);
	struct plan_target *target =
		node ? container_of(node, struct plan_target, record.node) : NULL;
	if (!target || target->ended) return;
	if (str_eq(str_of(step), STR("convert"))) {
		enum err failed = note_values(plan, target, object, err);
		if (failed) plan->failed = failed;
	}
	if (!str_eq(str_of(step), STR("end"))) return;
	target->spec = spec_borrow((struct object *)object);
	if (target->spec && target->spec->cell) target->spc = spc_borrow(target->spec->cell);
	enum err failed = status_copy(&object->status, &target->status);
	if (!failed) failed = plan_conclude(plan, target, err);
	if (failed) plan->failed = failed;
	target->ended = true;
	target->next_ended = plan->ended;
	plan->ended = target;
	plan->pending--;
}

/* --- turns --- */

/* Both roles are this thread's. */
static int64_t turn_worker(struct plan *plan) {
	thread_set_role(ROLE_WORKER);
	int64_t deadline_ns = worker_turn(pool_worker(plan->pool, 0), loop_now(plan->loop));
	thread_set_role(ROLE_MAIN);
	return deadline_ns;
}

static bool turn_store(struct plan *plan) {
	struct object *object;
	bool more = store_turn(plan->store);
	while ((object = pool_take_retired(plan->pool))) store_take_retired(plan->store, &object);
	return more;
}

static enum err begin(struct plan *plan) {
	enum err err = OK;
	for (unsigned i = 0; i < plan->class_count && !err; i++) {
		const cJSON *json = plan->classes[i]->json;
		if (json) err = store_upsert(plan->store, STORE_CLASSES, json);
	}
	while (turn_store(plan)) continue;
	for (unsigned i = 0; i < plan->count && !err; i++) {
		struct plan_target *target = plan->targets[i];
		if (target->ended) continue;
		err = store_upsert(plan->store, STORE_SYNCS, target->json);
		struct object *object = store_find_sync(plan->store, str_of(target->record.key));
		/* Nothing runs yet: whatever its status says, the vault is asked. */
		if (!err && object) object->reads = true;
	}
	return err;
}

/* One attempt is enough: what has ended leaves. */
static enum err leave(struct plan *plan) {
	enum err err = OK;
	while (plan->ended && !err) {
		struct plan_target *target = plan->ended;
		plan->ended = target->next_ended;
		err = store_delete(plan->store, STORE_SYNCS, target->json);
		cJSON_Delete(take(target->json));
	}
	return err;
}

enum err plan_run(struct plan *plan) {
	assert_main();
	pool_trace(plan->pool, note_step, plan);
	enum err err = begin(plan);
	while (!err && plan->pending) {
		bool more = turn_store(plan);
		int64_t deadline_ns = turn_worker(plan);
		err = plan->failed;
		if (!err) err = leave(plan);
		if (!err && plan->pending) loop_wait(plan->loop, more ? 0 : deadline_ns);
	}
	return err;
}

void plan_close_pool(struct plan *plan) {
	if (plan->pool) {
		pool_stop(plan->pool, 0);
		do {
			turn_worker(plan);
		} while (!worker_is_drained(pool_worker(plan->pool, 0)));
		pool_join(plan->pool);
	}
	if (plan->store) turn_store(plan);
	pool_destroy(plan->pool);
	store_destroy(plan->store);
	plan->pool = NULL;
	plan->store = NULL;
	log_redirect(NULL, NULL);
}
