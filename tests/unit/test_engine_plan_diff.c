/* engine/plan_diff, engine/plan_record: what two Secrets, and how a reconcile ended, come to. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "clients/json.h"
#include "engine/plan_impl.h"
#include "engine/spec.h"

static struct plan plan;
static struct plan_target target;

static struct spc_cell *cell_of(struct cell_source *source, struct str ns, struct str name) {
	(void)source;
	(void)ns;
	return spc_cell_create(name);
}

static cJSON *parse(const char *text) {
	struct fault fault = { 0 };
	cJSON *json = NULL;
	assert_int_equal(json_parse(str_of(text), &json, &fault), OK);
	return json;
}

static void make_spec(void) {
	struct cell_source cells = { cell_of };
	struct object_meta meta = { .ns = STR("shop"), .name = STR("db"), .uid = STR("u"), .generation = 1 };
	cJSON *json = parse(
		"{\"spec\":{\"serviceAccountName\":\"sa\",\"secretProviderClassName\":\"c\",\"secretObject\":"
		"{\"type\":\"Opaque\",\"data\":[{\"sourcePath\":\"one\",\"targetKey\":\"a\"},"
		"{\"sourcePath\":\"two\",\"targetKey\":\"b\"}]}}}");
	assert_int_equal(spec_build(json, &meta, &cells, &target.spec), OK);
	assert_int_equal(target.spec->common->fault.len, 0);
	cJSON_Delete(json);
}

static int set_up(void **state) {
	(void)state;
	plan = (struct plan){ .arena = secret_arena_create(64 << 20), .key = "a key of 32 bytes, for this test" };
	target = (struct plan_target){ 0 };
	make_spec();
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	for (unsigned i = 0; i < target.row_count; i++) {
		mem_free(target.rows[i].name);
		mem_free(target.rows[i].message);
	}
	mem_free(target.rows);
	mem_free(target.message);
	mem_free(target.read);
	spec_unref(target.spec);
	status_deinit(&target.status);
	plan_record_deinit(&target.record);
	secret_arena_destroy(plan.arena);
	return 0;
}

static void put(struct secret *secret, const char *text) {
	secret_init(secret, plan.arena, 1 << 20);
	secret_append(secret, str_of(text));
}

static void before(const char *text) {
	put(&target.record.before, text);
	target.record.sight = SIGHT_THERE;
}

static void after(enum plan_write write, const char *text) {
	put(&target.record.after, text);
	target.record.write = write;
}

static void ready(enum condition_value value, enum reason reason, const char *message) {
	assert_int_equal(status_set(&target.status, CONDITION_READY, value, reason, str_of(message), 1, 0), OK);
}

static const struct plan_row *row(const char *name) {
	for (unsigned i = 0; i < target.row_count; i++) {
		if (strcmp(target.rows[i].name, name) == 0) return &target.rows[i];
	}
	return NULL;
}

static void assert_row(const char *name, enum plan_action action) {
	if (!row(name)) fail_msg("no row %s", name);
	if (row(name)->action != action) fail_msg("%s: %s", name, plan_action_name(row(name)->action));
}

static void conclude(enum err err, enum plan_action action) {
	assert_int_equal(plan_conclude(&plan, &target, err), OK);
	if (target.action != action) fail_msg("it comes to %s", plan_action_name(target.action));
	assert_int_equal(secret_arena_used_bytes(plan.arena), 0);
}

#define FIELDS(manager, data, labels)                                                                \
	"{\"manager\":\"" manager "\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:data\":{" data "},"  \
	"\"f:metadata\":{\"f:labels\":{" labels "}}}}"
#define BEFORE(data, labels, fields)                                                                 \
	"{\"metadata\":{\"labels\":" labels ",\"managedFields\":[" fields "]},\"data\":" data "}"
#define AFTER(data, labels) "{\"metadata\":{\"labels\":" labels ",\"annotations\":{}},\"data\":" data "}"

static void test_create(void **state) {
	(void)state;
	target.record.sight = SIGHT_ABSENT;
	after(WRITE_CREATE, AFTER("{\"a\":\"eA==\",\"b\":\"eA==\"}", "{\"l\":\"\"}"));
	ready(CONDITION_TRUE, REASON_CREATE_SUCCEEDED, "");
	conclude(OK, PLAN_CREATE);
	assert_int_equal(target.row_count, 2);
	assert_row("a", PLAN_CREATE);
	assert_false(row("a")->before.known);
	assert_true(row("a")->after.known);
	assert_memory_equal(row("a")->after.bytes, row("b")->after.bytes, SHA256_BYTES);
	/* HMAC, and not the digest of the value itself. */
	unsigned char digest[SHA256_BYTES];
	assert_int_equal(hmac_sha256((struct str){ plan.key, 32 }, STR("x"), digest), OK);
	assert_memory_equal(row("a")->after.bytes, digest, SHA256_BYTES);
}

static void test_update(void **state) {
	(void)state;
	before(BEFORE("{\"a\":\"eA==\",\"b\":\"eQ\\u003d=\",\"c\":\"eg==\",\"d\":\"eg==\",\"e\":\"eg==\"}",
		"{\"same\":\"<\",\"other\":\"1\",\"gone\":\"1\",\"theirs\":\"1\"}",
		FIELDS("secrets-store-sync-controller", "\"f:a\":{},\"f:c\":{},\"f:d\":{}", "\"f:gone\":{},\"f:other\":{}")
		"," FIELDS("kubectl", "\"f:d\":{},\"f:e\":{}", "\"f:theirs\":{}")));
	after(WRITE_APPLY, AFTER("{\"a\":\"bmV3\",\"b\":\"eQ==\"}",
		"{\"same\":\"\\u003c\",\"other\":\"2\",\"new\":\"\"}"));
	ready(CONDITION_TRUE, REASON_UPDATE_SUCCEEDED, "");
	conclude(OK, PLAN_UPDATE);
	assert_row("a", PLAN_UPDATE);
	assert_row("b", PLAN_UNCHANGED);
	assert_row("c", PLAN_REMOVE);
	assert_true(row("c")->before.known && !row("c")->after.known);
	assert_null(row("d")); /* somebody else owns it, too */
	assert_null(row("e"));
	assert_row("other", PLAN_UPDATE);
	assert_row("new", PLAN_CREATE);
	assert_row("gone", PLAN_REMOVE);
	assert_null(row("same"));
	assert_null(row("theirs"));
	assert_int_equal(target.row_count, 6);
}

static void test_same_values_written(void **state) {
	(void)state;
	before(BEFORE("{\"a\":\"eA==\",\"b\":\"eQ==\"}", "{}", ""));
	after(WRITE_APPLY, AFTER("{\"a\":\"eA==\",\"b\":\"eQ==\"}", "{}"));
	ready(CONDITION_TRUE, REASON_UPDATE_SUCCEEDED, "");
	conclude(OK, PLAN_UNCHANGED);
	assert_int_equal(target.row_count, 2);
}

static void test_nothing_written(void **state) {
	(void)state;
	before(BEFORE("{\"a\":\"eA==\",\"b\":\"eQ==\",\"c\":\"\"}", "{}",
		FIELDS("secrets-store-sync-controller", "\"f:c\":{}", "")));
	ready(CONDITION_TRUE, REASON_UPDATE_NO_CHANGE, "");
	conclude(OK, PLAN_UNCHANGED);
	assert_int_equal(target.row_count, 2);
	assert_memory_equal(row("a")->before.bytes, row("a")->after.bytes, SHA256_BYTES);
	assert_memory_not_equal(row("a")->before.bytes, row("b")->after.bytes, SHA256_BYTES);
}

/* A merge patch takes nothing away. */
static void test_partial(void **state) {
	(void)state;
	before(BEFORE("{\"a\":\"eA==\",\"b\":\"eQ==\",\"c\":\"\"}", "{}",
		FIELDS("secrets-store-sync-controller", "\"f:c\":{}", "")));
	after(WRITE_PATCH, AFTER("{\"a\":\"bmV3\"}", "{}"));
	ready(CONDITION_FALSE, REASON_PARTIAL,
		"[{\"targetKey\":\"a\",\"result\":\"synced\"},"
		"{\"targetKey\":\"b\",\"result\":\"kept\",\"message\":\"why b failed\"}]");
	conclude(OK, PLAN_FAILED);
	assert_int_equal(target.row_count, 2);
	assert_row("a", PLAN_UPDATE);
	assert_row("b", PLAN_FAILED);
	assert_string_equal(row("b")->message, "why b failed");
	assert_null(target.message);
}

static void test_hidden(void **state) {
	(void)state;
	target.record.sight = SIGHT_HIDDEN;
	after(WRITE_APPLY, AFTER("{\"a\":\"eA==\",\"b\":\"eQ==\"}", "{}"));
	ready(CONDITION_TRUE, REASON_UPDATE_SUCCEEDED, "");
	conclude(OK, PLAN_UNKNOWN);
	assert_row("a", PLAN_UNKNOWN);
	assert_true(row("a")->after.known && !row("a")->before.known);
	assert_non_null(strstr(target.message, "may not get it"));
}

static void had_written(const char *version) {
	struct status_object object = { 0 };
	struct block block;
	assert_int_equal(status_objects_begin(&target.status, 2, 6 + 2 * strlen(version), &block), OK);
	status_objects_add(&target.status, &block, &object, STR("one"), str_of(version));
	status_objects_add(&target.status, &block, &object, STR("two"), str_of(version));
}

static void has_read(const char *a, const char *b) {
	target.read = mem_zalloc(2 * sizeof *target.read);
	assert_non_null(target.read);
	strcpy(target.read[0], a);
	strcpy(target.read[1], b);
}

/* The version beside a digest is the one that has it, whatever the status still says. */
static void test_versions_of_what_is_refused(void **state) {
	(void)state;
	had_written("old");
	has_read("new", "");
	before(BEFORE("{\"a\":\"eA==\",\"b\":\"eA==\"}", "{}", ""));
	after(WRITE_APPLY, AFTER("{\"a\":\"eQ==\"}", "{}"));
	ready(CONDITION_FALSE, REASON_UPDATE_FAILED_LABEL, "it is not ours");
	conclude(ERR_FOREIGN, PLAN_REFUSED);
	assert_true(row("a")->after.known && !row("b")->after.known);
	assert_string_equal(row("a")->version, "new");
	assert_string_equal(row("b")->version, "");
}

static void test_versions_of_what_fails(void **state) {
	(void)state;
	had_written("old");
	ready(CONDITION_FALSE, REASON_UPDATE_FAILED_PROVIDER, "the vault is away");
	conclude(ERR_NETWORK, PLAN_FAILED);
	assert_string_equal(row("a")->version, "");
}

static void test_versions_of_what_is_written_in_part(void **state) {
	(void)state;
	had_written("old");
	before(BEFORE("{\"a\":\"eA==\",\"b\":\"eQ==\"}", "{}", ""));
	after(WRITE_PATCH, AFTER("{\"a\":\"bmV3\"}", "{}"));
	ready(CONDITION_FALSE, REASON_PARTIAL,
		"[{\"targetKey\":\"a\",\"result\":\"synced\"},"
		"{\"targetKey\":\"b\",\"result\":\"kept\",\"message\":\"why b failed\"}]");
	conclude(OK, PLAN_FAILED);
	assert_string_equal(row("a")->version, "old");
	assert_string_equal(row("b")->version, "");
}

static void test_refused(void **state) {
	(void)state;
	before(BEFORE("{\"a\":\"eA==\"}", "{}", ""));
	ready(CONDITION_FALSE, REASON_UPDATE_FAILED_LABEL, "it is not ours");
	conclude(ERR_FOREIGN, PLAN_REFUSED);
	assert_row("a", PLAN_REFUSED);
	assert_row("b", PLAN_REFUSED);
	assert_string_equal(target.message, "it is not ours");
}

/* The server's word, whatever the condition is called. */
static void test_refused_by_the_server(void **state) {
	(void)state;
	before(BEFORE("{}", "{}", ""));
	target.record.refused = true;
	ready(CONDITION_FALSE, REASON_USER_INPUT, "the type cannot be changed");
	conclude(ERR_INVALID, PLAN_REFUSED);
}

static void test_failed(void **state) {
	(void)state;
	ready(CONDITION_FALSE, REASON_UPDATE_FAILED_PROVIDER, "the vault is away");
	conclude(ERR_NETWORK, PLAN_FAILED);
	assert_row("a", PLAN_FAILED);
	assert_string_equal(target.message, "the vault is away");
}

/* The status could not be told: the error itself is. */
static void test_failed_without_a_word(void **state) {
	(void)state;
	ready(CONDITION_TRUE, REASON_UPDATE_NO_CHANGE, "");
	conclude(ERR_NOMEM, PLAN_FAILED);
	assert_string_equal(target.message, err_text(ERR_NOMEM));
}

static void test_bad_text(void **state) {
	(void)state;
	before(BEFORE("{\"a\":\"no base64!\"}", "{}", ""));
	ready(CONDITION_TRUE, REASON_UPDATE_NO_CHANGE, "");
	assert_int_equal(plan_conclude(&plan, &target, OK), ERR_PARSE);
}

#define case_of(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		case_of(test_create),
		case_of(test_update),
		case_of(test_same_values_written),
		case_of(test_nothing_written),
		case_of(test_partial),
		case_of(test_hidden),
		case_of(test_versions_of_what_is_refused),
		case_of(test_versions_of_what_fails),
		case_of(test_versions_of_what_is_written_in_part),
		case_of(test_refused),
		case_of(test_refused_by_the_server),
		case_of(test_failed),
		case_of(test_failed_without_a_word),
		case_of(test_bad_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
