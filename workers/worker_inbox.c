/* Objects that come to a worker, and leave it. */
#include <assert.h>

#include "workers/worker.h"

enum { TAKES_PER_TURN = 512 };

/* What the worker keeps about an object that goes elsewhere, or for good. */
void worker_let_go(struct worker *worker, struct object *object) {
	timer_stop(&worker->timers, &object->timer);
	report_leave(worker, object);
	shard_dequeue(object);
	shard_leave(object);
	if (list_is_linked(&object->all)) worker->object_count--;
	list_remove(&object->all);
	list_remove(&object->seen_order);
}

static void retire(struct worker *worker, struct object *object) {
	struct pool *pool = worker->pool;
	worker_let_go(worker, object);
	/* The item stays held: nobody adds any more, and main frees it. */
	bool was_empty = inbox_push(&pool->retired, queue_item_node(&object->item));
	if (was_empty && pool->options.doors.wake_main)
		pool->options.doors.wake_main(pool->options.doors.arg);
}

static struct worker *home_of(struct pool *pool, const struct spc *spc) {
	bool placed = spc && spc->access->fault.len == 0;
	return &pool->workers[placed ? spc->access->home_hash % pool->count : 0];
}

/* Equal for objects of one identity, which a namespace is part of. */
static uint32_t identity_hash(const struct spec *spec, const struct spc *spc) {
	const struct spc_access *access = spc ? spc->access : NULL;
	uint64_t hash =
		hash64_stable(spec->common->ns) * 31 + hash64_stable(spec->common->service_account);
	if (access) {
		hash = (hash * 31 + hash64_stable(access->client_id)) * 31 +
		       hash64_stable(access->tenant);
		hash = (hash * 31 + hash64_stable(access->secret_name)) * 31 +
		       (uint64_t)access->identity;
	}
	return (uint32_t)(hash ^ hash >> 32);
}

static enum err enter_shard(struct worker *worker, struct object *object, const struct spec *spec,
	const struct spc *spc) {
	struct shard *shard = NULL;
	struct str url = spc && spc->access->fault.len == 0 ? spc->access->vault_url : STR("");
	enum err err = shard_get(worker, url, &shard);
	if (err) return err;
	object->identity_hash = identity_hash(spec, spc);
	object->paced = spc && spc->requests_per_10s;
	/* The pace may be another one by now. */
	if (object->held) shard_dequeue(object);
	if (object->shard == shard) return OK;
	shard_leave(object);
	object->shard = shard;
	shard->objects++;
	return OK;
}

static enum object_class class_of(const struct object *object) {
	if (object->attempted) return CLASS_CHANGED;
	return status_has_synced(&object->status) ? CLASS_PERIODIC : CLASS_NEW;
}

void worker_saw_secret(struct worker *worker, struct object *object) {
	list_remove(&object->seen_order);
	list_push_back(&worker->seen_order, &object->seen_order);
	object->secret_seen_ns = worker->now.mono_ns;
	object->unlooked = false;
}

static enum err arrive(struct worker *worker, struct object *object) {
	if (list_is_linked(&object->all)) return OK;
	enum err err = timers_reserve(
		&worker->timers, worker->object_count + worker->scan_count + WORKER_TIMERS + 1);
	if (err) return err;
	timer_init(&object->timer, schedule_timer_fired);
	list_push_back(&worker->objects, &object->all);
	bool synced = status_has_synced(&object->status);
	if (synced) worker_saw_secret(worker, object);
	object->unlooked = synced;
	worker->object_count++;
	report_arrived(worker, object);
	return OK;
}

static void take_object(struct worker *worker, struct object *object) {
	struct spc *spc = NULL;
	struct spec *spec = spec_borrow(object);
	if (queue_is_closed(&object->item)) {
		assert(!spec);
		retire(worker, object);
		return;
	}
	if (spec && spec->cell) spc = spc_borrow(spec->cell);
	struct worker *home = home_of(worker->pool, spc);
	if (home != worker) {
		worker_let_go(worker, object);
		queue_move(&object->item, &home->queue);
	} else if (spec && !spec->deleting) {
		if (object_hear(object, worker->now.mono_ns)) report_leave(worker, object);
		enum err err = arrive(worker, object);
		if (!err) err = enter_shard(worker, object, spec, spc);
		object->failures = 0;
		object->away = false;
		if (!err) looks_arrived(worker, spec, object->unlooked);
		if (!err) schedule_with_jitter(worker, object, class_of(object));
		/* Out of memory: it stays in the inbox and is tried again next turn. */
		if (err) queue_add(&object->item);
	} else {
		timer_stop(&worker->timers, &object->timer);
		shard_dequeue(object);
	}
	spec_unref(spec);
	spc_unref(spc);
	queue_done(&object->item);
}

/* True when there may be more. */
bool worker_take_inbox(struct worker *worker) {
	bool busy = false;
	for (int i = 0; i < TAKES_PER_TURN; i++) {
		struct queue_item *item = queue_take(&worker->queue, &busy);
		if (!item) return busy;
		take_object(worker, container_of(item, struct object, item));
	}
	return true;
}
