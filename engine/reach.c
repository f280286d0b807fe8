#include "engine/reach.h"

enum { CONNECTIONS = 2 };

static enum err publish_token(
	struct reach *reach, struct secret_arena *arena, struct fault *fault) {
	struct kube_access *access = &reach->access;
	struct secret token = { 0 };
	enum err err = OK;
	if (access->token_file)
		err = kube_token_file_read(access->token_file, arena, &token, fault);
	else if (secret_len(&access->token))
		secret_move(&token, &access->token);
	if (!err && secret_len(&token)) err = kube_token_publish(&reach->kube, &token);
	secret_deinit(&token);
	return err;
}

enum err reach_init(struct reach *reach, const char *kubeconfig, const char *context,
	struct secret_arena *arena, struct fault *fault) {
	*reach = (struct reach){ 0 };
	struct kube_access *access = &reach->access;
	enum err err = kube_access_find(kubeconfig, context, arena, access, fault);
	if (err) return err;
	reach->site = (struct http_site){
		.name = "kubernetes",
		.version = HTTP_VERSION_2,
		.max_connections = CONNECTIONS,
		.use_proxy = true,
		.ca_pem = buf_str(&access->ca_pem),
		.client_cert_pem = buf_str(&access->client_cert_pem),
		.client_key_pem =
			secret_len(&access->client_key_pem) ? &access->client_key_pem : NULL,
	};
	err = kube_init(&reach->kube, access->server, &reach->site);
	reach->_has_kube = err == OK;
	if (!err) err = publish_token(reach, arena, fault);
	if (err) reach_deinit(reach);
	return err;
}

void reach_deinit(struct reach *reach) {
	if (reach->_has_kube) kube_deinit(&reach->kube);
	kube_access_deinit(&reach->access);
	*reach = (struct reach){ 0 };
}
