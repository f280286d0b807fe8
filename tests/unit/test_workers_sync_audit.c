/* workers/sync_audit: one line per write of a Secret, with who, what and why. */
#include <stdio.h>

#include "base/buf.h"
#include "tests/unit/bench.h"

static struct buf audit;
static unsigned audit_count;

static void collect(struct str line, void *arg) {
	bench_no_log(line, arg);
	if (str_find(line, STR(" msg=\"secret ")) == SIZE_MAX) return;
	buf_reset(&audit);
	buf_append(&audit, line);
	audit_count++;
}

static int setup(void **state) {
	buf_init(&audit, 16 << 10);
	audit_count = 0;
	int bad = bench_setup(state);
	log_setup(LOG_ERROR, LOG_LOGFMT);
	log_redirect(collect, NULL);
	return bad;
}

static int teardown(void **state) {
	buf_deinit(&audit);
	log_setup(LOG_INFO, LOG_LOGFMT);
	return bench_teardown(state);
}

#define assert_audit(number, part)                         \
	do {                                               \
		assert_int_equal(audit_count, number);     \
		assert_text(buf_cstr(&audit), part);       \
	} while (0)

static void first_write(void) {
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
}

static void check(const char *version) {
	char row[512];
	snprintf(row, sizeof row, "{\"value\":\"s3cret-value\",\"id\":\"https://v.vault.azure.net/secrets/a/%s\","
		 "\"attributes\":{\"enabled\":true,\"created\":1700000000,\"updated\":1700000000}}", version);
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, row);
}

static void write_again(void) {
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, OURS("s-1", "6", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", ""));
	bench_take_status();
}

static void a_line_says_who_what_and_why(void **state) {
	(void)state;
	first_write();
	assert_audit(1, "level=info msg=\"secret written\" secretsync=apps/db uid=o-1 secret=db what=created "
			"why=first-write vault=https://v.vault.azure.net identity=workload tenant=t client=c serviceaccount=sa "
			"objectsLeftOut=0 objects=a@v1");
}

static void a_check_that_writes_nothing_has_no_line(void **state) {
	(void)state;
	first_write();
	check("v1");
	bench_take_status();
	check("v1");
	assert_int_equal(audit_count, 1);
}

static void each_cause_has_its_word(void **state) {
	(void)state;
	first_write();
	check("v2");
	write_again();
	assert_audit(2, "what=updated why=value-changed");
	assert_audit(2, "objects=a@v2");
	b.spec.generation++;
	check("v2");
	write_again();
	assert_audit(3, "what=updated why=request-changed");
	b.spec.generation++;
	b.common.force = STR("now");
	check("v2");
	write_again();
	assert_audit(4, "what=updated why=forced");
	check("v3");
	reply(HTTP_PATCH, SECRETS_URL "/db?", 404, "{}");
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-2", "9", ""));
	bench_take_status();
	assert_audit(5, "what=created why=secret-missing");
}

/* Nobody knows any more which forceSynchronization the Secret was written with. */
static void after_a_restart_a_force_is_a_changed_request(void **state) {
	(void)state;
	first_write();
	b.object->force_hash = 0;
	b.common.force = STR("now");
	check("v1");
	write_again();
	assert_audit(2, "why=request-changed");
}

static void a_secret_of_the_predecessor_is_taken_over(void **state) {
	(void)state;
	assert_int_equal(status_read_hash(&b.status, spec_uid(&b.spec), STR("abc")), OK);
	bench_begin();
	bench_fetch();
	write_again();
	assert_audit(1, "what=updated why=taken-over");
}

static void a_partial_write_and_its_completion(void **state) {
	(void)state;
	b.objects[1] = (struct spc_object){ .name = STR("b"), .path = STR("b") };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("b"), STR("k2") };
	b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	assert_audit(1, "why=first-write");
	assert_audit(1, "objects=a@v1");
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v2", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 404, "{\"error\":{\"code\":\"SecretNotFound\"}}");
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, OURS("s-1", "5", ""));
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, OURS("s-1", "6", ""));
	bench_take_status();
	assert_audit(2, "what=partial why=value-changed");
	assert_audit(2, "objects=a@v2");
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("x", "v2", "1700000000"));
	reply(HTTP_GET, "/secrets/b/", 200, VALUE("y", "w1", "1700000000"));
	write_again();
	assert_audit(3, "what=updated why=completed");
	assert_audit(3, "objects=\"a@v2 b@w1\"");
}

/* Nothing has changed in the vault; the key has another owner. */
static void a_repair_is_told_apart(void **state) {
	static const char edited[] = OURS("s-1", "6", ",\"managedFields\":[{\"manager\":\"kubectl-edit\",\"operation\":\"Update\","
					  "\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:data\":{\"f:k\":{}}}}]");
	(void)state;
	first_write();
	bench_set_drift(DRIFT_PROBE);
	check("v1");
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, edited);
	reply(HTTP_PATCH, SECRETS_URL "/db?", 200, edited);
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "7", ""));
	bench_take_status();
	assert_audit(2, "what=updated why=drift-repaired");
}

static void a_lost_answer_is_said_to_be_one(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	lose(HTTP_POST, SECRETS_URL "?", ERR_TIMEOUT, true);
	assert_audit(1, "msg=\"secret maybe written\"");
	write_again();
	assert_audit(2, "msg=\"secret written\"");
}

/* The drain is over: the write is on its way, and nobody waits for its answer. */
static void a_write_that_a_stop_cuts_off_is_told_of(void **state) {
	for (int sent = 0; sent < 2; sent++) {
		bench_begin();
		bench_fetch();
		request(HTTP_POST, SECRETS_URL "?")->maybe_sent = sent;
		pool_stop(b.pool, 0);
		bench_turn();
		assert_int_equal(audit_count, sent);
		if (sent) assert_audit(1, "msg=\"secret maybe written\" secretsync=apps/db");
		if (sent) break;
		bench_teardown(state);
		bench_setup(state);
		log_redirect(collect, NULL);
	}
}

static void a_refused_write_has_no_line(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 403, "{\"reason\":\"Forbidden\"}");
	assert_int_equal(audit_count, 0);
	bench_take_status();
}

static void many_long_names_are_bounded(void **state) {
	(void)state;
	enum { ITEMS = 40, NAME = 250 };
	static struct spec_item items[ITEMS];
	static struct spc_object object;
	static char name[NAME + 1];
	memset(name, 'n', NAME);
	object = (struct spc_object){ .name = STR("a"), .path = str_of(name) };
	b.spc.objects = &object;
	for (unsigned i = 0; i < ITEMS; i++) items[i] = (struct spec_item){ str_of(name), STR("k") };
	b.spec.items = items;
	b.spec.item_count = ITEMS;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	bench_take_status();
	assert_audit(1, "objectsLeftOut=24");
	assert_audit(1, "nnn@v1");
	assert_in_range(buf_str(&audit).len, 4000, 8191);
}

#define AUDIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		AUDIT_TEST(a_line_says_who_what_and_why),
		AUDIT_TEST(a_check_that_writes_nothing_has_no_line),
		AUDIT_TEST(each_cause_has_its_word),
		AUDIT_TEST(after_a_restart_a_force_is_a_changed_request),
		AUDIT_TEST(a_secret_of_the_predecessor_is_taken_over),
		AUDIT_TEST(a_partial_write_and_its_completion),
		AUDIT_TEST(a_repair_is_told_apart),
		AUDIT_TEST(a_lost_answer_is_said_to_be_one),
		AUDIT_TEST(a_write_that_a_stop_cuts_off_is_told_of),
		AUDIT_TEST(a_refused_write_has_no_line),
		AUDIT_TEST(many_long_names_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
