#include "clients/chain.h"

#include <openssl/x509v3.h>

#include "base/mem.h"

enum { NOBODY = -1 };

/* parent[i]: index of the certificate that signed i, or NOBODY. */
struct chain {
	int count;
	int *parent;
	bool *is_parent;
};

static bool signed_by(const X509 *child, const X509 *parent) {
	/* Both fill in the certificate's cached extensions, which OpenSSL guards itself. */
	const ASN1_OCTET_STRING *authority = X509_get0_authority_key_id((X509 *)child);
	const ASN1_OCTET_STRING *subject = X509_get0_subject_key_id((X509 *)parent);
	return authority && subject && ASN1_STRING_length(authority) > 0 &&
	       ASN1_OCTET_STRING_cmp(authority, subject) == 0;
}

static void find_parents(const STACK_OF(X509) * certs, struct chain *chain) {
	for (int i = 0; i < chain->count; i++) {
		int j = 0;
		while (j < chain->count &&
			(j == i || !signed_by(sk_X509_value(certs, i), sk_X509_value(certs, j))))
			j++;
		chain->parent[i] = j < chain->count ? j : NOBODY;
		if (j < chain->count) chain->is_parent[j] = true;
	}
}

/* Puts them in the order of the walk; a walk that is too short changes nothing. */
static enum err walk(STACK_OF(X509) * certs, const struct chain *chain, struct fault *fault) {
	int leaf = 0, steps = 0;
	while (leaf < chain->count && chain->is_parent[leaf]) leaf++;
	if (leaf == chain->count) {
		return fault_set(fault, ERR_INVALID,
			chain->count
				? "its certificates have no leaf: each is the issuer of another"
				: "it holds no certificate");
	}
	for (int i = leaf; i != NOBODY; i = chain->parent[i]) {
		if (++steps > chain->count) {
			return fault_set(fault, ERR_INVALID,
				"its certificates are each other's issuers in a circle");
		}
	}
	if (steps < chain->count) return OK;
	X509 **ordered = mem_array((size_t)chain->count, sizeof *ordered);
	if (!ordered) return fault_set(fault, ERR_NOMEM, "out of memory");
	for (int i = leaf, at = 0; i != NOBODY; i = chain->parent[i])
		ordered[at++] = sk_X509_value(certs, i);
	for (int at = 0; at < chain->count; at++) sk_X509_set(certs, at, ordered[at]);
	mem_free(ordered);
	return OK;
}

enum err chain_order(STACK_OF(X509) * certs, struct fault *fault) {
	struct chain chain = { .count = sk_X509_num(certs) };
	size_t room = chain.count > 0 ? (size_t)chain.count : 1;
	chain.parent = mem_array(room, sizeof *chain.parent);
	chain.is_parent = mem_array(room, sizeof *chain.is_parent);
	enum err err = ERR_NOMEM;
	if (chain.parent && chain.is_parent) {
		find_parents(certs, &chain);
		err = walk(certs, &chain, fault);
	} else {
		err = fault_set(fault, err, "out of memory");
	}
	mem_free(chain.parent);
	mem_free(chain.is_parent);
	return err;
}
