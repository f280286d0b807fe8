#include "clients/entra.h"

#include <stdio.h>

#include "clients/json.h"

enum {
	URL_BYTES = 2 << 10,
	FORM_BYTES = 64 << 10,
	ANSWER_BYTES = 256 << 10,
	TOKEN_BYTES = 64 << 10
};

/* A token that lives longer than that is not believed: 28 hours is the most that Entra gives. */
enum { MAX_LIFE_S = 7 * 86400 };

void entra_call_deinit(struct entra_call *call) {
	http_req_deinit(&call->http);
	secret_deinit(&call->_form);
}

static void add_field(struct secret *form, const char *name, struct str value) {
	secret_append(form, str_of(name));
	secret_append_url(form, value);
}

static void begin(struct entra_call *call, const struct http_site *site, struct str authority,
	struct str tenant, struct secret_arena *arena) {
	*call = (struct entra_call){ 0 };
	http_req_init(&call->http, site, HTTP_POST);
	http_req_header(&call->http, "Accept", STR("application/json"));
	http_req_header(&call->http, "Content-Type", STR("application/x-www-form-urlencoded"));
	call->http.response_arena = arena;
	call->http.max_response_bytes = ANSWER_BYTES;
	buf_init(&call->http.url, URL_BYTES);
	buf_append(&call->http.url, authority);
	buf_append_char(&call->http.url, '/');
	buf_append_url(&call->http.url, tenant);
	bool adfs = str_eq_nocase(tenant, STR("adfs"));
	buf_append(&call->http.url, adfs ? STR("/oauth2/token") : STR("/oauth2/v2.0/token"));
	secret_init(&call->_form, arena, FORM_BYTES);
}

static enum err ready(struct entra_call *call) {
	call->http.secret_body = &call->_form;
	enum err err = buf_err(&call->http.url);
	return err ? err : secret_err(&call->_form);
}

enum err entra_exchange(struct entra_call *call, const struct http_site *site, struct str authority,
	struct str tenant, struct str client_id, struct str scope, const struct secret *assertion,
	struct secret_arena *arena) {
	begin(call, site, authority, tenant, arena);
	add_field(&call->_form, "grant_type=client_credentials&client_id=", client_id);
	add_field(&call->_form, "&scope=", scope);
	add_field(&call->_form, "&client_assertion_type=",
		STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
	add_field(&call->_form, "&client_assertion=", secret_expose(assertion));
	return ready(call);
}

enum err entra_exchange_secret(struct entra_call *call, const struct http_site *site,
	struct str authority, struct str tenant, struct str scope, const struct secret *client_id,
	const struct secret *client_secret, struct secret_arena *arena) {
	begin(call, site, authority, tenant, arena);
	call->_by_secret = true;
	add_field(
		&call->_form, "grant_type=client_credentials&client_id=", secret_expose(client_id));
	add_field(&call->_form, "&scope=", scope);
	add_field(&call->_form, "&client_secret=", secret_expose(client_secret));
	return ready(call);
}

/* A number that is written as such, or as a string of digits; 0 otherwise. */
static int64_t scan_number(struct str body, const char *key) {
	struct str raw = STR_NULL;
	int64_t value = 0;
	if (json_scan_member(body, key, &raw) != OK) return 0;
	if (raw.len >= 2 && raw.ptr[0] == '"') raw = str_slice(raw, 1, raw.len - 2);
	return str_to_i64(raw, &value) == OK ? value : 0;
}

enum err entra_scan_token(
	struct str body, struct secret_arena *arena, int64_t now_s, struct entra_token *out_token) {
	struct str raw = STR_NULL;
	struct entra_token token = { .expires_in_s = scan_number(body, "expires_in"),
		.refresh_in_s = scan_number(body, "refresh_in") };
	int64_t expires_on_s = scan_number(body, "expires_on");
	if (token.expires_in_s == 0 && now_s && expires_on_s > now_s)
		token.expires_in_s = expires_on_s - now_s;
	secret_init(&token.value, arena, TOKEN_BYTES);
	bool good = json_scan_member(body, "access_token", &raw) == OK && raw.len > 2 &&
		    raw.ptr[0] == '"' && json_unescape_secret(raw, &token.value) == OK &&
		    secret_len(&token.value) > 0;
	if (!good || token.expires_in_s <= 0 || token.expires_in_s > MAX_LIFE_S) {
		secret_deinit(&token.value);
		return ERR_PARSE;
	}
	*out_token = token;
	return OK;
}

enum err entra_read_token(const struct entra_call *call, struct secret_arena *arena,
	struct entra_token *out_token, struct fault *fault) {
	if (!entra_scan_token(http_response_body(&call->http), arena, 0, out_token)) return OK;
	return fault_set(fault, ERR_PARSE,
		"Microsoft Entra answered 200 without a usable access_token and "
		"expires_in; is a proxy in between?");
}
