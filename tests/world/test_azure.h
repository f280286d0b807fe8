/* tests/world/test_azure.h - a vault, an identity that may do everything in it, and a clock in the test's hand. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/azure.h"

#define TENANT "11111111-1111-1111-1111-111111111111"
#define CLIENT "22222222-2222-2222-2222-222222222222"
#define SCOPE "https%3A%2F%2Fvault.azure.net%2F.default"

struct fixture {
	struct azure *azure;
	struct azure_vault *vault;
	struct now now;
	struct world_response out;
	cJSON *json; /* the last answer, where it was JSON */
	struct buf token;
	const char *header, *header_value; /* one more header; NULL: none */
	bool reused;
};

static inline void fixture_ask(struct fixture *f, const char *host, const char *method,
	const char *path, const char *query, const char *body, bool with_token) {
	struct buf bearer;
	buf_init(&bearer, 1 << 16);
	buf_printf(&bearer, "Bearer %s", buf_cstr(&f->token));
	struct world_request req = {
		.method = str_of(method),
		.host = str_of(host),
		.port = 443,
		.path = str_of(path),
		.query = str_of(query),
		.body = str_of(body),
		.reused_connection = f->reused,
	};
	if (with_token)
		req.headers[req.header_count++] =
			(struct world_header){ STR("Authorization"), buf_str(&bearer) };
	if (f->header) {
		req.headers[req.header_count++] =
			(struct world_header){ str_of(f->header), str_of(f->header_value) };
	}
	world_response_reset(&f->out);
	azure_handle(f->azure, f->now, &req, &f->out);
	cJSON_Delete(f->json);
	f->json = cJSON_ParseWithLength(buf_str(&f->out.body).ptr, buf_str(&f->out.body).len);
	buf_deinit(&bearer);
}

/* A request to the vault with a good token; returns the status. */
static inline int vault_ask(
	struct fixture *f, const char *method, const char *path, const char *body) {
	fixture_ask(f, "kv1.vault.azure.net", method, path, "api-version=7.4", body, true);
	return f->out.status;
}

static inline int vault_get(struct fixture *f, const char *path) {
	return vault_ask(f, "GET", path, "");
}

static inline struct str said(const struct fixture *f, const char *path) {
	return world_json_str(f->json, path);
}

static inline struct str header_said(const struct fixture *f, const char *name) {
	struct str rest = buf_str(&f->out.head), at, value;
	while (world_next_header(&rest, &at, &value)) {
		if (str_eq_nocase(at, str_of(name))) return value;
	}
	return STR_NULL;
}

static inline void assert_str(struct str got, const char *want) {
	if (str_eq(got, str_of(want))) return;
	fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

static inline bool contains(struct str text, const char *part) {
	return str_find(text, str_of(part)) != SIZE_MAX;
}

static inline struct azure_claims good_claims(const struct fixture *f) {
	struct azure_claims claims = { .not_before_s = f->now.wall_ns / NS_PER_S,
		.expires_s = f->now.wall_ns / NS_PER_S + 3599 };
	snprintf(claims.audience, sizeof(claims.audience), "https://vault.azure.net");
	snprintf(claims.tenant, sizeof(claims.tenant), TENANT);
	snprintf(claims.client_id, sizeof(claims.client_id), CLIENT);
	snprintf(claims.issuer, sizeof(claims.issuer), "https://sts.windows.net/" TENANT "/");
	return claims;
}

static inline void use_claims(struct fixture *f, struct azure_claims claims) {
	buf_reset(&f->token);
	azure_token_make(f->azure, &claims, f->now, 0, &f->token);
}

static inline struct azure_version *put(struct fixture *f, const char *name, const char *value) {
	struct azure_version *version = azure_version_add(
		f->azure, f->vault, AZURE_SECRET, str_of(name), STR_NULL, azure_seconds(f->now));
	azure_version_set_value(version, str_of(value));
	return version;
}

static inline void pass_seconds(struct fixture *f, int64_t seconds) {
	f->now.mono_ns += seconds * NS_PER_S;
	f->now.wall_ns += seconds * NS_PER_S;
}

static inline struct azure_fault *fault_on(struct fixture *f, enum azure_fault_kind kind) {
	return azure_fault_add(f->azure, kind, f->now);
}

static inline int fixture_open(void **state) {
	struct fixture *f = mem_zalloc(sizeof(*f));
	static const unsigned all[AZURE_KINDS] = { AZURE_GET | AZURE_LIST | AZURE_WRITE,
		AZURE_GET | AZURE_LIST | AZURE_WRITE, AZURE_GET | AZURE_LIST | AZURE_WRITE };
	f->azure = azure_create(7);
	f->now = (struct now){ .mono_ns = 1000 * NS_PER_S,
		.wall_ns = INT64_C(1795000000) * NS_PER_S };
	f->vault = azure_vault_add(f->azure, STR("kv1"), STR(TENANT));
	azure_identity_add(f->azure, STR(TENANT), STR(CLIENT));
	azure_grant_add(f->vault, STR(CLIENT), all, STR_NULL, false, 0);
	world_response_init(&f->out);
	buf_init(&f->token, 1 << 16);
	use_claims(f, good_claims(f));
	*state = f;
	return 0;
}

static inline int fixture_close(void **state) {
	struct fixture *f = *state;
	azure_destroy(f->azure);
	world_response_deinit(&f->out);
	cJSON_Delete(f->json);
	buf_deinit(&f->token);
	mem_free(f);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
