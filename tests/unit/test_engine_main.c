/* engine/main, engine/run: the command line, and a process that starts, reloads and stops. Each case runs in a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int kvsync_main(int argc, char **argv);
#define main kvsync_main
#include "engine/main.c"
#undef main

struct child {
	pid_t pid;
	int out; /* its standard output and standard error */
	char text[1 << 16];
	size_t len;
};

static struct child child;
static char folder[64];

static void child_start(const char *const *argv) {
	int ends[2], argc = 0;
	while (argv[argc]) argc++;
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = (struct child){ .pid = fork(), .out = ends[0] };
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		unsetenv("KUBECONFIG");
		unsetenv("KUBERNETES_SERVICE_HOST");
		setenv("HOME", folder, 1);
		char *copy[9] = { 0 }; /* getopt_long sorts it */
		memcpy(copy, argv, (size_t)argc * sizeof *copy);
		exit(kvsync_main(argc, copy));
	}
	close(ends[1]);
}

/* Reads until the text is there (NULL: to the end). */
static void child_wait_for(const char *text) {
	while (!text || !strstr(child.text, text)) {
		struct pollfd ready = { .fd = child.out, .events = POLLIN };
		if (poll(&ready, 1, 30000) != 1) fail_msg("no \"%s\" in: %s", text, child.text);
		ssize_t got =
			read(child.out, child.text + child.len, sizeof child.text - 1 - child.len);
		if (got <= 0 && text) fail_msg("ended without \"%s\": %s", text, child.text);
		if (got <= 0) return;
		child.len += (size_t)got;
		child.text[child.len] = '\0';
	}
}

static int child_end(void) {
	int status;
	child_wait_for(NULL);
	close(child.out);
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *write_file(const char *name, const char *text) {
	static char path[2][128];
	static unsigned turn;
	char *to = path[turn++ % 2];
	snprintf(to, sizeof path[0], "%s/%s", folder, name);
	FILE *file = fopen(to, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return to;
}

static void test_command_line(void **state) {
	(void)state;
	static const struct {
		const char *argv[8];
		int code;
		const char *says;
	} cases[] = {
		{ { "kvsync", "version" }, 0, "kvsync " KVSYNC_VERSION "\n" },
		{ { "kvsync", "--version" }, 0, "kvsync " KVSYNC_VERSION "\n" },
		{ { "kvsync", "help" }, 0, "Usage:" },
		{ { "kvsync", "config", "--help" }, 0, "rotationPollIntervalInSeconds: 3600" },
		{ { "kvsync", "config" }, 0,
			"# Allowed: 1 to 604800. Default: 3600.\nrotationPollIntervalInSeconds: "
			"3600\n" },
		{ { "kvsync", "config", "--log-level", "debug" }, 0, "\nlogLevel: debug\n" },
		{ { "kvsync", "config", "--log-level", "loud" }, 1,
			"logLevel has to be error, warn, info or debug" },
		{ { "kvsync", "config", "--config", "/nonexistent" }, 1,
			"kvsync: /nonexistent: cannot be read" },
		{ { "kvsync", "run" }, 1, "kvsync: no Kubernetes API server is named" },
		{ { "kvsync", "run", "--kubeconfig", "/nonexistent" }, 1, "kvsync: /nonexistent" },
		{ { "kvsync", "help", "check" }, 0, "kvsync check FILE... [-o json]" },
		{ { "kvsync", "check", "--help" }, 0, "kvsync check FILE... [-o json]" },
		{ { "kvsync", "help", "run", "x" }, 2, "this word is one too many: x" },
		{ { "kvsync", "chekc", "foo" }, 2, "there is no command chekc; did you mean check?" },
		{ { "kvsync", "run", "--help" }, 0, "  --log-level LEVEL  error, warn, info or debug" },
		{ { "kvsync", "help", "run" }, 0, "kvsync run [--config FILE] [--kubeconfig FILE" },
		{ { "kvsync", "config", "--help" }, 0, "Keys of the configuration file" },
		{ { "kvsync", "help" }, 0, "--connect tries the way to the vaults" },
		{ { "kvsync", "check" }, 2, "check needs a file" },
		{ { "kvsync", "check", "x", "-o", "yaml" }, 2, "-o has to be json or table, not yaml" },
		{ { "kvsync", "check", "/nonexistent" }, 1,
			"/nonexistent: cannot be read: No such file or directory" },
		{ { "kvsync", "check", "/nonexistent", "--config", "/nowhere" }, 1, "kvsync: /nowhere" },
		{ { "kvsync", "check", "/dev/null" }, 1, "/dev/null: nothing to check is in it" },
		{ { "kvsync", "run", "-o", "json" }, 2, "are options of check" },
		{ { "kvsync", "config", "--connect" }, 2, "are options of check" },
		{ { "kvsync", "check", "/dev/null", "--kubeconfig", "x" }, 2, "for --connect only" },
		{ { "kvsync", "check", "/dev/null", "--connect", "--context", "x" }, 2, "--context needs --kubeconfig" },
		{ { "kvsync", "check", "/dev/null", "--connect" }, 1, "0 connections tried: 0 failed" },
		{ { "kvsync", "check", "/dev/null", "--connect", "--kubeconfig", "/nonexistent" }, 1,
			"kvsync: /nonexistent" },
		{ { "kvsync", "help", "plan" }, 0, "kvsync plan FILE... [-o json]" },
		{ { "kvsync", "plan", "--help" }, 0, "Exit code: 0 nothing would change, 2" },
		/* 2 is an answer there. */
		{ { "kvsync", "plan" }, 1, "plan needs a file" },
		{ { "kvsync", "plan", "x", "--bogus" }, 1, "unrecognized option '--bogus'" },
		{ { "kvsync", "plan", "x", "-o", "yaml" }, 1, "-o has to be json or table, not yaml" },
		{ { "kvsync", "plan", "x", "--connect" }, 1, "--connect is an option of check" },
		{ { "kvsync", "plan", "x", "--context", "c" }, 1, "--context needs --kubeconfig" },
		{ { "kvsync", "plan", "/dev/null", "--kubeconfig", "/nonexistent" }, 1, "kvsync: /nonexistent" },
		{ { "kvsync", "plan", "/dev/null" }, 1, "kvsync: no Kubernetes API server is named" },
		{ { "kvsync" }, 2, "a command is missing" },
		{ { "kvsync", "sync" }, 2, "there is no command sync" },
		{ { "kvsync", "run", "now" }, 2, "this word is one too many: now" },
		{ { "kvsync", "run", "--context", "x" }, 2, "--context needs --kubeconfig" },
		{ { "kvsync", "run", "--kubconfig", "x" }, 2, "unrecognized option '--kubconfig'" },
		{ { "kvsync", "run", "--config" }, 2, "requires an argument" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		child_start(cases[i].argv);
		int code = child_end();
		if (code == cases[i].code && strstr(child.text, cases[i].says)) continue;
		fail_msg("case %zu: exit code %d, %s", i, code, child.text);
	}
}

/* Who asks how to run it is not told of other commands. */
static void test_help_of_run_is_about_run(void **state) {
	(void)state;
	static const char *const others[] = { "kvsync check", "kvsync plan", "Usage:", "rotationPollIntervalInSeconds" };
	child_start((const char *[]){ "kvsync", "run", "--help", NULL });
	assert_int_equal(child_end(), 0);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (strstr(child.text, others[i])) fail_msg("\"%s\" in: %s", others[i], child.text);
	}
}

/* What is wrong in the files needs no cluster to be told. */
static void test_plan_tells_faults_before_it_looks_for_a_server(void **state) {
	(void)state;
	const char *file = write_file("config.yaml", "apiVersion: secret-sync.x-k8s.io/v1alpha1\nkind: SecretSync\n"
						     "metadata: {name: s}\nspec: {secretProviderClassName: \"\"}\n");
	child_start((const char *[]){ "kvsync", "plan", file, NULL });
	assert_int_equal(child_end(), 1);
	const char *fault = strstr(child.text, "config.yaml:4: SecretSync default/s: spec.");
	const char *server = strstr(child.text, "kvsync: no Kubernetes API server is named");
	if (!fault || !server || fault > server) fail_msg("%s", child.text);
	child_start((const char *[]){ "kvsync", "plan", file, "-o", "json", NULL });
	assert_int_equal(child_end(), 1);
	if (!strstr(child.text, "\"faults\"") || !strstr(child.text, "\"line\":\t4")) fail_msg("%s", child.text);
	assert_non_null(strstr(child.text, "kvsync: no Kubernetes API server is named"));
	/* Where the files are good, what fails is told alone. */
	child_start((const char *[]){ "kvsync", "plan", "/dev/null", "-o", "json", "--kubeconfig", "/nonexistent", NULL });
	assert_int_equal(child_end(), 1);
}

#define KUBECONFIG                                                                              \
	"current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u, namespace: "   \
	"here}}]\n"                                                                             \
	"clusters: [{name: k, cluster: {server: \"https://127.0.0.1:1\"}}]\nusers: [{name: u, " \
	"user: {token: canary-token}}]\n"

/* No server answers: it goes on trying, takes a new configuration, refuses a bad one, and ends in good order. */
static void test_life_of_the_process(void **state) {
	(void)state;
	const char *kubeconfig = write_file("kubeconfig", KUBECONFIG);
	const char *config = write_file(
		"config.yaml", "workers: 1\nrotationPollIntervalInSeconds: 77\nlogLevel: debug\nstatusPort: 0\n");
	child_start((const char *[]){
		"kvsync", "run", "--kubeconfig", kubeconfig, "--config", config, NULL });
	child_wait_for("list failed");
	assert_non_null(strstr(child.text, "server=https://127.0.0.1:1"));
	assert_non_null(strstr(child.text, "namespace=here"));
	assert_non_null(strstr(child.text, "rotationPollIntervalInSeconds=77"));
	FILE *file = fopen(config, "w");
	fputs("workers: 2\nrotationPollIntervalInSeconds: 78\nlogLevel: debug\nstatusPort: 0\n", file);
	fclose(file);
	kill(child.pid, SIGHUP);
	child_wait_for("rotationPollIntervalInSeconds=78");
	assert_non_null(strstr(child.text, "needs a restart\" key=workers"));
	assert_null(strstr(child.text, "key=logLevel"));
	file = fopen(config, "w");
	fputs("workers: many\n", file);
	fclose(file);
	kill(child.pid, SIGHUP);
	child_wait_for("the old one holds");
	assert_non_null(strstr(child.text, "config.yaml:1:10: workers has to be"));
	/* Another file in its place, as Kubernetes does it, and no signal. */
	const char *other = write_file("other.yaml", "workers: 2\nrotationPollIntervalInSeconds: 79\nlogLevel: debug\nstatusPort: 0\n");
	char target[128];
	snprintf(target, sizeof target, "%s/config.yaml", folder);
	assert_int_equal(rename(other, target), 0);
	child_wait_for("rotationPollIntervalInSeconds=79");
	assert_int_equal(unlink(target), 0);
	child_wait_for("the configuration file is gone; what it said still holds");
	kill(child.pid, SIGTERM);
	assert_int_equal(child_end(), 0);
	assert_non_null(strstr(child.text, "msg=stopped"));
	assert_null(strstr(child.text, "canary-token"));
}

/* A port that somebody else has is an error at the start, not a kubelet that kills the pod later. */
static void test_status_port(void **state) {
	(void)state;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (void *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (void *)&address, &bytes), 0);
	char text[128], says[128];
	snprintf(text, sizeof text, "statusPort: %u\nstatusAddress: 127.0.0.1\n", ntohs(address.sin_port));
	const char *kubeconfig = write_file("kubeconfig", KUBECONFIG);
	const char *config = write_file("config.yaml", text);
	const char *const argv[] = { "kvsync", "run", "--kubeconfig", kubeconfig, "--config", config, NULL };
	child_start(argv);
	assert_int_equal(child_end(), 1);
	snprintf(says, sizeof says, "kvsync: statusPort: cannot listen on port %u of 127.0.0.1",
		ntohs(address.sin_port));
	assert_non_null(strstr(child.text, says));
	close(fd);
	child_start(argv);
	child_wait_for("list failed");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (void *)&address, sizeof address), 0);
	static const char request[] = "GET /livez HTTP/1.0\r\n\r\n";
	assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
	assert_int_equal(read(fd, text, 12), 12);
	assert_memory_equal(text + 8, " 200", 4);
	close(fd);
	kill(child.pid, SIGTERM);
	assert_int_equal(child_end(), 0);
}

static void test_bad_ca_file(void **state) {
	(void)state;
	const char *config = write_file("config.yaml", "caFile: /nonexistent/ca.pem\n");
	child_start((const char *[]){ "kvsync", "run", "--config", config, NULL });
	assert_int_equal(child_end(), 1);
	assert_non_null(
		strstr(child.text, "config.yaml:1:9: caFile /nonexistent/ca.pem: cannot be read: No such file"));
}

/* Whatever the machine's limits and core pattern are: a crash leaves no file with secrets in it. */
static void test_no_core_file(void **state) {
	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit core = { 1, 1 };
		harden();
		bool none = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0;
#ifndef __SANITIZE_ADDRESS__
		none = none && prctl(PR_GET_DUMPABLE) == 0;
#endif
		_exit(none ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int make_folder(void **state) {
	(void)state;
	strcpy(folder, "/tmp/kvsync-main-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state) {
	(void)state;
	char path[128];
	snprintf(path, sizeof path, "%s/kubeconfig", folder);
	unlink(path);
	snprintf(path, sizeof path, "%s/config.yaml", folder);
	unlink(path);
	return rmdir(folder);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_help_of_run_is_about_run),
		cmocka_unit_test(test_plan_tells_faults_before_it_looks_for_a_server),
		cmocka_unit_test(test_life_of_the_process),
		cmocka_unit_test(test_status_port),
		cmocka_unit_test(test_bad_ca_file),
		cmocka_unit_test(test_no_core_file),
	};
	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
