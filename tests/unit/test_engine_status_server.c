#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/metric.h"
#include "engine/status_server.h"

/* An engine as its status port sees it. */
static struct status_numbers numbers;
static struct worker_numbers workers[2];
static struct now now;

static void read_numbers(void *arg, struct status_numbers *out_numbers) {
	assert_ptr_equal(arg, &numbers);
	*out_numbers = numbers;
}

static void read_worker(void *arg, unsigned index, struct worker_numbers *out_numbers) {
	(void)arg;
	assert_in_range(index, 0, 1);
	*out_numbers = workers[index];
}

static struct now read_clock(struct clock *clock) {
	(void)clock;
	return now;
}

static struct clock test_clock = { read_clock };
static const struct status_options OPTIONS = { .clock = &test_clock,
	.read = read_numbers,
	.read_worker = read_worker,
	.arg = &numbers };

static char answer_text[64 << 10];

/* The whole answer to a request that is sent as it stands. */
static const char *exchange(unsigned port, int family, const char *request) {
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *address = family == AF_INET ? (void *)&v4 : (void *)&v6;
	int fd = socket(family, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, address, family == AF_INET ? sizeof v4 : sizeof v6), 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	size_t len = 0;
	for (ssize_t got; (got = read(fd, answer_text + len, sizeof answer_text - 1 - len)) > 0;)
		len += (size_t)got;
	answer_text[len] = 0;
	close(fd);
	return answer_text;
}

static const char *get(unsigned port, const char *path) {
	char request[128];
	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	return exchange(port, AF_INET, request);
}

static int setup(void **state) {
	(void)state;
	numbers = (struct status_numbers){ .ready = true, .syncs = 7, .classes = 3, .workers = 2 };
	memset(workers, 0, sizeof workers);
	now = (struct now){ .mono_ns = 100 * NS_PER_S };
	return 0;
}

static unsigned write_page(
	unsigned (*write)(const struct status_options *options, struct buf *out_text)) {
	struct buf text;
	buf_init(&text, sizeof answer_text);
	unsigned status = write(&OPTIONS, &text);
	assert_int_equal(buf_err(&text), OK);
	strcpy(answer_text, buf_cstr(&text));
	buf_deinit(&text);
	return status;
}

static void test_live_names_the_thread_that_hangs(void **state) {
	(void)state;
	assert_int_equal(write_page(status_write_live), 200);
	numbers.turns.began_ns = now.mono_ns - STATUS_TURN_NS;
	assert_int_equal(write_page(status_write_live), 200);
	numbers.turns.began_ns--;
	assert_int_equal(write_page(status_write_live), 503);
	assert_string_equal(answer_text, "main: one turn has lasted for 10 s\n");
	numbers.turns.began_ns = 0;
	workers[1].turns.began_ns = now.mono_ns - 12 * NS_PER_S;
	assert_int_equal(write_page(status_write_live), 503);
	assert_string_equal(answer_text, "worker-1: one turn has lasted for 12 s\n");
}

static void test_ready(void **state) {
	(void)state;
	assert_int_equal(write_page(status_write_ready), 200);
	numbers.ready = false;
	assert_int_equal(write_page(status_write_ready), 503);
	assert_non_null(strstr(answer_text, "have not been listed yet"));
}

/* Every line is a comment of the two kinds, or name{label="value"} number. */
static void check_format(void) {
	char copy[sizeof answer_text], name[128], rest[256];
	unsigned samples = 0;
	strcpy(copy, answer_text);
	assert_int_equal(copy[strlen(copy) - 1], '\n');
	for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
		double value;
		if (sscanf(line, "# HELP %127[a-z0-9_] %255[^\n]", name, rest) == 2) continue;
		if (sscanf(line, "# TYPE %127[a-z0-9_] %255s", name, rest) == 2) {
			assert_true(!strcmp(rest, "counter") || !strcmp(rest, "gauge") || !strcmp(rest, "histogram"));
			continue;
		}
		bool bucket = sscanf(line, "%127[a-z0-9_]{thread=\"%255[a-z0-9-]\",le=\"%*[0-9.+Inf]\"} %lf", name, rest, &value) == 3;
		bool labelled = sscanf(line, "%127[a-z0-9_]{%*[a-z]=\"%255[a-z0-9.-]\"} %lf", name,
					rest, &value) == 3;
		bool plain = sscanf(line, "%127[a-z0-9_] %lf", name, &value) == 2;
		if (!bucket && !labelled && !plain) fail_msg("not understood: %s", line);
		samples++;
	}
	assert_true(samples > METRIC_COUNT);
}

static void has_line(const char *line) {
	const char *at = strstr(answer_text, line);
	if (!at || (at != answer_text && at[-1] != '\n')) fail_msg("lacks: %s", line);
}

static void test_metrics(void **state) {
	(void)state;
	metric_add(METRIC_VAULT_GETS, 41);
	numbers.turns.clock.longest_ns = 15 * NS_PER_MS;
	numbers.turns.cpu.longest_ns = 3 * NS_PER_MS;
	workers[0].waiting[CLASS_NEW] = 2;
	workers[1].waiting[CLASS_NEW] = 3;
	workers[0].running = 4;
	workers[0].writes_waiting = 3;
	workers[0].statuses_waiting = 5;
	workers[0].reads_waiting = 6;
	workers[1].reads_waiting = 2;
	workers[0].secret_unseen_ns = 7 * NS_PER_S;
	workers[1].secret_unseen_ns = 5 * NS_PER_S;
	numbers.secrets_watched = true;
	workers[1].turns.clock.longest_ns = NS_PER_S;
	workers[0].turns.clock = (struct loop_lengths){ { 3, 4, 4, 4, 5, 5, 5 }, 6, 1250 * NS_PER_MS, NS_PER_S };
	workers[0].turns.cpu = (struct loop_lengths){ { 6, 6, 6, 6, 6, 6, 6 }, 6, 2 * NS_PER_MS, NS_PER_MS };
	assert_int_equal(write_page(status_write_metrics), 200);
	check_format();
	has_line("kvsync_vault_gets_total 41\n");
	has_line("# TYPE kvsync_vault_gets_total counter\n");
	has_line("kvsync_secretsyncs 7\n");
	has_line("kvsync_secretproviderclasses 3\n");
	has_line("kvsync_ready 1\n");
	has_line("kvsync_objects_waiting{class=\"new\"} 5\n");
	has_line("kvsync_objects_waiting{class=\"periodic\"} 0\n");
	has_line("kvsync_reconciles_running 4\n");
	has_line("kvsync_secret_writes_waiting 3\n");
	has_line("kvsync_statuses_waiting 5\n");
	has_line("kvsync_vault_requests_waiting 8\n");
	has_line("kvsync_secret_unseen_longest_seconds 7\n");
	has_line("kvsync_secrets_watched 1\n");
	has_line("kvsync_turn_longest_seconds{thread=\"main\"} 0.015000\n");
	has_line("kvsync_turn_longest_seconds{thread=\"worker-1\"} 1.000000\n");
	has_line("kvsync_turn_busiest_seconds{thread=\"main\"} 0.003000\n");
	has_line("kvsync_turn_busiest_seconds{thread=\"worker-1\"} 0.000000\n");
	has_line("# TYPE kvsync_turn_seconds histogram\n");
	has_line("kvsync_turn_seconds_bucket{thread=\"worker-0\",le=\"0.001\"} 3\n");
	has_line("kvsync_turn_seconds_bucket{thread=\"worker-0\",le=\"0.02\"} 5\n");
	has_line("kvsync_turn_seconds_bucket{thread=\"worker-0\",le=\"0.1\"} 5\n");
	has_line("kvsync_turn_seconds_bucket{thread=\"worker-0\",le=\"+Inf\"} 6\n");
	has_line("kvsync_turn_seconds_sum{thread=\"worker-0\"} 1.250000\n");
	has_line("kvsync_turn_seconds_count{thread=\"worker-0\"} 6\n");
	has_line("kvsync_turn_cpu_seconds_bucket{thread=\"worker-0\",le=\"0.001\"} 6\n");
	has_line("kvsync_turn_cpu_seconds_sum{thread=\"worker-0\"} 0.002000\n");
	const char *rss = strstr(answer_text, "\nprocess_resident_memory_bytes ");
	assert_non_null(rss);
	assert_true(atoll(strchr(rss + 1, ' ')) > 1 << 20);
	assert_non_null(strstr(answer_text, "\nprocess_cpu_seconds_total "));
}

static struct status_server *started(const char *address) {
	struct fault fault;
	struct status_server *server = NULL;
	struct status_options options = OPTIONS;
	options.address = address;
	assert_int_equal(status_server_start(&options, &server, &fault), OK);
	return server;
}

static void test_serves_over_http(void **state) {
	(void)state;
	struct status_server *server = started(NULL);
	unsigned port = status_server_port(server);
	assert_true(strstr(get(port, "/livez"), "HTTP/1.1 200 ") == answer_text);
	assert_non_null(strstr(answer_text, "\r\n\r\nok\n"));
	assert_true(strstr(get(port, "/metrics"), "HTTP/1.1 200 ") == answer_text);
	assert_non_null(strstr(answer_text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer_text, "kvsync_secretsyncs 7\n"));
	assert_true(strstr(get(port, "/"), "HTTP/1.1 404 ") == answer_text);
	exchange(port, AF_INET, "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
	assert_true(strstr(answer_text, "HTTP/1.1 405 ") == answer_text);
	exchange(port, AF_INET, "HEAD /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_true(strstr(answer_text, "HTTP/1.1 200 ") == answer_text);
	assert_null(strstr(answer_text, "ok\n"));
	numbers.ready = false;
	assert_true(strstr(get(port, "/readyz"), "HTTP/1.1 503 ") == answer_text);
	status_server_stop(server);
}

static void test_ipv6_where_there_is_one(void **state) {
	(void)state;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool has_ipv6 = fd >= 0 && bind(fd, (void *)&v6, sizeof v6) == 0;
	if (fd >= 0) close(fd);
	if (!has_ipv6) skip();
	struct status_server *server = started(NULL);
	exchange(status_server_port(server), AF_INET6, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_true(strstr(answer_text, "HTTP/1.1 200 ") == answer_text);
	status_server_stop(server);
}

static void test_errors_say_what_to_do(void **state) {
	(void)state;
	struct fault fault;
	struct status_server *first = started("127.0.0.1"), *second = NULL;
	struct status_options options = OPTIONS;
	options.address = "127.0.0.1";
	options.port = status_server_port(first);
	assert_int_equal(status_server_start(&options, &second, &fault), ERR_IO);
	assert_non_null(strstr(fault.text, "Address already in use; choose another port"));
	options.address = "localhost";
	assert_int_equal(status_server_start(&options, &second, &fault), ERR_INVALID);
	assert_non_null(strstr(fault.text, "\"localhost\" is no IP address"));
	assert_null(second);
	status_server_stop(first);
	status_server_stop(NULL);
}

/* A stranger who opens connections and says nothing keeps nobody else from an answer for longer than their timeout, and
 * stopping does not wait for them. */
static void test_silent_connections_do_not_hinder_the_end(void **state) {
	(void)state;
	struct status_server *server = started("127.0.0.1");
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)status_server_port(server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fds[4];
	for (int i = 0; i < 4; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(fds[i], (void *)&v4, sizeof v4), 0);
	}
	assert_true(strstr(get(status_server_port(server), "/livez"), "HTTP/1.1 200 ") == answer_text);
	status_server_stop(server);
	for (int i = 0; i < 4; i++) close(fds[i]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_live_names_the_thread_that_hangs, setup),
		cmocka_unit_test_setup(test_ready, setup),
		cmocka_unit_test_setup(test_metrics, setup),
		cmocka_unit_test_setup(test_serves_over_http, setup),
		cmocka_unit_test_setup(test_ipv6_where_there_is_one, setup),
		cmocka_unit_test_setup(test_errors_say_what_to_do, setup),
		cmocka_unit_test_setup(test_silent_connections_do_not_hinder_the_end, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
