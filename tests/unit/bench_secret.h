/* tests/unit/bench_secret.h - what a probe may show of the Secret apps/db of bench.h, and how it is asked for. */
#pragma once

#include "tests/unit/bench.h"

#define DB_URL SECRETS_URL "/db?"
#define NOT_FOUND "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"not found\"}"

/* managedFields: who owns what, since when. */
#define ENTRY(manager, operation, time, fields)                                                 \
	"{\"manager\":\"" manager "\",\"operation\":\"" operation                               \
	"\",\"apiVersion\":\"v1\",\"time\":\"" time                                             \
	"\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{" fields "}}"
#define EARLY "2027-01-15T08:00:00Z"
#define LATE "2027-01-15T09:00:00Z"
#define OURS_OWNS(fields) ENTRY("secrets-store-sync-controller", "Apply", EARLY, fields)
#define FIELDS(entries) ",\"managedFields\":[" entries "]"
#define OWNED FIELDS(OURS_OWNS("\"f:data\":{\"f:k\":{}}"))
#define EDITED               \
	FIELDS(OURS_OWNS("\"f:data\":{}") \
		"," ENTRY("kubectl-edit", "Update", LATE, "\"f:data\":{\"f:k\":{}}"))

/* The vault's answer about an object of any name. */
#define VALUE_OF(name, version)                                                       \
	"{\"value\":\"s3cret-value\",\"id\":\"https://v.vault.azure.net/secrets/" name  \
	"/" version "\",\"attributes\":{\"enabled\":true,\"created\":1700000000,"       \
	"\"updated\":1700000000}}"
#define MISSING "{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"not found\"}}"

/* Keys k and m from secrets a and b, for the next bench_begin(). */
static inline void bench_use_two(void) {
	b.objects[1] = (struct spc_object){
		.name = STR("b"), .path = STR("b"), .kind = VAULT_SECRET
	};
	b.items[1] = (struct spec_item){ STR("b"), STR("m") };
	b.spc.object_count = b.spec.item_count = 2;
}

/* The probe that is under way shows this. */
static inline void probe(const char *body) {
	struct http_req *req = request(HTTP_PATCH, DB_URL);
	assert_true(has_header(req, "Content-Type", "application/merge-patch+json"));
	assert_string_equal(body_of(req), "{}");
	answer(req, 200, body);
	bench_end(req);
}
