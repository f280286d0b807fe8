/* workers/identity.h - access tokens: one flight per worker and identity, renewed early, failures remembered.
 *
 * An identity is everything that a token depends on: its kind, authority, scope, audience, tenant, client, namespace, and in
 * that the service account or Secret. How its token is made:
 *
 *   workload    TokenRequest at the API server, whose answer is exchanged at Microsoft Entra
 *   principal   GET of the Secret that holds client id and client secret, which are exchanged at Entra. They are kept for one
 *               flight: every renewal, and every flight after a refusal, reads the Secret again
 *   machine     GET at the node's metadata service
 *
 * The token is served until a minute before it expires (of a short life, until half of it), and renewed in the background from 50 to 80 % of its life on. A failure is remembered
 * and answered at once until its backoff has passed.
 *
 * One owner: the worker.
 */
#pragma once

#include "base/map.h"
#include "clients/imds.h"
#include "clients/kube.h"
#include "queue/backoff.h"
#include "workers/gate.h"
#include "workers/spec.h"

struct worker;

/* Somebody who waits for a token. Embedded in a reconcile. */
struct identity_waiter {
	struct list link;
	/* The token is there (err OK) or cannot be had. May ask again. */
	void (*answer)(struct identity_waiter *waiter);
};

struct identity {
	struct map_node node;
	struct list all;
	char *key;
	struct worker *worker;
	enum identity_kind kind;
	struct str authority, tenant, client_id, scope, audience, ns; /* in _block */
	struct str source; /* service account or Secret in ns; empty: of a machine */
	struct gate *kube_gate; /* NULL: of a machine */
	struct gate *token_gate; /* Entra, or the metadata service */
	unsigned users; /* reconciles that hold it */
	bool asking; /* a flight is under way */
	struct secret token;
	uint64_t serial; /* grows with each new token */
	int64_t usable_until_ns; /* a while before it expires */
	int64_t refresh_ns;
	unsigned failures;
	int64_t retry_ns; /* no new flight before */
	struct fault fault; /* of the last flight; err OK: it went well */
	bool fault_is_local; /* it came from the API server */
	struct gate *fault_gate; /* the gate whose breaker refused; NULL: none did */
	struct list waiters;
	struct kube_call kube;
	struct entra_call entra;
	struct imds_call imds;
	struct gate_call call;
	struct secret assertion; /* these three for as long as the flight takes */
	struct secret principal, principal_secret;
	void *_block;
};

enum identity_state { IDENTITY_READY, IDENTITY_WAIT, IDENTITY_FAILED };

/* Finds or makes the identity that `spec` uses with `spc`, and counts a user. */
enum err identity_get(struct worker *worker, const struct spec *spec, const struct spc *spc,
	struct identity **out_identity);
void identity_put(struct identity *identity); /* NULL is fine */

/* Asks for a token. WAIT: `waiter` is answered later; leave by identity_leave. FAILED: see identity->fault. */
enum identity_state identity_ask(struct identity *identity, struct identity_waiter *waiter);
void identity_leave(struct identity_waiter *waiter); /* harmless when it does not wait */

/* A server refused the token with this serial: drop it, unless it has been replaced already. */
void identity_refused(struct identity *identity, uint64_t serial);

/* identity_flight.c: begins a flight, which may fail before anything is sent. */
void identity_fly(struct identity *identity);
void identity_forget_credential(struct identity *identity);

/* Frees identities that nobody uses and whose token has expired; called now and then. */
void identity_sweep(struct worker *worker);
/* Ends every flight and frees all. No users any more. */
void identity_destroy_all(struct worker *worker);
