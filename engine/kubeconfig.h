/* engine/kubeconfig.h - how to reach the API server and as whom: a kubeconfig, or the pod's own service account.
 *
 * Main only, at start (and the token file again and again). Everything that is not understood is refused with the file, the
 * line and what to do; nothing is guessed.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"

struct kube_access {
	char *server; /* "https://host:port" */
	struct buf ca_pem; /* empty: the system's bundle */
	struct buf client_cert_pem; /* empty: none */
	struct secret client_key_pem; /* empty: none */
	struct secret token; /* empty: none, or in a file */
	char *token_file; /* NULL: none; to be read again, because projected tokens rotate */
	char *ns; /* namespace of the context or pod; "default" when neither says */
	char *description; /* for people: "context demo of /home/u/.kube/config", "service account of this pod" */
};

void kube_access_deinit(struct kube_access *access); /* idempotent */

/* Reads a kubeconfig. `context` NULL: its current-context. Secrets go to `arena`. */
enum err kubeconfig_read(const char *path, const char *context, struct secret_arena *arena,
	struct kube_access *out_access, struct fault *fault);

/* The pod's own account: KUBERNETES_SERVICE_HOST and _PORT of the environment, and token, ca.crt, namespace in `folder`. */
#define KUBE_ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"
enum err kube_access_in_cluster(const char *folder, struct secret_arena *arena,
	struct kube_access *out_access, struct fault *fault);

/* --kubeconfig when given; else the pod's account where the environment names a server; else the first file of $KUBECONFIG;
 * else ~/.kube/config. */
enum err kube_access_find(const char *path, const char *context, struct secret_arena *arena,
	struct kube_access *out_access, struct fault *fault);

/* Reads a token file, without the white space at its end. ERR_IO, ERR_INVALID when it is empty or holds control characters. */
enum err kube_token_file_read(const char *path, struct secret_arena *arena,
	struct secret *out_token, struct fault *fault);
