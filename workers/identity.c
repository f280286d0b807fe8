#include "workers/identity.h"

#include <assert.h>

#include "workers/worker.h"

/* An identity that failed is kept that long after its retry time, so that its backoff is not forgotten. */
static const int64_t KEEP_NS = 600 * NS_PER_S;

static int64_t now_ns(const struct identity *identity) {
	return identity->worker->now.mono_ns;
}

/* What in the namespace the token comes from; empty: nothing. */
static struct str source_of(const struct spec *spec, const struct spc *spc) {
	switch (spc->access->identity) {
	case IDENTITY_WORKLOAD:
		return spec->common->service_account;
	case IDENTITY_PRINCIPAL:
		return spc->access->secret_name;
	case IDENTITY_MACHINE:
		break;
	}
	return STR("");
}

/* Everything that a token depends on, so that two identities never share one. */
static enum err identity_key(const struct spec *spec, const struct spc *spc, struct buf *out_key) {
	const struct str parts[] = { spc->access->authority, spc->access->scope,
		spc->access->audience, spc->access->tenant, spc->access->client_id,
		spec->common->ns, source_of(spec, spc) };
	buf_init(out_key, 8192);
	buf_append_char(out_key, (char)('0' + spc->access->identity));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		buf_append_char(out_key, '|');
		buf_append(out_key, parts[i]);
	}
	return buf_err(out_key);
}

static enum err identity_fill(
	struct identity *identity, const struct spec *spec, const struct spc *spc) {
	struct block block = { 0 };
	size_t bytes = spc->access->authority.len + spc->access->tenant.len +
		       spc->access->client_id.len + spc->access->scope.len +
		       spc->access->audience.len + spec->common->ns.len + source_of(spec, spc).len;
	enum err err = block_init(&block, bytes + 1);
	if (err) return err;
	identity->_block = block._ptr;
	identity->kind = spc->access->identity;
	identity->authority = block_str(&block, spc->access->authority);
	identity->tenant = block_str(&block, spc->access->tenant);
	identity->client_id = block_str(&block, spc->access->client_id);
	identity->scope = block_str(&block, spc->access->scope);
	identity->audience = block_str(&block, spc->access->audience);
	identity->ns = block_str(&block, spec->common->ns);
	identity->source = block_str(&block, source_of(spec, spc));
	return OK;
}

static void identity_free(struct identity *identity) {
	gate_cancel(&identity->call);
	kube_call_deinit(&identity->kube);
	entra_call_deinit(&identity->entra);
	imds_call_deinit(&identity->imds);
	identity_forget_credential(identity);
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
	bool machine = spc->access->identity == IDENTITY_MACHINE;
	identity->kube_gate = machine ? NULL : &worker->kube_gate;
	identity->key = buf_take(key);
	enum err err = identity->key ? OK : ERR_NOMEM;
	if (!err) err = identity_fill(identity, spec, spc);
	if (!err)
		err = endpoint_get(
			worker, machine ? STR(IMDS_ORIGIN) : spc->access->authority, &endpoint);
	if (!err) err = map_insert(&worker->identities, &identity->node);
	if (err) {
		identity_free(identity);
		return err;
	}
	identity->token_gate = &endpoint->gate;
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

static bool token_is_usable(const struct identity *identity) {
	return secret_len(&identity->token) > 0 && now_ns(identity) < identity->usable_until_ns;
}

/* False when no flight may begin now: identity->fault and fault_gate say why. */
static bool may_fly(struct identity *identity) {
	struct fault fault = { 0 };
	struct gate *gates[] = { identity->token_gate, identity->kube_gate };
	if (now_ns(identity) < identity->retry_ns) return false;
	for (unsigned i = 0; i < 2; i++) {
		if (!gates[i] || gate_admits(gates[i], &fault)) continue;
		identity->fault = fault;
		identity->fault_gate = gates[i];
		return false;
	}
	return true;
}

enum identity_state identity_ask(struct identity *identity, struct identity_waiter *waiter) {
	if (token_is_usable(identity)) {
		bool due = now_ns(identity) >= identity->refresh_ns && !identity->asking;
		if (due && may_fly(identity)) identity_fly(identity);
		return IDENTITY_READY;
	}
	if (!identity->asking) {
		if (!may_fly(identity)) return IDENTITY_FAILED;
		identity_fly(identity);
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
