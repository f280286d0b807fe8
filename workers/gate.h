/* workers/gate.h - the way of all requests of one worker to one server: pace, room, and a breaker.
 *
 * There is one gate per vault, one per token endpoint and one for the API server. A call waits in its lane of the gate until
 * the pace allows it and a place is free. When the server cannot be reached the breaker opens: what waits is refused, and one
 * trial per interval goes out until an answer of any status closes it again. A gate with patience refuses also what would have to
 * wait longer than that because the server asked for it, until that time is over.
 *
 * One owner: the worker. Times are mono_ns.
 */
#pragma once

#include "base/list.h"
#include "clients/http.h"
#include "queue/pace.h"
#include "queue/ratelimit.h"

struct gate;

/* Calls of one gate that stand in line apart from others. */
enum gate_lane_name {
	LANE_USUAL,
	LANE_WRITE, /* writes of Secrets */
	LANE_BEHIND, /* what nobody waits for: it goes when the others have what they need, and every so often at least */
	LANE_KEYS, /* of a vault: requests about keys, which Azure counts apart; like LANE_BEHIND where places are scarce */
	GATE_LANES
};

/* A pace that is kept together with other gates. */
struct gate_pace {
	struct pace *pace; /* NULL: none */
	double rate_per_s, burst; /* rate 0: it does not hold */
	struct pace_slot slot;
};

struct gate_lane {
	struct list pending;
	unsigned waiting; /* calls in it */
	struct ratelimit *limit; /* the gate's, or `own` */
	struct ratelimit own;
	struct gate_pace shared;
};

/* One request on its way. Embedded by whoever asks; must stay until on_done or gate_cancel. */
struct gate_call {
	struct list link;
	struct http_req *req; /* borrowed */
	struct gate *gate; /* NULL: not under way */
	uint8_t lane; /* enum gate_lane_name */
	bool in_front; /* it stands before all that waits in its lane */
	bool started;
	int64_t sent_ns; /* when it went out; 0: it has not yet. Stays after the answer */
	/* The answer is in req (err, status, ...). A call that was refused by the breaker ends with req->err and req->fault of
	 * the failure that opened it, and was not sent. Never called from inside gate_start or gate_cancel. */
	void (*on_done)(struct gate_call *call);
	void (*on_sent)(struct gate_call
			*call); /* it goes out now, be it inside gate_start; NULL: nobody counts */
};

struct gate {
	const char *name; /* for people; borrowed */
	struct http *http;
	struct ratelimit limit;
	bool limited; /* the limit's ceiling applies; without it only Retry-After holds calls back */
	int64_t not_before_ns; /* Retry-After */
	int64_t patience_ns; /* 0: calls wait for as long as the server asks */
	struct gate_pace group; /* of all lanes; only where no lane has a shared pace */
	unsigned max_in_flight;
	unsigned in_flight;
	struct gate_lane lanes[GATE_LANES];
	unsigned ahead; /* sent since LANE_BEHIND had its turn */
	struct pause *pause; /* shared with other workers' gates to the same server; NULL: none */
	struct pause *trials; /* likewise: who has the right to a trial; NULL: this gate */
	/* Breaker. */
	bool open;
	bool trial; /* the one request that goes out while open is under way */
	unsigned transport_failures; /* in a row */
	int64_t trial_at_ns;
	int64_t next_wake_ns; /* the next waiter is woken for a trial not before */
	int64_t breaker_interval_ns;
	struct fault
		fault; /* what opened it; or, of a gate with patience, that the server asked for more */
	struct list
		waiters; /* of objects: woken when the way is open again, one of them for a trial */
	void (*wake)(struct gate *gate, struct list *waiter); /* the waiter was unlinked */
	struct now *now; /* the worker's reading of this turn */
};

struct gate_options {
	const char *name;
	struct http *http;
	struct now *now;
	double rate_per_s; /* 0: no pace of our own */
	double burst;
	unsigned max_in_flight;
	int64_t breaker_interval_ns;
	int64_t patience_ns; /* calls that would have to wait longer for a Retry-After are refused; 0: none is */
	struct pause *pause; /* kept; NULL: none */
	struct pause *
		trials; /* kept: workers that share it make one trial in an interval together; NULL: none does */
	void (*wake)(struct gate *gate, struct list *waiter);
};

void gate_init(struct gate *gate, const struct gate_options *options);
/* No call may be under way, nobody may wait. */
void gate_deinit(struct gate *gate);

/* True when a request may be asked for now. False: the breaker is open and it is not time for a trial, or the server wants to be left
 * alone for longer than the gate has patience; *out_fault says why. */
bool gate_admits(const struct gate *gate, struct fault *out_fault);

/* When to ask again once it has not admitted; later than now. Nobody need: a trial is under way, whose end is a turn. */
int64_t gate_ask_again_ns(const struct gate *gate);

/* True when the breaker is open, or the server wants to be left alone for longer than the gate has patience: not for some
 * milliseconds, so that waiting in the gate is the right thing. */
bool gate_is_shut(const struct gate *gate);

/* A lane's calls keep this pace together with those of other gates; rate 0: they keep none. burst: at least 1. */
void gate_set_pace(struct gate *gate, enum gate_lane_name lane, struct pace *pace,
	double rate_per_s, double burst);

/* The same for all calls of the gate; pace NULL: none. A gate has one or the other. */
void gate_set_group(struct gate *gate, struct pace *pace, double rate_per_s, double burst);

/* The pace of the gate's own, of those lanes that have none apart; and of one that has. What was learnt from 429s stays. */
void gate_set_limit(struct gate *gate, double rate_per_s, double burst);
void gate_set_lane_limit(
	struct gate *gate, enum gate_lane_name lane, double rate_per_s, double burst);

/* Another interval between trials holds at once; a trial that is nearer stays where it is. */
void gate_set_breaker(struct gate *gate, int64_t interval_ns);

/* An answered call counts as so many requests more. */
void gate_charge(struct gate *gate, enum gate_lane_name lane, double requests);

/* Puts the call in its lane and sends what may be sent. */
void gate_start(struct gate *gate, struct gate_call *call);

/* Ends a call without on_done. Harmless when it is not under way. */
void gate_cancel(struct gate_call *call);

/* The call is under way, and its request has begun to go out. */
bool gate_has_sent(const struct gate_call *call);

/* Parks a waiter until a gate that is shut is not, or a trial needs somebody. */
void gate_wait(struct gate *gate, struct list *waiter);

/* Sends what may be sent, wakes one waiter when a trial is due; returns when it wants to be called again. */
int64_t gate_pump(struct gate *gate);

/* Calls that have not been sent yet. */
unsigned gate_waiting(const struct gate *gate);

/* True when nothing is under way and nobody waits. */
bool gate_is_idle(const struct gate *gate);

/* True when it is idle and knows nothing that a new gate would not: no Retry-After that holds, no breaker that opened lately. */
bool gate_is_forgettable(const struct gate *gate);
