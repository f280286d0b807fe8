/* tests/sdk/vault_client.c - kvsync's own vault client, driven from the command line.
 *
 *   vault_client URL get KIND NAME [VERSION]     vault_client URL versions KIND NAME
 *
 * KIND: secret, key, cert. Prints one line of JSON: what came of it, and of a value its size and SHA-256 alone.
 * Ends with 0 whatever the service answered, with 2 when it was called wrongly or could not start.
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/loop.h"
#include "base/mem.h"
#include "clients/http_curl.h"
#include "clients/vault.h"

enum { ARENA_BYTES = 1 << 20, NEXT_LINK_BYTES = 8 << 10 };

struct session {
	struct loop *loop;
	struct http *http;
	struct secret_arena *arena;
	struct secret bearer;
	struct http_site site;
	struct str vault_url;
	enum vault_kind kind;
	struct str name;
	bool done;
};

static void on_done(struct http_req *req) {
	((struct session *)req->owner)->done = true;
}

/* Runs a call to its end. */
static enum err perform(struct session *s, struct vault_call *call, struct fault *fault) {
	call->http.owner = s;
	call->http.on_done = on_done;
	s->done = false;
	http_start(s->http, &call->http);
	while (!s->done) {
		int64_t deadline_ns = http_turn(s->http, loop_now(s->loop));
		if (!s->done) loop_wait(s->loop, deadline_ns);
	}
	return vault_result(call, fault, s->vault_url, s->kind, s->name);
}

static void print_digest(struct str bytes) {
	unsigned char digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];
	struct sha256 sha;
	sha256_init(&sha);
	sha256_add(&sha, bytes);
	enum err err = sha256_final(&sha, digest);
	assert(err == OK);
	hex_encode(digest, sizeof(digest), hex);
	printf(",\"size\":%zu,\"sha256\":\"%s\"", bytes.len, hex);
}

static void print_text(const char *name, struct str text) {
	struct buf quoted;
	buf_init(&quoted, 64 << 10);
	buf_append_json(&quoted, text);
	printf(",\"%s\":%s", name, buf_cstr(&quoted));
	buf_deinit(&quoted);
}

static void print_row(const struct vault_row *row) {
	print_text("version", str_of(row->version));
	printf(",\"enabled\":%s,\"created\":%lld,\"updated\":%lld,\"notBefore\":%lld,\"expires\":%"
	       "lld",
		row->enabled ? "true" : "false", (long long)row->created_s,
		(long long)row->updated_s, (long long)row->not_before_s, (long long)row->expires_s);
}

static void print_failure(enum err err, const struct fault *fault) {
	printf("{\"result\":\"%s\",\"status\":%d", err_name(err), fault->http_status);
	print_text("code", str_of(fault->code));
	print_text("text", str_of(fault->text));
	printf("}\n");
}

/* A secret's value, or the whole body of a key or certificate. */
static enum err print_object(
	struct session *s, const struct vault_call *call, struct fault *fault) {
	if (s->kind != VAULT_SECRET) {
		printf("{\"result\":\"OK\"");
		print_digest(http_response_body(&call->http));
		printf("}\n");
		return OK;
	}
	struct vault_object object = { 0 };
	enum err err = vault_read_secret(call, s->arena, &object, fault);
	if (err == OK) {
		printf("{\"result\":\"OK\"");
		print_row(&object.row);
		print_text("contentType", str_of(object.content_type));
		printf(",\"certificate\":%s", object.certificate_backed ? "true" : "false");
		print_digest(secret_expose(&object.value));
		printf("}\n");
	}
	vault_object_deinit(&object);
	return err;
}

static enum err get(struct session *s, struct str version, struct fault *fault) {
	struct vault_call call = { 0 };
	enum err err = vault_get(
		&call, &s->site, s->vault_url, s->kind, s->name, version, &s->bearer, s->arena);
	if (err != OK) {
		(void)fault_set(fault, err, "the request could not be made");
		goto out;
	}
	err = perform(s, &call, fault);
	if (err == OK) err = print_object(s, &call, fault);
out:
	vault_call_deinit(&call);
	return err;
}

/* One page; out_next_link is emptied behind the last. */
static enum err read_page(
	struct session *s, struct vault_rows *rows, struct buf *next_link, struct fault *fault) {
	struct vault_call call = { 0 };
	enum err err = vault_list_versions(
		&call, &s->site, s->vault_url, s->kind, s->name, buf_str(next_link), &s->bearer);
	if (err != OK) {
		(void)fault_set(fault, err, "the request could not be made");
		goto out;
	}
	err = perform(s, &call, fault);
	if (err == OK) err = vault_read_page(&call, rows, next_link, fault);
out:
	vault_call_deinit(&call);
	return err;
}

static enum err versions(struct session *s, struct fault *fault) {
	struct vault_rows rows = { 0 };
	struct buf next_link;
	buf_init(&next_link, NEXT_LINK_BYTES);
	unsigned pages = 0;
	enum err err = OK;
	do {
		err = read_page(s, &rows, &next_link, fault);
		pages++;
	} while (err == OK && buf_str(&next_link).len);
	if (err == OK) {
		printf("{\"result\":\"OK\",\"pages\":%u,\"rows\":[", pages);
		for (size_t i = 0; i < rows.count; i++) {
			printf("%s{\"index\":%zu", i ? "," : "", i);
			print_row(&rows.rows[i]);
			printf("}");
		}
		printf("]}\n");
	}
	vault_rows_deinit(&rows);
	buf_deinit(&next_link);
	return err;
}

static bool kind_of(const char *word, enum vault_kind *out_kind) {
	for (enum vault_kind kind = VAULT_SECRET; kind <= VAULT_CERTIFICATE; kind++) {
		if (strcmp(word, vault_kind_name(kind)) != 0) continue;
		*out_kind = kind;
		return true;
	}
	return false;
}

static bool session_open(struct session *s) {
	s->site =
		(struct http_site){ .name = "key vault", .max_connections = 1, .use_proxy = true };
	s->loop = loop_create(clock_system());
	if (!s->loop) return false;
	s->http = http_curl_create(s->loop);
	s->arena = secret_arena_create(ARENA_BYTES);
	if (!s->http || !s->arena) return false;
	secret_init(&s->bearer, s->arena, 64);
	secret_append(&s->bearer, STR("any-token-will-do"));
	return secret_err(&s->bearer) == OK;
}

static void session_close(struct session *s) {
	http_destroy(s->http);
	secret_deinit(&s->bearer);
	secret_arena_destroy(s->arena);
	loop_destroy(s->loop);
}

int main(int argc, char **argv) {
	struct session s = { 0 };
	struct fault fault = { 0 };
	int status = 2;
	mem_wipe_libraries();
	signal(SIGPIPE, SIG_IGN);
	bool is_get = argc >= 5 && argc <= 6 && strcmp(argv[2], "get") == 0;
	bool is_versions = argc == 5 && strcmp(argv[2], "versions") == 0;
	if ((!is_get && !is_versions) || !kind_of(argv[3], &s.kind)) {
		fprintf(stderr,
			"usage: vault_client URL get|versions secret|key|cert NAME [VERSION]\n");
		return status;
	}
	if (http_curl_global_init() != OK || !session_open(&s)) {
		fprintf(stderr, "vault_client: the HTTP client could not be started\n");
		goto out;
	}
	s.vault_url = str_of(argv[1]);
	s.name = str_of(argv[4]);
	enum err err =
		is_get ? get(&s, str_of(argc == 6 ? argv[5] : ""), &fault) : versions(&s, &fault);
	if (err != OK) print_failure(err, &fault);
	status = 0;
out:
	session_close(&s);
	http_curl_global_deinit();
	return status;
}
