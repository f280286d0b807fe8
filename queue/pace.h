/* queue/pace.h - a pace that several threads keep together: GCRA in one word, changed by compare-and-swap.
 *
 * Any window of T seconds holds at most rate * T + burst, and one more for each slot that waits in another thread.
 * Any thread; a slot has one owner. Times are mono_ns.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
	_Atomic int64_t _tat_ns; /* atomic: relaxed; nothing else is published by it. 0 at first */
};

/* One thread's place in the order of those who wait. Zeroed at first. */
struct pace_slot {
	int64_t _at_ns; /* the moment that was given to it; 0: none */
};

/* True: one may go now, and is counted. The burst is one second's worth. */
bool pace_take(struct pace *pace, double rate_per_s, int64_t now_ns);

/* 0: one may go now. Otherwise how long to wait (ns, > 0): it has been counted, and its moment is kept in the slot until it is
 * asked for again, so that nobody who comes later overtakes and nobody starves. burst: at least 1. */
int64_t pace_wait_ns(
	struct pace *pace, struct pace_slot *slot, double rate_per_s, double burst, int64_t now_ns);

/* What was counted ahead is forgotten: one who had a moment in it, and whose rate or pace becomes another, gives his slot up and
 * calls this. Once everybody has done so nobody waits for a moment that the old rate gave; a burst may go anew. */
void pace_renew(struct pace *pace, int64_t now_ns);

/* Until when a server has asked to be left alone, for all threads that ask it. */
struct pause {
	_Atomic int64_t _until_ns; /* atomic: relaxed; nothing else is published by it. 0: never */
};

/* Nothing goes before until_ns; an earlier moment than the one that holds changes nothing. */
void pause_extend(struct pause *pause, int64_t until_ns);
int64_t pause_until_ns(const struct pause *pause);

/* A right that one thread at a time has. True: it was nobody's, and is the caller's until until_ns, or until he gives it back. */
bool pause_claim(struct pause *pause, int64_t now_ns, int64_t until_ns);
void pause_end(struct pause *pause);
