/* clients/entra.h - Microsoft Entra: a service account token, or a client secret, is exchanged for an access token (OAuth
 * 2.0 client credentials; RFC 7523 for the former, RFC 6749 section 4.4 for the latter). One POST, no discovery.
 */
#pragma once

#include "clients/http.h"

struct entra_call {
	struct http_req http;
	struct secret _form;
	bool _by_secret;
};
void entra_call_deinit(struct entra_call *call);

/* authority: "https://login.microsoftonline.com" without a slash; scope: "https://vault.azure.net/.default". The tenant
 * "adfs" is the directory of Active Directory Federation Services, whose endpoint has no version in its path. */
enum err entra_exchange(struct entra_call *call, const struct http_site *site, struct str authority,
	struct str tenant, struct str client_id, struct str scope, const struct secret *assertion,
	struct secret_arena *arena);

/* The same for a service principal, whose client id comes out of a Secret, too. */
enum err entra_exchange_secret(struct entra_call *call, const struct http_site *site,
	struct str authority, struct str tenant, struct str scope, const struct secret *client_id,
	const struct secret *client_secret, struct secret_arena *arena);

struct entra_token {
	struct secret value;
	int64_t expires_in_s;
	int64_t refresh_in_s; /* 0: not sent */
};

/* Reads a 2xx answer. ERR_PARSE when there is no token in it. */
enum err entra_read_token(const struct entra_call *call, struct secret_arena *arena,
	struct entra_token *out_token, struct fault *fault);

/* Reads a token out of a JSON object whose numbers may be texts: access_token, expires_in or (with now_s, unix seconds, not 0)
 * expires_on, refresh_in. ERR_PARSE, without a text. */
enum err entra_scan_token(
	struct str body, struct secret_arena *arena, int64_t now_s, struct entra_token *out_token);

/* What an ended request means: classified by AADSTS number, then by `error`, then by status. The fault's code is
 * "AADSTSnnnnnn"; the text is ours and names the remedy; Entra's own text (trace ids, times) is not in it. client_id is for
 * people: of a service principal say where it stands, since it came out of a Secret. */
enum err entra_result(const struct entra_call *call, struct fault *fault, struct str tenant,
	struct str client_id);

/* After an error that is about the assertion (AADSTS700211 and its kind): adds to the fault's text which issuer, subject and
 * audience it presents, and whether the issuer ends with a slash. The same for each token of a service account, so that a
 * text that is shown does not change. Nothing is added where the assertion is no JWT, or holds none of the three. */
void entra_show_claims(
	struct fault *fault, const struct secret *assertion, struct secret_arena *arena);
