/* workers/secret_seen: what a watch of Secrets tells, and what a worker makes of it: looks at once, none of its own writes, none lost. */
#include <stdio.h>

#include "tests/unit/bench_secret.h"
#include "workers/secret_seen.h"

enum { LIST = SECRET_FIRST_LIST + 3 };

static enum secret_verdict verdict_of(const char *json) {
	struct kube_meta meta;
	enum secret_verdict verdict;
	assert_int_equal(kube_read_secret(str_of(json), &meta, NULL), OK);
	assert_int_equal(secret_judge(&b.spec, &meta, &verdict), OK);
	kube_meta_deinit(&meta);
	return verdict;
}

static void tell(const char *json) {
	secret_tell(b.object, verdict_of(json), LIST);
	bench_turn();
}

/* As bench_begin, but for an object whose Secret was seen before its first attempt. */
static void begin_with_word(uint32_t word) {
	spc_publish(b.cell, &b.spc);
	b.spec.cell = b.cell;
	assert_int_equal(object_create(STR("apps/db"), STR("o-1"), &b.status, pool_first_queue(b.pool), &b.object), OK);
	rcu_swap(b.object->spec, &b.spec);
	atomic_store(&b.object->secret_seen, word);
	queue_add(&b.object->item);
	bench_turn();
}

static void read_vault(void) {
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
}

static void create(void) {
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", UPDATE_ENTRY));
	bench_take_status();
	bench_set_drift(DRIFT_WATCH);
	pool_watch_secrets(b.pool, LIST);
}

/* Created and settled, with a watch that has shown it so. */
static void create_and_watch(void) {
	create();
	tell(OURS("s-1", "5", UPDATE_ENTRY));
	assert_int_equal(bench_active(), 0);
	/* The entry of the POST is settled by the next poll, not at once. */
	bench_again();
	read_vault();
	probe(OURS("s-1", "5", UPDATE_ENTRY));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "6", OWNED));
	bench_take_status();
	tell(OURS("s-1", "6", OWNED));
	assert_int_equal(bench_active(), 0);
}

static void repair(void) {
	read_vault();
	probe(OURS("s-1", "7", EDITED));
	probe(OURS("s-1", "7", EDITED));
	assert_sends(request(HTTP_PATCH, "&force=true"), "\"data\":{\"k\":\"czNjcmV0LXZhbHVl\"}");
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "8", OWNED));
	bench_take_status();
}

static void verdicts(void **state) {
	static const struct kube_pair pair = { STR("example.com/team"), STR("blue") };
	static const struct {
		const char *json;
		enum secret_verdict verdict;
	} rows[] = {
		{ OURS("s-1", "5", OWNED), SECRET_WELL },
		{ OURS("s-1", "5", UPDATE_ENTRY), SECRET_TO_SETTLE },
		{ OURS("s-1", "5", EDITED), SECRET_TOUCHED },
		{ OURS("s-1", "5", ""), SECRET_LACKING },
		{ OURS("s-1", "5", FIELDS(OURS_OWNS("\"f:data\":{}") "," ENTRY("argo", "Apply", LATE,
			"\"f:data\":{\"f:more\":{}}"))), SECRET_LACKING },
		{ OURS("s-1", "5", ",\"deletionTimestamp\":\"2027-01-15T09:00:00Z\"" OWNED), SECRET_TOUCHED },
		{ META("s-1", "5", "{}", MARK, OWNER("o-1"), OWNED), SECRET_TOUCHED },
		{ META("s-1", "5", MARK, "{}", OWNER("o-1"), OWNED), SECRET_TOUCHED },
		{ META("s-1", "5", MARK, MARK, "", OWNED), SECRET_TOUCHED },
		{ META("s-1", "5", MARK, MARK, OWNER("o-2"), OWNED), SECRET_TOUCHED },
		{ META("s-1", "5", MARK, MARK, OWNER("o-1") "," OWNER("o-2"), OWNED), SECRET_TOUCHED },
		/* What others add is theirs. */
		{ OURS("s-1", "5", FIELDS(OURS_OWNS("\"f:data\":{\"f:k\":{}}") "," ENTRY("argo", "Apply", LATE,
			"\"f:data\":{\"f:more\":{}},\"f:metadata\":{\"f:labels\":{\"f:x\":{}}}"))), SECRET_WELL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (verdict_of(rows[i].json) != rows[i].verdict) fail_msg("row %zu", i);
	}
	b.common.labels = &pair;
	b.common.label_count = 1;
	assert_int_equal(verdict_of(OURS("s-1", "5", OWNED)), SECRET_LACKING);
	b.common.annotations = b.common.labels;
	b.common.annotation_count = 1;
	b.common.label_count = 0;
	assert_int_equal(verdict_of(OURS("s-1", "5", OWNED)), SECRET_LACKING);
}

static void polls_do_not_probe(void **state) {
	(void)state;
	create_and_watch();
	for (int i = 0; i < 3; i++) {
		bench_again();
		read_vault();
		assert_int_equal(bench_active(), 0);
	}
	struct worker_numbers numbers;
	bench_advance(60 * NS_PER_S);
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	assert_int_equal(numbers.secret_unseen_ns, 0);
	/* Without a watch they do. */
	pool_watch_secrets(b.pool, 0);
	bench_again();
	read_vault();
	probe(OURS("s-1", "6", OWNED));
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	assert_int_equal(bench_active(), 0);
}

static void an_edit_is_repaired_at_once(void **state) {
	(void)state;
	create_and_watch();
	for (int i = 0; i < 3; i++) {
		tell(OURS("s-1", "7", EDITED));
		repair();
		unsigned before = bench_started();
		tell(OURS("s-1", "8", OWNED));
		assert_int_equal(bench_started(), before);
		bench_advance(3600 * NS_PER_S);
		while (bench_active()) {
			if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
			if (bench_find(HTTP_GET, "/secrets/a/")) read_vault();
			assert_null(bench_find(HTTP_PATCH, DB_URL));
			if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
		}
		bench_again();
		if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
		read_vault();
		if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
		assert_int_equal(bench_active(), 0);
	}
}

static void a_deletion_is_undone_at_once(void **state) {
	(void)state;
	create_and_watch();
	secret_tell_gone(b.object);
	bench_turn();
	read_vault();
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	assert_sends(request(HTTP_POST, SECRETS_URL "?"), "\"data\":{\"k\":\"czNjcmV0LXZhbHVl\"}");
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-2", "9", UPDATE_ENTRY));
	bench_take_status();
	tell(OURS("s-2", "9", UPDATE_ENTRY));
	assert_int_equal(bench_active(), 0);
}

static void create_again(void) {
	read_vault();
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-2", "9", UPDATE_ENTRY));
	bench_take_status();
	tell(OURS("s-2", "9", UPDATE_ENTRY));
	assert_int_equal(bench_active(), 0);
}

/* At once, three times; then with its polls. Nobody fights for ever as fast as he can. */
static void what_is_deleted_again_and_again_comes_back_with_polls(void **state) {
	(void)state;
	create_and_watch();
	b.common.interval_ns = 600 * NS_PER_S;
	for (int i = 0; i < 3; i++) {
		bench_advance(NS_PER_S);
		secret_tell_gone(b.object);
		bench_turn();
		create_again();
	}
	secret_tell_gone(b.object);
	bench_turn();
	read_vault();
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	assert_null(bench_find(HTTP_POST, SECRETS_URL "?"));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_PATCH_FAILED);
	assert_text(bench_message(), "deleted again and again");
	assert_int_equal(bench_active(), 0);
	b.now.mono_ns += 600 * NS_PER_S;
	b.now.wall_ns += 600 * NS_PER_S;
	bench_again();
	create_again();
	assert_int_equal(bench_reason(), REASON_CREATE_SUCCEEDED);
}

/* What the condition asks for is noticed when it is done, not at the next retry. */
static void a_deletion_that_was_asked_for_is_acted_on_at_once(void **state) {
	(void)state;
	create_and_watch();
	tell(META("s-1", "7", MARK, MARK, OWNER("o-2"), OWNED));
	read_vault();
	probe(META("s-1", "7", MARK, MARK, OWNER("o-2"), OWNED));
	if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
	assert_int_equal(b.object->status.conditions[CONDITION_READY].value, CONDITION_FALSE);
	assert_int_equal(bench_active(), 0);
	secret_tell_gone(b.object);
	bench_turn();
	read_vault();
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-2", "9", UPDATE_ENTRY));
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

/* What is told before the look is one look; what is told after it has begun is another. */
static void news_during_a_look_count_again(void **state) {
	(void)state;
	create_and_watch();
	tell(OURS("s-1", "7", EDITED));
	tell(OURS("s-1", "7", EDITED));
	read_vault();
	struct http_req *req = request(HTTP_PATCH, DB_URL);
	tell(OURS("s-1", "8", EDITED));
	answer(req, 200, OURS("s-1", "6", OWNED));
	bench_end(req);
	read_vault();
	probe(OURS("s-1", "6", OWNED));
	assert_int_equal(bench_active(), 0);
}

static void a_look_that_fails_is_made_again(void **state) {
	(void)state;
	create_and_watch();
	tell(OURS("s-1", "7", EDITED));
	read_vault();
	reply(HTTP_PATCH, DB_URL, 503, "{}");
	assert_int_equal(bench_active(), 0);
	bench_advance(60 * NS_PER_S);
	repair();
	tell(OURS("s-1", "8", OWNED));
	/* And one whose repair fails. */
	tell(OURS("s-1", "9", EDITED));
	read_vault();
	probe(OURS("s-1", "9", EDITED));
	probe(OURS("s-1", "9", EDITED));
	reply(HTTP_PATCH, "&force=true", 403, "{\"reason\":\"Forbidden\",\"message\":\"no\"}");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	bench_again();
	repair();
	assert_int_equal(bench_reason(), REASON_UPDATE_SUCCEEDED);
}

#define UNLABELLED FIELDS(OURS_OWNS("\"f:data\":{\"f:k\":{}}") "," ENTRY("other", "Update", LATE, "\"f:metadata\":{}"))

static void look_at_two(const char *meta) {
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 404, MISSING);
	probe(meta);
}

/* An item that could never be written is nobody's. Whoever writes something else into that Secret again and again costs no
 * request; whoever takes a key is noticed at once. */
static void what_was_never_written_is_looked_for_once(void **state) {
	(void)state;
	bench_use_two();
	bench_set_drift(DRIFT_WATCH);
	pool_watch_secrets(b.pool, LIST);
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 404, MISSING);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", UPDATE_ENTRY));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_PARTIAL);
	tell(OURS("s-1", "5", OWNED));
	bench_again();
	look_at_two(OURS("s-1", "5", OWNED));
	unsigned before = bench_started();
	for (int i = 0; i < 10; i++) tell(OURS("s-1", "6", UNLABELLED));
	assert_int_equal(bench_started(), before);
	tell(OURS("s-1", "7", EDITED));
	look_at_two(OURS("s-1", "7", EDITED));
	probe(OURS("s-1", "7", EDITED));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "8", OWNED));
	assert_int_equal(bench_reason(), REASON_PARTIAL);
	before = bench_started();
	tell(OURS("s-1", "8", OWNED));
	assert_int_equal(bench_started(), before);
	/* What may have been taken without a trace is looked for by the next retry. */
	bench_again();
	look_at_two(OURS("s-1", "8", OWNED));
	assert_int_equal(bench_active(), 0);
}

#define BOTH FIELDS(OURS_OWNS("\"f:data\":{\"f:k\":{},\"f:m\":{}}"))

/* It was passed over while its object could not be read; and that one comes back as it was, with nothing to write. */
static void what_was_taken_while_its_item_failed_is_put_back(void **state) {
	(void)state;
	bench_use_two();
	bench_set_drift(DRIFT_WATCH);
	pool_watch_secrets(b.pool, LIST);
	bench_begin();
	bench_give_token();
	read_vault();
	reply(HTTP_GET, "/secrets/b/", 200, VALUE_OF("b", "v1"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", BOTH));
	bench_take_status();
	tell(OURS("s-1", "5", BOTH));
	tell(OURS("s-1", "6", OWNED));
	look_at_two(OURS("s-1", "6", OWNED));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_PARTIAL);
	bench_again();
	read_vault();
	reply(HTTP_GET, "/secrets/b/", 200, VALUE_OF("b", "v1"));
	probe(OURS("s-1", "6", OWNED));
	probe(OURS("s-1", "6", OWNED));
	assert_sends(request(HTTP_PATCH, "&force=true"), "\"m\":\"czNjcmV0LXZhbHVl\"");
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", BOTH));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_UPDATE_SUCCEEDED);
}

/* The word was taken by the probe of a write that did not happen, and whose reason is gone. */
static void what_a_dead_write_took_note_of_is_looked_at_again(void **state) {
	(void)state;
	create_and_watch();
	bench_again();
	secret_tell(b.object, verdict_of(OURS("s-1", "7", EDITED)), LIST);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v2", "1700000009"));
	probe(OURS("s-1", "7", EDITED));
	lose(HTTP_PATCH, "&force=true", ERR_NETWORK, false);
	assert_true(pool_worker(b.pool, 0)->kube_gate.open);
	bench_advance(11 * NS_PER_S);
	repair();
	assert_int_equal(bench_reason(), REASON_UPDATE_SUCCEEDED);
}

/* The word was taken, and then nothing might be written. */
static void what_was_told_before_a_pause_is_looked_at_after_it(void **state) {
	(void)state;
	create_and_watch();
	tell(OURS("s-1", "7", EDITED));
	read_vault();
	probe(OURS("s-1", "7", EDITED));
	bench_pause(true);
	probe(OURS("s-1", "7", EDITED));
	assert_int_equal(bench_active(), 0);
	assert_true(secret_is_lost(b.object, LIST));
	bench_pause(false);
	repair();
	assert_int_equal(bench_reason(), REASON_UPDATE_SUCCEEDED);
}

/* A probe that is not answered settles nothing. */
static void what_could_not_be_settled_is_tried_again(void **state) {
	(void)state;
	create();
	tell(OURS("s-1", "5", UPDATE_ENTRY));
	bench_again();
	read_vault();
	reply(HTTP_PATCH, DB_URL, 503, "{}");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	bench_again();
	read_vault();
	probe(OURS("s-1", "5", UPDATE_ENTRY));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "6", OWNED));
	assert_int_equal(bench_active(), 0);
}

/* Deleted while nobody watched: the next complete list lacks it. */
static void what_a_list_lacks_is_looked_at(void **state) {
	(void)state;
	create_and_watch();
	pool_watch_secrets(b.pool, 0);
	bench_turn();
	pool_watch_secrets(b.pool, LIST);
	bench_turn();
	assert_int_equal(bench_active(), 0);
	pool_watch_secrets(b.pool, LIST + 1);
	bench_turn();
	read_vault();
	probe(OURS("s-1", "6", OWNED));
	assert_int_equal(bench_active(), 0);
	/* Once for each list. */
	bench_again();
	read_vault();
	assert_int_equal(bench_active(), 0);
}

/* A new engine trusts what it finds, but not about a Secret that the list shows to be touched. */
static void a_restart_does_not_rest_on_a_lost_secret(void **state) {
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		struct status status;
		create_and_watch();
		assert_int_equal(status_copy(&b.object->status, &status), OK);
		bench_teardown(NULL);
		bench_setup(NULL);
		b.status = status;
		bench_set_drift(DRIFT_WATCH);
		pool_watch_secrets(b.pool, LIST);
		if (lost) {
			bench_begin();
			bench_give_token();
			repair();
		} else {
			begin_with_word(LIST);
			assert_int_equal(bench_started(), 0);
		}
		bench_teardown(NULL);
		bench_setup(NULL);
	}
}

/* Deleted before the entry of its POST was settled, and while nobody watched. */
static void what_a_list_lacks_is_looked_at_unsettled_too(void **state) {
	(void)state;
	create();
	tell(OURS("s-1", "5", UPDATE_ENTRY));
	assert_int_equal(bench_active(), 0);
	pool_watch_secrets(b.pool, LIST + 1);
	bench_turn();
	read_vault();
	probe(OURS("s-1", "5", OWNED));
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

/* Told as the watch broke, and looked at without it; the watch goes on behind the same list. */
static void what_was_told_as_the_watch_broke_counts_when_it_is_back(void **state) {
	(void)state;
	create_and_watch();
	pool_watch_secrets(b.pool, 0);
	tell(OURS("s-1", "7", EDITED));
	read_vault();
	probe(OURS("s-1", "8", OWNED));
	assert_int_equal(bench_active(), 0);
	pool_watch_secrets(b.pool, LIST);
	bench_turn();
	read_vault();
	probe(OURS("s-1", "8", OWNED));
	assert_int_equal(bench_active(), 0);
	tell(OURS("s-1", "9", EDITED));
	repair();
	assert_int_equal(bench_reason(), REASON_UPDATE_SUCCEEDED);
}

/* Who writes on and on during the rest costs nothing; after it, it is looked at again. */
static void a_rest_is_a_rest(void **state) {
	(void)state;
	create_and_watch();
	for (int i = 0; i < 3; i++) {
		bench_advance(NS_PER_S);
		tell(OURS("s-1", "7", EDITED));
		repair();
		tell(OURS("s-1", "8", OWNED));
	}
	tell(OURS("s-1", "9", EDITED));
	read_vault();
	probe(OURS("s-1", "9", EDITED));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_PATCH_FAILED);
	for (int i = 0; i < 10; i++) {
		unsigned before = bench_started();
		tell(OURS("s-1", "9", EDITED));
		assert_int_equal(bench_started(), before);
	}
	b.now.mono_ns += 3601 * NS_PER_S;
	b.now.wall_ns += 3601 * NS_PER_S;
	bench_again();
	if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
	repair();
	assert_int_equal(bench_reason(), REASON_UPDATE_SUCCEEDED);
}

static void other_modes_listen_to_nobody(void **state) {
	(void)state;
	create_and_watch();
	bench_set_drift(DRIFT_OFF);
	tell(OURS("s-1", "7", EDITED));
	read_vault();
	assert_int_equal(bench_active(), 0);
	bench_set_drift(DRIFT_WATCH);
	bench_turn();
	bench_again();
	repair();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(verdicts),
		BENCH_TEST(polls_do_not_probe),
		BENCH_TEST(an_edit_is_repaired_at_once),
		BENCH_TEST(a_deletion_is_undone_at_once),
		BENCH_TEST(what_is_deleted_again_and_again_comes_back_with_polls),
		BENCH_TEST(a_deletion_that_was_asked_for_is_acted_on_at_once),
		BENCH_TEST(news_during_a_look_count_again),
		BENCH_TEST(a_look_that_fails_is_made_again),
		BENCH_TEST(what_was_never_written_is_looked_for_once),
		BENCH_TEST(what_was_taken_while_its_item_failed_is_put_back),
		BENCH_TEST(what_a_dead_write_took_note_of_is_looked_at_again),
		BENCH_TEST(what_was_told_before_a_pause_is_looked_at_after_it),
		BENCH_TEST(what_could_not_be_settled_is_tried_again),
		BENCH_TEST(what_a_list_lacks_is_looked_at),
		BENCH_TEST(a_restart_does_not_rest_on_a_lost_secret),
		BENCH_TEST(what_a_list_lacks_is_looked_at_unsettled_too),
		BENCH_TEST(what_was_told_as_the_watch_broke_counts_when_it_is_back),
		BENCH_TEST(a_rest_is_a_rest),
		BENCH_TEST(other_modes_listen_to_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
