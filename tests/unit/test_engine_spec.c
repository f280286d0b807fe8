/* engine/spec, engine/spec_rules: the schema's rules once more, and faults that name field and remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/spec.h"
#include "engine/spec_rules.h"

struct source {
	struct cell_source source;
	struct spc_cell *cell;
};

static struct spc_cell *cell_of(struct cell_source *source, struct str ns, struct str name) {
	struct source *s = (struct source *)source;
	assert_true(str_eq(ns, STR("ns")));
	assert_true(str_eq(name, STR("class")));
	if (!s->cell) s->cell = spc_cell_create(STR("ns/class"));
	if (s->cell) atomic_fetch_add(&s->cell->ref, 1);
	return s->cell;
}

#define BASE "\"secretProviderClassName\":\"class\",\"serviceAccountName\":\"sa\""
#define DATA                                                                           \
	"\"data\":[{\"sourcePath\":\"a/0\",\"targetKey\":\"k0\"},{\"sourcePath\":\"a/" \
	"1\",\"targetKey\":\"k1\"}]"
#define GOOD "{" BASE ",\"secretObject\":{" DATA "}}"

static cJSON *object_json(const char *spec) {
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_printf(&text,
		"{\"metadata\":{\"namespace\":\"ns\",\"name\":\"one\",\"uid\":\"u-1\","
		"\"generation\":3},\"spec\":%s}",
		spec);
	cJSON *json = cJSON_Parse(buf_cstr(&text));
	if (!json) fail_msg("bad JSON in the test: %s", spec);
	buf_deinit(&text);
	return json;
}

static struct spec *build_spec(const char *text, struct source *source) {
	*source = (struct source){ .source = { cell_of } };
	cJSON *json = object_json(text);
	struct object_meta meta;
	assert_int_equal(object_meta_read(json, &meta), OK);
	struct spec *spec = NULL;
	assert_int_equal(spec_build(json, &meta, &source->source, &spec), OK);
	cJSON_Delete(json);
	return spec;
}

static void drop(struct spec *spec, struct source *source) {
	spec_unref(spec);
	spc_cell_unref(source->cell);
}

static void assert_str(struct str s, const char *text) {
	if (!str_eq(s, str_of(text))) fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), text);
}

static void test_usable(void **state) {
	(void)state;
	struct source source;
	struct spec *spec = build_spec(
		"{" BASE ",\"forceSynchronization\":\"v1.2\",\"rotationPollIntervalInSeconds\":60,"
		"\"secretSyncControllerName\":\"x\",\"secretObject\":{\"type\":\"example.com/"
		"own\"," DATA ","
		"\"labels\":{\"app\":\"\",\"a.example/b\":\"C\"},\"annotations\":{\"A.example/"
		"n\":\"any text: at all\"}}}",
		&source);
	assert_str(spec->common->fault, "");
	assert_str(spec->common->ns, "ns");
	assert_str(spec->name, "one");
	assert_str(spec_uid(spec), "u-1");
	assert_int_equal(spec->generation, 3);
	assert_false(spec->deleting);
	assert_str(spec_class_name(spec), "class");
	assert_str(spec->common->service_account, "sa");
	assert_str(spec->common->type, "example.com/own");
	assert_str(spec->common->force, "v1.2");
	assert_int_equal(spec->common->interval_ns, 60 * NS_PER_S);
	assert_int_equal(spec->item_count, 2);
	assert_str(spec->items[1].source_path, "a/1");
	assert_str(spec->items[1].target_key, "k1");
	assert_int_equal(spec->common->label_count, 2);
	assert_str(spec->common->labels[1].key, "a.example/b");
	assert_str(spec->common->labels[1].value, "C");
	assert_int_equal(spec->common->annotation_count, 1);
	assert_str(spec->common->annotations[0].value, "any text: at all");
	assert_ptr_equal(spec->cell, source.cell);
	drop(spec, &source);
	spec = build_spec(GOOD, &source);
	assert_str(spec->common->type, "Opaque");
	assert_int_equal(spec->common->interval_ns, 0);
	drop(spec, &source);
}

#define WITH(secret) "{" BASE ",\"secretObject\":{" secret "}}"
#define ITEM(path, key) WITH("\"data\":[{\"sourcePath\":\"" path "\",\"targetKey\":\"" key "\"}]")

static const struct {
	const char *spec, *says;
	bool has_cell;
} FAULTS[] = {
	{ "null", "spec is not set", false },
	{ "{\"serviceAccountName\":\"sa\",\"secretObject\":{" DATA "}}",
		"spec.secretProviderClassName is not set", false },
	{ "{\"secretProviderClassName\":\"A\"}", "spec.secretProviderClassName \"A\" is no name",
		false },
	{ "{\"secretProviderClassName\":\"../x\"}", "is no name", false },
	{ "{\"secretProviderClassName\":7}", "spec.secretProviderClassName has to be a string",
		false },
	{ "{\"secretProviderClassName\":\"class\"}", "spec.serviceAccountName is not set", true },
	{ "{\"secretProviderClassName\":\"class\",\"serviceAccountName\":\"a_b\"}",
		"spec.serviceAccountName \"a_b\"", true },
	{ "{" BASE "}", "spec.secretObject is not set", true },
	{ WITH(""), "spec.secretObject.data has to be a list of 1 to", true },
	{ WITH("\"data\":[]"), "spec.secretObject.data has to be", true },
	{ WITH("\"data\":{}"), "spec.secretObject.data has to be", true },
	{ WITH("\"data\":[5]"), "spec.secretObject.data[0].sourcePath \"\"", true },
	{ WITH("\"data\":[{\"sourcePath\":\"a\",\"targetKey\":5}]"),
		"data[0].targetKey has to be a string", true },
	{ ITEM("a/b", "k"), "spec.secretObject.data[0].sourcePath \"a/b\" is no path", true },
	{ ITEM("", "k"), "sourcePath \"\"", true },
	{ ITEM("a", "k/0"), "spec.secretObject.data[0].targetKey \"k/0\" is no key", true },
	{ WITH("\"data\":[{\"sourcePath\":\"a\",\"targetKey\":\"k\"},{\"sourcePath\":\"b\","
	       "\"targetKey\":\"k\"}]"),
		"data[1].targetKey \"k\" stands here twice", true },
	{ WITH("\"type\":\"kubernetes.io/service-account-token\"," DATA),
		"must not be kubernetes.io/service-account-token", true },
	{ WITH("\"type\":\"kubernetes.io/tls\",\"data\":[{\"sourcePath\":\"a\",\"targetKey\":\"tls.crt\"}]"),
		"has no targetKey tls.key, which a Secret of type kubernetes.io/tls must have", true },
	{ WITH("\"type\":\"kubernetes.io/tls\",\"data\":[{\"sourcePath\":\"a\",\"targetKey\":\"tls.key\"}]"),
		"has no targetKey tls.crt,", true },
	{ WITH("\"type\":\"kubernetes.io/dockerconfigjson\",\"data\":[{\"sourcePath\":\"a\",\"targetKey\":"
	       "\".dockercfg\"}]"),
		"has no targetKey .dockerconfigjson,", true },
	{ WITH("\"type\":\"kubernetes.io/dockercfg\",\"data\":[{\"sourcePath\":\"a\",\"targetKey\":"
	       "\".dockerconfigjson\"}]"),
		"has no targetKey .dockercfg,", true },
	{ WITH("\"type\":\"kubernetes.io/ssh-auth\",\"data\":[{\"sourcePath\":\"a\",\"targetKey\":"
	       "\"ssh-publickey\"}]"),
		"has no targetKey ssh-privatekey,", true },
	{ WITH("\"type\":\"kubernetes.io/basic-auth\",\"data\":[{\"sourcePath\":\"a\",\"targetKey\":"
	       "\"user\"}]"),
		"has no targetKey username or password,", true },
	{ WITH("\"data\":[{\"sourcePath\":\"a\",\"targetKey\":\".\"}]"),
		"targetKey \".\" is no key of a Secret", true },
	{ WITH("\"type\":5," DATA), "spec.secretObject.type has to be a string", true },
	{ WITH(DATA ",\"labels\":[]"), "spec.secretObject.labels has to be a mapping", true },
	{ WITH(DATA ",\"labels\":{\"secrets-store.sync.x-k8s.io\":\"\"}"),
		"that key is kvsync's own", true },
	{ WITH(DATA ",\"annotations\":{\"secrets-store.sync.x-k8s.iofoo\":\"\"}"),
		"that key is kvsync's own", true },
	{ WITH(DATA ",\"labels\":{\"a b\":\"\"}"), "spec.secretObject.labels: \"a b\" is no key",
		true },
	{ WITH(DATA ",\"labels\":{\"a\":\"-\"}"), "value of \"a\" is no label value", true },
	{ WITH(DATA ",\"labels\":{\"a\":7}"), "value of \"a\" has to be a text", true },
	{ "{" BASE ",\"forceSynchronization\":\"2026-01-01T00:00:00Z\",\"secretObject\":{" DATA
	  "}}",
		"spec.forceSynchronization", true },
	{ "{" BASE ",\"rotationPollIntervalInSeconds\":0,\"secretObject\":{" DATA "}}",
		"from 1 to 604800", true },
	{ "{" BASE ",\"rotationPollIntervalInSeconds\":1.5,\"secretObject\":{" DATA "}}",
		"from 1 to 604800", true },
	{ "{" BASE ",\"rotationPollIntervalInSeconds\":604801,\"secretObject\":{" DATA "}}",
		"from 1 to 604800", true },
	{ "{" BASE ",\"rotationPollIntervalInSeconds\":\"60\",\"secretObject\":{" DATA "}}",
		"from 1 to 604800", true },
};

static void test_faults(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
		struct source source;
		struct spec *spec = build_spec(FAULTS[i].spec, &source);
		if (str_find(spec->common->fault, str_of(FAULTS[i].says)) == SIZE_MAX) {
			fail_msg("%s: wanted \"%s\", got \"%.*s\"", FAULTS[i].spec, FAULTS[i].says,
				STR_ARG(spec->common->fault));
		}
		assert_int_equal(spec->cell != NULL, FAULTS[i].has_cell);
		assert_int_equal(spec->item_count, 0);
		assert_str(spec->name, "one");
		assert_str(spec->common->type, "Opaque");
		drop(spec, &source);
	}
}

/* The table of the upstream controller's specification: what its pattern takes and what it does not. */
static void test_patterns(void **state) {
	(void)state;
	static const char *const good[] = { "a", "ab", "A", "tls.crt", "tls.key",
		".dockerconfigjson", "ssh-privatekey", "username", "ab.c", "ab_c", "my_secret",
		"MY_SECRET", "ab--c", "ab-", "a-", "Foo.Bar-1_2", ".a", "foo-.bar" };
	static const char *const bad[] = { "", "a.b", "a_b", "ab..c", "ab_", "foo._bar", "foo.-bar",
		"-a", "..", "._a", "a b", "ab.", "ab.c-" };
	static const char *const paths[] = { ".", "foo/0", "foo/00", "foo/0/1", "foo/tls.crt",
		"foo/0/tls.key" };
	static const char *const bad_paths[] = { "foo/", "foo/bar", "certs/foo", "foo//0", "/0",
		"foo/tls.crt/0", "/tls.crt", "foo/tls.pem" };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (!rule_source_path(str_of(good[i])) || !rule_target_key(str_of(good[i])))
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (rule_source_path(str_of(bad[i])) || rule_target_key(str_of(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	}
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		if (!rule_source_path(str_of(paths[i])) || rule_target_key(str_of(paths[i])))
			fail_msg("wrong: %s", paths[i]);
	}
	for (size_t i = 0; i < sizeof bad_paths / sizeof *bad_paths; i++) {
		if (rule_source_path(str_of(bad_paths[i]))) fail_msg("accepted: %s", bad_paths[i]);
	}
	static const char *const forces[] = { "1", "2026-01-01", "UpdateNow", "v1", "v1.2",
		"1718000000" };
	static const char *const bad_forces[] = { "", "2026-01-01T00:00:00Z", "a b", "a.b", ".a" };
	for (size_t i = 0; i < sizeof forces / sizeof *forces; i++)
		assert_true(rule_force(str_of(forces[i])));
	for (size_t i = 0; i < sizeof bad_forces / sizeof *bad_forces; i++)
		assert_false(rule_force(str_of(bad_forces[i])));
	char longest[255];
	memset(longest, 'a', sizeof longest);
	assert_true(rule_source_path((struct str){ longest, 253 }));
	assert_false(rule_source_path((struct str){ longest, 254 }));
	assert_false(rule_target_key((struct str){ longest, 254 }));
	assert_false(rule_force((struct str){ longest, 254 }));
}

static void test_sizes_of_pairs(void **state) {
	(void)state;
	char *text = malloc(262145);
	memset(text, 'a', 262145);
	struct kube_pair pair = { STR("k"), { text, 63 } };
	struct fault fault;
	assert_int_equal(pair_check(&LABEL_RULE, "spec.secretObject.", &pair, true, &fault), OK);
	pair.value.len = 64;
	assert_int_equal(pair_check(&LABEL_RULE, "spec.secretObject.", &pair, true, &fault), ERR_INVALID);
	pair.value.len = 262144;
	assert_int_equal(pair_check(&ANNOTATION_RULE, "spec.secretObject.", &pair, true, &fault), OK);
	pair.value.len = 262145;
	assert_int_equal(pair_check(&ANNOTATION_RULE, "spec.secretObject.", &pair, true, &fault), ERR_INVALID);
	free(text);
}

static void test_meta(void **state) {
	(void)state;
	static const char *const bad[] = { "{}", "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"a\"}}",
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"A\",\"uid\":\"u\"}}",
		"{\"metadata\":{\"namespace\":\"n/m\",\"name\":\"a\",\"uid\":\"u\"}}" };
	struct object_meta meta;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cJSON *json = cJSON_Parse(bad[i]);
		assert_int_equal(object_meta_read(json, &meta), ERR_INVALID);
		cJSON_Delete(json);
	}
	cJSON *json = cJSON_Parse("{\"metadata\":{\"namespace\":\"n\",\"name\":\"a.b\",\"uid\":"
				  "\"u\",\"generation\":2,"
				  "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}");
	assert_int_equal(object_meta_read(json, &meta), OK);
	assert_true(meta.deleting);
	assert_int_equal(meta.generation, 2);
	cJSON_Delete(json);
}

static void test_no_memory(void **state) {
	(void)state;
	cJSON *json = object_json("{" BASE ",\"secretObject\":{" DATA
				  ",\"labels\":{\"a\":\"b\"},\"annotations\":{\"c\":\"d\"}}}");
	struct object_meta meta;
	assert_int_equal(object_meta_read(json, &meta), OK);
	for (uint64_t nth = 1;; nth++) {
		struct source source = { .source = { cell_of } };
		struct spec *spec = NULL;
		mem_fail_at(nth);
		enum err err = spec_build(json, &meta, &source.source, &spec);
		bool reached = mem_fail_reached();
		mem_fail_at(0);
		assert_int_equal(err, reached ? ERR_NOMEM : OK);
		drop(spec, &source);
		if (!reached) break;
	}
	cJSON_Delete(json);
}

/* What a sink has seen: the path at the head of each text. */
struct seen {
	struct fault_sink sink;
	char paths[1024];
	unsigned count;
};

static void see(struct fault_sink *sink, const struct fault *fault) {
	struct seen *seen = (struct seen *)sink;
	assert_int_not_equal(fault->err, OK);
	snprintf(seen->paths + strlen(seen->paths), sizeof seen->paths - strlen(seen->paths),
		"%.*s\n", (int)strcspn(fault->text, " :"), fault->text);
	seen->count++;
}

/* For a person every fault is named, not the first alone. */
static void test_every_fault(void **state) {
	(void)state;
	struct seen seen = { .sink = { see } };
	struct source source = { .source = { cell_of } };
	cJSON *json = object_json(
		"{\"secretProviderClassName\":\"class\",\"serviceAccountName\":\"No\","
		"\"forceSynchronization\":\":\",\"rotationPollIntervalInSeconds\":0,"
		"\"secretObject\":{\"type\":5,\"data\":[{\"sourcePath\":\"a_b\",\"targetKey\":\"\"},"
		"{\"sourcePath\":\"a\",\"targetKey\":\"k\"},{\"sourcePath\":7,\"targetKey\":\"k\"}],"
		"\"labels\":{\"-\":\"\",\"good\":\"\",\"bad\":\"!\"},\"annotations\":[]}}");
	struct object_meta meta;
	struct spec *spec = NULL;
	assert_int_equal(object_meta_read(json, &meta), OK);
	assert_int_equal(spec_build_all(json, &meta, &source.source, &seen.sink, &spec), OK);
	cJSON_Delete(json);
	assert_string_equal(seen.paths,
		"spec.serviceAccountName\n"
		"spec.forceSynchronization\n"
		"spec.rotationPollIntervalInSeconds\n"
		"spec.secretObject.type\n"
		"spec.secretObject.data[0].sourcePath\n"
		"spec.secretObject.data[0].targetKey\n"
		"spec.secretObject.data[2].sourcePath\n"
		"spec.secretObject.data[2].targetKey\n"
		"spec.secretObject.labels\n"
		"spec.secretObject.labels\n"
		"spec.secretObject.annotations\n");
	assert_true(spec->common->fault.len > 0);
	assert_str(spec_class_name(spec), "class");
	drop(spec, &source);
}

/* A sound object is the same with and without a sink, and the sink stays empty. */
static void test_no_fault(void **state) {
	(void)state;
	struct seen seen = { .sink = { see } };
	struct source source = { .source = { cell_of } };
	cJSON *json = object_json(GOOD);
	struct object_meta meta;
	struct spec *spec = NULL;
	assert_int_equal(object_meta_read(json, &meta), OK);
	assert_int_equal(spec_build_all(json, &meta, &source.source, &seen.sink, &spec), OK);
	cJSON_Delete(json);
	assert_int_equal(seen.count, 0);
	assert_str(spec->common->fault, "");
	assert_int_equal(spec->item_count, 2);
	drop(spec, &source);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_sizes_of_pairs),
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_every_fault),
		cmocka_unit_test(test_no_fault),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
