#include "engine/plan_door.h"

#include <assert.h>

#include "base/mem.h"
#include "clients/json.h"

enum { SECRET_BYTES = 4 << 20, ANSWER_BYTES = 1 << 20 };

struct door {
	struct http http;
	struct plan_door_options options;
	struct list ready; /* requests that are answered, by http_req._link */
};

/* What ends here. */
enum request {
	REQUEST_READ,
	REQUEST_CREATE,
	REQUEST_PROBE,
	REQUEST_SETTLE,
	REQUEST_APPLY,
	REQUEST_PATCH,
	REQUEST_TAKEN,
	REQUEST_REFUSED
};

/* A request about a Secret that waits for the GET of it; http_req._impl of the former. */
struct look {
	struct door *door;
	struct http_req *req;
	struct plan_record *record;
	enum request request;
	struct kube_call get;
};

/* --- which request it is --- */

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

static enum request write_of_secret(const struct http_req *req, struct str name) {
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

static enum request request_of(const struct door *door, const struct http_req *req) {
	const struct kube *kube = door->options.kube;
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

/* --- answers --- */

static void end(struct door *door, struct http_req *req, enum err err) {
	if (err) {
		req->err = err;
		req->fault = fault_make(err, "%s", err_text(err));
	}
	req->retry_after_ns = -1;
	list_push_back(&door->ready, &req->_link);
}

/* Begins the body of an answer, in whatever memory it is wanted in. */
static void begin_answer(struct http_req *req, int status) {
	req->status = status;
	if (req->response_arena)
		secret_init(&req->response_secret, req->response_arena, SECRET_BYTES);
	else
		buf_init(&req->response, ANSWER_BYTES);
}

static void add_text(struct http_req *req, struct str text) {
	if (req->response_arena)
		secret_append(&req->response_secret, text);
	else
		buf_append(&req->response, text);
}

static void end_answer(struct door *door, struct http_req *req) {
	end(door, req,
		req->response_arena ? secret_err(&req->response_secret) : buf_err(&req->response));
}

static void answer(struct door *door, struct http_req *req, int status, const char *body) {
	begin_answer(req, status);
	add_text(req, str_of(body));
	end_answer(door, req);
}

/* The metadata of the Secret as it is; with `fields` those are its managedFields. */
static void answer_meta(struct look *look, const char *fields) {
	struct http_req *req = look->req;
	struct str metadata = plan_member(secret_expose(&look->record->before), "metadata");
	struct json_items members = json_members(metadata);
	struct str raw_key, raw;
	begin_answer(req, 200);
	add_text(req, STR("{\"metadata\":{\"managedFields\":"));
	struct str managed = plan_member(metadata, "managedFields");
	add_text(req, fields ? str_of(fields) : managed.len ? managed : STR("[]"));
	while (json_next_member(&members, &raw_key, &raw)) {
		if (str_eq(raw_key, STR("\"managedFields\""))) continue;
		add_text(req, STR(","));
		add_text(req, raw_key);
		add_text(req, STR(":"));
		add_text(req, raw);
	}
	add_text(req, STR("}}"));
	end_answer(look->door, req);
}

/* A Secret that may not be seen is taken for ours. */
static void answer_as_ours(struct look *look) {
	struct http_req *req = look->req;
	begin_answer(req, 200);
	add_text(req, STR("{\"metadata\":{\"uid\":\"hidden\",\"resourceVersion\":\"hidden\","
			  "\"labels\":{\"" KUBE_MANAGED_KEY "\":\"\"},"
			  "\"annotations\":{\"" KUBE_MANAGED_KEY "\":\"\"},"
			  "\"ownerReferences\":[{\"apiVersion\":\"" KUBE_SYNC_API
			  "\",\"kind\":\"SecretSync\",\"uid\":\""));
	add_text(req, str_of(look->record->uid));
	add_text(req, STR("\"}],\"managedFields\":[]}}"));
	end_answer(look->door, req);
}

static const char NOT_FOUND[] =
	"{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"secrets not found\"}";
static const char EXISTS[] =
	"{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"secrets already exists\"}";
/* The server's own words for what holds for the life of a Secret. */
static const char OTHER_TYPE[] =
	"{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"type: Invalid value: field is "
	"immutable\",\"details\":{\"causes\":[{\"field\":\"type\"}]}}";
static const char IMMUTABLE[] =
	"{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"data: Forbidden: field is "
	"immutable when `immutable` is set\",\"details\":{\"causes\":[{\"field\":\"data\"}]}}";

/* --- writes --- */

static enum err keep(struct look *look, enum plan_write write) {
	struct plan_record *record = look->record;
	secret_deinit(&record->after);
	secret_init(&record->after, look->door->options.arena, SECRET_BYTES);
	secret_append(&record->after, secret_expose(look->req->secret_body));
	record->write = write;
	record->refused = false;
	return secret_err(&record->after);
}

static void create(struct look *look) {
	struct plan_record *record = look->record;
	enum err err = record->sight == SIGHT_THERE ? OK : keep(look, WRITE_CREATE);
	if (err)
		end(look->door, look->req, err);
	else if (record->sight == SIGHT_THERE)
		answer(look->door, look->req, 409, EXISTS);
	else
		answer(look->door, look->req, 201,
			"{\"metadata\":{\"uid\":\"planned\",\"resourceVersion\":\"1\"}}");
}

static enum err judge_write(const struct plan_record *record, const char **out_refusal) {
	struct str before = secret_expose(&record->before), after = secret_expose(&record->after);
	struct str type = plan_member(after, "type");
	bool changes = false;
	*out_refusal = NULL;
	if (type.len && !str_eq(type, plan_member(before, "type"))) *out_refusal = OTHER_TYPE;
	if (!str_eq(plan_member(before, "immutable"), STR("true"))) return OK;
	enum err err = plan_changes_data(record, &changes);
	if (changes && !*out_refusal) *out_refusal = IMMUTABLE;
	return err;
}

static void write(struct look *look) {
	struct plan_record *record = look->record;
	const char *refusal = NULL;
	enum err err = keep(look, look->request == REQUEST_APPLY ? WRITE_APPLY : WRITE_PATCH);
	if (!err && record->sight == SIGHT_THERE) err = judge_write(record, &refusal);
	record->refused = refusal != NULL;
	if (err)
		end(look->door, look->req, err);
	else if (refusal)
		answer(look->door, look->req, 422, refusal);
	else if (record->sight == SIGHT_THERE)
		answer_meta(look, NULL);
	else
		answer_as_ours(look);
}

/* The value of the last operation is the list that the server would have from then on. */
static void settle(struct look *look) {
	struct fault ignored = { 0 };
	cJSON *patch = NULL;
	char *fields = NULL;
	enum err err = json_parse(look->req->body, &patch, &ignored);
	if (!err) {
		fields = cJSON_PrintUnformatted(json_get(cJSON_GetArrayItem(patch, 2), "value"));
		if (!fields) err = ERR_NOMEM;
	}
	if (err)
		end(look->door, look->req, err);
	else
		answer_meta(look, fields);
	cJSON_free(fields);
	cJSON_Delete(patch);
}

/* What the right does not reach stays unknown, and does not fail. */
static void probe(struct look *look) {
	if (look->record->sight == SIGHT_THERE)
		answer_meta(look, NULL);
	else if (look->record->has_values)
		answer_as_ours(look);
	else
		answer(look->door, look->req, 503, "{}");
}

static void answer_about_secret(struct look *look) {
	bool absent = look->record->sight == SIGHT_ABSENT;
	if (look->request == REQUEST_CREATE)
		create(look);
	else if (absent)
		answer(look->door, look->req, 404, NOT_FOUND);
	else if (look->request == REQUEST_PROBE)
		probe(look);
	else if (look->request == REQUEST_SETTLE)
		settle(look);
	else
		write(look);
}

/* --- the one GET --- */

static void look_free(struct look *look) {
	look->req->_impl = NULL;
	kube_call_deinit(&look->get);
	mem_free(look);
}

/* The server's refusal or failure is the answer to what waited for it. */
static void pass_on(struct look *look) {
	const struct http_req *get = &look->get.http;
	struct http_req *req = look->req;
	req->fault = get->fault;
	if (get->err) {
		req->err = get->err;
		req->retry_after_ns = -1;
		list_push_back(&look->door->ready, &req->_link);
		return;
	}
	answer(look->door, req, get->status, "{}");
}

static void got(struct http_req *get) {
	struct look *look = get->owner;
	struct plan_record *record = look->record;
	int status = get->err ? 0 : get->status;
	if (status == 200) {
		secret_move(&record->before, &get->response_secret);
		record->sight = SIGHT_THERE;
	} else if (status == 404) {
		record->sight = SIGHT_ABSENT;
	} else if (status == 403) {
		record->sight = SIGHT_HIDDEN;
	}
	if (record->sight)
		answer_about_secret(look);
	else
		pass_on(look);
	look_free(look);
}

/* Looks at the Secret once, and answers. */
static enum err begin_look(struct look *look, struct str ns, struct str name) {
	struct door *door = look->door;
	enum err err =
		kube_secret_get(&look->get, door->options.kube, door->options.arena, ns, name);
	if (err) return err;
	look->get.http.owner = look;
	look->get.http.on_done = got;
	look->get.http.max_response_bytes = SECRET_BYTES;
	look->get.http.timeout_ns = look->req->timeout_ns;
	look->req->_impl = look;
	http_start(door->options.below, &look->get.http);
	return OK;
}

/* A POST names its Secret in the body only. */
static struct str name_in_body(const struct http_req *req) {
	struct str body = req->secret_body ? secret_expose(req->secret_body) : STR_NULL;
	struct str raw = plan_member(plan_member(body, "metadata"), "name");
	return raw.len > 2 ? str_slice(raw, 1, raw.len - 2) : STR_NULL;
}

static void take_secret(struct door *door, struct http_req *req, enum request request) {
	struct str ns = STR_NULL, name = STR_NULL;
	bool is = is_about_secret(path_of(req), &ns, &name);
	assert(is);
	if (!name.len) name = name_in_body(req);
	struct plan_record *record = door->options.find(door->options.arg, ns, name);
	struct look *look = record ? mem_zalloc(sizeof *look) : NULL;
	if (!look) {
		end(door, req, record ? ERR_NOMEM : ERR_INTERNAL);
		return;
	}
	*look = (struct look){ .door = door, .req = req, .record = record, .request = request };
	enum err err = OK;
	if (record->sight)
		answer_about_secret(look);
	else
		err = begin_look(look, ns, name);
	if (err) end(door, req, err);
	if (err || record->sight) look_free(look);
}

/* --- the door --- */

static struct door *door_of(struct http *http) {
	return container_of(http, struct door, http);
}

static void door_start(struct http *http, struct http_req *req) {
	struct door *door = door_of(http);
	enum request request = request_of(door, req);
	if (request == REQUEST_READ) {
		http_start(door->options.below, req);
		return;
	}
	req->_active = true;
	req->_impl = NULL;
	if (request == REQUEST_TAKEN)
		answer(door, req, 200, "{}");
	else if (request == REQUEST_REFUSED)
		answer(door, req, 403,
			"{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"a plan writes "
			"nothing\"}");
	else
		take_secret(door, req, request);
}

static void door_cancel(struct http *http, struct http_req *req) {
	struct door *door = door_of(http);
	if (!req->_active) return;
	if (request_of(door, req) == REQUEST_READ) {
		http_cancel(door->options.below, req);
		return;
	}
	struct look *look = req->_impl;
	list_remove(&req->_link);
	req->_active = false;
	if (!look) return;
	http_cancel(door->options.below, &look->get.http);
	look_free(look);
}

static int64_t door_turn(struct http *http, struct now now) {
	struct door *door = door_of(http);
	struct list *link;
	int64_t next_ns;
	/* Whoever is answered may ask for more. */
	do {
		next_ns = http_turn(door->options.below, now);
		link = list_pop(&door->ready);
		if (!link) break;
		struct http_req *req = container_of(link, struct http_req, _link);
		req->_active = false;
		req->on_done(req);
	} while (link);
	return next_ns;
}

static void door_destroy(struct http *http) {
	struct door *door = door_of(http);
	assert(list_is_empty(&door->ready));
	http_destroy(door->options.below);
	mem_free(door);
}

struct http *plan_door_create(const struct plan_door_options *options) {
	static const struct http_ops ops = { door_start, door_cancel, door_turn, door_destroy };
	struct door *door = mem_zalloc(sizeof *door);
	if (!door) {
		http_destroy(options->below);
		return NULL;
	}
	door->http.ops = &ops;
	door->options = *options;
	list_init(&door->ready);
	return &door->http;
}
