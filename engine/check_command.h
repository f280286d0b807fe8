/* engine/check_command.h - `kvsync check`: reads what the command line names, judges it, and tells. Main thread only. */
#pragma once

#include <stdbool.h>

struct check_command {
	char **files;
	int file_count; /* at least 1 */
	const char *config_path; /* NULL: every option at its default */
	const char *ns; /* of objects that do not name one; NULL: default */
	bool json;
	bool connect; /* try the way to each vault, too */
	const char *kubeconfig; /* of connect; NULL: steps that need a token are skipped */
	const char *context; /* NULL: its current one */
};

/* The exit code: 0 nothing wrong, 1 at least one fault, a connection that failed, or it could not be done. */
int check_command(const struct check_command *command);
