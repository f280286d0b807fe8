/* tests/world/test_kube.h - a world for one test, and short words for asking it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/world/kube.h"
#include "tests/world/kube_json.h"

#define MERGE "application/merge-patch+json"
#define JSON_PATCH "application/json-patch+json"
#define APPLY "application/apply-patch+yaml"
#define US "fieldManager=us"

struct fixture {
	struct kube_world *world;
	struct now now;
	struct buf body; /* of the last answer */
	cJSON *json;     /* the same, NULL when it is not JSON */
};

static const char CRDS[] =
	"apiVersion: apiextensions.k8s.io/v1\n"
	"kind: CustomResourceDefinition\n"
	"spec:\n"
	"  group: example.com\n"
	"  scope: Namespaced\n"
	"  names: {plural: things, kind: Thing}\n"
	"  versions:\n"
	"  - name: v1\n"
	"    storage: true\n"
	"    subresources: {status: {}}\n"
	"    schema:\n"
	"      openAPIV3Schema:\n"
	"        type: object\n"
	"        properties:\n"
	"          spec:\n"
	"            type: object\n"
	"            required: [size]\n"
	"            properties:\n"
	"              size: {type: integer, minimum: 1}\n"
	"              color: {type: string, default: blue, maxLength: 5, pattern: '^[a-z]*$'}\n"
	"              parts:\n"
	"                type: array\n"
	"                x-kubernetes-list-type: map\n"
	"                x-kubernetes-list-map-keys: [name]\n"
	"                items: {type: object, properties: {name: {type: string}, n: {type: integer}}}\n"
	"          status:\n"
	"            type: object\n"
	"            properties:\n"
	"              phase: {type: string, enum: [Good, Bad]}\n";

#define THINGS "/apis/example.com/v1/namespaces/default/things"
#define SECRETS "/api/v1/namespaces/default/secrets"

static inline void fixture_forget(struct fixture *f) {
	buf_reset(&f->body);
	cJSON_Delete(f->json);
	f->json = NULL;
}

static inline int ask_as(struct fixture *f, const char *user, const char *method, const char *path, const char *type,
			 const char *body) {
	char *quoted = kj_strdup(str_of(body));
	for (char *c = quoted; *c; c++) {
		if (*c == '\'') *c = '"';
	}
	fixture_forget(f);
	int status = kube_request(f->world, f->now, user, method, path, type, str_of(quoted), &f->body);
	f->json = kj_parse(buf_str(&f->body));
	mem_free(quoted);
	return status;
}

/* In bodies ' stands for ". */
static inline int ask(struct fixture *f, const char *method, const char *path, const char *type, const char *body) {
	return ask_as(f, NULL, method, path, type, body);
}

static inline void pass_ms(struct fixture *f, int64_t ms) {
	f->now.mono_ns += ms * NS_PER_MS;
	f->now.wall_ns += ms * NS_PER_MS;
	kube_advance(f->world, f->now);
}

static inline int setup_with(void **state, const struct kube_config *config) {
	struct fixture *f = kj_alloc(sizeof(*f));
	f->now = (struct now){ .mono_ns = 1000 * NS_PER_S, .wall_ns = 1699999998 * NS_PER_S };
	buf_init(&f->body, 64 << 20);
	f->world = kube_world_create(config, f->now);
	assert_int_equal(kube_crd_load(f->world, str_of(CRDS)), OK);
	pass_ms(f, 2000); /* default service accounts */
	*state = f;
	return 0;
}

static inline int setup(void **state) {
	return setup_with(state, &(struct kube_config){ .seed = 1, .gc_delay_ns = NS_PER_S });
}

static inline int teardown(void **state) {
	struct fixture *f = *state;
	fixture_forget(f);
	buf_deinit(&f->body);
	kube_world_destroy(f->world);
	mem_free(f);
	return 0;
}

/* The value at a dotted path of the last answer. */
static inline const char *answer_text(const struct fixture *f, const char *path) {
	const cJSON *item = world_json_at(f->json, path);
	return cJSON_IsString(item) ? item->valuestring : "";
}

#define assert_answer(f, path, text) assert_string_equal(answer_text(f, path), text)

/* The fieldsV1 of one entry of the last answer's managedFields as text; "" when there is none. Valid until the next call. */
static inline const char *fields_text(const struct fixture *f, const char *manager, const char *operation) {
	static char text[4096];
	const cJSON *entry;
	text[0] = 0;
	cJSON_ArrayForEach(entry, world_json_at(f->json, "metadata.managedFields")) {
		if (strcmp(kj_text(entry, "manager"), manager) != 0) continue;
		if (strcmp(kj_text(entry, "operation"), operation) != 0) continue;
		char *fields = kj_print_text(kj_get(entry, "fieldsV1"));
		snprintf(text, sizeof(text), "%s", fields);
		mem_free(fields);
	}
	for (char *c = text; *c; c++) {
		if (*c == '"') *c = '\'';
	}
	return text;
}
