/* Failures as the API server words them: Status objects. */
#include <assert.h>
#include <stdlib.h>

#include "tests/world/kube_internal.h"

enum { MESSAGE_BYTES = 1 << 20 };

cJSON *kube_status(int code, const char *reason, const char *message, cJSON *details) {
	cJSON *status = kj_must(cJSON_CreateObject());
	kj_set_text(status, "kind", "Status");
	kj_set_text(status, "apiVersion", "v1");
	kj_set(status, "metadata", cJSON_CreateObject());
	kj_set_text(status, "status", code < 400 ? "Success" : "Failure");
	if (message && message[0]) kj_set_text(status, "message", message);
	if (reason && reason[0]) kj_set_text(status, "reason", reason);
	if (details) kj_set(status, "details", details);
	if (code >= 400) kj_set_int(status, "code", code);
	return status;
}

cJSON *kube_details(const char *group, const char *kind, const char *name) {
	cJSON *details = kj_must(cJSON_CreateObject());
	if (name && name[0]) kj_set_text(details, "name", name);
	if (group && group[0]) kj_set_text(details, "group", group);
	if (kind && kind[0]) kj_set_text(details, "kind", kind);
	return details;
}

static cJSON *resource_details(const struct kube_type *type, const char *name) {
	return kube_details(type->group, type->plural, name);
}

char *kube_group_resource(const struct kube_type *type) {
	return kj_format("%s%s%s", type->plural, type->group[0] ? "." : "", type->group);
}

char *kube_group_kind(const struct kube_type *type) {
	return kj_format("%s%s%s", type->kind, type->group[0] ? "." : "", type->group);
}

static bool fail_v(struct kube_call *call, int code, const char *reason, cJSON *details, const char *format,
		   va_list args) {
	struct buf message;
	buf_init(&message, MESSAGE_BYTES);
	buf_vprintf(&message, format, args);
	kube_answer_json(call, code, kube_status(code, reason, buf_cstr(&message), details));
	buf_deinit(&message);
	return false;
}

bool kube_fail(struct kube_call *call, int code, const char *reason, cJSON *details, const char *format, ...) {
	va_list args;
	va_start(args, format);
	fail_v(call, code, reason, details, format, args);
	va_end(args);
	return false;
}

bool kube_fail_not_found(struct kube_call *call, const struct kube_type *type, const char *name) {
	char *resource = kube_group_resource(type);
	kube_fail(call, 404, "NotFound", resource_details(type, name), "%s \"%s\" not found", resource, name);
	mem_free(resource);
	return false;
}

bool kube_fail_exists(struct kube_call *call, const char *name, bool being_deleted) {
	char *resource = kube_group_resource(call->type);
	kube_fail(call, 409, "AlreadyExists", resource_details(call->type, name), "%s%s \"%s\" already exists",
		  being_deleted ? "object is being deleted: " : "", resource, name);
	mem_free(resource);
	return false;
}

bool kube_fail_conflict(struct kube_call *call, const char *name, const char *format, ...) {
	va_list args;
	va_start(args, format);
	struct buf why;
	buf_init(&why, MESSAGE_BYTES);
	buf_vprintf(&why, format, args);
	va_end(args);
	char *resource = kube_group_resource(call->type);
	kube_fail(call, 409, "Conflict", resource_details(call->type, name),
		  "Operation cannot be fulfilled on %s \"%s\": %s", resource, name, buf_cstr(&why));
	mem_free(resource);
	buf_deinit(&why);
	return false;
}

bool kube_fail_bad_request(struct kube_call *call, const char *format, ...) {
	va_list args;
	va_start(args, format);
	fail_v(call, 400, "BadRequest", NULL, format, args);
	va_end(args);
	return false;
}

bool kube_fail_forbidden(struct kube_call *call, const char *name, const char *format, ...) {
	va_list args;
	va_start(args, format);
	struct buf why;
	buf_init(&why, MESSAGE_BYTES);
	buf_vprintf(&why, format, args);
	va_end(args);
	char *resource = kube_group_resource(call->type);
	bool named = name && name[0];
	kube_fail(call, 403, "Forbidden", resource_details(call->type, name), "%s%s%s%s is forbidden: %s", resource,
		  named ? " \"" : "", named ? name : "", named ? "\"" : "", buf_cstr(&why));
	mem_free(resource);
	buf_deinit(&why);
	return false;
}

bool kube_fail_expired(struct kube_call *call, const char *message) {
	return kube_fail(call, 410, "Expired", NULL, "%s", message);
}

bool kube_fail_path(struct kube_call *call) {
	kube_answer_text(call, 404, "text/plain; charset=utf-8", "404 page not found\n");
	return false;
}

bool kube_fail_method(struct kube_call *call) {
	return kube_fail(call, 405, "MethodNotAllowed", kj_must(cJSON_CreateObject()),
			 "the server does not allow this method on the requested resource");
}

bool kube_fail_media(struct kube_call *call, const char *accepted) {
	return kube_fail(call, 415, "UnsupportedMediaType", NULL,
			 "the body of the request was in an unknown format - accepted media types include: %s", accepted);
}

static const struct {
	int code;
	const char *reason, *message;
} CODES[] = {
	{ 400, "BadRequest", "the server rejected our request for an unknown reason" },
	{ 409, "Conflict", "the server reported a conflict" },
	{ 429, "TooManyRequests", "Too many requests, please try again later." },
	{ 500, "InternalError", "Internal error occurred: etcdserver: leader changed" },
	{ 503, "ServiceUnavailable", "the server is currently unable to handle the request" },
	{ 504, "Timeout", "Timeout: request did not complete within the allotted timeout" },
};

bool kube_fail_code(struct kube_call *call, int code, int64_t retry_after_s) {
	if (retry_after_s > 0) world_response_header(call->out, "Retry-After", "%lld", (long long)retry_after_s);
	/* Priority and fairness answers 429 in plain text. */
	if (code == 429) {
		kube_answer_text(call, code, "text/plain; charset=utf-8", CODES[2].message);
		return false;
	}
	const char *reason = "InternalError", *message = "an error on the server has prevented the request from succeeding";
	for (size_t i = 0; i < sizeof(CODES) / sizeof(*CODES); i++) {
		if (CODES[i].code != code) continue;
		reason = CODES[i].reason;
		message = CODES[i].message;
	}
	return kube_fail(call, code, reason, NULL, "%s", message);
}

void kube_cause(struct kube_invalid *invalid, const char *type, const char *field, const char *format, ...) {
	va_list args;
	va_start(args, format);
	struct buf message;
	buf_init(&message, MESSAGE_BYTES);
	buf_vprintf(&message, format, args);
	va_end(args);
	if (!invalid->causes) invalid->causes = kj_must(cJSON_CreateArray());
	cJSON *cause = kj_must(cJSON_CreateObject());
	kj_set_text(cause, "reason", type);
	kj_set_text(cause, "message", buf_cstr(&message));
	kj_set_text(cause, "field", field);
	kj_push(invalid->causes, cause);
	buf_deinit(&message);
}

/* "a: b", or "[a: b, c: d]" without repetitions. */
static void causes_text(const cJSON *causes, struct buf *out) {
	cJSON *seen = kj_must(cJSON_CreateArray());
	const cJSON *cause, *text;
	cJSON_ArrayForEach(cause, causes) {
		char *line = kj_format("%s: %s", kj_text(cause, "field"), kj_text(cause, "message"));
		if (!kj_contains_text(seen, line)) kj_push(seen, cJSON_CreateString(line));
		mem_free(line);
	}
	bool many = seen->child && seen->child->next;
	if (many) buf_append_char(out, '[');
	cJSON_ArrayForEach(text, seen) {
		if (text != seen->child) buf_append(out, STR(", "));
		buf_append(out, str_of(text->valuestring));
	}
	if (many) buf_append_char(out, ']');
	cJSON_Delete(seen);
}

bool kube_invalid_done(struct kube_call *call, struct kube_invalid *invalid, const struct kube_type *type,
		       const char *name) {
	if (!invalid->causes) return true;
	struct buf text;
	buf_init(&text, MESSAGE_BYTES);
	causes_text(invalid->causes, &text);
	cJSON *details = kube_details(type->group, type->kind, name);
	kj_set(details, "causes", take(invalid->causes));
	char *kind = kube_group_kind(type);
	kube_fail(call, 422, "Invalid", details, "%s \"%s\" is invalid: %s", kind, name, buf_cstr(&text));
	mem_free(kind);
	buf_deinit(&text);
	return false;
}
