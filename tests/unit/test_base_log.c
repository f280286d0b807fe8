#include "unit.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

static struct buf lines;

static void collect(struct str line, void *arg) {
	assert_ptr_equal(arg, &lines);
	buf_append(&lines, line);
	buf_append_char(&lines, '\n');
}

static int setup(void **state) {
	(void)state;
	buf_init(&lines, 1 << 20);
	log_setup(LOG_INFO, LOG_LOGFMT);
	log_redirect(collect, &lines);
	return 0;
}

static int teardown(void **state) {
	(void)state;
	log_redirect(NULL, NULL);
	buf_deinit(&lines);
	return 0;
}

/* What follows the time, which is checked on its own. */
static struct str after_time(void) {
	assert_int_equal(buf_err(&lines), OK);
	struct str line = str_trim(buf_str(&lines));
	struct str time = str_next(&line, ' ');
	assert_true(str_starts(time, STR("time=")));
	int64_t unix_s;
	assert_int_equal(time_parse(str_slice(time, 5, 100), &unix_s), OK);
	assert_int_equal(time.len, strlen("time=2026-11-24T03:14:15.123Z"));
	int64_t wall_s = clock_now(clock_system()).wall_ns / NS_PER_S;
	assert_true(wall_s - unix_s >= 0 && wall_s - unix_s < 5);
	return line;
}

static void test_logfmt(void **state) {
	(void)state;
	log_info("secret applied", kv("sync", "team/app"), kv_int("version", -3),
		kv_str("to", STR("a\0b")));
	assert_str(after_time(),
		"level=info msg=\"secret applied\" sync=team/app version=-3 to=\"a\\u0000b\"");
}

static void check_value(struct str value, const char *expected) {
	buf_reset(&lines);
	log_error("m", kv_str("v", value));
	struct str line = after_time();
	assert_true(str_starts(line, STR("level=error msg=m v=")));
	assert_str(str_slice(line, strlen("level=error msg=m v="), line.len), expected);
}

static void test_logfmt_escapes(void **state) {
	(void)state;
	check_value(STR("plain-1.2:/@{}"), "plain-1.2:/@{}");
	check_value(STR(""), "\"\"");
	check_value(STR_NULL, "\"\"");
	check_value(STR("a b"), "\"a b\"");
	check_value(STR("a=b"), "\"a=b\"");
	check_value(STR("a\"b"), "\"a\\\"b\"");
	check_value(STR("a\\b"), "\"a\\\\b\"");
	check_value(STR("a\nlevel=error msg=forged"), "\"a\\nlevel=error msg=forged\"");
	check_value(STR("\x1b[31m"), "\"\\u001b[31m\"");
	check_value(STR("a\x7f"), "\"a\x7f\"");
	check_value(STR("\xc3\xa4"), "\"\xc3\xa4\"");
	check_value(STR("\xff"), "\"\xef\xbf\xbd\"");
}

static void test_json(void **state) {
	(void)state;
	log_setup(LOG_INFO, LOG_JSON);
	log_warn("a \"b\"\n", kv("sync", "x"), kv_int("n", 42), kv_str("bad", STR("\xff")));
	struct str line = str_trim(buf_str(&lines));
	cJSON *json = cJSON_ParseWithLength(line.ptr, line.len);
	assert_non_null(json);
	assert_string_equal(cJSON_GetObjectItem(json, "level")->valuestring, "warn");
	assert_string_equal(cJSON_GetObjectItem(json, "msg")->valuestring, "a \"b\"\n");
	assert_string_equal(cJSON_GetObjectItem(json, "sync")->valuestring, "x");
	assert_int_equal(cJSON_GetObjectItem(json, "n")->valueint, 42);
	assert_string_equal(cJSON_GetObjectItem(json, "bad")->valuestring, "\xef\xbf\xbd");
	int64_t unix_s;
	assert_int_equal(
		time_parse(str_of(cJSON_GetObjectItem(json, "time")->valuestring), &unix_s), OK);
	cJSON_Delete(json);
}

static void test_levels(void **state) {
	(void)state;
	log_debug("quiet");
	assert_int_equal(buf_str(&lines).len, 0);
	log_setup(LOG_ERROR, LOG_LOGFMT);
	log_warn("quiet");
	log_info("quiet");
	assert_int_equal(buf_str(&lines).len, 0);
	log_error("loud");
	assert_str(after_time(), "level=error msg=loud");
	buf_reset(&lines);
	log_setup(LOG_DEBUG, LOG_LOGFMT);
	log_debug("loud");
	assert_str(after_time(), "level=debug msg=loud");
}

/* Fields come whole or not at all, and the line stays valid. */
static void test_what_is_on_record_has_no_level(void **state) {
	(void)state;
	log_setup(LOG_ERROR, LOG_LOGFMT);
	log_audit("secret written", kv_int("n", 1));
	assert_str(after_time(), "level=info msg=\"secret written\" n=1");
}

static void test_long_lines_are_cut_at_a_field(void **state) {
	(void)state;
	static char text[20000];
	memset(text, 'x', sizeof(text));
	for (size_t len = 8000; len < 8192; len++) {
		struct str value = { text, len };
		for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
			buf_reset(&lines);
			log_setup(LOG_INFO, (enum log_format)format);
			log_info("m", kv("a", "1"), kv_str("b", value), kv("c", "2"));
			struct str line = buf_str(&lines);
			assert_true(line.len <= 8192);
			assert_true(str_find(line, format == LOG_JSON ? STR("\"a\":\"1\"")
								      : STR("a=1")) != SIZE_MAX);
			size_t found = str_find(line, STR("xxxx"));
			assert_true(found == SIZE_MAX || str_find(line, value) == found);
			assert_true(found != SIZE_MAX || str_find(line, STR("c")) == SIZE_MAX);
			if (format != LOG_JSON) continue;
			cJSON *json = cJSON_ParseWithLength(line.ptr, line.len);
			assert_non_null(json);
			cJSON_Delete(json);
		}
	}
}

static void test_long_messages_are_cut_at_a_character(void **state) {
	(void)state;
	static char text[20001];
	log_setup(LOG_INFO, LOG_JSON);
	for (int pad = 0; pad < 3; pad++) {
		memset(text, '\n', 3); /* as long as escapes get */
		for (size_t i = (size_t)pad; i + 2 < sizeof(text); i += 2)
			memcpy(text + i, "\xc3\xa4", 3);
		buf_reset(&lines);
		log_info(text, kv("a", "1"));
		struct str line = buf_str(&lines);
		assert_true(str_find(line, STR("\xef\xbf\xbd")) == SIZE_MAX);
		assert_true(str_find(line, STR("\"a\":\"1\"")) != SIZE_MAX);
		cJSON *json = cJSON_ParseWithLength(line.ptr, line.len);
		assert_non_null(json);
		cJSON_Delete(json);
	}
	memset(text, 1, sizeof(text) - 1); /* every byte becomes six */
	buf_reset(&lines);
	log_info(text);
	assert_true(buf_str(&lines).len > 6000 && buf_str(&lines).len < 8192);
}

/* One line is one write, which a pipe in packet mode shows. */
static void test_standard_error_gets_whole_lines(void **state) {
	(void)state;
	int pipe_fds[2];
	log_redirect(NULL, NULL);
	assert_int_equal(pipe2(pipe_fds, O_DIRECT), 0);
	int saved = dup(STDERR_FILENO);
	dup2(pipe_fds[1], STDERR_FILENO);
	log_info("first", kv("a", "b c"));
	log_info("second");
	dup2(saved, STDERR_FILENO);
	close(saved);
	char packet[4096];
	for (int i = 0; i < 2; i++) {
		ssize_t got = read(pipe_fds[0], packet, sizeof(packet));
		assert_true(got > 0);
		buf_reset(&lines);
		buf_append(&lines, (struct str){ packet, (size_t)got });
		assert_str(after_time(),
			i == 0 ? "level=info msg=first a=\"b c\"" : "level=info msg=second");
		assert_int_equal(packet[got - 1], '\n');
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* --- lines that wait --- */

static int log_pipe[2], saved_stderr;

static void open_pipe(void) {
	log_redirect(NULL, NULL);
	log_setup(LOG_INFO, LOG_LOGFMT);
	assert_int_equal(pipe2(log_pipe, O_DIRECT | O_NONBLOCK), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(log_pipe[1], STDERR_FILENO);
}

static void close_pipe(void) {
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(log_pipe[0]);
	close(log_pipe[1]);
}

/* How many lines the next write has, and that they are in order from `first` on; 0: there is none. */
static int lines_of_write(int first) {
	char packet[8192], mark[32];
	ssize_t got = read(log_pipe[0], packet, sizeof packet - 1);
	int found = 0;
	if (got <= 0) return 0;
	assert_true(got <= 4096);
	packet[got] = 0;
	assert_int_equal(packet[got - 1], '\n');
	for (char *line = packet; *line; line = strchr(line, '\n') + 1, found++) {
		snprintf(mark, sizeof mark, " n=%d\n", first + found);
		char *end = strchr(line, '\n') + 1;
		if (strncmp(end - strlen(mark), mark, strlen(mark))) fail_msg("%d: %s", first + found, line);
	}
	return found;
}

static void test_held_lines_go_together(void **state) {
	(void)state;
	open_pipe();
	log_hold(true);
	log_hold(true);
	for (int i = 0; i < 5; i++) log_info("m", kv_int("n", i));
	assert_int_equal(lines_of_write(0), 0);
	log_flush();
	assert_int_equal(lines_of_write(0), 5);
	log_flush();
	assert_int_equal(lines_of_write(0), 0);
	/* A warning waits for nobody, and comes behind what came before it. */
	log_info("m", kv_int("n", 0));
	log_warn("w", kv_int("n", 1));
	assert_int_equal(lines_of_write(0), 1);
	assert_int_equal(lines_of_write(1), 1);
	log_info("m", kv_int("n", 0));
	log_hold(false);
	assert_int_equal(lines_of_write(0), 1);
	log_info("m", kv_int("n", 0));
	assert_int_equal(lines_of_write(0), 1);
	log_flush();
	log_hold(false);
	assert_int_equal(lines_of_write(0), 0);
	close_pipe();
}

static void test_no_more_is_held_than_a_pipe_takes_whole(void **state) {
	static char text[6000];
	int written = 0;
	(void)state;
	open_pipe();
	log_hold(true);
	for (int i = 0; i < 300; i++) {
		log_info("a line of some length", kv_int("n", i));
		written += lines_of_write(written);
	}
	assert_true(written > 200 && written < 300);
	log_flush();
	written += lines_of_write(written);
	assert_int_equal(written, 300);
	/* What no pipe takes whole goes by itself, behind what came before it. */
	memset(text, 'x', sizeof text - 1);
	log_info("m", kv_int("n", 0));
	log_info("m", kv("text", text), kv_int("n", 1));
	assert_int_equal(lines_of_write(0), 1);
	assert_true(read(log_pipe[0], text, sizeof text) > 0);
	log_hold(false);
	close_pipe();
}

/* AddressSanitizer has handlers of its own. */
#ifndef __SANITIZE_ADDRESS__
static void *hold_two(void *arg) {
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	log_hold(true);
	log_info("m", kv_int("n", 0));
	log_info("m", kv_int("n", 1));
	sem_post(arg);
	for (;;) pause();
	return NULL;
}

static void die(int number) {
	sem_t held;
	pthread_t thread;
	for (int other = 1; other < NSIG; other++) signal(other, SIG_DFL); /* cmocka has its own */
	log_catch_crashes();
	sem_init(&held, 0, 0);
	pthread_create(&thread, NULL, hold_two, &held);
	sem_wait(&held);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	if (number == SIGABRT) abort();
	raise(number);
	_exit(0);
}

/* Another thread's, too. */
static void test_a_crash_loses_no_line(void **state) {
	static const int numbers[] = { SIGABRT, SIGTERM, SIGBUS, SIGSEGV };
	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		int status = 0;
		open_pipe();
		pid_t child = fork();
		if (!child) die(numbers[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), numbers[i]);
		assert_int_equal(lines_of_write(0), 2);
		close_pipe();
	}
}
#endif

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_logfmt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_logfmt_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_on_record_has_no_level, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_long_lines_are_cut_at_a_field, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_long_messages_are_cut_at_a_character, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_standard_error_gets_whole_lines, setup, teardown),
		cmocka_unit_test(test_held_lines_go_together),
		cmocka_unit_test(test_no_more_is_held_than_a_pipe_takes_whole),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(test_a_crash_loses_no_line),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
