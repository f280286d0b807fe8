/* The flights of an identity: how a token is made, request by request. */
#include <stdio.h>

#include "base/metric.h"
#include "workers/worker.h"

enum {
	ASSERTION_BYTES = 64 << 10,
	CREDENTIAL_BYTES = 4 << 10,
	WHAT_BYTES = 600,
	PLACE_BYTES = 600
};

/* A ServiceAccount, or a principal's Secret, that comes later is found within a minute, the scatter of its SecretSyncs
 * included: nobody watches for it. */
static const int64_t ABSENT_NS = 40 * NS_PER_S;

/* A token is not used during its last minute: the request that carries it has to arrive. Nor is a short life all margin: whoever is
 * given one that cannot be used asks again at once. */
static const int64_t MARGIN_NS = 60 * NS_PER_S;

static int64_t now_ns(const struct identity *identity) {
	return identity->worker->now.mono_ns;
}

void identity_forget_credential(struct identity *identity) {
	secret_deinit(&identity->assertion);
	secret_deinit(&identity->principal);
	secret_deinit(&identity->principal_secret);
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

/* The flight failed. A breaker's refusal is not a failure of this identity: the breaker has its own interval. */
static void flight_failed(struct identity *identity, struct gate *gate) {
	struct worker *worker = identity->worker;
	const struct settings *settings = &worker->settings;
	bool slow = err_retry(identity->fault.err) == RETRY_SLOW;
	struct backoff backoff = { .base_ns =
					   slow ? settings->slow_base_ns : settings->retry_base_ns,
		.max_ns = slow ? settings->slow_max_ns : settings->retry_max_ns };
	int64_t delay_ns = backoff_delay_ns(&backoff, identity->failures, &worker->rng);
	/* The failure is not to outlive its cause by more than a poll; but short polls are no reason to hurry more than after a
	 * first failure. */
	int64_t most_ns = settings->poll_interval_ns > backoff.base_ns ? settings->poll_interval_ns
								       : backoff.base_ns;
	if (delay_ns > most_ns) delay_ns = most_ns;
	if (identity->fault.retry_after_ns > delay_ns) delay_ns = identity->fault.retry_after_ns;
	if (gate == identity->kube_gate && identity->fault.err == ERR_NOT_FOUND)
		delay_ns = ABSENT_NS;
	identity->fault_gate = gate->open ? gate : NULL;
	if (identity->fault_gate) delay_ns = 0;
	if (!identity->fault_gate && identity->fault.err != ERR_THROTTLED) identity->failures++;
	identity->asking = false;
	identity->retry_ns = now_ns(identity) + delay_ns;
	identity->fault_is_local = gate == identity->kube_gate;
	identity_forget_credential(identity);
	answer_all(identity);
}

static void flight_succeeded(struct identity *identity, struct entra_token *token) {
	int64_t life_ns = token->expires_in_s * NS_PER_S;
	int64_t share = rng_between(&identity->worker->rng, 50, 80);
	identity->asking = false;
	identity->failures = 0;
	identity->fault = (struct fault){ 0 };
	identity->fault_gate = NULL;
	identity->usable_until_ns =
		now_ns(identity) + life_ns - (MARGIN_NS < life_ns / 2 ? MARGIN_NS : life_ns / 2);
	identity->refresh_ns = now_ns(identity) + life_ns / 100 * share;
	if (token->refresh_in_s > 0 && token->refresh_in_s * NS_PER_S < life_ns / 100 * share) {
		identity->refresh_ns = now_ns(identity) + token->refresh_in_s * NS_PER_S;
	}
	secret_deinit(&identity->token);
	secret_move(&identity->token, &token->value);
	identity->serial++;
	identity_forget_credential(identity);
	answer_all(identity);
}

/* --- the last request: the token itself --- */

/* Both services answer with the same members. */
static void take_answer(struct identity *identity, enum err err, struct entra_token *token) {
	if (err) {
		flight_failed(identity, identity->token_gate);
	} else {
		flight_succeeded(identity, token);
	}
	secret_deinit(&token->value);
}

/* Who asked, for people: the client id, or, since a principal's came out of a Secret, the place of that. */
static struct str client_text(const struct identity *identity, char place[static PLACE_BYTES]) {
	if (identity->kind != IDENTITY_PRINCIPAL) return identity->client_id;
	int len = snprintf(place, PLACE_BYTES, "of Secret %.*s/%.*s", STR_ARG(identity->ns),
		STR_ARG(identity->source));
	return (struct str){ place, len > 0 && len < PLACE_BYTES ? (size_t)len : 0 };
}

static void entra_done(struct gate_call *call) {
	struct identity *identity = container_of(call, struct identity, call);
	struct entra_token token = { 0 };
	char place[PLACE_BYTES];
	identity->fault = (struct fault){ 0 };
	enum err err = entra_result(
		&identity->entra, &identity->fault, identity->tenant, client_text(identity, place));
	if (!err) {
		err = entra_read_token(
			&identity->entra, identity->worker->arena, &token, &identity->fault);
	}
	entra_call_deinit(&identity->entra);
	if (err) entra_show_claims(&identity->fault, &identity->assertion, identity->worker->arena);
	take_answer(identity, err, &token);
}

static void imds_done(struct gate_call *call) {
	struct identity *identity = container_of(call, struct identity, call);
	struct worker *worker = identity->worker;
	struct entra_token token = { 0 };
	identity->fault = (struct fault){ 0 };
	enum err err = imds_result(&identity->imds, &identity->fault, identity->client_id);
	if (!err) {
		err = imds_read_token(&identity->imds, worker->arena,
			worker->now.wall_ns / NS_PER_S, &token, &identity->fault);
	}
	imds_call_deinit(&identity->imds);
	take_answer(identity, err, &token);
}

static void sent(struct gate_call *call) {
	const struct identity *identity = container_of(call, struct identity, call);
	if (call->gate == identity->token_gate)
		metric_add(METRIC_TOKEN_EXCHANGES, 1);
	else if (identity->kind != IDENTITY_PRINCIPAL)
		metric_add(METRIC_TOKEN_REQUESTS, 1);
}

static void ask_for_token(struct identity *identity, enum err err, struct http_req *req,
	void (*on_done)(struct gate_call *call)) {
	struct worker *worker = identity->worker;
	if (err) {
		entra_call_deinit(&identity->entra);
		imds_call_deinit(&identity->imds);
		identity->fault =
			fault_make(err, "the token request could not be built: %s", err_text(err));
		flight_failed(identity, identity->token_gate);
		return;
	}
	req->timeout_ns = worker->settings.request_timeout_ns;
	identity->call.req = req;
	identity->call.on_done = on_done;
	identity->call.on_sent = sent;
	gate_start(identity->token_gate, &identity->call);
}

static void ask_imds(struct identity *identity) {
	struct worker *worker = identity->worker;
	enum err err = imds_token(&identity->imds, worker->pool->options.imds, identity->scope,
		identity->client_id, worker->arena);
	ask_for_token(identity, err, &identity->imds.http, imds_done);
}

static void ask_entra(struct identity *identity) {
	struct worker *worker = identity->worker;
	const struct http_site *site = worker->pool->options.azure;
	enum err err;
	if (!gate_admits(identity->token_gate, &identity->fault)) {
		flight_failed(identity, identity->token_gate);
		return;
	}
	if (identity->kind == IDENTITY_PRINCIPAL) {
		err = entra_exchange_secret(&identity->entra, site, identity->authority,
			identity->tenant, identity->scope, &identity->principal,
			&identity->principal_secret, worker->arena);
	} else {
		err = entra_exchange(&identity->entra, site, identity->authority, identity->tenant,
			identity->client_id, identity->scope, &identity->assertion, worker->arena);
	}
	ask_for_token(identity, err, &identity->entra.http, entra_done);
}

/* --- the request before it: what is exchanged comes from the API server --- */

static enum err read_assertion(struct identity *identity) {
	char what[WHAT_BYTES];
	snprintf(what, sizeof what, "request a token of ServiceAccount %.*s/%.*s",
		STR_ARG(identity->ns), STR_ARG(identity->source));
	secret_init(&identity->assertion, identity->worker->arena, ASSERTION_BYTES);
	enum err err = kube_result(&identity->kube, &identity->fault, what);
	return err ? err : kube_read_token(&identity->kube, &identity->assertion, &identity->fault);
}

static enum err read_key(struct identity *identity, const char *key, struct secret *out_value) {
	secret_init(out_value, identity->worker->arena, CREDENTIAL_BYTES);
	enum err err = kube_read_data(&identity->kube, str_of(key), out_value);
	const char *wrong = err == ERR_NOT_FOUND   ? "has no value under the key"
			    : err == ERR_INVALID   ? "has more than one key that reads"
			    : err == ERR_TOO_LARGE ? "has more than 4 KiB under the key"
						   : "could not be read at the key";
	if (!err || err == ERR_NOMEM) return err;
	return fault_set(&identity->fault, ERR_INVALID,
		"Secret %.*s/%.*s, which servicePrincipalSecretName names, %s %s: it needs "
		"clientid and clientsecret of the service principal",
		STR_ARG(identity->ns), STR_ARG(identity->source), wrong, key);
}

/* A user lends us one Secret by its name; the right to read others is never asked for. */
static enum err explain_denial(struct identity *identity, enum err err) {
	struct fault *fault = &identity->fault;
	if (err == ERR_NOT_FOUND) {
		return fault_set(fault, err,
			"Secret %.*s/%.*s, which servicePrincipalSecretName names, does not exist: "
			"create it with the keys clientid and clientsecret",
			STR_ARG(identity->ns), STR_ARG(identity->source));
	}
	if (err != ERR_DENIED) return err;
	return fault_set(fault, err,
		"kvsync may not read Secret %.*s/%.*s, which servicePrincipalSecretName names. To "
		"allow it, create in that namespace a Role with apiGroups [\"\"], resources "
		"[secrets], resourceNames [%.*s], verbs [get], and bind it to kvsync's "
		"ServiceAccount",
		STR_ARG(identity->ns), STR_ARG(identity->source), STR_ARG(identity->source));
}

static enum err read_principal(struct identity *identity) {
	char what[WHAT_BYTES];
	snprintf(what, sizeof what, "read Secret %.*s/%.*s", STR_ARG(identity->ns),
		STR_ARG(identity->source));
	enum err err = kube_result(&identity->kube, &identity->fault, what);
	if (err) return explain_denial(identity, err);
	err = read_key(identity, "clientid", &identity->principal);
	return err ? err : read_key(identity, "clientsecret", &identity->principal_secret);
}

static void kube_done(struct gate_call *call) {
	struct identity *identity = container_of(call, struct identity, call);
	identity->fault = (struct fault){ 0 };
	enum err err = identity->kind == IDENTITY_PRINCIPAL ? read_principal(identity)
							    : read_assertion(identity);
	kube_call_deinit(&identity->kube);
	if (err && !identity->fault.err)
		identity->fault = fault_make(err, "out of memory; retried by itself");
	if (err) {
		flight_failed(identity, identity->kube_gate);
	} else {
		ask_entra(identity);
	}
}

static void ask_kube(struct identity *identity) {
	struct worker *worker = identity->worker;
	struct kube *kube = worker->pool->options.kube;
	enum err err;
	if (identity->kind == IDENTITY_PRINCIPAL) {
		err = kube_secret_get(
			&identity->kube, kube, worker->arena, identity->ns, identity->source);
	} else {
		err = kube_token_request(&identity->kube, kube, worker->arena, identity->ns,
			identity->source, identity->audience);
	}
	if (err) {
		kube_call_deinit(&identity->kube);
		identity->fault = fault_make(err,
			"the request for the API server could not be built: %s", err_text(err));
		flight_failed(identity, identity->kube_gate);
		return;
	}
	identity->kube.http.timeout_ns = worker->settings.kube_timeout_ns;
	identity->call.req = &identity->kube.http;
	identity->call.on_done = kube_done;
	identity->call.on_sent = sent;
	gate_start(identity->kube_gate, &identity->call);
}

void identity_fly(struct identity *identity) {
	identity->asking = true;
	identity->fault_gate = NULL;
	if (identity->kind == IDENTITY_MACHINE)
		ask_imds(identity);
	else
		ask_kube(identity);
}
