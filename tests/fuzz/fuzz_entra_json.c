/* What Entra and the node's metadata service may answer: a token with its life, or an error that means something; and the data of
 * a Secret that holds a client secret. Nothing of a value is left in the arena, and no text shows one. */
#include <assert.h>
#include <stdint.h>

#include "clients/imds.h"
#include "clients/kube.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_site site = { .name = "fuzz", .allow_http = true };
static struct secret_arena *arena;

static void put_answer(struct http_req *req, int status, struct str body) {
	req->status = status;
	secret_init(&req->response_secret, arena, 1 << 20);
	secret_append(&req->response_secret, body);
}

static void check_token(enum err err, struct entra_token *token) {
	if (!err) {
		assert(secret_len(&token->value) > 0 && token->expires_in_s > 0);
		assert(token->expires_in_s <= 7 * 86400);
	}
	secret_deinit(&token->value);
}

static void fuzz_entra(int status, struct str body) {
	struct entra_call call;
	struct entra_token token = { 0 };
	struct fault fault = { 0 };
	struct secret secret;
	secret_init(&secret, arena, 16);
	secret_append(&secret, STR("x"));
	enum err err = entra_exchange_secret(&call, &site, STR("https://l"), STR("t"),
		STR("https://v/.default"), &secret, &secret, arena);
	assert(!err);
	put_answer(&call.http, status, body);
	err = entra_result(&call, &fault, STR("t"), STR("c"));
	assert(!err == (status == 200) && (!err || fault.text[0]));
	check_token(entra_read_token(&call, arena, &token, &fault), &token);
	entra_call_deinit(&call);
	secret_deinit(&secret);
}

static void fuzz_imds(int status, struct str body) {
	struct imds_call call;
	struct entra_token token = { 0 };
	struct fault fault = { 0 };
	enum err err = imds_token(&call, &site, STR("https://v/.default"), STR("c"), arena);
	assert(!err);
	put_answer(&call.http, status, body);
	err = imds_result(&call, &fault, STR("c"));
	assert(!err == (status == 200) && (!err || fault.text[0]));
	check_token(imds_read_token(&call, arena, 1700000000, &token, &fault), &token);
	imds_call_deinit(&call);
}

static void fuzz_secret(struct str body) {
	struct kube_call call = { 0 };
	struct secret value;
	put_answer(&call.http, 200, body);
	call.http.response_arena = arena;
	secret_init(&value, arena, 4096);
	enum err err = kube_read_data(&call, STR("clientid"), &value);
	assert(secret_len(&value) <= body.len);
	(void)err;
	secret_deinit(&value);
	kube_call_deinit(&call);
}

/* The first byte chooses the status. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const int statuses[] = { 200, 400, 401, 429, 503 };
	if (!arena) arena = secret_arena_create(64 << 20);
	assert(arena);
	if (size == 0) return 0;
	int status = statuses[data[0] % 5];
	struct str body = { (const char *)data + 1, size - 1 };
	fuzz_entra(status, body);
	fuzz_imds(status, body);
	fuzz_secret(body);
	assert(secret_arena_used_bytes(arena) == 0);
	return 0;
}
