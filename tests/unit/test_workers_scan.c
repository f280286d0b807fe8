/* workers/scan, scan_walk and sync_scan: what walks over a vault's list save, what they tell, and when they are not believed. */
#include <stdio.h>

#include "base/metric.h"
#include "clients/json.h"
#include "tests/unit/bench.h"

#define INTERVAL (3600 * NS_PER_S)
#define LIST "/secrets?api-version=7.4&maxresults=25"
#define GET "/secrets/a/"
#define LISTED(name, second, more)                                                        \
	"{\"value\":[{\"id\":\"https://v.vault.azure.net/secrets/" name                    \
	"\",\"attributes\":{\"enabled\":true,\"created\":" second ",\"updated\":" second more \
	"}}],\"nextLink\":null}"
#define NOTHING "{\"value\":[],\"nextLink\":null}"

static int setup(void **state) {
	if (bench_setup(state)) return -1;
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.change_detection = CHANGE_BY_LIST;
	settings.drift = DRIFT_OFF;
	return pool_set_settings(b.pool, &settings) == OK ? 0 : -1;
}

#define SCAN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, bench_teardown)

/* Tokens live for a day; while time passes they are renewed by the way. */
static void give_token(void) {
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":86399}");
}

static void pass_time(int64_t ns) {
	bench_advance(ns);
	if (bench_find(HTTP_POST, TOKEN_URL)) give_token();
}

static void fetch(void) {
	give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
}

/* Answers with the vault's clock, which is ours. */
#define reply_now(part, body)                                            \
	do {                                                             \
		struct http_req *now_ = request(HTTP_GET, part);         \
		answer(now_, 200, body);                                 \
		now_->server_date_s = b.now.wall_ns / NS_PER_S;          \
		bench_end(now_);                                         \
	} while (0)

/* The first check that finds nothing is told, once. */
static void take_no_change(void) {
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateNoValueChangeSucceeded");
	bench_take_status();
}

/* Created, and the first walk has told the same. */
/* Whoever was read is written, and a walk has met it. */
static void be_listed(void) {
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	pass_time(2 * NS_PER_S);
	reply_now(LIST, LISTED("a", "1700000000", ""));
	take_no_change();
}

static void begin_listed(void) {
	bench_begin();
	fetch();
	be_listed();
	assert_int_equal(bench_active(), 0);
}

/* With a token that ends after two minutes. */
static void begin_listed_for_a_while(void) {
	bench_begin();
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":120}");
	reply(HTTP_GET, GET, 200, VALUE("s3cret-value", "v1", "1700000000"));
	be_listed();
}

/* Until the next walk. */
static void advance_to_walk(void) {
	for (int i = 0; i < 400 && !bench_active(); i++) pass_time(10 * NS_PER_S);
	request(HTTP_GET, LIST);
}

static void an_unchanged_object_costs_pages_only(void **state) {
	(void)state;
	begin_listed();
	for (int walk = 0; walk < 10; walk++) {
		advance_to_walk();
		assert_int_equal(bench_active(), 1);
		reply_now(LIST, LISTED("a", "1700000000", ""));
		assert_int_equal(bench_active(), 0);
	}
}

static void a_walk_comes_once_per_interval(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	reply_now(LIST, LISTED("a", "1700000000", ""));
	int64_t began_ns = b.now.mono_ns;
	advance_to_walk();
	assert_in_range(b.now.mono_ns - began_ns, INTERVAL - 20 * NS_PER_S, INTERVAL + 20 * NS_PER_S);
	reply_now(LIST, LISTED("a", "1700000000", ""));
}

/* Another cluster's walks over the same vault come at another moment, this one's at the same after a restart. */
static void a_walk_has_a_moment_of_its_clusters_own(void **state) {
	const struct str url = STR("https://v.vault.azure.net");
	(void)state;
	begin_listed();
	struct worker *worker = pool_worker(b.pool, 0);
	int64_t next_ns = timer_at_ns(&worker->timers, &scan_at(b.object, 0)->timer);
	uint64_t own = schedule_walk_hash(url, VAULT_SECRET, hash64_stable(STR("o-1")));
	uint64_t other = schedule_walk_hash(url, VAULT_SECRET, hash64_stable(STR("o-2")));
	int64_t moment_ns = schedule_phase_ns(own, b.now, INTERVAL);
	assert_in_range(next_ns - moment_ns, 0, 50 * NS_PER_MS - 1);
	assert_true(llabs(schedule_phase_ns(other, b.now, INTERVAL) - moment_ns) > NS_PER_S);
	assert_int_not_equal(own, schedule_walk_hash(url, VAULT_KEY, hash64_stable(STR("o-1"))));
}

/* Somebody needs a name that no walk has met: ten times as long as a walk took, the vault is for reads. */
static void a_walk_in_a_hurry_lets_the_vault_rest(void **state) {
	const struct str needed[] = { STR("a"), STR("b") };
	const enum vault_kind kinds[] = { VAULT_SECRET, VAULT_SECRET };
	int seconds = 0;
	(void)state;
	bench_begin();
	fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	pass_time(2 * NS_PER_S);
	pass_time(3 * NS_PER_S); /* the page is on its way */
	reply_now(LIST, LISTED("a", "1700000000", ""));
	take_no_change();
	thread_set_role(ROLE_WORKER);
	assert_int_equal(scan_link_object(b.object, needed, kinds, 2), OK);
	scan_hurry(b.object);
	thread_set_role(ROLE_MAIN);
	for (; seconds < 100 && !bench_find(HTTP_GET, LIST); seconds++) pass_time(NS_PER_S);
	assert_in_range(seconds, 30, 31);
	reply_now(LIST, LISTED("a", "1700000000", ""));
}

/* Another name is needed: one more object has come. */
static void need(const char *name) {
	struct str needed = str_of(name);
	enum vault_kind kind = VAULT_SECRET;
	thread_set_role(ROLE_WORKER);
	assert_int_equal(scan_link_object(b.object, &needed, &kind, 1), OK);
	thread_set_role(ROLE_MAIN);
}

static void set_interval(int64_t ns);

/* One each half second; somebody has waited for a walk from `hurry` on. Returns after how many the first one began. */
static int names_until_walk(int most, int hurry) {
	char name[16];
	int count = 0;
	fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	for (; count < most && !bench_find(HTTP_GET, LIST); count++) {
		snprintf(name, sizeof name, "n%d", count);
		need(name);
		thread_set_role(ROLE_WORKER);
		if (count == hurry) scan_hurry(b.object);
		thread_set_role(ROLE_MAIN);
		pass_time(NS_PER_S / 2);
	}
	return count;
}

/* An import takes its time, and nobody who was just read has a use for a walk yet. */
static void the_first_walk_waits_for_an_import(void **state) {
	(void)state;
	bench_begin();
	assert_int_equal(names_until_walk(800, -1), 800);
	pass_time(NS_PER_S);
	request(HTTP_GET, LIST);
}

static void the_first_walk_waits_for_a_quarter_of_an_interval(void **state) {
	(void)state;
	bench_begin();
	assert_in_range(names_until_walk(4000, -1), 2 * 900 - 4, 2 * 900 + 4);
}

static void the_first_walk_does_not_wait_for_an_import_where_intervals_are_short(void **state) {
	(void)state;
	set_interval(40 * NS_PER_S);
	bench_begin();
	assert_in_range(names_until_walk(4000, -1), 2 * 15 - 4, 2 * 15 + 4);
}

/* As after a start, when a walk tells at once what has changed meanwhile. */
static void the_first_walk_does_not_wait_for_an_import_when_somebody_does(void **state) {
	(void)state;
	bench_begin();
	assert_in_range(names_until_walk(4000, 10), 2 * 15 - 4, 2 * 15 + 4);
}

/* It knows nothing of him: there is nothing to be told, and nothing to be in a hurry for. */
static void who_came_during_a_walk_is_left_to_the_next_one(void **state) {
	(void)state;
	bench_begin();
	fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	pass_time(2 * NS_PER_S);
	request(HTTP_GET, LIST);
	need("late");
	reply_now(LIST, LISTED("a", "1700000000", ""));
	for (int i = 0; i < 6; i++) {
		assert_int_equal(bench_active(), 0);
		pass_time(10 * NS_PER_S);
	}
	assert_true(scan_at(b.object, 0)->has_news);
	need("a");
	advance_to_walk();
	reply_now(LIST, LISTED("a", "1700000000", ""));
	take_no_change();
}

static int64_t created_of(unsigned index) {
	struct vault_row row;
	return scan_row(b.object, index, &row) ? row.created_s : 0;
}

/* Mostly they come as they came before. */
static void rows_are_of_their_names_in_any_order(void **state) {
	static const char *const walks[] = { "abc", "abc", "cba", "axCb", "bbac", "c", "xyz", "cab" };
	static const struct str names[] = { STR("a"), STR("b"), STR("c") };
	static const enum vault_kind kinds[] = { VAULT_SECRET, VAULT_SECRET, VAULT_SECRET };
	int64_t expected[3] = { 0 }, second = 1700000000;
	(void)state;
	begin_listed();
	thread_set_role(ROLE_WORKER);
	assert_int_equal(scan_link_object(b.object, names, kinds, 3), OK);
	struct scan *scan = scan_at(b.object, 0);
	for (size_t w = 0; w < sizeof walks / sizeof walks[0]; w++) {
		scan->walk++;
		scan->expected = list_first(&scan->order);
		for (const char *at = walks[w]; *at; at++) {
			struct vault_row row = { .created_s = ++second, .enabled = true };
			scan_met(scan, (struct str){ at, 1 }, &row);
			if ((*at | 0x20) <= 'c') expected[(*at | 0x20) - 'a'] = second;
		}
		for (unsigned i = 0; i < 3; i++) assert_int_equal(created_of(i), expected[i]);
	}
	/* Whom the next row was to be of is gone, and comes back. */
	struct vault_row row = { .created_s = ++second, .enabled = true };
	scan_met(scan, names[2], &row);
	scan_unlink_object(b.object);
	assert_int_equal(scan_link_object(b.object, names, kinds, 3), OK);
	scan_met(scan, names[0], &row);
	assert_int_equal(created_of(0), second);
	assert_int_equal(created_of(1), 0);
	thread_set_role(ROLE_MAIN);
}

static void a_changed_row_is_read_and_written(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	reply_now(LIST, LISTED("A", "1700000000", ",\"exp\":1900000000")); /* names have no case */
	reply_now(GET, "{\"value\":\"s3cret-value\",\"id\":\"https://v.vault.azure.net/secrets/a/v2\","
		       "\"attributes\":{\"enabled\":true,\"created\":1700000000,\"updated\":1700000000,\"exp\":1900000000}}");
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	assert_true(scan_at(b.object, 0)->has_news);
	advance_to_walk();
	reply_now(LIST, LISTED("a", "1700000000", ",\"exp\":1900000000"));
	take_no_change();
	assert_int_equal(bench_active(), 0);
	advance_to_walk();
	reply_now(LIST, LISTED("a", "1700000000", ",\"exp\":1900000000"));
	assert_int_equal(bench_active(), 0);
	/* Nobody is looked at any more when a walk ends. */
	assert_false(scan_at(b.object, 0)->has_news);
}

/* The read finds that what the walk told is in the Secret already. */
static void a_read_that_tells_nothing_new_writes_nothing(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	reply_now(LIST, LISTED("a", "1700000000", ",\"exp\":1900000000"));
	reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	assert_int_equal(bench_active(), 0);
}

static void a_name_that_is_gone_is_read_and_read_again_when_it_comes_back(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	reply_now(LIST, NOTHING);
	reply(HTTP_GET, GET, 404, "{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"\"}}");
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateFailedProviderError");
	bench_take_status();
	/* Its own retries go on. */
	for (int i = 0; i < 400 && !bench_find(HTTP_GET, LIST); i++) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, GET))
			reply(HTTP_GET, GET, 404, "{\"error\":{\"code\":\"SecretNotFound\",\"message\":\"\"}}");
	}
	reply_now(LIST, LISTED("a", "1700000000", ""));
	reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"status\":\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
}

static void a_version_as_young_as_its_read_is_read_once_more(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	char body[512], list[512];
	int64_t second = b.now.wall_ns / NS_PER_S;
	snprintf(list, sizeof list, LISTED("a", "%lld", ""), (long long)second, (long long)second);
	reply_now(LIST, list);
	snprintf(body, sizeof body, VALUE("s3cret-value", "v2", "%lld"), (long long)second, (long long)second);
	reply_now(GET, body);
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	pass_time(6 * NS_PER_S);
	/* The same row, another version: nothing but the read could tell. */
	snprintf(body, sizeof body, VALUE("s3cret-value", "v3", "%lld"), (long long)second, (long long)second);
	reply_now(GET, body);
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "6", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", ""));
	bench_take_status();
	pass_time(60 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
	advance_to_walk();
	reply_now(LIST, list);
	take_no_change();
	assert_int_equal(bench_active(), 0);
}

static void where_listing_is_denied_objects_are_read(void **state) {
	(void)state;
	uint64_t fallbacks = metric_read(METRIC_SCAN_FALLBACKS), denied = metric_read(METRIC_SCAN_DENIED);
	bench_begin();
	fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	pass_time(2 * NS_PER_S);
	reply(HTTP_GET, LIST, 403, "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}");
	assert_int_equal(bench_active(), 0);
	assert_int_equal(metric_read(METRIC_SCAN_DENIED), denied + 1);
	assert_int_equal(metric_read(METRIC_SCAN_FALLBACKS), fallbacks + 1);
	/* Its own check comes within an interval. */
	unsigned gets = 0;
	for (int i = 0; i < 361; i++) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST))
			reply(HTTP_GET, LIST, 403, "{\"error\":{\"code\":\"Forbidden\"}}");
		if (!bench_find(HTTP_GET, GET)) continue;
		gets++;
		reply(HTTP_GET, GET, 200, VALUE("s3cret-value", "v1", "1700000000"));
		bench_take_status();
	}
	assert_int_equal(gets, 1);
}

/* Entra has a bad moment when a walk begins: it begins again, and nobody is read for it. */
static void a_token_that_cannot_be_had_for_now_ends_no_trust(void **state) {
	(void)state;
	begin_listed_for_a_while();
	uint64_t fallbacks = metric_read(METRIC_SCAN_FALLBACKS);
	for (int i = 0; i < 400 && !bench_find(HTTP_POST, TOKEN_URL); i++) bench_advance(10 * NS_PER_S);
	reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
	reply(HTTP_POST, ENTRA_URL, 503, "{}");
	assert_int_equal(scan_at(b.object, 0)->mode, SCAN_LIST);
	for (int i = 0; i < 3 && !bench_find(HTTP_GET, LIST); i++) {
		bench_advance(10 * NS_PER_S);
		if (bench_find(HTTP_POST, TOKEN_URL)) give_token();
	}
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_int_equal(metric_read(METRIC_SCAN_FALLBACKS), fallbacks);
	assert_int_equal(bench_active(), 0);
}

#define PAGE_LINK(page) "https://v.vault.azure.net/secrets?api-version=7.4&$skiptoken=" page
#define EMPTY_PAGE(next) "{\"value\":[],\"nextLink\":\"" PAGE_LINK(next) "\"}"

static void set_interval(int64_t ns) {
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.change_detection = CHANGE_BY_LIST;
	settings.drift = DRIFT_OFF;
	settings.poll_interval_ns = ns;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
}

/* GETs would ask a vault for more that asks for less. Pages that take that long are another matter. */
static void a_walk_that_had_to_wait_is_not_given_up(void **state) {
	(void)state;
	begin_listed();
	set_interval(60 * NS_PER_S);
	advance_to_walk();
	uint64_t throttled = metric_read(METRIC_VAULT_THROTTLED);
	reply_now(LIST, EMPTY_PAGE("2"));
	for (int i = 0; i < 2; i++) {
		reply_after(HTTP_GET, "skiptoken=2", 429, 50, "{}");
		pass_time(51 * NS_PER_S);
	}
	assert_int_equal(metric_read(METRIC_VAULT_THROTTLED), throttled + 2);
	reply_now("skiptoken=2", EMPTY_PAGE("3"));
	reply_now("skiptoken=3", LISTED("a", "1700000000", ""));
	assert_int_equal(scan_at(b.object, 0)->mode, SCAN_LIST);
	assert_int_equal(bench_active(), 0);
	advance_to_walk();
	static const char *const pages[] = { LIST, "skiptoken=2", "skiptoken=3" };
	static const char *const answers[] = { EMPTY_PAGE("2"), EMPTY_PAGE("3"), EMPTY_PAGE("4") };
	for (int i = 0; i < 3; i++) {
		assert_int_equal(scan_at(b.object, 0)->mode, SCAN_LIST);
		pass_time(21 * NS_PER_S);
		reply_now(pages[i], answers[i]);
	}
	assert_int_equal(scan_at(b.object, 0)->mode, SCAN_GET);
}

/* Each of them may cost many pages before it fails. */
static void a_list_that_goes_on_failing_is_tried_less_often(void **state) {
	(void)state;
	begin_listed();
	set_interval(86400 * NS_PER_S);
	bench_turn();
	thread_set_role(ROLE_WORKER);
	scan_walk_begin(scan_at(b.object, 0));
	thread_set_role(ROLE_MAIN);
	bench_turn();
	unsigned tries = 0;
	for (int i = 0; i < 720; i++) {
		if (bench_find(HTTP_GET, LIST)) {
			reply(HTTP_GET, LIST, 500, "{}");
			tries++;
		}
		while (bench_find(HTTP_GET, GET)) reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
		pass_time(10 * NS_PER_S);
	}
	assert_in_range(tries, 10, 20);
	for (int i = 0; i < 70 && !bench_find(HTTP_GET, LIST); i++) pass_time(10 * NS_PER_S);
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_int_equal(scan_at(b.object, 0)->mode, SCAN_LIST);
}

enum { MANY_NAMES = 300 };

static void link_many(struct object *object, const char *prefix, unsigned count) {
	static char texts[MANY_NAMES][16];
	static struct str names[MANY_NAMES];
	static enum vault_kind kinds[MANY_NAMES];
	for (unsigned i = 0; i < count; i++) {
		snprintf(texts[i], sizeof texts[i], "%s%u", prefix, i);
		names[i] = str_of(texts[i]);
		kinds[i] = VAULT_SECRET;
	}
	assert_int_equal(scan_link_object(object, names, kinds, count), OK);
}

static void add_two(struct object *two[2]) {
	for (int i = 0; i < 2; i++) {
		struct status status;
		assert_int_equal(status_copy(&b.object->status, &status), OK);
		assert_int_equal(object_create(i ? STR("apps/y") : STR("apps/x"), i ? STR("o-3") : STR("o-2"), &status,
					 pool_first_queue(b.pool), &two[i]),
			OK);
		rcu_swap(two[i]->spec, &b.spec);
		queue_add(&two[i]->item);
	}
	bench_turn();
}

static void end_two(struct object *two[2]) {
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	for (int i = 0; i < 2; i++) object_destroy(two[i]);
}

/* A walk has found nothing, and each object of the vault that has not yet said so is to say it, also the one whose name stands last
 * while further names turn up. No turn of the worker is for all of them. */
static void a_walks_end_is_told_slice_by_slice(void **state) {
	struct object *two[2];
	(void)state;
	begin_listed();
	add_two(two);
	struct scan *scan = scan_at(b.object, 0);
	thread_set_role(ROLE_WORKER);
	link_many(two[0], "x", MANY_NAMES);
	b.object->status.conditions[CONDITION_READY].reason = REASON_CREATE_SUCCEEDED;
	scan_note_news(b.object);
	scan_walk_ended(scan);
	worker_turn(pool_worker(b.pool, 0), b.now);
	assert_in_range(scan->telling, 1, MANY_NAMES);
	assert_int_equal(bench_active(), 0);
	link_many(two[1], "y", MANY_NAMES / 2);
	thread_set_role(ROLE_MAIN);
	bench_turn();
	assert_int_equal(scan->telling, 0);
	take_no_change();
	assert_false(scan->has_news);
	end_two(two);
}

/* `told`: the last walk's end is still being told of. */
static void give_lists_up(bool told) {
	struct object *two[2];
	begin_listed();
	add_two(two);
	struct scan *scan = scan_at(b.object, 0);
	thread_set_role(ROLE_WORKER);
	link_many(two[0], "x", MANY_NAMES);
	assert_int_equal(b.object->due, CLASS_SAFETY);
	if (told) scan->telling = scan->name_count;
	scan_give_up(scan, "a test gives lists up", "", 86400 * NS_PER_S);
	worker_turn(pool_worker(b.pool, 0), b.now);
	assert_in_range(told ? scan->telling : scan->moving, 1, MANY_NAMES);
	link_many(two[1], "y", MANY_NAMES / 2);
	thread_set_role(ROLE_MAIN);
	bench_turn();
	assert_int_equal(scan->moving, 0);
	assert_int_equal(b.object->due, CLASS_PERIODIC);
	end_two(two);
}

/* Lists are given up, and each object is to be checked by GET at its own moment, also the one whose name stands last while further
 * names turn up in front. */
static void nobody_is_left_behind_when_lists_are_given_up(void **state) {
	(void)state;
	give_lists_up(false);
}

static void nobody_is_left_behind_when_lists_are_given_up_while_a_walk_is_told(void **state) {
	(void)state;
	give_lists_up(true);
}

enum { CROWD = 20 };

/* Twenty identities, of which one may list: a walk tries so many, and the next one those behind them. */
static void anyone_who_may_list_is_found(void **state) {
	static struct spec specs[CROWD];
	static struct spec_common commons[CROWD];
	static char keys[CROWD][2][24];
	struct object *crowd[CROWD];
	(void)state;
	bench_begin();
	fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	for (int i = 0; i < CROWD; i++) {
		struct status status;
		snprintf(keys[i][0], sizeof keys[i][0], "apps/c%d", i);
		snprintf(keys[i][1], sizeof keys[i][1], "sa-%d", i);
		memcpy(&commons[i], &b.common, sizeof commons[i]);
		memcpy(&specs[i], &b.spec, sizeof specs[i]);
		commons[i].service_account = str_of(keys[i][1]);
		specs[i].common = &commons[i];
		assert_int_equal(status_copy(&b.object->status, &status), OK);
		assert_int_equal(object_create(str_of(keys[i][0]), str_of(keys[i][1]), &status,
					 pool_first_queue(b.pool), &crowd[i]),
			OK);
		rcu_swap(crowd[i]->spec, &specs[i]);
		queue_add(&crowd[i]->item);
	}
	bench_turn();
	struct scan *scan = scan_at(b.object, 0);
	unsigned refused = 0;
	for (int i = 0; i < 2000 && scan->mode != SCAN_LIST; i++) {
		struct http_req *req = bench_find(HTTP_GET, LIST);
		bool last = req && scan->lender == crowd[CROWD - 1]->identity_hash;
		if (bench_find(HTTP_POST, "/token")) {
			while (bench_find(HTTP_POST, "/serviceaccounts/"))
				reply(HTTP_POST, "/serviceaccounts/", 201, "{\"status\":{\"token\":\"sa-token\"}}");
			while (bench_find(HTTP_POST, ENTRA_URL))
				reply(HTTP_POST, ENTRA_URL, 200,
					"{\"access_token\":\"vault-token\",\"expires_in\":86399}");
		} else if (last) {
			reply_now(LIST, LISTED("a", "1700000000", ""));
		} else if (req) {
			reply(HTTP_GET, LIST, 403, "{\"error\":{\"code\":\"Forbidden\"}}");
			refused++;
		} else if (bench_find(HTTP_GET, GET)) {
			reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
		} else if (bench_find(HTTP_PATCH, "/status?")) {
			reply(HTTP_PATCH, "/status?", 200, "{}");
		} else {
			bench_advance(10 * NS_PER_S);
		}
	}
	assert_int_equal(scan->mode, SCAN_LIST);
	assert_int_equal(refused, CROWD);
	assert_int_equal(scan->denied_count, 0);
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	for (int i = 0; i < CROWD; i++) object_destroy(crowd[i]);
}

static void a_list_that_leads_elsewhere_is_not_followed(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	unsigned before = bench_started();
	reply_now(LIST, "{\"value\":[],\"nextLink\":\"https://evil.vault.azure.net/secrets?a\"}");
	assert_int_equal(bench_started(), before);
	/* The object is moved to its own phase. */
	for (int i = 0; i < 361 && !bench_find(HTTP_GET, GET); i++) pass_time(10 * NS_PER_S);
	reply(HTTP_GET, GET, 200, VALUE("s3cret-value", "v1", "1700000000"));
	assert_null(bench_find(HTTP_PATCH, STATUS_URL));
}

static void a_restart_costs_pages_only(void **state) {
	(void)state;
	begin_listed();
	struct status status;
	assert_int_equal(status_copy(&b.object->status, &status), OK);
	bench_teardown(NULL);
	setup(NULL);
	b.status = status;
	bench_begin();
	assert_int_equal(bench_started(), 0);
	pass_time(2 * NS_PER_S);
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_started(), 3);
}

#define PAGE_TWO "https://v.vault.azure.net/secrets?api-version=7.4&$skiptoken=two"
#define FIRST_OF_TWO(row) row ",\"nextLink\":\"" PAGE_TWO "\"}"
#define ROW_OF(name, second)                                               \
	"{\"value\":[{\"id\":\"https://v.vault.azure.net/secrets/" name    \
	"\",\"attributes\":{\"enabled\":true,\"created\":" second ",\"updated\":" second "}}]"

/* The engine starts again on what the last one left. */
static void begin_again(void) {
	struct status status;
	assert_int_equal(status_copy(&b.object->status, &status), OK);
	bench_teardown(NULL);
	setup(NULL);
	b.status = status;
}

/* The pages of a walk come one by one: whose row is there already does not ask for itself. */
static void a_restart_costs_pages_only_while_the_walk_goes_on(void **state) {
	(void)state;
	begin_listed();
	begin_again();
	bench_begin();
	pass_time(2 * NS_PER_S);
	reply_now(LIST, FIRST_OF_TWO(ROW_OF("a", "1700000000")));
	assert_int_equal(bench_active(), 1);
	reply_now(PAGE_TWO, NOTHING);
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_started(), 4);
}

/* A CRD without our members of the status keeps its conditions, syncHash and lastSuccessfulSyncTime. */
static void prune_status(void) {
	struct buf json;
	cJSON *parsed = NULL;
	buf_init(&json, 64 << 10);
	status_write(&b.status, REASON_NAMES_PREVIEW, STR("o-1"), &json);
	assert_int_equal(json_parse(buf_str(&json), &parsed, NULL), OK);
	cJSON_DeleteItemFromObject(parsed, "observedGeneration");
	cJSON_DeleteItemFromObject(parsed, "objects");
	cJSON_DeleteItemFromObject(parsed, "secretCreationTime");
	status_deinit(&b.status);
	assert_int_equal(status_parse(parsed, REASON_NAMES_PREVIEW, STR("o-1"), &b.status), OK);
	cJSON_Delete(parsed);
	buf_deinit(&json);
}

static void a_restart_costs_pages_only_on_any_crd(void **state) {
	(void)state;
	begin_listed();
	begin_again();
	prune_status();
	bench_begin();
	assert_int_equal(bench_started(), 0);
	pass_time(2 * NS_PER_S);
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_started(), 3);
}

static void two_items(void) {
	b.objects[1] = (struct spc_object){ .name = STR("b"), .path = STR("b"), .kind = VAULT_SECRET };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("b"), STR("l") };
	b.spec.item_count = 2;
}

#define VALUE_B                                                     \
	"{\"value\":\"s3cret-value\",\"id\":\"https://v.vault.azure.net/secrets/b/v1\"," \
	"\"attributes\":{\"enabled\":true,\"created\":1700000000,\"updated\":1700000000}}"

/* Half of its rows say nothing yet. */
static void an_object_waits_for_the_page_of_its_last_name(void **state) {
	(void)state;
	two_items();
	bench_begin();
	fetch();
	reply(HTTP_GET, "/secrets/b/", 200, VALUE_B);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	pass_time(2 * NS_PER_S);
	reply_now(LIST, FIRST_OF_TWO(ROW_OF("a", "1700000000")));
	assert_int_equal(bench_active(), 1);
	reply_now(PAGE_TWO, LISTED("b", "1700000000", ""));
	take_no_change();
	begin_again();
	two_items();
	bench_begin();
	pass_time(2 * NS_PER_S);
	reply_now(LIST, FIRST_OF_TWO(ROW_OF("b", "1700000000")));
	assert_int_equal(bench_active(), 1);
	reply_now(PAGE_TWO, LISTED("a", "1700000000", ""));
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_started(), 4);
}

/* No walk need tell that the class was edited meanwhile. */
static void a_restart_finds_an_edited_class_at_once(void **state) {
	(void)state;
	begin_listed();
	begin_again();
	b.spc.generation = 2;
	bench_begin();
	fetch();
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	bench_take_status();
}

/* No walk can begin: the objects do not wait for one, and their conditions say so. */
static void a_restart_without_entra_is_told(void **state) {
	(void)state;
	begin_listed();
	struct status status;
	assert_int_equal(status_copy(&b.object->status, &status), OK);
	bench_teardown(NULL);
	setup(NULL);
	b.status = status;
	bench_begin();
	for (int i = 0; i < 400 && !bench_find(HTTP_PATCH, STATUS_URL); i++) {
		bench_advance(20 * NS_PER_S);
		if (bench_find(HTTP_POST, TOKEN_URL))
			reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
		if (bench_find(HTTP_POST, ENTRA_URL)) lose(HTTP_POST, ENTRA_URL, ERR_NETWORK, false);
	}
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateFailedProviderError");
	bench_take_status();
}

/* Everything on the way to the vault is refused; how many requests went there? */
static unsigned refuse_for(int64_t ns, bool until_told) {
	unsigned asked = 0;
	for (int64_t passed = 0; passed < ns; passed += 5 * NS_PER_S) {
		bench_advance(5 * NS_PER_S);
		if (bench_find(HTTP_POST, TOKEN_URL))
			reply(HTTP_POST, TOKEN_URL, 201, "{\"status\":{\"token\":\"sa-token\"}}");
		for (struct http_req *req; (req = bench_find(HTTP_GET, "v.vault.azure.net"));) {
			no_answer(req, ERR_NETWORK);
			req->maybe_sent = false;
			bench_end(req);
			asked++;
		}
		while (bench_find(HTTP_POST, ENTRA_URL)) {
			lose(HTTP_POST, ENTRA_URL, ERR_NETWORK, false);
			asked++;
		}
		if (until_told && bench_find(HTTP_PATCH, STATUS_URL)) return asked;
	}
	return asked;
}

/* The walk fails; the object says so when it would have been looked at, and for no request of its own but a trial. */
static void an_outage_is_told_in_the_objects_own_time(void **state) {
	(void)state;
	begin_listed();
	unsigned asked = refuse_for(2 * INTERVAL + 60 * NS_PER_S, true);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateFailedProviderError");
	bench_take_status();
	assert_in_range(asked, 1, 2 * INTERVAL / (10 * NS_PER_S));
	/* Once: it is the same outage. */
	refuse_for(2 * INTERVAL, false);
	assert_null(bench_find(HTTP_PATCH, STATUS_URL));
	/* The way is open again: what is in the Secret is what the vault has. */
	for (int i = 0; i < 20 && !bench_find(HTTP_PATCH, STATUS_URL); i++) {
		pass_time(5 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1700000000", ""));
		if (bench_find(HTTP_GET, GET)) reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	}
	assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"status\":\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
}

/* Whose request it is that finds the way open asks for the rest when it has been answered, and nothing of it has failed. */
static void who_tries_the_way_reads_the_rest_behind_it(void **state) {
	(void)state;
	two_items();
	bench_begin();
	give_token();
	while (bench_find(HTTP_GET, "/secrets/")) lose(HTTP_GET, "/secrets/", ERR_NETWORK, false);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "CreateFailedProviderError");
	bench_take_status();
	/* It is still closed: that is no news, and costs no other request. */
	for (int i = 0; i < 20 && !bench_find(HTTP_GET, "/secrets/"); i++) pass_time(NS_PER_S);
	assert_int_equal(bench_active(), 1);
	lose(HTTP_GET, "/secrets/", ERR_NETWORK, false);
	assert_int_equal(bench_active(), 0);
	for (int i = 0; i < 20 && !bench_find(HTTP_GET, "/secrets/"); i++) pass_time(NS_PER_S);
	assert_int_equal(bench_active(), 1);
	reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	assert_int_equal(bench_active(), 1);
	reply_now("/secrets/b/", VALUE_B);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "CreateSucceeded");
	bench_take_status();
}

/* Everything is away until the object has said so; then a page is what gets through first. */
static void begin_outage(void) {
	begin_listed();
	refuse_for(2 * INTERVAL + 60 * NS_PER_S, true);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateFailedProviderError");
	bench_take_status();
	for (int i = 0; i < 400 && !bench_find(HTTP_GET, LIST); i++) {
		pass_time(NS_PER_S);
		if (bench_find(HTTP_GET, GET)) lose(HTTP_GET, GET, ERR_NETWORK, false);
	}
}

static void after_an_outage_pages_are_enough(void **state) {
	(void)state;
	begin_outage();
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"status\":\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	assert_false(b.object->away);
	/* And walks go on as before. */
	advance_to_walk();
	assert_int_equal(bench_active(), 1);
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_int_equal(bench_active(), 0);
}

/* Whatever stands on its first page: its own row is what counts. */
static void after_an_outage_a_row_of_before_is_not_enough(void **state) {
	(void)state;
	begin_outage();
	reply_now(LIST, FIRST_OF_TWO(ROW_OF("z", "1700000000")));
	assert_null(bench_find(HTTP_PATCH, STATUS_URL));
	assert_null(bench_find(HTTP_GET, GET));
	reply_now(PAGE_TWO, LISTED("a", "1700000000", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"status\":\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
}

static void what_changed_during_an_outage_is_read(void **state) {
	(void)state;
	begin_outage();
	reply_now(LIST, LISTED("a", "1700000009", ""));
	assert_int_equal(b.object->sync->class, CLASS_SEEN);
	reply_now(GET, VALUE("s3cret-value", "v2", "1700000009"));
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateSucceeded");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

/* The way is open, but nobody may list any more: it is looked at in its own time. */
static void after_an_outage_without_a_walk_it_is_read(void **state) {
	int seconds = 0;
	(void)state;
	begin_outage();
	reply(HTTP_GET, LIST, 403, "{\"error\":{\"code\":\"Forbidden\"}}");
	for (; seconds < INTERVAL / NS_PER_S && !bench_find(HTTP_GET, GET); seconds += 10) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) reply(HTTP_GET, LIST, 403, "{\"error\":{\"code\":\"Forbidden\"}}");
	}
	reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"status\":\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
}

/* What was asked for meanwhile is not in the Secret: no row tells about that. */
static void what_was_edited_during_an_outage_is_read(void **state) {
	(void)state;
	begin_outage();
	b.spc.generation = 2;
	bench_again();
	reply_now(LIST, LISTED("a", "1700000000", ""));
	reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateSucceeded");
	bench_take_status();
}

/* Somebody else has found the way open, and no walk has begun since it was closed. */
static void after_an_outage_the_walk_of_before_is_not_enough(void **state) {
	(void)state;
	begin_listed();
	struct gate *gate = &b.object->shard->gate;
	gate->open = true;
	gate->trial_at_ns = INT64_MAX;
	gate->fault = fault_make(ERR_NETWORK, "it is away");
	for (int i = 0; i < 400 && !bench_find(HTTP_PATCH, STATUS_URL); i++) pass_time(10 * NS_PER_S);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"False\",\"reason\":\"UpdateFailedProviderError");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	gate->open = false;
	thread_set_role(ROLE_WORKER);
	schedule_waiter_woken(gate, list_pop(&gate->waiters));
	thread_set_role(ROLE_MAIN);
	bench_turn();
	assert_int_equal(bench_active(), 1);
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

/* Nobody waits for it: those that became due during an outage are not to come all at its end. */
static void a_safety_reread_of_an_outage_waits_for_its_next_moment(void **state) {
	(void)state;
	begin_listed();
	struct gate *gate = &b.object->shard->gate;
	gate->open = true;
	gate->trial_at_ns = INT64_MAX;
	gate->fault = fault_make(ERR_NETWORK, "it is away");
	assert_int_equal(b.object->due, CLASS_SAFETY);
	thread_set_role(ROLE_WORKER);
	schedule_timer_fired(&b.object->timer);
	thread_set_role(ROLE_MAIN);
	bench_turn();
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"False\",\"reason\":\"UpdateFailedProviderError");
	bench_take_status();
	gate->open = false;
	thread_set_role(ROLE_WORKER);
	schedule_waiter_woken(gate, list_pop(&gate->waiters));
	thread_set_role(ROLE_MAIN);
	bench_turn();
	assert_null(bench_find(HTTP_GET, GET));
	reply_now(LIST, LISTED("a", "1700000000", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	assert_int_equal(b.object->due, CLASS_SAFETY);
}

/* However late by chance: it is never passed over for polls, of which a listed object has none. */
static void no_jitter_takes_the_place_of_a_safety_reread(void **state) {
	(void)state;
	begin_listed();
	struct worker *worker = pool_worker(b.pool, 0);
	uint64_t before = metric_read(METRIC_SAFETY_READS);
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.change_detection = CHANGE_BY_LIST;
	settings.poll_interval_ns = 60 * NS_PER_S;
	settings.drift = DRIFT_OFF;
	settings.safety_polls = 24;
	settings.jitter_ns = 300 * NS_PER_S;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
	assert_int_equal(worker->settings.jitter_ns, settings.jitter_ns);
	const unsigned steps = 5760, step_s = 5;
	for (unsigned i = 0; i < steps; i++) {
		pass_time(step_s * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1700000000", ""));
		if (bench_find(HTTP_GET, GET)) reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
		if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
		assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
	}
	/* From one to the next it takes 24 intervals and twice the jitter at most. */
	unsigned period_s = 24 * 60;
	assert_in_range(metric_read(METRIC_SAFETY_READS) - before, steps * step_s / (period_s + 600), steps * step_s / period_s);
}

/* The vault answers, and wants to be left alone: as if it were away. */
static void after_a_long_pause_pages_are_enough(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	reply_after(HTTP_GET, LIST, 429, 3600, "{}");
	int64_t until_ns = b.now.mono_ns + 3600 * NS_PER_S;
	unsigned told = 0;
	while (b.now.mono_ns < until_ns) {
		assert_null(bench_find(HTTP_GET, "/secrets"));
		told += bench_find(HTTP_PATCH, STATUS_URL) != NULL;
		if (bench_find(HTTP_PATCH, STATUS_URL)) {
			assert_sends(request(HTTP_PATCH, STATUS_URL), "asks by Retry-After to be left alone, until 2027-");
			bench_take_status();
		}
		pass_time(NS_PER_S);
	}
	assert_int_equal(told, 1);
	for (int i = 0; i < 60 && !bench_find(HTTP_PATCH, STATUS_URL); i++) {
		assert_null(bench_find(HTTP_GET, GET));
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1700000000", ""));
		else pass_time(NS_PER_S);
	}
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"status\":\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

/* Something else is wrong with it: a row that is as it was says nothing about that. */
static void who_was_not_well_before_an_outage_is_not_well_by_its_end(void **state) {
	(void)state;
	begin_listed();
	begin_again();
	enum err err = status_set(&b.status, CONDITION_READY, CONDITION_FALSE, REASON_UPDATE_FAILED_LABEL, STR("x"), 1, 0);
	assert_int_equal(err, OK);
	bench_begin();
	give_token();
	lose(HTTP_GET, GET, ERR_NETWORK, false);
	bench_take_status();
	assert_false(list_is_empty(&b.object->shard->gate.waiters));
	assert_false(b.object->away);
}

/* And so it is where the token is what cannot be had. */
static void an_outage_of_entra_is_told_too(void **state) {
	(void)state;
	begin_listed_for_a_while();
	bench_advance(120 * NS_PER_S);
	refuse_for(2 * INTERVAL + 60 * NS_PER_S, true);
	assert_sends(request(HTTP_PATCH, STATUS_URL), "UpdateFailedProviderError");
	bench_take_status();
	for (int i = 0; i < 20 && !bench_find(HTTP_PATCH, STATUS_URL); i++) {
		pass_time(5 * NS_PER_S);
		if (bench_find(HTTP_POST, ENTRA_URL))
			reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":86399}");
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1700000000", ""));
		if (bench_find(HTTP_GET, GET)) reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	}
	assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "\"status\":\"True\",\"reason\":\"UpdateNoValueChange");
	bench_take_status();
}

static void a_restart_finds_what_changed_meanwhile(void **state) {
	(void)state;
	begin_listed();
	struct status status;
	assert_int_equal(status_copy(&b.object->status, &status), OK);
	bench_teardown(NULL);
	setup(NULL);
	b.status = status;
	bench_begin();
	pass_time(2 * NS_PER_S);
	reply_now(LIST, LISTED("a", "1700000500", ""));
	reply_now(GET, VALUE("s3cret-value", "v2", "1700000500"));
	request(HTTP_PATCH, SECRETS_URL);
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	bench_take_status();
}

static void a_version_that_no_walk_announced_ends_the_trust(void **state) {
	(void)state;
	begin_listed();
	uint64_t missed = metric_read(METRIC_SCAN_MISSED), safety = metric_read(METRIC_SAFETY_READS);
	int i = 0;
	for (; i < 24 * 361 && !bench_find(HTTP_GET, GET); i++) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1700000000", ""));
	}
	assert_in_range(i, 10, 24 * 361 - 1);
	reply_now(GET, VALUE("s3cret-value", "v2", "1700000500"));
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	bench_take_status();
	assert_int_equal(metric_read(METRIC_SCAN_MISSED), missed + 1);
	assert_int_equal(metric_read(METRIC_SAFETY_READS), safety + 1);
	/* A day of GETs, one per interval. */
	unsigned gets = 0;
	for (i = 0; i < 23 * 360; i++) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) fail_msg("a walk within the day");
		if (!bench_find(HTTP_GET, GET)) continue;
		gets++;
		reply_now(GET, VALUE("s3cret-value", "v2", "1700000500"));
		if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
	}
	assert_in_range(gets, 22, 24);
}

/* The walk knows more than the replica that answers the read: it is the read that is made again. */
static void a_read_that_lags_behind_the_walk_ends_no_trust(void **state) {
	(void)state;
	begin_listed();
	uint64_t missed = metric_read(METRIC_SCAN_MISSED);
	advance_to_walk();
	reply_now(LIST, LISTED("a", "1799999000", ""));
	reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	assert_int_equal(scan_at(b.object, 0)->mode, SCAN_LIST);
	assert_int_equal(metric_read(METRIC_SCAN_MISSED), missed);
	pass_time(5 * NS_PER_S);
	reply_now(GET, VALUE("s3cret-value", "v2", "1799999000"));
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	bench_take_status();
	assert_int_equal(scan_at(b.object, 0)->mode, SCAN_LIST);
}

/* A replica that lags for long: its object is read again at its poll, not only when a safety re-read comes. */
static void a_read_that_lags_for_long_is_made_again_at_the_poll(void **state) {
	(void)state;
	begin_listed();
	advance_to_walk();
	reply_now(LIST, LISTED("a", "1799999000", ""));
	unsigned reads = 0;
	for (int i = 0; i < 60; i++) {
		if (bench_find(HTTP_GET, GET)) {
			reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
			reads++;
		}
		pass_time(NS_PER_S);
	}
	assert_int_equal(reads, 1 + SETTLE_TRIES);
	for (int i = 0; i < 361 && !bench_find(HTTP_GET, GET); i++) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1799999000", ""));
	}
	reply_now(GET, VALUE("s3cret-value", "v2", "1799999000"));
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "6", ""));
	bench_take_status();
}

static void one_object_is_not_worth_a_list(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.drift = DRIFT_OFF;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_begin();
	fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	for (int i = 0; i < 361 && !bench_active(); i++) pass_time(10 * NS_PER_S);
	reply(HTTP_GET, GET, 200, VALUE("s3cret-value", "v1", "1700000000"));
	bench_take_status();
}

/* Each of them would ask for itself. */
static void two_readers_of_one_object_are_worth_a_list(void **state) {
	(void)state;
	struct object *other = NULL;
	struct status none = { 0 };
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.drift = DRIFT_OFF;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_begin();
	assert_int_equal(
		object_create(STR("apps/o"), STR("o-2"), &none, pool_first_queue(b.pool), &other), OK);
	rcu_swap(other->spec, &b.spec);
	queue_add(&other->item);
	bench_turn();
	fetch();
	for (int i = 0; i < 2; i++) reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	for (int i = 0; i < 2; i++) bench_take_status();
	pass_time(2 * NS_PER_S);
	reply_now(LIST, LISTED("a", "1700000000", ""));
	for (int i = 0; i < 2; i++) take_no_change();
	assert_int_equal(bench_active(), 0);
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	object_destroy(other);
}

/* Another interval and another pace hold from now on, not from the next check on. */
static void new_settings_hold_at_once(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.change_detection = CHANGE_BY_LIST;
	settings.drift = DRIFT_OFF;
	begin_listed();
	settings.poll_interval_ns = 30 * NS_PER_S;
	settings.vault_rate_per_s = 5;
	settings.vault_burst = 1;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	unsigned walks = 0;
	for (int i = 0; i < 60; i++) {
		pass_time(5 * NS_PER_S);
		if (!bench_find(HTTP_GET, LIST)) continue;
		walks++;
		reply_now(LIST, LISTED("a", "1700000000", ""));
	}
	assert_in_range(walks, 9, 11);
	struct shard *shard = container_of(
		list_first(&pool_worker(b.pool, 0)->shard_list), struct shard, all);
	assert_true(shard->gate.limit.ceiling_per_s == 5);
	/* And so does the object's own moment, once it is checked by GET. */
	settings.change_detection = CHANGE_BY_GET;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	unsigned gets = 0;
	for (int i = 0; i < 60; i++) {
		pass_time(5 * NS_PER_S);
		if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
		if (!bench_find(HTTP_GET, GET)) continue;
		gets++;
		reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
		if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
	}
	assert_in_range(gets, 9, 12);
}

/* The Secret is looked at once per poll all the same. */
static void a_listed_object_is_probed_without_a_read(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.change_detection = CHANGE_BY_LIST;
	begin_listed();
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_again();
	unsigned probes = 0, gets = 0;
	for (int i = 0; i < 5 * 360; i++) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1700000000", ""));
		gets += bench_find(HTTP_GET, GET) != NULL;
		if (!bench_find(HTTP_PATCH, SECRETS_URL)) continue;
		probes++;
		reply(HTTP_PATCH, SECRETS_URL, 200,
			OURS("s-1", "5",
				",\"managedFields\":[{\"manager\":\"secrets-store-sync-controller\","
				"\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\","
				"\"fieldsV1\":{\"f:data\":{\"f:k\":{}}}}]"));
	}
	assert_int_equal(gets, 0);
	assert_in_range(probes, 4, 7);
	assert_int_equal(bench_active(), 0);
}

/* And written again when it is gone, after one read. */
static void a_listed_object_whose_secret_is_gone_is_written_again(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.change_detection = CHANGE_BY_LIST;
	settings.events_per_s = 0;
	begin_listed();
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	for (int i = 0; i < 800 && !bench_find(HTTP_PATCH, SECRETS_URL); i++) {
		pass_time(10 * NS_PER_S);
		if (bench_find(HTTP_GET, LIST)) reply_now(LIST, LISTED("a", "1700000000", ""));
	}
	reply(HTTP_PATCH, SECRETS_URL, 404, "{\"reason\":\"NotFound\"}");
	reply_now(GET, VALUE("s3cret-value", "v1", "1700000000"));
	for (int i = 0; i < 3 && bench_find(HTTP_PATCH, SECRETS_URL); i++)
		reply(HTTP_PATCH, SECRETS_URL, 404, "{\"reason\":\"NotFound\"}");
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-2", "9", ""));
	bench_take_status();
	assert_int_equal(bench_active(), 0);
}

/* A version that the class names never changes: neither a list nor a read is needed. */
static void a_pinned_version_is_left_alone(void **state) {
	(void)state;
	b.objects[0].version = STR("v1");
	bench_begin();
	give_token();
	reply(HTTP_GET, "/secrets/a/v1", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	int i = 0;
	for (; i < 25 * 361 && !bench_active(); i++) pass_time(10 * NS_PER_S);
	assert_in_range(i, 10, 24 * 361);
	reply(HTTP_GET, "/secrets/a/v1", 200, VALUE("s3cret-value", "v1", "1700000000"));
	take_no_change();
	assert_int_equal(bench_active(), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		SCAN_TEST(an_unchanged_object_costs_pages_only),
		SCAN_TEST(a_walk_comes_once_per_interval),
		SCAN_TEST(a_walk_has_a_moment_of_its_clusters_own),
		SCAN_TEST(a_walk_in_a_hurry_lets_the_vault_rest),
		SCAN_TEST(the_first_walk_waits_for_an_import),
		SCAN_TEST(the_first_walk_waits_for_a_quarter_of_an_interval),
		SCAN_TEST(the_first_walk_does_not_wait_for_an_import_where_intervals_are_short),
		SCAN_TEST(the_first_walk_does_not_wait_for_an_import_when_somebody_does),
		SCAN_TEST(who_came_during_a_walk_is_left_to_the_next_one),
		SCAN_TEST(rows_are_of_their_names_in_any_order),
		SCAN_TEST(a_changed_row_is_read_and_written),
		SCAN_TEST(a_read_that_tells_nothing_new_writes_nothing),
		SCAN_TEST(a_name_that_is_gone_is_read_and_read_again_when_it_comes_back),
		SCAN_TEST(a_version_as_young_as_its_read_is_read_once_more),
		SCAN_TEST(where_listing_is_denied_objects_are_read),
		SCAN_TEST(a_token_that_cannot_be_had_for_now_ends_no_trust),
		SCAN_TEST(a_walk_that_had_to_wait_is_not_given_up),
		SCAN_TEST(a_list_that_goes_on_failing_is_tried_less_often),
		SCAN_TEST(nobody_is_left_behind_when_lists_are_given_up),
		SCAN_TEST(nobody_is_left_behind_when_lists_are_given_up_while_a_walk_is_told),
		SCAN_TEST(a_walks_end_is_told_slice_by_slice),
		SCAN_TEST(anyone_who_may_list_is_found),
		SCAN_TEST(a_list_that_leads_elsewhere_is_not_followed),
		SCAN_TEST(a_restart_costs_pages_only),
		SCAN_TEST(a_restart_costs_pages_only_while_the_walk_goes_on),
		SCAN_TEST(a_restart_costs_pages_only_on_any_crd),
		SCAN_TEST(an_object_waits_for_the_page_of_its_last_name),
		SCAN_TEST(a_restart_finds_an_edited_class_at_once),
		SCAN_TEST(a_restart_without_entra_is_told),
		SCAN_TEST(an_outage_is_told_in_the_objects_own_time),
		SCAN_TEST(who_tries_the_way_reads_the_rest_behind_it),
		SCAN_TEST(after_an_outage_pages_are_enough),
		SCAN_TEST(after_an_outage_a_row_of_before_is_not_enough),
		SCAN_TEST(what_changed_during_an_outage_is_read),
		SCAN_TEST(after_an_outage_without_a_walk_it_is_read),
		SCAN_TEST(what_was_edited_during_an_outage_is_read),
		SCAN_TEST(after_an_outage_the_walk_of_before_is_not_enough),
		SCAN_TEST(a_safety_reread_of_an_outage_waits_for_its_next_moment),
		SCAN_TEST(no_jitter_takes_the_place_of_a_safety_reread),
		SCAN_TEST(after_a_long_pause_pages_are_enough),
		SCAN_TEST(who_was_not_well_before_an_outage_is_not_well_by_its_end),
		SCAN_TEST(an_outage_of_entra_is_told_too),
		SCAN_TEST(a_restart_finds_what_changed_meanwhile),
		SCAN_TEST(a_version_that_no_walk_announced_ends_the_trust),
		SCAN_TEST(a_read_that_lags_behind_the_walk_ends_no_trust),
		SCAN_TEST(a_read_that_lags_for_long_is_made_again_at_the_poll),
		SCAN_TEST(one_object_is_not_worth_a_list),
		SCAN_TEST(two_readers_of_one_object_are_worth_a_list),
		SCAN_TEST(new_settings_hold_at_once),
		SCAN_TEST(a_listed_object_is_probed_without_a_read),
		SCAN_TEST(a_listed_object_whose_secret_is_gone_is_written_again),
		SCAN_TEST(a_pinned_version_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
