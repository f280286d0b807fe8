#include "unit.h"

#include "base/clock.h"
#include "base/rng.h"
#include "queue/ratelimit.h"

/* How many requests went ahead of what rate and time allow; must never exceed the burst. */
struct account {
	double allowed; /* requests that the rate has paid for so far */
	double least; /* the least of (allowed - sent) before any request so far: where the worst window begins */
	double worst; /* the most requests in a window minus what its length allows */
	int64_t last_ns;
	int64_t sent;
};

static void account_time(struct account *account, const struct ratelimit *limit, int64_t now_ns) {
	account->allowed +=
		limit->rate_per_s * (double)(now_ns - account->last_ns) / (double)NS_PER_S;
	account->last_ns = now_ns;
}

static void account_sent(struct account *account) {
	double start = account->allowed - (double)account->sent;
	if (start > account->least || account->sent == 0) account->least = start;
	account->sent++;
	double ahead = account->least - (account->allowed - (double)account->sent);
	if (ahead > account->worst) account->worst = ahead;
}

enum behaviour { STEADY, WITH_THROTTLING };

static void check_windows(uint64_t seed, double rate, double burst, enum behaviour behaviour) {
	struct rng rng;
	struct ratelimit limit;
	int64_t now_ns = 5 * NS_PER_S;
	struct account account = { .last_ns = now_ns };
	rng_seed(&rng, seed);
	ratelimit_init(&limit, rate, burst, now_ns);
	for (int i = 0; i < 30000; i++) {
		/* Long silences, steady trickles and crowds. */
		int64_t scale_ns =
			rng_below(&rng, 200) == 0 ? 20 * NS_PER_S : (int64_t)(1e9 / rate);
		if (rng_below(&rng, 3) == 0) now_ns += rng_between(&rng, 0, scale_ns);
		account_time(&account, &limit, now_ns);
		int64_t wait_ns = ratelimit_wait_ns(&limit, now_ns);
		assert_true(wait_ns >= 0);
		assert_true(ratelimit_take(&limit, now_ns) == wait_ns);
		if (wait_ns == 0) account_sent(&account);
		if (behaviour == STEADY) continue;
		if (rng_below(&rng, 500) == 0)
			ratelimit_throttled(&limit, now_ns, rng_between(&rng, 0, 3 * NS_PER_S));
		if (rng_below(&rng, 5) == 0) ratelimit_succeeded(&limit, now_ns);
	}
	assert_true(account.worst <= burst + 1e-3);
	if (burst == 100) assert_true(account.worst > 90); /* the test really reaches the limit */
}

/* Any window of T seconds holds at most rate * T + burst requests, also while the rate changes. */
static void test_windows(void **state) {
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		for (int behaviour = STEADY; behaviour <= WITH_THROTTLING; behaviour++) {
			check_windows(seed, 280, 100, (enum behaviour)behaviour);
			check_windows(seed, 400, 1, (enum behaviour)behaviour);
			check_windows(seed, 0.5, 3, (enum behaviour)behaviour);
			check_windows(seed, 1e5, 2.5, (enum behaviour)behaviour);
		}
	}
}

/* Who always waits exactly as long as told gets the full rate. */
static void test_full_rate(void **state) {
	(void)state;
	struct ratelimit limit;
	int64_t now_ns = 0;
	int sent = 0;
	ratelimit_init(&limit, 280, 100, now_ns);
	while (now_ns < 100 * NS_PER_S) {
		int64_t wait_ns = ratelimit_take(&limit, now_ns);
		now_ns += wait_ns;
		sent += wait_ns == 0;
	}
	assert_in_range(sent, 28090, 28101);
}

static void test_wait_is_exact(void **state) {
	(void)state;
	struct ratelimit limit;
	ratelimit_init(&limit, 10, 1, 0);
	assert_true(ratelimit_take(&limit, 0) == 0);
	int64_t wait_ns = ratelimit_take(&limit, 0);
	assert_true(wait_ns >= 100 * NS_PER_MS && wait_ns <= 100 * NS_PER_MS + 1);
	assert_true(ratelimit_take(&limit, wait_ns - 1) == 1);
	assert_true(ratelimit_take(&limit, wait_ns) == 0);
}

static void test_throttled(void **state) {
	(void)state;
	struct ratelimit limit;
	ratelimit_init(&limit, 100, 10, 0);
	ratelimit_throttled(&limit, 0, 7 * NS_PER_S);
	assert_true(ratelimit_take(&limit, 0) == 7 * NS_PER_S);
	assert_true(limit.rate_per_s > 69.9 && limit.rate_per_s < 70.1);
	/* Others that were on their way: one event, one fall; the pause may only grow. */
	ratelimit_throttled(&limit, 1, 8 * NS_PER_S);
	ratelimit_throttled(&limit, 2, 1);
	assert_true(limit.rate_per_s > 69.9);
	assert_true(ratelimit_take(&limit, 2) == 8 * NS_PER_S - 1);
	assert_true(ratelimit_take(&limit, 8 * NS_PER_S) > 0);
	assert_true(ratelimit_take(&limit, 8 * NS_PER_S + 1) == 0);
	/* Without a word from the server it is a second. */
	ratelimit_throttled(&limit, 20 * NS_PER_S, 0);
	assert_true(limit.rate_per_s > 48.9 && limit.rate_per_s < 49.1);
	assert_true(ratelimit_take(&limit, 20 * NS_PER_S) == NS_PER_S);
}

static void test_floor(void **state) {
	(void)state;
	struct ratelimit limit, slow;
	ratelimit_init(&limit, 100, 10, 0);
	ratelimit_init(&slow, 0.2, 1, 0);
	/* One of a thousand clusters slows down like the others. */
	ratelimit_throttled(&slow, 5 * NS_PER_S, 1);
	assert_true(slow.rate_per_s > 0.13 && slow.rate_per_s < 0.15);
	for (int i = 1; i < 100; i++) {
		ratelimit_throttled(&limit, i * 10 * NS_PER_S, 1);
		ratelimit_throttled(&slow, i * 10 * NS_PER_S, 1);
	}
	assert_true(limit.rate_per_s >= 1 && limit.rate_per_s < 1.01);
	assert_true(slow.rate_per_s > 0.019 && slow.rate_per_s < 0.021);
}

static void test_growth(void **state) {
	(void)state;
	struct ratelimit limit;
	ratelimit_init(&limit, 100, 10, 0);
	ratelimit_throttled(&limit, 0, 5 * NS_PER_S);
	/* The clean time begins when the pause ends. */
	ratelimit_succeeded(&limit, 15 * NS_PER_S - 1);
	assert_true(limit.rate_per_s < 70.1);
	ratelimit_succeeded(&limit, 15 * NS_PER_S);
	ratelimit_succeeded(&limit, 15 * NS_PER_S + 1);
	assert_true(limit.rate_per_s > 71.9 && limit.rate_per_s < 72.1);
	ratelimit_succeeded(&limit, 35 * NS_PER_S);
	assert_true(limit.rate_per_s > 75.9 && limit.rate_per_s < 76.1);
	for (int s = 40; s < 1000; s++) ratelimit_succeeded(&limit, s * NS_PER_S);
	assert_true(limit.rate_per_s > 99.99 && limit.rate_per_s <= 100);
}

static void test_endless_pause(void **state) {
	(void)state;
	struct ratelimit limit;
	ratelimit_init(&limit, 100, 10, NS_PER_S);
	ratelimit_throttled(&limit, NS_PER_S, INT64_MAX);
	assert_true(ratelimit_take(&limit, NS_PER_S) > 1000 * NS_PER_S);
}

/* Another ceiling keeps what was learnt, and never lets more through at once than the new burst. */
static void test_new_ceiling(void **state) {
	(void)state;
	struct ratelimit limit;
	int64_t now_ns = 5 * NS_PER_S;
	ratelimit_init(&limit, 100, 10, now_ns);
	ratelimit_throttled(&limit, now_ns, NS_PER_S);
	ratelimit_set_ceiling(&limit, 10, 1, now_ns);
	assert_true(limit.rate_per_s > 6.99 && limit.rate_per_s < 7.01);
	assert_true(ratelimit_wait_ns(&limit, now_ns) == NS_PER_S);
	now_ns += 10 * NS_PER_S;
	assert_true(ratelimit_take(&limit, now_ns) == 0);
	assert_true(ratelimit_take(&limit, now_ns) > 0);
	ratelimit_set_ceiling(&limit, 0.5, 1, now_ns);
	assert_true(limit.rate_per_s >= limit.floor_per_s && limit.floor_per_s <= 0.5);
	for (int i = 0; i < 100; i++) ratelimit_succeeded(&limit, now_ns += 10 * NS_PER_S);
	assert_true(limit.rate_per_s == 0.5);
}

/* What turns out to be dear is paid for by those who come next. */
static void test_charge(void **state) {
	struct ratelimit limit;
	(void)state;
	ratelimit_init(&limit, 10, 1, 5 * NS_PER_S);
	assert_int_equal(ratelimit_take(&limit, 5 * NS_PER_S), 0);
	ratelimit_charge(&limit, 7, 5 * NS_PER_S);
	assert_in_range(ratelimit_wait_ns(&limit, 5 * NS_PER_S), 800 * NS_PER_MS, 801 * NS_PER_MS);
	/* Long after, too: rest does not pay in advance. */
	ratelimit_charge(&limit, 3, 60 * NS_PER_S);
	assert_in_range(ratelimit_wait_ns(&limit, 60 * NS_PER_S), 300 * NS_PER_MS, 301 * NS_PER_MS);
}

/* From the moment at which one may go half a burst fills up, unless that takes longer than one cares to wait. */
static void test_bunch(void **state) {
	static const struct {
		double rate, burst;
		int64_t ns;
	} cases[] = { { 100, 20, 90 * NS_PER_MS }, { 400, 20, 9 * NS_PER_S / 400 }, { 100, 2, 0 }, { 100, 1, 0 },
		{ 0.5, 20, 100 * NS_PER_MS } };
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct ratelimit limit;
		int64_t now_ns = 5 * NS_PER_S;
		ratelimit_init(&limit, cases[c].rate, cases[c].burst, now_ns);
		while (!ratelimit_take(&limit, now_ns)) {}
		int64_t bunch_ns = ratelimit_bunch_ns(&limit, 100 * NS_PER_MS);
		assert_in_range(bunch_ns, cases[c].ns, cases[c].ns + 20); /* intervals are rounded up */
		if (cases[c].rate < 1) continue;
		now_ns += ratelimit_wait_ns(&limit, now_ns) + bunch_ns;
		unsigned went = 0;
		while (!ratelimit_take(&limit, now_ns)) went++;
		assert_int_equal(went, cases[c].burst < 4 ? 1 : (unsigned)cases[c].burst / 2);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_full_rate),
		cmocka_unit_test(test_wait_is_exact),
		cmocka_unit_test(test_bunch),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_floor),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_new_ceiling),
		cmocka_unit_test(test_charge),
		cmocka_unit_test(test_endless_pause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
