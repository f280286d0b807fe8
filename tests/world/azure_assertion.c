/* tests/world/azure_assertion.c - a service account's token against the federated credentials of an identity. */
#include "tests/world/azure.h"

#include <stdio.h>

enum { SKEW_SECONDS = 300 };

/* The keys of an issuer, the caller's; NULL: nobody can fetch them. */
static cJSON *keys_of(const struct azure *azure, struct str issuer) {
	list_for_each (node, &azure->issuers) {
		const struct azure_issuer *known = container_of(node, struct azure_issuer, link);
		if (!str_eq(str_of(known->issuer), issuer)) continue;
		if (known->jwks) return cJSON_Duplicate(known->jwks, true);
		FILE *file = known->jwks_file ? fopen(known->jwks_file, "re") : NULL;
		if (!file) return NULL;
		struct buf text;
		buf_init(&text, WORLD_BODY_BYTES);
		char chunk[4096];
		for (size_t got; (got = fread(chunk, 1, sizeof(chunk), file)) > 0;) {
			buf_append(&text, (struct str){ chunk, got });
		}
		fclose(file);
		cJSON *jwks = cJSON_ParseWithLength(buf_str(&text).ptr, buf_str(&text).len);
		buf_deinit(&text);
		return jwks;
	}
	return NULL;
}

/* aud is a string or an array of one; more than one audience is not what a federated credential can name. */
static struct str audience_of(const cJSON *claims) {
	const cJSON *aud = world_json_at(claims, "aud");
	if (cJSON_IsArray(aud))
		aud = cJSON_GetArraySize(aud) == 1 ? cJSON_GetArrayItem(aud, 0) : NULL;
	return str_of(cJSON_GetStringValue(aud));
}

/* 0: a credential matches. Exactly, letter by letter; what is told is the first part that no credential has. */
static int64_t match(struct now now, const struct azure_identity *identity, const cJSON *claims) {
	struct str issuer = world_json_str(claims, "iss"), subject = world_json_str(claims, "sub");
	bool some = false, issuers = false, subjects = false, young = false;
	list_for_each (node, &identity->credentials) {
		const struct azure_credential *known =
			container_of(node, struct azure_credential, link);
		some = true;
		if (!str_eq(str_of(known->issuer), issuer)) continue;
		issuers = true;
		if (!str_eq(str_of(known->subject), subject)) continue;
		subjects = true;
		if (!str_eq(str_of(known->audience), audience_of(claims))) continue;
		if (now.mono_ns >= known->from_ns) return 0;
		young = true;
	}
	if (young) return 70021;
	if (!some) return 70025;
	return !issuers ? 700211 : !subjects ? 700213 : 700212;
}

int64_t azure_assertion_check(const struct azure *azure, struct now now,
	const struct azure_identity *identity, struct str assertion) {
	cJSON *claims = azure_jwt_payload(assertion), *jwks = NULL;
	int64_t now_s = now.wall_ns / NS_PER_S, code = 700027;
	if (!claims) goto out;
	if (str_starts(world_json_str(claims, "iss"), STR("https://sts.windows.net/"))) {
		code = 700222;
		goto out;
	}
	code = match(now, identity, claims);
	if (code) goto out;
	jwks = keys_of(azure, world_json_str(claims, "iss"));
	if (!jwks) {
		code = 501661;
	} else if (!azure_jwt_verify(jwks, assertion)) {
		code = 700027;
	} else if (now_s > world_json_i64(claims, "exp", 0) + SKEW_SECONDS ||
		   now_s < world_json_i64(claims, "nbf", 0) - SKEW_SECONDS) {
		code = 700024;
	}
out:
	cJSON_Delete(claims);
	cJSON_Delete(jwks);
	return code;
}
