/* engine/run: what a reload takes over. Whole processes are in test_engine_main.c. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <unistd.h>

#include "engine/config.h"

static const char *replaced_by; /* written when the file has been read */
static char file_path[64];

static void write_file(const char *text) {
	char fresh[80];
	snprintf(fresh, sizeof fresh, "%s.new", file_path);
	FILE *file = fopen(fresh, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(fresh, file_path), 0);
}

static enum err load_and_replace(const char *name, struct config *out_config, struct fault *fault) {
	enum err err = config_load(name, out_config, fault);
	if (replaced_by) write_file(replaced_by);
	replaced_by = NULL;
	return err;
}

#define config_load load_and_replace
#include "engine/run.c"
#undef config_load

static struct config parsed(const char *text) {
	struct config config = { 0 };
	assert_int_equal(config_parse(str_of(text), "f.yaml", &config, NULL), OK);
	return config;
}

/* Half of it would hold for what is made later, a vault's gate or a status, and half would not. */
static void what_needs_a_restart_is_not_taken_over(void **state) {
	(void)state;
	struct config old = parsed("vaultConnections: 3\nconditionNames: preview\nbreakerIntervalInSeconds: 20\n");
	struct config fresh = parsed("vaultConnections: 9\nconditionNames: upstream\nbreakerIntervalInSeconds: 30\n");
	struct settings settings = settings_of(&fresh, &old);
	assert_int_equal(settings.vault_connections, 3);
	assert_int_equal(settings.names, REASON_NAMES_PREVIEW);
	assert_int_equal(settings.breaker_interval_ns, 30 * NS_PER_S);
	config_deinit(&old);
	config_deinit(&fresh);
}

/* Between the first reading and the first look. */
static void a_file_that_is_replaced_at_the_start_is_read_again(void **state) {
	(void)state;
	struct run_options options = { .config_path = file_path };
	struct process process = { .options = &options };
	struct fault fault = { 0 };
	snprintf(file_path, sizeof file_path, "/tmp/kvsync-run-%d.yaml", (int)getpid());
	write_file("vaultConnections: 3\n");
	replaced_by = "vaultConnections: 12\n";
	assert_int_equal(load_first_config(&process, &fault), OK);
	assert_int_equal(process.config.vault_connections, 3);
	assert_true(config_file_changed(file_path, &process.config_stamp));
	assert_false(config_file_changed(file_path, &process.config_stamp));
	config_deinit(&process.config);
	unlink(file_path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_needs_a_restart_is_not_taken_over),
		cmocka_unit_test(a_file_that_is_replaced_at_the_start_is_read_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
