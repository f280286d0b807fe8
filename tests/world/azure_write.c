/* tests/world/azure_write.c - writes, as far as Microsoft's clients and the tests use them. The product itself never writes. */
#include "tests/world/azure.h"

#include <assert.h>

static bool is(struct str word, const char *text) {
	return str_eq(word, str_of(text));
}

static int64_t written_at(struct azure_call *call) {
	int64_t at_s = azure_seconds(call->now);
	return azure_fault_hit(call->azure, call->now, call->req, FAULT_AHEAD) ? at_s + 1 : at_s;
}

static bool bad_value(struct azure_call *call) {
	azure_error(call, 400, "BadParameter", NULL, "Property  has invalid value\r\n");
	return false;
}

static bool check_attributes(struct azure_call *call, const cJSON *body) {
	const cJSON *tags = world_json_at(body, "tags"), *tag;
	if (world_json_str(body, "contentType").len > 255) return bad_value(call);
	if (!tags || cJSON_IsNull(tags)) return true;
	if (!cJSON_IsObject(tags) || cJSON_GetArraySize(tags) > 15) return bad_value(call);
	cJSON_ArrayForEach(tag, tags) {
		if (strlen(tag->string) > 256 || str_of(cJSON_GetStringValue(tag)).len > 256)
			return bad_value(call);
	}
	return true;
}

/* Only what the body has is changed. */
static void apply_attributes(const cJSON *body, struct azure_version *version) {
	const cJSON *attributes = world_json_at(body, "attributes"),
		    *tags = world_json_at(body, "tags");
	struct str type = world_json_str(body, "contentType");
	version->enabled = world_json_bool(attributes, "enabled", version->enabled);
	version->nbf_s = world_json_i64(attributes, "nbf", version->nbf_s);
	version->exp_s = world_json_i64(attributes, "exp", version->exp_s);
	if (cJSON_IsObject(tags)) {
		cJSON_Delete(version->tags);
		version->tags = cJSON_Duplicate(tags, true);
	}
	if (type.ptr) {
		mem_free(version->content_type);
		version->content_type = mem_strdup(type);
		assert(version->content_type);
	}
}

/* A deleted object's name stays taken. */
static bool name_is_free(struct azure_call *call, const struct azure_object *object) {
	if (!object || !object->deleted) return true;
	const char *title = azure_kinds[call->kind].title;
	if (call->now.mono_ns < object->deleted_visible_ns) {
		azure_error(call, 409, "Conflict", "ObjectIsBeingDeleted",
			"%s %s is currently being deleted.", title, object->name);
	} else {
		azure_error(call, 409, "Conflict", "ObjectIsDeletedButRecoverable",
			"%s %s is currently in a deleted but recoverable state, and its name "
			"cannot be reused; in this "
			"state, the %s can only be recovered or purged.",
			title, object->name, azure_kinds[call->kind].one);
	}
	return false;
}

static void put_secret(struct azure_call *call, const cJSON *body) {
	struct str name = buf_str(&call->name);
	const struct azure_object *object = azure_object_find(call->vault, AZURE_SECRET, name);
	struct buf value;
	buf_init(&value, WORLD_BODY_BYTES);
	world_json_value(world_json_at(body, "value"), &value);
	if (!name_is_free(call, object)) {
		/* The answer is written. */
	} else if (!cJSON_IsString(world_json_at(body, "value")) ||
		   buf_str(&value).len > AZURE_VALUE_BYTES) {
		bad_value(call);
	} else {
		struct azure_version *version = azure_version_add(
			call->azure, call->vault, AZURE_SECRET, name, STR_NULL, written_at(call));
		azure_version_set_value(version, buf_str(&value));
		apply_attributes(body, version);
		object = azure_object_find(call->vault, AZURE_SECRET, name);
		azure_answer_bundle(call, object, version, true);
	}
	buf_deinit(&value);
}

static void create_key(struct azure_call *call, const cJSON *body) {
	struct str name = buf_str(&call->name);
	const struct azure_object *object = azure_object_find(call->vault, AZURE_KEY, name);
	if (!name_is_free(call, object)) return;
	struct str type = world_json_str(body, "kty");
	int64_t bits = world_json_i64(body, "key_size", 2048);
	bool ec = is(type, "EC") || is(type, "EC-HSM"), rsa = is(type, "RSA") || is(type, "RSA-HSM");
	bool known = bits == 2048 || bits == 3072 || bits == 4096;
	if (!ec && !(rsa && known)) {
		bad_value(call);
		return;
	}
	unsigned index = object ? (unsigned)object->count : 0;
	struct azure_version *version = azure_version_add(
		call->azure, call->vault, AZURE_KEY, name, STR_NULL, written_at(call));
	version->key_type = ec ? AZURE_EC : AZURE_RSA;
	version->key_index = index;
	version->rsa_bits = rsa ? (unsigned)bits : 0;
	version->hsm = str_ends(type, STR("-HSM"));
	apply_attributes(body, version);
	azure_answer_bundle(call, azure_object_find(call->vault, AZURE_KEY, name), version, true);
}

static void create_certificate(struct azure_call *call, const cJSON *body) {
	struct str name = buf_str(&call->name);
	for (int kind = 0; kind < AZURE_KINDS; kind++) {
		if (!name_is_free(
			    call, azure_object_find(call->vault, (enum azure_kind)kind, name)))
			return;
	}
	bool ec = str_starts(world_json_str(body, "policy.key_props.kty"), STR("EC"));
	bool pem = is(
		world_json_str(body, "policy.secret_props.contentType"), "application/x-pem-file");
	azure_certificate_add(
		call->azure, call->vault, name, ec ? AZURE_EC : AZURE_RSA, pem, call->now);
	world_response_header(call->out, "Location",
		"https://%s/certificates/%s/pending?api-version=7.4", call->vault->host,
		buf_cstr(&call->name));
	world_response_header(call->out, "Retry-After", "10");
	call->out->status = 202;
	buf_printf(&call->out->body,
		"{\"id\":\"https://%s/certificates/%s/pending\",\"issuer\":{\"name\":\"Self\"},"
		"\"cancellation_requested\":false,\"status\":\"inProgress\"}",
		call->vault->host, buf_cstr(&call->name));
}

static void patch(struct azure_call *call, const cJSON *body) {
	struct azure_object *object =
		azure_object_find(call->vault, call->kind, buf_str(&call->name));
	struct str id = buf_str(&call->segment);
	struct azure_version *version = NULL;
	if (object && !object->deleted)
		version = id.len ? azure_version_find(object, id) : object->current;
	if (!version) {
		azure_not_found(call);
		return;
	}
	apply_attributes(body, version);
	version->updated_s = written_at(call);
	azure_answer_bundle(call, object, version, false);
}

static void delete_object(struct azure_call *call) {
	struct azure_object *object =
		azure_object_find(call->vault, call->kind, buf_str(&call->name));
	if (!object || object->deleted) {
		azure_not_found(call);
		return;
	}
	azure_object_delete(call->azure, call->vault, object, call->now);
	azure_answer_bundle(call, object, object->current, false);
	if (call->kind != AZURE_CERTIFICATE) return;
	for (int kind = AZURE_SECRET; kind <= AZURE_KEY; kind++) {
		struct azure_object *part =
			azure_object_find(call->vault, (enum azure_kind)kind, buf_str(&call->name));
		if (part && !part->deleted && part->current->managed) {
			azure_object_delete(call->azure, call->vault, part, call->now);
		}
	}
}

static void deleted_object(struct azure_call *call) {
	struct azure_object *object =
		azure_object_find(call->vault, call->kind, buf_str(&call->name));
	bool recover = is(call->req->method, "POST") && is(buf_str(&call->segment), "recover");
	bool purge = is(call->req->method, "DELETE");
	if (!object || !object->deleted || call->now.mono_ns < object->deleted_visible_ns) {
		azure_not_found(call);
	} else if (recover) {
		azure_object_recover(object);
		azure_answer_bundle(call, object, object->current, false);
	} else if (purge) {
		azure_object_purge(call->vault, call->kind, object);
		call->out->status = 204;
	} else {
		azure_error(call, 405, "MethodNotAllowed", NULL, "HTTP %.*s not allowed",
			STR_ARG(call->req->method));
	}
}

static void dispatch(struct azure_call *call, const cJSON *body) {
	struct str method = call->req->method, segment = buf_str(&call->segment);
	if (call->deleted) {
		deleted_object(call);
	} else if (is(method, "PUT") && call->kind == AZURE_SECRET && !segment.len) {
		put_secret(call, body);
	} else if (is(method, "POST") && call->kind == AZURE_KEY && is(segment, "create")) {
		create_key(call, body);
	} else if (is(method, "POST") && call->kind == AZURE_CERTIFICATE && is(segment, "create")) {
		create_certificate(call, body);
	} else if (is(method, "PATCH")) {
		patch(call, body);
	} else if (is(method, "DELETE") && !segment.len) {
		delete_object(call);
	} else {
		azure_error(call, 405, "MethodNotAllowed", NULL, "HTTP %.*s not allowed",
			STR_ARG(method));
	}
}

void azure_write(struct azure_call *call) {
	if (!buf_str(&call->name).len) {
		azure_error(call, 405, "MethodNotAllowed", NULL, "HTTP %.*s not allowed",
			STR_ARG(call->req->method));
		return;
	}
	if (!azure_permit(call, AZURE_WRITE, "set")) return;
	cJSON *body = world_json_parse(call->req->body);
	if (call->req->body.len && !body) {
		bad_value(call);
	} else if (check_attributes(call, body)) {
		dispatch(call, body);
	}
	cJSON_Delete(body);
}
