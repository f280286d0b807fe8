#include "engine/plan_door.h"

#include <assert.h>

#include "base/mem.h"
#include "engine/plan_door_impl.h"

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
	plan_answer(look->door, req, get->status, "{}");
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
		plan_answer_about_secret(look);
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
	look->get.http.max_response_bytes = PLAN_SECRET_BYTES;
	look->get.http.timeout_ns = look->req->timeout_ns;
	look->req->_impl = look;
	http_start(door->options.below, &look->get.http);
	return OK;
}

static void take_secret(struct door *door, struct http_req *req, enum plan_request request) {
	struct str ns = STR_NULL, name = STR_NULL;
	bool is = plan_request_names(req, &ns, &name);
	assert(is);
	struct plan_record *record = door->options.find(door->options.arg, ns, name);
	struct look *look = record ? mem_zalloc(sizeof *look) : NULL;
	if (!look) {
		plan_answer_end(door, req, record ? ERR_NOMEM : ERR_INTERNAL);
		return;
	}
	*look = (struct look){ .door = door, .req = req, .record = record, .request = request };
	enum err err = OK;
	if (record->sight)
		plan_answer_about_secret(look);
	else
		err = begin_look(look, ns, name);
	if (err) plan_answer_end(door, req, err);
	if (err || record->sight) look_free(look);
}

/* --- the door --- */

static struct door *door_of(struct http *http) {
	return container_of(http, struct door, http);
}

static void door_start(struct http *http, struct http_req *req) {
	struct door *door = door_of(http);
	enum plan_request request = plan_request_of(door->options.kube, req);
	if (request == REQUEST_READ) {
		http_start(door->options.below, req);
		return;
	}
	req->_active = true;
	req->_impl = NULL;
	if (request == REQUEST_TAKEN)
		plan_answer(door, req, 200, "{}");
	else if (request == REQUEST_REFUSED)
		plan_answer(door, req, 403,
			"{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"a plan writes "
			"nothing\"}");
	else
		take_secret(door, req, request);
}

static void door_cancel(struct http *http, struct http_req *req) {
	struct door *door = door_of(http);
	if (!req->_active) return;
	if (plan_request_of(door->options.kube, req) == REQUEST_READ) {
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
