/* engine/connect.h - `kvsync check --connect`: the way to each vault, tried step by step with the identity that would go it.
 *
 * The same requests that a running kvsync sends, through the same clients: an unauthenticated GET (name, route and TLS of the
 * vault), TokenRequest or the Secret of a service principal, the exchange at Microsoft Entra, GET of each object, LIST of versions. Values are received in locked
 * memory and dropped unread. Blocks; main thread only.
 */
#pragma once

#include "engine/check.h"

enum connect_step {
	CONNECT_DNS, /* the vault's name */
	CONNECT_ROUTE, /* a connection to it, or to the proxy */
	CONNECT_TLS,
	CONNECT_ACCOUNT, /* a token of the service account, or the service principal's Secret, from the API server */
	CONNECT_TOKEN, /* an access token for it, from Microsoft Entra */
	CONNECT_GET, /* every object is there and may be read */
	CONNECT_LIST, /* versions may be listed */
	CONNECT_STEPS
};

enum connect_outcome {
	CONNECT_SKIPPED, /* not tried, because of a step before it, or as the text says */
	CONNECT_OK,
	CONNECT_DENIED, /* it failed, but nothing among these manifests needs it */
	CONNECT_FAILED,
};

struct connect_result {
	enum connect_outcome outcome;
	char text[FAULT_TEXT_BYTES]; /* what and what to do; "" of a step that went well */
};

/* One vault and identity. Strings live in the check's result. */
struct connection {
	const struct spec *spec; /* the first SecretSync that uses it: namespace, service account */
	const struct spc *spc; /* its class: vault and identity */
	struct connect_result steps[CONNECT_STEPS];
};

struct connections {
	struct connection *items;
	unsigned count;
	unsigned failed; /* connections with a step that failed */
};

struct connect_options {
	const char *kubeconfig; /* NULL: steps that need a token are skipped */
	const char *context; /* NULL: the current one */
	const char *ca_file; /* of vaults and Entra; NULL: SSL_CERT_FILE, else the system's */
	int64_t timeout_ns; /* of each request */
	/* Called before each connection is tried; may be NULL. */
	void (*progress)(unsigned index, unsigned count, const struct connection *connection);
};

/* Tries every vault and identity of the sound SecretSyncs. ERR_NOMEM, or what keeps any from being tried (the kubeconfig cannot be
 * used), told in the fault. */
enum err connect_try(const struct check_result *result, const struct connect_options *options,
	struct connections *out_connections, struct fault *fault);
void connections_deinit(struct connections *connections); /* idempotent */

/* "DNS", "route", "TLS", "account", "token", "get", "list". Static storage. */
const char *connect_step_name(enum connect_step step);

void connections_write_table(const struct connections *connections, struct buf *out_text);
/* Adds the member "connections" to the check's document. ERR_NOMEM. */
enum err connections_write_json(const struct connections *connections, cJSON *document);
