/* Ready lists of a vault: order, shares, and when an object is looked at next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/hash.h"
#include "workers/worker.h"

enum { OBJECTS = 64 };

static void no_start(struct http *http, struct http_req *req) {
	(void)http, (void)req;
	fail_msg("nothing is to be sent here");
}

static void no_cancel(struct http *http, struct http_req *req) {
	(void)http, (void)req;
}

static const struct http_ops OPS = { no_start, no_cancel, NULL, NULL };

struct fixture {
	struct worker worker;
	struct http http;
	struct object *objects[OBJECTS];
	struct shard *shard;
};

static struct str shard_key(const struct map_node *node) {
	return str_of(container_of(node, struct shard, node)->url);
}

static void worker_setup(struct fixture *f) {
	struct worker *worker = &f->worker;
	f->http.ops = &OPS;
	worker->count = 1;
	worker->http = &f->http;
	worker->settings = settings_default();
	worker->now = (struct now){ .mono_ns = 5000 * NS_PER_S, .wall_ns = 1800000000 * NS_PER_S };
	rng_seed(&worker->rng, 7);
	timers_init(&worker->timers);
	map_init(&worker->shards, (struct hash_key){ 1, 2 }, shard_key);
	list_init(&worker->shard_list);
	queue_init(&worker->queue, NULL);
}

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	worker_setup(f);
	assert_int_equal(shard_get(&f->worker, STR("https://v.vault.azure.net"), &f->shard), OK);
	for (int i = 0; i < OBJECTS; i++) {
		char uid[32];
		struct status status = { 0 };
		snprintf(uid, sizeof uid, "uid-%d", i);
		assert_int_equal(
			object_create(STR("ns/name"), str_of(uid), &status, &f->worker.queue, &f->objects[i]), OK);
		timer_init(&f->objects[i]->timer, schedule_timer_fired);
		f->objects[i]->shard = f->shard;
		f->shard->objects++;
	}
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < OBJECTS; i++) {
		timer_stop(&f->worker.timers, &f->objects[i]->timer);
		shard_leave(f->objects[i]);
		object_destroy(f->objects[i]);
	}
	shard_sweep(&f->worker);
	assert_true(list_is_empty(&f->worker.shard_list));
	map_deinit(&f->worker.shards);
	timers_deinit(&f->worker.timers);
	queue_deinit(&f->worker.queue);
	mem_free(f);
	return 0;
}

static void the_same_url_is_the_same_shard(void **state) {
	struct fixture *f = *state;
	struct shard *again = NULL, *other = NULL;
	assert_int_equal(shard_get(&f->worker, STR("https://v.vault.azure.net"), &again), OK);
	assert_ptr_equal(again, f->shard);
	assert_int_equal(shard_get(&f->worker, STR("https://w.vault.azure.net"), &other), OK);
	assert_ptr_not_equal(other, f->shard);
	/* Nobody counts there: the sweep takes it away, and leaves the one in use. */
	shard_sweep(&f->worker);
	assert_ptr_equal(list_first(&f->worker.shard_list), &f->shard->all);
	assert_int_equal(map_count(&f->worker.shards), 1);
}

static void urgent_classes_come_first_in_order_of_arrival(void **state) {
	struct fixture *f = *state;
	shard_enqueue(f->shard, f->objects[0], CLASS_PERIODIC);
	shard_enqueue(f->shard, f->objects[1], CLASS_RETRY);
	shard_enqueue(f->shard, f->objects[2], CLASS_NEW);
	shard_enqueue(f->shard, f->objects[3], CLASS_NEW);
	shard_enqueue(f->shard, f->objects[4], CLASS_CHANGED);
	assert_int_equal(f->worker.waiting[CLASS_NEW], 2);
	assert_int_equal(f->worker.waiting[CLASS_CHANGED], 1);
	const int order[] = { 2, 3, 4, 1, 0 };
	for (size_t i = 0; i < 5; i++) assert_ptr_equal(shard_next(f->shard), f->objects[order[i]]);
	assert_null(shard_next(f->shard));
	assert_int_equal(f->shard->ready_count, 0);
	for (int i = 0; i < CLASS_COUNT; i++) assert_int_equal(f->worker.waiting[i], 0);
}

static void no_class_starves(void **state) {
	struct fixture *f = *state;
	unsigned periodic = 0, fresh = 0;
	for (int i = 0; i < 8; i++) shard_enqueue(f->shard, f->objects[i], CLASS_PERIODIC);
	for (int round = 0; round < 100; round++) {
		shard_enqueue(f->shard, f->objects[8 + round % 40], CLASS_NEW);
		struct object *next = shard_next(f->shard);
		if (next->wait_class == CLASS_PERIODIC) periodic++;
		if (next->wait_class == CLASS_NEW) fresh++;
	}
	/* One of twenty turns. */
	assert_int_equal(periodic, 5);
	assert_int_equal(fresh, 95);
	for (int i = 0; i < OBJECTS; i++) shard_dequeue(f->objects[i]);
	assert_int_equal(f->shard->ready_count, 0);
}

/* One in twenty requests, not one in twenty objects: each of the first ones needs forty. */
static void shares_of_classes_are_of_requests(void **state) {
	struct fixture *f = *state;
	unsigned periodic = 0, fresh = 0;
	shard_enqueue(f->shard, f->objects[0], CLASS_PERIODIC);
	for (int i = 50; i < 60; i++) shard_enqueue(f->shard, f->objects[i], CLASS_NEW);
	for (int round = 0; round < 300; round++) {
		struct object *new = f->objects[8 + round % 40];
		if (!list_is_linked(&new->ready)) shard_enqueue(f->shard, new, CLASS_NEW);
		struct object *next = shard_next(f->shard);
		enum object_class class = next->wait_class;
		if (class == CLASS_NEW) {
			shard_recount(next, class, 1, 40);
			fresh += 40;
			continue;
		}
		periodic++;
		shard_enqueue(f->shard, next, CLASS_PERIODIC);
	}
	assert_in_range(periodic, (fresh + periodic) / 20 - 3, (fresh + periodic) / 20);
	for (int i = 0; i < OBJECTS; i++) shard_dequeue(f->objects[i]);
}

/* Whoever has nothing to ask uses up no share: those of his class that have do not wait behind him. */
static void what_asks_for_nothing_has_no_share(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 30; i++) shard_enqueue(f->shard, f->objects[i], CLASS_SEEN);
	unsigned turns = 0;
	for (unsigned seen = 0; seen < 30; turns++) {
		if (!list_is_linked(&f->objects[40 + turns % 20]->ready))
			shard_enqueue(f->shard, f->objects[40 + turns % 20], CLASS_NEW);
		struct object *next = shard_next(f->shard);
		if (next->wait_class != CLASS_SEEN) continue;
		seen++;
		shard_recount(next, CLASS_SEEN, 1, 0);
	}
	assert_in_range(turns, 30 + 15, 30 + 25);
	for (int i = 0; i < OBJECTS; i++) shard_dequeue(f->objects[i]);
}

/* What a class had while nobody more urgent waited was nobody else's, and is not held against it. */
static void what_was_free_is_not_held_against_a_class(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 20; i++) shard_enqueue(f->shard, f->objects[i], CLASS_SEEN);
	for (int i = 0; i < 10; i++) shard_recount(shard_next(f->shard), CLASS_SEEN, 1, 100);
	unsigned turns = 0;
	for (enum object_class class = CLASS_NEW; class != CLASS_SEEN; turns++) {
		if (!list_is_linked(&f->objects[40]->ready)) shard_enqueue(f->shard, f->objects[40], CLASS_NEW);
		class = shard_next(f->shard)->wait_class;
	}
	assert_in_range(turns, 1, 20);
	for (int i = 0; i < OBJECTS; i++) shard_dequeue(f->objects[i]);
}

static unsigned pages_admitted(struct shard *shard) {
	unsigned pages = 0;
	while (pages < 1000 && shard_admits_page(shard)) pages++;
	return pages;
}

/* One in twenty requests, counted over an interval: a walk that fits in is not slowed down. */
static void walks_have_a_share_while_somebody_waits(void **state) {
	const enum object_class classes[] = { CLASS_NEW, CLASS_RETRY };
	struct fixture *f = *state;
	struct shard *shard = f->shard;
	f->worker.settings.vault_rate_per_s = 10;
	f->worker.settings.poll_interval_ns = 60 * NS_PER_S;
	for (int c = 0; c < 2; c++) {
		shard_enqueue(shard, f->objects[c], classes[c]);
		/* They do not wait for the pace. */
		assert_int_equal(pages_admitted(shard), 1000);
		shard->gate.lanes[LANE_USUAL].waiting = 1;
		assert_int_equal(pages_admitted(shard), 600 / 20);
		unsigned pages = 0;
		for (int i = 0; i < 1000; i++) {
			shard_asked(shard);
			pages += pages_admitted(shard);
		}
		assert_int_equal(pages, 1000 / 20);
		/* Nobody waits any more: the next ones find the share of a whole interval. */
		shard_dequeue(f->objects[c]);
		assert_int_equal(pages_admitted(shard), 1000);
		shard->gate.lanes[LANE_USUAL].waiting = 0;
	}
	/* Nor does a walk go before the last of them, who are under way. */
	shard->running_first = 1;
	shard->gate.lanes[LANE_USUAL].waiting = 1;
	assert_int_equal(pages_admitted(shard), 600 / 20);
	shard->running_first = 0;
	/* What is looked at again waits behind walks, as it did. */
	shard_enqueue(shard, f->objects[2], CLASS_PERIODIC);
	assert_int_equal(pages_admitted(shard), 1000);
	shard->gate.lanes[LANE_USUAL].waiting = 0;
	shard_dequeue(f->objects[2]);
}

/* However slow the vault: a page now and then. */
static void the_slowest_walk_goes_on(void **state) {
	struct fixture *f = *state;
	f->worker.settings.vault_rate_per_s = 0.01;
	shard_enqueue(f->shard, f->objects[0], CLASS_NEW);
	f->shard->gate.lanes[LANE_USUAL].waiting = 1;
	assert_int_equal(pages_admitted(f->shard), 1);
	for (int i = 0; i < 20; i++) shard_asked(f->shard);
	assert_int_equal(pages_admitted(f->shard), 1);
	f->shard->gate.lanes[LANE_USUAL].waiting = 0;
	shard_dequeue(f->objects[0]);
}

/* After an outage: who has his Secret, and was only to be looked at, lets those go first who have none yet. */
static void who_lacks_nothing_comes_behind_after_an_outage(void **state) {
	struct fixture *f = *state;
	f->objects[0]->away = f->objects[1]->away = true;
	for (int i = 0; i < 4; i++) gate_wait(&f->shard->gate, &f->objects[i]->ready);
	for (struct list *waiter; (waiter = list_pop(&f->shard->gate.waiters));)
		schedule_waiter_woken(&f->shard->gate, waiter);
	const int order[] = { 2, 3, 0, 1 };
	for (size_t i = 0; i < 4; i++) assert_ptr_equal(shard_next(f->shard), f->objects[order[i]]);
}

static void a_more_urgent_reason_moves_an_object_up(void **state) {
	struct fixture *f = *state;
	shard_enqueue(f->shard, f->objects[0], CLASS_RETRY);
	shard_enqueue(f->shard, f->objects[1], CLASS_PERIODIC);
	shard_enqueue(f->shard, f->objects[1], CLASS_CHANGED);
	shard_enqueue(f->shard, f->objects[1], CLASS_PERIODIC);
	assert_int_equal(f->shard->ready_count, 2);
	assert_ptr_equal(shard_next(f->shard), f->objects[1]);
	assert_ptr_equal(shard_next(f->shard), f->objects[0]);
}

static void a_waiter_of_a_gate_comes_back_to_the_ready_list(void **state) {
	struct fixture *f = *state;
	gate_wait(&f->shard->gate, &f->objects[0]->ready);
	schedule_ready(f->objects[0], CLASS_CHANGED);
	assert_true(gate_is_idle(&f->shard->gate));
	assert_int_equal(f->shard->ready_count, 1);
	shard_dequeue(f->objects[0]);
}

static const int64_t SLACK_NS = 50 * NS_PER_MS;

static void checks_keep_their_phase(void **state) {
	struct fixture *f = *state;
	struct spec_common common = { .interval_ns = 600 * NS_PER_S };
	struct spec spec = { .common = &common };
	int64_t earliest = INT64_MAX, latest = 0;
	for (int i = 0; i < OBJECTS; i++) {
		struct object *object = f->objects[i];
		schedule_check(&f->worker, object, &spec);
		int64_t wait_ns = timer_at_ns(&f->worker.timers, &object->timer) - f->worker.now.mono_ns;
		assert_in_range(wait_ns, 1, common.interval_ns + SLACK_NS);
		earliest = wait_ns < earliest ? wait_ns : earliest;
		latest = wait_ns > latest ? wait_ns : latest;
		/* The same moment of the wall clock, from whatever time it is computed, and in another process; later by as much as
		 * lets others come with it. */
		int64_t at_wall_ns = f->worker.now.wall_ns + wait_ns;
		struct now later = { .mono_ns = 99 * NS_PER_S, .wall_ns = f->worker.now.wall_ns + wait_ns / 2 };
		struct now now = f->worker.now;
		f->worker.now = later;
		schedule_check(&f->worker, object, &spec);
		int64_t again_ns = later.wall_ns + timer_at_ns(&f->worker.timers, &object->timer) - later.mono_ns;
		assert_in_range(again_ns - at_wall_ns + SLACK_NS, 1, 2 * SLACK_NS - 1);
		f->worker.now = now;
	}
	assert_true(latest - earliest > common.interval_ns / 2);
}

/* When the check comes of one whose changes walks tell of, and when its safety re-read would. */
static int64_t check_listed(
	struct fixture *f, struct object *object, const struct spec *spec, int64_t *out_safety_ns) {
	uint64_t hash = hash64_stable(object_uid(object));
	*out_safety_ns = schedule_phase_ns(hash, f->worker.now, 24 * spec->common->interval_ns);
	object->listed = true;
	schedule_check(&f->worker, object, spec);
	object->listed = false;
	return timer_at_ns(&f->worker.timers, &object->timer);
}

/* Where walks tell of changes nobody waits for what is left of checks: those of a sixtieth of the interval come together, of a
 * second at most. That is safety re-reads alone, whether Secrets are looked at or not. */
static void checks_that_nobody_waits_for_come_together(void **state) {
	struct fixture *f = *state;
	static const struct {
		enum drift_mode drift;
		int64_t interval_s, slot_ns;
	} cases[] = {
		{ DRIFT_OFF, 600, NS_PER_S },
		{ DRIFT_PROBE, 600, NS_PER_S },
		{ DRIFT_PROBE, 60, NS_PER_S },
		{ DRIFT_PROBE, 12, 200 * NS_PER_MS },
		{ DRIFT_OFF, 12, 200 * NS_PER_MS },
		{ DRIFT_PROBE, 1, 50 * NS_PER_MS },
	};
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct spec_common common = { .interval_ns = cases[c].interval_s * NS_PER_S };
		struct spec spec = { .common = &common };
		f->worker.settings.drift = cases[c].drift;
		for (int i = 0; i < OBJECTS; i++) {
			int64_t safety_ns, at_ns = check_listed(f, f->objects[i], &spec, &safety_ns);
			assert_int_equal(f->objects[i]->due, CLASS_SAFETY);
			assert_in_range(at_ns - safety_ns, 0, cases[c].slot_ns - 1);
			assert_int_equal(at_ns % cases[c].slot_ns, 0);
		}
	}
}

/* Each worker is woken half as often as one that is alone, and never together with the other. */
static void workers_take_turns_at_what_nobody_waits_for(void **state) {
	struct fixture *f = *state;
	struct spec_common common = { .interval_ns = 60 * NS_PER_S };
	struct spec spec = { .common = &common };
	f->worker.count = 2;
	for (unsigned w = 0; w < 2; w++) {
		f->worker.index = w;
		for (int i = 0; i < OBJECTS; i++) {
			int64_t safety_ns, at_ns = check_listed(f, f->objects[i], &spec, &safety_ns);
			assert_in_range(at_ns - safety_ns, 0, 2 * NS_PER_S - 1);
			assert_int_equal(at_ns % (2 * NS_PER_S), w * NS_PER_S);
		}
	}
	/* Of sixteen the first and the fifth come together, so that nobody waits for a quarter of an interval. */
	f->worker.count = 16;
	f->worker.index = 4;
	assert_int_equal(schedule_turns(&f->worker), 4);
	assert_int_equal(schedule_slot_ns(60 * NS_PER_S, 4), 4 * NS_PER_S);
	assert_int_equal(schedule_slot_at_ns(&f->worker, 1, 60 * NS_PER_S, 4), 4 * NS_PER_S);
	assert_int_equal(schedule_slot_at_ns(&f->worker, 4 * NS_PER_S, 60 * NS_PER_S, 4), 4 * NS_PER_S);
	f->worker.index = 3;
	assert_int_equal(schedule_slot_at_ns(&f->worker, 1, 60 * NS_PER_S, 4), 3 * NS_PER_S);
}

/* Whatever the reason: what is due within a twentieth of a second wakes the worker once, and never early. */
static void what_is_close_wakes_it_once(void **state) {
	struct fixture *f = *state;
	struct spec_common common = { .interval_ns = 60 * NS_PER_S };
	struct spec spec = { .common = &common };
	f->worker.now.mono_ns += 12345;
	for (int i = 0; i < OBJECTS; i++) {
		struct fault fault = fault_make(ERR_NETWORK, "x");
		struct timer *timer = &f->objects[i]->timer;
		int64_t moment_ns = schedule_phase_ns(
			hash64_stable(object_uid(f->objects[i])), f->worker.now, common.interval_ns);
		schedule_check(&f->worker, f->objects[i], &spec);
		assert_in_range(timer_at_ns(&f->worker.timers, timer) - moment_ns, 0, SLACK_NS - 1);
		assert_int_equal(timer_at_ns(&f->worker.timers, timer) % SLACK_NS, 0);
		schedule_retry(&f->worker, f->objects[i], &fault, 60 * NS_PER_S);
		assert_int_equal(timer_at_ns(&f->worker.timers, timer) % SLACK_NS, 0);
	}
}

/* The product's option: on top of the moment, drawn anew each time, up to the bound. */
static void jitter_comes_on_top(void **state) {
	struct fixture *f = *state;
	struct spec_common common = { .interval_ns = 600 * NS_PER_S };
	struct spec spec = { .common = &common };
	int64_t least_ns = INT64_MAX, most_ns = 0;
	schedule_check(&f->worker, f->objects[0], &spec);
	int64_t moment_ns = timer_at_ns(&f->worker.timers, &f->objects[0]->timer);
	f->worker.settings.jitter_ns = 100 * NS_PER_S;
	for (int i = 0; i < 200; i++) {
		schedule_check(&f->worker, f->objects[0], &spec);
		int64_t more_ns = timer_at_ns(&f->worker.timers, &f->objects[0]->timer) - moment_ns;
		least_ns = more_ns < least_ns ? more_ns : least_ns;
		most_ns = more_ns > most_ns ? more_ns : most_ns;
	}
	assert_in_range(least_ns, 0, 10 * NS_PER_S);
	assert_in_range(most_ns, 90 * NS_PER_S, 100 * NS_PER_S);
}

static void a_change_waits_for_its_jitter_and_no_longer(void **state) {
	struct fixture *f = *state;
	struct object *object = f->objects[0];
	f->worker.settings.jitter_ns = 100 * NS_PER_S;
	/* Further changes meanwhile draw again, and never put it off. */
	schedule_with_jitter(&f->worker, object, CLASS_CHANGED);
	int64_t at_ns = timer_at_ns(&f->worker.timers, &object->timer);
	assert_in_range(at_ns - f->worker.now.mono_ns, 1, 100 * NS_PER_S);
	for (int i = 0; i < 50; i++) {
		schedule_with_jitter(&f->worker, object, CLASS_CHANGED);
		assert_true(timer_at_ns(&f->worker.timers, &object->timer) <= at_ns);
	}
	assert_int_equal(f->shard->ready_count, 0);
	timers_fire(&f->worker.timers, at_ns, 0);
	assert_ptr_equal(shard_next(f->shard), object);
	assert_int_equal(object->wait_class, CLASS_CHANGED);
	/* Whether the vault is asked is for the change to say; and what is well after a start does not wait. */
	assert_false(object->reads);
	schedule_with_jitter(&f->worker, object, CLASS_PERIODIC);
	assert_int_equal(f->shard->ready_count, 1);
	shard_dequeue(object);
	f->worker.settings.jitter_ns = 0;
	schedule_with_jitter(&f->worker, object, CLASS_NEW);
	assert_int_equal(f->shard->ready_count, 1);
	shard_dequeue(object);
}

/* However many NEW ones come: whoever waits behind is served within twenty turns for each that is before it in its own class. */
static void the_last_class_is_served_in_bounded_time(void **state) {
	struct fixture *f = *state;
	const int classes[] = { CLASS_CHANGED, CLASS_SEEN, CLASS_RETRY, CLASS_PERIODIC, CLASS_SAFETY };
	for (size_t c = 0; c < sizeof classes / sizeof classes[0]; c++) {
		for (int i = 0; i < 8; i++) {
			f->objects[i]->identity_hash = (uint32_t)i % 2;
			shard_enqueue(f->shard, f->objects[i], (enum object_class)classes[c]);
		}
		unsigned turns = 0;
		for (unsigned served = 0; served < 8; turns++) {
			struct object *fresh = f->objects[8 + turns % 40];
			if (!list_is_linked(&fresh->ready)) shard_enqueue(f->shard, fresh, CLASS_NEW);
			served += shard_next(f->shard)->wait_class == classes[c];
		}
		assert_in_range(turns, 8, 8 * 20);
		for (int i = 0; i < OBJECTS; i++) shard_dequeue(f->objects[i]);
	}
}

static int64_t retry_wait_ns(struct fixture *f, enum err err, int64_t retry_after_ns) {
	struct fault fault = fault_make(err, "x");
	fault.retry_after_ns = retry_after_ns;
	schedule_retry(&f->worker, f->objects[0], &fault, 3600 * NS_PER_S);
	return timer_at_ns(&f->worker.timers, &f->objects[0]->timer) - f->worker.now.mono_ns;
}

static void retries_back_off_by_kind(void **state) {
	struct fixture *f = *state;
	const struct settings *settings = &f->worker.settings;
	assert_in_range(retry_wait_ns(f, ERR_NETWORK, 0), settings->retry_base_ns / 2, settings->retry_base_ns);
	assert_int_equal(f->objects[0]->failures, 1);
	for (int i = 0; i < 40; i++) assert_true(retry_wait_ns(f, ERR_NETWORK, 0) <= settings->retry_max_ns);
	f->objects[0]->failures = 0;
	assert_in_range(retry_wait_ns(f, ERR_DENIED, 0), settings->slow_base_ns / 2, settings->slow_base_ns);
}

static void a_throttle_does_not_count_as_a_failure(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 5; i++) {
		assert_in_range(retry_wait_ns(f, ERR_THROTTLED, 60 * NS_PER_S), 60 * NS_PER_S, 76 * NS_PER_S);
	}
	assert_int_equal(f->objects[0]->failures, 0);
}

static void nobody_waits_longer_than_the_poll(void **state) {
	struct fixture *f = *state;
	struct fault fault = fault_make(ERR_DENIED, "x");
	f->objects[0]->failures = 30;
	schedule_retry(&f->worker, f->objects[0], &fault, 5 * NS_PER_S);
	assert_true(timer_at_ns(&f->worker.timers, &f->objects[0]->timer) - f->worker.now.mono_ns <= 5 * NS_PER_S);
}

static void a_timer_that_fires_makes_the_object_ready(void **state) {
	struct fixture *f = *state;
	struct spec_common common = { .interval_ns = 10 * NS_PER_S };
	struct spec spec = { .common = &common };
	schedule_check(&f->worker, f->objects[3], &spec);
	timers_fire(&f->worker.timers, f->worker.now.mono_ns + 10 * NS_PER_S, 0);
	assert_ptr_equal(shard_next(f->shard), f->objects[3]);
	assert_int_equal(f->objects[3]->wait_class, CLASS_PERIODIC);
}

static struct gate_pace paced_by(struct fixture *f, const char *url, const char *groups, double per_10s) {
	struct shard *shard = NULL;
	struct settings settings = settings_default();
	settings.vault_groups = groups;
	settings.group_per_10s = per_10s;
	assert_int_equal(shard_get(&f->worker, str_of(url), &shard), OK);
	shard_pace(shard, &settings);
	return shard->gate.group;
}

static struct gate_pace paced(struct fixture *f, const char *url, const char *groups) {
	return paced_by(f, url, groups, 1000);
}

static void a_vault_is_found_in_its_group(void **state) {
	struct fixture *f = *state;
	struct pool *pool = mem_zalloc(sizeof *pool);
	struct settings settings = settings_default();
	pool->settings = &settings;
	f->worker.pool = pool;
	const char *groups = "kv-a,kv-b;kv-c,v";
	assert_ptr_equal(paced(f, "https://kv-b.vault.azure.net", groups).pace, &pool->group_paces[0]);
	assert_ptr_equal(paced(f, "https://v.vault.azure.net", groups).pace, &pool->group_paces[1]);
	assert_null(paced(f, "https://kv.vault.azure.net", groups).pace);
	assert_null(paced(f, "", groups).pace);
	/* Ten seconds' worth, the burst, and a request that waits in each of its vaults. */
	struct gate_pace group = paced(f, "https://v.vault.azure.net", groups);
	assert_true(group.rate_per_s * 10 + group.burst + 2 < 1000.001 && group.rate_per_s * 10 + group.burst > 990);
	/* However many vaults share a small limit, half of it is theirs to use. */
	assert_true(paced_by(f, "https://v.vault.azure.net", "a,b,v", 2).rate_per_s > 0.01);
	assert_true(paced_by(f, "https://v.vault.azure.net", "a,b,c,d,e,f,g,h,i,j,k,v", 12).rate_per_s > 0.2);
	/* The configuration was read again. */
	assert_null(paced(f, "https://v.vault.azure.net", "kv-a").pace);
	assert_null(paced(f, "https://v.vault.azure.net", NULL).pace);
	assert_ptr_equal(paced(f, "https://v.vault.azure.net", "kv-a,v").pace, &pool->group_paces[0]);
	shard_sweep(&f->worker);
	f->worker.pool = NULL;
	mem_free(pool);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_same_url_is_the_same_shard),
		TEST(urgent_classes_come_first_in_order_of_arrival),
		TEST(no_class_starves),
		TEST(shares_of_classes_are_of_requests),
		TEST(what_asks_for_nothing_has_no_share),
		TEST(what_was_free_is_not_held_against_a_class),
		TEST(walks_have_a_share_while_somebody_waits),
		TEST(the_slowest_walk_goes_on),
		TEST(who_lacks_nothing_comes_behind_after_an_outage),
		TEST(a_more_urgent_reason_moves_an_object_up),
		TEST(a_waiter_of_a_gate_comes_back_to_the_ready_list),
		TEST(checks_keep_their_phase),
		TEST(checks_that_nobody_waits_for_come_together),
		TEST(workers_take_turns_at_what_nobody_waits_for),
		TEST(what_is_close_wakes_it_once),
		TEST(jitter_comes_on_top),
		TEST(a_change_waits_for_its_jitter_and_no_longer),
		TEST(the_last_class_is_served_in_bounded_time),
		TEST(retries_back_off_by_kind),
		TEST(a_throttle_does_not_count_as_a_failure),
		TEST(nobody_waits_longer_than_the_poll),
		TEST(a_timer_that_fires_makes_the_object_ready),
		TEST(a_vault_is_found_in_its_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
