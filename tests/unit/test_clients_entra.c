/* Entra: the exchange, its answer, its errors. */
#include "clients/entra.h"

#include "tests/unit/call.h"

static const struct http_site site = { .name = "entra" };
static struct secret_arena *arena;

static void exchange(struct entra_call *call) {
	struct secret assertion;
	secret_init(&assertion, arena, 64);
	secret_append(&assertion, STR("h.p+/=.s"));
	assert_int_equal(entra_exchange(call, &site, STR("https://login.microsoftonline.com"),
				 STR("tenant/../x"), STR("client&id"),
				 STR("https://vault.azure.net/.default"), &assertion, arena),
		OK);
	/* The form holds what it needs; the assertion may go. */
	secret_deinit(&assertion);
}

static void the_form_is_complete_and_escaped(void **state) {
	struct entra_call call;
	(void)state;
	exchange(&call);
	assert_str(buf_str(&call.http.url),
		"https://login.microsoftonline.com/tenant%2F..%2Fx/oauth2/v2.0/token");
	assert_int_equal(call.http.method, HTTP_POST);
	assert_null(call.http.bearer);
	assert_true(has_header(&call.http, "Content-Type", "application/x-www-form-urlencoded"));
	assert_ptr_equal(call.http.response_arena, arena);
	assert_str(secret_expose(call.http.secret_body),
		"grant_type=client_credentials&client_id=client%26id&scope=https%3A%2F%2Fvault."
		"azure.net%2F.default"
		"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-"
		"bearer&client_assertion=h.p%2B%2F%3D.s");
	entra_call_deinit(&call);
	entra_call_deinit(&call);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

static void exchange_secret(struct entra_call *call, struct str tenant) {
	struct secret id, secret;
	secret_init(&id, arena, 64);
	secret_init(&secret, arena, 64);
	secret_append(&id, STR("cl&ient"));
	secret_append(&secret, STR("s~e+c/r="));
	assert_int_equal(entra_exchange_secret(call, &site, STR("https://login.example"), tenant,
				 STR("https://vault.azure.net/.default"), &id, &secret, arena),
		OK);
	secret_deinit(&id);
	secret_deinit(&secret);
}

static void a_client_secret_stands_in_the_form_alone(void **state) {
	struct entra_call call;
	(void)state;
	exchange_secret(&call, STR("t"));
	assert_str(buf_str(&call.http.url), "https://login.example/t/oauth2/v2.0/token");
	assert_str(secret_expose(call.http.secret_body),
		"grant_type=client_credentials&client_id=cl%26ient&scope=https%3A%2F%2Fvault.azure."
		"net%2F.default&client_secret=s~e%2Bc%2Fr%3D");
	assert_ptr_equal(call.http.response_arena, arena);
	entra_call_deinit(&call);
	exchange_secret(&call, STR("ADFS"));
	assert_str(buf_str(&call.http.url), "https://login.example/ADFS/oauth2/token");
	entra_call_deinit(&call);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

static void errors_of_a_client_secret_name_the_secret(void **state) {
	static const struct {
		const char *body, *part;
	} cases[] = {
		{ "{\"error\":\"invalid_client\",\"error_codes\":[7000215]}",
			"the secret's value, not its id" },
		{ "{\"error\":\"invalid_client\",\"error_codes\":[7000222]}", "has expired" },
		{ "{\"error\":\"invalid_client\",\"error_codes\":[1]}", "clientid and clientsecret" },
	};
	struct entra_call call;
	(void)state;
	exchange_secret(&call, STR("t"));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fault fault = { 0 };
		answer(&call.http, 401, cases[i].body);
		assert_int_equal(entra_result(&call, &fault, STR("tid"), STR("of Secret n/s")),
			ERR_DENIED);
		assert_text(fault.text, cases[i].part);
		assert_text(fault.text, "for client of Secret n/s of tenant tid");
		assert_null(strstr(fault.text, "federated"));
	}
	entra_call_deinit(&call);
}

static void read_token(const char *body, enum err err, int64_t expires_in_s, int64_t refresh_in_s) {
	struct entra_call call;
	struct entra_token token;
	struct fault fault = { 0 };
	exchange(&call);
	answer(&call.http, 200, body);
	if (entra_read_token(&call, arena, &token, &fault) != err) fail_msg("%s", body);
	if (!err) {
		assert_str(secret_expose(&token.value), "t0k/en");
		assert_int_equal(token.expires_in_s, expires_in_s);
		assert_int_equal(token.refresh_in_s, refresh_in_s);
		secret_deinit(&token.value);
	} else {
		assert_null(strstr(fault.text, "t0k"));
		assert_text(fault.text, "without a usable access_token");
	}
	entra_call_deinit(&call);
	assert_int_equal(secret_arena_used_bytes(arena), 0);
}

static void a_token_is_read_with_its_life(void **state) {
	(void)state;
	read_token("{\"token_type\":\"Bearer\",\"expires_in\":3599,\"ext_expires_in\":3599,"
		   "\"access_token\":\"t0k/en\"}",
		OK, 3599, 0);
	read_token(
		"{\"expires_in\":\"86399\",\"refresh_in\":\"43199\",\"access_token\":\"t0k\\/en\"}",
		OK, 86399, 43199);
	read_token("{\"expires_in\":604800,\"access_token\":\"t0k/en\"}", OK, 604800, 0);
}

static void an_unusable_token_is_refused(void **state) {
	static const char *const bodies[] = { "", "{}", "<html>t0k</html>",
		"{\"access_token\":\"t0k/en\"}", "{\"expires_in\":3599}",
		"{\"access_token\":\"\",\"expires_in\":3599}",
		"{\"access_token\":7,\"expires_in\":3599}",
		"{\"access_token\":\"t0k/en\",\"expires_in\":0}",
		"{\"access_token\":\"t0k/en\",\"expires_in\":-5}",
		"{\"access_token\":\"t0k/en\",\"expires_in\":604801}",
		"{\"access_token\":\"t0k/en\",\"expires_in\":\"soon\"}",
		"{\"access_token\":\"t0k\\q\",\"expires_in\":3599}",
		"{\"expires_in\":3599,\"access_token\":\"t0k" };
	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
		read_token(bodies[i], ERR_PARSE, 0, 0);
}

static void errors_are_told_apart_by_number_then_error_then_status(void **state) {
	static const struct {
		int status;
		const char *body;
		enum err err;
		const char *code, *part;
		int64_t retry_after_s;
	} cases[] = {
		{ 401,
			"{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700213: No "
			"matching ... Trace ID: s3cret\",\"error_codes\":[700213]}",
			ERR_DENIED, "AADSTS700213", "system:serviceaccount:", 0 },
		/* The description's number counts where there are no codes; a number outranks its status. */
		{ 400,
			"{\"error\":\"invalid_request\",\"error_description\":\"AADSTS90002: "
			"Tenant 'x' not found. s3cret\"}",
			ERR_DENIED, "AADSTS90002", "the tenant does not exist", 0 },
		{ 400, "{\"error\":\"invalid_grant\",\"error_codes\":[90033]}", ERR_UNAVAILABLE,
			"AADSTS90033", "temporarily unavailable", 0 },
		{ 400, "{\"error\":\"invalid_request\",\"error_codes\":[50196]}", ERR_THROTTLED,
			"AADSTS50196", "request loop", 300 },
		{ 429, "{\"error\":\"invalid_client\",\"error_codes\":[700213]}", ERR_THROTTLED,
			"AADSTS700213", "too many token requests", 0 },
		/* Numbers that are not known. */
		{ 401, "{\"error\":\"invalid_client\",\"error_codes\":[123]}", ERR_DENIED,
			"AADSTS123", "clientID and tenantID", 0 },
		{ 400, "{\"error\":\"invalid_scope\"}", ERR_DENIED, "", "check clientID", 0 },
		{ 400, "{\"error\":\"temporarily_unavailable\"}", ERR_UNAVAILABLE, "",
			"Entra has trouble", 0 },
		{ 503, "{\"error\":\"invalid_client\"}", ERR_UNAVAILABLE, "", "Entra has trouble",
			0 },
		{ 403, "<html>s3cret</html>", ERR_UNAVAILABLE, "", "proxy", 0 },
		{ 204, "", ERR_UNAVAILABLE, "", "proxy", 0 },
		{ 400, "{\"error_codes\":[1e300],\"error\":\"x\"}", ERR_DENIED, "",
			"check clientID", 0 },
		{ 400,
			"{\"error_codes\":[\"700213\"],\"error_description\":\"AADSTS\",\"error\":"
			"\"x\"}",
			ERR_DENIED, "", "check clientID", 0 },
	};
	struct entra_call call;
	(void)state;
	exchange(&call);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fault fault = { 0 };
		answer(&call.http, cases[i].status, cases[i].body);
		if (entra_result(&call, &fault, STR("tid"), STR("cid")) != cases[i].err)
			fail_msg("%s", cases[i].body);
		assert_text(fault.text, "refused a token for client cid of tenant tid (");
		assert_text(fault.text, cases[i].part);
		assert_null(strstr(fault.text, "s3cret"));
		assert_string_equal(fault.code, cases[i].code);
		assert_int_equal(fault.http_status, cases[i].status);
		assert_int_equal(fault.retry_after_ns, cases[i].retry_after_s * NS_PER_S);
	}
	entra_call_deinit(&call);
}

static void waits_are_the_servers_but_for_a_loop(void **state) {
	struct entra_call call;
	struct fault fault = { 0 };
	(void)state;
	exchange(&call);
	answer(&call.http, 429, "{}");
	call.http.retry_after_ns = 11 * NS_PER_S;
	assert_int_equal(entra_result(&call, &fault, STR("t"), STR("c")), ERR_THROTTLED);
	assert_int_equal(fault.retry_after_ns, 11 * NS_PER_S);
	answer(&call.http, 400, "{\"error_codes\":[50196]}");
	assert_int_equal(entra_result(&call, &fault, STR("t"), STR("c")), ERR_THROTTLED);
	assert_int_equal(fault.retry_after_ns, 300 * NS_PER_S);
	no_answer(&call.http, ERR_NETWORK);
	assert_int_equal(entra_result(&call, &fault, STR("t"), STR("c")), ERR_NETWORK);
	assert_string_equal(fault.text, "token for client c of tenant t: host: no connection");
	answer(&call.http, 200, "{}");
	assert_int_equal(entra_result(&call, &fault, STR("t"), STR("c")), OK);
	entra_call_deinit(&call);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_form_is_complete_and_escaped),
		cmocka_unit_test(a_client_secret_stands_in_the_form_alone),
		cmocka_unit_test(errors_of_a_client_secret_name_the_secret),
		cmocka_unit_test(a_token_is_read_with_its_life),
		cmocka_unit_test(an_unusable_token_is_refused),
		cmocka_unit_test(errors_are_told_apart_by_number_then_error_then_status),
		cmocka_unit_test(waits_are_the_servers_but_for_a_loop),
	};
	arena = secret_arena_create(8 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	secret_arena_destroy(arena);
	return failed;
}
