/* Upstream's Lease: whose renewTime moves is running; who has been silent for its duration, or for long, is not. */
#include "engine/upstream.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "tests/unit/call.h"

static struct http_req *active;
static char said[8192];

static void fake_start(struct http *http, struct http_req *req) {
	(void)http;
	assert_null(active);
	active = req;
	req->_active = true;
}

static void fake_cancel(struct http *http, struct http_req *req) {
	(void)http;
	if (active == req) active = NULL;
	req->_active = false;
}

static const struct http_ops OPS = { .start = fake_start, .cancel = fake_cancel };

struct fixture {
	struct http http;
	struct http_site site;
	struct kube kube;
	struct upstream upstream;
	struct now now;
};
static struct fixture f;

static void keep_line(struct str line, void *arg) {
	(void)arg;
	strncat(said, line.ptr, line.len < 1000 ? line.len : 1000);
}

static int setup(void **state) {
	(void)state;
	f = (struct fixture){ .http.ops = &OPS, .now = { 100 * NS_PER_S, 1800000000 * NS_PER_S } };
	thread_set_role(ROLE_MAIN);
	said[0] = 0;
	active = NULL;
	log_redirect(keep_line, NULL);
	assert_int_equal(kube_init(&f.kube, "https://api", &f.site), OK);
	upstream_init(&f.upstream, &f.kube, &f.http);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	upstream_deinit(&f.upstream);
	assert_null(active);
	kube_deinit(&f.kube);
	log_redirect(NULL, NULL);
	return 0;
}

static void end(int status, const char *body) {
	struct http_req *req = active;
	active = NULL;
	req->_active = false;
	answer(req, status, body);
	assert_int_equal(upstream_deadline_ns(&f.upstream, f.now), NEVER_NS);
	req->on_done(req);
	assert_int_equal(upstream_deadline_ns(&f.upstream, f.now), f.now.mono_ns);
}

/* One look at every Lease; the one at `at` gets this answer. */
static void look(unsigned at, int status, const char *body) {
	for (unsigned i = 0; i < UPSTREAM_LEASES; i++) {
		upstream_turn(&f.upstream, f.now);
		assert_non_null(active);
		end(i == at ? status : 404, i == at ? body : "{\"reason\":\"NotFound\"}");
	}
	upstream_turn(&f.upstream, f.now);
	assert_null(active);
}

static void next_round(void) {
	int64_t wait_ns = upstream_deadline_ns(&f.upstream, f.now) - f.now.mono_ns;
	assert_in_range(wait_ns, 1, 20 * NS_PER_S);
	f.now.mono_ns += wait_ns;
	f.now.wall_ns += wait_ns;
}

#define LEASE(time) \
	"{\"spec\":{\"holderIdentity\":\"up\",\"leaseDurationSeconds\":20,\"renewTime\":\"" time "\"}}"

static void without_a_lease_nothing_holds_once_that_is_known(void **state) {
	(void)state;
	assert_true(upstream_holds(&f.upstream));
	look(0, 404, "{}");
	assert_false(upstream_holds(&f.upstream));
	assert_string_equal(said, "");
}

static void a_renewed_lease_holds_until_it_rests(void **state) {
	(void)state;
	look(3, 200, LEASE("2027-01-15T08:00:00.000001Z"));
	assert_true(upstream_holds(&f.upstream));
	assert_text(said, "the upstream controller runs");
	assert_text(said, "azure-secret-store");
	next_round();
	look(3, 200, LEASE("2027-01-15T08:00:15.000001Z"));
	assert_true(upstream_holds(&f.upstream));
	/* Twenty seconds are its duration: one silent round is not enough, two are. */
	next_round();
	look(3, 200, LEASE("2027-01-15T08:00:15.000001Z"));
	assert_true(upstream_holds(&f.upstream));
	next_round();
	look(3, 200, LEASE("2027-01-15T08:00:15.000001Z"));
	assert_false(upstream_holds(&f.upstream));
	assert_text(said, "has stopped");
	/* And back again. */
	next_round();
	look(3, 200, LEASE("2027-01-15T08:01:00.000001Z"));
	assert_true(upstream_holds(&f.upstream));
}

static void what_was_left_behind_long_ago_does_not_hold(void **state) {
	(void)state;
	look(0, 200, LEASE("2026-12-01T00:00:00.000000Z"));
	assert_false(upstream_holds(&f.upstream));
}

/* A node's clock that is a day ahead makes each renewal look like one of long ago. */
static void what_moves_holds_whatever_the_clock_says(void **state) {
	(void)state;
	look(0, 200, LEASE("2027-01-14T08:00:00.000000Z"));
	assert_false(upstream_holds(&f.upstream));
	next_round();
	look(0, 200, LEASE("2027-01-14T08:00:15.000000Z"));
	assert_true(upstream_holds(&f.upstream));
	next_round();
	look(4, 200, LEASE("2027-01-14T08:00:30.000000Z"));
	assert_true(upstream_holds(&f.upstream));
}

/* The rest of the round, and whatever keeps it from being read, is not waited for. */
static void a_renewal_holds_as_soon_as_it_is_seen(void **state) {
	(void)state;
	look(0, 404, "{}");
	next_round();
	upstream_turn(&f.upstream, f.now);
	end(200, LEASE("2027-01-15T08:00:15.000000Z"));
	assert_false(upstream_holds(&f.upstream));
	upstream_turn(&f.upstream, f.now);
	assert_true(upstream_holds(&f.upstream));
	end(503, "{}");
	upstream_turn(&f.upstream, f.now);
	assert_true(upstream_holds(&f.upstream));
}

static void a_lease_that_cannot_be_seen_any_more_holds_for_its_duration(void **state) {
	(void)state;
	look(2, 200, LEASE("2027-01-15T08:00:00.000000Z"));
	for (unsigned round = 0; round < 2; round++) {
		assert_true(upstream_holds(&f.upstream));
		next_round();
		look(2, 403, "{\"reason\":\"Forbidden\"}");
	}
	assert_false(upstream_holds(&f.upstream));
}

static void a_lease_that_was_given_up_does_not_hold(void **state) {
	(void)state;
	look(1, 200, "{\"spec\":{\"holderIdentity\":\"\",\"renewTime\":\"2027-01-15T08:00:00.000001Z\"}}");
	assert_false(upstream_holds(&f.upstream));
}

static void missing_rights_are_said_once_and_do_not_hold(void **state) {
	(void)state;
	look(2, 403, "{\"reason\":\"Forbidden\",\"message\":\"leases is forbidden\"}");
	assert_false(upstream_holds(&f.upstream));
	assert_text(said, "make sure that it does not");
	said[0] = 0;
	next_round();
	look(2, 403, "{\"reason\":\"Forbidden\"}");
	assert_string_equal(said, "");
}

static void what_is_not_known_yet_holds(void **state) {
	(void)state;
	upstream_turn(&f.upstream, f.now);
	end(503, "{}");
	upstream_turn(&f.upstream, f.now);
	assert_null(active);
	assert_true(upstream_holds(&f.upstream));
	assert_text(said, "nothing is written before");
	next_round();
	look(0, 404, "{}");
	assert_false(upstream_holds(&f.upstream));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_a_lease_nothing_holds_once_that_is_known),
		TEST(a_renewed_lease_holds_until_it_rests),
		TEST(what_was_left_behind_long_ago_does_not_hold),
		TEST(what_moves_holds_whatever_the_clock_says),
		TEST(a_renewal_holds_as_soon_as_it_is_seen),
		TEST(a_lease_that_cannot_be_seen_any_more_holds_for_its_duration),
		TEST(a_lease_that_was_given_up_does_not_hold),
		TEST(missing_rights_are_said_once_and_do_not_hold),
		TEST(what_is_not_known_yet_holds),
	};
	rcu_thread_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
