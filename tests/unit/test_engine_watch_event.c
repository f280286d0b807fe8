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

static void an_event_falls_into_type_and_object(void **state) {
	(void)state;
	struct str type, object;
	assert_true(watch_event_split(STR("{\"type\":\"MODIFIED\",\"object\":{\"a\":1}}"), &type, &object));
	assert_str(type, "MODIFIED");
	assert_str(object, "{\"a\":1}");
	assert_true(watch_event_split(STR("{\"object\":{\"a\":1},\"type\":\"ADDED\"}"), &type, &object));
	assert_str(type, "ADDED");
	assert_false(watch_event_split(STR("{\"object\":{\"a\":1}}"), &type, &object));
	assert_false(watch_event_split(STR("{\"type\":\"MODIFIED\"}"), &type, &object));
	assert_false(watch_event_split(STR("{\"type\":\"\\u004dODIFIED\",\"object\":{}}"), &type, &object));
	assert_false(watch_event_split(STR("{\"type\":\"MODIFIED\",\"object\":{\"a\":1}"), &type, &object));
}

#define BOOKMARK(type, annotations)                                                                             \
	"{\"type\":\"" type "\",\"object\":{\"kind\":\"SecretSync\",\"metadata\":{\"resourceVersion\":\"7\"" annotations \
	"}}}"

/* Parsed and scanned alike. */
static void one_bookmark_ends_what_was_there(void **state) {
	(void)state;
	static const struct {
		const char *line;
		bool is_end;
	} rows[] = {
		{ BOOKMARK("BOOKMARK", ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"), true },
		{ BOOKMARK("BOOKMARK", ",\"annotations\":{\"a\":\"b\",\"k8s.io/initial-events-end\":\"true\"}"), true },
		{ BOOKMARK("BOOKMARK", ",\"annotations\":{\"k8s.io/initial-events-end\":\"false\"}"), false },
		{ BOOKMARK("BOOKMARK", ",\"annotations\":{\"k8s.io/initial-events-end\":true}"), false },
		{ BOOKMARK("BOOKMARK", ""), false },
		/* Anybody may annotate an object. */
		{ BOOKMARK("ADDED", ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"), false },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct watch_event parsed, scanned;
		assert_int_equal(watch_event_parse(str_of(rows[i].line), &parsed), OK);
		assert_int_equal(watch_event_scan(str_of(rows[i].line), &scanned), OK);
		if (parsed.initial_end != rows[i].is_end || scanned.initial_end != rows[i].is_end)
			fail_msg("%s", rows[i].line);
		assert_str(parsed.version, "7");
		assert_str(scanned.version, "7");
		watch_event_deinit(&parsed);
		watch_event_deinit(&scanned);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_head_is_found_behind_other_members),
		cmocka_unit_test(what_is_not_certain_is_not_a_head),
		cmocka_unit_test(an_event_falls_into_type_and_object),
		cmocka_unit_test(one_bookmark_ends_what_was_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
