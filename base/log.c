#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"

enum { LINE_BYTES = 8192 };

/* Set before threads start; read by all. */
static enum log_level max_level = LOG_INFO;
static enum log_format format = LOG_LOGFMT;
static void (*redirect)(struct str line, void *arg);
static void *redirect_arg;

static const char *const LEVELS[] = { "error", "warn", "info", "debug" };

void log_setup(enum log_level level, enum log_format new_format) {
	max_level = level;
	format = new_format;
}

void log_redirect(void (*sink)(struct str line, void *arg), void *arg) {
	redirect = sink;
	redirect_arg = arg;
}

/* A line under construction. A field that does not fit is taken back whole. */
struct line {
	char bytes[LINE_BYTES];
	size_t len;
	bool full;
};

static void put(void *sink, struct str piece) {
	struct line *line = sink;
	/* Room is kept for the closing brace and the newline. */
	if (line->full || piece.len > sizeof line->bytes - 2 - line->len) {
		line->full = true;
		return;
	}
	memcpy(line->bytes + line->len, piece.ptr, piece.len);
	line->len += piece.len;
}

static bool needs_quotes(struct str s) {
	if (!s.len) return true;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7F) return true;
	}
	return false;
}

static void put_value(struct line *line, struct str value) {
	if (format == LOG_JSON || needs_quotes(value)) {
		encode_json((struct sink){ put, line }, value);
	} else {
		put(line, value);
	}
}

static void put_field(struct line *line, const char *key, struct str value, bool bare) {
	size_t before = line->len;
	if (line->full) return;
	if (format == LOG_JSON) {
		put(line, before ? STR(",") : STR("{"));
		encode_json((struct sink){ put, line }, str_of(key));
		put(line, STR(":"));
	} else {
		if (before) put(line, STR(" "));
		put(line, str_of(key));
		put(line, STR("="));
	}
	if (bare) put(line, value);
	if (!bare) put_value(line, value);
	if (line->full) line->len = before;
}

static void put_time(struct line *line) {
	struct timespec ts;
	char seconds[TIME_TEXT_BYTES], text[TIME_TEXT_BYTES + 8];
	clock_gettime(CLOCK_REALTIME, &ts);
	time_format(ts.tv_sec, seconds);
	snprintf(text, sizeof text, "%.19s.%03dZ", seconds, (int)(ts.tv_nsec / NS_PER_MS) % 1000);
	put_field(line, "time", str_of(text), false);
}

static void emit(struct str bytes) {
	if (redirect) {
		redirect(bytes, redirect_arg);
		return;
	}
	/* A log that nobody reads must not stop the work: what cannot be written is lost. */
	while (write(STDERR_FILENO, bytes.ptr, bytes.len) < 0 && errno == EINTR) continue;
}

void log_line(enum log_level level, const char *message, const struct kv *fields) {
	if (level > max_level) return;
	struct line line;
	line.len = 0;
	line.full = false;
	put_time(&line);
	put_field(&line, "level", str_of(LEVELS[level]), false);
	put_field(&line, "msg", str_of(message), false);
	for (const struct kv *field = fields; field->key; field++) {
		char number[24];
		snprintf(number, sizeof number, "%lld", (long long)field->number);
		put_field(&line, field->key, field->is_number ? str_of(number) : field->text, field->is_number);
	}
	if (format == LOG_JSON) line.bytes[line.len++] = '}';
	line.bytes[line.len++] = '\n';
	emit((struct str){ line.bytes, line.len });
}
