/* engine/plan_door_impl.h - what the files of plan_door share; nobody else includes it. */
#pragma once

#include "engine/plan_door.h"

enum { PLAN_SECRET_BYTES = 4 << 20 }; /* of a Secret, as it is or would be */

struct door {
	struct http http;
	struct plan_door_options options;
	struct list ready; /* requests that are answered, by http_req._link */
};

/* --- plan_request.c: what becomes of a request --- */

enum plan_request {
	REQUEST_READ, /* goes out */
	/* Answered from the Secret as one GET shows it. */
	REQUEST_CREATE,
	REQUEST_PROBE,
	REQUEST_SETTLE,
	REQUEST_APPLY,
	REQUEST_PATCH,
	/* Answered without that. */
	REQUEST_TAKEN,
	REQUEST_REFUSED
};

enum plan_request plan_request_of(const struct kube *kube, const struct http_req *req);
/* Of one about a Secret; true. */
bool plan_request_names(const struct http_req *req, struct str *out_ns, struct str *out_name);

/* --- plan_answer.c --- */

/* A request about a Secret that waits for the GET of it; http_req._impl of the former. */
struct look {
	struct door *door;
	struct http_req *req;
	struct plan_record *record;
	enum plan_request request;
	struct kube_call get;
};

/* The request ends with this error; OK: with the answer that is in it. */
void plan_answer_end(struct door *door, struct http_req *req, enum err err);
void plan_answer(struct door *door, struct http_req *req, int status, const char *body);
/* As the server would, from what the GET has shown (record->sight). */
void plan_answer_about_secret(struct look *look);
