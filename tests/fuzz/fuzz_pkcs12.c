/* PKCS#12 from the vault: whatever comes, memory is given back, work is bounded, and what comes out is PEM. */
#include "secret_fuzz.h"

#include "clients/pkcs12.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct secret pem;
	struct fault fault = { 0 };
	secret_init(&pem, arena, 1 << 20);
	enum err err = pkcs12_to_pem((struct str){ (const char *)data, size }, &pem, &fault);
	assert(err == fault.err && (!err || (fault.text[0] && !secret_len(&pem))));
	if (!err) {
		assert(str_starts(secret_expose(&pem), STR("-----BEGIN ")));
		assert(str_ends(secret_expose(&pem), STR("-----\n")));
	}
	secret_deinit(&pem);
	assert(secret_arena_used_bytes(arena) == 0);
	return 0;
}
