#include "clients/chain.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

enum { NOBODY = -1 };

/* The key identifiers of a certificate; NULL where it has none that can be read. */
struct ids {
	AUTHORITY_KEYID *authority;
	ASN1_OCTET_STRING *subject;
};

/* parent[i]: index of the certificate that signed i, or NOBODY. */
struct chain {
	int count;
	struct ids *ids;
	int *parent;
	bool *is_parent;
};

static void read_ids(const STACK_OF(X509) * certs, struct chain *chain) {
	for (int i = 0; i < chain->count; i++) {
		const X509 *cert = sk_X509_value(certs, i);
		chain->ids[i].authority =
			X509_get_ext_d2i(cert, NID_authority_key_identifier, NULL, NULL);
		chain->ids[i].subject =
			X509_get_ext_d2i(cert, NID_subject_key_identifier, NULL, NULL);
	}
	ERR_clear_error();
}

static bool signed_by(const struct ids *child, const struct ids *parent) {
	const ASN1_OCTET_STRING *authority = child->authority ? child->authority->keyid : NULL;
	return authority && parent->subject && ASN1_STRING_length(authority) > 0 &&
	       ASN1_OCTET_STRING_cmp(authority, parent->subject) == 0;
}

static void find_parents(struct chain *chain) {
	for (int i = 0; i < chain->count; i++) {
		int j = 0;
		while (j < chain->count && (j == i || !signed_by(&chain->ids[i], &chain->ids[j])))
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

static void chain_deinit(struct chain *chain) {
	for (int i = 0; chain->ids && i < chain->count; i++) {
		AUTHORITY_KEYID_free(chain->ids[i].authority);
		ASN1_OCTET_STRING_free(chain->ids[i].subject);
	}
	mem_free(chain->ids);
	mem_free(chain->parent);
	mem_free(chain->is_parent);
}

enum err chain_order(STACK_OF(X509) * certs, struct fault *fault) {
	struct chain chain = { .count = sk_X509_num(certs) };
	size_t room = chain.count > 0 ? (size_t)chain.count : 1;
	chain.ids = mem_array(room, sizeof *chain.ids);
	chain.parent = mem_array(room, sizeof *chain.parent);
	chain.is_parent = mem_array(room, sizeof *chain.is_parent);
	enum err err = ERR_NOMEM;
	if (chain.ids && chain.parent && chain.is_parent) {
		read_ids(certs, &chain);
		find_parents(&chain);
		err = walk(certs, &chain, fault);
	} else {
		err = fault_set(fault, err, "out of memory");
	}
	chain_deinit(&chain);
	return err;
}
