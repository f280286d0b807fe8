/* Which requests of a plan go out, and what the others would do. */
#include "engine/plan_door_impl.h"

static struct str path_of(const struct http_req *req) {
	struct str scheme, host, path = STR_NULL;
	unsigned port;
	enum err err = http_url_split(buf_str(&req->url), &scheme, &host, &port, &path);
	return err ? STR_NULL : str_slice(path, 0, str_find_char(path, '?'));
}

static struct str content_type(const struct http_req *req) {
	for (unsigned i = 0; i < req->header_count; i++) {
		if (strcmp(req->headers[i].name, "Content-Type") == 0) return req->headers[i].value;
	}
	return STR_NULL;
}

/* "/api/v1/namespaces/NS/secrets[/NAME]" */
static bool is_about_secret(struct str path, struct str *out_ns, struct str *out_name) {
	const struct str prefix = STR("/api/v1/namespaces/");
	if (!str_starts(path, prefix)) return false;
	struct str rest = str_slice(path, prefix.len, path.len);
	*out_ns = str_next(&rest, '/');
	struct str word = rest.ptr ? str_next(&rest, '/') : STR_NULL;
	*out_name = rest.ptr ? rest : STR_NULL;
	return str_eq(word, STR("secrets")) && str_find_char(*out_name, '/') == SIZE_MAX;
}

static enum plan_request write_of_secret(const struct http_req *req, struct str name) {
	struct str type = content_type(req);
	if (req->method == HTTP_POST && !name.len) return REQUEST_CREATE;
	if (req->method != HTTP_PATCH || !name.len) return REQUEST_REFUSED;
	if (str_starts(type, STR("application/json-patch"))) return REQUEST_SETTLE;
	if (str_starts(type, STR("application/apply-patch"))) return REQUEST_APPLY;
	return req->secret_body ? REQUEST_PATCH : REQUEST_PROBE;
}

/* By whichever of its connections. */
static bool is_for_kube(const struct kube *kube, const struct http_site *site) {
	return site == &kube->site || site == &kube->watch_site || site == &kube->secret_site;
}

enum plan_request plan_request_of(const struct kube *kube, const struct http_req *req) {
	struct str path = path_of(req), ns, name;
	if (!is_for_kube(kube, req->site)) return REQUEST_READ;
	if (req->method == HTTP_GET) return REQUEST_READ;
	bool is_token = str_find(path, STR("/serviceaccounts/")) != SIZE_MAX &&
			str_ends(path, STR("/token"));
	if (req->method == HTTP_POST && is_token) return REQUEST_READ;
	if (is_about_secret(path, &ns, &name)) return write_of_secret(req, name);
	bool is_status = req->method == HTTP_PATCH && str_ends(path, STR("/status"));
	bool is_event = req->method == HTTP_POST && str_ends(path, STR("/events"));
	return is_status || is_event ? REQUEST_TAKEN : REQUEST_REFUSED;
}

/* A POST names its Secret in the body only. */
static struct str name_in_body(const struct http_req *req) {
	struct str body = req->secret_body ? secret_expose(req->secret_body) : STR_NULL;
	struct str raw = plan_member(plan_member(body, "metadata"), "name");
	return raw.len > 2 ? str_slice(raw, 1, raw.len - 2) : STR_NULL;
}

bool plan_request_names(const struct http_req *req, struct str *out_ns, struct str *out_name) {
	bool is = is_about_secret(path_of(req), out_ns, out_name);
	if (is && !out_name->len) *out_name = name_in_body(req);
	return is;
}
