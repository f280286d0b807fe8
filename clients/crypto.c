#include "clients/crypto.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdatomic.h>

/* Made at the first use, kept to the end of the process, shared by all threads. */
static OSSL_LIB_CTX *_Atomic shared; /* atomic: release by who made it, acquire */
static atomic_bool legacy_is_loaded; /* atomic: relaxed, only ever set */

static OSSL_LIB_CTX *make_context(void) {
	OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();
	if (context && OSSL_PROVIDER_load(context, "default")) return context;
	OSSL_LIB_CTX_free(context);
	return NULL;
}

static OSSL_LIB_CTX *get_context(void) {
	OSSL_LIB_CTX *context = atomic_load_explicit(&shared, memory_order_acquire);
	if (context) return context;
	OSSL_LIB_CTX *made = make_context();
	if (!made) return NULL;
	if (atomic_compare_exchange_strong_explicit(
		    &shared, &context, made, memory_order_acq_rel, memory_order_acquire))
		return made;
	OSSL_LIB_CTX_free(made);
	return context;
}

/* Tried again each time while it is missing: a lack of memory must not last for ever. */
static void load_legacy(OSSL_LIB_CTX *context) {
	if (atomic_load_explicit(&legacy_is_loaded, memory_order_relaxed)) return;
	if (OSSL_PROVIDER_load(context, "legacy"))
		atomic_store_explicit(&legacy_is_loaded, true, memory_order_relaxed);
}

enum err crypto_enter(struct crypto_scope *out_scope) {
	OSSL_LIB_CTX *context = get_context();
	if (context) load_legacy(context);
	ERR_clear_error();
	if (!context) return ERR_NOMEM;
	out_scope->_before = OSSL_LIB_CTX_set0_default(context);
	return OK;
}

void crypto_leave(struct crypto_scope *scope) {
	OSSL_LIB_CTX *inside = OSSL_LIB_CTX_set0_default(scope->_before);
	assert(inside == atomic_load_explicit(&shared, memory_order_relaxed));
	(void)inside;
	ERR_clear_error();
}

bool crypto_has_legacy(void) {
	return atomic_load_explicit(&legacy_is_loaded, memory_order_relaxed);
}
