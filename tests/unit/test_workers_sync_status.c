/* workers/sync_status: what is said, when it is written, and when silence is right. */
#include "tests/unit/bench.h"

static void sync_once(void) {
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
}

static void check_unchanged(void) {
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
}

static void the_status_is_complete_and_held_to_the_uid(void **state) {
	(void)state;
	sync_once();
	struct http_req *req = request(HTTP_PATCH, STATUS_URL);
	assert_true(has_header(req, "Content-Type", "application/json-patch+json"));
	assert_ptr_equal(strstr(body_of(req), "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"o-1\"},"),
		body_of(req));
	assert_sends(req, "\"observedGeneration\":1");
	assert_sends(req, "\"syncHash\":\"kv1:o-1:");
	assert_sends(req, "\"lastSuccessfulSyncTime\":\"2027-01-15T08:00:00Z\"");
	assert_sends(req, "\"secretCreationTime\":\"2027-01-15T08:00:00Z\"");
	assert_sends(req, "\"objects\":[{\"name\":\"a\",");
	assert_sends(req, "\"version\":\"v1\"");
	assert_sends(req, "\"type\":\"SecretCreated\"");
	assert_sends(req, "\"type\":\"SecretUpdated\"");
	assert_sends(req, "\"type\":\"Ready\"");
	assert_null(strstr(body_of(req), "s3cret"));
	assert_null(strstr(body_of(req), "czNj"));
	bench_take_status();
}

static void silence_holds_from_the_second_check_on(void **state) {
	(void)state;
	sync_once();
	bench_take_status();
	check_unchanged();
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"reason\":\"UpdateNoValueChangeSucceeded\"");
	bench_take_status();
	for (int i = 0; i < 3; i++) {
		b.now.wall_ns += 3600 * NS_PER_S;
		check_unchanged();
		assert_int_equal(bench_active(), 0);
	}
}

static void a_failure_is_said_once_and_goes_with_its_cause(void **state) {
	(void)state;
	sync_once();
	bench_take_status();
	for (int i = 0; i < 2; i++) {
		bench_again();
		reply(HTTP_GET, "/secrets/a/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
		assert_int_equal(bench_active(), i ? 0 : 1);
		if (!i) bench_take_status();
		assert_int_equal(bench_reason(), REASON_UPDATE_FAILED_PROVIDER);
	}
	/* What was synced stays said. */
	assert_int_equal(b.object->status.conditions[CONDITION_CREATED].value, CONDITION_TRUE);
	assert_int_equal(b.object->status.object_count, 1);
	check_unchanged();
	assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_UPDATE_NO_CHANGE);
	assert_int_equal(b.object->status.conditions[CONDITION_READY].value, CONDITION_TRUE);
}

/* The earlier request has died by then. The Secret is as it was written: nobody reads the vault, nobody writes it. */
static void a_status_of_unknown_outcome_is_written_again(void **state) {
	(void)state;
	sync_once();
	lose(HTTP_PATCH, STATUS_URL, ERR_TIMEOUT, true);
	assert_int_equal(bench_active(), 0);
	bench_advance(5 * NS_PER_S - 1);
	assert_int_equal(bench_active(), 0);
	bench_advance(1);
	assert_int_equal(bench_active(), 1);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"reason\":\"CreateSucceeded\"");
	bench_take_status();
	bench_advance(60 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
}

/* The server may show a failure that has passed: what is remembered looks right, and is written all the same. */
static void a_status_that_went_wrong_is_written_though_the_next_check_finds_the_same(void **state) {
	(void)state;
	sync_once();
	bench_take_status();
	check_unchanged();
	bench_take_status();
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
	reply(HTTP_PATCH, STATUS_URL, 500, "{}");
	check_unchanged();
	assert_int_equal(bench_active(), 0);
	bench_advance(5 * NS_PER_S);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"reason\":\"UpdateNoValueChangeSucceeded\"");
	bench_take_status();
	check_unchanged();
	assert_int_equal(bench_active(), 0);
}

static void a_status_of_another_uid_is_not_forced(void **state) {
	(void)state;
	sync_once();
	/* The JSON patch's test failed: the SecretSync was created anew. */
	reply(HTTP_PATCH, STATUS_URL, 422, "{\"reason\":\"Invalid\",\"message\":\"the server rejected our request\"}");
	bench_advance(5 * NS_PER_S - 1);
	assert_int_equal(bench_active(), 0);
	/* Main hears of it by its watch, and takes the object away: nothing is said any more. */
	rcu_swap(b.object->spec, NULL);
	bench_advance(1);
	assert_int_equal(bench_active(), 0);
	assert_false(b.object->unreported);
}

/* A fault of the API server's own way is over when it can be told. */
static void that_the_api_server_is_away_is_not_said(void **state) {
	(void)state;
	sync_once();
	bench_take_status();
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("other", "v2", "1700000009"));
	lose(HTTP_PATCH, SECRETS_URL "/db?", ERR_NETWORK, false);
	assert_int_equal(bench_reason(), REASON_CREATE_SUCCEEDED);
	assert_false(b.object->unreported);
	bench_advance(10 * NS_PER_S);
	assert_int_equal(bench_active(), 1);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("other", "v2", "1700000009"));
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"reason\":\"UpdateValueChangeOrForceUpdateSucceeded\"");
	bench_take_status();
}

static void a_throttled_status_comes_later(void **state) {
	(void)state;
	sync_once();
	reply_after(HTTP_PATCH, STATUS_URL, 429, 3, "{}");
	assert_int_equal(bench_active(), 0);
	bench_advance(3 * NS_PER_S + 1);
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_CREATE_SUCCEEDED);
}

/* A version that stays keeps its time; only what is new gets a new one. */
static void synced_at_tells_when_the_version_came(void **state) {
	(void)state;
	b.objects[1] = (struct spc_object){ .name = STR("b"), .path = STR("b") };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("b"), STR("k2") };
	b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 200, VALUE("y", "w1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	int64_t first_s = b.object->status.objects[0].synced_s;
	b.now.wall_ns += 60 * NS_PER_S;
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 200, VALUE("z", "w2", "1700000050"));
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, OURS("s-1", "6", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", ""));
	bench_take_status();
	assert_int_equal(b.object->status.objects[0].synced_s, first_s);
	assert_int_equal(b.object->status.objects[1].synced_s, first_s + 60);
	assert_int_equal(b.object->status.last_successful_s, first_s + 60);
}

static void a_source_of_two_keys_is_listed_once(void **state) {
	(void)state;
	b.items[1] = (struct spec_item){ STR("a"), STR("k2") };
	b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	assert_int_equal(b.object->status.object_count, 1);
	assert_string_equal(b.object->status.objects[0].version, "v1");
	check_unchanged();
	bench_take_status();
	check_unchanged();
	assert_int_equal(bench_active(), 0);
}

/* On a CRD without our fields the status that comes back tells neither versions nor times. */
static void the_digest_alone_decides_where_versions_are_not_kept(void **state) {
	(void)state;
	sync_once();
	bench_take_status();
	mem_free(b.object->status.objects);
	b.object->status.objects = NULL;
	b.object->status.object_count = 0;
	check_unchanged();
	assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
	bench_take_status();
	check_unchanged();
	assert_int_equal(bench_active(), 0);
}

static void every_blame_has_its_reason(void **state) {
	(void)state;
	b.common.fault = STR("spec.x is wrong; write y");
	bench_begin();
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_USER_INPUT);
	assert_string_equal(bench_message(), "spec.x is wrong; write y");
	b.common.fault = STR_NULL;
	b.access.fault = STR("SecretProviderClass class: spec.provider is wrong");
	bench_again();
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_SPC);
	b.access.fault = STR_NULL;
	spc_publish(b.cell, NULL);
	bench_again();
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_SPC);
	assert_text(bench_message(), "\"class\" does not exist in namespace \"apps\"");
	assert_int_equal(bench_active(), 0);
	assert_int_equal(b.object->status.conditions[CONDITION_CREATED].value, CONDITION_FALSE);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(the_status_is_complete_and_held_to_the_uid),
		BENCH_TEST(silence_holds_from_the_second_check_on),
		BENCH_TEST(a_failure_is_said_once_and_goes_with_its_cause),
		BENCH_TEST(a_status_of_unknown_outcome_is_written_again),
		BENCH_TEST(a_status_that_went_wrong_is_written_though_the_next_check_finds_the_same),
		BENCH_TEST(that_the_api_server_is_away_is_not_said),
		BENCH_TEST(a_status_of_another_uid_is_not_forced),
		BENCH_TEST(a_throttled_status_comes_later),
		BENCH_TEST(a_source_of_two_keys_is_listed_once),
		BENCH_TEST(synced_at_tells_when_the_version_came),
		BENCH_TEST(the_digest_alone_decides_where_versions_are_not_kept),
		BENCH_TEST(every_blame_has_its_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
