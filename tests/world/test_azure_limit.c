/* What Key Vault bears in ten seconds: windows by kind of transaction, weighted, of each vault and of each subscription. */
#include "tests/world/test_azure.h"

static int setup(void **state) {
	if (fixture_open(state)) return -1;
	struct fixture *f = *state;
	put(f, "a", "1");
	f->vault->rate_calls = 16;
	return 0;
}

static void put_key(struct fixture *f, const char *name, const char *type) {
	struct azure_version *version = azure_version_add(
		f->azure, f->vault, AZURE_KEY, str_of(name), STR_NULL, azure_seconds(f->now));
	assert_true(azure_key_set_type(version, str_of(type)));
}

static int create(struct fixture *f, const char *path, const char *body) {
	return vault_ask(f, str_starts(str_of(path), STR("/secrets")) ? "PUT" : "POST", path, body);
}

/* How often it is answered until the limit is reached. */
static unsigned answers(struct fixture *f, const char *path) {
	unsigned count = 0;
	while (vault_get(f, path) == 200) count++;
	assert_int_equal(f->out.status, 429);
	assert_true(f->out.no_reason);
	return count;
}

static void keys_are_counted_apart_from_secrets(void **state) {
	struct fixture *f = *state;
	put_key(f, "k", "RSA");
	assert_int_equal(answers(f, "/secrets/a"), 16);
	assert_int_equal(vault_get(f, "/certificates"), 429);
	assert_int_equal(answers(f, "/keys/k"), 16);
	assert_int_equal(vault_get(f, "/keys"), 429);
	assert_int_equal(f->vault->refused, 4);
	assert_int_equal(f->vault->over_limit, 4);
}

static void keys_weigh_by_their_kind(void **state) {
	static const struct {
		const char *type;
		unsigned answers;
	} rows[] = { { "RSA", 16 }, { "EC", 16 }, { "EC-HSM", 8 }, { "RSA-HSM", 8 }, { "RSA-3072", 4 },
		{ "RSA-3072-HSM", 2 }, { "RSA-4096", 2 }, { "RSA-4096-HSM", 1 } };
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		pass_seconds(f, 10);
		put_key(f, "k", rows[i].type);
		if (answers(f, "/keys/k") != rows[i].answers) fail_msg("%s", rows[i].type);
	}
	/* What tells nothing of a key counts for one. */
	pass_seconds(f, 10);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(vault_get(f, "/keys"), 200);
		assert_int_equal(vault_get(f, "/keys/none"), 404);
		assert_int_equal(vault_get(f, "/keys/k/versions"), 200);
	}
	assert_int_equal(vault_get(f, "/keys/k"), 200);
	assert_int_equal(vault_get(f, "/keys"), 429);
}

/* A version of its own kind. */
static void the_version_that_is_named_weighs(void **state) {
	struct fixture *f = *state;
	char path[128];
	put_key(f, "k", "RSA-4096-HSM");
	snprintf(path, sizeof(path), "/keys/k/%s", f->vault->objects[AZURE_KEY][0]->current->id);
	put_key(f, "k", "EC");
	assert_int_equal(vault_get(f, "/keys/k"), 200);
	assert_int_equal(vault_get(f, "/keys/k"), 200);
	assert_int_equal(vault_get(f, path), 200);
	assert_int_equal(vault_get(f, "/keys/k"), 429);
}

static void what_is_told_of_a_key_shows_its_kind(void **state) {
	struct fixture *f = *state;
	put_key(f, "k", "RSA-4096-HSM");
	assert_int_equal(vault_get(f, "/keys/k"), 200);
	assert_str(said(f, "key.kty"), "RSA-HSM");
	assert_int_equal(said(f, "key.n").len, (4096 / 8 * 4 + 2) / 3);
	put_key(f, "k", "RSA");
	pass_seconds(f, 10);
	assert_int_equal(vault_get(f, "/keys/k"), 200);
	assert_str(said(f, "key.kty"), "RSA");
	assert_int_equal(said(f, "key.n").len, (2048 / 8 * 4 + 2) / 3);
	assert_false(azure_key_set_type(f->vault->objects[AZURE_KEY][0]->current, STR("oct")));
}

static void few_things_can_be_made_in_ten_seconds(void **state) {
	struct fixture *f = *state;
	char path[64];
	for (int i = 0; i < AZURE_RATE_CREATES; i++) {
		snprintf(path, sizeof(path), "/secrets/s-%d", i);
		assert_int_equal(create(f, path, "{\"value\":\"x\"}"), 200);
	}
	assert_int_equal(create(f, "/secrets/s", "{\"value\":\"x\"}"), 429);
	/* That holds nothing else up. */
	assert_int_equal(vault_get(f, "/secrets/s-1"), 200);
	for (int i = 0; i < AZURE_RATE_KEY_CREATES / 2; i++) {
		snprintf(path, sizeof(path), "/keys/k-%d/create", i);
		assert_int_equal(create(f, path, "{\"kty\":\"RSA-HSM\",\"key_size\":3072}"), 200);
	}
	assert_int_equal(create(f, "/keys/k/create", "{\"kty\":\"EC\"}"), 429);
	pass_seconds(f, 10);
	for (int i = 0; i < AZURE_RATE_KEY_CREATES; i++)
		assert_int_equal(create(f, "/keys/k/create", "{\"kty\":\"EC\"}"), 200);
	assert_int_equal(create(f, "/keys/k/create", "{\"kty\":\"EC\"}"), 429);
}

static void ask_other(struct fixture *f, int status) {
	fixture_ask(f, "kv2.vault.azure.net", "GET", "/secrets/b", "api-version=7.4", "", true);
	assert_int_equal(f->out.status, status);
}

/* Five times a vault, whatever each of them has left. */
static void a_subscription_bears_five_vaults(void **state) {
	struct fixture *f = *state;
	struct azure_vault *other = azure_vault_add(f->azure, STR("kv2"), STR(TENANT));
	struct azure_subscription *all = azure_subscription_get(f->azure, STR(""));
	assert_ptr_equal(f->vault->subscription, all);
	assert_ptr_equal(other->subscription, all);
	assert_int_equal(all->rate_calls, 5 * AZURE_RATE_CALLS);
	all->rate_calls = 20;
	assert_int_equal(answers(f, "/secrets/a"), 16);
	for (int i = 0; i < 4; i++) ask_other(f, 403);
	ask_other(f, 429);
	assert_int_equal(other->over_limit, 1);
	assert_int_equal(all->refused, 1);
	/* One in another subscription is none of its business. */
	other->subscription = azure_subscription_get(f->azure, STR("other"));
	ask_other(f, 403);
	other->subscription = all;
	pass_seconds(f, 10);
	ask_other(f, 403);
}

/* What the service refuses of itself says nothing about the caller's pace. */
static void a_storm_is_not_over_the_limit(void **state) {
	struct fixture *f = *state;
	fault_on(f, FAULT_THROTTLE)->count = 1;
	assert_int_equal(vault_get(f, "/secrets/a"), 429);
	assert_int_equal(f->vault->refused, 1);
	assert_int_equal(f->vault->over_limit, 0);
	assert_int_equal(answers(f, "/secrets/a"), 16);
}

int main(void) {
#define LIMIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, fixture_close)
	const struct CMUnitTest tests[] = {
		LIMIT_TEST(keys_are_counted_apart_from_secrets),
		LIMIT_TEST(keys_weigh_by_their_kind),
		LIMIT_TEST(the_version_that_is_named_weighs),
		LIMIT_TEST(what_is_told_of_a_key_shows_its_kind),
		LIMIT_TEST(few_things_can_be_made_in_ten_seconds),
		LIMIT_TEST(a_subscription_bears_five_vaults),
		LIMIT_TEST(a_storm_is_not_over_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
