/* workers/report: statuses at their own pace, behind Secrets, the last word of each object and never none. */
#include <stdio.h>

#include "base/metric.h"
#include "tests/unit/bench.h"

enum { OTHERS = 40, MANY = 300 };

static struct object *others[MANY];
static struct spec specs[MANY];
static char names[MANY][16], uids[MANY][16];
static unsigned other_count;

static void set_rate(double per_s) {
	struct settings settings = settings_default();
	settings.drift = DRIFT_OFF;
	settings.events_per_s = 0;
	settings.kube_writes_per_s = 0;
	settings.status_writes_per_s = per_s;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
}

/* SecretSyncs that cannot be understood: their status is all there is to write. */
static void add_others(unsigned count) {
	static struct spec_common wrong;
	memcpy(&wrong, &b.common, sizeof wrong);
	wrong.fault = STR("spec.x is wrong");
	for (unsigned i = 0; i < count; i++) {
		char key[24];
		struct status none = { 0 };
		snprintf(names[i], sizeof names[i], "o%u", i);
		snprintf(uids[i], sizeof uids[i], "u-%u", i);
		snprintf(key, sizeof key, "apps/o%u", i);
		memcpy(&specs[i], &b.spec, sizeof specs[i]);
		specs[i].common = &wrong;
		specs[i].name = str_of(names[i]);
		specs[i].uid = uids[i];
		assert_int_equal(
			object_create(str_of(key), str_of(uids[i]), &none, pool_first_queue(b.pool), &others[i]), OK);
		rcu_swap(others[i]->spec, &specs[i]);
		queue_add(&others[i]->item);
	}
	other_count = count;
	bench_turn();
}

static int teardown(void **state) {
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	for (unsigned i = 0; i < other_count; i++) object_destroy(others[i]);
	other_count = 0;
	return bench_teardown(state);
}

/* Answers every status that is under way; returns how many. */
static unsigned take_statuses(void) {
	unsigned count = 0;
	for (; bench_find(HTTP_PATCH, "/status?"); count++) reply(HTTP_PATCH, "/status?", 200, "{}");
	return count;
}

static unsigned waiting(void) {
	struct worker_numbers numbers;
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	return numbers.statuses_waiting;
}

static void first_write(void) {
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
}

static void write_again(const char *value) {
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, value);
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
}

static void the_pace_is_kept_and_every_status_is_written(void **state) {
	(void)state;
	set_rate(20); /* and 2 at once */
	add_others(OTHERS);
	assert_int_equal(take_statuses(), 2);
	assert_int_equal(waiting(), OTHERS - 2);
	unsigned written = 2, most = 0;
	for (unsigned i = 0; i < 40; i++) {
		bench_advance(NS_PER_S / 20 + 1);
		unsigned now = take_statuses();
		most = now > most ? now : most;
		written += now;
	}
	assert_int_equal(written, OTHERS);
	assert_int_equal(most, 1);
	assert_int_equal(waiting(), 0);
	for (unsigned i = 0; i < OTHERS; i++) assert_false(others[i]->unreported);
	bench_advance(NS_PER_S);
	assert_int_equal(bench_active(), 0);
}

/* The moment that was given at the old one is half a minute away. */
static void a_new_rate_acts_at_once(void **state) {
	(void)state;
	set_rate(0.03);
	add_others(4);
	take_statuses();
	assert_int_equal(waiting(), 3);
	set_rate(20);
	for (unsigned i = 0; i < 4; i++) {
		take_statuses();
		bench_advance(NS_PER_S / 20 + 1);
	}
	assert_int_equal(waiting(), 0);
}

/* Nothing but the status waits: the Secret is written twice meanwhile, and what is said is the last word. */
static void a_secret_does_not_wait_for_its_status(void **state) {
	uint64_t replaced = metric_read(METRIC_STATUS_REPLACED);
	(void)state;
	set_rate(0.01);
	add_others(1);
	take_statuses();
	bench_begin();
	first_write();
	write_again(VALUE("second", "v2", "1700000009"));
	write_again(VALUE("third", "v3", "1700000019"));
	assert_int_equal(bench_active(), 0);
	assert_int_equal(waiting(), 1);
	set_rate(0);
	struct http_req *req = request(HTTP_PATCH, STATUS_URL);
	assert_sends(req, "\"version\":\"v3\"");
	assert_sends(req, "\"reason\":\"UpdateValueChangeOrForceUpdateSucceeded\"");
	/* What was done first stays said. */
	assert_sends(req, "\"type\":\"SecretCreated\",\"status\":\"True\"");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	assert_int_equal(metric_read(METRIC_STATUS_REPLACED), replaced + 2);
}

/* Statuses are written by the other controller, too. One that is on its way ends. */
static void no_status_leaves_while_paused(void **state) {
	(void)state;
	add_others(20);
	assert_int_equal(bench_active(), 16);
	request(HTTP_PATCH, "/status?")->maybe_sent = true;
	bench_pause(true);
	assert_int_equal(bench_active(), 1);
	assert_int_equal(waiting(), 20);
	assert_int_equal(take_statuses(), 1);
	bench_advance(600 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
	assert_int_equal(waiting(), 19);
	bench_pause(false);
	assert_int_equal(take_statuses(), 19);
}

static void what_changes_under_way_is_written_after_it(void **state) {
	(void)state;
	bench_begin();
	first_write();
	write_again(VALUE("second", "v2", "1700000009"));
	/* One at a time, or the older might win. */
	assert_int_equal(bench_active(), 1);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"version\":\"v1\"");
	bench_take_status();
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"version\":\"v2\"");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	assert_false(b.object->unreported);
}

static void what_changes_under_way_of_a_failed_one_is_not_lost(void **state) {
	(void)state;
	bench_begin();
	first_write();
	write_again(VALUE("second", "v2", "1700000009"));
	reply(HTTP_PATCH, STATUS_URL, 500, "{}");
	assert_int_equal(bench_active(), 0);
	bench_advance(5 * NS_PER_S);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"version\":\"v2\"");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

/* Each of them may still be on its way, whoever came before it. */
static void whoever_comes_later_has_the_whole_pause(void **state) {
	(void)state;
	add_others(3);
	lose(HTTP_PATCH, "/secretsyncs/o0/status", ERR_TIMEOUT, true);
	bench_advance(4 * NS_PER_S);
	lose(HTTP_PATCH, "/secretsyncs/o1/status", ERR_TIMEOUT, true);
	bench_advance(NS_PER_S);
	reply(HTTP_PATCH, "/secretsyncs/o0/status", 200, "{}");
	assert_null(bench_find(HTTP_PATCH, "/secretsyncs/o1/status"));
	bench_advance(3 * NS_PER_S);
	assert_null(bench_find(HTTP_PATCH, "/secretsyncs/o1/status"));
	reply(HTTP_PATCH, "/secretsyncs/o2/status", 500, "{}");
	bench_advance(2 * NS_PER_S);
	reply(HTTP_PATCH, "/secretsyncs/o1/status", 200, "{}");
	bench_advance(5 * NS_PER_S);
	reply(HTTP_PATCH, "/secretsyncs/o2/status", 200, "{}");
	assert_int_equal(waiting(), 0);
}

static void who_waits_behind_one_that_left_is_not_lost(void **state) {
	(void)state;
	add_others(2);
	for (int i = 0; i < 2; i++) {
		lose(HTTP_PATCH, i ? "/secretsyncs/o1/status" : "/secretsyncs/o0/status", ERR_TIMEOUT, true);
		bench_advance(NS_PER_S);
	}
	thread_set_role(ROLE_WORKER);
	report_leave(pool_worker(b.pool, 0), others[0]);
	thread_set_role(ROLE_MAIN);
	bench_advance(3 * NS_PER_S);
	bench_advance(5 * NS_PER_S);
	reply(HTTP_PATCH, "/secretsyncs/o1/status", 200, "{}");
}

/* Somebody has to give us the right first; others are not held up meanwhile. */
static void a_refused_status_is_tried_slowly_and_alone(void **state) {
	(void)state;
	add_others(3);
	reply(HTTP_PATCH, "/secretsyncs/o1/status", 403, "{}");
	assert_int_equal(take_statuses(), 2);
	bench_advance(59 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
	bench_advance(NS_PER_S);
	reply(HTTP_PATCH, "/secretsyncs/o1/status", 403, "{}");
	bench_advance(60 * NS_PER_S);
	reply(HTTP_PATCH, "/secretsyncs/o1/status", 200, "{}");
	assert_false(others[1]->unreported);
	assert_int_equal(bench_active(), 0);
}

/* No turn of the worker is for all whose pause is over, and none of them is forgotten. */
static void many_pauses_end_slice_by_slice(void **state) {
	struct worker *worker = pool_worker(b.pool, 0);
	(void)state;
	add_others(MANY);
	for (unsigned i = 0; i < MANY; i++) {
		if (i == MANY - 1) bench_advance(NS_PER_S);
		reply(HTTP_PATCH, "/status?", 403, "{}");
	}
	assert_int_equal(waiting(), 0);
	b.now.mono_ns += 59 * NS_PER_S;
	thread_set_role(ROLE_WORKER);
	int64_t next_ns = worker_turn(worker, b.now);
	assert_true(next_ns <= b.now.mono_ns);
	assert_in_range(waiting(), 1, MANY - 2);
	thread_set_role(ROLE_MAIN);
	bench_turn();
	assert_int_equal(waiting(), MANY - 1);
	assert_int_equal(take_statuses(), MANY - 1);
	bench_advance(60 * NS_PER_S);
	assert_int_equal(take_statuses(), 1);
}

/* While the server cannot be reached one request goes out per interval; then everything that waited. */
static void an_outage_loses_nothing(void **state) {
	(void)state;
	add_others(20);
	while (bench_find(HTTP_PATCH, "/status?")) lose(HTTP_PATCH, "/status?", ERR_NETWORK, false);
	assert_int_equal(waiting(), 20);
	for (int i = 0; i < 3; i++) {
		bench_advance(10 * NS_PER_S);
		assert_int_equal(bench_active(), 1);
		lose(HTTP_PATCH, "/status?", ERR_NETWORK, false);
		assert_int_equal(bench_active(), 0);
	}
	bench_advance(10 * NS_PER_S);
	assert_int_equal(take_statuses(), 20);
	assert_int_equal(waiting(), 0);
}

/* Retry-After holds all of them; what was built before is one, so that the pace holds after the pause. */
static void a_pause_does_not_save_up(void **state) {
	(void)state;
	set_rate(10);
	add_others(30);
	reply_after(HTTP_PATCH, "/status?", 429, 20, "{}");
	for (int i = 0; i < 19; i++) {
		bench_advance(NS_PER_S);
		assert_int_equal(bench_active(), 0);
	}
	bench_advance(NS_PER_S);
	assert_in_range(take_statuses(), 1, 3);
}

static void a_stop_writes_what_it_has_time_for(void **state) {
	(void)state;
	set_rate(10);
	add_others(30);
	assert_int_equal(take_statuses(), 1);
	pool_stop(b.pool, NS_PER_S);
	bench_turn();
	assert_false(worker_is_drained(pool_worker(b.pool, 0)));
	unsigned written = 0;
	for (int i = 0; i < 9; i++) {
		bench_advance(NS_PER_S / 10 + 1);
		written += take_statuses();
	}
	assert_int_equal(written, 9);
	assert_false(worker_is_drained(pool_worker(b.pool, 0)));
	bench_advance(NS_PER_S / 5);
	assert_true(worker_is_drained(pool_worker(b.pool, 0)));
	assert_int_equal(bench_active(), 0);
}

/* With no way to the API server there is nothing to wait for. */
static void a_stop_does_not_wait_for_a_lost_server(void **state) {
	(void)state;
	add_others(20);
	while (bench_find(HTTP_PATCH, "/status?")) lose(HTTP_PATCH, "/status?", ERR_NETWORK, false);
	pool_stop(b.pool, 20 * NS_PER_S);
	bench_turn();
	assert_true(worker_is_drained(pool_worker(b.pool, 0)));
}

/* Another worker goes on with it, when what the first one sent can no longer arrive. */
static void a_status_moves_with_its_object(void **state) {
	(void)state;
	bench_begin();
	first_write();
	request(HTTP_PATCH, STATUS_URL);
	thread_set_role(ROLE_WORKER);
	report_leave(pool_worker(b.pool, 0), b.object);
	assert_int_equal(bench_active(), 0);
	assert_true(b.object->unreported);
	report_arrived(pool_worker(b.pool, 0), b.object);
	thread_set_role(ROLE_MAIN);
	bench_advance(5 * NS_PER_S - 1);
	assert_int_equal(bench_active(), 0);
	bench_advance(1);
	bench_take_status();
	assert_false(b.object->unreported);
}

/* An import is under way on this worker, or its end. */
static void set_backlog(unsigned count) {
	static unsigned before;
	struct worker *worker = pool_worker(b.pool, 0);
	worker->waiting[CLASS_NEW] += count - before;
	before = count;
	bench_turn();
}

static void check_unchanged(void) {
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
}

/* What is to be said is that nothing has changed. */
static void be_well_in_an_import(void) {
	set_rate(0);
	bench_begin();
	first_write();
	bench_take_status();
	set_backlog(64);
	check_unchanged();
}

static void that_all_is_still_well_waits_for_the_end_of_an_import(void **state) {
	(void)state;
	be_well_in_an_import();
	assert_int_equal(bench_active(), 0);
	assert_int_equal(waiting(), 1);
	set_backlog(63);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateNoValueChangeSucceeded");
	bench_take_status();
	set_backlog(0);
	assert_int_equal(waiting(), 0);
	assert_false(b.object->unreported);
}

/* A class of a low pace may keep its SecretSyncs waiting for hours. */
static void a_long_backlog_holds_up_nobody(void **state) {
	(void)state;
	be_well_in_an_import();
	bench_advance(119 * NS_PER_S);
	assert_null(bench_find(HTTP_PATCH, STATUS_URL));
	bench_advance(NS_PER_S);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateNoValueChangeSucceeded");
	bench_take_status();
	set_backlog(0);
}

static void news_does_not_wait_for_the_end_of_an_import(void **state) {
	(void)state;
	set_rate(0);
	set_backlog(1000);
	bench_begin();
	first_write();
	assert_sends(request(HTTP_PATCH, STATUS_URL), "CreateSucceeded");
	bench_take_status();
	check_unchanged();
	assert_int_equal(waiting(), 1);
	write_again(VALUE("second", "v2", "1700000009"));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"version\":\"v2\"");
	bench_take_status();
	assert_int_equal(waiting(), 0);
	/* A failure, and its end, are news. */
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 403, "{}");
	bench_take_status();
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("second", "v2", "1700000009"));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateNoValueChangeSucceeded");
	bench_take_status();
	assert_int_equal(waiting(), 0);
	set_backlog(0);
}

static void a_stop_in_an_import_writes_what_is_well_too(void **state) {
	(void)state;
	be_well_in_an_import();
	pool_stop(b.pool, NS_PER_S);
	bench_turn();
	assert_false(worker_is_drained(pool_worker(b.pool, 0)));
	bench_take_status();
	set_backlog(0);
	assert_true(worker_is_drained(pool_worker(b.pool, 0)));
}

/* A list shows a status that is older than the one that waits: it may as well be that of a backup, whose Secret is as old. So
 * it is believed as after a start. The next check, or a walk over the vault's list, finds out; that costs one read and one
 * write, which changes nothing where the Secret is not as old, and the last word is said after all, once. */
static void an_older_status_that_is_told_costs_one_look(void **state) {
	struct status older;
	(void)state;
	bench_begin();
	first_write();
	bench_take_status();
	assert_int_equal(status_copy(&b.object->status, &older), OK);
	set_rate(0.01);
	add_others(1);
	take_statuses();
	write_again(VALUE("second", "v2", "1700000009"));
	assert_int_equal(waiting(), 1);
	assert_int_equal(object_tell(b.object, &older, INT64_MAX), OK);
	bench_again();
	assert_int_equal(waiting(), 0);
	assert_null(bench_find(HTTP_GET, "/secrets/a/"));
	unsigned before = bench_started();
	write_again(VALUE("second", "v2", "1700000009"));
	assert_int_equal(bench_started(), before + 3);
	assert_int_equal(waiting(), 1);
	set_rate(0);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"version\":\"v2\"");
	bench_take_status();
	bench_advance(600 * NS_PER_S);
	assert_null(bench_find(HTTP_PATCH, STATUS_URL));
}

static void want_of_memory_is_no_loss(void **state) {
	(void)state;
	for (uint64_t nth = 1; nth < 12; nth++) {
		b.common.fault = nth % 2 ? STR("odd") : STR("even");
		if (nth == 1) bench_begin();
		take_statuses();
		thread_set_role(ROLE_WORKER);
		b.object->unreported = true;
		if (!list_is_linked(&b.object->report)) report_due(pool_worker(b.pool, 0), b.object);
		mem_fail_at(nth);
		report_turn(pool_worker(b.pool, 0));
		mem_fail_at(0);
		thread_set_role(ROLE_MAIN);
		bench_advance(6 * NS_PER_S);
		assert_int_equal(take_statuses(), 1);
		assert_false(b.object->unreported);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(the_pace_is_kept_and_every_status_is_written),
		TEST(a_new_rate_acts_at_once),
		TEST(a_secret_does_not_wait_for_its_status),
		TEST(no_status_leaves_while_paused),
		TEST(what_changes_under_way_is_written_after_it),
		TEST(what_changes_under_way_of_a_failed_one_is_not_lost),
		TEST(whoever_comes_later_has_the_whole_pause),
		TEST(who_waits_behind_one_that_left_is_not_lost),
		TEST(a_refused_status_is_tried_slowly_and_alone),
		TEST(many_pauses_end_slice_by_slice),
		TEST(an_outage_loses_nothing),
		TEST(a_pause_does_not_save_up),
		TEST(a_stop_writes_what_it_has_time_for),
		TEST(a_stop_does_not_wait_for_a_lost_server),
		TEST(a_status_moves_with_its_object),
		TEST(that_all_is_still_well_waits_for_the_end_of_an_import),
		TEST(a_long_backlog_holds_up_nobody),
		TEST(news_does_not_wait_for_the_end_of_an_import),
		TEST(a_stop_in_an_import_writes_what_is_well_too),
		TEST(an_older_status_that_is_told_costs_one_look),
		TEST(want_of_memory_is_no_loss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
