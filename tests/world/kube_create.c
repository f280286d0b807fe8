/* POST, and what every body that comes in goes through. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"
#include "tests/world/kube_yaml.h"

static const char MEDIA_TYPES[] = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

static bool content_type_is(const struct kube_call *call, struct str wanted) {
	struct str type = world_request_header(call->req, "Content-Type");
	return str_eq_nocase(str_trim(str_slice(type, 0, str_find_char(type, ';'))), wanted);
}

/* A body of a custom resource has to say what it is; one of a built-in kind may leave it to the path. */
static bool check_kind(struct kube_call *call, cJSON *object) {
	const struct kube_type *type = call->type;
	const char *kind = kj_text(object, "kind"), *api_version = kj_text(object, "apiVersion");
	if (!kind[0] && type->builtin) kj_set_text(object, "kind", kind = type->kind);
	if (!api_version[0] && type->builtin) kj_set_text(object, "apiVersion", api_version = type->api_version);
	if (!kind[0]) {
		return kube_fail_bad_request(call, "Object 'Kind' is missing in '%.*s'", STR_ARG(call->req->body));
	}
	if (strcmp(kind, type->kind) != 0 || strcmp(api_version, type->api_version) != 0) {
		return kube_fail_bad_request(call, "the API version in the data (%s) does not match the expected API "
					     "version (%s)", api_version, type->api_version);
	}
	return true;
}

cJSON *kube_read_object(struct kube_call *call) {
	bool yaml = content_type_is(call, STR("application/yaml"));
	bool json = content_type_is(call, STR("application/json")) ||
		    !world_request_header(call->req, "Content-Type").ptr;
	if (!json && !yaml) {
		kube_fail_media(call, MEDIA_TYPES);
		return NULL;
	}
	struct str body = call->req->body;
	cJSON *object = yaml ? kube_yaml_next(&body) : kj_parse(body);
	if (!cJSON_IsObject(object)) {
		kube_fail_bad_request(call, "couldn't get version/kind; json parse error: unexpected input (%.*s)",
				      STR_ARG(call->req->body));
		cJSON_Delete(object);
		return NULL;
	}
	if (check_kind(call, object)) return object;
	cJSON_Delete(object);
	return NULL;
}

struct managed_write kube_managed_write(struct kube_call *call, bool force) {
	bool status = strcmp(call->subresource, "status") == 0;
	return (struct managed_write){
		.manager = call->manager,
		.api_version = call->type->api_version,
		.subresource = call->subresource,
		.time = call->time,
		.schema = call->type->schema,
		.reset = status ? call->type->reset_status : call->type->reset_main,
		.empty = call->type->empty,
		.force = force,
	};
}

/* Plug-in NamespaceLifecycle. */
bool kube_namespace_takes_new(struct kube_call *call) {
	if (!call->type->namespaced) return true;
	const struct kube_type *namespaces = kube_type_named(call->world, "namespaces");
	const struct kube_rev *rev = kube_live(namespaces, NULL, call->namespace);
	if (!rev) return kube_fail_not_found(call, namespaces, call->namespace);
	cJSON *namespace = kube_rev_parse(rev);
	bool ends = kj_get2(namespace, "metadata", "deletionTimestamp") != NULL;
	cJSON_Delete(namespace);
	if (!ends) return true;
	cJSON *details = kube_details(call->type->group, call->type->plural, call->name);
	cJSON *cause = kj_must(cJSON_CreateObject());
	char *message = kj_format("namespace %s is being terminated", call->namespace);
	kj_set_text(cause, "reason", "NamespaceTerminating");
	kj_set_text(cause, "message", message);
	kj_set_text(cause, "field", "metadata.namespace");
	mem_free(message);
	cJSON *causes = kj_must(cJSON_CreateArray());
	kj_push(causes, cause);
	kj_set(details, "causes", causes);
	char *resource = kube_group_resource(call->type);
	kube_fail(call, 403, "Forbidden", details,
		  "%s \"%s\" is forbidden: unable to create new content in namespace %s because it is being terminated",
		  resource, call->name, call->namespace);
	mem_free(resource);
	return false;
}

static bool put_namespace(struct kube_call *call, cJSON *meta) {
	if (!call->type->namespaced) return true;
	const char *given = kj_text(meta, "namespace");
	if (given[0] && strcmp(given, call->namespace) != 0) {
		return kube_fail_bad_request(call, "the namespace of the provided object does not match the namespace "
					     "sent on the request");
	}
	kj_set_text(meta, "namespace", call->namespace);
	return true;
}

static void put_name(struct kube_call *call, cJSON *meta) {
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	const char *prefix = kj_text(meta, "generateName");
	if (prefix[0] && !kj_text(meta, "name")[0]) {
		char suffix[6] = { 0 };
		for (int i = 0; i < 5; i++) {
			suffix[i] = letters[rng_below(&call->world->rng, sizeof(letters) - 1)];
		}
		char *name = kj_format("%s%s", prefix, suffix);
		kj_set_text(meta, "name", name);
		mem_free(name);
	}
	snprintf(call->name, sizeof(call->name), "%s", kj_text(meta, "name"));
}

static void put_system_fields(struct kube_call *call, cJSON *object) {
	static const char *const wiped[] = { "resourceVersion", "selfLink", "deletionTimestamp",
					     "deletionGracePeriodSeconds", "generation" };
	cJSON *meta = kj_object(object, "metadata");
	for (size_t i = 0; i < sizeof(wiped) / sizeof(*wiped); i++) kj_remove(meta, wiped[i]);
	char uid[KUBE_UID_BYTES];
	world_guid(&call->world->rng, uid);
	kj_set_text(meta, "uid", uid);
	kj_set_text(meta, "creationTimestamp", call->time);
	if (call->type->has_generation) kj_set_int(meta, "generation", 1);
	if (call->type->has_status) kj_remove(object, "status");
	if (strcmp(call->type->plural, "namespaces") == 0) {
		/* The name as a label is put there by the API server itself, before field management looks. */
		kj_set(object, "spec", kj_literal("{'finalizers':['kubernetes']}"));
		kj_set(object, "status", kj_literal("{'phase':'Active'}"));
		kj_set_text(kj_object(meta, "labels"), "kubernetes.io/metadata.name", kj_text(meta, "name"));
	}
}

/* Stores a checked object, unless one of that name is there. Returns the revision to answer with. */
static const struct kube_rev *insert(struct kube_call *call, cJSON *object) {
	char *key = kube_key(call->type, call->namespace, call->name);
	const struct kube_entry *entry = kube_entry_find(call->type, key);
	const struct kube_rev *rev = NULL;
	if (entry && !entry->newest->deleted) {
		cJSON *there = kube_rev_parse(entry->newest);
		kube_fail_exists(call, call->name, kj_get2(there, "metadata", "deletionTimestamp") != NULL);
		cJSON_Delete(there);
	} else {
		rev = kube_commit(call, key, NULL, object, false);
	}
	mem_free(key);
	return rev;
}

void kube_finish_create(struct kube_call *call, cJSON *object) {
	cJSON *meta = kj_object(object, "metadata");
	struct kube_invalid invalid = { 0 };
	if (!put_namespace(call, meta)) goto out;
	put_name(call, meta);
	if (!kube_namespace_takes_new(call)) goto out;
	put_system_fields(call, object);
	kube_validate(call->type, object, NULL, &invalid);
	if (!kube_invalid_done(call, &invalid, call->type, call->name)) goto out;
	if (strcmp(call->verb, "patch") == 0 && !kube_may(call, "create", call->type, "", call->namespace, call->name)) {
		goto out;
	}
	if (!kube_admit(call, NULL, object)) goto out;
	if (call->dry_run) {
		kube_answer_object(call, 201, object);
		goto out;
	}
	const struct kube_rev *rev = insert(call, object);
	if (rev) kube_answer_rev(call, 201, rev);
out:
	cJSON_Delete(object);
}

void kube_do_create(struct kube_call *call) {
	cJSON *object = kube_read_object(call);
	if (!object) return;
	const cJSON *rv = kj_get2(object, "metadata", "resourceVersion");
	if (cJSON_IsString(rv) && rv->valuestring[0]) {
		kube_fail(call, 500, "", NULL, "resourceVersion should not be set on objects to be created");
		cJSON_Delete(object);
		return;
	}
	if (!kube_normalize(call, object)) {
		cJSON_Delete(object);
		return;
	}
	struct managed_write write = kube_managed_write(call, false);
	managed_update(&write, NULL, object);
	kube_finish_create(call, object);
}
