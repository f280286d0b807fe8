/* tests/world/azure_entra_error.c - Entra's errors: code, status and error word, and the body's two generations. */
#include "tests/world/azure.h"

#include <assert.h>
#include <time.h>

static const struct {
	int64_t code;
	int status;
	const char *error, *text;
} errors[] = {
	{ 70021, 401, "invalid_client",
		"No matching federated identity record found for presented assertion." },
	{ 700211, 401, "invalid_client",
		"No matching federated identity record found for presented assertion issuer." },
	{ 700212, 401, "invalid_client",
		"No matching federated identity record found for presented assertion audience." },
	{ 700213, 401, "invalid_client",
		"No matching federated identity record found for presented assertion subject." },
	{ 70025, 401, "invalid_client",
		"The client has no configured federated identity credentials." },
	{ 700222, 400, "invalid_request",
		"AAD-issued tokens may not be used for federated identity flows." },
	{ 700024, 401, "invalid_client", "Client assertion is not within its valid time range." },
	{ 700016, 400, "unauthorized_client", "Application was not found in the directory." },
	{ 7000215, 401, "invalid_client", "Invalid client secret provided." },
	{ 7000222, 401, "invalid_client",
		"The provided client secret keys for the app are expired." },
	{ 7000216, 401, "invalid_client",
		"'client_assertion', 'client_secret' or 'request' is required for the "
		"'client_credentials' grant type." },
	{ 7000229, 401, "invalid_client",
		"The client application is missing service principal in the tenant." },
	{ 90002, 400, "invalid_request",
		"Tenant not found. Check to make sure you have the correct tenant ID." },
	{ 900023, 400, "invalid_request",
		"Specified tenant identifier is neither a valid DNS name, nor a valid external "
		"domain." },
	{ 90061, 400, "invalid_request", "Request to External OIDC endpoint failed." },
	{ 50166, 400, "invalid_request", "Request to External OIDC endpoint failed." },
	{ 501661, 400, "invalid_request", "Unable to retrieve the OIDC issuer's metadata." },
	{ 700027, 401, "invalid_client",
		"The certificate with identifier used to sign the client assertion is not "
		"registered." },
	{ 500011, 400, "invalid_resource", "The resource principal was not found in the tenant." },
	{ 70011, 400, "invalid_scope",
		"The provided value for the input parameter 'scope' is not valid." },
	{ 1002012, 400, "invalid_scope",
		"The provided value for scope is not valid. Client credential flows must have a "
		"scope value with /.default suffixed to the resource identifier." },
	{ 53003, 400, "invalid_grant", "Access has been blocked by Conditional Access policies." },
	{ 50196, 400, "invalid_grant",
		"The server terminated an operation because it encountered a client request "
		"loop." },
	{ 50034, 400, "invalid_grant", "The user account does not exist." },
	{ 50076, 400, "interaction_required", "You must use multi-factor authentication." },
	{ 65001, 400, "invalid_grant",
		"The user or administrator has not consented to use the application." },
	{ 90100, 400, "invalid_request", "A parameter is empty or not valid." },
	{ 900144, 400, "invalid_request",
		"The request body must contain a required parameter that is missing." },
	{ 70003, 400, "unsupported_grant_type", "The app requested an unsupported grant type." },
	{ 90033, 503, "temporarily_unavailable",
		"A transient error has occurred. Please try again." },
	{ 50033, 503, "temporarily_unavailable",
		"A transient error has occurred. Please try again." },
	{ 90036, 500, "server_error",
		"An unexpected, non-retryable error stemming from the directory service has "
		"occurred." },
	{ 50087, 500, "server_error",
		"A transient error has occurred during STS signing. Please try again." },
};

static void stamp(struct now now, char *out, size_t size) {
	struct tm tm;
	time_t unix_s = (time_t)(now.wall_ns / NS_PER_S);
	gmtime_r(&unix_s, &tm);
	strftime(out, size, "%Y-%m-%d %H:%M:%SZ", &tm);
}

static void description(int64_t code, const char *text, const char *separator, const char *trace,
	const char *correlation, const char *time, struct buf *out) {
	buf_printf(out, "AADSTS%lld: %s%sTrace ID: %s%sCorrelation ID: %s%sTimestamp: %s",
		(long long)code, text, separator, trace, separator, correlation, separator, time);
}

void azure_entra_error(struct azure *azure, struct now now, const struct azure_fault *how,
	int64_t code, struct world_response *out) {
	size_t i = 0;
	while (i + 1 < sizeof(errors) / sizeof(*errors) && errors[i].code != code) i++;
	bool known = errors[i].code == code;
	const char *word = known ? errors[i].error : "invalid_request";
	const char *text = known ? errors[i].text : "The request was refused.";
	char trace[WORLD_GUID_BYTES], correlation[WORLD_GUID_BYTES], time[64];
	world_guid(&azure->rng, trace);
	world_guid(&azure->rng, correlation);
	stamp(now, time, sizeof(time));
	struct buf said;
	buf_init(&said, 4096);
	description(code, text, how && how->crlf ? "\r\n" : " ", trace, correlation, time, &said);
	buf_reset(&out->body);
	out->status = known ? errors[i].status : 400;
	if (how && how->status) out->status = (int)how->status;
	if (how && how->text) word = how->text;
	if (how && how->retry_after_s >= 0)
		world_response_header(out, "Retry-After", "%lld", (long long)how->retry_after_s);
	buf_printf(&out->body, "{\"error\":\"%s\",\"error_description\":", word);
	buf_append_json(&out->body, buf_str(&said));
	if (!how || !how->no_error_codes)
		buf_printf(&out->body, ",\"error_codes\":[%lld]", (long long)code);
	buf_printf(&out->body,
		",\"timestamp\":\"%s\",\"trace_id\":\"%s\",\"correlation_id\":\"%s\"", time, trace,
		correlation);
	if (code != 90033) {
		buf_printf(&out->body, ",\"error_uri\":\"https://%s/error?code=%lld\"",
			azure->login_host, (long long)code);
	}
	buf_append_char(&out->body, '}');
	buf_deinit(&said);
}
