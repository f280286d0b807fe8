/* engine/config.h - the installation's configuration: one YAML file whose keys are the product's
 * own names.
 *
 * One table of options; reading, `kvsync run --help`, `kvsync config` and docs/configuration.md all
 * come from it. A file with anything wrong in it is refused as a whole, with file, line, column,
 * what is wrong and what is allowed. Main thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/cloud.h"
#include "engine/spc.h"
#include "workers/settings.h"

struct config_place {
	unsigned line, column; /* 0: not in a file */
};

struct config {
	int64_t poll_interval_s;
	int64_t jitter_s;
	int64_t partial; /* 0 or 1 */
	int64_t events_per_s; /* 0: none */
	int64_t kube_writes_per_s; /* 0: as many as can be */
	int64_t status_writes_per_s; /* 0: as many as can be */
	int64_t condition_names; /* enum reason_names */
	int64_t drift; /* enum drift_mode */
	int64_t drift_probes_per_s;
	int64_t watch_upstream; /* 0 or 1 */
	int64_t change_detection; /* enum change_detection */
	int64_t safety_polls;
	int64_t workers;
	int64_t log_level; /* enum log_level */
	int64_t log_format; /* enum log_format */
	int64_t vault_requests_per_10s;
	int64_t vault_key_requests_per_10s;
	int64_t group_requests_per_10s;
	int64_t sharers; /* clusters that share those limits */
	char *vault_groups; /* owned; "a,b;c,d"; NULL: none */
	int64_t vault_connections;
	int64_t request_timeout_s;
	int64_t breaker_interval_s;
	int64_t shutdown_grace_s;
	int64_t status_port; /* 0: none */
	char *status_address; /* owned; numeric; NULL: every address */
	char *cloud_name; /* owned; a name that cloud_find() knows */
	char *ca_file; /* owned; NULL: SSL_CERT_FILE, else the system's */
	char *cloud_folder; /* owned; NULL: no custom clouds */
	struct config_place ca_file_at, cloud_folder_at; /* where they were set */
	char *machine_namespaces; /* owned; joined by ","; NULL: none */
};

/* Every option at its default. ERR_NOMEM. */
enum err config_init(struct config *config);
void config_deinit(struct config *config); /* idempotent */

/* Reads the text of a file into a fresh configuration: what it does not name has its default.
 * `name` is for messages. */
enum err config_parse(
	struct str text, const char *name, struct config *out_config, struct fault *fault);

/* The same from a file; ERR_IO when it cannot be read. */
enum err config_load(const char *path, struct config *out_config, struct fault *fault);

/* Whether what the configuration names is there: certificates in caFile, the cloudEnvironmentFolder. name: of its file. ERR_INVALID
 * with file, line and column. */
enum err config_check_files(const struct config *config, const char *name, struct fault *fault);

/* What tells one state of a file from another, without reading it. */
struct config_stamp {
	int64_t changed_ns, bytes;
	uint64_t inode; /* a ConfigMap is replaced behind a link */
};

/* True when the file is not as it was at the last call; the first call is never true. A file that is gone counts as unchanged:
 * it is being replaced, or its loss is told by whoever looks. */
bool config_file_changed(const char *path, struct config_stamp *stamp);

/* Sets one option from a word of the command line (--log-level debug). ERR_INVALID says what is
 * allowed. */
enum err config_set(struct config *config, const char *key, struct str value, struct fault *fault);

/* The settings that workers read; their vault_groups is borrowed from the configuration. */
struct settings config_settings(const struct config *config);

/* What classes do not say themselves; borrowed from the configuration. */
struct spc_defaults config_classes(const struct config *config);

/* The configuration as a YAML file with a comment above each key. */
void config_write(const struct config *config, struct buf *out_yaml);

/* One row per option for docs/configuration.md: key, default, what is allowed, meaning. */
void config_write_table(struct buf *out_markdown);

/* Every key, one by one from 0; NULL at the end. */
const char *config_key(unsigned index);
