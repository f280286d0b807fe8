#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { BUF_MIN_BYTES = 64 };

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

/* Makes room for `add` more bytes and a NUL; false and the sticky error when that cannot be. */
static bool reserve(struct buf *buf, size_t add) {
	if (buf->_err) return false;
	if (add > buf->_max - buf->_len || buf->_len + add == SIZE_MAX) {
		buf->_err = ERR_TOO_LARGE;
		return false;
	}
	size_t need = buf->_len + add + 1;
	if (need <= buf->_cap) return true;
	size_t cap = buf->_cap <= SIZE_MAX / 2 ? buf->_cap * 2 : SIZE_MAX;
	if (cap < BUF_MIN_BYTES) cap = BUF_MIN_BYTES;
	if (buf->_max != SIZE_MAX && cap > buf->_max + 1) cap = buf->_max + 1;
	if (cap < need) cap = need;
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
	if (s.len == 0 || !reserve(buf, s.len)) return;
	memcpy(buf->_ptr + buf->_len, s.ptr, s.len);
	buf->_len += s.len;
}

void buf_append_char(struct buf *buf, char c) {
	buf_append(buf, (struct str){ &c, 1 });
}

void buf_vprintf(struct buf *buf, const char *format, va_list args) {
	if (buf->_err) return;
	va_list again;
	va_copy(again, args);
	size_t room = buf->_cap - buf->_len;
	int wanted = vsnprintf(room ? buf->_ptr + buf->_len : NULL, room, format, args);
	if (wanted < 0) {
		buf->_err =
			ERR_TOO_LARGE; /* over INT_MAX bytes: the only way our formats can fail */
	} else if (wanted > 0 && reserve(buf, (size_t)wanted)) {
		if ((size_t)wanted >= room) {
			vsnprintf(buf->_ptr + buf->_len, (size_t)wanted + 1, format, again);
		}
		buf->_len += (size_t)wanted;
	}
	va_end(again);
}

void buf_printf(struct buf *buf, const char *format, ...) {
	va_list args;
	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}

static void put(void *arg, struct str piece) {
	buf_append(arg, piece);
}

struct sink buf_sink(struct buf *buf) {
	return (struct sink){ put, buf };
}

void buf_append_json(struct buf *buf, struct str s) {
	encode_json(buf_sink(buf), s);
}

void buf_append_url(struct buf *buf, struct str s) {
	encode_url(buf_sink(buf), s);
}

void buf_append_base64(struct buf *buf, struct str s) {
	encode_base64(buf_sink(buf), s);
}

void buf_consume(struct buf *buf, size_t bytes) {
	if (bytes > buf->_len) bytes = buf->_len;
	if (bytes == 0) return;
	buf->_len -= bytes;
	memmove(buf->_ptr, buf->_ptr + bytes, buf->_len);
}

enum err buf_err(const struct buf *buf) {
	return buf->_err;
}

struct str buf_str(const struct buf *buf) {
	return (struct str){ buf->_ptr, buf->_len };
}

const char *buf_cstr(struct buf *buf) {
	if (buf->_err || !buf->_ptr) return "";
	assert(buf->_len < buf->_cap);
	buf->_ptr[buf->_len] = 0;
	return buf->_ptr;
}

char *buf_take(struct buf *buf) {
	char *text = NULL;
	if (reserve(buf, 0)) {
		text = take(buf->_ptr);
		text[buf->_len] = 0;
	}
	mem_free(take(buf->_ptr));
	buf->_len = 0;
	buf->_cap = 0;
	return text;
}
