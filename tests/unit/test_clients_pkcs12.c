/* PKCS#12 to PEM, beyond what tests/conformance/convert shows by rows: both forms of an empty password, no legacy provider, no
 * memory, and no byte of a key left behind. */
#include "clients/pkcs12.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>

#include "base/mem.h"
#include "clients/crypto.h"
#include "tests/unit/unit.h"

#define DATA "../conformance/convert/data/"

enum { FILE_BYTES = 1 << 16, PATTERN_BYTES = 24, MASK = 0x5a };

static struct secret_arena *arena;

static struct str read_file(const char *path, char *bytes) {
	FILE *file = fopen(path, "rb");
	if (!file) fail_msg("%s", path);
	size_t len = fread(bytes, 1, FILE_BYTES, file);
	fclose(file);
	return (struct str){ bytes, len };
}

static enum err convert(const char *path, struct secret *out_pem, struct fault *fault) {
	char *bytes = malloc(FILE_BYTES);
	assert_non_null(bytes);
	secret_init(out_pem, arena, 1 << 20);
	enum err err = pkcs12_to_pem(read_file(path, bytes), out_pem, fault);
	free(bytes);
	return err;
}

/* Before anything else has loaded it. OpenSSL reads OPENSSL_MODULES when it looks for a provider. */
static void without_the_legacy_provider_only_old_files_fail(void **state) {
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct secret pem;
		struct fault fault = { 0 };
		setenv("OPENSSL_MODULES", "/nonexistent", 1);
		if (convert(DATA "rsa-modern.pfx", &pem, &fault) != OK) _exit(2);
		if (convert(DATA "rsa-legacy.pfx", &pem, &fault) != ERR_INVALID) _exit(3);
		if (!strstr(fault.text, "legacy.so is missing")) _exit(4);
		if (!strstr(fault.text, "libssl3") || !strstr(fault.text, "RC2-40")) _exit(5);
		_exit(crypto_has_legacy() ? 6 : 0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* OpenSSL's own context stays without it: neither TLS nor anything else may choose RC2. */
static void nothing_else_sees_the_legacy_provider(void **state) {
	struct secret pem;
	(void)state;
	assert_int_equal(convert(DATA "rsa-legacy.pfx", &pem, NULL), OK);
	secret_deinit(&pem);
	assert_true(crypto_has_legacy());
	assert_null(EVP_CIPHER_fetch(NULL, "RC2-40-CBC", NULL));
	assert_ptr_equal(OSSL_LIB_CTX_set0_default(NULL), OSSL_LIB_CTX_get0_global_default());
}

/* A file whose password is `password`: "" is two zero bytes, NULL is nothing at all. */
static void seal(const char *password, int key_nid, int cert_nid, struct secret *out_der) {
	struct crypto_scope scope;
	unsigned char *der = NULL;
	assert_int_equal(crypto_enter(&scope), OK);
	FILE *file = fopen(DATA "rsa.pem", "r");
	assert_non_null(file);
	EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	PKCS12 *p12 = PKCS12_create(password, NULL, key, cert, NULL, key_nid, cert_nid, 2000, 1, 0);
	int len = i2d_PKCS12(p12, &der);
	assert_true(len > 0);
	secret_init(out_der, arena, FILE_BYTES);
	secret_append(out_der, (struct str){ (char *)der, (size_t)len });
	OPENSSL_free(der);
	PKCS12_free(p12);
	X509_free(cert);
	EVP_PKEY_free(key);
	crypto_leave(&scope);
}

static void both_forms_of_an_empty_password_do(void **state) {
	static const char *const passwords[] = { "", NULL };
	static const int nids[][2] = { { NID_pbe_WithSHA1And3_Key_TripleDES_CBC,
					       NID_pbe_WithSHA1And40BitRC2_CBC },
		{ NID_aes_256_cbc, NID_aes_256_cbc } };
	char bytes[FILE_BYTES];
	struct str expected = read_file(DATA "rsa.pem", bytes);
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct secret der, pem;
		struct fault fault = { 0 };
		seal(passwords[i & 1], nids[i >> 1][0], nids[i >> 1][1], &der);
		secret_init(&pem, arena, FILE_BYTES);
		if (pkcs12_to_pem(secret_expose(&der), &pem, &fault)) fail_msg("%s", fault.text);
		assert_true(str_eq(secret_expose(&pem), expected));
		secret_deinit(&der);
		secret_deinit(&pem);
	}
}

static void a_file_beyond_all_bounds_is_refused(void **state) {
	struct secret pem;
	struct fault fault = { 0 };
	char *bytes = calloc(1, PKCS12_MOST_BYTES + 1);
	(void)state;
	secret_init(&pem, arena, 64);
	assert_int_equal(pkcs12_to_pem((struct str){ bytes, PKCS12_MOST_BYTES + 1 }, &pem, &fault),
		ERR_TOO_LARGE);
	free(bytes);
	struct str file = read_file(DATA "rsa-modern.pfx", bytes = malloc(FILE_BYTES));
	assert_int_equal(pkcs12_to_pem(file, &pem, &fault), ERR_TOO_LARGE);
	assert_int_equal(secret_len(&pem), 0);
	free(bytes);
}

/* Every allocation of OpenSSL goes through base/mem.c. Whichever fails, the answer is right or says that memory is short. */
static void a_lack_of_memory_is_an_error(void **state) {
	static char bytes[FILE_BYTES];
	struct str file = read_file(DATA "chain-wrong.pfx", bytes);
	uint64_t nth = 1, others = 0;
	(void)state;
	/* All of the first ones, then fewer and fewer: a derivation allocates the same for each of its iterations. */
	for (;; nth += 1 + nth / 64) {
		struct secret pem;
		struct fault fault = { 0 };
		secret_init(&pem, arena, FILE_BYTES);
		mem_fail_at(nth);
		enum err err = pkcs12_to_pem(file, &pem, &fault);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		size_t len = secret_len(&pem);
		secret_deinit(&pem);
		if (!reached) {
			assert_int_equal(err, OK);
			break;
		}
		if (err && err != ERR_NOMEM) others++;
		assert_true(err ? len == 0 : len > 0);
	}
	assert_true(nth > 200);
	if (others) fail_msg("%d failures were told otherwise", (int)others);
}

/* --- what is left behind --- */

/* A piece from the middle of the private exponent, masked, and made by a process of its own so that it stands nowhere in this
 * one. */
static void secret_pattern(unsigned char *out_masked) {
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		FILE *file = fopen(DATA "rsa.pem", "r");
		EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
		unsigned char *der = NULL;
		int len = i2d_PrivateKey(key, &der);
		for (int i = 0; i < PATTERN_BYTES; i++) der[len / 2 + i] ^= MASK;
		ssize_t sent = write(ends[1], der + len / 2, PATTERN_BYTES);
		_exit(sent == PATTERN_BYTES ? 0 : 1);
	}
	assert_int_equal(read(ends[0], out_masked, PATTERN_BYTES), PATTERN_BYTES);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static bool holds(const unsigned char *from, const unsigned char *end, const unsigned char *masked) {
	for (; from + PATTERN_BYTES <= end; from++) {
		int i = 0;
		while (i < PATTERN_BYTES && (from[i] ^ MASK) == masked[i]) i++;
		if (i == PATTERN_BYTES) return true;
	}
	return false;
}

/* How many writable mappings of this process hold the piece. */
__attribute__((no_sanitize("address"))) static unsigned count_places(const unsigned char *masked) {
	char line[512];
	unsigned places = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	assert_non_null(maps);
	while (fgets(line, sizeof line, maps)) {
		unsigned long from, end;
		char rights[8];
		if (sscanf(line, "%lx-%lx %7s", &from, &end, rights) != 3) continue;
		if (strncmp(rights, "rw", 2) != 0) continue;
		if (holds((const unsigned char *)from, (const unsigned char *)end, masked)) places++;
	}
	fclose(maps);
	return places;
}

static void no_byte_of_a_key_is_left_behind(void **state) {
	static const char *const files[] = { DATA "rsa-modern.pfx", DATA "rsa-legacy.pfx",
		DATA "nomac.pfx" };
	unsigned char masked[PATTERN_BYTES];
	struct secret held;
	(void)state;
#if defined(__SANITIZE_ADDRESS__)
	skip(); /* its shadow is no memory to be read, and what it frees it keeps */
#endif
	secret_pattern(masked);
	assert_int_equal(count_places(masked), 0);
	for (int i = 0; i < 3; i++) {
		struct secret pem;
		assert_int_equal(convert(files[i], &pem, NULL), OK);
		secret_deinit(&pem);
		assert_int_equal(count_places(masked), 0);
	}
	/* It would be found: here it stands on purpose. */
	secret_init(&held, arena, PATTERN_BYTES);
	for (int i = 0; i < PATTERN_BYTES; i++) secret_append_char(&held, (char)(masked[i] ^ MASK));
	assert_int_equal(count_places(masked), 1);
	secret_deinit(&held);
}

static int setup(void **state) {
	(void)state;
	arena = secret_arena_create(4 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state) {
	(void)state;
	assert_int_equal(secret_arena_used_bytes(arena), 0);
	secret_arena_destroy(arena);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_legacy_provider_only_old_files_fail),
		cmocka_unit_test(no_byte_of_a_key_is_left_behind),
		cmocka_unit_test(nothing_else_sees_the_legacy_provider),
		cmocka_unit_test(both_forms_of_an_empty_password_do),
		cmocka_unit_test(a_file_beyond_all_bounds_is_refused),
		cmocka_unit_test(a_lack_of_memory_is_an_error),
	};
	mem_wipe_libraries();
	return cmocka_run_group_tests(tests, setup, teardown);
}
