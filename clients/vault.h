/* clients/vault.h - Azure Key Vault data plane: reads of objects and of version lists. API version 7.4.
 *
 * Protocol facts: Key Vault REST reference, and recordings of real traffic (docs/azure.md lists what was relied on).
 * A token is sent with the first request, and only to a host below the cloud's vault suffix; the same check guards nextLink.
 */
#pragma once

#include "clients/http.h"

enum __attribute__((packed)) vault_kind { VAULT_SECRET, VAULT_KEY, VAULT_CERTIFICATE };

/* "secret", "key", "cert": objectType's words. Static storage. */
const char *vault_kind_name(enum vault_kind kind);

enum { VAULT_VERSION_BYTES = 64, VAULT_CONTENT_TYPE_BYTES = 256, VAULT_MAX_VERSIONS = 20000 };

/* What a row of a list shows. Times in unix seconds; 0: not sent. */
struct vault_row {
	char version[VAULT_VERSION_BYTES]; /* "" where the list does not tell */
	int64_t created_s;
	int64_t updated_s;
	int64_t not_before_s;
	int64_t expires_s;
	bool enabled;
};

/* One object with its value. */
struct vault_object {
	struct vault_row row;
	char content_type[VAULT_CONTENT_TYPE_BYTES];
	bool certificate_backed; /* kid is set */
	unsigned cost; /* of a key: for how many requests its kind counts (jwk_cost); of others 0 */
	struct secret value;
};
void vault_object_deinit(struct vault_object *object);

/* What a secret's value is. Only secrets of certificates have a form; what is uploaded by hand is plain whatever its type. */
enum vault_form { VAULT_PLAIN, VAULT_PEM, VAULT_PKCS12, VAULT_UNKNOWN };
enum vault_form vault_object_form(const struct vault_object *object);

struct vault_call {
	struct http_req http;
	struct buf _next_link;
};
void vault_call_deinit(struct vault_call *call);

/* GET of one object; version empty: the current one. vault_url: "https://name.vault.azure.net". Received in `arena`. */
enum err vault_get(struct vault_call *call, const struct http_site *site, struct str vault_url,
	enum vault_kind kind, struct str name, struct str version, const struct secret *bearer,
	struct secret_arena *arena);

/* Reads a 2xx answer to a GET of a secret; the value goes from the answer straight into `arena`. */
enum err vault_read_secret(const struct vault_call *call, struct secret_arena *arena,
	struct vault_object *out_object, struct fault *fault);

/* The same for every kind. Of a key the value is its public half, a SubjectPublicKeyInfo in PEM; of a certificate the leaf in
 * PEM, whose bytes are not looked at. ERR_DISABLED for a disabled one, ERR_INVALID for a key that has no such form. */
enum err vault_read_object(const struct vault_call *call, enum vault_kind kind,
	struct secret_arena *arena, struct vault_object *out_object, struct fault *fault);

/* One page of the versions of an object; next_link empty: the first. ERR_DENIED when next_link leaves the vault's host. */
enum err vault_list_versions(struct vault_call *call, const struct http_site *site,
	struct str vault_url, enum vault_kind kind, struct str name, struct str next_link,
	const struct secret *bearer);

struct vault_rows {
	struct vault_row *rows;
	size_t count;
	size_t _cap;
};
void vault_rows_deinit(struct vault_rows *rows);
enum err vault_rows_append(struct vault_rows *rows,
	const struct vault_rows *more); /* ERR_TOO_LARGE: over VAULT_MAX_VERSIONS */

/* Appends a page's rows; out_next_link (initialised by the caller) is set to the next page's URL, or emptied. */
enum err vault_read_page(const struct vault_call *call, struct vault_rows *rows,
	struct buf *out_next_link, struct fault *fault);

/* One page of what a vault has of a kind, 25 rows at most: GET /secrets, /keys or /certificates. next_link as above. */
enum err vault_list(struct vault_call *call, const struct http_site *site, struct str vault_url,
	enum vault_kind kind, struct str next_link, const struct secret *bearer);

/* Calls visit for each row of a page: the attributes of an object's current version, whose id no such list tells (row.version
 * is ""). Names come in the case in which they were first written, and compare without case. out_next_link as above; an empty
 * page may have one. */
enum err vault_read_list(const struct vault_call *call, enum vault_kind kind,
	void (*visit)(void *arg, struct str name, const struct vault_row *row), void *arg,
	struct buf *out_next_link, struct fault *fault);

/* True when two or more enabled rows share the newest `created`: times have a grain of one second and version ids no order,
 * so that only a GET without a version tells which of them is the current one. */
bool vault_rows_are_tied(const struct vault_rows *rows);

/* Keeps the enabled rows, newest first (of a tie `current_version` comes first, then by version id), from `start_version` on
 * (empty or "latest": the newest), at most `limit`. ERR_NOT_FOUND when start_version is not among them or nothing is left. */
enum err vault_rows_select(struct vault_rows *rows, struct str start_version,
	struct str current_version, unsigned limit);

/* What an ended request means. The fault names vault, kind, object and remedy; code is the innermost error code.
 * AKV10046 and similar doubts of the service about a good token are ERR_UNAVAILABLE, not ERR_UNAUTHENTICATED. */
enum err vault_result(const struct vault_call *call, struct fault *fault, struct str vault_url,
	enum vault_kind kind, struct str name);
