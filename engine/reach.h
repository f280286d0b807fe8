/* engine/reach.h - the API server as a command reaches it: access, site, token. Main thread only; registers no thread. */
#pragma once

#include "base/secret.h"
#include "clients/kube.h"
#include "engine/kubeconfig.h"

struct reach {
	struct kube_access access;
	struct http_site site;
	struct kube kube;
	bool _has_kube;
};

/* Reads the kubeconfig (see kube_access_find). Points into itself: must not be moved. */
enum err reach_init(struct reach *reach, const char *kubeconfig, const char *context,
	struct secret_arena *arena, struct fault *fault);
void reach_deinit(struct reach *reach); /* idempotent */
