#include "base/encode.h"

#include <openssl/crypto.h>

static void put(struct sink sink, const char *ptr, size_t len) {
	if (len) sink.put(sink.arg, (struct str){ ptr, len });
}

size_t utf8_len(struct str s) {
	if (!s.len) return 0;
	const unsigned char *p = (const unsigned char *)s.ptr;
	if (p[0] < 0x80) return 1;
	size_t len = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
	if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < len) return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80) return 0;
	}
	if (p[0] == 0xe0 && p[1] < 0xa0) return 0; /* overlong */
	if (p[0] == 0xed && p[1] > 0x9f) return 0; /* surrogate */
	if (p[0] == 0xf0 && p[1] < 0x90) return 0; /* overlong */
	if (p[0] == 0xf4 && p[1] > 0x8f) return 0; /* above U+10FFFF */
	return len;
}

size_t utf8_cut(const char *text, size_t len) {
	size_t start = len;
	size_t back = 0;
	while (back < 3 && start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
		start--;
		back++;
	}
	if (start == 0) return len;
	unsigned char lead = (unsigned char)text[start - 1];
	size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	return back + 1 < wanted ? start - 1 : len;
}

/* The short escape of c, or 0. */
static char json_short(unsigned char c) {
	switch (c) {
	case '"':
		return '"';
	case '\\':
		return '\\';
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

static void json_escape(struct sink sink, unsigned char c) {
	static const char digits[] = "0123456789abcdef";
	char escape[6] = { '\\', json_short(c), '0', '0', digits[c >> 4], digits[c & 15] };
	if (escape[1]) {
		put(sink, escape, 2);
	} else {
		escape[1] = 'u';
		put(sink, escape, 6);
	}
	OPENSSL_cleanse(escape, sizeof(escape));
}

void encode_json_body(struct sink sink, struct str s) {
	if (!s.len) return;
	size_t from = 0; /* start of the run that can be copied as it is */
	size_t i = 0;
	while (i < s.len) {
		unsigned char c = (unsigned char)s.ptr[i];
		size_t len = utf8_len((struct str){ s.ptr + i, s.len - i });
		if (len && c >= 0x20 && c != '"' && c != '\\') {
			i += len;
			continue;
		}
		put(sink, s.ptr + from, i - from);
		if (len) {
			json_escape(sink, c);
		} else {
			put(sink, "\xef\xbf\xbd", 3);
		}
		from = ++i;
	}
	put(sink, s.ptr + from, i - from);
}

void encode_json(struct sink sink, struct str s) {
	put(sink, "\"", 1);
	encode_json_body(sink, s);
	put(sink, "\"", 1);
}

static int is_unreserved(unsigned char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void encode_url(struct sink sink, struct str s) {
	static const char digits[] = "0123456789ABCDEF";
	char escape[3] = { '%', 0, 0 };
	size_t from = 0;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (is_unreserved(c)) continue;
		if (i > from) put(sink, s.ptr + from, i - from);
		escape[1] = digits[c >> 4];
		escape[2] = digits[c & 15];
		put(sink, escape, sizeof(escape));
		from = i + 1;
	}
	if (s.len > from) put(sink, s.ptr + from, s.len - from);
	OPENSSL_cleanse(escape, sizeof(escape));
}

enum { BASE64_IN_BYTES = 48, BASE64_OUT_BYTES = 64 };

/* Encodes at most BASE64_IN_BYTES; returns how many characters it wrote. */
static size_t base64_block(const unsigned char *in, size_t len, char *out) {
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t written = 0;
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (uint32_t)in[i] << 16;
		if (left > 1) bits |= (uint32_t)in[i + 1] << 8;
		if (left > 2) bits |= in[i + 2];
		out[written++] = digits[bits >> 18];
		out[written++] = digits[(bits >> 12) & 63];
		out[written++] = left > 1 ? digits[(bits >> 6) & 63] : '=';
		out[written++] = left > 2 ? digits[bits & 63] : '=';
	}
	return written;
}

void encode_base64(struct sink sink, struct str s) {
	char out[BASE64_OUT_BYTES];
	for (size_t at = 0; at < s.len; at += BASE64_IN_BYTES) {
		struct str part = str_slice(s, at, BASE64_IN_BYTES);
		put(sink, out, base64_block((const unsigned char *)part.ptr, part.len, out));
	}
	OPENSSL_cleanse(out, sizeof(out));
}
