/* tests/world/world.h - the outside world as plain functions: a request goes in, a response comes out.
 *
 * Entra, Key Vault (azure.h) and the Kubernetes API (kube.h) are models over in-memory state. They read no clock and no
 * entropy of their own: the time is handed in with every call, chance comes from a struct rng in the model. The same models
 * stand behind clients/http.h in the simulation and behind TLS as local servers (server*.c).
 *
 * One thread, no locking. Nothing here is part of the product.
 *
 * Watches: a handler never streams. A front end that gets a GET with `watch` asks kube.h to open a stream, polls it for
 * new bytes after every request that was handled and whenever its deadline passes, and closes it.
 */
#pragma once

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

enum { WORLD_MAX_HEADERS = 64, WORLD_BODY_BYTES = 8 << 20, WORLD_HEAD_BYTES = 64 << 10 };

struct world_header {
	struct str name, value;
};

/* All parts are borrowed for the call. */
struct world_request {
	struct str method; /* "GET" */
	struct str host; /* without port, lower case */
	unsigned port; /* 443 when the client named none */
	struct str path; /* as sent, percent-encoded, starts with a slash */
	struct str query; /* as sent, without the question mark; may be empty */
	struct world_header headers[WORLD_MAX_HEADERS];
	unsigned header_count;
	struct str body;
	struct str client_cn; /* subject of a verified client certificate; empty: none */
	struct str client_o;
	bool reused_connection; /* this connection has served a request before */
};

/* What the network does to this exchange. The model has decided already whether the request took effect. */
enum world_fault {
	WORLD_NONE,
	WORLD_RESET_BEFORE, /* the connection dies; nothing was done */
	WORLD_RESET_AFTER, /* it was done, the connection dies before the first byte of the answer */
	WORLD_STALL, /* no byte comes, the connection stays; it was done only where the handler did it */
	WORLD_STALL_HEADERS, /* status line and headers come, then silence */
	WORLD_TRUNCATE, /* Content-Length says all, half of the body comes, then the connection dies */
	WORLD_CLOSE, /* a whole answer, then the connection is closed */
	WORLD_GOAWAY, /* a whole answer; HTTP/2: GOAWAY behind it (HTTP/1.1: as WORLD_CLOSE) */
};

struct world_response {
	int status;
	bool no_reason; /* HTTP/1.1: the reason phrase is empty */
	bool chunked; /* HTTP/1.1: chunked instead of Content-Length */
	bool gzip; /* the front end compresses the body */
	struct buf head; /* "Name: value\r\n" lines; Content-Length is the front end's business */
	struct buf body;
	int64_t delay_ns; /* the answer leaves so much later */
	enum world_fault fault;
};

void world_response_init(struct world_response *out);
void world_response_deinit(struct world_response *out); /* idempotent */
void world_response_reset(struct world_response *out); /* as after init; keeps memory */
__attribute__((format(printf, 3, 4))) void world_response_header(
	struct world_response *out, const char *name, const char *format, ...);
/* Sets status and body; takes and frees the JSON. Adds no Content-Type. */
void world_response_json(struct world_response *out, int status, cJSON **json);
/* Walks the lines of head: *rest starts as buf_str(&out->head). False at the end. */
bool world_next_header(struct str *rest, struct str *out_name, struct str *out_value);
/* The usual reason phrase ("Not Found"); "Unknown" for others. Static storage. */
const char *world_reason(int status);

/* The value of a request header, name without regard to case; ptr NULL when it was not sent. */
struct str world_request_header(const struct world_request *req, const char *name);
/* Finds a parameter of the query string and appends its decoded value to out_value (may be NULL). False: it is not there. */
bool world_query(struct str query, const char *name, struct buf *out_value);
/* A decimal parameter, or `fallback` when absent or not a number. */
int64_t world_query_i64(struct str query, const char *name, int64_t fallback);
/* True for name=true and name=1. */
bool world_query_bool(struct str query, const char *name);
/* Appends s with %XX decoded; `form`: + is a blank. A broken escape stays as it is. */
void world_percent_decode(struct str s, bool form, struct buf *out);
/* Cuts `*rest` (a path without its leading slash) at the next slash: the decoded segment is appended to out_segment. False
 * at the end. Empty segments are skipped: doubled and trailing slashes mean nothing. */
bool world_path_next(struct str *rest, struct buf *out_segment);

/* cJSON ends a string at an embedded NUL, and values of secrets may hold some. world_json_parse() hides each \u0000 of the text
 * behind U+10FFFF (no character, in no real text), world_json_value() appends a string with its NULs back. NULL: no JSON. */
cJSON *world_json_parse(struct str text);
void world_json_value(const cJSON *item, struct buf *out);

/* cJSON by dotted path ("metadata.name"); names that hold a dot cannot be reached. NULL, ptr NULL or the fallback when it is
 * absent or of another type. `json` may be NULL. */
cJSON *world_json_at(const cJSON *json, const char *path);
struct str world_json_str(const cJSON *json, const char *path);
int64_t world_json_i64(const cJSON *json, const char *path, int64_t fallback);
bool world_json_bool(const cJSON *json, const char *path, bool fallback);
/* Adds a string member from a str. */
void world_json_add(cJSON *object, const char *name, struct str value);
/* Adds an integer of up to 15 digits. */
void world_json_add_i64(cJSON *object, const char *name, int64_t value);

/* A random GUID with dashes (37 bytes with NUL); 32 lower-case hex digits (33). */
enum { WORLD_GUID_BYTES = 37, WORLD_HEX_BYTES = 33 };
void world_guid(struct rng *rng, char out_text[static WORLD_GUID_BYTES]);
void world_hex32(struct rng *rng, char out_text[static WORLD_HEX_BYTES]);

/* Entra and Key Vault: login.microsoftonline.com and NAME.vault.azure.net (and whatever suffix the world was given). */
struct azure;
void azure_handle(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out);

/* The Kubernetes API server. The rest of it stands in kube.h. */
struct kube_world;
void kube_handle(struct kube_world *kube, struct now now, const struct world_request *req,
	struct world_response *out);
