/* An exchange's options, of which libcurl refuses the one that the test says. */
#include <curl/curl.h>
#include <stdarg.h>

static unsigned refuse_at, options_set;

static CURLcode set_or_refuse(CURL *easy, CURLoption option, ...) {
	if (++options_set == refuse_at) return CURLE_OUT_OF_MEMORY;
	va_list args;
	va_start(args, option);
	/* Each kind is handed over as libcurl takes it. */
	CURLcode code = option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB
				? (curl_easy_setopt)(easy, option, va_arg(args, curl_off_t))
			: option < CURLOPTTYPE_OBJECTPOINT
				? (curl_easy_setopt)(easy, option, va_arg(args, long))
				: (curl_easy_setopt)(easy, option, va_arg(args, void *));
	va_end(args);
	return code;
}

#undef curl_easy_setopt
#define curl_easy_setopt set_or_refuse
#include "clients/http_curl_transfer.c"
#undef curl_easy_setopt

#include "tests/unit/http_client.h"

/* The same on one client, one after the other, until one fails; how many were answered. */
static unsigned put_often(unsigned times, enum err *out_err) {
	const struct step script[] = { { READ }, { SEND, ANSWER("2", "ok") }, { READ },
		{ SEND, ANSWER("2", "ok") }, { READ }, { SEND, ANSWER("2", "ok") }, { STEP_END } };
	struct scripted server = { .scripts = { script } };
	struct client client;
	struct call call;
	server_start(&server);
	client_open(&client);
	options_set = 0;
	*out_err = OK;
	for (unsigned i = 0; i < times && !*out_err; i++) {
		call_to(&call, &client, HTTP_PUT, &server, "/");
		call.req.body = STR("{}");
		*out_err = call_run(&call);
		call_deinit(&call);
	}
	client_close(&client);
	unsigned answered = server_requests(&server);
	for (unsigned i = 0; i < answered; i++)
		assert_true(str_starts(str_of(server_request(&server, i)), STR("PUT / ")));
	server_stop(&server);
	return answered;
}

/* Without an option an exchange could trust others, go another way or be a read instead of a write, and the handle would stay so. */
static void an_exchange_has_all_its_options_or_is_none(void **state) {
	enum err err;
	(void)state;
	refuse_at = 0;
	assert_int_equal(put_often(2, &err), 2);
	assert_int_equal(err, OK);
	unsigned all = options_set;
	for (refuse_at = 1; refuse_at <= all; refuse_at++) {
		unsigned answered = put_often(3, &err);
		/* What is refused when an exchange is over is the next one's. */
		if (err != ERR_NOMEM || answered == 3)
			fail_msg("option %u of %u: %s after %u", refuse_at, all, err_text(err),
				answered);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exchange_has_all_its_options_or_is_none),
	};
	assert_int_equal(http_curl_global_init(), OK);
	server_certificate_make();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	server_certificate_free();
	http_curl_global_deinit();
	return failed;
}
