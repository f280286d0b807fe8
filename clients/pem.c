#include "clients/pem.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/mem.h"

enum { LINE_BYTES = 48 }; /* 64 characters of base64 */

void pem_write(struct secret *out, const char *label, struct str der) {
	secret_append(out, STR("-----BEGIN "));
	secret_append(out, str_of(label));
	secret_append(out, STR("-----\n"));
	for (size_t at = 0; at < der.len; at += LINE_BYTES) {
		secret_append_base64(out, str_slice(der, at, LINE_BYTES));
		secret_append_char(out, '\n');
	}
	secret_append(out, STR("-----END "));
	secret_append(out, str_of(label));
	secret_append(out, STR("-----\n"));
}

/* One block. OK with *out_more false behind the last one. */
static enum err next(BIO *bio, enum err (*visit)(void *arg, const struct pem_block *block),
	void *arg, bool *out_more) {
	char *label = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len = 0;
	uint64_t failures = mem_failures();
	*out_more = PEM_read_bio(bio, &label, &header, &der, &len) == 1;
	if (!*out_more) {
		int reason = ERR_GET_REASON(ERR_peek_last_error());
		ERR_clear_error();
		if (mem_failures() != failures) return ERR_NOMEM;
		return reason == PEM_R_NO_START_LINE ? OK : ERR_INVALID;
	}
	struct pem_block block = { str_of(label), str_of(header), { (char *)der, (size_t)len } };
	enum err err = len > 0 ? visit(arg, &block) : ERR_INVALID;
	OPENSSL_free(label);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, (size_t)len);
	return err;
}

enum err pem_each(struct str text, enum err (*visit)(void *arg, const struct pem_block *block),
	void *arg, struct fault *fault) {
	assert(text.len <= INT_MAX);
	if (text.len == 0) return OK;
	BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	if (!bio) return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = OK;
	bool more = true;
	unsigned number = 0;
	while (!err && more) {
		number++;
		err = next(bio, visit, arg, &more);
		if (!err || more) continue;
		err = fault_set(fault, err,
			err == ERR_NOMEM
				? "out of memory"
				: "its PEM block %u is damaged or cut short; were its line "
				  "breaks lost on the way into the vault?",
			number);
	}
	BIO_free(bio);
	if (!err && number == 1 && str_find(text, STR("-----BEGIN ")) != SIZE_MAX) {
		err = fault_set(fault, ERR_INVALID,
			"its PEM text has no block that can be read; were its line breaks lost on "
			"the way into the vault?");
	}
	return err;
}
