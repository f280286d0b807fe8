/* The way to one server: pace, places, Retry-After, and the breaker with one trial per interval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "workers/gate.h"

enum { CALLS = 40 };

/* An HTTP client that remembers what was started and answers when told. */
struct fake {
	struct http http;
	struct http_req *started[1000];
	unsigned count;
	unsigned cancelled;
};

static void fake_start(struct http *http, struct http_req *req) {
	struct fake *fake = container_of(http, struct fake, http);
	fake->started[fake->count++] = req;
	req->_active = true;
}

static void fake_cancel(struct http *http, struct http_req *req) {
	container_of(http, struct fake, http)->cancelled++;
	req->_active = false;
}

static const struct http_ops FAKE_OPS = { fake_start, fake_cancel, NULL, NULL };

struct fixture {
	struct fake fake;
	struct now now;
	struct gate gate;
	struct http_req reqs[CALLS];
	struct gate_call calls[CALLS];
	unsigned ended;
	struct list waiters[4];
	unsigned woken;
};

static struct fixture *fixture;

static void call_done(struct gate_call *call) {
	(void)call;
	fixture->ended++;
}

static void wake(struct gate *gate, struct list *waiter) {
	(void)gate, (void)waiter;
	fixture->woken++;
}

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	f->fake.http.ops = &FAKE_OPS;
	f->now = (struct now){ .mono_ns = 1000 * NS_PER_S };
	gate_init(&f->gate, &(struct gate_options){ .name = "test", .http = &f->fake.http, .now = &f->now, .rate_per_s = 10,
		.burst = 4, .max_in_flight = 3, .breaker_interval_ns = 10 * NS_PER_S, .wake = wake });
	for (int i = 0; i < CALLS; i++) {
		f->calls[i].req = &f->reqs[i];
		f->calls[i].on_done = call_done;
	}
	for (int i = 0; i < 4; i++) list_init(&f->waiters[i]);
	fixture = *state = f;
	return 0;
}

static int teardown(void **state) {
	mem_free(*state);
	return 0;
}

static void answer(struct fixture *f, unsigned at, int status, int64_t retry_after_ns) {
	struct http_req *req = f->fake.started[at];
	req->_active = false;
	req->err = OK;
	req->status = status;
	req->retry_after_ns = retry_after_ns;
	req->on_done(req);
}

static void drop(struct fixture *f, unsigned at, enum err err, bool maybe_sent) {
	struct http_req *req = f->fake.started[at];
	req->_active = false;
	req->err = fault_set(&req->fault, err, "cut");
	req->maybe_sent = maybe_sent;
	req->status = 0;
	req->on_done(req);
}

static void places_are_limited(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 5; i++) gate_start(&f->gate, &f->calls[i]);
	assert_int_equal(f->fake.count, 3);
	answer(f, 0, 200, -1);
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 4);
	assert_ptr_equal(f->fake.started[3], &f->reqs[3]);
}

static void the_pace_holds(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < CALLS; i++) gate_start(&f->gate, &f->calls[i]);
	/* Ten seconds in steps of a millisecond; every answer comes at once. */
	unsigned answered = 0;
	for (int ms = 0; ms < 3000; ms++) {
		f->now.mono_ns += NS_PER_MS;
		while (answered < f->fake.count) answer(f, answered++, 200, -1);
		gate_pump(&f->gate);
	}
	/* 10 a second and a burst of 4. */
	assert_in_range(f->fake.count, 32, 35);
}

static void retry_after_holds_everybody_back(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 4; i++) gate_start(&f->gate, &f->calls[i]);
	answer(f, 0, 429, 7 * NS_PER_S);
	int64_t next_ns = gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 3);
	assert_int_equal(next_ns, f->now.mono_ns + 7 * NS_PER_S);
	f->now.mono_ns += 7 * NS_PER_S - 1;
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 3);
	f->now.mono_ns += 1;
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 4);
}

static void a_throttle_without_retry_after_costs_a_second(void **state) {
	struct fixture *f = *state;
	gate_start(&f->gate, &f->calls[0]);
	answer(f, 0, 429, -1);
	gate_start(&f->gate, &f->calls[1]);
	assert_int_equal(f->fake.count, 1);
	f->now.mono_ns += NS_PER_S;
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 2);
}

static void an_unreachable_server_opens_the_breaker(void **state) {
	struct fixture *f = *state;
	struct fault fault = { 0 };
	for (int i = 0; i < 6; i++) gate_start(&f->gate, &f->calls[i]);
	drop(f, 0, ERR_NETWORK, false);
	/* The three that waited were refused with the same fault, without being sent. */
	assert_int_equal(f->ended, 4);
	assert_int_equal(f->reqs[5].err, ERR_NETWORK);
	assert_string_equal(f->reqs[5].fault.text, "cut");
	assert_false(f->reqs[5].maybe_sent);
	assert_false(gate_admits(&f->gate, &fault));
	assert_string_equal(fault.text, "cut");
}

static void a_single_reset_does_not(void **state) {
	struct fixture *f = *state;
	struct fault fault = { 0 };
	for (int i = 0; i < 3; i++) gate_start(&f->gate, &f->calls[i]);
	drop(f, 0, ERR_NETWORK, true);
	drop(f, 1, ERR_TIMEOUT, true);
	assert_true(gate_admits(&f->gate, &fault));
	drop(f, 2, ERR_TIMEOUT, true);
	assert_false(gate_admits(&f->gate, &fault));
}

/* Opens the breaker by call 0. */
static void open_gate(struct fixture *f) {
	gate_start(&f->gate, &f->calls[0]);
	drop(f, 0, ERR_NETWORK, false);
	f->ended = 0;
}

static void one_trial_per_interval(void **state) {
	struct fixture *f = *state;
	struct fault fault;
	open_gate(f);
	for (int round = 0; round < 5; round++) {
		f->now.mono_ns += 10 * NS_PER_S - 1;
		assert_false(gate_admits(&f->gate, &fault));
		f->now.mono_ns += 1;
		assert_true(gate_admits(&f->gate, &fault));
		gate_start(&f->gate, &f->calls[1]);
		gate_start(&f->gate, &f->calls[2]);
		assert_int_equal(f->fake.count, 2 + (unsigned)round);
		assert_false(gate_admits(&f->gate, &fault));
		drop(f, 1 + (unsigned)round, ERR_NETWORK, false);
		assert_int_equal(f->ended, 2 * (unsigned)(round + 1));
	}
}

static void any_answer_closes_it_and_wakes_all(void **state) {
	struct fixture *f = *state;
	struct fault fault;
	open_gate(f);
	for (int i = 0; i < 4; i++) gate_wait(&f->gate, &f->waiters[i]);
	assert_int_equal(gate_pump(&f->gate), f->now.mono_ns + 10 * NS_PER_S);
	assert_int_equal(f->woken, 0);
	f->now.mono_ns += 10 * NS_PER_S;
	/* One of them is woken to make the trial, and only one. */
	gate_pump(&f->gate);
	gate_pump(&f->gate);
	assert_int_equal(f->woken, 1);
	gate_start(&f->gate, &f->calls[1]);
	answer(f, 1, 403, -1);
	assert_true(gate_admits(&f->gate, &fault));
	assert_int_equal(f->woken, 4);
	assert_true(gate_is_idle(&f->gate));
}

static void a_cancelled_trial_leaves_room_for_the_next(void **state) {
	struct fixture *f = *state;
	struct fault fault;
	open_gate(f);
	f->now.mono_ns += 10 * NS_PER_S;
	gate_start(&f->gate, &f->calls[1]);
	gate_cancel(&f->calls[1]);
	assert_int_equal(f->fake.cancelled, 1);
	/* It went out, so the interval counts from there. */
	f->now.mono_ns += 10 * NS_PER_S - 1;
	assert_false(gate_admits(&f->gate, &fault));
	f->now.mono_ns += 1;
	assert_true(gate_admits(&f->gate, &fault));
	gate_start(&f->gate, &f->calls[2]);
	assert_int_equal(f->fake.count, 3);
}

static void cancelling_a_waiting_call_sends_nothing(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 4; i++) gate_start(&f->gate, &f->calls[i]);
	gate_cancel(&f->calls[3]);
	gate_cancel(&f->calls[3]);
	answer(f, 0, 200, -1);
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 3);
	assert_int_equal(f->fake.cancelled, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(places_are_limited),
		TEST(the_pace_holds),
		TEST(retry_after_holds_everybody_back),
		TEST(a_throttle_without_retry_after_costs_a_second),
		TEST(an_unreachable_server_opens_the_breaker),
		TEST(a_single_reset_does_not),
		TEST(one_trial_per_interval),
		TEST(any_answer_closes_it_and_wakes_all),
		TEST(a_cancelled_trial_leaves_room_for_the_next),
		TEST(cancelling_a_waiting_call_sends_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
