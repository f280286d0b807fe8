/* tests/world/test_azure_entra.c - tokens: who gets one, who does not, and how that is said. */
#include "tests/world/test_azure.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#define ISSUER "https://oidc.example/cluster/"
#define SUBJECT "system:serviceaccount:default:app"
#define AUDIENCE "api://AzureADTokenExchange"

static EVP_PKEY *issuer_key;

static void append_number(const char *name, struct buf *out) {
	BIGNUM *n = NULL;
	unsigned char bytes[512];
	assert_int_equal(EVP_PKEY_get_bn_param(issuer_key, name, &n), 1);
	int len = BN_bn2bin(n, bytes);
	azure_base64url((struct str){ (char *)bytes, (size_t)len }, out);
	BN_free(n);
}

static cJSON *jwks_make(void) {
	struct buf text;
	buf_init(&text, 4096);
	buf_append(&text, STR("{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\""));
	append_number(OSSL_PKEY_PARAM_RSA_N, &text);
	buf_append(&text, STR("\",\"e\":\""));
	append_number(OSSL_PKEY_PARAM_RSA_E, &text);
	buf_append(&text, STR("\"}]}"));
	cJSON *jwks = cJSON_ParseWithLength(buf_str(&text).ptr, buf_str(&text).len);
	assert_non_null(jwks);
	buf_deinit(&text);
	return jwks;
}

static void assertion(const struct fixture *f, const char *issuer, const char *subject,
	const char *audience, int64_t age_s, struct buf *out) {
	struct buf payload;
	int64_t now_s = f->now.wall_ns / NS_PER_S;
	buf_init(&payload, 4096);
	buf_printf(&payload,
		"{\"iss\":\"%s\",\"sub\":\"%s\",\"aud\":[\"%s\"],\"nbf\":%lld,\"exp\":%lld}",
		issuer, subject, audience, (long long)(now_s - age_s),
		(long long)(now_s - age_s + 600));
	buf_reset(out);
	azure_base64url(STR("{\"alg\":\"RS256\",\"kid\":\"k\"}"), out);
	buf_append_char(out, '.');
	azure_base64url(buf_str(&payload), out);
	unsigned char signature[512];
	size_t len = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, issuer_key), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &len,
				 (const unsigned char *)buf_str(out).ptr, buf_str(out).len),
		1);
	EVP_MD_CTX_free(ctx);
	buf_append_char(out, '.');
	azure_base64url((struct str){ (char *)signature, len }, out);
	buf_deinit(&payload);
}

static void ask(struct fixture *f, const char *tenant, const char *client, struct str jwt,
	const char *scope) {
	struct buf body;
	char path[256];
	buf_init(&body, 1 << 16);
	buf_printf(&body,
		"grant_type=client_credentials&client_id=%s&scope=%s&client_assertion=%.*s&client_"
		"assertion_type="
		"urn%%3Aietf%%3Aparams%%3Aoauth%%3Aclient-assertion-type%%3Ajwt-bearer",
		client, scope, STR_ARG(jwt));
	snprintf(path, sizeof(path), "/%s/oauth2/v2.0/token", tenant);
	fixture_ask(f, "login.microsoftonline.com", "POST", path, "", buf_cstr(&body), false);
	buf_deinit(&body);
}

/* The AADSTS code of the answer; 0: a token came. */
static int code(const struct fixture *f) {
	if (f->out.status == 200) return said(f, "access_token").len ? 0 : -1;
	int found = 0;
	sscanf(buf_str(&f->out.body).ptr,
		"{\"error\":\"%*[a-z_]\",\"error_description\":\"AADSTS%d:", &found);
	assert_int_equal(
		cJSON_GetArrayItem(world_json_at(f->json, "error_codes"), 0)->valueint, found);
	return found;
}

static int exchange(struct fixture *f, const char *issuer, const char *subject,
	const char *audience, int64_t age_s) {
	struct buf jwt;
	buf_init(&jwt, 8192);
	assertion(f, issuer, subject, audience, age_s, &jwt);
	ask(f, TENANT, CLIENT, buf_str(&jwt), SCOPE);
	buf_deinit(&jwt);
	return code(f);
}

static void federate(struct fixture *f) {
	cJSON *jwks = jwks_make();
	azure_issuer_set(f->azure, STR(ISSUER), &jwks, STR_NULL);
	azure_federate(azure_identity_find(f->azure, STR(CLIENT)), STR(ISSUER), STR(SUBJECT),
		STR(AUDIENCE), 0);
}

static void gives_a_token_that_the_vault_takes(void **state) {
	struct fixture *f = *state;
	federate(f);
	put(f, "a", "1");
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 0);
	assert_int_equal(world_json_i64(f->json, "expires_in", 0), 3599);
	assert_str(said(f, "token_type"), "Bearer");
	assert_null(world_json_at(f->json, "refresh_in"));
	assert_str(
		header_said(f, "Strict-Transport-Security"), "max-age=31536000; includeSubDomains");
	buf_reset(&f->token);
	buf_append(&f->token, said(f, "access_token"));
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
}

static void matches_letter_by_letter(void **state) {
	struct fixture *f = *state;
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 70025);
	federate(f);
	assert_int_equal(exchange(f, "https://oidc.example/cluster", SUBJECT, AUDIENCE, 0), 700211);
	assert_int_equal(f->out.status, 401);
	assert_int_equal(
		exchange(f, ISSUER, "system:serviceaccount:default:App", AUDIENCE, 0), 700213);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, "https://kubernetes.default.svc", 0), 700212);
	assert_int_equal(exchange(f, "https://sts.windows.net/x/", SUBJECT, AUDIENCE, 0), 700222);
	assert_int_equal(f->out.status, 400);
}

static void checks_signature_and_time(void **state) {
	struct fixture *f = *state;
	struct buf jwt;
	federate(f);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 900), 0);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 901), 700024);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, -300), 0);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, -301), 700024);
	buf_init(&jwt, 8192);
	assertion(f, ISSUER, SUBJECT, AUDIENCE, 0, &jwt);
	char *bad = mem_strdup(buf_str(&jwt));
	size_t last = strlen(bad) - 10;
	bad[last] = bad[last] == 'A' ? 'B' : 'A';
	ask(f, TENANT, CLIENT, str_of(bad), SCOPE);
	assert_int_equal(code(f), 700027);
	mem_free(bad);
	buf_deinit(&jwt);
	azure_issuer_set(f->azure, STR(ISSUER), NULL, STR("/nonexistent"));
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 501661);
	assert_int_equal(f->out.status, 400);
}

static void needs_a_moment_for_a_new_credential(void **state) {
	struct fixture *f = *state;
	cJSON *jwks = jwks_make();
	azure_issuer_set(f->azure, STR(ISSUER), &jwks, STR_NULL);
	azure_federate(azure_identity_find(f->azure, STR(CLIENT)), STR(ISSUER), STR(SUBJECT),
		STR(AUDIENCE), f->now.mono_ns + 60 * NS_PER_S);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 70021);
	pass_seconds(f, 60);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 0);
}

static void names_what_is_wrong_with_the_request(void **state) {
	struct fixture *f = *state;
	struct buf jwt;
	buf_init(&jwt, 8192);
	federate(f);
	assertion(f, ISSUER, SUBJECT, AUDIENCE, 0, &jwt);
	ask(f, "99999999-9999-9999-9999-999999999999", CLIENT, buf_str(&jwt), SCOPE);
	assert_int_equal(code(f), 90002);
	ask(f, TENANT, "nobody", buf_str(&jwt), SCOPE);
	assert_int_equal(code(f), 700016);
	assert_int_equal(f->out.status, 400);
	ask(f, TENANT, CLIENT, buf_str(&jwt), "https%3A%2F%2Fvault.azure.net");
	assert_int_equal(code(f), 1002012);
	ask(f, TENANT, CLIENT, buf_str(&jwt), "https%3A%2F%2Fvault.azure.cn%2F.default");
	assert_int_equal(code(f), 500011);
	ask(f, TENANT, CLIENT, STR_NULL, SCOPE);
	assert_int_equal(code(f), 7000216);
	buf_deinit(&jwt);
}

static void checks_client_secrets(void **state) {
	struct fixture *f = *state;
	struct azure_identity *identity = azure_identity_find(f->azure, STR(CLIENT));
	const char *body = "grant_type=client_credentials&client_id=" CLIENT
			   "&client_secret=se%2Bcret&scope=" SCOPE;
	identity->secret = mem_strdup(STR("other"));
	fixture_ask(f, "login.microsoftonline.com", "POST", "/" TENANT "/oauth2/v2.0/token", "",
		body, false);
	assert_int_equal(code(f), 7000215);
	mem_free(identity->secret);
	identity->secret = mem_strdup(STR("se+cret"));
	fixture_ask(f, "login.microsoftonline.com", "POST", "/" TENANT "/oauth2/v2.0/token", "",
		body, false);
	assert_int_equal(code(f), 0);
	identity->secret_until_s = f->now.wall_ns / NS_PER_S;
	fixture_ask(f, "login.microsoftonline.com", "POST", "/" TENANT "/oauth2/v2.0/token", "",
		body, false);
	assert_int_equal(code(f), 7000222);
}

/* A slash at the resource's end is part of the audience, and the vault refuses it. */
static void speaks_version_one_in_strings(void **state) {
	struct fixture *f = *state;
	azure_identity_find(f->azure, STR(CLIENT))->secret = mem_strdup(STR("s"));
	fixture_ask(f, "login.microsoftonline.com", "POST", "/" TENANT "/oauth2/token", "",
		"grant_type=client_credentials&client_id=" CLIENT
		"&client_secret=s&resource=https%3A%2F%2Fvault.azure.net%2F",
		false);
	assert_int_equal(f->out.status, 200);
	assert_str(said(f, "expires_in"), "3599");
	assert_str(said(f, "resource"), "https://vault.azure.net/");
	buf_reset(&f->token);
	buf_append(&f->token, said(f, "access_token"));
	assert_int_equal(vault_get(f, "/secrets"), 401);
	assert_true(str_starts(said(f, "error.message"), STR("AKV10022")));
}

static void tells_tenants_at_discovery(void **state) {
	struct fixture *f = *state;
	fixture_ask(f, "login.microsoftonline.com", "GET",
		"/" TENANT "/v2.0/.well-known/openid-configuration", "", "", false);
	assert_int_equal(f->out.status, 200);
	assert_str(said(f, "token_endpoint"),
		"https://login.microsoftonline.com/" TENANT "/oauth2/v2.0/token");
	fixture_ask(f, "login.microsoftonline.com", "GET",
		"/nobody.example/v2.0/.well-known/openid-configuration", "", "", false);
	assert_int_equal(f->out.status, 400);
	assert_str(said(f, "error"), "invalid_tenant");
	fixture_ask(f, "login.microsoftonline.com", "GET", "/common/discovery/instance",
		"api-version=1.1&authorization_endpoint=https%3A%2F%2Flogin.microsoftonline.com%"
		"2Fabc%2Foauth2%2Fv2.0%2Fauthorize",
		"", false);
	assert_str(said(f, "tenant_discovery_endpoint"),
		"https://login.microsoftonline.com/abc/v2.0/.well-known/openid-configuration");
}

static void fails_on_demand(void **state) {
	struct fixture *f = *state;
	federate(f);
	struct azure_fault *fault = fault_on(f, FAULT_AADSTS);
	fault->number = 501661;
	fault->until_ns = f->now.mono_ns + 120 * NS_PER_S;
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 501661);
	assert_true(contains(said(f, "error_description"), ". Trace ID: "));
	pass_seconds(f, 120);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 0);
	fault = fault_on(f, FAULT_AADSTS);
	fault->number = 70021;
	fault->crlf = fault->no_error_codes = true;
	fault->status = 400;
	fault->text = mem_strdup(STR("invalid_request"));
	fault->count = 1;
	ask(f, TENANT, CLIENT, STR("x"), SCOPE);
	assert_int_equal(f->out.status, 400);
	assert_str(said(f, "error"), "invalid_request");
	assert_true(contains(said(f, "error_description"), "AADSTS70021: "));
	assert_true(contains(said(f, "error_description"), "\r\nTrace ID: "));
	assert_null(world_json_at(f->json, "error_codes"));
	fault = fault_on(f, FAULT_AADSTS);
	fault->number = 90033;
	fault->count = 1;
	ask(f, TENANT, CLIENT, STR("x"), SCOPE);
	assert_int_equal(f->out.status, 503);
	assert_null(world_json_at(f->json, "error_uri"));
	fault_on(f, FAULT_THROTTLE);
	ask(f, TENANT, CLIENT, STR("x"), SCOPE);
	assert_int_equal(f->out.status, 429);
	assert_str(buf_str(&f->out.body), "Too Many Requests");
	assert_str(header_said(f, "Retry-After"), "60");
}

static void gives_long_lived_and_long_tokens(void **state) {
	struct fixture *f = *state;
	federate(f);
	fault_on(f, FAULT_TOKEN_LIFE)->number = 86399;
	fault_on(f, FAULT_TOKEN_BYTES)->number = 4096;
	fault_on(f, FAULT_COOKIES);
	assert_int_equal(exchange(f, ISSUER, SUBJECT, AUDIENCE, 0), 0);
	assert_int_equal(world_json_i64(f->json, "expires_in", 0), 86399);
	assert_in_range(said(f, "access_token").len, 4000, 4200);
	assert_true(header_said(f, "Set-Cookie").len > 0);
	buf_reset(&f->token);
	buf_append(&f->token, said(f, "access_token"));
	pass_seconds(f, 80000);
	assert_int_equal(vault_get(f, "/secrets"), 200);
}

static int make_key(void **state) {
	(void)state;
	issuer_key = EVP_RSA_gen(2048);
	return issuer_key ? 0 : -1;
}

static int free_key(void **state) {
	(void)state;
	EVP_PKEY_free(issuer_key);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(gives_a_token_that_the_vault_takes),
		TEST(matches_letter_by_letter),
		TEST(checks_signature_and_time),
		TEST(needs_a_moment_for_a_new_credential),
		TEST(names_what_is_wrong_with_the_request),
		TEST(checks_client_secrets),
		TEST(speaks_version_one_in_strings),
		TEST(tells_tenants_at_discovery),
		TEST(fails_on_demand),
		TEST(gives_long_lived_and_long_tokens),
	};
	return cmocka_run_group_tests(tests, make_key, free_key);
}
