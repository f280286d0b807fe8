/* The order of certificates, by their key identifiers alone. */
#include "clients/chain.h"

#include <openssl/x509v3.h>

#include "tests/unit/unit.h"

/* A certificate of two letters: its authority's key identifier and its own; '-' is none. */
static X509 *make(const char *letters) {
	X509 *cert = X509_new();
	assert_non_null(cert);
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	if (letters[1] != '-') {
		assert_int_equal(ASN1_OCTET_STRING_set(id, (const unsigned char *)letters + 1, 1), 1);
		assert_int_equal(
			X509_add1_ext_i2d(cert, NID_subject_key_identifier, id, 0, X509V3_ADD_APPEND), 1);
	}
	if (letters[0] != '-') {
		AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
		authority->keyid = ASN1_OCTET_STRING_new();
		assert_int_equal(
			ASN1_OCTET_STRING_set(authority->keyid, (const unsigned char *)letters, 1), 1);
		assert_int_equal(X509_add1_ext_i2d(cert, NID_authority_key_identifier, authority, 0,
					 X509V3_ADD_APPEND),
			1);
		AUTHORITY_KEYID_free(authority);
	}
	ASN1_OCTET_STRING_free(id);
	return cert;
}

static void rows(void **state) {
	static const struct {
		const char *certs; /* pairs of letters */
		const char *order; /* indices; NULL: refused */
		const char *says;
	} cases[] = {
		{ "rl", "0", NULL },
		{ "rr", "0", NULL }, /* a lone root is nobody else's parent */
		{ "--", "0", NULL },
		{ "il ri rr", "012", NULL },
		{ "rr ri il", "210", NULL },
		{ "ri rr il", "201", NULL },
		{ "il rr", "01", NULL }, /* a gap: as it was */
		{ "rr il", "01", NULL },
		{ "il im ri rr", "0123", NULL }, /* the walk from il does not reach im */
		{ "ri il im", "012", NULL },
		{ "-- --", "01", NULL }, /* no identifiers: nobody is a parent, and two make no chain */
		{ "-l l-", "10", NULL },
		{ "il -i", "01", NULL },
		{ "-i il", "10", NULL }, /* a root without an authority */
		{ "il ri ri rr", "0123", NULL }, /* a cross-signed issuer: the first counts, one is left over */
		{ "", NULL, "no certificate" },
		{ "aa aa", NULL, "no leaf" },
		{ "ab ba", NULL, "no leaf" },
		{ "ax ab ba", NULL, "circle" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		X509 *made[8] = { 0 };
		STACK_OF(X509) *certs = sk_X509_new_null();
		struct fault fault = { 0 };
		int count = 0;
		for (const char *at = cases[i].certs; *at; at += at[2] ? 3 : 2) {
			made[count] = make(at);
			assert_true(sk_X509_push(certs, made[count++]) > 0);
		}
		enum err err = chain_order(certs, &fault);
		if (!cases[i].order) {
			if (err != ERR_INVALID || !strstr(fault.text, cases[i].says))
				fail_msg("%s: %s", cases[i].certs, fault.text);
		} else if (err) {
			fail_msg("%s: %s", cases[i].certs, fault.text);
		}
		for (int k = 0; !err && k < count; k++) {
			if (sk_X509_value(certs, k) != made[cases[i].order[k] - '0'])
				fail_msg("%s: place %d", cases[i].certs, k);
		}
		sk_X509_pop_free(certs, X509_free);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
