/* workers/pool: life of the workers, with threads and loops as in production. */
#include "tests/unit/bench.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct loop *make_loop(void *arg, unsigned index) {
	(void)arg, (void)index;
	return loop_create(clock_system());
}

static enum err make_threaded(struct pool **out_pool) {
	struct pool_options options = { .workers = 2,
		.kube = &b.kube,
		.azure = &b.azure,
		.settings = settings_default(),
		.doors = { .clock = clock_system(), .make_loop = make_loop, .make_http = bench_make_http, .wake_main = bench_wake_main } };
	return pool_create(&options, out_pool);
}

enum { NO_THREAD = 99 };

/* The nice value of a thread of this process. */
static int nice_of(const char *name) {
	char path[300], text[512];
	int nice = NO_THREAD;
	DIR *threads = opendir("/proc/self/task");
	assert_non_null(threads);
	for (struct dirent *entry; (entry = readdir(threads));) {
		snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
		FILE *file = fopen(path, "r");
		bool read = file && fgets(text, sizeof text, file);
		if (file) fclose(file);
		const char *end = read ? strrchr(text, ')') : NULL;
		if (!end || strncmp(strchr(text, '(') + 1, name, strlen(name)) != 0) continue;
		/* Behind the name: state, ppid, pgrp, session, tty, tpgid, flags, 4 of faults, 4 of times, priority, nice. */
		assert_int_equal(sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %d", &nice), 1);
	}
	closedir(threads);
	return nice;
}

/* Main goes on with its list where cores are short. */
static void workers_let_main_go_first(void **state) {
	struct pool *pool = NULL;
	(void)state;
	struct bench_http *kept = b.https[0];
	int ours = getpriority(PRIO_PROCESS, 0);
	assert_int_equal(make_threaded(&pool), OK);
	assert_int_equal(pool_start(pool), OK);
	/* A thread takes a moment to have its name, and another to step back. */
	int its = NO_THREAD;
	for (int i = 0; i < 5000 && (its == NO_THREAD || its == ours); i++) {
		usleep(1000);
		its = nice_of("worker-1");
	}
	assert_true(its > ours && its < NO_THREAD);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), ours);
	pool_stop(pool, 0);
	pool_join(pool);
	pool_destroy(pool);
	b.https[0] = kept;
	b.https[1] = NULL;
}

static void threads_start_and_end_when_they_are_told(void **state) {
	struct pool *pool = NULL;
	(void)state;
	struct bench_http *kept = b.https[0];
	assert_int_equal(make_threaded(&pool), OK);
	assert_int_equal(pool_size(pool), 2);
	assert_int_equal(pool_start(pool), OK);
	pool_stop(pool, 0);
	pool_join(pool);
	for (unsigned i = 0; i < 2; i++) assert_true(worker_is_drained(pool_worker(pool, i)));
	pool_destroy(pool);
	b.https[0] = kept;
	b.https[1] = NULL;
}

static void a_pool_that_never_started_is_destroyed(void **state) {
	struct pool *pool = NULL;
	(void)state;
	struct bench_http *kept = b.https[0];
	assert_int_equal(make_threaded(&pool), OK);
	pool_destroy(pool);
	pool_destroy(NULL);
	b.https[0] = kept;
	b.https[1] = NULL;
}

static void nothing_is_retired_before_it_is(void **state) {
	(void)state;
	assert_null(pool_take_retired(b.pool));
	assert_ptr_equal(pool_first_queue(b.pool), &pool_worker(b.pool, 0)->queue);
}

/* Main and the workers write at one pace; another one acts on who waits for his turn. */
static void writes_of_main_are_counted_with_the_others(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.drift = DRIFT_OFF;
	settings.events_per_s = 0;
	settings.kube_writes_per_s = 0.1;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
	assert_int_equal(pool_write_wait_ns(b.pool, b.now.mono_ns), 0);
	bench_begin();
	bench_fetch();
	assert_null(bench_find(HTTP_POST, SECRETS_URL "?"));
	bench_advance(9 * NS_PER_S);
	assert_null(bench_find(HTTP_POST, SECRETS_URL "?"));
	/* Whoever asks later comes later. */
	assert_in_range(pool_write_wait_ns(b.pool, b.now.mono_ns), 10 * NS_PER_S, 12 * NS_PER_S);
	bench_advance(NS_PER_S + NS_PER_MS);
	assert_non_null(bench_find(HTTP_POST, SECRETS_URL "?"));
	assert_true(pool_write_wait_ns(b.pool, b.now.mono_ns) > 9 * NS_PER_S);
	settings.kube_writes_per_s = 10;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
	assert_int_equal(pool_write_wait_ns(b.pool, b.now.mono_ns), 0);
	settings.kube_writes_per_s = 0;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	for (int i = 0; i < 100; i++) assert_int_equal(pool_write_wait_ns(b.pool, b.now.mono_ns), 0);
	bench_turn();
}

/* Reads end, and so does a write that is on its way; nothing begins; and nothing that came meanwhile is lost. */
static void while_paused_nothing_begins(void **state) {
	(void)state;
	pool_pause(b.pool, true);
	bench_begin();
	assert_int_equal(bench_active(), 0);
	pool_pause(b.pool, false);
	bench_turn();
	pool_pause(b.pool, true);
	bench_fetch();
	assert_int_equal(bench_active(), 0);
	bench_advance(NS_PER_S);
	assert_int_equal(bench_active(), 0);
	pool_pause(b.pool, false);
	bench_turn();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	request(HTTP_POST, SECRETS_URL "?")->maybe_sent = true;
	pool_pause(b.pool, true);
	bench_turn();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_advance(2 * 3600 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
	pool_pause(b.pool, false);
	bench_turn();
	bench_take_status();
	assert_int_equal(bench_active(), 1);
}

static void workers_need_a_role(void *arg) {
	(void)arg;
	thread_set_role(ROLE_MAIN);
	worker_turn(pool_worker(b.pool, 0), b.now);
}

static void nobody_else_turns_a_worker(void **state) {
	(void)state;
	assert_true(aborts(workers_need_a_role, NULL));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(workers_let_main_go_first),
		BENCH_TEST(threads_start_and_end_when_they_are_told),
		BENCH_TEST(a_pool_that_never_started_is_destroyed),
		BENCH_TEST(nothing_is_retired_before_it_is),
		BENCH_TEST(writes_of_main_are_counted_with_the_others),
		BENCH_TEST(while_paused_nothing_begins),
		BENCH_TEST(nobody_else_turns_a_worker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
