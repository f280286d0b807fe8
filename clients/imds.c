#include "clients/imds.h"

#include <assert.h>

#include "clients/json.h"

enum { URL_BYTES = 2 << 10, ANSWER_BYTES = 64 << 10 };

/* The service sends no Retry-After. While it is updated (410) it says so for up to 70 s. */
static const int64_t THROTTLED_NS = 10 * NS_PER_S;
static const int64_t UPDATED_NS = 10 * NS_PER_S;

void imds_call_deinit(struct imds_call *call) {
	http_req_deinit(&call->http);
}

enum err imds_token(struct imds_call *call, const struct http_site *site, struct str scope,
	struct str client_id, struct secret_arena *arena) {
	assert(site->allow_http && !site->use_proxy && str_ends(scope, STR("/.default")));
	*call = (struct imds_call){ 0 };
	http_req_init(&call->http, site, HTTP_GET);
	http_req_header(&call->http, "Accept", STR("application/json"));
	http_req_header(&call->http, "Metadata", STR("true"));
	call->http.response_arena = arena;
	call->http.max_response_bytes = ANSWER_BYTES;
	buf_init(&call->http.url, URL_BYTES);
	buf_append(&call->http.url,
		STR(IMDS_ORIGIN "/metadata/identity/oauth2/token?api-version=2018-02-01"
				"&resource="));
	buf_append_url(&call->http.url, str_slice(scope, 0, scope.len - STR("/.default").len));
	if (client_id.len) {
		buf_append(&call->http.url, STR("&client_id="));
		buf_append_url(&call->http.url, client_id);
	}
	return buf_err(&call->http.url);
}

enum err imds_read_token(const struct imds_call *call, struct secret_arena *arena, int64_t now_s,
	struct entra_token *out_token, struct fault *fault) {
	return entra_scan_token(http_response_body(&call->http), arena, now_s, out_token)
		       ? fault_set(fault, ERR_PARSE,
				 "the node's metadata service answered 200 without a usable "
				 "access_token and expires_in; does something else answer at "
				 "169.254.169.254?")
		       : OK;
}

static enum err refused(const struct imds_call *call, struct fault *fault, struct str client_id) {
	struct fault ignored = { 0 };
	cJSON *json = NULL;
	bool parsed = json_parse(http_response_body(&call->http), &json, &ignored) == OK;
	struct str text = parsed ? json_str(json, "error_description") : STR_NULL;
	bool several = str_starts(text, STR("Multiple user assigned"));
	bool unknown = str_starts(text, STR("Identity not found"));
	cJSON_Delete(json);
	if (several) {
		return fault_set(fault, ERR_DENIED,
			"the node has several managed identities: name one by its client id in "
			"userAssignedIdentityID of the SecretProviderClass");
	}
	if (!unknown) {
		return fault_set(fault, ERR_DENIED,
			"the node's metadata service refused the request (400); does something "
			"else answer at 169.254.169.254?");
	}
	if (client_id.len) {
		return fault_set(fault, ERR_DENIED,
			"the managed identity %.*s is not assigned to the node: assign it to the "
			"machine or scale set (a new one takes minutes), or correct "
			"userAssignedIdentityID, which is the client id",
			STR_ARG(client_id));
	}
	return fault_set(fault, ERR_DENIED,
		"the node has no managed identity of its own: give it one, or name one that is "
		"assigned to it in userAssignedIdentityID");
}

enum err imds_result(const struct imds_call *call, struct fault *fault, struct str client_id) {
	const struct http_req *http = &call->http;
	struct fault own = { 0 };
	struct fault *out = fault ? fault : &own;
	if (http->err) {
		*out = http->fault;
		return fault_prefix(out, http->err,
			"the node's metadata service (169.254.169.254), which exists on machines "
			"of Azure alone, cannot be asked for a token");
	}
	enum err err = OK;
	int64_t wait_ns = 0;
	switch (http->status) {
	case 200:
		return OK;
	case 400:
		err = refused(call, out, client_id);
		break;
	case 429:
		wait_ns = THROTTLED_NS;
		err = fault_set(out, ERR_THROTTLED,
			"the node's metadata service has too many requests (429); retried by "
			"itself");
		break;
	case 410:
		wait_ns = UPDATED_NS;
		[[fallthrough]];
	case 404:
	case 408:
		err = fault_set(out, ERR_UNAVAILABLE,
			"the node's metadata service is being updated (%d); retried by itself",
			http->status);
		break;
	default:
		if (http->status >= 500) {
			err = fault_set(out, ERR_UNAVAILABLE,
				"the node's metadata service has trouble (%d); retried by itself",
				http->status);
			break;
		}
		err = fault_set(out, ERR_DENIED,
			"what answers at 169.254.169.254 is not Azure's metadata service (%d); "
			"useVMManagedIdentity needs a node of Azure",
			http->status);
	}
	out->http_status = http->status;
	out->retry_after_ns = http->retry_after_ns > wait_ns ? http->retry_after_ns : wait_ns;
	return err;
}
