/* workers/sync_write: the safe-write protocol. What may be written, on the word of which probe, and what follows every answer. */
#include <stdio.h>

#include "tests/unit/bench_secret.h"

#define EXISTS "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"exists\"}"
#define CONFLICT "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"the object has been modified\"}"

/* Past a POST that finds the name taken. */
static void find_it_taken(void) {
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 409, EXISTS);
}

static struct http_req *apply_request(void) {
	struct http_req *req = request(HTTP_PATCH, "&force=true");
	assert_true(has_header(req, "Content-Type", "application/apply-patch+yaml"));
	return req;
}

/* The reconcile has ended with this reason, and nothing is written any more. */
static void expect_rest(enum reason reason, const char *message) {
	bench_take_status();
	assert_int_equal(bench_active(), 0);
	if (bench_reason() != reason)
		fail_msg("%s: %s", reason_name(REASON_NAMES_PREVIEW, bench_reason()), bench_message());
	assert_text(bench_message(), message);
	assert_null(strstr(bench_message(), "s3cret"));
}

static void the_first_write_is_a_post(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	assert_int_equal(bench_active(), 1);
	struct http_req *req = request(HTTP_POST, SECRETS_URL "?fieldManager=secrets-store-sync-controller");
	assert_sends(req, "\"labels\":" MARK ",\"annotations\":" MARK);
	assert_sends(req, "\"ownerReferences\":[" OWNER("o-1") "]");
	assert_sends(req, "\"data\":{\"k\":\"czNjcmV0LXZhbHVl\"}");
	assert_null(strstr(body_of(req), "controller\":"));
	assert_null(strstr(body_of(req), "blockOwnerDeletion"));
	assert_non_null(req->response_arena);
	answer(req, 201, OURS("s-1", "5", ""));
	bench_end(req);
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
}

static void an_apply_is_held_to_its_probe(void **state) {
	(void)state;
	find_it_taken();
	probe(OURS("s-7", "70", ""));
	struct http_req *req = apply_request();
	assert_sends(req, "\"uid\":\"s-7\",\"resourceVersion\":\"70\"");
	assert_sends(req, "\"data\":{\"k\":\"czNjcmV0LXZhbHVl\"}");
	answer(req, 200, OURS("s-7", "71", ""));
	bench_end(req);
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

static void an_update_entry_is_settled_before_the_apply(void **state) {
	(void)state;
	find_it_taken();
	probe(OURS("s-7", "70", UPDATE_ENTRY));
	struct http_req *req = request(HTTP_PATCH, DB_URL);
	assert_true(has_header(req, "Content-Type", "application/json-patch+json"));
	assert_sends(req, "{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"s-7\"}");
	assert_sends(req, "{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"70\"}");
	assert_sends(req, "\"operation\":\"Apply\"");
	assert_null(strstr(body_of(req), "\"Update\""));
	answer(req, 200, OURS("s-7", "71", ""));
	bench_end(req);
	/* The apply follows the version that settling made. */
	assert_sends(apply_request(), "\"uid\":\"s-7\",\"resourceVersion\":\"71\"");
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-7", "72", ""));
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

static void settling_that_the_server_ignores_is_not_believed(void **state) {
	(void)state;
	find_it_taken();
	for (int i = 0; i < 3; i++) {
		probe(OURS("s-7", "70", UPDATE_ENTRY));
		reply(HTTP_PATCH, DB_URL, 200, OURS("s-7", "71", UPDATE_ENTRY));
	}
	expect_rest(REASON_PATCH_FAILED, "did not take the merged managedFields");
}

/* --- whose it is --- */

struct stranger {
	const char *meta;
	enum reason reason;
	const char *message;
};

static void a_foreign_secret_is_never_written(void **state) {
	static const struct stranger strangers[] = {
		{ META("x", "1", "{}", "{}", "", ""), REASON_CREATE_FAILED_LABEL, "does not carry the label" },
		{ META("x", "1", "{}", MARK, OWNER("o-1"), ""), REASON_CREATE_FAILED_LABEL,
			"does not carry the label" },
		{ META("x", "1", "{\"secrets-store.sync.x-k8s.io\":\"true\"}", MARK, OWNER("o-1"), ""),
			REASON_CREATE_FAILED_LABEL, "does not carry the label" },
		{ META("x", "1", MARK, MARK, "", ""), REASON_CREATE_FAILED_LABEL,
			"not owned by this SecretSync alone" },
		{ META("x", "1", MARK, MARK, OWNER("o-1") "," OWNER("o-2"), ""),
			REASON_CREATE_FAILED_LABEL, "not owned by this SecretSync alone" },
		{ META("x", "1", MARK, MARK,
			  "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"db\",\"uid\":\"o-9\"}", ""),
			REASON_CREATE_FAILED_LABEL, "not owned by this SecretSync alone" },
	};
	(void)state;
	find_it_taken();
	for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
		if (i) {
			bench_again();
			reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
			reply(HTTP_POST, SECRETS_URL "?", 409, EXISTS);
		}
		probe(strangers[i].meta);
		/* Nothing but the status goes out, and that only when it says something new. */
		if (!bench_find(HTTP_PATCH, STATUS_URL)) {
			assert_int_equal(bench_active(), 0);
			assert_text(bench_message(), strangers[i].message);
			continue;
		}
		expect_rest(strangers[i].reason, strangers[i].message);
		assert_text(bench_message(), "kubectl delete secret -n apps db");
	}
}

static void set_status(const char *hash) {
	assert_int_equal(status_read_hash(&b.status, spec_uid(&b.spec), str_of(hash)), OK);
	b.status.last_successful_s = 1799990000;
	assert_int_equal(status_set(&b.status, CONDITION_CREATED, CONDITION_TRUE, REASON_CREATE_SUCCEEDED,
				 STR("x"), 1, 1799990000),
		OK);
}

static void an_annotation_that_kvsync_wrote_is_demanded(void **state) {
	(void)state;
	set_status("kv1:o-1:00");
	bench_begin();
	bench_fetch();
	assert_null(bench_find(HTTP_POST, SECRETS_URL));
	probe(META("s-7", "70", MARK, "{}", OWNER("o-1"), ""));
	expect_rest(REASON_UPDATE_FAILED_ANNOTATION, "does not carry the annotation");
}

static void an_annotation_with_another_value_is_somebody_elses(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL, 409, EXISTS);
	probe(META("s-7", "70", MARK, "{\"secrets-store.sync.x-k8s.io\":\"theirs\"}", OWNER("o-1"), ""));
	expect_rest(REASON_CREATE_FAILED_ANNOTATION, "with another value");
	assert_null(bench_find(HTTP_PATCH, "&force=true"));
}

static void what_a_predecessor_wrote_is_taken_over(void **state) {
	(void)state;
	set_status("a hash of another form");
	bench_begin();
	bench_fetch();
	probe(META("s-7", "70", MARK, "{}", OWNER("o-1"), ""));
	assert_sends(apply_request(), "\"annotations\":" MARK);
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-7", "71", ""));
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

static void a_hash_of_another_uid_is_not_trusted(void **state) {
	(void)state;
	set_status("kv1:o-0:00");
	bench_begin();
	bench_fetch();
	probe(META("s-7", "70", MARK, "{}", OWNER("o-1"), ""));
	assert_non_null(apply_request());
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-7", "71", ""));
	bench_take_status();
}

static void the_secret_of_a_deleted_predecessor_is_waited_for(void **state) {
	static const char *const metas[] = {
		META("x", "1", MARK, MARK, OWNER("o-0"), ""),
		META("x", "1", MARK, MARK, OWNER("o-1"), ",\"deletionTimestamp\":\"2027-01-15T08:00:00Z\""),
	};
	(void)state;
	find_it_taken();
	for (int i = 0; i < 2; i++) {
		probe(metas[i]);
		if (!i) expect_rest(REASON_PATCH_FAILED, "until Kubernetes has collected it");
		assert_int_equal(bench_active(), 0);
		/* Seconds, not minutes; and then it is gone. */
		bench_advance(3 * NS_PER_S);
		reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
		reply(HTTP_POST, SECRETS_URL "?", i ? 201 : 409, i ? OURS("s-1", "5", "") : EXISTS);
	}
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
}

/* --- partial writes --- */

/* Keys k and m from secrets a and b; both in the Secret. */
static void write_two(void) {
	bench_use_two();
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE_OF("a", "v1"));
	reply(HTTP_GET, "/secrets/b/", 200, VALUE_OF("b", "v1"));
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
}

static void fetch_again(const char *a, const char *missing_b) {
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, a);
	reply(HTTP_GET, "/secrets/b/", missing_b ? 404 : 200, missing_b ? missing_b : VALUE_OF("b", "v1"));
}

static void a_partial_write_is_held_to_its_probe_and_names_the_good_keys(void **state) {
	(void)state;
	write_two();
	fetch_again(VALUE_OF("a", "v2"), MISSING);
	probe(OURS("s-1", "5", ""));
	struct http_req *req = request(HTTP_PATCH, DB_URL);
	assert_true(has_header(req, "Content-Type", "application/merge-patch+json"));
	assert_string_equal(body_of(req),
		"{\"metadata\":{\"uid\":\"s-1\",\"resourceVersion\":\"5\",\"labels\":" MARK ",\"annotations\":" MARK
		"},\"data\":{\"k\":\"czNjcmV0LXZhbHVl\"}}");
	answer(req, 200, OURS("s-1", "6", UPDATE_ENTRY));
	bench_end(req);
	expect_rest(REASON_PARTIAL, "\"targetKey\":\"m\",\"sourcePath\":\"b\",\"result\":\"kept\",\"code\":\"SecretNotFound\"");
	assert_text(bench_message(), "{\"targetKey\":\"k\",\"sourcePath\":\"a\",\"result\":\"synced\"}");
	assert_string_equal(status_find_object(&b.object->status, STR("a"))->version, "v2");
	assert_string_equal(status_find_object(&b.object->status, STR("b"))->version, "v1");
	assert_int_equal(b.object->status.conditions[CONDITION_CREATED].value, CONDITION_TRUE);
	/* The same once more says nothing. */
	fetch_again(VALUE_OF("a", "v2"), MISSING);
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_reason(), REASON_PARTIAL);
}

static void an_item_that_comes_back_as_it_was_causes_no_write(void **state) {
	(void)state;
	write_two();
	fetch_again(VALUE_OF("a", "v1"), MISSING);
	expect_rest(REASON_PARTIAL, "\"result\":\"kept\"");
	fetch_again(VALUE_OF("a", "v1"), NULL);
	expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
	/* Nor after a write of the others. */
	fetch_again(VALUE_OF("a", "v2"), MISSING);
	probe(OURS("s-1", "5", ""));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "6", UPDATE_ENTRY));
	expect_rest(REASON_PARTIAL, "\"result\":\"kept\"");
	fetch_again(VALUE_OF("a", "v2"), NULL);
	expect_rest(REASON_UPDATE_NO_CHANGE, "holds the values");
}

/* The failed item's key may not be in the Secret: what was asked for has changed while it failed. */
static void what_was_written_in_part_is_completed(void **state) {
	(void)state;
	write_two();
	b.common.force = STR("now");
	fetch_again(VALUE_OF("a", "v1"), MISSING);
	probe(OURS("s-1", "5", ""));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "6", UPDATE_ENTRY));
	expect_rest(REASON_PARTIAL, "\"result\":\"failed\"");
	assert_true(status_is_partial(&b.object->status));
	fetch_again(VALUE_OF("a", "v1"), NULL);
	probe(OURS("s-1", "6", UPDATE_ENTRY));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "7", ""));
	assert_sends(apply_request(), "\"data\":{\"k\":\"czNjcmV0LXZhbHVl\",\"m\":\"czNjcmV0LXZhbHVl\"}");
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-1", "8", ""));
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
	assert_false(status_is_partial(&b.object->status));
}

static void a_type_that_demands_the_failed_key_is_not_created(void **state) {
	(void)state;
	b.common.type = STR("kubernetes.io/ssh-auth");
	b.objects[1] = (struct spc_object){ .name = STR("b"), .path = STR("b"), .kind = VAULT_SECRET };
	b.items[1] = (struct spec_item){ STR("b"), STR("ssh-privatekey") };
	b.spc.object_count = b.spec.item_count = 2;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE_OF("a", "v1"));
	reply(HTTP_GET, "/secrets/b/", 404, MISSING);
	assert_null(bench_find(HTTP_POST, SECRETS_URL));
	expect_rest(REASON_CREATE_FAILED_PROVIDER, "key \"ssh-privatekey\", which type kubernetes.io/ssh-auth demands");
}

/* --- what a Secret never changes --- */

static void only_a_new_secret_has_another_type(void **state) {
	static const struct {
		const char *answer;
		enum reason reason;
		const char *message;
	} refusals[] = {
		{ "{\"reason\":\"Invalid\",\"message\":\"Secret \\\"db\\\" is invalid: type: Invalid value: \\\"Opaque\\\": "
		  "field is immutable\",\"details\":{\"causes\":[{\"field\":\"type\"}]}}",
			REASON_USER_INPUT, "cannot be changed to Opaque while it exists" },
		{ "{\"reason\":\"Invalid\",\"message\":\"Secret \\\"db\\\" is invalid: data: Forbidden: field is immutable "
		  "when `immutable` is set\",\"details\":{\"causes\":[{\"field\":\"data\"}]}}",
			REASON_PATCH_FAILED, "has been made immutable" },
	};
	(void)state;
	find_it_taken();
	for (int i = 0; i < 2; i++) {
		probe(OURS("s-7", "70", ""));
		reply(HTTP_PATCH, "&force=true", 422, refusals[i].answer);
		expect_rest(refusals[i].reason, refusals[i].message);
		assert_text(bench_message(), "kubectl delete secret -n apps db");
		/* No storm: nothing follows at once. */
		bench_advance(NS_PER_S);
		assert_int_equal(bench_active(), 0);
		bench_again();
		reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
		reply(HTTP_POST, SECRETS_URL "?", 409, EXISTS);
	}
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-8", "80", ""));
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
}

/* --- races --- */

static void a_conflict_probes_again_three_times_at_most(void **state) {
	(void)state;
	find_it_taken();
	for (int i = 0; i < 3; i++) {
		probe(i % 2 ? OURS("s-8", "71", "") : OURS("s-7", "70", ""));
		/* Each write names what the last probe saw. */
		assert_sends(apply_request(), i % 2 ? "\"uid\":\"s-8\",\"resourceVersion\":\"71\""
						    : "\"uid\":\"s-7\",\"resourceVersion\":\"70\"");
		reply(HTTP_PATCH, "&force=true", 409, CONFLICT);
	}
	expect_rest(REASON_PATCH_FAILED, "cannot write Secret apps/db");
	/* Then it is a retry, soon. */
	bench_advance(5 * NS_PER_S);
	assert_non_null(bench_find(HTTP_GET, "/secrets/a/"));
}

static void a_secret_that_became_foreign_meanwhile_is_left(void **state) {
	(void)state;
	find_it_taken();
	probe(OURS("s-7", "70", ""));
	reply(HTTP_PATCH, "&force=true", 409, CONFLICT);
	probe(META("x", "1", "{}", "{}", "", ""));
	expect_rest(REASON_CREATE_FAILED_LABEL, "is left as it is");
}

static void a_secret_that_went_meanwhile_is_created(void **state) {
	(void)state;
	find_it_taken();
	probe(OURS("s-7", "70", ""));
	reply(HTTP_PATCH, "&force=true", 404, NOT_FOUND);
	reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-9", "80", ""));
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
}

/* --- paused: nothing is written, whatever step comes next; afterwards a fresh probe decides --- */

static void expect_pause(void) {
	assert_int_equal(bench_active(), 0);
	assert_int_equal(bench_reason(), REASON_NONE);
	bench_pause(false);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 409, EXISTS);
}

static void a_probe_before_a_pause_decides_nothing_after_it(void **state) {
	(void)state;
	find_it_taken();
	/* Before a settle, */
	pool_pause(b.pool, true);
	probe(OURS("s-7", "70", UPDATE_ENTRY));
	expect_pause();
	/* between a settle and an apply, */
	probe(OURS("s-7", "70", UPDATE_ENTRY));
	request(HTTP_PATCH, DB_URL)->maybe_sent = true;
	bench_pause(true);
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-7", "71", ""));
	expect_pause();
	/* before an apply, */
	bench_pause(true);
	probe(OURS("s-7", "71", ""));
	expect_pause();
	/* before one that was throttled goes once more, */
	probe(OURS("s-7", "72", ""));
	apply_request()->maybe_sent = true;
	bench_pause(true);
	reply(HTTP_PATCH, "&force=true", 429, "{}");
	bench_advance(NS_PER_S);
	expect_pause();
	/* after one whose outcome is not known. */
	probe(OURS("s-7", "73", ""));
	apply_request()->maybe_sent = true;
	bench_pause(true);
	lose(HTTP_PATCH, "&force=true", ERR_TIMEOUT, true);
	probe(OURS("s-7", "74", ""));
	expect_pause();
	probe(OURS("s-7", "75", ""));
	assert_sends(apply_request(), "\"uid\":\"s-7\",\"resourceVersion\":\"75\"");
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-7", "76", ""));
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

static void a_partial_write_waits_for_the_end_of_a_pause(void **state) {
	(void)state;
	write_two();
	fetch_again(VALUE_OF("a", "v2"), MISSING);
	bench_pause(true);
	probe(OURS("s-1", "5", ""));
	assert_int_equal(bench_active(), 0);
	bench_pause(false);
	reply(HTTP_GET, "/secrets/a/", 200, VALUE_OF("a", "v3"));
	reply(HTTP_GET, "/secrets/b/", 404, MISSING);
	probe(OURS("s-1", "6", ""));
	assert_sends(request(HTTP_PATCH, DB_URL), "\"resourceVersion\":\"6\"");
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-1", "7", UPDATE_ENTRY));
	expect_rest(REASON_PARTIAL, "\"result\":\"kept\"");
	assert_string_equal(status_find_object(&b.object->status, STR("a"))->version, "v3");
}

/* --- unknown outcome --- */

static void a_write_of_unknown_outcome_is_a_probe(void **state) {
	static const enum err errs[] = { ERR_TIMEOUT, ERR_NETWORK };
	(void)state;
	bench_begin();
	bench_fetch();
	for (int i = 0; i < 2; i++) {
		lose(HTTP_POST, SECRETS_URL "?", errs[i], true);
		assert_null(bench_find(HTTP_POST, SECRETS_URL));
		reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	}
	/* This time it was done. */
	lose(HTTP_POST, SECRETS_URL "?", ERR_TIMEOUT, true);
	probe(OURS("s-7", "70", UPDATE_ENTRY));
	reply(HTTP_PATCH, DB_URL, 200, OURS("s-7", "71", ""));
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-7", "72", ""));
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

static void an_answer_that_cannot_be_read_is_a_probe(void **state) {
	static const char *const bodies[] = { "", "{\"metadata\":{\"uid\":\"s-7\"", "<html>" };
	(void)state;
	bench_begin();
	bench_fetch();
	for (int i = 0; i < 3; i++) {
		reply(HTTP_POST, SECRETS_URL "?", 201, bodies[i]);
		reply(HTTP_PATCH, DB_URL, 404, NOT_FOUND);
	}
	reply(HTTP_POST, SECRETS_URL "?", 201, OURS("s-1", "5", ""));
	expect_rest(REASON_CREATE_SUCCEEDED, "created");
}

static void a_write_that_was_never_sent_is_not_probed(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	unsigned before = bench_started();
	lose(HTTP_POST, SECRETS_URL "?", ERR_NETWORK, false);
	/* The breaker is open: neither probe nor status. */
	assert_int_equal(bench_started(), before);
	assert_int_equal(bench_active(), 0);
}

static void a_throttled_write_goes_out_again_when_it_may(void **state) {
	(void)state;
	find_it_taken();
	probe(OURS("s-7", "70", ""));
	reply_after(HTTP_PATCH, "&force=true", 429, 4, "{\"reason\":\"TooManyRequests\"}");
	assert_int_equal(bench_active(), 0);
	bench_advance(3900 * NS_PER_MS);
	assert_int_equal(bench_active(), 0);
	bench_advance(200 * NS_PER_MS);
	assert_sends(apply_request(), "\"uid\":\"s-7\",\"resourceVersion\":\"70\"");
	reply(HTTP_PATCH, "&force=true", 200, OURS("s-7", "71", ""));
	bench_advance(NS_PER_S);
	expect_rest(REASON_UPDATE_SUCCEEDED, "written");
}

/* --- refusals --- */

static void a_policy_is_never_missing_rights(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 403,
		"{\"reason\":\"Forbidden\",\"message\":\"secrets \\\"db\\\" is forbidden: "
		"ValidatingAdmissionPolicy 'types' with binding 'types' denied request: no\"}");
	expect_rest(REASON_POLICY, "ValidatingAdmissionPolicy 'types'");
	assert_null(strstr(bench_message(), "grant"));
}

static void missing_rights_are_said(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 403,
		"{\"reason\":\"Forbidden\",\"message\":\"secrets is forbidden: User \\\"kvsync\\\" cannot create "
		"resource \\\"secrets\\\" in API group \\\"\\\" in the namespace \\\"apps\\\"\"}");
	expect_rest(REASON_PATCH_FAILED, "grant kvsync that right");
}

static void other_refusals_are_not_called_missing_rights(void **state) {
	(void)state;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 403,
		"{\"reason\":\"Forbidden\",\"message\":\"secrets \\\"db\\\" is forbidden: exceeded quota: q, "
		"requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1\"}");
	expect_rest(REASON_PATCH_FAILED, "exceeded quota");
	assert_null(strstr(bench_message(), "grant"));
}

/* A webhook or a policy's messageExpression may repeat what it was shown. */
static void a_refusal_that_repeats_a_value_is_not_shown(void **state) {
	static const char *const bodies[] = {
		"{\"reason\":\"Forbidden\",\"message\":\"admission webhook \\\"w\\\" denied the request: k is s3cret-value\"}",
		"{\"reason\":\"Forbidden\",\"message\":\"ValidatingAdmissionPolicy 'p' with binding 'p' denied request: "
		"czNjcmV0LXZhbHVl is weak\"}",
	};
	(void)state;
	bench_begin();
	bench_fetch();
	reply(HTTP_POST, SECRETS_URL "?", 403, bodies[0]);
	expect_rest(REASON_PATCH_FAILED, "repeats a value");
	bench_again();
	reply(HTTP_GET, "/secrets/a/", 200, VALUE("s3cret-value", "v1", "1700000000"));
	reply(HTTP_POST, SECRETS_URL "?", 403, bodies[1]);
	expect_rest(REASON_POLICY, "repeats a value");
	assert_null(strstr(bench_message(), "czNj"));
}

static void values_that_do_not_fit_are_the_users_business(void **state) {
	static char value[(128 << 10) - 100];
	static char body[sizeof value + 400];
	(void)state;
	memset(value, 'x', sizeof value - 1);
	snprintf(body, sizeof body, "{\"value\":\"%s\"," ROW("v1", "1700000000") "}", value);
	/* Nine keys of 128 kB each. */
	static struct spec_item items[9];
	static char names[9][16];
	for (int i = 0; i < 9; i++) {
		snprintf(names[i], sizeof names[i], "k%d", i);
		items[i] = (struct spec_item){ STR("a"), str_of(names[i]) };
	}
	b.spec.items = items;
	b.spec.item_count = 9;
	bench_begin();
	bench_give_token();
	reply(HTTP_GET, "/secrets/a/", 200, body);
	assert_null(bench_find(HTTP_POST, SECRETS_URL));
	expect_rest(REASON_USER_INPUT, "do not fit into one Secret");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		BENCH_TEST(the_first_write_is_a_post),
		BENCH_TEST(an_apply_is_held_to_its_probe),
		BENCH_TEST(an_update_entry_is_settled_before_the_apply),
		BENCH_TEST(settling_that_the_server_ignores_is_not_believed),
		BENCH_TEST(a_foreign_secret_is_never_written),
		BENCH_TEST(an_annotation_that_kvsync_wrote_is_demanded),
		BENCH_TEST(an_annotation_with_another_value_is_somebody_elses),
		BENCH_TEST(what_a_predecessor_wrote_is_taken_over),
		BENCH_TEST(a_hash_of_another_uid_is_not_trusted),
		BENCH_TEST(the_secret_of_a_deleted_predecessor_is_waited_for),
		BENCH_TEST(a_partial_write_is_held_to_its_probe_and_names_the_good_keys),
		BENCH_TEST(an_item_that_comes_back_as_it_was_causes_no_write),
		BENCH_TEST(what_was_written_in_part_is_completed),
		BENCH_TEST(a_type_that_demands_the_failed_key_is_not_created),
		BENCH_TEST(only_a_new_secret_has_another_type),
		BENCH_TEST(a_conflict_probes_again_three_times_at_most),
		BENCH_TEST(a_secret_that_became_foreign_meanwhile_is_left),
		BENCH_TEST(a_secret_that_went_meanwhile_is_created),
		BENCH_TEST(a_probe_before_a_pause_decides_nothing_after_it),
		BENCH_TEST(a_partial_write_waits_for_the_end_of_a_pause),
		BENCH_TEST(a_write_of_unknown_outcome_is_a_probe),
		BENCH_TEST(an_answer_that_cannot_be_read_is_a_probe),
		BENCH_TEST(a_write_that_was_never_sent_is_not_probed),
		BENCH_TEST(a_throttled_write_goes_out_again_when_it_may),
		BENCH_TEST(a_policy_is_never_missing_rights),
		BENCH_TEST(missing_rights_are_said),
		BENCH_TEST(other_refusals_are_not_called_missing_rights),
		BENCH_TEST(a_refusal_that_repeats_a_value_is_not_shown),
		BENCH_TEST(values_that_do_not_fit_are_the_users_business),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
