/* workers/sync_drift: when an unchanged Secret is looked at, what is taken for a change of somebody else's, and what follows. */
#include <stdio.h>

#include "tests/unit/bench_secret.h"

/* What check() finds in the vault. */
static const char *vault_says = VALUE("s3cret-value", "v1", "1700000000");

static const int64_t POLL_NS = 3600 * NS_PER_S;

static void expect_rest(enum reason reason, const char *message) {
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	if (bench_reason() != reason)
		fail_msg("%s: %s", reason_name(REASON_NAMES_PREVIEW, bench_reason()), bench_message());
	assert_text(bench_message(), message);
}

/* Created, and looked at once. */
static void create_and_look(void) {
	vault_says = VALUE("s3cret-value", "v1", "1700000000");
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	bench_set_drift(DRIFT_PROBE);
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "5", OWNED));
	expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
}

static void check(void) {
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, vault_says);
}

static void an_unchanged_secret_costs_one_probe(void **state) {
	(void)state;
	create_and_look();
	for (int i = 0; i < 3; i++) {
		check();
		probe(OURS("s-1", "5", OWNED));
		assert_int_equal(bench_active(), 0);
	}
}

static void switched_off_nothing_is_probed(void **state) {
	(void)state;
	create_and_look();
	bench_set_drift(DRIFT_OFF);
	check();
	assert_int_equal(bench_active(), 0);
}

static void what_others_took_is_written_again(void **state) {
	static const char *const metas[] = {
		OURS("s-1", "6", EDITED),
		OURS("s-1", "6", FIELDS(OURS_OWNS("\"f:metadata\":{}"))),
		OURS("s-1", "6", FIELDS(ENTRY("other", "Apply", "2027-01-15T09:00:00Z", "\"f:data\":{\"f:k\":{}}"))),
	};
	(void)state;
	create_and_look();
	for (size_t i = 0; i < sizeof metas / sizeof metas[0]; i++) {
		bench_advance(NS_PER_S);
		check();
		probe(metas[i]);
		/* Looked at again for the write: it is held to what this probe saw. */
		probe(OURS("s-1", "7", EDITED));
		assert_sends(request(HTTP_PATCH, "&force=true"), "\"uid\":\"s-1\",\"resourceVersion\":\"7\"");
		assert_sends(request(HTTP_PATCH, "&force=true"), "\"data\":{\"k\":\"czNjcmV0LXZhbHVl\"}");
		reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "8", OWNED));
		expect_rest(REASON_UPDATE_SUCCEEDED, "written");
	}
}

static void labels_and_annotations_of_the_user_count(void **state) {
	static const struct kube_pair pair = { STR("example.com/team"), STR("blue") };
	(void)state;
	b.common.labels = b.common.annotations = &pair;
	b.common.label_count = b.common.annotation_count = 1;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	bench_set_drift(DRIFT_PROBE);
	check();
	probe(OURS("s-1", "5",
		FIELDS(OURS_OWNS("\"f:data\":{\"f:k\":{}},\"f:metadata\":{\"f:labels\":{\"f:example.com/team\":{}},"
				 "\"f:annotations\":{\"f:example.com/team\":{}}}"))));
	expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
	static const char *const without[] = { "f:labels", "f:annotations" };
	for (int i = 0; i < 2; i++) {
		char meta[1024];
		snprintf(meta, sizeof meta,
			OURS("s-1", "6", FIELDS(OURS_OWNS("\"f:data\":{\"f:k\":{}},\"f:metadata\":{\"%s\":{\"f:example.com/team\":{}}}"))),
			without[i]);
		bench_advance(NS_PER_S);
		check();
		probe(meta);
		probe(meta);
		assert_sends(request(HTTP_PATCH, "&force=true"), "\"example.com/team\":\"blue\"");
		reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", OWNED));
		expect_rest(REASON_UPDATE_SUCCEEDED, "written");
	}
}

static void a_secret_deleted_by_hand_comes_back(void **state) {
	(void)state;
	create_and_look();
	check();
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	assert_sends(request(HTTP_POST, SECRETS_URL "?"), "\"data\":{\"k\":\"czNjcmV0LXZhbHVl\"}");
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-2", "9", ""));
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
}

/* The seed's rule: whose marks are gone is nobody's until it is deleted; and nothing forgets that but a probe. */
static void lost_marks_are_said_and_never_repaired(void **state) {
	static const struct {
		const char *meta;
		enum reason reason;
	} lost[] = {
		{ META("s-1", "6", "{}", MARK, OWNER("o-1"), OWNED), REASON_UPDATE_FAILED_LABEL },
		{ META("s-1", "6", MARK, "{}", OWNER("o-1"), OWNED), REASON_UPDATE_FAILED_ANNOTATION },
		{ META("s-1", "6", MARK, MARK, "", OWNED), REASON_UPDATE_FAILED_LABEL },
		{ META("s-1", "6", MARK, MARK, OWNER("o-1") "," OWNER("o-2"), EDITED), REASON_UPDATE_FAILED_LABEL },
	};
	(void)state;
	create_and_look();
	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
		check();
		probe(lost[i].meta);
		expect_rest(lost[i].reason, "is left as it is");
		/* Even with probes switched off nobody says that it is well. */
		bench_set_drift(DRIFT_OFF);
		check();
		probe(lost[i].meta);
		assert_int_equal(bench_active(), 0);
		assert_int_equal(bench_reason(), lost[i].reason);
		bench_set_drift(DRIFT_PROBE);
		check();
		probe(OURS("s-1", "7", OWNED));
		expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
	}
}

/* An API server that is busy says nothing about the Secret. */
static void a_probe_that_fails_changes_no_condition(void **state) {
	(void)state;
	create_and_look();
	check();
	reply(HTTP_PATCH, DB_URL, 503, "{}");
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_reason(), REASON_UPDATE_NO_CHANGE);
	check();
	probe(META("s-1", "6", "{}", MARK, OWNER("o-1"), OWNED));
	expect_rest(REASON_UPDATE_FAILED_LABEL, "is left as it is");
	check();
	lose(HTTP_PATCH, DB_URL, ERR_TIMEOUT, true);
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_reason(), REASON_UPDATE_FAILED_LABEL);
	/* It is tried again by itself, and only a look ends it. */
	bench_advance(60 * NS_PER_S);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	probe(OURS("s-1", "7", OWNED));
	expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
}

static void an_update_entry_is_merged_when_nothing_else_is_to_do(void **state) {
	(void)state;
	create_and_look();
	check();
	probe(OURS("s-1", "5", UPDATE_ENTRY));
	struct http_req *req = request(HTTP_PATCH, DB_URL);
	assert_true(has_header(req, "Content-Type", "application/json-patch+json"));
	assert_sends(req, "\"operation\":\"Apply\"");
	answer(req, 200, OURS("s-1", "6", OWNED));
	bench_end(req);
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_reason(), REASON_UPDATE_NO_CHANGE);
}

static void predecessors_entries_become_ours(void **state) {
	(void)state;
	create_and_look();
	check();
	probe(OURS("s-1", "5",
		FIELDS(ENTRY("v1-secrets-store-sync-controller", "Apply", "2026-01-01T00:00:00Z",
			       "\"f:data\":{\"f:k\":{},\"f:old\":{}}") "," OURS_OWNS("\"f:data\":{\"f:k\":{}}"))));
	struct http_req *req = request(HTTP_PATCH, DB_URL);
	assert_null(strstr(body_of(req), "v1-secrets"));
	assert_sends(req, "\"f:old\":{}");
	answer(req, 200, OURS("s-1", "6", OWNED));
	bench_end(req);
	assert_int_equal(bench_active(), 0);
}

static void repair(void) {
	check();
	probe(OURS("s-1", "6", EDITED));
	probe(OURS("s-1", "6", EDITED));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", OWNED));
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

static void write_new_version(const char *value) {
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, value);
	probe(OURS("s-1", "6", EDITED));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", OWNED));
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

/* Three repairs, and a fourth that is not made. */
static void begin_rest(void) {
	for (int i = 0; i < 3; i++) {
		repair();
		b.now.mono_ns += 60 * NS_PER_S;
		b.now.wall_ns += 60 * NS_PER_S;
	}
	check();
	probe(OURS("s-1", "6", EDITED));
	expect_rest(REASON_PATCH_FAILED, "changed again and again by \"kubectl-edit\"");
	assert_text(bench_message(), "key k of Secret apps/db");
}

static void after_three_repairs_comes_an_hour_of_rest(void **state) {
	(void)state;
	create_and_look();
	begin_rest();
	/* No write, and the condition stands. */
	check();
	probe(OURS("s-1", "6", EDITED));
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_reason(), REASON_PATCH_FAILED);
	/* What is new in the vault is written all the same. */
	write_new_version(VALUE("s3cret-value", "v2", "1700000001"));
}

/* It is called well, and so it is looked at: by a probe, and repaired as often as any other. */
static void a_whole_write_that_is_no_repair_ends_the_rest(void **state) {
	(void)state;
	create_and_look();
	begin_rest();
	write_new_version(VALUE("s3cret-value", "v2", "1700000001"));
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v2", "1700000001"));
	probe(OURS("s-1", "7", OWNED));
	expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
	vault_says = VALUE("s3cret-value", "v2", "1700000001");
	begin_rest();
	check();
	probe(OURS("s-1", "6", EDITED));
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_reason(), REASON_PATCH_FAILED);
}

/* Somebody deletes it to make an end of the fight. */
static void what_is_deleted_during_the_rest_comes_back(void **state) {
	(void)state;
	create_and_look();
	begin_rest();
	check();
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-2", "9", ""));
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
	/* It is left alone all the same. */
	check();
	probe(OURS("s-2", "10", EDITED));
	expect_rest(REASON_PATCH_FAILED, "left alone for an hour");
}

/* The failure does not outlive its cause. */
static void a_rest_whose_reason_is_gone_is_not_told_of(void **state) {
	(void)state;
	create_and_look();
	begin_rest();
	check();
	probe(OURS("s-1", "8", OWNED));
	expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
}

/* The other keys are still somebody else's. */
static void a_partial_write_does_not_end_the_rest(void **state) {
	(void)state;
	bench_use_two();
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 200, VALUE_OF("b", "v1"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	b.object->rest = calloc(1, sizeof *b.object->rest);
	b.object->rest->until_ns = b.now.mono_ns + 3600 * NS_PER_S;
	bench_set_drift(DRIFT_PROBE);
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v2", "1700000001"));
	reply(HTTP_GET, "/secrets/b/", 404, MISSING);
	probe(OURS("s-1", "6", EDITED));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "7", OWNED));
	expect_rest(REASON_PARTIAL, "kept");
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v2", "1700000001"));
	reply(HTTP_GET, "/secrets/b/", 200, VALUE_OF("b", "v1"));
	probe(OURS("s-1", "8", EDITED));
	expect_rest(REASON_PATCH_FAILED, "left alone for an hour");
}

/* What could not be written is no repair, however often it was tried. */
static void failed_repairs_are_not_counted(void **state) {
	(void)state;
	create_and_look();
	for (int i = 0; i < 5; i++) {
		check();
		probe(OURS("s-1", "6", EDITED));
		probe(OURS("s-1", "6", EDITED));
		reply(HTTP_PATCH, "&force=true", 403, "{\"message\":\"no more today\"}");
		if (i == 0) expect_rest(REASON_PATCH_FAILED, "no more today");
		assert_int_equal(bench_active(), 0);
	}
	repair();
}

static void seldom_repairs_need_no_rest(void **state) {
	(void)state;
	create_and_look();
	for (int i = 0; i < 5; i++) {
		if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
		repair();
		b.now.mono_ns += 2 * POLL_NS / 5 * 4;
		b.now.wall_ns += 2 * POLL_NS / 5 * 4;
		/* Only the token runs out: the poll of this time is the check of the next round. */
		bench_again();
		if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
		reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
		probe(OURS("s-1", "7", OWNED));
		if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
	}
}

static void probes_have_a_budget(void **state) {
	struct settings settings = settings_default();
	(void)state;
	create_and_look();
	settings.drift_probes_per_s = 1;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_advance(2 * NS_PER_S);
	check();
	probe(OURS("s-1", "5", OWNED));
	check();
	assert_int_equal(bench_active(), 0);
	bench_advance(NS_PER_S);
	struct worker_numbers numbers;
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	assert_int_equal(numbers.secret_unseen_ns, NS_PER_S);
	check();
	probe(OURS("s-1", "5", OWNED));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(an_unchanged_secret_costs_one_probe),
		BENCH_TEST(switched_off_nothing_is_probed),
		BENCH_TEST(what_others_took_is_written_again),
		BENCH_TEST(labels_and_annotations_of_the_user_count),
		BENCH_TEST(a_secret_deleted_by_hand_comes_back),
		BENCH_TEST(lost_marks_are_said_and_never_repaired),
		BENCH_TEST(a_probe_that_fails_changes_no_condition),
		BENCH_TEST(an_update_entry_is_merged_when_nothing_else_is_to_do),
		BENCH_TEST(predecessors_entries_become_ours),
		BENCH_TEST(after_three_repairs_comes_an_hour_of_rest),
		BENCH_TEST(a_whole_write_that_is_no_repair_ends_the_rest),
		BENCH_TEST(what_is_deleted_during_the_rest_comes_back),
		BENCH_TEST(a_rest_whose_reason_is_gone_is_not_told_of),
		BENCH_TEST(a_partial_write_does_not_end_the_rest),
		BENCH_TEST(failed_repairs_are_not_counted),
		BENCH_TEST(seldom_repairs_need_no_rest),
		BENCH_TEST(probes_have_a_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
