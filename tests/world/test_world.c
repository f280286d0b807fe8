/* tests/world/test_world.c - requests, JSON and cuts: what both models stand on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/world/world_log.h"
#include "tests/world/world_net.h"

static void assert_buf(const struct buf *buf, struct str want) {
	if (!str_eq(buf_str(buf), want)) fail_msg("got \"%.*s\"", STR_ARG(buf_str(buf)));
}

static void decodes_percent(void **state) {
	(void)state;
	struct buf out;
	buf_init(&out, 256);
	world_percent_decode(STR("a%2Fb+%c3%A9%4"), false, &out);
	assert_buf(&out, STR("a/b+\xc3\xa9%4"));
	buf_reset(&out);
	world_percent_decode(STR("a+b%2B%zz%00"), true, &out);
	assert_buf(&out, STR("a b+%zz\0"));
	buf_deinit(&out);
}

static void finds_parameters(void **state) {
	(void)state;
	struct str query = STR("a=1&$skip%74oken=x%3Dy&flag=true&empty=&bare");
	struct buf out;
	buf_init(&out, 256);
	assert_true(world_query(query, "$skiptoken", &out));
	assert_buf(&out, STR("x=y"));
	assert_true(world_query(query, "bare", NULL));
	assert_true(world_query(query, "empty", NULL));
	assert_false(world_query(query, "b", NULL));
	assert_false(world_query(STR(""), "a", NULL));
	assert_int_equal(world_query_i64(query, "a", 7), 1);
	assert_int_equal(world_query_i64(query, "flag", 7), 7);
	assert_true(world_query_bool(query, "flag"));
	assert_false(world_query_bool(query, "empty"));
	buf_deinit(&out);
}

static void walks_paths(void **state) {
	(void)state;
	struct str rest = STR("/secrets//a%2Fb/");
	struct buf out;
	buf_init(&out, 256);
	assert_true(world_path_next(&rest, &out));
	assert_buf(&out, STR("secrets"));
	buf_reset(&out);
	assert_true(world_path_next(&rest, &out));
	assert_buf(&out, STR("a/b"));
	assert_false(world_path_next(&rest, &out));
	buf_deinit(&out);
}

static void keeps_nul_in_json(void **state) {
	(void)state;
	struct buf out;
	buf_init(&out, 256);
	cJSON *json =
		world_json_parse(STR("{\"v\":\"\\u0000a\\\\u0000\\\\\\u0000\",\"w\":\"\\\"\"}"));
	assert_non_null(json);
	world_json_value(world_json_at(json, "v"), &out);
	assert_buf(&out, STR("\0a\\u0000\\\0"));
	cJSON_Delete(json);
	assert_null(world_json_parse(STR("{\"v\":")));
	buf_deinit(&out);
}

static void reads_json_by_path(void **state) {
	(void)state;
	cJSON *json = world_json_parse(STR("{\"a\":{\"b\":\"c\",\"n\":32503680000},\"t\":true}"));
	assert_true(str_eq(world_json_str(json, "a.b"), STR("c")));
	assert_null(world_json_str(json, "a.n").ptr);
	assert_null(world_json_at(json, "a.b.c"));
	assert_int_equal(world_json_i64(json, "a.n", 0), INT64_C(32503680000));
	assert_int_equal(world_json_i64(json, "a.b", 5), 5);
	assert_true(world_json_bool(json, "t", false));
	assert_true(world_json_bool(json, "a", true));
	world_json_add_i64(json, "m", INT64_C(999999999999999));
	char *text = cJSON_PrintUnformatted(json);
	assert_non_null(strstr(text, "\"n\":32503680000}"));
	assert_non_null(strstr(text, "\"m\":999999999999999}"));
	cJSON_free(text);
	cJSON_Delete(json);
}

static void cuts_and_heals(void **state) {
	(void)state;
	struct world_net net;
	struct now now = { .mono_ns = 100 };
	world_net_init(&net);
	assert_int_equal(world_net_link(&net, now, STR("a")), WORLD_UP);
	world_net_cut(&net, STR("A"), WORLD_REFUSED, 110, 120);
	assert_int_equal(world_net_next_ns(&net, now), 110);
	assert_int_equal(world_net_link(&net, now, STR("a")), WORLD_UP);
	now.mono_ns = 110;
	assert_int_equal(world_net_next_ns(&net, now), 120);
	assert_int_equal(world_net_link(&net, now, STR("a")), WORLD_REFUSED);
	assert_int_equal(world_net_link(&net, now, STR("b")), WORLD_UP);
	world_net_cut(&net, STR("a"), WORLD_BLACKHOLE, 110, 115);
	assert_int_equal(world_net_link(&net, now, STR("a")), WORLD_BLACKHOLE);
	now.mono_ns = 115;
	assert_int_equal(world_net_link(&net, now, STR("a")), WORLD_UP);
	world_net_cut(&net, STR_NULL, WORLD_NXDOMAIN, 0, NEVER_NS);
	assert_int_equal(world_net_link(&net, now, STR("b")), WORLD_NXDOMAIN);
	world_net_heal(&net, STR("b"));
	assert_int_equal(world_net_link(&net, now, STR("b")), WORLD_NXDOMAIN);
	world_net_heal(&net, STR_NULL);
	assert_int_equal(world_net_link(&net, now, STR("b")), WORLD_UP);
	world_net_deinit(&net);
}

static void counts_by_kind_of_request(void **state) {
	(void)state;
	static const char *const paths[][3] = {
		{ "GET", "/secrets/a/versions", "list versions of secrets" },
		{ "GET", "/keys", "list keys" },
		{ "POST", "/t/oauth2/v2.0/token", "token" },
		{ "PATCH", "/apis/g/v1/namespaces/n/things/a/status", "PATCH things/status" },
		{ "GET", "/api/v1/secrets", "list secrets" },
		{ "GET", "/api/v1/namespaces/n", "GET namespaces" },
	};
	struct world_log *log = world_log_create();
	struct world_response out;
	world_response_init(&out);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct world_request req = { .method = str_of(paths[i][0]),
			.path = str_of(paths[i][1]),
			.host = STR("h"),
			.query = STR("sig=hidden") };
		out.fault = i == 1 ? WORLD_STALL : WORLD_NONE;
		world_log_add(log, (struct now){ 0 }, &req, &out);
	}
	cJSON *counters = world_counters_json(log), *entries = world_log_json(log, 4, 100);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const cJSON *kinds = cJSON_GetObjectItemCaseSensitive(counters, "h");
		const cJSON *kind = cJSON_GetObjectItemCaseSensitive(kinds, paths[i][2]);
		if (world_json_i64(kind, i == 1 ? "0" : "200", 0) != 1)
			fail_msg("no \"%s\"", paths[i][2]);
	}
	assert_int_equal(cJSON_GetArraySize(entries), 2);
	assert_int_equal(world_json_i64(cJSON_GetArrayItem(entries, 0), "seq", 0), 5);
	char *text = cJSON_PrintUnformatted(entries);
	assert_null(strstr(text, "hidden"));
	cJSON_free(text);
	cJSON_Delete(counters);
	cJSON_Delete(entries);
	world_response_deinit(&out);
	world_log_destroy(log);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_percent),
		cmocka_unit_test(finds_parameters),
		cmocka_unit_test(walks_paths),
		cmocka_unit_test(keeps_nul_in_json),
		cmocka_unit_test(reads_json_by_path),
		cmocka_unit_test(cuts_and_heals),
		cmocka_unit_test(counts_by_kind_of_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
