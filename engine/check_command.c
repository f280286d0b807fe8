#include "engine/check_command.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "engine/check.h"
#include "engine/config.h"
#include "engine/connect.h"
#include "engine/output.h"

enum { OUTPUT_BYTES = 256 << 20 };

static enum err print_json(const struct check_result *result, const struct connections *tried) {
	cJSON *json = NULL;
	enum err err = check_write_json(result, &json);
	if (!err && tried) err = connections_write_json(tried, json);
	if (!err) err = output_json(json);
	cJSON_Delete(json);
	return err;
}

static enum err print_table(const struct check_result *result, const struct connections *tried) {
	struct buf text;
	buf_init(&text, OUTPUT_BYTES);
	check_write_table(result, &text);
	if (tried) connections_write_table(tried, &text);
	enum err err = output_text(&text);
	buf_deinit(&text);
	return err;
}

/* Many connections take a while. */
static void tell_progress(unsigned index, unsigned count, const struct connection *connection) {
	struct buf who;
	buf_init(&who, 2048);
	check_write_identity(connection->spec, connection->spc, &who);
	fprintf(stderr, "kvsync: trying connection %u of %u: %.*s as %s\n", index + 1, count,
		STR_ARG(connection->spc->access->vault_url), buf_cstr(&who));
	buf_deinit(&who);
}

static enum err try_connections(const struct check_command *command, const struct config *config,
	const struct check_result *result, struct connections *out_tried, struct fault *fault) {
	if (!command->connect) return OK;
	struct connect_options options = {
		.kubeconfig = command->kubeconfig,
		.context = command->context,
		.ca_file = config->ca_file,
		.timeout_ns = config->request_timeout_s * NS_PER_S,
		.progress = tell_progress,
	};
	return connect_try(result, &options, out_tried, fault);
}

static enum err judge(const struct check_command *command, struct manifests *manifests,
	const struct config *config, struct check_result *out_result) {
	struct check_options options = {
		.ns = command->ns ? str_of(command->ns) : STR("default"),
		.defaults = config_classes(config),
		.paths = command->files,
		.path_count = command->file_count,
	};
	enum err err = manifests_read_all(manifests, command->files, command->file_count);
	return err ? err : check_manifests(manifests, &options, out_result);
}

int check_command(const struct check_command *command) {
	struct fault fault = { 0 };
	struct config config = { 0 };
	struct manifests manifests;
	struct check_result result = { 0 };
	struct connections tried = { 0 };
	const struct connections *told = command->connect ? &tried : NULL;
	thread_let_signals_kill();
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	manifests_init(&manifests, check_wants);
	enum err err = command->config_path ? config_load(command->config_path, &config, &fault)
					    : config_init(&config);
	if (!err) err = judge(command, &manifests, &config, &result);
	if (!err) err = try_connections(command, &config, &result, &tried, &fault);
	if (!err) err = command->json ? print_json(&result, told) : print_table(&result, told);
	if (!err && fflush(stdout)) err = ERR_IO;
	if (err) fprintf(stderr, "kvsync: %s\n", fault.text[0] ? fault.text : err_text(err));
	bool clean = !err && result.fault_count == 0 && tried.failed == 0;
	connections_deinit(&tried);
	check_result_deinit(&result);
	manifests_deinit(&manifests);
	config_deinit(&config);
	rcu_thread_unregister();
	return clean ? 0 : 1;
}
