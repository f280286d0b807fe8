/* Requests about a Secret, answered as the API server would; what they would write is kept. */
#include "clients/json.h"
#include "engine/plan_door_impl.h"

enum { ANSWER_BYTES = 1 << 20 };

/* --- answers --- */

void plan_answer_end(struct door *door, struct http_req *req, enum err err) {
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
		secret_init(&req->response_secret, req->response_arena, PLAN_SECRET_BYTES);
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
	plan_answer_end(door, req,
		req->response_arena ? secret_err(&req->response_secret) : buf_err(&req->response));
}

void plan_answer(struct door *door, struct http_req *req, int status, const char *body) {
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
	secret_init(&record->after, look->door->options.arena, PLAN_SECRET_BYTES);
	secret_append(&record->after, secret_expose(look->req->secret_body));
	record->write = write;
	record->refused = false;
	return secret_err(&record->after);
}

static void create(struct look *look) {
	struct plan_record *record = look->record;
	enum err err = record->sight == SIGHT_THERE ? OK : keep(look, WRITE_CREATE);
	if (err)
		plan_answer_end(look->door, look->req, err);
	else if (record->sight == SIGHT_THERE)
		plan_answer(look->door, look->req, 409, EXISTS);
	else
		plan_answer(look->door, look->req, 201,
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
		plan_answer_end(look->door, look->req, err);
	else if (refusal)
		plan_answer(look->door, look->req, 422, refusal);
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
		plan_answer_end(look->door, look->req, err);
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
		plan_answer(look->door, look->req, 503, "{}");
}

void plan_answer_about_secret(struct look *look) {
	bool absent = look->record->sight == SIGHT_ABSENT;
	if (look->request == REQUEST_CREATE)
		create(look);
	else if (absent)
		plan_answer(look->door, look->req, 404, NOT_FOUND);
	else if (look->request == REQUEST_PROBE)
		probe(look);
	else if (look->request == REQUEST_SETTLE)
		settle(look);
	else
		write(look);
}
