/* clients/kubeconfig.h - how to reach the API server: a kubeconfig file, or the pod's own service account.
 *
 * Understood of a kubeconfig: server, certificate-authority(-data), tls-server-name, client-certificate(-data), client-key(-data),
 * token, tokenFile, namespace. Everything that would need another program, a weaker check or a second way of authentication
 * (exec, auth-provider, insecure-skip-tls-verify, username, as, proxy-url) is refused with a text that says what to do.
 * Relative file names count from the kubeconfig's folder, as for kubectl.
 *
 * A file is at most 1 MiB. Main only; nothing here is on the reconcile path.
 */
#pragma once

#include "clients/http.h"

#define KUBE_POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

/* Everything is owned; empty or NULL where there is none. */
struct kube_access {
	char *server;                 /* "https://host:port", its host being the name that the certificate has to carry */
	char *connect_to;             /* "host:port" to connect to instead of server's (tls-server-name); NULL: the same */
	struct buf ca_pem;            /* empty: the system's bundle */
	struct buf client_cert_pem;
	struct secret client_key_pem; /* not empty exactly when client_cert_pem is not */
	struct secret token;          /* as it was when read; empty: client certificate only */
	char *token_file;             /* read it again from time to time: tokens of pods expire; NULL: the token does not change */
	char *namespace;              /* of the context or the pod; NULL: none */
};

/* Reads `path`; `context` NULL stands for its current one. Secrets are made in `arena` (kept). The fault names the file and,
 * where that helps, line and column. ERR_IO, ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. */
enum err kube_access_load(const char *path, const char *context, struct secret_arena *arena,
			  struct kube_access *out_access, struct fault *fault);

/* The pod's service account: KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, and token, ca.crt and namespace in `folder`
 * (KUBE_POD_FOLDER; tests bring their own). Errors as above. */
enum err kube_access_pod(const char *folder, struct secret_arena *arena, struct kube_access *out_access,
			 struct fault *fault);

void kube_access_deinit(struct kube_access *access); /* idempotent; fine on a zeroed one */

/* Reads token_file again, without the white space around the token, into an initialised secret.
 * ERR_IO, ERR_INVALID when it is empty, ERR_NOMEM. */
enum err kube_access_read_token(const struct kube_access *access, struct secret *out_token, struct fault *fault);

/* The site of the API server: HTTP/2, two connections. It borrows from `access`. */
struct http_site kube_access_site(const struct kube_access *access);

/* The first file of the list $KUBECONFIG that exists, mem_* allocated; NULL when there is none. */
char *kubeconfig_from_environment(void);
