/* base/loop.h - door 4 of 5: waiting. One epoll per thread; sockets, one wake-up eventfd, a deadline.
 *
 * It stands in base/ because both the HTTP client (clients/) and the workers wait on it.
 *
 *                | any thread | owner |
 *   loop_wake    |     x      |   x   |   wait-free
 *   loop_read_*  |     x      |   x   |   wait-free
 *   all others   |            |   x   |
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct loop;

/* Embedded by whoever waits for a descriptor; must stay in place while it is added. */
struct loop_fd {
	int fd;
	uint32_t events; /* EPOLLIN | EPOLLOUT */
	void (*ready)(struct loop_fd *watch, uint32_t events);
};

struct loop *loop_create(
	struct clock *clock); /* keeps clock; NULL when out of memory or descriptors */
void loop_destroy(struct loop *loop); /* NULL is fine; descriptors are the callers' */

enum err loop_add(struct loop *loop, struct loop_fd *watch);
enum err loop_change(struct loop *loop, struct loop_fd *watch, uint32_t events);
/* Safe at any time, also for a descriptor that is closed already, and from inside any ready(): no event of a removed
 * watch is delivered afterwards. */
void loop_remove(struct loop *loop, struct loop_fd *watch);

/* Makes the next (or current) loop_wait return at once. */
void loop_wake(struct loop *loop);

/* Waits until a descriptor is ready, somebody woke the loop, or the deadline (mono_ns; NEVER_NS for none) has passed;
 * calls ready() of each; then takes a new reading of the clock, which loop_now() returns until the next wait. */
void loop_wait(struct loop *loop, int64_t deadline_ns);
struct now loop_now(const struct loop *loop);

/* A turn is what happens between two waits, ready() of descriptors included. A busy machine makes turns long, only we make them
 * busy: so they are measured by the clock and by the CPU time of the thread. */
enum { LOOP_BOUNDS = 7 };
extern const int64_t LOOP_BOUNDS_NS[LOOP_BOUNDS]; /* ascending, 1 ms to 100 ms */

/* Of the turns that have ended. */
struct loop_lengths {
	uint64_t within[LOOP_BOUNDS]; /* turns that took no longer than LOOP_BOUNDS_NS[i] */
	uint64_t count; /* turns */
	int64_t sum_ns, longest_ns;
};

struct loop_turns {
	int64_t began_ns; /* mono_ns: the turn that is under way; 0: the loop waits */
	struct loop_lengths clock, cpu;
};
void loop_read_turns(const struct loop *loop, struct loop_turns *out_turns);
