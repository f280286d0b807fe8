/* clients/imds.h - the instance metadata service of an Azure machine: access tokens of the managed identities that are
 * assigned to the node. One GET of plain http to a link-local address that no proxy may see.
 *
 * Facts: Microsoft's documentation of managed identities for virtual machines, and the retry rules of its SDKs.
 */
#pragma once

#include "clients/entra.h"

/* Where it answers, on every machine of Azure. The site has to allow http, and no proxy. */
#define IMDS_ORIGIN "http://169.254.169.254"

struct imds_call {
	struct http_req http;
};
void imds_call_deinit(struct imds_call *call);

/* scope: "https://vault.azure.net/.default", of which the service takes the part before "/.default"; client_id: of an
 * identity that a user assigned, or empty for the node's only one. */
enum err imds_token(struct imds_call *call, const struct http_site *site, struct str scope,
	struct str client_id, struct secret_arena *arena);

/* Reads a 200. Every number is a text there. now_s: unix seconds, for an answer that says only when the token ends.
 * ERR_PARSE when there is no token in it. */
enum err imds_read_token(const struct imds_call *call, struct secret_arena *arena, int64_t now_s,
	struct entra_token *out_token, struct fault *fault);

/* What an ended request means. The text names the remedy; retry_after_ns holds a wait where the service needs one. */
enum err imds_result(const struct imds_call *call, struct fault *fault, struct str client_id);
