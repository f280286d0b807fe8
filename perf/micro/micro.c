/* Micro-benchmarks of what every object and every request passes through. Prints tab-separated lines: name, ns per
 * operation, reference, its ns. The best of several rounds counts, because others use the machine. */
#include "perf/micro/micro.h"

#include <assert.h>
#include <openssl/evp.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "clients/json.h"
#include "queue/ratelimit.h"
#include "queue/timer.h"
#include "queue/workqueue.h"

enum { ROUNDS = 7, ITEMS = 100000 };

void micro_tell(const char *name, int64_t ours_ns, const char *reference, int64_t theirs_ns, unsigned count) {
	printf("%s\t%.1f\t%s\t%.1f\n", name, (double)ours_ns / count, reference, (double)theirs_ns / count);
	fflush(stdout);
}

/* The shortest of all rounds. */
static int64_t best(void (*run)(void)) {
	int64_t best_ns = INT64_MAX;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t began_ns = micro_cpu_ns();
		run();
		int64_t took_ns = micro_cpu_ns() - began_ns;
		if (took_ns < best_ns) best_ns = took_ns;
	}
	return best_ns;
}

/* --- queue: add, take, done of one item --- */

static struct queue queue;
static struct queue_item items[ITEMS];

static void run_queue(void) {
	bool busy;
	for (unsigned i = 0; i < ITEMS; i++) queue_add(&items[i]);
	for (unsigned i = 0; i < ITEMS; i++) queue_done(queue_take(&queue, &busy));
}

struct plain_item {
	struct plain_item *next;
};

static struct plain_item plain_items[ITEMS];

/* What a mutex and a list cost when nobody else wants them. */
static void run_mutex_list(void) {
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct plain_item *volatile head = NULL;
	for (unsigned i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&mutex);
		plain_items[i].next = head;
		head = &plain_items[i];
		pthread_mutex_unlock(&mutex);
	}
	for (unsigned i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&mutex);
		head = head->next;
		pthread_mutex_unlock(&mutex);
	}
}

static void no_wake(struct queue *self) {
	(void)self;
}

static void bench_queue(void) {
	queue_init(&queue, NULL);
	queue.wake = no_wake;
	for (unsigned i = 0; i < ITEMS; i++) queue_item_init(&items[i], &queue);
	micro_tell("queue: add, take, done", best(run_queue), "pthread mutex and list", best(run_mutex_list), ITEMS);
	queue_deinit(&queue);
}

/* --- timers: set and fire, 100,000 at once --- */

static struct timers timers;
static struct timer timer_items[ITEMS];
static int64_t deadlines[ITEMS];

static void fired(struct timer *timer) {
	(void)timer;
}

static void run_timers(void) {
	for (unsigned i = 0; i < ITEMS; i++) {
		enum err err = timer_set(&timers, &timer_items[i], deadlines[i]);
		assert(!err);
	}
	timers_fire(&timers, INT64_MAX - 1, ITEMS);
}

static int by_deadline(const void *a, const void *b) {
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	if (x != y) return x < y ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* glibc's red-black tree, emptied in the same order. */
static void run_tree(void) {
	void *root = NULL;
	for (unsigned i = 0; i < ITEMS; i++) tsearch(&deadlines[i], &root, by_deadline);
	for (unsigned i = 0; i < ITEMS; i++) tdelete(&deadlines[i], &root, by_deadline);
}

static void bench_timers(void) {
	timers_init(&timers);
	enum err err = timers_reserve(&timers, ITEMS);
	assert(!err);
	for (unsigned i = 0; i < ITEMS; i++) {
		timer_init(&timer_items[i], fired);
		deadlines[i] = 1 + (int64_t)(hash64_stable((struct str){ (char *)&i, sizeof i }) >> 20);
	}
	micro_tell("timer: set and fire, 100,000 at once", best(run_timers), "glibc tsearch, tdelete", best(run_tree), ITEMS);
	timers_deinit(&timers);
}

/* --- limiter --- */

static struct ratelimit limit;

static void run_limiter(void) {
	for (unsigned i = 0; i < ITEMS; i++) {
		int64_t wait_ns = ratelimit_take(&limit, (int64_t)i * NS_PER_US);
		__asm__ volatile("" ::"r"(wait_ns));
	}
}

static void run_clock(void) {
	for (unsigned i = 0; i < ITEMS; i++) {
		struct now now = clock_now(clock_system());
		__asm__ volatile("" ::"r"(now.mono_ns));
	}
}

static void bench_limiter(void) {
	ratelimit_init(&limit, 1000, 100, 0);
	micro_tell("limiter: take", best(run_limiter), "reading both clocks", best(run_clock), ITEMS);
}

/* --- JSON of a watch event --- */

enum { EVENTS = 2000 };

static const char EVENT[] =
	"{\"type\":\"MODIFIED\",\"object\":{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"kind\":\"SecretSync\",\"metadata\":{"
	"\"creationTimestamp\":\"2026-11-25T22:00:00Z\",\"generation\":1,\"managedFields\":[{\"apiVersion\":"
	"\"secret-sync.x-k8s.io/v1alpha1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\".\":{},\"f:secretObject\":{\".\":{},"
	"\"f:data\":{},\"f:type\":{}},\"f:secretProviderClassName\":{},\"f:serviceAccountName\":{}}},\"manager\":\"kubectl\","
	"\"operation\":\"Update\",\"time\":\"2026-11-25T22:00:00Z\"},{\"apiVersion\":\"secret-sync.x-k8s.io/v1alpha1\",\"fieldsType\":"
	"\"FieldsV1\",\"fieldsV1\":{\"f:status\":{\".\":{},\"f:conditions\":{\".\":{},\"k:{\\\"type\\\":\\\"Ready\\\"}\":{\".\":{},"
	"\"f:lastTransitionTime\":{},\"f:message\":{},\"f:reason\":{},\"f:status\":{},\"f:type\":{}}},\"f:lastSuccessfulSyncTime\":{},"
	"\"f:syncHash\":{}}},\"manager\":\"kvsync\",\"operation\":\"Update\",\"subresource\":\"status\",\"time\":"
	"\"2026-11-25T22:00:01Z\"}],\"name\":\"sync-12345\",\"namespace\":\"fleet\",\"resourceVersion\":\"123456\",\"uid\":"
	"\"2f1e9c1a-7a4e-4f0e-9f63-0c8b9a1d2e3f\"},\"spec\":{\"secretObject\":{\"data\":[{\"sourcePath\":\"s-12345\",\"targetKey\":"
	"\"k\"}],\"type\":\"Opaque\"},\"secretProviderClassName\":\"class-45-1\",\"serviceAccountName\":\"account-45\"},\"status\":{"
	"\"conditions\":[{\"lastTransitionTime\":\"2026-11-25T22:00:01Z\",\"message\":\"The Secret was created with the values of the "
	"vault.\",\"reason\":\"CreateSucceeded\",\"status\":\"True\",\"type\":\"Ready\"}],\"lastSuccessfulSyncTime\":"
	"\"2026-11-25T22:00:01Z\",\"syncHash\":\"kv1:2f1e9c1a-7a4e-4f0e-9f63-0c8b9a1d2e3f:0123456789abcdef\"}}}";

static void run_json(void) {
	for (unsigned i = 0; i < EVENTS; i++) {
		cJSON *json = NULL;
		enum err err = json_parse((struct str){ EVENT, sizeof EVENT - 1 }, &json, NULL);
		assert(!err);
		cJSON_Delete(json);
	}
}

static void run_copy(void) {
	static char copy[sizeof EVENT];
	for (unsigned i = 0; i < EVENTS; i++) {
		memcpy(copy, EVENT, sizeof EVENT);
		__asm__ volatile("" ::"r"(copy) : "memory");
	}
}

static void run_cjson(void) {
	for (unsigned i = 0; i < EVENTS; i++) cJSON_Delete(cJSON_ParseWithLength(EVENT, sizeof EVENT - 1));
}

/* --- digest --- */

static const char DIGESTED[200];

static void run_digest(void) {
	unsigned char digest[SHA256_BYTES];
	for (unsigned i = 0; i < ITEMS; i++) {
		struct sha256 sha;
		sha256_init(&sha);
		sha256_add_field(&sha, (struct str){ DIGESTED, sizeof DIGESTED });
		enum err err = sha256_final(&sha, digest);
		assert(!err);
	}
}

static void run_openssl_digest(void) {
	unsigned char digest[SHA256_BYTES];
	for (unsigned i = 0; i < ITEMS; i++) EVP_Digest(DIGESTED, sizeof DIGESTED, digest, NULL, EVP_sha256(), NULL);
}

int main(void) {
	/* Libraries with their own allocator first: it cannot be taken back. */
	int64_t cjson_ns = best(run_cjson), copy_ns = best(run_copy);
	mem_wipe_libraries();
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	bench_queue();
	bench_timers();
	bench_limiter();
	int64_t json_ns = best(run_json);
	micro_tell("JSON of a watch event, in wiped memory", json_ns, "cJSON, plain malloc", cjson_ns, EVENTS);
	micro_tell("JSON of a watch event, in wiped memory", json_ns, "copying its bytes", copy_ns, EVENTS);
	micro_tell("SHA-256 of 200 bytes", best(run_digest), "OpenSSL EVP_Digest", best(run_openssl_digest), ITEMS);
	micro_https();
	rcu_thread_unregister();
	return 0;
}
