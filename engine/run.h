/* engine/run.h - `kvsync run`: the process around the engine. Signals, main's loop, threads,
 * ordered end. */
#pragma once

struct run_options {
	const char *config_path; /* NULL: every option has its default */
	const char *kubeconfig; /* NULL: the pod's service account */
	const char *context; /* of the kubeconfig; NULL: its current one */
	const char *log_level; /* NULL: as configured */
};

/* Runs until SIGTERM or SIGINT. Returns the exit code: 0 after an orderly end, 1 when it could not
 * start. */
int run(const struct run_options *options);
