/* tests/world/test_azure_list.c - pages over rows with tombstones, orders, and the opaque nextLink. */
#include "tests/world/test_azure.h"

/* Follows the last answer's nextLink. False: there is none. */
static bool follow(struct fixture *f) {
	struct str link = said(f, "nextLink"), prefix = STR("https://kv1.vault.azure.net:443");
	if (!link.len) return false;
	assert_true(str_starts(link, prefix));
	char *copy = mem_strdup(str_slice(link, prefix.len, SIZE_MAX));
	char *query = strchr(copy, '?');
	assert_non_null(query);
	*query++ = '\0';
	fixture_ask(f, "kv1.vault.azure.net", "GET", copy, query, "", true);
	assert_int_equal(f->out.status, 200);
	mem_free(copy);
	return true;
}

static int rows(const struct fixture *f) {
	return cJSON_GetArraySize(world_json_at(f->json, "value"));
}

static void many(struct fixture *f, int count) {
	char name[32];
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "s%03d", i);
		put(f, name, "v");
	}
}

static void pages_of_twenty_five(void **state) {
	struct fixture *f = *state;
	many(f, 51);
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_int_equal(rows(f), 25);
	assert_true(contains(said(f, "nextLink"), "/secrets?api-version=7.4&$skiptoken="));
	assert_false(contains(said(f, "nextLink"), "maxresults"));
	assert_true(follow(f));
	assert_int_equal(rows(f), 25);
	assert_true(follow(f));
	assert_int_equal(rows(f), 1);
	assert_false(follow(f));
	assert_true(cJSON_IsNull(world_json_at(f->json, "nextLink")));
}

static void walks_tombstones(void **state) {
	struct fixture *f = *state;
	many(f, 80);
	for (size_t i = 0; i < 79; i++) {
		azure_object_delete(f->azure, f->vault, f->vault->objects[AZURE_SECRET][i], f->now);
	}
	int pages = 1, shown;
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_int_equal(rows(f), 0);
	for (shown = rows(f); follow(f); shown += rows(f)) pages++;
	assert_int_equal(pages, 4);
	assert_int_equal(shown, 1);
	pass_seconds(f, 21);
	use_claims(f, good_claims(f));
	assert_int_equal(vault_get(f, "/deletedsecrets"), 200);
	assert_int_equal(rows(f), 25);
	assert_true(contains(said(f, "nextLink"), "/deletedsecrets?"));
	pass_seconds(f, 91 * 86400);
	use_claims(f, good_claims(f));
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_int_equal(rows(f), 1);
	assert_false(follow(f));
}

static void lists_in_upper_case_order_without_versions(void **state) {
	struct fixture *f = *state;
	static const char *const names[] = { "b", "C", "a", "10", "2", "1" }, *const sorted[] = {
		"1", "10", "2", "a", "b", "C"
	};
	char url[64];
	for (int i = 0; i < 6; i++) put(f, names[i], "v");
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_int_equal(rows(f), 6);
	for (int i = 0; i < 6; i++) {
		const cJSON *item = cJSON_GetArrayItem(world_json_at(f->json, "value"), i);
		snprintf(url, sizeof(url), "https://kv1.vault.azure.net/secrets/%s", sorted[i]);
		assert_str(world_json_str(item, "id"), url);
		assert_null(world_json_at(item, "value"));
	}
}

static void lists_versions_by_hex(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 30; i++) put(f, "a", "v");
	put(f, "a", "v")->enabled = false;
	assert_int_equal(vault_get(f, "/secrets/a/versions"), 200);
	char last[128] = "";
	int shown = 0, disabled = 0;
	do {
		const cJSON *item;
		cJSON_ArrayForEach(item, world_json_at(f->json, "value")) {
			struct str id = world_json_str(item, "id");
			assert_true(str_cmp(str_of(last), id) < 0);
			snprintf(last, sizeof(last), "%.*s", STR_ARG(id));
			disabled += !world_json_bool(item, "attributes.enabled", true);
			shown++;
		}
	} while (follow(f));
	assert_int_equal(shown, 31);
	assert_int_equal(disabled, 1);
}

static void knows_no_unknown_name(void **state) {
	struct fixture *f = *state;
	static const char *const paths[] = { "/secrets/x/versions", "/keys/x/versions",
		"/certificates/x/versions" };
	for (int i = 0; i < 3; i++) {
		assert_int_equal(vault_get(f, paths[i]), 200);
		assert_str(buf_str(&f->out.body), "{\"value\":[],\"nextLink\":null}");
	}
}

static void limits_maxresults(void **state) {
	struct fixture *f = *state;
	many(f, 5);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets", "api-version=7.4&maxresults=2", "",
		true);
	assert_int_equal(rows(f), 2);
	assert_true(str_ends(said(f, "nextLink"), STR("&maxresults=2")));
	assert_true(follow(f));
	assert_int_equal(rows(f), 2);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets", "api-version=7.4&maxresults=26",
		"", true);
	assert_int_equal(f->out.status, 400);
	fixture_ask(f, "kv1.vault.azure.net", "GET", "/secrets", "api-version=7.4&$skiptoken=AAAA",
		"", true);
	assert_int_equal(f->out.status, 400);
}

static void has_its_own_members_by_kind(void **state) {
	struct fixture *f = *state;
	azure_certificate_add(f->azure, f->vault, STR("c"), AZURE_EC, false, f->now);
	assert_int_equal(vault_get(f, "/keys"), 200);
	const cJSON *item = cJSON_GetArrayItem(world_json_at(f->json, "value"), 0);
	assert_str(world_json_str(item, "kid"), "https://kv1.vault.azure.net/keys/c");
	assert_null(world_json_at(item, "id"));
	assert_int_equal(vault_get(f, "/certificates"), 200);
	item = cJSON_GetArrayItem(world_json_at(f->json, "value"), 0);
	assert_null(world_json_at(item, "attributes.recoveryLevel"));
	assert_str(world_json_str(item, "subject"), "");
	assert_int_equal(vault_get(f, "/secrets"), 200);
	item = cJSON_GetArrayItem(world_json_at(f->json, "value"), 0);
	assert_str(world_json_str(item, "contentType"), "application/x-pkcs12");
	assert_true(world_json_bool(item, "managed", false));
}

/* A second write in the second of the first is invisible to whoever compares times. */
static void hides_a_second_write_of_the_same_second(void **state) {
	struct fixture *f = *state;
	put(f, "a", "1");
	assert_int_equal(vault_get(f, "/secrets"), 200);
	char *before = mem_strdup(buf_str(&f->out.body));
	put(f, "a", "2");
	assert_int_equal(vault_get(f, "/secrets"), 200);
	assert_str(buf_str(&f->out.body), before);
	mem_free(before);
	assert_int_equal(vault_get(f, "/secrets/a"), 200);
	assert_str(said(f, "value"), "2");
}

static void lists_a_certificate_that_is_not_ready_as_disabled(void **state) {
	struct fixture *f = *state;
	azure_certificate_add(f->azure, f->vault, STR("c"), AZURE_EC, false, f->now);
	azure_object_find(f->vault, AZURE_CERTIFICATE, STR("c"))->pending = true;
	azure_object_find(f->vault, AZURE_SECRET, STR("c"))->current->enabled = false;
	assert_int_equal(vault_get(f, "/secrets"), 200);
	const cJSON *item = cJSON_GetArrayItem(world_json_at(f->json, "value"), 0);
	assert_false(world_json_bool(item, "attributes.enabled", true));
	assert_int_equal(vault_get(f, "/secrets/c"), 403);
	assert_int_equal(vault_get(f, "/certificates/c/pending"), 200);
	assert_str(said(f, "status"), "inProgress");
	assert_str(header_said(f, "Retry-After"), "10");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(pages_of_twenty_five),
		TEST(walks_tombstones),
		TEST(lists_in_upper_case_order_without_versions),
		TEST(lists_versions_by_hex),
		TEST(knows_no_unknown_name),
		TEST(limits_maxresults),
		TEST(has_its_own_members_by_kind),
		TEST(hides_a_second_write_of_the_same_second),
		TEST(lists_a_certificate_that_is_not_ready_as_disabled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
