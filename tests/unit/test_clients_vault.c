/* Key Vault: requests, answers, version lists, errors. Bodies are as the service sends them. */
#include "clients/vault.h"

#include <stdio.h>

#include "clients/jwk.h"

#include "tests/unit/call.h"

#define VAULT "https://demo.vault.azure.net"

static const struct http_site site = { .name = "key vault" };
static struct secret_arena *arena;
static struct secret bearer;

static void get(
	struct vault_call *call, enum vault_kind kind, const char *name, const char *version) {
	assert_int_equal(vault_get(call, &site, STR(VAULT), kind, str_of(name), str_of(version),
				 &bearer, arena),
		OK);
}

/* --- requests --- */

static void an_object_is_asked_for_by_kind_name_and_version(void **state) {
	static const struct {
		enum vault_kind kind;
		const char *name, *version, *url;
	} cases[] = {
		{ VAULT_SECRET, "db", "", VAULT "/secrets/db/?api-version=7.4" },
		{ VAULT_KEY, "k-1", "0a", VAULT "/keys/k-1/0a?api-version=7.4" },
		{ VAULT_CERTIFICATE, "c", "", VAULT "/certificates/c/?api-version=7.4" },
		/* What is no name cannot lead elsewhere. */
		{ VAULT_SECRET, "../keys/x?y#z", "a/b",
			VAULT "/secrets/..%2Fkeys%2Fx%3Fy%23z/a%2Fb?api-version=7.4" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct vault_call call;
		get(&call, cases[i].kind, cases[i].name, cases[i].version);
		assert_str(buf_str(&call.http.url), cases[i].url);
		assert_int_equal(call.http.method, HTTP_GET);
		assert_ptr_equal(call.http.bearer, &bearer);
		assert_ptr_equal(call.http.response_arena, arena);
		assert_ptr_equal(call.http.site, &site);
		vault_call_deinit(&call);
	}
}

static void a_list_goes_on_only_at_its_vault(void **state) {
	static const struct {
		const char *link;
		enum err err;
	} cases[] = {
		{ VAULT ":443/secrets/db/versions?api-version=7.4&$skiptoken=abc", OK },
		{ VAULT "/secrets/db/versions?$skiptoken=abc", OK },
		{ "https://DEMO.vault.azure.net/x", OK },
		{ "https://evil.vault.azure.net/secrets", ERR_DENIED },
		{ "http://demo.vault.azure.net/secrets", ERR_DENIED },
		{ VAULT ":8443/secrets", ERR_DENIED },
		{ "https://demo.vault.azure.net@evil.example/", ERR_DENIED },
		{ "https://demo.vault.azure.net.evil.example/", ERR_DENIED },
		{ "https://evil.example\\@demo.vault.azure.net/", ERR_DENIED },
		{ "/secrets/db/versions", ERR_DENIED },
	};
	struct vault_call call;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum err err = vault_list_versions(&call, &site, STR(VAULT), VAULT_SECRET,
			STR("db"), str_of(cases[i].link), &bearer);
		if (err != cases[i].err) fail_msg("%s", cases[i].link);
		if (!err) assert_str(buf_str(&call.http.url), cases[i].link);
		vault_call_deinit(&call);
	}
	assert_int_equal(vault_list_versions(&call, &site, STR(VAULT), VAULT_SECRET, STR("db"),
				 STR(""), &bearer),
		OK);
	assert_str(buf_str(&call.http.url), VAULT "/secrets/db/versions?api-version=7.4");
	vault_call_deinit(&call);
}

static void a_kind_is_listed_in_pages_of_25(void **state) {
	static const char *const segments[] = { "secrets", "keys", "certificates" };
	struct vault_call call;
	char url[128];
	(void)state;
	for (enum vault_kind kind = VAULT_SECRET; kind <= VAULT_CERTIFICATE; kind++) {
		assert_int_equal(vault_list(&call, &site, STR(VAULT), kind, STR(""), &bearer), OK);
		snprintf(url, sizeof url, VAULT "/%s?api-version=7.4&maxresults=25", segments[kind]);
		assert_str(buf_str(&call.http.url), url);
		assert_ptr_equal(call.http.bearer, &bearer);
		vault_call_deinit(&call);
	}
	assert_int_equal(vault_list(&call, &site, STR(VAULT), VAULT_SECRET,
				 STR("https://evil.vault.azure.net/secrets?$skiptoken=a"), &bearer),
		ERR_DENIED);
	vault_call_deinit(&call);
	assert_int_equal(vault_list(&call, &site, STR(VAULT), VAULT_SECRET,
				 STR(VAULT ":443/secrets?$skiptoken=a"), &bearer),
		OK);
	assert_str(buf_str(&call.http.url), VAULT ":443/secrets?$skiptoken=a");
	vault_call_deinit(&call);
}

struct seen_row {
	char name[32];
	struct vault_row row;
};
static struct seen_row seen_rows[4];
static unsigned seen_count;

static void see_row(void *arg, struct str name, const struct vault_row *row) {
	(void)arg;
	assert_true(seen_count < 4 && name.len < 32);
	snprintf(seen_rows[seen_count].name, 32, "%.*s", STR_ARG(name));
	seen_rows[seen_count++].row = *row;
}

static void a_list_shows_names_and_attributes(void **state) {
	struct vault_call call;
	struct buf next;
	struct fault fault = { 0 };
	(void)state;
	seen_count = 0;
	buf_init(&next, 8192);
	assert_int_equal(vault_list(&call, &site, STR(VAULT), VAULT_KEY, STR(""), &bearer), OK);
	answer(&call.http, 200,
		"{\"value\":[{\"kid\":\"" VAULT "/keys/Db-1\",\"attributes\":{\"enabled\":false,"
		"\"created\":1,\"updated\":2,\"nbf\":3,\"exp\":32503680000}},{\"kid\":\"" VAULT
		"/keys/\",\"attributes\":{}},{\"kid\":\"" VAULT "/keys/none\"},"
		"{\"id\":\"" VAULT ":443/keys/k2/0123\",\"attributes\":{}}],\"nextLink\":\"" VAULT
		":443/keys?x\"}");
	assert_int_equal(vault_read_list(&call, VAULT_KEY, see_row, NULL, &next, &fault), OK);
	assert_int_equal(seen_count, 2);
	assert_string_equal(seen_rows[0].name, "Db-1");
	const struct vault_row *row = &seen_rows[0].row;
	assert_true(row->created_s == 1 && row->updated_s == 2 && row->not_before_s == 3 &&
		    row->expires_s == 32503680000 && !row->enabled);
	assert_string_equal(seen_rows[1].name, "k2");
	assert_str(buf_str(&next), VAULT ":443/keys?x");
	/* Whole empty pages with a link, and a vault that was never used. */
	answer(&call.http, 200, "{\"value\":[],\"nextLink\":\"" VAULT "/keys?y\"}");
	assert_int_equal(vault_read_list(&call, VAULT_KEY, see_row, NULL, &next, &fault), OK);
	assert_str(buf_str(&next), VAULT "/keys?y");
	answer(&call.http, 200, "{\"value\":null,\"nextLink\":null}");
	assert_int_equal(vault_read_list(&call, VAULT_KEY, see_row, NULL, &next, &fault), OK);
	assert_int_equal(buf_str(&next).len, 0);
	assert_int_equal(seen_count, 2);
	answer(&call.http, 200, "{\"nextLink\":null}");
	assert_int_equal(vault_read_list(&call, VAULT_KEY, see_row, NULL, &next, &fault), ERR_PARSE);
	buf_deinit(&next);
	vault_call_deinit(&call);
}

#define LIST_ROW "{\"id\":\"" VAULT "/secrets/a\",\"attributes\":{\"created\":1}}"

static unsigned rows_in_order;

static void count_row(void *arg, struct str name, const struct vault_row *row) {
	char expected[16];
	(void)arg;
	snprintf(expected, sizeof expected, "n%u", rows_in_order);
	assert_str(name, expected);
	assert_int_equal(row->created_s, rows_in_order);
	rows_in_order++;
}

/* Azure's pages have 25 rows; a server that sends more is read as well. */
static void a_page_may_have_many_rows(void **state) {
	enum { ROWS = 1000 };
	struct vault_call call;
	struct buf next, body;
	struct fault fault = { 0 };
	(void)state;
	buf_init(&next, 8192);
	buf_init(&body, 1 << 20);
	buf_append(&body, STR("{\"value\":["));
	for (int i = 0; i < ROWS; i++)
		buf_printf(&body, "%s{\"id\":\"/secrets/n%d\",\"attributes\":{\"created\":%d}}", i ? "," : "", i, i);
	buf_append(&body, STR("]}"));
	assert_int_equal(vault_list(&call, &site, STR(VAULT), VAULT_SECRET, STR(""), &bearer), OK);
	answer(&call.http, 200, buf_cstr(&body));
	rows_in_order = 0;
	assert_int_equal(vault_read_list(&call, VAULT_SECRET, count_row, NULL, &next, &fault), OK);
	assert_int_equal(rows_in_order, ROWS);
	buf_deinit(&body);
	buf_deinit(&next);
	vault_call_deinit(&call);
}

/* As the engine would take it: names, and the link, in one text; "-" for an error. */
static void expect_list(const char *body, const char *expected) {
	struct vault_call call;
	struct buf next, text;
	struct fault fault = { 0 };
	seen_count = 0;
	buf_init(&next, 8192);
	buf_init(&text, 8192);
	assert_int_equal(vault_list(&call, &site, STR(VAULT), VAULT_SECRET, STR(""), &bearer), OK);
	answer(&call.http, 200, body);
	enum err err = vault_read_list(&call, VAULT_SECRET, see_row, NULL, &next, &fault);
	assert_int_equal(err, fault.err);
	for (unsigned i = 0; i < seen_count; i++)
		buf_printf(&text, "%s:%d ", seen_rows[i].name, (int)seen_rows[i].row.created_s);
	buf_append(&text, err ? STR("-") : buf_str(&next));
	assert_str(buf_str(&text), expected);
	buf_deinit(&text);
	buf_deinit(&next);
	vault_call_deinit(&call);
}

static void a_page_counts_as_a_whole(void **state) {
	(void)state;
	expect_list("{\"value\":[" LIST_ROW "]}", "a:1 ");
	/* Nothing is shown of what breaks off, or is broken or followed by something far behind. */
	expect_list("{\"value\":[" LIST_ROW "]", "-");
	expect_list("{\"value\":[" LIST_ROW "],\"x\":[1,{\"y\":\"\\ud83d\"}]}", "-");
	expect_list("{\"value\":[" LIST_ROW "]} {}", "-");
	expect_list("[{\"value\":[" LIST_ROW "]}]", "-");
	expect_list("{\"value\":{\"a\":" LIST_ROW "}}", "-");
	/* The first of a name counts, in any order; rows that are none are passed over. */
	expect_list("{\"nextLink\":\"n\",\"value\":[5,null,[]," LIST_ROW "],\"nextLink\":\"m\",\"value\":7}",
		"a:1 n");
	expect_list("{\"value\":[{\"attributes\":{\"created\":2,\"created\":3},\"id\":\"/secrets/b\","
		    "\"id\":\"/secrets/c\",\"attributes\":{\"created\":4}}]}",
		"b:2 ");
	/* Escapes, in names of members too; numbers as texts; an id that is none. */
	expect_list("{\"v\\u0061lue\":[{\"id\":null,\"kid\":\"https:\\/\\/v\\/secrets\\/\\u0061b\","
		    "\"attributes\":{\"created\":\"17\"}}],\"nextLink\":\"https:\\/\\/v?a\\u0026b\"}",
		"ab:17 https://v?a&b");
	expect_list("{\"value\":[{\"id\":\"/secrets/a\",\"attributes\":[1]}]}", "a:0 ");
	expect_list("{\"value\":[],\"nextLink\":\"" VAULT "\\/secrets?api-version=7.4&maxresults=25\"}", "-");
}

/* --- objects --- */

#define ID "\"id\":\"" VAULT "/secrets/db/0123456789abcdef0123456789abcdef\""
#define ATTRIBUTES                                                                        \
	"\"attributes\":{\"enabled\":true,\"created\":1700000000,\"updated\":1700000001," \
	"\"recoveryLevel\":\"Recoverable\"}"

static void a_secret_is_read_to_the_last_byte(void **state) {
	struct vault_call call;
	struct vault_object object;
	struct fault fault = { 0 };
	(void)state;
	get(&call, VAULT_SECRET, "db", "");
	answer(&call.http, 200,
		"{\"value\":\"a\\u0000b\\\"\\n\xC3\xA9\",\"contentType\":\"text/plain\"," ID
		"," ATTRIBUTES ",\"kid\":\"" VAULT "/keys/db/1\"}");
	assert_int_equal(vault_read_secret(&call, arena, &object, &fault), OK);
	assert_true(str_eq(secret_expose(&object.value), STR("a\0b\"\n\xC3\xA9")));
	assert_string_equal(object.row.version, "0123456789abcdef0123456789abcdef");
	assert_string_equal(object.content_type, "text/plain");
	assert_int_equal(object.row.created_s, 1700000000);
	assert_int_equal(object.row.updated_s, 1700000001);
	assert_true(object.row.enabled && object.certificate_backed);
	vault_object_deinit(&object);
	answer(&call.http, 200, "{\"value\":\"\"," ID ",\"attributes\":{\"enabled\":false}}");
	assert_int_equal(vault_read_secret(&call, arena, &object, &fault), OK);
	assert_int_equal(secret_len(&object.value), 0);
	assert_false(object.row.enabled || object.certificate_backed);
	assert_string_equal(object.content_type, "");
	vault_object_deinit(&object);
	vault_call_deinit(&call);
}

static void what_is_no_secret_is_an_error_without_its_bytes(void **state) {
	static const struct {
		const char *body, *part;
	} cases[] = {
		{ "", "no attributes" },
		{ "<html>s3cret</html>", "no attributes" },
		{ "{\"value\":\"s3cret\"," ID "}", "no attributes" },
		{ "{\"value\":\"s3cret\"," ATTRIBUTES "}", "no id with a version" },
		{ "{\"value\":\"s3cret\"," ATTRIBUTES ",\"id\":\"" VAULT "/secrets/db/\"}",
			"no id with a version" },
		{ "{\"value\":\"s3cret\"," ATTRIBUTES ",\"id\":\"" VAULT "/secrets/db/a b\"}",
			"no id with a version" },
		{ "{\"value\":\"s3cret\"," ATTRIBUTES ",\"id\":\"" VAULT "/secrets/db/\\u0000\"}",
			"no id with a version" },
		{ "{" ID "," ATTRIBUTES "}", "no value" },
		{ "{\"value\":5," ID "," ATTRIBUTES "}", "no value" },
		{ "{\"value\":null," ID "," ATTRIBUTES "}", "no value" },
		{ "{" ID "," ATTRIBUTES ",\"value\":\"s3cret", "no value" },
		{ "{\"value\":\"s3cret\\x\"," ID "," ATTRIBUTES "}", "no valid JSON string" },
	};
	struct vault_call call;
	(void)state;
	get(&call, VAULT_SECRET, "db", "");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct vault_object object;
		struct fault fault = { 0 };
		answer(&call.http, 200, cases[i].body);
		if (vault_read_secret(&call, arena, &object, &fault) != ERR_PARSE)
			fail_msg("%s", cases[i].body);
		assert_text(fault.text, cases[i].part);
		assert_null(strstr(fault.text, "s3cret"));
	}
	vault_call_deinit(&call);
}

/* --- version lists --- */

#define ROW(version, created, enabled)                                                      \
	"{\"id\":\"" VAULT "/secrets/db/" version "\",\"attributes\":{\"enabled\":" enabled \
	",\"created\":" created "}}"

static enum err read_page(
	struct vault_rows *rows, const char *body, const char *next, struct fault *fault) {
	struct vault_call call;
	struct buf link;
	buf_init(&link, 256);
	buf_append(&link, STR("earlier"));
	assert_int_equal(vault_list_versions(&call, &site, STR(VAULT), VAULT_SECRET, STR("db"),
				 STR(""), &bearer),
		OK);
	answer(&call.http, 200, body);
	enum err err = vault_read_page(&call, rows, &link, fault);
	if (!err) assert_str(buf_str(&link), next);
	buf_deinit(&link);
	vault_call_deinit(&call);
	return err;
}

static void pages_are_gathered(void **state) {
	struct vault_rows rows = { 0 };
	struct fault fault = { 0 };
	(void)state;
	assert_int_equal(read_page(&rows,
				 "{\"value\":[" ROW("a", "1", "true") "," ROW(
					 "b", "3", "false") "],\"nextLink\":\"" VAULT "/next\"}",
				 VAULT "/next", &fault),
		OK);
	/* An empty page with a link, a row of a key, a row without attributes, a null list. */
	assert_int_equal(read_page(&rows, "{\"value\":[],\"nextLink\":\"" VAULT "/more\"}",
				 VAULT "/more", &fault),
		OK);
	assert_int_equal(
		read_page(&rows,
			"{\"value\":[{\"kid\":\"" VAULT "/keys/db/"
							"c\",\"attributes\":{\"created\":\"2\"}},{"
							"\"id\":\"x\"}],\"nextLink\":null}",
			"", &fault),
		OK);
	assert_int_equal(read_page(&rows, "{\"value\":null,\"nextLink\":\"\"}", "", &fault), OK);
	assert_int_equal(rows.count, 3);
	assert_string_equal(rows.rows[1].version, "b");
	assert_false(rows.rows[1].enabled);
	assert_int_equal(rows.rows[2].created_s, 2);
	assert_true(rows.rows[2].enabled);
	vault_rows_deinit(&rows);
}

static void a_page_that_cannot_be_read_is_an_error(void **state) {
	static const struct {
		const char *body, *part;
	} cases[] = {
		{ "{", "not valid JSON" },
		{ "{}", "no value array" },
		{ "{\"value\":{}}", "no value array" },
		{ "{\"value\":[{\"id\":\"\",\"attributes\":{}}]}", "could not be read" },
		{ "{\"value\":[],\"nextLink\":\"" VAULT "/secrets/db/versions?api-version=7.4\"}",
			"leads back to the same page" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct vault_rows rows = { 0 };
		struct fault fault = { 0 };
		if (read_page(&rows, cases[i].body, "", &fault) != ERR_PARSE)
			fail_msg("%s", cases[i].body);
		assert_text(fault.text, cases[i].part);
		vault_rows_deinit(&rows);
	}
}

static struct vault_rows rows_of(const char *versions, const int64_t *created_s) {
	struct vault_rows rows = { .count = strlen(versions) };
	rows.rows = mem_array(rows.count, sizeof *rows.rows);
	for (size_t i = 0; i < rows.count; i++) {
		rows.rows[i] = (struct vault_row){ .version = { versions[i] },
			.created_s = created_s[i],
			.enabled = versions[i] != 'x' };
	}
	return rows;
}

static void select_rows(
	const char *start, const char *current, unsigned limit, const char *expected) {
	/* x is disabled; c and d are of the same second. */
	struct vault_rows rows = rows_of("acxdb", (const int64_t[]){ 1, 3, 9, 3, 2 });
	char got[8] = "";
	enum err err = vault_rows_select(&rows, str_of(start), str_of(current), limit);
	assert_int_equal(err, expected[0] ? OK : ERR_NOT_FOUND);
	for (size_t i = 0; !err && i < rows.count; i++) got[i] = rows.rows[i].version[0];
	assert_string_equal(got, expected);
	vault_rows_deinit(&rows);
}

static void versions_are_ordered_and_cut(void **state) {
	(void)state;
	select_rows("", "", 9, "dcba");
	select_rows("latest", "", 2, "dc");
	select_rows("", "c", 9, "cdba");
	select_rows("", "C", 1, "c");
	/* An old version is not the current one, whatever is said. */
	select_rows("", "a", 9, "dcba");
	select_rows("c", "", 2, "cb");
	select_rows("A", "", 2, "a");
	select_rows("x", "", 2, "");
	select_rows("nothing", "", 2, "");
}

static void a_tie_is_of_enabled_rows_of_the_newest_second(void **state) {
	static const struct {
		const char *versions;
		int64_t created_s[3];
		bool tied;
	} cases[] = { { "ab", { 1, 2 }, false }, { "ab", { 2, 2 }, true },
		{ "abc", { 1, 1, 2 }, false }, { "xa", { 2, 2 }, false },
		{ "abx", { 2, 2, 3 }, true }, { "a", { 0 }, false }, { "", { 0 }, false } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct vault_rows rows = rows_of(cases[i].versions, cases[i].created_s);
		assert_int_equal(vault_rows_are_tied(&rows), cases[i].tied);
		vault_rows_deinit(&rows);
	}
}

/* --- errors --- */

static void errors_are_told_apart_by_status_and_code(void **state) {
	static const struct {
		int status;
		const char *body;
		enum err err;
		const char *code, *part;
	} cases[] = {
		{ 403,
			"{\"error\":{\"code\":\"Forbidden\",\"message\":\"oid=1 "
			"s3cret\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}",
			ERR_DENIED, "ForbiddenByRbac", "Key Vault Secrets User" },
		{ 403,
			"{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":"
			"\"AccessDenied\",\"innerError\":{\"code\":\"SecretDisabled\"}}}}",
			ERR_DISABLED, "SecretDisabled", "enable it" },
		{ 403,
			"{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":"
			"\"ForbiddenByFirewall\"}}}",
			ERR_DENIED, "ForbiddenByFirewall", "firewall" },
		{ 403, "{\"error\":{\"code\":\"Forbidden\"}}", ERR_DENIED, "Forbidden",
			"may not read" },
		{ 403, "<html>s3cret</html>", ERR_DENIED, "", "answered 403: " },
		{ 404,
			"{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"A secret with "
			"(name/id) db was not found\"}}",
			ERR_NOT_FOUND, "SecretNotFound", "objectName" },
		{ 401,
			"{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10032: Invalid "
			"issuer\"}}",
			ERR_UNAUTHENTICATED, "Unauthorized", "tenantID" },
		{ 401,
			"{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10046: Unable to "
			"resolve the key\"}}",
			ERR_UNAVAILABLE, "Unauthorized", "retried by itself" },
		{ 400, "{\"error\":{\"code\":\"BadParameter\"}}", ERR_INVALID, "BadParameter",
			"letters, digits" },
		{ 429, "{\"error\":{\"code\":\"Throttled\"}}", ERR_THROTTLED, "Throttled",
			"slows down" },
		{ 500, "", ERR_UNAVAILABLE, "", "trouble" },
		{ 503, "[]", ERR_UNAVAILABLE, "", "trouble" },
		{ 302, "", ERR_INTERNAL, "", "proxy" },
		{ 204, "", ERR_INTERNAL, "", "proxy" },
	};
	struct vault_call call;
	(void)state;
	get(&call, VAULT_SECRET, "db", "");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fault fault = { 0 };
		answer(&call.http, cases[i].status, cases[i].body);
		call.http.retry_after_ns = cases[i].status == 429 ? 7 * NS_PER_S : -1;
		if (vault_result(&call, &fault, STR(VAULT), VAULT_SECRET, STR("db")) !=
			cases[i].err)
			fail_msg("%s", cases[i].body);
		assert_text(fault.text, "secret \"db\" of " VAULT ": the vault answered ");
		assert_text(fault.text, cases[i].part);
		assert_null(strstr(fault.text, "s3cret"));
		assert_string_equal(fault.code, cases[i].code);
		assert_int_equal(fault.http_status, cases[i].status);
		assert_int_equal(fault.retry_after_ns, cases[i].status == 429 ? 7 * NS_PER_S : 0);
		assert_int_equal(vault_result(&call, NULL, STR(VAULT), VAULT_SECRET, STR("db")),
			cases[i].err);
	}
	struct fault fault = { 0 };
	/* The role for secrets opens neither keys nor certificates. */
	answer(&call.http, 403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}");
	for (enum vault_kind kind = VAULT_KEY; kind <= VAULT_CERTIFICATE; kind++) {
		assert_int_equal(vault_result(&call, &fault, STR(VAULT), kind, STR("db")), ERR_DENIED);
		assert_text(fault.text, "\"Key Vault Certificate User\"");
	}
	no_answer(&call.http, ERR_TIMEOUT);
	assert_int_equal(
		vault_result(&call, &fault, STR(VAULT), VAULT_KEY, STR("db")), ERR_TIMEOUT);
	assert_string_equal(fault.text, "key \"db\" of " VAULT ": host: no connection");
	answer(&call.http, 200, "{}");
	assert_int_equal(vault_result(&call, &fault, STR(VAULT), VAULT_SECRET, STR("db")), OK);
	vault_call_deinit(&call);
}

/* Azure's table of limits: 4,000 in ten seconds of the cheapest kind. */
static void a_key_counts_by_its_kind(void **state) {
	static const struct {
		const char *kty;
		size_t n; /* characters of base64url */
		unsigned cost;
	} cases[] = { { "RSA", 342, 1 }, { "RSA-HSM", 342, 2 }, { "RSA", 512, 4 }, { "RSA-HSM", 512, 8 },
		{ "RSA", 683, 8 }, { "RSA-HSM", 683, 16 }, { "EC", 0, 1 }, { "EC-HSM", 0, 2 }, { "oct", 0, 1 } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char n[700] = "";
		cJSON *key = cJSON_CreateObject();
		memset(n, 'A', cases[i].n);
		cJSON_AddStringToObject(key, "kty", cases[i].kty);
		cJSON_AddStringToObject(key, "n", n);
		if (jwk_cost(key) != cases[i].cost) fail_msg("%s %zu: %u", cases[i].kty, cases[i].n, jwk_cost(key));
		cJSON_Delete(key);
	}
	cJSON *none = cJSON_CreateObject();
	assert_int_equal(jwk_cost(none), 1);
	cJSON_Delete(none);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_asked_for_by_kind_name_and_version),
		cmocka_unit_test(a_list_goes_on_only_at_its_vault),
		cmocka_unit_test(a_kind_is_listed_in_pages_of_25),
		cmocka_unit_test(a_list_shows_names_and_attributes),
		cmocka_unit_test(a_page_may_have_many_rows),
		cmocka_unit_test(a_page_counts_as_a_whole),
		cmocka_unit_test(a_secret_is_read_to_the_last_byte),
		cmocka_unit_test(what_is_no_secret_is_an_error_without_its_bytes),
		cmocka_unit_test(pages_are_gathered),
		cmocka_unit_test(a_page_that_cannot_be_read_is_an_error),
		cmocka_unit_test(versions_are_ordered_and_cut),
		cmocka_unit_test(a_tie_is_of_enabled_rows_of_the_newest_second),
		cmocka_unit_test(errors_are_told_apart_by_status_and_code),
		cmocka_unit_test(a_key_counts_by_its_kind),
	};
	arena = secret_arena_create(8 << 20);
	secret_init(&bearer, arena, 64);
	secret_append(&bearer, STR("t0ken"));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_deinit(&bearer);
	secret_arena_destroy(arena);
	return failed;
}
