#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/rcu.h"

static _Thread_local unsigned role;

void thread_set_role(unsigned new_role) {
	role = new_role;
}

unsigned thread_role(void) {
	return role;
}

/* In Linux a nice value is a thread's own, and 0 is the calling one. */
void thread_step_back(int steps) {
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, 0);
	if (!errno) setpriority(PRIO_PROCESS, 0, nice + steps);
}

/* All but those that a thread raises by its own mistake: they cannot wait, and whoever explains a crash needs them. */
static void signals_to_block(sigset_t *out_set) {
	static const int own_mistakes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS,
		SIGABRT };
	sigfillset(out_set);
	for (size_t i = 0; i < sizeof(own_mistakes) / sizeof(own_mistakes[0]); i++) {
		sigdelset(out_set, own_mistakes[i]);
	}
}

void thread_block_signals(void) {
	sigset_t set;
	signals_to_block(&set);
	int failed = pthread_sigmask(SIG_BLOCK, &set, NULL);
	assert(!failed);
	(void)failed;
}

void thread_let_signals_kill(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *thread_main(void *arg) {
	struct thread *thread = arg;
	pthread_setname_np(pthread_self(), thread->_name);
	rcu_thread_register();
	mem_keep_blocks(true);
	thread->_run(thread->_arg);
	mem_keep_blocks(false);
	rcu_thread_unregister();
	return NULL;
}

enum err thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg) {
	assert(strlen(name) < sizeof(thread->_name));
	*thread = (struct thread){ ._run = run, ._arg = arg };
	memcpy(thread->_name, name, strlen(name) + 1);
	/* Blocked around the creation, so that not even the first instruction of the new thread can take one. */
	sigset_t blocked, before;
	signals_to_block(&blocked);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	thread->_started = pthread_create(&thread->_id, NULL, thread_main, thread) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return thread->_started ? OK : ERR_NOMEM;
}

void thread_join(struct thread *thread) {
	if (!thread->_started) return;
	int failed = pthread_join(thread->_id, NULL);
	assert(!failed);
	(void)failed;
	*thread = (struct thread){ 0 };
}

void lock_init(struct lock *lock) {
	pthread_mutexattr_t attributes;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	int failed = pthread_mutex_init(&lock->_mutex, &attributes);
	assert(!failed);
	(void)failed;
	pthread_mutexattr_destroy(&attributes);
}

void lock_deinit(struct lock *lock) {
	int failed = pthread_mutex_destroy(&lock->_mutex);
	assert(!failed);
	(void)failed;
}

void lock_acquire(struct lock *lock) {
	int failed = pthread_mutex_lock(&lock->_mutex);
	assert(!failed);
	(void)failed;
}

void lock_release(struct lock *lock) {
	int failed = pthread_mutex_unlock(&lock->_mutex);
	assert(!failed);
	(void)failed;
}
