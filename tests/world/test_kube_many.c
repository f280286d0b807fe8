/* A hundred thousand objects: nothing on the way of a single request may walk over all of them. */
#include <time.h>

#include "tests/world/test_kube.h"

enum { MANY = 100000, SAMPLE = 2000 };

static void post_many(struct fixture *f, int from, int count) {
	char body[200];
	for (int i = from; i < from + count; i++) {
		/* In no order of names. */
		snprintf(body, sizeof(body),
			 "{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'t-%05d'},'spec':{'size':1}}",
			 (int)((unsigned)i * 7919u % MANY));
		assert_int_equal(ask(f, "POST", THINGS, NULL, body), 201);
	}
}

static double seconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double time_patches(struct fixture *f, int size) {
	char path[96], body[64];
	snprintf(body, sizeof(body), "{'spec':{'size':%d}}", size);
	double start = seconds();
	for (int i = 0; i < SAMPLE; i++) {
		snprintf(path, sizeof(path), THINGS "/t-%05d", (int)((unsigned)i * 7919u % MANY));
		assert_int_equal(ask(f, "PATCH", path, MERGE, body), 200);
	}
	return (seconds() - start) / SAMPLE;
}

static size_t list_all(struct fixture *f) {
	size_t found = 0;
	char *path = kj_strdup(STR(THINGS "?limit=5000"));
	char last[64] = "";
	while (path) {
		assert_int_equal(ask(f, "GET", path, NULL, ""), 200);
		const cJSON *item;
		cJSON_ArrayForEach(item, kj_get(f->json, "items")) {
			const char *name = kj_text2(item, "metadata", "name");
			assert_true(strcmp(name, last) > 0);
			snprintf(last, sizeof(last), "%s", name);
			found++;
		}
		const char *token = answer_text(f, "metadata.continue");
		mem_free(path);
		path = token[0] ? kj_format(THINGS "?limit=5000&continue=%s", token) : NULL;
	}
	return found;
}

static void test_many(void **state) {
	struct fixture *f = *state;
	post_many(f, 0, SAMPLE);
	double few = time_patches(f, 2);
	post_many(f, SAMPLE, MANY - SAMPLE);
	double many = time_patches(f, 3);
	print_message("a merge patch: %.1f us with %d objects, %.1f us with %d\n", few * 1e6, SAMPLE, many * 1e6, MANY);
	assert_true(many < 10 * few);
	assert_int_equal(kube_object_count(f->world, "things"), MANY);
	assert_int_equal(list_all(f), MANY);
	kube_compact(f->world);
	assert_int_equal(list_all(f), MANY);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
