/* tests/world/test_azure_imds.c - the node's metadata service. */
#include "tests/world/test_azure.h"

#define PATH "/metadata/identity/oauth2/token"
#define QUERY "api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"

static int ask(struct fixture *f, const char *query) {
	if (!f->header) {
		f->header = "Metadata";
		f->header_value = "true";
	}
	fixture_ask(f, AZURE_IMDS_HOST, "GET", PATH, query, "", false);
	return f->out.status;
}

static void gives_tokens_in_strings(void **state) {
	struct fixture *f = *state;
	azure_identity_find(f->azure, STR(CLIENT))->on_node = true;
	assert_int_equal(ask(f, QUERY), 200);
	assert_str(said(f, "expires_in"), "86400");
	assert_str(said(f, "expires_on"), "1795086400");
	assert_str(said(f, "resource"), "https://vault.azure.net");
	char *first = mem_strdup(said(f, "access_token"));
	pass_seconds(f, 100);
	assert_int_equal(ask(f, QUERY "&client_id=" CLIENT), 200);
	assert_str(said(f, "expires_in"), "86300");
	assert_str(said(f, "access_token"), first);
	buf_reset(&f->token);
	buf_append(&f->token, str_of(first));
	mem_free(first);
	f->header = NULL;
	assert_int_equal(vault_get(f, "/secrets"), 200);
}

static void must_know_whom(void **state) {
	struct fixture *f = *state;
	assert_int_equal(ask(f, QUERY), 400);
	assert_str(said(f, "error_description"), "Identity not found");
	azure_identity_find(f->azure, STR(CLIENT))->on_node = true;
	azure_identity_add(f->azure, STR(TENANT), STR("other"))->on_node = true;
	assert_int_equal(ask(f, QUERY), 400);
	assert_true(str_starts(said(f, "error_description"), STR("Multiple user assigned")));
	assert_int_equal(ask(f, QUERY "&client_id=nobody"), 400);
	assert_int_equal(ask(f, QUERY "&client_id=other"), 200);
	assert_str(said(f, "client_id"), "other");
}

static void refuses_and_throttles(void **state) {
	struct fixture *f = *state;
	azure_identity_find(f->azure, STR(CLIENT))->on_node = true;
	f->header = "X-Forwarded-For";
	f->header_value = "1";
	assert_int_equal(ask(f, QUERY), 400);
	f->header = NULL;
	assert_int_equal(ask(f, "api-version=2018-02-01"), 400);
	fault_on(f, FAULT_THROTTLE)->count = 1;
	assert_int_equal(ask(f, QUERY), 429);
	assert_int_equal(buf_str(&f->out.body).len, 90);
	assert_true(f->out.no_reason);
	assert_null(header_said(f, "Retry-After").ptr);
	struct azure_fault *fault = fault_on(f, FAULT_STATUS);
	fault->host = mem_strdup(STR(AZURE_IMDS_HOST));
	fault->number = 410;
	fault->count = 2;
	assert_int_equal(ask(f, QUERY), 410);
	assert_int_equal(ask(f, QUERY), 410);
	assert_int_equal(ask(f, QUERY), 200);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(gives_tokens_in_strings),
		TEST(must_know_whom),
		TEST(refuses_and_throttles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
