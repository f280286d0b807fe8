#include "workers/settings.h"

#include "base/clock.h"

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
