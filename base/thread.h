/* base/thread.h - door 5 of 5: threads. Start, join, who am I, and the one mutex type.
 *
 * A thread that is started here is registered with RCU for its whole life and has all signals blocked.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

struct thread {
	pthread_t _id;
	bool _started;
	void (*_run)(void *arg);
	void *_arg;
	char _name[16];
};

/* Starts `run(arg)`. `thread` must stay where it is until joined. name: at most 15 bytes. */
enum err thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg);
void thread_join(struct thread *thread); /* harmless when never started */

/* The role of the calling thread, for assertions: 0 none, 1 main, 2 + i worker i. The simulation, which runs every role on
 * one thread, sets it before each turn. */
void thread_set_role(unsigned role);
unsigned thread_role(void);
enum { ROLE_NONE = 0, ROLE_MAIN = 1, ROLE_WORKER = 2 };
#define assert_main() assert(thread_role() == ROLE_MAIN)

/* The calling thread lets the others of this process go first where cores are short: `steps` is added to its nice value. Where
 * that cannot be, nothing changes. */
void thread_step_back(int steps);

/* Blocks every signal in the calling thread. main() calls it before the first thread exists. */
void thread_block_signals(void);

/* Lets SIGINT, SIGTERM and SIGHUP end the process again: for commands that a person ends at any time. */
void thread_let_signals_kill(void);

/* Error-checking mutex; none on the reconcile path. */
struct lock {
	pthread_mutex_t _mutex;
};

void lock_init(struct lock *lock);
void lock_deinit(struct lock *lock);
void lock_acquire(struct lock *lock);
void lock_release(struct lock *lock);
static inline void lock_release_scope_(struct lock **lock) {
	lock_release(*lock);
}
#define lock_scope(l)                                                               \
	__attribute__((cleanup(lock_release_scope_))) struct lock *lock_scope_ = ({ \
		lock_acquire(l);                                                    \
		(l);                                                                \
	});                                                                         \
	(void)lock_scope_
