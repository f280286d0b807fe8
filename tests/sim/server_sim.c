/* The servers' side of an exchange: a fault of the plan is made to happen by the models themselves, then the answer is spoiled
 * where it is the network or a proxy that spoils it. */
#include <assert.h>

#include "tests/sim/http_sim.h"

static void fill_request(const struct exchange *x, struct world_request *out) {
	struct str rest;
	*out = (struct world_request){ .method = str_of(x->method), .port = 443 };
	out->host = exchange_host(x, &rest);
	out->path = str_next(&rest, '?');
	out->query = rest.ptr ? rest : STR("");
	for (unsigned i = 0; i < x->header_count; i++)
		out->headers[out->header_count++] = x->headers[i];
	out->body = (struct str){ x->body, x->body_len };
	out->reused_connection = x->client && x->client->reused[x->host];
}

/* --- the API server --- */

static bool kube_fault_of(struct exchange *x, struct kube_fault *out) {
	static const struct {
		enum sim_fault fault;
		enum kube_fault_kind kind;
		int status;
	} kinds[] = {
		{ SIM_RESET_BEFORE, KUBE_FAULT_RESET_BEFORE, 0 },
		{ SIM_RESET_AFTER, KUBE_FAULT_RESET_AFTER, 0 },
		{ SIM_STALL, KUBE_FAULT_STALL, 0 },
		{ SIM_STALL_DONE, KUBE_FAULT_STALL_DONE, 0 },
		{ SIM_TRUNCATE, KUBE_FAULT_TRUNCATE, 0 },
		{ SIM_SLOW, KUBE_FAULT_SLOW, 0 },
		{ SIM_401, KUBE_FAULT_STATUS, 401 },
		{ SIM_403, KUBE_FAULT_STATUS, 403 },
		{ SIM_404, KUBE_FAULT_STATUS, 404 },
		{ SIM_409, KUBE_FAULT_STATUS, 409 },
		{ SIM_410, KUBE_FAULT_EXPIRED, 410 },
		{ SIM_429, KUBE_FAULT_STATUS, 429 },
		{ SIM_429_AFTER, KUBE_FAULT_STATUS, 429 },
		{ SIM_500, KUBE_FAULT_STATUS, 500 },
		{ SIM_503, KUBE_FAULT_STATUS, 503 },
		{ SIM_504_DONE, KUBE_FAULT_STATUS_DONE, 504 },
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (kinds[i].fault != x->fault) continue;
		*out = (struct kube_fault){
			.kind = kinds[i].kind, .count = 1, .status = kinds[i].status
		};
		if (x->fault == SIM_429_AFTER) out->retry_after_s = sim_between(x->sim, 1, 20);
		if (x->fault == SIM_503 && sim_chance(x->sim, 500))
			out->retry_after_s = sim_between(x->sim, 1, 20);
		if (x->fault == SIM_SLOW)
			out->delay_ns = sim_between(x->sim, NS_PER_S, 20 * NS_PER_S);
		return true;
	}
	return false;
}

static void serve_kube(struct exchange *x, const struct world_request *req) {
	struct sim *sim = x->sim;
	struct now now = sim_world_now(sim);
	struct kube_fault fault;
	if (kube_fault_of(x, &fault)) kube_fault_add(sim->kube, &fault);
	if (kube_request_is_watch(req) && x->client) {
		x->watch = kube_watch_open(sim->kube, now, req, &x->out);
	} else {
		kube_handle(sim->kube, now, req, &x->out);
	}
	kube_faults_clear(sim->kube);
	int64_t next_ns = kube_advance(sim->kube, now);
	if (next_ns != NEVER_NS)
		sim_sooner(sim, &sim->world_turn, next_ns - SIM_MONO_NS + NS_PER_MS);
	sim_streams_poll(sim);
}

/* --- Entra and Key Vault --- */

static void plan_azure(struct exchange *x) {
	static const struct {
		enum sim_fault fault;
		enum azure_fault_kind kind;
		int number;
	} kinds[] = {
		{ SIM_RESET_BEFORE, FAULT_RESET, 0 },
		{ SIM_RESET_AFTER, FAULT_RESET_AFTER, 0 },
		{ SIM_STALL, FAULT_STALL, 0 },
		{ SIM_TRUNCATE, FAULT_TRUNCATE, 0 },
		{ SIM_SLOW, FAULT_DELAY, 9000 },
		{ SIM_401, FAULT_EMPTY_401, 0 },
		{ SIM_403, FAULT_STATUS, 403 },
		{ SIM_404, FAULT_STATUS, 404 },
		{ SIM_429, FAULT_STATUS, 429 },
		{ SIM_429_AFTER, FAULT_STATUS, 429 },
		{ SIM_500, FAULT_STATUS, 500 },
		{ SIM_503, FAULT_STATUS, 503 },
		{ SIM_AKV10046, FAULT_AKV10046, 0 },
		{ SIM_AADSTS, FAULT_AADSTS, 70021 },
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (kinds[i].fault != x->fault) continue;
		enum azure_fault_kind kind = kinds[i].kind;
		/* The metadata service has other words for it. */
		if (x->host == HOST_IMDS && x->fault == SIM_AADSTS) kind = FAULT_THROTTLE;
		/* Entra's throttling has a form of its own, in plain text and with Retry-After. */
		if (x->row == ROW_EXCHANGE && x->fault == SIM_429_AFTER) kind = FAULT_THROTTLE;
		if (x->row == ROW_EXCHANGE && x->fault == SIM_401) kind = FAULT_STATUS;
		struct azure_fault *fault =
			azure_fault_add(x->sim->azure, kind, sim_world_now(x->sim));
		fault->number = kind == FAULT_STATUS && x->fault == SIM_401 ? 401 : kinds[i].number;
		if (x->fault == SIM_429_AFTER)
			fault->retry_after_s = sim_chance(x->sim, 100)
						     ? sim_between(x->sim, 61, 700)
						     : sim_between(x->sim, 1, 30);
		if (x->fault == SIM_503 && sim_chance(x->sim, 500))
			fault->retry_after_s = sim_between(x->sim, 1, 20);
	}
}

/* The object that a request to a vault names, or NULL. */
static struct azure_object *object_of(struct sim *sim, const struct world_request *req) {
	struct azure_vault *vault = azure_vault_of_host(sim->azure, req->host);
	struct str rest = str_slice(req->path, 1, req->path.len);
	struct str kind = str_next(&rest, '/');
	bool named = vault && rest.ptr && str_eq(kind, STR("secrets"));
	return named ? azure_object_find(vault, AZURE_SECRET, str_next(&rest, '/')) : NULL;
}

/* All versions are disabled for as long as the request takes. */
static void serve_disabled(struct exchange *x, const struct world_request *req) {
	struct azure_object *object = object_of(x->sim, req);
	bool was[256];
	if (!object || object->count > 256) return;
	for (size_t i = 0; i < object->count; i++) {
		was[i] = object->versions[i]->enabled;
		object->versions[i]->enabled = false;
	}
	azure_handle(x->sim->azure, sim_world_now(x->sim), req, &x->out);
	for (size_t i = 0; i < object->count; i++) object->versions[i]->enabled = was[i];
}

/* The list leads elsewhere: whoever follows takes the token there. */
static void lead_astray(struct exchange *x) {
	static const char *const links[] = { "https://evil.vault.azure.net/secrets?api-version=7.4",
		"https://kv-sim-0.vault.azure.net.evil.example/secrets",
		"https://evil.example\\\\@kv-sim-0.vault.azure.net/secrets" };
	struct str body = buf_str(&x->out.body);
	size_t at = str_find(body, STR("\"nextLink\":"));
	if (at == SIZE_MAX) return;
	struct buf spoilt;
	buf_init(&spoilt, 1 << 20);
	buf_printf(&spoilt, "%.*s\"nextLink\":\"%s\"}", (int)at, body.ptr,
		links[sim_between(x->sim, 0, 2)]);
	buf_reset(&x->out.body);
	buf_append(&x->out.body, buf_str(&spoilt));
	buf_deinit(&spoilt);
}

/* Two versions of one second, the one just before a read and the other just after it: they look alike. */
static bool is_twin(const struct exchange *x, const struct world_request *req, unsigned *out_vault,
	unsigned *out_object) {
	char text[256];
	if (!x->client || x->fault || x->row != ROW_FETCH || x->sim->now_ns >= x->sim->calm_ns ||
		!sim_chance(x->sim, x->sim->twin_permille))
		return false;
	snprintf(text, sizeof text, "%.*s%.*s", STR_ARG(req->host), STR_ARG(req->path));
	int end = 0;
	int count = sscanf(text, "kv-sim-%u.vault.azure.net/secrets/obj-%u/%n", out_vault,
		out_object, &end);
	return count == 2 && end && !text[end] && *out_object < SIM_VAULT_OBJECTS;
}

static void serve_azure(struct exchange *x, const struct world_request *req) {
	unsigned vault, object;
	if (x->fault == SIM_DISABLED) {
		serve_disabled(x, req);
		return;
	}
	bool twin = is_twin(x, req, &vault, &object);
	if (twin) sim_rotate(x->sim, vault, object);
	plan_azure(x);
	azure_handle(x->sim->azure, sim_world_now(x->sim), req, &x->out);
	azure_fault_end(x->sim->azure, 0);
	if (twin) sim_rotate_again(x->sim, vault, object);
	if (x->fault == SIM_LINK && x->out.status == 200) lead_astray(x);
}

/* --- what else may happen to an answer --- */

static void spoil(struct exchange *x) {
	static const char *const bodies[] = {
		"", "<html>a proxy's page</html>", "{\"value\":{\"a\":1},\"metadata\":7,\"id\":[]",
		"[1,2,3]", "null",
		"{\"metadata\":\"text\",\"status\":{\"token\":5},\"access_token\":{},\"value\":9}"
	};
	if (x->watch || x->out.status >= 300) return;
	buf_reset(&x->out.body);
	unsigned which = (unsigned)sim_between(x->sim, 0, 6);
	if (which < 6) {
		buf_append(&x->out.body, str_of(bodies[which]));
		return;
	}
	for (int i = 0; i < 40000; i++)
		buf_append(&x->out.body, STR("an answer that is larger than allowed "));
}

/* What happened without being planned here: rights, deletions, conflicts and policies of the world itself. */
static enum sim_fault natural(const struct exchange *x) {
	struct str body = buf_str(&x->out.body);
	if (str_find(body, STR("ValidatingAdmissionPolicy")) != SIZE_MAX) return SIM_POLICY;
	if (str_find(body, STR("SecretDisabled")) != SIZE_MAX) return SIM_DISABLED;
	switch (x->out.status) {
	case 401:
		return SIM_401;
	case 403:
		return SIM_403;
	case 404:
		return SIM_404;
	case 409:
		return SIM_409;
	case 410:
		return SIM_410;
	default:
		return FAULT_OF_NOTHING;
	}
}

/* The Secret or SecretSync that a request names. */
static void set_trap(struct exchange *x, struct str path) {
	char ns[SIM_NAME_BYTES] = "", name[SIM_NAME_BYTES] = "";
	if (x->host == HOST_KUBE) {
		for (struct str rest = path; rest.ptr;) {
			struct str part = str_next(&rest, '/'), after = rest, next;
			next = after.ptr ? str_next(&after, '/') : STR("");
			if (str_eq(part, STR("namespaces")))
				snprintf(ns, sizeof ns, "%.*s", STR_ARG(next));
			if (str_eq(part, STR("secrets")) || str_eq(part, STR("secretsyncs")))
				snprintf(name, sizeof name, "%.*s", STR_ARG(next));
		}
	}
	sim_trap(x->sim, x->row, ns, name);
}

void exchange_serve(struct exchange *x) {
	struct sim *sim = x->sim;
	struct world_request req;
	fill_request(x, &req);
	if (x->host == HOST_KUBE) {
		serve_kube(x, &req);
	} else {
		serve_azure(x, &req);
	}
	if (x->fault == SIM_GARBAGE) spoil(x);
	enum sim_fault seen = x->fault ? FAULT_OF_NOTHING : natural(x);
	if (seen && x->out.fault == WORLD_NONE) sim->table->cells[x->row][seen]++;
	if (x->client && sim->now_ns < sim->calm_ns &&
		sim_chance(sim, sim_share(x->row, sim->trap_permille))) {
		set_trap(x, req.path);
	}
}
