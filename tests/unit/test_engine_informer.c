/* engine/informer against a scripted HTTP: pages, expiry, broken and garbled watches, versions that go back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "clients/json.h"
#include "engine/informer.h"

/* --- the script: one request at a time, answered by the test --- */

struct script {
	struct http http;
	struct http_req *active;
	bool ended;
	unsigned started, cancelled;
};

struct world {
	struct script script;
	struct kube kube;
	struct rng rng;
	struct informer informer;
	struct informer_sink sink;
	struct now now;
	struct http_site site;
	char told
		[4096]; /* "+name " upsert, "-name " remove, "[ " list begins, "] " list is complete, "401 " */
	enum err upsert_err;
	struct secret_arena *arena; /* of an informer of what may hold values */
};

static struct world w;

static void script_start(struct http *http, struct http_req *req) {
	struct script *script = (struct script *)http;
	assert_null(script->active);
	script->active = req;
	script->ended = false;
	script->started++;
	buf_init(&req->response, req->max_response_bytes);
	if (req->response_arena)
		secret_init(&req->response_secret, req->response_arena, req->max_response_bytes);
}

static void script_cancel(struct http *http, struct http_req *req) {
	struct script *script = (struct script *)http;
	if (script->active != req) return;
	script->active = NULL;
	script->cancelled++;
}

static int64_t script_turn(struct http *http, struct now now) {
	struct script *script = (struct script *)http;
	(void)now;
	if (script->ended && script->active) {
		struct http_req *req = take(script->active);
		req->on_done(req);
	}
	return NEVER_NS;
}

static const struct http_ops OPS = {
	.start = script_start, .cancel = script_cancel, .turn = script_turn
};

static void tell(const char *mark, const cJSON *object) {
	const cJSON *name = cJSON_GetObjectItem(cJSON_GetObjectItem(object, "metadata"), "name");
	size_t at = strlen(w.told);
	snprintf(w.told + at, sizeof w.told - at, "%s%s ", mark, name ? name->valuestring : "");
}

static enum err told_upsert(struct informer_sink *sink, const cJSON *object) {
	(void)sink;
	if (w.upsert_err) return w.upsert_err;
	tell("+", object);
	return OK;
}

static enum err told_remove(struct informer_sink *sink, const cJSON *object) {
	(void)sink;
	tell("-", object);
	return OK;
}

/* Knows "b" of any version, but not when it is being deleted. */
static bool told_known(struct informer_sink *sink, const struct object_head *head) {
	(void)sink;
	bool known = str_eq(head->meta.name, STR("b")) && !head->meta.deleting;
	if (known) tell("=", NULL);
	return known;
}

static void told_begin(struct informer_sink *sink) {
	(void)sink;
	tell("[", NULL);
}

static void told_end(struct informer_sink *sink) {
	(void)sink;
	tell("]", NULL);
}

static void told_401(struct informer_sink *sink) {
	(void)sink;
	tell("401", NULL);
}

static void told_went_back(struct informer_sink *sink) {
	(void)sink;
	tell("back", NULL);
}

static enum err told_text(struct informer_sink *sink, struct str object, bool gone) {
	cJSON *json = NULL;
	(void)sink;
	if (w.upsert_err) return w.upsert_err;
	assert_true(secret_arena_used_bytes(w.arena) > 0);
	assert_int_equal(json_parse(object, &json, NULL), OK);
	tell(gone ? "~-" : "~", json);
	cJSON_Delete(json);
	return OK;
}

static void told_gone(struct informer_sink *sink) {
	(void)sink;
	tell("gone", NULL);
}

static void told_paged(struct informer_sink *sink) {
	(void)sink;
	tell("paged", NULL);
}

static void no_log(struct str line, void *arg) {
	(void)line;
	(void)arg;
}

static int setup(void **state) {
	(void)state;
	w = (struct world){ .script = { .http = { &OPS } }, .now = { .mono_ns = 1000 * NS_PER_S } };
	w.sink = (struct informer_sink){ told_upsert, told_remove, NULL, told_begin, told_end, told_401,
		told_end, told_went_back, told_text };
	w.site.name = "kubernetes";
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	log_redirect(no_log, NULL);
	rng_seed(&w.rng, 1);
	if (kube_init(&w.kube, "https://api", &w.site)) return -1;
	informer_init(&w.informer, &w.kube, &w.script.http, KUBE_SYNCS, &w.sink, &w.rng);
	informer_set_paged(&w.informer);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	informer_deinit(&w.informer);
	kube_deinit(&w.kube);
	log_redirect(NULL, NULL);
	rcu_thread_unregister();
	return 0;
}

/* --- what a test says --- */

/* Turns until nothing is due now. Returns the deadline. */
static int64_t settle(void) {
	for (int i = 0; i < 1000; i++) {
		int64_t at_ns = informer_turn(&w.informer, w.now);
		http_turn(&w.script.http, w.now);
		if (informer_deadline_ns(&w.informer, w.now) <= w.now.mono_ns) continue;
		return at_ns < informer_deadline_ns(&w.informer, w.now)
			       ? at_ns
			       : informer_deadline_ns(&w.informer, w.now);
	}
	fail_msg("the informer never comes to rest");
	return 0;
}

/* Lets the time pass to the deadline; it has to lie within (0, most_s]. */
static void pass(double most_s) {
	int64_t at_ns = settle();
	double wait_s = (double)(at_ns - w.now.mono_ns) / 1e9;
	if (!(wait_s > 0 && wait_s <= most_s))
		fail_msg("waits %f s, wanted at most %f", wait_s, most_s);
	w.now.mono_ns = at_ns;
	settle();
}

static void assert_url(const char *part) {
	assert_non_null(w.script.active);
	struct str url = buf_str(&w.script.active->url);
	if (str_find(url, str_of(part)) == SIZE_MAX) fail_msg("%.*s lacks %s", STR_ARG(url), part);
}

static void assert_lists(void) {
	assert_url("/secretsyncs?limit=");
	assert_null(w.script.active->on_data);
}



static void answer(int status, const char *body);

/* After a watch that broke the server is asked how far it has got. */
static void assert_checks(const char *version) {
	char part[128];
	snprintf(part, sizeof part, "?limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=%s", version);
	assert_url(part);
	assert_null(w.script.active->on_data);
}

static void assert_watches_now(const char *version) {
	char part[128];
	snprintf(part, sizeof part, "resourceVersion=%s", version);
	assert_url("watch=true");
	assert_url("allowWatchBookmarks=true");
	assert_url(part);
	assert_non_null(w.script.active->on_data);
}

static void assert_resumes(const char *version) {
	assert_checks(version);
	answer(200, "{\"items\":[],\"metadata\":{\"resourceVersion\":\"999\"}}");
	assert_watches_now(version);
}

/* At once, or when the server has said that it has got that far. */
static void assert_watches(const char *version) {
	assert_non_null(w.script.active);
	if (str_find(buf_str(&w.script.active->url), STR("limit=1&")) == SIZE_MAX)
		assert_watches_now(version);
	else
		assert_resumes(version);
}

static void answer(int status, const char *body) {
	struct http_req *req = w.script.active;
	assert_non_null(req);
	req->status = status;
	if (req->response_arena)
		secret_append(&req->response_secret, str_of(body));
	else
		buf_append(&req->response, str_of(body));
	w.script.ended = true;
	settle();
}

static void answer_error(enum err err) {
	struct http_req *req = w.script.active;
	req->err = fault_set(&req->fault, err, "scripted");
	w.script.ended = true;
	settle();
}

/* A stretch of the watch's bytes. */
static void stream(const char *bytes) {
	w.script.active->status = 200;
	w.script.active->on_data(w.script.active, str_of(bytes));
	settle();
}

static void end_stream(void) {
	w.script.active->status = 200;
	w.script.ended = true;
	settle();
}

#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\"}}"
#define PAGE(items, version, next)                                            \
	"{\"items\":[" items "],\"metadata\":{\"resourceVersion\":\"" version \
	"\",\"continue\":\"" next "\"}}"
#define EVENT(type, name, version)                                          \
	"{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name \
	"\",\"resourceVersion\":\"" version "\"}}}\n"
#define TOO_NEW "{\"code\":504,\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}]}}"
#define GONE "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}"

static void sync_up(void) {
	settle();
	answer(200, PAGE(ITEM("a"), "10", ""));
	assert_watches("10");
	w.told[0] = '\0';
}

/* --- tests --- */

static void test_pages(void **state) {
	(void)state;
	settle();
	assert_url("?limit=500");
	answer(200, PAGE(ITEM("a") "," ITEM("b"), "7", "tok/1"));
	assert_false(informer_has_synced(&w.informer));
	assert_url("continue=tok%2F1");
	answer(200, PAGE(ITEM("c"), "7", ""));
	assert_true(informer_has_synced(&w.informer));
	assert_string_equal(w.told, "[ +a +b +c ] ");
	assert_watches("7");
}

static void test_continue_expired(void **state) {
	(void)state;
	settle();
	answer(200, PAGE(ITEM("a"), "7", "tok"));
	answer(410, GONE);
	assert_string_equal(w.told, "[ +a ");
	assert_null(w.script.active);
	pass(2);
	assert_lists();
	assert_int_equal(str_find(buf_str(&w.script.active->url), STR("continue")), SIZE_MAX);
	answer(200, PAGE(ITEM("b"), "9", ""));
	assert_string_equal(w.told, "[ +a [ +b ] ");
	assert_watches("9");
}

/* A page that fails for a moment is asked for again; what was read is not read twice. */
static void test_page_fails_and_goes_on(void **state) {
	(void)state;
	settle();
	answer(200, PAGE(ITEM("a"), "7", "tok"));
	answer(503, "busy");
	pass(2);
	assert_url("continue=tok");
	answer_error(ERR_NETWORK);
	pass(4);
	assert_url("continue=tok");
	answer(200, PAGE(ITEM("b"), "7", ""));
	assert_string_equal(w.told, "[ +a +b ] ");
}

static void test_backoff_grows_and_honours_retry_after(void **state) {
	(void)state;
	settle();
	int64_t longest_ns = 0;
	for (int i = 0; i < 12; i++) {
		answer(500, "no");
		int64_t wait_ns = settle() - w.now.mono_ns;
		if (wait_ns > longest_ns) longest_ns = wait_ns;
		pass(30);
		assert_lists();
	}
	assert_in_range(longest_ns, 5 * NS_PER_S, 30 * NS_PER_S);
	w.script.active->retry_after_ns = 120 * NS_PER_S;
	answer(429, "slow");
	assert_int_equal(settle() - w.now.mono_ns, 120 * NS_PER_S);
}

static void test_unauthenticated(void **state) {
	(void)state;
	settle();
	answer(401, "{}");
	assert_string_equal(w.told, "[ 401 ");
	pass(2);
	answer(200, PAGE("", "1", ""));
	assert_watches("1");
	answer(401, "{}");
	assert_string_equal(w.told, "[ 401 ] 401 ");
	pass(2);
	assert_watches("1");
}

static void test_too_large_page_is_halved(void **state) {
	(void)state;
	settle();
	answer_error(ERR_TOO_LARGE);
	assert_url("?limit=250");
	answer_error(ERR_TOO_LARGE);
	assert_url("?limit=125");
	answer(200, PAGE(ITEM("a"), "1", "tok"));
	assert_url("?limit=125&continue=tok");
	answer(200, PAGE("", "1", ""));
	assert_string_equal(w.told, "[ +a ] ");
}

static void test_garbled_list(void **state) {
	(void)state;
	static const char *const bodies[] = { "{\"items\":[{\"metadata\":{\"na", "<html>",
		"{\"items\":[5],\"metadata\":{}}", "{\"items\":[],\"metadata\":{}}",
		"{\"items\":[]}", "{\"items\":[],\"metadata\":{\"resourceVersion\":\"\"}}" };
	settle();
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		assert_lists();
		answer(200, bodies[i]);
		assert_false(informer_has_synced(&w.informer));
		pass(30);
	}
	answer(200, PAGE("", "1", ""));
	assert_watches("1");
}

/* One object that nobody can read does not keep the others out. */
static void test_bad_item_is_passed_over(void **state) {
	(void)state;
	settle();
	answer(200, PAGE("{\"metadata\":{\"name\":\"x\\u0000y\"}},"
			 "{\"a\" 5},7," ITEM("b"),
			    "4", ""));
	assert_string_equal(w.told, "[ +b ] ");
	assert_watches("4");
}

static void test_events_and_split_lines(void **state) {
	(void)state;
	sync_up();
	stream(EVENT("ADDED", "b", "11") EVENT("MODIFIED", "b", "12"));
	static const char text[] = EVENT("DELETED", "b", "13");
	for (size_t i = 0; i + 1 < sizeof text; i++) {
		char byte[2] = { text[i], '\0' };
		assert_string_equal(w.told, "+b +b ");
		stream(byte);
	}
	assert_string_equal(w.told, "+b +b -b ");
	stream("\n\n");
	answer_error(ERR_NETWORK);
	pass(2);
	assert_watches("13");
}

#define WHOLE(type, name, version, more)                                             \
	"{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name           \
	"\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"" version "\"" more \
	"}}}\n"

/* Our own status write comes back: it is not told, and the version moves on all the same. */
static void test_what_is_known_is_not_told(void **state) {
	(void)state;
	w.sink.knows = told_known;
	sync_up();
	stream(WHOLE("MODIFIED", "b", "11", ""));
	assert_string_equal(w.told, "= ");
	stream(WHOLE("MODIFIED", "b", "12", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""));
	stream(WHOLE("MODIFIED", "c", "13", "") WHOLE("ADDED", "b", "14", "") WHOLE("DELETED", "b", "15", ""));
	assert_string_equal(w.told, "= +b +c +b -b ");
	stream(WHOLE("MODIFIED", "b", "16", ""));
	answer_error(ERR_NETWORK);
	pass(2);
	assert_watches("16");
}

/* The bookmark moves the version on, without an event. */
static void test_broken_watch_resumes_from_bookmark(void **state) {
	(void)state;
	sync_up();
	stream(EVENT("BOOKMARK", "", "77"));
	stream("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"na");
	answer_error(ERR_NETWORK);
	assert_string_equal(w.told, "");
	pass(2);
	assert_watches("77");
	assert_string_equal(w.told, "");
	/* Half a line of the first watch does not stand before the second's. */
	stream(EVENT("ADDED", "c", "78"));
	assert_string_equal(w.told, "+c ");
}

static void test_watch_ends_in_good_order(void **state) {
	(void)state;
	sync_up();
	stream(EVENT("ADDED", "b", "11"));
	w.now.mono_ns += 400 * NS_PER_S;
	end_stream();
	assert_watches("11");
}

/* Bytes that came with the end are read before the end is looked at. */
static void test_last_event_before_the_end(void **state) {
	(void)state;
	sync_up();
	w.script.active->status = 200;
	w.script.active->on_data(w.script.active, STR(EVENT("ADDED", "z", "12")));
	w.script.ended = true;
	settle();
	assert_string_equal(w.told, "+z ");
	assert_watches("12");
}

static void test_watch_that_ends_at_once_is_not_stormed(void **state) {
	(void)state;
	sync_up();
	unsigned before = w.script.started;
	for (int i = 0; i < 5; i++) {
		end_stream();
		assert_null(w.script.active);
		pass(30);
		assert_resumes("10");
	}
	assert_int_equal(w.script.started, before + 10);
}

static void test_expired_watch_relists(void **state) {
	(void)state;
	sync_up();
	stream("{\"type\":\"ERROR\",\"object\":" GONE "}\n");
	pass(2);
	assert_lists();
	answer(200, PAGE(ITEM("b"), "20", ""));
	assert_string_equal(w.told, "[ +b ] ");
	assert_watches("20");
	answer(410, GONE);
	pass(2);
	assert_lists();
}

static void test_other_error_event_resumes(void **state) {
	(void)state;
	sync_up();
	stream("{\"type\":\"ERROR\",\"object\":{\"code\":500,\"reason\":\"InternalError\"}}\n");
	pass(2);
	assert_watches("10");
}

/* A server that was restored from a backup: the version lies in its future, or goes back. */
static void test_versions_are_opaque(void **state) {
	(void)state;
	sync_up();
	stream(EVENT("ADDED", "b", "9") EVENT("MODIFIED", "b", "0x-not a number"));
	answer_error(ERR_NETWORK);
	pass(2);
	assert_resumes("0x-not%20a%20number");
	answer(504, TOO_NEW);
	assert_non_null(strstr(w.told, "back "));
	pass(4);
	assert_lists();
	answer(200, PAGE("", "3", ""));
	assert_watches("3");
	answer(400, "{\"code\":400,\"message\":\"invalid resource version\"}");
	pass(2);
	assert_lists();
}

/* A backup was restored while a watch was broken: nothing that was told before counts, and it is said so before the list. */
static void test_a_server_that_went_back(void **state) {
	(void)state;
	sync_up();
	answer_error(ERR_NETWORK);
	pass(2);
	assert_checks("10");
	answer_error(ERR_NETWORK);
	pass(4);
	assert_checks("10");
	answer(503, "{}");
	pass(8);
	assert_checks("10");
	assert_string_equal(w.told, "");
	answer(504, TOO_NEW);
	assert_string_equal(w.told, "back ");
	pass(16);
	assert_lists();
	answer(200, PAGE(ITEM("b"), "3", ""));
	assert_string_equal(w.told, "back [ +b ] ");
	assert_watches("3");
}

/* An ordinary end is no reason to ask; one before its time is. */
static void test_early_end_is_checked(void **state) {
	(void)state;
	sync_up();
	w.now.mono_ns += 20 * NS_PER_S;
	stream(EVENT("BOOKMARK", "", "11"));
	end_stream();
	assert_resumes("11");
	w.now.mono_ns += 600 * NS_PER_S;
	stream(EVENT("BOOKMARK", "", "12"));
	end_stream();
	assert_watches_now("12");
}

static void test_refused_check_relists(void **state) {
	(void)state;
	sync_up();
	answer_error(ERR_NETWORK);
	pass(2);
	answer(400, "{\"code\":400}");
	pass(4);
	assert_lists();
	assert_string_equal(w.told, "[ ");
}

static void test_start_over(void **state) {
	(void)state;
	sync_up();
	informer_start_over(&w.informer, w.now);
	assert_int_equal(w.script.cancelled, 1);
	settle();
	assert_lists();
	/* In the middle of a list, too. */
	informer_start_over(&w.informer, w.now);
	settle();
	assert_lists();
	assert_string_equal(w.told, "[ [ ");
	answer(200, PAGE(ITEM("b"), "3", ""));
	assert_string_equal(w.told, "[ [ +b ] ");
	assert_watches("3");
	/* What the server has asked for still holds. */
	w.script.active->retry_after_ns = 13 * NS_PER_S;
	answer(429, "{}");
	settle();
	informer_start_over(&w.informer, w.now);
	assert_int_equal(settle() - w.now.mono_ns, 13 * NS_PER_S);
	pass(13);
	assert_lists();
	informer_stop(&w.informer);
	informer_start_over(&w.informer, w.now);
	settle();
	assert_null(w.script.active);
}

/* Such a server may also answer a watch with silence. A watch that has told something is not silent, and
 * one that breaks early is only broken. */
static void test_silent_watch_relists(void **state) {
	(void)state;
	sync_up();
	w.script.active->status = 200;
	w.now.mono_ns += 60 * NS_PER_S;
	answer_error(ERR_TIMEOUT);
	pass(2);
	assert_resumes("10");
	stream(EVENT("BOOKMARK", "", "11"));
	w.now.mono_ns += INFORMER_SILENCE_S * NS_PER_S;
	answer_error(ERR_TIMEOUT);
	pass(2);
	assert_resumes("11");
	w.script.active->status = 200;
	w.now.mono_ns += INFORMER_SILENCE_S * NS_PER_S;
	answer_error(ERR_TIMEOUT);
	pass(4);
	assert_lists();
}

static void test_denied_or_busy_watch_is_no_relist(void **state) {
	(void)state;
	static const int statuses[] = { 403, 429, 500, 503 };
	sync_up();
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		answer(statuses[i], "{}");
		pass(30);
		assert_watches("10");
	}
}

static void test_garbled_watch_relists(void **state) {
	(void)state;
	static const char *const lines[] = { "garbage\n", "{}\n", "{\"type\":\"ADDED\"}\n",
		"{\"type\":\"NEW\",\"object\":{}}\n",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}\n" };
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (i == 0) settle();
		assert_lists();
		answer(200, PAGE("", "10", ""));
		stream(lines[i]);
		pass(30);
	}
}

static void test_endless_line(void **state) {
	(void)state;
	sync_up();
	static char chunk[64 * 1024 + 1];
	memset(chunk, 'x', sizeof chunk - 1);
	unsigned sent = 0;
	while (informer_state(&w.informer) == INFORMER_WATCHING && sent < 100) {
		stream(chunk);
		sent++;
	}
	assert_in_range(sent, 48, 50);
	pass(2);
	assert_lists();
}

/* More than a slice per turn is left for the next. */
static void test_slices(void **state) {
	(void)state;
	sync_up();
	static char many[1 << 20];
	size_t at = 0;
	for (int i = 0; i < 8000; i++) {
		at += (size_t)snprintf(many + at, sizeof many - at,
			"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"\","
			"\"resourceVersion\":\"%d\"}}}\n",
			i);
	}
	w.script.active->on_data(w.script.active, (struct str){ many, at });
	informer_turn(&w.informer, w.now);
	size_t after_one = strlen(w.told);
	assert_in_range(after_one, 1000, 2 * 2500);
	assert_int_equal(informer_deadline_ns(&w.informer, w.now), w.now.mono_ns);
	/* The end comes before the last slice: all of it is read first. */
	end_stream();
	assert_watches("7999");
}

static void test_out_of_memory_relists(void **state) {
	(void)state;
	sync_up();
	w.upsert_err = ERR_NOMEM;
	stream(EVENT("ADDED", "b", "11"));
	w.upsert_err = OK;
	pass(2);
	assert_lists();
}

static void test_unusable_object_is_passed_over(void **state) {
	(void)state;
	sync_up();
	w.upsert_err = ERR_INVALID;
	stream(EVENT("ADDED", "b", "11"));
	w.upsert_err = OK;
	answer_error(ERR_NETWORK);
	pass(2);
	assert_watches("11");
}

static void test_silence_limit_and_stop(void **state) {
	(void)state;
	sync_up();
	assert_int_equal(w.script.active->idle_timeout_ns, INFORMER_SILENCE_S * NS_PER_S);
	informer_stop(&w.informer);
	assert_null(w.script.active);
	assert_int_equal(w.script.cancelled, 1);
	assert_int_equal(informer_turn(&w.informer, w.now), NEVER_NS);
	assert_null(w.script.active);
}

/* A kind that is not installed, or that an older role does not name: its list is empty, said once, and looked for again. */
static void test_optional_resource_is_missing(void **state) {
	(void)state;
	static const int refusals[] = { 404, 403, 404 };
	informer_set_optional(&w.informer);
	settle();
	for (int i = 0; i < 3; i++) {
		answer(refusals[i], "{}");
		int64_t wait_ns = settle() - w.now.mono_ns;
		assert_in_range(wait_ns, 150 * NS_PER_S, 300 * NS_PER_S);
		assert_false(informer_has_synced(&w.informer));
		pass(300);
		assert_lists();
	}
	answer(200, PAGE(ITEM("a"), "10", ""));
	assert_string_equal(w.told, "[ ] [ ] [ ] [ +a ] ");
	assert_watches("10");
	/* The kind is taken away, and what was known of it with it. */
	answer(404, "404 page not found");
	pass(2);
	assert_lists();
	answer(404, "404 page not found");
	assert_string_equal(w.told, "[ ] [ ] [ ] [ +a ] [ ] ");
	/* That it may not be listed for a moment takes nothing away. */
	pass(300);
	answer(200, PAGE(ITEM("a"), "11", ""));
	answer(410, GONE);
	w.told[0] = '\0';
	pass(2);
	answer(403, "{}");
	assert_string_equal(w.told, "[ ");
	pass(2);
	assert_lists();
}

/* --- lists that are the beginning of a watch --- */

#define INITIAL_END(version)                                                                   \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define INVALID "{\"kind\":\"Status\",\"code\":422,\"reason\":\"Invalid\",\"message\":\"sendInitialEvents: Forbidden\"}"

static int setup_stream(void **state) {
	if (setup(state)) return -1;
	informer_deinit(&w.informer);
	informer_init(&w.informer, &w.kube, &w.script.http, KUBE_SYNCS, &w.sink, &w.rng);
	w.sink.paged = told_paged;
	return 0;
}

static void assert_streams(void) {
	assert_url("/secretsyncs?watch=true&");
	assert_url("sendInitialEvents=true");
	assert_url("resourceVersionMatch=NotOlderThan");
	assert_url("allowWatchBookmarks=true");
	assert_int_equal(str_find(buf_str(&w.script.active->url), STR("resourceVersion=")), SIZE_MAX);
	assert_non_null(w.script.active->on_data);
	assert_ptr_equal(w.script.active->site, &w.kube.watch_site);
	assert_int_equal(w.kube.watch_site.version, HTTP_VERSION_1_1);
}

/* One request for all of it. What changes while the list is on its way is told in it. */
static void test_stream(void **state) {
	(void)state;
	settle();
	assert_streams();
	stream(EVENT("ADDED", "a", "7") EVENT("ADDED", "b", "3"));
	assert_string_equal(w.told, "[ +a +b ");
	assert_false(informer_has_synced(&w.informer));
	assert_false(informer_is_current(&w.informer));
	/* Another bookmark ends nothing. */
	stream(EVENT("DELETED", "b", "8") EVENT("MODIFIED", "a", "9") EVENT("BOOKMARK", "", "9"));
	assert_false(informer_has_synced(&w.informer));
	stream(INITIAL_END("9") EVENT("ADDED", "c", "10"));
	assert_string_equal(w.told, "[ +a +b -b +a ] +c ");
	assert_true(informer_is_current(&w.informer));
	assert_int_equal(w.script.started, 1);
	/* From now on it is a watch like any other. */
	stream(EVENT("BOOKMARK", "", "12"));
	answer_error(ERR_NETWORK);
	pass(2);
	assert_resumes("12");
	stream("{\"type\":\"ERROR\",\"object\":" GONE "}\n");
	pass(2);
	assert_streams();
}

/* The end of the list may be all that comes; the watch from there on. */
static void test_stream_of_nothing(void **state) {
	(void)state;
	settle();
	stream(INITIAL_END("5"));
	assert_string_equal(w.told, "[ ] ");
	end_stream();
	assert_watches("5");
}

/* Without the feature: the same list, in pages, and never again. */
static void test_stream_is_not_known(void **state) {
	(void)state;
	settle();
	assert_streams();
	answer(422, INVALID);
	assert_lists();
	assert_string_equal(w.told, "[ paged ");
	answer(200, PAGE(ITEM("a"), "7", "tok"));
	answer(200, PAGE(ITEM("b"), "7", ""));
	assert_string_equal(w.told, "[ paged +a +b ] ");
	assert_watches("7");
	answer(410, GONE);
	pass(2);
	assert_lists();
}

/* However a stream ends before its list is complete, the list begins again in pages, and what was known stays known until that
 * is complete; the next list is a stream again. */
static void test_stream_breaks(void **state) {
	(void)state;
	settle();
	for (int i = 0; i < 7; i++) {
		assert_streams();
		w.told[0] = '\0';
		stream(EVENT("ADDED", "a", "7"));
		if (i == 0) answer_error(ERR_NETWORK);
		if (i == 1) end_stream();
		if (i == 2) stream("{\"type\":\"ERROR\",\"object\":" GONE "}\n");
		if (i == 3) stream("{\"type\":\"ERROR\",\"object\":{\"code\":504,\"reason\":\"Timeout\"}}\n");
		if (i == 4) stream("garbage\n");
		if (i == 5) answer_error(ERR_TIMEOUT);
		if (i == 6) {
			w.upsert_err = ERR_NOMEM;
			stream(EVENT("ADDED", "b", "7"));
			w.upsert_err = OK;
		}
		pass(2);
		assert_lists();
		answer(200, PAGE(ITEM("a"), "9", ""));
		/* Nothing ended in between. */
		assert_string_equal(w.told, "+a [ +a ] ");
		assert_watches("9");
		answer(410, GONE);
		pass(2);
	}
}

/* A server that could not even begin is asked for a stream again. */
static void test_stream_is_refused_for_now(void **state) {
	(void)state;
	static const int statuses[] = { 401, 403, 404, 410, 429, 500, 503 };
	settle();
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		assert_streams();
		answer(statuses[i], "{}");
		pass(30);
	}
	assert_streams();
	answer_error(ERR_NETWORK);
	pass(30);
	assert_streams();
	/* This says that it does not want to be asked so. */
	answer(400, "{}");
	pass(30);
	assert_lists();
}

/* A list in which nothing comes is not waited for as long as a watch; one that we are slow with is. */
static void test_stream_stalls(void **state) {
	(void)state;
	settle();
	w.now.mono_ns += 40 * NS_PER_S;
	stream(EVENT("ADDED", "a", "7"));
	assert_int_equal(settle(), w.now.mono_ns + INFORMER_STALL_S * NS_PER_S);
	pass(INFORMER_STALL_S);
	assert_int_equal(w.script.cancelled, 1);
	pass(2);
	assert_lists();
	answer(200, PAGE(ITEM("a"), "9", ""));
	assert_int_equal(settle(), NEVER_NS);
}

/* Who sends faster than main reads is left to wait, and goes on when most of it was read. */
static void test_stream_waits_for_main(void **state) {
	(void)state;
	static char many[1 << 20];
	size_t at = 0;
	settle();
	for (int i = 0; i < 8000; i++)
		at += (size_t)snprintf(many + at, sizeof many - at, "%s", EVENT("ADDED", "", "7"));
	w.script.active->on_data(w.script.active, str_slice((struct str){ many, at }, 0, INFORMER_AHEAD_BYTES - 1));
	assert_false(w.script.active->paused);
	w.script.active->on_data(w.script.active, str_slice((struct str){ many, at }, INFORMER_AHEAD_BYTES - 1, SIZE_MAX));
	assert_true(w.script.active->paused);
	unsigned turns = 0;
	while (w.script.active->paused) {
		assert_true(turns++ < 10);
		assert_int_equal(informer_turn(&w.informer, w.now), w.now.mono_ns);
	}
	assert_in_range(turns, 3, 9);
	/* Once more, so that the HTTP client sees it, whatever there is to read. */
	settle();
	assert_false(w.script.active->paused);
	stream(INITIAL_END("9"));
	assert_true(informer_has_synced(&w.informer));
}

/* A line that is longer than what is kept ahead comes in whole. */
static void test_stream_of_a_long_line(void **state) {
	(void)state;
	static char line[INFORMER_AHEAD_BYTES * 4];
	settle();
	size_t at = (size_t)snprintf(line, sizeof line, "{\"type\":\"ADDED\",\"object\":{\"x\":\"");
	memset(line + at, 'x', INFORMER_AHEAD_BYTES * 3);
	at += INFORMER_AHEAD_BYTES * 3;
	snprintf(line + at, sizeof line - at, "\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"7\"}}}\n");
	for (size_t sent = 0; line[sent]; ) {
		struct str piece = str_slice(str_of(line + sent), 0, 100000);
		assert_false(w.script.active->paused);
		w.script.active->on_data(w.script.active, piece);
		sent += piece.len;
		settle();
	}
	assert_string_equal(w.told, "[ +a ");
}

/* In a list that is not the first most objects are known, and are not parsed. */
static void test_stream_of_what_is_known(void **state) {
	(void)state;
	w.sink.knows = told_known;
	settle();
	stream(WHOLE("ADDED", "b", "7", "") INITIAL_END("9"));
	assert_string_equal(w.told, "[ +b ] ");
	stream("{\"type\":\"ERROR\",\"object\":" GONE "}\n");
	pass(2);
	w.told[0] = '\0';
	stream(WHOLE("ADDED", "b", "7", "") WHOLE("ADDED", "new", "8", "") INITIAL_END("9"));
	assert_string_equal(w.told, "= +new ] ");
	/* As a watch tells it, an ADDED is news. */
	stream(WHOLE("ADDED", "b", "10", "") WHOLE("MODIFIED", "b", "11", ""));
	assert_string_equal(w.told, "= +new ] +b = ");
}

/* Another informer has found out; or everything begins anew in the middle. */
static void test_stream_starts_over(void **state) {
	(void)state;
	settle();
	stream(EVENT("ADDED", "a", "7"));
	informer_start_over(&w.informer, w.now);
	settle();
	assert_streams();
	assert_string_equal(w.told, "[ +a [ ");
	informer_set_paged(&w.informer);
	informer_start_over(&w.informer, w.now);
	settle();
	assert_lists();
}

static void test_stream_of_an_optional_resource(void **state) {
	(void)state;
	informer_set_optional(&w.informer);
	settle();
	answer(404, "{}");
	assert_string_equal(w.told, "[ ] ");
	pass(300);
	assert_streams();
	stream(EVENT("ADDED", "a", "7") INITIAL_END("7"));
	assert_string_equal(w.told, "[ ] [ +a ] ");
}

/* --- what may hold values --- */

static int setup_secret(void **state) {
	if (setup(state)) return -1;
	informer_deinit(&w.informer);
	w.arena = secret_arena_create(64 << 20);
	if (!w.arena) return -1;
	w.sink.missing = told_gone;
	informer_init(
		&w.informer, &w.kube, &w.script.http, KUBE_SECRETS, &w.sink, &w.rng);
	informer_set_secret(&w.informer, w.arena);
	informer_set_revocable(&w.informer);
	informer_set_paged(&w.informer);
	return 0;
}

/* What is received leaves secret memory with the informer, whatever it was doing. */
static int teardown_secret(void **state) {
	informer_deinit(&w.informer);
	assert_int_equal(secret_arena_used_bytes(w.arena), 0);
	secret_arena_destroy(w.arena);
	return teardown(state);
}

static void assert_asks_for_metadata(const char *as) {
	const struct http_req *req = w.script.active;
	assert_url("https://api/api/v1/secrets?");
	assert_url("labelSelector=secrets-store.sync.x-k8s.io");
	assert_ptr_equal(req->response_arena, w.arena);
	assert_string_equal(req->headers[0].name, "Accept");
	assert_true(str_find(req->headers[0].value, str_of(as)) != SIZE_MAX);
}

static void test_secret_pages_and_events(void **state) {
	(void)state;
	settle();
	assert_asks_for_metadata("as=PartialObjectMetadataList;");
	answer(200, PAGE(ITEM("a") "," ITEM("b"), "7", "tok/1"));
	assert_url("continue=tok%2F1");
	assert_false(informer_is_current(&w.informer));
	answer(200, PAGE(ITEM("c"), "8", ""));
	assert_string_equal(w.told, "[ ~a ~b ~c ] ");
	assert_watches("8");
	assert_asks_for_metadata("as=PartialObjectMetadata;");
	assert_true(informer_is_current(&w.informer));
	w.told[0] = '\0';
	static const char text[] = EVENT("ADDED", "d", "9") EVENT("DELETED", "a", "10")
		EVENT("BOOKMARK", "", "11") "{\"type\":\"MODIF";
	for (size_t i = 0; i + 1 < sizeof text; i++) {
		char byte[2] = { text[i], '\0' };
		stream(byte);
	}
	assert_string_equal(w.told, "~d ~-a ");
	answer_error(ERR_NETWORK);
	assert_false(informer_is_current(&w.informer));
	pass(2);
	assert_checks("11");
	assert_ptr_equal(w.script.active->site, &w.kube.secret_site);
	assert_watches("11");
	assert_ptr_equal(w.script.active->site, &w.kube.secret_site);
	stream(EVENT("MODIFIED", "d", "12"));
	assert_string_equal(w.told, "~d ~-a ~d ");
	assert_true(informer_is_current(&w.informer));
}

static void test_secret_watch_expires(void **state) {
	(void)state;
	settle();
	answer(200, PAGE("", "7", ""));
	assert_true(informer_is_current(&w.informer));
	stream("{\"type\":\"ERROR\",\"object\":" GONE "}\n");
	assert_false(informer_is_current(&w.informer));
	pass(2);
	assert_asks_for_metadata("as=PartialObjectMetadataList;");
	answer(410, GONE);
	pass(2);
	assert_false(informer_is_current(&w.informer));
	answer(200, PAGE(ITEM("a"), "19", "more"));
	assert_false(informer_is_current(&w.informer));
	answer(200, PAGE(ITEM("b"), "20", ""));
	assert_true(informer_is_current(&w.informer));
	assert_string_equal(w.told, "[ ] [ [ ~a ~b ] ");
	answer(504, "{\"code\":504,\"details\":{\"causes\":[{\"reason\":"
		    "\"ResourceVersionTooLarge\"}]}}");
	pass(4);
	assert_asks_for_metadata("as=PartialObjectMetadataList;");
}

static void test_secret_garbage(void **state) {
	(void)state;
	static const char *const lines[] = { "garbage\n", "{}\n", "{\"type\":\"ADDED\"}\n",
		"{\"type\":\"NEW\",\"object\":{}}\n", "{\"type\":\"ADDED\",\"object\":5}\n",
		"{\"type\":\"ERROR\",\"object\":{\"code\":x}}\n",
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"name\":\"x\"}}}\n",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}\n" };
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (i == 0) settle();
		assert_asks_for_metadata("as=PartialObjectMetadataList;");
		answer(200, PAGE("", "10", ""));
		stream(lines[i]);
		pass(30);
	}
	/* One that is no good is passed over. */
	w.upsert_err = ERR_INVALID;
	answer(200, PAGE(ITEM("a"), "10", ""));
	stream(EVENT("ADDED", "b", "11"));
	assert_watches("10");
	answer_error(ERR_NETWORK);
	pass(30);
	assert_watches("11");
}

/* The right is not granted, is granted, and is taken away from the list and from the watch: nothing that was known is
 * forgotten, and what happened meanwhile is listed. */
static void test_secret_right_comes_and_goes(void **state) {
	(void)state;
	settle();
	answer(403, "{}");
	assert_string_equal(w.told, "[ gone ");
	assert_in_range(settle() - w.now.mono_ns, 150 * NS_PER_S, 300 * NS_PER_S);
	assert_false(informer_is_current(&w.informer));
	pass(300);
	answer(200, PAGE(ITEM("a"), "10", ""));
	assert_true(informer_is_current(&w.informer));
	w.told[0] = '\0';
	answer(403, "{}");
	assert_string_equal(w.told, "gone ");
	assert_false(informer_is_current(&w.informer));
	pass(300);
	assert_asks_for_metadata("as=PartialObjectMetadataList;");
	answer(403, "{}");
	assert_string_equal(w.told, "gone [ gone ");
	pass(300);
	answer(200, PAGE(ITEM("a"), "12", ""));
	assert_string_equal(w.told, "gone [ gone [ ~a ] ");
	assert_true(informer_is_current(&w.informer));
	assert_watches("12");
	informer_stop(&w.informer);
	assert_false(informer_is_current(&w.informer));
}

/* A stream of what may hold values. */
static void test_secret_stream(void **state) {
	(void)state;
	informer_deinit(&w.informer);
	informer_init(&w.informer, &w.kube, &w.script.http, KUBE_SECRETS, &w.sink, &w.rng);
	informer_set_secret(&w.informer, w.arena);
	informer_set_revocable(&w.informer);
	settle();
	assert_url("sendInitialEvents=true");
	assert_asks_for_metadata("as=PartialObjectMetadata;");
	assert_ptr_equal(w.script.active->site, &w.kube.secret_site);
	stream(EVENT("ADDED", "a", "7") INITIAL_END("8") EVENT("DELETED", "a", "9"));
	assert_string_equal(w.told, "[ ~a ] ~-a ");
	assert_true(informer_is_current(&w.informer));
	answer(403, "{}");
	pass(300);
	assert_url("sendInitialEvents=true");
	answer(403, "{}");
	assert_string_equal(w.told, "[ ~a ] ~-a gone [ gone ");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_STREAM(f) cmocka_unit_test_setup_teardown(f, setup_stream, teardown)
#define TEST_SECRET(f) cmocka_unit_test_setup_teardown(f, setup_secret, teardown_secret)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_pages),
		TEST(test_continue_expired),
		TEST(test_page_fails_and_goes_on),
		TEST(test_backoff_grows_and_honours_retry_after),
		TEST(test_unauthenticated),
		TEST(test_too_large_page_is_halved),
		TEST(test_garbled_list),
		TEST(test_bad_item_is_passed_over),
		TEST(test_events_and_split_lines),
		TEST(test_what_is_known_is_not_told),
		TEST(test_broken_watch_resumes_from_bookmark),
		TEST(test_watch_ends_in_good_order),
		TEST(test_last_event_before_the_end),
		TEST(test_watch_that_ends_at_once_is_not_stormed),
		TEST(test_expired_watch_relists),
		TEST(test_other_error_event_resumes),
		TEST(test_versions_are_opaque),
		TEST(test_a_server_that_went_back),
		TEST(test_early_end_is_checked),
		TEST(test_refused_check_relists),
		TEST(test_start_over),
		TEST(test_silent_watch_relists),
		TEST(test_denied_or_busy_watch_is_no_relist),
		TEST(test_garbled_watch_relists),
		TEST(test_endless_line),
		TEST(test_slices),
		TEST(test_out_of_memory_relists),
		TEST(test_unusable_object_is_passed_over),
		TEST(test_silence_limit_and_stop),
		TEST(test_optional_resource_is_missing),
		TEST_STREAM(test_stream),
		TEST_STREAM(test_stream_of_nothing),
		TEST_STREAM(test_stream_is_not_known),
		TEST_STREAM(test_stream_breaks),
		TEST_STREAM(test_stream_is_refused_for_now),
		TEST_STREAM(test_stream_stalls),
		TEST_STREAM(test_stream_waits_for_main),
		TEST_STREAM(test_stream_of_a_long_line),
		TEST_STREAM(test_stream_of_what_is_known),
		TEST_STREAM(test_stream_starts_over),
		TEST_STREAM(test_stream_of_an_optional_resource),
		TEST_SECRET(test_secret_pages_and_events),
		TEST_SECRET(test_secret_watch_expires),
		TEST_SECRET(test_secret_garbage),
		TEST_SECRET(test_secret_right_comes_and_goes),
		TEST_SECRET(test_secret_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
