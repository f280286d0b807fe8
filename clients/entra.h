/* clients/entra.h - Microsoft Entra: a service account token is exchanged for an access token (OAuth 2.0 client
 * credentials with a client assertion, RFC 7523). One POST, no discovery.
 */
#pragma once

#include "clients/http.h"

struct entra_call {
	struct http_req http;
	struct secret _form;
};
void entra_call_deinit(struct entra_call *call);

/* authority: "https://login.microsoftonline.com" without a slash; scope: "https://vault.azure.net/.default". */
enum err entra_exchange(struct entra_call *call, const struct http_site *site, struct str authority,
	struct str tenant, struct str client_id, struct str scope, const struct secret *assertion,
	struct secret_arena *arena);

struct entra_token {
	struct secret value;
	int64_t expires_in_s;
	int64_t refresh_in_s; /* 0: not sent */
};

/* Reads a 2xx answer. ERR_PARSE when there is no token in it. */
enum err entra_read_token(const struct entra_call *call, struct secret_arena *arena,
	struct entra_token *out_token, struct fault *fault);

/* What an ended request means: classified by AADSTS number, then by `error`, then by status. The fault's code is
 * "AADSTSnnnnnn"; the text is ours and names the remedy; Entra's own text (trace ids, times) is not in it. */
enum err entra_result(const struct entra_call *call, struct fault *fault, struct str tenant,
	struct str client_id);

/* After an error that is about the assertion (AADSTS700211 and its kind): adds to the fault's text which issuer, subject and
 * audience it presents, and whether the issuer ends with a slash. The same for each token of a service account, so that a
 * text that is shown does not change. Nothing is added where the assertion is no JWT, or holds none of the three. */
void entra_show_claims(
	struct fault *fault, const struct secret *assertion, struct secret_arena *arena);
