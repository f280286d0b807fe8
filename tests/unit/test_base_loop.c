#include "unit.h"

#include <sys/epoll.h>
#include <time.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/thread.h"

enum { WATCHES = 100 };

struct pipe_watch {
	struct loop_fd watch;
	int write_fd;
	int calls;
	uint32_t last_events;
	void (*then)(struct pipe_watch *self);
};

static struct loop *loop;
static struct pipe_watch pipes[WATCHES];

static void on_ready(struct loop_fd *watch, uint32_t events) {
	struct pipe_watch *self = container_of(watch, struct pipe_watch, watch);
	self->calls++;
	self->last_events = events;
	if (self->then) self->then(self);
}

static void open_pipe(struct pipe_watch *self) {
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	*self = (struct pipe_watch){
		.watch = { .fd = fds[0], .events = EPOLLIN, .ready = on_ready },
		.write_fd = fds[1],
	};
	assert_int_equal(loop_add(loop, &self->watch), OK);
}

static void close_pipe(struct pipe_watch *self) {
	close(self->watch.fd);
	close(self->write_fd);
}

static void send_byte(struct pipe_watch *self) {
	assert_int_equal(write(self->write_fd, "x", 1), 1);
}

static void take_byte(struct pipe_watch *self) {
	char c;
	assert_int_equal(read(self->watch.fd, &c, 1), 1);
}

static int setup(void **state) {
	(void)state;
	loop = loop_create(clock_system());
	return loop ? 0 : -1;
}

static int teardown(void **state) {
	(void)state;
	loop_destroy(loop);
	return 0;
}

static int64_t now_ns(void) {
	return clock_now(clock_system()).mono_ns;
}

static void test_deadlines(void **state) {
	(void)state;
	static const int64_t waits_ns[] = { 1, 1000, 300 * NS_PER_US, 5 * NS_PER_MS,
		1100 * NS_PER_MS };
	for (size_t i = 0; i < sizeof(waits_ns) / sizeof(waits_ns[0]); i++) {
		int64_t deadline_ns = now_ns() + waits_ns[i];
		loop_wait(loop, deadline_ns);
		assert_true(loop_now(loop).mono_ns >=
			    deadline_ns); /* never early: nobody has to spin */
		assert_true(loop_now(loop).mono_ns - deadline_ns < 2 * NS_PER_S);
	}
}

static void test_past_deadlines_do_not_sleep(void **state) {
	(void)state;
	int64_t start_ns = now_ns();
	for (int i = 0; i < 100; i++) {
		loop_wait(loop, 0);
		loop_wait(loop, INT64_MIN);
		loop_wait(loop, now_ns());
	}
	assert_true(now_ns() - start_ns < NS_PER_S);
}

static void test_events(void **state) {
	(void)state;
	struct pipe_watch *p = &pipes[0];
	open_pipe(p);
	assert_int_equal(loop_add(loop, &p->watch), ERR_EXISTS);
	loop_wait(loop, 0);
	assert_int_equal(p->calls, 0);
	send_byte(p);
	loop_wait(loop, NEVER_NS);
	assert_int_equal(p->calls, 1);
	assert_int_equal(p->last_events, EPOLLIN);
	loop_wait(loop, NEVER_NS); /* level: the byte is still there */
	assert_int_equal(p->calls, 2);
	assert_int_equal(loop_change(loop, &p->watch, 0), OK);
	loop_wait(loop, 0);
	assert_int_equal(p->calls, 2);
	assert_int_equal(loop_change(loop, &p->watch, EPOLLIN), OK);
	loop_wait(loop, NEVER_NS);
	assert_int_equal(p->calls, 3);
	loop_remove(loop, &p->watch);
	loop_wait(loop, 0);
	assert_int_equal(p->calls, 3);
	assert_int_equal(loop_change(loop, &p->watch, EPOLLIN), ERR_NOT_FOUND);
	loop_remove(loop, &p->watch);
	close_pipe(p);
	loop_remove(loop, &p->watch);
}

static void test_hangup_is_delivered(void **state) {
	(void)state;
	open_pipe(&pipes[0]);
	close(pipes[0].write_fd);
	loop_wait(loop, NEVER_NS);
	assert_true(pipes[0].last_events & EPOLLHUP);
	loop_remove(loop, &pipes[0].watch);
	close(pipes[0].watch.fd);
}

/* Whoever is called first removes all others of the batch. */
static void remove_the_others(struct pipe_watch *self) {
	for (int i = 0; i < WATCHES; i++) {
		if (&pipes[i] == self) continue;
		loop_remove(loop, &pipes[i].watch);
		pipes[i].watch.ready = NULL; /* a call would crash */
	}
}

static void test_removal_within_a_batch(void **state) {
	(void)state;
	int fds[WATCHES], calls = 0;
	for (int i = 0; i < WATCHES; i++) {
		open_pipe(&pipes[i]);
		pipes[i].then = remove_the_others;
		send_byte(&pipes[i]);
		fds[i] = pipes[i].watch.fd;
	}
	loop_wait(loop, NEVER_NS);
	for (int i = 0; i < WATCHES; i++) calls += pipes[i].calls;
	assert_int_equal(calls, 1);
	loop_wait(loop, 0);
	for (int i = 0; i < WATCHES; i++) {
		if (pipes[i].calls) loop_remove(loop, &pipes[i].watch);
		close(fds[i]);
		close(pipes[i].write_fd);
	}
}

static void remove_itself(struct pipe_watch *self) {
	loop_remove(loop, &self->watch);
	close_pipe(self);
}

static void test_removal_of_itself(void **state) {
	(void)state;
	for (int i = 0; i < 3; i++) {
		open_pipe(&pipes[i]);
		pipes[i].then = remove_itself;
		send_byte(&pipes[i]);
	}
	loop_wait(loop, NEVER_NS);
	loop_wait(loop, 0);
	for (int i = 0; i < 3; i++) assert_int_equal(pipes[i].calls, 1);
}

/* The first one removes the second and adds it again: the old event must not reach it twice. */
static void renew_the_second(struct pipe_watch *self) {
	take_byte(self);
	take_byte(&pipes[1 - (self - pipes)]);
	loop_remove(loop, &pipes[1 - (self - pipes)].watch);
	assert_int_equal(loop_add(loop, &pipes[1 - (self - pipes)].watch), OK);
}

static void test_renewal_within_a_batch(void **state) {
	(void)state;
	for (int i = 0; i < 2; i++) {
		open_pipe(&pipes[i]);
		pipes[i].then = renew_the_second;
		send_byte(&pipes[i]);
	}
	loop_wait(loop, NEVER_NS);
	assert_int_equal(pipes[0].calls + pipes[1].calls, 1);
	loop_wait(loop, 0);
	assert_int_equal(pipes[0].calls + pipes[1].calls, 1);
	for (int i = 0; i < 2; i++) {
		loop_remove(loop, &pipes[i].watch);
		close_pipe(&pipes[i]);
	}
}

/* More descriptors than one batch holds: each gets its turn. */
static void test_many(void **state) {
	(void)state;
	for (int i = 0; i < WATCHES; i++) {
		open_pipe(&pipes[i]);
		pipes[i].then = take_byte;
		send_byte(&pipes[i]);
	}
	for (int turn = 0; turn < 4; turn++) loop_wait(loop, 0);
	for (int i = 0; i < WATCHES; i++) {
		assert_int_equal(pipes[i].calls, 1);
		loop_remove(loop, &pipes[i].watch);
		close_pipe(&pipes[i]);
	}
}

static void test_wake_is_a_level(void **state) {
	(void)state;
	loop_wake(loop);
	loop_wake(loop);
	loop_wait(loop, NEVER_NS);
	int64_t deadline_ns = now_ns() + 5 * NS_PER_MS;
	loop_wait(loop, deadline_ns); /* two wakes are one, and it is used up */
	assert_true(loop_now(loop).mono_ns >= deadline_ns);
}

static void wake_later(void *arg) {
	nanosleep(&(struct timespec){ .tv_nsec = 20 * NS_PER_MS }, NULL);
	loop_wake(arg);
}

static void test_wake_from_another_thread(void **state) {
	(void)state;
	struct thread thread;
	int64_t start_ns = now_ns();
	assert_int_equal(thread_start(&thread, "waker", wake_later, loop), OK);
	loop_wait(loop, NEVER_NS);
	assert_true(now_ns() - start_ns >= 20 * NS_PER_MS);
	thread_join(&thread);
}

/* The clock of the simulation, as far as the loop is concerned. */
static struct now jump(struct clock *clock) {
	static int64_t at_ns;
	(void)clock;
	at_ns += NS_PER_S;
	return (struct now){ .mono_ns = at_ns, .wall_ns = -at_ns };
}

static void test_uses_the_clock_it_was_given(void **state) {
	(void)state;
	static struct clock jumping = { jump };
	struct loop *other = loop_create(&jumping);
	assert_true(loop_now(other).mono_ns == NS_PER_S);
	assert_true(loop_now(other).wall_ns == -NS_PER_S);
	loop_wait(other, 2 * NS_PER_S); /* due by that clock at once */
	assert_true(loop_now(other).mono_ns >= 3 * NS_PER_S);
	loop_destroy(other);
	loop_destroy(NULL);
}

/* A clock that stands where the test puts it. */
struct set_clock {
	struct clock clock;
	const struct now *at;
};

static struct now read_set(struct clock *clock) {
	return *container_of(clock, struct set_clock, clock)->at;
}

static struct loop_turns turns(void) {
	struct loop_turns turns;
	loop_read_turns(loop, &turns);
	return turns;
}

/* A turn lasts from the end of one wait to the next; waiting is none. */
static void burn_20_ms(struct pipe_watch *self) {
	take_byte(self);
	assert_true(turns().began_ns > 0);
	struct timespec pause = { .tv_nsec = 20 * NS_PER_MS };
	nanosleep(&pause, NULL);
}

static void test_turns_are_measured(void **state) {
	(void)state;
	open_pipe(&pipes[0]);
	assert_int_equal(turns().began_ns, 0);
	loop_wait(loop, now_ns() + 30 * NS_PER_MS);
	loop_wait(loop, 0);
	assert_in_range(turns().clock.longest_ns, 0, 20 * NS_PER_MS - 1);
	pipes[0].then = burn_20_ms;
	send_byte(&pipes[0]);
	loop_wait(loop, NEVER_NS);
	assert_true(turns().began_ns > 0);
	loop_wait(loop, 0);
	struct loop_turns seen = turns();
	assert_true(seen.clock.longest_ns >= 20 * NS_PER_MS && seen.clock.sum_ns >= seen.clock.longest_ns);
	/* It slept: that was long, but not busy. */
	assert_in_range(seen.cpu.longest_ns, 1, 20 * NS_PER_MS - 1);
	assert_true(seen.cpu.sum_ns >= seen.cpu.longest_ns && seen.cpu.sum_ns < seen.clock.sum_ns);
	close_pipe(&pipes[0]);
}

/* Of each turn the length counts at every bound that it does not exceed, and those beyond all of them in the end alone. */
static void test_turns_are_counted_by_length(void **state) {
	(void)state;
	static const int64_t lengths_ms[] = { 1, 3, 15, 20, 200 };
	struct now at = { .mono_ns = NS_PER_S };
	struct set_clock set = { .clock = { read_set }, .at = &at };
	struct loop *other = loop_create(&set.clock);
	loop_wait(other, 0);
	for (size_t i = 0; i < sizeof lengths_ms / sizeof *lengths_ms; i++) {
		at.mono_ns += lengths_ms[i] * NS_PER_MS;
		loop_wait(other, 0);
	}
	struct loop_turns seen;
	loop_read_turns(other, &seen);
	assert_int_equal(seen.clock.count, 5);
	assert_int_equal(seen.clock.sum_ns, 239 * NS_PER_MS);
	assert_int_equal(seen.clock.longest_ns, 200 * NS_PER_MS);
	static const uint64_t within[LOOP_BOUNDS] = { 1, 1, 2, 2, 4, 4, 4 };
	assert_memory_equal(seen.clock.within, within, sizeof within);
	assert_int_equal(seen.cpu.count, 5);
	loop_destroy(other);
}

static void test_no_memory(void **state) {
	(void)state;
	mem_fail_at(1);
	assert_null(loop_create(clock_system()));
	assert_true(mem_fail_reached());
}

static void wait_inside(struct pipe_watch *self) {
	(void)self;
	loop_wait(loop, 0);
}

static void nest(void *arg) {
	(void)arg;
	open_pipe(&pipes[0]);
	pipes[0].then = wait_inside;
	send_byte(&pipes[0]);
	loop_wait(loop, NEVER_NS);
}

static void test_nested_wait_is_a_mistake(void **state) {
	(void)state;
	assert_true(aborts(nest, NULL));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deadlines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_past_deadlines_do_not_sleep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangup_is_delivered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removal_within_a_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removal_of_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renewal_within_a_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wake_is_a_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wake_from_another_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns_are_measured, setup, teardown),
		cmocka_unit_test(test_turns_are_counted_by_length),
		cmocka_unit_test(test_uses_the_clock_it_was_given),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test_setup_teardown(test_nested_wait_is_a_mistake, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
