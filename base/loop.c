#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { BATCH = 64 };

/* A long wait is cut, so that a suspended machine notices the time that passed. */
static const int64_t LONGEST_WAIT_NS = NS_PER_S;

struct loop {
	struct clock *clock;              /* const */
	int epoll;                        /* const */
	int wake;                         /* const: an eventfd, written by any thread */
	struct now now;                   /* owner */
	struct epoll_event batch[BATCH];  /* owner */
	int batch_count, batch_at;        /* owner: events from batch_at on are still to be delivered */
};

struct loop *loop_create(struct clock *clock) {
	struct loop *loop = mem_zalloc(sizeof *loop);
	if (!loop) return NULL;
	loop->clock = clock;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	if (loop->epoll < 0 || loop->wake < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event)) {
		loop_destroy(loop);
		return NULL;
	}
	loop->now = clock_now(clock);
	return loop;
}

void loop_destroy(struct loop *loop) {
	if (!loop) return;
	if (loop->epoll >= 0) close(loop->epoll);
	if (loop->wake >= 0) close(loop->wake);
	mem_free(loop);
}

enum err loop_add(struct loop *loop, struct loop_fd *watch) {
	assert(watch->ready);
	struct epoll_event event = { .events = watch->events, .data.ptr = watch };
	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) ? ERR_IO : OK;
}

enum err loop_change(struct loop *loop, struct loop_fd *watch, uint32_t events) {
	watch->events = events;
	struct epoll_event event = { .events = events, .data.ptr = watch };
	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) ? ERR_IO : OK;
}

void loop_remove(struct loop *loop, struct loop_fd *watch) {
	/* A descriptor that is closed already has left the set by itself. */
	int failed = epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	assert(!failed || errno == ENOENT || errno == EBADF);
	for (int i = loop->batch_at; i < loop->batch_count; i++) {
		if (loop->batch[i].data.ptr == watch) loop->batch[i].events = 0;
	}
}

void loop_wake(struct loop *loop) {
	uint64_t one = 1;
	/* EAGAIN: the counter is full, so the loop is awake as it is. */
	ssize_t written = write(loop->wake, &one, sizeof one);
	assert(written == (ssize_t)sizeof one || errno == EAGAIN);
}

static void deliver(struct loop *loop) {
	while (loop->batch_at < loop->batch_count) {
		struct epoll_event event = loop->batch[loop->batch_at++];
		struct loop_fd *watch = event.data.ptr;
		uint64_t count;
		if (!watch) {
			ssize_t got = read(loop->wake, &count, sizeof count);
			assert(got == (ssize_t)sizeof count || errno == EAGAIN);
		} else if (event.events) {
			watch->ready(watch, event.events);
		}
	}
	loop->batch_at = loop->batch_count = 0;
}

void loop_wait(struct loop *loop, int64_t deadline_ns) {
	int64_t wait_ns = deadline_ns - clock_now(loop->clock).mono_ns;
	if (deadline_ns == NEVER_NS || wait_ns > LONGEST_WAIT_NS) wait_ns = LONGEST_WAIT_NS;
	if (wait_ns < 0) wait_ns = 0;
	struct timespec timeout = { .tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S };
	int count = epoll_pwait2(loop->epoll, loop->batch, BATCH, &timeout, NULL);
	assert(count >= 0 || errno == EINTR);
	loop->batch_count = count < 0 ? 0 : count;
	loop->batch_at = 0;
	loop->now = clock_now(loop->clock);
	deliver(loop);
	loop->now = clock_now(loop->clock);
}

struct now loop_now(const struct loop *loop) {
	return loop->now;
}
