/* What the status port says: live or not, ready or not, and the numbers in Prometheus' text format. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/metric.h"
#include "engine/status_server.h"

enum { HTTP_OK = 200, HTTP_UNAVAILABLE = 503 };

/* --- /livez, /readyz --- */

/* A loop that waits is alive, however long it waits. */
static bool hangs(int64_t turn_began_ns, struct now now) {
	return turn_began_ns && now.mono_ns - turn_began_ns > STATUS_TURN_NS;
}

static void tell_hang(struct buf *out, const char *thread, int64_t turn_began_ns, struct now now) {
	buf_printf(out, "%s: one turn has lasted for %lld s\n", thread,
		(long long)((now.mono_ns - turn_began_ns) / NS_PER_S));
}

unsigned status_write_live(const struct status_options *options, struct buf *out_text) {
	struct status_numbers numbers;
	options->read(options->arg, &numbers);
	bool live = true;
	struct now now = clock_now(options->clock);
	if (hangs(numbers.turns.began_ns, now)) {
		live = false;
		tell_hang(out_text, "main", numbers.turns.began_ns, now);
	}
	for (unsigned i = 0; i < numbers.workers; i++) {
		struct worker_numbers worker;
		char name[32];
		options->read_worker(options->arg, i, &worker);
		if (!hangs(worker.turns.began_ns, now)) continue;
		live = false;
		snprintf(name, sizeof name, "worker-%u", i);
		tell_hang(out_text, name, worker.turns.began_ns, now);
	}
	if (live) buf_append(out_text, STR("ok\n"));
	return live ? HTTP_OK : HTTP_UNAVAILABLE;
}

unsigned status_write_ready(const struct status_options *options, struct buf *out_text) {
	struct status_numbers numbers;
	options->read(options->arg, &numbers);
	buf_append(out_text, numbers.ready ? STR("ok\n")
					   : STR("not ready: SecretProviderClasses and SecretSyncs "
						 "have not been listed yet\n"));
	return numbers.ready ? HTTP_OK : HTTP_UNAVAILABLE;
}

/* --- /metrics --- */

static void begin(struct buf *out, const char *name, const char *type, const char *help) {
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buf *out, const char *name, const char *help, uint64_t value) {
	begin(out, name, "gauge", help);
	buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void write_counters(struct buf *out) {
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
		char name[128];
		snprintf(name, sizeof name, "kvsync_%s_total", metric_name(metric));
		begin(out, name, "counter", metric_help(metric));
		buf_printf(out, "%s %llu\n", name, (unsigned long long)metric_read(metric));
	}
}

static double seconds(struct timeval time) {
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* 0 where the kernel does not tell. */
static uint64_t resident_bytes(void) {
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	if (!file) return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_process(struct buf *out) {
	struct rusage usage = { 0 };
	getrusage(RUSAGE_SELF, &usage);
	begin(out, "kvsync_build_info", "gauge", "always 1; the version is its label");
	buf_append(out, STR("kvsync_build_info{version=\"" KVSYNC_VERSION "\"} 1\n"));
	number(out, "process_resident_memory_bytes", "memory in use", resident_bytes());
	begin(out, "process_cpu_seconds_total", "counter", "CPU time of user and system");
	buf_printf(out, "process_cpu_seconds_total %.6f\n",
		seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

struct load {
	uint64_t running, writes_waiting, statuses_waiting, reads_waiting, waiting[CLASS_COUNT];
	int64_t secret_unseen_ns;
};

static void add_load(struct load *load, const struct worker_numbers *worker) {
	load->running += worker->running;
	load->writes_waiting += worker->writes_waiting;
	load->statuses_waiting += worker->statuses_waiting;
	load->reads_waiting += worker->reads_waiting;
	if (worker->secret_unseen_ns > load->secret_unseen_ns)
		load->secret_unseen_ns = worker->secret_unseen_ns;
	for (int class = 0; class < CLASS_COUNT; class ++)
		load->waiting[class] += worker->waiting[class];
}

/* A histogram as the format wants it: each bound counts what lies below the smaller ones, too. */
static void write_lengths(
	struct buf *out, const char *name, const char *thread, const struct loop_lengths *lengths) {
	for (unsigned i = 0; i < LOOP_BOUNDS; i++) {
		buf_printf(out, "%s_bucket{thread=\"%s\",le=\"%g\"} %llu\n", name, thread,
			(double)LOOP_BOUNDS_NS[i] / NS_PER_S,
			(unsigned long long)lengths->within[i]);
	}
	buf_printf(out, "%s_bucket{thread=\"%s\",le=\"+Inf\"} %llu\n", name, thread,
		(unsigned long long)lengths->count);
	buf_printf(out, "%s_sum{thread=\"%s\"} %.6f\n", name, thread,
		(double)lengths->sum_ns / NS_PER_S);
	buf_printf(out, "%s_count{thread=\"%s\"} %llu\n", name, thread,
		(unsigned long long)lengths->count);
}

enum turn_text { TURNS_BY_CLOCK, TURNS_BY_CPU, TURN_LONGEST, TURN_BUSIEST, TURN_TEXTS };

static const struct {
	const char *name, *type, *help;
} TURNS[TURN_TEXTS] = {
	[TURNS_BY_CLOCK] = { "kvsync_turn_seconds", "histogram",
		"turns of a thread's loop by their length" },
	[TURNS_BY_CPU] = { "kvsync_turn_cpu_seconds", "histogram",
		"turns of a thread's loop by their CPU time" },
	[TURN_LONGEST] = { "kvsync_turn_longest_seconds", "gauge",
		"longest turn of a thread's loop since the start" },
	[TURN_BUSIEST] = { "kvsync_turn_busiest_seconds", "gauge",
		"most CPU time of one turn of a thread's loop since the start" },
};

static void write_turn(
	struct buf *out, enum turn_text what, const char *thread, const struct loop_turns *turns) {
	const char *name = TURNS[what].name;
	bool cpu = what == TURNS_BY_CPU || what == TURN_BUSIEST;
	const struct loop_lengths *lengths = cpu ? &turns->cpu : &turns->clock;
	if (what == TURNS_BY_CLOCK || what == TURNS_BY_CPU)
		write_lengths(out, name, thread, lengths);
	else
		buf_printf(out, "%s{thread=\"%s\"} %.6f\n", name, thread,
			(double)lengths->longest_ns / NS_PER_S);
}

/* Of all threads, one figure after the other, as the format wants it. */
static void write_turns(const struct status_options *options, const struct status_numbers *numbers,
	struct buf *out) {
	struct worker_numbers worker;
	char thread[32];
	for (enum turn_text what = 0; what < TURN_TEXTS; what++) {
		begin(out, TURNS[what].name, TURNS[what].type, TURNS[what].help);
		write_turn(out, what, "main", &numbers->turns);
		for (unsigned i = 0; i < numbers->workers; i++) {
			options->read_worker(options->arg, i, &worker);
			snprintf(thread, sizeof thread, "worker-%u", i);
			write_turn(out, what, thread, &worker.turns);
		}
	}
}

static struct load read_load(
	const struct status_options *options, const struct status_numbers *numbers) {
	struct load load = { 0 };
	struct worker_numbers worker;
	for (unsigned i = 0; i < numbers->workers; i++) {
		options->read_worker(options->arg, i, &worker);
		add_load(&load, &worker);
	}
	return load;
}

unsigned status_write_metrics(const struct status_options *options, struct buf *out_text) {
	static const char waiting[] = "kvsync_objects_waiting";
	struct status_numbers numbers;
	options->read(options->arg, &numbers);
	struct load load = read_load(options, &numbers);
	write_counters(out_text);
	number(out_text, "kvsync_ready", "1: both lists were complete once", numbers.ready);
	number(out_text, "kvsync_secretsyncs", "SecretSyncs that are known", numbers.syncs);
	number(out_text, "kvsync_secretproviderclasses", "SecretProviderClasses that are known",
		numbers.classes);
	number(out_text, "kvsync_secrets_watched",
		"1: changes of Secrets are told of at once (driftDetection: watch)",
		numbers.secrets_watched);
	write_turns(options, &numbers, out_text);
	number(out_text, "kvsync_secret_unseen_longest_seconds",
		"how long the Secret that was looked at longest ago has not been looked at",
		(uint64_t)(load.secret_unseen_ns / NS_PER_S));
	number(out_text, "kvsync_reconciles_running", "reconciles under way", load.running);
	number(out_text, "kvsync_secret_writes_waiting",
		"writes of Secrets that wait for kubeWritesPerSecond, Retry-After or a place",
		load.writes_waiting);
	number(out_text, "kvsync_vault_requests_waiting",
		"requests to vaults that wait for a limit, Retry-After or a connection",
		load.reads_waiting);
	number(out_text, "kvsync_statuses_waiting",
		"SecretSyncs whose status is still to be written", load.statuses_waiting);
	begin(out_text, waiting, "gauge", "objects that are due and wait for their turn");
	for (enum object_class class = 0; class < CLASS_COUNT; class ++) {
		buf_printf(out_text, "%s{class=\"%s\"} %llu\n", waiting, object_class_name(class),
			(unsigned long long)load.waiting[class]);
	}
	write_process(out_text);
	return HTTP_OK;
}
