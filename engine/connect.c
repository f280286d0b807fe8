#include "engine/connect.h"

#include <assert.h>
#include <stdio.h>

#include "base/loop.h"
#include "base/map.h"
#include "clients/entra.h"
#include "clients/http_curl.h"
#include "engine/reach.h"
#include "workers/source.h"

enum {
	ARENA_BYTES = 4 << 20,
	ASSERTION_BYTES = 16 << 10,
	CREDENTIAL_BYTES = 4 << 10,

};

/* What all connections share. */
struct trial {
	const struct check_result *result;
	const struct connect_options *options;
	struct http_site site; /* vaults and Entra */
	struct secret_arena *arena;
	struct loop *loop;
	struct http *http;
	struct reach reach;
	bool has_reach;
	bool has_curl;
	bool done; /* the one request that is under way */
};

const char *connect_step_name(enum connect_step step) {
	static const char *const names[] = {
		[CONNECT_DNS] = "DNS",
		[CONNECT_ROUTE] = "route",
		[CONNECT_TLS] = "TLS",
		[CONNECT_ACCOUNT] = "account",
		[CONNECT_TOKEN] = "token",
		[CONNECT_GET] = "get",
		[CONNECT_LIST] = "list",
	};
	return names[step];
}

/* --- which connections there are --- */

static bool is_same(const struct connection *connection, const struct check_object *object) {
	const struct spec *spec = connection->spec, *other = object->spec;
	const struct spc *spc = connection->spc, *other_spc = object->class->spc;
	bool same_account = spc->access->identity != IDENTITY_WORKLOAD ||
			    str_eq(spec->common->service_account, other->common->service_account);
	return str_eq(spec->common->ns, other->common->ns) &&
	       spc->access->identity == other_spc->access->identity && same_account &&
	       str_eq(spc->access->secret_name, other_spc->access->secret_name) &&
	       str_eq(spc->access->vault_url, other_spc->access->vault_url) &&
	       str_eq(spc->access->tenant, other_spc->access->tenant) &&
	       str_eq(spc->access->client_id, other_spc->access->client_id) &&
	       str_eq(spc->access->authority, other_spc->access->authority);
}

static bool is_known(const struct connections *connections, const struct check_object *object) {
	for (unsigned i = 0; i < connections->count; i++) {
		if (is_same(&connections->items[i], object)) return true;
	}
	return false;
}

static enum err find_connections(
	const struct check_result *result, struct connections *out_connections) {
	size_t room = result->count ? result->count : 1;
	out_connections->items = mem_array(room, sizeof *out_connections->items);
	if (!out_connections->items) return ERR_NOMEM;
	for (unsigned i = 0; i < result->count; i++) {
		const struct check_object *object = &result->objects[i];
		if (!check_is_sound(object) || is_known(out_connections, object)) continue;
		out_connections->items[out_connections->count++] =
			(struct connection){ .spec = object->spec, .spc = object->class->spc };
	}
	return OK;
}

/* --- one request --- */

static void exchange(struct trial *trial, struct http_req *req) {
	req->timeout_ns = trial->options->timeout_ns;
	reach_exchange(trial->http, trial->loop, req, &trial->done);
}

static void settle(struct connection *connection, enum connect_step step,
	enum connect_outcome outcome, const char *text) {
	struct connect_result *result = &connection->steps[step];
	result->outcome = outcome;
	snprintf(result->text, sizeof result->text, "%s", text);
}

/* OK, or FAILED with the fault's text. */
static bool pass(struct connection *connection, enum connect_step step, enum err err,
	const struct fault *fault) {
	if (err)
		settle(connection, step, CONNECT_FAILED,
			fault->text[0] ? fault->text : err_text(err));
	else
		settle(connection, step, CONNECT_OK, "");
	return !err;
}

/* --- the steps --- */

static const struct spc_object *first_object(const struct connection *connection) {
	unsigned index;
	return source_find(connection->spc, connection->spec->items[0].source_path, &index);
}

/* How far a request without a token comes: any answer at all has come by name, route and TLS. */
static bool try_way(struct trial *trial, struct connection *connection) {
	static const enum connect_step steps[] = {
		[HTTP_PHASE_NAME] = CONNECT_DNS,
		[HTTP_PHASE_CONNECT] = CONNECT_ROUTE,
		[HTTP_PHASE_TLS] = CONNECT_TLS,
		[HTTP_PHASE_EXCHANGE] = CONNECT_TLS,
	};
	struct vault_call call = { 0 };
	const struct spc_object *object = first_object(connection);
	enum err err = vault_get(&call, &trial->site, connection->spc->access->vault_url,
		object->kind, object->name, STR(""), NULL, trial->arena);
	if (!err) exchange(trial, &call.http);
	if (!err) err = call.http.err;
	enum connect_step failed = steps[http_curl_phase(trial->http)];
	for (enum connect_step step = CONNECT_DNS; step <= CONNECT_TLS; step++) {
		if (err && step == failed) (void)pass(connection, step, err, &call.http.fault);
		if (!err || step < failed) settle(connection, step, CONNECT_OK, "");
	}
	vault_call_deinit(&call);
	return !err;
}

/* What is exchanged for an access token: a service account's token, or a service principal's credential. */
struct proof {
	struct secret assertion, client, client_secret;
};

static void proof_deinit(struct proof *proof) {
	secret_deinit(&proof->assertion);
	secret_deinit(&proof->client);
	secret_deinit(&proof->client_secret);
}

static enum err read_credential(const struct trial *trial, const struct kube_call *call,
	const char *key, struct secret *out_value, struct fault *fault) {
	secret_init(out_value, trial->arena, CREDENTIAL_BYTES);
	enum err err = kube_read_data(call, str_of(key), out_value);
	if (!err || err == ERR_NOMEM) return err;
	return fault_set(fault, err,
		"the Secret that servicePrincipalSecretName names has no usable value under the "
		"key %s: it needs clientid and clientsecret of the service principal, each once "
		"and of at most 4 KiB",
		key);
}

static bool ask_principal(
	struct trial *trial, struct connection *connection, struct proof *out_proof) {
	struct str ns = connection->spec->common->ns, name = connection->spc->access->secret_name;
	struct kube_call call = { 0 };
	struct fault fault = { 0 };
	char what[600];
	snprintf(what, sizeof what, "read Secret %.*s/%.*s, which servicePrincipalSecretName names",
		STR_ARG(ns), STR_ARG(name));
	enum err err = kube_secret_get(&call, &trial->reach.kube, trial->arena, ns, name);
	if (!err) {
		exchange(trial, &call.http);
		err = kube_result(&call, &fault, what);
	}
	if (!err) err = read_credential(trial, &call, "clientid", &out_proof->client, &fault);
	if (!err) {
		err = read_credential(
			trial, &call, "clientsecret", &out_proof->client_secret, &fault);
	}
	kube_call_deinit(&call);
	return pass(connection, CONNECT_ACCOUNT, err, &fault);
}

static bool ask_account(
	struct trial *trial, struct connection *connection, struct proof *out_proof) {
	const struct spec *spec = connection->spec;
	struct kube_call call = { 0 };
	struct fault fault = { 0 };
	char what[600];
	secret_init(&out_proof->assertion, trial->arena, ASSERTION_BYTES);
	snprintf(what, sizeof what, "ask for a token of ServiceAccount %.*s/%.*s",
		STR_ARG(spec->common->ns), STR_ARG(spec->common->service_account));
	enum err err = kube_token_request(&call, &trial->reach.kube, trial->arena, spec->common->ns,
		spec->common->service_account, connection->spc->access->audience);
	if (!err) {
		exchange(trial, &call.http);
		err = kube_result(&call, &fault, what);
	}
	if (!err) err = kube_read_token(&call, &out_proof->assertion, &fault);
	kube_call_deinit(&call);
	return pass(connection, CONNECT_ACCOUNT, err, &fault);
}

/* False: nothing can be exchanged; the step says why. */
static bool ask_proof(struct trial *trial, struct connection *connection, struct proof *out_proof) {
	enum identity_kind identity = connection->spc->access->identity;
	if (identity == IDENTITY_MACHINE) {
		settle(connection, CONNECT_ACCOUNT, CONNECT_SKIPPED,
			"a managed identity of the node can be tried on that node alone, by "
			"kvsync itself");
		return false;
	}
	if (!trial->has_reach) {
		settle(connection, CONNECT_ACCOUNT, CONNECT_SKIPPED,
			identity == IDENTITY_PRINCIPAL
				? "needs --kubeconfig FILE of somebody who may get the Secret that "
				  "servicePrincipalSecretName names"
				: "needs --kubeconfig FILE of somebody who may create "
				  "serviceaccounts/token");
		return false;
	}
	return identity == IDENTITY_PRINCIPAL ? ask_principal(trial, connection, out_proof)
					      : ask_account(trial, connection, out_proof);
}

static bool ask_entra(struct trial *trial, struct connection *connection, const struct proof *proof,
	struct entra_token *out_token) {
	const struct spc *spc = connection->spc;
	struct entra_call call = { 0 };
	struct fault fault = { 0 };
	bool by_secret = spc->access->identity == IDENTITY_PRINCIPAL;
	char client[600];
	snprintf(client, sizeof client, by_secret ? "of Secret %.*s/%.*s" : "%.*s%.*s",
		STR_ARG(by_secret ? connection->spec->common->ns : spc->access->client_id),
		STR_ARG(by_secret ? spc->access->secret_name : STR("")));
	enum err err = by_secret
			       ? entra_exchange_secret(&call, &trial->site, spc->access->authority,
					 spc->access->tenant, spc->access->scope, &proof->client,
					 &proof->client_secret, trial->arena)
			       : entra_exchange(&call, &trial->site, spc->access->authority,
					 spc->access->tenant, spc->access->client_id,
					 spc->access->scope, &proof->assertion, trial->arena);
	if (!err) {
		exchange(trial, &call.http);
		err = entra_result(&call, &fault, spc->access->tenant, str_of(client));
	}
	if (!err) err = entra_read_token(&call, trial->arena, out_token, &fault);
	entra_call_deinit(&call);
	if (err) entra_show_claims(&fault, &proof->assertion, trial->arena);
	return pass(connection, CONNECT_TOKEN, err, &fault);
}

/* The value is received in locked memory, and wiped unread. */
static enum err get_object(struct trial *trial, const struct spc *spc,
	const struct spc_object *object, const struct secret *bearer, struct fault *fault) {
	struct vault_call call = { 0 };
	bool is_latest = str_eq(object->version, STR("latest"));
	enum err err = vault_get(&call, &trial->site, spc->access->vault_url, object->kind,
		object->name, is_latest ? STR("") : object->version, bearer, trial->arena);
	if (!err) {
		exchange(trial, &call.http);
		err = vault_result(
			&call, fault, spc->access->vault_url, object->kind, object->name);
	}
	vault_call_deinit(&call);
	return err;
}

static enum err list_versions(struct trial *trial, const struct spc *spc,
	const struct spc_object *object, const struct secret *bearer, struct fault *fault) {
	struct vault_call call = { 0 };
	enum err err = vault_list_versions(&call, &trial->site, spc->access->vault_url,
		object->kind, object->name, STR(""), bearer);
	if (!err) {
		exchange(trial, &call.http);
		err = vault_result(
			&call, fault, spc->access->vault_url, object->kind, object->name);
	}
	vault_call_deinit(&call);
	return err;
}

/* The objects that the SecretSyncs of a connection need, each once. */
struct needs {
	const struct spc_object **objects;
	unsigned count;
};

static bool is_needed(const struct needs *needs, const struct spc_object *object) {
	for (unsigned i = 0; i < needs->count; i++) {
		const struct spc_object *other = needs->objects[i];
		if (other->kind == object->kind && str_eq_nocase(other->name, object->name) &&
			str_eq(other->version, object->version) &&
			(other->history > 1) == (object->history > 1))
			return true;
	}
	return false;
}

static enum err add_needs(struct needs *needs, const struct check_object *object) {
	for (unsigned i = 0; i < object->spec->item_count; i++) {
		unsigned index;
		const struct spc_object *found =
			source_find(object->class->spc, object->spec->items[i].source_path, &index);
		if (is_needed(needs, found)) continue;
		if (!(needs->count & (needs->count - 1))) {
			size_t room = needs->count ? 2 * (size_t)needs->count : 1;
			void *more = mem_realloc(needs->objects, room * sizeof(void *));
			if (!more) return ERR_NOMEM;
			needs->objects = more;
		}
		needs->objects[needs->count++] = found;
	}
	return OK;
}

static enum err find_needs(
	const struct trial *trial, const struct connection *connection, struct needs *needs) {
	enum err err = OK;
	for (unsigned i = 0; i < trial->result->count && !err; i++) {
		const struct check_object *object = &trial->result->objects[i];
		if (check_is_sound(object) && is_same(connection, object))
			err = add_needs(needs, object);
	}
	return err;
}

/* Several objects often fail for one cause: the first is told in full, and how many others there are. */
static void tell_gets(struct connection *connection, const struct needs *needs, unsigned failed,
	struct fault *first) {
	if (failed > 1) {
		(void)fault_prefix(first, first->err,
			"%u of %u objects cannot be read, the first of them", failed, needs->count);
	}
	(void)pass(connection, CONNECT_GET, failed ? first->err : OK, first);
}

static void try_gets(struct trial *trial, struct connection *connection, const struct needs *needs,
	const struct secret *bearer) {
	unsigned failed = 0;
	struct fault first = { 0 };
	for (unsigned i = 0; i < needs->count; i++) {
		struct fault fault = { 0 };
		enum err err =
			get_object(trial, connection->spc, needs->objects[i], bearer, &fault);
		if (err && !failed++) first = fault;
		if (err == ERR_NETWORK || err == ERR_TIMEOUT) break;
	}
	tell_gets(connection, needs, failed, &first);
}

/* Needed for objects of which several versions are kept; else it only makes checks cheaper. */
static void try_list(struct trial *trial, struct connection *connection, const struct needs *needs,
	const struct secret *bearer) {
	const struct spc_object *object = needs->objects[0];
	for (unsigned i = 0; i < needs->count && object->history < 2; i++)
		object = needs->objects[i];
	struct fault fault = { 0 };
	enum err err = list_versions(trial, connection->spc, object, bearer, &fault);
	bool is_needed_here = object->history >= 2;
	if (!err || is_needed_here) {
		(void)pass(connection, CONNECT_LIST, err, &fault);
		return;
	}
	(void)fault_prefix(
		&fault, err, "not needed here, since no object has an objectVersionHistory");
	settle(connection, CONNECT_LIST, CONNECT_DENIED, fault.text);
}

static enum err try_rights(
	struct trial *trial, struct connection *connection, const struct secret *bearer) {
	struct needs needs = { 0 };
	enum err err = find_needs(trial, connection, &needs);
	if (!err) {
		assert(needs.count > 0);
		try_gets(trial, connection, &needs, bearer);
		try_list(trial, connection, &needs, bearer);
	}
	mem_free(needs.objects);
	return err;
}

static enum err try_connection(struct trial *trial, struct connection *connection) {
	struct proof proof = { 0 };
	struct entra_token token = { 0 };
	enum err err = OK;
	for (enum connect_step step = CONNECT_DNS; step < CONNECT_STEPS; step++)
		settle(connection, step, CONNECT_SKIPPED, "");
	if (!try_way(trial, connection)) goto out;
	if (!ask_proof(trial, connection, &proof)) goto out;
	if (!ask_entra(trial, connection, &proof, &token)) goto out;
	err = try_rights(trial, connection, &token.value);
out:
	proof_deinit(&proof);
	secret_deinit(&token.value);
	return err;
}

/* --- all --- */

static enum err open_trial(struct trial *trial, struct fault *fault) {
	const struct connect_options *options = trial->options;
	trial->site = (struct http_site){
		.name = "azure",
		.version = HTTP_VERSION_1_1,
		.use_proxy = true,
		.ca_file = options->ca_file,
		.max_connections = 2,
	};
	enum err err = http_curl_global_init();
	trial->has_curl = err == OK;
	if (err) return err;
	trial->arena = secret_arena_create(ARENA_BYTES);
	trial->loop = loop_create(clock_system());
	trial->http = trial->loop ? http_curl_create(trial->loop) : NULL;
	if (!trial->arena || !trial->http) return ERR_NOMEM;
	if (!options->kubeconfig) return OK;
	err = reach_init(&trial->reach, options->kubeconfig, options->context, REACH_CONNECTIONS,
		trial->arena, fault);
	trial->has_reach = err == OK;
	return err;
}

static void close_trial(struct trial *trial) {
	http_destroy(trial->http);
	loop_destroy(trial->loop);
	if (trial->has_reach) reach_deinit(&trial->reach);
	secret_arena_destroy(trial->arena);
	if (trial->has_curl) http_curl_global_deinit();
}

static bool has_failed(const struct connection *connection) {
	for (enum connect_step step = CONNECT_DNS; step < CONNECT_STEPS; step++) {
		if (connection->steps[step].outcome == CONNECT_FAILED) return true;
	}
	return false;
}

enum err connect_try(const struct check_result *result, const struct connect_options *options,
	struct connections *out_connections, struct fault *fault) {
	struct trial trial = { .result = result, .options = options };
	struct connections connections = { 0 };
	enum err err = open_trial(&trial, fault);
	if (!err) err = find_connections(result, &connections);
	for (unsigned i = 0; i < connections.count && !err; i++) {
		struct connection *connection = &connections.items[i];
		if (options->progress) options->progress(i, connections.count, connection);
		err = try_connection(&trial, connection);
		if (has_failed(connection)) connections.failed++;
	}
	close_trial(&trial);
	if (err)
		connections_deinit(&connections);
	else
		*out_connections = connections;
	return err;
}

void connections_deinit(struct connections *connections) {
	mem_free(connections->items);
	*connections = (struct connections){ 0 };
}
