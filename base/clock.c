#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097 };

static int64_t read_ns(clockid_t id) {
	struct timespec time;
	int failed = clock_gettime(id, &time);
	assert(!failed);
	(void)failed;
	return time.tv_sec * NS_PER_S + time.tv_nsec;
}

static struct now read_system(struct clock *clock) {
	(void)clock;
	return (struct now){ .mono_ns = read_ns(CLOCK_BOOTTIME),
		.wall_ns = read_ns(CLOCK_REALTIME) };
}

struct clock *clock_system(void) {
	static struct clock system = { read_system };
	return &system;
}

struct civil {
	int64_t year;
	int month, day, hour, minute, second;
};

/* Both conversions count from 1 March of year 0, so that the leap day is the last day of a year; an era is 400 years. */
static int64_t days_from_civil(int64_t year, int month, int day) {
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_PER_ERA + day_of_era - 719468;
}

static void civil_from_days(int64_t days, struct civil *out_civil) {
	days += 719468;
	int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
	int64_t day_of_era = days - era * DAYS_PER_ERA;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;
	out_civil->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	out_civil->month = (int)(month < 10 ? month + 3 : month - 9);
	out_civil->year = year_of_era + era * 400 + (out_civil->month <= 2);
}

void time_format(int64_t unix_s, char out_text[static TIME_TEXT_BYTES]) {
	int64_t days = unix_s / SECONDS_PER_DAY;
	int64_t second = unix_s % SECONDS_PER_DAY;
	if (second < 0) {
		second += SECONDS_PER_DAY;
		days--;
	}
	struct civil c;
	civil_from_days(days, &c);
	c.hour = (int)(second / 3600);
	c.minute = (int)(second / 60 % 60);
	c.second = (int)(second % 60);
	snprintf(out_text, TIME_TEXT_BYTES, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02dZ", c.year,
		c.month, c.day, c.hour, c.minute, c.second);
}

/* Takes exactly `digits` digits from the front of `text`; false when they are not there. */
static bool take_number(struct str *text, size_t digits, int *out_value) {
	uint64_t value;
	if (text->len < digits || str_to_u64(str_slice(*text, 0, digits), &value)) return false;
	*text = str_slice(*text, digits, text->len);
	*out_value = (int)value;
	return true;
}

/* Takes one character, which must be one of `set`. */
static bool take_char(struct str *text, const char *set, char *out_char) {
	if (text->len == 0 || !text->ptr[0] || !strchr(set, text->ptr[0])) return false;
	if (out_char) *out_char = text->ptr[0];
	*text = str_slice(*text, 1, text->len);
	return true;
}

static int days_in_month(int64_t year, int month) {
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

/* Second 60 is the leap second, which Unix time counts as the first second of the next minute. */
static enum err civil_to_unix(const struct civil *c, int64_t *out_unix_s) {
	if (c->month < 1 || c->month > 12 || c->day < 1 ||
		c->day > days_in_month(c->year, c->month)) {
		return ERR_INVALID;
	}
	if (c->hour > 23 || c->minute > 59 || c->second > 60) return ERR_INVALID;
	*out_unix_s = days_from_civil(c->year, c->month, c->day) * SECONDS_PER_DAY +
		      c->hour * 3600 + c->minute * 60 + c->second;
	return OK;
}

static bool take_time(struct str *text, struct civil *c) {
	return take_number(text, 2, &c->hour) && take_char(text, ":", NULL) &&
	       take_number(text, 2, &c->minute) && take_char(text, ":", NULL) &&
	       take_number(text, 2, &c->second);
}

static bool take_fraction(struct str *text) {
	if (!take_char(text, ".", NULL)) return true;
	if (!take_char(text, "0123456789", NULL)) return false;
	while (take_char(text, "0123456789", NULL)) {
	}
	return true;
}

/* "Z" or "+hh:mm": what the text is ahead of UTC. */
static bool take_offset(struct str *text, int *out_offset_s) {
	char sign;
	int hours, minutes;
	if (take_char(text, "Zz", NULL)) {
		*out_offset_s = 0;
		return true;
	}
	if (!take_char(text, "+-", &sign) || !take_number(text, 2, &hours) ||
		!take_char(text, ":", NULL) || !take_number(text, 2, &minutes)) {
		return false;
	}
	if (hours > 23 || minutes > 59) return false;
	*out_offset_s = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return true;
}

enum err time_parse(struct str text, int64_t *out_unix_s) {
	struct civil c = { 0 };
	int year, offset_s;
	bool well_formed = take_number(&text, 4, &year) && take_char(&text, "-", NULL) &&
			   take_number(&text, 2, &c.month) && take_char(&text, "-", NULL) &&
			   take_number(&text, 2, &c.day) && take_char(&text, "Tt", NULL) &&
			   take_time(&text, &c) && take_fraction(&text) &&
			   take_offset(&text, &offset_s) && text.len == 0;
	if (!well_formed) return ERR_INVALID;
	c.year = year;
	int64_t unix_s;
	enum err err = civil_to_unix(&c, &unix_s);
	if (err) return err;
	*out_unix_s = unix_s - offset_s;
	return OK;
}

/* Takes one of the `count` three-letter names from the front of `text`: its place from 1 on. */
static bool take_name(struct str *text, const char *names, size_t count, int *out_place) {
	for (size_t i = 0; i < count; i++) {
		if (!str_starts(*text, (struct str){ names + 3 * i, 3 })) continue;
		*text = str_slice(*text, 3, text->len);
		*out_place = (int)i + 1;
		return true;
	}
	return false;
}

enum err time_parse_http(struct str text, int64_t *out_unix_s) {
	struct civil c = { 0 };
	int weekday, year;
	bool well_formed = take_name(&text, "MonTueWedThuFriSatSun", 7, &weekday) &&
			   take_char(&text, ",", NULL) && take_char(&text, " ", NULL) &&
			   take_number(&text, 2, &c.day) && take_char(&text, " ", NULL) &&
			   take_name(&text, "JanFebMarAprMayJunJulAugSepOctNovDec", 12, &c.month) &&
			   take_char(&text, " ", NULL) && take_number(&text, 4, &year) &&
			   take_char(&text, " ", NULL) && take_time(&text, &c) &&
			   str_eq(text, STR(" GMT"));
	if (!well_formed) return ERR_INVALID;
	c.year = year;
	return civil_to_unix(&c, out_unix_s);
}
