/* Keys, certificates and their parts through a whole reconcile. */
#include "tests/unit/bench.h"

#include <stdio.h>

#define DATA "../conformance/convert/data/"
#define CERT_ID "https://v.vault.azure.net/secrets/a/v1"

static char *file_text(const char *path) {
	static char text[16384];
	FILE *file = fopen(path, "rb");
	if (!file) fail_msg("%s", path);
	size_t len = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[len] = 0;
	return text;
}

/* A secret of a certificate as Key Vault sends it. */
static const char *certificate_answer(const char *pfx) {
	static char body[32768];
	struct buf base64;
	FILE *file = fopen(pfx, "rb");
	char bytes[8192];
	if (!file) fail_msg("%s", pfx);
	size_t len = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	buf_init(&base64, 16384);
	buf_append_base64(&base64, (struct str){ bytes, len });
	snprintf(body, sizeof body,
		"{\"value\":\"%s\",\"contentType\":\"application/x-pkcs12\",\"id\":\"" CERT_ID
		"\",\"managed\":true,\"attributes\":{\"enabled\":true,\"created\":1700000000,"
		"\"updated\":1700000000},\"kid\":\"https://v.vault.azure.net/keys/a/v1\"}",
		buf_cstr(&base64));
	buf_deinit(&base64);
	return body;
}

/* The data member that is to be sent: base64 of a file. */
static const char *data_member(const char *key, const char *path) {
	static char text[16384];
	struct buf base64;
	buf_init(&base64, sizeof text);
	buf_append_base64(&base64, str_of(file_text(path)));
	snprintf(text, sizeof text, "\"%s\":\"%s\"", key, buf_cstr(&base64));
	buf_deinit(&base64);
	return text;
}

static void want_pair(const char *crt_source, const char *key_source) {
	b.items[0] = (struct spec_item){ str_of(crt_source), STR("tls.crt") };
	b.items[1] = (struct spec_item){ str_of(key_source), STR("tls.key") };
	b.spec.item_count = 2;
}

static void one_source_feeds_both_keys_of_a_tls_secret(void **state) {
	(void)state;
	b.common.type = STR("kubernetes.io/tls");
	want_pair("a", "a");
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, certificate_answer(DATA "chain-wrong.pfx"));
	assert_sends(request(HTTP_POST, SECRETS_URL), data_member("tls.crt", DATA "chain.crt.pem"));
	assert_sends(request(HTTP_POST, SECRETS_URL), data_member("tls.key", DATA "rsa.pkcs1.pem"));
	reply(HTTP_POST, SECRETS_URL, 201, OURS("s-1", "1", ""));
	bench_take_status();
	assert_int_equal(b.object->status.object_count, 1);
	assert_int_equal(bench_active(), 0);
}

static void parts_stay_as_they_are_elsewhere(void **state) {
	(void)state;
	want_pair("a/tls.crt", "a/tls.key");
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, certificate_answer(DATA "rsa-legacy.pfx"));
	assert_sends(request(HTTP_POST, SECRETS_URL), data_member("tls.crt", DATA "rsa.crt.pem"));
	assert_sends(request(HTTP_POST, SECRETS_URL), data_member("tls.key", DATA "rsa.key.pem"));
	reply(HTTP_POST, SECRETS_URL, 201, OURS("s-1", "1", ""));
	bench_take_status();
	assert_string_equal(b.object->status.objects[1].name, "a/tls.key");
	/* The same version again: nothing is written. */
	bench_advance(3601 * NS_PER_S);
	if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, certificate_answer(DATA "rsa-legacy.pfx"));
	assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_UPDATE_NO_CHANGE);
}

static void keys_and_certificates_are_read_where_they_are(void **state) {
	(void)state;
	b.objects[0].kind = VAULT_KEY;
	b.objects[1] = (struct spc_object){ .name = STR("c"), .path = STR("c"), .kind = VAULT_CERTIFICATE };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("c"), STR("crt") };
	b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/keys/a/", 200, file_text(DATA "key-rsa.json"));
	reply(HTTP_GET, "/certificates/c/", 200, file_text(DATA "cert.json"));
	assert_sends(request(HTTP_POST, SECRETS_URL), data_member("k", DATA "rsa.pub.pem"));
	assert_sends(request(HTTP_POST, SECRETS_URL), data_member("crt", DATA "cert.pem"));
	reply(HTTP_POST, SECRETS_URL, 201, OURS("s-1", "1", ""));
	bench_take_status();
	assert_int_equal(b.object->status.objects[0].kind, VAULT_KEY);
	assert_int_equal(b.object->status.objects[1].kind, VAULT_CERTIFICATE);
}

#define KEY_ROW(version, second)                                                  \
	"{\"kid\":\"https://v.vault.azure.net/keys/a/" version                    \
	"\",\"attributes\":{\"enabled\":true,\"created\":" second ",\"updated\":" second "}}"

static void versions_of_a_key_are_listed_among_keys(void **state) {
	(void)state;
	b.objects[0].kind = VAULT_KEY;
	b.objects[0].history = 2;
	b.items[0].source_path = STR("a/1");
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/keys/a/versions", 200,
		"{\"value\":[" KEY_ROW("v2", "1700000002") "," KEY_ROW("v1", "1700000001") "],\"nextLink\":null}");
	assert_null(bench_find(HTTP_GET, "/keys/a/v2"));
	reply(HTTP_GET, "/keys/a/v1", 200, file_text(DATA "key-ec.json"));
	assert_sends(request(HTTP_POST, SECRETS_URL), data_member("k", DATA "ec.pub.pem"));
	reply(HTTP_POST, SECRETS_URL, 201, OURS("s-1", "1", ""));
	bench_take_status();
}

static void want_hex_of_c(void) {
	b.objects[1] = (struct spc_object){ .name = STR("c"), .path = STR("c"), .encoding = ENCODING_HEX };
	b.spc.object_count = 2;
	b.items[1] = (struct spec_item){ STR("c"), STR("bad") };
	b.spec.item_count = 2;
}

static void a_value_that_cannot_be_converted_is_its_items_fault(void **state) {
	(void)state;
	want_hex_of_c();
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("good", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/c/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	assert_sends(request(HTTP_POST, SECRETS_URL), "\"k\":\"Z29vZA==\"");
	assert_null(strstr(body_of(request(HTTP_POST, SECRETS_URL)), "bad"));
	reply(HTTP_POST, SECRETS_URL, 201, OURS("s-1", "1", ""));
	assert_sends(request(HTTP_PATCH, STATUS_URL), "objectEncoding is hex");
	assert_null(strstr(body_of(request(HTTP_PATCH, STATUS_URL)), "s3cret"));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_PARTIAL);
}

/* Its next checks read the same two versions. */
static void check_again(const char *a_version, const char *c_value, const char *c_version) {
	char body[512];
	bench_advance(3601 * NS_PER_S);
	if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
	snprintf(body, sizeof body, VALUE("good", "%s", "1700000000"), a_version);
	reply(HTTP_GET, "/secrets/a/", 200, body);
	snprintf(body, sizeof body, VALUE("%s", "%s", "1700000%s"), c_value, c_version, c_version + 1, c_version + 1);
	reply(HTTP_GET, "/secrets/c/", 200, body);
}

/* What a CRD without status.objects keeps. */
static void prune_versions(void) {
	struct status *status = &b.object->status;
	mem_free(take(status->objects));
	status->object_count = 0;
}

static void a_conversion_that_fails(bool pruned) {
	struct settings settings = settings_default();
	settings.change_detection = CHANGE_BY_GET;
	settings.events_per_s = 0;
	settings.drift = DRIFT_OFF;
	assert_int_equal(pool_set_settings(b.pool, &settings), OK);
	want_hex_of_c();
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("good", "v1", "1700000000"));
	reply(HTTP_GET, "/secrets/c/", 200, VALUE("00ff", "v100", "1700000100"));
	reply(HTTP_POST, SECRETS_URL, 201, OURS("s-1", "1", ""));
	bench_take_status();
	if (pruned) prune_versions();
	/* The next version is no hex: nothing of the Secret changes, its condition does. */
	check_again("v1", "s3cret-value", "v200");
	if (pruned) {
		reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "1", ""));
		assert_null(strstr(body_of(request(HTTP_PATCH, SECRETS_URL)), "bad"));
		reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "2", ""));
	}
	assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_PARTIAL);
	if (pruned) {
		/* Whether the Secret still has the item's last value is not known any more, and said once. */
		prune_versions();
		check_again("v1", "s3cret-value", "v200");
		assert_null(bench_find(HTTP_PATCH, SECRETS_URL));
		assert_sends(request(HTTP_PATCH, STATUS_URL), "\\\"result\\\":\\\"failed\\\"");
		bench_take_status();
	}
	/* From then on every check says the same, and writes nothing. */
	for (int i = 0; i < 3; i++) {
		check_again("v1", "s3cret-value", "v200");
		assert_int_equal(bench_active(), 0);
		assert_int_equal(bench_reason(), REASON_PARTIAL);
	}
	/* The good item moves alone. */
	check_again("v2", "s3cret-value", "v200");
	if (pruned) return; /* the row is the same: no version tells of it */
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "2", ""));
	assert_sends(request(HTTP_PATCH, SECRETS_URL), "\"k\":\"Z29vZA==\"");
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "3", ""));
	bench_take_status();
	check_again("v2", "s3cret-value", "v200");
	assert_int_equal(bench_active(), 0);
	/* And what can be converted again is written. */
	check_again("v2", "beef", "v300");
	reply(HTTP_PATCH, SECRETS_URL, 200, OURS("s-1", "3", ""));
	assert_sends(request(HTTP_PATCH, "&force=true"), "\"bad\":\"vu8=\"");
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "4", ""));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_UPDATE_SUCCEEDED);
}

static void what_cannot_be_converted_writes_nothing_again_and_again(void **state) {
	(void)state;
	a_conversion_that_fails(false);
}

static void nor_does_it_where_versions_are_not_kept(void **state) {
	(void)state;
	a_conversion_that_fails(true);
}

static void half_a_pair_is_not_written(void **state) {
	(void)state;
	b.common.type = STR("kubernetes.io/tls");
	want_pair("a", "a");
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, certificate_answer(DATA "nokey.pfx"));
	assert_null(bench_find(HTTP_POST, SECRETS_URL));
	bench_take_status();
	assert_text(bench_message(), "secret \"a\" of https://v.vault.azure.net");
	assert_text(bench_message(), "holds no private key");
	assert_int_equal(bench_reason(), REASON_CREATE_FAILED_PROVIDER);
}

static void a_part_that_an_object_does_not_have_costs_no_request(void **state) {
	(void)state;
	b.objects[0].kind = VAULT_CERTIFICATE;
	b.items[0].source_path = STR("a/tls.key");
	unsigned before = bench_started();
	bench_begin();
	if (bench_find(HTTP_POST, TOKEN_URL)) bench_give_token();
	assert_null(bench_find(HTTP_GET, "vault.azure.net"));
	bench_take_status();
	assert_int_equal(bench_reason(), REASON_USER_INPUT);
	assert_text(bench_message(), "write objectType: secret");
	assert_true(bench_started() > before);
}

static void a_disabled_key_is_not_copied(void **state) {
	(void)state;
	b.objects[0].kind = VAULT_KEY;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/keys/a/", 200, file_text(DATA "key-disabled.json"));
	bench_take_status();
	assert_text(bench_message(), "key \"a\" of https://v.vault.azure.net: this version is disabled");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(one_source_feeds_both_keys_of_a_tls_secret),
		BENCH_TEST(parts_stay_as_they_are_elsewhere),
		BENCH_TEST(keys_and_certificates_are_read_where_they_are),
		BENCH_TEST(versions_of_a_key_are_listed_among_keys),
		BENCH_TEST(a_value_that_cannot_be_converted_is_its_items_fault),
		BENCH_TEST(what_cannot_be_converted_writes_nothing_again_and_again),
		BENCH_TEST(nor_does_it_where_versions_are_not_kept),
		BENCH_TEST(half_a_pair_is_not_written),
		BENCH_TEST(a_part_that_an_object_does_not_have_costs_no_request),
		BENCH_TEST(a_disabled_key_is_not_copied),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
