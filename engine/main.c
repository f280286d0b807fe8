/* The command line of kvsync. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/check_command.h"
#include "engine/config.h"
#include "engine/nearest.h"
#include "engine/plan_command.h"
#include "engine/run.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, WRONG_USAGE = 64, TEXT_BYTES = 64 * 1024 };

static const char USAGE[] =
	"kvsync keeps Kubernetes Secrets equal to objects of Azure Key Vaults.\n"
	"\n"
	"Usage:\n"
	"  kvsync run [--config FILE] [--kubeconfig FILE [--context NAME]] [--log-level LEVEL]\n"
	"      Runs until SIGTERM or SIGINT. SIGHUP reads the configuration file again.\n"
	"  kvsync config [--config FILE]\n"
	"      Prints the configuration that holds, as a commented YAML file.\n"
	"  kvsync check FILE... [-o json] [--namespace NAME] [--config FILE] [--connect ...]\n"
	"      Judges manifests without a cluster; --connect tries the way to the vaults: kvsync "
	"help check\n"
	"  kvsync plan FILE... [-o json] [--namespace NAME] [--config FILE] [--kubeconfig FILE "
	"[--context NAME]]\n"
	"      Says what a running kvsync would change, and changes nothing: kvsync help plan\n"
	"  kvsync version\n"
	"  kvsync help [run|config|check|plan]\n"
	"\n"
	"Options:\n"
	"  --config FILE      YAML file; without it every option has its default\n"
	"  --kubeconfig FILE  how to reach the API server; without it the pod's service account, "
	"outside of a "
	"pod KUBECONFIG\n"
	"                     or ~/.kube/config\n"
	"  --context NAME     context of the kubeconfig; without it its current one\n"
	"  --log-level LEVEL  error, warn, info or debug; overrides logLevel of the file\n"
	"  --version, --help\n"
	"\n"
	"Environment: HTTPS_PROXY, NO_PROXY (vaults, Microsoft Entra and the API server), "
	"SSL_CERT_FILE, KUBECONFIG.\n";

static const char RUN_USAGE[] =
	"kvsync run [--config FILE] [--kubeconfig FILE [--context NAME]] [--log-level LEVEL]\n"
	"\n"
	"Keeps Secrets equal to the objects of Azure Key Vaults that SecretSyncs name, until "
	"SIGTERM or SIGINT. Reconciles under\n"
	"way then end, for shutdownGraceInSeconds at most; a second signal ends it at once. SIGHUP "
	"reads the configuration file\n"
	"again, and so does a change of it.\n"
	"\n"
	"  --config FILE      YAML file; without it every option has its default. kvsync help "
	"config lists its keys\n"
	"  --kubeconfig FILE  how to reach the API server; without it the pod's service account, "
	"outside of a pod KUBECONFIG\n"
	"                     or ~/.kube/config\n"
	"  --context NAME     context of the kubeconfig; without it its current one\n"
	"  --log-level LEVEL  error, warn, info or debug; overrides logLevel of the file\n"
	"\n"
	"Environment: HTTPS_PROXY, NO_PROXY (vaults, Microsoft Entra and the API server), "
	"SSL_CERT_FILE, KUBECONFIG.\n"
	"\n"
	"Exit code: 0 after SIGTERM or SIGINT, 1 it could not start, 2 the command line is "
	"wrong.\n";

static const char CHECK_USAGE[] =
	"kvsync check FILE... [-o json] [--namespace NAME] [--config FILE]\n"
	"             [--connect [--kubeconfig FILE [--context NAME]]]\n"
	"\n"
	"Reads manifests without a cluster, by the rules that a running kvsync and the API server "
	"have: SecretSync,\n"
	"SecretProviderClass, AKVSync and ServiceAccount; other kinds are counted. A FILE is a "
	"file of YAML "
	"or JSON, a folder\n"
	"(.yaml, .yml and .json in it and below), or - for standard input. A file may hold several "
	"documents and Lists.\n"
	"\n"
	"Every fault is told with file, line, field and what to do. Then, for each SecretSync "
	"without one: the vault, the\n"
	"identity, and for each key of the Secret the object and version that it is filled from. "
	"No value is ever read.\n"
	"\n"
	"  -o json            for programs: faults, notes, secretSyncs, secretProviderClasses, "
	"ignored\n"
	"  -o table           for people (this is the default)\n"
	"  --namespace NAME   of objects that do not name one (default)\n"
	"  --config FILE      the installation's configuration, for its cloudName and caFile\n"
	"  --connect          tries, for each vault and identity, DNS, route, TLS, token, and the "
	"rights to get and list;\n"
	"                     each object is read once, its value is dropped unread\n"
	"  --kubeconfig FILE  for --connect: somebody who may create serviceaccounts/token; "
	"without it the steps from the\n"
	"                     token on are skipped\n"
	"\n"
	"Exit code: 0 no fault, 1 at least one fault or failed connection, 2 the command line is "
	"wrong. Misspelt kinds,\n"
	"and files with nothing in them to check, are faults.\n";

static const char PLAN_USAGE[] =
	"kvsync plan FILE... [-o json] [--namespace NAME] [--config FILE]\n"
	"            [--kubeconfig FILE [--context NAME]]\n"
	"\n"
	"Reads manifests as kvsync check does, asks the vaults and the cluster, and says for each "
	"key of each Secret what a\n"
	"running kvsync would do once the files are applied. A class that is not in the files is "
	"looked for in the cluster, and\n"
	"so are the SecretSyncs that use a class of the files.\n"
	"\n"
	"Nothing is written. The one POST is a TokenRequest for each service account, as a running "
	"kvsync makes it. Values are\n"
	"never shown: OLD and NEW are the beginnings of HMAC-SHA-256 digests under a random key of "
	"this run, so that equal values\n"
	"look alike within one plan, and nothing can be learned from them elsewhere.\n"
	"\n"
	"Your own rights are used: create serviceaccounts/token; get secretsyncs, "
	"secretproviderclasses and secrets (without the\n"
	"last: unknown); list secretsyncs, where a file has a class.\n"
	"\n"
	"  -o json            for programs: faults, notes, secretSyncs, totals\n"
	"  -o table           for people (this is the default)\n"
	"  --namespace NAME   of objects that do not name one (default)\n"
	"  --config FILE      the installation's configuration\n"
	"  --kubeconfig FILE  how to reach the API server; without it the pod's service account, "
	"outside of a "
	"pod KUBECONFIG\n"
	"                     or ~/.kube/config. One with exec or auth-provider is refused\n"
	"  --context NAME     context of the kubeconfig; without it its current one\n"
	"\n"
	"Exit code: 0 nothing would change, 2 something would (or may: unknown), 1 a fault, a "
	"failure or a refusal, or the command\n"
	"line is wrong.\n";

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
	if (!err) err = config_check_files(&config, options->config_path, &fault);
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
	return WRONG_USAGE;
}

enum {
	OPT_CONFIG = 256,
	OPT_KUBECONFIG,
	OPT_CONTEXT,
	OPT_LOG_LEVEL,
	OPT_NAMESPACE,
	OPT_CONNECT,
	OPT_VERSION,
	OPT_HELP
};

/* What the command line says. */
struct arguments {
	struct run_options run;
	const char *instead; /* the command that an option stands for, or NULL */
	const char *ns;
	bool connect;
	const char *output; /* NULL: not said */
	char **words; /* behind the command */
	int word_count;
};

static const struct option OPTIONS[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "kubeconfig", required_argument, NULL, OPT_KUBECONFIG },
	{ "context", required_argument, NULL, OPT_CONTEXT },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "namespace", required_argument, NULL, OPT_NAMESPACE },
	{ "connect", no_argument, NULL, OPT_CONNECT },
	{ "output", required_argument, NULL, 'o' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* False: not understood, and said so. */
static bool parse_options(int argc, char **argv, struct arguments *arguments) {
	struct run_options *run = &arguments->run;
	for (int option; (option = getopt_long(argc, argv, "o:", OPTIONS, NULL)) != -1;) {
		switch (option) {
		case OPT_CONFIG:
			run->config_path = optarg;
			break;
		case OPT_KUBECONFIG:
			run->kubeconfig = optarg;
			break;
		case OPT_CONTEXT:
			run->context = optarg;
			break;
		case OPT_LOG_LEVEL:
			run->log_level = optarg;
			break;
		case OPT_NAMESPACE:
			arguments->ns = optarg;
			break;
		case OPT_CONNECT:
			arguments->connect = true;
			break;
		case 'o':
			arguments->output = optarg;
			break;
		case OPT_VERSION:
			arguments->instead = "version";
			break;
		case OPT_HELP:
			arguments->instead = "help";
			break;
		default:
			fputs("Try: kvsync help\n", stderr);
			return false;
		}
	}
	return true;
}

/* False: neither json nor table. */
static bool wants_json(const struct arguments *arguments, bool *out_json) {
	struct str output = arguments->output ? str_of(arguments->output) : STR("table");
	*out_json = str_eq(output, STR("json"));
	return *out_json || str_eq(output, STR("table"));
}

static int check_files(const struct arguments *arguments) {
	struct check_command command = {
		.files = arguments->words,
		.file_count = arguments->word_count,
		.config_path = arguments->run.config_path,
		.ns = arguments->ns,
		.connect = arguments->connect,
		.kubeconfig = arguments->run.kubeconfig,
		.context = arguments->run.context,
	};
	if (command.kubeconfig && !command.connect)
		return usage_error("check needs --kubeconfig for --connect only", NULL);
	if (!wants_json(arguments, &command.json))
		return usage_error("-o has to be json or table, not", arguments->output);
	if (command.file_count == 0)
		return usage_error("check needs a file, a folder, or - for standard input", NULL);
	return check_command(&command);
}

static int plan_files(const struct arguments *arguments) {
	struct plan_command command = {
		.files = arguments->words,
		.file_count = arguments->word_count,
		.config_path = arguments->run.config_path,
		.ns = arguments->ns,
		.kubeconfig = arguments->run.kubeconfig,
		.context = arguments->run.context,
	};
	if (arguments->connect) return usage_error("--connect is an option of check", NULL);
	if (!wants_json(arguments, &command.json))
		return usage_error("-o has to be json or table, not", arguments->output);
	if (command.file_count == 0)
		return usage_error("plan needs a file, a folder, or - for standard input", NULL);
	return plan_command(&command);
}

static int print_help_of(struct str command) {
	static const struct {
		const char *command, *text;
	} usages[] = { { "run", RUN_USAGE }, { "check", CHECK_USAGE }, { "plan", PLAN_USAGE } };
	for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
		if (!str_eq(command, str_of(usages[i].command))) continue;
		fputs(usages[i].text, stdout);
		return EXIT_OK;
	}
	return print_help(str_eq(command, STR("config")));
}

static const char *const COMMANDS[] = { "run", "config", "check", "plan", "version", "help" };

static bool is_command(struct str command) {
	for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
		if (str_eq(command, str_of(COMMANDS[i]))) return true;
	}
	return false;
}

static int no_such_command(struct str command) {
	struct nearest nearest = nearest_init(command);
	for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
		nearest_offer(&nearest, COMMANDS[i]);
	fprintf(stderr, "kvsync: there is no command %.*s%s%s%s\nTry: kvsync help\n",
		STR_ARG(command), nearest.word ? "; did you mean " : "",
		nearest.word ? nearest.word : "", nearest.word ? "?" : "");
	return WRONG_USAGE;
}

static int dispatch(struct str command, const struct arguments *arguments) {
	const struct run_options *run_options = &arguments->run;
	bool is_check = str_eq(command, STR("check")), is_plan = str_eq(command, STR("plan"));
	bool has_files = is_check || is_plan, is_help = str_eq(command, STR("help"));
	int words = has_files ? arguments->word_count : is_help ? 1 : 0;
	if (arguments->instead && str_eq(str_of(arguments->instead), STR("help")))
		return print_help_of(command);
	if (!is_command(command)) return no_such_command(command);
	if (arguments->word_count > words)
		return usage_error("this word is one too many:", arguments->words[words]);
	if (!has_files && (arguments->output || arguments->ns || arguments->connect))
		return usage_error(
			"-o, --namespace and --connect are options of check and plan", NULL);
	if (run_options->context && !run_options->kubeconfig)
		return usage_error("--context needs --kubeconfig", NULL);
	if (is_check) return check_files(arguments);
	if (is_plan) return plan_files(arguments);
	if (is_help) return print_help_of(str_of(arguments->word_count ? arguments->words[0] : ""));
	if (str_eq(command, STR("version"))) return print_version();
	if (str_eq(command, STR("config"))) return print_config(run_options);
	return run(run_options);
}

/* No core file and no debugger of another user: secrets pass through this memory. LeakSanitizer is
 * such a debugger. */
static void harden(void) {
	mem_wipe_libraries();
	mem_merge_at_free();
	thread_block_signals();
	log_catch_crashes();
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
#ifndef __SANITIZE_ADDRESS__
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* 2 says "wrong command line", but for a plan, where it says that something would change. */
static int exit_code(int code, int argc, char **argv) {
	if (code != WRONG_USAGE) return code;
	for (int i = 1; i < argc; i++) {
		if (str_eq(str_of(argv[i]), STR("plan"))) return EXIT_FAILED;
	}
	return EXIT_USAGE;
}

static int obey(int argc, char **argv) {
	struct arguments arguments = { 0 };
	if (!parse_options(argc, argv, &arguments)) return WRONG_USAGE;
	const char *command = optind < argc ? argv[optind++] : NULL;
	arguments.words = argv + optind;
	arguments.word_count = argc - optind;
	bool asked_for_help = arguments.instead && str_eq(str_of(arguments.instead), STR("help"));
	if (!command || (arguments.instead && !asked_for_help)) command = arguments.instead;
	if (!command) return usage_error("a command is missing", NULL);
	return dispatch(str_of(command), &arguments);
}

int main(int argc, char **argv) {
	harden();
	return exit_code(obey(argc, argv), argc, argv);
}
