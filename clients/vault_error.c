/* What an error of Key Vault means, and what to do about it. Decided by HTTP status and error codes, never by sentences:
 * messages name tenants, objects and addresses, change over the years, and may hold line breaks. */
#include <stdio.h>

#include "clients/json.h"
#include "clients/vault.h"

struct verdict {
	char code[FAULT_CODE_BYTES]; /* error.code */
	char inner[FAULT_CODE_BYTES]; /* the innermost innererror.code */
	bool doubtful_401; /* the service says that it cannot judge the token now */
};

static void copy_code(struct str text, char out_code[static FAULT_CODE_BYTES]) {
	if (!text.len || text.len >= FAULT_CODE_BYTES) return;
	memcpy(out_code, text.ptr, text.len);
	out_code[text.len] = 0;
}

static const cJSON *inner_of(const cJSON *error) {
	return cJSON_GetObjectItem(
		error, "innererror"); /* without regard to case: both spellings were seen */
}

static void read_verdict(const struct vault_call *call, struct verdict *out) {
	struct fault ignored = { 0 };
	cJSON *json = NULL;
	if (json_parse(http_response_body(&call->http), &json, &ignored) != OK) return;
	const cJSON *error = json_get(json, "error");
	copy_code(json_str(error, "code"), out->code);
	/* AKV10046: signing keys could not be fetched; a good token is refused for some seconds. */
	out->doubtful_401 = str_starts(json_str(error, "message"), STR("AKV10046"));
	const cJSON *inner = inner_of(error);
	for (int depth = 0; inner && depth < 8; depth++, inner = inner_of(inner))
		copy_code(json_str(inner, "code"), out->inner);
	cJSON_Delete(json);
}

struct meaning {
	int status;
	const char *code; /* innermost code, or error.code; NULL: any */
	enum err err;
	const char *remedy;
	const char *remedy_public; /* of keys and certificates; NULL: the same */
};

#define LACKS(role)                                   \
	"the identity lacks the role: assign \"" role \
	"\" at the vault; a new assignment takes up to 10 minutes"

static const struct meaning MEANINGS[] = {
	{ 400, NULL, ERR_INVALID,
		"the vault does not accept this name or version: letters, digits and dashes only, "
		"at most 127" },
	{ 401, NULL, ERR_UNAUTHENTICATED,
		"the vault does not accept the token: check tenantID (the vault's own tenant) and "
		"cloudName" },
	{ 403, "SecretDisabled", ERR_DISABLED,
		"the current version is disabled: enable it, or add an enabled one" },
	{ 403, "KeyDisabled", ERR_DISABLED, "the key is disabled: enable it" },
	{ 403, "ForbiddenByRbac", ERR_DENIED, LACKS("Key Vault Secrets User"),
		LACKS("Key Vault Certificate User") },
	{ 403, "ForbiddenByPolicy", ERR_DENIED,
		"the vault's access policy does not let the identity get and list this kind of "
		"object: add it to the policy" },
	{ 403, "AccessDenied", ERR_DENIED,
		"the vault does not let the identity read this object: check its access policy" },
	{ 403, "ForbiddenByFirewall", ERR_DENIED,
		"the vault's firewall does not admit this cluster's address: add a network rule" },
	{ 403, "ForbiddenByConnection", ERR_DENIED,
		"the vault takes private connections only: its name must resolve to the private "
		"endpoint from this cluster" },
	{ 403, "ForbiddenByNsp", ERR_DENIED, "a network security perimeter refuses this cluster" },
	{ 403, NULL, ERR_DENIED,
		"the identity may not read this object: check its role or the vault's access "
		"policy" },
	{ 404, NULL, ERR_NOT_FOUND,
		"no such object or version in the vault, or it is deleted: check objectName and "
		"objectVersion" },
	{ 408, NULL, ERR_UNAVAILABLE, "the vault timed out" },
	{ 429, NULL, ERR_THROTTLED,
		"too many requests to this vault; kvsync slows down and goes on by itself" },
};

static struct meaning meaning_of(int status, const struct verdict *verdict) {
	if (status == 401 && verdict->doubtful_401) {
		return (struct meaning){ status, NULL, ERR_UNAVAILABLE,
			"the vault cannot check tokens right now; retried by itself" };
	}
	for (size_t i = 0; i < sizeof MEANINGS / sizeof MEANINGS[0]; i++) {
		const struct meaning *meaning = &MEANINGS[i];
		if (meaning->status != status) continue;
		if (!meaning->code ||
			str_eq_nocase(str_of(meaning->code), str_of(verdict->inner)) ||
			str_eq_nocase(str_of(meaning->code), str_of(verdict->code)))
			return *meaning;
	}
	if (status >= 500)
		return (struct meaning){ status, NULL, ERR_UNAVAILABLE,
			"the vault has trouble; retried by itself" };
	return (struct meaning){ status, NULL, ERR_INTERNAL,
		"an answer that Key Vault does not document; is a proxy in between?" };
}

enum err vault_result(const struct vault_call *call, struct fault *fault, struct str vault_url,
	enum vault_kind kind, struct str name) {
	const struct http_req *http = &call->http;
	struct verdict verdict = { 0 };
	if (http->err) {
		if (fault) *fault = http->fault;
		return fault_prefix(fault, http->err, "%s \"%.*s\" of %.*s", vault_kind_name(kind),
			STR_ARG(name), STR_ARG(vault_url));
	}
	if (http->status == 200) return OK;
	read_verdict(call, &verdict);
	struct meaning meaning = meaning_of(http->status, &verdict);
	const char *code = verdict.inner[0] ? verdict.inner : verdict.code;
	const char *remedy = kind != VAULT_SECRET && meaning.remedy_public ? meaning.remedy_public
									   : meaning.remedy;
	enum err err = fault_set(fault, meaning.err,
		"%s \"%.*s\" of %.*s: the vault answered %d%s%s: %s", vault_kind_name(kind),
		STR_ARG(name), STR_ARG(vault_url), http->status, code[0] ? " " : "", code, remedy);
	if (!fault) return err;
	fault->http_status = http->status;
	fault->retry_after_ns = http->retry_after_ns > 0 ? http->retry_after_ns : 0;
	memcpy(fault->code, code, FAULT_CODE_BYTES);
	return err;
}
