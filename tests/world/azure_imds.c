/* tests/world/azure_imds.c - the instance metadata service of a node: tokens of managed identities, every number a string.
 *
 * One token per identity and resource is kept and handed out again until it has expired, so that expires_in shrinks.
 */
#include "tests/world/azure.h"

#include <assert.h>
#include <stdio.h>

enum { TOKEN_SECONDS = 86400 };

struct imds_token {
	struct list link;
	char *client_id, *resource, *token;
	int64_t from_s, until_s; /* unix */
};

static void fail(struct world_response *out, int status, const char *description) {
	out->status = status;
	buf_printf(&out->body, "{\"error\":\"invalid_request\",\"error_description\":\"%s\"}",
		description);
}

static void token_free(struct imds_token *token) {
	list_remove(&token->link);
	mem_free(token->client_id);
	mem_free(token->resource);
	mem_free(token->token);
	mem_free(token);
}

void azure_imds_forget(struct azure *azure) {
	list_for_each_safe (node, &azure->imds_tokens) {
		token_free(container_of(node, struct imds_token, link));
	}
}

static struct imds_token *token_make(struct azure *azure, struct now now,
	const struct azure_identity *identity, struct str resource) {
	struct imds_token *token = mem_zalloc(sizeof(*token));
	assert(token);
	token->from_s = now.wall_ns / NS_PER_S;
	token->until_s = token->from_s + TOKEN_SECONDS;
	token->client_id = mem_strdup(str_of(identity->client_id));
	token->resource = mem_strdup(resource);
	struct azure_claims claims = { .not_before_s = token->from_s, .expires_s = token->until_s };
	snprintf(claims.audience, sizeof(claims.audience), "%.*s", STR_ARG(resource));
	snprintf(claims.tenant, sizeof(claims.tenant), "%s", identity->tenant);
	snprintf(claims.client_id, sizeof(claims.client_id), "%s", identity->client_id);
	snprintf(claims.issuer, sizeof(claims.issuer), "https://sts.windows.net/%s/",
		identity->tenant);
	struct buf text;
	buf_init(&text, 1 << 16);
	azure_token_make(azure, &claims, now, 0, &text);
	token->token = buf_take(&text);
	assert(token->client_id && token->resource && token->token);
	list_push_back(&azure->imds_tokens, &token->link);
	azure->tokens++;
	return token;
}

static struct imds_token *token_of(struct azure *azure, struct now now,
	const struct azure_identity *identity, struct str resource) {
	list_for_each_safe (node, &azure->imds_tokens) {
		struct imds_token *token = container_of(node, struct imds_token, link);
		if (!str_eq(str_of(token->client_id), str_of(identity->client_id))) continue;
		if (!str_eq(str_of(token->resource), resource)) continue;
		if (now.wall_ns / NS_PER_S < token->until_s) return token;
		token_free(token);
	}
	return token_make(azure, now, identity, resource);
}

/* The node's identity that the request names, or the only one. NULL: the answer is written. */
static const struct azure_identity *identity_of(
	struct azure *azure, struct str query, struct world_response *out) {
	const struct azure_identity *found = NULL;
	struct buf client, object;
	buf_init(&client, 256);
	buf_init(&object, 256);
	bool named = world_query(query, "client_id", &client);
	named |= world_query(query, "object_id", &object);
	unsigned count = 0;
	list_for_each (node, &azure->identities) {
		const struct azure_identity *identity =
			container_of(node, struct azure_identity, link);
		if (!identity->on_node) continue;
		count++;
		bool meant = str_eq_nocase(buf_str(&client), str_of(identity->client_id)) ||
			     str_eq_nocase(buf_str(&object), str_of(identity->object_id));
		if (meant || !named) found = identity;
	}
	buf_deinit(&client);
	buf_deinit(&object);
	if (!found) {
		fail(out, 400, "Identity not found");
	} else if (!named && count > 1) {
		fail(out, 400,
			"Multiple user assigned identities exist, please specify the clientId / "
			"resourceId of the identity in the token request");
		found = NULL;
	}
	return found;
}

static bool check(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	if (!str_eq_nocase(world_request_header(req, "Metadata"), STR("true"))) {
		fail(out, 400, "Required metadata header not specified");
	} else if (world_request_header(req, "X-Forwarded-For").ptr) {
		fail(out, 400, "Request was forwarded");
	} else if (azure_fault_hit(azure, now, req, FAULT_THROTTLE)) {
		fail(out, 429, "Temporarily throttled, too many requests");
		out->no_reason = true;
	} else if (!str_eq(req->path, STR("/metadata/identity/oauth2/token"))) {
		out->status = 404;
	} else if (!world_query(req->query, "api-version", NULL) ||
		   !world_query(req->query, "resource", NULL)) {
		fail(out, 400, "Bad request. api-version or resource is missing");
	} else {
		return true;
	}
	return false;
}

void azure_imds_handle(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out) {
	world_response_header(out, "Content-Type", "application/json; charset=utf-8");
	world_response_header(out, "Server", "IMDS/150.870.65.1854");
	if (!check(azure, now, req, out)) return;
	const struct azure_identity *identity = identity_of(azure, req->query, out);
	if (!identity) return;
	struct buf resource;
	buf_init(&resource, 512);
	world_query(req->query, "resource", &resource);
	const struct imds_token *token = token_of(azure, now, identity, buf_str(&resource));
	buf_printf(&out->body,
		"{\"access_token\":\"%s\",\"client_id\":\"%s\",\"expires_in\":\"%lld\",\"expires_"
		"on\":"
		"\"%lld\",\"ext_expires_in\":\"86399\",\"not_before\":\"%lld\",\"resource\":\"%s\","
		"\"token_type\":\"Bearer\"}",
		token->token, token->client_id,
		(long long)(token->until_s - now.wall_ns / NS_PER_S), (long long)token->until_s,
		(long long)token->from_s, token->resource);
	buf_deinit(&resource);
}
