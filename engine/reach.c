#include "engine/reach.h"

/* Of a Retry-After. Nothing of ours can be told through a server that is left alone, and it sheds load for seconds. */
static const int64_t LONGEST_PAUSE_NS = 300 * NS_PER_S;

/* Takes the token. */
static enum err publish(struct reach *reach, struct secret *token) {
	enum err err = kube_token_publish(&reach->kube, token);
	if (err) return err;
	secret_deinit(&reach->token);
	secret_move(&reach->token, token);
	return OK;
}

/* The token stands in the kubeconfig, or in a file that is read again from time to time. */
static enum err first_token(struct reach *reach, struct secret_arena *arena, struct fault *fault) {
	struct kube_access *access = &reach->access;
	struct secret token = { 0 };
	enum err err = OK;
	if (access->token_file)
		err = kube_token_file_read(access->token_file, arena, &token, fault);
	else if (secret_len(&access->token))
		secret_move(&token, &access->token);
	else
		return OK;
	if (!err) err = publish(reach, &token);
	secret_deinit(&token);
	return err;
}

enum err reach_refresh(
	struct reach *reach, struct secret_arena *arena, bool *out_changed, struct fault *fault) {
	struct secret token = { 0 };
	*out_changed = false;
	if (!reach->access.token_file) return OK;
	enum err err = kube_token_file_read(reach->access.token_file, arena, &token, fault);
	bool changed = !err && !secret_equal(&token, &reach->token);
	if (changed) err = publish(reach, &token);
	secret_deinit(&token);
	*out_changed = changed && !err;
	return err;
}

enum err reach_init(struct reach *reach, const char *kubeconfig, const char *context,
	unsigned connections, struct secret_arena *arena, struct fault *fault) {
	*reach = (struct reach){ 0 };
	struct kube_access *access = &reach->access;
	enum err err = kube_access_find(kubeconfig, context, arena, access, fault);
	if (err) return err;
	reach->site = (struct http_site){
		.name = "kubernetes",
		.version = HTTP_VERSION_2,
		.max_connections = connections,
		.use_proxy = true,
		.longest_pause_ns = LONGEST_PAUSE_NS,
		.ca_pem = buf_str(&access->ca_pem),
		.client_cert_pem = buf_str(&access->client_cert_pem),
		.client_key_pem =
			secret_len(&access->client_key_pem) ? &access->client_key_pem : NULL,
	};
	err = kube_init(&reach->kube, access->server, &reach->site);
	reach->_has_kube = err == OK;
	if (!err) err = first_token(reach, arena, fault);
	if (err) reach_deinit(reach);
	return err;
}

void reach_deinit(struct reach *reach) {
	if (reach->_has_kube) kube_deinit(&reach->kube);
	secret_deinit(&reach->token);
	kube_access_deinit(&reach->access);
	*reach = (struct reach){ 0 };
}

static void request_done(struct http_req *req) {
	*(bool *)req->owner = true;
}

void reach_exchange(struct http *http, struct loop *loop, struct http_req *req, bool *done) {
	*done = false;
	req->owner = done;
	req->on_done = request_done;
	http_start(http, req);
	for (;;) {
		int64_t deadline_ns = http_turn(http, loop_now(loop));
		if (*done) return;
		loop_wait(loop, deadline_ns);
	}
}
