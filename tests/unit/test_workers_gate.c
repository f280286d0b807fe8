/* The way to one server: pace, places, Retry-After, and the breaker with one trial per interval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
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
	struct gate gate, other; /* the other one: another worker's way to the same server */
	struct pace pace;
	struct pause pause;
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

/* Whoever sleeps until the gate wants to be called finds that several may go, at the same pace; who calls it before finds one. */
static void what_waits_for_the_pace_goes_in_bunches(void **state) {
	struct fixture *f = *state;
	unsigned wakes = 0, answered = 0;
	gate_set_limit(&f->gate, 280, 20);
	f->gate.max_in_flight = CALLS;
	f->now.mono_ns += NS_PER_S;
	for (int i = 0; i < CALLS; i++) gate_start(&f->gate, &f->calls[i]);
	assert_int_equal(f->fake.count, 20);
	int64_t began_ns = f->now.mono_ns, next_ns = gate_pump(&f->gate);
	assert_int_equal(f->gate.lanes[LANE_USUAL].waiting, 20);
	for (; f->gate.lanes[LANE_USUAL].waiting; wakes++, next_ns = gate_pump(&f->gate)) {
		assert_in_range(next_ns - f->now.mono_ns, NS_PER_S / 280, NS_PER_S / 280 + 50 * NS_PER_MS);
		f->now.mono_ns = next_ns;
	}
	assert_in_range(wakes, 1, 3);
	assert_in_range(f->now.mono_ns - began_ns, 20 * NS_PER_S / 281, 20 * NS_PER_S / 279);
	while (answered < f->fake.count) answer(f, answered++, 200, -1);
	for (int i = 0; i < CALLS; i++) gate_start(&f->gate, &f->calls[i]);
	unsigned sent = f->fake.count;
	f->now.mono_ns += NS_PER_S / 280 + 1;
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, sent + 1);
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

/* A short wait is waited for; a long one is left to those who can do without. */
static void patience_has_an_end(void **state) {
	struct fixture *f = *state;
	struct gate gate;
	struct fault fault = { 0 };
	gate_init(&gate, &(struct gate_options){ .name = "entra", .http = &f->fake.http, .now = &f->now, .max_in_flight = 1,
		.breaker_interval_ns = 10 * NS_PER_S, .patience_ns = 10 * NS_PER_S, .wake = wake });
	for (int i = 0; i < 4; i++) gate_start(&gate, &f->calls[i]);
	answer(f, 0, 429, 10 * NS_PER_S);
	assert_int_equal(f->ended, 1);
	assert_true(gate_admits(&gate, &fault));
	f->now.mono_ns += 10 * NS_PER_S;
	gate_pump(&gate);
	answer(f, 1, 429, 11 * NS_PER_S);
	assert_int_equal(f->ended, 4);
	assert_int_equal(f->reqs[3].err, ERR_THROTTLED);
	assert_int_equal(f->reqs[3].fault.retry_after_ns, 11 * NS_PER_S);
	assert_int_equal(f->fake.count, 2);
	assert_false(gate_admits(&gate, &fault));
	assert_int_equal(fault.err, ERR_THROTTLED);
	f->now.mono_ns += 1 * NS_PER_S;
	assert_true(gate_admits(&gate, &fault));
	f->now.mono_ns += 10 * NS_PER_S;
	gate_deinit(&gate);
}

static char logged[1024];

static void keep_log(struct str line, void *arg) {
	(void)arg;
	size_t len = strlen(logged);
	snprintf(logged + len, sizeof logged - len, "%.*s\n", STR_ARG(line));
}

/* Who was refused comes back when the time is over, and people are told of it: once, and until when where it is long. */
static void a_long_pause_is_told_of_and_ends(void **state) {
	struct fixture *f = *state;
	struct gate gate;
	struct fault fault = { 0 };
	f->now.wall_ns = 1800000000 * NS_PER_S; /* 2027-01-15T08:00:00Z */
	gate_init(&gate, &(struct gate_options){ .name = "https://v", .http = &f->fake.http, .now = &f->now, .max_in_flight = 2,
		.breaker_interval_ns = 10 * NS_PER_S, .patience_ns = 60 * NS_PER_S, .wake = wake });
	logged[0] = 0;
	log_redirect(keep_log, NULL);
	for (int i = 0; i < 3; i++) gate_start(&gate, &f->calls[i]);
	answer(f, 0, 429, 600 * NS_PER_S);
	answer(f, 1, 429, 60 * NS_PER_S);
	log_redirect(NULL, NULL);
	assert_non_null(strstr(logged, "level=warn msg=\"asks by Retry-After to be left alone\" server=https://v seconds=600\n"));
	assert_null(strstr(logged, "seconds=60\n"));
	assert_int_equal(f->reqs[2].err, ERR_THROTTLED);
	assert_true(gate_is_shut(&gate));
	assert_false(gate_admits(&gate, &fault));
	assert_non_null(strstr(fault.text, "https://v asks by Retry-After to be left alone, until 2027-01-15T08:15:00Z at the latest; kvsync goes on by itself"));
	gate_wait(&gate, &f->waiters[0]);
	gate_wait(&gate, &f->waiters[1]);
	assert_int_equal(gate_pump(&gate), f->now.mono_ns + 600 * NS_PER_S);
	f->now.mono_ns += 600 * NS_PER_S - 1;
	gate_pump(&gate);
	assert_int_equal(f->woken, 0);
	f->now.mono_ns += 1;
	assert_false(gate_is_shut(&gate));
	assert_int_equal(gate_pump(&gate), NEVER_NS);
	assert_int_equal(f->woken, 2);
	/* What is short is over before anybody reads of it. */
	gate_start(&gate, &f->calls[3]);
	answer(f, 2, 429, 61 * NS_PER_S);
	assert_false(gate_admits(&gate, &fault));
	assert_non_null(strstr(fault.text, "https://v asks by Retry-After to be left alone for some minutes; kvsync goes on by itself"));
	f->now.mono_ns += 61 * NS_PER_S;
	gate_deinit(&gate);
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

/* Two workers' ways to one server that is away: one trial per interval together, and who hears of an answer makes room at once. */
static void workers_make_their_trials_together(void **state) {
	struct fixture *f = *state;
	struct pause trials = { 0 };
	struct gate gates[2];
	struct fault fault = { 0 };
	for (int i = 0; i < 2; i++) {
		gate_init(&gates[i], &(struct gate_options){ .name = "entra", .http = &f->fake.http, .now = &f->now,
			.max_in_flight = 4, .breaker_interval_ns = 10 * NS_PER_S, .trials = &trials, .wake = wake });
		gate_start(&gates[i], &f->calls[i]);
		drop(f, (unsigned)i, ERR_NETWORK, false);
		gate_start(&gates[i], &f->calls[2 + i]);
	}
	f->now.mono_ns += 10 * NS_PER_S;
	for (int i = 0; i < 2; i++) gate_pump(&gates[i]);
	assert_int_equal(f->fake.count, 3);
	assert_false(gate_admits(&gates[1], &fault));
	drop(f, 2, ERR_NETWORK, false);
	gate_start(&gates[0], &f->calls[4]);
	for (int s = 0; s < 9; s++) {
		f->now.mono_ns += NS_PER_S;
		for (int i = 0; i < 2; i++) assert_true(gate_pump(&gates[i]) > f->now.mono_ns);
	}
	assert_int_equal(f->fake.count, 3);
	f->now.mono_ns += NS_PER_S;
	assert_true(gate_admits(&gates[1], &fault));
	for (int i = 1; i >= 0; i--) gate_pump(&gates[i]);
	assert_int_equal(f->fake.count, 4);
	answer(f, 3, 200, -1);
	assert_false(gates[1].open);
	assert_true(gates[0].open);
	assert_int_equal(gate_pump(&gates[0]), NEVER_NS);
	assert_int_equal(f->fake.count, 5);
	answer(f, 4, 200, -1);
	for (int i = 0; i < 2; i++) gate_deinit(&gates[i]);
}

/* Whoever may not ask for now is told when to come again, and never that he should have come before: he would not rest. */
static void who_is_not_admitted_learns_when_to_ask_again(void **state) {
	struct fixture *f = *state;
	struct pause trials = { 0 };
	struct gate gate;
	struct fault fault = { 0 };
	gate_init(&gate, &(struct gate_options){ .name = "kubernetes", .http = &f->fake.http, .now = &f->now, .max_in_flight = 4,
		.breaker_interval_ns = 10 * NS_PER_S, .patience_ns = 60 * NS_PER_S, .trials = &trials, .wake = wake });
	gate_start(&gate, &f->calls[0]);
	drop(f, 0, ERR_NETWORK, false);
	assert_int_equal(gate_ask_again_ns(&gate), f->now.mono_ns + 10 * NS_PER_S);
	/* Another worker's trial. */
	f->now.mono_ns += 12 * NS_PER_S;
	assert_true(pause_claim(&trials, f->now.mono_ns, f->now.mono_ns + 10 * NS_PER_S));
	assert_false(gate_admits(&gate, &fault));
	assert_int_equal(gate_ask_again_ns(&gate), f->now.mono_ns + NS_PER_S);
	pause_end(&trials);
	gate_start(&gate, &f->calls[1]);
	assert_int_equal(gate_ask_again_ns(&gate), NEVER_NS);
	answer(f, 1, 429, 600 * NS_PER_S);
	assert_false(gate_admits(&gate, &fault));
	assert_int_equal(gate_ask_again_ns(&gate), f->now.mono_ns + 600 * NS_PER_S);
	f->now.mono_ns += 600 * NS_PER_S;
	gate_deinit(&gate);
}

/* Nor does a trial that failed under the old configuration keep everybody waiting as long as that said. */
static void another_interval_holds_for_a_claimed_trial(void **state) {
	struct fixture *f = *state;
	struct pause trials = { 0 };
	struct gate gate;
	struct fault fault = { 0 };
	gate_init(&gate, &(struct gate_options){ .name = "kubernetes", .http = &f->fake.http, .now = &f->now, .max_in_flight = 4,
		.breaker_interval_ns = 3600 * NS_PER_S, .trials = &trials, .wake = wake });
	for (unsigned i = 0; i < 2; i++) {
		gate_start(&gate, &f->calls[i]);
		drop(f, i, ERR_NETWORK, false);
		f->now.mono_ns += 3600 * NS_PER_S;
		gate_pump(&gate);
	}
	gate_start(&gate, &f->calls[2]);
	drop(f, 2, ERR_NETWORK, false);
	gate_set_breaker(&gate, 10 * NS_PER_S);
	f->now.mono_ns += 10 * NS_PER_S;
	assert_true(gate_admits(&gate, &fault));
	gate_deinit(&gate);
}

/* It can be reached again, but had asked to be left alone before: that is what those are told who are refused. */
static void a_pause_outlasts_an_outage(void **state) {
	struct fixture *f = *state;
	struct gate gate;
	struct fault fault = { 0 };
	gate_init(&gate, &(struct gate_options){ .name = "https://v", .http = &f->fake.http, .now = &f->now, .max_in_flight = 4,
		.breaker_interval_ns = 10 * NS_PER_S, .patience_ns = 60 * NS_PER_S, .wake = wake });
	for (int i = 0; i < 3; i++) gate_start(&gate, &f->calls[i]);
	answer(f, 0, 429, 600 * NS_PER_S);
	drop(f, 1, ERR_NETWORK, false);
	assert_true(gate.open);
	answer(f, 2, 200, -1);
	assert_false(gate_admits(&gate, &fault));
	assert_int_equal(fault.err, ERR_THROTTLED);
	f->now.mono_ns += 600 * NS_PER_S;
	gate_deinit(&gate);
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

/* --- lanes --- */

static void init_kube(struct fixture *f, struct gate *gate, double rate_per_s) {
	gate_init(gate, &(struct gate_options){ .name = "kube", .http = &f->fake.http, .now = &f->now, .max_in_flight = 16,
		.breaker_interval_ns = 10 * NS_PER_S, .pause = &f->pause, .wake = wake });
	gate_set_pace(gate, LANE_WRITE, &f->pace, rate_per_s, 1);
}

static void start_in(struct fixture *f, struct gate *gate, unsigned call, enum gate_lane_name lane) {
	f->calls[call].lane = lane;
	gate_start(gate, &f->calls[call]);
}

static bool is_sent(const struct fixture *f, unsigned call) {
	return f->calls[call].started || !f->calls[call].gate;
}

static void a_paced_lane_holds_up_no_other(void **state) {
	struct fixture *f = *state;
	init_kube(f, &f->gate, 2);
	for (unsigned i = 0; i < 3; i++) start_in(f, &f->gate, i, LANE_WRITE);
	start_in(f, &f->gate, 3, LANE_USUAL);
	start_in(f, &f->gate, 4, LANE_BEHIND);
	assert_int_equal(f->gate.lanes[LANE_WRITE].waiting, 2);
	assert_true(is_sent(f, 0) && is_sent(f, 3) && is_sent(f, 4));
	/* It says when it wants to be called again; it is not asked before. */
	int64_t next_ns = gate_pump(&f->gate);
	assert_in_range(next_ns - f->now.mono_ns, NS_PER_S / 2, NS_PER_S / 2 + 1);
	f->now.mono_ns = next_ns - 1;
	assert_int_equal(gate_pump(&f->gate), next_ns);
	assert_int_equal(f->fake.count, 3);
	f->now.mono_ns = next_ns;
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 4);
	gate_cancel(&f->calls[2]);
	assert_int_equal(f->gate.lanes[LANE_WRITE].waiting, 0);
	assert_int_equal(gate_pump(&f->gate), NEVER_NS);
}

/* Two workers: together the rate, and each its part, though one of them is always asked first. */
static void gates_share_one_pace(void **state) {
	struct fixture *f = *state;
	unsigned counts[2] = { 0 }, answered = 0;
	struct gate *gates[2] = { &f->gate, &f->other };
	init_kube(f, &f->gate, 10);
	init_kube(f, &f->other, 10);
	for (int ms = 0; ms < 2000; ms++) {
		for (unsigned g = 0; g < 2; g++) {
			for (unsigned i = g * 20; i < g * 20 + 5; i++)
				if (!f->calls[i].gate) start_in(f, gates[g], i, LANE_WRITE);
			unsigned before = f->fake.count;
			gate_pump(gates[g]);
			counts[g] += f->fake.count - before;
		}
		while (answered < f->fake.count) answer(f, answered++, 200, -1);
		f->now.mono_ns += NS_PER_MS;
	}
	assert_in_range(f->fake.count, 19, 21);
	assert_in_range(counts[0], 8, 11);
	assert_in_range(counts[1], 8, 11);
}

/* Both wait for moments of the old pace, 20 and 40 s away, when each hears of the new one in its turn. */
static void a_new_pace_does_not_wait_for_the_old_one(void **state) {
	struct fixture *f = *state;
	init_kube(f, &f->gate, 0.05);
	init_kube(f, &f->other, 0.05);
	for (unsigned i = 0; i < 3; i++) start_in(f, &f->gate, i, LANE_WRITE);
	for (unsigned i = 20; i < 23; i++) start_in(f, &f->other, i, LANE_WRITE);
	assert_int_equal(f->fake.count, 1);
	assert_true(gate_pump(&f->other) > f->now.mono_ns + 30 * NS_PER_S);
	gate_set_pace(&f->gate, LANE_WRITE, &f->pace, 10, 1);
	gate_pump(&f->gate);
	/* The other one, not told yet, counts one more at the old pace; its own news clears that. */
	gate_pump(&f->other);
	gate_set_pace(&f->other, LANE_WRITE, &f->pace, 10, 1);
	unsigned counts[2] = { 0 };
	for (int ms = 0; ms < 500; ms++) {
		f->now.mono_ns += NS_PER_MS;
		unsigned before = f->fake.count;
		gate_pump(&f->gate);
		counts[0] += f->fake.count - before;
		before = f->fake.count;
		gate_pump(&f->other);
		counts[1] += f->fake.count - before;
	}
	assert_true(counts[0] >= 1 && counts[1] >= 2);
	assert_int_equal(f->fake.count, 6);
	/* The same pace once more is no news: what is counted stays. */
	int64_t tat_ns = f->pace._tat_ns;
	gate_set_pace(&f->gate, LANE_WRITE, &f->pace, 10, 1);
	assert_int_equal(f->pace._tat_ns, tat_ns);
}

static void a_new_limit_of_a_group_acts_at_once(void **state) {
	struct fixture *f = *state;
	gate_set_group(&f->gate, &f->pace, 0.05, 1);
	for (unsigned i = 0; i < 3; i++) start_in(f, &f->gate, i, LANE_USUAL);
	assert_int_equal(f->fake.count, 1);
	gate_set_group(&f->gate, &f->pace, 100, 1);
	for (int ms = 0; ms < 100; ms++) {
		f->now.mono_ns += NS_PER_MS;
		gate_pump(&f->gate);
	}
	assert_int_equal(f->fake.count, 3);
}

/* Before all that waits, at the same pace. */
static void who_is_let_in_front_goes_next(void **state) {
	struct fixture *f = *state;
	for (unsigned i = 0; i < 20; i++) start_in(f, &f->gate, i, LANE_USUAL);
	for (unsigned i = 0; i < 3; i++) answer(f, i, 200, -1);
	gate_pump(&f->gate);
	unsigned sent = f->fake.count;
	for (unsigned i = 0; i < sent; i++)
		if (f->fake.started[i]->_active) answer(f, i, 200, -1);
	f->calls[30].in_front = true;
	start_in(f, &f->gate, 30, LANE_USUAL);
	assert_int_equal(f->fake.count, sent);
	f->now.mono_ns = gate_pump(&f->gate);
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, sent + 1);
	assert_ptr_equal(f->fake.started[sent], &f->reqs[30]);
	assert_int_equal(f->gate.lanes[LANE_USUAL].waiting, 20 - sent);
}

static void zero_lifts_the_pace(void **state) {
	struct fixture *f = *state;
	init_kube(f, &f->gate, 1);
	for (unsigned i = 0; i < 10; i++) start_in(f, &f->gate, i, LANE_WRITE);
	assert_int_equal(f->fake.count, 1);
	gate_set_pace(&f->gate, LANE_WRITE, &f->pace, 0, 1);
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, 10);
}

/* API Priority and Fairness means the account, not the connection. */
static void what_one_worker_is_told_holds_for_all(void **state) {
	static const int statuses[] = { 429, 503 };
	struct fixture *f = *state;
	init_kube(f, &f->gate, 0);
	init_kube(f, &f->other, 0);
	for (unsigned i = 0; i < 2; i++) {
		unsigned before = f->fake.count;
		start_in(f, &f->gate, 0, LANE_WRITE);
		answer(f, before, statuses[i], 4 * NS_PER_S);
		start_in(f, &f->other, 1, LANE_WRITE);
		start_in(f, &f->other, 2, LANE_USUAL);
		assert_int_equal(gate_pump(&f->other), f->now.mono_ns + 4 * NS_PER_S);
		assert_int_equal(f->fake.count, before + 1);
		f->now.mono_ns += 4 * NS_PER_S;
		gate_pump(&f->other);
		assert_int_equal(f->fake.count, before + 3);
		answer(f, before + 1, 200, -1);
		answer(f, before + 2, 200, -1);
	}
}

/* All places are taken, and writes come all the time: what stands behind goes once in five. */
static void behind_is_not_never(void **state) {
	struct fixture *f = *state;
	unsigned behind = 0;
	init_kube(f, &f->gate, 0);
	f->gate.max_in_flight = 1;
	start_in(f, &f->gate, 0, LANE_WRITE);
	for (unsigned i = 1; i < 40; i++) start_in(f, &f->gate, i, i < 10 ? LANE_BEHIND : LANE_WRITE);
	for (unsigned i = 0; i < 21; i++) {
		answer(f, i, 200, -1);
		gate_pump(&f->gate);
	}
	for (unsigned i = 1; i < 10; i++) behind += is_sent(f, i);
	assert_in_range(behind, 4, 5);
	/* And is sent at once when nobody else wants the place. */
	for (unsigned i = 10; i < 40; i++) gate_cancel(&f->calls[i]);
	unsigned before = f->fake.count;
	gate_pump(&f->gate);
	assert_int_equal(f->fake.count, before + 1);
}

static void a_lost_server_refuses_every_lane(void **state) {
	struct fixture *f = *state;
	init_kube(f, &f->gate, 1);
	f->gate.max_in_flight = 1;
	for (unsigned i = 0; i < 3; i++) start_in(f, &f->gate, i, i);
	drop(f, 0, ERR_NETWORK, false);
	assert_int_equal(f->ended, 3);
	for (int i = 0; i < GATE_LANES; i++) assert_int_equal(f->gate.lanes[i].waiting, 0);
	assert_true(gate_is_idle(&f->gate));
}

/* --- kinds and groups of vaults --- */

static void keys_have_a_pace_apart(void **state) {
	struct fixture *f = *state;
	f->gate.max_in_flight = 40;
	gate_set_lane_limit(&f->gate, LANE_KEYS, 2, 1);
	for (unsigned i = 0; i < 10; i++) start_in(f, &f->gate, i, LANE_KEYS);
	for (unsigned i = 10; i < 20; i++) start_in(f, &f->gate, i, LANE_USUAL);
	assert_true(is_sent(f, 0) && !is_sent(f, 1));
	assert_true(is_sent(f, 13) && !is_sent(f, 14)); /* a burst of 4 */
	/* An RSA key of 4096 bits in an HSM counts as 16: nothing more about keys for 8 s. */
	answer(f, 0, 200, -1);
	gate_charge(&f->gate, LANE_KEYS, 15);
	for (int ms = 0; ms < 7990; ms += 10) {
		f->now.mono_ns += 10 * NS_PER_MS;
		gate_pump(&f->gate);
	}
	assert_true(!is_sent(f, 1) && is_sent(f, 19));
	f->now.mono_ns += 20 * NS_PER_MS;
	gate_pump(&f->gate);
	assert_true(is_sent(f, 1) && !is_sent(f, 2));
	/* Another limit holds at once. */
	gate_set_lane_limit(&f->gate, LANE_KEYS, 1000, 5);
	gate_pump(&f->gate);
	assert_true(is_sent(f, 4));
}

/* "VaultRequestTypeLimitReached" is about one kind; Retry-After is about us. */
static void a_throttled_kind_slows_itself(void **state) {
	struct fixture *f = *state;
	f->gate.max_in_flight = 40;
	gate_set_lane_limit(&f->gate, LANE_KEYS, 10, 4);
	start_in(f, &f->gate, 0, LANE_KEYS);
	answer(f, 0, 429, -1);
	assert_true(f->gate.lanes[LANE_KEYS].own.rate_per_s < 8 && f->gate.limit.rate_per_s > 9);
	start_in(f, &f->gate, 1, LANE_KEYS);
	start_in(f, &f->gate, 2, LANE_USUAL);
	assert_true(!is_sent(f, 1) && is_sent(f, 2));
	assert_false(gate_is_forgettable(&f->gate));
	answer(f, 1, 429, 5 * NS_PER_S);
	start_in(f, &f->gate, 3, LANE_USUAL);
	f->now.mono_ns += 5 * NS_PER_S - 1;
	gate_pump(&f->gate);
	assert_true(!is_sent(f, 1) && !is_sent(f, 3));
	f->now.mono_ns += 1;
	gate_pump(&f->gate);
	assert_true(is_sent(f, 1) && is_sent(f, 3));
}

/* Two vaults of a subscription: each below its own limit, both together at that of the group. */
static void vaults_of_a_group_share_its_limit(void **state) {
	struct fixture *f = *state;
	unsigned counts[2] = { 0 }, answered = 0;
	struct gate *gates[2] = { &f->gate, &f->other };
	gate_init(&f->other, &(struct gate_options){ .name = "other", .http = &f->fake.http, .now = &f->now, .rate_per_s = 10,
		.burst = 4, .max_in_flight = 3, .breaker_interval_ns = 10 * NS_PER_S, .wake = wake });
	for (unsigned g = 0; g < 2; g++) gate_set_group(gates[g], &f->pace, 12, 1);
	for (int ms = 0; ms < 2000; ms++) {
		for (unsigned g = 0; g < 2; g++) {
			for (unsigned i = g * 20; i < g * 20 + 5; i++)
				if (!f->calls[i].gate) start_in(f, gates[g], i, i % 2 ? LANE_KEYS : LANE_USUAL);
			unsigned before = f->fake.count;
			gate_pump(gates[g]);
			counts[g] += f->fake.count - before;
		}
		while (answered < f->fake.count) answer(f, answered++, 200, -1);
		f->now.mono_ns += NS_PER_MS;
	}
	assert_in_range(f->fake.count, 23, 26);
	assert_in_range(counts[0], 10, 14);
	assert_in_range(counts[1], 10, 14);
	/* Out of the group again: its own limit is what is left. */
	gate_set_group(&f->gate, NULL, 0, 1);
	unsigned before = f->fake.count;
	f->now.mono_ns += NS_PER_S;
	gate_pump(&f->gate);
	assert_true(f->fake.count > before + 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(places_are_limited),
		TEST(the_pace_holds),
		TEST(what_waits_for_the_pace_goes_in_bunches),
		TEST(retry_after_holds_everybody_back),
		TEST(patience_has_an_end),
		TEST(a_long_pause_is_told_of_and_ends),
		TEST(a_throttle_without_retry_after_costs_a_second),
		TEST(an_unreachable_server_opens_the_breaker),
		TEST(a_single_reset_does_not),
		TEST(one_trial_per_interval),
		TEST(any_answer_closes_it_and_wakes_all),
		TEST(workers_make_their_trials_together),
		TEST(who_is_not_admitted_learns_when_to_ask_again),
		TEST(another_interval_holds_for_a_claimed_trial),
		TEST(a_pause_outlasts_an_outage),
		TEST(a_cancelled_trial_leaves_room_for_the_next),
		TEST(cancelling_a_waiting_call_sends_nothing),
		TEST(a_paced_lane_holds_up_no_other),
		TEST(gates_share_one_pace),
		TEST(a_new_pace_does_not_wait_for_the_old_one),
		TEST(a_new_limit_of_a_group_acts_at_once),
		TEST(who_is_let_in_front_goes_next),
		TEST(zero_lifts_the_pace),
		TEST(what_one_worker_is_told_holds_for_all),
		TEST(behind_is_not_never),
		TEST(a_lost_server_refuses_every_lane),
		TEST(keys_have_a_pace_apart),
		TEST(a_throttled_kind_slows_itself),
		TEST(vaults_of_a_group_share_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
