#include "engine/config.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/config_options.h"
#include "engine/doc.h"

enum { FILE_BYTES = 64 * 1024, WORKERS_MOST = 4 };

static int64_t default_workers(void) {
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	if (processors < 1) return 1;
	return processors < WORKERS_MOST ? processors : WORKERS_MOST;
}

enum err config_init(struct config *config) {
	struct config fresh = { 0 };
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct option_row *option = &CONFIG_OPTIONS[i];
		if (option->type == OPTION_NUMBER || option->type == OPTION_CHOICE) {
			*option_number(&fresh, option) = option->initial;
			continue;
		}
		if (!option->initial_text) continue;
		*option_text(&fresh, option) = mem_strdup(str_of(option->initial_text));
		if (*option_text(&fresh, option)) continue;
		config_deinit(&fresh);
		return ERR_NOMEM;
	}
	fresh.workers = default_workers();
	*config = fresh;
	return OK;
}

void config_deinit(struct config *config) {
	mem_free(config->cloud_name);
	mem_free(config->ca_file);
	mem_free(config->status_address);
	mem_free(config->cloud_folder);
	mem_free(config->machine_namespaces);
	mem_free(config->vault_groups);
	*config = (struct config){ 0 };
}

/* Puts "file:line:column: " in front of what a fault says. */
static enum err place_fault(
	struct fault *fault, enum err err, const char *name, unsigned line, unsigned column) {
	if (err == OK || err == ERR_NOMEM) return err;
	return fault_prefix(fault, err, "%s:%u:%u", name, line, column);
}

static enum err refuse_key(struct str key, struct fault *fault) {
	struct buf text;
	buf_init(&text, 2048);
	const char *nearest = option_nearest(key);
	if (nearest)
		buf_printf(&text, "; did you mean \"%s\"?", nearest);
	else
		buf_append(&text, STR("; the keys are"));
	for (unsigned i = 0; !nearest && i < CONFIG_OPTION_COUNT; i++) {
		buf_printf(&text, "%s %s", i ? "," : "", CONFIG_OPTIONS[i].key);
	}
	enum err err = buf_err(&text);
	if (!err) {
		err = fault_set(fault, ERR_INVALID, "unknown key \"%.*s\"%s",
			(int)(key.len < 80 ? key.len : 80), key.ptr, buf_cstr(&text));
	}
	buf_deinit(&text);
	return err;
}

/* An empty list is as good as none. */
static enum err take_list(struct config *config, const struct option_row *option,
	const struct doc *doc, const struct doc_node *list, struct fault *fault) {
	for (unsigned i = list->first; i; i = doc->nodes[i].next) {
		const struct doc_node *entry = doc_at(doc, i);
		bool plain = entry->kind == DOC_SCALAR && !doc_is_null(entry);
		enum err err = plain ? option_set(config, option, entry->text, fault)
				     : fault_set(fault, ERR_INVALID,
					       "%s takes a list of plain names", option->key);
		if (err) return err;
	}
	return OK;
}

/* A list of lists of names. Empty ones count for nothing. */
static enum err take_groups(struct config *config, const struct option_row *option,
	const struct doc *doc, const struct doc_node *list, struct fault *fault) {
	enum err err = list->kind == DOC_SEQUENCE ? OK : ERR_INVALID;
	for (unsigned g = list->first; g && !err; g = doc->nodes[g].next) {
		const struct doc_node *group = doc_at(doc, g);
		bool is_new = true;
		if (group->kind != DOC_SEQUENCE) err = ERR_INVALID;
		for (unsigned i = err ? 0 : group->first; i && !err; i = doc->nodes[i].next) {
			const struct doc_node *name = doc_at(doc, i);
			if (name->kind != DOC_SCALAR || doc_is_null(name)) {
				err = ERR_INVALID;
				break;
			}
			err = option_add_to_group(config, option, is_new, name->text, fault);
			if (err) return err;
			is_new = false;
		}
	}
	return err ? fault_set(fault, err,
			     "%s takes a list of groups, each a list of vaults' names: [[a, b], "
			     "[c]]",
			     option->key)
		   : OK;
}

/* A number has to be a plain one: "3600" in quotes is a text. */
static enum err take_value(struct config *config, const struct option_row *option,
	const struct doc *doc, const struct doc_node *value, struct fault *fault) {
	if (option->type == OPTION_NAMES && value->kind == DOC_SEQUENCE)
		return take_list(config, option, doc, value, fault);
	if (option->type == OPTION_GROUPS) return take_groups(config, option, doc, value, fault);
	if (value->kind != DOC_SCALAR) {
		return fault_set(fault, ERR_INVALID, "%s takes one value, not a %s", option->key,
			value->kind == DOC_MAPPING ? "mapping" : "list");
	}
	if (doc_is_null(value)) {
		return fault_set(fault, ERR_INVALID,
			"%s has no value; give it one, or take the line out", option->key);
	}
	if (option->type == OPTION_NUMBER && value->is_string) {
		return fault_set(fault, ERR_INVALID,
			"%s takes a number, not a text; take the quotes away", option->key);
	}
	return option_set(config, option, value->text, fault);
}

static enum err take_keys(
	struct config *config, const struct doc *doc, const char *name, struct fault *fault) {
	const struct doc_node *root = doc_at(doc, DOC_ROOT);
	if (!root || doc_is_null(root)) return OK;
	if (root->kind != DOC_MAPPING) {
		enum err err = fault_set(fault, ERR_INVALID,
			"a configuration is a mapping, one \"key: value\" per line");
		return place_fault(fault, err, name, root->line, root->column);
	}
	for (unsigned i = root->first; i; i = doc->nodes[doc->nodes[i].next].next) {
		const struct doc_node *key = doc_at(doc, i);
		const struct doc_node *value = doc_at(doc, doc->nodes[i].next);
		const struct option_row *option = option_find(key->text);
		const struct doc_node *place = option ? value : key;
		enum err err = option ? take_value(config, option, doc, value, fault)
				      : refuse_key(key->text, fault);
		if (err) return place_fault(fault, err, name, place->line, place->column);
		struct config_place at = { value->line, value->column };
		if (str_eq(key->text, STR("caFile"))) config->ca_file_at = at;
		if (str_eq(key->text, STR("cloudEnvironmentFolder"))) config->cloud_folder_at = at;
	}
	return OK;
}

/* Certificates in a PEM file, up to the first that cannot be read. */
static unsigned count_certificates(FILE *file) {
	unsigned count = 0;
	for (X509 *one; (one = PEM_read_X509(file, NULL, NULL, NULL)); count++) X509_free(one);
	ERR_clear_error();
	return count;
}

static enum err check_ca_file(const char *path, struct fault *fault) {
	FILE *file = fopen(path, "re");
	if (!file)
		return fault_set(
			fault, ERR_INVALID, "caFile %s: cannot be read: %s", path, strerror(errno));
	unsigned count = count_certificates(file);
	fclose(file);
	if (count) return OK;
	return fault_set(fault, ERR_INVALID,
		"caFile %s: has no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path);
}

static enum err check_folder(const char *path, struct fault *fault) {
	struct stat facts;
	if (stat(path, &facts) != 0)
		return fault_set(fault, ERR_INVALID,
			"cloudEnvironmentFolder %s: cannot be read: %s", path, strerror(errno));
	if (S_ISDIR(facts.st_mode) && access(path, R_OK | X_OK) == 0) return OK;
	return fault_set(fault, ERR_INVALID, "cloudEnvironmentFolder %s: %s", path,
		S_ISDIR(facts.st_mode) ? "may not be read" : "is no folder");
}

enum err config_check_files(const struct config *config, const char *name, struct fault *fault) {
	enum err err = config->ca_file ? check_ca_file(config->ca_file, fault) : OK;
	struct config_place at = config->ca_file_at;
	if (!err && config->cloud_folder) {
		err = check_folder(config->cloud_folder, fault);
		at = config->cloud_folder_at;
	}
	return err ? place_fault(fault, err, name, at.line, at.column) : OK;
}

enum err config_parse(
	struct str text, const char *name, struct config *out_config, struct fault *fault) {
	static const struct doc_limits limits = {
		.bytes = FILE_BYTES,
		.nodes = 8192,
		.depth = 4,
		.keys = 128,
		.only_document = true,
	};
	struct config config = { 0 };
	struct doc doc = { 0 };
	struct doc_place place;
	enum err err = doc_parse(text, &limits, &doc, &place, fault);
	if (err) {
		err = place_fault(fault, err, name, place.line, place.column);
		goto out;
	}
	err = config_init(&config);
	if (!err) err = take_keys(&config, &doc, name, fault);
	if (!err) *out_config = config, config = (struct config){ 0 };
out:
	if (err == ERR_NOMEM) err = fault_set(fault, err, "%s: out of memory", name);
	doc_deinit(&doc);
	config_deinit(&config);
	return err;
}

enum err config_load(const char *path, struct config *out_config, struct fault *fault) {
	char *text = mem_alloc(FILE_BYTES + 1);
	if (!text) return fault_set(fault, ERR_NOMEM, "%s: out of memory", path);
	errno = 0;
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(text, 1, FILE_BYTES + 1, file) : 0;
	enum err err = OK;
	if (!file || ferror(file))
		err = fault_set(fault, ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
	if (file) fclose(file);
	if (!err) err = config_parse((struct str){ text, len }, path, out_config, fault);
	mem_free(text);
	return err;
}

bool config_file_changed(const char *path, struct config_stamp *stamp) {
	struct stat file;
	if (stat(path, &file) != 0) return false;
	struct config_stamp now = {
		.changed_ns = file.st_mtim.tv_sec * NS_PER_S + file.st_mtim.tv_nsec,
		.bytes = file.st_size,
		.inode = file.st_ino,
	};
	bool known = stamp->inode != 0;
	bool same = now.changed_ns == stamp->changed_ns && now.bytes == stamp->bytes &&
		    now.inode == stamp->inode;
	*stamp = now;
	return known && !same;
}

enum err config_set(struct config *config, const char *key, struct str value, struct fault *fault) {
	const struct option_row *option = option_find(str_of(key));
	assert(option);
	return option_set(config, option, value, fault);
}

struct spc_defaults config_classes(const struct config *config) {
	return (struct spc_defaults){
		.cloud = cloud_find(str_of(config->cloud_name)),
		.cloud_folder = config->cloud_folder,
		.machine_namespaces = config->machine_namespaces,
	};
}

struct settings config_settings(const struct config *config) {
	struct settings settings = settings_default();
	settings.poll_interval_ns = config->poll_interval_s * NS_PER_S;
	settings.jitter_ns = config->jitter_s * NS_PER_S;
	settings.partial = config->partial;
	settings.events_per_s = (double)config->events_per_s;
	settings.status_writes_per_s = (double)config->status_writes_per_s;
	settings.kube_writes_per_s = (double)config->kube_writes_per_s;
	settings.names = (enum reason_names)config->condition_names;
	settings.drift = (enum drift_mode)config->drift;
	settings.drift_probes_per_s = (double)config->drift_probes_per_s;
	settings.change_detection = (enum change_detection)config->change_detection;
	settings.safety_polls = (unsigned)config->safety_polls;
	double sharers = (double)config->sharers, burst = settings.vault_burst;
	struct rate vault = rate_of((double)config->vault_requests_per_10s / sharers, burst);
	struct rate keys = rate_of((double)config->vault_key_requests_per_10s / sharers, burst);
	settings.vault_rate_per_s = vault.per_s;
	settings.vault_burst = vault.burst;
	settings.vault_key_rate_per_s = keys.per_s;
	settings.vault_key_burst = keys.burst;
	settings.clusters_per_vault = sharers;
	settings.group_per_10s = (double)config->group_requests_per_10s / sharers;
	settings.vault_groups = config->vault_groups;
	settings.vault_connections = (unsigned)config->vault_connections;
	settings.request_timeout_ns = config->request_timeout_s * NS_PER_S;
	settings.kube_timeout_ns = config->request_timeout_s * NS_PER_S;
	settings.breaker_interval_ns = config->breaker_interval_s * NS_PER_S;
	return settings;
}
