/* workers/demand: the keys that a type cannot do without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "workers/demand.h"

static bool is_key(const void *arg, struct str key) {
	return str_eq(key, str_of(arg));
}

static void only_known_types_demand_something(void **state) {
	(void)state;
	assert_null(demand_of(STR("Opaque")));
	assert_null(demand_of(STR("")));
	assert_null(demand_of(STR("kubernetes.io/TLS")));
	assert_null(demand_of(STR("bootstrap.kubernetes.io/token")));
	assert_non_null(demand_of(STR("kubernetes.io/dockercfg")));
}

static void the_first_missing_key_is_told(void **state) {
	(void)state;
	const struct demand *tls = demand_of(STR("kubernetes.io/tls"));
	assert_true(str_eq(demand_lacks(tls, is_key, "x"), STR("tls.crt")));
	assert_true(str_eq(demand_lacks(tls, is_key, "tls.crt"), STR("tls.key")));
	assert_true(str_eq(demand_lacks(tls, is_key, "tls.key"), STR("tls.crt")));
}

static void of_a_login_one_key_is_enough(void **state) {
	(void)state;
	const struct demand *login = demand_of(STR("kubernetes.io/basic-auth"));
	assert_int_equal(demand_lacks(login, is_key, "username").len, 0);
	assert_int_equal(demand_lacks(login, is_key, "password").len, 0);
	assert_true(str_eq(demand_lacks(login, is_key, "x"), STR("username")));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_known_types_demand_something),
		cmocka_unit_test(the_first_missing_key_is_told),
		cmocka_unit_test(of_a_login_one_key_is_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
