/* A JSON Web Key: what is taken for a key is one that OpenSSL reads back. */
#include "secret_fuzz.h"

#include <openssl/pem.h>

#include "clients/json.h"
#include "clients/jwk.h"

static void check_pem(struct str pem) {
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	assert(key);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	cJSON *json = NULL;
	struct secret pem;
	struct fault fault = { 0 };
	if (json_parse((struct str){ (const char *)data, size }, &json, NULL) != OK) return 0;
	secret_init(&pem, arena, 1 << 16);
	enum err err = jwk_write_pem(json, &pem, &fault);
	assert(err == fault.err && (!err || fault.text[0]));
	if (!err) check_pem(secret_expose(&pem));
	secret_deinit(&pem);
	cJSON_Delete(json);
	assert(secret_arena_used_bytes(arena) == 0);
	return 0;
}
