#include "base/thread.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/rcu.h"

static _Thread_local unsigned role;

void thread_set_role(unsigned new_role) {
	role = new_role;
}

unsigned thread_role(void) {
	return role;
}

void thread_block_signals(void) {
	sigset_t all;
	sigfillset(&all);
	int failed = pthread_sigmask(SIG_SETMASK, &all, NULL);
	assert(!failed);
}

static void *entry(void *arg) {
	struct thread *thread = arg;
	thread_block_signals();
	pthread_setname_np(pthread_self(), thread->_name);
	rcu_thread_register();
	thread->_run(thread->_arg);
	rcu_thread_unregister();
	return NULL;
}

enum err thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg) {
	assert(!thread->_started && strlen(name) < sizeof thread->_name);
	thread->_run = run;
	thread->_arg = arg;
	snprintf(thread->_name, sizeof thread->_name, "%s", name);
	if (pthread_create(&thread->_id, NULL, entry, thread)) return ERR_NOMEM;
	thread->_started = true;
	return OK;
}

void thread_join(struct thread *thread) {
	if (!thread->_started) return;
	int failed = pthread_join(thread->_id, NULL);
	assert(!failed);
	thread->_started = false;
}

void lock_init(struct lock *lock) {
	pthread_mutexattr_t attributes;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	int failed = pthread_mutex_init(&lock->_mutex, &attributes);
	assert(!failed);
	pthread_mutexattr_destroy(&attributes);
}

void lock_deinit(struct lock *lock) {
	int failed = pthread_mutex_destroy(&lock->_mutex);
	assert(!failed);
}

void lock_acquire(struct lock *lock) {
	int failed = pthread_mutex_lock(&lock->_mutex);
	assert(!failed);
}

void lock_release(struct lock *lock) {
	int failed = pthread_mutex_unlock(&lock->_mutex);
	assert(!failed);
}
