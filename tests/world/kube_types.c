/* The resources that the model serves: built-in kinds with schemas of their own, and what CRDs bring. */
#include <assert.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"
#include "tests/world/kube_yaml.h"

/* In these texts ' stands for ". Only what field management and pruning need is said. */
static const char META_SCHEMA[] =
	"{'type':'object','properties':{'name':{},'generateName':{},'namespace':{},'selfLink':{},'uid':{},"
	"'resourceVersion':{},'generation':{},'creationTimestamp':{},'deletionTimestamp':{},"
	"'deletionGracePeriodSeconds':{},"
	"'labels':{'type':'object','additionalProperties':{'type':'string'}},"
	"'annotations':{'type':'object','additionalProperties':{'type':'string'}},"
	"'ownerReferences':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['uid'],"
	"'items':{'x-kubernetes-map-type':'atomic','properties':{'apiVersion':{},'kind':{},'name':{},'uid':{},"
	"'controller':{},'blockOwnerDeletion':{}}}},"
	"'finalizers':{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'}},"
	"'managedFields':{'type':'array','x-kubernetes-list-type':'atomic'}}}";

static const char SECRET_SCHEMA[] =
	"{'properties':{'apiVersion':{},'kind':{},'metadata':{},"
	"'data':{'type':'object','additionalProperties':{'type':'string'}},"
	"'stringData':{'type':'object','additionalProperties':{'type':'string'}},'immutable':{},'type':{}}}";

static const char ACCOUNT_SCHEMA[] =
	"{'properties':{'apiVersion':{},'kind':{},'metadata':{},'automountServiceAccountToken':{},"
	"'imagePullSecrets':{'x-kubernetes-list-type':'atomic'},"
	"'secrets':{'x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['name'],"
	"'items':{'x-kubernetes-map-type':'atomic'}}}}";

static const char NAMESPACE_SCHEMA[] =
	"{'properties':{'apiVersion':{},'kind':{},'metadata':{},"
	"'spec':{'properties':{'finalizers':{'x-kubernetes-list-type':'atomic'}}},"
	"'status':{'properties':{'phase':{},'conditions':{'x-kubernetes-list-type':'map',"
	"'x-kubernetes-list-map-keys':['type']}}}}}";

static const char LEASE_SCHEMA[] =
	"{'properties':{'apiVersion':{},'kind':{},'metadata':{},"
	"'spec':{'properties':{'holderIdentity':{},'leaseDurationSeconds':{},'acquireTime':{},'renewTime':{},"
	"'leaseTransitions':{},'preferredHolder':{},'strategy':{}}}}}";

static const char EVENT_SCHEMA[] =
	"{'properties':{'apiVersion':{},'kind':{},'metadata':{},"
	"'involvedObject':{'x-kubernetes-map-type':'atomic'},'reason':{},'message':{},"
	"'source':{'properties':{'component':{},'host':{}}},'firstTimestamp':{},'lastTimestamp':{},'count':{},"
	"'type':{},'eventTime':{},'series':{'properties':{'count':{},'lastObservedTime':{}}},'action':{},"
	"'related':{'x-kubernetes-map-type':'atomic'},'reportingComponent':{},'reportingInstance':{}}}";

struct builtin {
	const char *group, *version, *plural, *kind;
	bool namespaced;
	const char *schema;
	const char *empty;
	const char *reset;
};

static const struct builtin BUILTINS[] = {
	{ "", "v1", "namespaces", "Namespace", false, NAMESPACE_SCHEMA, "{'metadata':{},'spec':{},'status':{}}",
	  "f:status" },
	{ "", "v1", "secrets", "Secret", true, SECRET_SCHEMA, "{'metadata':{}}", NULL },
	{ "", "v1", "serviceaccounts", "ServiceAccount", true, ACCOUNT_SCHEMA, "{'metadata':{}}", NULL },
	{ "", "v1", "events", "Event", true, EVENT_SCHEMA,
	  "{'metadata':{},'involvedObject':{},'source':{},'eventTime':null,'reportingComponent':'',"
	  "'reportingInstance':''}", NULL },
	{ "coordination.k8s.io", "v1", "leases", "Lease", true, LEASE_SCHEMA, "{'metadata':{},'spec':{}}", NULL },
};

static struct kube_type *type_add(struct kube_world *world) {
	assert(world->type_count < KUBE_MAX_TYPES);
	return &world->types[world->type_count++];
}

static void type_finish(struct kube_type *type) {
	type->api_version = type->group[0] ? kj_format("%s/%s", type->group, type->version)
					   : kj_strdup(str_of(type->version));
	type->prefix = kj_format("{\"kind\":\"%s\",\"apiVersion\":\"%s\",", type->kind, type->api_version);
}

static void type_deinit(struct kube_type *type) {
	cJSON_Delete(type->crd);
	cJSON_Delete(type->schema);
	cJSON_Delete(type->empty);
	mem_free(type->api_version);
	mem_free(type->prefix);
	fset_destroy(type->reset_main);
	fset_destroy(type->reset_status);
}

static void put_meta_schema(cJSON *schema) {
	kj_set(kj_object(schema, "properties"), "metadata", kj_literal(META_SCHEMA));
}

void kube_types_init(struct kube_world *world) {
	for (size_t i = 0; i < sizeof(BUILTINS) / sizeof(*BUILTINS); i++) {
		const struct builtin *b = &BUILTINS[i];
		struct kube_type *type = type_add(world);
		*type = (struct kube_type){
			.group = b->group,
			.version = b->version,
			.plural = b->plural,
			.kind = b->kind,
			.namespaced = b->namespaced,
			.builtin = true,
			.watch_floor_rv = world->rv,
			.schema = kj_literal(b->schema),
			.empty = kj_literal(b->empty),
		};
		put_meta_schema(type->schema);
		type_finish(type);
		if (!b->reset) continue;
		type->reset_main = fset_create();
		fset_insert(type->reset_main, &b->reset, 1);
	}
}

void kube_types_deinit(struct kube_world *world) {
	for (size_t i = 0; i < world->type_count; i++) type_deinit(&world->types[i]);
	world->type_count = 0;
}

struct kube_type *kube_type_find(struct kube_world *world, struct str group, struct str version, struct str plural) {
	for (size_t i = 0; i < world->type_count; i++) {
		struct kube_type *type = &world->types[i];
		if (str_eq(str_of(type->group), group) && str_eq(str_of(type->version), version) &&
		    str_eq(str_of(type->plural), plural)) {
			return type;
		}
	}
	return NULL;
}

struct kube_type *kube_type_named(const struct kube_world *world, const char *plural) {
	for (size_t i = 0; i < world->type_count; i++) {
		if (strcmp(world->types[i].plural, plural) == 0) return (struct kube_type *)&world->types[i];
	}
	return NULL;
}

struct kube_type *kube_type_of_kind(const struct kube_world *world, const char *api_version, const char *kind) {
	for (size_t i = 0; i < world->type_count; i++) {
		const struct kube_type *type = &world->types[i];
		if (strcmp(type->kind, kind) == 0 && strcmp(type->api_version, api_version) == 0) {
			return (struct kube_type *)type;
		}
	}
	return NULL;
}

static void set_custom_parts(struct kube_type *type, const cJSON *version) {
	const cJSON *given = world_json_at(version, "schema.openAPIV3Schema");
	type->has_generation = true;
	type->has_status = kj_get2(version, "subresources", "status") != NULL;
	type->schema = given ? kj_copy(given) : kj_must(cJSON_CreateObject());
	put_meta_schema(type->schema);
	type_finish(type);
	type->empty = kj_must(cJSON_CreateObject());
	kj_set_text(type->empty, "apiVersion", type->api_version);
	kj_set_text(type->empty, "kind", type->kind);
	if (!type->has_status) return;
	type->reset_main = fset_create();
	fset_insert(type->reset_main, (const char *const[]){ "f:status" }, 1);
	type->reset_status = fset_create();
	fset_insert(type->reset_status, (const char *const[]){ "f:metadata" }, 1);
	fset_insert(type->reset_status, (const char *const[]){ "f:spec" }, 1);
}

/* Only the storage version is served. Takes `crd`. */
static bool crd_add(struct kube_world *world, cJSON *crd) {
	const cJSON *spec = kj_get(crd, "spec"), *version, *stored = NULL;
	cJSON_ArrayForEach(version, kj_get(spec, "versions")) {
		if (cJSON_IsTrue(kj_get(version, "storage"))) stored = version;
	}
	const char *plural = kj_text2(spec, "names", "plural");
	if (!stored || !plural[0]) {
		cJSON_Delete(crd);
		return false;
	}
	struct kube_type *type = kube_type_find(world, str_of(kj_text(spec, "group")),
						str_of(kj_text(stored, "name")), str_of(plural));
	struct kube_type objects = { 0 };
	if (type) {
		objects = *type;
		type_deinit(type);
	} else {
		type = type_add(world);
	}
	*type = (struct kube_type){
		.group = kj_text(spec, "group"),
		.version = kj_text(stored, "name"),
		.plural = plural,
		.kind = kj_text2(spec, "names", "kind"),
		.namespaced = strcmp(kj_text(spec, "scope"), "Namespaced") == 0,
		.crd = crd,
		.count = objects.count,
		.log = objects.log,
		.compacted_rv = objects.compacted_rv,
		.watch_floor_rv = objects.plural ? objects.watch_floor_rv : world->rv,
	};
	memcpy(type->head, objects.head, sizeof(type->head));
	set_custom_parts(type, stored);
	return true;
}

enum err kube_crd_load(struct kube_world *world, struct str yaml) {
	size_t found = 0;
	while (yaml.ptr) {
		cJSON *doc = kube_yaml_next(&yaml);
		if (strcmp(kj_text(doc, "kind"), "CustomResourceDefinition") != 0) cJSON_Delete(doc);
		else if (crd_add(world, doc)) found++;
	}
	return found ? OK : ERR_INVALID;
}
