/* tests/world/azure_list.c - lists: at most 25 rows a page, tombstones walked and then left out, an opaque nextLink.
 *
 * A page is built over rows, not over what is shown; so a vault full of deleted objects has whole empty pages with a nextLink.
 */
#include "tests/world/azure.h"

#include <assert.h>

/* The rows of one page; 0: the parameter is bad and the answer is written. */
static size_t page_size(struct azure_call *call) {
	if (!world_query(call->req->query, "maxresults", NULL)) {
		return azure_fault_hit(call->azure, call->now, call->req, FAULT_SHORT_PAGES)
			       ? 24
			       : AZURE_PAGE;
	}
	int64_t asked = world_query_i64(call->req->query, "maxresults", 0);
	int64_t most = call->azure->list_rows;
	if (asked >= 1 && asked <= AZURE_PAGE)
		return (size_t)(most && asked > most ? most : asked);
	azure_error(call, 400, "BadParameter", NULL, "Property  has invalid value\r\n");
	return 0;
}

/* Reads the marker out of $skiptoken; false: it is no token of ours and the answer is written. */
static bool read_marker(struct azure_call *call, struct buf *out_marker) {
	struct buf token, text;
	buf_init(&token, 8192);
	buf_init(&text, 8192);
	bool good = true;
	if (world_query(call->req->query, "$skiptoken", &token)) {
		cJSON *json = NULL;
		if (azure_base64url_decode(buf_str(&token), &text)) {
			json = cJSON_ParseWithLength(buf_str(&text).ptr, buf_str(&text).len);
		}
		buf_append(out_marker, world_json_str(json, "NextMarker"));
		good = world_json_str(json, "NextMarker").len > 0;
		cJSON_Delete(json);
	}
	buf_deinit(&token);
	buf_deinit(&text);
	if (!good) azure_error(call, 400, "BadParameter", NULL, "Property  has invalid value\r\n");
	return good;
}

static void next_link(struct azure_call *call, struct str marker) {
	struct buf *body = &call->out->body;
	if (!marker.len) {
		buf_append(body, STR("],\"nextLink\":null}"));
		return;
	}
	struct buf token, version, limit;
	buf_init(&token, 8192);
	buf_init(&version, 256);
	buf_init(&limit, 64);
	buf_printf(&token,
		"{\"NextMarker\":\"%.*s\",\"TargetLocation\":0,\"Expires\":\"9999-12-31T23:59:"
		"59Z\",\"Pad\":"
		"\"c3RvcmFnZSBjb250aW51YXRpb24gbWFya2VyIG9mIG5vIG1lYW5pbmcgdG8gYW55IGNsaWVudCBhdCBh"
		"bGw\"}",
		STR_ARG(marker));
	world_query(call->req->query, "api-version", &version);
	bool limited = world_query(call->req->query, "maxresults", &limit);
	struct buf link;
	buf_init(&link, 16384);
	buf_printf(&link, "https://%s:443/%s%s", call->vault->host, call->deleted ? "deleted" : "",
		azure_kinds[call->kind].many);
	if (buf_str(&call->name).len) buf_printf(&link, "/%s/versions", buf_cstr(&call->name));
	buf_printf(&link, "?api-version=%s&$skiptoken=", buf_cstr(&version));
	azure_base64url(buf_str(&token), &link);
	if (limited) buf_printf(&link, "&maxresults=%s", buf_cstr(&limit));
	buf_append(body, STR("],\"nextLink\":"));
	buf_append_json(body, buf_str(&link));
	buf_append_char(body, '}');
	buf_deinit(&token);
	buf_deinit(&version);
	buf_deinit(&limit);
	buf_deinit(&link);
}

static bool is_shown(const struct azure_call *call, const struct azure_object *object) {
	if (!call->deleted) return !object->deleted;
	return object->deleted && call->now.mono_ns >= object->deleted_visible_ns;
}

static void row(struct azure_call *call, const struct azure_object *object,
	const struct azure_version *version, bool first) {
	struct buf *body = &call->out->body;
	buf_append(body, first ? STR("{") : STR(",{"));
	azure_json_item(call->vault, call->kind, object, version, call->shape, body);
	if (call->deleted) azure_json_deleted(call->vault, call->kind, object, body);
	buf_append_char(body, '}');
}

void azure_list(struct azure_call *call) {
	const struct azure_vault *vault = call->vault;
	if (!azure_permit(call, call->deleted ? AZURE_WRITE : AZURE_LIST, "list")) return;
	struct buf marker;
	buf_init(&marker, 4096);
	size_t rows = page_size(call);
	if (!rows || !read_marker(call, &marker)) goto out;
	if (vault->count[call->kind] == 0 &&
		azure_fault_hit(call->azure, call->now, call->req, FAULT_NULL_LIST)) {
		buf_append(&call->out->body, STR("{\"value\":null,\"nextLink\":null}"));
		goto out;
	}
	size_t at = azure_object_after(vault, call->kind, buf_str(&marker));
	size_t end = at + rows < vault->count[call->kind] ? at + rows : vault->count[call->kind];
	bool first = true;
	buf_append(&call->out->body, STR("{\"value\":["));
	for (; at < end; at++) {
		const struct azure_object *object = vault->objects[call->kind][at];
		if (!is_shown(call, object)) continue;
		row(call, object, NULL, first);
		if (call->azure->on_shown)
			call->azure->on_shown(str_of(object->name), call->now, call->azure->on_shown_arg);
		first = false;
	}
	bool more = end < vault->count[call->kind];
	next_link(call, more ? str_of(vault->objects[call->kind][end - 1]->upper) : STR_NULL);
out:
	buf_deinit(&marker);
}

void azure_list_versions(struct azure_call *call) {
	if (!azure_permit(call, AZURE_LIST, "list")) return;
	struct buf marker;
	buf_init(&marker, 4096);
	size_t rows = page_size(call);
	if (!rows || !read_marker(call, &marker)) goto out;
	const struct azure_object *object =
		azure_object_find(call->vault, call->kind, buf_str(&call->name));
	buf_append(&call->out->body, STR("{\"value\":["));
	if (!object || object->deleted) {
		next_link(call, STR_NULL);
		goto out;
	}
	size_t at = azure_version_after(object, buf_str(&marker));
	size_t end = at + rows < object->count ? at + rows : object->count;
	for (size_t i = at; i < end; i++) row(call, object, object->versions[i], i == at);
	next_link(call, end < object->count ? str_of(object->versions[end - 1]->id) : STR_NULL);
out:
	buf_deinit(&marker);
}
