#include "base/buf.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/mem.h"

void buf_init(struct buf *buf, size_t max_bytes) {
	*buf = (struct buf){ ._max = max_bytes };
}

void buf_deinit(struct buf *buf) {
	mem_free(buf->_ptr);
	*buf = (struct buf){ 0 };
}

void buf_reset(struct buf *buf) {
	buf->_len = 0;
	buf->_err = OK;
}

/* Makes room for `more` bytes and a NUL behind them. False and the sticky error when that cannot be. */
static bool reserve(struct buf *buf, size_t more) {
	if (buf->_err) return false;
	if (more > buf->_max || buf->_len > buf->_max - more) {
		buf->_err = ERR_TOO_LARGE;
		return false;
	}
	size_t need = buf->_len + more + 1;
	if (need <= buf->_cap) return true;
	size_t cap = buf->_cap ? buf->_cap : 64;
	while (cap < need) cap *= 2;
	if (cap > buf->_max + 1) cap = buf->_max + 1;
	char *grown = mem_realloc(buf->_ptr, cap);
	if (!grown) {
		buf->_err = ERR_NOMEM;
		return false;
	}
	buf->_ptr = grown;
	buf->_cap = cap;
	return true;
}

void buf_append(struct buf *buf, struct str s) {
	if (!reserve(buf, s.len)) return;
	if (s.len) memcpy(buf->_ptr + buf->_len, s.ptr, s.len);
	buf->_len += s.len;
}

void buf_append_char(struct buf *buf, char c) {
	buf_append(buf, (struct str){ &c, 1 });
}

void buf_vprintf(struct buf *buf, const char *format, va_list args) {
	va_list again;
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	if (len < 0) {
		if (!buf->_err) buf->_err = ERR_INTERNAL;
	} else if (reserve(buf, (size_t)len)) {
		vsnprintf(buf->_ptr + buf->_len, (size_t)len + 1, format, again);
		buf->_len += (size_t)len;
	}
	va_end(again);
}

void buf_printf(struct buf *buf, const char *format, ...) {
	va_list args;
	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}

static void append_sink(void *sink, struct str piece) {
	buf_append(sink, piece);
}



void buf_append_json(struct buf *buf, struct str s) {
	encode_json(s, append_sink, buf);
}

void buf_append_url(struct buf *buf, struct str s) {
	encode_url(s, append_sink, buf);
}

void buf_append_base64(struct buf *buf, struct str s) {
	encode_base64(s, append_sink, buf);
}

void buf_consume(struct buf *buf, size_t bytes) {
	if (bytes >= buf->_len) {
		buf->_len = 0;
		return;
	}
	memmove(buf->_ptr, buf->_ptr + bytes, buf->_len - bytes);
	buf->_len -= bytes;
}

enum err buf_err(const struct buf *buf) {
	return buf->_err;
}

struct str buf_str(const struct buf *buf) {
	return (struct str){ buf->_ptr, buf->_len };
}

const char *buf_cstr(struct buf *buf) {
	if (!reserve(buf, 0)) return "";
	buf->_ptr[buf->_len] = 0;
	return buf->_ptr;
}

char *buf_take(struct buf *buf) {
	if (!reserve(buf, 0)) return NULL;
	char *taken = take(buf->_ptr);
	taken[buf->_len] = 0;
	buf->_len = buf->_cap = 0;
	return taken;
}
