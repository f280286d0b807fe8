/* tests/world/azure_faults.c - faults that can be switched on for a host, an object, a share of requests, a time, a count. */
#include "tests/world/azure.h"

#include <assert.h>

static const char *const fault_names[FAULT_KINDS] = {
#define X(name, text) [FAULT_##name] = text,
	AZURE_FAULTS(X)
#undef X
};

enum azure_fault_kind azure_fault_kind_of(struct str name) {
	for (int kind = FAULT_NONE + 1; kind < FAULT_KINDS; kind++) {
		if (str_eq(name, str_of(fault_names[kind]))) return (enum azure_fault_kind)kind;
	}
	return FAULT_NONE;
}

const char *azure_fault_name(enum azure_fault_kind kind) {
	assert(kind > FAULT_NONE && kind < FAULT_KINDS);
	return fault_names[kind];
}

struct azure_fault *azure_fault_add(
	struct azure *azure, enum azure_fault_kind kind, struct now now) {
	struct azure_fault *fault = mem_zalloc(sizeof(*fault));
	assert(fault && kind != FAULT_NONE);
	fault->id = ++azure->next_fault;
	fault->kind = kind;
	fault->share_permille = 1000;
	fault->count = -1;
	fault->from_ns = now.mono_ns;
	fault->until_ns = NEVER_NS;
	fault->retry_after_s = -1;
	list_push_back(&azure->faults, &fault->link);
	return fault;
}

void azure_fault_end(struct azure *azure, unsigned id) {
	list_for_each_safe (node, &azure->faults) {
		struct azure_fault *fault = container_of(node, struct azure_fault, link);
		if (id && fault->id != id) continue;
		list_remove(node);
		mem_free(fault->host);
		mem_free(fault->object);
		mem_free(fault->text);
		mem_free(fault);
	}
}

static bool path_has(struct str path, const char *object) {
	struct str rest = path;
	while (rest.ptr) {
		if (str_eq_nocase(str_next(&rest, '/'), str_of(object))) return true;
	}
	return false;
}

const struct azure_fault *azure_fault_hit(struct azure *azure, struct now now,
	const struct world_request *req, enum azure_fault_kind kind) {
	list_for_each (node, &azure->faults) {
		struct azure_fault *fault = container_of(node, struct azure_fault, link);
		if (fault->kind != kind || fault->count == 0) continue;
		if (now.mono_ns < fault->from_ns || now.mono_ns >= fault->until_ns) continue;
		if (fault->host && !str_eq_nocase(str_of(fault->host), req->host)) continue;
		if (fault->object && !path_has(req->path, fault->object)) continue;
		if (fault->share_permille < 1000 &&
			rng_below(&azure->rng, 1000) >= fault->share_permille)
			continue;
		if (fault->count > 0) fault->count--;
		return fault;
	}
	return NULL;
}

static void html(struct world_response *out, int status) {
	world_response_header(out, "Content-Type", "text/html; charset=us-ascii");
	out->status = status;
	buf_printf(&out->body,
		"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML "
		"4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">\r\n"
		"<HTML><HEAD><TITLE>%s</TITLE></HEAD><BODY><h2>%s</h2><hr><p>HTTP Error "
		"%d.</p></BODY></HTML>\r\n",
		world_reason(status), world_reason(status), status);
	/* The kernel's HTTP driver gives the connection up with the request that it could not read. */
	if (status == 400) out->fault = WORLD_CLOSE;
}

static void plain_status(struct world_response *out, const struct azure_fault *fault) {
	struct str text = str_of(fault->text);
	out->status = (int)fault->number;
	if (fault->retry_after_s >= 0)
		world_response_header(out, "Retry-After", "%lld", (long long)fault->retry_after_s);
	if (str_eq(text, STR("html"))) {
		html(out, out->status);
	} else if (str_eq(text, STR("json"))) {
		world_response_header(out, "Content-Type", "application/json; charset=utf-8");
		buf_append(&out->body, STR("{\"error\":{\"code\":\"ServiceUnavailable\","
					   "\"message\":\"The service is unavailable.\"}}"));
	} else if (text.len) {
		world_response_header(out, "Content-Type", "text/plain");
		buf_append(&out->body, text);
	}
}

bool azure_fault_before(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	const struct azure_fault *fault;
	if (req->reused_connection && azure_fault_hit(azure, now, req, FAULT_RESET_REUSED)) {
		out->fault = WORLD_RESET_BEFORE;
	} else if (azure_fault_hit(azure, now, req, FAULT_RESET)) {
		out->fault = WORLD_RESET_BEFORE;
	} else if (azure_fault_hit(azure, now, req, FAULT_STALL)) {
		out->fault = WORLD_STALL;
	} else if ((fault = azure_fault_hit(azure, now, req, FAULT_HTML))) {
		html(out, fault->number ? (int)fault->number : 502);
	} else if ((fault = azure_fault_hit(azure, now, req, FAULT_STATUS))) {
		plain_status(out, fault);
	} else {
		return false;
	}
	return true;
}

/* Answers that lie about what they are. */
static void spoil_body(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	const struct azure_fault *fault;
	if (azure_fault_hit(azure, now, req, FAULT_WRONG_TYPE)) {
		buf_reset(&out->body);
		buf_append(&out->body, STR("{\"value\":{\"nested\":1},\"id\":7,\"attributes\":[],"
					   "\"access_token\":false}"));
	}
	if (azure_fault_hit(azure, now, req, FAULT_NOT_JSON)) {
		buf_reset(&out->body);
		buf_append(&out->body, STR("{\"value\":\"cut"));
	}
	if ((fault = azure_fault_hit(azure, now, req, FAULT_OVERSIZED))) {
		for (int64_t i = 0; i < (fault->number ? fault->number : 8 << 20); i++)
			buf_append_char(&out->body, ' ');
	}
}

static void network(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	static const struct {
		enum azure_fault_kind kind;
		enum world_fault fault;
	} kinds[] = {
		{ FAULT_RESET_AFTER, WORLD_RESET_AFTER },
		{ FAULT_STALL_HEADERS, WORLD_STALL_HEADERS },
		{ FAULT_TRUNCATE, WORLD_TRUNCATE },
		{ FAULT_CLOSE, WORLD_CLOSE },
		{ FAULT_GOAWAY, WORLD_GOAWAY },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (azure_fault_hit(azure, now, req, kinds[i].kind)) out->fault = kinds[i].fault;
	}
}

void azure_fault_after(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	const struct azure_fault *fault = azure_fault_hit(azure, now, req, FAULT_DELAY);
	if (fault) out->delay_ns = fault->number * NS_PER_MS;
	spoil_body(azure, now, req, out);
	network(azure, now, req, out);
	if (azure_fault_hit(azure, now, req, FAULT_CHUNKED)) out->chunked = true;
	if (azure_fault_hit(azure, now, req, FAULT_GZIP)) {
		struct str accepted = world_request_header(req, "Accept-Encoding");
		out->gzip = accepted.ptr && str_find(accepted, STR("gzip")) != SIZE_MAX;
	}
	if (azure_fault_hit(azure, now, req, FAULT_COOKIES)) {
		world_response_header(out, "Set-Cookie",
			"fpc=AjIx; expires=Thu, 31-Dec-2037 23:55:55 GMT; path=/; secure; "
			"HttpOnly");
		world_response_header(out, "Set-Cookie",
			"esctx=PAQABAAEAAAD; domain=.login.microsoftonline.com; path=/; secure");
		world_response_header(
			out, "Set-Cookie", "x-ms-gateway-slice=estsfd; path=/; secure; httponly");
		world_response_header(
			out, "Set-Cookie", "stsservicecookie=estsfd; path=/; secure; httponly");
	}
}
