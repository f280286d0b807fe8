/* engine/reach.h - the API server as the process reaches it: access, site, token. Main thread only; registers no thread. */
#pragma once

#include "base/loop.h"
#include "base/secret.h"
#include "clients/kube.h"
#include "engine/kubeconfig.h"

enum { REACH_CONNECTIONS = 2 }; /* enough for a command */

struct reach {
	struct kube_access access;
	struct http_site site;
	struct kube kube;
	struct secret token; /* the one that is published; empty: a client certificate has to do */
	bool _has_kube;
};

/* Reads the kubeconfig (see kube_access_find). Points into itself: must not be moved. connections: at most. */
enum err reach_init(struct reach *reach, const char *kubeconfig, const char *context,
	unsigned connections, struct secret_arena *arena, struct fault *fault);
void reach_deinit(struct reach *reach); /* idempotent */

/* Reads the file of the token again, and publishes what is new. OK without a change where there is no such file. */
enum err reach_refresh(
	struct reach *reach, struct secret_arena *arena, bool *out_changed, struct fault *fault);

/* Sends a request of a command, and waits for its end. done: the caller's, for as long as that takes. */
void reach_exchange(struct http *http, struct loop *loop, struct http_req *req, bool *done);
