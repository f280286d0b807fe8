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
	if (client_id.ptr)
		world_response_header(out, "x-ms-client-request-id", "%.*s", STR_ARG(client_id));
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
	world_response_header(
		out, "Strict-Transport-Security", "max-age=31536000;includeSubDomains");
	world_response_header(out, "Date", "%s", date);
}

void azure_error(struct azure_call *call, int status, const char *code, const char *inner,
	const char *format, ...) {
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
		bool none = !inner ||
			    azure_fault_hit(call->azure, call->now, call->req, FAULT_NO_INNER);
		if (!none && azure_fault_hit(call->azure, call->now, call->req, FAULT_NESTED)) {
			buf_printf(body,
				",\"innererror\":{\"code\":\"Outer\",\"innererror\":{\"code\":\"%"
				"s\"}}",
				inner);
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
		"A %s with (name/id) %s%s%s was not found in this key vault. If you recently "
		"deleted this %s you may be "
		"able to recover it using the correct recovery command. For help resolving this "
		"issue, please see "
		"https://go.microsoft.com/fwlink/?linkid=2125182",
		kind->one, buf_cstr(&call->name), versioned ? "/" : "",
		versioned ? buf_cstr(&call->segment) : "", kind->one);
	buf_deinit(&code);
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
	const struct azure_object *object =
		azure_object_find(call->vault, call->kind, buf_str(&call->name));
	if (!object || object->deleted) {
		azure_not_found(call);
		return;
	}
	struct str id = buf_str(&call->segment);
	const struct azure_version *version =
		id.len ? azure_version_find(object, id) : object->current;
	if (!version) {
		azure_not_found(call);
	} else if (call->kind == AZURE_SECRET && !version->enabled) {
		azure_error(call, 403, "Forbidden", "SecretDisabled",
			"Operation get is not allowed on a disabled secret.");
	} else {
		azure_answer_bundle(call, object, version, true);
	}
}

static void get_deleted(struct azure_call *call) {
	if (!azure_permit(call, AZURE_WRITE, "get")) return;
	const struct azure_object *object =
		azure_object_find(call->vault, call->kind, buf_str(&call->name));
	if (!object || !object->deleted || call->now.mono_ns < object->deleted_visible_ns) {
		azure_not_found(call);
		return;
	}
	azure_answer_bundle(call, object, object->current, false);
}

/* What the part behind a certificate's name may be besides a version. */
static void get_certificate_part(struct azure_call *call) {
	if (!azure_permit(call, AZURE_GET, "get")) return;
	const struct azure_object *object =
		azure_object_find(call->vault, AZURE_CERTIFICATE, buf_str(&call->name));
	if (!object || object->deleted) {
		azure_not_found(call);
	} else if (str_eq(buf_str(&call->segment), STR("policy"))) {
		buf_reset(&call->out->body);
		azure_json_policy(call->vault, object, object->current, &call->out->body);
	} else {
		if (object->pending) world_response_header(call->out, "Retry-After", "10");
		buf_printf(&call->out->body,
			"{\"id\":\"https://%s/certificates/%s/"
			"pending\",\"issuer\":{\"name\":\"Self\"},"
			"\"cancellation_requested\":false,\"status\":\"%s\",\"target\":\"https://"
			"%s/certificates/%s\"}",
			call->vault->host, object->name,
			object->pending ? "inProgress" : "completed", call->vault->host,
			object->name);
	}
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

static void shape_of(struct azure_call *call) {
	struct azure *azure = call->azure;
	call->shape.unknown_members =
		azure_fault_hit(azure, call->now, call->req, FAULT_UNKNOWN) != NULL;
	call->shape.tags_empty =
		azure_fault_hit(azure, call->now, call->req, FAULT_TAGS_EMPTY) != NULL;
	call->shape.tags_null =
		azure_fault_hit(azure, call->now, call->req, FAULT_TAGS_NULL) != NULL;
}

static void serve(struct azure_call *call) {
	if (!azure_check_limit(call) || !azure_check_token(call) || !azure_check_network(call))
		return;
	if (!azure_check_version(call) || !azure_check_path(call)) return;
	azure_purge_due(call->vault, call->now);
	shape_of(call);
	route(call);
	azure_count_answer(call);
}

static void health(struct azure_call *call) {
	buf_append(&call->out->body, STR("true"));
}

static void unroutable(struct world_response *out) {
	buf_reset(&out->head);
	out->status = 404;
	world_response_header(out, "Content-Type", "text/html; charset=us-ascii");
	buf_append(&out->body, STR("<!DOCTYPE HTML><HTML><HEAD><TITLE>Not Found</TITLE></HEAD>"
				   "<BODY><h2>Not Found</h2><hr><p>HTTP Error 404. The requested "
				   "resource is not found.</p>"
				   "</BODY></HTML>\r\n"));
}

void azure_vault_handle(struct azure *azure, struct azure_vault *vault, struct now now,
	const struct world_request *req, struct world_response *out) {
	struct azure_call call = {
		.azure = azure, .vault = vault, .now = now, .req = req, .out = out
	};
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
