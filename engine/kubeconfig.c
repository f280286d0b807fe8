#include "engine/kubeconfig.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/decode.h"
#include "clients/http.h"
#include "engine/doc.h"
#include "engine/secret_file.h"

enum { FILE_BYTES = 1 << 20, PEM_BYTES = 256 << 10, PATH_BYTES = 4096, CONTEXTS_TOLD = 8 };

void kube_access_deinit(struct kube_access *access) {
	mem_free(access->server);
	mem_free(access->token_file);
	mem_free(access->ns);
	mem_free(access->description);
	buf_deinit(&access->ca_pem);
	buf_deinit(&access->client_cert_pem);
	secret_deinit(&access->client_key_pem);
	secret_deinit(&access->token);
	*access = (struct kube_access){ 0 };
}

/* A kubeconfig while it is read. */
struct reader {
	const char *path;
	struct doc doc;
	struct secret_arena *arena;
	struct kube_access *access;
	struct fault *fault;
};

static enum err refuse(struct reader *reader, const struct doc_node *at, const char *what) {
	return fault_set(reader->fault, ERR_INVALID, "%s:%u:%u: %s", reader->path,
		at ? at->line : 1, at ? at->column : 1, what);
}

/* The text of a scalar member, or STR_NULL. */
static struct str text_of(struct reader *reader, const struct doc_node *mapping, const char *key) {
	const struct doc_node *node = mapping ? doc_find(&reader->doc, mapping, str_of(key)) : NULL;
	return node && node->kind == DOC_SCALAR && !doc_is_null(node) ? node->text : STR_NULL;
}

/* In a list of {name, <kind>: {...}} the inner mapping of the entry with that name; NULL: there is none. */
static const struct doc_node *find_named(
	struct reader *reader, const char *list_key, struct str name, const char *kind) {
	const struct doc_node *root = doc_at(&reader->doc, DOC_ROOT);
	const struct doc_node *list = doc_find(&reader->doc, root, str_of(list_key));
	if (!list || list->kind != DOC_SEQUENCE) return NULL;
	for (unsigned at = list->first; at != DOC_NONE; at = reader->doc.nodes[at].next) {
		const struct doc_node *entry = doc_at(&reader->doc, at);
		if (entry->kind != DOC_MAPPING || !str_eq(text_of(reader, entry, "name"), name))
			continue;
		const struct doc_node *inner = doc_find(&reader->doc, entry, str_of(kind));
		return inner && inner->kind == DOC_MAPPING ? inner : NULL;
	}
	return NULL;
}

/* A path in a kubeconfig is relative to the kubeconfig. */
static enum err resolve(struct reader *reader, struct str path, struct buf *out_path) {
	struct str folder = str_of(reader->path);
	while (folder.len && folder.ptr[folder.len - 1] != '/') folder.len--;
	buf_init(out_path, PATH_BYTES);
	if (!str_starts(path, STR("/"))) buf_append(out_path, folder);
	buf_append(out_path, path);
	return buf_err(out_path);
}

/* The member KEY-data (base64), or the file that KEY names; *out stays empty when neither is there. */
static enum err read_blob(struct reader *reader, const struct doc_node *mapping, const char *key,
	struct secret *out) {
	char data_key[64];
	struct buf path = { 0 };
	enum err err = OK;
	snprintf(data_key, sizeof data_key, "%s-data", key);
	struct str data = text_of(reader, mapping, data_key), file = text_of(reader, mapping, key);
	secret_init(out, reader->arena, PEM_BYTES);
	if (data.len) {
		err = decode_base64(BASE64_BLANKS, data, secret_sink(out), NULL);
		if (!err) err = secret_err(out);
		if (err == ERR_INVALID || err == ERR_TOO_LARGE) {
			char what[128];
			snprintf(what, sizeof what, "%s is %s", data_key,
				err == ERR_INVALID ? "not valid base64" : "too large");
			err = refuse(
				reader, doc_find(&reader->doc, mapping, str_of(data_key)), what);
		}
	} else if (file.len) {
		err = resolve(reader, file, &path);
		if (!err) err = secret_file_read(buf_cstr(&path), out, reader->fault);
	}
	buf_deinit(&path);
	return err;
}

static enum err read_plain_blob(
	struct reader *reader, const struct doc_node *mapping, const char *key, struct buf *out) {
	struct secret blob = { 0 };
	enum err err = read_blob(reader, mapping, key, &blob);
	buf_init(out, PEM_BYTES);
	/* A certificate is public. */
	if (!err) buf_append(out, secret_expose(&blob));
	secret_deinit(&blob);
	return err ? err : buf_err(out);
}

static enum err read_cluster(struct reader *reader, const struct doc_node *cluster) {
	struct str scheme, host, rest, server = text_of(reader, cluster, "server");
	unsigned port;
	if (http_url_split(server, &scheme, &host, &port, &rest) != OK ||
		!str_eq_nocase(scheme, STR("https"))) {
		return refuse(reader, cluster, "the cluster's server must be an https URL");
	}
	if (str_eq(text_of(reader, cluster, "insecure-skip-tls-verify"), STR("true"))) {
		return refuse(reader, cluster,
			"insecure-skip-tls-verify is refused, because the connection carries "
			"secrets: give certificate-authority instead");
	}
	static const char *const unsupported[] = { "tls-server-name", "proxy-url" };
	for (unsigned i = 0; i < 2; i++) {
		if (!text_of(reader, cluster, unsupported[i]).len) continue;
		return refuse(reader, cluster,
			"tls-server-name and proxy-url are not supported: use a server URL whose "
			"name the certificate carries, and "
			"HTTPS_PROXY");
	}
	reader->access->server = mem_strdup(server);
	if (!reader->access->server) return ERR_NOMEM;
	return read_plain_blob(reader, cluster, "certificate-authority", &reader->access->ca_pem);
}

static enum err read_user_token(struct reader *reader, const struct doc_node *user) {
	struct kube_access *access = reader->access;
	struct str token = text_of(reader, user, "token"),
		   file = text_of(reader, user, "tokenFile");
	struct buf path = { 0 };
	enum err err = OK;
	secret_init(&access->token, reader->arena, PEM_BYTES);
	if (file.len) {
		err = resolve(reader, file, &path);
		if (!err) access->token_file = buf_take(&path);
		if (!err && !access->token_file) err = ERR_NOMEM;
		buf_deinit(&path);
	} else if (token.len) {
		secret_append(&access->token, token);
		err = secret_err(&access->token);
	}
	return err;
}

static enum err read_user(struct reader *reader, const struct doc_node *user) {
	static const char *const plugins[] = { "exec", "auth-provider" };
	for (unsigned i = 0; i < 2; i++) {
		const struct doc_node *plugin = doc_find(&reader->doc, user, str_of(plugins[i]));
		if (!plugin) continue;
		return refuse(reader, plugin,
			"exec and auth-provider are not supported, because kvsync starts no other "
			"program: use a token, a tokenFile or a "
			"client certificate (kubectl create token makes a token for a service "
			"account)");
	}
	if (text_of(reader, user, "username").len) {
		return refuse(reader, user,
			"username and password are not supported: use a token or a client "
			"certificate");
	}
	enum err err = read_plain_blob(
		reader, user, "client-certificate", &reader->access->client_cert_pem);
	if (!err) err = read_blob(reader, user, "client-key", &reader->access->client_key_pem);
	if (!err) err = read_user_token(reader, user);
	if (err) return err;
	bool cert = buf_str(&reader->access->client_cert_pem).len > 0,
	     key = secret_len(&reader->access->client_key_pem) > 0;
	if (cert != key)
		return refuse(reader, user,
			"client-certificate and client-key belong together: one of them is "
			"missing");
	return OK;
}

static enum err describe(struct reader *reader, struct str context) {
	struct buf text = { 0 };
	buf_init(&text, 8192);
	buf_printf(&text, "context %.*s of %s", STR_ARG(context), reader->path);
	reader->access->description = buf_take(&text);
	buf_deinit(&text);
	return reader->access->description ? OK : ERR_NOMEM;
}

/* Names the one that was asked for and those that are there. */
static enum err refuse_context(
	struct reader *reader, const struct doc_node *root, struct str name) {
	struct buf text;
	unsigned count = 0;
	buf_init(&text, 1024);
	buf_printf(&text, "there is no context \"%.*s\" (--context, or current-context)",
		(int)(name.len < 80 ? name.len : 80), name.ptr);
	const struct doc_node *list = doc_find(&reader->doc, root, STR("contexts"));
	unsigned first = list && list->kind == DOC_SEQUENCE ? list->first : DOC_NONE;
	for (unsigned at = first; at != DOC_NONE; at = reader->doc.nodes[at].next) {
		const struct doc_node *entry = doc_at(&reader->doc, at);
		struct str one =
			entry->kind == DOC_MAPPING ? text_of(reader, entry, "name") : STR("");
		if (!one.len || count == CONTEXTS_TOLD) continue;
		buf_printf(&text, "%s%.*s",
			count++ ? ", " : "; there are: ", (int)(one.len < 80 ? one.len : 80),
			one.ptr);
	}
	enum err err = buf_err(&text) ? ERR_NOMEM : refuse(reader, root, buf_cstr(&text));
	buf_deinit(&text);
	return err;
}

static enum err read_context(struct reader *reader, const char *wanted) {
	const struct doc_node *root = doc_at(&reader->doc, DOC_ROOT);
	if (!root || root->kind != DOC_MAPPING)
		return refuse(reader, root, "not a kubeconfig: a mapping is expected");
	struct str name = wanted ? str_of(wanted) : text_of(reader, root, "current-context");
	if (!name.len)
		return refuse(reader, root, "there is no current-context: name one by --context");
	const struct doc_node *context = find_named(reader, "contexts", name, "context");
	if (!context) return refuse_context(reader, root, name);
	const struct doc_node *cluster =
		find_named(reader, "clusters", text_of(reader, context, "cluster"), "cluster");
	if (!cluster) return refuse(reader, context, "the context's cluster is not in clusters");
	const struct doc_node *user =
		find_named(reader, "users", text_of(reader, context, "user"), "user");
	if (!user)
		return refuse(reader, context, "the context's user is not in users, or is empty");
	struct str ns = text_of(reader, context, "namespace");
	reader->access->ns = mem_strdup(ns.len ? ns : STR("default"));
	enum err err = reader->access->ns ? OK : ERR_NOMEM;
	if (!err) err = read_cluster(reader, cluster);
	if (!err) err = read_user(reader, user);
	return err ? err : describe(reader, name);
}

enum err kubeconfig_read(const char *path, const char *context, struct secret_arena *arena,
	struct kube_access *out_access, struct fault *fault) {
	static const struct doc_limits limits = { .bytes = FILE_BYTES,
		.nodes = 100000,
		.depth = 32,
		.keys = 1000,
		.only_document = true };
	struct kube_access access = { 0 };
	struct reader reader = { .path = path, .arena = arena, .access = &access, .fault = fault };
	struct secret text = { 0 };
	struct doc_place place = { 0 };
	secret_init(&text, arena, FILE_BYTES);
	enum err err = secret_file_read(path, &text, fault);
	if (err) goto out;
	err = doc_parse(secret_expose(&text), &limits, &reader.doc, &place, fault);
	if (err) {
		err = fault_prefix(fault, err, "%s:%u:%u", path, place.line, place.column);
		goto out;
	}
	err = read_context(&reader, context);
	if (err == ERR_NOMEM) err = fault_set(fault, err, "%s: out of memory", path);
out:
	doc_deinit(&reader.doc);
	secret_deinit(&text);
	if (err) kube_access_deinit(&access);
	if (!err) *out_access = access;
	return err;
}

/* --- in a pod --- */

static enum err set_server(struct kube_access *access, struct fault *fault) {
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");
	struct buf url = { 0 };
	if (!host || !host[0] || !port || !port[0]) {
		return fault_set(fault, ERR_INVALID,
			"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: not in a "
			"pod; "
			"give --kubeconfig");
	}
	buf_init(&url, 1024);
	buf_printf(&url, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	access->server = buf_take(&url);
	buf_deinit(&url);
	return access->server ? OK : fault_set(fault, ERR_NOMEM, "out of memory");
}

static enum err read_beside(
	const char *folder, const char *name, struct secret *out, struct fault *fault) {
	struct buf path = { 0 };
	buf_init(&path, PATH_BYTES);
	buf_printf(&path, "%s/%s", folder, name);
	enum err err = secret_file_read(buf_cstr(&path), out, fault);
	buf_deinit(&path);
	return err;
}

static enum err read_ca(const char *folder, struct secret_arena *arena, struct kube_access *access,
	struct fault *fault) {
	struct secret pem = { 0 };
	secret_init(&pem, arena, PEM_BYTES);
	enum err err = read_beside(folder, "ca.crt", &pem, fault);
	buf_init(&access->ca_pem, PEM_BYTES);
	if (!err) buf_append(&access->ca_pem, secret_expose(&pem));
	secret_deinit(&pem);
	return err;
}

static enum err read_ns(const char *folder, struct secret_arena *arena, struct kube_access *access,
	struct fault *fault) {
	struct secret name = { 0 };
	secret_init(&name, arena, 256);
	enum err err = read_beside(folder, "namespace", &name, fault);
	if (!err) access->ns = mem_strdup(str_trim(secret_expose(&name)));
	if (!err && !access->ns) err = fault_set(fault, ERR_NOMEM, "out of memory");
	secret_deinit(&name);
	return err;
}

enum err kube_access_in_cluster(const char *folder, struct secret_arena *arena,
	struct kube_access *out_access, struct fault *fault) {
	struct kube_access access = { 0 };
	struct buf path = { 0 };
	secret_init(&access.token, arena, PEM_BYTES);
	enum err err = set_server(&access, fault);
	if (!err) err = read_ca(folder, arena, &access, fault);
	if (!err) err = read_ns(folder, arena, &access, fault);
	if (err) goto out;
	buf_init(&path, PATH_BYTES);
	buf_printf(&path, "%s/token", folder);
	access.token_file = buf_take(&path);
	access.description = mem_strdup(STR("the service account of this pod"));
	if (!access.token_file || !access.description)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
out:
	buf_deinit(&path);
	if (err) kube_access_deinit(&access);
	if (!err) *out_access = access;
	return err;
}

/* --- which of them --- */

/* The first file of a colon-separated list that exists; "" when none does. */
static void first_existing(struct str list, struct buf *out_path) {
	while (list.ptr) {
		buf_reset(out_path);
		buf_append(out_path, str_next(&list, ':'));
		if (buf_str(out_path).len && access(buf_cstr(out_path), R_OK) == 0) return;
	}
	buf_reset(out_path);
}

enum err kube_access_find(const char *path, const char *context, struct secret_arena *arena,
	struct kube_access *out_access, struct fault *fault) {
	const char *home = getenv("HOME"), *list = getenv("KUBECONFIG");
	struct buf found = { 0 };
	if (path) return kubeconfig_read(path, context, arena, out_access, fault);
	if (!context && getenv("KUBERNETES_SERVICE_HOST")) {
		return kube_access_in_cluster(KUBE_ACCOUNT_FOLDER, arena, out_access, fault);
	}
	buf_init(&found, PATH_BYTES);
	if (list) {
		first_existing(str_of(list), &found);
	} else if (home) {
		buf_printf(&found, "%s/.kube/config", home);
	}
	enum err err =
		buf_str(&found).len && access(buf_cstr(&found), R_OK) == 0
			? kubeconfig_read(buf_cstr(&found), context, arena, out_access, fault)
			: fault_set(fault, ERR_NOT_FOUND,
				  "no Kubernetes API server is named: run in a pod, or give "
				  "--kubeconfig FILE (or set KUBECONFIG)");
	buf_deinit(&found);
	return err;
}

enum err kube_token_file_read(const char *path, struct secret_arena *arena,
	struct secret *out_token, struct fault *fault) {
	struct secret text = { 0 };
	secret_init(&text, arena, PEM_BYTES);
	enum err err = secret_file_read(path, &text, fault);
	if (err) goto out;
	struct str token = str_trim(secret_expose(&text));
	for (size_t i = 0; i < token.len; i++) {
		if ((unsigned char)token.ptr[i] <= ' ' || token.ptr[i] == 0x7F) err = ERR_INVALID;
	}
	if (err || !token.len) {
		err = fault_set(fault, ERR_INVALID,
			"%s holds no token: one line without blanks is expected", path);
		goto out;
	}
	secret_init(out_token, arena, PEM_BYTES);
	secret_append(out_token, token);
	err = secret_err(out_token);
	if (err) err = fault_set(fault, err, "%s: out of secret memory", path);
out:
	secret_deinit(&text);
	return err;
}
