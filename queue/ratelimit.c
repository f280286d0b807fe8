#include "queue/ratelimit.h"

#include <assert.h>
#include <stdbool.h>

#include "base/clock.h"

static const double throttled_factor = 0.7;
static const double growth_factor = 0.02; /* of the ceiling, per clean period */
/* How far 429s can bring a pace down: to one a second, or a tenth of a small ceiling, which may be the part of one of a thousand
 * clusters, all of which have to slow down. */
static const double usual_floor_per_s = 1, floor_factor = 0.1;
static const int64_t clean_period_ns = 10 * NS_PER_S;
static const int64_t usual_pause_ns = NS_PER_S;

/* Time between two requests; rounded up, so that rounding never makes us faster. */
static int64_t interval_ns(double rate_per_s) {
	double interval = (double)NS_PER_S / rate_per_s;
	return (int64_t)interval + 1;
}

/* How far the theoretical arrival time may lie ahead. */
static int64_t tolerance_ns(const struct ratelimit *limit) {
	return (int64_t)((limit->burst - 1) * (double)interval_ns(limit->rate_per_s));
}

static double floor_of(double ceiling_per_s) {
	double part_per_s = ceiling_per_s * floor_factor;
	return part_per_s < usual_floor_per_s ? part_per_s : usual_floor_per_s;
}

static int64_t add_saturated(int64_t a, int64_t b) {
	int64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

void ratelimit_init(struct ratelimit *limit, double ceiling_per_s, double burst, int64_t now_ns) {
	assert(ceiling_per_s > 0 && ceiling_per_s <= 1e9 && burst >= 1);
	*limit = (struct ratelimit){
		.rate_per_s = ceiling_per_s,
		.ceiling_per_s = ceiling_per_s,
		.floor_per_s = floor_of(ceiling_per_s),
		.burst = burst,
		._tat_ns = now_ns,
		._clean_since_ns = now_ns,
		._blocked_until_ns = now_ns,
	};
}

int64_t ratelimit_wait_ns(const struct ratelimit *limit, int64_t now_ns) {
	int64_t paced_ns = limit->_tat_ns - tolerance_ns(limit);
	int64_t at_ns = paced_ns > limit->_blocked_until_ns ? paced_ns : limit->_blocked_until_ns;
	return at_ns > now_ns ? at_ns - now_ns : 0;
}

int64_t ratelimit_bunch_ns(const struct ratelimit *limit, int64_t most_ns) {
	double more = limit->burst / 2 - 1;
	double bunch_ns = more > 0 ? more * (double)interval_ns(limit->rate_per_s) : 0;
	return bunch_ns < (double)most_ns ? (int64_t)bunch_ns : most_ns;
}

int64_t ratelimit_take(struct ratelimit *limit, int64_t now_ns) {
	int64_t wait_ns = ratelimit_wait_ns(limit, now_ns);
	if (wait_ns) return wait_ns;
	int64_t from_ns = limit->_tat_ns > now_ns ? limit->_tat_ns : now_ns;
	limit->_tat_ns = add_saturated(from_ns, interval_ns(limit->rate_per_s));
	return 0;
}

void ratelimit_charge(struct ratelimit *limit, double requests, int64_t now_ns) {
	assert(requests >= 0);
	int64_t from_ns = limit->_tat_ns > now_ns ? limit->_tat_ns : now_ns;
	double cost_ns = requests * (double)interval_ns(limit->rate_per_s);
	limit->_tat_ns = add_saturated(from_ns, (int64_t)cost_ns);
}

void ratelimit_refund(struct ratelimit *limit, double requests) {
	assert(requests >= 0);
	limit->_tat_ns -= (int64_t)(requests * (double)interval_ns(limit->rate_per_s));
}

/* Changes the rate and keeps the number of requests that the burst still has room for: what lies ahead is stretched alike. */
static void set_rate(struct ratelimit *limit, double rate_per_s, int64_t now_ns) {
	if (rate_per_s > limit->ceiling_per_s) rate_per_s = limit->ceiling_per_s;
	if (rate_per_s < limit->floor_per_s) rate_per_s = limit->floor_per_s;
	if (limit->_tat_ns > now_ns) {
		double requests =
			(double)(limit->_tat_ns - now_ns) / (double)interval_ns(limit->rate_per_s);
		double ahead_ns = requests * (double)interval_ns(rate_per_s);
		limit->_tat_ns = add_saturated(now_ns, (int64_t)ahead_ns + 1);
	}
	limit->rate_per_s = rate_per_s;
}

void ratelimit_set_ceiling(
	struct ratelimit *limit, double ceiling_per_s, double burst, int64_t now_ns) {
	assert(ceiling_per_s > 0 && ceiling_per_s <= 1e9 && burst >= 1);
	double share = limit->rate_per_s / limit->ceiling_per_s;
	limit->ceiling_per_s = ceiling_per_s;
	limit->floor_per_s = floor_of(ceiling_per_s);
	limit->burst = burst;
	set_rate(limit, share * ceiling_per_s, now_ns);
}

void ratelimit_throttled(struct ratelimit *limit, int64_t now_ns, int64_t retry_after_ns) {
	/* Requests that were on their way when the first 429 came tell nothing new: one fall per pause. */
	bool is_news = now_ns >= limit->_blocked_until_ns;
	int64_t pause_ns = retry_after_ns > 0 ? retry_after_ns : usual_pause_ns;
	int64_t until_ns = add_saturated(now_ns, pause_ns);
	if (until_ns > limit->_blocked_until_ns) limit->_blocked_until_ns = until_ns;
	if (is_news) set_rate(limit, limit->rate_per_s * throttled_factor, now_ns);
	limit->_clean_since_ns = limit->_blocked_until_ns; /* a pause proves nothing */
}

void ratelimit_succeeded(struct ratelimit *limit, int64_t now_ns) {
	int64_t periods = (now_ns - limit->_clean_since_ns) / clean_period_ns;
	if (periods <= 0) return;
	limit->_clean_since_ns += periods * clean_period_ns;
	double growth = (double)periods * growth_factor * limit->ceiling_per_s;
	set_rate(limit, limit->rate_per_s + growth, now_ns);
}
