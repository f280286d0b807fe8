/* Lines of a WATCH, as the API server or whatever stands in its place may send them, in two pieces: the informer comes to rest,
 * asks for something again, and a status that it passes on can be read. The first byte says where the pieces part, and whether the
 * watch begins with a list. */
#include <assert.h>
#include <stdint.h>

#include "base/log.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "engine/informer.h"
#include "workers/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NO_ITEMS "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}"

static struct http_req *active;

static void start(struct http *http, struct http_req *req) {
	(void)http;
	assert(!active);
	active = req;
	buf_init(&req->response, req->max_response_bytes);
}

static void cancel(struct http *http, struct http_req *req) {
	(void)http;
	if (active == req) active = NULL;
}

static int64_t turn(struct http *http, struct now now) {
	(void)http, (void)now;
	return NEVER_NS;
}

static enum err read_status(struct informer_sink *sink, const cJSON *object) {
	struct status status = { 0 };
	(void)sink;
	enum err err = status_parse(cJSON_GetObjectItemCaseSensitive(object, "status"), REASON_NAMES_PREVIEW, STR("u"), &status);
	status_deinit(&status);
	return err;
}

/* What is found in the text lies in it. */
static bool knows(struct informer_sink *sink, const struct object_head *head) {
	unsigned char sum = 0;
	(void)sink;
	for (size_t i = 0; i < head->meta.name.len; i++) sum += (unsigned char)head->meta.name.ptr[i];
	for (size_t i = 0; i < head->meta.uid.len; i++) sum += (unsigned char)head->meta.uid.ptr[i];
	return !head->owned && sum % 2;
}

static void nothing(struct informer_sink *sink) {
	(void)sink;
}

static void no_log(struct str line, void *arg) {
	(void)line, (void)arg;
}

static void rest(struct informer *informer, struct now now) {
	for (int turns = 0; informer_turn(informer, now) <= now.mono_ns; turns++) assert(turns < 10000);
}

static void end(int status, struct str body) {
	struct http_req *req = take(active);
	req->status = status;
	buf_append(&req->response, body);
	req->on_done(req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const struct http_ops ops = { .start = start, .cancel = cancel, .turn = turn };
	struct http http = { &ops };
	struct http_site site = { .name = "kubernetes" };
	struct informer_sink sink = { .upsert = read_status, .remove = read_status, .knows = knows,
		.list_begin = nothing, .list_end = nothing, .unauthenticated = nothing };
	struct now now = { .mono_ns = 1000 * NS_PER_S };
	struct kube kube;
	struct rng rng;
	struct informer informer;
	if (!size) return 0;
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	log_redirect(no_log, NULL);
	rng_seed(&rng, 1);
	if (kube_init(&kube, "https://api", &site)) return 0;
	informer_init(&informer, &kube, &http, KUBE_SYNCS, &sink, &rng);
	bool paged = data[0] % 2;
	if (paged) informer_set_paged(&informer);
	rest(&informer, now);
	if (paged) end(200, STR(NO_ITEMS));
	rest(&informer, now);
	assert(active && active->on_data);
	struct str lines = { (const char *)data + 1, size - 1 };
	size_t part = lines.len * data[0] / 255;
	active->status = 200;
	active->on_data(active, str_slice(lines, 0, part));
	rest(&informer, now);
	if (active) active->on_data(active, str_slice(lines, part, lines.len));
	rest(&informer, now);
	if (active) end(200, STR(""));
	rest(&informer, now);
	now.mono_ns += 600 * NS_PER_S;
	rest(&informer, now);
	assert(active);
	informer_deinit(&informer);
	kube_deinit(&kube);
	log_redirect(NULL, NULL);
	rcu_thread_unregister();
	active = NULL;
	return 0;
}
