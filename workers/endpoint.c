#include "base/hash.h"
#include "workers/worker.h"

/* Token requests of one worker to one authority at a time; Entra throttles by identity and hour, not by connection. */
enum { TOKEN_CONNECTIONS = 4 };

/* Whoever waits for a token keeps a place among the reconciles of his vault from those who have one. */
static const int64_t PATIENCE_NS = 10 * NS_PER_S;

enum err endpoint_get(struct worker *worker, struct str authority, struct endpoint **out_endpoint) {
	list_for_each (link, &worker->endpoints) {
		struct endpoint *known = container_of(link, struct endpoint, all);
		if (!str_eq(str_of(known->authority), authority)) continue;
		*out_endpoint = known;
		return OK;
	}
	struct endpoint *endpoint = mem_zalloc(sizeof *endpoint);
	if (!endpoint) return ERR_NOMEM;
	endpoint->authority = mem_strdup(authority);
	if (!endpoint->authority) {
		mem_free(endpoint);
		return ERR_NOMEM;
	}
	gate_init(&endpoint->gate,
		&(struct gate_options){
			.name = endpoint->authority,
			.http = worker->http,
			.now = &worker->now,
			.max_in_flight = TOKEN_CONNECTIONS,
			.breaker_interval_ns = worker->settings.breaker_interval_ns,
			.patience_ns = PATIENCE_NS,
			.trials = &worker->pool
					   ->token_trials[hash64_stable(authority) % TOKEN_TRIALS],
			.wake = schedule_waiter_woken,
		});
	list_push_back(&worker->endpoints, &endpoint->all);
	*out_endpoint = endpoint;
	return OK;
}

void endpoint_destroy_all(struct worker *worker) {
	for (struct list *link; (link = list_pop(&worker->endpoints));) {
		struct endpoint *endpoint = container_of(link, struct endpoint, all);
		gate_deinit(&endpoint->gate);
		mem_free(endpoint->authority);
		mem_free(endpoint);
	}
}
