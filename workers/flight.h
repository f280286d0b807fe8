/* workers/flight.h - reads of a vault that several reconciles share.
 *
 * A flight is one request: a GET of an object, or of one version of it, or of a page of the list of its versions. Whoever asks for
 * the same while it is under way waits for its answer; whoever does so while a reconcile still works with the answer has it at
 * once. So an object that feeds many Secrets is read once for all that are due together.
 *
 * - Shared by identity: what one identity was given is never given to another, whose rights may differ.
 * - Nobody is given an answer that is older than his reason to ask: its request went out after he became due, or it is asked anew.
 * - No cache: the answer lives in locked memory as long as a reconcile in flight uses it, and is wiped with the last of them.
 *
 * One owner: the worker, which is the home of every object of its vaults. Times are mono_ns.
 */
#pragma once

#include "workers/gate.h"
#include "workers/identity.h"

struct shard;

struct flight_plan {
	enum vault_kind kind;
	struct str name;
	struct str version; /* empty: the current one */
	bool lists; /* a page of the list of its versions instead */
	bool safety; /* for a safety re-read */
	struct str next_link; /* of that list; empty: its first page */
};

struct flight {
	struct map_node node; /* in shard->flights while it may be joined */
	struct shard *shard;
	struct identity *identity; /* counted as its user */
	unsigned users;
	struct list waiters; /* of flight_waiter */
	enum vault_kind kind;
	char *name;
	bool lists; /* a page, not a GET */
	bool safety; /* nobody would have asked but for a safety re-read */
	struct vault_call call;
	struct gate_call gate;
	uint64_t token_serial; /* of the token that the request carries */
	bool joinable; /* in shard->flights */
	bool answered;
	/* The answer. */
	struct fault fault; /* err OK: it is good */
	int64_t date_s; /* the vault's clock; 0: not sent */
	struct vault_object object; /* of a GET */
	struct vault_rows rows; /* of a page */
	struct buf next_link;
	struct buf key;
};

/* Somebody who waits for the answer. Embedded in a read. */
struct flight_waiter {
	struct list link;
	void (*answer)(struct flight_waiter *waiter);
};

/* Finds or begins the flight for `plan` with the identity's token, and counts a user. since_ns: when the user became due.
 * out_is_new: a request was put in line for it. Else the error of a request that could not be built. */
enum err flight_join(struct shard *shard, struct identity *identity, const struct flight_plan *plan,
	int64_t since_ns, struct flight **out_flight, bool *out_is_new);

/* Not answered yet: the waiter is told, never from inside this call. */
void flight_wait(struct flight *flight, struct flight_waiter *waiter);
void flight_wait_no_more(struct flight_waiter *waiter); /* harmless when it does not wait */

/* One user less, *flight becomes NULL; the last one ends the request and wipes the answer. NULL is fine. */
void flight_leave(struct flight **flight);
