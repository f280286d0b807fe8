/* tests/world/azure_limit.c - how many transactions a vault, and all vaults of a subscription in its region, bear in ten seconds.
 *
 * Azure counts them by kind, weighted: what is done with an RSA key of 4096 bits counts for eight, in an HSM for twice as many.
 * A subscription bears five times what a vault does. Every call counts, but for those that a limit itself refuses: the unkind
 * reading of an open question. What it weighs more than one is counted where it was answered.
 */
#include "tests/world/azure.h"

#include <assert.h>

enum { SUBSCRIPTION_VAULTS = 5 };

/* --- windows --- */

static void grow(struct azure_window *window) {
	size_t size = window->_size ? window->_size * 2 : 64;
	struct azure_weighed *calls = mem_array(size, sizeof(*calls));
	assert(calls);
	for (size_t i = 0; i < window->_count; i++)
		calls[i] = window->_calls[(window->_first + i) % window->_size];
	mem_free(window->_calls);
	window->_calls = calls;
	window->_size = size;
	window->_first = 0;
}

static void expire(struct azure_window *window, struct now now) {
	while (window->_count) {
		const struct azure_weighed *oldest = &window->_calls[window->_first];
		if (now.mono_ns - oldest->at_ns < AZURE_RATE_WINDOW_NS) return;
		window->_sum -= oldest->weight;
		window->_first = (window->_first + 1) % window->_size;
		window->_count--;
	}
}

void azure_window_add(struct azure_window *window, struct now now, unsigned weight) {
	expire(window, now);
	if (window->_count == window->_size) grow(window);
	size_t at = (window->_first + window->_count++) % window->_size;
	window->_calls[at] = (struct azure_weighed){ now.mono_ns, weight };
	window->_sum += weight;
	if (window->_sum > window->most) window->most = window->_sum;
}

static bool has_room(struct azure_window *window, struct now now, uint64_t limit) {
	expire(window, now);
	return window->_sum < limit;
}

void azure_window_free(struct azure_window *window) {
	mem_free(window->_calls);
	*window = (struct azure_window){ 0 };
}

/* --- what a call is, and what it weighs --- */

unsigned azure_key_weight(unsigned rsa_bits, bool hsm) {
	unsigned weight = rsa_bits > 3072 ? 8 : rsa_bits > 2048 ? 4 : 1;
	return hsm ? 2 * weight : weight;
}

static enum azure_limit limit_of(const struct azure_call *call) {
	struct str method = call->req->method, segment = buf_str(&call->segment);
	bool put = str_eq(method, STR("PUT")), post = str_eq(method, STR("POST"));
	bool import = post && str_eq(segment, STR("import"));
	bool create = post && str_eq(segment, STR("create"));
	bool named = !call->deleted && buf_str(&call->name).len;
	if (call->kind != AZURE_KEY)
		return named && (put || import || create) ? LIMIT_CREATES : LIMIT_CALLS;
	if (named && put) return LIMIT_CREATES; /* the import of a key */
	return named && create ? LIMIT_KEY_CREATES : LIMIT_KEYS;
}

/* The key that the call was about; NULL: none. */
static const struct azure_version *key_of(const struct azure_call *call) {
	struct str segment = buf_str(&call->segment);
	const struct azure_object *object =
		azure_object_find(call->vault, AZURE_KEY, buf_str(&call->name));
	const struct azure_version *version =
		object && segment.len ? azure_version_find(object, segment) : NULL;
	return version || !object ? version : object->current;
}

static unsigned weight_of(const struct azure_call *call) {
	const struct azure_version *key = key_of(call);
	bool lists = str_eq(buf_str(&call->segment), STR("versions"));
	if (!key || lists) return 1;
	if (call->limit == LIMIT_KEY_CREATES) return key->hsm ? 2 : 1;
	return call->limit == LIMIT_KEYS ? azure_key_weight(key->rsa_bits, key->hsm) : 1;
}

/* --- the check --- */

static uint64_t most_of(unsigned rate_calls, enum azure_limit limit, unsigned vaults) {
	return limit == LIMIT_CREATES ? AZURE_RATE_CREATES * vaults
		: limit == LIMIT_KEY_CREATES ? AZURE_RATE_KEY_CREATES * vaults
					     : rate_calls;
}

static void count(struct azure_call *call, unsigned weight) {
	azure_window_add(&call->vault->windows[call->limit], call->now, weight);
	azure_window_add(&call->vault->subscription->windows[call->limit], call->now, weight);
}

static bool is_within_limits(struct azure_call *call) {
	struct azure_vault *vault = call->vault;
	struct azure_subscription *all = vault->subscription;
	call->limit = limit_of(call);
	uint64_t most = most_of(vault->rate_calls, call->limit, 1);
	uint64_t most_of_all = most_of(all->rate_calls, call->limit, SUBSCRIPTION_VAULTS);
	if (!has_room(&vault->windows[call->limit], call->now, most)) return false;
	if (!has_room(&all->windows[call->limit], call->now, most_of_all)) {
		all->refused++;
		return false;
	}
	count(call, 1);
	return true;
}

void azure_count_answer(struct azure_call *call) {
	unsigned weight = call->out->status == 200 ? weight_of(call) : 1;
	if (weight > 1) count(call, weight - 1);
}

bool azure_check_limit(struct azure_call *call) {
	struct azure_vault *vault = call->vault;
	vault->calls++;
	azure_window_add(&vault->seen, call->now, 1);
	bool stormy = azure_fault_hit(call->azure, call->now, call->req, FAULT_THROTTLE) != NULL;
	if (!stormy && is_within_limits(call)) return true;
	vault->refused++;
	if (!stormy) vault->over_limit++;
	azure_error(call, 429, "Throttled", NULL,
		"Request was not processed because too many requests were received. Reason: "
		"VaultRequestTypeLimitReached");
	call->out->no_reason = true;
	return false;
}

/* --- subscriptions --- */

struct azure_subscription *azure_subscription_get(struct azure *azure, struct str id) {
	list_for_each (node, &azure->subscriptions) {
		struct azure_subscription *known =
			container_of(node, struct azure_subscription, link);
		if (str_eq(str_of(known->id), id)) return known;
	}
	struct azure_subscription *subscription = mem_zalloc(sizeof(*subscription));
	assert(subscription);
	subscription->id = mem_strdup(id);
	assert(subscription->id);
	subscription->rate_calls = SUBSCRIPTION_VAULTS * AZURE_RATE_CALLS;
	list_push_back(&azure->subscriptions, &subscription->link);
	return subscription;
}

void azure_subscriptions_free(struct azure *azure) {
	list_for_each_safe (node, &azure->subscriptions) {
		struct azure_subscription *subscription =
			container_of(node, struct azure_subscription, link);
		for (int i = 0; i < AZURE_LIMITS; i++) azure_window_free(&subscription->windows[i]);
		mem_free(subscription->id);
		mem_free(subscription);
	}
}
