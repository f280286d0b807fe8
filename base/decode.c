#include "base/decode.h"

#include <openssl/crypto.h>

enum { PIECE_BYTES = 48, NO_DIGIT = 255 };

/* What is put once a piece is full. */
struct piece {
	struct sink sink;
	char bytes[PIECE_BYTES];
	size_t len;
};

static void piece_flush(struct piece *piece) {
	if (piece->len) piece->sink.put(piece->sink.arg, (struct str){ piece->bytes, piece->len });
	piece->len = 0;
}

static void piece_add(struct piece *piece, unsigned char byte) {
	piece->bytes[piece->len++] = (char)byte;
	if (piece->len == PIECE_BYTES) piece_flush(piece);
}

static enum err fail(size_t at, size_t *out_at) {
	if (out_at) *out_at = at;
	return ERR_INVALID;
}

static unsigned base64_digit(enum base64_kind kind, char c) {
	if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9') return (unsigned)(c - '0') + 52;
	if (c == (kind == BASE64_URL ? '-' : '+')) return 62;
	if (c == (kind == BASE64_URL ? '_' : '/')) return 63;
	return NO_DIGIT;
}

static bool is_skipped(enum base64_kind kind, char c) {
	return c == '\r' || c == '\n' || (kind == BASE64_BLANKS && (c == ' ' || c == '\t'));
}

/* Behind the digits of the last group: the padding that it needs, and nothing else. */
static enum err check_end(
	enum base64_kind kind, unsigned digits, struct str text, size_t at, size_t *out_at) {
	unsigned padding = digits == 0 ? 0 : 4 - digits;
	if (kind == BASE64_URL) padding = 0;
	for (; at < text.len; at++) {
		if (is_skipped(kind, text.ptr[at])) continue;
		if (padding == 0 || digits < 2 || text.ptr[at] != '=') return fail(at, out_at);
		padding--;
	}
	return padding || digits == 1 ? fail(text.len, out_at) : OK;
}

enum err decode_base64(enum base64_kind kind, struct str text, struct sink sink, size_t *out_at) {
	struct piece piece = { .sink = sink };
	uint32_t bits = 0;
	unsigned digits = 0; /* of the group that is being read */
	size_t at = 0;
	for (; at < text.len; at++) {
		if (is_skipped(kind, text.ptr[at])) continue;
		unsigned digit = base64_digit(kind, text.ptr[at]);
		if (digit == NO_DIGIT) break;
		bits = bits << 6 | digit;
		if (++digits < 4) continue;
		piece_add(&piece, bits >> 16 & 255);
		piece_add(&piece, bits >> 8 & 255);
		piece_add(&piece, bits & 255);
		digits = 0;
	}
	if (digits == 2) piece_add(&piece, bits >> 4 & 255);
	if (digits == 3) {
		piece_add(&piece, bits >> 10 & 255);
		piece_add(&piece, bits >> 2 & 255);
	}
	piece_flush(&piece);
	OPENSSL_cleanse(&piece, sizeof piece);
	OPENSSL_cleanse(&bits, sizeof bits);
	return check_end(kind, digits, text, at, out_at);
}

static unsigned hex_digit(char c) {
	if (c >= '0' && c <= '9') return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f') return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F') return (unsigned)(c - 'A') + 10;
	return NO_DIGIT;
}

enum err decode_hex(struct str text, struct sink sink, size_t *out_at) {
	struct piece piece = { .sink = sink };
	size_t at = 0;
	for (; at + 1 < text.len; at += 2) {
		unsigned high = hex_digit(text.ptr[at]), low = hex_digit(text.ptr[at + 1]);
		if (high == NO_DIGIT || low == NO_DIGIT) break;
		piece_add(&piece, (unsigned char)(high << 4 | low));
	}
	piece_flush(&piece);
	OPENSSL_cleanse(&piece, sizeof piece);
	if (at == text.len) return OK;
	/* The first of the pair that is no digit; of a good digit the second is missing or wrong. */
	return fail(hex_digit(text.ptr[at]) == NO_DIGIT ? at : at + 1, out_at);
}
