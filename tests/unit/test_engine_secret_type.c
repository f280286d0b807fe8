/* engine/secret_type: what the API server demands of a Secret, row by row; its own answers stand in tests/k8s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/secret_type.h"

static const struct {
	const char *type, *keys[3];
	const char *says; /* NULL: accepted */
} ROWS[] = {
	{ "Opaque", { "x" }, NULL },
	{ "example.com/own", { "x" }, NULL },
	{ "bootstrap.kubernetes.io/token", { "x" }, NULL },
	{ "kubernetes.io/tls", { "tls.key", "ca.crt", "tls.crt" }, NULL },
	{ "kubernetes.io/tls", { "tls.key" }, "no targetKey tls.crt," },
	{ "kubernetes.io/tls", { "tls.crt" }, "no targetKey tls.key," },
	{ "kubernetes.io/tls", { "x" }, "no targetKey tls.crt," },
	{ "kubernetes.io/tls", { "TLS.crt", "tls.key" }, "no targetKey tls.crt," },
	{ "kubernetes.io/dockerconfigjson", { ".dockerconfigjson" }, NULL },
	{ "kubernetes.io/dockerconfigjson", { "config.json" }, "no targetKey .dockerconfigjson," },
	{ "kubernetes.io/dockercfg", { "x", ".dockercfg" }, NULL },
	{ "kubernetes.io/dockercfg", { ".dockerconfigjson" }, "no targetKey .dockercfg," },
	{ "kubernetes.io/ssh-auth", { "ssh-privatekey" }, NULL },
	{ "kubernetes.io/ssh-auth", { "ssh-publickey" }, "no targetKey ssh-privatekey," },
	{ "kubernetes.io/basic-auth", { "username" }, NULL },
	{ "kubernetes.io/basic-auth", { "x", "password" }, NULL },
	{ "kubernetes.io/basic-auth", { "x" }, "no targetKey username or password," },
};

static void keys_of_types(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct spec_item items[3] = { 0 };
		struct fault fault = { 0 };
		unsigned count = 0;
		while (count < 3 && ROWS[i].keys[count]) {
			items[count].target_key = str_of(ROWS[i].keys[count]);
			count++;
		}
		enum err err = secret_type_check(str_of(ROWS[i].type), items, count, &fault);
		if (err != (ROWS[i].says ? ERR_INVALID : OK))
			fail_msg("row %zu: %s %s", i, err_name(err), fault.text);
		if (ROWS[i].says && !strstr(fault.text, ROWS[i].says))
			fail_msg("row %zu: wanted \"%s\", got \"%s\"", i, ROWS[i].says, fault.text);
	}
}

/* The server counts keys and values of all annotations, kvsync's own among them. */
static void room_for_annotations(void **state) {
	(void)state;
	static char value[256 * 1024];
	size_t own = STR(KUBE_MANAGED_KEY).len;
	struct fault fault = { 0 };
	struct kube_pair pairs[] = { { STR("a"), { value, 1000 } },
		{ STR("b"), { value, sizeof value - 1000 - 2 - own } } };
	assert_int_equal(annotations_check(NULL, 0, &fault), OK);
	assert_int_equal(annotations_check(pairs, 2, &fault), OK);
	pairs[0].value.len++;
	assert_int_equal(annotations_check(pairs, 2, &fault), ERR_INVALID);
	assert_non_null(strstr(fault.text, "have 262145 bytes"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_types),
		cmocka_unit_test(room_for_annotations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
