/* What an error of Microsoft Entra means. Status and `error` of one AADSTS code changed over the years, so that the number
 * decides first, then `error`, then the status. Entra's own text is never shown: it holds trace ids and times, which would
 * make the same failure look new each time. */
#include <stdio.h>
#include <string.h>

#include "clients/entra.h"
#include "clients/json.h"

struct meaning {
	int64_t code; /* behind AADSTS */
	enum err err;
	const char *remedy;
};

#define COMPARE                                                                             \
	"compare the federated credential's issuer, subject and audience with the service " \
	"account letter by letter"

static const struct meaning MEANINGS[] = {
	{ 70021, ERR_DENIED,
		"no federated credential matches: " COMPARE "; a new one takes minutes" },
	{ 700211, ERR_DENIED,
		"no federated credential has this cluster's issuer: compare it with the API "
		"server's service-account-issuer; a "
		"trailing slash counts" },
	{ 700212, ERR_DENIED,
		"no federated credential has this audience: it must be api://AzureADTokenExchange "
		"(or the cloud's own)" },
	{ 700213, ERR_DENIED,
		"no federated credential has this subject: it must be "
		"system:serviceaccount:NAMESPACE:SERVICEACCOUNT; case counts" },
	{ 7002131, ERR_DENIED, "no federated credential matches: " COMPARE },
	{ 7002138, ERR_DENIED, "no federated credential matches: " COMPARE },
	{ 70025, ERR_DENIED,
		"the identity has no federated credential: create one for this service account" },
	{ 700016, ERR_DENIED,
		"the client id is not known in this tenant: check clientID (not the object id) and "
		"tenantID" },
	{ 700011, ERR_DENIED,
		"the client id is not known in this tenant: check clientID and tenantID" },
	{ 7000112, ERR_DENIED, "the application is disabled: enable it in Entra" },
	{ 7000229, ERR_DENIED,
		"the application has no service principal in this tenant: create it" },
	{ 90002, ERR_DENIED, "the tenant does not exist: check tenantID and cloudName" },
	{ 900023, ERR_DENIED, "the tenant id is malformed: check tenantID" },
	{ 90038, ERR_DENIED, "the tenant belongs to another cloud: check cloudName" },
	{ 900382, ERR_DENIED, "the identity belongs to another cloud: check cloudName" },
	{ 900432, ERR_DENIED, "the identity belongs to another cloud: check cloudName" },
	{ 500011, ERR_DENIED,
		"Key Vault is not known in this tenant under this name: check cloudName" },
	{ 70011, ERR_DENIED, "the scope is not valid: check cloudName" },
	{ 1002012, ERR_DENIED, "the scope is not valid: check cloudName" },
	{ 700222, ERR_DENIED,
		"the service account token was issued by Entra itself: check the API server's "
		"issuer" },
	{ 53003, ERR_DENIED, "a conditional access policy for workload identities refuses it" },
	{ 7000215, ERR_DENIED,
		"the client secret is wrong: put the secret's value, not its id, under "
		"clientsecret, without a line end" },
	{ 7000222, ERR_DENIED,
		"the client secret has expired: make a new one in Entra and put it under "
		"clientsecret" },
	{ 700024, ERR_UNAVAILABLE,
		"the service account token is outside its validity: check the clocks of this node "
		"and the API server" },
	{ 50013, ERR_UNAVAILABLE,
		"the service account token was not accepted: check the API server's clock and "
		"signing keys" },
	{ 500133, ERR_UNAVAILABLE,
		"the service account token is outside its validity: check the clocks" },
	{ 700027, ERR_DENIED,
		"Entra does not know the key that signed the service account token: publish the "
		"issuer's current JWKS" },
	{ 50166, ERR_UNAVAILABLE,
		"Entra could not fetch the issuer's documents: the issuer must be public; retried "
		"by itself" },
	{ 501661, ERR_UNAVAILABLE,
		"Entra could not fetch the issuer's documents: the issuer must be public; retried "
		"by itself" },
	{ 90061, ERR_UNAVAILABLE,
		"Entra could not fetch the issuer's documents: the issuer must be public; retried "
		"by itself" },
	{ 50196, ERR_THROTTLED, "Entra sees a request loop; kvsync waits before it asks again" },
	{ 90055, ERR_THROTTLED, "the tenant is throttled; retried by itself" },
	{ 90033, ERR_UNAVAILABLE, "Entra is temporarily unavailable; retried by itself" },
	{ 50033, ERR_UNAVAILABLE, "Entra is temporarily unavailable; retried by itself" },
	{ 90036, ERR_UNAVAILABLE, "Entra has trouble; retried by itself" },
	{ 50087, ERR_UNAVAILABLE, "Entra has trouble; retried by itself" },
	{ 90006, ERR_UNAVAILABLE, "Entra has trouble; retried by itself" },
	{ 90012, ERR_UNAVAILABLE, "Entra has trouble; retried by itself" },
	{ 90024, ERR_UNAVAILABLE, "Entra has trouble; retried by itself" },
};

/* Entra's loop detection wants five minutes of silence. */
static const int64_t LOOP_WAIT_NS = 300 * NS_PER_S;

/* The first element of error_codes, else the number behind AADSTS in the description; 0: none. */
static int64_t read_code(const cJSON *json) {
	const cJSON *codes = json_get(json, "error_codes");
	const cJSON *first = cJSON_IsArray(codes) ? codes->child : NULL;
	if (first && cJSON_IsNumber(first) && first->valuedouble > 0 && first->valuedouble < 1e12)
		return (int64_t)first->valuedouble;
	struct str text = json_str(json, "error_description");
	size_t at = str_find(text, STR("AADSTS"));
	if (at == SIZE_MAX) return 0;
	text = str_slice(text, at + 6, 12);
	size_t digits = 0;
	while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') digits++;
	int64_t code = 0;
	return str_to_i64(str_slice(text, 0, digits), &code) == OK ? code : 0;
}

static struct meaning by_error(struct str error, int status, bool by_secret) {
	if (status == 429)
		return (struct meaning){ 0, ERR_THROTTLED,
			"too many token requests; retried by itself" };
	if (status >= 500 || status == 408 || str_eq(error, STR("temporarily_unavailable")) ||
		str_eq(error, STR("server_error"))) {
		return (struct meaning){ 0, ERR_UNAVAILABLE,
			"Entra has trouble; retried by itself" };
	}
	if (str_eq(error, STR("invalid_client")) || str_eq(error, STR("unauthorized_client"))) {
		return (struct meaning){ 0, ERR_DENIED,
			by_secret ? "check clientid and clientsecret in the Secret, and tenantID"
				  : COMPARE ", and clientID and tenantID" };
	}
	if (error.len)
		return (struct meaning){ 0, ERR_DENIED, "check clientID, tenantID and cloudName" };
	return (struct meaning){ 0, ERR_UNAVAILABLE,
		"an answer that is not Entra's; is a proxy in between?" };
}

static struct meaning meaning_of(int64_t code, struct str error, int status, bool by_secret) {
	if (status == 429) return by_error(error, status, by_secret);
	for (size_t i = 0; i < sizeof MEANINGS / sizeof MEANINGS[0]; i++) {
		if (MEANINGS[i].code == code) return MEANINGS[i];
	}
	return by_error(error, status, by_secret);
}

enum err entra_result(const struct entra_call *call, struct fault *fault, struct str tenant,
	struct str client_id) {
	const struct http_req *http = &call->http;
	struct fault ignored = { 0 };
	cJSON *json = NULL;
	if (http->err) {
		if (fault) *fault = http->fault;
		return fault_prefix(fault, http->err, "token for client %.*s of tenant %.*s",
			STR_ARG(client_id), STR_ARG(tenant));
	}
	if (http->status == 200) return OK;
	bool parsed = json_parse(http_response_body(http), &json, &ignored) == OK;
	int64_t code = parsed ? read_code(json) : 0;
	struct meaning meaning = meaning_of(
		code, parsed ? json_str(json, "error") : STR_NULL, http->status, call->_by_secret);
	char name[32] = "";
	if (code) snprintf(name, sizeof name, "AADSTS%lld", (long long)code);
	enum err err = fault_set(fault, meaning.err,
		"Microsoft Entra refused a token for client %.*s of tenant %.*s (%d%s%s): %s",
		STR_ARG(client_id), STR_ARG(tenant), http->status, name[0] ? " " : "", name,
		meaning.remedy);
	cJSON_Delete(json);
	if (!fault) return err;
	fault->http_status = http->status;
	fault->retry_after_ns = http->retry_after_ns > 0 ? http->retry_after_ns : 0;
	if (code == 50196 && fault->retry_after_ns < LOOP_WAIT_NS)
		fault->retry_after_ns = LOOP_WAIT_NS;
	memcpy(fault->code, name, sizeof name);
	return err;
}
