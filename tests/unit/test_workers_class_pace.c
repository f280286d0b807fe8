/* workers/class_pace: a class that asks for less has less, together with its like, and nobody else has. */
#include "tests/unit/bench_own.h"

enum { MEMBERS = 40 };

static struct own members[MEMBERS];
static unsigned member_count;

static void set_vault_limit(double clusters) {
	struct settings settings = settings_default();
	settings.drift = DRIFT_OFF;
	settings.events_per_s = settings.status_writes_per_s = settings.kube_writes_per_s = 0;
	settings.change_detection = CHANGE_BY_GET;
	settings.vault_rate_per_s = settings.vault_burst = 1e6;
	settings.clusters_per_vault = clusters;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
}

static struct own *add(const char *ns, uint16_t per_10s, unsigned objects) {
	struct own *own = &members[member_count];
	char key[24], uid[16], name[16];
	snprintf(key, sizeof key, "%s/m%u", ns, member_count);
	snprintf(uid, sizeof uid, "u-%u", member_count);
	snprintf(name, sizeof name, "n%u", member_count);
	own_make(own, key, name, objects);
	own->spc.requests_per_10s = per_10s;
	own->common.ns = str_of(ns);
	own_begin(own, uid);
	member_count++;
	return own;
}

static void add_many(unsigned count, const char *ns, uint16_t per_10s) {
	for (unsigned i = 0; i < count; i++) add(ns, per_10s, 1);
}

static void change(struct own *m, uint16_t per_10s) {
	struct spc *old = &m->spc;
	static struct spc changed[MEMBERS];
	struct spc *now = &changed[m - members];
	memcpy(now, old, sizeof *now);
	now->requests_per_10s = per_10s;
	spc_publish(m->cell, now);
	queue_add(&m->object->item);
}

/* Answers all that the vault is asked now; returns how much that was. */
static unsigned served(void) {
	unsigned count = 0;
	for (;;) {
		if (bench_find(HTTP_POST, "/token")) {
			reply(HTTP_POST, "/token", 201, "{\"status\":{\"token\":\"sa-token\"}}");
			reply(HTTP_POST, ENTRA_URL, 200, "{\"access_token\":\"vault-token\",\"expires_in\":3600}");
		} else if (bench_find(HTTP_GET, "vault.azure.net/secrets/")) {
			reply(HTTP_GET, "vault.azure.net/secrets/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
			count++;
		} else if (bench_find(HTTP_PATCH, "/status?")) {
			reply(HTTP_PATCH, "/status?", 200, "{}");
		} else {
			return count;
		}
	}
}

static unsigned served_within(unsigned seconds) {
	unsigned count = 0;
	for (unsigned i = 0; i < seconds * 10; i++) {
		bench_advance(NS_PER_S / 10);
		count += served();
	}
	return count;
}

static int setup(void **state) {
	(void)state;
	member_count = 0;
	if (bench_setup_workers(1)) return -1;
	set_vault_limit(1);
	return 0;
}

static int teardown(void **state) {
	pool_stop(b.pool, 0);
	bench_turn();
	pool_join(b.pool);
	for (unsigned i = 0; i < member_count; i++) own_end(&members[i]);
	return bench_teardown(state);
}

static unsigned new_ones_waiting(void) {
	struct worker_numbers numbers;
	worker_read_numbers(pool_worker(b.pool, 0), &numbers);
	return numbers.waiting[CLASS_NEW];
}

/* Ten classes of one namespace, one number: one pace. Who has none does not wait behind them. */
static void classes_share_a_pace_and_hold_up_nobody_else(void **state) {
	(void)state;
	add_many(20, "slow", 10);
	add_many(10, "apps", 0);
	bench_turn();
	assert_int_equal(served(), 1 + 10);
	assert_int_equal(new_ones_waiting(), 19);
	assert_in_range(served_within(9), 7, 9);
	served_within(14);
	assert_int_equal(new_ones_waiting(), 0);
}

static void another_namespace_and_another_number_are_other_paces(void **state) {
	(void)state;
	add_many(5, "slow", 10);
	add_many(5, "slower", 10);
	add_many(5, "slow", 11);
	bench_turn();
	assert_int_equal(served(), 3);
}

/* Many clusters keep it together, like every limit of a vault. */
static void clusters_share_it(void **state) {
	(void)state;
	set_vault_limit(10);
	add_many(30, "apps", 100);
	bench_turn();
	assert_int_equal(served(), 1);
	assert_in_range(served_within(9), 7, 9);
	/* A reload acts on what waits. */
	set_vault_limit(1);
	assert_true(served_within(1) >= 9);
}

static void a_change_of_the_class_acts_at_once(void **state) {
	(void)state;
	add_many(30, "apps", 1);
	bench_turn();
	assert_int_equal(served(), 1);
	assert_int_equal(served_within(5), 0);
	for (unsigned i = 0; i < 10; i++) change(&members[i], 0);
	bench_turn();
	/* The one that was served already is asked for again. */
	assert_int_equal(served(), 10);
	for (unsigned i = 10; i < 30; i++) change(&members[i], 100);
	bench_turn();
	assert_in_range(served(), 5, 10);
	served_within(3);
	assert_int_equal(new_ones_waiting(), 0);
}

/* What one SecretSync needs goes together, and the next one waits for all of it. */
static void what_one_needs_counts_as_so_many(void **state) {
	(void)state;
	for (int i = 0; i < 5; i++) add("apps", 40, OWN_WIDE);
	bench_turn();
	/* 40 in ten seconds are 4 at once and 3.6 a second. */
	assert_int_equal(served(), OWN_WIDE);
	assert_int_equal(served_within(1), OWN_WIDE);
	assert_in_range(served_within(3), 2 * OWN_WIDE, 3 * OWN_WIDE);
}

/* A poll that has nothing to ask takes nothing from those that have. */
static void what_asks_for_nothing_takes_nothing(void **state) {
	(void)state;
	struct own *first = add("apps", 1, 1);
	bench_turn();
	assert_int_equal(served(), 1);
	bench_advance(25 * NS_PER_S);
	/* Its spec is of no use now: it ends without a request. */
	struct spec_common broken;
	struct spec spec;
	memcpy(&broken, first->spec.common, sizeof broken);
	memcpy(&spec, &first->spec, sizeof spec);
	broken.fault = STR("spec.x is wrong");
	spec.common = &broken;
	rcu_swap(first->object->spec, &spec);
	queue_add(&first->object->item);
	bench_turn();
	assert_int_equal(served(), 0);
	add("apps", 1, 1);
	bench_turn();
	assert_int_equal(served(), 1);
	rcu_swap(first->object->spec, &first->spec);
}

static void the_most_urgent_goes_first(void **state) {
	(void)state;
	struct own *changed = add("apps", 1, 1);
	bench_turn();
	assert_int_equal(served(), 1);
	add_many(2, "apps", 1);
	bench_turn();
	queue_add(&changed->object->item);
	bench_turn();
	assert_int_equal(changed->object->wait_class, CLASS_CHANGED);
	assert_true(changed->object->held);
	served_within(21);
	assert_true(changed->object->held);
	assert_int_equal(new_ones_waiting(), 1);
	/* But every class has its share. */
	served_within(21);
	assert_false(changed->object->held);
	assert_int_equal(new_ones_waiting(), 1);
	/* Who goes meanwhile is not missed. */
	struct object *last = members[members[1].object->wait_class == CLASS_NEW ? 1 : 2].object;
	assert_true(last->held && last->wait_class == CLASS_NEW);
	rcu_swap(last->spec, NULL);
	queue_close(&last->item);
	bench_turn();
	assert_ptr_equal(pool_take_retired(b.pool), last);
	assert_int_equal(new_ones_waiting(), 0);
}

/* Rested, and of use to nobody: its memory comes back. */
static void a_pace_that_rests_is_forgotten(void **state) {
	(void)state;
	struct own *m = add("apps", 1, 1);
	bench_turn();
	served();
	struct shard *shard = m->object->shard;
	assert_int_equal(map_count(&shard->class_paces), 1);
	change(m, 0);
	bench_turn();
	served();
	bench_advance(61 * NS_PER_S);
	served();
	assert_int_equal(map_count(&shard->class_paces), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(classes_share_a_pace_and_hold_up_nobody_else),
		TEST(another_namespace_and_another_number_are_other_paces),
		TEST(clusters_share_it),
		TEST(a_change_of_the_class_acts_at_once),
		TEST(what_one_needs_counts_as_so_many),
		TEST(what_asks_for_nothing_takes_nothing),
		TEST(the_most_urgent_goes_first),
		TEST(a_pace_that_rests_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
