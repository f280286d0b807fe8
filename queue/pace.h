/* queue/pace.h - a pace that several threads keep together: GCRA in one word, changed by compare-and-swap.
 *
 * Any window of T seconds holds at most rate * T + one second's worth. Any thread. Times are mono_ns.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
	_Atomic int64_t _tat_ns; /* atomic: relaxed; nothing else is published by it. 0 at first */
};

/* True: one may go now, and is counted. */
bool pace_take(struct pace *pace, double rate_per_s, int64_t now_ns);
