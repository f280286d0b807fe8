/* perf-lists: what a fleet at rest costs, without a network. An engine whose API server is a function that makes the
 * pages of a list as they are asked for: memory per object by counting, and the longest turn of main in a first list, in a
 * list after an expired watch, and where every second object is gone from it.
 *
 *     perf-lists [OBJECTS [CLASSES [BYTES]]]      (100000, a class per 200 objects, no limit)
 *     perf-lists --pages ...                      lists in pages; else they are streams, as from a server that has those
 *
 * Every SecretSync is well and says so, as after a restart: workers look at it once and ask for nothing. Prints tab-separated
 * lines: name, value, unit. Ends with 1 when an object takes more than BYTES. */
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "engine/cloud.h"
#include "engine/engine.h"
#include "perf/micro/micro.h"

enum { WORKERS = 2, VAULTS = 10, IDENTITIES = 100, BODY_BYTES = 16 << 20, PIECE_BYTES = 256 << 10 };

/* --- the API server --- */

struct server {
	struct http http;
	struct list active; /* requests that have no answer yet */
	struct list answered; /* those that the next turn ends */
	struct list watches; /* those that wait for events */
	bool silent; /* a worker's: it answers nothing */
};

static struct {
	unsigned objects, classes, step; /* of the list: every step-th object */
	bool expired; /* the next watch is refused */
	bool paged; /* no streams */
	unsigned pages;
} world = { 100000, 0, 1, false, false, 0 };

/* A list that is on its way as a watch. */
static struct stream {
	struct http_req *req; /* NULL: free */
	bool classes, complete;
	unsigned at;
	struct buf piece; /* what the client has not taken yet */
} streams[4];

static unsigned number_behind(struct str url, struct str name, unsigned otherwise) {
	size_t at = str_find(url, name);
	uint64_t number = otherwise;
	if (at == SIZE_MAX) return otherwise;
	struct str rest = str_slice(url, at + name.len, url.len);
	size_t end = str_find_char(rest, '&');
	enum err err = str_to_u64(str_slice(rest, 0, end), &number);
	assert(!err);
	return (unsigned)number;
}

static void write_meta(struct buf *out, const char *kind, const char *prefix, unsigned number) {
	buf_printf(out,
		"{\"apiVersion\":\"v1\",\"kind\":\"%s\",\"metadata\":{\"name\":\"%s-%u\",\"namespace\":\"fleet\",\"uid\":"
		"\"6f1c0000-5d1e-4c8b-8f0a-%012u\",\"resourceVersion\":\"%u\",\"generation\":1,\"creationTimestamp\":"
		"\"2026-11-24T03:14:15Z\",\"managedFields\":[{\"manager\":\"kubectl\",\"operation\":\"Update\"}]},",
		kind, prefix, number, number, number + 1000);
}

/* Object i is the vault's i-th one; class c holds the objects that leave the remainder c. */
static void write_class(struct buf *out, unsigned number) {
	write_meta(out, "SecretProviderClass", "class", number);
	buf_printf(out,
		"\"spec\":{\"provider\":\"azure\",\"parameters\":{\"clientID\":\"0f1ee700-5d1e-4c8b-8f0a-%012u\",\"tenantID\":"
		"\"6b1f0c52-93d4-4e0e-9a57-2f8f5a2d7c11\",\"keyvaultName\":\"fleet-%u\",\"objects\":\"array:\\n",
		number % IDENTITIES, number % VAULTS);
	for (unsigned i = number; i < world.objects; i += world.classes)
		buf_printf(out, "  - |\\n    objectName: s-%u\\n    objectType: secret\\n", i);
	buf_append(out, STR("\"}}}"));
}

static void write_condition(struct buf *out, const char *type, const char *reason) {
	buf_printf(out,
		"{\"type\":\"%s\",\"status\":\"True\",\"reason\":\"%s\",\"lastTransitionTime\":\"2026-11-24T03:14:15Z\","
		"\"observedGeneration\":1,\"message\":\"The Secret holds the values of the vault.\"}",
		type, reason);
}

/* The first half of the digest as a reconcile makes it: nothing has changed since. */
static void write_digest(struct buf *out, unsigned class) {
	unsigned char digest[SHA256_BYTES];
	char uid[64], hex[SHA256_HEX_BYTES];
	struct sha256 sha;
	snprintf(uid, sizeof uid, "6f1c0000-5d1e-4c8b-8f0a-%012u", class);
	sha256_init(&sha);
	sha256_add_i64(&sha, 1);
	sha256_add_field(&sha, STR(""));
	sha256_add_field(&sha, str_of(uid));
	sha256_add_i64(&sha, 1);
	enum err err = sha256_final(&sha, digest);
	assert(!err);
	hex_encode(digest, sizeof digest, hex);
	buf_append(out, str_of(hex));
}

static void write_sync(struct buf *out, unsigned number) {
	write_meta(out, "SecretSync", "sync", number);
	buf_printf(out,
		"\"spec\":{\"serviceAccountName\":\"account-%u\",\"secretProviderClassName\":\"class-%u\",\"secretObject\":{"
		"\"type\":\"Opaque\",\"data\":[{\"sourcePath\":\"s-%u\",\"targetKey\":\"k\"}]}},\"status\":{\"observedGeneration\":1,"
		"\"syncHash\":\"kv1:6f1c0000-5d1e-4c8b-8f0a-%012u:",
		number % IDENTITIES, number % world.classes, number, number);
	write_digest(out, number % world.classes);
	buf_append(out, STR("\",\"lastSuccessfulSyncTime\":\"2026-11-24T03:14:15Z\",\"secretCreationTime\":"
			    "\"2026-11-24T03:14:15Z\",\"conditions\":["));
	write_condition(out, "SecretCreated", "CreateSuccessful");
	buf_append_char(out, ',');
	write_condition(out, "SecretUpdated", "UpdateNoValueChangeSucceeded");
	buf_append_char(out, ',');
	write_condition(out, "Ready", "UpdateNoValueChangeSucceeded");
	buf_printf(out,
		"],\"objects\":[{\"name\":\"s-%u\",\"type\":\"secret\",\"version\":\"%032u\",\"updated\":"
		"\"2026-11-24T03:14:15Z\",\"syncedAt\":\"2026-11-24T03:14:15Z\"}]}}",
		number, number);
}

static void write_page(struct http_req *req, bool classes) {
	struct str url = buf_str(&req->url);
	unsigned from = number_behind(url, STR("continue="), 0), limit = number_behind(url, STR("limit="), 500);
	unsigned count = classes ? world.classes : world.objects, at = from;
	buf_append(&req->response, STR("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":["));
	for (unsigned written = 0; at < count && written < limit; at += classes ? 1 : world.step, written++) {
		if (at != from) buf_append_char(&req->response, ',');
		if (classes) write_class(&req->response, at);
		else write_sync(&req->response, at);
	}
	buf_append(&req->response, STR("],\"metadata\":{\"resourceVersion\":\"5000000\""));
	if (at < count) buf_printf(&req->response, ",\"continue\":\"%u\"", at);
	buf_append(&req->response, STR("}}"));
	assert(buf_err(&req->response) == OK);
	req->status = 200;
	world.pages++;
}

static void add_event(struct buf *out, bool classes, unsigned number) {
	buf_append(out, STR("{\"type\":\"ADDED\",\"object\":"));
	if (classes) write_class(out, number);
	else write_sync(out, number);
	buf_append(out, STR("}\n"));
}

static void fill_stream(struct stream *stream) {
	unsigned count = stream->classes ? world.classes : world.objects, step = stream->classes ? 1 : world.step;
	if (!stream->req || stream->complete || buf_str(&stream->piece).len) return;
	for (; stream->at < count && buf_str(&stream->piece).len < PIECE_BYTES; stream->at += step)
		add_event(&stream->piece, stream->classes, stream->at);
	stream->complete = stream->at >= count;
	if (stream->complete)
		buf_append(&stream->piece, STR("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":"
					       "\"5000000\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"));
	assert(buf_err(&stream->piece) == OK);
}

static void begin_stream(struct http_req *req) {
	for (unsigned i = 0; i < sizeof streams / sizeof *streams; i++) {
		struct stream *stream = &streams[i];
		if (stream->req) continue;
		*stream = (struct stream){ .req = req };
		stream->classes = str_find(buf_str(&req->url), STR("/secretproviderclasses")) != SIZE_MAX;
		buf_init(&stream->piece, BODY_BYTES);
		return;
	}
	assert(!"room for a stream");
}

static void deliver_stream(struct stream *stream) {
	if (!stream->req || stream->req->paused || !buf_str(&stream->piece).len) return;
	struct buf piece = stream->piece;
	buf_init(&stream->piece, BODY_BYTES);
	stream->req->status = 200;
	stream->req->on_data(stream->req, buf_str(&piece));
	buf_deinit(&piece);
}

static void end_stream(const struct http_req *req) {
	for (unsigned i = 0; i < sizeof streams / sizeof *streams; i++) {
		if (streams[i].req != req) continue;
		buf_deinit(&streams[i].piece);
		streams[i].req = NULL;
	}
}

/* Bytes that the next turn takes. */
static bool has_pieces(void) {
	bool more = false;
	for (unsigned i = 0; i < sizeof streams / sizeof *streams; i++)
		more |= streams[i].req && (!streams[i].complete || buf_str(&streams[i].piece).len);
	return more;
}

static void answer(struct http_req *req, bool expired) {
	end_stream(req);
	struct str url = buf_str(&req->url);
	buf_deinit(&req->response);
	buf_init(&req->response, BODY_BYTES);
	req->err = OK;
	bool classes = str_find(url, STR("/secretproviderclasses")) != SIZE_MAX;
	bool syncs = str_find(url, STR("/secretsyncs")) != SIZE_MAX;
	bool stream = str_find(url, STR("sendInitialEvents=true")) != SIZE_MAX;
	req->status = expired ? 410 : stream && world.paged ? 422 : 404;
	if (stream) return;
	if (!expired && (classes || syncs)) write_page(req, classes);
}

static void server_start(struct http *http, struct http_req *req) {
	struct server *server = container_of(http, struct server, http);
	bool watch = server->silent || str_find(buf_str(&req->url), STR("watch=true")) != SIZE_MAX;
	bool stream = !server->silent && str_find(buf_str(&req->url), STR("sendInitialEvents=true")) != SIZE_MAX;
	bool served = str_find(buf_str(&req->url), STR("/akvsyncs")) == SIZE_MAX && !world.paged;
	if (stream && served) begin_stream(req);
	else if (stream) watch = false;
	req->_active = true;
	list_init(&req->_link);
	list_push_back(watch ? &server->watches : &server->active, &req->_link);
}

static void server_cancel(struct http *http, struct http_req *req) {
	(void)http;
	if (!req->_active) return;
	end_stream(req);
	list_remove(&req->_link);
	req->_active = false;
}

/* Makes the answers outside of main's turns, which are timed. */
static void world_turn(struct server *server) {
	list_for_each (link, &server->active) answer(container_of(link, struct http_req, _link), false);
	list_splice(&server->answered, &server->active);
	for (unsigned i = 0; i < sizeof streams / sizeof *streams; i++) fill_stream(&streams[i]);
	if (!world.expired) return;
	world.expired = false;
	list_for_each (link, &server->watches) answer(container_of(link, struct http_req, _link), true);
	list_splice(&server->answered, &server->watches);
}

static int64_t server_turn(struct http *http, struct now now) {
	struct server *server = container_of(http, struct server, http);
	(void)now;
	for (unsigned i = 0; i < sizeof streams / sizeof *streams && !server->silent; i++) deliver_stream(&streams[i]);
	for (struct list *link; (link = list_pop(&server->answered));) {
		struct http_req *req = container_of(link, struct http_req, _link);
		req->_active = false;
		req->on_done(req);
	}
	return NEVER_NS;
}

static void server_destroy(struct http *http) {
	mem_free(container_of(http, struct server, http));
}

static struct http *server_create(bool silent) {
	static const struct http_ops ops = { server_start, server_cancel, server_turn, server_destroy };
	struct server *server = mem_zalloc(sizeof *server);
	assert(server);
	server->http.ops = &ops;
	server->silent = silent;
	list_init(&server->active);
	list_init(&server->answered);
	list_init(&server->watches);
	return &server->http;
}

/* --- the engine --- */

static struct now now = { 1000 * NS_PER_S, 1800000000 * NS_PER_S };
static struct server *server;
static struct engine *engine;
static int64_t busiest_ns; /* of main's turns since it was last told */

static struct now read_clock(struct clock *clock) {
	(void)clock;
	return now;
}

static struct http *make_http(void *arg, unsigned index, struct loop *loop) {
	(void)arg, (void)index, (void)loop;
	return server_create(true);
}

static void ignore_wake(void *arg, unsigned index) {
	(void)arg, (void)index;
}

static void ignore_wake_of_main(void *arg) {
	(void)arg;
}

static int64_t main_turn(void) {
	int64_t began_ns = micro_cpu_ns();
	int64_t next_ns = engine_turn(engine, now);
	int64_t took_ns = micro_cpu_ns() - began_ns;
	if (took_ns > busiest_ns) busiest_ns = took_ns;
	return next_ns;
}

/* Until nobody has anything to do at this moment. */
static void run(void) {
	for (bool busy = true; busy;) {
		world_turn(server);
		busy = main_turn() <= now.mono_ns || !list_is_empty(&server->active) ||
		       !list_is_empty(&server->answered) || has_pieces();
		for (unsigned i = 0; i < WORKERS; i++) {
			thread_set_role(ROLE_WORKER + i);
			busy |= worker_turn(pool_worker(engine_pool(engine), i), now) <= now.mono_ns;
		}
		thread_set_role(ROLE_MAIN);
	}
}

static void no_log(struct str line, void *arg) {
	(void)line, (void)arg;
}

static size_t heap_bytes(void) {
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static void tell_turn(const char *name) {
	printf("%s\t%.1f\tms\n", name, (double)busiest_ns / (double)NS_PER_MS);
	busiest_ns = 0;
}

/* The watches have expired: everything is listed again. */
static void relist(unsigned step) {
	world.step = step;
	world.expired = true;
	for (int second = 0; second < 60; second++) {
		run();
		now.mono_ns += NS_PER_S;
	}
	assert(engine_sync_count(engine) == (world.objects + step - 1) / step);
}

int main(int argc, char **argv) {
	static struct clock clock = { read_clock };
	static struct http_site site = { .name = "kubernetes" }, azure = { .name = "azure" };
	static struct kube kube;
	if (argc > 1 && strcmp(argv[1], "--pages") == 0) world.paged = true, argc--, argv++;
	if (argc > 1) world.objects = (unsigned)atoi(argv[1]);
	size_t budget = argc > 3 ? (size_t)atoi(argv[3]) : SIZE_MAX;
	world.classes = argc > 2 ? (unsigned)atoi(argv[2]) : (world.objects + 199) / 200;
	if (!world.objects || !world.classes) return fputs("perf-lists [--pages] [OBJECTS [CLASSES [BYTES]]]\n", stderr), 2;
	mem_merge_at_free();
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	log_redirect(no_log, NULL);
	enum err err = kube_init(&kube, "https://api", &site);
	server = container_of(server_create(false), struct server, http);
	struct engine_options options = { .pool = { .workers = WORKERS,
						  .kube = &kube,
						  .azure = &azure,
						  .settings = settings_default(),
						  .doors = { .clock = &clock,
							  .make_http = make_http,
							  .wake = ignore_wake,
							  .wake_main = ignore_wake_of_main,
							  .seed = 7 } },
		.http = &server->http,
		.classes = { .cloud = cloud_find(STR("AzurePublicCloud")) } };
	if (!err) err = engine_create(&options, &engine);
	assert(!err);
	size_t before = heap_bytes();
	run();
	assert(engine_is_ready(engine) && engine_sync_count(engine) == world.objects);
	/* At rest: were it not so, reconciles under way would be counted, too. */
	for (unsigned i = 0; i < WORKERS; i++)
		assert(worker_running_count(pool_worker(engine_pool(engine), i)) == 0);
	size_t bytes = (heap_bytes() - before) / world.objects;
	printf("objects\t%u\t\nclasses\t%u\t\nheap per object\t%zu\tbytes\n", world.objects, world.classes, bytes);
	tell_turn("busiest turn of main, first list");
	relist(1);
	tell_turn("busiest turn of main, list after an expired watch");
	relist(2);
	tell_turn("busiest turn of main, half of the objects are gone");
	engine_stop(engine, 0);
	now.mono_ns += NS_PER_S;
	run();
	assert(engine_is_drained(engine));
	engine_destroy(engine);
	kube_deinit(&kube);
	rcu_thread_unregister();
	return bytes > budget;
}
