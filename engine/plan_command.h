/* engine/plan_command.h - `kvsync plan`: reads what the command line names, plans, and tells. Main thread only. */
#pragma once

#include <stdbool.h>

struct plan_command {
	char **files;
	int file_count; /* at least 1 */
	const char *config_path; /* NULL: every option at its default */
	const char *ns; /* of objects that do not name one; NULL: default */
	bool json;
	const char *kubeconfig; /* NULL: the pod's service account */
	const char *context; /* NULL: its current one */
};

/* What scripts tell apart. */
enum { PLAN_EXIT_SAME = 0, PLAN_EXIT_FAILED = 1, PLAN_EXIT_CHANGES = 2 };

/* The exit code. */
int plan_command(const struct plan_command *command);
