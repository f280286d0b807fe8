/* Lists in pages and at old revisions, and watches: order, resumption, bookmarks, history that is gone. */
#include "tests/world/test_kube.h"

#define POST(name) "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'" name "'},'spec':{'size':1}}"

static struct kube_watch *open_watch(struct fixture *f, const char *query) {
	struct world_request req = {
		.method = STR("GET"),
		.path = STR(THINGS),
		.query = str_of(query),
		.client_cn = STR("admin"),
		.client_o = STR("system:masters"),
	};
	assert_true(kube_request_is_watch(&req));
	struct world_response out;
	world_response_init(&out);
	struct kube_watch *watch = kube_watch_open(f->world, f->now, &req, &out);
	assert_int_equal(out.status, watch ? 200 : out.status);
	world_response_deinit(&out);
	return watch;
}

/* The events of one poll as "ADDED a,MODIFIED b". */
static const char *poll(struct fixture *f, struct kube_watch *watch, enum kube_watch_state *out_state) {
	static char text[512];
	size_t used = 0;
	struct buf lines;
	buf_init(&lines, 8 << 20);
	enum kube_watch_state state = kube_watch_poll(watch, f->now, &lines);
	if (out_state) *out_state = state;
	struct str rest = buf_str(&lines);
	text[0] = 0;
	while (rest.len) {
		cJSON *event = kj_parse(str_next(&rest, '\n'));
		assert_non_null(event);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s", used ? "," : "", kj_text(event, "type"),
					 kj_text2(kj_get(event, "object"), "metadata", "name"));
		cJSON_Delete(event);
	}
	buf_deinit(&lines);
	return text;
}

static struct kube_watch *watch_from_now(struct fixture *f, const char *more) {
	char query[160];
	snprintf(query, sizeof(query), "watch=true&resourceVersion=%lld%s", (long long)kube_resource_version(f->world), more);
	return open_watch(f, query);
}

static void test_events_in_order(void **state) {
	struct fixture *f = *state;
	struct kube_watch *watch = watch_from_now(f, "");
	ask(f, "POST", THINGS, NULL, POST("a"));
	ask(f, "PATCH", THINGS "/a", MERGE, "{'spec':{'size':2}}");
	ask(f, "PATCH", THINGS "/a", MERGE, "{}");
	ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'s'}}");
	ask(f, "DELETE", THINGS "/a", NULL, "");
	assert_string_equal(poll(f, watch, NULL), "ADDED a,MODIFIED a,DELETED a");
	assert_string_equal(poll(f, watch, NULL), "");
	assert_int_equal(kube_watch_count(f->world), 1);
	kube_watch_close(watch);
}

/* More than one poll takes comes in several, each event once. */
static void test_many_bytes(void **state) {
	struct fixture *f = *state;
	struct kube_watch *watch = watch_from_now(f, "");
	char *note = kj_alloc(200001);
	memset(note, 'x', 200000);
	for (int i = 0; i < 8; i++) {
		char *body = kj_format("{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'t%d','annotations':"
				       "{'note':'%s'}},'spec':{'size':1}}",
				       i, note);
		assert_int_equal(ask(f, "POST", THINGS, NULL, body), 201);
		mem_free(body);
	}
	mem_free(note);
	assert_string_equal(poll(f, watch, NULL), "ADDED t0,ADDED t1,ADDED t2,ADDED t3,ADDED t4,ADDED t5");
	assert_int_equal(kube_watch_next_ns(watch) <= f->now.mono_ns, 1);
	assert_string_equal(poll(f, watch, NULL), "ADDED t6,ADDED t7");
	assert_string_equal(poll(f, watch, NULL), "");
	kube_watch_close(watch);
	watch = open_watch(f, "watch=true");
	assert_string_equal(poll(f, watch, NULL), "ADDED t0,ADDED t1,ADDED t2,ADDED t3,ADDED t4,ADDED t5");
	assert_string_equal(poll(f, watch, NULL), "ADDED t6,ADDED t7");
	kube_watch_close(watch);
}

static void test_resumes_behind_an_event(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("a"));
	char query[96];
	snprintf(query, sizeof(query), "watch=1&resourceVersion=%s", answer_text(f, "metadata.resourceVersion"));
	ask(f, "POST", THINGS, NULL, POST("b"));
	struct kube_watch *watch = open_watch(f, query);
	assert_string_equal(poll(f, watch, NULL), "ADDED b");
	kube_watch_close(watch);
}

static void test_initial_events(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("b"));
	ask(f, "POST", THINGS, NULL, POST("a"));
	struct kube_watch *watch = open_watch(f, "watch=true&allowWatchBookmarks=true");
	assert_string_equal(poll(f, watch, NULL), "ADDED a,ADDED b,BOOKMARK ");
	kube_watch_close(watch);
}

static void test_bookmark_and_end(void **state) {
	struct fixture *f = *state;
	struct kube_watch *watch = watch_from_now(f, "&allowWatchBookmarks=true&timeoutSeconds=90");
	enum kube_watch_state at;
	assert_int_equal(kube_watch_next_ns(watch), f->now.mono_ns + 60 * NS_PER_S);
	pass_ms(f, 60000);
	assert_string_equal(poll(f, watch, &at), "BOOKMARK ");
	assert_int_equal(kube_watch_next_ns(watch), f->now.mono_ns + 28 * NS_PER_S);
	pass_ms(f, 28000);
	assert_string_equal(poll(f, watch, &at), "BOOKMARK ");
	assert_int_equal(at, KUBE_WATCH_OPEN);
	pass_ms(f, 2000);
	assert_string_equal(poll(f, watch, &at), "");
	assert_int_equal(at, KUBE_WATCH_ENDED);
	kube_watch_close(watch);
}

static void test_compacted_history(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("a"));
	struct kube_watch *open = watch_from_now(f, "");
	ask(f, "POST", THINGS, NULL, POST("b"));
	kube_compact(f->world);
	enum kube_watch_state at;
	/* One that had not been told yet has a gap. */
	assert_string_equal(poll(f, open, &at), "ERROR ");
	assert_int_equal(at, KUBE_WATCH_ENDED);
	kube_watch_close(open);
	open = open_watch(f, "watch=true&resourceVersion=101");
	assert_string_equal(poll(f, open, &at), "ERROR ");
	kube_watch_close(open);
	open = watch_from_now(f, "");
	assert_string_equal(poll(f, open, &at), "");
	assert_int_equal(at, KUBE_WATCH_OPEN);
	kube_watch_close(open);
}

static void test_broken_watch(void **state) {
	struct fixture *f = *state;
	struct kube_watch *watch = watch_from_now(f, "");
	kube_break_watches(f->world, "secrets");
	enum kube_watch_state at;
	poll(f, watch, &at);
	assert_int_equal(at, KUBE_WATCH_OPEN);
	kube_break_watches(f->world, "things");
	poll(f, watch, &at);
	assert_int_equal(at, KUBE_WATCH_BROKEN);
	kube_watch_close(watch);
}

static void test_late_events_and_old_lists(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("a"));
	pass_ms(f, 10000);
	kube_set_cache_lag(f->world, 5 * NS_PER_S);
	struct kube_watch *watch = watch_from_now(f, "");
	ask(f, "POST", THINGS, NULL, POST("b"));
	assert_string_equal(poll(f, watch, NULL), "");
	assert_int_equal(kube_watch_next_ns(watch), f->now.mono_ns + 5 * NS_PER_S);
	ask(f, "GET", THINGS "?resourceVersion=0", NULL, "");
	assert_int_equal(cJSON_GetArraySize(kj_get(f->json, "items")), 1);
	ask(f, "GET", THINGS, NULL, "");
	assert_int_equal(cJSON_GetArraySize(kj_get(f->json, "items")), 2);
	pass_ms(f, 5000);
	assert_string_equal(poll(f, watch, NULL), "ADDED b");
	kube_watch_close(watch);
}

static void test_coalesced_events(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("old"));
	struct kube_watch *watch = watch_from_now(f, "");
	kube_set_coalesce(f->world, true);
	ask(f, "POST", THINGS, NULL, POST("new"));
	ask(f, "PATCH", THINGS "/new", MERGE, "{'spec':{'size':2}}");
	ask(f, "PATCH", THINGS "/old", MERGE, "{'spec':{'size':2}}");
	ask(f, "PATCH", THINGS "/old", MERGE, "{'spec':{'size':3}}");
	ask(f, "POST", THINGS, NULL, POST("brief"));
	ask(f, "DELETE", THINGS "/brief", NULL, "");
	assert_string_equal(poll(f, watch, NULL), "ADDED new,MODIFIED old");
	kube_watch_close(watch);
}

static void test_selector_turns_changes_into_arrivals(void **state) {
	struct fixture *f = *state;
	struct kube_watch *watch = watch_from_now(f, "&labelSelector=team%3Dx");
	ask(f, "POST", THINGS, NULL, POST("a"));
	ask(f, "PATCH", THINGS "/a", MERGE, "{'metadata':{'labels':{'team':'x'}}}");
	ask(f, "PATCH", THINGS "/a", MERGE, "{'metadata':{'labels':{'team':'y'}}}");
	assert_string_equal(poll(f, watch, NULL), "ADDED a,DELETED a");
	kube_watch_close(watch);
}

static void test_pages_show_one_state(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("a"));
	ask(f, "POST", THINGS, NULL, POST("c"));
	ask(f, "POST", THINGS, NULL, POST("d"));
	assert_int_equal(ask(f, "GET", THINGS "?limit=2", NULL, ""), 200);
	assert_int_equal((int)world_json_i64(f->json, "metadata.remainingItemCount", 0), 1);
	char *rv = kj_strdup(str_of(answer_text(f, "metadata.resourceVersion")));
	char *path = kj_format(THINGS "?limit=2&continue=%s", answer_text(f, "metadata.continue"));
	ask(f, "POST", THINGS, NULL, POST("e"));
	ask(f, "DELETE", THINGS "/d", NULL, "");
	assert_int_equal(ask(f, "GET", path, NULL, ""), 200);
	assert_int_equal(cJSON_GetArraySize(kj_get(f->json, "items")), 1);
	assert_string_equal(kj_text2(kj_get(f->json, "items")->child, "metadata", "name"), "d");
	assert_answer(f, "metadata.resourceVersion", rv);
	assert_answer(f, "metadata.continue", "");
	kube_compact(f->world);
	assert_int_equal(ask(f, "GET", path, NULL, ""), 410);
	assert_answer(f, "reason", "Expired");
	mem_free(path);
	mem_free(rv);
}

static void test_history_ends_by_time(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("a"));
	ask(f, "POST", THINGS, NULL, POST("b"));
	ask(f, "GET", THINGS "?limit=1", NULL, "");
	char *path = kj_format(THINGS "?limit=1&continue=%s", answer_text(f, "metadata.continue"));
	pass_ms(f, 1);
	ask(f, "DELETE", THINGS "/b", NULL, "");
	pass_ms(f, 290000);
	assert_int_equal(ask(f, "GET", path, NULL, ""), 200);
	for (int minute = 0; minute < 10; minute++) pass_ms(f, 60000);
	assert_int_equal(ask(f, "GET", path, NULL, ""), 410);
	mem_free(path);
}

static void test_restored_backup(void **state) {
	struct fixture *f = *state;
	ask(f, "POST", THINGS, NULL, POST("a"));
	char *uid = kj_strdup(str_of(answer_text(f, "metadata.uid")));
	ask(f, "POST", SECRETS, NULL, "{'metadata':{'name':'brief'}}");
	ask(f, "DELETE", SECRETS "/brief", NULL, "");
	int64_t rv = kube_resource_version(f->world);
	struct kube_snapshot *backup = kube_snapshot_take(f->world);
	struct kube_watch *watch = watch_from_now(f, "");
	ask(f, "PATCH", THINGS "/a", MERGE, "{'spec':{'size':2}}");
	ask(f, "POST", THINGS, NULL, POST("b"));
	kube_snapshot_restore(f->world, backup, f->now);
	enum kube_watch_state at;
	poll(f, watch, &at);
	assert_int_equal(at, KUBE_WATCH_BROKEN);
	kube_watch_close(watch);
	assert_int_equal(kube_resource_version(f->world), rv);
	assert_int_equal(ask(f, "GET", THINGS "/b", NULL, ""), 404);
	assert_int_equal(ask(f, "GET", THINGS "/a", NULL, ""), 200);
	assert_answer(f, "metadata.uid", uid);
	assert_int_equal((int)world_json_i64(f->json, "spec.size", 0), 1);
	/* Who watches from what is now the future hears nothing. */
	watch = open_watch(f, "watch=true&resourceVersion=100000&allowWatchBookmarks=true&timeoutSeconds=30");
	ask(f, "POST", THINGS, NULL, POST("c"));
	pass_ms(f, 29000);
	assert_string_equal(poll(f, watch, NULL), "");
	kube_watch_close(watch);
	kube_snapshot_destroy(backup);
	mem_free(uid);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_events_in_order),
		TEST(test_many_bytes),
		TEST(test_resumes_behind_an_event),
		TEST(test_initial_events),
		TEST(test_bookmark_and_end),
		TEST(test_compacted_history),
		TEST(test_broken_watch),
		TEST(test_late_events_and_old_lists),
		TEST(test_coalesced_events),
		TEST(test_selector_turns_changes_into_arrivals),
		TEST(test_pages_show_one_state),
		TEST(test_history_ends_by_time),
		TEST(test_restored_backup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
