#include "workers/flight.h"

#include <assert.h>

#include "base/metric.h"
#include "workers/worker.h"

enum { KEY_BYTES = 16 << 10, LINK_BYTES = 8192 };

/* The identity by its address: the flight holds it, so that no other can have the same meanwhile. */
static enum err make_key(
	const struct identity *identity, const struct flight_plan *plan, struct buf *out_key) {
	const char what[] = { (char)('0' + plan->kind), plan->lists ? 'l' : 'o' };
	buf_init(out_key, KEY_BYTES);
	buf_append(out_key, (struct str){ (const char *)&identity, sizeof identity });
	buf_append(out_key, (struct str){ what, sizeof what });
	buf_append_url(out_key, plan->name);
	buf_append_char(out_key, ' ');
	buf_append_url(out_key, plan->version);
	buf_append_char(out_key, ' ');
	buf_append(out_key, plan->next_link);
	return buf_err(out_key);
}

static void forget(struct flight *flight) {
	if (flight->joinable) map_remove(&flight->shard->flights, &flight->node);
	flight->joinable = false;
}

void flight_leave(struct flight **flight) {
	struct flight *left = take(*flight);
	if (!left) return;
	assert(left->users > 0);
	if (--left->users) return;
	assert(list_is_empty(&left->waiters));
	forget(left);
	gate_cancel(&left->gate);
	vault_call_deinit(&left->call);
	vault_object_deinit(&left->object);
	vault_rows_deinit(&left->rows);
	buf_deinit(&left->next_link);
	buf_deinit(&left->key);
	mem_free(left->name);
	identity_put(left->identity);
	mem_free(left);
}

/* --- the answer --- */

static enum err read_object(struct flight *flight) {
	enum err err = vault_read_object(&flight->call, flight->kind, flight->shard->worker->arena,
		&flight->object, &flight->fault);
	if (!err) return OK;
	return fault_prefix(&flight->fault, err, "%s \"%s\" of %s", vault_kind_name(flight->kind),
		flight->name, flight->shard->url);
}

static void answered(struct gate_call *gate) {
	struct flight *flight = container_of(gate, struct flight, gate);
	struct list waiters;
	enum err err = vault_result(&flight->call, &flight->fault, str_of(flight->shard->url),
		flight->kind, str_of(flight->name));
	if (flight->fault.http_status == 429) metric_add(METRIC_VAULT_THROTTLED, 1);
	if (!err && flight->lists)
		err = vault_read_page(
			&flight->call, &flight->rows, &flight->next_link, &flight->fault);
	else if (!err)
		err = read_object(flight);
	if (!err && flight->object.cost > 1)
		gate_charge(&flight->shard->gate, flight->gate.lane, flight->object.cost - 1);
	assert(!err == !flight->fault.err);
	flight->date_s = flight->call.http.server_date_s;
	flight->answered = true;
	vault_call_deinit(&flight->call);
	/* Who comes later tries for himself. */
	if (err) forget(flight);
	flight->users++;
	list_init(&waiters);
	list_splice(&waiters, &flight->waiters);
	for (struct list *link; (link = list_pop(&waiters));) {
		struct flight_waiter *waiter = container_of(link, struct flight_waiter, link);
		waiter->answer(waiter);
	}
	flight_leave(&flight);
}

/* --- the request --- */

static enum err prepare(struct flight *flight, const struct flight_plan *plan) {
	const struct worker *worker = flight->shard->worker;
	const struct http_site *site = worker->pool->options.azure;
	const struct secret *token = &flight->identity->token;
	struct str url = str_of(flight->shard->url);
	if (!plan->lists)
		return vault_get(&flight->call, site, url, plan->kind, plan->name, plan->version,
			token, worker->arena);
	buf_init(&flight->next_link, LINK_BYTES);
	return vault_list_versions(
		&flight->call, site, url, plan->kind, plan->name, plan->next_link, token);
}

static void sent(struct gate_call *gate) {
	const struct flight *flight = container_of(gate, struct flight, gate);
	metric_add(flight->lists ? METRIC_VAULT_LISTS : METRIC_VAULT_GETS, 1);
	if (!flight->lists && flight->safety) metric_add(METRIC_SAFETY_READS, 1);
}

static enum err flight_begin(struct flight *flight, const struct flight_plan *plan) {
	struct shard *shard = flight->shard;
	flight->name = mem_strdup(plan->name);
	enum err err = flight->name ? prepare(flight, plan) : ERR_NOMEM;
	if (!err) err = map_insert(&shard->flights, &flight->node);
	if (err) return err;
	flight->joinable = true;
	flight->call.http.timeout_ns = shard->worker->settings.request_timeout_ns;
	flight->gate.req = &flight->call.http;
	flight->gate.on_done = answered;
	flight->gate.on_sent = sent;
	flight->gate.lane = plan->kind == VAULT_KEY ? LANE_KEYS : LANE_USUAL;
	gate_start(&shard->gate, &flight->gate);
	return OK;
}

static bool is_too_old(const struct flight *flight, int64_t since_ns) {
	return flight->gate.sent_ns && flight->gate.sent_ns < since_ns;
}

static enum err flight_create(struct shard *shard, struct identity *identity,
	const struct flight_plan *plan, struct buf *key, struct flight **out_flight) {
	struct flight *flight = mem_zalloc(sizeof *flight);
	if (!flight) return ERR_NOMEM;
	flight->shard = shard;
	flight->identity = identity;
	flight->identity->users++;
	flight->token_serial = identity->serial;
	flight->kind = plan->kind;
	flight->lists = plan->lists;
	flight->safety = plan->safety;
	flight->users = 1;
	flight->key = *key;
	*key = (struct buf){ 0 };
	list_init(&flight->waiters);
	enum err err = flight_begin(flight, plan);
	if (err) flight_leave(&flight);
	*out_flight = flight;
	return err;
}

enum err flight_join(struct shard *shard, struct identity *identity, const struct flight_plan *plan,
	int64_t since_ns, struct flight **out_flight, bool *out_is_new) {
	struct buf key;
	struct flight *flight = NULL;
	enum err err = make_key(identity, plan, &key);
	if (err) goto out;
	struct map_node *node = map_find(&shard->flights, buf_str(&key));
	if (node) flight = container_of(node, struct flight, node);
	if (flight && is_too_old(flight, since_ns)) forget(take(flight));
	*out_is_new = !flight;
	if (flight) {
		flight->users++;
	} else {
		err = flight_create(shard, identity, plan, &key, &flight);
	}
	*out_flight = flight;
out:
	buf_deinit(&key);
	return err;
}

void flight_wait(struct flight *flight, struct flight_waiter *waiter) {
	assert(!flight->answered && !list_is_linked(&waiter->link));
	list_push_back(&flight->waiters, &waiter->link);
}

void flight_wait_no_more(struct flight_waiter *waiter) {
	list_remove(&waiter->link);
}
