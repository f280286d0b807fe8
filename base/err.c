#include "base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_info {
	const char *name, *text;
	enum retry retry;
};

static const struct err_info INFOS[ERR_COUNT] = {
	[OK] = { "OK", "ok", RETRY_SOON },
#define X(id, policy, words) [id] = { #id, words, policy },
	ERR_LIST(X)
#undef X
};

const char *err_text(enum err err) {
	assert(err < ERR_COUNT);
	return INFOS[err].text;
}

const char *err_name(enum err err) {
	assert(err < ERR_COUNT);
	return INFOS[err].name;
}

enum retry err_retry(enum err err) {
	assert(err < ERR_COUNT);
	return INFOS[err].retry;
}

/* Cuts a text that was truncated by snprintf back to the last whole UTF-8 sequence, and blanks control characters. */
static void tidy(char *text) {
	size_t len = strlen(text), back = 0;
	while (back < 4 && back < len && ((unsigned char)text[len - 1 - back] & 0xC0) == 0x80) back++;
	if (back < len) {
		unsigned char lead = (unsigned char)text[len - 1 - back];
		size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
		if (lead >= 0x80 && back + 1 < want) text[len - 1 - back] = 0;
	}
	for (char *at = text; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = ' ';
	}
}

enum err fault_set(struct fault *fault, enum err err, const char *format, ...) {
	if (!fault) return err;
	struct fault made = { .err = err };
	va_list args;
	va_start(args, format);
	vsnprintf(made.text, sizeof made.text, format, args);
	va_end(args);
	tidy(made.text);
	*fault = made;
	return err;
}

enum err fault_prefix(struct fault *fault, enum err err, const char *format, ...) {
	char text[FAULT_TEXT_BYTES], old[FAULT_TEXT_BYTES];
	if (!fault) return err;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	memcpy(old, fault->text, sizeof old);
	size_t used = strlen(text);
	snprintf(fault->text, sizeof fault->text, "%s", text);
	snprintf(fault->text + used, sizeof fault->text - used, ": %s", old);
	tidy(fault->text);
	return fault->err ? fault->err : err;
}
