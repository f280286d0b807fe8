/* What the answers of a Kubernetes API server mean. */
#include <stdio.h>

#include "base/decode.h"
#include "clients/json.h"
#include "clients/kube.h"
#include "clients/kube_fields.h"

enum { MANAGED_FIELDS_BYTES = 512 << 10 };

/* --- metadata of a Secret: scanned in secret memory, only what is named is copied out --- */

/* A plain string without escapes: uid, resourceVersion, names of kinds. STR_NULL otherwise. */
static struct str plain_text(struct str raw) {
	if (raw.len < 2 || raw.ptr[0] != '"') return STR_NULL;
	raw = str_slice(raw, 1, raw.len - 2);
	return str_find_char(raw, '\\') == SIZE_MAX ? raw : STR_NULL;
}

static enum err copy_text(struct str raw, char *out_text, size_t bytes) {
	struct str text = plain_text(raw);
	if (!text.len || text.len >= bytes) return ERR_PARSE;
	memcpy(out_text, text.ptr, text.len);
	out_text[text.len] = 0;
	return OK;
}

static struct str member(struct str object, const char *key) {
	struct str raw = STR_NULL;
	return json_scan_member(object, key, &raw) == OK ? raw : STR_NULL;
}

/* What counts of an object's metadata, as it is written. */
struct parts {
	struct str uid, version, owners, managed_fields, labels, annotations, deletion, creation;
};

static struct parts find_parts(struct str metadata) {
	struct parts parts;
	const struct json_wanted wanted[] = {
		{ STR("uid"), &parts.uid },
		{ STR("resourceVersion"), &parts.version },
		{ STR("ownerReferences"), &parts.owners },
		{ STR("managedFields"), &parts.managed_fields },
		{ STR("labels"), &parts.labels },
		{ STR("annotations"), &parts.annotations },
		{ STR("deletionTimestamp"), &parts.deletion },
		{ STR("creationTimestamp"), &parts.creation },
	};
	json_scan_members(metadata, wanted, sizeof wanted / sizeof *wanted);
	return parts;
}

static enum err read_owner(struct str owner, struct kube_meta *meta) {
	struct str kind, version, uid;
	const struct json_wanted wanted[] = { { STR("kind"), &kind },
		{ STR("apiVersion"), &version }, { STR("uid"), &uid } };
	json_scan_members(owner, wanted, sizeof wanted / sizeof *wanted);
	meta->owner_is_sync = str_eq(plain_text(kind), STR("SecretSync")) &&
			      str_starts(plain_text(version), STR("secret-sync.x-k8s.io/"));
	return copy_text(uid, meta->owner_uid, sizeof meta->owner_uid);
}

static enum err read_owners(struct str owners, struct kube_meta *meta) {
	struct str first = STR_NULL, item;
	struct json_items items = json_items(owners);
	while (json_next_item(&items, &item)) {
		if (meta->owner_count++ == 0) first = item;
	}
	if (items.err) return items.err;
	return meta->owner_count ? read_owner(first, meta) : OK;
}

static enum err read_managed_fields(struct str raw, struct kube_meta *meta) {
	struct str entry;
	if (!raw.len) raw = STR("[]");
	struct json_items entries = json_items(raw);
	while (json_next_item(&entries, &entry))
		meta->must_settle |= kube_raw_entry_must_settle(entry);
	if (entries.err) return entries.err;
	buf_init(&meta->managed_fields, MANAGED_FIELDS_BYTES);
	buf_append(&meta->managed_fields, raw);
	return buf_err(&meta->managed_fields);
}

void kube_meta_deinit(struct kube_meta *meta) {
	buf_deinit(&meta->managed_fields);
	*meta = (struct kube_meta){ 0 };
}

enum err kube_read_secret_name(struct str object, struct str *out_ns, struct str *out_name) {
	const struct json_wanted wanted[] = { { STR("namespace"), out_ns },
		{ STR("name"), out_name } };
	json_scan_members(member(object, "metadata"), wanted, sizeof wanted / sizeof *wanted);
	*out_ns = plain_text(*out_ns);
	*out_name = plain_text(*out_name);
	return out_ns->len && out_name->len ? OK : ERR_INVALID;
}

enum err kube_read_secret(struct str object, struct kube_meta *out_meta, struct fault *fault) {
	struct kube_meta meta = { 0 };
	struct parts parts = find_parts(member(object, "metadata"));
	enum err err = copy_text(parts.uid, meta.uid, sizeof meta.uid);
	if (!err)
		err = copy_text(parts.version, meta.resource_version, sizeof meta.resource_version);
	if (!err) err = read_owners(parts.owners, &meta);
	if (!err) err = read_managed_fields(parts.managed_fields, &meta);
	if (err) {
		kube_meta_deinit(&meta);
		if (err == ERR_NOMEM)
			return fault_set(fault, err,
				"out of memory while the API server's answer about a Secret was "
				"read");
		return fault_set(fault, ERR_PARSE,
			"the API server's answer about a Secret could not be read: uid, "
			"resourceVersion, owners or managedFields "
			"are missing or malformed");
	}
	struct str label = member(parts.labels, KUBE_MANAGED_KEY);
	meta.has_label = str_eq(label, STR("\"\""));
	struct str annotation = member(parts.annotations, KUBE_MANAGED_KEY);
	meta.has_annotation = str_eq(annotation, STR("\"\""));
	meta.annotation_changed = annotation.len > 0 && !meta.has_annotation;
	meta.deleting = parts.deletion.len > 0;
	/* Only shown; a server that leaves it out costs nothing but the display. */
	if (copy_text(parts.creation, meta.created, sizeof meta.created) != OK) meta.created[0] = 0;
	*out_meta = meta;
	return OK;
}

enum err kube_read_meta(
	const struct kube_call *call, struct kube_meta *out_meta, struct fault *fault) {
	return kube_read_secret(http_response_body(&call->http), out_meta, fault);
}

/* --- managedFields: our Update entries become part of our Apply entry --- */

/* Deep union of two fieldsV1 trees: what `from` has and `into` has not is moved over. */
static void merge_fields(cJSON *into, cJSON *from) {
	/* Iterative, because the depth is the server's: a stack of pairs would do the same with more code. */
	struct pair {
		cJSON *into, *from;
	} stack[64];
	size_t depth = 0;
	stack[depth++] = (struct pair){ into, from };
	while (depth) {
		struct pair at = stack[--depth];
		for (cJSON *child = at.from->child, *next; child; child = next) {
			next = child->next;
			cJSON *same = cJSON_GetObjectItemCaseSensitive(at.into, child->string);
			if (!same) {
				cJSON_DetachItemViaPointer(at.from, child);
				/* As a member: it has its name already, and nothing is allocated. */
				cJSON_AddItemToArray(at.into, child);
			} else if (child->child && depth < sizeof stack / sizeof stack[0]) {
				stack[depth++] = (struct pair){ same, child };
			}
		}
	}
}

static cJSON *find_apply(cJSON *list) {
	for (cJSON *entry = list->child; entry; entry = entry->next) {
		if (kube_entry_is_apply(entry)) return entry;
	}
	return NULL;
}

/* The first entry to be merged becomes the Apply entry where there is none. */
static enum err rename_entry(cJSON *entry) {
	cJSON *operation = cJSON_GetObjectItemCaseSensitive(entry, "operation");
	cJSON *manager = cJSON_GetObjectItemCaseSensitive(entry, "manager");
	if (!cJSON_SetValuestring(operation, "Apply")) return ERR_NOMEM;
	return cJSON_SetValuestring(manager, KUBE_FIELD_MANAGER) ? OK : ERR_NOMEM;
}

static enum err settle_entry(cJSON *list, cJSON *update, cJSON **apply) {
	if (!*apply) {
		*apply = update;
		return rename_entry(update);
	}
	cJSON *into = cJSON_GetObjectItemCaseSensitive(*apply, "fieldsV1");
	cJSON *from = cJSON_GetObjectItemCaseSensitive(update, "fieldsV1");
	if (cJSON_IsObject(into) && cJSON_IsObject(from)) merge_fields(into, from);
	cJSON_Delete(cJSON_DetachItemViaPointer(list, update));
	return OK;
}

enum err kube_settled_fields(struct str managed_fields, struct buf *out_json);

enum err kube_settled_fields(struct str managed_fields, struct buf *out_json) {
	struct fault fault = { 0 };
	cJSON *list = NULL;
	char *text = NULL;
	enum err err = json_parse(managed_fields, &list, &fault);
	if (err) goto out;
	cJSON *apply = find_apply(list);
	for (cJSON *entry = list->child, *next; entry && !err; entry = next) {
		next = entry->next;
		if (kube_entry_must_settle(entry)) err = settle_entry(list, entry, &apply);
	}
	if (err) goto out;
	text = cJSON_PrintUnformatted(list);
	if (!text) err = ERR_NOMEM;
	if (text) buf_append(out_json, str_of(text));
	if (!err) err = buf_err(out_json);
out:
	cJSON_free(text);
	cJSON_Delete(list);
	return err;
}

/* --- tokens --- */

enum err kube_read_token(
	const struct kube_call *call, struct secret *out_token, struct fault *fault) {
	struct str raw = member(member(http_response_body(&call->http), "status"), "token");
	if (raw.len > 2 && json_unescape_secret(raw, out_token) == OK && secret_len(out_token))
		return OK;
	return fault_set(fault, ERR_PARSE,
		"the API server's answer to a TokenRequest holds no status.token");
}

/* The raw value of the key, or ERR_INVALID when there are two. */
static enum err find_data(struct str data, struct str key, struct str *out_raw) {
	struct json_items members = json_members(data);
	struct str raw_key, raw;
	*out_raw = STR_NULL;
	while (json_next_member(&members, &raw_key, &raw)) {
		/* Keys of a Secret need no escapes. */
		if (!str_eq_nocase(str_slice(raw_key, 1, raw_key.len - 2), key)) continue;
		if (out_raw->ptr) return ERR_INVALID;
		*out_raw = raw;
	}
	if (members.err) return ERR_PARSE;
	return out_raw->len > 2 ? OK : ERR_NOT_FOUND;
}

enum err kube_read_data(const struct kube_call *call, struct str key, struct secret *out_value) {
	struct str raw, data = member(http_response_body(&call->http), "data");
	if (!data.len || str_eq(data, STR("null"))) return ERR_NOT_FOUND;
	enum err err = find_data(data, key, &raw);
	if (err) return err;
	if (raw.ptr[0] != '"') return ERR_PARSE;
	struct str text = str_slice(raw, 1, raw.len - 2);
	if (decode_base64(BASE64_PADDED, text, secret_sink(out_value), NULL)) return ERR_PARSE;
	return secret_err(out_value);
}

/* --- errors --- */

/* The Status object of an error, with what decides about it. */
struct verdict {
	cJSON *json; /* NULL: the body was no JSON object */
	struct str reason, message;
};

static bool names_policy(struct str message) {
	return str_find(message, STR("ValidatingAdmissionPolicy '")) != SIZE_MAX;
}

static enum err err_of_422(const struct verdict *verdict) {
	const cJSON *causes = json_get(verdict->json, "details.causes");
	const cJSON *first = cJSON_IsArray(causes) ? causes->child : NULL;
	if (!first) return ERR_CONFLICT; /* a JSON patch whose test failed: details are empty */
	return str_eq(json_str(first, "field"), STR("metadata.uid")) ? ERR_CONFLICT : ERR_INVALID;
}

static enum err err_of_status(int status, const struct verdict *verdict) {
	if (names_policy(verdict->message)) return ERR_POLICY;
	switch (status) {
	case 401:
		return ERR_UNAUTHENTICATED;
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
		return str_eq(verdict->reason, STR("AlreadyExists")) ? ERR_EXISTS : ERR_CONFLICT;
	case 410:
		return ERR_GONE;
	case 413:
		return ERR_TOO_LARGE;
	case 422:
		return err_of_422(verdict);
	case 429:
		return ERR_THROTTLED;
	default:
		break;
	}
	return status >= 500 ? ERR_UNAVAILABLE : ERR_INTERNAL;
}

/* RBAC's own sentence is: User "name" cannot VERB resource ... A quota, a namespace that ends and an admission webhook answer
 * 403 as well. */
static bool is_missing_right(struct str message) {
	return str_find(message, STR("\" cannot ")) != SIZE_MAX;
}

/* The right that deploy/manifests leaves out on purpose. */
static bool is_right_to_watch_secrets(struct str message) {
	bool read = str_find(message, STR("\" cannot list ")) != SIZE_MAX ||
		    str_find(message, STR("\" cannot watch ")) != SIZE_MAX;
	return read && str_find(message, STR("resource \"secrets\"")) != SIZE_MAX;
}

static const char *remedy_of(enum err err, int status, struct str message) {
	switch (err) {
	case ERR_DENIED:
		if (is_right_to_watch_secrets(message))
			return ": deploy/drift-watch has the ClusterRole";
		return is_missing_right(message)
			       ? ": grant kvsync that right (deploy/manifests has the ClusterRole)"
			       : ": no right is missing, the text says what refused it";
	case ERR_POLICY:
		return ": change the policy, or what it refuses";
	case ERR_UNAUTHENTICATED:
		return ": the token or client certificate of kvsync is not accepted by the API "
		       "server";
	case ERR_INVALID:
		return ": correct the SecretSync";
	default:
		return status == 400 ? ": the server did not understand the request" : "";
	}
}

/* Shorter values would be found in any sentence, and longer ones are known by their beginning. */
enum { TELLING_LEAST_BYTES = 4, TELLING_MOST_BYTES = 12 };

static unsigned base64_digit(char c) {
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (unsigned)(at - digits) : 0;
}

/* One byte of what base64 text stands for; decoded in place, so that no copy of a value is made. */
static char base64_byte(struct str text, size_t index) {
	const char *group = text.ptr + index / 3 * 4;
	unsigned bits = base64_digit(group[0]) << 18 | base64_digit(group[1]) << 12 |
			base64_digit(group[2]) << 6 | base64_digit(group[3]);
	return (char)(bits >> (16 - index % 3 * 8));
}

static bool repeats_value(struct str message, struct str base64) {
	size_t len = base64.len / 4 * 3;
	while (len && (base64_byte(base64, len - 1) == 0 || base64_byte(base64, len - 1) == '\n'))
		len--;
	if (len < TELLING_LEAST_BYTES) return false;
	if (len > TELLING_MOST_BYTES) len = TELLING_MOST_BYTES;
	if (str_find(message, str_slice(base64, 0, (len + 2) / 3 * 4)) != SIZE_MAX) return true;
	for (size_t at = 0; at + len <= message.len; at++) {
		size_t same = 0;
		while (same < len && message.ptr[at + same] == base64_byte(base64, same)) same++;
		if (same == len) return true;
	}
	return false;
}

/* True when the message holds a value of the Secret that was sent. An admission webhook or a policy's messageExpression may
 * repeat what it was shown. */
static bool repeats_secret(struct str message, const struct secret *body) {
	struct str data = body ? member(secret_expose(body), "data") : STR_NULL, key, value;
	struct json_items members = json_members(data);
	while (json_next_member(&members, &key, &value)) {
		if (value.len >= 2 && repeats_value(message, str_slice(value, 1, value.len - 2)))
			return true;
	}
	return false;
}

/* A 400 echoes the body that was sent, which holds values. */
static struct str shown_message(
	const struct verdict *verdict, int status, const struct secret *body) {
	if (status == 400) return STR("BadRequest");
	if (repeats_secret(verdict->message, body))
		return STR("(its text repeats a value and is not shown)");
	return verdict->message.len ? verdict->message : verdict->reason;
}

static enum err describe(const struct kube_call *call, struct fault *fault, const char *what) {
	struct fault ignored = { 0 };
	struct verdict verdict = { 0 };
	int status = call->http.status;
	if (json_parse(http_response_body(&call->http), &verdict.json, &ignored) == OK) {
		verdict.reason = json_str(verdict.json, "reason");
		verdict.message = json_str(verdict.json, "message");
	}
	enum err err = err_of_status(status, &verdict);
	struct str message = shown_message(&verdict, status, call->http.secret_body);
	err = fault_set(fault, err, "cannot %s: the API server answered %d%s%.*s%s", what, status,
		message.len ? " " : "", STR_ARG(message), remedy_of(err, status, verdict.message));
	if (fault) {
		fault->http_status = status;
		fault->retry_after_ns =
			call->http.retry_after_ns > 0 ? call->http.retry_after_ns : 0;
		snprintf(fault->code, sizeof fault->code, "%.*s", STR_ARG(verdict.reason));
	}
	cJSON_Delete(verdict.json);
	return err;
}

bool kube_succeeded(const struct kube_call *call) {
	return !call->http.err && call->http.status >= 200 && call->http.status < 300;
}

enum err kube_result(const struct kube_call *call, struct fault *fault, const char *what) {
	const struct http_req *http = &call->http;
	if (http->err) {
		if (fault) *fault = http->fault;
		return fault_prefix(fault, http->err, "cannot %s", what);
	}
	if (kube_succeeded(call)) return OK;
	return describe(call, fault, what);
}
