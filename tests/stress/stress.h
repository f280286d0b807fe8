/* tests/stress/stress.h - checks that hold in every thread, and how much work a run does. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

/* Unlike assert() this names the values, and no build can switch it off. */
#define check(condition, ...)                                             \
	do {                                                              \
		if (condition) break;                                     \
		fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
		fprintf(stderr, __VA_ARGS__);                             \
		fputc('\n', stderr);                                      \
		abort();                                                  \
	} while (0)
