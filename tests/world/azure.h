/* tests/world/azure.h - the model of Microsoft Entra and Azure Key Vault.
 *
 * Facts: docs and recordings of real traffic as collected in docs/azure.md. Where those leave a choice, the model takes the
 * unkind one. One thread, no locking; time comes in with every call, chance from `rng`.
 */
#pragma once

#include "base/list.h"
#include "tests/world/world.h"

enum azure_kind { AZURE_SECRET, AZURE_KEY, AZURE_CERTIFICATE, AZURE_KINDS };

/* "secret", "key", "certificate"; "secrets", "keys", "certificates"; "Secret", "Key", "Certificate". */
struct azure_kind_names {
	const char *one, *many, *title;
};
extern const struct azure_kind_names azure_kinds[AZURE_KINDS];

/* A time that was not set. */
#define AZURE_UNSET INT64_MIN

enum azure_key_type { AZURE_RSA, AZURE_EC };

struct azure_version {
	char id[WORLD_HEX_BYTES];
	int64_t created_s, updated_s; /* unix seconds, rounded to nearest */
	int64_t nbf_s, exp_s; /* AZURE_UNSET: not set */
	bool enabled;
	bool managed; /* key or secret of a certificate */
	char *content_type; /* NULL: not set */
	cJSON *tags; /* NULL: not set */
	struct str value; /* secret: its bytes; certificate: DER; owned */
	enum azure_key_type key_type; /* keys and certificates */
	unsigned key_index; /* which of the fixed test keys */
	unsigned rsa_bits; /* of keys: 3072, 4096; else 2048 or not RSA */
	bool hsm; /* of keys */
	unsigned seq; /* the highest is the current version */
};

struct azure_object {
	char *name; /* as first written */
	char *upper; /* storage order is by upper-cased name, bytewise */
	struct azure_version **versions; /* sorted by id: random in time */
	size_t count;
	struct azure_version *current;
	bool deleted; /* a tombstone: walked by lists, found by nobody */
	int64_t deleted_s, purge_s; /* unix seconds */
	int64_t deleted_visible_ns; /* mono: until then the service is "deleting" and knows it nowhere */
	bool pending; /* a certificate that is still being issued */
};

enum azure_right { AZURE_GET = 1, AZURE_LIST = 2, AZURE_WRITE = 4 };

struct azure_grant {
	struct list link;
	char *client_id;
	unsigned rights[AZURE_KINDS]; /* azure_right */
	char *object; /* NULL: the whole vault */
	bool policy; /* an access policy, not a role assignment */
	int64_t from_ns, until_ns; /* mono; propagation makes both lag */
};

enum { AZURE_RATE_CALLS = 4000, AZURE_PAGE = 25, AZURE_VALUE_BYTES = 25600 };
#define AZURE_RATE_WINDOW_NS (10 * NS_PER_S)

/* What Azure counts apart, in each vault and in each subscription. */
enum azure_limit {
	LIMIT_CALLS, /* about secrets and certificates, but for those below */
	LIMIT_KEYS, /* about keys, weighted by their kind, but for those below */
	LIMIT_CREATES, /* of secrets and certificates, and imports */
	LIMIT_KEY_CREATES, /* in an HSM twice */
	AZURE_LIMITS
};
enum { AZURE_RATE_CREATES = 300, AZURE_RATE_KEY_CREATES = 20 };

/* The weights of the calls of the last ten seconds. */
struct azure_window {
	struct azure_weighed {
		int64_t at_ns; /* mono */
		unsigned weight;
	} *_calls; /* ring */
	size_t _first, _count, _size;
	uint64_t _sum, most; /* most: the highest sum so far */
};

/* The vaults of a subscription in one region. */
struct azure_subscription {
	struct list link;
	char *id;
	unsigned rate_calls; /* of LIMIT_CALLS and of LIMIT_KEYS, in a window */
	struct azure_window windows[AZURE_LIMITS];
	uint64_t refused; /* by its limits, where the vault's own had room */
};

struct azure_vault {
	struct list link;
	char *name;
	char *host; /* "name.vault.azure.net" */
	char *tenant;
	char *region;
	bool policy_mode; /* access policies instead of RBAC */
	int64_t retention_days;
	int64_t delete_lag_ns; /* -1: 10 to 20 s by chance */
	struct azure_subscription *subscription;
	unsigned rate_calls; /* of LIMIT_CALLS and of LIMIT_KEYS, in a window */
	struct azure_window windows[AZURE_LIMITS];
	struct azure_object **objects[AZURE_KINDS]; /* sorted by upper */
	size_t count[AZURE_KINDS];
	struct list grants;
	int64_t _first_purge_s; /* no tombstone is due before it */
	uint64_t calls, refused; /* refused: by a limit, or a storm */
	uint64_t over_limit; /* the former */
	struct azure_window seen; /* all calls, refused ones too */
};

struct azure_credential {
	struct list link;
	char *issuer, *subject, *audience;
	int64_t from_ns; /* mono: known from then on */
};

struct azure_identity {
	struct list link;
	char *tenant;
	char *client_id;
	char *object_id;
	char *secret; /* client secret; NULL: none */
	int64_t secret_until_s; /* unix; AZURE_UNSET: for ever */
	struct list credentials;
	bool on_node; /* assigned to the node: the metadata service hands out its tokens */
};

struct azure_issuer {
	struct list link;
	char *issuer;
	char *jwks_file; /* read anew at every token request; NULL: jwks is set */
	cJSON *jwks;
};

struct azure {
	struct rng rng;
	struct list vaults, subscriptions, identities, issuers, faults, imds_tokens;
	char *suffix; /* "vault.azure.net": vault hosts end in it, tokens are for it */
	char *login_host; /* "login.microsoftonline.com" */
	struct list tenants;
	unsigned char token_key[32];
	struct azure_token_memo *token_memo; /* azure_token.c: tokens whose signature was found good; NULL: none yet */
	unsigned next_seq;
	unsigned next_fault;
	uint64_t tokens; /* issued */
	void (*on_shown)(struct str name, struct now now, void *arg); /* a list has shown an object; NULL: nobody cares */
	void *on_shown_arg;
	unsigned list_rows; /* of a page, where maxresults asks for more: it is a maximum; 0: as many as asked for */
};

struct azure_tenant {
	struct list link;
	char *id;
};

/* azure.c. Life: the host suffix of the public cloud, no tenant, no vault. */
struct azure *azure_create(uint64_t seed);
void azure_destroy(struct azure *azure); /* NULL is fine */
struct azure_vault *azure_vault_add(struct azure *azure, struct str name, struct str tenant);
struct azure_vault *azure_vault_find(const struct azure *azure, struct str name);
struct azure_vault *azure_vault_of_host(const struct azure *azure, struct str host);
void azure_tenant_add(struct azure *azure, struct str id); /* harmless when known */
bool azure_tenant_known(const struct azure *azure, struct str id);
struct azure_identity *azure_identity_add(
	struct azure *azure, struct str tenant, struct str client_id);
struct azure_identity *azure_identity_find(const struct azure *azure, struct str client_id);
void azure_federate(struct azure_identity *identity, struct str issuer, struct str subject,
	struct str audience, int64_t from_ns);
/* jwks is taken; jwks_file instead of it when not empty. Replaces the issuer's earlier keys. */
void azure_issuer_set(struct azure *azure, struct str issuer, cJSON **jwks, struct str jwks_file);

/* azure_limit.c */
/* Made where it is not known, with five times the limit of a vault. Vaults begin in that of the name "". */
struct azure_subscription *azure_subscription_get(struct azure *azure, struct str id);
void azure_subscriptions_free(struct azure *azure);
void azure_window_add(struct azure_window *window, struct now now, unsigned weight);
void azure_window_free(struct azure_window *window);
/* For how many calls one about such a key counts. */
unsigned azure_key_weight(unsigned rsa_bits, bool hsm);

/* azure_access.c */
void azure_grant_add(struct azure_vault *vault, struct str client_id,
	const unsigned rights[static AZURE_KINDS], struct str object, bool policy, int64_t from_ns);
/* Ends the grants of an identity (object empty: all of them) at until_ns; returns how many. */
unsigned azure_grant_end(
	struct azure_vault *vault, struct str client_id, struct str object, int64_t until_ns);
/* Rights of a built-in role's name; NULL for an unknown one. */
const unsigned *azure_role(struct str name);
bool azure_allowed(const struct azure_vault *vault, struct now now, struct str client_id,
	enum azure_kind kind, enum azure_right right, struct str object);

/* azure_object.c. Rows are found without regard to case. */
struct azure_object *azure_object_find(
	const struct azure_vault *vault, enum azure_kind kind, struct str name);
/* Index of the first row whose upper-cased name is greater than the marker (empty: 0). */
size_t azure_object_after(const struct azure_vault *vault, enum azure_kind kind, struct str marker);
struct azure_version *azure_version_find(const struct azure_object *object, struct str id);
size_t azure_version_after(const struct azure_object *object, struct str marker);
/* A new current version, of a new object where there is none (or only a tombstone that is due). `id` empty: by chance. */
struct azure_version *azure_version_add(struct azure *azure, struct azure_vault *vault,
	enum azure_kind kind, struct str name, struct str id, int64_t at_s);
void azure_version_set_value(struct azure_version *version, struct str value);
void azure_object_delete(struct azure *azure, struct azure_vault *vault,
	struct azure_object *object, struct now now);
void azure_object_recover(struct azure_object *object);
void azure_object_purge(
	struct azure_vault *vault, enum azure_kind kind, struct azure_object *object);
void azure_purge_due(
	struct azure_vault *vault, struct now now); /* drops tombstones whose retention is over */
void azure_vault_free_objects(struct azure_vault *vault);
/* Rounded to nearest, so up to half a second ahead of the clock. */
int64_t azure_seconds(struct now now);

/* azure_keys.c. `name` becomes the subject of a certificate: self-signed, valid from 10 minutes before created. */
void azure_key_json(const struct azure_version *version, const char *kid, struct buf *out);
/* "RSA", "RSA-3072", "RSA-4096", "EC", each with or without "-HSM". False: it is none of these. */
bool azure_key_set_type(struct azure_version *version, struct str type);
void azure_certificate_make(enum azure_key_type type, unsigned index, struct str name,
	int64_t nbf_s, int64_t exp_s, struct buf *out_der);
void azure_certificate_pem(
	enum azure_key_type type, unsigned index, struct str der, struct buf *out_pem);
void azure_certificate_pfx(
	enum azure_key_type type, unsigned index, struct str der, struct buf *out_base64);
void azure_sha1(struct str bytes, struct buf *out_base64url);
/* A certificate with its key and its secret, all of one version id. */
struct azure_version *azure_certificate_add(struct azure *azure, struct azure_vault *vault,
	struct str name, enum azure_key_type type, bool pem, struct now now);

/* azure_token.c */
void azure_base64url(struct str bytes, struct buf *out);
bool azure_base64url_decode(struct str text, struct buf *out);
bool azure_base64_decode(struct str text, struct buf *out);
struct azure_claims {
	char audience[256], tenant[64], client_id[64], issuer[128];
	int64_t not_before_s, expires_s;
};
/* pad_bytes: the token is made at least so long. */
void azure_token_make(struct azure *azure, const struct azure_claims *claims, struct now now,
	size_t pad_bytes, struct buf *out_token);
bool azure_token_read(struct azure *azure, struct str token, struct azure_claims *out_claims);
void azure_token_forget(struct azure *azure); /* frees what it remembers */
/* RS256 only. False: no key of the set has this kid, or the signature is wrong. */
bool azure_jwt_verify(const cJSON *jwks, struct str jwt);
/* The payload of a JWT, not verified; NULL when it is none. The caller's. */
cJSON *azure_jwt_payload(struct str jwt);

/* azure_json.c: bodies as the service writes them, member order included. */
struct azure_shape {
	bool no_days; /* api-version 7.0 and older */
	bool unknown_members, tags_empty, tags_null; /* faults */
};
void azure_json_bundle(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_object *object, const struct azure_version *version, bool with_value,
	struct azure_shape shape, struct buf *out);
/* A row of a list; version NULL: the object's current one, without its version id. */
void azure_json_item(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_object *object, const struct azure_version *version,
	struct azure_shape shape, struct buf *out);
void azure_json_policy(const struct azure_vault *vault, const struct azure_object *object,
	const struct azure_version *version, struct buf *out);
/* The members that deleted objects have on top: a comma and no braces. */
void azure_json_deleted(const struct azure_vault *vault, enum azure_kind kind,
	const struct azure_object *object, struct buf *out);

/* azure_faults.c */
enum azure_fault_kind {
	FAULT_NONE,
#define AZURE_FAULTS(X)                   \
	X(AKV10046, "akv10046")           \
	X(CHALLENGE, "challenge")         \
	X(EMPTY_401, "empty-401")         \
	X(NULL_LIST, "null-list")         \
	X(SHORT_PAGES, "short-pages")     \
	X(AHEAD, "ahead")                 \
	X(UNKNOWN, "unknown-members")     \
	X(TAGS_EMPTY, "tags-empty")       \
	X(TAGS_NULL, "tags-null")         \
	X(ERROR_NULL, "error-null")       \
	X(NESTED, "nested-innererror")    \
	X(NO_INNER, "no-innererror")      \
	X(FIREWALL, "firewall")           \
	X(CONNECTION, "connection")       \
	X(HTML, "html")                   \
	X(THROTTLE, "throttle")           \
	X(STATUS, "status")               \
	X(RESET, "reset")                 \
	X(RESET_AFTER, "reset-after")     \
	X(RESET_REUSED, "reset-reused")   \
	X(STALL, "stall")                 \
	X(STALL_HEADERS, "stall-headers") \
	X(TRUNCATE, "truncate")           \
	X(CLOSE, "close")                 \
	X(GOAWAY, "goaway")               \
	X(DELAY, "delay")                 \
	X(AADSTS, "aadsts")               \
	X(CHUNKED, "chunked")             \
	X(GZIP, "gzip")                   \
	X(COOKIES, "cookies")             \
	X(TOKEN_LIFE, "token-life")       \
	X(TOKEN_BYTES, "token-bytes")     \
	X(WRONG_TYPE, "wrong-type")       \
	X(NOT_JSON, "not-json")           \
	X(OVERSIZED, "oversized")
#define X(name, text) FAULT_##name,
	AZURE_FAULTS(X)
#undef X
	FAULT_KINDS
};

struct azure_fault {
	struct list link;
	unsigned id;
	enum azure_fault_kind kind;
	char *host; /* NULL: every host */
	char *object; /* NULL: every path; else a path segment, without regard to case */
	unsigned share_permille;
	int64_t count; /* uses left; -1: no limit */
	int64_t from_ns, until_ns; /* mono */
	int64_t number; /* what the kind counts in: status, AADSTS code, ms, s, bytes */
	char *text; /* variant */
	int64_t retry_after_s; /* -1: not sent */
	bool crlf; /* older separators in Entra's error_description */
	bool no_error_codes;
	int64_t status; /* of an AADSTS error; 0: the usual one */
};

enum azure_fault_kind azure_fault_kind_of(struct str name); /* FAULT_NONE for an unknown one */
const char *azure_fault_name(enum azure_fault_kind kind);
struct azure_fault *azure_fault_add(
	struct azure *azure, enum azure_fault_kind kind, struct now now);
void azure_fault_end(struct azure *azure, unsigned id); /* 0: all */
/* The fault of this kind that hits this request, or NULL. Draws chance, counts the use. */
const struct azure_fault *azure_fault_hit(struct azure *azure, struct now now,
	const struct world_request *req, enum azure_fault_kind kind);
/* Faults that answer in the service's place, before it sees the request. True: out is final. */
bool azure_fault_before(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out);
/* Faults that change an answer on its way. */
void azure_fault_after(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out);

/* azure_vault.c, azure_check.c, azure_list.c, azure_write.c, azure_entra.c: the services. */
struct azure_call {
	struct azure *azure;
	struct azure_vault *vault;
	struct now now;
	const struct world_request *req;
	struct world_response *out;
	enum azure_kind kind;
	bool deleted; /* below /deleted... */
	struct buf name, segment, action; /* after the kind: name, version or word, and one more */
	struct azure_claims claims;
	struct azure_shape shape;
	enum azure_limit limit; /* that it counts to */
};

void azure_vault_handle(struct azure *azure, struct azure_vault *vault, struct now now,
	const struct world_request *req, struct world_response *out);
void azure_entra_handle(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out);
void azure_error(struct azure_call *call, int status, const char *code, const char *inner,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
void azure_not_found(struct azure_call *call);
/* In this order. False: the answer is written. */
bool azure_check_limit(struct azure_call *call);
void azure_count_answer(struct azure_call *call); /* what it weighs more than one that is refused */
bool azure_check_token(struct azure_call *call);
bool azure_check_network(struct azure_call *call);
bool azure_check_version(struct azure_call *call);
bool azure_check_path(struct azure_call *call);
bool azure_permit(struct azure_call *call, enum azure_right right, const char *action);
void azure_list(struct azure_call *call);
void azure_list_versions(struct azure_call *call);
void azure_write(struct azure_call *call);
/* Sends a bundle of `version` with status 200. */
void azure_answer_bundle(struct azure_call *call, const struct azure_object *object,
	const struct azure_version *version, bool with_value);

/* azure_imds.c: http://169.254.169.254 of the node. */
#define AZURE_IMDS_HOST "169.254.169.254"
void azure_imds_handle(struct azure *azure, struct now now, const struct world_request *req,
	struct world_response *out);
void azure_imds_forget(struct azure *azure); /* every token that it keeps */

/* azure_assertion.c: 0, or the AADSTS code of what is wrong with it. */
int64_t azure_assertion_check(const struct azure *azure, struct now now,
	const struct azure_identity *identity, struct str assertion);

/* azure_entra_error.c: the body of section "error" with the code's own status and error word. */
void azure_entra_error(struct azure *azure, struct now now, const struct azure_fault *how,
	int64_t code, struct world_response *out);
