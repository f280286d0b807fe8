/* workers/looks: whose Secret is looked at though nothing tells of a change, when, and what the others' turns cost. */
#include <limits.h>
#include <stdio.h>

#include "base/metric.h"
#include "tests/unit/bench_secret.h"

enum { MOST = 64 };

static const int64_t INTERVAL_NS = 60 * NS_PER_S;

static struct spec specs[MOST];
static char names[MOST][16];
static struct object *others[MOST];
static unsigned other_count;
static unsigned probes[MOST], gets; /* of apps/d<i>; of values */
static const char *probe_says;

static int64_t jitter_ns;

static void set(enum drift_mode drift, enum change_detection detection, double probes_per_s) {
	struct settings settings = settings_default();
	settings.drift = drift;
	settings.change_detection = detection;
	settings.drift_probes_per_s = probes_per_s;
	settings.poll_interval_ns = INTERVAL_NS;
	settings.jitter_ns = jitter_ns;
	settings.events_per_s = settings.status_writes_per_s = settings.kube_writes_per_s = 0;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
}

/* SecretSync number i, which is apps/d<i> and has a Secret of that name. */
static void bring(unsigned i, struct spec_common *common, struct status *status) {
	char key[32], uid[8];
	snprintf(names[i], sizeof names[i], "d%u", i);
	snprintf(key, sizeof key, "apps/d%u", i);
	snprintf(uid, sizeof uid, "u-%u", i);
	specs[i] = b.spec;
	specs[i].cell = b.cell;
	specs[i].common = common;
	specs[i].name = str_of(names[i]);
	atomic_store(&specs[i].ref, 1000000);
	assert_int_equal(
		object_create(str_of(key), str_of(uid), status, pool_first_queue(b.pool), &others[i]), OK);
	rcu_swap(others[i]->spec, &specs[i]);
	queue_add(&others[i]->item);
	if (other_count <= i) other_count = i + 1;
}

static void bring_many(unsigned count) {
	spc_publish(b.cell, &b.spc);
	for (unsigned i = 0; i < count; i++) {
		struct status none = { 0 };
		bring(i, &b.common, &none);
	}
	bench_turn();
}

static bool answer_probe(void) {
	for (unsigned i = 0; i < other_count; i++) {
		char part[96];
		snprintf(part, sizeof part, SECRETS_URL "/d%u?", i);
		struct http_req *req = bench_find(HTTP_PATCH, part);
		if (!req) continue;
		probes[i]++;
		answer(req, 200, probe_says);
		bench_end(req);
		return true;
	}
	return false;
}

#define ANSWER(method, part, code, body)                         \
	do {                                                     \
		struct http_req *found_ = bench_find(method, part); \
		if (!found_) break;                              \
		answer(found_, code, body);                      \
		found_->server_date_s = b.now.wall_ns / NS_PER_S; \
		bench_end(found_);                               \
		return true;                                     \
	} while (0)

static bool answer_one(void) {
	ANSWER(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	ANSWER(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":86399}");
	ANSWER(HTTP_GET, "/secrets?", 200, "{\"value\":[{" ROW("", "1700000000") "}],\"nextLink\":null}");
	ANSWER(HTTP_GET, "/secrets/missing/", 404, MISSING);
	if (bench_find(HTTP_GET, "/secrets/a/")) gets++;
	ANSWER(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	ANSWER(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	ANSWER(HTTP_PATCH, "/status", 200, "{}");
	return answer_probe();
}

/* Time goes on by seconds; whatever is asked is answered at once, and well. */
static void pass(int64_t ns) {
	for (int64_t gone_ns = 0; gone_ns < ns; gone_ns += NS_PER_S) {
		bench_advance(ns - gone_ns < NS_PER_S ? ns - gone_ns : NS_PER_S);
		while (answer_one()) {
		}
	}
}

static unsigned probed(unsigned least, unsigned most) {
	unsigned count = 0;
	for (unsigned i = 0; i < other_count; i++) count += probes[i] >= least && probes[i] <= most;
	return count;
}

static void forget_counts(void) {
	memset(probes, 0, sizeof probes);
	gets = 0;
}

static int setup_workers(unsigned workers) {
	probe_says = OURS("s-1", "5", OWNED);
	other_count = 0;
	jitter_ns = 0;
	forget_counts();
	return bench_setup_workers(workers);
}

static int setup(void **state) {
	(void)state;
	return setup_workers(1);
}

static int teardown(void **state) {
	int result = bench_teardown(state);
	for (unsigned i = 0; i < other_count; i++) object_destroy(others[i]);
	return result;
}

/* Written, and met by a walk. */
static void be_listed(unsigned count, enum drift_mode drift, double probes_per_s) {
	set(drift, CHANGE_BY_LIST, probes_per_s);
	bring_many(count);
	pass(20 * NS_PER_S);
	for (unsigned i = 0; i < count; i++) assert_true(scan_covers(others[i]));
	forget_counts();
}

static void an_interval_after_it_was_written_it_is_looked_at(void **state) {
	(void)state;
	be_listed(1, DRIFT_PROBE, 30);
	pass(38 * NS_PER_S);
	assert_int_equal(probes[0], 0);
	pass(4 * NS_PER_S);
	assert_int_equal(probes[0], 1);
	pass(10 * INTERVAL_NS);
	assert_in_range(probes[0], 10, 11);
	/* The vault was not asked for it. */
	assert_int_equal(gets, 0);
}

/* What nobody may look at costs no reconcile: there is none but for the looks. */
static void a_poll_without_its_turn_begins_nothing(void **state) {
	(void)state;
	be_listed(40, DRIFT_PROBE, 0.1);
	pass(2 * INTERVAL_NS);
	forget_counts();
	uint64_t before = metric_read(METRIC_RECONCILES);
	pass(4 * INTERVAL_NS);
	assert_in_range(probed(1, 1), 23, 25);
	assert_int_equal(metric_read(METRIC_RECONCILES) - before, probed(1, 1) + gets);
}

/* However few looks there are, nobody has a second one before everybody has had his. */
static void they_take_turns(void **state) {
	(void)state;
	be_listed(12, DRIFT_PROBE, 0.1);
	for (int i = 0; i < 30 && probed(0, 0); i++) {
		pass(10 * NS_PER_S);
		assert_int_equal(probed(2, UINT_MAX), 0);
	}
	assert_int_equal(probed(1, 1), 12);
}

/* An edit that was made while kvsync was down is not found an interval later, but as soon as it may look. */
static void after_a_start_nobody_waits_for_an_interval(void **state) {
	struct status statuses[20] = { 0 };
	(void)state;
	be_listed(20, DRIFT_PROBE, 30);
	for (int i = 0; i < 20; i++) assert_int_equal(status_copy(&others[i]->status, &statuses[i]), OK);
	teardown(state);
	setup(state);
	set(DRIFT_PROBE, CHANGE_BY_LIST, 4);
	spc_publish(b.cell, &b.spc);
	for (unsigned i = 0; i < 20; i++) bring(i, &b.common, &statuses[i]);
	bench_turn();
	pass(12 * NS_PER_S);
	assert_int_equal(probed(1, 1), 20);
	/* One safety re-read falls into that time. */
	assert_in_range(gets, 0, 1);
}

/* Who is checked by GET is looked at then, each time where there are looks enough. */
static void own_polls_look_when_they_come(void **state) {
	(void)state;
	set(DRIFT_PROBE, CHANGE_BY_GET, 30);
	bring_many(3);
	pass(90 * NS_PER_S);
	forget_counts();
	pass(10 * INTERVAL_NS);
	assert_int_equal(probed(9, 11), 3);
	assert_in_range(gets, 27, 33);
}

static void own_polls_take_turns_too(void **state) {
	(void)state;
	set(DRIFT_PROBE, CHANGE_BY_GET, 0.05);
	bring_many(12);
	pass(90 * NS_PER_S);
	forget_counts();
	/* Three looks a minute, for twelve. */
	pass(6 * INTERVAL_NS);
	assert_int_equal(probed(1, 2), 12);
}

/* A SecretSync's own interval holds for looks, too: longer or shorter than everybody's. */
static void the_interval_is_the_objects_own(void **state) {
	struct spec_common seldom = b.common, often = b.common;
	struct status none = { 0 };
	(void)state;
	seldom.interval_ns = 5 * INTERVAL_NS;
	often.interval_ns = 5 * NS_PER_S;
	set(DRIFT_PROBE, CHANGE_BY_LIST, 30);
	spc_publish(b.cell, &b.spc);
	bring(0, &seldom, &none);
	bring(1, &often, &none);
	bench_turn();
	pass(20 * NS_PER_S);
	assert_true(scan_covers(others[0]) && !scan_covers(others[1]));
	forget_counts();
	pass(10 * INTERVAL_NS);
	assert_in_range(probes[0], 1, 2);
	assert_in_range(probes[1], 110, 121);
	/* They go before what they point to. */
	rcu_swap(others[0]->spec, &b.spec);
	rcu_swap(others[1]->spec, &b.spec);
}

static void a_safety_reread_is_not_put_off(void **state) {
	(void)state;
	be_listed(40, DRIFT_PROBE, 30);
	/* Each has one in 24 intervals, and 24 looks. */
	pass(24 * INTERVAL_NS);
	assert_in_range(gets, 40, 40);
	assert_int_equal(probed(23, 25), 40);
}

/* Nor by a look that would still be under way at its moment. */
static void a_look_just_before_a_safety_reread_waits_for_it(void **state) {
	struct worker *worker = pool_worker(b.pool, 0);
	(void)state;
	be_listed(1, DRIFT_PROBE, 30);
	int64_t safety_ns = timer_at_ns(&worker->timers, &others[0]->timer);
	assert_int_equal(others[0]->due, CLASS_SAFETY);
	/* Due a second before. */
	bench_advance(safety_ns - b.now.mono_ns - 5 * NS_PER_S / 2);
	while (answer_one()) {
	}
	others[0]->secret_seen_ns = safety_ns - INTERVAL_NS - NS_PER_S - NS_PER_MS;
	forget_counts();
	bench_advance(3 * NS_PER_S / 2);
	assert_int_equal(bench_active(), 0);
	pass(NS_PER_S);
	assert_int_equal(gets, 1);
}

/* Nor where the re-read waits by chance, longer than a look takes to come again. */
static void a_safety_reread_that_waits_by_chance_is_not_put_off(void **state) {
	(void)state;
	be_listed(40, DRIFT_PROBE, 30);
	jitter_ns = 50 * NS_PER_S;
	set(DRIFT_PROBE, CHANGE_BY_LIST, 30);
	pass(INTERVAL_NS);
	forget_counts();
	pass(24 * INTERVAL_NS);
	assert_in_range(gets, 37, 43);
	assert_int_equal(probed(22, 25), 40);
}

/* Probes that are left over for a while are not made up for. */
static void no_second_has_more_than_allowed(void **state) {
	(void)state;
	be_listed(40, DRIFT_PROBE, 8);
	/* All of them are due within a second. */
	pass(38 * NS_PER_S);
	forget_counts();
	for (int i = 0; i < 8; i++) {
		unsigned before = probed(1, 1);
		pass(NS_PER_S);
		assert_in_range(probed(1, 1) - before, 0, 9);
	}
	assert_int_equal(probed(1, 1), 40);
}

static void switched_on_they_begin_and_off_they_end(void **state) {
	(void)state;
	be_listed(4, DRIFT_OFF, 30);
	pass(3 * INTERVAL_NS);
	assert_int_equal(probed(0, 0), 4);
	set(DRIFT_PROBE, CHANGE_BY_LIST, 30);
	pass(3 * NS_PER_S);
	assert_int_equal(probed(1, 1), 4);
	set(DRIFT_OFF, CHANGE_BY_LIST, 30);
	pass(3 * INTERVAL_NS);
	assert_int_equal(probed(1, 1), 4);
}

/* By objects, so that a worker of few does not look at his more often than others at theirs. */
static void workers_share_the_looks(void **state) {
	static struct spec_common common;
	static struct spc_access access[2];
	static struct spc spc[2];
	static struct spc_cell *cells[2];
	static char urls[2][64];
	unsigned by_worker[2] = { 0 };
	struct status none = { 0 };
	(void)state;
	common = b.common;
	for (unsigned w = 0; w < 2; w++) {
		access[w] = b.access;
		int k = 0;
		do {
			snprintf(urls[w], sizeof urls[w], "https://v%d.vault.azure.net", k++);
		} while (hash64_stable(str_of(urls[w])) % 2 != w);
		access[w].vault_url = str_of(urls[w]);
		access[w].home_hash = hash64_stable(access[w].vault_url);
		memcpy(&spc[w], &b.spc, sizeof spc[w]);
		spc[w].access = &access[w];
		cells[w] = spc_cell_create(STR("apps/class"));
		spc_publish(cells[w], &spc[w]);
	}
	set(DRIFT_PROBE, CHANGE_BY_GET, 0.5);
	for (unsigned i = 0; i < 40; i++) {
		bring(i, &common, &none);
		specs[i].cell = cells[i < 30];
	}
	pass(90 * NS_PER_S);
	forget_counts();
	pass(160 * NS_PER_S);
	for (unsigned i = 0; i < 40; i++) by_worker[i < 30] += probes[i];
	print_message("looks: %u and %u\n", by_worker[0], by_worker[1]);
	assert_in_range(by_worker[0], 15, 25);
	assert_in_range(by_worker[1], 50, 70);
}

/* One vault, as most have: one of the workers has all objects. */
static void one_of_two_workers_has_no_more_at_once(void **state) {
	(void)state;
	be_listed(40, DRIFT_PROBE, 4);
	pass(38 * NS_PER_S);
	forget_counts();
	for (int i = 0; i < 14; i++) {
		unsigned before = probed(1, 1);
		pass(NS_PER_S);
		assert_in_range(probed(1, 1) - before, 0, 5);
	}
	assert_int_equal(probed(1, 1), 40);
}

/* A retry that finds nothing to write has no look beside its turn. */
static void retries_take_turns_too(void **state) {
	struct spec_common seldom = b.common;
	struct status none = { 0 };
	(void)state;
	seldom.interval_ns = 10 * INTERVAL_NS;
	set(DRIFT_PROBE, CHANGE_BY_GET, 30);
	/* One item that the vault does not have: tried again soon at first, later less often. */
	b.items[1] = (struct spec_item){ STR("missing"), STR("m") };
	b.objects[1] = (struct spc_object){ .name = STR("missing"), .path = STR("missing"), .kind = VAULT_SECRET };
	b.spc.object_count = b.spec.item_count = 2;
	spc_publish(b.cell, &b.spc);
	bring(0, &seldom, &none);
	bench_turn();
	pass(10 * INTERVAL_NS);
	assert_in_range(gets, 5, 12);
	assert_in_range(probes[0], 1, 2);
	rcu_swap(others[0]->spec, &b.spec);
}

static int setup_two(void **state) {
	(void)state;
	return setup_workers(2);
}

#define LOOKS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		LOOKS_TEST(an_interval_after_it_was_written_it_is_looked_at),
		LOOKS_TEST(a_poll_without_its_turn_begins_nothing),
		LOOKS_TEST(they_take_turns),
		LOOKS_TEST(after_a_start_nobody_waits_for_an_interval),
		LOOKS_TEST(own_polls_look_when_they_come),
		LOOKS_TEST(own_polls_take_turns_too),
		LOOKS_TEST(the_interval_is_the_objects_own),
		LOOKS_TEST(a_safety_reread_is_not_put_off),
		LOOKS_TEST(a_look_just_before_a_safety_reread_waits_for_it),
		LOOKS_TEST(a_safety_reread_that_waits_by_chance_is_not_put_off),
		LOOKS_TEST(no_second_has_more_than_allowed),
		LOOKS_TEST(retries_take_turns_too),
		cmocka_unit_test_setup_teardown(one_of_two_workers_has_no_more_at_once, setup_two, teardown),
		LOOKS_TEST(switched_on_they_begin_and_off_they_end),
		cmocka_unit_test_setup_teardown(workers_share_the_looks, setup_two, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
