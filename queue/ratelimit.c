#include "queue/ratelimit.h"

#include <assert.h>

#include "base/clock.h"

static const double DECREASE = 0.7;
static const double INCREASE = 0.02; /* of the ceiling */
static const int64_t CLEAN_NS = 10 * NS_PER_S;

void ratelimit_init(struct ratelimit *limit, double ceiling_per_s, double burst, int64_t now_ns) {
	assert(ceiling_per_s > 0 && burst >= 1);
	*limit = (struct ratelimit){
		.rate_per_s = ceiling_per_s,
		.ceiling_per_s = ceiling_per_s,
		.floor_per_s = ceiling_per_s < 1 ? ceiling_per_s : 1,
		.burst = burst,
		._tat_ns = now_ns,
		._clean_since_ns = now_ns,
		._blocked_until_ns = now_ns,
	};
}

int64_t ratelimit_wait_ns(const struct ratelimit *limit, int64_t now_ns) {
	/* A request conforms when it comes no earlier than `burst - 1` intervals before its theoretical arrival time. */
	int64_t interval_ns = (int64_t)((double)NS_PER_S / limit->rate_per_s);
	int64_t tolerance_ns = (int64_t)((double)interval_ns * (limit->burst - 1));
	int64_t earliest_ns = limit->_tat_ns - tolerance_ns;
	if (earliest_ns < limit->_blocked_until_ns) earliest_ns = limit->_blocked_until_ns;
	return earliest_ns > now_ns ? earliest_ns - now_ns : 0;
}

int64_t ratelimit_take(struct ratelimit *limit, int64_t now_ns) {
	int64_t wait_ns = ratelimit_wait_ns(limit, now_ns);
	if (wait_ns > 0) return wait_ns;
	int64_t interval_ns = (int64_t)((double)NS_PER_S / limit->rate_per_s);
	limit->_tat_ns = (limit->_tat_ns > now_ns ? limit->_tat_ns : now_ns) + interval_ns;
	return 0;
}

void ratelimit_throttled(struct ratelimit *limit, int64_t now_ns, int64_t retry_after_ns) {
	int64_t until_ns = now_ns + (retry_after_ns > 0 ? retry_after_ns : NS_PER_S);
	if (until_ns > limit->_blocked_until_ns) limit->_blocked_until_ns = until_ns;
	/* Nothing saved up is spent in one burst when the block ends. */
	if (until_ns > limit->_tat_ns) limit->_tat_ns = until_ns;
	limit->rate_per_s *= DECREASE;
	if (limit->rate_per_s < limit->floor_per_s) limit->rate_per_s = limit->floor_per_s;
	limit->_clean_since_ns = until_ns;
}

void ratelimit_succeeded(struct ratelimit *limit, int64_t now_ns) {
	if (now_ns - limit->_clean_since_ns < CLEAN_NS) return;
	limit->_clean_since_ns = now_ns;
	limit->rate_per_s += limit->ceiling_per_s * INCREASE;
	if (limit->rate_per_s > limit->ceiling_per_s) limit->rate_per_s = limit->ceiling_per_s;
}
