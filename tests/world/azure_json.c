/* tests/world/azure_json.c - the bodies of Key Vault, members in the order in which the service writes them. */
#include "tests/world/azure.h"

#include <assert.h>

static void url(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_object *object, const struct azure_version *version, struct buf *out) {
	buf_printf(out, "\"https://%s/%s/%s", vault->host, azure_kinds[kind].many, object->name);
	if (version) buf_printf(out, "/%s", version->id);
	buf_append_char(out, '"');
}

static void attributes(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_version *version, bool in_list, struct azure_shape shape,
	struct buf *out) {
	buf_printf(out, "\"attributes\":{\"enabled\":%s", version->enabled ? "true" : "false");
	if (version->nbf_s != AZURE_UNSET)
		buf_printf(out, ",\"nbf\":%lld", (long long)version->nbf_s);
	if (version->exp_s != AZURE_UNSET)
		buf_printf(out, ",\"exp\":%lld", (long long)version->exp_s);
	buf_printf(out, ",\"created\":%lld,\"updated\":%lld", (long long)version->created_s,
		(long long)version->updated_s);
	if (kind != AZURE_CERTIFICATE || !in_list) {
		const char *level = vault->retention_days == 90 ? "Recoverable+Purgeable"
								: "CustomizedRecoverable+Purgeable";
		buf_printf(out, ",\"recoveryLevel\":\"%s\"", level);
		if (!shape.no_days)
			buf_printf(
				out, ",\"recoverableDays\":%lld", (long long)vault->retention_days);
	}
	if (shape.unknown_members)
		buf_append(out, STR(",\"hsmPlatform\":\"2\",\"futureAttribute\":{\"a\":[1,null]}"));
	buf_append_char(out, '}');
}

static void tags(const struct azure_version *version, struct azure_shape shape, struct buf *out) {
	if (shape.tags_null) {
		buf_append(out, STR(",\"tags\":null"));
	} else if (shape.tags_empty) {
		buf_append(out, STR(",\"tags\":{}"));
	} else if (version->tags) {
		char *text = cJSON_PrintUnformatted(version->tags);
		assert(text);
		buf_printf(out, ",\"tags\":%s", text);
		cJSON_free(text);
	}
}

static void managed(const struct azure_version *version, struct buf *out) {
	if (version->managed) buf_append(out, STR(",\"managed\":true"));
}

static void secret_head(const struct azure_version *version, struct buf *out) {
	if (!version->content_type) return;
	buf_append(out, STR("\"contentType\":"));
	buf_append_json(out, str_of(version->content_type));
	buf_append_char(out, ',');
}

static void secret_bundle(const struct azure_vault *vault, const struct azure_object *object,
	const struct azure_version *version, bool with_value, struct azure_shape shape,
	struct buf *out) {
	if (with_value) {
		buf_append(out, STR("\"value\":"));
		buf_append_json(out, version->value);
		buf_append_char(out, ',');
	}
	secret_head(version, out);
	buf_append(out, STR("\"id\":"));
	url(vault, AZURE_SECRET, object, version, out);
	managed(version, out);
	buf_append_char(out, ',');
	attributes(vault, AZURE_SECRET, version, false, shape, out);
	tags(version, shape, out);
	if (version->managed) {
		buf_append(out, STR(",\"kid\":"));
		url(vault, AZURE_KEY, object, version, out);
	}
}

static void key_bundle(const struct azure_vault *vault, const struct azure_object *object,
	const struct azure_version *version, struct azure_shape shape, struct buf *out) {
	struct buf kid;
	buf_init(&kid, 1024);
	url(vault, AZURE_KEY, object, version, &kid);
	buf_append(out, STR("\"key\":"));
	azure_key_json(version, buf_cstr(&kid), out);
	buf_append_char(out, ',');
	buf_deinit(&kid);
	attributes(vault, AZURE_KEY, version, false, shape, out);
	managed(version, out);
	tags(version, shape, out);
}

static void certificate_bundle(const struct azure_vault *vault, const struct azure_object *object,
	const struct azure_version *version, struct azure_shape shape, struct buf *out) {
	buf_append(out, STR("\"id\":"));
	url(vault, AZURE_CERTIFICATE, object, version, out);
	buf_append(out, STR(",\"kid\":"));
	url(vault, AZURE_KEY, object, version, out);
	buf_append(out, STR(",\"sid\":"));
	url(vault, AZURE_SECRET, object, version, out);
	buf_append(out, STR(",\"x5t\":\""));
	azure_sha1(version->value, out);
	buf_append(out, STR("\",\"cer\":\""));
	buf_append_base64(out, version->value);
	buf_append(out, STR("\","));
	attributes(vault, AZURE_CERTIFICATE, version, false, shape, out);
	tags(version, shape, out);
	buf_append(out, STR(",\"policy\":"));
	azure_json_policy(vault, object, version, out);
	buf_printf(out, ",\"pending\":{\"id\":\"https://%s/certificates/%s/pending\"}", vault->host,
		object->name);
}

void azure_json_bundle(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_object *object, const struct azure_version *version, bool with_value,
	struct azure_shape shape, struct buf *out) {
	if (kind == AZURE_SECRET) secret_bundle(vault, object, version, with_value, shape, out);
	if (kind == AZURE_KEY) key_bundle(vault, object, version, shape, out);
	if (kind == AZURE_CERTIFICATE) certificate_bundle(vault, object, version, shape, out);
	if (shape.unknown_members)
		buf_append(
			out, STR(",\"previousVersion\":\"0\",\"futureMember\":{\"a\":[1,null]}"));
}

void azure_json_item(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_object *object, const struct azure_version *version,
	struct azure_shape shape, struct buf *out) {
	const struct azure_version *shown = version ? version : object->current;
	if (kind == AZURE_SECRET) secret_head(shown, out);
	buf_append(out, kind == AZURE_KEY ? STR("\"kid\":") : STR("\"id\":"));
	url(vault, kind, object, version, out);
	if (kind == AZURE_SECRET) managed(shown, out);
	if (kind == AZURE_CERTIFICATE) {
		buf_append(out, STR(",\"x5t\":\""));
		azure_sha1(shown->value, out);
		buf_append_char(out, '"');
	}
	buf_append_char(out, ',');
	attributes(vault, kind, shown, true, shape, out);
	if (kind == AZURE_KEY) managed(shown, out);
	if (kind == AZURE_CERTIFICATE) buf_append(out, STR(",\"subject\":\"\""));
	tags(shown, shape, out);
	if (shape.unknown_members) buf_append(out, STR(",\"futureMember\":{\"a\":[1,null]}"));
}

void azure_json_policy(const struct azure_vault *vault, const struct azure_object *object,
	const struct azure_version *version, struct buf *out) {
	const struct azure_version *first = object->versions[0];
	for (size_t i = 1; i < object->count; i++) {
		if (object->versions[i]->seq < first->seq) first = object->versions[i];
	}
	bool rsa = version->key_type == AZURE_RSA;
	buf_printf(out,
		"{\"id\":\"https://%s/certificates/%s/policy\",\"key_props\":{\"exportable\":true,",
		vault->host, object->name);
	buf_append(out, rsa ? STR("\"kty\":\"RSA\",\"key_size\":2048,\"reuse_key\":false},")
			    : STR("\"kty\":\"EC\",\"key_size\":256,\"crv\":\"P-256\",\"reuse_key\":"
				  "false},"));
	const struct azure_object *secret =
		azure_object_find(vault, AZURE_SECRET, str_of(object->name));
	const char *type = secret && secret->current->content_type ? secret->current->content_type
								   : "application/x-pkcs12";
	buf_printf(out,
		"\"secret_props\":{\"contentType\":\"%s\"},\"x509_props\":{\"subject\":\"CN=%s\","
		"\"sans\":{},"
		"\"ekus\":[\"1.3.6.1.5.5.7.3.1\",\"1.3.6.1.5.5.7.3.2\"],\"key_usage\":["
		"\"digitalSignature\","
		"\"keyEncipherment\"],\"validity_months\":12,\"basic_constraints\":{\"ca\":false}},"
		"\"lifetime_actions\":[{\"trigger\":{\"lifetime_percentage\":80},\"action\":"
		"{\"action_type\":\"AutoRenew\"}}],\"issuer\":{\"name\":\"Self\"},\"attributes\":{"
		"\"enabled\":true,"
		"\"created\":%lld,\"updated\":%lld}}",
		type, object->name, (long long)first->created_s, (long long)first->updated_s);
}

void azure_json_deleted(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_object *object, struct buf *out) {
	buf_printf(out,
		",\"recoveryId\":\"https://%s/deleted%s/"
		"%s\",\"deletedDate\":%lld,\"scheduledPurgeDate\":%lld",
		vault->host, azure_kinds[kind].many, object->name, (long long)object->deleted_s,
		(long long)object->purge_s);
}
