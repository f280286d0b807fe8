/* base64url without padding: tokens and continue tokens. */
#include "tests/world/kube_internal.h"

void kube_base64url_encode(struct str bytes, struct buf *out) {
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, count = 0;
	for (size_t i = 0; i < bytes.len; i++) {
		bits = bits << 8 | (unsigned char)bytes.ptr[i];
		for (count += 8; count >= 6; count -= 6) buf_append_char(out, alphabet[bits >> (count - 6) & 63]);
	}
	if (count) buf_append_char(out, alphabet[bits << (6 - count) & 63]);
}

static int value_of(char c) {
	if (c >= 'A' && c <= 'Z') return c - 'A';
	if (c >= 'a' && c <= 'z') return c - 'a' + 26;
	if (c >= '0' && c <= '9') return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool kube_base64url_decode(struct str text, struct buf *out) {
	unsigned bits = 0, count = 0;
	for (size_t i = 0; i < text.len; i++) {
		int value = value_of(text.ptr[i]);
		if (value < 0) return false;
		bits = bits << 6 | (unsigned)value;
		count += 6;
		if (count < 8) continue;
		count -= 8;
		buf_append_char(out, (char)(bits >> count & 0xff));
	}
	return true;
}
