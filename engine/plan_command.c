#include "engine/plan_command.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/metric.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "engine/check.h"
#include "engine/config.h"
#include "engine/output.h"
#include "engine/plan.h"

enum { OUTPUT_BYTES = 256 << 20 };

/* plan NULL: it could not be made. */
static enum err print_json(const struct check_result *checked, const struct plan *plan) {
	cJSON *json = cJSON_CreateObject();
	enum err err = json ? check_write_notes_json(checked, json) : ERR_NOMEM;
	if (!err && plan) err = plan_write_json(plan, json);
	if (!err) err = output_json(json);
	cJSON_Delete(json);
	return err;
}

/* What is wrong in the files is told before anybody is asked. */
static enum err print_notes(const struct check_result *checked) {
	struct buf text;
	buf_init(&text, OUTPUT_BYTES);
	check_write_notes(checked, &text);
	if (checked->note_count) buf_append_char(&text, '\n');
	enum err err = output_text(&text);
	buf_deinit(&text);
	return !err && fflush(stdout) ? ERR_IO : err;
}

static enum err print_table(const struct plan *plan) {
	struct buf text;
	buf_init(&text, OUTPUT_BYTES);
	plan_write_table(plan, &text);
	enum err err = output_text(&text);
	buf_deinit(&text);
	return err;
}

/* JSON comes as one document: where there is no plan to wait for, with the faults alone. */
static enum err make_plan(
	const struct plan_options *options, bool json, struct plan *out_plan, struct fault *fault) {
	enum err err = json ? OK : print_notes(options->checked);
	if (!err) err = plan_make(options, out_plan, fault);
	if (!err) return json ? print_json(options->checked, out_plan) : print_table(out_plan);
	if (json && options->checked->note_count && print_json(options->checked, NULL))
		return ERR_IO;
	return err;
}

static enum err judge(const struct plan_command *command, const struct config *config,
	struct manifests *manifests, struct check_result *out_checked) {
	struct check_options options = {
		.ns = command->ns ? str_of(command->ns) : STR("default"),
		.defaults = config_classes(config),
		.classes_elsewhere = true,
		.for_plan = true,
		.paths = command->files,
		.path_count = command->file_count,
	};
	enum err err = manifests_read_all(manifests, command->files, command->file_count);
	return err ? err : check_manifests(manifests, &options, out_checked);
}

static int exit_code(const struct check_result *checked, const struct plan *plan, enum err err) {
	if (err || checked->fault_count || plan_has_failures(plan)) return PLAN_EXIT_FAILED;
	return plan_has_changes(plan) ? PLAN_EXIT_CHANGES : PLAN_EXIT_SAME;
}

int plan_command(const struct plan_command *command) {
	struct fault fault = { 0 };
	struct config config = { 0 };
	struct manifests manifests;
	struct check_result checked = { 0 };
	struct plan_options options = {
		.checked = &checked,
		.config = &config,
		.kubeconfig = command->kubeconfig,
		.context = command->context,
	};
	struct plan plan = { 0 };
	thread_let_signals_kill();
	thread_set_role(ROLE_MAIN);
	rcu_thread_register();
	manifests_init(&manifests, check_wants);
	enum err err = command->config_path ? config_load(command->config_path, &config, &fault)
					    : config_init(&config);
	if (!err) err = judge(command, &config, &manifests, &checked);
	if (!err) {
		options.defaults = config_classes(&config);
		err = make_plan(&options, command->json, &plan, &fault);
	}
	if (!err && fflush(stdout)) err = ERR_IO;
	if (err) fprintf(stderr, "kvsync: %s\n", fault.text[0] ? fault.text : err_text(err));
	int code = exit_code(&checked, &plan, err);
	plan_deinit(&plan);
	check_result_deinit(&checked);
	manifests_deinit(&manifests);
	config_deinit(&config);
	rcu_thread_unregister();
	metric_destroy_all();
	return code;
}
