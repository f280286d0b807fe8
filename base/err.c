#include "base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"

struct err_info {
	const char *name;
	enum retry retry;
	const char *text;
};

static const struct err_info infos[ERR_COUNT] = { [OK] = { "OK", RETRY_SOON, "no error" },
#define X(name, retry, text) [name] = { #name, retry, text },
	ERR_LIST(X)
#undef X
};

static const struct err_info *info_of(enum err err) {
	assert((unsigned)err < ERR_COUNT);
	return &infos[err];
}

const char *err_text(enum err err) {
	return info_of(err)->text;
}

const char *err_name(enum err err) {
	return info_of(err)->name;
}

enum retry err_retry(enum err err) {
	return info_of(err)->retry;
}

/* Formats into `text` as faults want it: whole characters only, one line. Returns the length. */
__attribute__((format(printf, 2, 0))) static size_t format_line(
	char text[static FAULT_TEXT_BYTES], const char *format, va_list args) {
	int wanted = vsnprintf(text, FAULT_TEXT_BYTES, format, args);
	if (wanted < 0) {
		text[0] = 0;
		return 0;
	}
	size_t len = (size_t)wanted;
	if (len >= FAULT_TEXT_BYTES) len = utf8_cut(text, FAULT_TEXT_BYTES - 1);
	text[len] = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f) text[i] = ' ';
	}
	return len;
}

enum err fault_set(struct fault *fault, enum err err, const char *format, ...) {
	assert((unsigned)err < ERR_COUNT);
	if (!fault) return err;
	/* Formatted aside: an argument may be the text that is being replaced. */
	char text[FAULT_TEXT_BYTES];
	va_list args;
	va_start(args, format);
	size_t len = format_line(text, format, args);
	va_end(args);
	*fault = (struct fault){ .err = err };
	memcpy(fault->text, text, len + 1);
	return err;
}

struct fault fault_make(enum err err, const char *format, ...) {
	assert((unsigned)err < ERR_COUNT);
	struct fault fault = { .err = err };
	va_list args;
	va_start(args, format);
	format_line(fault.text, format, args);
	va_end(args);
	return fault;
}

enum err fault_prefix(struct fault *fault, enum err err, const char *format, ...) {
	assert((unsigned)err < ERR_COUNT);
	if (!fault) return err;
	char text[FAULT_TEXT_BYTES];
	va_list args;
	va_start(args, format);
	size_t len = format_line(text, format, args);
	va_end(args);
	if (fault->text[0]) {
		size_t room = FAULT_TEXT_BYTES - 1 - len;
		size_t add = strlen(fault->text) + 2;
		snprintf(text + len, room + 1, ": %s", fault->text);
		len = add <= room ? len + add : utf8_cut(text, FAULT_TEXT_BYTES - 1);
	}
	memcpy(fault->text, text, len);
	fault->text[len] = 0;
	if (!fault->err) fault->err = err;
	return fault->err;
}
