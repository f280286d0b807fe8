#include "workers/gate.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

/* A connection that dies once may be chance; this many in a row are not. */
enum { FAILURES_TO_OPEN = 3, UNTIL_S = 900 };

/* Of so many calls one is of LANE_BEHIND or LANE_KEYS, should some wait there. */
enum { BEHIND_SHARE = 5 };

/* A call waits so much longer than the pace demands at most, for others to go with it. */
static const int64_t BUNCH_MOST_NS = 50 * NS_PER_MS;

/* How long it is remembered that a server could not be reached, when nobody asks it any more. */
static const int64_t REMEMBER_NS = 600 * NS_PER_S;

/* From so long a pause on people are told when it ends. A shorter one is hardly over when they read it, and what it is told by
 * would be written anew for each that follows. */
static const int64_t LONG_PAUSE_NS = 300 * NS_PER_S;
static const int64_t LOGGED_PAUSE_NS = 10 * NS_PER_S;

/* While another worker's gate makes the trial. */
static const int64_t LOOK_AGAIN_NS = NS_PER_S;

void gate_init(struct gate *gate, const struct gate_options *options) {
	assert(options->http && options->now && options->max_in_flight > 0);
	*gate = (struct gate){
		.name = options->name,
		.http = options->http,
		.now = options->now,
		.limited = options->rate_per_s > 0,
		.max_in_flight = options->max_in_flight,
		.breaker_interval_ns = options->breaker_interval_ns,
		.patience_ns = options->patience_ns,
		.pause = options->pause,
		.trials = options->trials,
		.wake = options->wake,
	};
	ratelimit_init(&gate->limit, gate->limited ? options->rate_per_s : 1e6,
		gate->limited ? options->burst : 1e6, options->now->mono_ns);
	for (int i = 0; i < GATE_LANES; i++) {
		list_init(&gate->lanes[i].pending);
		gate->lanes[i].limit = &gate->limit;
	}
	list_init(&gate->waiters);
}

/* Whoever waits has a moment of the old pace, which is not to hold him up. */
static void set_shared(struct gate *gate, struct gate_pace *shared, struct pace *pace,
	double rate_per_s, double burst) {
	bool same = shared->pace == pace && shared->rate_per_s == rate_per_s;
	if (shared->pace && !same) pace_renew(shared->pace, gate->now->mono_ns);
	if (!same) shared->slot = (struct pace_slot){ 0 };
	shared->pace = pace;
	shared->rate_per_s = rate_per_s;
	shared->burst = burst;
}

void gate_set_pace(struct gate *gate, enum gate_lane_name lane, struct pace *pace,
	double rate_per_s, double burst) {
	assert(rate_per_s >= 0 && burst >= 1);
	assert(!gate->group.pace);
	set_shared(gate, &gate->lanes[lane].shared, pace, rate_per_s, burst);
}

void gate_set_group(struct gate *gate, struct pace *pace, double rate_per_s, double burst) {
	assert(rate_per_s >= 0 && burst >= 1);
	for (int i = 0; i < GATE_LANES; i++) assert(!gate->lanes[i].shared.pace);
	set_shared(gate, &gate->group, pace, rate_per_s, burst);
}

void gate_set_limit(struct gate *gate, double rate_per_s, double burst) {
	gate->limited = true;
	ratelimit_set_ceiling(&gate->limit, rate_per_s, burst, gate->now->mono_ns);
}

void gate_set_lane_limit(
	struct gate *gate, enum gate_lane_name name, double rate_per_s, double burst) {
	struct gate_lane *lane = &gate->lanes[name];
	if (lane->limit == &lane->own) {
		ratelimit_set_ceiling(&lane->own, rate_per_s, burst, gate->now->mono_ns);
		return;
	}
	ratelimit_init(&lane->own, rate_per_s, burst, gate->now->mono_ns);
	lane->limit = &lane->own;
}

void gate_set_breaker(struct gate *gate, int64_t interval_ns) {
	int64_t most_ns = gate->now->mono_ns + interval_ns;
	gate->breaker_interval_ns = interval_ns;
	if (gate->trial_at_ns > most_ns) gate->trial_at_ns = most_ns;
	if (gate->next_wake_ns > most_ns) gate->next_wake_ns = most_ns;
	/* A trial too many does no harm. */
	if (gate->trials && pause_until_ns(gate->trials) > most_ns) pause_end(gate->trials);
}

void gate_charge(struct gate *gate, enum gate_lane_name lane, double requests) {
	ratelimit_charge(gate->lanes[lane].limit, requests, gate->now->mono_ns);
}

static bool is_any_lane_held(const struct gate *gate) {
	bool held = gate->not_before_ns > gate->now->mono_ns;
	for (int i = 0; i < GATE_LANES; i++)
		held |= ratelimit_wait_ns(gate->lanes[i].limit, gate->now->mono_ns) > 0;
	return held;
}

static bool is_anything_pending(const struct gate *gate) {
	bool pending = false;
	for (int i = 0; i < GATE_LANES; i++) pending |= !list_is_empty(&gate->lanes[i].pending);
	return pending;
}

unsigned gate_waiting(const struct gate *gate) {
	unsigned waiting = 0;
	for (int i = 0; i < GATE_LANES; i++) waiting += gate->lanes[i].waiting;
	return waiting;
}

bool gate_is_idle(const struct gate *gate) {
	return !gate->in_flight && !is_anything_pending(gate) && list_is_empty(&gate->waiters);
}

bool gate_is_forgettable(const struct gate *gate) {
	int64_t now_ns = gate->now->mono_ns;
	if (!gate_is_idle(gate) || is_any_lane_held(gate)) return false;
	return !gate->open || now_ns >= gate->trial_at_ns + REMEMBER_NS;
}

void gate_deinit(struct gate *gate) {
	assert(gate_is_idle(gate));
	*gate = (struct gate){ 0 };
}

/* Another worker's trial may be under way. Soon after it has told of an answer the others try for themselves. */
static int64_t trial_from_ns(const struct gate *gate) {
	int64_t taken_ns = gate->trials ? pause_until_ns(gate->trials) : 0;
	return taken_ns > gate->trial_at_ns ? taken_ns : gate->trial_at_ns;
}

static bool is_too_long(const struct gate *gate, int64_t wait_ns) {
	return gate->patience_ns && wait_ns > gate->patience_ns;
}

static bool is_held_long(const struct gate *gate) {
	return is_too_long(gate, gate->not_before_ns - gate->now->mono_ns);
}

bool gate_is_shut(const struct gate *gate) {
	return gate->open || is_held_long(gate);
}

bool gate_admits(const struct gate *gate, struct fault *out_fault) {
	if (!gate->open && is_held_long(gate)) {
		*out_fault = gate->fault;
		out_fault->retry_after_ns = gate->not_before_ns - gate->now->mono_ns;
		return false;
	}
	if (!gate->open) return true;
	if (!gate->trial && gate->now->mono_ns >= trial_from_ns(gate)) return true;
	*out_fault = gate->fault;
	return false;
}

int64_t gate_ask_again_ns(const struct gate *gate) {
	int64_t now_ns = gate->now->mono_ns;
	if (gate->trial) return NEVER_NS;
	int64_t at_ns = gate->open ? gate->trial_at_ns : gate->not_before_ns;
	/* Another worker has the trial, and may end it at any time. */
	return at_ns > now_ns ? at_ns : now_ns + LOOK_AGAIN_NS;
}

static void leave_line(struct gate *gate, struct gate_call *call) {
	assert(gate->lanes[call->lane].waiting > 0);
	list_remove(&call->link);
	gate->lanes[call->lane].waiting--;
}

/* Ends a call that was never sent with the failure that opened the breaker, or that the server wants a rest. */
static void refuse(struct gate *gate, struct gate_call *call) {
	leave_line(gate, call);
	call->gate = NULL;
	call->req->err = gate->fault.err;
	call->req->fault = gate->fault;
	call->req->maybe_sent = false;
	call->req->status = 0;
	call->on_done(call);
}

static void open_breaker(struct gate *gate, const struct fault *fault) {
	gate->fault = *fault;
	gate->trial_at_ns = gate->now->mono_ns + gate->breaker_interval_ns;
	if (!gate->open) {
		metric_add(METRIC_BREAKER_OPENED, 1);
		log_warn("cannot be reached, breaker opened", kv("server", gate->name),
			kv("cause", fault->text));
	}
	gate->open = true;
}

static void wake_all(struct gate *gate) {
	struct list woken;
	list_init(&woken);
	list_splice(&woken, &gate->waiters);
	for (struct list *waiter; (waiter = list_pop(&woken));) gate->wake(gate, waiter);
}

/* True when the request certainly never reached a server: name, route, TLS. */
static bool is_unreachable(const struct http_req *req) {
	return req->err == ERR_NETWORK && !req->maybe_sent;
}

/* By the quarter of an hour, so that all who wait for one server say the same, and go on saying it when it asks again and again. */
static struct fault pause_fault(const struct gate *gate, int64_t after_ns) {
	char until[TIME_TEXT_BYTES];
	int64_t wall_s = (gate->now->wall_ns + after_ns) / NS_PER_S;
	time_format((wall_s / UNTIL_S + 1) * UNTIL_S, until);
	struct fault fault = after_ns < LONG_PAUSE_NS
				     ? fault_make(ERR_THROTTLED,
					       "%s asks by Retry-After to be left alone for some "
					       "minutes; kvsync goes on by itself",
					       gate->name)
				     : fault_make(ERR_THROTTLED,
					       "%s asks by Retry-After to be left alone, until %s "
					       "at the latest; kvsync goes on by itself",
					       gate->name, until);
	fault.retry_after_ns = after_ns;
	return fault;
}

static void close_breaker(struct gate *gate) {
	gate->open = false;
	if (gate->trials) pause_end(gate->trials);
	log_info("can be reached again, breaker closed", kv("server", gate->name));
	/* What the server asked for before it went away still holds. */
	if (is_held_long(gate))
		gate->fault = pause_fault(gate, gate->not_before_ns - gate->now->mono_ns);
	wake_all(gate);
}

/* True when what waits is to be refused. */
static bool hold_back(struct gate *gate, struct ratelimit *limit, int64_t after_ns) {
	int64_t now_ns = gate->now->mono_ns;
	ratelimit_throttled(limit, now_ns, after_ns);
	/* What it asks for is meant for whatever we may ask; without that it is this kind of request that came too fast. */
	if (now_ns + after_ns > gate->not_before_ns) {
		bool news = gate->not_before_ns <= now_ns;
		gate->not_before_ns = now_ns + after_ns;
		if (is_too_long(gate, after_ns)) gate->fault = pause_fault(gate, after_ns);
		if (news && after_ns >= LOGGED_PAUSE_NS)
			log_warn("asks by Retry-After to be left alone", kv("server", gate->name),
				kv_int("seconds", after_ns / NS_PER_S));
	}
	if (gate->pause) pause_extend(gate->pause, now_ns + ratelimit_wait_ns(limit, now_ns));
	return is_too_long(gate, after_ns);
}

/* True when the breaker opens, or the server wants a long rest: what waits is to be refused. */
static bool judge(
	struct gate *gate, enum gate_lane_name lane, const struct http_req *req, bool was_trial) {
	struct ratelimit *limit = gate->lanes[lane].limit;
	if (req->err == ERR_NETWORK || req->err == ERR_TIMEOUT) {
		gate->transport_failures++;
		bool opens = was_trial || is_unreachable(req) ||
			     gate->transport_failures >= FAILURES_TO_OPEN;
		if (opens) open_breaker(gate, &req->fault);
		return opens;
	}
	if (!req->status) return false;
	gate->transport_failures = 0;
	if (gate->open) close_breaker(gate);
	if (req->status == 429 || (req->status == 503 && req->retry_after_ns > 0)) {
		return hold_back(gate, limit, req->retry_after_ns > 0 ? req->retry_after_ns : 0);
	}
	if (req->status < 500) ratelimit_succeeded(limit, gate->now->mono_ns);
	return false;
}

/* All that waits, in order of the lanes. */
static void clear_lanes(struct gate *gate, struct list *out_calls) {
	for (int i = 0; i < GATE_LANES; i++) list_splice(out_calls, &gate->lanes[i].pending);
}

static void request_done(struct http_req *req) {
	struct gate_call *call = req->owner;
	struct gate *gate = call->gate;
	struct list refused;
	bool was_trial = gate->trial;
	assert(gate->in_flight > 0);
	gate->in_flight--;
	gate->trial = false;
	call->gate = NULL;
	call->started = false;
	/* Whoever asked is told before others are refused: one of those may be its own, and must find this one answered. What
	 * on_done puts in line anew is not for this round. */
	list_init(&refused);
	if (judge(gate, call->lane, req, was_trial)) clear_lanes(gate, &refused);
	call->on_done(call);
	while (!list_is_empty(&refused))
		refuse(gate, container_of(list_first(&refused), struct gate_call, link));
}

void gate_start(struct gate *gate, struct gate_call *call) {
	assert(!call->gate && call->req && call->on_done && call->lane < GATE_LANES);
	call->gate = gate;
	call->started = false;
	call->sent_ns = 0;
	call->req->owner = call;
	call->req->on_done = request_done;
	struct list *pending = &gate->lanes[call->lane].pending;
	if (call->in_front)
		list_push_front(pending, &call->link);
	else
		list_push_back(pending, &call->link);
	gate->lanes[call->lane].waiting++;
	gate_pump(gate);
}

void gate_cancel(struct gate_call *call) {
	struct gate *gate = call->gate;
	if (!gate) return;
	call->gate = NULL;
	if (!call->started) {
		leave_line(gate, call);
		return;
	}
	http_cancel(gate->http, call->req);
	call->started = false;
	assert(gate->in_flight > 0);
	gate->in_flight--;
	gate->trial = false;
}

bool gate_has_sent(const struct gate_call *call) {
	return call->gate && call->started && call->req->maybe_sent;
}

void gate_wait(struct gate *gate, struct list *waiter) {
	assert(!list_is_linked(waiter));
	list_push_back(&gate->waiters, waiter);
}

static struct gate_call *first_of(const struct gate_lane *lane) {
	return container_of(list_first(&lane->pending), struct gate_call, link);
}

static void send(struct gate *gate, struct gate_call *call) {
	leave_line(gate, call);
	bool apart = call->lane == LANE_BEHIND || call->lane == LANE_KEYS;
	gate->ahead = apart ? 0 : gate->ahead + 1;
	call->started = true;
	call->sent_ns = gate->now->mono_ns;
	gate->in_flight++;
	if (call->on_sent) call->on_sent(call);
	http_start(gate->http, call->req);
}

/* What the server asked for, be it from another worker. */
static int64_t held_until_ns(const struct gate *gate) {
	int64_t pause_ns = gate->pause ? pause_until_ns(gate->pause) : 0;
	return gate->not_before_ns > pause_ns ? gate->not_before_ns : pause_ns;
}

/* The first call of the first lane that has one. */
static struct gate_call *first_pending(const struct gate *gate) {
	for (int i = 0; i < GATE_LANES; i++) {
		if (!list_is_empty(&gate->lanes[i].pending)) return first_of(&gate->lanes[i]);
	}
	return NULL;
}

/* While the breaker is open: one request per interval, and somebody to make it. */
static int64_t pump_open(struct gate *gate) {
	int64_t now_ns = gate->now->mono_ns;
	if (gate->trial || gate->in_flight) return NEVER_NS;
	/* What the server asked for before it went away still holds. */
	struct gate_call *call = first_pending(gate);
	const struct ratelimit *limit = call ? gate->lanes[call->lane].limit : &gate->limit;
	int64_t held_ns = held_until_ns(gate), due_ns = now_ns + ratelimit_wait_ns(limit, now_ns);
	if (due_ns < held_ns) due_ns = held_ns;
	if (due_ns < gate->trial_at_ns) due_ns = gate->trial_at_ns;
	if (!call && list_is_empty(&gate->waiters)) return NEVER_NS;
	if (now_ns < due_ns) return due_ns;
	int64_t until_ns = now_ns + gate->breaker_interval_ns;
	if (now_ns < trial_from_ns(gate)) return now_ns + LOOK_AGAIN_NS;
	if (call) {
		if (gate->trials && !pause_claim(gate->trials, now_ns, until_ns))
			return now_ns + LOOK_AGAIN_NS;
		gate->trial = true;
		gate->trial_at_ns = until_ns;
		metric_add(METRIC_BREAKER_TRIALS, 1);
		send(gate, call);
		return NEVER_NS;
	}
	if (now_ns >= gate->next_wake_ns) {
		/* Should the one that is woken not ask after all, another gets its chance later. */
		gate->next_wake_ns = until_ns;
		gate->wake(gate, list_pop(&gate->waiters));
	}
	return gate->next_wake_ns;
}

static int64_t shared_wait_ns(struct gate_pace *shared, int64_t now_ns) {
	if (!shared->pace || shared->rate_per_s <= 0) return 0;
	return pace_wait_ns(shared->pace, &shared->slot, shared->rate_per_s, shared->burst, now_ns);
}

/* The first call of the lane, should every pace allow it now; else *io_next_ns becomes the moment to ask again: when several may
 * go, since a wake for each costs more than most requests. */
static struct gate_call *take_from(
	struct gate *gate, enum gate_lane_name name, int64_t *io_next_ns) {
	struct gate_lane *lane = &gate->lanes[name];
	int64_t now_ns = gate->now->mono_ns;
	if (list_is_empty(&lane->pending)) return NULL;
	int64_t wait_ns = ratelimit_wait_ns(lane->limit, now_ns);
	if (wait_ns) wait_ns += ratelimit_bunch_ns(lane->limit, BUNCH_MOST_NS);
	if (!wait_ns) wait_ns = shared_wait_ns(&lane->shared, now_ns);
	if (!wait_ns) wait_ns = shared_wait_ns(&gate->group, now_ns);
	if (!wait_ns) {
		wait_ns = ratelimit_take(lane->limit, now_ns);
		assert(wait_ns == 0);
		return first_of(lane);
	}
	if (now_ns + wait_ns < *io_next_ns) *io_next_ns = now_ns + wait_ns;
	return NULL;
}

/* The call whose turn it is; NULL: none before *out_next_ns. */
static struct gate_call *next_call(struct gate *gate, int64_t *out_next_ns) {
	struct gate_call *call = NULL;
	*out_next_ns = NEVER_NS;
	if (gate->ahead + 1 >= BEHIND_SHARE) {
		call = take_from(gate, LANE_BEHIND, out_next_ns);
		if (!call) call = take_from(gate, LANE_KEYS, out_next_ns);
	}
	for (int i = 0; i < GATE_LANES && !call; i++) call = take_from(gate, i, out_next_ns);
	return call;
}

/* Those who wait for the end of a pause; returns when that is. */
static int64_t pump_waiters(struct gate *gate) {
	if (list_is_empty(&gate->waiters)) return NEVER_NS;
	if (gate->not_before_ns > gate->now->mono_ns) return gate->not_before_ns;
	wake_all(gate);
	return NEVER_NS;
}

static int64_t pump_lanes(struct gate *gate) {
	int64_t now_ns = gate->now->mono_ns;
	while (is_anything_pending(gate)) {
		int64_t next_ns = held_until_ns(gate);
		if (gate->in_flight >= gate->max_in_flight) return NEVER_NS;
		if (next_ns > now_ns) return next_ns;
		struct gate_call *call = next_call(gate, &next_ns);
		if (!call) return next_ns;
		send(gate, call);
	}
	return NEVER_NS;
}

int64_t gate_pump(struct gate *gate) {
	if (gate->open) return pump_open(gate);
	int64_t waiters_ns = pump_waiters(gate), lanes_ns = pump_lanes(gate);
	return waiters_ns < lanes_ns ? waiters_ns : lanes_ns;
}
