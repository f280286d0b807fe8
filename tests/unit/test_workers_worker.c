/* workers/worker: homes, hand-over, retirement, and vaults that do not wait for each other. */
#include <stdio.h>

#include "tests/unit/bench_own.h"

static int setup_two(void **state) {
	(void)state;
	return bench_setup_workers(2);
}

static unsigned home_index(void) {
	return worker_object_count(pool_worker(b.pool, 1)) ? 1 : 0;
}

/* A name of a vault whose home is worker `index`. */
static struct str vault_of(unsigned index, char url[static 64]) {
	for (int i = 0;; i++) {
		snprintf(url, 64, "https://v%d.vault.azure.net", i);
		if (hash64_stable(str_of(url)) % 2 == index) return str_of(url);
	}
}

static void set_vault(struct str url) {
	b.access.vault_url = url;
	b.access.home_hash = hash64_stable(url);
}

static void an_object_goes_where_its_vault_is_at_home(void **state) {
	char url[64];
	(void)state;
	set_vault(vault_of(1, url));
	bench_begin();
	assert_int_equal(worker_object_count(pool_worker(b.pool, 0)), 0);
	assert_int_equal(worker_object_count(pool_worker(b.pool, 1)), 1);
	assert_non_null(b.https[1]->active[0]);
	assert_null(b.https[0]->active[0]);
	/* Two workers, one order: nobody needs the other's connections. */
	bench_give_token();
	reply(HTTP_GET, url, 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	assert_int_equal(b.https[0]->started, 0);
}

static void another_vault_moves_it_when_its_turn_is_over(void **state) {
	static char first[64], second[64];
	(void)state;
	set_vault(vault_of(0, first));
	bench_begin();
	bench_give_token();
	assert_int_equal(home_index(), 0);
	static struct spc moved; /* read until the worker is gone */
	static struct spc_access moved_access;
	memcpy(&moved, &b.spc, sizeof moved);
	memcpy(&moved_access, &b.access, sizeof moved_access);
	moved.access = &moved_access;
	moved_access.vault_url = vault_of(1, second);
	moved_access.home_hash = hash64_stable(moved_access.vault_url);
	spc_publish(b.cell, &moved);
	bench_again();
	/* It runs: it stays until it is done. */
	assert_int_equal(home_index(), 0);
	reply(HTTP_GET, first, 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	/* Its status comes along, and is written there. */
	assert_null(bench_find(HTTP_PATCH, STATUS_URL));
	assert_int_equal(home_index(), 1);
	assert_int_equal(worker_object_count(pool_worker(b.pool, 0)), 0);
	bench_give_token();
	assert_non_null(bench_find(HTTP_GET, second));
	reply(HTTP_GET, second, 200, VALUE("other", "w1", "1700000009"));
	/* What it knew has come with it: the Secret is not created a second time. */
	assert_null(bench_find(HTTP_POST, SECRETS_URL));
	spc_publish(b.cell, &b.spc);
}

static void without_a_usable_class_it_lives_on_the_first(void **state) {
	char url[64];
	(void)state;
	set_vault(vault_of(1, url));
	bench_begin();
	assert_int_equal(home_index(), 1);
	spc_publish(b.cell, NULL);
	bench_give_token();
	reply(HTTP_GET, url, 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
	bench_take_status();
	bench_again();
	assert_int_equal(home_index(), 0);
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_SPC);
	spc_publish(b.cell, &b.spc);
}

static void a_closed_object_is_handed_back_once(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	struct object *object = b.object;
	rcu_swap(object->spec, NULL);
	queue_close(&object->item);
	bench_turn();
	/* It runs still. */
	assert_null(pool_take_retired(b.pool));
	reply(HTTP_GET, "/secrets/a/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
	/* Nothing is asked of the API server about who is gone but what was under way. */
	if (bench_find(HTTP_PATCH, STATUS_URL)) bench_take_status();
	assert_int_equal(b.wakes_of_main, 1);
	assert_ptr_equal(pool_take_retired(b.pool), object);
	assert_null(pool_take_retired(b.pool));
	assert_int_equal(worker_object_count(pool_worker(b.pool, 0)), 0);
	bench_advance(7200 * NS_PER_S);
	assert_int_equal(bench_active(), 0);
}

static void settings_hold_from_the_next_turn_on(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	struct settings settings = settings_default();
	settings.poll_interval_ns = 60 * NS_PER_S;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	bench_advance(60 * NS_PER_S);
	assert_non_null(bench_find(HTTP_GET, "/secrets/a/"));
}

/* What waits already waits no longer than the new jitter. */
static void another_jitter_holds_at_once(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.drift = DRIFT_OFF;
	settings.change_detection = CHANGE_BY_GET;
	settings.events_per_s = settings.status_writes_per_s = settings.kube_writes_per_s = 0;
	settings.jitter_ns = 100 * 86400 * NS_PER_S;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_begin();
	assert_int_equal(bench_active(), 0);
	settings.jitter_ns = 0;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
	bench_fetch();
	settings.jitter_ns = 100 * 86400 * NS_PER_S;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	struct worker *worker = pool_worker(b.pool, 0);
	assert_true(timer_at_ns(&worker->timers, &b.object->timer) > b.now.mono_ns + 3600 * NS_PER_S);
	settings.jitter_ns = 0;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
	assert_true(timer_at_ns(&worker->timers, &b.object->timer) <= b.now.mono_ns + 3600 * NS_PER_S);
}

/* A server that cannot be reached is not left alone for as long as the old configuration said. */
static void another_breaker_interval_holds_at_once(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.events_per_s = 0;
	settings.breaker_interval_ns = 3600 * NS_PER_S;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_begin();
	bench_give_token();
	lose(HTTP_GET, "/secrets/a/", ERR_NETWORK, false);
	settings.breaker_interval_ns = 10 * NS_PER_S;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
	bench_advance(9 * NS_PER_S);
	assert_null(bench_find(HTTP_GET, "/secrets/a/"));
	bench_advance(2 * NS_PER_S);
	lose(HTTP_GET, "/secrets/a/", ERR_NETWORK, false);
	bench_advance(9 * NS_PER_S);
	assert_null(bench_find(HTTP_GET, "/secrets/a/"));
	bench_advance(2 * NS_PER_S);
	request(HTTP_GET, "/secrets/a/");
}

static void an_interval_of_its_own_comes_first(void **state) {
	(void)state;
	b.common.interval_ns = 5 * NS_PER_S;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	bench_advance(5 * NS_PER_S);
	assert_non_null(bench_find(HTTP_GET, "/secrets/a/"));
}

static uint32_t identity_of(struct str secret) {
	b.access.identity = IDENTITY_PRINCIPAL;
	b.access.client_id = STR("");
	b.access.secret_name = secret;
	bench_again();
	uint32_t hash = b.object->identity_hash;
	reply(HTTP_GET, SECRETS_URL "/", 404, "{\"reason\":\"NotFound\"}");
	bench_take_status();
	return hash;
}

/* Service principals of one namespace have nothing but their Secrets' names that tells them apart. */
static void who_reads_is_told_apart_by_all_that_makes_him(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
	bench_take_status();
	uint32_t workload = b.object->identity_hash, one = identity_of(STR("one")), two = identity_of(STR("two"));
	assert_true(one != two && one != workload && two != workload);
}

static struct object *others[400];

/* Objects that all have this spec, one after the other. */
static void add_others(struct spec *spec, unsigned from, unsigned count) {
	for (unsigned i = from; i < from + count; i++) {
		char key[32], uid[32];
		struct status none = { 0 };
		snprintf(key, sizeof key, "apps/o%u", i);
		snprintf(uid, sizeof uid, "u-%u", i);
		assert_int_equal(
			object_create(str_of(key), str_of(uid), &none, pool_first_queue(b.pool), &others[i]), OK);
		rcu_swap(others[i]->spec, spec);
		queue_add(&others[i]->item);
	}
	bench_turn();
}

/* One vault that answers nothing and hundreds of its objects; another vault's object is served all the same. */
static void a_slow_vault_holds_up_nobody_else(void **state) {
	(void)state;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	bench_advance(NS_PER_MS); /* the answer is too old for those who come now */
	add_others(&b.spec, 0, 400);
	/* Its share of room, and no more. */
	assert_in_range(bench_active(), 2, 1 + 16);
	struct spc far;
	struct spc_access far_access;
	memcpy(&far, &b.spc, sizeof far);
	memcpy(&far_access, &b.access, sizeof far_access);
	far.access = &far_access;
	far_access.vault_url = STR("https://far.vault.azure.net");
	far_access.home_hash = hash64_stable(far_access.vault_url);
	struct spc_cell *cell = spc_cell_create(STR("apps/far"));
	spc_publish(cell, &far);
	struct spec spec;
	memcpy(&spec, &b.spec, sizeof spec);
	spec.cell = cell;
	rcu_swap(others[0]->spec, &spec);
	queue_add(&others[0]->item);
	bench_turn();
	if (!bench_find(HTTP_GET, "https://far")) {
		/* It ran when it was told: its turn comes when that has ended. */
		lose(HTTP_GET, "/secrets/a/", ERR_TIMEOUT, true);
	}
	bench_turn();
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	for (int i = 0; i < 400; i++) object_destroy(others[i]);
	cell->now = NULL;
	spc_cell_unref(cell);
}

static void end_others(unsigned count) {
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	for (unsigned i = 0; i < count; i++) object_destroy(others[i]);
}

/* The vault answers at once whatever it is asked; returns how many writes of Secrets were sent, which are not answered. */
static unsigned read_all(void) {
	unsigned writes = 0;
	while (bench_find(HTTP_GET, "/secrets/a/"))
		reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	for (int i = 0; i < BENCH_REQUESTS; i++) {
		struct http_req *req = b.https[0]->active[i];
		writes += req && req->method == HTTP_POST;
	}
	return writes;
}

/* Together they make one trial in an interval, and wait for the API server as one. */
static void workers_share_the_ways_of_the_api_server(void **state) {
	const struct gate *first = &pool_worker(b.pool, 0)->kube_gate;
	const struct gate *second = &pool_worker(b.pool, 1)->kube_gate;
	(void)state;
	assert_non_null(first->trials);
	assert_ptr_equal(first->trials, second->trials);
	assert_ptr_equal(first->pause, second->pause);
	assert_ptr_not_equal(first->pause, first->trials);
}

/* Entra asks to be left alone for ten minutes. Whoever needs a token says so and makes room for those who have one. */
static void who_waits_for_entra_makes_room_for_others(void **state) {
	static struct spec_common strangers[2];
	static struct spec strange[2];
	(void)state;
	struct settings settings = settings_default();
	settings.drift = DRIFT_OFF;
	settings.change_detection = CHANGE_BY_GET;
	settings.events_per_s = settings.status_writes_per_s = settings.kube_writes_per_s = 0;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	for (int i = 0; i < 2; i++) {
		memcpy(&strangers[i], &b.common, sizeof strangers[i]);
		memcpy(&strange[i], &b.spec, sizeof strange[i]);
		strangers[i].service_account = i ? STR("late") : STR("first");
		strange[i].common = &strangers[i];
	}
	for (unsigned i = 0; i < 80; i++) {
		char key[32], uid[32];
		struct status none = { 0 };
		snprintf(key, sizeof key, "apps/o%u", i);
		snprintf(uid, sizeof uid, "u-%u", i);
		assert_int_equal(
			object_create(str_of(key), str_of(uid), &none, pool_first_queue(b.pool), &others[i]), OK);
		rcu_swap(others[i]->spec, &strange[i / 40]);
		queue_add(&others[i]->item);
		bench_turn();
		while (bench_find(HTTP_POST, "/serviceaccounts/"))
			reply(HTTP_POST, "/serviceaccounts/", 201, "{\"status\":{\"token\":\"sa-token\"}}");
		if (i == 0) reply_after(HTTP_POST, ENTRA_URL, 429, 600, "{}");
		while (bench_find(HTTP_PATCH, "/status?")) reply(HTTP_PATCH, "/status?", 200, "{}");
	}
	int64_t since_ns = b.now.mono_ns;
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	while (bench_find(HTTP_PATCH, "/status?")) reply(HTTP_PATCH, "/status?", 200, "{}");
	for (unsigned i = 0; i < 80; i++)
		assert_int_equal(others[i]->status.conditions[CONDITION_READY].value, CONDITION_FALSE);
	/* And when the time is over they have theirs. */
	while (!bench_find(HTTP_POST, ENTRA_URL) && b.now.mono_ns < since_ns + 1000 * NS_PER_S) {
		bench_advance(NS_PER_S);
		while (bench_find(HTTP_POST, "/serviceaccounts/"))
			reply(HTTP_POST, "/serviceaccounts/", 201, "{\"status\":{\"token\":\"sa-token\"}}");
		assert_null(bench_find(HTTP_PATCH, "/status?"));
	}
	assert_in_range((b.now.mono_ns - since_ns) / NS_PER_S, 600, 760);
	end_others(80);
}

/* --- shares --- */

enum { PARTIES = 20 };

static struct own parties[2 * PARTIES];

static void make_party(unsigned index, unsigned objects, struct str account) {
	char key[24], name[32];
	snprintf(key, sizeof key, "apps/p%u", index);
	snprintf(name, sizeof name, "%s-%u", objects > 1 ? "wide" : "narrow", index);
	own_make(&parties[index], key, name, objects);
	parties[index].common.service_account = account;
}

/* With so many of the others. */
static void end_parties(unsigned count, unsigned other_count) {
	end_others(other_count);
	for (unsigned i = 0; i < count; i++) own_end(&parties[i]);
}

/* Answers what it finds of the vault's, until `most` requests were seen; how many of them were about `what`. */
static unsigned refuse_reads(const char *what, unsigned most) {
	unsigned about = 0;
	for (unsigned i = 0; i < most; i++) {
		struct http_req *req = bench_find(HTTP_GET, "vault.azure.net/secrets/");
		if (!req) break;
		about += str_find(buf_str(&req->url), str_of(what)) != SIZE_MAX;
		reply(HTTP_GET, "vault.azure.net/secrets/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
		while (bench_find(HTTP_PATCH, "/status?")) reply(HTTP_PATCH, "/status?", 200, "{}");
	}
	return about;
}

/* Two identities, whose SecretSyncs need four objects each and one: by requests they have the same. */
static void shares_are_of_requests_not_of_objects(void **state) {
	(void)state;
	struct settings settings = settings_default();
	settings.events_per_s = settings.status_writes_per_s = 0;
	settings.change_detection = CHANGE_BY_GET;
	settings.vault_rate_per_s = settings.vault_burst = 1e6;
	settings.reconciles_per_vault = 2;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	for (unsigned i = 0; i < 2 * PARTIES; i++) {
		char uid[16];
		bool wide = i < PARTIES;
		make_party(i, wide ? OWN_WIDE : 1, wide ? STR("wide") : STR("narrow"));
		snprintf(uid, sizeof uid, "u-%u", i);
		own_begin(&parties[i], uid);
	}
	bench_turn();
	for (unsigned i = 0; i < 2; i++) {
		reply(HTTP_POST, "/token", 201, "{\"status\":{\"token\":\"sa-token\"}}");
		reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":3600}");
	}
	assert_in_range(refuse_reads("wide", 32), 12, 20);
	end_parties(2 * PARTIES, 0);
}

static void set_writes(double rate_per_s) {
	struct settings settings = settings_default();
	settings.drift = DRIFT_OFF;
	settings.events_per_s = 0;
	settings.kube_writes_per_s = rate_per_s;
	settings.reconciles_per_vault = 1000;
	settings.vault_rate_per_s = settings.vault_burst = 1e6;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	bench_turn();
}

/* One at once, then one each half second. Whoever waits holds values, so not all begin; another rate holds at once. */
static void writes_are_paced_and_no_more_begin_than_fit(void **state) {
	struct worker_numbers numbers;
	(void)state;
	set_writes(2);
	bench_begin();
	bench_give_token();
	add_others(&b.spec, 0, 100);
	assert_int_equal(read_all(), 1);
	add_others(&b.spec, 100, 200);
	read_all();
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	assert_int_equal(numbers.writes_waiting, 127);
	assert_int_equal(numbers.running, 128);
	bench_advance(NS_PER_S / 2 + 1);
	assert_int_equal(read_all(), 2);
	reply(HTTP_POST, SECRETS_URL "?", 403, "{}");
	bench_take_status();
	read_all();
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	assert_int_equal(numbers.running, 128);
	assert_int_equal(numbers.writes_waiting, 127);
	set_writes(0);
	assert_int_equal(read_all(), 16);
	end_others(300);
}

/* Writes are what all wait for, and one vault has hundreds of objects that would write: each that is done makes room for one of
 * the next vault. */
static void what_room_writes_leave_goes_round_the_vaults(void **state) {
	(void)state;
	set_writes(2);
	bench_begin();
	bench_give_token();
	add_others(&b.spec, 0, 100);
	read_all();
	add_others(&b.spec, 100, 200);
	read_all();
	make_party(0, 1, STR("sa"));
	struct spc_access far;
	memcpy(&far, &b.access, sizeof far);
	far.vault_url = STR("https://far.vault.azure.net");
	far.home_hash = hash64_stable(far.vault_url);
	parties[0].spc.access = &far;
	own_begin(&parties[0], "u-far");
	bench_turn();
	assert_null(bench_find(HTTP_GET, "https://far"));
	unsigned written = 0;
	for (; written < 10 && !bench_find(HTTP_GET, "https://far"); written++) {
		bench_advance(NS_PER_S / 2 + 1);
		reply(HTTP_POST, SECRETS_URL "?", 403, "{}");
		while (bench_find(HTTP_PATCH, "/status?")) reply(HTTP_PATCH, "/status?", 200, "{}");
		read_all();
	}
	assert_in_range(written, 1, 2);
	end_parties(1, 300);
}

static void read_narrow(void) {
	while (bench_find(HTTP_GET, "/secrets/narrow"))
		reply(HTTP_GET, "/secrets/narrow", 200, VALUE("s3cret-value", "v1", "1700000000"));
	while (bench_find(HTTP_PATCH, "/status?")) reply(HTTP_PATCH, "/status?", 200, "{}");
}

/* An import in two vaults waits for its writes; what has changed in one of them has a twentieth of all that goes on, not of its
 * vault's part of it. */
static void what_has_changed_has_its_share_of_the_writes(void **state) {
	(void)state;
	struct spc_access far;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	memcpy(&far, &b.access, sizeof far);
	far.vault_url = STR("https://far.vault.azure.net");
	far.home_hash = hash64_stable(far.vault_url);
	for (unsigned i = 0; i < 2; i++) make_party(i, 1, STR("sa"));
	parties[0].spc.access = &far;
	set_writes(2);
	add_others(&parties[0].spec, 0, 100);
	read_narrow();
	add_others(&parties[0].spec, 100, 200);
	read_narrow();
	add_others(&parties[1].spec, 300, 50);
	thread_set_role(ROLE_WORKER);
	b.object->reads = true;
	schedule_ready(b.object, CLASS_SEEN);
	thread_set_role(ROLE_MAIN);
	unsigned written = 0;
	for (; written < 60 && !bench_find(HTTP_GET, "/secrets/a/"); written++) {
		bench_advance(NS_PER_S / 2 + 1);
		reply(HTTP_POST, SECRETS_URL "?", 403, "{}");
		read_narrow();
	}
	assert_in_range(written, 15, 21);
	end_parties(2, 350);
}

/* Another controller turned up: what stands in line goes back, and with it the values that it holds. One write is on its way. */
static void no_write_leaves_a_line_while_paused(void **state) {
	struct worker_numbers numbers;
	(void)state;
	set_writes(2);
	bench_begin();
	bench_give_token();
	add_others(&b.spec, 0, 300);
	assert_int_equal(read_all(), 1);
	request(HTTP_POST, SECRETS_URL "?")->maybe_sent = true;
	bench_pause(true);
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	assert_int_equal(numbers.writes_waiting, 0);
	assert_int_equal(numbers.running, 1);
	assert_int_equal(numbers.waiting[CLASS_NEW], 300);
	reply(HTTP_POST, SECRETS_URL "?", 403, "{}");
	for (unsigned i = 0; i < 30; i++) bench_advance(NS_PER_S);
	assert_null(bench_find(HTTP_POST, "https://api"));
	assert_null(bench_find(HTTP_PATCH, "https://api"));
	/* What the vault says by then is what is written. */
	set_writes(0);
	bench_pause(false);
	bench_take_status();
	assert_null(bench_find(HTTP_POST, SECRETS_URL "?"));
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("another-value", "v2", "1700000900"));
	assert_sends(request(HTTP_POST, SECRETS_URL "?"), "\"data\":{\"k\":\"YW5vdGhlci12YWx1ZQ==\"}");
	assert_int_equal(read_all(), 16);
	end_others(300);
}

/* Chosen and handed over, but the connection does not stand yet. */
static void no_write_that_has_not_left_leaves_while_paused(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	assert_false(request(HTTP_POST, SECRETS_URL "?")->maybe_sent);
	bench_pause(true);
	assert_int_equal(bench_active(), 0);
	bench_pause(false);
	assert_int_equal(read_all(), 1);
}

int main(void) {
#define TWO(f) cmocka_unit_test_setup_teardown(f, setup_two, bench_teardown)
	const struct CMUnitTest tests[] = {
		TWO(workers_share_the_ways_of_the_api_server),
		TWO(an_object_goes_where_its_vault_is_at_home),
		TWO(another_vault_moves_it_when_its_turn_is_over),
		TWO(without_a_usable_class_it_lives_on_the_first),
		BENCH_TEST(a_closed_object_is_handed_back_once),
		BENCH_TEST(settings_hold_from_the_next_turn_on),
		BENCH_TEST(another_jitter_holds_at_once),
		BENCH_TEST(another_breaker_interval_holds_at_once),
		BENCH_TEST(an_interval_of_its_own_comes_first),
		BENCH_TEST(who_reads_is_told_apart_by_all_that_makes_him),
		BENCH_TEST(a_slow_vault_holds_up_nobody_else),
		BENCH_TEST(who_waits_for_entra_makes_room_for_others),
		BENCH_TEST(shares_are_of_requests_not_of_objects),
		BENCH_TEST(writes_are_paced_and_no_more_begin_than_fit),
		BENCH_TEST(what_room_writes_leave_goes_round_the_vaults),
		BENCH_TEST(what_has_changed_has_its_share_of_the_writes),
		BENCH_TEST(no_write_leaves_a_line_while_paused),
		BENCH_TEST(no_write_that_has_not_left_leaves_while_paused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
