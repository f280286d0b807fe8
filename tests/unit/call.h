/* tests/unit/call.h - answers put into a request by hand, for tests of what answers mean. */
#pragma once

#include "base/mem.h"
#include "clients/http.h"
#include "tests/unit/unit.h"

/* The request has ended with this answer. */
static inline void answer(struct http_req *req, int status, const char *body) {
	buf_deinit(&req->response);
	secret_deinit(&req->response_secret);
	req->err = OK;
	req->status = status;
	if (req->response_arena) {
		secret_init(&req->response_secret, req->response_arena, 1 << 20);
		secret_append(&req->response_secret, str_of(body));
	} else {
		buf_init(&req->response, 1 << 20);
		buf_append(&req->response, str_of(body));
	}
}

/* The request has ended without one. */
static inline void no_answer(struct http_req *req, enum err err) {
	answer(req, 0, "");
	req->err = fault_set(&req->fault, err, "host: no connection");
}

static inline bool has_header(const struct http_req *req, const char *name, const char *value) {
	for (unsigned i = 0; i < req->header_count; i++) {
		if (strcmp(req->headers[i].name, name) == 0)
			return str_eq(req->headers[i].value, str_of(value));
	}
	return false;
}

#define assert_text(text, part)                                             \
	do {                                                                \
		if (!strstr(text, part)) fail_msg("%s in: %s", part, text); \
	} while (0)
