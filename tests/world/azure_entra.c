/* tests/world/azure_entra.c - Microsoft Entra: instance discovery, OpenID configuration, and tokens for client credentials. */
#include "tests/world/azure.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKEN_SECONDS = 3599 };

struct token_call {
	struct azure *azure;
	struct now now;
	const struct world_request *req;
	struct world_response *out;
	struct str tenant;
	bool v1; /* /oauth2/token: resource instead of scope, numbers as strings */
	struct buf audience; /* what the token is for */
};

static void headers(struct azure *azure, struct world_response *out) {
	char guid[WORLD_GUID_BYTES];
	world_guid(&azure->rng, guid);
	world_response_header(out, "Cache-Control", "no-store, no-cache");
	world_response_header(out, "Pragma", "no-cache");
	world_response_header(out, "Content-Type", "application/json; charset=utf-8");
	world_response_header(out, "Expires", "-1");
	world_response_header(
		out, "Strict-Transport-Security", "max-age=31536000; includeSubDomains");
	world_response_header(out, "X-Content-Type-Options", "nosniff");
	world_response_header(out, "P3P", "CP=\"DSP CUR OTPi IND OTRi ONL FIN\"");
	world_response_header(out, "x-ms-request-id", "%s", guid);
	world_response_header(out, "x-ms-ests-server", "2.1.22345.6 - WEULR1 ProdSlices");
	world_response_header(out, "X-XSS-Protection", "0");
}

static void discovery(
	struct azure *azure, const struct world_request *req, struct world_response *out) {
	struct buf endpoint;
	buf_init(&endpoint, 4096);
	world_query(req->query, "authorization_endpoint", &endpoint);
	struct str rest = buf_str(&endpoint);
	for (int i = 0; i < 3; i++) str_next(&rest, '/');
	struct str tenant = rest.ptr ? str_next(&rest, '/') : STR("common");
	if (!tenant.len) tenant = STR("common");
	buf_printf(&out->body,
		"{\"tenant_discovery_endpoint\":\"https://%s/%.*s/v2.0/.well-known/"
		"openid-configuration\","
		"\"api-version\":\"1.1\",\"metadata\":[{\"preferred_network\":\"login."
		"microsoftonline.com\","
		"\"preferred_cache\":\"login.windows.net\",\"aliases\":[\"login.microsoftonline."
		"com\","
		"\"login.windows.net\",\"login.microsoft.com\",\"sts.windows.net\"]},"
		"{\"preferred_network\":\"login.partner.microsoftonline.cn\",\"preferred_cache\":"
		"\"login.partner.microsoftonline.cn\",\"aliases\":[\"login.partner.microsoftonline."
		"cn\","
		"\"login.chinacloudapi.cn\"]},{\"preferred_network\":\"login.microsoftonline.us\","
		"\"preferred_cache\":"
		"\"login.microsoftonline.us\",\"aliases\":[\"login.microsoftonline.us\",\"login."
		"usgovcloudapi.net\"]}]}",
		azure->login_host, STR_ARG(tenant));
	buf_deinit(&endpoint);
}

static void configuration(
	struct azure *azure, struct now now, struct str tenant, struct world_response *out) {
	if (!azure_tenant_known(azure, tenant) && !str_eq(tenant, STR("common"))) {
		azure_entra_error(azure, now, NULL, 90002, out);
		buf_reset(&out->body);
		buf_append(&out->body, STR("{\"error\":\"invalid_tenant\",\"error_description\":"
					   "\"AADSTS90002: Tenant not found.\","
					   "\"error_codes\":[90002]}"));
		return;
	}
	struct buf base;
	buf_init(&base, 1024);
	buf_printf(&base, "https://%s/%.*s", azure->login_host, STR_ARG(tenant));
	const char *at = buf_cstr(&base);
	buf_printf(&out->body,
		"{\"token_endpoint\":\"%s/oauth2/v2.0/"
		"token\",\"token_endpoint_auth_methods_supported\":"
		"[\"client_secret_post\",\"private_key_jwt\",\"client_secret_basic\"],\"jwks_uri\":"
		"\"%s/discovery/v2.0/"
		"keys\",\"response_modes_supported\":[\"query\",\"fragment\",\"form_post\"],"
		"\"subject_types_supported\":[\"pairwise\"],\"id_token_signing_alg_values_"
		"supported\":[\"RS256\"],"
		"\"response_types_supported\":[\"code\",\"id_token\",\"code id_token\",\"id_token "
		"token\"],"
		"\"scopes_supported\":[\"openid\",\"profile\",\"email\",\"offline_access\"],"
		"\"issuer\":\"%s/v2.0\","
		"\"authorization_endpoint\":\"%s/oauth2/v2.0/"
		"authorize\",\"tenant_region_scope\":\"EU\","
		"\"cloud_instance_name\":\"microsoftonline.com\",\"rbac_url\":\"https://"
		"pas.windows.net\"}",
		at, at, at, at);
	buf_deinit(&base);
}

static bool form(struct token_call *call, const char *name, struct buf *out_value) {
	buf_init(out_value, WORLD_HEAD_BYTES);
	return world_query(call->req->body, name, out_value) && buf_str(out_value).len;
}

static int64_t check_credential(struct token_call *call, const struct azure_identity *identity) {
	struct buf assertion, type, secret;
	int64_t code = 0;
	bool asserted = form(call, "client_assertion", &assertion);
	bool typed = form(call, "client_assertion_type", &type);
	bool shared = form(call, "client_secret", &secret);
	if (asserted &&
		!(typed &&
			str_eq(buf_str(&type),
				STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")))) {
		code = 90100;
	} else if (asserted) {
		code = azure_assertion_check(call->azure, call->now, identity, buf_str(&assertion));
	} else if (!shared) {
		code = 7000216;
	} else if (!identity->secret || !str_eq(str_of(identity->secret), buf_str(&secret))) {
		code = 7000215;
	} else if (identity->secret_until_s != AZURE_UNSET &&
		   call->now.wall_ns / NS_PER_S >= identity->secret_until_s) {
		code = 7000222;
	}
	buf_deinit(&assertion);
	buf_deinit(&type);
	buf_deinit(&secret);
	return code;
}

/* The one scope that is a resource's; the SDKs put those of OpenID beside it, which mean nothing here. */
static struct str resource_scope(struct str scopes) {
	static const char *const openid[] = { "openid", "profile", "email", "offline_access" };
	struct str found = STR("");
	for (struct str rest = scopes; rest.ptr;) {
		struct str scope = str_next(&rest, ' ');
		bool ignored = !scope.len;
		for (size_t i = 0; i < sizeof(openid) / sizeof(*openid); i++)
			ignored |= str_eq(scope, str_of(openid[i]));
		if (ignored) continue;
		if (found.len) return STR(""); /* more than one resource */
		found = scope;
	}
	return found;
}

static bool resource_known(const struct azure *azure, struct str resource) {
	static const char *const resources[] = { "https://vault.azure.net",
		"https://vault.azure.net/", "https://management.azure.com",
		"https://management.azure.com/", "https://graph.microsoft.com",
		"api://AzureADTokenExchange" };
	bool known = str_ends(resource, str_of(azure->suffix));
	for (size_t i = 0; i < sizeof(resources) / sizeof(*resources); i++)
		known |= str_eq(resource, str_of(resources[i]));
	return known;
}

/* The scope is the resource with /.default; a slash of the resource's own stays in the audience and is refused later. */
static int64_t check_scope(struct token_call *call) {
	struct buf text;
	int64_t code = 0;
	if (!form(call, call->v1 ? "resource" : "scope", &text)) {
		code = 900144;
	} else if (call->v1) {
		buf_append(&call->audience, buf_str(&text));
	} else {
		struct str scope = resource_scope(buf_str(&text)), tail = STR("/.default");
		if (!str_ends(scope, tail)) code = 1002012;
		if (!code) buf_append(&call->audience, str_slice(scope, 0, scope.len - tail.len));
	}
	buf_deinit(&text);
	if (!code && !resource_known(call->azure, buf_str(&call->audience))) code = 500011;
	return code;
}

static int64_t check(struct token_call *call, const struct azure_identity **out_identity) {
	struct buf grant, client;
	bool granted = form(call, "grant_type", &grant), named = form(call, "client_id", &client);
	const struct azure_identity *identity = azure_identity_find(call->azure, buf_str(&client));
	int64_t code = 0;
	if (!azure_tenant_known(call->azure, call->tenant)) {
		code = 90002;
	} else if (!granted || !named) {
		code = 900144;
	} else if (!str_eq(buf_str(&grant), STR("client_credentials"))) {
		code = 70003;
	} else if (!identity || !str_eq_nocase(str_of(identity->tenant), call->tenant)) {
		code = 700016;
	} else {
		code = check_credential(call, identity);
		if (!code) code = check_scope(call);
		*out_identity = identity;
	}
	buf_deinit(&grant);
	buf_deinit(&client);
	return code;
}

static void grant_token(struct token_call *call, const struct azure_identity *identity) {
	struct azure *azure = call->azure;
	const struct azure_fault *life =
		azure_fault_hit(azure, call->now, call->req, FAULT_TOKEN_LIFE);
	const struct azure_fault *size =
		azure_fault_hit(azure, call->now, call->req, FAULT_TOKEN_BYTES);
	int64_t seconds = life ? life->number : TOKEN_SECONDS, now_s = call->now.wall_ns / NS_PER_S;
	struct azure_claims claims = { .not_before_s = now_s, .expires_s = now_s + seconds };
	snprintf(claims.audience, sizeof(claims.audience), "%s", buf_cstr(&call->audience));
	snprintf(claims.tenant, sizeof(claims.tenant), "%s", identity->tenant);
	snprintf(claims.client_id, sizeof(claims.client_id), "%s", identity->client_id);
	snprintf(claims.issuer, sizeof(claims.issuer), "https://sts.windows.net/%s/",
		identity->tenant);
	struct buf token;
	buf_init(&token, 1 << 16);
	azure_token_make(azure, &claims, call->now, size ? (size_t)size->number : 1200, &token);
	long long life_s = (long long)seconds;
	if (call->v1) {
		buf_printf(&call->out->body,
			"{\"token_type\":\"Bearer\",\"expires_in\":\"%lld\",\"ext_expires_in\":\"%"
			"lld\",\"expires_on\":\"%lld\","
			"\"not_before\":\"%lld\",\"resource\":\"%s\",\"access_token\":\"%s\"}",
			life_s, life_s, (long long)claims.expires_s, (long long)claims.not_before_s,
			claims.audience, buf_cstr(&token));
	} else {
		buf_printf(&call->out->body,
			"{\"token_type\":\"Bearer\",\"expires_in\":%lld,\"ext_expires_in\":%lld,"
			"\"access_token\":\"%s\"}",
			life_s, life_s, buf_cstr(&token));
	}
	buf_deinit(&token);
	azure->tokens++;
}

static void token(struct token_call *call) {
	const struct azure_fault *fault =
		azure_fault_hit(call->azure, call->now, call->req, FAULT_THROTTLE);
	if (fault) {
		buf_reset(&call->out->head);
		world_response_header(call->out, "Content-Type", "text/plain");
		world_response_header(call->out, "Retry-After", "%lld",
			(long long)(fault->retry_after_s >= 0 ? fault->retry_after_s : 60));
		call->out->status = 429;
		buf_append(&call->out->body, STR("Too Many Requests"));
		return;
	}
	const struct azure_identity *identity = NULL;
	fault = azure_fault_hit(call->azure, call->now, call->req, FAULT_AADSTS);
	int64_t code = fault ? fault->number : check(call, &identity);
	if (code) {
		azure_entra_error(call->azure, call->now, fault, code, call->out);
	} else {
		grant_token(call, identity);
	}
}

static void not_found(struct world_response *out) {
	buf_reset(&out->head);
	out->status = 404;
	world_response_header(out, "Content-Type", "text/html");
	buf_append(&out->body, STR("<!DOCTYPE html><html><head><title>Sign in to your "
				   "account</title></head></html>"));
}

void azure_entra_handle(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	struct str rest = str_slice(req->path, 1, SIZE_MAX);
	struct str tenant = str_next(&rest, '/');
	struct str tail = rest.ptr ? rest : STR("");
	bool post = str_eq(req->method, STR("POST"));
	struct token_call call = {
		.azure = azure, .now = now, .req = req, .out = out, .tenant = tenant
	};
	buf_init(&call.audience, 1024);
	headers(azure, out);
	if (str_eq(tail, STR("discovery/instance"))) {
		discovery(azure, req, out);
	} else if (str_eq(tail, STR("v2.0/.well-known/openid-configuration"))) {
		configuration(azure, now, tenant, out);
	} else if (str_eq(tail, STR("discovery/v2.0/keys"))) {
		buf_append(&out->body, STR("{\"keys\":[]}"));
	} else if (post && str_eq(tail, STR("oauth2/v2.0/token"))) {
		token(&call);
	} else if (post && str_eq(tail, STR("oauth2/token"))) {
		call.v1 = true;
		token(&call);
	} else {
		not_found(out);
	}
	buf_deinit(&call.audience);
}
