#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ns(clockid_t id) {
	struct timespec ts;
	int failed = clock_gettime(id, &ts);
	assert(!failed);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static struct now system_read(struct clock *clock) {
	(void)clock;
	return (struct now){ .mono_ns = read_ns(CLOCK_BOOTTIME), .wall_ns = read_ns(CLOCK_REALTIME) };
}

struct clock *clock_system(void) {
	static struct clock clock = { system_read };
	return &clock;
}

void time_format(int64_t unix_s, char out_text[static TIME_TEXT_BYTES]) {
	time_t t = (time_t)unix_s;
	struct tm tm;
	/* The years that RFC 3339 can write; a time outside is a time that nobody meant. */
	if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099) {
		t = 0;
		gmtime_r(&t, &tm);
	}
	snprintf(out_text, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)(tm.tm_year + 1900) % 10000,
		(unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		(unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/* `len` digits at the start of *rest, which moves on; -1: there are none. */
static int digits(struct str *rest, size_t len) {
	int value = 0;
	if (rest->len < len) return -1;
	for (size_t i = 0; i < len; i++) {
		char c = rest->ptr[i];
		if (c < '0' || c > '9') return -1;
		value = value * 10 + (c - '0');
	}
	*rest = str_slice(*rest, len, rest->len);
	return value;
}

static bool skip(struct str *rest, const char *any_of) {
	if (!rest->len || !rest->ptr[0] || !strchr(any_of, rest->ptr[0])) return false;
	*rest = str_slice(*rest, 1, rest->len);
	return true;
}

static enum err make_time(const struct tm *parts, int64_t *out_unix_s) {
	struct tm tm = *parts, wanted = *parts;
	time_t t = timegm(&tm);
	/* timegm normalises the 30th of February; a date that changes under it was none. Second 60 is a leap second. */
	bool same = tm.tm_year == wanted.tm_year && tm.tm_mon == wanted.tm_mon && tm.tm_mday == wanted.tm_mday;
	bool in_range = wanted.tm_hour < 24 && wanted.tm_min < 60 && wanted.tm_sec <= 60 && wanted.tm_mon >= 0 &&
			wanted.tm_mon < 12 && wanted.tm_mday >= 1;
	if (!in_range || (!same && wanted.tm_sec < 60)) return ERR_INVALID;
	*out_unix_s = (int64_t)t;
	return OK;
}

static enum err parse_offset(struct str *rest, int64_t *out_offset_s) {
	*out_offset_s = 0;
	if (skip(rest, "Zz")) return OK;
	int sign = rest->len && rest->ptr[0] == '-' ? -1 : 1;
	if (!skip(rest, "+-")) return ERR_INVALID;
	int hours = digits(rest, 2);
	if (hours < 0 || hours > 23 || !skip(rest, ":")) return ERR_INVALID;
	int minutes = digits(rest, 2);
	if (minutes < 0 || minutes > 59) return ERR_INVALID;
	*out_offset_s = sign * (hours * 3600 + minutes * 60);
	return OK;
}

enum err time_parse(struct str text, int64_t *out_unix_s) {
	struct str rest = text;
	struct tm tm = { 0 };
	int64_t offset_s = 0, unix_s = 0;
	tm.tm_year = digits(&rest, 4) - 1900;
	if (tm.tm_year < -1900 || !skip(&rest, "-")) return ERR_INVALID;
	tm.tm_mon = digits(&rest, 2) - 1;
	if (!skip(&rest, "-")) return ERR_INVALID;
	tm.tm_mday = digits(&rest, 2);
	if (!skip(&rest, "Tt ")) return ERR_INVALID;
	tm.tm_hour = digits(&rest, 2);
	if (tm.tm_hour < 0 || !skip(&rest, ":")) return ERR_INVALID;
	tm.tm_min = digits(&rest, 2);
	if (tm.tm_min < 0 || !skip(&rest, ":")) return ERR_INVALID;
	tm.tm_sec = digits(&rest, 2);
	if (tm.tm_sec < 0) return ERR_INVALID;
	if (skip(&rest, ".")) {
		if (digits(&rest, 1) < 0) return ERR_INVALID;
		while (digits(&rest, 1) >= 0) continue;
	}
	if (parse_offset(&rest, &offset_s) != OK || rest.len) return ERR_INVALID;
	if (make_time(&tm, &unix_s) != OK) return ERR_INVALID;
	*out_unix_s = unix_s - offset_s;
	return OK;
}

enum err time_parse_http(struct str text, int64_t *out_unix_s) {
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct str rest = text;
	struct tm tm = { 0 };
	size_t comma = str_find(rest, STR(", "));
	if (comma != 3) return ERR_INVALID;
	rest = str_slice(rest, 5, rest.len);
	tm.tm_mday = digits(&rest, 2);
	if (tm.tm_mday < 0 || !skip(&rest, " ")) return ERR_INVALID;
	size_t month = str_find(str_of(months), str_slice(rest, 0, 3));
	if (rest.len < 3 || month == SIZE_MAX || month % 3) return ERR_INVALID;
	tm.tm_mon = (int)(month / 3);
	rest = str_slice(rest, 3, rest.len);
	if (!skip(&rest, " ")) return ERR_INVALID;
	tm.tm_year = digits(&rest, 4) - 1900;
	if (tm.tm_year < -1900 || !skip(&rest, " ")) return ERR_INVALID;
	tm.tm_hour = digits(&rest, 2);
	if (tm.tm_hour < 0 || !skip(&rest, ":")) return ERR_INVALID;
	tm.tm_min = digits(&rest, 2);
	if (tm.tm_min < 0 || !skip(&rest, ":")) return ERR_INVALID;
	tm.tm_sec = digits(&rest, 2);
	if (tm.tm_sec < 0 || !str_eq(rest, STR(" GMT"))) return ERR_INVALID;
	return make_time(&tm, out_unix_s);
}
