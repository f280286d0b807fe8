/* A text of a vault, split into certificate and key: its first byte says which part and form. What comes out splits into itself. */
#include "secret_fuzz.h"

#include "clients/tls_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct secret pem, again;
	struct fault fault = { 0 };
	if (size == 0) return 0;
	enum tls_part part = data[0] & 1 ? TLS_CRT : TLS_KEY;
	enum tls_form form = data[0] & 2 ? TLS_TRADITIONAL : TLS_AS_IT_IS;
	secret_init(&pem, arena, 1 << 20);
	secret_init(&again, arena, 1 << 20);
	struct str text = { (const char *)data + 1, size - 1 };
	enum err err = tls_part_read(text, part, form, arena, &pem, &fault);
	assert(err == fault.err && (!err || (fault.text[0] && !secret_len(&pem))));
	if (!err) {
		err = tls_part_read(secret_expose(&pem), part, form, arena, &again, &fault);
		assert(!err && secret_equal(&pem, &again));
	}
	secret_deinit(&pem);
	secret_deinit(&again);
	assert(secret_arena_used_bytes(arena) == 0);
	return 0;
}
