/* Phases: where in the interval objects are looked at, and what that means for a vault that many clusters share.
 *
 * The product's guidance for fleets is jitter: how long a cluster has to wait by chance so that the vault's 400 requests a second
 * are exceeded with a probability of 0.0001 at most, since each cluster asks for all its secrets at once. The table is recomputed
 * here by the formula it was made with (Wilson and Hilferty's quantile of the Poisson distribution). kvsync asks for each object
 * at a moment of its own, which takes that burst away. */
#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "tests/unit/unit.h"
#include "workers/worker.h"

enum { ROWS = 4, COLUMNS = 10, LIMIT_PER_10_S = 4000, LIMIT_PER_S = 400, HOUR_S = 3600 };

static const int SECRETS[ROWS] = { 5, 10, 20, 50 };
static const int CLUSTERS[COLUMNS] = { 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };
static const int JITTER_S[ROWS][COLUMNS] = {
	{ 0, 0, 1, 2, 4, 10, 20, 39, 98, 200 },
	{ 0, 1, 2, 5, 10, 24, 49, 97, 240, 490 },
	{ 1, 3, 7, 14, 27, 68, 140, 270, 680, 1400 },
	{ 8, 15, 38, 76, 150, 380, 760, 1500, 3800, 7600 },
};

/* Clusters a second that a vault bears when each asks for so many secrets at once. */
static double clusters_per_s(double secrets) {
	static const double z = 3.719016485; /* of 0.0001 */
	double most = LIMIT_PER_S / secrets;
	double root = 1 - 1 / (9 * most) - z / (3 * sqrt(most));
	return most * root * root * root;
}

static int two_figures(double value) {
	double unit = 1;
	while (value / unit >= 100) unit *= 10;
	return (int)(floor(value / unit + 0.5) * unit);
}

static void the_table_of_jitter_is_what_bursts_cost(void **state) {
	(void)state;
	for (int r = 0; r < ROWS; r++) {
		for (int c = 0; c < COLUMNS; c++) {
			int jitter_s = two_figures(CLUSTERS[c] / clusters_per_s(SECRETS[r]));
			if (jitter_s != JITTER_S[r][c])
				fail_msg("%d clusters of %d secrets: %d s, not %d", CLUSTERS[c], SECRETS[r],
					jitter_s, JITTER_S[r][c]);
		}
	}
	/* Single requests use a vault to 82 % at the same risk. */
	assert_in_range((int)clusters_per_s(1), 329, 330);
}

static uint64_t uid_hash(int cluster, int secret) {
	char uid[48];
	snprintf(uid, sizeof uid, "%08x-0000-4000-8000-%012x", (unsigned)cluster, (unsigned)secret);
	return hash64_stable(str_of(uid));
}

static unsigned requests[HOUR_S];

static void ask(uint64_t hash, unsigned count) {
	int64_t at_ns = schedule_phase_ns(hash, (struct now){ 0, 0 }, HOUR_S * NS_PER_S);
	requests[at_ns / NS_PER_S % HOUR_S] += count;
}

/* By GETs, each secret at its moment; and by walks, where all pages of a cluster come at once. */
static void ask_for_all(int clusters, int secrets, bool by_walks) {
	enum { PAGE_ROWS = 25 };
	memset(requests, 0, sizeof requests);
	for (int c = 0; c < clusters; c++) {
		uint64_t least = UINT64_MAX;
		for (int s = 0; s < secrets; s++) {
			uint64_t hash = uid_hash(c, s);
			if (hash < least) least = hash;
			if (!by_walks) ask(hash, 1);
		}
		if (by_walks)
			ask(schedule_walk_hash(STR("https://v.vault.azure.net"), 0, least),
				(unsigned)(secrets + PAGE_ROWS - 1) / PAGE_ROWS);
	}
}

/* The most requests that any ten seconds of an hour hold, without any jitter. */
static unsigned most_in_10_s(void) {
	const unsigned *at = requests;
	unsigned most = 0, sum = 0;
	for (int i = 0; i < HOUR_S + 10; i++) {
		sum += at[i % HOUR_S];
		if (i >= 10) sum -= at[(i - 10) % HOUR_S];
		if (sum > most) most = sum;
	}
	return most;
}

static void phases_need_no_jitter(void **state) {
	(void)state;
	for (int r = 0; r < ROWS; r++) {
		for (int c = 0; c < COLUMNS; c++) {
			for (int by_walks = 0; by_walks < 2; by_walks++) {
				ask_for_all(CLUSTERS[c], SECRETS[r], by_walks);
				unsigned most = most_in_10_s();
				if (most < LIMIT_PER_10_S) continue;
				fail_msg("%d clusters of %d secrets%s: %u requests in 10 s", CLUSTERS[c], SECRETS[r],
					by_walks ? " by walks" : "", most);
			}
		}
	}
}

static void a_phase_is_kept_over_restarts(void **state) {
	(void)state;
	const int64_t interval_ns = 600 * NS_PER_S;
	struct now now = { 77 * NS_PER_S, 1800000000 * NS_PER_S };
	int64_t first_ns = schedule_phase_ns(123456789012345, now, interval_ns) - now.mono_ns;
	assert_in_range(first_ns, 1, interval_ns);
	/* Another boot, 100 s later. */
	now = (struct now){ 5 * NS_PER_S, 1800000100 * NS_PER_S };
	int64_t again_ns = schedule_phase_ns(123456789012345, now, interval_ns) - now.mono_ns;
	int64_t moved_ns = (first_ns - again_ns + 2 * interval_ns) % interval_ns;
	assert_int_equal(moved_ns, 100 * NS_PER_S);
}

/* A safety re-read is one of the polls' moments, whatever their number. */
static void a_longer_phase_falls_on_a_shorter_one(void **state) {
	(void)state;
	const int64_t interval_ns = 60 * NS_PER_S;
	for (uint64_t i = 0; i < 1000; i++) {
		struct now now = { 0, 1800000000 * NS_PER_S };
		int64_t poll_ns = schedule_phase_ns(i * 0x9e3779b97f4a7c15, now, interval_ns);
		int64_t safety_ns = schedule_phase_ns(i * 0x9e3779b97f4a7c15, now, 24 * interval_ns);
		assert_int_equal((safety_ns - poll_ns) % interval_ns, 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_jitter_is_what_bursts_cost),
		cmocka_unit_test(phases_need_no_jitter),
		cmocka_unit_test(a_phase_is_kept_over_restarts),
		cmocka_unit_test(a_longer_phase_falls_on_a_shorter_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
