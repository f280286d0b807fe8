#include "engine/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "clients/http_curl.h"
#include "engine/config.h"
#include "engine/engine.h"
#include "engine/reach.h"
#include "engine/status_server.h"

/* Four watches have a connection each. */
enum { ARENA_BYTES = 4 << 20, KUBE_CONNECTIONS = 5 };

/* Everything that main owns, in the order in which it is made. */
struct process {
	const struct run_options *options;
	struct config config;
	struct secret_arena *arena;
	struct reach reach;
	struct http_site azure, imds;
	struct loop *loop;
	struct engine *engine;
	struct status_server *status; /* NULL: none */
	struct loop_fd signals; /* fd -1: none */
	struct config_stamp config_stamp;
	int64_t look_at_config_ns;
	bool config_gone; /* the file; told */
	bool has_curl, stopping;
};

static const int64_t LOOK_AT_CONFIG_NS = 2 * NS_PER_S;

/* --- configuration --- */

static enum err load_config(
	const struct run_options *options, struct config *out_config, struct fault *fault) {
	enum err err = options->config_path ? config_load(options->config_path, out_config, fault)
					    : config_init(out_config);
	if (err || !options->log_level) return err;
	err = config_set(out_config, "logLevel", str_of(options->log_level), fault);
	if (err) {
		err = fault_prefix(fault, err, "--log-level");
		config_deinit(out_config);
	}
	return err;
}

static enum err load_first_config(struct process *process, struct fault *fault) {
	const char *path = process->options->config_path;
	/* What is written from now on is read by the first look. */
	if (path) config_file_changed(path, &process->config_stamp);
	enum err err = load_config(process->options, &process->config, fault);
	return err ? err : config_check_files(&process->config, path, fault);
}

static bool same_text(const char *a, const char *b) {
	return (!a && !b) || (a && b && str_eq(str_of(a), str_of(b)));
}

static void tell_restart(const char *key, bool same) {
	if (!same) log_warn("this change of the configuration needs a restart", kv("key", key));
}

/* What needs a restart stays as it was, for whatever is made from now on, too. */
static struct settings settings_of(const struct config *fresh, const struct config *old) {
	struct settings settings = config_settings(fresh);
	settings.names = (enum reason_names)old->condition_names;
	settings.vault_connections = (unsigned)old->vault_connections;
	return settings;
}

static enum err set_settings(struct process *process, const struct config *fresh) {
	struct settings settings = settings_of(fresh, &process->config);
	return engine_set_settings(process->engine, &settings);
}

/* SIGHUP, or another file: it is taken as a whole, or not at all. */
static void reload_config(struct process *process) {
	struct fault fault = { 0 };
	struct config fresh = { 0 };
	const struct config *old = &process->config;
	const char *path = process->options->config_path;
	/* What is read now is not read again for having changed. */
	if (path) config_file_changed(path, &process->config_stamp);
	enum err err = load_config(process->options, &fresh, &fault);
	if (!err) err = config_check_files(&fresh, path, &fault);
	if (!err) err = set_settings(process, &fresh);
	if (err) {
		log_error("configuration not read again; the old one holds",
			kv("detail", fault.text[0] ? fault.text : err_text(err)));
		config_deinit(&fresh);
		return;
	}
	tell_restart("conditionNames", fresh.condition_names == old->condition_names);
	tell_restart("upstreamLeaseCheck", fresh.watch_upstream == old->watch_upstream);
	tell_restart("workers", fresh.workers == old->workers);
	tell_restart("logLevel", fresh.log_level == old->log_level);
	tell_restart("logFormat", fresh.log_format == old->log_format);
	tell_restart("vaultConnections", fresh.vault_connections == old->vault_connections);
	tell_restart("statusPort", fresh.status_port == old->status_port);
	tell_restart("statusAddress", same_text(fresh.status_address, old->status_address));
	tell_restart("cloudName", same_text(fresh.cloud_name, old->cloud_name));
	tell_restart("caFile", same_text(fresh.ca_file, old->ca_file));
	tell_restart("cloudEnvironmentFolder", same_text(fresh.cloud_folder, old->cloud_folder));
	tell_restart("managedIdentityNamespaces",
		same_text(fresh.machine_namespaces, old->machine_namespaces));
	/* Main's own pieces keep pointing into the first one: only what needs no restart is taken
	 * over. */
	process->config.poll_interval_s = fresh.poll_interval_s;
	process->config.shutdown_grace_s = fresh.shutdown_grace_s;
	config_deinit(&fresh);
	log_info("configuration read again",
		kv_int("rotationPollIntervalInSeconds", process->config.poll_interval_s));
}

static void tell_gone(struct process *process, const char *path) {
	bool gone = access(path, F_OK) != 0;
	if (gone && !process->config_gone)
		log_warn("the configuration file is gone; what it said still holds",
			kv("file", path));
	process->config_gone = gone;
}

/* A ConfigMap is replaced without a signal. */
static int64_t look_at_config(struct process *process, int64_t now_ns) {
	const char *path = process->options->config_path;
	if (!path) return NEVER_NS;
	if (now_ns >= process->look_at_config_ns) {
		tell_gone(process, path);
		if (config_file_changed(path, &process->config_stamp)) reload_config(process);
		process->look_at_config_ns = now_ns + LOOK_AT_CONFIG_NS;
	}
	return process->look_at_config_ns;
}

/* --- the API token --- */

static void refresh_token(void *arg, bool rejected) {
	struct process *process = arg;
	struct fault fault = { 0 };
	bool changed = false;
	const char *file = process->reach.access.token_file;
	if (!file) {
		if (rejected) log_error("the API server does not accept our credentials");
		return;
	}
	enum err err = reach_refresh(&process->reach, process->arena, &changed, &fault);
	if (err) {
		log_error("API token not read again", kv("file", file),
			kv("detail", fault.text[0] ? fault.text : err_text(err)));
	} else if (rejected && !changed) {
		log_error("the API server does not accept our token", kv("file", file));
	} else if (changed) {
		log_debug("API token read again", kv("file", file));
	}
}

/* --- the five doors --- */

static struct loop *make_loop(void *arg, unsigned index) {
	(void)arg;
	(void)index;
	return loop_create(clock_system());
}

static struct http *make_http(void *arg, unsigned index, struct loop *loop) {
	(void)arg;
	(void)index;
	return http_curl_create(loop);
}

static void wake_main(void *arg) {
	loop_wake(((struct process *)arg)->loop);
}

/* --- signals --- */

/* From here on a second signal has its default action: it ends the process at once. */
static void let_signals_kill(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void signal_ready(struct loop_fd *watch, uint32_t events) {
	struct process *process = container_of(watch, struct process, signals);
	struct signalfd_siginfo info;
	(void)events;
	while (read(watch->fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP) {
			reload_config(process);
			continue;
		}
		log_info("stopping", kv("signal", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"),
			kv_int("grace_s", process->config.shutdown_grace_s));
		process->stopping = true;
	}
}

static enum err watch_signals(struct process *process) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	process->signals = (struct loop_fd){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.events = EPOLLIN,
		.ready = signal_ready,
	};
	return process->signals.fd < 0 ? ERR_IO : loop_add(process->loop, &process->signals);
}

/* --- start --- */

static enum err reach_server(struct process *process, struct fault *fault) {
	const struct run_options *options = process->options;
	return reach_init(&process->reach, options->kubeconfig, options->context, KUBE_CONNECTIONS,
		process->arena, fault);
}

static enum err make_engine(struct process *process) {
	process->azure = (struct http_site){
		.name = "azure",
		.version = HTTP_VERSION_1_1,
		.use_proxy = true,
		.ca_file = process->config.ca_file,
		.max_connections = (unsigned)process->config.vault_connections,
	};
	process->imds = (struct http_site){
		.name = "imds",
		.version = HTTP_VERSION_1_1,
		.allow_http = true,
		.max_connections = 1,
	};
	struct http *http = http_curl_create(process->loop);
	if (!http) return ERR_NOMEM;
	struct pool_doors doors = {
		.clock = clock_system(),
		.make_loop = make_loop,
		.make_http = make_http,
		.wake_main = wake_main,
		.arg = process,
	};
	struct engine_options options = {
		.pool.workers = (unsigned)process->config.workers,
		.pool.kube = &process->reach.kube,
		.pool.azure = &process->azure,
		.pool.imds = &process->imds,
		.pool.settings = config_settings(&process->config),
		.pool.doors = doors,
		.http = http,
		.classes = config_classes(&process->config),
		.refresh_token = refresh_token,
		.watch_upstream = process->config.watch_upstream,
		.arg = process,
	};
	return engine_create(&options, &process->engine);
}

/* --- the status port: called by its thread --- */

static void read_process(void *arg, struct status_numbers *out_numbers) {
	const struct process *process = arg;
	struct engine_numbers numbers;
	engine_read_numbers(process->engine, &numbers);
	*out_numbers = (struct status_numbers){
		.ready = numbers.ready,
		.secrets_watched = numbers.secrets_watched,
		.syncs = numbers.syncs,
		.classes = numbers.classes,
		.workers = (unsigned)process->config.workers,
	};
	loop_read_turns(process->loop, &out_numbers->turns);
}

static void read_worker(void *arg, unsigned index, struct worker_numbers *out_numbers) {
	const struct process *process = arg;
	worker_read_numbers(pool_worker(engine_pool(process->engine), index), out_numbers);
}

static enum err start_status(struct process *process, struct fault *fault) {
	struct status_options options = {
		.port = (unsigned)process->config.status_port,
		.address = process->config.status_address,
		.clock = clock_system(),
		.read = read_process,
		.read_worker = read_worker,
		.arg = process,
	};
	if (!options.port) return OK;
	enum err err = status_server_start(&options, &process->status, fault);
	return err ? fault_prefix(fault, err, "statusPort") : OK;
}

static void tell_start(const struct process *process) {
	const struct run_options *options = process->options;
	log_info("starting", kv("version", KVSYNC_VERSION),
		kv("server", process->reach.access.server),
		kv("access", process->reach.access.description),
		kv("namespace", process->reach.access.ns),
		kv("config", options->config_path ? options->config_path : "defaults"),
		kv_int("workers", process->config.workers),
		kv_int("rotationPollIntervalInSeconds", process->config.poll_interval_s));
	if (!secret_arena_locked(process->arena)) {
		log_warn("memory of secrets cannot be locked and may be swapped out; raise the "
			 "limit of locked memory "
			 "(RLIMIT_MEMLOCK) or turn swap off");
	}
}

static enum err start(struct process *process, struct fault *fault) {
	enum err err = load_first_config(process, fault);
	if (err) return err;
	log_setup((enum log_level)process->config.log_level,
		(enum log_format)process->config.log_format);
	err = http_curl_global_init();
	process->has_curl = err == OK;
	process->arena = err ? NULL : secret_arena_create(ARENA_BYTES);
	process->loop = err ? NULL : loop_create(clock_system());
	if (!err && (!process->arena || !process->loop)) err = ERR_NOMEM;
	if (!err) err = reach_server(process, fault);
	if (!err) tell_start(process);
	if (!err) err = make_engine(process);
	if (!err) err = watch_signals(process);
	if (!err) err = start_status(process, fault);
	return err ? err : pool_start(engine_pool(process->engine));
}

/* --- end --- */

/* The status port reads the others, so it goes first: kubelets do not probe a pod that ends. Then
 * workers, since they use everything else; then what is left, youngest first. */
static void finish(struct process *process) {
	status_server_stop(process->status);
	if (process->engine)
		engine_stop(process->engine, process->config.shutdown_grace_s * NS_PER_S);
	engine_destroy(process->engine);
	if (process->signals.fd >= 0) {
		loop_remove(process->loop, &process->signals);
		close(process->signals.fd);
	}
	loop_destroy(process->loop);
	reach_deinit(&process->reach);
	secret_arena_destroy(process->arena);
	if (process->has_curl) http_curl_global_deinit();
	config_deinit(&process->config);
}

int run(const struct run_options *options) {
	struct process process = { .options = options, .signals.fd = -1 };
	struct fault fault = { 0 };
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	mem_keep_blocks(true);
	enum err err = start(&process, &fault);
	if (err) fprintf(stderr, "kvsync: %s\n", fault.text[0] ? fault.text : err_text(err));
	while (!err && !process.stopping) {
		struct now now = loop_now(process.loop);
		int64_t look_ns = look_at_config(&process, now.mono_ns);
		int64_t deadline_ns = engine_turn(process.engine, now);
		loop_wait(process.loop, look_ns < deadline_ns ? look_ns : deadline_ns);
	}
	let_signals_kill();
	finish(&process);
	if (!err) log_info("stopped");
	mem_keep_blocks(false);
	rcu_thread_unregister();
	metric_destroy_all();
	return err ? 1 : 0;
}
