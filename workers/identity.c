#include "workers/identity.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "workers/worker.h"

enum { ASSERTION_BYTES = 64 << 10, TOKEN_BYTES = 64 << 10 };

/* A token is not used during its last minute: the request that carries it has to arrive. */
static const int64_t MARGIN_NS = 60 * NS_PER_S;
/* A ServiceAccount that comes later is found within a minute, the scatter of its SecretSyncs included: nobody watches for
 * it. */
static const int64_t ABSENT_NS = 40 * NS_PER_S;
/* An identity that failed is kept that long after its retry time, so that its backoff is not forgotten. */
static const int64_t KEEP_NS = 600 * NS_PER_S;

static int64_t now_ns(const struct identity *identity) {
	return identity->worker->now.mono_ns;
}

static enum err identity_key(const struct spec *spec, const struct spc *spc, struct buf *out_key) {
	buf_init(out_key, 8192);
	buf_printf(out_key, "%.*s|%.*s|%.*s|%.*s/%.*s", STR_ARG(spc->authority),
		STR_ARG(spc->tenant), STR_ARG(spc->client_id), STR_ARG(spec->ns),
		STR_ARG(spec->service_account));
	return buf_err(out_key);
}

static enum err identity_fill(
	struct identity *identity, const struct spec *spec, const struct spc *spc) {
	struct block block = { 0 };
	size_t bytes = spc->authority.len + spc->tenant.len + spc->client_id.len + spc->scope.len +
		       spc->audience.len + spec->ns.len + spec->service_account.len;
	enum err err = block_init(&block, bytes + 1);
	if (err) return err;
	identity->_block = block._ptr;
	identity->authority = block_str(&block, spc->authority);
	identity->tenant = block_str(&block, spc->tenant);
	identity->client_id = block_str(&block, spc->client_id);
	identity->scope = block_str(&block, spc->scope);
	identity->audience = block_str(&block, spc->audience);
	identity->ns = block_str(&block, spec->ns);
	identity->service_account = block_str(&block, spec->service_account);
	return OK;
}

static void identity_free(struct identity *identity) {
	gate_cancel(&identity->call);
	kube_call_deinit(&identity->kube);
	entra_call_deinit(&identity->entra);
	secret_deinit(&identity->assertion);
	secret_deinit(&identity->token);
	mem_free(identity->_block);
	mem_free(identity->key);
	mem_free(identity);
}

static enum err identity_create(struct worker *worker, const struct spec *spec,
	const struct spc *spc, struct buf *key, struct identity **out_identity) {
	struct endpoint *endpoint = NULL;
	struct identity *identity = mem_zalloc(sizeof *identity);
	if (!identity) return ERR_NOMEM;
	identity->worker = worker;
	list_init(&identity->waiters);
	identity->kube_gate = &worker->kube_gate;
	identity->key = buf_take(key);
	enum err err = identity->key ? OK : ERR_NOMEM;
	if (!err) err = identity_fill(identity, spec, spc);
	if (!err) err = endpoint_get(worker, spc->authority, &endpoint);
	if (!err) err = map_insert(&worker->identities, &identity->node);
	if (err) {
		identity_free(identity);
		return err;
	}
	identity->entra_gate = &endpoint->gate;
	list_push_back(&worker->identity_list, &identity->all);
	*out_identity = identity;
	return OK;
}

enum err identity_get(struct worker *worker, const struct spec *spec, const struct spc *spc,
	struct identity **out_identity) {
	struct buf key = { 0 };
	struct identity *identity = NULL;
	enum err err = identity_key(spec, spc, &key);
	if (err) goto out;
	struct map_node *node = map_find(&worker->identities, buf_str(&key));
	if (node) identity = container_of(node, struct identity, node);
	if (!identity) err = identity_create(worker, spec, spc, &key, &identity);
	if (err) goto out;
	identity->users++;
	*out_identity = identity;
out:
	buf_deinit(&key);
	return err;
}

void identity_put(struct identity *identity) {
	if (!identity) return;
	assert(identity->users > 0);
	identity->users--;
}

/* Tells everybody who waits; each may ask again from inside, and is then a waiter of the next round. */
static void answer_all(struct identity *identity) {
	struct list round;
	list_init(&round);
	list_splice(&round, &identity->waiters);
	for (struct list *link; (link = list_pop(&round));) {
		struct identity_waiter *waiter = container_of(link, struct identity_waiter, link);
		waiter->answer(waiter);
	}
}

static bool token_is_usable(const struct identity *identity) {
	return secret_len(&identity->token) > 0 &&
	       now_ns(identity) < identity->expires_ns - MARGIN_NS;
}

/* The flight failed. A breaker's refusal is not a failure of this identity: the breaker has its own interval. */
static void flight_failed(struct identity *identity, struct gate *gate) {
	struct worker *worker = identity->worker;
	const struct settings *settings = &worker->settings;
	bool slow = err_retry(identity->fault.err) == RETRY_SLOW;
	struct backoff backoff = { .base_ns =
					   slow ? settings->slow_base_ns : settings->retry_base_ns,
		.max_ns = slow ? settings->slow_max_ns : settings->retry_max_ns };
	int64_t delay_ns = backoff_delay_ns(&backoff, identity->failures, &worker->rng);
	if (identity->fault.retry_after_ns > delay_ns) delay_ns = identity->fault.retry_after_ns;
	if (gate == identity->kube_gate && identity->fault.err == ERR_NOT_FOUND)
		delay_ns = ABSENT_NS;
	identity->fault_gate = gate->open ? gate : NULL;
	if (identity->fault_gate) delay_ns = 0;
	if (!identity->fault_gate && identity->fault.err != ERR_THROTTLED) identity->failures++;
	identity->asking = false;
	identity->retry_ns = now_ns(identity) + delay_ns;
	identity->fault_is_local = gate == identity->kube_gate;
	secret_deinit(&identity->assertion);
	answer_all(identity);
}

static void flight_succeeded(struct identity *identity, struct entra_token *token) {
	int64_t life_ns = token->expires_in_s * NS_PER_S;
	int64_t share = rng_between(&identity->worker->rng, 50, 80);
	identity->asking = false;
	identity->failures = 0;
	identity->fault = (struct fault){ 0 };
	identity->fault_gate = NULL;
	identity->expires_ns = now_ns(identity) + life_ns;
	identity->refresh_ns = now_ns(identity) + life_ns / 100 * share;
	if (token->refresh_in_s > 0 && token->refresh_in_s * NS_PER_S < life_ns / 100 * share) {
		identity->refresh_ns = now_ns(identity) + token->refresh_in_s * NS_PER_S;
	}
	secret_deinit(&identity->token);
	secret_move(&identity->token, &token->value);
	identity->serial++;
	secret_deinit(&identity->assertion);
	answer_all(identity);
}

static void entra_done(struct gate_call *call) {
	struct identity *identity = container_of(call, struct identity, call);
	struct entra_token token = { 0 };
	identity->fault = (struct fault){ 0 };
	enum err err = entra_result(
		&identity->entra, &identity->fault, identity->tenant, identity->client_id);
	if (!err)
		err = entra_read_token(
			&identity->entra, identity->worker->arena, &token, &identity->fault);
	entra_call_deinit(&identity->entra);
	if (err) {
		entra_show_claims(&identity->fault, &identity->assertion, identity->worker->arena);
		flight_failed(identity, identity->entra_gate);
	} else {
		flight_succeeded(identity, &token);
	}
	secret_deinit(&token.value);
}

static void ask_entra(struct identity *identity) {
	struct worker *worker = identity->worker;
	if (!gate_admits(identity->entra_gate, &identity->fault)) {
		flight_failed(identity, identity->entra_gate);
		return;
	}
	enum err err = entra_exchange(&identity->entra, worker->pool->options.azure,
		identity->authority, identity->tenant, identity->client_id, identity->scope,
		&identity->assertion, worker->arena);
	if (err) {
		entra_call_deinit(&identity->entra);
		identity->fault = fault_make(err,
			"the token request for Microsoft Entra could not be built: %s",
			err_text(err));
		flight_failed(identity, identity->entra_gate);
		return;
	}
	metric_add(METRIC_TOKEN_EXCHANGES, 1);
	identity->entra.http.timeout_ns = worker->settings.request_timeout_ns;
	identity->call.req = &identity->entra.http;
	identity->call.on_done = entra_done;
	gate_start(identity->entra_gate, &identity->call);
}

static void kube_done(struct gate_call *call) {
	struct identity *identity = container_of(call, struct identity, call);
	char what[600];
	snprintf(what, sizeof what, "request a token of ServiceAccount %.*s/%.*s",
		STR_ARG(identity->ns), STR_ARG(identity->service_account));
	identity->fault = (struct fault){ 0 };
	secret_init(&identity->assertion, identity->worker->arena, ASSERTION_BYTES);
	enum err err = kube_result(&identity->kube, &identity->fault, what);
	if (!err) err = kube_read_token(&identity->kube, &identity->assertion, &identity->fault);
	kube_call_deinit(&identity->kube);
	if (err) {
		flight_failed(identity, identity->kube_gate);
	} else {
		ask_entra(identity);
	}
}

static void ask_kube(struct identity *identity) {
	struct worker *worker = identity->worker;
	enum err err = kube_token_request(&identity->kube, worker->pool->options.kube,
		worker->arena, identity->ns, identity->service_account, identity->audience);
	if (err) {
		kube_call_deinit(&identity->kube);
		identity->fault =
			fault_make(err, "the TokenRequest could not be built: %s", err_text(err));
		flight_failed(identity, identity->kube_gate);
		return;
	}
	metric_add(METRIC_TOKEN_REQUESTS, 1);
	identity->kube.http.timeout_ns = worker->settings.kube_timeout_ns;
	identity->call.req = &identity->kube.http;
	identity->call.on_done = kube_done;
	gate_start(identity->kube_gate, &identity->call);
}

/* False when no flight may begin now: identity->fault and fault_gate say why. */
static bool may_fly(struct identity *identity) {
	struct fault fault = { 0 };
	struct gate *gates[] = { identity->entra_gate, identity->kube_gate };
	if (now_ns(identity) < identity->retry_ns) return false;
	for (unsigned i = 0; i < 2; i++) {
		if (gate_admits(gates[i], &fault)) continue;
		identity->fault = fault;
		identity->fault_gate = gates[i];
		return false;
	}
	return true;
}

static void begin_flight(struct identity *identity) {
	identity->asking = true;
	identity->fault_gate = NULL;
	ask_kube(identity);
}

enum identity_state identity_ask(struct identity *identity, struct identity_waiter *waiter) {
	if (token_is_usable(identity)) {
		bool due = now_ns(identity) >= identity->refresh_ns && !identity->asking;
		if (due && may_fly(identity)) begin_flight(identity);
		return IDENTITY_READY;
	}
	if (!identity->asking) {
		if (!may_fly(identity)) return IDENTITY_FAILED;
		begin_flight(identity);
		/* It may have failed before anything was sent; nobody waited yet, so nobody was answered. */
		if (!identity->asking) return IDENTITY_FAILED;
	}
	list_push_back(&identity->waiters, &waiter->link);
	return IDENTITY_WAIT;
}

void identity_leave(struct identity_waiter *waiter) {
	list_remove(&waiter->link);
}

void identity_refused(struct identity *identity, uint64_t serial) {
	if (identity->serial == serial) secret_deinit(&identity->token);
}

void identity_sweep(struct worker *worker) {
	list_for_each_safe (link, &worker->identity_list) {
		struct identity *identity = container_of(link, struct identity, all);
		if (identity->users || identity->asking || token_is_usable(identity)) continue;
		if (worker->now.mono_ns < identity->retry_ns + KEEP_NS) continue;
		list_remove(&identity->all);
		map_remove(&worker->identities, &identity->node);
		identity_free(identity);
	}
}

void identity_destroy_all(struct worker *worker) {
	list_for_each_safe (link, &worker->identity_list) {
		struct identity *identity = container_of(link, struct identity, all);
		assert(!identity->users && list_is_empty(&identity->waiters));
		list_remove(&identity->all);
		map_remove(&worker->identities, &identity->node);
		identity_free(identity);
	}
}
