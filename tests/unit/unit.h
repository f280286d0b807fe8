/* tests/unit/unit.h - cmocka and what every unit test wants beside it. */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"

/* Compares bytes, and shows both when they differ. */
#define assert_str(actual, expected) assert_str_(actual, str_of(expected), __FILE__, __LINE__)

static inline void assert_str_(struct str actual, struct str expected, const char *file, int line) {
	if (str_eq(actual, expected)) return;
	print_error("got:      %.*s\nexpected: %.*s\n", STR_ARG(actual), STR_ARG(expected));
	_fail(file, line);
}

/* True when run(arg) ends its process by abort(), as a failed assertion does. */
static inline bool aborts(void (*run)(void *arg), void *arg) {
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(STDERR_FILENO);
		run(arg);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
