#include "base/secret_base64.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* One group of four. Padding stands at the end, and EVP_DecodeBlock reads it as zeros. */
static enum err decode_group(
	const unsigned char in[static 4], struct secret *out, bool *out_ended) {
	unsigned char plain[3];
	size_t padding = in[3] == '=' ? 1 + (size_t)(in[2] == '=') : 0;
	bool misplaced = in[0] == '=' || in[1] == '=' || (in[2] == '=' && in[3] != '=');
	if (misplaced || EVP_DecodeBlock(plain, in, 4) != 3) return ERR_INVALID;
	secret_append(out, (struct str){ (char *)plain, 3 - padding });
	OPENSSL_cleanse(plain, sizeof plain);
	*out_ended = padding > 0;
	return secret_err(out);
}

enum err secret_append_unbase64(struct secret *secret, struct str text) {
	unsigned char in[4];
	size_t count = 0;
	bool ended = false;
	enum err err = OK;
	for (size_t i = 0; i < text.len && !err; i++) {
		char c = text.ptr[i];
		if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
		if (ended) err = ERR_INVALID;
		in[count++] = (unsigned char)c;
		if (count < 4 || err) continue;
		count = 0;
		err = decode_group(in, secret, &ended);
	}
	OPENSSL_cleanse(in, sizeof in);
	return !err && count ? ERR_INVALID : err;
}
