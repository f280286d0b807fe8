/* perf/micro/micro.h - one line per figure: ours, and beside it a limit or a well-known library, in the same run. */
#pragma once

#include <time.h>

#include "base/clock.h"

/* CPU time of the calling thread. */
static inline int64_t micro_cpu_ns(void) {
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * NS_PER_S + time.tv_nsec;
}

/* Tells what `count` operations took, ours and theirs. `reference` says what theirs is. */
void micro_tell(const char *name, int64_t ours_ns, const char *reference, int64_t theirs_ns, unsigned count);

/* One HTTPS exchange with a server on loopback. */
void micro_https(void);
