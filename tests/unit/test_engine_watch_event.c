/* engine/watch_event: who an object is, found in the text of an event without parsing it. What is not certain is left to the
 * parser: a wrong name would hide a change. */
#include "engine/watch_event.h"

#include "tests/unit/unit.h"

#define META "\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"7\",\"uid\":\"u\""

static bool scan(const char *text, struct object_head *out_head) {
	return object_head_scan(str_of(text), out_head);
}

static void the_head_is_found_behind_other_members(void **state) {
	(void)state;
	struct object_head head;
	assert_true(scan("{\"apiVersion\":\"v1\",\"kind\":\"SecretSync\",\"metadata\":{\"annotations\":{\"name\":\"no\",\"uid\":\"no\"},"
			 "\"generation\":12,\"managedFields\":[{\"name\":\"no\",\"x\":{\"uid\":\"no\"}}]," META
			 "},\"spec\":{\"name\":\"no\"},\"status\":{}}",
		&head));
	assert_str(head.meta.ns, "n");
	assert_str(head.meta.name, "a");
	assert_str(head.meta.uid, "u");
	assert_str(head.meta.version, "7");
	assert_int_equal(head.meta.generation, 12);
	assert_false(head.meta.deleting);
	assert_false(head.owned);
	assert_true(scan("{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"," META ",\"ownerReferences\":[]}}", &head));
	assert_true(head.meta.deleting);
	assert_true(head.owned);
	assert_int_equal(head.meta.generation, 0);
}

static void what_is_not_certain_is_not_a_head(void **state) {
	static const char *const texts[] = { "", "[]", "7", "{}", "{\"metadata\":7}", "{\"metadata\":{}}",
		"{\"metadata\":{\"namespace\":\"n\",\"resourceVersion\":\"7\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"7\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"7\"}}",
		"{\"metadata\":{\"name\":\"\\u0061\",\"namespace\":\"n\",\"resourceVersion\":\"7\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"name\":7,\"namespace\":\"n\",\"resourceVersion\":\"7\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"generation\":\"1\"," META "}}", "{\"metadata\":{\"generation\":1.5," META "}}",
		"{\"metadata\":{" META ",\"x\":[1,2", "{\"metadata\":{" META };
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct object_head head;
		if (scan(texts[i], &head)) fail_msg("%s", texts[i]);
	}
}

static void an_event_has_the_type_that_is_asked_for(void **state) {
	(void)state;
	struct object_head head;
	struct str modified = STR("MODIFIED");
	assert_true(watch_event_head(STR("{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{" META "}}}"), modified, &head));
	assert_str(head.meta.name, "a");
	assert_true(watch_event_head(STR("{\"object\":{\"metadata\":{" META "}},\"type\":\"MODIFIED\"}"), modified, &head));
	assert_false(watch_event_head(STR("{\"type\":\"DELETED\",\"object\":{\"metadata\":{" META "}}}"), modified, &head));
	assert_false(watch_event_head(STR("{\"object\":{\"metadata\":{" META "}}}"), modified, &head));
	assert_false(watch_event_head(STR("{\"type\":\"MODIFIED\"}"), modified, &head));
	assert_false(watch_event_head(STR("{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{" META "}}"), modified, &head));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_head_is_found_behind_other_members),
		cmocka_unit_test(what_is_not_certain_is_not_a_head),
		cmocka_unit_test(an_event_has_the_type_that_is_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
