#include "clients/kube.h"

#include <assert.h>

#include "base/encode.h"
#include "base/mem.h"
#include "base/rcu.h"

enum {
	URL_BYTES = 16 << 10,
	LIST_BYTES = 64 << 20, /* of one page */
	TOKEN_BYTES = 64 << 10,
	SMALL_BYTES = 1 << 20,
	BODY_BYTES = 1 << 20,
};

/* A list of 500 objects may take the server a while. */
static const int64_t LIST_TIMEOUT_NS = 60 * NS_PER_S;

#define ACCEPT_META "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define ACCEPT_META_LIST "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

static const struct {
	const char *api, *plural, *kind;
} RESOURCES[] = {
	[KUBE_CLASSES] = { KUBE_CLASS_API, "/secretproviderclasses", "SecretProviderClass" },
	[KUBE_SYNCS] = { KUBE_SYNC_API, "/secretsyncs", "SecretSync" },
	[KUBE_AKVS] = { KUBE_SYNC_API, "/akvsyncs", "AKVSync" },
	[KUBE_SECRETS] = { "v1", "/secrets", "Secret" },
};

const char *kube_kind(enum kube_resource resource) {
	return RESOURCES[resource].kind;
}

/* --- the connection's facts and the token --- */

enum err kube_init(struct kube *kube, const char *server, const struct http_site *site) {
	*kube = (struct kube){ .site = *site, .watch_site = *site, .secret_site = *site };
	struct str text = str_of(server);
	while (str_ends(text, STR("/"))) text.len--;
	kube->watch_site.own_connection = true;
	kube->watch_site.name = "kubernetes watch";
	kube->watch_site.version = HTTP_VERSION_1_1;
	kube->secret_site.own_connection = true;
	kube->secret_site.name = "kubernetes watch of Secrets";
	kube->secret_site.version = HTTP_VERSION_1_1;
	kube->server = mem_strdup(text);
	return kube->server ? OK : ERR_NOMEM;
}

static void token_release(struct kube_token *token) {
	if (!token) return;
	/* The last one must see every earlier use. */
	if (atomic_fetch_sub_explicit(&token->ref, 1, memory_order_acq_rel) != 1) return;
	struct secret_arena *arena = token->arena;
	secret_deinit(&token->value);
	mem_free(token);
	secret_arena_destroy(arena);
}

void kube_deinit(struct kube *kube) {
	token_release(take(kube->token));
	mem_free(kube->server);
	*kube = (struct kube){ 0 };
}

enum err kube_token_publish(struct kube *kube, const struct secret *value) {
	struct kube_token *token = mem_zalloc(sizeof *token);
	if (!token) return ERR_NOMEM;
	atomic_init(&token->ref, 1);
	token->arena = secret_arena_create(TOKEN_BYTES);
	if (!token->arena) {
		mem_free(token);
		return ERR_NOMEM;
	}
	secret_init(&token->value, token->arena, TOKEN_BYTES / 4);
	secret_append(&token->value, secret_expose(value));
	if (secret_err(&token->value)) {
		token_release(token);
		return ERR_TOO_LARGE;
	}
	struct kube_token *old = rcu_swap(kube->token, token);
	rcu_sync();
	token_release(old);
	return OK;
}

static struct kube_token *token_borrow(struct kube *kube) {
	rcu_read_scope();
	struct kube_token *token = rcu_load(kube->token);
	if (token) atomic_fetch_add_explicit(&token->ref, 1, memory_order_relaxed);
	return token;
}

/* --- calls --- */

void kube_call_deinit(struct kube_call *call) {
	http_req_deinit(&call->http);
	token_release(take(call->_token));
	buf_deinit(&call->_body);
	secret_deinit(&call->_secret_body);
}

static void begin(struct kube_call *call, struct kube *kube, const struct http_site *site,
	enum http_method method) {
	*call = (struct kube_call){ 0 };
	http_req_init(&call->http, site, method);
	call->http.max_response_bytes = SMALL_BYTES;
	call->_token = token_borrow(kube);
	if (call->_token) call->http.bearer = &call->_token->value;
	buf_init(&call->http.url, URL_BYTES);
	buf_append(&call->http.url, str_of(kube->server));
}

static void add_path(struct kube_call *call, const char *before, struct str segment) {
	buf_append(&call->http.url, str_of(before));
	buf_append_url(&call->http.url, segment);
}

static void add_text(struct kube_call *call, const char *text) {
	buf_append(&call->http.url, str_of(text));
}

/* A collection; ns empty: of all namespaces. */
static void add_resource(struct kube_call *call, enum kube_resource resource, struct str ns) {
	add_text(call, resource == KUBE_SECRETS ? "/api/" : "/apis/");
	add_text(call, RESOURCES[resource].api);
	if (ns.len) add_path(call, "/namespaces/", ns);
	add_text(call, RESOURCES[resource].plural);
}

/* A preparation has failed as a whole when any of its parts has. */
static enum err ready(struct kube_call *call) {
	enum err err = buf_err(&call->http.url);
	if (!err && call->_body._max) err = buf_err(&call->_body);
	if (!err && call->_secret_body._max) err = secret_err(&call->_secret_body);
	if (call->_body._max) call->http.body = buf_str(&call->_body);
	if (call->_secret_body._max) call->http.secret_body = &call->_secret_body;
	return err;
}

/* --- LIST, WATCH --- */

/* Of Secrets metadata alone, and of ours alone. */
static void add_selection(
	struct kube_call *call, enum kube_resource resource, const char *accept_meta) {
	bool secrets = resource == KUBE_SECRETS;
	if (secrets) add_text(call, "&labelSelector=" KUBE_MANAGED_KEY);
	http_req_header(&call->http, "Accept", str_of(secrets ? accept_meta : "application/json"));
}

enum err kube_list_in(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str ns, unsigned limit, struct str continue_token) {
	bool secrets = resource == KUBE_SECRETS;
	/* On a connection of its own: seen with libcurl 7.88, an answer that shares its connection with the end of another one
	 * may lie there, read from the socket, until something else comes in. */
	begin(call, kube, secrets ? &kube->secret_site : &kube->watch_site, HTTP_GET);
	add_resource(call, resource, ns);
	buf_printf(&call->http.url, "?limit=%u", limit);
	if (continue_token.len) add_path(call, "&continue=", continue_token);
	add_selection(call, resource, ACCEPT_META_LIST);
	call->http.timeout_ns = LIST_TIMEOUT_NS;
	call->http.max_response_bytes = LIST_BYTES;
	return ready(call);
}

enum err kube_list(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	unsigned limit, struct str continue_token) {
	return kube_list_in(call, kube, resource, STR_NULL, limit, continue_token);
}

enum err kube_list_since(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str resource_version) {
	bool secrets = resource == KUBE_SECRETS;
	begin(call, kube, secrets ? &kube->secret_site : &kube->site, HTTP_GET);
	add_resource(call, resource, STR_NULL);
	add_path(call,
		"?limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=", resource_version);
	add_selection(call, resource, ACCEPT_META_LIST);
	return ready(call);
}

enum err kube_watch(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str resource_version, unsigned timeout_s) {
	bool secrets = resource == KUBE_SECRETS;
	begin(call, kube, secrets ? &kube->secret_site : &kube->watch_site, HTTP_GET);
	add_resource(call, resource, STR_NULL);
	buf_printf(&call->http.url, "?watch=true&allowWatchBookmarks=true&timeoutSeconds=%u",
		timeout_s);
	add_path(call, "&resourceVersion=", resource_version);
	add_selection(call, resource, ACCEPT_META);
	return ready(call);
}

enum err kube_watch_list(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	unsigned timeout_s) {
	bool secrets = resource == KUBE_SECRETS;
	begin(call, kube, secrets ? &kube->secret_site : &kube->watch_site, HTTP_GET);
	add_resource(call, resource, STR_NULL);
	buf_printf(&call->http.url,
		"?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
		"&allowWatchBookmarks=true&timeoutSeconds=%u",
		timeout_s);
	add_selection(call, resource, ACCEPT_META);
	return ready(call);
}

enum err kube_lease_get(struct kube_call *call, struct kube *kube, struct str ns, struct str name) {
	begin(call, kube, &kube->site, HTTP_GET);
	add_path(call, "/apis/coordination.k8s.io/v1/namespaces/", ns);
	add_path(call, "/leases/", name);
	http_req_header(&call->http, "Accept", STR("application/json"));
	return ready(call);
}

/* --- Secrets --- */

static void begin_secret(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	enum http_method method, struct str ns, struct str name, const char *content_type) {
	begin(call, kube, &kube->site, method);
	add_path(call, "/api/v1/namespaces/", ns);
	add_text(call, "/secrets");
	if (name.len) add_path(call, "/", name);
	add_text(call, "?fieldManager=" KUBE_FIELD_MANAGER);
	http_req_header(&call->http, "Accept", STR(ACCEPT_META));
	http_req_header(&call->http, "Content-Type", str_of(content_type));
	call->http.response_arena = arena;
}

static void add_member(struct secret *body, const char *before, struct str value) {
	secret_append(body, str_of(before));
	secret_append_json(body, value);
}

static void add_pairs(
	struct secret *body, const char *before, const struct kube_pair *pairs, unsigned count) {
	secret_append(body, str_of(before));
	for (unsigned i = 0; i < count; i++) {
		add_member(body, i ? "," : "{", pairs[i].key);
		add_member(body, ":", pairs[i].value);
	}
	secret_append(body, count ? STR("}") : STR("{}"));
}

static void add_data(struct secret *body, const struct kube_data *data, unsigned count) {
	secret_append(body, STR(",\"data\":{"));
	for (unsigned i = 0; i < count; i++) {
		add_member(body, i ? "," : "", data[i].key);
		secret_append(body, STR(":\""));
		secret_append_base64(body, secret_expose(data[i].value));
		secret_append(body, STR("\""));
	}
	secret_append_char(body, '}');
}

/* The whole Secret as JSON; with `meta` it is held to that uid and resourceVersion. */
static void write_secret(
	struct secret *body, const struct kube_secret *secret, const struct kube_meta *meta) {
	add_member(body,
		"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":", secret->name);
	add_member(body, ",\"namespace\":", secret->ns);
	if (meta) {
		add_member(body, ",\"uid\":", str_of(meta->uid));
		add_member(body, ",\"resourceVersion\":", str_of(meta->resource_version));
	}
	add_pairs(body, ",\"labels\":", secret->labels, secret->label_count);
	add_pairs(body, ",\"annotations\":", secret->annotations, secret->annotation_count);
	secret_append(body, STR(",\"ownerReferences\":[{\"apiVersion\":\"" KUBE_SYNC_API
				"\",\"kind\":\"SecretSync\""));
	add_member(body, ",\"name\":", secret->owner_name);
	add_member(body, ",\"uid\":", secret->owner_uid);
	add_member(body, "}]},\"type\":", secret->type);
	add_data(body, secret->data, secret->data_count);
	secret_append_char(body, '}');
}

/* The API server's own limit is 1 MiB of raw values; base64 makes 4/3 of it, and there is the metadata. */
enum { SECRET_BODY_BYTES = 3 << 20, SECRET_DATA_BYTES = 1 << 20 };

static enum err check_size(const struct kube_secret *secret) {
	size_t bytes = 0;
	for (unsigned i = 0; i < secret->data_count; i++)
		bytes += secret_len(secret->data[i].value);
	return bytes > SECRET_DATA_BYTES ? ERR_TOO_LARGE : OK;
}

enum err kube_secret_create(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	const struct kube_secret *secret) {
	begin_secret(call, kube, arena, HTTP_POST, secret->ns, STR_NULL, "application/json");
	enum err err = check_size(secret);
	if (err) return err;
	secret_init(&call->_secret_body, arena, SECRET_BODY_BYTES);
	write_secret(&call->_secret_body, secret, NULL);
	return ready(call);
}

enum err kube_secret_probe(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str name) {
	begin_secret(call, kube, arena, HTTP_PATCH, ns, name, "application/merge-patch+json");
	buf_init(&call->_body, 16);
	buf_append(&call->_body, STR("{}"));
	return ready(call);
}

enum err kube_secret_apply(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	const struct kube_secret *secret, const struct kube_meta *meta) {
	assert(meta->uid[0] && meta->resource_version[0]);
	begin_secret(call, kube, arena, HTTP_PATCH, secret->ns, secret->name,
		"application/apply-patch+yaml");
	add_text(call, "&force=true");
	enum err err = check_size(secret);
	if (err) return err;
	secret_init(&call->_secret_body, arena, SECRET_BODY_BYTES);
	write_secret(&call->_secret_body, secret, meta);
	return ready(call);
}

enum err kube_secret_patch(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	const struct kube_secret *secret, const struct kube_meta *meta) {
	assert(meta->uid[0] && meta->resource_version[0]);
	begin_secret(call, kube, arena, HTTP_PATCH, secret->ns, secret->name,
		"application/merge-patch+json");
	enum err err = check_size(secret);
	if (err) return err;
	struct secret *body = &call->_secret_body;
	secret_init(body, arena, SECRET_BODY_BYTES);
	add_member(body, "{\"metadata\":{\"uid\":", str_of(meta->uid));
	add_member(body, ",\"resourceVersion\":", str_of(meta->resource_version));
	add_pairs(body, ",\"labels\":", secret->labels, secret->label_count);
	add_pairs(body, ",\"annotations\":", secret->annotations, secret->annotation_count);
	secret_append_char(body, '}');
	add_data(body, secret->data, secret->data_count);
	secret_append_char(body, '}');
	return ready(call);
}

enum err kube_settled_fields(struct str managed_fields, struct buf *out_json);

enum err kube_secret_settle(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str name, const struct kube_meta *meta) {
	struct buf fields = { 0 };
	begin_secret(call, kube, arena, HTTP_PATCH, ns, name, "application/json-patch+json");
	buf_init(&fields, BODY_BYTES);
	enum err err = kube_settled_fields(buf_str(&meta->managed_fields), &fields);
	if (err) goto out;
	buf_init(&call->_body, BODY_BYTES);
	buf_append(&call->_body, STR("[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":"));
	buf_append_json(&call->_body, str_of(meta->uid));
	buf_append(&call->_body,
		STR("},{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":"));
	buf_append_json(&call->_body, str_of(meta->resource_version));
	buf_append(&call->_body,
		STR("},{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":"));
	buf_append(&call->_body, buf_str(&fields));
	buf_append(&call->_body, STR("}]"));
	err = ready(call);
out:
	buf_deinit(&fields);
	return err;
}

enum err kube_secret_get(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str name) {
	begin(call, kube, &kube->site, HTTP_GET);
	add_path(call, "/api/v1/namespaces/", ns);
	add_path(call, "/secrets/", name);
	http_req_header(&call->http, "Accept", STR("application/json"));
	call->http.response_arena = arena;
	return ready(call);
}

/* --- status, tokens --- */

static enum err status_patch(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str ns, struct str name, struct str uid, struct str status_json) {
	begin(call, kube, &kube->site, HTTP_PATCH);
	add_resource(call, resource, ns);
	add_path(call, "/", name);
	add_text(call, "/status?fieldManager=" KUBE_FIELD_MANAGER);
	http_req_header(&call->http, "Accept", STR(ACCEPT_META));
	http_req_header(&call->http, "Content-Type", STR("application/json-patch+json"));
	buf_init(&call->_body, BODY_BYTES);
	buf_append(&call->_body, STR("[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":"));
	buf_append_json(&call->_body, uid);
	buf_append(&call->_body, STR("},{\"op\":\"add\",\"path\":\"/status\",\"value\":"));
	buf_append(&call->_body, status_json);
	buf_append(&call->_body, STR("}]"));
	return ready(call);
}

enum err kube_status_patch(struct kube_call *call, struct kube *kube, struct str ns,
	struct str name, struct str uid, struct str status_json) {
	return status_patch(call, kube, KUBE_SYNCS, ns, name, uid, status_json);
}

enum err kube_akv_status_patch(struct kube_call *call, struct kube *kube, struct str ns,
	struct str name, struct str uid, struct str status_json) {
	return status_patch(call, kube, KUBE_AKVS, ns, name, uid, status_json);
}

static void add_field(struct kube_call *call, const char *before, struct str value) {
	buf_append(&call->_body, str_of(before));
	buf_append_json(&call->_body, value);
}

enum err kube_event_create(
	struct kube_call *call, struct kube *kube, const struct kube_event *event) {
	char time[TIME_TEXT_BYTES];
	struct str message = event->message;
	if (message.len > KUBE_EVENT_MESSAGE_BYTES)
		message.len = utf8_cut(message.ptr, KUBE_EVENT_MESSAGE_BYTES);
	time_format(event->at_s, time);
	begin(call, kube, &kube->site, HTTP_POST);
	add_path(call, "/api/v1/namespaces/", event->ns);
	add_text(call, "/events?fieldManager=" KUBE_FIELD_MANAGER);
	http_req_header(&call->http, "Accept", STR(ACCEPT_META));
	http_req_header(&call->http, "Content-Type", STR("application/json"));
	buf_init(&call->_body, BODY_BYTES);
	add_field(call,
		"{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":", event->name);
	add_field(call, ",\"namespace\":", event->ns);
	buf_append(&call->_body, STR("},\"involvedObject\":{\"apiVersion\":\"" KUBE_SYNC_API
				     "\",\"kind\":\"SecretSync\""));
	add_field(call, ",\"name\":", event->sync_name);
	add_field(call, ",\"namespace\":", event->ns);
	add_field(call, ",\"uid\":", event->sync_uid);
	add_field(call, "},\"reason\":", event->reason);
	add_field(call, ",\"message\":", message);
	add_field(call, ",\"type\":", event->warning ? STR("Warning") : STR("Normal"));
	add_field(call, ",\"count\":1,\"firstTimestamp\":", str_of(time));
	add_field(call, ",\"lastTimestamp\":", str_of(time));
	buf_append(&call->_body,
		STR(",\"source\":{\"component\":\"kvsync\"},\"reportingComponent\":\"kvsync\"}"));
	return ready(call);
}

enum err kube_token_request(struct kube_call *call, struct kube *kube, struct secret_arena *arena,
	struct str ns, struct str service_account, struct str audience) {
	begin(call, kube, &kube->site, HTTP_POST);
	add_path(call, "/api/v1/namespaces/", ns);
	add_path(call, "/serviceaccounts/", service_account);
	add_text(call, "/token");
	http_req_header(&call->http, "Accept", STR("application/json"));
	http_req_header(&call->http, "Content-Type", STR("application/json"));
	call->http.response_arena = arena;
	buf_init(&call->_body, 4096);
	buf_append(&call->_body,
		STR("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\","
		    "\"spec\":{\"expirationSeconds\":600,\"audiences\":["));
	buf_append_json(&call->_body, audience);
	buf_append(&call->_body, STR("]}}"));
	return ready(call);
}

/* --- what is derived from an AKVSync --- */

static void begin_custom(struct kube_call *call, struct kube *kube, enum http_method method,
	enum kube_resource resource, struct str ns, struct str name) {
	begin(call, kube, &kube->site, method);
	add_resource(call, resource, ns);
	if (name.len) add_path(call, "/", name);
	http_req_header(&call->http, "Accept", STR("application/json"));
	buf_init(&call->_body, BODY_BYTES);
}

/* The owner is the controller and does not block: deletion is the garbage collector's, and nobody waits for it. */
static void add_owner(struct kube_call *call, const struct kube_custom *custom) {
	add_field(call,
		"\"ownerReferences\":[{\"apiVersion\":\"" KUBE_SYNC_API
		"\",\"kind\":\"AKVSync\",\"controller\":true,\"name\":",
		custom->owner_name);
	add_field(call, ",\"uid\":", custom->owner_uid);
	buf_append(&call->_body, STR("}]"));
}

static void add_custom(struct kube_call *call, const struct kube_custom *custom, struct str uid,
	struct str version) {
	add_field(call, "{\"apiVersion\":", str_of(RESOURCES[custom->resource].api));
	add_field(call, ",\"kind\":", str_of(RESOURCES[custom->resource].kind));
	add_field(call, ",\"metadata\":{\"name\":", custom->name);
	add_field(call, ",\"namespace\":", custom->ns);
	if (uid.len) {
		add_field(call, ",\"uid\":", uid);
		add_field(call, ",\"resourceVersion\":", version);
	}
	buf_append_char(&call->_body, ',');
	add_owner(call, custom);
	buf_append(&call->_body, STR("},\"spec\":"));
	buf_append(&call->_body, custom->spec_json);
	buf_append_char(&call->_body, '}');
}

enum err kube_custom_create(
	struct kube_call *call, struct kube *kube, const struct kube_custom *custom) {
	begin_custom(call, kube, HTTP_POST, custom->resource, custom->ns, STR_NULL);
	add_text(call, "?fieldManager=" KUBE_AKV_MANAGER);
	http_req_header(&call->http, "Content-Type", STR("application/json"));
	add_custom(call, custom, STR_NULL, STR_NULL);
	return ready(call);
}

enum err kube_custom_apply(struct kube_call *call, struct kube *kube,
	const struct kube_custom *custom, struct str uid, struct str resource_version) {
	assert(uid.len && resource_version.len);
	begin_custom(call, kube, HTTP_PATCH, custom->resource, custom->ns, custom->name);
	add_text(call, "?fieldManager=" KUBE_AKV_MANAGER "&force=true");
	http_req_header(&call->http, "Content-Type", STR("application/apply-patch+yaml"));
	add_custom(call, custom, uid, resource_version);
	return ready(call);
}

enum err kube_custom_replace(struct kube_call *call, struct kube *kube,
	const struct kube_custom *custom, struct str uid, struct str resource_version) {
	begin_custom(call, kube, HTTP_PATCH, custom->resource, custom->ns, custom->name);
	add_text(call, "?fieldManager=" KUBE_AKV_MANAGER);
	http_req_header(&call->http, "Content-Type", STR("application/json-patch+json"));
	add_field(call, "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":", uid);
	add_field(call, "},{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":",
		resource_version);
	buf_append(&call->_body, STR("},{\"op\":\"add\",\"path\":\"/spec\",\"value\":"));
	buf_append(&call->_body, custom->spec_json);
	buf_append(&call->_body, STR("}]"));
	return ready(call);
}

enum err kube_custom_get(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str ns, struct str name) {
	begin_custom(call, kube, HTTP_GET, resource, ns, name);
	return ready(call);
}

enum err kube_custom_delete(struct kube_call *call, struct kube *kube, enum kube_resource resource,
	struct str ns, struct str name, struct str uid) {
	begin_custom(call, kube, HTTP_DELETE, resource, ns, name);
	http_req_header(&call->http, "Content-Type", STR("application/json"));
	add_field(call,
		"{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":"
		"\"Background\",\"preconditions\":{\"uid\":",
		uid);
	buf_append(&call->_body, STR("}}"));
	return ready(call);
}
