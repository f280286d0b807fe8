/* tests/world/azure_vault.c - Key Vault's data plane: the order of checks, and GET of one object.
 *
 * Order: limit, token, firewall, API version and name, permission, existence, state of the object. A later check never speaks
 * before an earlier one, so that 404 is told only to those who may read.
 */
#include "tests/world/azure.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

static void headers(struct azure_call *call) {
	struct world_response *out = call->out;
	char guid[WORLD_GUID_BYTES];
	world_guid(&call->azure->rng, guid);
	struct str client_id = world_request_header(call->req, "x-ms-client-request-id");
	world_response_header(out, "x-ms-keyvault-region", "%s", call->vault->region);
	if (client_id.ptr) world_response_header(out, "x-ms-client-request-id", "%.*s", STR_ARG(client_id));
	world_response_header(out, "x-ms-request-id", "%s", guid);
	world_response_header(out, "x-ms-keyvault-service-version", "1.9.3070.2");
	world_response_header(out, "x-ms-keyvault-network-info",
			      "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;");
}

static void headers_first(struct world_response *out) {
	world_response_header(out, "Cache-Control", "no-cache");
	world_response_header(out, "Pragma", "no-cache");
	world_response_header(out, "Content-Type", "application/json; charset=utf-8");
	world_response_header(out, "Expires", "-1");
}

static void headers_last(struct now now, struct world_response *out) {
	char date[64];
	struct tm tm;
	time_t unix_s = (time_t)(now.wall_ns / NS_PER_S);
	gmtime_r(&unix_s, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	world_response_header(out, "X-Content-Type-Options", "nosniff");
	world_response_header(out, "Strict-Transport-Security", "max-age=31536000;includeSubDomains");
	world_response_header(out, "Date", "%s", date);
}

void azure_error(struct azure_call *call, int status, const char *code, const char *inner, const char *format, ...) {
	struct buf text;
	buf_init(&text, 1 << 16);
	va_list args;
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	struct buf *body = &call->out->body;
	buf_reset(body);
	call->out->status = status;
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_ERROR_NULL)) {
		buf_append(body, STR("{\"error\":null}"));
	} else {
		buf_printf(body, "{\"error\":{\"code\":\"%s\",\"message\":", code);
		buf_append_json(body, buf_str(&text));
		bool none = !inner || azure_fault_hit(call->azure, call->now, call->req, FAULT_NO_INNER);
		if (!none && azure_fault_hit(call->azure, call->now, call->req, FAULT_NESTED)) {
			buf_printf(body, ",\"innererror\":{\"code\":\"Outer\",\"innererror\":{\"code\":\"%s\"}}", inner);
		} else if (!none) {
			buf_printf(body, ",\"innererror\":{\"code\":\"%s\"}", inner);
		}
		buf_append(body, STR("}}"));
	}
	buf_deinit(&text);
}

void azure_not_found(struct azure_call *call) {
	const struct azure_kind_names *kind = &azure_kinds[call->kind];
	struct buf code;
	buf_init(&code, 64);
	buf_printf(&code, "%sNotFound", kind->title);
	bool versioned = !call->deleted && buf_str(&call->segment).len > 0;
	azure_error(call, 404, buf_cstr(&code), NULL,
		    "A %s with (name/id) %s%s%s was not found in this key vault. If you recently deleted this %s you may be "
		    "able to recover it using the correct recovery command. For help resolving this issue, please see "
		    "https://go.microsoft.com/fwlink/?linkid=2125182",
		    kind->one, buf_cstr(&call->name), versioned ? "/" : "",
		    versioned ? buf_cstr(&call->segment) : "", kind->one);
	buf_deinit(&code);
}

static const char *action_of(enum azure_kind kind, enum azure_right right) {
	static const char *const actions[AZURE_KINDS][3] = {
		{ "secrets/getSecret/action", "secrets/readMetadata/action", "secrets/setSecret/action" },
		{ "keys/read", "keys/read", "keys/write" },
		{ "certificates/read", "certificates/read", "certificates/write" },
	};
	return actions[kind][right == AZURE_GET ? 0 : right == AZURE_LIST ? 1 : 2];
}

bool azure_permit(struct azure_call *call, enum azure_right right, const char *action) {
	const struct azure_vault *vault = call->vault;
	struct str client_id = str_of(call->claims.client_id);
	char assignment[WORLD_HEX_BYTES];
	if (azure_allowed(vault, call->now, client_id, call->kind, right, buf_str(&call->name))) {
		world_hex32(&call->azure->rng, assignment);
		world_response_header(call->out, "x-ms-keyvault-rbac-assignment-id", "%s", assignment);
		return true;
	}
	const struct azure_identity *identity = azure_identity_find(call->azure, client_id);
	const char *oid = identity ? identity->object_id : "";
	const char *many = azure_kinds[call->kind].many;
	if (vault->policy_mode) {
		azure_error(call, 403, "Forbidden", "ForbiddenByPolicy",
			    "The user, group or application 'appid=%s;oid=%s;iss=%s' does not have %s %s permission on key "
			    "vault '%s;location=%s'. For help resolving this issue, please see "
			    "https://go.microsoft.com/fwlink/?linkid=2125287",
			    call->claims.client_id, oid, call->claims.issuer, many, action, vault->name, vault->region);
		return false;
	}
	azure_error(call, 403, "Forbidden", "ForbiddenByRbac",
		    "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
		    "definitions were changed recently, please observe propagation time.\r\nCaller: appid=%s;oid=%s;iss=%s\r\n"
		    "Action: 'Microsoft.KeyVault/vaults/%s'\r\nResource: '/subscriptions/00000000-0000-0000-0000-000000000000/"
		    "resourcegroups/world/providers/microsoft.keyvault/vaults/%s/%s/%s'\r\nAssignment: (not found)\r\n"
		    "DenyAssignmentId: null\r\nDecisionReason: null \r\nVault: %s;location=%s\r\n",
		    call->claims.client_id, oid, call->claims.issuer, action_of(call->kind, right), vault->name, many,
		    buf_cstr(&call->name), vault->name, vault->region);
	return false;
}

void azure_answer_bundle(struct azure_call *call, const struct azure_object *object,
			 const struct azure_version *version, bool with_value) {
	struct buf *body = &call->out->body;
	call->out->status = 200;
	buf_reset(body);
	buf_append_char(body, '{');
	azure_json_bundle(call->vault, call->kind, object, version, with_value, call->shape, body);
	if (object->deleted) azure_json_deleted(call->vault, call->kind, object, body);
	buf_append_char(body, '}');
}

static void get_object(struct azure_call *call) {
	if (!azure_permit(call, AZURE_GET, "get")) return;
	const struct azure_object *object = azure_object_find(call->vault, call->kind, buf_str(&call->name));
	if (!object || object->deleted) {
		azure_not_found(call);
		return;
	}
	struct str id = buf_str(&call->segment);
	const struct azure_version *version = id.len ? azure_version_find(object, id) : object->current;
	if (!version) {
		azure_not_found(call);
	} else if (call->kind == AZURE_SECRET && !version->enabled) {
		azure_error(call, 403, "Forbidden", "SecretDisabled", "Operation get is not allowed on a disabled secret.");
	} else {
		azure_answer_bundle(call, object, version, true);
	}
}

static void get_deleted(struct azure_call *call) {
	if (!azure_permit(call, AZURE_WRITE, "get")) return;
	const struct azure_object *object = azure_object_find(call->vault, call->kind, buf_str(&call->name));
	if (!object || !object->deleted || call->now.mono_ns < object->deleted_visible_ns) {
		azure_not_found(call);
		return;
	}
	azure_answer_bundle(call, object, object->current, false);
}

/* What the part behind a certificate's name may be besides a version. */
static void get_certificate_part(struct azure_call *call) {
	if (!azure_permit(call, AZURE_GET, "get")) return;
	const struct azure_object *object = azure_object_find(call->vault, AZURE_CERTIFICATE, buf_str(&call->name));
	if (!object || object->deleted) {
		azure_not_found(call);
	} else if (str_eq(buf_str(&call->segment), STR("policy"))) {
		buf_reset(&call->out->body);
		azure_json_policy(call->vault, object, object->current, &call->out->body);
	} else {
		if (object->pending) world_response_header(call->out, "Retry-After", "10");
		buf_printf(&call->out->body,
			   "{\"id\":\"https://%s/certificates/%s/pending\",\"issuer\":{\"name\":\"Self\"},"
			   "\"cancellation_requested\":false,\"status\":\"%s\",\"target\":\"https://%s/certificates/%s\"}",
			   call->vault->host, object->name, object->pending ? "inProgress" : "completed", call->vault->host,
			   object->name);
	}
}

static void challenge(struct azure_call *call) {
	const struct azure_fault *fault = azure_fault_hit(call->azure, call->now, call->req, FAULT_CHALLENGE);
	const char *variant = fault && fault->text ? fault->text : "b";
	const char *login = *variant == 'a' ? "login.windows.net" : call->azure->login_host;
	const char *tenant = call->vault->tenant, *suffix = call->azure->suffix;
	struct buf text;
	buf_init(&text, 2048);
	switch (*variant) {
	case 'd':
		buf_printf(&text, "Bearer authorization_uri=\"https://%s/%s\", scope=\"https://%s/.default\"", login, tenant,
			   suffix);
		break;
	case 'e':
		buf_printf(&text, "Bearer resource=\"https://%s\" authorization=\"https://%s/%s\"", suffix, login, tenant);
		break;
	case 'f':
		buf_printf(&text,
			   "Bearer realm=\"\", authorization_uri=\"https://%s/common/oauth2/authorize\", "
			   "error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==\"",
			   login);
		break;
	default:
		buf_printf(&text, "Bearer authorization=\"https://%s/%s\", resource=\"https://%s\"", login, tenant, suffix);
		if (*variant == 'h') buf_append(&text, STR(", PoP realm=\"\", nonce=\"d29ybGQ\""));
		if (*variant == 'x') {
			buf_reset(&text);
			buf_printf(&text, "Bearer authorization=\"https://login.example.com/%s\", "
				   "resource=\"https://vault.example.com\"", tenant);
		}
	}
	world_response_header(call->out, "WWW-Authenticate", "%s", buf_cstr(&text));
	buf_deinit(&text);
}

static bool refuse(struct azure_call *call, const char *message) {
	azure_error(call, 401, "Unauthorized", NULL, "%s", message);
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_EMPTY_401)) buf_reset(&call->out->body);
	challenge(call);
	return false;
}

static bool check_token(struct azure_call *call) {
	const struct azure *azure = call->azure;
	struct str header = world_request_header(call->req, "Authorization");
	struct azure_claims *claims = &call->claims;
	if (!str_eq_nocase(str_slice(header, 0, 7), STR("Bearer ")) ||
	    !azure_token_read(azure, str_trim(str_slice(header, 7, SIZE_MAX)), claims)) {
		return refuse(call, "AKV10000: Request is missing a Bearer or PoP token.");
	}
	char text[1024], expected[256];
	snprintf(expected, sizeof(expected), "https://%s", azure->suffix);
	if (strcmp(claims->audience, expected) != 0) {
		snprintf(text, sizeof(text), "AKV10022: Invalid audience. Expected %s, found: %s.", expected,
			 claims->audience);
		return refuse(call, text);
	}
	if (!str_eq_nocase(str_of(claims->tenant), str_of(call->vault->tenant))) {
		snprintf(text, sizeof(text),
			 "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/%s/, found %s.",
			 call->vault->tenant, claims->issuer);
		return refuse(call, text);
	}
	if (call->now.wall_ns / NS_PER_S >= claims->expires_s) {
		return refuse(call, "[TokenExpired] Error validating token: 'S2S12086'.");
	}
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_AKV10046)) {
		return refuse(call, "AKV10046: Unable to resolve the key used for signature validation.");
	}
	return true;
}

static bool check_network(struct azure_call *call) {
	const struct azure_vault *vault = call->vault;
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_FIREWALL)) {
		azure_error(call, 403, "Forbidden", "ForbiddenByFirewall",
			    "Client address is not authorized and caller is not a trusted service.\r\nClient address: 203.0.113.7\r\n"
			    "Caller: appid=%s;iss=%s\r\nVault: %s;location=%s",
			    call->claims.client_id, call->claims.issuer, vault->name, vault->region);
		return false;
	}
	const struct azure_fault *fault = azure_fault_hit(call->azure, call->now, call->req, FAULT_CONNECTION);
	if (!fault) return true;
	bool link = fault->text && str_eq(str_of(fault->text), STR("private-link"));
	azure_error(call, 403, "Forbidden", "ForbiddenByConnection",
		    link ? "Public network access is disabled and request is not from a trusted service nor via an approved "
			   "private link.\r\nCaller: appid=%s\r\nVault: %s;location=%s"
			 : "Connection is not an approved private link and caller was ignored because bypass is not allowed.\r\n"
			   "Caller: appid=%s\r\nVault: %s;location=%s",
		    call->claims.client_id, vault->name, vault->region);
	return false;
}

static bool check_version(struct azure_call *call) {
	static const char *const known[] = { "2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6",
					     "2025-06-01-preview", "2025-07-01", "2026-04-01" };
	struct buf version;
	buf_init(&version, 4096);
	bool sent = world_query(call->req->query, "api-version", &version), good = false;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) good |= str_eq(buf_str(&version), str_of(known[i]));
	call->shape.no_days = str_eq(buf_str(&version), STR("7.0")) || str_eq(buf_str(&version), STR("2016-10-01"));
	if (!sent) {
		azure_error(call, 400, "BadParameter", NULL, "api-version must be specified");
	} else if (!good) {
		azure_error(call, 400, "BadParameter", NULL,
			    "The specified version (%s) is not recognized. Consider using the latest supported version "
			    "(2026-04-01).", buf_cstr(&version));
	}
	buf_deinit(&version);
	return good;
}

static bool name_is_valid(struct str name) {
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
		if (!letter) return false;
	}
	return name.len <= 127;
}

/* Reads /KIND[/name[/segment[/action]]]. */
static bool read_path(struct azure_call *call) {
	struct buf root, extra;
	buf_init(&root, 4096);
	buf_init(&extra, 4096);
	struct str rest = str_slice(call->req->path, 1, SIZE_MAX);
	bool found = false;
	world_path_next(&rest, &root);
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		struct str many = str_of(azure_kinds[kind].many), word = buf_str(&root);
		bool deleted = str_starts(word, STR("deleted"));
		if (!str_eq(deleted ? str_slice(word, 7, SIZE_MAX) : word, many)) continue;
		call->kind = (enum azure_kind)kind;
		call->deleted = deleted;
		found = true;
	}
	if (found) {
		world_path_next(&rest, &call->name);
		world_path_next(&rest, &call->segment);
		world_path_next(&rest, &extra);
	}
	if (buf_str(&extra).len) {
		buf_reset(&call->action);
		buf_append(&call->action, buf_str(&extra));
	}
	buf_deinit(&root);
	buf_deinit(&extra);
	return found;
}

static bool check_path(struct azure_call *call) {
	struct str extra = buf_str(&call->action), segment = buf_str(&call->segment);
	if (!name_is_valid(buf_str(&call->name))) {
		azure_error(call, 400, "BadParameter", NULL, "The request URI contains an invalid name: %s",
			    buf_cstr(&call->name));
		return false;
	}
	if (extra.len || segment.len > 32) {
		azure_error(call, 400, "BadParameter", NULL, "Method %.*s does not allow operation '%s'",
			    STR_ARG(call->req->method), buf_cstr(extra.len ? &call->action : &call->segment));
		return false;
	}
	return true;
}

static void route(struct azure_call *call) {
	struct str segment = buf_str(&call->segment);
	bool named = buf_str(&call->name).len > 0;
	bool part = call->kind == AZURE_CERTIFICATE &&
		    (str_eq(segment, STR("policy")) || str_eq(segment, STR("pending")));
	if (!str_eq(call->req->method, STR("GET"))) {
		azure_write(call);
	} else if (!named) {
		azure_list(call);
	} else if (call->deleted) {
		get_deleted(call);
	} else if (str_eq(segment, STR("versions"))) {
		azure_list_versions(call);
	} else if (part) {
		get_certificate_part(call);
	} else {
		get_object(call);
	}
}

/* Every call counts, but for those that the limit itself refuses: the unkind reading of an open question. */
static bool within_limit(struct azure_vault *vault, struct now now) {
	if (!vault->_rate) {
		vault->_rate = mem_array(vault->rate_calls, sizeof(*vault->_rate));
		assert(vault->_rate);
		for (unsigned i = 0; i < vault->rate_calls; i++) vault->_rate[i] = INT64_MIN / 2;
	}
	if (now.mono_ns - vault->_rate[vault->_rate_next] < AZURE_RATE_WINDOW_NS) return false;
	vault->_rate[vault->_rate_next] = now.mono_ns;
	vault->_rate_next = (vault->_rate_next + 1) % vault->rate_calls;
	return true;
}

/* Keeps the most calls that any window of 10 s has seen. */
static void count_call(struct azure_vault *vault, struct now now) {
	if (vault->_seen_count == vault->_seen_size) {
		size_t size = vault->_seen_size ? vault->_seen_size * 2 : 1024;
		int64_t *seen = mem_array(size, sizeof(*seen));
		assert(seen);
		for (size_t i = 0; i < vault->_seen_count; i++) {
			seen[i] = vault->_seen[(vault->_seen_first + i) % vault->_seen_size];
		}
		mem_free(vault->_seen);
		vault->_seen = seen;
		vault->_seen_size = size;
		vault->_seen_first = 0;
	}
	vault->_seen[(vault->_seen_first + vault->_seen_count++) % vault->_seen_size] = now.mono_ns;
	while (now.mono_ns - vault->_seen[vault->_seen_first] >= AZURE_RATE_WINDOW_NS) {
		vault->_seen_first = (vault->_seen_first + 1) % vault->_seen_size;
		vault->_seen_count--;
	}
	if (vault->_seen_count > vault->most_in_window) vault->most_in_window = vault->_seen_count;
	vault->calls++;
}

static void throttled(struct azure_call *call) {
	azure_error(call, 429, "Throttled", NULL,
		    "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached");
	call->out->no_reason = true;
}

static void shape_of(struct azure_call *call) {
	struct azure *azure = call->azure;
	call->shape.unknown_members = azure_fault_hit(azure, call->now, call->req, FAULT_UNKNOWN) != NULL;
	call->shape.tags_empty = azure_fault_hit(azure, call->now, call->req, FAULT_TAGS_EMPTY) != NULL;
	call->shape.tags_null = azure_fault_hit(azure, call->now, call->req, FAULT_TAGS_NULL) != NULL;
}

static void serve(struct azure_call *call) {
	count_call(call->vault, call->now);
	if (azure_fault_hit(call->azure, call->now, call->req, FAULT_THROTTLE) ||
	    !within_limit(call->vault, call->now)) {
		call->vault->refused++;
		throttled(call);
		return;
	}
	if (!check_token(call) || !check_network(call) || !check_version(call) || !check_path(call)) return;
	azure_purge_due(call->vault, call->now);
	shape_of(call);
	route(call);
}

static void health(struct azure_call *call) {
	buf_append(&call->out->body, STR("true"));
}

static void unroutable(struct world_response *out) {
	buf_reset(&out->head);
	out->status = 404;
	world_response_header(out, "Content-Type", "text/html; charset=us-ascii");
	buf_append(&out->body, STR("<!DOCTYPE HTML><HTML><HEAD><TITLE>Not Found</TITLE></HEAD>"
				   "<BODY><h2>Not Found</h2><hr><p>HTTP Error 404. The requested resource is not found.</p>"
				   "</BODY></HTML>\r\n"));
}

void azure_vault_handle(struct azure *azure, struct azure_vault *vault, struct now now, const struct world_request *req,
			struct world_response *out) {
	struct azure_call call = { .azure = azure, .vault = vault, .now = now, .req = req, .out = out };
	buf_init(&call.name, 4096);
	buf_init(&call.segment, 4096);
	buf_init(&call.action, 4096);
	headers_first(out);
	headers(&call);
	if (str_eq(req->path, STR("/healthstatus"))) {
		health(&call);
	} else if (read_path(&call)) {
		serve(&call);
	} else {
		unroutable(out);
	}
	headers_last(now, out);
	buf_deinit(&call.name);
	buf_deinit(&call.segment);
	buf_deinit(&call.action);
}
