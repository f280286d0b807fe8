/* workers/event: one Event where Ready turns, within a budget; nothing waits for it. */
#include "base/buf.h"
#include "base/metric.h"
#include "tests/unit/bench.h"
#include "workers/event.h"

#define EVENTS_URL "https://api/api/v1/namespaces/apps/events?"
#define GONE "{\"error\":{\"code\":\"SecretNotFound\"}}"

static int setup(void **state) {
	(void)state;
	int bad = bench_setup(state);
	struct settings settings = settings_default(); /* 10 Events a second */
	settings.drift = DRIFT_OFF;
	return bad ? bad : pool_set_settings(b.pool, &settings) == OK ? 0 : -1;
}

static void first_write(void) {
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
}

static void check(int code, const char *body) {
	bench_again();
	reply(HTTP_GET, "/secrets/a/", code, body);
}

static void find_unchanged(void) {
	check(200, VALUE("s3cret-value", "v1", "1700000000"));
}

static void take_event(void) {
	reply(HTTP_POST, EVENTS_URL, 201, "{}");
	assert_int_equal(bench_active(), 0);
}

static void an_event_says_what_became_of_whom(void **state) {
	(void)state;
	first_write();
	struct http_req *req = request(HTTP_POST, EVENTS_URL);
	assert_true(has_header(req, "Content-Type", "application/json"));
	assert_sends(req, "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"db.");
	assert_sends(req, "\",\"namespace\":\"apps\"},\"involvedObject\":{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\","
			  "\"kind\":\"SecretSync\",\"name\":\"db\",\"namespace\":\"apps\",\"uid\":\"o-1\"},"
			  "\"reason\":\"CreateSucceeded\",\"message\":\"The Secret was created with the values of the vault.\","
			  "\"type\":\"Normal\",\"count\":1,\"firstTimestamp\":\"2027-01-15T08:00:00Z\","
			  "\"lastTimestamp\":\"2027-01-15T08:00:00Z\",\"source\":{\"component\":\"kvsync\"},"
			  "\"reportingComponent\":\"kvsync\"}");
	/* The reconcile is over, whatever becomes of it. */
	assert_null(b.object->sync);
	uint64_t before = metric_read(METRIC_EVENTS_WRITTEN);
	take_event();
	assert_int_equal(metric_read(METRIC_EVENTS_WRITTEN), before + 1);
}

static void one_per_turn_and_none_per_check(void **state) {
	(void)state;
	first_write();
	take_event();
	find_unchanged();
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	for (int i = 0; i < 3; i++) {
		check(404, GONE);
		if (i) continue;
		bench_take_status();
		assert_sends(request(HTTP_POST, EVENTS_URL), "\"reason\":\"UpdateFailedProviderError\"");
		assert_sends(request(HTTP_POST, EVENTS_URL), "\"type\":\"Warning\"");
		take_event();
	}
	assert_int_equal(bench_active(), 0);
	find_unchanged();
	bench_take_status();
	assert_sends(request(HTTP_POST, EVENTS_URL), "\"reason\":\"UpdateNoValueChangeSucceeded\"");
	take_event();
	find_unchanged();
	assert_int_equal(bench_active(), 0);
}

static void a_status_that_was_not_written_is_not_told_of(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, STATUS_URL, 404, "{\"reason\":\"NotFound\"}");
	assert_int_equal(bench_active(), 0);
}

static void a_refused_event_is_counted_and_not_sent_again(void **state) {
	static const int codes[] = { 403, 409, 429, 500 };
	uint64_t before = metric_read(METRIC_EVENTS_FAILED);
	(void)state;
	first_write();
	for (int i = 0; i < 4; i++) {
		reply(HTTP_POST, EVENTS_URL, codes[i], "{}");
		bench_advance(2 * NS_PER_S);
		assert_int_equal(bench_active(), 0);
		if (i % 2)
			find_unchanged();
		else
			check(404, GONE);
		bench_take_status();
	}
	lose(HTTP_POST, EVENTS_URL, ERR_TIMEOUT, true);
	assert_int_equal(metric_read(METRIC_EVENTS_FAILED), before + 5);
	assert_int_equal(bench_reason(), REASON_UPDATE_NO_CHANGE);
	assert_int_equal(b.object->failures, 0);
	assert_int_equal(bench_active(), 0);
}

/* --- the budget, without reconciles --- */

static void send(unsigned count) {
	static const struct condition ready = { .value = CONDITION_FALSE, .reason = REASON_SPC };
	thread_set_role(ROLE_WORKER);
	for (unsigned i = 0; i < count; i++) event_send(pool_worker(b.pool, 0), &b.spec, &ready);
	thread_set_role(ROLE_MAIN);
}

static unsigned answer_all_events(void) {
	unsigned count = 0;
	for (; bench_find(HTTP_POST, EVENTS_URL); count++) reply(HTTP_POST, EVENTS_URL, 201, "{}");
	return count;
}

static void what_is_over_the_budget_is_dropped(void **state) {
	uint64_t dropped = metric_read(METRIC_EVENTS_DROPPED);
	unsigned sent = 0;
	(void)state;
	bench_turn();
	for (int i = 0; i < 20; i++) {
		send(1);
		sent += answer_all_events();
	}
	assert_int_equal(sent, 10);
	assert_int_equal(metric_read(METRIC_EVENTS_DROPPED), dropped + 10);
	for (int i = 0; i < 40; i++) {
		bench_advance(NS_PER_S / 20);
		send(1);
		sent += answer_all_events();
	}
	assert_in_range(sent, 29, 31);
}

static void few_are_under_way_at_a_time(void **state) {
	uint64_t dropped = metric_read(METRIC_EVENTS_DROPPED);
	(void)state;
	bench_turn();
	send(7);
	assert_int_equal(bench_active(), 4);
	assert_int_equal(metric_read(METRIC_EVENTS_DROPPED), dropped + 3);
	assert_int_equal(request(HTTP_POST, EVENTS_URL)->timeout_ns, 10 * NS_PER_S);
	/* What is left is cancelled with the worker. */
}

static void none_goes_out_while_the_server_is_away(void **state) {
	(void)state;
	bench_turn();
	send(1);
	lose(HTTP_POST, EVENTS_URL, ERR_NETWORK, false);
	bench_advance(11 * NS_PER_S);
	send(1);
	assert_int_equal(bench_active(), 0);
}

static void zero_is_silence(void **state) {
	uint64_t dropped = metric_read(METRIC_EVENTS_DROPPED);
	struct settings settings = settings_default();
	(void)state;
	settings.events_per_s = 0;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
	send(3);
	assert_int_equal(bench_active(), 0);
	assert_int_equal(metric_read(METRIC_EVENTS_DROPPED), dropped);
}

/* --- what is sent --- */

static void names_fit_and_differ(void **state) {
	static char name[254];
	char first[400];
	(void)state;
	memset(name, 'n', 253);
	memcpy(name + 230, ".-.-.-.-", 8);
	b.spec.name = str_of(name);
	bench_turn();
	send(1);
	const char *at = strstr(body_of(request(HTTP_POST, EVENTS_URL)), "\"name\":\"") + 8;
	size_t len = strcspn(at, "\"");
	assert_int_equal(len, 230 + 17);
	assert_int_equal(at[229], 'n');
	assert_int_equal(strspn(at + 231, "0123456789abcdef"), 16);
	memcpy(first, at, len);
	answer_all_events();
	bench_advance(1);
	send(1);
	at = strstr(body_of(request(HTTP_POST, EVENTS_URL)), "\"name\":\"") + 8;
	assert_memory_not_equal(at, first, len);
	answer_all_events();
}

static void long_messages_are_cut_at_a_character(void **state) {
	static char text[2000];
	struct condition ready = { .value = CONDITION_FALSE, .reason = REASON_PARTIAL, .message = text };
	(void)state;
	for (int i = 0; i < 1998; i += 2) memcpy(text + 1 + i, "\xc3\xa9", 2);
	text[0] = 'a';
	bench_turn();
	thread_set_role(ROLE_WORKER);
	event_send(pool_worker(b.pool, 0), &b.spec, &ready);
	thread_set_role(ROLE_MAIN);
	const char *at = strstr(body_of(request(HTTP_POST, EVENTS_URL)), "\"message\":\"") + 11;
	assert_int_equal(strcspn(at, "\""), 1023);
	answer_all_events();
}

static void news_is_a_turn_but_for_the_check_after_a_write(void **state) {
	static const struct {
		struct condition before, after;
		bool due;
	} cases[] = {
		{ { .value = CONDITION_ABSENT, .reason = REASON_NONE }, { .value = CONDITION_TRUE, .reason = REASON_CREATE_SUCCEEDED }, true },
		{ { .value = CONDITION_TRUE, .reason = REASON_CREATE_SUCCEEDED }, { .value = CONDITION_TRUE, .reason = REASON_UPDATE_NO_CHANGE }, false },
		{ { .value = CONDITION_TRUE, .reason = REASON_UPDATE_NO_CHANGE }, { .value = CONDITION_TRUE, .reason = REASON_UPDATE_NO_CHANGE }, false },
		{ { .value = CONDITION_TRUE, .reason = REASON_UPDATE_NO_CHANGE }, { .value = CONDITION_TRUE, .reason = REASON_UPDATE_SUCCEEDED }, true },
		{ { .value = CONDITION_TRUE, .reason = REASON_UPDATE_NO_CHANGE }, { .value = CONDITION_FALSE, .reason = REASON_PARTIAL }, true },
		{ { .value = CONDITION_FALSE, .reason = REASON_PARTIAL }, { .value = CONDITION_FALSE, .reason = REASON_PARTIAL }, false },
		{ { .value = CONDITION_FALSE, .reason = REASON_PARTIAL }, { .value = CONDITION_FALSE, .reason = REASON_UPDATE_FAILED_PROVIDER }, true },
		{ { .value = CONDITION_FALSE, .reason = REASON_PARTIAL }, { .value = CONDITION_TRUE, .reason = REASON_UPDATE_NO_CHANGE }, true },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (event_is_due(&cases[i].before, &cases[i].after) != cases[i].due) fail_msg("case %zu", i);
}

#define EVENT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, bench_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		EVENT_TEST(an_event_says_what_became_of_whom),
		EVENT_TEST(one_per_turn_and_none_per_check),
		EVENT_TEST(a_status_that_was_not_written_is_not_told_of),
		EVENT_TEST(a_refused_event_is_counted_and_not_sent_again),
		EVENT_TEST(what_is_over_the_budget_is_dropped),
		EVENT_TEST(few_are_under_way_at_a_time),
		EVENT_TEST(none_goes_out_while_the_server_is_away),
		EVENT_TEST(zero_is_silence),
		EVENT_TEST(names_fit_and_differ),
		EVENT_TEST(long_messages_are_cut_at_a_character),
		cmocka_unit_test(news_is_a_turn_but_for_the_check_after_a_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
