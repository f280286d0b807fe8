#include "unit.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/rng.h"

static void check_format(int64_t unix_s, const char *expected) {
	char text[TIME_TEXT_BYTES];
	time_format(unix_s, text);
	assert_string_equal(text, expected);
}

static void test_format(void **state) {
	(void)state;
	check_format(0, "1970-01-01T00:00:00Z");
	check_format(-1, "1969-12-31T23:59:59Z");
	check_format(951782400, "2000-02-29T00:00:00Z");
	check_format(1795490055, "2026-11-24T03:14:15Z");
	check_format(4107542400, "2100-03-01T00:00:00Z");
	check_format(-62167219200, "0000-01-01T00:00:00Z");
	check_format(253402300799, "9999-12-31T23:59:59Z");
	char text[TIME_TEXT_BYTES];
	time_format(INT64_MAX, text);
	assert_true(strlen(text) < TIME_TEXT_BYTES && text[strlen(text) - 1] == 'Z');
	time_format(INT64_MIN, text);
	assert_true(strlen(text) < TIME_TEXT_BYTES && text[strlen(text) - 1] == 'Z');
}

/* Against the C library, over 8,000 years. */
static void test_format_and_parse_agree(void **state) {
	(void)state;
	struct rng rng;
	rng_seed(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		time_t unix_s = (time_t)rng_between(&rng, -62167219200, 253402300799);
		struct tm tm;
		gmtime_r(&unix_s, &tm);
		char expected[64], text[TIME_TEXT_BYTES];
		snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ",
			tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			tm.tm_sec);
		time_format(unix_s, text);
		assert_string_equal(text, expected);
		int64_t parsed;
		assert_int_equal(time_parse(str_of(text), &parsed), OK);
		assert_true(parsed == unix_s);
	}
}

static void check_parse(const char *text, int64_t expected) {
	int64_t unix_s = -4711;
	assert_int_equal(time_parse(str_of(text), &unix_s), OK);
	assert_true(unix_s == expected);
}

static void test_parse(void **state) {
	(void)state;
	check_parse("1970-01-01T00:00:00Z", 0);
	check_parse("1970-01-01t00:00:00z", 0);
	check_parse("1970-01-01T00:00:01.999999999Z", 1);
	check_parse("1970-01-01T01:30:00+01:30", 0);
	check_parse("1969-12-31T19:00:00-05:00", 0);
	check_parse("1970-01-01T00:00:00.5+00:00", 0);
	check_parse("1970-01-01T00:00:00-00:00", 0);
	check_parse("2016-12-31T23:59:60Z", 1483228800);
	check_parse("2024-02-29T12:00:00Z", 1709208000);
	check_parse("2000-02-29T00:00:00Z", 951782400);
}

static void test_parse_refuses(void **state) {
	(void)state;
	static const char *const bad[] = { "", "1970", "1970-01-01", "1970-01-01T00:00:00",
		"1970-01-01 00:00:00Z", "1970-00-01T00:00:00Z", "1970-13-01T00:00:00Z",
		"1970-01-00T00:00:00Z", "1970-01-32T00:00:00Z", "1970-04-31T00:00:00Z",
		"2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-02-30T00:00:00Z",
		"1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z",
		"1970-01-01T00:00:00.Z", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+00:60",
		"1970-01-01T00:00:00+0000", "1970-01-01T00:00:00Zx", "1970-01-01T00:00:00Z ",
		" 1970-01-01T00:00:00Z", "970-01-01T00:00:00Z", "11970-01-01T00:00:00Z",
		"1970-1-01T00:00:00Z", "1970-01-01T0:00:00Z", "-970-01-01T00:00:00Z",
		"1970-01-01T00:00:-1Z", "1970-01-01T00:00:00,5Z" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t unix_s = 4711;
		if (time_parse(str_of(bad[i]), &unix_s) != ERR_INVALID)
			fail_msg("accepted: %s", bad[i]);
		assert_true(unix_s == 4711);
	}
	int64_t unix_s;
	assert_int_equal(time_parse(STR("1970-01-01T00:00:00\0"), &unix_s), ERR_INVALID);
	assert_int_equal(time_parse(STR_NULL, &unix_s), ERR_INVALID);
}

static void test_parse_http(void **state) {
	(void)state;
	int64_t unix_s;
	assert_int_equal(time_parse_http(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &unix_s), OK);
	assert_true(unix_s == 784111777);
	assert_int_equal(time_parse_http(STR("Thu, 29 Feb 2024 00:00:00 GMT"), &unix_s), OK);
	assert_true(unix_s == 1709164800);
	static const char *const bad[] = { "", "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
		"Xxx, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "120" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unix_s = 4711;
		if (time_parse_http(str_of(bad[i]), &unix_s) != ERR_INVALID)
			fail_msg("accepted: %s", bad[i]);
		assert_true(unix_s == 4711);
	}
}

static void test_system_clock(void **state) {
	(void)state;
	struct now a = clock_now(clock_system());
	struct timespec boot;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	struct now b = clock_now(clock_system());
	int64_t boot_ns = boot.tv_sec * NS_PER_S + boot.tv_nsec;
	assert_true(a.mono_ns <= boot_ns && boot_ns <= b.mono_ns);
	int64_t wall_s = (int64_t)time(NULL);
	assert_true(wall_s - a.wall_ns / NS_PER_S <= 2 && a.wall_ns / NS_PER_S - wall_s <= 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_and_parse_agree),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_http),
		cmocka_unit_test(test_system_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
