/* What a status says, reads and compares: it is all that a restart knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "clients/json.h"
#include "workers/status.h"

#define UID "11111111-2222-3333-4444-555555555555"
#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddee0f"

static const unsigned char DIGEST[SHA256_BYTES] = { 1, 2, 3 };

static cJSON *parse(const char *text) {
	cJSON *json = NULL;
	struct fault fault = { 0 };
	assert_int_equal(json_parse(str_of(text), &json, &fault), OK);
	return json;
}

static struct status read_status(const char *text) {
	struct status status = { 0 };
	cJSON *json = parse(text);
	assert_int_equal(status_parse(json, REASON_NAMES_PREVIEW, STR(UID), &status), OK);
	cJSON_Delete(json);
	return status;
}

static void assert_writes(const struct status *status, const char *expected) {
	struct buf json;
	buf_init(&json, 1 << 16);
	status_write(status, REASON_NAMES_PREVIEW, STR(UID), &json);
	assert_int_equal(buf_err(&json), OK);
	assert_string_equal(buf_cstr(&json), expected);
	buf_deinit(&json);
}

static const char FULL[] =
	"{\"observedGeneration\":3,\"syncHash\":\"kv1:" UID ":" HEX "\",\"lastSuccessfulSyncTime\":\"2026-11-24T03:14:15Z\","
	"\"secretCreationTime\":\"2026-11-24T03:14:14Z\",\"conditions\":["
	"{\"type\":\"SecretCreated\",\"status\":\"True\",\"reason\":\"CreateSucceeded\","
	"\"lastTransitionTime\":\"2026-11-24T03:14:14Z\",\"observedGeneration\":1,\"message\":\"\"},"
	"{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"UpdateFailedProviderError\","
	"\"lastTransitionTime\":\"2026-11-24T04:00:00Z\",\"observedGeneration\":3,\"message\":\"it \\\"broke\\\"\"}],"
	"\"objects\":[{\"name\":\"a/0\",\"type\":\"secret\",\"version\":\"0123\",\"updated\":\"2026-11-24T03:00:00Z\","
	"\"syncedAt\":\"2026-11-24T03:14:15Z\"}]}";

static void what_is_written_reads_back_the_same(void **state) {
	(void)state;
	struct status status = read_status(FULL), copy = { 0 };
	assert_writes(&status, FULL);
	assert_int_equal(status_copy(&status, &copy), OK);
	assert_true(status_equal(&status, &copy));
	copy.objects[0].updated_s++;
	assert_false(status_equal(&status, &copy));
	status_deinit(&status);
	status_deinit(&copy);
}

static void each_difference_counts(void **state) {
	(void)state;
	struct status a = read_status(FULL);
	for (int which = 0; which < 8; which++) {
		struct status b = read_status(FULL);
		assert_true(status_equal(&a, &b));
		if (which == 0) b.observed_generation++;
		if (which == 1) b.digest[31] ^= 1;
		if (which == 2) b.last_successful_s++;
		if (which == 3) b.secret_created_s++;
		if (which == 4) b.conditions[CONDITION_READY].message[0] = 'I';
		if (which == 5) b.conditions[CONDITION_READY].reason = REASON_SPC;
		if (which == 6) b.objects[0].version = "f123";
		if (which == 7) b.hash = HASH_OURS_PARTIAL;
		assert_false(status_equal(&a, &b));
		status_deinit(&b);
	}
	status_deinit(&a);
}

static void another_controllers_conditions_are_taken_over(void **state) {
	(void)state;
	struct status status = read_status(
		"{\"syncHash\":\"v1:00\",\"conditions\":[{\"type\":\"SecretCreated\",\"status\":\"True\",\"reason\":\"CreateSuccessful\","
		"\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"message\":\"x\"},{\"type\":\"SecretUpdated\",\"status\":\"False\","
		"\"reason\":\"ControllerPatchError\",\"lastTransitionTime\":\"2026-01-02T00:00:00Z\",\"message\":\"y\"},"
		"{\"type\":\"Update\",\"status\":\"True\",\"reason\":\"Old\",\"lastTransitionTime\":\"2026-01-02T00:00:00Z\"}]}");
	assert_int_equal(status.conditions[CONDITION_CREATED].reason, REASON_CREATE_SUCCEEDED);
	assert_int_equal(status.conditions[CONDITION_UPDATED].reason, REASON_INTERNAL);
	assert_int_equal(status.conditions[CONDITION_READY].value, CONDITION_ABSENT);
	assert_true(status_has_synced(&status));
	assert_false(status_is_ours(&status, STR(UID)));
	status_deinit(&status);
}

static void nonsense_is_dropped(void **state) {
	(void)state;
	const char *const texts[] = { "{}", "{\"conditions\":7,\"objects\":\"x\",\"syncHash\":[]}",
		"{\"conditions\":[1,null,{\"type\":\"Ready\",\"status\":\"Perhaps\"},{\"type\":\"Other\",\"status\":\"True\"}]}",
		"{\"syncHash\":\"\",\"lastSuccessfulSyncTime\":\"yesterday\"}" };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct status status = read_status(texts[i]);
		assert_writes(&status, "{\"observedGeneration\":0,\"conditions\":[]}");
		status_deinit(&status);
	}
	struct status none = { 0 };
	assert_int_equal(status_parse(NULL, REASON_NAMES_PREVIEW, STR(UID), &none), OK);
	assert_false(status_has_synced(&none));
}

static void the_transition_time_moves_with_the_value_only(void **state) {
	(void)state;
	struct status status = { 0 };
	const struct condition *ready = &status.conditions[CONDITION_READY];
	assert_int_equal(status_set(&status, CONDITION_READY, CONDITION_TRUE, REASON_CREATE_SUCCEEDED, STR("a"), 1, 100), OK);
	assert_int_equal(status_set(&status, CONDITION_READY, CONDITION_TRUE, REASON_UPDATE_NO_CHANGE, STR("b"), 2, 200), OK);
	assert_int_equal(ready->transition_s, 100);
	assert_int_equal(ready->generation, 2);
	assert_string_equal(ready->message, "b");
	assert_int_equal(status_set(&status, CONDITION_READY, CONDITION_FALSE, REASON_SPC, STR(""), 2, 300), OK);
	assert_int_equal(ready->transition_s, 300);
	assert_null(ready->message);
	status_deinit(&status);
}

/* The hash as text. */
static const char *hash_of(const struct status *status) {
	static char text[256];
	struct buf out;
	buf_init(&out, sizeof text);
	status_write_hash(status, STR(UID), &out);
	snprintf(text, sizeof text, "%s", buf_cstr(&out));
	buf_deinit(&out);
	return text;
}

static void the_hash_has_two_halves(void **state) {
	(void)state;
	struct status status = { 0 };
	unsigned char other[SHA256_BYTES] = { 1, 2, 4 };
	status_set_hash(&status, DIGEST, false);
	assert_true(str_starts(str_of(hash_of(&status)), STR("kv1:" UID ":010203")));
	assert_true(status_asked_is(&status, DIGEST));
	assert_true(status_seen_is(&status, DIGEST));
	assert_false(status_is_partial(&status));
	assert_true(status_is_ours(&status, STR(UID)));
	assert_false(status_asked_is(&status, other));
	assert_true(status_seen_is(&status, other));
	other[2] = 3, other[31] = 1;
	assert_true(status_asked_is(&status, other));
	assert_false(status_seen_is(&status, other));
	status_set_hash(&status, DIGEST, true);
	assert_true(str_ends(str_of(hash_of(&status)), STR("00:partial")));
	assert_true(status_is_partial(&status));
	assert_true(status_asked_is(&status, DIGEST));
	assert_true(status_seen_is(&status, DIGEST));
	status_deinit(&status);
}

/* Whatever it is, it is written as it was read. */
static void the_hash_belongs_to_one_uid(void **state) {
	(void)state;
	static const struct {
		const char *text;
		enum status_hash hash;
		bool ours, anothers;
	} rows[] = {
		{ "", HASH_NONE, false, false },
		{ "kv1:" UID ":" HEX, HASH_OURS, true, false },
		{ "kv1:" UID ":" HEX ":partial", HASH_OURS_PARTIAL, true, false },
		{ "kv1:" UID ":" HEX ":", HASH_OTHER, true, false },
		{ "kv1:" UID ":" HEX "0", HASH_OTHER, true, false },
		{ "kv1:" UID ":AA112233445566778899aabbccddeeff00112233445566778899aabbccddee0f", HASH_OTHER, true, false },
		{ "kv1:" UID ":aa", HASH_OTHER, true, false },
		{ "kv1:" UID ":", HASH_OTHER, false, true },
		{ "kv1:" UID, HASH_OTHER, false, true },
		{ "kv1:11111111-2222-3333-4444-555555555556:" HEX, HASH_OTHER, false, true },
		{ "kv1:11111111-2222-3333-4444-55555555555:" HEX, HASH_OTHER, false, true },
		{ "kv1:", HASH_OTHER, false, true },
		{ "v1:" UID ":" HEX, HASH_OTHER, false, false },
	};
	struct status status = { 0 };
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(status_read_hash(&status, STR(UID), str_of(rows[i].text)), OK);
		assert_int_equal(status.hash, rows[i].hash);
		assert_string_equal(hash_of(&status), rows[i].text);
		assert_int_equal(status_is_ours(&status, STR(UID)), rows[i].ours);
		assert_int_equal(status_is_anothers(&status, STR(UID)), rows[i].anothers);
		assert_int_equal(status_has_synced(&status), i > 0);
		assert_false(status_asked_is(&status, DIGEST));
	}
	status_deinit(&status);
}

/* A time that a status cannot hold is like none: the next reconcile writes another. */
static void times_of_other_centuries_are_none(void **state) {
	(void)state;
	struct status status = read_status("{\"lastSuccessfulSyncTime\":\"2107-01-01T00:00:00Z\","
					   "\"secretCreationTime\":\"1969-12-31T23:59:59Z\"}");
	assert_int_equal(status.last_successful_s, 0);
	assert_int_equal(status.secret_created_s, 0);
	status_deinit(&status);
}

static void each_column_reads_back_what_it_writes(void **state) {
	static const char of_upstream[] =
		"{\"syncHash\":\"kv1:u:aa\",\"conditions\":["
		"{\"type\":\"SecretCreated\",\"status\":\"False\",\"reason\":\"ProviderError\"},"
		"{\"type\":\"SecretUpdated\",\"status\":\"False\",\"reason\":\"ProviderError\"},"
		"{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"SecretUpToDate\"}]}";
	(void)state;
	struct status status = { 0 };
	cJSON *json = parse(of_upstream);
	assert_int_equal(status_parse(json, REASON_NAMES_UPSTREAM, STR(UID), &status), OK);
	assert_int_equal(status.conditions[CONDITION_CREATED].reason, REASON_CREATE_FAILED_PROVIDER);
	assert_int_equal(status.conditions[CONDITION_UPDATED].reason, REASON_UPDATE_FAILED_PROVIDER);
	assert_int_equal(status.conditions[CONDITION_READY].reason, REASON_UPDATE_NO_CHANGE);
	struct buf out;
	buf_init(&out, 1 << 16);
	status_write(&status, REASON_NAMES_CURRENT, STR(UID), &out);
	assert_non_null(strstr(buf_cstr(&out), "\"reason\":\"UpdateNoValueChangeSucceeded\""));
	assert_null(strstr(buf_cstr(&out), "SecretUpToDate"));
	buf_deinit(&out);
	status_deinit(&status);
	cJSON_Delete(json);
}

/* So that a success of another column is written once more, under its new name. */
static void a_success_of_another_column_is_not_the_last_word(void **state) {
	(void)state;
	struct status status = { 0 };
	cJSON *json = parse("{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"SecretUpToDate\"}]}");
	assert_int_equal(status_parse(json, REASON_NAMES_PREVIEW, STR(UID), &status), OK);
	assert_int_not_equal(status.conditions[CONDITION_READY].reason, REASON_UPDATE_NO_CHANGE);
	status_deinit(&status);
	cJSON_Delete(json);
}

static void running_out_of_memory_leaves_nothing_behind(void **state) {
	(void)state;
	for (uint64_t nth = 1;; nth++) {
		struct status status = { 0 }, copy = { 0 };
		cJSON *json = parse(FULL);
		mem_fail_at(nth);
		enum err err = status_parse(json, REASON_NAMES_PREVIEW, STR(UID), &status);
		if (!err) err = status_copy(&status, &copy);
		int reached = mem_fail_reached();
		mem_fail_at(0);
		assert_int_equal(err, reached ? ERR_NOMEM : OK);
		cJSON_Delete(json);
		status_deinit(&status);
		status_deinit(&copy);
		if (!reached) break;
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back_the_same),
		cmocka_unit_test(each_difference_counts),
		cmocka_unit_test(another_controllers_conditions_are_taken_over),
		cmocka_unit_test(nonsense_is_dropped),
		cmocka_unit_test(the_transition_time_moves_with_the_value_only),
		cmocka_unit_test(the_hash_has_two_halves),
		cmocka_unit_test(the_hash_belongs_to_one_uid),
		cmocka_unit_test(times_of_other_centuries_are_none),
		cmocka_unit_test(each_column_reads_back_what_it_writes),
		cmocka_unit_test(a_success_of_another_column_is_not_the_last_word),
		cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
