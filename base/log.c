#include "base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"

enum { LINE_BYTES = 8192, LINE_END_BYTES = 2 /* "}\n" */ };

struct line {
	char text[LINE_BYTES];
	size_t len;
	bool full; /* something did not fit since the last mark */
};

/* Lines of a thread that are not written yet. They are no one's heap, so that a signal's handler finds them.
 *
 * | member | threads                                                              |
 * |--------|----------------------------------------------------------------------|
 * | taken  | atomic: acquire by its thread, release when it is done               |
 * | len    | atomic: written by its thread, release; read by whoever crashes      |
 * | text   | its thread's; of others', up to len                                  |
 */
struct held {
	_Atomic bool taken;
	_Atomic size_t len;
	char text[PIPE_BUF];
};

enum { HOLDING_THREADS = 32 };
static struct held all_held[HOLDING_THREADS];
static _Thread_local struct held *own; /* NULL: this thread's lines are written at once */

static enum log_level max_level = LOG_INFO;
static enum log_format line_format = LOG_LOGFMT;
static void (*redirect)(struct str line, void *arg);
static void *redirect_arg;

void log_setup(enum log_level level, enum log_format format) {
	max_level = level;
	line_format = format;
}

void log_redirect(void (*sink)(struct str line, void *arg), void *arg) {
	redirect = sink;
	redirect_arg = arg;
}

static void put(void *arg, struct str piece) {
	struct line *line = arg;
	if (line->full || piece.len > LINE_BYTES - LINE_END_BYTES - line->len) {
		line->full = true;
		return;
	}
	memcpy(line->text + line->len, piece.ptr, piece.len);
	line->len += piece.len;
}

static void put_text(struct line *line, const char *text) {
	put(line, str_of(text));
}

/* Logfmt leaves a value bare when nobody can misread it. */
static bool is_bare(struct str value) {
	if (value.len == 0) return false;
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];
		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
		if (c >= 0x80)
			return false; /* perhaps not UTF-8: the encoder of quoted values repairs it */
	}
	return true;
}

static void put_value(struct line *line, const struct kv *field) {
	if (field->is_number) {
		char number[24];
		snprintf(number, sizeof(number), "%" PRId64, field->number);
		put_text(line, number);
	} else if (line_format == LOG_LOGFMT && is_bare(field->text)) {
		put(line, field->text);
	} else {
		encode_json((struct sink){ put, line }, field->text);
	}
}

/* Adds a field, or nothing of it: false when the line is full. */
static bool put_field(struct line *line, const struct kv *field) {
	size_t mark = line->len;
	bool json = line_format == LOG_JSON;
	if (line->len) put_text(line, json ? "," : " ");
	if (json) {
		put_text(line, line->len ? "\"" : "{\"");
		put_text(line, field->key);
		put_text(line, "\":");
	} else {
		put_text(line, field->key);
		put_text(line, "=");
	}
	put_value(line, field);
	if (!line->full) return true;
	line->len = mark;
	return false;
}

static struct str time_text(char text[static TIME_TEXT_BYTES + 4]) {
	int64_t wall_ns = clock_now(clock_system()).wall_ns;
	time_format(wall_ns / NS_PER_S, text);
	size_t len = strlen(text) - 1; /* without the Z */
	snprintf(text + len, TIME_TEXT_BYTES + 4 - len, ".%03dZ",
		(int)(wall_ns % NS_PER_S / NS_PER_MS));
	return str_of(text);
}

static void write_out(const char *text, size_t len) {
	if (write(STDERR_FILENO, text, len) < 0) {
		/* Nowhere is left to say so. */
	}
}

static void flush(struct held *held) {
	size_t len = atomic_load_explicit(&held->len, memory_order_relaxed);
	if (len) write_out(held->text, len);
	atomic_store_explicit(&held->len, 0, memory_order_release);
}

void log_flush(void) {
	if (own) flush(own);
}

void log_hold(bool hold) {
	for (size_t i = 0; i < HOLDING_THREADS && hold && !own; i++) {
		bool free = false;
		if (atomic_compare_exchange_strong_explicit(&all_held[i].taken, &free, true,
			    memory_order_acquire, memory_order_relaxed))
			own = &all_held[i];
	}
	if (hold || !own) return;
	flush(own);
	atomic_store_explicit(&own->taken, false, memory_order_release);
	own = NULL;
}

/* Other threads may be writing theirs just now: better twice than never. */
static void crash(int number) {
	for (size_t i = 0; i < HOLDING_THREADS; i++) {
		size_t len = atomic_load_explicit(&all_held[i].len, memory_order_acquire);
		if (len) write_out(all_held[i].text, len);
	}
	/* Its action is the default by now. */
	raise(number);
}

void log_catch_crashes(void) {
	static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGINT };
	struct sigaction action = { .sa_handler = crash, .sa_flags = (int)SA_RESETHAND };
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct sigaction before;
		/* A sanitizer has its own. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			sigaction(numbers[i], &action, NULL);
	}
}

/* False: it is to be written at once. */
static bool hold_line(const struct line *line, enum log_level level) {
	if (!own || level < LOG_INFO || line->len > sizeof own->text) return false;
	size_t len = atomic_load_explicit(&own->len, memory_order_relaxed);
	if (len + line->len > sizeof own->text) {
		flush(own);
		len = 0;
	}
	memcpy(own->text + len, line->text, line->len);
	atomic_store_explicit(&own->len, len + line->len, memory_order_release);
	return true;
}

static void emit(struct line *line, enum log_level level) {
	if (redirect) {
		redirect((struct str){ line->text, line->len }, redirect_arg);
		return;
	}
	line->text[line->len++] = '\n';
	if (hold_line(line, level)) return;
	log_flush();
	write_out(line->text, line->len);
}

static void write_line(enum log_level level, const char *message, const struct kv *fields) {
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	assert((unsigned)level < sizeof(levels) / sizeof(levels[0]));
	struct line line;
	line.len = 0;
	line.full = false;
	char time[TIME_TEXT_BYTES + 4];
	bool fits = put_field(&line, &kv_str("time", time_text(time))) &&
		    put_field(&line, &kv("level", levels[level]));
	struct str text = str_of(message);
	/* An escaped byte takes at most six: this much of the message fits in any case. */
	text.len = text.len > LINE_BYTES / 8 ? utf8_cut(text.ptr, LINE_BYTES / 8) : text.len;
	fits = fits && put_field(&line, &kv_str("msg", text));
	assert(fits);
	for (const struct kv *field = fields; field->key && fits; field++) {
		fits = put_field(&line, field);
	}
	if (line_format == LOG_JSON) line.text[line.len++] = '}';
	emit(&line, level);
}

void log_line(enum log_level level, const char *message, const struct kv *fields) {
	if (level <= max_level) write_line(level, message, fields);
}

void log_audit_line(const char *message, const struct kv *fields) {
	write_line(LOG_INFO, message, fields);
}
