#include "unit.h"

#include "base/hash.h"

/* From the paper's definition with one round per word and three at the end, by a program that also yields the paper's own
 * SipHash-2-4 vector. */
static void test_siphash(void **state) {
	(void)state;
	static const struct {
		size_t len;
		uint64_t hash;
	} cases[] = {
		{ 0, UINT64_C(0xabac0158050fc4dc) },
		{ 1, UINT64_C(0xc9f49bf37d57ca93) },
		{ 7, UINT64_C(0xd3927d989bb11140) },
		{ 8, UINT64_C(0x369095118d299a8e) },
		{ 9, UINT64_C(0x25a48eb36c063de4) },
		{ 15, UINT64_C(0xd320d86d2a519956) },
		{ 16, UINT64_C(0xcc4fdd1a7d908b66) },
		{ 63, UINT64_C(0x9d199062b7bbb3a8) },
	};
	struct hash_key key = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
	char bytes[64];
	for (int i = 0; i < 64; i++) bytes[i] = (char)i;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(hash64(&key, (struct str){ bytes, cases[i].len }) == cases[i].hash);
	}
}

/* Homes and phases of a running fleet hang on this value: it must never change. */
static void test_stable(void **state) {
	(void)state;
	assert_true(hash64_stable(STR("abc")) == UINT64_C(0xc03bc3a0042630f2));
	assert_true(hash64_stable(STR_NULL) == UINT64_C(0xd1fba762150c532c));
}

static void check_digest(struct sha256 *sha, const char *expected) {
	unsigned char digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];
	assert_int_equal(sha256_final(sha, digest), OK);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex, expected);
}

static void test_sha256(void **state) {
	(void)state;
	struct sha256 sha;
	sha256_init(&sha);
	sha256_add(&sha, STR_NULL);
	check_digest(&sha, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_init(&sha);
	sha256_add(&sha, STR("a"));
	sha256_add(&sha, STR("bc"));
	check_digest(&sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_deinit(&sha);
	sha256_deinit(&sha);
}

static void test_fields_do_not_run_together(void **state) {
	(void)state;
	unsigned char a[SHA256_BYTES], b[SHA256_BYTES];
	struct sha256 sha;
	sha256_init(&sha);
	sha256_add_field(&sha, STR("ab"));
	sha256_add_field(&sha, STR("c"));
	assert_int_equal(sha256_final(&sha, a), OK);
	sha256_init(&sha);
	sha256_add_field(&sha, STR("a"));
	sha256_add_field(&sha, STR("bc"));
	assert_int_equal(sha256_final(&sha, b), OK);
	assert_memory_not_equal(a, b, SHA256_BYTES);
}

/* An integer is eight bytes, the lowest first, on every machine. */
static void test_integers(void **state) {
	(void)state;
	unsigned char a[SHA256_BYTES], b[SHA256_BYTES];
	struct sha256 sha;
	sha256_init(&sha);
	sha256_add_i64(&sha, -2);
	assert_int_equal(sha256_final(&sha, a), OK);
	sha256_init(&sha);
	sha256_add(&sha, STR("\xfe\xff\xff\xff\xff\xff\xff\xff"));
	assert_int_equal(sha256_final(&sha, b), OK);
	assert_memory_equal(a, b, SHA256_BYTES);
}

static void test_final_without_context(void **state) {
	(void)state;
	struct sha256 sha = { NULL }; /* what a failed init leaves */
	unsigned char digest[SHA256_BYTES] = { 7 };
	sha256_add(&sha, STR("x"));
	sha256_add_i64(&sha, 1);
	assert_int_equal(sha256_final(&sha, digest), ERR_NOMEM);
	assert_int_equal(digest[0], 7);
}

static void test_hex(void **state) {
	(void)state;
	char hex[9];
	hex_encode((const unsigned char *)"\x00\x0f\xf0\xff", 4, hex);
	assert_string_equal(hex, "000ff0ff");
	hex_encode(NULL, 0, hex);
	assert_string_equal(hex, "");
	unsigned char bytes[4];
	assert_int_equal(hex_decode(STR("000fF0fF"), bytes, 4), OK);
	assert_memory_equal(bytes, "\x00\x0f\xf0\xff", 4);
	assert_int_equal(hex_decode(STR_NULL, bytes, 0), OK);
	static const char *const bad[] = { "", "000ff0f", "000ff0fff", "000ff0f ", "000ff0fg",
		"000ff0f@", "000ff0ff00" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(bytes, 7, sizeof(bytes));
		assert_int_equal(hex_decode(str_of(bad[i]), bytes, 4), ERR_INVALID);
		assert_memory_equal(bytes, "\7\7\7\7", 4);
	}
}

/* RFC 4231, cases 1 to 3, and an empty message. */
static void test_hmac(void **state) {
	(void)state;
	static const struct {
		const char *key, *message, *expected;
	} cases[] = {
		{ "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
			"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ "Jefe", "what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ "key", "", "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char digest[SHA256_BYTES];
		char hex[SHA256_HEX_BYTES];
		assert_int_equal(hmac_sha256(str_of(cases[i].key), str_of(cases[i].message), digest), OK);
		hex_encode(digest, sizeof digest, hex);
		assert_string_equal(hex, cases[i].expected);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash),
		cmocka_unit_test(test_stable),
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_fields_do_not_run_together),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_final_without_context),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_hmac),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
