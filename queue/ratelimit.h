/* queue/ratelimit.h - pace of requests: GCRA ("when may the next one go?") and AIMD on top of it.
 *
 * GCRA keeps one word, the theoretical arrival time. Any window of T seconds holds at most rate * T + burst requests.
 * One owner; pure but for its own state. Times are mono_ns.
 */
#pragma once

#include <stdint.h>

struct ratelimit {
	double rate_per_s; /* today's rate, between floor and ceiling */
	double ceiling_per_s;
	double floor_per_s;
	double burst; /* requests; at least 1 */
	int64_t _tat_ns;
	int64_t _clean_since_ns; /* start of the period without a 429 */
	int64_t _blocked_until_ns;
};

void ratelimit_init(struct ratelimit *limit, double ceiling_per_s, double burst, int64_t now_ns);

/* Another ceiling and burst; what was learnt from 429s stays, as a share of the ceiling. */
void ratelimit_set_ceiling(
	struct ratelimit *limit, double ceiling_per_s, double burst, int64_t now_ns);

/* 0: a request may go now, and is counted. Otherwise how long to wait (ns, > 0); nothing is counted. */
int64_t ratelimit_take(struct ratelimit *limit, int64_t now_ns);

/* What went was dearer than one request, by so many: as becomes known only afterwards. */
void ratelimit_charge(struct ratelimit *limit, double requests, int64_t now_ns);

/* So many of those that were counted did not go. */
void ratelimit_refund(struct ratelimit *limit, double requests);

/* How long until one may go; counts nothing. */
int64_t ratelimit_wait_ns(const struct ratelimit *limit, int64_t now_ns);

/* How long it takes from one that may go to half a burst that may go at once; most_ns at most. */
int64_t ratelimit_bunch_ns(const struct ratelimit *limit, int64_t most_ns);

/* The server answered 429 or 503: nothing goes for retry_after_ns (0: one second), and the rate falls to 70 %.
 * Further ones before that pause is over belong to the same event: they may lengthen the pause, the rate falls once. */
void ratelimit_throttled(struct ratelimit *limit, int64_t now_ns, int64_t retry_after_ns);

/* The server answered well: after each clean 10 s the rate grows by 2 % of the ceiling. */
void ratelimit_succeeded(struct ratelimit *limit, int64_t now_ns);
