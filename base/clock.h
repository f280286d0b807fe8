/* base/clock.h - door 1 of 5: time. Production reads the kernel, the simulation its own virtual clock.
 *
 * mono_ns is CLOCK_BOOTTIME (goes on during suspend, never back); wall_ns is CLOCK_REALTIME (may jump).
 * One read per loop turn; everything in a turn uses that reading. Nanoseconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* "No deadline". */
#define NEVER_NS INT64_MAX

struct now {
	int64_t mono_ns;
	int64_t wall_ns;
};

struct clock {
	struct now (*read)(struct clock *clock);
};

static inline struct now clock_now(struct clock *clock) {
	return clock->read(clock);
}

/* The kernel's clocks. Static storage; any thread. */
struct clock *clock_system(void);

/* RFC 3339 in UTC with whole seconds ("2026-11-24T03:14:15Z"). */
enum { TIME_TEXT_BYTES = 32 };
void time_format(int64_t unix_s, char out_text[static TIME_TEXT_BYTES]);

/* Reads RFC 3339 (any offset, optional fraction, which is cut off). ERR_INVALID otherwise. */
enum err time_parse(struct str text, int64_t *out_unix_s);

/* Reads an HTTP date (RFC 9110 IMF-fixdate). ERR_INVALID otherwise. */
enum err time_parse_http(struct str text, int64_t *out_unix_s);
