#include "base/encode.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

static const char HEX[] = "0123456789ABCDEF";

/* Length of the well-formed UTF-8 sequence at the start of s; 0: there is none. */
static size_t utf8_len(struct str s) {
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : p[0] >= 0xF0 && p[0] < 0xF5 ? 4 : 0;
	if (len == 0 || len > s.len) return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xC0) != 0x80) return 0;
	}
	if (len == 3 && ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))) return 0;
	if (len == 4 && ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))) return 0;
	return len;
}

static void put_escape(char c, encode_sink *put, void *sink) {
	static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	for (size_t i = 0; shorts[i]; i += 2) {
		if (shorts[i] != c) continue;
		char two[2] = { '\\', shorts[i + 1] };
		put(sink, (struct str){ two, 2 });
		return;
	}
	char six[6] = { '\\', 'u', '0', '0', HEX[((unsigned char)c >> 4) & 15], HEX[c & 15] };
	put(sink, (struct str){ six, 6 });
}

void encode_json(struct str s, encode_sink *put, void *sink) {
	size_t plain = 0; /* bytes before i that need nothing */
	put(sink, STR("\""));
	for (size_t i = 0; i < s.len;) {
		struct str rest = str_slice(s, i, s.len);
		unsigned char c = (unsigned char)rest.ptr[0];
		size_t len = utf8_len(rest);
		bool as_is = len > 0 && c >= 0x20 && c != '"' && c != '\\';
		if (as_is) {
			i += len;
			plain += len;
			continue;
		}
		if (plain) put(sink, str_slice(s, i - plain, plain));
		plain = 0;
		if (len) put_escape((char)c, put, sink);
		if (!len) put(sink, STR("\xEF\xBF\xBD"));
		i++;
	}
	if (plain) put(sink, str_slice(s, s.len - plain, plain));
	put(sink, STR("\""));
}

static bool is_unreserved(char c) {
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

void encode_url(struct str s, encode_sink *put, void *sink) {
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		char escaped[3] = { '%', HEX[((unsigned char)c >> 4) & 15], HEX[c & 15] };
		put(sink, is_unreserved(c) ? (struct str){ &c, 1 } : (struct str){ escaped, 3 });
	}
}

void encode_base64(struct str s, encode_sink *put, void *sink) {
	enum { RAW_BYTES = 48, TEXT_BYTES = 65 };
	unsigned char text[TEXT_BYTES];
	for (size_t at = 0; at < s.len; at += RAW_BYTES) {
		struct str piece = str_slice(s, at, RAW_BYTES);
		int len = EVP_EncodeBlock(text, (const unsigned char *)piece.ptr, (int)piece.len);
		put(sink, (struct str){ (const char *)text, (size_t)len });
	}
	OPENSSL_cleanse(text, sizeof text);
}
