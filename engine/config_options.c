#include "engine/config_options.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>

#include "base/mem.h"
#include "engine/nearest.h"
#include "engine/text.h"

static const char *const LEVELS[] = { "error", "warn", "info", "debug", NULL };
static const char *const SWITCH[] = { "false", "true", NULL };
static const char *const NAMES[] = { "preview", "current", "upstream", NULL };
static const char *const DRIFT[] = { "off", "probe", "watch", NULL };
static const char *const DETECTIONS[] = { "auto", "list", "get", NULL };
static const char *const FORMATS[] = { "logfmt", "json", NULL };

#define AT(member) offsetof(struct config, member)

const struct option_row CONFIG_OPTIONS[] = {
	{ "rotationPollIntervalInSeconds", OPTION_NUMBER, AT(poll_interval_s), 1, 604800, 3600,
		NULL, NULL,
		"Seconds between two checks of the vault for each SecretSync. A SecretSync may "
		"name an "
		"interval of its own in spec.rotationPollIntervalInSeconds." },
	{ "jitterSeconds", OPTION_NUMBER, AT(jitter_s), 0, 604800, 0, NULL, NULL,
		"Longest additional wait before each look at a SecretSync, at a poll and after a "
		"change of it alike, drawn anew each time. A new version may come later by so "
		"much." },
	{ "enablePartialSecretSync", OPTION_CHOICE, AT(partial), 0, 0, 1, NULL, SWITCH,
		"What happens when some data items of a SecretSync cannot be read. true: the "
		"others "
		"are written, and the failed ones keep their last value. false: the Secret is "
		"written only when every item was read." },
	{ "conditionNames", OPTION_CHOICE, AT(condition_names), 0, 0, REASON_NAMES_PREVIEW, NULL,
		NAMES,
		"Which names the reasons of conditions have. preview: those of the product's first "
		"documentation; current: those of its latest; upstream: those of the open "
		"controller." },
	{ "driftDetection", OPTION_CHOICE, AT(drift), 0, 0, DRIFT_PROBE, NULL, DRIFT,
		"How a Secret that somebody else has changed or deleted is noticed. probe: once "
		"per poll interval, by an empty patch that reads no value and needs no further "
		"right. watch: at once, by a watch of metadata; its right, which "
		"deploy/drift-watch grants, can read "
		"every Secret of the cluster, and without it watch works as probe. off: not before "
		"its next write." },
	{ "driftProbesPerSecond", OPTION_NUMBER, AT(drift_probes_per_s), 1, 10000, 30, NULL, NULL,
		"Such probes of all Secrets together in one second at most. Where there are more "
		"Secrets than that allows in an interval, they take turns." },
	{ "upstreamLeaseCheck", OPTION_CHOICE, AT(watch_upstream), 0, 0, 1, NULL, SWITCH,
		"true: kvsync writes nothing while the Lease of the upstream controller is being "
		"renewed in this cluster. false: it does not look." },
	{ "changeDetection", OPTION_CHOICE, AT(change_detection), 0, 0, CHANGE_AUTO, NULL,
		DETECTIONS,
		"How changes in a vault are found. list: by walking over the vault's list once per "
		"interval, 25 objects a request. get: by reading every object. auto: by listing "
		"where "
		"that takes fewer requests. Where listing is denied, objects are read." },
	{ "safetyRereadPolls", OPTION_NUMBER, AT(safety_polls), 1, 10000, 24, NULL, NULL,
		"An object whose changes are found by listing is read all the same every so many "
		"intervals, with its own identity, which may have lost its right meanwhile." },
	{ "eventsPerSecond", OPTION_NUMBER, AT(events_per_s), 0, 1000, 10, NULL, NULL,
		"Kubernetes Events at most, one where the condition Ready of a SecretSync turns; "
		"those above are dropped. 0: no Events." },
	{ "kubeWritesPerSecond", OPTION_NUMBER, AT(kube_writes_per_s), 0, 1000000, 100, NULL, NULL,
		"Writes of Secrets, and of what AKVSyncs stand for, in one second at most; after a "
		"rest a tenth of that may go at once. 0: as many as the API server takes. Whatever "
		"stands "
		"here, kvsync waits when the API server answers 429, or 503 with Retry-After." },
	{ "statusWritesPerSecond", OPTION_NUMBER, AT(status_writes_per_s), 0, 1000000, 50, NULL,
		NULL,
		"Writes of the status of SecretSyncs in one second at most, of all workers "
		"together, "
		"behind writes of Secrets. A status that has to wait is replaced by what comes "
		"after it; the last one is always written. 0: as many as the API server takes." },
	{ "workers", OPTION_NUMBER, AT(workers), 1, 64, 0, "the number of processors, at most 4",
		NULL, "Worker threads. All objects of one vault are served by one of them." },
	{ "logLevel", OPTION_CHOICE, AT(log_level), 0, 0, LOG_INFO, NULL, LEVELS,
		"The least important kind of line that is logged." },
	{ "logFormat", OPTION_CHOICE, AT(log_format), 0, 0, LOG_LOGFMT, NULL, FORMATS,
		"How a line of the log, which goes to standard error, is written." },
	{ "vaultRequestsPer10Seconds", OPTION_NUMBER, AT(vault_requests_per_10s), 10, 1000000, 2800,
		NULL, NULL,
		"Requests about secrets and certificates to one vault in ten seconds at most. "
		"Azure "
		"allows 4000 per vault to all its clients together; the default leaves 30 % of "
		"that "
		"to others." },
	{ "vaultKeyRequestsPer10Seconds", OPTION_NUMBER, AT(vault_key_requests_per_10s), 10,
		1000000, 2800, NULL, NULL,
		"The same for requests about keys, which Azure counts apart: one about an RSA key "
		"of "
		"3072 bits as 4, of 4096 bits as 8, and twice as many of keys in an HSM." },
	{ "vaultGroups", OPTION_GROUPS, AT(vault_groups), 0, 0, 0, NULL, NULL,
		"Names of vaults that share a limit because one Azure subscription has them: a "
		"list "
		"of groups, each a list of names, for example [[kv-a, kv-b], [kv-c]]." },
	{ "vaultGroupRequestsPer10Seconds", OPTION_NUMBER, AT(group_requests_per_10s), 10, 10000000,
		14000, NULL, NULL,
		"Requests to all vaults of one group together in ten seconds at most. Azure allows "
		"a "
		"subscription five times as much as a vault, 20000; the default leaves 30 % of "
		"that "
		"to others." },
	{ "clustersPerVault", OPTION_NUMBER, AT(sharers), 1, 100000, 1, NULL, NULL,
		"How many clusters with kvsync read the same vaults: each takes that part of the "
		"three limits above, and of what SecretProviderClasses ask for." },
	{ "vaultConnections", OPTION_NUMBER, AT(vault_connections), 1, 256, 16, NULL, NULL,
		"Connections to one vault at most. Each carries one request at a time." },
	{ "requestTimeoutInSeconds", OPTION_NUMBER, AT(request_timeout_s), 1, 300, 30, NULL, NULL,
		"Longest time for one request to a vault, to Microsoft Entra or to the Kubernetes "
		"API server." },
	{ "breakerIntervalInSeconds", OPTION_NUMBER, AT(breaker_interval_s), 1, 3600, 10, NULL,
		NULL,
		"While a vault, Microsoft Entra or the API server cannot be reached: seconds "
		"between two trials, of one request each." },
	{ "shutdownGraceInSeconds", OPTION_NUMBER, AT(shutdown_grace_s), 0, 600, 20, NULL, NULL,
		"After SIGTERM: how long work that has begun may go on before it is cancelled. "
		"Keep it below the "
		"pod's terminationGracePeriodSeconds." },
	{ "statusPort", OPTION_NUMBER, AT(status_port), 0, 65535, 8081, NULL, NULL,
		"Port for /livez, /readyz and /metrics, over plain HTTP; nothing there is secret. "
		"0: no such port." },
	{ "statusAddress", OPTION_ADDRESS, AT(status_address), 0, 0, 0, NULL, NULL,
		"The one IP address where statusPort listens. When left out: all of the host's or "
		"the pod's." },
	{ "cloudName", OPTION_CLOUD, AT(cloud_name), 0, 0, 0, "AzurePublicCloud", NULL,
		"The Azure cloud of SecretProviderClasses that do not name one in "
		"spec.parameters.cloudName." },
	{ "caFile", OPTION_PATH, AT(ca_file), 0, 0, 0, NULL, NULL,
		"PEM file of the certificate authorities that vaults and Microsoft Entra are "
		"checked against. "
		"When left out: the file that SSL_CERT_FILE names, else the system's." },
	{ "cloudEnvironmentFolder", OPTION_FOLDER, AT(cloud_folder), 0, 0, 0, NULL, NULL,
		"Folder of the JSON files that SecretProviderClasses with cloudName "
		"AzureStackCloud name in "
		"spec.parameters.cloudEnvFileName. Files outside of it are never read." },
	{ "managedIdentityNamespaces", OPTION_NAMES, AT(machine_namespaces), 0, 0, 0, NULL, NULL,
		"Namespaces whose SecretProviderClasses may set useVMManagedIdentity. Each of "
		"them reads vaults "
		"with the managed identity of the node that kvsync runs on, so that whoever may "
		"create a SecretSync there reads what the node may read." },
};

const unsigned CONFIG_OPTION_COUNT = sizeof CONFIG_OPTIONS / sizeof *CONFIG_OPTIONS;

const struct option_row *option_find(struct str key) {
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (str_eq(key, str_of(CONFIG_OPTIONS[i].key))) return &CONFIG_OPTIONS[i];
	}
	return NULL;
}

const char *config_key(unsigned index) {
	return index < CONFIG_OPTION_COUNT ? CONFIG_OPTIONS[index].key : NULL;
}

enum { NAMES_BYTES = 256 * 1024 };

const char *option_nearest(struct str key) {
	struct nearest nearest = nearest_init(key);
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++)
		nearest_offer(&nearest, CONFIG_OPTIONS[i].key);
	return nearest.word;
}

void option_describe(const struct option_row *option, struct buf *out_text) {
	switch (option->type) {
	case OPTION_NUMBER:
		buf_printf(
			out_text, "%lld to %lld", (long long)option->low, (long long)option->high);
		break;
	case OPTION_CHOICE:
		for (unsigned i = 0; option->choices[i]; i++) {
			const char *before = i == 0 ? "" : option->choices[i + 1] ? ", " : " or ";
			buf_printf(out_text, "%s%s", before, option->choices[i]);
		}
		break;
	case OPTION_CLOUD:
		buf_append(out_text, STR(CLOUD_NAMES));
		break;
	case OPTION_PATH:
		buf_append(out_text, STR("the path of a file"));
		break;
	case OPTION_ADDRESS:
		buf_append(out_text, STR("an IP address"));
		break;
	case OPTION_FOLDER:
		buf_append(out_text, STR("the path of a folder"));
		break;
	case OPTION_NAMES:
		buf_append(out_text, STR("a list of namespaces"));
		break;
	case OPTION_GROUPS:
		buf_append(out_text, STR("a list of at most 64 lists of vaults' names"));
		break;
	}
}

static enum err refuse(const struct option_row *option, struct str value, struct fault *fault) {
	struct buf allowed;
	buf_init(&allowed, 512);
	option_describe(option, &allowed);
	enum err err = buf_err(&allowed);
	if (!err) {
		err = fault_set(fault, ERR_INVALID, "%s has to be %s%s, not \"%.*s\"", option->key,
			option->type == OPTION_NUMBER ? "a whole number from " : "",
			buf_cstr(&allowed), (int)(value.len < 80 ? value.len : 80),
			value.ptr ? value.ptr : "");
	}
	buf_deinit(&allowed);
	return err;
}

static bool parse_choice(const struct option_row *option, struct str value, int64_t *out_index) {
	for (unsigned i = 0; option->choices[i]; i++) {
		if (!str_eq(value, str_of(option->choices[i]))) continue;
		*out_index = i;
		return true;
	}
	return false;
}

static bool is_address(struct str text) {
	char copy[INET6_ADDRSTRLEN];
	unsigned char bytes[sizeof(struct in6_addr)];
	if (text.len >= sizeof copy) return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = 0;
	return inet_pton(AF_INET, copy, bytes) == 1 || inet_pton(AF_INET6, copy, bytes) == 1;
}

static bool takes_text(const struct option_row *option, struct str value) {
	if (value.len == 0 || memchr(value.ptr, '\0', value.len)) return false;
	if (option->type == OPTION_CLOUD) return cloud_find(value) != NULL;
	if (option->type == OPTION_ADDRESS) return is_address(value);
	return option->type != OPTION_NAMES || text_is_dns_name(value);
}

/* Of names, one more. */
static enum err set_text(char **text, const struct option_row *option, struct str value) {
	struct buf joined;
	buf_init(&joined, NAMES_BYTES);
	if (option->type == OPTION_NAMES && *text) {
		buf_append(&joined, str_of(*text));
		buf_append_char(&joined, ',');
	}
	buf_append(&joined, value);
	char *copy = buf_take(&joined);
	if (!copy) return ERR_NOMEM;
	mem_free(*text);
	*text = copy;
	return OK;
}

/* Key Vault's grammar: 3 to 24 letters, digits and "-". */
static bool is_vault_name(struct str name) {
	if (name.len < 3 || name.len > 24) return false;
	for (size_t i = 0; i < name.len; i++) {
		bool good = isalnum((unsigned char)name.ptr[i]) || name.ptr[i] == '-';
		if (!good) return false;
	}
	return true;
}

/* Lower case. */
static bool is_in_groups(const char *groups, struct str name, unsigned *out_groups) {
	bool found = false;
	*out_groups = 0;
	for (struct str rest = str_of(groups); rest.ptr; ++*out_groups) {
		struct str group = str_next(&rest, ';');
		while (group.ptr) found |= str_eq(str_next(&group, ','), name);
	}
	return found;
}

enum err option_add_to_group(struct config *config, const struct option_row *option, bool is_new,
	struct str name, struct fault *fault) {
	char **text = option_text(config, option), lower[24];
	unsigned groups = 0;
	if (!is_vault_name(name)) return refuse(option, name, fault);
	for (size_t i = 0; i < name.len; i++) lower[i] = (char)tolower((unsigned char)name.ptr[i]);
	struct str plain = { lower, name.len };
	if (*text && is_in_groups(*text, plain, &groups))
		return fault_set(fault, ERR_INVALID, "%s names the vault \"%.*s\" twice",
			option->key, STR_ARG(plain));
	if (is_new && groups == VAULT_GROUPS_MOST) return refuse(option, name, fault);
	struct buf joined;
	buf_init(&joined, NAMES_BYTES);
	if (*text) {
		buf_append(&joined, str_of(*text));
		buf_append_char(&joined, is_new ? ';' : ',');
	}
	buf_append(&joined, plain);
	char *copy = buf_take(&joined);
	if (!copy) return ERR_NOMEM;
	mem_free(*text);
	*text = copy;
	return OK;
}

enum err option_set(struct config *config, const struct option_row *option, struct str value,
	struct fault *fault) {
	int64_t number = 0;
	switch (option->type) {
	case OPTION_NUMBER:
		if (str_to_i64(value, &number) || number < option->low || number > option->high)
			break;
		*option_number(config, option) = number;
		return OK;
	case OPTION_CHOICE:
		if (!parse_choice(option, value, option_number(config, option))) break;
		return OK;
	case OPTION_CLOUD:
	case OPTION_PATH:
	case OPTION_ADDRESS:
	case OPTION_FOLDER:
	case OPTION_NAMES:
		if (!takes_text(option, value)) break;
		return set_text(option_text(config, option), option, value);
	case OPTION_GROUPS:
		break;
	}
	return refuse(option, value, fault);
}
