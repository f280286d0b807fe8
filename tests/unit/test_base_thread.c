#include "unit.h"

#include <stdatomic.h>

#include <sys/resource.h>

#include "base/rcu.h"
#include "base/thread.h"

struct facts {
	char name[16];
	sigset_t blocked;
	unsigned role;
};

static void look_around(void *arg) {
	struct facts *facts = arg;
	pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name));
	pthread_sigmask(SIG_SETMASK, NULL, &facts->blocked);
	facts->role = thread_role();
	rcu_read_scope(); /* works only in a registered thread: see test_base_rcu.c */
	thread_set_role(ROLE_WORKER + 3);
	assert_int_equal(thread_role(), ROLE_WORKER + 3);
}

static void test_start_and_join(void **state) {
	(void)state;
	struct facts facts = { .role = 99 };
	struct thread thread = { 0 };
	sigset_t before, after;
	thread_join(&thread);
	thread_set_role(ROLE_MAIN);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(thread_start(&thread, "fifteen-letters", look_around, &facts), OK);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	thread_join(&thread);
	thread_join(&thread);
	assert_string_equal(facts.name, "fifteen-letters");
	assert_int_equal(facts.role, ROLE_NONE);
	assert_int_equal(thread_role(), ROLE_MAIN); /* a role is the thread's own */
	static const int blocked[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1 };
	for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++) {
		assert_true(sigismember(&facts.blocked, blocked[i]));
		assert_int_equal(sigismember(&after, blocked[i]), sigismember(&before, blocked[i]));
		assert_false(sigismember(&before, blocked[i]));
	}
	assert_false(sigismember(&facts.blocked, SIGSEGV));
}

static void step_back(void *arg) {
	thread_step_back(3);
	*(int *)arg = getpriority(PRIO_PROCESS, 0);
}

/* The thread that steps back, and no other one. */
static void test_stepping_back(void **state) {
	(void)state;
	struct thread thread = { 0 };
	int before = getpriority(PRIO_PROCESS, 0), its = before, most = 19;
	assert_int_equal(thread_start(&thread, "polite", step_back, &its), OK);
	thread_join(&thread);
	assert_int_equal(its, before + 3 < most ? before + 3 : most);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}

static void long_name(void *arg) {
	(void)thread_start(arg, "sixteen-letters!", look_around, NULL);
}

static void test_name_too_long_is_a_mistake(void **state) {
	(void)state;
	struct thread thread;
	assert_true(aborts(long_name, &thread));
}

static struct lock lock;
static int guarded;

static void add_many(void *arg) {
	(void)arg;
	for (int i = 0; i < 10000; i++) {
		lock_scope(&lock);
		guarded++;
	}
}

static void test_lock_excludes(void **state) {
	(void)state;
	struct thread threads[3];
	lock_init(&lock);
	for (int i = 0; i < 3; i++)
		assert_int_equal(thread_start(&threads[i], "adder", add_many, NULL), OK);
	for (int i = 0; i < 3; i++) thread_join(&threads[i]);
	assert_int_equal(guarded, 30000);
	lock_deinit(&lock);
}

static void acquire_twice(void *arg) {
	(void)arg;
	lock_init(&lock);
	lock_acquire(&lock);
	lock_acquire(&lock);
}

static void release_foreign(void *arg) {
	(void)arg;
	lock_init(&lock);
	lock_release(&lock);
}

static void test_lock_checks(void **state) {
	(void)state;
	assert_true(aborts(acquire_twice, NULL));
	assert_true(aborts(release_foreign, NULL));
}

static void block_all(void *arg) {
	(void)arg;
	thread_block_signals();
	raise(SIGTERM); /* pending for good: the process goes on and ends well */
}

static void test_block_signals(void **state) {
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		block_all(NULL);
		_exit(7);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_and_join),
		cmocka_unit_test(test_stepping_back),
		cmocka_unit_test(test_name_too_long_is_a_mistake),
		cmocka_unit_test(test_lock_excludes),
		cmocka_unit_test(test_lock_checks),
		cmocka_unit_test(test_block_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
