#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { BATCH_EVENTS = 64 };

const int64_t LOOP_BOUNDS_NS[LOOP_BOUNDS] = { NS_PER_MS, 2 * NS_PER_MS, 5 * NS_PER_MS,
	10 * NS_PER_MS, 20 * NS_PER_MS, 50 * NS_PER_MS, 100 * NS_PER_MS };

/* Turns by their length; the last count is of those beyond every bound. */
struct lengths {
	_Atomic uint64_t counts[LOOP_BOUNDS + 1]; /* atomic: relaxed; writer home */
	_Atomic int64_t sum_ns, longest_ns; /* atomic: relaxed; writer home */
};

struct loop {
	struct clock *clock; /* const */
	int epoll_fd; /* const */
	int wake_fd; /* const: an eventfd; its counter is the level "somebody woke us" */
	struct now now; /* home */
	_Atomic int64_t turn_began_ns; /* atomic: relaxed; 0 while it waits; writer home */
	struct lengths by_clock, by_cpu; /* atomic: its own */
	int64_t turn_cpu_ns; /* home: the thread's CPU time when the turn began */
	int batch_len; /* home: events of the current batch; 0 outside of one */
	struct epoll_event batch
		[BATCH_EVENTS]; /* home: data.ptr is the watch, the loop itself for the wake-up, NULL if removed */
};

static void close_if_open(int fd) {
	if (fd >= 0) close(fd);
}

struct loop *loop_create(struct clock *clock) {
	assert(clock);
	struct loop *loop = mem_zalloc(sizeof(*loop));
	if (!loop) return NULL;
	loop->clock = clock;
	loop->now = clock_now(clock);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = loop };
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
		loop_destroy(loop);
		return NULL;
	}
	return loop;
}

void loop_destroy(struct loop *loop) {
	if (!loop) return;
	assert(loop->batch_len == 0);
	close_if_open(loop->epoll_fd);
	close_if_open(loop->wake_fd);
	mem_free(loop);
}

static enum err control(struct loop *loop, int operation, struct loop_fd *watch) {
	struct epoll_event event = { .events = watch->events, .data.ptr = watch };
	if (epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) == 0) return OK;
	if (errno == ENOMEM || errno == ENOSPC) return ERR_NOMEM;
	if (errno == EEXIST) return ERR_EXISTS;
	return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
}

enum err loop_add(struct loop *loop, struct loop_fd *watch) {
	assert(watch->fd >= 0 && watch->ready);
	return control(loop, EPOLL_CTL_ADD, watch);
}

enum err loop_change(struct loop *loop, struct loop_fd *watch, uint32_t events) {
	watch->events = events;
	return control(loop, EPOLL_CTL_MOD, watch);
}

void loop_remove(struct loop *loop, struct loop_fd *watch) {
	/* A descriptor that was closed has left the epoll set already: ENOENT, EBADF. Nothing is wrong then. */
	int failed = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	assert(!failed || errno == ENOENT || errno == EBADF || errno == EPERM);
	(void)failed;
	for (int i = 0; i < loop->batch_len; i++) {
		if (loop->batch[i].data.ptr == watch) loop->batch[i].data.ptr = NULL;
	}
}

void loop_wake(struct loop *loop) {
	/* EAGAIN: the counter is full, so the loop will wake anyway. */
	while (eventfd_write(loop->wake_fd, 1) != 0 && errno == EINTR) {
	}
}

/* One wait of at most a second: the kernel's timeout stands still while the machine is suspended, our deadlines do not. */
static int wait_once(struct loop *loop, int64_t left_ns) {
	if (left_ns < 0) left_ns = 0;
	if (left_ns > NS_PER_S) left_ns = NS_PER_S;
	struct timespec timeout = { .tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S };
	int count = epoll_pwait2(loop->epoll_fd, loop->batch, BATCH_EVENTS, &timeout, NULL);
	if (count >= 0) return count;
	if (errno == EINTR) return 0;
	perror("kvsync: epoll_pwait2");
	abort();
}

static void drain_wake(struct loop *loop) {
	eventfd_t count;
	/* EAGAIN cannot hurt: somebody else's read would have drained it. */
	while (eventfd_read(loop->wake_fd, &count) != 0 && errno == EINTR) {
	}
}

static void dispatch(struct loop *loop, int count) {
	loop->batch_len = count;
	for (int i = 0; i < count; i++) {
		void *target = loop->batch[i].data.ptr;
		if (target == loop) {
			drain_wake(loop);
		} else if (target) {
			struct loop_fd *watch = target;
			watch->ready(watch, loop->batch[i].events);
		}
	}
	loop->batch_len = 0;
}

static int64_t thread_cpu_ns(void) {
	struct timespec time = { 0 };
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * NS_PER_S + time.tv_nsec;
}

static void note_length(struct lengths *lengths, int64_t length_ns) {
	const memory_order relaxed = memory_order_relaxed;
	unsigned at = 0;
	while (at < LOOP_BOUNDS && length_ns > LOOP_BOUNDS_NS[at]) at++;
	atomic_fetch_add_explicit(&lengths->counts[at], 1, relaxed);
	atomic_fetch_add_explicit(&lengths->sum_ns, length_ns, relaxed);
	if (length_ns > atomic_load_explicit(&lengths->longest_ns, relaxed))
		atomic_store_explicit(&lengths->longest_ns, length_ns, relaxed);
}

static void turn_begins(struct loop *loop) {
	loop->turn_cpu_ns = thread_cpu_ns();
	atomic_store_explicit(&loop->turn_began_ns, loop->now.mono_ns, memory_order_relaxed);
}

static void turn_ends(struct loop *loop) {
	int64_t began_ns = atomic_load_explicit(&loop->turn_began_ns, memory_order_relaxed);
	if (!began_ns) return;
	atomic_store_explicit(&loop->turn_began_ns, 0, memory_order_relaxed);
	note_length(&loop->by_clock, loop->now.mono_ns - began_ns);
	note_length(&loop->by_cpu, thread_cpu_ns() - loop->turn_cpu_ns);
}

void loop_wait(struct loop *loop, int64_t deadline_ns) {
	assert(loop->batch_len == 0);
	int count;
	do {
		loop->now = clock_now(loop->clock);
		turn_ends(loop);
		bool is_due = deadline_ns <= loop->now.mono_ns;
		count = wait_once(loop, is_due ? 0 : deadline_ns - loop->now.mono_ns);
		if (is_due) break;
	} while (count == 0);
	/* What is ready gets the time at which it became so, not the time before the wait. */
	loop->now = clock_now(loop->clock);
	turn_begins(loop);
	dispatch(loop, count);
	loop->now = clock_now(loop->clock);
}

struct now loop_now(const struct loop *loop) {
	return loop->now;
}

static void read_lengths(const struct lengths *lengths, struct loop_lengths *out_lengths) {
	const memory_order relaxed = memory_order_relaxed;
	uint64_t count = 0;
	for (unsigned i = 0; i < LOOP_BOUNDS; i++) {
		count += atomic_load_explicit(&lengths->counts[i], relaxed);
		out_lengths->within[i] = count;
	}
	out_lengths->count = count + atomic_load_explicit(&lengths->counts[LOOP_BOUNDS], relaxed);
	out_lengths->sum_ns = atomic_load_explicit(&lengths->sum_ns, relaxed);
	out_lengths->longest_ns = atomic_load_explicit(&lengths->longest_ns, relaxed);
}

void loop_read_turns(const struct loop *loop, struct loop_turns *out_turns) {
	out_turns->began_ns = atomic_load_explicit(&loop->turn_began_ns, memory_order_relaxed);
	read_lengths(&loop->by_clock, &out_turns->clock);
	read_lengths(&loop->by_cpu, &out_turns->cpu);
}
