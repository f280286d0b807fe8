/* The command line of kvsync. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/thread.h"
#include "engine/config.h"
#include "engine/run.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, TEXT_BYTES = 64 * 1024 };

static const char USAGE[] =
	"kvsync keeps Kubernetes Secrets equal to objects of Azure Key Vaults.\n"
	"\n"
	"Usage:\n"
	"  kvsync run [--config FILE] [--kubeconfig FILE [--context NAME]] [--log-level LEVEL]\n"
	"      Runs until SIGTERM or SIGINT. SIGHUP reads the configuration file again.\n"
	"  kvsync config [--config FILE]\n"
	"      Prints the configuration that holds, as a commented YAML file.\n"
	"  kvsync version\n"
	"  kvsync help\n"
	"\n"
	"Options:\n"
	"  --config FILE      YAML file; without it every option has its default\n"
	"  --kubeconfig FILE  how to reach the API server; without it the pod's service account\n"
	"  --context NAME     context of the kubeconfig; without it its current one\n"
	"  --log-level LEVEL  error, warn, info or debug; overrides logLevel of the file\n"
	"  --version, --help\n"
	"\n"
	"Environment: HTTPS_PROXY, NO_PROXY (vaults, Microsoft Entra and the API server), "
	"SSL_CERT_FILE.\n";

static int print_help(bool with_options) {
	struct buf table;
	buf_init(&table, TEXT_BYTES);
	struct config config = { 0 };
	enum err err = with_options ? config_init(&config) : OK;
	if (!err && with_options) config_write(&config, &table);
	if (!err) err = buf_err(&table);
	fputs(USAGE, stdout);
	if (!err && with_options)
		printf("\nKeys of the configuration file, at their defaults:\n\n%s",
			buf_cstr(&table));
	config_deinit(&config);
	buf_deinit(&table);
	return err ? EXIT_FAILED : EXIT_OK;
}

static int print_version(void) {
	puts("kvsync " KVSYNC_VERSION);
	return EXIT_OK;
}

static int print_config(const struct run_options *options) {
	struct fault fault = { 0 };
	struct config config = { 0 };
	struct buf text;
	buf_init(&text, TEXT_BYTES);
	enum err err = options->config_path ? config_load(options->config_path, &config, &fault)
					    : config_init(&config);
	if (!err && options->log_level)
		err = config_set(&config, "logLevel", str_of(options->log_level), &fault);
	if (!err) config_write(&config, &text);
	if (!err) err = buf_err(&text);
	if (err)
		fprintf(stderr, "kvsync: %s\n", fault.text[0] ? fault.text : err_text(err));
	else
		fputs(buf_cstr(&text), stdout);
	buf_deinit(&text);
	config_deinit(&config);
	return err ? EXIT_FAILED : EXIT_OK;
}

static int usage_error(const char *what, const char *word) {
	fprintf(stderr, "kvsync: %s%s%s\nTry: kvsync help\n", what, word ? " " : "",
		word ? word : "");
	return EXIT_USAGE;
}

enum { OPT_CONFIG = 256, OPT_KUBECONFIG, OPT_CONTEXT, OPT_LOG_LEVEL, OPT_VERSION, OPT_HELP };

static const struct option OPTIONS[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "kubeconfig", required_argument, NULL, OPT_KUBECONFIG },
	{ "context", required_argument, NULL, OPT_CONTEXT },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* Fills the options; the word for a command that an option stands for, or NULL. False: not
 * understood, and said so. */
static bool parse_options(
	int argc, char **argv, struct run_options *options, const char **out_command) {
	for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
		switch (option) {
		case OPT_CONFIG:
			options->config_path = optarg;
			break;
		case OPT_KUBECONFIG:
			options->kubeconfig = optarg;
			break;
		case OPT_CONTEXT:
			options->context = optarg;
			break;
		case OPT_LOG_LEVEL:
			options->log_level = optarg;
			break;
		case OPT_VERSION:
			*out_command = "version";
			break;
		case OPT_HELP:
			*out_command = "help";
			break;
		default:
			fputs("Try: kvsync help\n", stderr);
			return false;
		}
	}
	return true;
}

static int dispatch(struct str command, const struct run_options *options, bool asked_for_help) {
	if (asked_for_help)
		return print_help(str_eq(command, STR("run")) || str_eq(command, STR("config")));
	if (str_eq(command, STR("version"))) return print_version();
	if (str_eq(command, STR("help"))) return print_help(false);
	if (str_eq(command, STR("config"))) return print_config(options);
	if (!str_eq(command, STR("run"))) return usage_error("there is no command", command.ptr);
	if (options->context && !options->kubeconfig)
		return usage_error("--context needs --kubeconfig", NULL);
	return run(options);
}

/* No core file and no debugger of another user: secrets pass through this memory. LeakSanitizer is
 * such a debugger. */
static void harden(void) {
	mem_wipe_libraries();
	thread_block_signals();
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
#ifndef __SANITIZE_ADDRESS__
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

int main(int argc, char **argv) {
	harden();
	struct run_options options = { 0 };
	const char *instead = NULL;
	if (!parse_options(argc, argv, &options, &instead)) return EXIT_USAGE;
	const char *command = optind < argc ? argv[optind++] : NULL;
	if (optind < argc) return usage_error("this word is one too many:", argv[optind]);
	bool asked_for_help = instead && str_eq(str_of(instead), STR("help"));
	if (!command || (instead && !asked_for_help)) command = instead;
	if (!command) return usage_error("a command is missing", NULL);
	return dispatch(str_of(command), &options, asked_for_help);
}
