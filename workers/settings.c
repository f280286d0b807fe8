#include "workers/settings.h"

#include "base/clock.h"

/* A window may hold ten seconds' worth and the burst, so that the burst comes out of the rate's account. */
struct rate rate_of(double most_per_10s, double burst) {
	struct rate rate = { .burst = burst };
	if (most_per_10s < 0.001) most_per_10s = 0.001;
	if (rate.burst > most_per_10s / 10) rate.burst = most_per_10s / 10;
	if (rate.burst < 1) rate.burst = 1;
	rate.per_s = (most_per_10s - rate.burst) / 10;
	if (rate.per_s < most_per_10s / 20) rate.per_s = most_per_10s / 20;
	return rate;
}

struct settings settings_default(void) {
	return (struct settings){
		.poll_interval_ns = 3600 * NS_PER_S,
		.partial = true,
		.drift = DRIFT_PROBE,
		.drift_probes_per_s = 30,
		.change_detection = CHANGE_AUTO,
		.safety_polls = 24,
		.events_per_s = 10,
		.kube_writes_per_s = 100,
		.status_writes_per_s = 50,
		.vault_rate_per_s = 280,
		.vault_burst = 20,
		.vault_key_rate_per_s = 280,
		.vault_key_burst = 20,
		.clusters_per_vault = 1,
		.group_per_10s = 14000,
		.vault_connections = 16,
		.reconciles_per_vault = 32,
		.request_timeout_ns = 30 * NS_PER_S,
		.kube_timeout_ns = 30 * NS_PER_S,
		.breaker_interval_ns = 10 * NS_PER_S,
		.retry_base_ns = 2 * NS_PER_S,
		.retry_max_ns = 300 * NS_PER_S,
		.slow_base_ns = 30 * NS_PER_S,
		.slow_max_ns = 600 * NS_PER_S,
	};
}
