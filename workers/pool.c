#include "workers/pool.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "workers/worker.h"

static void settings_free(struct settings *settings) {
	if (settings) mem_free((void *)settings->vault_groups);
	mem_free(settings);
}

static struct settings *settings_copy(struct pool *pool, const struct settings *settings) {
	struct settings *copy = mem_alloc(sizeof *copy);
	if (!copy) return NULL;
	*copy = *settings;
	copy->serial = ++pool->settings_serial;
	if (!settings->vault_groups) return copy;
	copy->vault_groups = mem_strdup(str_of(settings->vault_groups));
	if (copy->vault_groups) return copy;
	mem_free(copy);
	return NULL;
}

enum err pool_create(const struct pool_options *options, struct pool **out_pool) {
	assert(options->workers > 0 && options->kube && options->azure && options->doors.make_http);
	struct rng rng;
	struct pool *pool = mem_zalloc(sizeof *pool + options->workers * sizeof pool->workers[0]);
	if (!pool) return ERR_NOMEM;
	pool->options = *options;
	pool->count = options->workers;
	inbox_init(&pool->retired);
	rng_seed(&rng, options->doors.seed);
	if (!options->doors.seed) rng_seed_system(&rng);
	pool->hash_key = (struct hash_key){ rng_next(&rng), rng_next(&rng) };
	pool->settings = settings_copy(pool, &options->settings);
	pool->options.settings.vault_groups = NULL;
	enum err err = pool->settings ? OK : ERR_NOMEM;
	for (unsigned i = 0; i < pool->count && !err; i++)
		err = worker_init(&pool->workers[i], pool, i);
	if (err) {
		pool_destroy(pool);
		return err;
	}
	*out_pool = pool;
	return OK;
}

void pool_destroy(struct pool *pool) {
	if (!pool) return;
	for (unsigned i = 0; i < pool->count; i++) worker_deinit(&pool->workers[i]);
	inbox_deinit(&pool->retired);
	settings_free(pool->settings);
	mem_free(pool);
}

/* All workers wait for what main tells them, and a list of a million objects keeps main busy for half a minute: it must not wait
 * for them in the middle of each turn. */
enum { WORKER_STEPS_BACK = 5 };

static void worker_main(void *arg) {
	struct worker *worker = arg;
	thread_set_role(ROLE_WORKER + worker->index);
	thread_step_back(WORKER_STEPS_BACK);
	log_hold(true);
	for (;;) {
		int64_t deadline_ns = worker_turn(worker, loop_now(worker->loop));
		log_flush();
		if (worker_is_drained(worker)) break;
		loop_wait(worker->loop, deadline_ns);
	}
	log_hold(false);
}

enum err pool_start(struct pool *pool) {
	assert_main();
	for (unsigned i = 0; i < pool->count; i++) {
		struct worker *worker = &pool->workers[i];
		char name[16];
		snprintf(name, sizeof name, "worker-%u", i % 10000);
		assert(worker->loop);
		enum err err = thread_start(&worker->thread, name, worker_main, worker);
		if (err) return err;
	}
	return OK;
}

void pool_stop(struct pool *pool, int64_t drain_ns) {
	atomic_store_explicit(&pool->drain_ns, drain_ns, memory_order_relaxed);
	/* Release: who sees the flag sees the time to drain. */
	atomic_store_explicit(&pool->stop, true, memory_order_release);
	for (unsigned i = 0; i < pool->count; i++) {
		if (pool->workers[i].loop) loop_wake(pool->workers[i].loop);
	}
}

static void wake_all(struct pool *pool) {
	const struct pool_doors *doors = &pool->options.doors;
	for (unsigned i = 0; i < pool->count; i++) {
		if (pool->workers[i].loop) loop_wake(pool->workers[i].loop);
		if (!pool->workers[i].loop && doors->wake) doors->wake(doors->arg, i);
	}
}

void pool_watch_secrets(struct pool *pool, uint32_t list) {
	assert_main();
	if (atomic_load_explicit(&pool->secret_list, memory_order_relaxed) == list) return;
	/* Release: who sees the number sees what the list has told of every object. */
	atomic_store_explicit(&pool->secret_list, list, memory_order_release);
	wake_all(pool);
}

void pool_pause(struct pool *pool, bool paused) {
	assert_main();
	bool was = atomic_exchange_explicit(&pool->paused, paused, memory_order_relaxed);
	if (was != paused) wake_all(pool);
}

void pool_join(struct pool *pool) {
	assert_main();
	for (unsigned i = 0; i < pool->count; i++) {
		thread_join(&pool->workers[i].thread);
		worker_release(&pool->workers[i]);
	}
}

unsigned pool_size(const struct pool *pool) {
	return pool->count;
}

struct worker *pool_worker(struct pool *pool, unsigned index) {
	assert(index < pool->count);
	return &pool->workers[index];
}

struct queue *pool_first_queue(struct pool *pool) {
	return &pool->workers[0].queue;
}

struct object *pool_take_retired(struct pool *pool) {
	assert_main();
	bool busy;
	struct inbox_node *node;
	do {
		node = inbox_pop(&pool->retired, &busy);
	} while (!node && busy);
	struct queue_item *item = queue_item_of(node);
	return item ? container_of(item, struct object, item) : NULL;
}

int64_t pool_write_wait_ns(struct pool *pool, int64_t now_ns) {
	assert_main();
	double rate_per_s = pool->settings->kube_writes_per_s;
	if (rate_per_s <= 0) return 0;
	return pace_wait_ns(&pool->write_pace, &pool->write_slot, rate_per_s,
		write_burst(pool->settings), now_ns);
}

enum err pool_set_settings(struct pool *pool, const struct settings *settings) {
	assert_main();
	struct settings *copy = settings_copy(pool, settings);
	if (!copy) return ERR_NOMEM;
	/* The workers, who hear of it in their turns, clear what is counted at the old pace. */
	if (settings->kube_writes_per_s != pool->settings->kube_writes_per_s)
		pool->write_slot = (struct pace_slot){ 0 };
	struct settings *old = rcu_swap(pool->settings, copy);
	rcu_sync();
	settings_free(old);
	/* Whoever sleeps until an hour from now may have something to do sooner. */
	wake_all(pool);
	return OK;
}

void pool_trace(struct pool *pool,
	void (*trace)(void *arg, const struct object *object, const char *step, enum err err),
	void *arg) {
	pool->trace = trace;
	pool->trace_arg = arg;
}
